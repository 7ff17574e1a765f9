package lettatest

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// send is a checked request for a turn.
type send struct {
	agent        *agent
	conversation *conversation // nil outside of conversations
	route        string        // the real server's name for the kind of request
	plain        bool          // errors as on the routes of conversations
	silent       bool          // the run is never heard of again
	async        bool
	lock         string // what to keep busy meanwhile

	input       []object
	maxSteps    int
	types       []string
	clientTools []string
	model       string

	streaming, tokens, pings, background bool
}

// migrated puts an approval in an older form into the newest one.
func migrated(o object) object {
	if o["tool_returns"] != nil {
		o["approvals"] = o["tool_returns"]
		for _, r := range objects(o, "tool_returns") {
			r["type"] = "tool"
		}
	}
	if o["approve"] != nil && o["approval_request_id"] != nil && len(get[[]any](o, "approvals")) == 0 {
		o["approvals"] = []any{object{"type": "approval", "tool_call_id": o["approval_request_id"], "approve": o["approve"], "reason": o["reason"]}}
	}
	for _, a := range objects(o, "approvals") {
		for _, k := range map[string][]string{"approval": {"reason"}, "tool": {"stdout", "stderr"}}[text(a, "type")] {
			if _, ok := a[k]; !ok {
				a[k] = nil
			}
		}
	}
	return o
}

// send reads the body of a request for a turn, and refuses what no schema tells.
func (c *call) send(streams bool) *send {
	o := c.in
	switch {
	case o["messages"] != nil && o["input"] != nil:
		c.bad("Cannot specify both 'input' and 'messages'. Use one or the other.", "body")
	case o["messages"] == nil && o["input"] == nil:
		c.bad("Must specify either 'input' or 'messages'.", "body")
	}
	sd := &send{
		maxSteps: or(o["max_steps"], 50).(int), types: texts(o, "include_return_message_types"), model: text(o, "override_model"),
		streaming: or(o["streaming"], streams).(bool), pings: or(o["include_pings"], true).(bool),
		tokens: flag(o, "stream_tokens"), background: flag(o, "background"),
	}
	for _, m := range objects(o, "messages") {
		sd.input = append(sd.input, migrated(m))
	}
	if o["input"] != nil {
		sd.input = []object{{"role": "user", "content": o["input"]}}
	}
	for _, t := range objects(o, "client_tools") {
		sd.clientTools = append(sd.clientTools, text(t, "name"))
	}
	return sd
}

func sendMessage(w *world, c *call) answer {
	sd := c.send(false)
	sd.some()
	given := map[string]bool{"stream_tokens": sd.tokens, "include_pings": !sd.pings, "background": sd.background}
	wrong := slices.DeleteFunc([]string{
		"stream_tokens can only be true when streaming=true", "include_pings can only be set to false when streaming=true",
		"background can only be true when streaming=true",
	}, func(rule string) bool { return sd.streaming || !given[strings.Fields(rule)[0]] })
	if len(wrong) > 0 {
		refuse(http.StatusUnprocessableEntity, "Streaming options set without streaming enabled. %s. Either set streaming=true or use default "+
			"values for streaming options.", strings.Join(wrong, "; "))
	}
	if sd.streaming && !c.modern() {
		refuse(http.StatusUnprocessableEntity, "streaming=true is only supported for SDK v1.0+ clients.")
	}
	return w.beginFor(c, sd, "send_message")
}

// some refuses a send without messages.
func (sd *send) some() {
	if len(sd.input) == 0 {
		refuse(http.StatusUnprocessableEntity, "Messages must not be empty")
	}
}

func (w *world) beginFor(c *call, sd *send, route string) answer {
	sd.agent, sd.route = w.agent(c.id), route
	return w.begin(sd)
}

func streamMessage(w *world, c *call) answer {
	sd := c.send(true)
	sd.streaming = true
	return w.beginFor(c, sd, "send_message_streaming")
}

func sendAsync(w *world, c *call) answer {
	sd := c.send(false)
	sd.async, sd.streaming, sd.background = true, false, true
	w.beginFor(c, sd, "send_message_async")
	r := w.runs.get(sd.agent.last)
	get[object](r.fields, "metadata")["lettuce"], r.fields["callback_url"] = nil, c.in["callback_url"]
	return ok(r.state())
}

func sendToConversation(w *world, c *call) answer {
	sd := c.send(true)
	sd.some()
	sd.plain, sd.silent = true, !sd.streaming
	sd.tokens, sd.background = sd.tokens && sd.streaming, sd.background && sd.streaming
	if id := c.direct(text(c.in, "agent_id")); id != "" {
		sd.lock = id
		sd.agent, sd.route = w.agent(id), "send_message"
		return w.begin(sd)
	}
	v := w.talk(c.id)
	v.lastMessage = w.now()
	sd.agent, sd.conversation, sd.route = w.agents.get(v.agent), v, "send_conversation_message"
	if sd.streaming {
		sd.lock = v.id
	}
	return w.begin(sd)
}

// begin starts a turn and answers the request for it.
func (w *world) begin(sd *send) answer {
	a := sd.agent
	if sd.model != "" {
		w.modelFor(sd.model)
	}
	var otids []string
	for _, m := range sd.input {
		m["otid"] = cmp.Or(text(m, "otid"), uuid())
		otids = append(otids, text(m, "otid"))
	}
	token := "\x00" + strings.Join(otids, "\x00")
	if sd.lock != "" {
		if r := w.runs.get(w.otids[token]); r != nil && sd.streaming && sd.background {
			return r.replay(object{"include_pings": sd.pings})
		}
		if holder := w.locks[sd.lock]; holder != nil {
			b := fail(http.StatusConflict, "CONFLICT: Cannot send a new message: Another request (run_id=%s) is currently being processed for "+
				"this conversation. Please wait for it to complete.", holder.id)
			b.body.(object)["run_id"] = holder.id
			return b
		}
	}
	r := &run{row: w.newRow("run"), feed: w.newFeed(true)}
	r.fields = with(sample("runs.retrieve"), "agent_id", a.id, "conversation_id", nil, "status", "created", "stop_reason", nil,
		"background", sd.background, "metadata", object{"run_type": sd.route}, "callback_url", nil)
	if sd.conversation != nil && sd.streaming {
		r.fields["conversation_id"] = sd.conversation.id
	}
	get[object](r.fields, "request_config")["include_return_message_types"] = sd.types
	w.runs.put(r)
	a.last = r.id
	if sd.lock != "" {
		w.locks[sd.lock] = r
	}
	for _, id := range append(otids, token) {
		w.otids[id] = r.id
	}
	t := &turn{send: sd, w: w, run: r, feed: w.newFeed(sd.background), done: make(chan struct{}), checked: time.Now()}
	if sd.background && sd.streaming {
		r.feed = t.feed // otherwise there is nothing to replay: whoever asks waits in vain, as there
	}
	var ctx context.Context
	ctx, r.stop = context.WithCancel(w.ctx)
	if sd.streaming {
		r.fields["status"] = "running"
		if sd.pings {
			t.feed.add("", ping(r.id, nil))
		}
	}
	w.running.Go(func() { t.play(ctx) })
	if sd.streaming {
		return answer{stream: &stream{feed: t.feed, run: r.id, pings: sd.pings}}
	}
	return answer{later: func(ctx context.Context) answer {
		select {
		case <-t.done:
		case <-ctx.Done():
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		return t.result
	}}
}

const conflict = "CONFLICT: Cannot send a new message: The agent is waiting for approval on a tool call. " +
	"Please approve or deny the pending request before continuing."

// prepare turns the input into messages. If it answers an approval request, that one and the answer come apart.
func (t *turn) prepare(a *agent) (request, response *message, input []*message) {
	th := t.thread(a)
	if t.conversation != nil && len(th.messages) == 0 {
		t.w.open(a, th)
	}
	t.context = slices.Clone(th.messages)
	if len(t.input) == 0 {
		panic(refusal("list index out of range"))
	}
	first, rest := t.input[0], t.input
	if first["approvals"] != nil || text(first, "type") == "approval" {
		rest = t.input[1:]
		var again bool
		if request, again = answered(t.context, first); again && len(rest) == 0 {
			rest = []object{{"role": "user", "content": "<system-alert>Automated keep-alive ping. Ignore this message and continue from where " +
				"you stopped.</system-alert>", "otid": uuid()}}
		}
		if request != nil {
			response = &message{role: "approval", approvals: objects(first, "approvals")}
		}
	} else if p := pending(t.context); p != nil {
		f := refusal(conflict)
		f.message, f.status = conflict, http.StatusConflict
		if !t.plain {
			f.body = object{"detail": object{"code": "PENDING_APPROVAL", "message": conflict, "pending_request_id": p.id}}
		}
		panic(f)
	}
	for _, o := range rest {
		if o["approvals"] != nil {
			continue
		}
		m := &message{role: text(o, "role"), otid: text(o, "otid"), name: text(o, "name"), text: text(o, "content")}
		if parts := get[[]any](o, "content"); parts != nil {
			m.text = textOf(parts, " ")
			if len(parts) > 1 {
				m.parts = parts
			}
		}
		if m.text == "" && m.parts == nil {
			panic(refusal("Message content is empty or invalid"))
		}
		input = append(input, m)
	}
	return request, response, input
}

// textOf joins the text parts of a content.
func textOf(parts []any, sep string) string {
	var out []string
	for _, p := range parts {
		if m, _ := p.(object); m["type"] == "text" {
			out = append(out, text(m, "text"))
		}
	}
	return strings.Join(out, sep)
}

// answered finds the request that approvals answer. To repeat approvals that were carried out is no error.
func answered(in []*message, o object) (request *message, again bool) {
	var got, want []string
	for _, a := range objects(o, "approvals") {
		got = append(got, text(a, "tool_call_id"))
	}
	same := func(want []string) bool {
		return slices.Equal(slices.Compact(slices.Sorted(slices.Values(want))), slices.Compact(slices.Sorted(slices.Values(got))))
	}
	if request = pending(in); request == nil {
		for _, m := range in[max(0, len(in)-10):] {
			var ids []string
			for _, r := range m.returns {
				ids = append(ids, r.id)
			}
			if ids != nil && same(ids) {
				return nil, true
			}
		}
		panic(refusal("Cannot process approval response: No tool call is currently awaiting approval. " +
			"Please send a regular message to interact with the agent."))
	}
	if got == nil {
		panic(refusal("Invalid approval response. Approval response message does not contain any approvals."))
	}
	for _, c := range request.calls {
		want = append(want, c.ID)
	}
	if !same(want) && (len(want) > 1 || got[0] != request.id) {
		panic(refusal("Invalid tool call IDs. Expected '[%s]', but received '[%s]'.", printed(want), printed(got)))
	}
	return request, false
}

// failure is how a turn ends that does not get to an end.
type failure struct {
	answer
	stop, kind, message, detail string
}

func refusal(format string, args ...any) *failure {
	a := fail(http.StatusBadRequest, format, args...)
	return &failure{a, "error", "internal_error", "An unknown error occurred with the LLM streaming request.", text(a.body.(object), "detail")}
}

func gone(id string) *failure {
	f := refusal("Agent with ID %s not found", id)
	f.status = http.StatusNotFound
	return f
}

type providerProblem struct {
	status, code               int
	kind, class, what, message string
}

// providerFailures are the failures of the model: its status, the server's status and kind, the class, what it says.
var providerFailures = []providerProblem{
	{400, 400, "llm_bad_request", "LLMBadRequestError", "INVALID_ARGUMENT: Bad request to OpenAI-compatible endpoint", "The request was invalid."},
	{401, 401, "llm_authentication", "LLMAuthenticationError", "UNAUTHENTICATED: Authentication failed with OpenAI", "Authentication failed."},
	{402, 402, "llm_insufficient_credits", "LLMInsufficientCreditsError", "PAYMENT_REQUIRED: Insufficient credits", "Insufficient credits."},
	{403, 500, "llm_error", "LLMPermissionDeniedError", "PERMISSION_DENIED: Permission denied by OpenAI", ""},
	{404, 500, "llm_error", "LLMNotFoundError", "NOT_FOUND: Resource not found in OpenAI", ""},
	{422, 500, "llm_error", "LLMUnprocessableEntityError", "INVALID_ARGUMENT: Invalid request content for OpenAI", ""},
	{429, 429, "llm_rate_limit", "LLMRateLimitError", "RATE_LIMIT_EXCEEDED: Rate limited by OpenAI", "Rate limit exceeded for LLM model provider."},
	{499, 400, "llm_bad_request", "LLMBadRequestError", "INVALID_ARGUMENT: OpenAI API error", "The request was invalid."}, // the others below 500
	{999, 500, "llm_error", "LLMServerError", "INTERNAL_SERVER_ERROR: OpenAI API error", ""},
}

func providerFailure(status int) (f *failure, class string) {
	i := slices.IndexFunc(providerFailures, func(p providerProblem) bool {
		return p.status == status || p.status == 499 && status < 500 || p.status == 999
	})
	p := providerFailures[i]
	message := cmp.Or(p.message, "An error occurred with the LLM request.")
	n := strconv.Itoa(status)
	detail := p.what + ": Error code: " + n + " - {'error': {'message': 'scripted failure " + n + "', 'type': 'test', 'code': 'scripted'}}"
	f = &failure{stop: "llm_api_error", kind: p.kind, message: message, detail: detail}
	f.answer = answer{status: p.code, body: object{"error": object{"type": p.kind, "message": message, "detail": detail}}}
	if p.code == http.StatusBadRequest || p.code == http.StatusPaymentRequired { // streams do not know these kinds
		f.kind, f.message = "llm_error", "An error occurred with the LLM request."
	}
	return f, p.class
}
