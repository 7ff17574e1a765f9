package lettatest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const conflict = "CONFLICT: Cannot send a new message: The agent is waiting for approval on a tool call. " +
	"Please approve or deny the pending request before continuing."

// prepare turns the input into messages. If it answers an approval request, that one and the answer come apart.
func (t *turn) prepare() (request, response *message, input []*message, bad *failure) {
	a, in := t.place()
	if a == nil {
		return nil, nil, nil, gone(t.agent)
	}
	if t.conversation != nil && len(*in) == 0 {
		t.w.open(a, t.conversation)
	}
	t.context = slices.Clone(*in)
	if len(t.input) == 0 {
		return nil, nil, nil, refusal("list index out of range")
	}
	first, rest := t.input[0].(object), t.input
	if first["approvals"] != nil || text(first, "type") == "approval" {
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
			f.body = object{"detail": object{"code": "PENDING_APPROVAL", "message": conflict, "pending_request_id": p.id}}
		}
		return nil, nil, nil, f
	}
	for _, v := range rest {
		o := v.(object)
		if o["approvals"] != nil {
			continue
		}
		m := &message{role: text(o, "role"), otid: text(o, "otid"), name: text(o, "name")}
		if m.parts, m.text = get[[]any](o, "content"), text(o, "content"); m.parts != nil {
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
		if m, ok := p.(object); ok && m["type"] == "text" {
			out = append(out, text(m, "text"))
		}
	}
	return strings.Join(out, sep)
}

// answered finds the request that approvals answer. A repetition of approvals that were carried out is no error.
func answered(in []*message, o object) (request *message, replay bool, bad *failure) {
	var got []string
	for _, v := range get[[]any](o, "approvals") {
		got = append(got, text(v.(object), "tool_call_id"))
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
		return nil, false, refusal("Invalid tool call IDs. Expected '[%s]', but received '[%s]'.", printed(want), printed(got))
	}
	return request, false, nil
}

// failure is how a turn ends that does not get to an end.
type failure struct {
	answer
	stop, kind, message, detail string
}

func refusal(format string, args ...any) *failure {
	a := fail(http.StatusBadRequest, format, args...)
	detail, _ := a.body.(object)["detail"].(string)
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
	f.answer = answer{status: code, body: object{"error": object{"type": kind, "message": message, "detail": detail}}}
	if kind == "llm_bad_request" || kind == "llm_insufficient_credits" { // streams do not know these kinds
		f.kind, f.message = "llm_error", "An error occurred with the LLM request."
	}
	return f, class
}
