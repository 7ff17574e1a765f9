package lettatest

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Turn is what the model is asked.
type Turn struct {
	AgentID        string
	ConversationID string // "" outside of conversations
	RunID          string

	Text        string       // the last message of a user
	Step        int          // 0 for the first model call of the turn, then 1 and so on
	ToolReturns []ToolReturn // what tools returned since the last model call, be they the server's or the client's

	said string // the same as the model reads it: the last one
}

// ToolReturn is what a tool returned.
type ToolReturn struct {
	Name, ToolCallID, Text string
	Error                  bool
}

// ToolCall is a call that the model makes.
type ToolCall struct {
	Name, Arguments string
	ID              string // made up if it is empty
}

// Reply is what the model says.
type Reply struct {
	Reasoning string // comes first, as a reasoning_message
	Text      string
	Chunks    []string      // how a stream of tokens cuts Text; by words if nil
	Delay     time.Duration // before each chunk; without tokens, the same time at once
	ToolCalls []ToolCall

	Fail       int    // the provider fails with this status instead
	StopReason string // ends the turn after this step, with this reason
}

// Script sets what the model says. It is called once for each model call, perhaps by several turns at a time, and
// Close waits for it. nil restores the default:
//
//	CALL tool {"some": "arguments"}   calls the tool; several lines make several calls
//	FAIL 429                          the provider fails with that status
//	SLOW 100 some text                says the text, a word each 100 ms
//
// To anything else it says "You said: ...", and to the result of a tool "Tool said: ...".
func (s *Server) Script(f func(Turn) Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.script = f; f == nil {
		s.script = DefaultScript
	}
}

var (
	callLine = regexp.MustCompile(`(?m)^CALL (\S+) (\{.*\})\s*$`)
	failLine = regexp.MustCompile(`(?m)^FAIL (\d+)`)
	slowLine = regexp.MustCompile(`(?ms)^SLOW (\d+) (.*)`)
)

func DefaultScript(t Turn) Reply {
	if t.said != "" {
		said := []rune(t.said)
		return Reply{Text: "Tool said: " + string(said[:min(len(said), 400)])}
	}
	var calls []ToolCall
	for _, c := range callLine.FindAllStringSubmatch(t.Text, -1) {
		calls = append(calls, ToolCall{Name: c[1], Arguments: c[2]})
	}
	if calls != nil {
		return Reply{ToolCalls: calls}
	}
	if f := failLine.FindStringSubmatch(t.Text); f != nil {
		status, _ := strconv.Atoi(f[1])
		return Reply{Fail: status}
	}
	if f := slowLine.FindStringSubmatch(t.Text); f != nil {
		ms, _ := strconv.Atoi(f[1])
		return Reply{Text: f[2], Delay: time.Duration(ms) * time.Millisecond}
	}
	return Reply{Text: "You said: " + t.Text}
}

// send is a checked request for a turn.
type send struct {
	agent        string
	conversation *conversation // nil outside of conversations
	route        string        // the real server's name for the kind of request
	plain        bool          // errors as on the routes of conversations
	hushed       bool          // the run is never heard of again
	async        bool
	lock         string // what to keep busy meanwhile

	input       []any
	maxSteps    int
	types       []string
	clientTools []string
	model       string

	streaming, tokens, pings, background bool
}

// turn is a send at work.
type turn struct {
	*send
	s    *Server
	run  *run
	feed *feed // what its client sees
	done chan struct{}

	result  answer
	views   []any
	calls   int // to the model
	returns []ToolReturn
}

// failure is how a turn ends that does not get to an end.
type failure struct {
	answer
	stop, kind, message, detail string
}

func refusal(format string, args ...any) *failure {
	a := fail(http.StatusBadRequest, format, args...)
	detail, _ := a.body.(map[string]any)["detail"].(string)
	return &failure{a, "error", "internal_error", "An unknown error occurred with the LLM streaming request.", detail}
}

func gone(id string) *failure {
	f := refusal("Agent with ID %s not found", id)
	f.status = http.StatusNotFound
	return f
}

// providerFailure is a failure of the model.
func providerFailure(status int) (f *failure, class string) {
	code, kind, class, what := http.StatusInternalServerError, "llm_error", "LLMServerError", "INTERNAL_SERVER_ERROR: OpenAI API error"
	message := "An error occurred with the LLM request."
	switch {
	case status == http.StatusUnauthorized:
		code, kind, class = status, "llm_authentication", "LLMAuthenticationError"
		message, what = "Authentication failed with the LLM model provider.", "UNAUTHENTICATED: Authentication failed with OpenAI"
	case status == http.StatusPaymentRequired:
		code, kind, class = status, "llm_insufficient_credits", "LLMInsufficientCreditsError"
		message, what = "Insufficient credits for LLM request. Please check your account.", "PAYMENT_REQUIRED: Insufficient credits"
	case status == http.StatusForbidden:
		class, what = "LLMPermissionDeniedError", "PERMISSION_DENIED: Permission denied by OpenAI"
	case status == http.StatusNotFound:
		class, what = "LLMNotFoundError", "NOT_FOUND: Resource not found in OpenAI"
	case status == http.StatusUnprocessableEntity:
		class, what = "LLMUnprocessableEntityError", "INVALID_ARGUMENT: Invalid request content for OpenAI"
	case status == http.StatusTooManyRequests:
		code, kind, class = status, "llm_rate_limit", "LLMRateLimitError"
		message = "Rate limit exceeded for LLM model provider. Please wait before making another request."
		what = "RATE_LIMIT_EXCEEDED: Rate limited by OpenAI"
	case status < http.StatusInternalServerError:
		code, kind, class = http.StatusBadRequest, "llm_bad_request", "LLMBadRequestError"
		message, what = "The request to the LLM model provider was invalid.", "INVALID_ARGUMENT: OpenAI API error"
		if status == http.StatusBadRequest {
			what = "INVALID_ARGUMENT: Bad request to OpenAI-compatible endpoint"
		}
	}
	n := strconv.Itoa(status)
	detail := what + ": Error code: " + n + " - {'error': {'message': 'scripted failure " + n + "', 'type': 'test', 'code': 'scripted'}}"
	f = &failure{stop: "llm_api_error", kind: kind, message: message, detail: detail}
	f.answer = answer{status: code, body: map[string]any{"error": map[string]any{"type": kind, "message": message, "detail": detail}}}
	if kind == "llm_bad_request" || kind == "llm_insufficient_credits" { // streams do not know these kinds
		f.kind, f.message = "llm_error", "An error occurred with the LLM request."
	}
	return f, class
}

// begin starts a turn and answers the request for it.
func (s *Server) begin(sd *send) answer {
	a := s.agents[sd.agent]
	if sd.model != "" {
		if _, problem := s.modelFor(sd.model); problem != nil {
			return *problem
		}
	}
	var otids []string
	for _, v := range sd.input {
		if m := v.(object); m.str("otid") != "" {
			otids = append(otids, m.str("otid"))
		} else {
			m["otid"] = uuid()
			otids = append(otids, m.str("otid"))
		}
	}
	token := "\x00" + strings.Join(otids, "\x00")
	if sd.lock != "" {
		if r := s.runs[s.otids[token]]; r != nil && sd.streaming && sd.background {
			return r.replay(object{"include_pings": sd.pings})
		}
		if holder := s.locks[sd.lock]; holder != nil {
			b := fail(http.StatusConflict, "CONFLICT: Cannot send a new message: Another request (run_id=%s) is currently being processed for "+
				"this conversation. Please wait for it to complete.", holder.id)
			b.body.(map[string]any)["run_id"] = holder.id
			return b
		}
	}
	r := &run{
		id: newID("run"), agent: a.id, status: "created", created: s.now(), background: sd.background, metadata: map[string]any{"run_type": sd.route},
		feed: newFeed(true),
	}
	if sd.conversation != nil && sd.streaming {
		r.conversation = sd.conversation.id
	}
	if sd.types != nil {
		r.types = sd.types
	}
	s.runs[r.id], a.last = r, r.id
	if sd.lock != "" {
		s.locks[sd.lock] = r
	}
	for _, id := range append(otids, token) {
		s.otids[id] = r.id
	}
	t := &turn{send: sd, s: s, run: r, feed: newFeed(sd.background), done: make(chan struct{})}
	if sd.background && sd.streaming {
		r.feed = t.feed // otherwise there is nothing to replay: whoever asks waits in vain, as there
	}
	var ctx context.Context
	ctx, r.stop = context.WithCancel(s.ctx)
	if sd.streaming {
		r.status = "running"
		if sd.pings {
			t.feed.add("", ping(r.id, nil))
		}
	}
	s.running.Go(func() { t.play(ctx) })
	switch {
	case sd.async:
		r.metadata["lettuce"] = nil
		return ok(r.state(false))
	case sd.streaming:
		return answer{stream: &stream{feed: t.feed, run: r.id, pings: sd.pings}}
	}
	return answer{later: t.aside}
}

// play runs the turn to its end.
func (t *turn) play(ctx context.Context) {
	defer close(t.done)
	defer t.run.stop()
	stop, bad := t.loop(ctx)
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	if t.s.locks[t.lock] == t.run {
		delete(t.s.locks, t.lock)
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
	if t.hushed {
		return
	}
	r := t.run
	if r.status != "cancelled" || status == "completed" && !t.streaming {
		r.status, r.stopReason, r.completed = status, stop, t.s.now()
	}
	if a := t.s.agents[r.agent]; a != nil && r.stopReason != nil {
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
		if t.result = bad.answer; !t.hushed {
			t.run.metadata["error"] = bad.detail
		}
		t.end("failed", nil)
		return
	}
	t.result = ok(map[string]any{
		"messages": append([]any{}, t.views...), "stop_reason": stopFrame(stop), "usage": t.usage(), "logprobs": nil, "turns": nil,
	})
	t.end(runStatus(stop), stop)
}

func (t *turn) finishStream(stop string, bad *failure) {
	f := t.feed
	switch {
	case stop == "cancelled" && t.run.status == "cancelled":
		f.add("", "data: {\"message_type\": \"stop_reason\", \"stop_reason\": \"cancelled\"}\n\n")
		if t.background {
			f.add("", doneFrame)
		}
		return
	case bad != nil:
		f.add("", stopFrame(bad.stop))
		e := map[string]any{
			"message_type": "error_message", "run_id": t.run.id, "error_type": bad.kind, "message": bad.message, "detail": bad.detail, "seq_id": nil,
		}
		t.run.metadata["error"] = with(map[string]any{}, "message_type", "error_message", "run_id", t.run.id, "error_type", bad.kind,
			"message", bad.message, "detail", bad.detail, "seq_id", nil)
		f.add("error", e)
		if !t.background {
			f.add("", doneFrame)
		}
		t.end("failed", bad.stop)
		return
	}
	f.add("", stopFrame(stop))
	f.add("", t.usage())
	f.add("", doneFrame)
	status := "completed"
	if stop == "cancelled" {
		status = stop
	}
	t.end(status, stop)
}

const doneFrame = "data: [DONE]\n\n"

func stopFrame(stop string) map[string]any {
	return map[string]any{"message_type": "stop_reason", "stop_reason": stop}
}

func (t *turn) usage() map[string]any {
	var zero, context any
	if t.calls > 0 {
		context = 15
		if !t.tokens {
			zero = 0
		}
	}
	return map[string]any{
		"message_type": "usage_statistics", "completion_tokens": 5 * t.calls, "prompt_tokens": 10 * t.calls, "total_tokens": 15 * t.calls,
		"step_count": t.calls, "run_ids": nil, "cached_input_tokens": zero, "cache_write_tokens": zero, "reasoning_tokens": zero,
		"context_tokens": context,
	}
}

// place is the agent of the turn and the context it goes on in. The agent is nil when it, or the conversation, has been deleted.
func (t *turn) place() (*agent, *[]*message) {
	a := t.s.agents[t.agent]
	switch c := t.conversation; {
	case a == nil, c != nil && t.s.conversations[c.id] == nil:
		return nil, nil
	case c != nil:
		return a, &c.messages
	}
	return a, &a.messages
}

// keep stores messages of the turn and shows them, from the index shown on.
func (t *turn) keep(a *agent, in *[]*message, shown int, frames bool, all ...*message) {
	for _, m := range all {
		if t.conversation != nil {
			m.conversation = t.conversation.id
		}
		if m.run == "" {
			m.run = t.run.id
		}
	}
	if get[bool](a.fields, "message_buffer_autoclear") && len(*in) > 0 && t.views == nil && t.calls <= 1 {
		*in = (*in)[:1:1]
	}
	t.s.keep(a, in, all...)
	if t.conversation != nil {
		t.conversation.history = append(t.conversation.history, all...)
	}
	a.updated = t.s.now()
	if t.streaming && t.run.status == "cancelled" {
		return
	}
	for _, m := range all[shown:] {
		for _, v := range m.views(true) {
			if !t.wants(v) {
				continue
			}
			t.views = append(t.views, v)
			if frames || m.role == "tool" && !t.mute(m) {
				t.frame(v)
			}
		}
	}
}

// mute tells that a result goes untold in a stream of tokens: one that no tool of the server has a part in.
func (t *turn) mute(m *message) bool { return t.tokens && m.name == "" }

func (t *turn) wants(v map[string]any) bool {
	return t.types == nil || slices.Contains(t.types, v["message_type"].(string))
}

func (t *turn) frame(v map[string]any) {
	if t.streaming {
		t.feed.add("", v)
	}
}

// delta sends a part of a message and tells whether the turn may go on.
func (t *turn) delta(v map[string]any) bool {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	if t.run.status == "cancelled" {
		return false
	}
	if t.wants(v) {
		t.frame(v)
	}
	return true
}

const conflict = "CONFLICT: Cannot send a new message: The agent is waiting for approval on a tool call. " +
	"Please approve or deny the pending request before continuing."

// prepare turns the input into messages. If it answers an approval request, that one and the answer come apart.
func (t *turn) prepare() (request, response *message, input []*message, bad *failure) {
	a, in := t.place()
	if a == nil {
		return nil, nil, nil, gone(t.agent)
	}
	if t.conversation != nil && len(*in) == 0 {
		t.s.open(a, t.conversation)
	}
	if len(t.input) == 0 {
		return nil, nil, nil, refusal("list index out of range")
	}
	first, rest := t.input[0].(object), t.input
	if first.has("approvals") || first.str("type") == "approval" {
		rest = t.input[1:]
		var replay bool
		if request, replay, bad = answered(*in, first); bad != nil {
			return nil, nil, nil, bad
		}
		if replay && len(rest) == 0 {
			rest = []any{object{"role": "user", "content": "<system-alert>Automated keep-alive ping. Ignore this message and continue from where " +
				"you stopped.</system-alert>", "otid": uuid()}}
		}
		if request != nil {
			response = &message{role: "approval"}
			for _, v := range get[[]any](first, "approvals") {
				response.approvals = append(response.approvals, v.(object))
			}
		}
	} else if p := pending(*in); p != nil {
		f := refusal(conflict)
		f.message, f.status = conflict, http.StatusConflict
		if !t.plain {
			f.body = map[string]any{"detail": map[string]any{"code": "PENDING_APPROVAL", "message": conflict, "pending_request_id": p.id}}
		}
		return nil, nil, nil, f
	}
	for _, v := range rest {
		o := v.(object)
		if o.has("approvals") {
			continue
		}
		m := &message{role: o.str("role"), otid: o.str("otid"), name: o.str("name")}
		if m.parts, m.text = get[[]any](o, "content"), o.str("content"); m.parts != nil {
			m.text = textOf(m.parts, " ")
			if len(m.parts) == 1 {
				m.parts = nil
			}
		}
		if m.text == "" && m.parts == nil {
			return nil, nil, nil, refusal("Message content is empty or invalid")
		}
		input = append(input, m)
	}
	return request, response, input, nil
}

// textOf joins the text parts of a content.
func textOf(parts []any, sep string) string {
	var out []string
	for _, p := range parts {
		if m, ok := p.(map[string]any); ok && m["type"] == "text" {
			out = append(out, object(m).str("text"))
		}
	}
	return strings.Join(out, sep)
}

// answered finds the request that approvals answer. A repetition of approvals that were carried out is no error.
func answered(in []*message, o object) (request *message, replay bool, bad *failure) {
	var got []string
	for _, v := range get[[]any](o, "approvals") {
		got = append(got, v.(object).str("tool_call_id"))
	}
	same := func(want []string) bool {
		missing := func(in []string) func(string) bool { return func(id string) bool { return !slices.Contains(in, id) } }
		return !slices.ContainsFunc(want, missing(got)) && !slices.ContainsFunc(got, missing(want))
	}
	if request = pending(in); request == nil {
		for _, m := range in[max(0, len(in)-10):] {
			var ids []string
			for _, r := range m.returns {
				ids = append(ids, r.id)
			}
			if ids != nil && same(ids) {
				return nil, true, nil
			}
		}
		return nil, false, refusal("Cannot process approval response: No tool call is currently awaiting approval. " +
			"Please send a regular message to interact with the agent.")
	}
	if got == nil {
		return nil, false, refusal("Invalid approval response. Approval response message does not contain any approvals.")
	}
	var want []string
	for _, c := range request.calls {
		want = append(want, c.ID)
	}
	if !same(want) && (len(want) > 1 || got[0] != request.id) {
		return nil, false, refusal("Invalid tool call IDs. Expected '[%s]', but received '[%s]'.", printedSet(want), printedSet(got))
	}
	return request, false, nil
}

// loop is the turn: the answer to an approval request, if that is what was sent, then model calls and tools until one of them ends it.
func (t *turn) loop(ctx context.Context) (stop string, bad *failure) {
	t.s.mu.Lock()
	request, response, input, bad := t.prepare()
	t.s.mu.Unlock()
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
	t.s.mu.Lock()
	a, in := t.place()
	if a == nil {
		t.s.mu.Unlock()
		return "", gone(t.agent)
	}
	result := &message{role: "tool", step: request.step}
	var calls []ToolCall
	for _, c := range request.calls {
		for _, o := range response.approvals {
			id := o.str("tool_call_id")
			switch approved := get[bool](o, "approve"); {
			case o.str("type") != "approval":
			case approved && (id == c.ID || id == request.id):
				calls = append(calls, c)
				o["tool_call_id"] = c.ID
			case !approved && id == c.ID:
				reason := o.str("reason")
				if !o.has("reason") {
					reason = "None"
				}
				result.returns = append(result.returns, denied(a, t.s.now(), c.ID, reason))
			}
		}
	}
	var byClient []toolReturn
	for _, o := range response.approvals {
		if o.str("type") == "tool" {
			r := clientReturn(a, t.s.now(), o)
			byClient, o["tool_return"] = append(byClient, r), r.text
		}
	}
	result.returns = append(byClient, result.returns...)
	if i := slices.Index(*in, request); i > 0 && (*in)[i-1].role == "assistant" && (*in)[i-1].calls != nil {
		calls = append(calls, (*in)[i-1].calls...)
	}
	t.s.mu.Unlock()
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
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
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
		switch r := v.(type) {
		case object:
			return r["type"] == kind && r["tool_name"] == name
		case map[string]any:
			return r["type"] == kind && r["tool_name"] == name
		}
		return false
	})
}

func (t *turn) exits(a *agent, calls []ToolCall) bool {
	return slices.ContainsFunc(calls, func(c ToolCall) bool { return ruled(a, "exit_loop", c.Name) })
}

// step is one model call and the tools it calls. stop is empty when the turn goes on.
func (t *turn) step(ctx context.Context, n int, input []*message, final bool) (stop string, bad *failure) {
	s := t.s
	s.mu.Lock()
	a, in := t.place()
	if a == nil {
		s.mu.Unlock()
		return "", gone(t.agent)
	}
	if t.run.status == "cancelled" || ctx.Err() != nil {
		s.mu.Unlock()
		return "cancelled", nil
	}
	llm := get[map[string]any](a.fields, "llm_config")
	if t.conversation != nil && t.model == "" {
		t.model, _ = t.conversation.model.(string)
	}
	if t.model != "" {
		if other, problem := s.modelFor(t.model); problem == nil {
			llm = other
		}
	}
	st := s.newStep(t.run, a, llm)
	asked := t.ask(n, slices.Concat(*in, input))
	script, needs := s.script, map[string]bool{}
	for _, name := range t.clientTools {
		needs[name] = true
	}
	rules := a
	s.mu.Unlock()

	reply := script(asked)
	if reply.Fail != 0 {
		bad, class := providerFailure(reply.Fail)
		s.mu.Lock()
		defer s.mu.Unlock()
		st.fields["status"], st.fields["stop_reason"], st.fields["error_type"] = "failed", bad.stop, class
		st.fields["error_data"] = map[string]any{"message": bad.detail, "traceback": "Traceback: none, the failure is scripted", "details": nil}
		return "", bad
	}
	if reply.Text == "" {
		reply.Text = strings.Join(reply.Chunks, "")
	}
	calls := slices.Clone(reply.ToolCalls)
	s.mu.Lock()
	for i := range calls {
		if calls[i].ID == "" {
			calls[i].ID = "call_" + strings.ReplaceAll(uuid(), "-", "")[:20]
		}
		needs[calls[i].Name] = needs[calls[i].Name] || ruled(rules, "requires_approval", calls[i].Name)
	}
	s.mu.Unlock()
	said := &message{id: newID("message"), role: "assistant", step: st.id, run: t.run.id, created: time.Now().UTC()}
	asks := &message{id: newID("message"), role: "approval", step: st.id, run: t.run.id, created: time.Now().UTC()}
	lead := said // has the text
	if len(calls) > 0 && !slices.ContainsFunc(calls, func(c ToolCall) bool { return !needs[c.Name] }) {
		lead = asks
	}
	if !t.speak(ctx, reply, calls, needs, said, asks, lead) {
		s.mu.Lock()
		defer s.mu.Unlock()
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

	s.mu.Lock()
	defer s.mu.Unlock()
	if a, in = t.place(); a == nil {
		return "", gone(t.agent)
	}
	t.calls++
	st.succeed(t.tokens, s.now())
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
	if t.streaming && t.run.status == "cancelled" {
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
		t.s.wait(ctx, reply.Delay*time.Duration(max(1, len(chunks))))
		return true
	}
	index := 0
	part := func(m *message, kind string, pairs ...any) bool {
		return t.delta(with(m.base(kind, index), pairs...))
	}
	if reply.Reasoning != "" {
		if !t.s.wait(ctx, reply.Delay) ||
			!part(lead, "reasoning_message", "source", "reasoner_model", "reasoning", reply.Reasoning, "signature", nil) {
			return false
		}
		index++
	}
	for _, c := range chunks {
		if !t.s.wait(ctx, reply.Delay) || !part(lead, "assistant_message", "content", c) {
			return false
		}
	}
	if len(chunks) > 0 {
		index++
	}
	for _, c := range calls {
		name := map[string]any{"name": c.Name, "tool_call_id": c.ID}
		args := map[string]any{"arguments": c.Arguments, "tool_call_id": c.ID}
		if !t.s.wait(ctx, reply.Delay) {
			return false
		}
		for _, call := range []map[string]any{name, args} {
			m, kind := said, "tool_call_message"
			if needs[c.Name] {
				m, kind = asks, "approval_request_message"
				for _, k := range []string{"name", "arguments"} {
					if call[k] == nil {
						call[k] = nil
					}
				}
			}
			v := with(m.base(kind, index), "tool_call", call, "tool_calls", call)
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
