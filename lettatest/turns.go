package lettatest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/letta-go/letta/internal/python"
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

	result answer
	views  []any
	calls  int // to the model
}

// play runs the turn to its end. A turn that fails panics with the failure.
func (t *turn) play(ctx context.Context) {
	defer close(t.done)
	defer t.run.stop()
	var stop string
	bad, _ := refused[*failure](func() { stop = t.loop(ctx) })
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	if t.w.locks[t.lock] == t.run {
		delete(t.w.locks, t.lock)
	}
	if t.streaming {
		t.finishStream(stop, bad)
	} else {
		t.finish(stop, bad)
	}
}

// statuses are those of runs by the reason why they stopped; others have failed.
var statuses = map[string]string{
	"cancelled": "cancelled", "end_turn": "completed", "max_steps": "completed", "tool_rule": "completed", "requires_approval": "completed",
}

func (t *turn) finish(stop string, bad *failure) {
	switch {
	case bad == nil:
		t.result = ok(object{"messages": list(t.views), "stop_reason": stopFrame(stop), "usage": t.usage(), "logprobs": nil, "turns": nil})
		t.end(cmp.Or(statuses[stop], "failed"), stop, nil)
	case t.async:
		t.end("failed", "error", bad.detail)
	default:
		t.result = bad.answer
		t.end("failed", nil, bad.detail)
	}
}

func (t *turn) finishStream(stop string, bad *failure) {
	defer t.feed.end()
	switch {
	case t.left:
	case bad != nil:
		e := object{
			"message_type": "error_message", "run_id": t.run.id, "error_type": bad.kind, "message": bad.message, "detail": bad.detail, "seq_id": nil,
		}
		t.end("failed", bad.stop, maps.Clone(e))
		if t.emit("", stopFrame(bad.stop)) && t.emit("error", e) && !t.background {
			t.emit("", doneFrame)
		}
	default:
		_ = t.emit("", stopFrame(stop)) && t.emit("", t.usage()) && t.emit("", doneFrame)
		if stop != "cancelled" {
			t.end("completed", stop, nil)
		} else {
			t.end(stop, stop, nil)
		}
	}
}

// end settles the run and the agent.
func (t *turn) end(status string, stop, problem any) {
	if t.silent {
		return
	}
	r := t.run
	if r.fields["status"] != "cancelled" || status == "completed" && !t.streaming {
		with(r.fields, "status", status, "stop_reason", stop)
		r.completed = t.w.now()
	}
	if problem != nil {
		get[object](r.fields, "metadata")["error"] = problem
	}
	if stop := r.fields["stop_reason"]; stop != nil {
		t.agent.fields["last_stop_reason"] = stop
	}
}

// emit sends a frame, and tells whether the turn may go on. As there, a stream looks only before a frame, and only so often, whether its run has
// been cancelled; then this end comes in place of the frame.
func (t *turn) emit(event string, v any) bool {
	if t.left {
		return false
	}
	if now := time.Now(); now.Sub(t.checked) >= t.w.cancelInterval {
		if t.checked = now; t.run.fields["status"] == "cancelled" {
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

func stopFrame(stop string) object { return object{"message_type": "stop_reason", "stop_reason": stop} }

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

// locked does something with the agent of the turn, unless that, or the conversation, has been deleted.
func (t *turn) locked(do func(*agent)) {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	a := t.w.agents.get(t.agent.id)
	if a == nil || t.conversation != nil && t.w.conversations.get(t.conversation.id) == nil {
		panic(gone(t.agent.id))
	}
	do(a)
}

// thread is where the context of the turn comes from and goes back to.
func (t *turn) thread(a *agent) *thread {
	if t.conversation != nil {
		return &t.conversation.thread
	}
	return &a.thread
}

// keep stores messages of the turn, writes the context back and shows the messages from the index shown on.
func (t *turn) keep(a *agent, shown int, all ...*message) {
	for _, m := range all {
		m.run = cmp.Or(m.run, t.run.id)
	}
	if flag(a.fields, "message_buffer_autoclear") && len(t.context) > 0 && t.views == nil && t.calls <= 1 {
		t.context = t.context[:1:1]
	}
	th := t.thread(a)
	th.messages = t.context
	t.w.keep(a, th, all...)
	t.context = slices.Clone(th.messages)
	a.updated = t.w.now()
	for _, m := range all[shown:] {
		for _, v := range m.views(true) {
			if !t.wants(v) {
				continue
			}
			t.views = append(t.views, v)
			// A stream of tokens has had the words; of results it tells only those that a tool of the server has a part in.
			if t.streaming && (!t.tokens || m.role == "tool" && m.name != "") {
				t.emit("", v)
			}
		}
	}
}

func (t *turn) wants(v object) bool {
	return t.types == nil || slices.Contains(t.types, text(v, "message_type"))
}

// loop is the turn: the answer to an approval request, if that is what was sent, then model calls and tools until one of them ends it.
func (t *turn) loop(ctx context.Context) (stop string) {
	var request, response *message
	var input []*message
	t.locked(func(a *agent) { request, response, input = t.prepare(a) })
	first := 0
	if request != nil && t.maxSteps > 0 {
		if stop = t.settle(request, response); stop != "" {
			return stop
		}
		if first = 1; t.maxSteps == 1 {
			return "max_steps"
		}
	}
	for i := first; i < t.maxSteps; i++ {
		if stop = t.step(ctx, i-first, input, i == t.maxSteps-1); stop != "" {
			return stop
		}
		input = nil
	}
	return "end_turn"
}

// settle carries out the answer to an approval request. What the client ran itself comes first.
func (t *turn) settle(request, response *message) (stop string) {
	result := &message{role: "tool", step: request.step}
	var calls []ToolCall
	t.locked(func(a *agent) {
		for _, o := range response.approvals {
			if text(o, "type") == "tool" {
				r := clientReturn(a, t.w.now(), o)
				result.returns, o["tool_return"] = append(result.returns, r), r.text
			}
		}
		for _, c := range request.calls {
			for _, o := range response.approvals {
				id := text(o, "tool_call_id")
				switch approved := flag(o, "approve"); {
				case text(o, "type") != "approval":
				case approved && (id == c.ID || id == request.id):
					calls = append(calls, c)
					o["tool_call_id"] = c.ID
				case !approved && id == c.ID:
					result.returns = append(result.returns, denied(a, t.w.now(), c.ID, or(o["reason"], "None").(string)))
				}
			}
		}
		if i := slices.Index(t.context, request); i > 0 && t.context[i-1].role == "assistant" {
			calls = append(calls, t.context[i-1].calls...)
		}
	})
	if calls == nil && result.returns == nil {
		return "invalid_tool_call"
	}
	if calls != nil {
		result.name = calls[0].Name
	}
	result.returns = append(result.returns, t.execute(calls, true)...)
	for i, r := range result.returns {
		for _, c := range request.calls {
			if r.id == c.ID {
				result.returns[i].name = c.Name
			}
		}
	}
	t.locked(func(a *agent) {
		t.keep(a, 1, response, result)
		if exits(a, calls) {
			stop = "tool_rule"
		}
	})
	return stop
}

// ruled tells whether an agent has a rule of a kind for a tool.
func ruled(a *agent, kind, name string) bool {
	return slices.ContainsFunc(get[[]any](a.fields, "tool_rules"), func(v any) bool {
		return text(v.(object), "type") == kind && text(v.(object), "tool_name") == name
	})
}

func exits(a *agent, calls []ToolCall) bool {
	return slices.ContainsFunc(calls, func(c ToolCall) bool { return ruled(a, "exit_loop", c.Name) })
}

// An utterance is what the model said in a step: a message, and a request when tools wait for approval.
type utterance struct {
	Reply
	step       *step
	parallel   bool            // several calls at once
	needs      map[string]bool // tools that wait
	said, asks *message
	lead       *message // the one of them that has the text
}

// step is one model call and the tools it calls. stop is empty when the turn goes on.
func (t *turn) step(ctx context.Context, n int, input []*message, final bool) (stop string) {
	var asked Turn
	var script func(Turn) Reply
	u := &utterance{needs: map[string]bool{}}
	t.locked(func(a *agent) {
		if t.run.fields["status"] == "cancelled" || ctx.Err() != nil {
			stop = "cancelled"
			return
		}
		llm, all := t.llm(a), slices.Concat(t.context, input)
		u.step, u.parallel = t.w.newStep(t.run, a, llm), flag(llm, "parallel_tool_calls")
		u.step.trace = func() object { return t.w.traced(u.step, a, llm, all) }
		asked, script = t.ask(n, all), t.w.script
	})
	if stop != "" {
		return stop
	}
	u.Reply = script(asked)
	t.locked(func(a *agent) { t.hear(a, u) })
	if !t.speak(ctx, u) {
		t.locked(func(*agent) {})
		return "cancelled"
	}
	var result *message
	if u.said.calls != nil && u.asks.calls == nil {
		for i, c := range u.said.calls {
			u.said.calls[i].Arguments = python.JSON(c.Arguments)
		}
		result = &message{role: "tool", step: u.step.id, name: u.said.calls[0].Name, returns: t.execute(u.said.calls, false)}
	}
	t.locked(func(a *agent) { stop = t.record(a, u, input, result, final) })
	return stop
}

// llm is the model that answers.
func (t *turn) llm(a *agent) object {
	model := t.model
	if t.conversation != nil {
		model = cmp.Or(model, text(t.conversation.fields, "model"))
	}
	if t.w.models.get(model) != nil {
		return t.w.modelFor(model)
	}
	return get[object](a.fields, "llm_config")
}

// ask is the question to the model.
func (t *turn) ask(n int, all []*message) Turn {
	q := Turn{AgentID: t.agent.id, RunID: t.run.id, Step: n}
	if t.conversation != nil {
		q.ConversationID = t.conversation.id
	}
	for _, m := range slices.Backward(all) {
		if m.role == "user" {
			q.Text = m.text
			break
		}
	}
	if last := t.context[len(t.context)-1]; last.role == "tool" && last.run == t.run.id {
		for _, r := range last.returns {
			q.ToolReturns = append(q.ToolReturns, ToolReturn{r.name, r.id, r.text, r.failed})
		}
		if last == all[len(all)-1] {
			q.said = last.returns[len(last.returns)-1].said
		}
	}
	return q
}

// hear fills an utterance up, unless the model failed.
func (t *turn) hear(a *agent, u *utterance) {
	if u.Fail != 0 {
		bad, class := providerFailure(u.Fail)
		with(u.step.fields, "status", "failed", "stop_reason", bad.stop, "error_type", class, "error_data",
			object{"message": bad.detail, "traceback": "Traceback: none, the failure is scripted", "details": nil})
		panic(bad)
	}
	part := func(role string) *message {
		return &message{row: row{id: newID("message"), created: time.Now().UTC()}, role: role, step: u.step.id, run: t.run.id}
	}
	u.said, u.asks = part("assistant"), part("approval")
	u.ToolCalls = slices.Clone(u.ToolCalls)
	all := len(u.ToolCalls) > 0
	for i, c := range u.ToolCalls {
		u.ToolCalls[i].ID = cmp.Or(c.ID, "call_"+strings.ReplaceAll(uuid(), "-", "")[:20])
		u.needs[c.Name] = slices.Contains(t.clientTools, c.Name) || ruled(a, "requires_approval", c.Name)
		by := u.said
		if u.needs[c.Name] {
			by = u.asks
		}
		if i == 0 || u.parallel {
			by.calls = append(by.calls, u.ToolCalls[i])
		}
		all = all && u.needs[c.Name]
	}
	if u.lead = u.said; all {
		u.lead = u.asks
	}
	u.lead.reasoning, u.lead.text = u.Reasoning, cmp.Or(u.Text, strings.Join(u.Chunks, ""))
	if u.Chunks == nil && u.Text != "" {
		u.Chunks = strings.Split(strings.ReplaceAll(u.Text, " ", "\x00 "), "\x00") // each word with the space before it
	}
}

// speak takes the time a reply takes, and sends its parts to a stream of tokens. It fails when the run is cancelled in between.
func (t *turn) speak(ctx context.Context, u *utterance) bool {
	if !t.streaming || !t.tokens {
		pause(ctx, t.w.done, u.Delay*time.Duration(max(1, len(u.Chunks))))
		return true
	}
	tell := func(delay time.Duration, v object) bool {
		if !pause(ctx, t.w.done, delay) {
			return false
		}
		t.w.mu.Lock()
		defer t.w.mu.Unlock()
		return !t.wants(v) || t.emit("", v)
	}
	index := 0
	if u.Reasoning != "" {
		v := with(u.lead.view("reasoning_message", index), "source", "reasoner_model", "reasoning", u.Reasoning, "signature", nil)
		if !tell(u.Delay, v) {
			return false
		}
		index++
	}
	for _, c := range u.Chunks {
		if !tell(u.Delay, with(u.lead.view("assistant_message", index), "content", c)) {
			return false
		}
	}
	index += min(1, len(u.Chunks))
	for _, c := range u.ToolCalls {
		for i, call := range []object{{"name": c.Name, "tool_call_id": c.ID}, {"arguments": c.Arguments, "tool_call_id": c.ID}} {
			v := u.said.view("tool_call_message", index)
			if u.needs[c.Name] { // here what is absent is null
				v = with(u.asks.view("approval_request_message", index), "otid", u.asks.id)
				with(call, "name", call["name"], "arguments", call["arguments"])
			}
			if !tell(u.Delay*time.Duration(1-i), with(v, "tool_call", call, "tool_calls", call)) {
				return false
			}
		}
	}
	return true
}

// record stores what was said in a step, and tells why the turn ends behind it, if it does.
func (t *turn) record(a *agent, u *utterance, input []*message, result *message, final bool) (stop string) {
	t.calls++
	u.step.succeed(t.tokens, t.w.now())
	for _, m := range input {
		m.step = u.step.id
	}
	all := slices.Clone(input)
	if u.asks.calls == nil || u.said.calls != nil || u.said.text != "" || u.said.reasoning != "" {
		all = append(all, u.said)
	}
	switch {
	case u.asks.calls != nil:
		stop, all = "requires_approval", append(all, u.asks)
	case result == nil:
		stop = "end_turn"
	case exits(a, u.said.calls):
		stop = "tool_rule"
	case final:
		stop = "max_steps"
	}
	if result != nil {
		all = append(all, result)
	}
	t.keep(a, len(input), all...)
	if stop = cmp.Or(u.StopReason, stop); stop != "" {
		u.step.fields["stop_reason"] = stop
	}
	if t.left {
		stop = "cancelled"
	}
	return stop
}
