package lettatest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"
)

// turn is a send at work.
type turn struct {
	*send
	w    *world
	run  *run
	feed *feed // what its client sees
	done chan struct{}

	context []*message // what it goes on from: taken once, and written back whole, so that of two turns at once the last one wins
	checked time.Time  // when it last looked whether it was cancelled
	left    bool       // it was, and its stream has ended

	result  answer
	views   []any
	calls   int // to the model
	returns []ToolReturn
}

// play runs the turn to its end.
func (t *turn) play(ctx context.Context) {
	defer close(t.done)
	defer t.run.stop()
	stop, bad := t.loop(ctx)
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	if t.w.locks[t.lock] == t.run {
		delete(t.w.locks, t.lock)
	}
	if t.async {
		t.finish(stop, bad)
		return
	}
	if !t.streaming {
		t.answerWith(stop, bad)
		return
	}
	t.finishStream(stop, bad)
	t.feed.end()
}

// end settles the run and the agent.
func (t *turn) end(status string, stop any) {
	if t.silent {
		return
	}
	r := t.run
	if r.status != "cancelled" || status == "completed" && !t.streaming {
		r.status, r.stopReason, r.completed = status, stop, t.w.now()
	}
	if a := t.w.agents.get(r.agent); a != nil && r.stopReason != nil {
		a.fields["last_stop_reason"] = r.stopReason
	}
}

func runStatus(stop string) string {
	switch stop {
	case "cancelled":
		return stop
	case "end_turn", "max_steps", "tool_rule", "requires_approval":
		return "completed"
	}
	return "failed"
}

func (t *turn) finish(stop string, bad *failure) {
	if bad != nil {
		t.run.metadata["error"] = bad.detail
		t.end("failed", "error")
		return
	}
	t.end(runStatus(stop), stop)
}

func (t *turn) answerWith(stop string, bad *failure) {
	if bad != nil {
		if t.result = bad.answer; !t.silent {
			t.run.metadata["error"] = bad.detail
		}
		t.end("failed", nil)
		return
	}
	t.result = ok(object{
		"messages": append([]any{}, t.views...), "stop_reason": stopFrame(stop), "usage": t.usage(), "logprobs": nil, "turns": nil,
	})
	t.end(runStatus(stop), stop)
}

func (t *turn) finishStream(stop string, bad *failure) {
	switch {
	case t.left:
	case bad != nil:
		e := object{
			"message_type": "error_message", "run_id": t.run.id, "error_type": bad.kind, "message": bad.message, "detail": bad.detail, "seq_id": nil,
		}
		t.run.metadata["error"] = maps.Clone(e)
		if t.emit("", stopFrame(bad.stop)) && t.emit("error", e) && !t.background {
			t.emit("", doneFrame)
		}
		t.end("failed", bad.stop)
	default:
		_ = t.emit("", stopFrame(stop)) && t.emit("", t.usage()) && t.emit("", doneFrame)
		status := "completed"
		if stop == "cancelled" {
			status = stop
		}
		t.end(status, stop)
	}
}

// emit sends a frame, and tells whether the turn may go on. As there, a stream looks only before a frame, and only so often, whether its run has
// been cancelled; then this end comes in place of the frame.
func (t *turn) emit(event string, v any) bool {
	if t.left {
		return false
	}
	if now := time.Now(); now.Sub(t.checked) >= t.w.cancelInterval {
		if t.checked = now; t.run.status == "cancelled" {
			t.left = true
			t.feed.add("", "data: {\"message_type\": \"stop_reason\", \"stop_reason\": \"cancelled\"}\n\n")
			if t.background {
				t.feed.add("", doneFrame)
			}
			return false
		}
	}
	t.feed.add(event, v)
	return true
}

const doneFrame = "data: [DONE]\n\n"

func stopFrame(stop string) object {
	return object{"message_type": "stop_reason", "stop_reason": stop}
}

func (t *turn) usage() object {
	var zero, context any
	if t.calls > 0 {
		context = 15
		if !t.tokens {
			zero = 0
		}
	}
	return object{
		"message_type": "usage_statistics", "completion_tokens": 5 * t.calls, "prompt_tokens": 10 * t.calls, "total_tokens": 15 * t.calls,
		"step_count": t.calls, "run_ids": nil, "cached_input_tokens": zero, "cache_write_tokens": zero, "reasoning_tokens": zero,
		"context_tokens": context,
	}
}

// place is the agent of the turn and the context it goes on in. The agent is nil when it, or the conversation, has been deleted.
func (t *turn) place() (*agent, *[]*message) {
	a := t.w.agents.get(t.agent)
	switch c := t.conversation; {
	case a == nil, c != nil && t.w.conversations.get(c.id) == nil:
		return nil, nil
	case c != nil:
		return a, &c.messages
	}
	return a, &a.messages
}

// keep stores messages of the turn, writes the context back and shows the messages from the index shown on.
func (t *turn) keep(a *agent, in *[]*message, shown int, frames bool, all ...*message) {
	for _, m := range all {
		if t.conversation != nil {
			m.conversation = t.conversation.id
		}
		if m.run == "" {
			m.run = t.run.id
		}
	}
	if flag(a.fields, "message_buffer_autoclear") && len(t.context) > 0 && t.views == nil && t.calls <= 1 {
		t.context = t.context[:1:1]
	}
	t.w.keep(a, &t.context, all...)
	*in = slices.Clone(t.context)
	if t.conversation != nil {
		t.conversation.history = append(t.conversation.history, all...)
	}
	a.updated = t.w.now()
	for _, m := range all[shown:] {
		for _, v := range m.views(true) {
			if !t.wants(v) {
				continue
			}
			t.views = append(t.views, v)
			// In a stream of tokens a result goes untold that no tool of the server has a part in.
			if t.streaming && (frames || m.role == "tool" && !(t.tokens && m.name == "")) {
				t.emit("", v)
			}
		}
	}
}

func (t *turn) wants(v object) bool {
	return t.types == nil || slices.Contains(t.types, v["message_type"].(string))
}

// delta sends a part of a message and tells whether the turn may go on.
func (t *turn) delta(v object) bool {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	return !t.wants(v) || t.emit("", v)
}

// loop is the turn: the answer to an approval request, if that is what was sent, then model calls and tools until one of them ends it.
func (t *turn) loop(ctx context.Context) (stop string, bad *failure) {
	t.w.mu.Lock()
	request, response, input, bad := t.prepare()
	t.w.mu.Unlock()
	if bad != nil {
		return "", bad
	}
	first := 0
	if request != nil && t.maxSteps > 0 {
		if stop, bad = t.settle(request, response); stop != "" || bad != nil {
			return stop, bad
		}
		if first = 1; t.maxSteps == 1 {
			return "max_steps", nil
		}
	}
	for i := first; i < t.maxSteps; i++ {
		if stop, bad = t.step(ctx, i-first, input, i == t.maxSteps-1); stop != "" || bad != nil {
			return stop, bad
		}
		input = nil
	}
	return "end_turn", nil
}

// settle carries out the answer to an approval request.
func (t *turn) settle(request, response *message) (string, *failure) {
	t.w.mu.Lock()
	a, in := t.place()
	if a == nil {
		t.w.mu.Unlock()
		return "", gone(t.agent)
	}
	result := &message{role: "tool", step: request.step}
	var calls []ToolCall
	for _, c := range request.calls {
		for _, o := range response.approvals {
			id := text(o, "tool_call_id")
			switch approved := flag(o, "approve"); {
			case text(o, "type") != "approval":
			case approved && (id == c.ID || id == request.id):
				calls = append(calls, c)
				o["tool_call_id"] = c.ID
			case !approved && id == c.ID:
				reason := text(o, "reason")
				if o["reason"] == nil {
					reason = "None"
				}
				result.returns = append(result.returns, denied(a, t.w.now(), c.ID, reason))
			}
		}
	}
	var byClient []toolReturn
	for _, o := range response.approvals {
		if text(o, "type") == "tool" {
			r := clientReturn(a, t.w.now(), o)
			byClient, o["tool_return"] = append(byClient, r), r.text
		}
	}
	result.returns = append(byClient, result.returns...)
	if i := slices.Index(t.context, request); i > 0 && t.context[i-1].role == "assistant" && t.context[i-1].calls != nil {
		calls = append(calls, t.context[i-1].calls...)
	}
	t.w.mu.Unlock()
	if calls == nil && result.returns == nil {
		return "invalid_tool_call", nil
	}
	if calls != nil {
		result.name = calls[0].Name
	}
	result.returns = append(result.returns, t.execute(calls, true)...)
	for i := range result.returns {
		for _, c := range request.calls {
			if result.returns[i].id == c.ID {
				result.returns[i].name = c.Name
			}
		}
	}
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	if a, in = t.place(); a == nil {
		return "", gone(t.agent)
	}
	t.keep(a, in, 1, !t.tokens, response, result)
	t.note(result)
	if t.exits(a, calls) {
		return "tool_rule", nil
	}
	return "", nil
}

// note keeps results for the model.
func (t *turn) note(m *message) {
	t.returns = nil
	for _, r := range m.returns {
		t.returns = append(t.returns, ToolReturn{r.name, r.id, r.text, r.failed})
	}
}

// ruled tells whether an agent has a rule of a kind for a tool.
func ruled(a *agent, kind, name string) bool {
	return slices.ContainsFunc(get[[]any](a.fields, "tool_rules"), func(v any) bool {
		r := v.(object)
		return r["type"] == kind && r["tool_name"] == name
	})
}

func (t *turn) exits(a *agent, calls []ToolCall) bool {
	return slices.ContainsFunc(calls, func(c ToolCall) bool { return ruled(a, "exit_loop", c.Name) })
}

// step is one model call and the tools it calls. stop is empty when the turn goes on.
func (t *turn) step(ctx context.Context, n int, input []*message, final bool) (stop string, bad *failure) {
	w := t.w
	w.mu.Lock()
	a, in := t.place()
	if a == nil {
		w.mu.Unlock()
		return "", gone(t.agent)
	}
	if t.run.status == "cancelled" || ctx.Err() != nil {
		w.mu.Unlock()
		return "cancelled", nil
	}
	llm := get[object](a.fields, "llm_config")
	if t.conversation != nil && t.model == "" {
		t.model = text(t.conversation.fields, "model")
	}
	if t.model != "" {
		_, _ = refused(func() { llm = w.modelFor(t.model) })
	}
	st := w.newStep(t.run, a, llm)
	asked := t.ask(n, slices.Concat(t.context, input))
	st.trace = w.traced(st, a, llm, slices.Concat(t.context, input))
	script, needs := w.script, map[string]bool{}
	for _, name := range t.clientTools {
		needs[name] = true
	}
	rules := a
	w.mu.Unlock()

	reply := script(asked)
	if reply.Fail != 0 {
		bad, class := providerFailure(reply.Fail)
		w.mu.Lock()
		defer w.mu.Unlock()
		st.fields["status"], st.fields["stop_reason"], st.fields["error_type"] = "failed", bad.stop, class
		st.fields["error_data"] = object{"message": bad.detail, "traceback": "Traceback: none, the failure is scripted", "details": nil}
		return "", bad
	}
	if reply.Text == "" {
		reply.Text = strings.Join(reply.Chunks, "")
	}
	calls := slices.Clone(reply.ToolCalls)
	w.mu.Lock()
	for i := range calls {
		if calls[i].ID == "" {
			calls[i].ID = "call_" + strings.ReplaceAll(uuid(), "-", "")[:20]
		}
		needs[calls[i].Name] = needs[calls[i].Name] || ruled(rules, "requires_approval", calls[i].Name)
	}
	w.mu.Unlock()
	now := time.Now().UTC()
	said := &message{row: row{id: newID("message"), created: now}, role: "assistant", step: st.id, run: t.run.id}
	asks := &message{row: row{id: newID("message"), created: now}, role: "approval", step: st.id, run: t.run.id}
	lead := said // has the text
	if len(calls) > 0 && !slices.ContainsFunc(calls, func(c ToolCall) bool { return !needs[c.Name] }) {
		lead = asks
	}
	if !t.speak(ctx, reply, calls, needs, said, asks, lead) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if a, _ = t.place(); a == nil {
			return "", gone(t.agent)
		}
		return "cancelled", nil
	}
	lead.reasoning, lead.text = reply.Reasoning, reply.Text
	if parallel, _ := llm["parallel_tool_calls"].(bool); !parallel && len(calls) > 1 {
		calls = calls[:1]
	}
	for _, c := range calls {
		if needs[c.Name] {
			asks.calls = append(asks.calls, c)
		} else {
			said.calls = append(said.calls, c)
		}
	}
	if len(asks.calls) == 0 && lead == said {
		for i := range said.calls {
			said.calls[i].Arguments = spaced(said.calls[i].Arguments)
		}
	}
	var result *message
	if len(calls) > 0 && asks.calls == nil {
		result = &message{role: "tool", step: st.id, name: calls[0].Name, returns: t.execute(said.calls, false)}
	}

	w.mu.Lock()
	defer w.mu.Unlock()
	if a, in = t.place(); a == nil {
		return "", gone(t.agent)
	}
	t.calls++
	st.succeed(t.tokens, w.now())
	for _, m := range input {
		m.step = st.id
	}
	shown := len(input)
	switch {
	case asks.calls != nil:
		all := input
		if said.calls != nil || lead == said && (said.text != "" || said.reasoning != "") {
			all = append(all, said)
		}
		stop = "requires_approval"
		t.keep(a, in, shown, !t.tokens, append(all, asks)...)
	case result == nil:
		stop = "end_turn"
		t.keep(a, in, shown, !t.tokens, append(input, said)...)
	default:
		t.keep(a, in, shown, !t.tokens, append(input, said, result)...)
		t.note(result)
		switch {
		case t.exits(a, calls):
			stop = "tool_rule"
		case final:
			stop = "max_steps"
		}
	}
	if reply.StopReason != "" {
		stop = reply.StopReason
	}
	if stop != "" {
		st.fields["stop_reason"] = stop
	}
	if t.left {
		return "cancelled", nil
	}
	return stop, nil
}

// ask is the question to the model.
func (t *turn) ask(n int, all []*message) Turn {
	q := Turn{AgentID: t.agent, RunID: t.run.id, Step: n, ToolReturns: t.returns}
	if t.conversation != nil {
		q.ConversationID = t.conversation.id
	}
	t.returns = nil
	for i := len(all) - 1; i >= 0 && q.Text == ""; i-- {
		if all[i].role == "user" {
			q.Text = all[i].text
		}
	}
	if last := all[len(all)-1]; last.role == "tool" && len(last.returns) > 0 {
		q.said = last.returns[len(last.returns)-1].said
	}
	return q
}

// speak takes the time a reply takes, and sends its parts to a stream of tokens. It fails when the run is cancelled in between.
func (t *turn) speak(ctx context.Context, reply Reply, calls []ToolCall, needs map[string]bool, said, asks, lead *message) bool {
	chunks := reply.Chunks
	if chunks == nil && reply.Text != "" {
		chunks = strings.SplitAfter(reply.Text, " ")
		for i := range chunks { // the space goes to the word behind it
			chunks[i] = strings.TrimSuffix(chunks[i], " ")
			if i > 0 {
				chunks[i] = " " + chunks[i]
			}
		}
	}
	if !t.streaming || !t.tokens {
		t.w.wait(ctx, reply.Delay*time.Duration(max(1, len(chunks))))
		return true
	}
	index := 0
	part := func(m *message, kind string, pairs ...any) bool {
		return t.delta(with(m.view(kind, index), pairs...))
	}
	if reply.Reasoning != "" {
		if !t.w.wait(ctx, reply.Delay) ||
			!part(lead, "reasoning_message", "source", "reasoner_model", "reasoning", reply.Reasoning, "signature", nil) {
			return false
		}
		index++
	}
	for _, c := range chunks {
		if !t.w.wait(ctx, reply.Delay) || !part(lead, "assistant_message", "content", c) {
			return false
		}
	}
	if len(chunks) > 0 {
		index++
	}
	for _, c := range calls {
		name := object{"name": c.Name, "tool_call_id": c.ID}
		args := object{"arguments": c.Arguments, "tool_call_id": c.ID}
		if !t.w.wait(ctx, reply.Delay) {
			return false
		}
		for _, call := range []object{name, args} {
			m, kind := said, "tool_call_message"
			if needs[c.Name] {
				m, kind = asks, "approval_request_message"
				for _, k := range []string{"name", "arguments"} {
					if call[k] == nil {
						call[k] = nil
					}
				}
			}
			v := with(m.view(kind, index), "tool_call", call, "tool_calls", call)
			if needs[c.Name] {
				v["otid"] = m.id
			}
			if !t.delta(v) {
				return false
			}
		}
	}
	return true
}
