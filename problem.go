package letta

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// problem is what a server says about a failure, in the body of an answer or in an event of a stream. It comes in many
// forms: {"detail": text, object or list}, {"error": {type, message, detail}}, {"error": text, "errorCode"}, {"message"},
// and a proxy's page.
type problem struct {
	status              int // 0 in a stream
	message, kind, code string
	fields              []FieldError
	reasons             []string
	runID               RunID
	pending             MessageID
	html                bool
}

// is reports whether the problem is of a kind: ErrNotFound and its neighbours.
func (p problem) is(target error) bool {
	switch target {
	case ErrProvider:
		return p.provider()
	case ErrQuota:
		return p.quota()
	case ErrBusy:
		return p.status == http.StatusConflict && p.pending == "" && (p.runID != "" || strings.Contains(p.message, "being processed for this conversation")) ||
			p.code == "CONVERSATION_BUSY"
	case ErrPendingApproval:
		return p.waitsForApproval()
	case ErrNoActiveRun:
		return p.code == "NO_ACTIVE_RUNS_TO_CANCEL" || p.status < 500 && strings.Contains(strings.ToLower(p.message), "no active run")
	case ErrRetired:
		return p.status == http.StatusGone || p.status == http.StatusBadRequest && strings.Contains(p.message, "deprecated and no longer supported")
	case ErrBadRequest:
		return p.status == http.StatusBadRequest
	case ErrUnauthorized:
		return p.status == http.StatusUnauthorized && !p.provider()
	case ErrForbidden:
		return p.status == http.StatusForbidden && !p.provider()
	case ErrNotFound:
		return p.status == http.StatusNotFound
	case ErrConflict:
		return p.status == http.StatusConflict
	case ErrValidation:
		return p.status == http.StatusUnprocessableEntity
	case ErrRateLimited:
		return p.status == http.StatusTooManyRequests && !p.provider() && !p.quota()
	case ErrServer:
		return p.status >= 500 || p.status == 0 && slices.Contains(serverFailures, p.kind) && !p.waitsForApproval()
	}
	return false
}

// serverFailures are the kinds of a stream's failures that are the server's own.
var serverFailures = []string{"internal_error", "stream_incomplete", "stream_task_cancelled", "INTERNAL_SERVER_ERROR", string(StopReasonError)}

// provider reports whether the model's provider failed: Letta 0.16.8 names that llm_...
func (p problem) provider() bool {
	return strings.HasPrefix(p.kind, "llm_") || p.kind == string(StopReasonInvalidLLMResponse)
}

// quotaReasons are those of Letta Cloud that waiting does not help against.
var quotaReasons = regexp.MustCompile(`exceeded|not-enough-credits|model-unknown|not-available|not-supported`)

func (p problem) quota() bool {
	return !p.provider() && (p.status == http.StatusPaymentRequired || p.kind == string(StopReasonInsufficientCredits) ||
		p.status == http.StatusTooManyRequests && slices.ContainsFunc(p.reasons, quotaReasons.MatchString))
}

func (p problem) waitsForApproval() bool {
	return p.code == "PENDING_APPROVAL" || (p.status == 0 || p.status == http.StatusConflict) && strings.Contains(p.message, "waiting for approval")
}

func parseProblem(status int, body []byte) problem {
	p := problem{status: status}
	trimmed := bytes.TrimSpace(body)
	if len(trimmed) == 0 {
		return p
	}
	var top map[string]json.RawMessage
	switch {
	case unmarshal(trimmed, &top) == nil:
		p.read(top, 0)
	case bytes.ContainsRune(trimmed, '<'):
		p.html = true
	default:
		p.message = string(trimmed)
	}
	return p
}

// read takes what an object says, the inner ones first. No server nests them deeper than 3.
func (p *problem) read(object map[string]json.RawMessage, depth int) {
	const deepest = 5
	text := func(names ...string) string {
		for _, name := range names {
			var s string
			if unmarshal(object[name], &s) == nil && s != "" {
				return s
			}
		}
		return ""
	}
	keep := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	for _, name := range []string{"detail", "error"} {
		var inner map[string]json.RawMessage
		if depth < deepest && unmarshal(object[name], &inner) == nil && inner != nil {
			p.read(inner, depth+1)
		}
	}
	// {"error": {"message", "detail"}}: the detail adds to the message.
	message, detail := text("message"), text("detail")
	switch {
	case message != "" && detail != "" && !strings.Contains(message, detail):
		message += ": " + detail
	case message == "":
		message = detail
	}
	if message == "" {
		message = text("error", "reason_text")
	}
	keep(&p.message, message)
	keep(&p.kind, text("type", "error_type"))
	keep(&p.code, text("code", "errorCode"))
	if p.runID == "" {
		p.runID = RunID(text("run_id"))
	}
	if p.pending == "" {
		p.pending = MessageID(text("pending_request_id"))
	}
	var reasons []string
	if unmarshal(object["reasons"], &reasons) == nil {
		p.reasons = append(p.reasons, reasons...)
	}
	p.readFields(object["detail"])
}

var unquotePython = strings.NewReplacer(`\'`, "'", `\"`, `"`, `\\`, `\`, `\n`, " ")

// printedComplaint is one entry of the Python list that Letta 0.16.8 prints as the detail of a 422.
var printedComplaint = regexp.MustCompile(`'loc': \((.*?)\), 'msg': (?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")`)

func (p *problem) readFields(detail json.RawMessage) {
	var list []struct {
		Loc []any  `json:"loc"`
		Msg string `json:"msg"`
	}
	if unmarshal(detail, &list) == nil {
		for _, f := range list {
			p.fields = append(p.fields, FieldError{strings.ReplaceAll(strings.Trim(fmt.Sprint(f.Loc), "[]"), " ", "."), f.Msg})
		}
		return
	}
	var printed string
	if unmarshal(detail, &printed) != nil {
		return
	}
	for _, m := range printedComplaint.FindAllStringSubmatch(printed, -1) {
		loc := strings.ReplaceAll(strings.Trim(strings.ReplaceAll(m[1], "'", ""), ", "), ", ", ".")
		p.fields = append(p.fields, FieldError{loc, unquotePython.Replace(m[2] + m[3])})
	}
	if len(p.fields) > 0 {
		p.message = "" // it was the list
	}
}

var (
	htmlTitle = regexp.MustCompile(`(?is)<title[^>]*>\s*(.*?)\s*</title>`)
	htmlTag   = regexp.MustCompile(`(?s)<[^>]*>`)
)

// htmlMessage makes a line of a page that no Letta server sent.
func htmlMessage(resp *http.Response, body []byte) string {
	text := ""
	if m := htmlTitle.FindSubmatch(body); m != nil {
		text = string(m[1])
	} else {
		text = string(htmlTag.ReplaceAll(body, []byte(" ")))
	}
	text = oneLine(text)
	from := "not from a Letta server"
	if server := resp.Header.Get("Server"); server != "" {
		from += ", but from " + server
	}
	if ray := resp.Header.Get("Cf-Ray"); ray != "" {
		from += ", ray " + ray
	}
	return strings.TrimSpace(fmt.Sprintf("%s (%s)", text, from))
}

// hasField reports whether data is a JSON object with a field.
func hasField(data []byte, name string) bool {
	var top map[string]json.RawMessage
	return unmarshal(data, &top) == nil && top[name] != nil
}
