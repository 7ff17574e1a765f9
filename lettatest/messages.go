package lettatest

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	agentMessageRoutes = []route{
		{op: "agents.messages.list", handle: withAgent(listAgentMessages)},
		{op: "agents.messages.create", handle: sendMessage},
		{op: "agents.messages.stream", handle: streamMessage},
		{op: "agents.messages.cancel", handle: cancelAgent},
		{op: "agents.messages.create_async", handle: sendAsync},
		{op: "agents.messages.reset", handle: withAgent(resetMessages)},
		{op: "agents.messages.compact", handle: withAgent(func(w *world, c *call, a *agent) answer { return w.compact(c, a, &a.thread) })},
	}
	messageRoutes = []route{
		{op: "messages.list", handle: listMessages},
		{op: "messages.search", handle: always(fail(http.StatusBadRequest,
			"Message search requires message embedding, OpenAI, and Turbopuffer to be enabled."))},
		{op: "messages.retrieve", handle: retrieveMessage},
	}
)

// A thread is what the model sees, with all that was ever said in it. An agent has one, and each of its conversations.
type thread struct {
	conversation string     // "" for an agent's own
	messages     []*message // in context
	history      []*message // all; an agent's have those of its conversations too
}

// message is one stored message. The real server shows one as several: its reasoning, its text and its tool calls apart.
type message struct {
	row
	otid, role, text, name string

	parts     []any // what the text was sent as, if it was not a string
	reasoning string
	model     any

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

func (r toolReturn) state() object {
	status := "success"
	if r.failed {
		status = "error"
	}
	return object{
		"type": "tool", "tool_return": or(r.shown, r.text), "status": status, "tool_call_id": r.id, "stdout": r.stdout, "stderr": r.stderr,
	}
}

func messageIDs(in []*message) []any {
	return shown(in, func(m *message) any { return m.id })
}

// keep stores messages of an agent in a thread.
func (w *world) keep(a *agent, th *thread, all ...*message) {
	for _, m := range all {
		m.id = cmp.Or(m.id, newID("message"))
		m.agent, m.conversation, m.created = a.id, th.conversation, w.now()
		m.model = or(m.model, get[object](a.fields, "llm_config")["model"])
		w.messages.put(m)
	}
	a.history, th.messages = append(a.history, all...), append(th.messages, all...)
	if th != &a.thread {
		th.history = append(th.history, all...)
	}
}

// renew gives a thread a new system prompt, and returns it.
func (w *world) renew(a *agent, th *thread) string {
	prompt := w.compile(a, th, w.now())
	if len(th.messages) > 0 {
		th.messages[0].text = prompt
	}
	return prompt
}

// forget takes away what hangs on an agent: messages, conversations, runs. Running turns end.
func (w *world) forget(a *agent) {
	for _, m := range a.history {
		w.messages.drop(m.id)
	}
	a.messages, a.history = nil, nil
	for _, v := range w.conversations.where(func(v *conversation) bool { return v.agent == a.id }) {
		w.conversations.drop(v.id)
	}
	for _, r := range w.runs.where(func(r *run) bool { return r.fields["agent_id"] == a.id }) {
		r.stop()
		for _, st := range r.steps {
			w.steps.drop(st.id)
		}
		w.runs.drop(r.id)
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

// view is what the forms of a message have in common. otid counts the forms.
func (m *message) view(kind string, otid any) object {
	if i, ok := otid.(int); ok {
		id := strings.TrimPrefix(m.id, "message-")
		last, _ := strconv.ParseUint(id[len(id)-2:], 16, 8)
		otid = fmt.Sprintf("%s%02x", id[:len(id)-2], last&0x80|uint64(i))
	}
	return object{
		"id": m.id, "date": date(m.created), "name": nullable(m.name), "message_type": kind, "otid": otid, "sender_id": nil,
		"step_id": nullable(m.step), "is_err": nil, "seq_id": nil, "run_id": nullable(m.run),
	}
}

func callState(c ToolCall) any {
	return object{"name": c.Name, "arguments": c.Arguments, "tool_call_id": c.ID}
}

func callStates(calls []ToolCall) []any { return shown(calls, callState) }

// request is the form of an approval request.
func (m *message) request() object {
	return with(m.view("approval_request_message", m.id), "tool_call", callState(m.calls[0]), "tool_calls", callStates(m.calls))
}

// views are the forms a message is shown in. Without spoken, text of the assistant counts as reasoning.
func (m *message) views(spoken bool) (out []object) {
	add := func(kind string, otid any, pairs ...any) { out = append(out, with(m.view(kind, otid), pairs...)) }
	switch {
	case m.role == "system" && m.run == "":
		add("system_message", nil, "content", m.text)
	case m.role == "system":
		add("system_message", m.otid, "content", m.text)
	case m.role == "user" && m.parts != nil:
		add("user_message", nullable(m.otid), "content", m.parts)
	case m.role == "user", m.role == "summary":
		add("user_message", nullable(m.otid), "content", m.text)
	case m.role == "tool":
		add("tool_return_message", 0)
		maps.Copy(out[0], m.returns[0].state())
		delete(out[0], "type")
		with(out[0], "tool_return", m.returns[0].text, "tool_returns", shown(m.returns, func(r toolReturn) any { return r.state() }))
	case m.approvals != nil:
		add("approval_response_message", nil, "approvals", m.approvals, "approve", nil, "approval_request_id", nil, "reason", nil)
		if first := m.approvals[0]; text(first, "type") == "approval" {
			with(out[0], "approve", first["approve"], "approval_request_id", first["tool_call_id"], "reason", first["reason"])
		}
	default:
		if m.reasoning != "" {
			add("reasoning_message", 0, "source", "reasoner_model", "reasoning", m.reasoning, "signature", nil)
		}
		if m.text != "" && spoken {
			add("assistant_message", len(out), "content", m.text)
		} else if m.text != "" {
			add("reasoning_message", len(out), "source", "non_reasoner_model", "reasoning", m.text, "signature", nil)
		}
		if m.calls != nil && m.role == "approval" {
			out = append(out, m.request())
		} else if m.calls != nil {
			add("tool_call_message", len(out), "tool_call", callState(m.calls[0]), "tool_calls", callStates(m.calls))
		}
	}
	return out
}

// viewsOf are the forms of messages, of the types that are wanted.
func viewsOf(rows []*message, types []string, spoken bool) []any {
	out := []any{}
	for _, m := range rows {
		for _, v := range m.views(spoken) {
			if types == nil || slices.Contains(types, text(v, "message_type")) {
				out = append(out, v)
			}
		}
	}
	return out
}

// showMessages answers with a page of messages. after and before always mean newer and older. The newest messages are shown oldest first, or
// newest first if turned is set.
func (w *world) showMessages(all []*message, q object, l listing, turned bool) answer {
	if q["order"] != nil {
		l.asc = q["order"] == "asc"
	}
	l.limit, l.none, l.swapped = 100, true, !l.asc
	rows := page(all, w.messages.find, q, l)
	if !l.asc && !turned {
		slices.Reverse(rows)
	}
	return ok(viewsOf(rows, texts(q, "include_return_message_types"), true))
}

// withCursor are the lists of messages that refuse an unknown cursor.
var withCursor = listing{noun: "message"}

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

func listAgentMessages(w *world, c *call, a *agent) answer {
	return w.showMessages(of(a.history, text(c.q, "conversation_id")), c.q, withCursor, false)
}

func listMessages(w *world, c *call) answer {
	return w.showMessages(of(w.messages.rows, text(c.q, "conversation_id")), c.q, withCursor, false)
}

func retrieveMessage(w *world, c *call) answer {
	return ok(w.messages.must(c.id, fail(http.StatusNotFound, "Message with id %s not found.", c.id)).views(true))
}

func resetMessages(w *world, _ *call, a *agent) answer {
	a.messages, a.updated = slices.Clone(a.messages[:min(1, len(a.messages))]), w.now()
	return ok(w.state(a, everything()))
}

// compact replaces the oldest messages of a context, behind the system prompt, by a summary.
func (w *world) compact(c *call, a *agent, th *thread) answer {
	all, mode := th.messages, text(get[object](c.in, "compaction_settings"), "mode")
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
	names := map[string]string{"user": "MessageRole.user", "summary": "user"}
	for _, m := range all[1:cut] {
		fmt.Fprintf(&b, "[%s] %s\n", cmp.Or(names[m.role], m.role), m.text)
	}
	summary := "You said: <start_transcript>\n" + b.String() + "<end_transcript>\n. Generate the summary."
	note := &message{role: "summary", otid: uuid(), text: report{
		Type: "system_alert", Time: clock(a, w.now()),
		Message: "Note: earlier messages were removed from the context. This is their summary:\n " + summary,
	}.String()}
	th.messages = all[:1:1]
	w.keep(a, th, note)
	th.messages = append(th.messages, all[cut:]...)
	return ok(object{"summary": summary, "num_messages_before": len(all), "num_messages_after": len(th.messages)})
}

// clock shows a time in an agent's zone.
func clock(a *agent, at time.Time) string {
	zone, err := time.LoadLocation(text(a.fields, "timezone"))
	if err != nil {
		zone = time.UTC
	}
	return at.In(zone).Format("2006-01-02 03:04:05 PM MST-0700")
}
