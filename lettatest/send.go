package lettatest

import (
	"net/http"
	"strings"
)

// The forms of a message that a client sends; the real server tries one after the other.
var (
	contentParts = "list[tagged-union[TextContent,ImageContent,ToolCallContent,ToolReturnContent,ReasoningContent,RedactedReasoningContent," +
		"OmittedReasoningContent,SummarizedReasoningContent]]"
	inputForms = []struct {
		class  string
		fields []field
	}{
		{"function-after[generate_otid_if_missing(), MessageCreate]", []field{
			{"type", opt(inputType("message"))},
			{"otid", optText},
			{"group_id", optText},
			{"role*", choice("literal_error", quoted("<MessageRole.%s: '%s'>", roles), roles)},
			{"content*", content},
			{"name", optText},
			{"sender_id", optText},
			{"batch_item_id", optText},
		}},
		{"function-after[migrate_deprecated_fields(), function-after[generate_otid_if_missing(), ApprovalCreate]]", []field{
			{"type", inputType("approval")},
			{"otid", optText},
			{"group_id", optText},
			{"approvals", opt(list(union("type", "MessageReturnType", []string{"approval", "tool"}, func(kind string) check {
				if kind == "tool" {
					return clientResult
				}
				return structure([]field{{"type", text}, {"tool_call_id*", text}, {"approve*", boolean}, {"reason", optText}})
			})))},
			{"approve", optBool},
			{"approval_request_id", optText},
			{"reason", optText},
		}},
		{"function-after[generate_otid_if_missing(), ToolReturnCreate]", []field{
			{"type", inputType("tool_return")},
			{"otid", optText},
			{"group_id", optText},
			{"tool_returns*", list(clientResult)},
		}},
	}
	clientResult = structure([]field{
		{"type", text},
		{"tool_return*", content},
		{"status*", oneOf("literal_error", "success", "error")},
		{"tool_call_id*", text},
		{"stdout", optTexts},
		{"stderr", optTexts},
	})
	sendFields = []field{
		{"messages", opt(inputs)},
		{"input", opt(content)},
		{"max_steps", integer},
		{"use_assistant_message", boolean},
		{"assistant_message_tool_name", text},
		{"assistant_message_tool_kwarg", text},
		{"include_return_message_types", opt(typesField.check)},
		{"client_tools", opt(list(structure([]field{{"name*", text}, {"description", optText}, {"parameters", optDict}})))},
		{"override_model", optText},
		{"include_compaction_messages", boolean},
		{"return_logprobs", boolean},
		{"top_logprobs", optInt},
		{"return_token_ids", boolean},
		{"override_system", optText},
		{"callback_url", optText},
		{"agent_id", optText},
		{"streaming", boolean},
		{"stream_tokens", boolean},
		{"include_pings", boolean},
		{"background", boolean},
	}
)

func inputType(kind string) check {
	return choice("literal_error", []string{"<MessageCreateType." + kind + ": '" + kind + "'>"}, []string{kind})
}

// content is text or a list of parts.
func content(p *problems, at loc, v any) any {
	parts, isList := v.([]any)
	if _, isText := v.(string); isText || isList {
		out := make([]any, len(parts))
		for i, part := range parts {
			m := object{}
			if in, ok := part.(map[string]any); ok {
				m = checkFields(new(problems), nil, in, []field{{"type", text}, {"text", text}, {"source", anything}})
				m["signature"] = in["signature"]
			}
			out[i] = map[string]any(m)
		}
		if isList {
			return out
		}
		return v
	}
	p.add("string_type", at.in("str"), "Input should be a valid string", v, "")
	p.add("list_type", at.in(contentParts), "Input should be a valid list", v, "")
	return nil
}

// inputs checks the messages of a request. Approvals in their older forms come out in the newest one.
func inputs(p *problems, at loc, v any) any {
	all, _ := v.([]any)
	for _, in := range all {
		if m, ok := in.(map[string]any); ok && m["type"] == nil {
			m["type"] = "message"
			_, approve := m["approve"]
			if _, request := m["approval_request_id"]; approve || request {
				m["type"] = "approval"
			}
		}
	}
	return list(func(p *problems, at loc, v any) any {
		var all problems
		for _, form := range inputForms {
			var tried problems
			o, _ := structure(form.fields)(&tried, at.in(form.class), v).(object)
			if len(tried.list) == 0 {
				return migrated(o)
			}
			all.list = append(all.list, tried.list...)
		}
		p.list = append(p.list, all.list...)
		return object{}
	})(p, at, v)
}

func migrated(o object) object {
	if o.has("tool_returns") {
		o["approvals"] = o["tool_returns"]
		for _, v := range get[[]any](o, "tool_returns") {
			v.(object)["type"] = "tool"
		}
	}
	if o.has("approve") && o.has("approval_request_id") && len(get[[]any](o, "approvals")) == 0 {
		o["approvals"] = []any{object{"type": "approval", "tool_call_id": o["approval_request_id"], "approve": o["approve"], "reason": o["reason"]}}
	}
	for _, v := range get[[]any](o, "approvals") {
		a := v.(object)
		for _, k := range map[string][]string{"approval": {"reason"}, "tool": {"stdout", "stderr"}}[a.str("type")] {
			if _, ok := a[k]; !ok {
				a[k] = nil
			}
		}
	}
	return o
}

// send checks the body of a request for a turn.
func (c *call) send(streams bool) (*send, object) {
	o := c.body(sendFields)
	if in, ok := c.data.(map[string]any); ok && c.errs.stop == nil && c.errs.list == nil {
		msg := ""
		switch {
		case o.has("messages") && o.has("input"):
			msg = "Cannot specify both 'input' and 'messages'. Use one or the other."
		case !o.has("messages") && !o.has("input"):
			msg = "Must specify either 'input' or 'messages'."
		}
		if msg != "" {
			c.errs.add("value_error", loc{"body"}, "Value error, "+msg, in, "'error': ValueError("+printed(msg)+")")
		}
	}
	sd := &send{
		maxSteps: 50, types: o.strs("include_return_message_types"), model: o.str("override_model"), streaming: streams, pings: true,
		input: get[[]any](o, "messages"), tokens: get[bool](o, "stream_tokens"), background: get[bool](o, "background"),
	}
	if o.has("input") {
		sd.input = []any{object{"role": "user", "content": o["input"]}}
	}
	if o.has("max_steps") {
		sd.maxSteps = get[int](o, "max_steps")
	}
	if o.has("streaming") {
		sd.streaming = get[bool](o, "streaming")
	}
	if o.has("include_pings") {
		sd.pings = get[bool](o, "include_pings")
	}
	for _, v := range get[[]any](o, "client_tools") {
		sd.clientTools = append(sd.clientTools, v.(object).str("name"))
	}
	return sd, o
}

func emptyMessages() answer {
	return fail(http.StatusUnprocessableEntity, "Messages must not be empty")
}

func (s *Server) sendMessage(c *call) answer {
	c.needID("agent")
	sd, _ := c.send(false)
	if a, bad := c.failed(); bad {
		return a
	}
	if len(sd.input) == 0 {
		return emptyMessages()
	}
	var wrong []string
	for _, option := range []struct {
		set  bool
		text string
	}{
		{sd.tokens, "stream_tokens can only be true when streaming=true"},
		{!sd.pings, "include_pings can only be set to false when streaming=true"},
		{sd.background, "background can only be true when streaming=true"},
	} {
		if option.set && !sd.streaming {
			wrong = append(wrong, option.text)
		}
	}
	switch {
	case wrong != nil:
		return fail(http.StatusUnprocessableEntity, "Streaming options set without streaming enabled. %s. Either set streaming=true or use default "+
			"values for streaming options.", strings.Join(wrong, "; "))
	case sd.streaming && !c.modern():
		return fail(http.StatusUnprocessableEntity, "streaming=true is only supported for SDK v1.0+ clients.")
	}
	return s.beginFor(c, sd, "send_message")
}

func (s *Server) beginFor(c *call, sd *send, route string) answer {
	if s.agents[c.id] == nil {
		return fail(http.StatusNotFound, "Agent with ID %s not found", c.id)
	}
	sd.agent, sd.route = c.id, route
	return s.begin(sd)
}

func (s *Server) streamMessage(c *call) answer {
	c.needID("agent")
	sd, _ := c.send(true)
	if a, bad := c.failed(); bad {
		return a
	}
	sd.streaming = true
	return s.beginFor(c, sd, "send_message_streaming")
}

func (s *Server) sendAsync(c *call) answer {
	c.needID("agent")
	sd, o := c.send(false)
	if a, bad := c.failed(); bad {
		return a
	}
	if s.agents[c.id] == nil {
		return fail(http.StatusNotFound, "Agent not found")
	}
	sd.async, sd.streaming, sd.background = true, false, true
	out := s.beginFor(c, sd, "send_message_async")
	if m, ok := out.body.(map[string]any); ok && o.has("callback_url") {
		m["callback_url"] = o["callback_url"]
		s.runs[m["id"].(string)].callback = o["callback_url"]
	}
	return out
}

func (s *Server) sendToConversation(c *call) answer {
	c.needConversation(true)
	sd, o := c.send(true)
	if a, bad := c.failed(); bad {
		return a
	}
	if len(sd.input) == 0 {
		return emptyMessages()
	}
	sd.plain, sd.hushed = true, !sd.streaming
	if !sd.streaming {
		sd.tokens, sd.background = false, false
	}
	if sd.agent = c.direct(o.str("agent_id")); sd.agent != "" {
		if s.agents[sd.agent] == nil {
			return fail(http.StatusNotFound, "Agent with ID %s not found", sd.agent)
		}
		sd.route, sd.lock = "send_message", sd.agent
		return s.begin(sd)
	}
	conv := s.conversations[c.id]
	if conv == nil {
		return s.noConversation(c.id)
	}
	conv.lastMessage = s.now()
	sd.agent, sd.conversation, sd.route = conv.agent, conv, "send_conversation_message"
	if sd.streaming {
		sd.lock = conv.id
	}
	return s.begin(sd)
}
