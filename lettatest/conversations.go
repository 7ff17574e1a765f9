package lettatest

import (
	"maps"
	"net/http"
	"strings"
	"time"
)

var conversationRoutes = []route{
	{op: "conversations.create", handle: createConversation},
	{op: "conversations.list", handle: listConversations},
	{op: "conversations.retrieve", handle: withConversation(func(_ *world, _ *call, v *conversation) answer { return ok(v.state(true)) })},
	{op: "conversations.update", handle: withConversation(updateConversation)},
	{op: "conversations.fork", handle: forkConversation},
	{op: "conversations.delete", handle: withConversation(func(w *world, _ *call, v *conversation) answer {
		w.conversations.drop(v.id)
		return ok(null)
	})},
	{op: "conversations.messages.list", handle: listConversationMessages},
	{op: "conversations.messages.create", handle: sendToConversation},
	{op: "conversations.messages.stream", handle: attachConversation},
	{op: "conversations.cancel", handle: cancelConversation},
	{op: "conversations.recompile", handle: recompileConversation},
	{op: "conversations.messages.compact", handle: compactConversation},
}

// A conversation is one stored conversation; its fields are what answers show of it.
type conversation struct {
	row
	agent       string
	lastMessage time.Time
	messages    []*message // in context
	history     []*message // all
}

// state is the JSON form of a conversation. Lists and updates leave the messages out.
func (v *conversation) state(whole bool) object {
	o := with(v.shown(), "last_message_at", moment(v.lastMessage), "in_context_message_ids", []any{})
	if whole {
		o["in_context_message_ids"] = messageIDs(v.messages)
	}
	return o
}

func (w *world) newConversation(a *agent) *conversation {
	v := &conversation{row: w.newRow("conv"), agent: a.id}
	v.fields = with(sample("conversations.create.no_body"), "agent_id", a.id, "isolated_block_ids", []any{})
	maps.Copy(v.fields, nulls("summary model model_settings"))
	w.open(a, v)
	return w.conversations.put(v)
}

// open gives a conversation its system prompt.
func (w *world) open(a *agent, v *conversation) {
	prompt := strings.Replace(w.compile(a, w.now()), "- CONVERSATION_ID: default", "- CONVERSATION_ID: "+v.id, 1)
	m := &message{role: "system", text: prompt, otid: uuid(), conversation: v.id}
	w.keep(a, &v.messages, m)
	v.history = append(v.history, m)
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

func noConversation(id string) answer {
	a := notFound("Conversation", id)
	o := a.body.(object)
	o["detail"] = text(o, "detail") + ", is_deleted=False"
	return a
}

func withConversation(f func(*world, *call, *conversation) answer) func(*world, *call) answer {
	return func(w *world, c *call) answer { return f(w, c, w.conversations.must(c.id, noConversation(c.id))) }
}

// set stores what a create or an update sets.
func (v *conversation) set(in object) {
	overlay(v.fields, pick(in, "summary model"))
	if settings := get[object](in, "model_settings"); settings != nil {
		llm := object{"model_endpoint_type": settings["provider_type"]}
		applySettings(llm, settings)
		v.fields["model_settings"] = settingsOf(llm)
	}
	if t := get[time.Time](in, "last_message_at"); !t.IsZero() {
		v.lastMessage = t
	}
}

func createConversation(w *world, c *call) answer {
	c.precheck()
	a := w.agents.must(text(c.q, "agent_id"), fail(http.StatusNotFound, "Agent not found"))
	v := w.newConversation(a)
	v.set(c.in)
	isolated := []any{}
	for _, label := range texts(c.in, "isolated_block_labels") {
		for _, id := range a.links["block"] {
			if f := w.blocks.get(id).fields; text(f, "label") == label {
				isolated = append(isolated, w.blocks.put(blocks.fresh(w, pick(f, "label value limit"))).id)
			}
		}
	}
	v.fields["isolated_block_ids"] = isolated
	return ok(v.state(false))
}

func updateConversation(w *world, c *call, v *conversation) answer {
	c.precheck()
	v.set(c.in)
	v.updated = w.now()
	return ok(v.state(false))
}

func listConversations(w *world, c *call) answer {
	if id := text(c.q, "after"); id != "" && w.conversations.get(id) == nil && c.q["limit"] != 0 {
		return notFound("Conversation", id)
	}
	like := ilike(text(c.q, "summary_search"))
	rows := w.conversations.where(func(v *conversation) bool {
		return (text(c.q, "agent_id") == "" || v.agent == text(c.q, "agent_id")) && like(text(v.fields, "summary"))
	})
	l := listing{none: true}
	if by := text(c.q, "order_by"); by == "last_message_at" || by == "last_run_completion" {
		l.by = func(r *row) time.Time { return w.conversations.get(r.id).lastMessage }
	}
	return show(rows, w.conversations.find, c.q, l, func(v *conversation) any { return v.state(false) })
}

func forkConversation(w *world, c *call) answer {
	from := w.conversations.get(c.id)
	id := c.direct(text(c.q, "agent_id"))
	if id == "" && from == nil {
		return noConversation(c.id)
	}
	if from != nil {
		id = from.agent
	}
	a := w.agents.must(id, fail(http.StatusNotFound, "Agent not found"))
	context, v := a.messages, w.newConversation(a)
	if from != nil {
		context = from.messages
		v.fields["model"], v.fields["model_settings"] = from.fields["model"], from.fields["model_settings"]
	}
	v.messages[0].created = context[0].created // the prompt comes first in lists
	v.messages = append(v.messages, context[1:]...)
	v.history = append(v.history, context[1:]...)
	return ok(v.state(false))
}

func listConversationMessages(w *world, c *call) answer {
	if id := c.direct(text(c.q, "agent_id")); id != "" {
		a := w.agents.must(id, fail(http.StatusNotFound, "Agent not found"))
		return w.showMessages(of(a.history, "default"), c.q, withCursor, false)
	}
	var all []*message
	if v := w.conversations.get(c.id); v != nil {
		all = v.history
	}
	return w.showMessages(all, c.q, listing{}, true)
}

func attachConversation(w *world, c *call) answer {
	id := text(c.in, "run_id")
	if otid := text(c.in, "otid"); id == "" && otid != "" {
		if id = w.otids[otid]; w.runs.get(id) == nil {
			return fail(http.StatusNotFound, "No run found for otid=%s. The run may have expired or never existed.", otid)
		}
	}
	if id != "" {
		return w.run(id).replay(c.in)
	}
	runs := w.activeRuns(c.scope(text(c.in, "agent_id")))
	switch {
	case len(runs) == 0:
		return invalid("No active runs found for this conversation.")
	case !runs[0].background:
		return notBackground()
	}
	return runs[0].replay(c.in)
}

// scope is what a path names: an agent outside of conversations, or a conversation.
func (c *call) scope(agent string) (string, string) {
	if agent = c.direct(agent); agent != "" {
		return agent, ""
	}
	return "", c.id
}

func cancelConversation(w *world, c *call) answer {
	agent, conversation := c.scope(text(c.q, "agent_id"))
	if agent == "" && w.conversations.get(c.id) == nil {
		return noConversation(c.id)
	}
	runs := w.activeRuns(agent, conversation)
	if len(runs) == 0 {
		return fail(http.StatusConflict, "CONFLICT: No active runs to cancel for conversation %s", c.id)
	}
	out := object{}
	for _, r := range runs {
		w.cancel(r)
		out[r.id] = "cancelled"
	}
	return ok(out)
}

// context finds what a compaction or a recompilation is about.
func (w *world) context(c *call) (*agent, *conversation) {
	if id := c.direct(text(c.in, "agent_id")); id != "" {
		return w.agents.must(id, noAgent(id)), nil
	}
	v := w.conversations.must(c.id, noConversation(c.id))
	return w.agents.get(v.agent), v
}

func compactConversation(w *world, c *call) answer {
	a, v := w.context(c)
	mode := text(get[object](c.in, "compaction_settings"), "mode")
	if v == nil {
		return w.compact(a, &a.messages, "", mode)
	}
	before := len(a.history)
	out := w.compact(a, &v.messages, v.id, mode)
	v.history = append(v.history, a.history[before:]...)
	return out
}

func recompileConversation(w *world, c *call) answer {
	a, v := w.context(c)
	prompt, in := w.compile(a, w.now()), a.messages
	if v != nil {
		in = v.messages
	}
	if !flag(c.q, "dry_run") && len(in) > 0 {
		in[0].text = prompt
	}
	return ok(prompt)
}
