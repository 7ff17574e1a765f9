package lettatest

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

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
