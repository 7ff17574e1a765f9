package lettatest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// message is one stored message. The real server shows one as several: its reasoning, its text and its tool calls apart.
type message struct {
	id, otid, role, text, name string

	parts     []any // what the text was sent as, if it was not a string
	reasoning string
	model     any
	created   time.Time

	agent, conversation, run, step string

	calls     []ToolCall   // role assistant; role approval: a request
	approvals []object     // role approval: the answer to a request
	returns   []toolReturn // role tool
}

// toolReturn is a tool's result. shown is what clients see, text the same as a string, said what the model reads.
type toolReturn struct {
	id, name, text, said string

	shown          any
	failed         bool
	stdout, stderr any
}

func (r *toolReturn) state() map[string]any {
	status := "success"
	if r.failed {
		status = "error"
	}
	shown := r.shown
	if shown == nil {
		shown = r.text
	}
	return map[string]any{
		"type": "tool", "tool_return": shown, "status": status, "tool_call_id": r.id, "stdout": r.stdout, "stderr": r.stderr,
	}
}

// keep stores messages of an agent, in the context of the agent or of a conversation.
func (s *Server) keep(a *agent, in *[]*message, all ...*message) {
	for _, m := range all {
		if m.id == "" {
			m.id = newID("message")
		}
		m.agent, m.created = a.id, s.now()
		if m.model == nil {
			m.model = get[map[string]any](a.fields, "llm_config")["model"]
		}
		s.messages[m.id] = m
		a.history = append(a.history, m)
	}
	*in = append(*in, all...)
}

// forget takes away what hangs on an agent: messages, conversations, runs. Running turns end.
func (s *Server) forget(a *agent) {
	for _, m := range a.history {
		delete(s.messages, m.id)
	}
	a.messages, a.history = nil, nil
	for id, c := range s.conversations {
		if c.agent == a.id {
			delete(s.conversations, id)
		}
	}
	for id, r := range s.runs {
		if r.agent == a.id {
			r.stop()
			for _, st := range r.steps {
				delete(s.steps, st.id)
			}
			delete(s.runs, id)
		}
	}
}

// pending is the approval request that a context ends with.
func pending(in []*message) *message {
	if len(in) == 0 || in[len(in)-1].role != "approval" || in[len(in)-1].calls == nil {
		return nil
	}
	return in[len(in)-1]
}

func date(t time.Time) string { return t.Format("2006-01-02T15:04:05+00:00") }

func nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// base is what the forms of a message have in common. otid counts the forms.
func (m *message) base(kind string, otid any) map[string]any {
	if i, ok := otid.(int); ok {
		id := strings.TrimPrefix(m.id, "message-")
		last, _ := strconv.ParseUint(id[len(id)-2:], 16, 8)
		otid = fmt.Sprintf("%s%02x", id[:len(id)-2], last&0x80|uint64(i))
	}
	return map[string]any{
		"id": m.id, "date": date(m.created), "name": nullable(m.name), "message_type": kind, "otid": otid, "sender_id": nil,
		"step_id": nullable(m.step), "is_err": nil, "seq_id": nil, "run_id": nullable(m.run),
	}
}

func with(m map[string]any, pairs ...any) map[string]any {
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
	}
	return m
}

func callState(c ToolCall) map[string]any {
	return map[string]any{"name": c.Name, "arguments": c.Arguments, "tool_call_id": c.ID}
}

func callStates(calls []ToolCall) []any {
	out := make([]any, len(calls))
	for i, c := range calls {
		out[i] = callState(c)
	}
	return out
}

// request is the form of an approval request.
func (m *message) request() map[string]any {
	return with(m.base("approval_request_message", m.id), "tool_call", callState(m.calls[0]), "tool_calls", callStates(m.calls))
}

// views are the forms a message is shown in. Without spoken, text of the assistant counts as reasoning.
func (m *message) views(spoken bool) []map[string]any {
	switch {
	case m.role == "system":
		var otid any
		if m.run != "" {
			otid = m.otid
		}
		return []map[string]any{with(m.base("system_message", otid), "content", m.text)}
	case m.role == "user", m.role == "summary":
		var content any = m.text
		if m.parts != nil {
			content = m.parts
		}
		otid := nullable(m.otid)
		return []map[string]any{with(m.base("user_message", otid), "content", content)}
	case m.role == "tool" && m.returns == nil:
		return []map[string]any{with(m.base("tool_return_message", 0), "tool_return", m.text, "status", "success", "tool_call_id", "",
			"stdout", nil, "stderr", nil, "tool_returns", []any{})}
	case m.role == "tool":
		all := make([]any, len(m.returns))
		for i := range m.returns {
			all[i] = m.returns[i].state()
		}
		first := m.returns[0].state()
		delete(first, "type")
		first["tool_return"], first["tool_returns"] = m.returns[0].text, all
		v := m.base("tool_return_message", 0)
		for k, x := range first {
			v[k] = x
		}
		return []map[string]any{v}
	case m.approvals != nil:
		v := with(m.base("approval_response_message", nil), "approvals", m.approvals, "approve", nil, "approval_request_id", nil, "reason", nil)
		if first := m.approvals[0]; first.str("type") == "approval" {
			v["approve"], v["approval_request_id"], v["reason"] = first["approve"], first["tool_call_id"], first["reason"]
		}
		return []map[string]any{v}
	}
	var out []map[string]any
	if m.reasoning != "" {
		out = append(out, with(m.base("reasoning_message", 0), "source", "reasoner_model", "reasoning", m.reasoning, "signature", nil))
	}
	switch {
	case m.text == "":
	case spoken:
		out = append(out, with(m.base("assistant_message", len(out)), "content", m.text))
	default:
		out = append(out, with(m.base("reasoning_message", len(out)), "source", "non_reasoner_model", "reasoning", m.text, "signature", nil))
	}
	switch {
	case m.calls == nil:
	case m.role == "approval":
		out = append(out, m.request())
	default:
		out = append(out, with(m.base("tool_call_message", len(out)), "tool_call", callState(m.calls[0]), "tool_calls", callStates(m.calls)))
	}
	return out
}

var (
	messageTypes = []string{
		"system_message", "user_message", "assistant_message", "reasoning_message", "hidden_reasoning_message", "tool_call_message",
		"tool_return_message", "approval_request_message", "approval_response_message", "summary_message", "event_message",
	}
	typesField        = field{"include_return_message_types[]", list(oneOf("enum", messageTypes...))}
	messagePageFields = []field{pageFields[0], pageFields[1], pageFields[2], pageFields[3], pageFields[4]}
	messageListFields = slices.Concat(messagePageFields, []field{
		{"group_id", text},
		{"conversation_id", text},
		{"use_assistant_message", boolean},
		{"assistant_message_tool_name", text},
		{"assistant_message_tool_kwarg", text},
		{"include_err", boolean},
		typesField,
	})
)

// showMessages cuts a page out of messages in their order. after and before always mean newer and older; a page of the newest messages is
// shown oldest first, or newest first if turned is set. bad is the answer to an unknown cursor, if that is refused.
func (s *Server) showMessages(all []*message, o object, asc, turned bool, bad func(id string) answer) answer {
	limit := 100
	if o.has("limit") {
		limit = get[int](o, "limit")
	}
	if limit < 0 {
		return databaseError()
	}
	keep := func(*message) bool { return true }
	for _, side := range []string{"after", "before"} {
		ref := s.messages[o.str(side)]
		switch {
		case o.str(side) == "":
		case ref == nil && bad != nil:
			return bad(o.str(side))
		case ref != nil:
			inner, newer := keep, side == "after"
			keep = func(m *message) bool {
				return inner(m) && (newer && m.created.After(ref.created) || !newer && m.created.Before(ref.created))
			}
		}
	}
	var rows []*message
	for _, m := range all {
		if keep(m) {
			rows = append(rows, m)
		}
	}
	n := min(limit, len(rows))
	if asc {
		rows = rows[:n]
	} else {
		rows = rows[len(rows)-n:]
		if turned {
			slices.Reverse(rows)
		}
	}
	types := o.strs("include_return_message_types")
	out := []any{}
	for _, m := range rows {
		for _, v := range m.views(true) {
			if types == nil || slices.Contains(types, v["message_type"].(string)) {
				out = append(out, v)
			}
		}
	}
	return ok(out)
}

// noCursor refuses an unknown cursor.
func noCursor(agent string) func(string) answer {
	return func(id string) answer {
		return fail(http.StatusNotFound, "No message found with id '%s' for agent '%s'.", id, agent)
	}
}

// of filters messages by conversation: "" for all, default for those outside of conversations.
func of(all []*message, conversation string) []*message {
	if conversation == "" {
		return all
	}
	if conversation == "default" {
		conversation = ""
	}
	return slices.DeleteFunc(slices.Clone(all), func(m *message) bool { return m.conversation != conversation })
}

func (s *Server) listAgentMessages(c *call) answer {
	c.needID("agent")
	o := c.params(messageListFields)
	if a, bad := c.failed(); bad {
		return a
	}
	a := s.agents[c.id]
	if a == nil {
		return fail(http.StatusNotFound, "Agent not found")
	}
	return s.showMessages(of(a.history, o.str("conversation_id")), o, o.str("order") == "asc", false, noCursor(a.id))
}

func (s *Server) listMessages(c *call) answer {
	o := c.params(slices.Concat(messagePageFields, []field{{"conversation_id", text}}))
	if a, bad := c.failed(); bad {
		return a
	}
	var all []*message
	for _, m := range s.messages {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b *message) int { return a.created.Compare(b.created) })
	return s.showMessages(of(all, o.str("conversation_id")), o, o.str("order") == "asc", false, noCursor("None"))
}

func (s *Server) retrieveMessage(c *call) answer {
	c.needID("message")
	if a, bad := c.failed(); bad {
		return a
	}
	m := s.messages[c.id]
	if m == nil {
		return fail(http.StatusNotFound, "Message with id %s not found.", c.id)
	}
	return ok(m.views(true))
}

func (s *Server) searchMessages(c *call) answer {
	c.body([]field{{"query*", text}, {"search_mode", oneOf("literal_error", "vector", "fts", "hybrid")}})
	if a, bad := c.failed(); bad {
		return a
	}
	return fail(http.StatusBadRequest, "Message search requires message embedding, OpenAI, and Turbopuffer to be enabled.")
}

func (s *Server) resetMessages(c *call) answer {
	c.needID("agent")
	c.body([]field{{"add_default_initial_messages", boolean}})
	if a, bad := c.failed(); bad {
		return a
	}
	a := s.agents[c.id]
	if a == nil {
		return notFound("Agent", c.id)
	}
	a.messages, a.updated = a.messages[:min(1, len(a.messages))], s.now()
	return ok(s.state(a, everything()))
}

// compact replaces the oldest messages of a context, behind the system prompt, by a summary.
func (s *Server) compact(a *agent, in *[]*message, conversation, mode string) answer {
	all := *in
	cut := (len(all)*3 + 5) / 10
	for cut > 0 && cut < len(all) && all[cut].role != "assistant" {
		cut++
	}
	if mode == "all" {
		cut = len(all)
	}
	if cut <= 2 || cut == len(all) && mode != "all" {
		return fail(http.StatusBadRequest, "Summarization failed to reduce the number of messages. You may not have enough messages to compact "+
			"or need to use a different CompactionSettings (e.g. using `all` mode).")
	}
	var b strings.Builder
	for _, m := range all[1:cut] {
		switch m.role {
		case "user":
			b.WriteString("[MessageRole.user] " + m.text + "\n")
		case "summary":
			b.WriteString("[user] " + m.text + "\n")
		default:
			b.WriteString("[" + m.role + "] " + m.text + "\n")
		}
	}
	summary := "You said: <start_transcript>\n" + b.String() + "<end_transcript>\n. Generate the summary."
	note := &message{role: "summary", otid: uuid(), conversation: conversation, text: packed("type", "system_alert", "message",
		"Note: earlier messages were removed from the context. This is their summary:\n "+summary, "time", clock(a, s.now()))}
	kept := slices.Clone(all[cut:])
	*in = all[:1:1]
	s.keep(a, in, note)
	*in = append(*in, kept...)
	return ok(map[string]any{"summary": summary, "num_messages_before": len(all), "num_messages_after": len(*in)})
}

// compactMode reads the optional body of a compaction.
func (c *call) compactMode() (mode, agent string) {
	if len(c.raw) == 0 {
		return "", ""
	}
	o := c.body([]field{{"agent_id", optText}, {"compaction_settings", opt(structure(compactionFields))}})
	return get[object](o, "compaction_settings").str("mode"), o.str("agent_id")
}

func (s *Server) compactAgent(c *call) answer {
	c.needID("agent")
	mode, _ := c.compactMode()
	if a, bad := c.failed(); bad {
		return a
	}
	a := s.agents[c.id]
	if a == nil {
		return fail(http.StatusNotFound, "Agent with ID %s not found", c.id)
	}
	return s.compact(a, &a.messages, "", mode)
}

// clock shows a time in an agent's zone.
func clock(a *agent, at time.Time) string {
	zone, err := time.LoadLocation(a.fields.str("timezone"))
	if err != nil {
		zone = time.UTC
	}
	return at.In(zone).Format("2006-01-02 03:04:05 PM MST-0700")
}

// packed is a JSON object with its members in the order given, as the model reads it.
func packed(pairs ...any) string {
	var b bytes.Buffer
	b.WriteByte('{')
	for i := 0; i < len(pairs); i += 2 {
		if i > 0 {
			b.WriteByte(',')
		}
		value, ok := pairs[i+1].(json.RawMessage)
		if !ok {
			value, _ = encode(pairs[i+1])
		}
		fmt.Fprintf(&b, "%q:%s", pairs[i], value)
	}
	b.WriteByte('}')
	var out bytes.Buffer
	_ = json.Indent(&out, b.Bytes(), "", "  ")
	return out.String()
}
