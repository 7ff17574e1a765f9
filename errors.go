package letta

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Errors to compare with by errors.Is. Those of a status match an [*APIError]; those of a meaning match too, and say
// more than the status does.
var (
	ErrBadRequest   = errors.New("bad request")          // 400
	ErrUnauthorized = errors.New("unauthorized")         // 401: our key; a model provider's 401 is ErrProvider
	ErrForbidden    = errors.New("forbidden")            // 403
	ErrNotFound     = errors.New("not found")            // 404
	ErrConflict     = errors.New("conflict")             // 409
	ErrValidation   = errors.New("invalid parameters")   // 422
	ErrRateLimited  = errors.New("too many requests")    // 429 that waiting helps against
	ErrQuota        = errors.New("limit of the account") // 402, or 429 that waiting does not help against
	ErrServer       = errors.New("server error")         // 5xx

	ErrProvider        = errors.New("the model provider failed")             // whatever its status
	ErrBusy            = errors.New("another turn is going on")              // 409; APIError.RunID names the run
	ErrPendingApproval = errors.New("the agent waits for an approval")       // 409; APIError.PendingRequestID
	ErrNoActiveRun     = errors.New("no active run")                         // nothing to cancel
	ErrInvalidTags     = errors.New("invalid tags")                          // refused before sending
	ErrPageLoop        = errors.New("the server repeats a page of the list") // it ignores the cursor, or lost its place
	ErrNotSent         = errors.New("nothing was sent")                      // the server was not reached, or its turn never came
	ErrInvalidParams   = errors.New("invalid call")                          // refused here, before anything was sent; so are ErrInvalidTags and ErrInvalidApprovals
)

// APIError is an answer that is not 2xx. It holds no request, header or query.
type APIError struct {
	StatusCode       int
	Method           string
	Path             string // without query
	Type             string // the server's machine-readable kind of error, if it sent one
	Code             string // the server's code, if it sent one
	Message          string // the server's words; for a page of HTML, its title
	Fields           []FieldError
	Reasons          []string // why the account's limit was reached
	RequestID        string
	RunID            RunID
	PendingRequestID MessageID
	RetryAfter       time.Duration // 0 if the server did not say
	Attempts         int
	Body             []byte // at most 1 MiB
	note             string
	detail           errorBody
}

// refusal is an error of the caller that was found before anything was sent.
type refusal struct{ error }

func (r refusal) Unwrap() error        { return r.error }
func (r refusal) Is(target error) bool { return target == ErrInvalidParams }

// FieldError is one complaint of a 422.
type FieldError struct {
	Field   string // such as body.tags
	Message string
}

func (e *APIError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "letta: %s %s: %d %s", e.Method, e.Path, e.StatusCode, http.StatusText(e.StatusCode))
	if e.Message != "" {
		b.WriteString(": " + oneLine(e.Message))
	}
	for i, f := range e.Fields {
		if i == maxShownFields {
			fmt.Fprintf(&b, "; and %d more", len(e.Fields)-i)
			break
		}
		fmt.Fprintf(&b, "; %s: %s", oneLine(f.Field), oneLine(f.Message))
	}
	var more []string
	if e.RunID != "" {
		more = append(more, "run "+string(e.RunID))
	}
	if e.RequestID != "" {
		more = append(more, "request "+e.RequestID)
	}
	if e.RetryAfter > 0 {
		more = append(more, fmt.Sprintf("retry after %v", e.RetryAfter.Round(time.Millisecond)))
	}
	if e.Attempts > 1 {
		more = append(more, fmt.Sprintf("%d attempts", e.Attempts))
	}
	if len(more) > 0 {
		b.WriteString(" (" + strings.Join(more, ", ") + ")")
	}
	if e.note != "" {
		b.WriteString("; " + e.note)
	}
	return b.String()
}

const maxShownFields = 5

// oneLine makes text fit for a log: 0.16.8 sends whole SQL statements with their parameters.
func oneLine(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if runes := []rune(text); len(runes) > 300 {
		text = string(runes[:300]) + "..."
	}
	return text
}

// Is reports what kind of error it is; see [ErrNotFound] and its neighbours.
func (e *APIError) Is(target error) bool {
	provider, quota := e.detail.provider(), e.detail.quota(e.StatusCode)
	switch target {
	case ErrProvider:
		return provider
	case ErrQuota:
		return quota && !provider
	case ErrBusy:
		return e.StatusCode == http.StatusConflict && e.RunID != "" && e.PendingRequestID == "" || e.Code == "CONVERSATION_BUSY"
	case ErrPendingApproval:
		return e.Code == "PENDING_APPROVAL" || e.StatusCode == http.StatusConflict && waitsForApproval(e.Message)
	case ErrNoActiveRun:
		return e.Code == "NO_ACTIVE_RUNS_TO_CANCEL" || e.StatusCode < 500 && strings.Contains(strings.ToLower(e.Message), "no active run")
	case ErrBadRequest:
		return e.StatusCode == http.StatusBadRequest
	case ErrUnauthorized:
		return e.StatusCode == http.StatusUnauthorized && !provider
	case ErrForbidden:
		return e.StatusCode == http.StatusForbidden && !provider
	case ErrNotFound:
		return e.StatusCode == http.StatusNotFound
	case ErrConflict:
		return e.StatusCode == http.StatusConflict
	case ErrValidation:
		return e.StatusCode == http.StatusUnprocessableEntity
	case ErrRateLimited:
		return e.StatusCode == http.StatusTooManyRequests && !provider && !quota
	case ErrServer:
		return e.StatusCode >= 500
	}
	return false
}

func waitsForApproval(message string) bool { return strings.Contains(message, "waiting for approval") }

func newAPIError(x *exchange, resp *http.Response, body []byte) *APIError {
	d := parseErrorBody(body)
	e := &APIError{
		StatusCode: resp.StatusCode, Method: x.method, Path: x.path,
		Type: d.kind, Code: d.code, Message: d.message, Fields: d.fields, Reasons: d.reasons,
		RunID: d.runID, PendingRequestID: d.pending,
		RequestID: requestID(resp.Header), Attempts: x.attempts, Body: body[:min(len(body), maxErrorSize)], detail: d,
	}
	e.RetryAfter, _ = retryAfter(resp.Header)
	if d.html {
		e.Message = htmlMessage(resp, body)
	}
	if e.StatusCode == http.StatusUnauthorized && !d.provider() {
		e.note = x.authNote()
	}
	return e
}

// authNote tells what was sent to a server that answered 401, without its value.
func (x *exchange) authNote() string {
	switch {
	case x.header.Get("X-BARE-PASSWORD") != "":
		return "the password was sent as Authorization and X-BARE-PASSWORD"
	case x.header.Get("Authorization") != "":
		return "a key was sent as Authorization"
	case x.core.keyNote != "":
		return x.core.keyNote
	}
	return "no key was sent: pass WithAPIKey or WithPassword"
}

// errorBody is what the bodies of errors say, in any of the server's forms: {"detail": text, object or list},
// {"error": {type, message, detail}}, {"error": text, "errorCode"}, {"message"}, or a proxy's page.
type errorBody struct {
	message, kind, code string
	fields              []FieldError
	reasons             []string
	runID               RunID
	pending             MessageID
	html                bool
}

// quotaReasons are those of Letta Cloud that waiting does not help against.
var quotaReasons = regexp.MustCompile(`exceeded|not-enough-credits|model-unknown|not-available|not-supported`)

func (d errorBody) quota(status int) bool {
	return status == http.StatusPaymentRequired || status == http.StatusTooManyRequests && slices.ContainsFunc(d.reasons, quotaReasons.MatchString)
}

// provider reports whether the failure is that of the model's provider: 0.16.8 names it llm_...
func (d errorBody) provider() bool { return strings.HasPrefix(d.kind, "llm_") }

func parseErrorBody(body []byte) errorBody {
	var d errorBody
	trimmed := bytes.TrimSpace(body)
	if len(trimmed) == 0 {
		return d
	}
	var top map[string]json.RawMessage
	switch {
	case unmarshal(trimmed, &top) == nil:
		d.read(top)
	case bytes.ContainsRune(trimmed, '<'):
		d.html = true
	default:
		d.message = string(trimmed)
	}
	return d
}

func (d *errorBody) read(object map[string]json.RawMessage) {
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
		if unmarshal(object[name], &inner) == nil && inner != nil {
			d.read(inner)
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
	keep(&d.message, message)
	keep(&d.kind, text("type", "error_type"))
	keep(&d.code, text("code", "errorCode"))
	if d.runID == "" {
		d.runID = RunID(text("run_id"))
	}
	if d.pending == "" {
		d.pending = MessageID(text("pending_request_id"))
	}
	var reasons []string
	if unmarshal(object["reasons"], &reasons) == nil {
		d.reasons = append(d.reasons, reasons...)
	}
	d.readFields(object["detail"])
}

var unquotePython = strings.NewReplacer(`\'`, "'", `\"`, `"`, `\\`, `\`, `\n`, " ")

// printedComplaint is one entry of the Python list that 0.16.8 prints as the detail of a 422.
var printedComplaint = regexp.MustCompile(`'loc': \((.*?)\), 'msg': (?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")`)

func (d *errorBody) readFields(detail json.RawMessage) {
	var list []struct {
		Loc []any  `json:"loc"`
		Msg string `json:"msg"`
	}
	if unmarshal(detail, &list) == nil {
		for _, f := range list {
			d.fields = append(d.fields, FieldError{strings.ReplaceAll(strings.Trim(fmt.Sprint(f.Loc), "[]"), " ", "."), f.Msg})
		}
		return
	}
	var printed string
	if unmarshal(detail, &printed) != nil {
		return
	}
	for _, m := range printedComplaint.FindAllStringSubmatch(printed, -1) {
		loc := strings.ReplaceAll(strings.Trim(strings.ReplaceAll(m[1], "'", ""), ", "), ", ", ".")
		d.fields = append(d.fields, FieldError{loc, unquotePython.Replace(m[2] + m[3])})
	}
	if len(d.fields) > 0 {
		d.message = "" // it was the list
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

// DecodeError is a 2xx answer that cannot be read. The request was carried out.
type DecodeError struct {
	Method     string
	Path       string
	StatusCode int
	Hint       string
	Body       []byte // at most 1 MiB
	Err        error
}

func (e *DecodeError) Error() string {
	text := fmt.Sprintf("letta: %s %s: the answer %d cannot be read: %v", e.Method, e.Path, e.StatusCode, e.Err)
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	return text
}

func (e *DecodeError) Unwrap() error { return e.Err }

func newDecodeError(x *exchange, resp *http.Response, body []byte, err error) *DecodeError {
	e := &DecodeError{Method: x.method, Path: x.path, StatusCode: resp.StatusCode, Err: err, Body: body[:min(len(body), maxErrorSize)]}
	if kind := resp.Header.Get("Content-Type"); kind != "" && !strings.Contains(kind, "json") {
		e.Hint = "it is " + kind + ": is the base URL that of a Letta server?"
	}
	return e
}

// RedirectError is an answer 3xx. Redirects are not followed: they would carry the key and the body to an address
// that nobody chose.
type RedirectError struct {
	Method     string
	Path       string
	StatusCode int
	To         string // without user info and query
}

func (e *RedirectError) Error() string {
	return fmt.Sprintf("letta: %s %s: the server redirects (%d) to %q, which is not followed: check the base URL, its http or https and its path", e.Method, e.Path, e.StatusCode, e.To)
}

func newRedirectError(x *exchange, resp *http.Response) *RedirectError {
	e := &RedirectError{Method: x.method, Path: x.path, StatusCode: resp.StatusCode}
	if to, err := url.Parse(x.location); err == nil {
		to.User, to.RawQuery, to.Fragment = nil, "", ""
		e.To = to.String()
	}
	return e
}

// hasField reports whether data is a JSON object with a field.
func hasField(data []byte, name string) bool {
	var top map[string]json.RawMessage
	return unmarshal(data, &top) == nil && top[name] != nil
}
