package lettatest

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// conversation is one stored conversation.
type conversation struct {
	id, agent                     string
	created, updated, lastMessage time.Time
	summary, model, settings      any
	isolated                      []string
	messages                      []*message // in context
	history                       []*message // all
}

// state is the JSON form of a conversation. Lists and updates leave the messages out.
func (c *conversation) state(whole bool) map[string]any {
	m := map[string]any{
		"created_by_id": userID, "last_updated_by_id": userID, "created_at": timestamp(c.created), "updated_at": timestamp(c.updated), "id": c.id,
		"agent_id": c.agent, "summary": c.summary, "in_context_message_ids": []string{}, "isolated_block_ids": append([]string{}, c.isolated...),
		"model": c.model, "model_settings": c.settings, "last_message_at": nil,
	}
	if !c.lastMessage.IsZero() {
		m["last_message_at"] = timestamp(c.lastMessage)
	}
	if whole {
		ids := make([]string, len(c.messages))
		for i, msg := range c.messages {
			ids[i] = msg.id
		}
		m["in_context_message_ids"] = ids
	}
	return m
}

func (s *Server) newConversation(a *agent) *conversation {
	now := s.now()
	c := &conversation{id: newID("conv"), agent: a.id, created: now, updated: now}
	s.conversations[c.id] = c
	s.open(a, c)
	return c
}

// open gives a conversation its system prompt.
func (s *Server) open(a *agent, c *conversation) {
	prompt := strings.Replace(s.compile(a, s.now()), "- CONVERSATION_ID: default", "- CONVERSATION_ID: "+c.id, 1)
	m := &message{role: "system", text: prompt, otid: uuid(), conversation: c.id}
	s.keep(a, &c.messages, m)
	c.history = append(c.history, m)
}

var anyConversation = func() *regexp.Regexp {
	conv, agent := strings.Trim(idPattern("conv").String(), "^$"), strings.Trim(idPattern("agent").String(), "^$")
	return regexp.MustCompile("^(default|" + conv + "|" + agent + ")$")
}()

// needConversation checks the id in the path. loose also takes default, and an agent's id.
func (c *call) needConversation(loose bool) {
	form := id("conv")
	if loose {
		form = pattern(anyConversation, 1, 1000)
	}
	form(&c.errs, loc{"path", "conversation_id"}, c.id)
}

// direct is the agent that a path stands for: by its id, or as default with the agent named elsewhere.
func (c *call) direct(agent string) string {
	if strings.HasPrefix(c.id, "agent-") {
		return c.id
	}
	if c.id == "default" {
		return agent
	}
	return ""
}

func (s *Server) noConversation(id string) answer {
	a := notFound("Conversation", id)
	m := a.body.(map[string]any)
	m["detail"] = m["detail"].(string) + ", is_deleted=False"
	return a
}

var conversationFields = []field{
	{"summary", optText},
	{"model", opt(modelHandle)},
	{"model_settings", opt(modelSettings)},
	{"last_message_at", opt(datetime)},
	{"isolated_block_labels", optTexts},
}

func (c *conversation) set(o object) {
	if o.has("summary") {
		c.summary = o["summary"]
	}
	if o.has("model") {
		c.model = o["model"]
	}
	if settings := get[object](o, "model_settings"); settings != nil {
		llm := map[string]any{"model_endpoint_type": settings["provider_type"]}
		applySettings(llm, settings)
		c.settings = settingsOf(llm)
	}
	if t := get[time.Time](o, "last_message_at"); !t.IsZero() {
		c.lastMessage = t
	}
}

func (s *Server) createConversation(c *call) answer {
	q, o := c.params(byAgent), object{}
	if !q.has("agent_id") {
		c.errs.add("missing", loc{"query", "agent_id"}, "Field required", nil, "")
	}
	if len(c.raw) > 0 {
		o = c.body(slices.Concat(conversationFields[:3], conversationFields[4:]))
	}
	if a, bad := c.failed(); bad {
		return a
	}
	a := s.agents[q.str("agent_id")]
	if a == nil {
		return fail(http.StatusNotFound, "Agent not found")
	}
	conv := s.newConversation(a)
	conv.set(o)
	for _, label := range o.strs("isolated_block_labels") {
		for _, id := range a.blocks {
			if f := s.blocks[id].fields; f.str("label") == label {
				if b, problem := s.newBlock(object{"label": label, "value": f["value"], "limit": f["limit"]}); problem == nil {
					conv.isolated = append(conv.isolated, b.id)
				}
			}
		}
	}
	return ok(conv.state(false))
}

func (s *Server) retrieveConversation(c *call) answer {
	c.needConversation(false)
	if a, bad := c.failed(); bad {
		return a
	}
	conv := s.conversations[c.id]
	if conv == nil {
		return s.noConversation(c.id)
	}
	return ok(conv.state(true))
}

func (s *Server) updateConversation(c *call) answer {
	c.needConversation(false)
	o := c.body(conversationFields[:4])
	if a, bad := c.failed(); bad {
		return a
	}
	conv := s.conversations[c.id]
	if conv == nil {
		return s.noConversation(c.id)
	}
	conv.set(o)
	conv.updated = s.now()
	return ok(conv.state(false))
}

func (s *Server) deleteConversation(c *call) answer {
	c.needConversation(false)
	if a, bad := c.failed(); bad {
		return a
	}
	if s.conversations[c.id] == nil {
		return s.noConversation(c.id)
	}
	delete(s.conversations, c.id)
	return ok(null)
}

func (s *Server) listConversations(c *call) answer {
	o := c.params([]field{
		{"agent_id", text},
		pageFields[2], pageFields[1],
		{"summary_search", text},
		pageFields[3],
		{"order_by", oneOf("literal_error", "created_at", "last_run_completion", "last_message_at")},
	})
	if a, bad := c.failed(); bad {
		return a
	}
	if o.has("limit") && get[int](o, "limit") == 0 {
		return ok([]any{})
	}
	if id := o.str("after"); id != "" && s.conversations[id] == nil {
		return notFound("Conversation", id)
	}
	like := ilike(o.str("summary_search"))
	var rows []*conversation
	for _, conv := range s.conversations {
		summary, _ := conv.summary.(string)
		if (o.str("agent_id") == "" || conv.agent == o.str("agent_id")) && like(summary) {
			rows = append(rows, conv)
		}
	}
	key := func(conv *conversation) cursor {
		if by := o.str("order_by"); by == "last_message_at" || by == "last_run_completion" {
			return cursor{conv.lastMessage, conv.id}
		}
		return cursor{conv.created, conv.id}
	}
	find := func(id string) (*conversation, bool) { conv := s.conversations[id]; return conv, conv != nil }
	rows, bad := page(rows, key, find, o, o.str("order") == "asc")
	if bad {
		return databaseError()
	}
	out := make([]any, len(rows))
	for i, conv := range rows {
		out[i] = conv.state(false)
	}
	return ok(out)
}

var byAgent = []field{{"agent_id", text}}

func (s *Server) forkConversation(c *call) answer {
	c.needConversation(true)
	q := c.params(byAgent)
	if a, bad := c.failed(); bad {
		return a
	}
	from := s.conversations[c.id]
	id := c.direct(q.str("agent_id"))
	if id == "" && from == nil {
		return s.noConversation(c.id)
	}
	if from != nil {
		id = from.agent
	}
	a := s.agents[id]
	if a == nil {
		return fail(http.StatusNotFound, "Agent not found")
	}
	context, conv := a.messages, s.newConversation(a)
	if from != nil {
		context, conv.model, conv.settings = from.messages, from.model, from.settings
	}
	conv.messages = append(conv.messages, context[1:]...)
	conv.history = append(conv.history, context[1:]...)
	return ok(conv.state(false))
}

func (s *Server) listConversationMessages(c *call) answer {
	c.needConversation(true)
	o := c.params(slices.Concat(byAgent, messageListFields))
	if a, bad := c.failed(); bad {
		return a
	}
	asc := o.str("order") == "asc"
	if id := c.direct(o.str("agent_id")); id != "" {
		a := s.agents[id]
		if a == nil {
			return fail(http.StatusNotFound, "Agent not found")
		}
		return s.showMessages(of(a.history, "default"), o, asc, false, noCursor(id))
	}
	var all []*message
	if conv := s.conversations[c.id]; conv != nil {
		all = conv.history
	}
	return s.showMessages(all, o, asc, true, nil)
}

func (s *Server) attachConversation(c *call) answer {
	c.needConversation(true)
	o := object{}
	if len(c.raw) > 0 {
		o = c.body(streamBody)
	}
	if a, bad := c.failed(); bad {
		return a
	}
	id := o.str("run_id")
	if id == "" && o.str("otid") != "" {
		if id = s.otids[o.str("otid")]; s.runs[id] == nil {
			return fail(http.StatusNotFound, "No run found for otid=%s. The run may have expired or never existed.", o.str("otid"))
		}
	}
	if id != "" {
		r, problem := s.run(id)
		if r == nil {
			return problem
		}
		return r.replay(o)
	}
	conversation, agent := c.id, c.direct(o.str("agent_id"))
	if agent != "" {
		conversation = ""
	}
	runs := s.activeRuns(agent, conversation)
	switch {
	case len(runs) == 0:
		return invalid("No active runs found for this conversation.")
	case !runs[0].background:
		return notBackground()
	}
	return runs[0].replay(o)
}

func (s *Server) cancelConversation(c *call) answer {
	c.needConversation(true)
	q := c.params(byAgent)
	if a, bad := c.failed(); bad {
		return a
	}
	conversation, agent := c.id, c.direct(q.str("agent_id"))
	if agent != "" {
		conversation = ""
	} else if s.conversations[c.id] == nil {
		return s.noConversation(c.id)
	}
	runs := s.activeRuns(agent, conversation)
	if len(runs) == 0 {
		return fail(http.StatusConflict, "CONFLICT: No active runs to cancel for conversation %s", c.id)
	}
	return s.cancelAll(runs)
}

// context finds what a compaction or a recompilation is about.
func (s *Server) context(c *call, agent string) (*agent, *conversation, answer) {
	if id := c.direct(agent); id != "" {
		return s.agents[id], nil, fail(http.StatusNotFound, "Agent with ID %s not found", id)
	}
	conv := s.conversations[c.id]
	if conv == nil {
		return nil, nil, s.noConversation(c.id)
	}
	return s.agents[conv.agent], conv, answer{}
}

func (s *Server) compactConversation(c *call) answer {
	c.needConversation(true)
	mode, agent := c.compactMode()
	if a, bad := c.failed(); bad {
		return a
	}
	a, conv, problem := s.context(c, agent)
	switch {
	case a == nil:
		return problem
	case conv == nil:
		return s.compact(a, &a.messages, "", mode)
	}
	before := len(a.history)
	out := s.compact(a, &conv.messages, conv.id, mode)
	conv.history = append(conv.history, a.history[before:]...)
	return out
}

func (s *Server) recompileConversation(c *call) answer {
	c.needConversation(true)
	q := c.params([]field{{"dry_run", boolean}})
	_, agent := c.compactMode()
	if a, bad := c.failed(); bad {
		return a
	}
	a, conv, problem := s.context(c, agent)
	if a == nil {
		return problem
	}
	prompt, in := s.compile(a, s.now()), a.messages
	if conv != nil {
		in = conv.messages
	}
	if !get[bool](q, "dry_run") && len(in) > 0 {
		in[0].text = prompt
	}
	return ok(prompt)
}
