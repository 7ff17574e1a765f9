package lettatest

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

var conversationRoutes = []route{
	{op: "conversations.create", handle: createConversation},
	{op: "conversations.list", handle: listConversations},
	{op: "conversations.retrieve", handle: withConversation(func(_ *world, _ *call, v *conversation) answer {
		return ok(with(v.state(), "in_context_message_ids", messageIDs(v.messages)))
	})},
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
	thread
	agent       string
	lastMessage time.Time
}

// state is the JSON form of a conversation. Only when it is retrieved it has its messages.
func (v *conversation) state() object {
	return with(v.shown(), "last_message_at", moment(v.lastMessage), "in_context_message_ids", []any{})
}

func (w *world) newConversation(a *agent) *conversation {
	v := &conversation{row: w.newRow("conv"), agent: a.id}
	v.fields = with(sample("conversations.create.no_body"), "agent_id", a.id, "isolated_block_ids", []any{})
	maps.Copy(v.fields, nulls("summary model model_settings"))
	v.conversation = v.id
	w.open(a, &v.thread)
	return w.conversations.put(v)
}

// open gives a thread its system prompt.
func (w *world) open(a *agent, th *thread) {
	w.keep(a, th, &message{role: "system", text: w.compile(a, th, w.now()), otid: uuid()})
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

func (w *world) talk(id string) *conversation {
	return w.conversations.must(id, notFound("Conversation", id))
}

func withConversation(f func(*world, *call, *conversation) answer) handler {
	return func(w *world, c *call) answer { return f(w, c, w.talk(c.id)) }
}

// set stores what a create or an update sets.
func (v *conversation) set(in object) {
	overlay(v.fields, pick(in, "summary model"))
	if settings := get[object](in, "model_settings"); settings != nil {
		llm := object{"model_endpoint_type": settings["provider_type"]}
		applySettings(llm, settings)
		v.fields["model_settings"] = settingsOf(llm)
	}
	v.lastMessage = or(in["last_message_at"], v.lastMessage).(time.Time)
}

func createConversation(w *world, c *call) answer {
	c.precheck()
	a := w.agent(text(c.q, "agent_id"))
	v := w.newConversation(a)
	v.set(c.in)
	isolated := []any{}
	for _, b := range blocks.of(w, a) {
		if slices.Contains(texts(c.in, "isolated_block_labels"), text(b.fields, "label")) {
			isolated = append(isolated, w.blocks.put(blocks.fresh(w, pick(b.fields, "label value limit"))).id)
		}
	}
	v.fields["isolated_block_ids"] = isolated
	return ok(v.state())
}

func updateConversation(w *world, c *call, v *conversation) answer {
	c.precheck()
	v.set(c.in)
	v.updated = w.now()
	return ok(v.state())
}

func listConversations(w *world, c *call) answer {
	if id := text(c.q, "after"); id != "" && c.q["limit"] != 0 {
		w.talk(id)
	}
	l := listing{none: true}
	if by := text(c.q, "order_by"); by == "last_message_at" || by == "last_run_completion" {
		l.by = func(r *row) time.Time { return w.conversations.get(r.id).lastMessage }
	}
	rows := filtered(w, w.conversations.rows, map[string]filter{"summary_search": contains("summary")}, c.q)
	return show(rows, w.conversations.find, c.q, l, func(v *conversation) any { return v.state() })
}

func forkConversation(w *world, c *call) answer {
	a, from := w.thread(c, c.q)
	v := w.newConversation(a)
	if old := w.conversations.get(from.conversation); old != nil {
		v.fields["model"], v.fields["model_settings"] = old.fields["model"], old.fields["model_settings"]
	}
	v.messages[0].created = from.messages[0].created // the prompt comes first in lists
	v.messages, v.history = append(v.messages, from.messages[1:]...), append(v.history, from.messages[1:]...)
	return ok(v.state())
}

func listConversationMessages(w *world, c *call) answer {
	if id := c.direct(text(c.q, "agent_id")); id != "" {
		return w.showMessages(of(w.agent(id).history, "default"), c.q, withCursor, false)
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
	case !flag(runs[0].fields, "background"):
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
	if agent == "" {
		w.talk(c.id)
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

// thread finds what a path is about: a conversation, or the thread of the agent that it or its parameters name.
func (w *world) thread(c *call, named object) (*agent, *thread) {
	if id := c.direct(text(named, "agent_id")); id != "" {
		a := w.agent(id)
		return a, &a.thread
	}
	v := w.talk(c.id)
	return w.agents.get(v.agent), &v.thread
}

func compactConversation(w *world, c *call) answer {
	a, th := w.thread(c, c.in)
	return w.compact(c, a, th)
}

func recompileConversation(w *world, c *call) answer {
	a, th := w.thread(c, c.in)
	if flag(c.q, "dry_run") {
		return ok(w.compile(a, th, w.now()))
	}
	return ok(w.renew(a, th))
}
