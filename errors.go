package letta

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
)

// Kinds of errors, to compare with by errors.Is. An [*APIError] and a [*StreamError] match those of what the server said.
var (
	// The status of an answer.
	ErrBadRequest   = errors.New("bad request")       // 400
	ErrUnauthorized = errors.New("unauthorized")      // 401: check the key; a model provider's 401 is ErrProvider
	ErrForbidden    = errors.New("forbidden")         // 403
	ErrNotFound     = errors.New("not found")         // 404
	ErrConflict     = errors.New("conflict")          // 409
	ErrValidation   = errors.New("invalid request")   // 422: APIError.Fields names the fields
	ErrRateLimited  = errors.New("too many requests") // 429 that waiting helps against: APIError.RetryAfter says how long
	ErrServer       = errors.New("server error")      // 5xx

	// What it means.

	// ErrQuota is a limit of the account, which waiting does not help against: 402, and 429 with such a reason.
	ErrQuota = errors.New("limit of the account")
	// ErrProvider is a failure of the model's provider, whatever its status. Whether a second turn helps is the provider's
	// business; the turn that failed was not answered.
	ErrProvider = errors.New("the model provider failed")
	// ErrBusy says that another turn of the agent or conversation is under way; APIError.RunID names its run, unless that has
	// only just begun. Wait for it with Runs.Wait, cancel it, or serialise turns with WithTurnLock.
	ErrBusy = errors.New("another turn is under way")
	// ErrPendingApproval says that tool calls of the agent wait for an answer. Give it with Respond or DenyAll.
	ErrPendingApproval = errors.New("the agent waits for an approval")
	// ErrNoActiveRun says that there is nothing to cancel or to resume.
	ErrNoActiveRun = errors.New("no active run")
	// ErrRetired says that the server no longer has the operation. Its method's documentation says what to use instead.
	ErrRetired = errors.New("the server no longer has this operation")

	// What this package found by itself.

	// ErrInvalidArgument is a mistake in the call, found before anything was sent. ErrInvalidTags is such a mistake, and so is
	// ErrInvalidApprovals, for which Respond has asked the server what waits.
	ErrInvalidArgument = errors.New("invalid argument")
	// ErrInvalidTags is a blank tag, or an empty list of tags where a server would take it for no filter.
	ErrInvalidTags = errors.New("invalid tags")
	// ErrNotSent says that the server was not reached, or that the context ended first. Nothing was sent: the same call can
	// be made again.
	ErrNotSent = errors.New("nothing was sent")
	// ErrPageLoop says that the server sent a page of a list again: it ignores the cursor, as Letta 0.6.12 does, or the row
	// that the cursor names is gone. There may be more rows than were yielded.
	ErrPageLoop = errors.New("the server repeats a page of the list")
)

// APIError is an answer that is not 2xx. It holds no request, header or query.
type APIError struct {
	StatusCode       int
	Operation        string // such as agents.create
	Method           string
	Path             string // without the query
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

	subject string
	advice  string
}

// FieldError is one complaint of a 422.
type FieldError struct {
	Field   string // such as body.tags
	Message string
}

func (e *APIError) Error() string {
	const maxShownFields = 5
	var b strings.Builder
	b.WriteString("letta: ")
	// One made by hand, in a test, may lack any of these.
	if subject := cmp.Or(e.subject, strings.TrimSpace(e.Method+" "+e.Path), e.Operation); subject != "" {
		b.WriteString(subject + ": ")
	}
	b.WriteString(strings.TrimSpace(fmt.Sprintf("%d %s", e.StatusCode, http.StatusText(e.StatusCode))))
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
		more = append(more, "run "+oneLine(string(e.RunID)))
	}
	if e.RequestID != "" {
		more = append(more, "request "+oneLine(e.RequestID))
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
	if e.advice != "" {
		b.WriteString("; " + e.advice)
	}
	return b.String()
}

// Is reports what kind of error it is: compare with [ErrNotFound] and the other kinds of errors.
func (e *APIError) Is(target error) bool {
	return problem{
		status: e.StatusCode, kind: e.Type, code: e.Code, message: e.Message, reasons: e.Reasons, runID: e.RunID, pending: e.PendingRequestID,
	}.is(target)
}

func (c *call) apiError() *APIError {
	resp, body, p := c.attempt.Response, c.attempt.Body, c.problem
	e := &APIError{
		StatusCode: resp.StatusCode, Operation: c.op.Name, Method: c.op.Method, Path: c.path,
		Type: p.kind, Code: p.code, Message: p.message, Fields: p.fields, Reasons: p.reasons,
		RunID: p.runID, PendingRequestID: p.pending,
		RequestID: requestID(resp.Header), Attempts: c.attempts, Body: bytes.Clone(body[:min(len(body), maxErrorSize)]), subject: c.subject(),
	}
	e.RetryAfter, _ = retryAfter(resp.Header)
	if p.html {
		e.Message = htmlMessage(resp, body)
	}
	switch {
	case p.is(ErrUnauthorized):
		e.advice = c.authAdvice()
	case p.is(ErrPendingApproval):
		e.advice = "answer it with Respond or DenyAll"
	case p.is(ErrBusy) && p.runID != "":
		e.advice = "wait for the run with Runs.Wait, or cancel it"
	}
	return e
}

// authAdvice tells what was sent to a server that answered 401, without its value.
func (c *call) authAdvice() string {
	switch {
	case c.header.Get("X-BARE-PASSWORD") != "":
		return "the password was sent as Authorization and X-BARE-PASSWORD: check it"
	case c.header.Get("Authorization") != "":
		return "a key was sent as Authorization: check it"
	case c.core.keyNote != "":
		return c.core.keyNote
	}
	return "no key was sent: pass WithAPIKey or WithPassword"
}

// DecodeError is a 2xx answer that cannot be read. The request was carried out.
type DecodeError struct {
	Operation  string // such as agents.create
	Method     string
	Path       string
	StatusCode int
	Hint       string
	Body       []byte // at most 1 MiB
	Err        error

	subject string
}

func (e *DecodeError) Error() string {
	text := fmt.Sprintf("letta: %s: the answer %d cannot be read: %v", e.subject, e.StatusCode, e.Err)
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	return text
}

func (e *DecodeError) Unwrap() error { return e.Err }

func (c *call) decodeError(err error) *DecodeError {
	e := &DecodeError{Operation: c.op.Name, Method: c.op.Method, Path: c.path, StatusCode: http.StatusOK, Err: err, subject: c.subject()}
	body := c.attempt.Body
	e.Body = bytes.Clone(body[:min(len(body), maxErrorSize)])
	if resp := c.attempt.Response; resp != nil {
		e.StatusCode = resp.StatusCode
		if kind := resp.Header.Get("Content-Type"); kind != "" && !strings.Contains(kind, "json") {
			e.Hint = "it is " + oneLine(kind) + ": is the base URL that of a Letta server?"
		}
	}
	return e
}

// RedirectError is an answer 3xx. Redirects are not followed: they would carry the key and the body to an address that
// nobody chose.
type RedirectError struct {
	Operation  string // such as agents.create
	Method     string
	Path       string
	StatusCode int
	To         string // without user info and query

	subject string
}

func (e *RedirectError) Error() string {
	return fmt.Sprintf("letta: %s: the server redirects (%d) to %q, which is not followed: check the base URL, its http or https and its path", e.subject, e.StatusCode, e.To)
}

func (c *call) redirectError() *RedirectError {
	e := &RedirectError{Operation: c.op.Name, Method: c.op.Method, Path: c.path, StatusCode: c.attempt.Response.StatusCode, subject: c.subject()}
	if to, err := url.Parse(c.attempt.Location); err == nil {
		to.User, to.RawQuery, to.Fragment = nil, "", ""
		e.To = to.String()
	}
	return e
}

// argumentError is a mistake in the call. Nothing was sent.
type argumentError struct{ error }

func (e argumentError) Unwrap() error        { return e.error }
func (e argumentError) Is(target error) bool { return target == ErrInvalidArgument }

// invalid is a mistake in the call, found before anything was sent.
func invalid(subject, format string, args ...any) error {
	return argumentError{fail(subject, format, args...)}
}

// notSent is a failure that is not the call's fault, before anything was sent.
func notSent(subject string, err error) error { return fail(subject, "%w: %w", ErrNotSent, err) }

// failure is any error of an operation.
type failure struct{ error }

func (e failure) Unwrap() error { return e.error }

// fail is any other error of an operation.
func fail(subject, format string, args ...any) error {
	return failure{fmt.Errorf("letta: "+strings.ReplaceAll(subject, "%", "%%")+": "+format, args...)}
}

// laterError is the failure of a later request of a call: its text and its kind stay, but something had been sent before it.
type laterError struct{ err error }

func (e laterError) Error() string { return e.err.Error() }

func (e laterError) Is(target error) bool {
	return target != ErrNotSent && target != ErrInvalidArgument && errors.Is(e.err, target)
}
func (e laterError) As(target any) bool { return errors.As(e.err, target) }

func later(err error) error {
	if err == nil {
		return nil
	}
	return laterError{err}
}

// HTTPStatus is what a web handler should answer its own user when a call failed with err:
//
//   - 200 for nil
//   - 400 for what the server or this package calls invalid
//   - 404 for ErrNotFound, but for a 404 that Agents.Create or Agents.List got, also within Ensure and Find: that is 502,
//     because the server lacks a model or tool that your program names, or is no Letta server
//   - 413 and 415 for an upload that is too large, or of a type that Letta does not take
//   - 409 for what is not possible now: ErrBusy, ErrPendingApproval, ErrNothingPending and their kind
//   - 499 for a context that was cancelled, as by a browser that left; nobody reads that answer, and http.StatusText has no
//     text for it, so that a handler writes the status alone, or only logs it
//   - 503 for what may be tried later: ErrRateLimited, ErrQuota, ErrNotSent
//   - 504 for a timeout
//   - 502 for any other failure of Letta, or on the way to it
//   - 500 for errors that are not of this package
func HTTPStatus(err error) int {
	const clientClosedRequest = 499 // nginx's
	var (
		api      *APIError
		stream   *StreamError
		decode   *DecodeError
		redirect *RedirectError
		broken   failure // a connection, for example
	)
	is := func(targets ...error) bool {
		for _, target := range targets {
			if errors.Is(err, target) {
				return true
			}
		}
		return false
	}
	switch {
	case err == nil:
		return http.StatusOK
	case is(context.Canceled, ErrStreamClosed):
		return clientClosedRequest
	case is(context.DeadlineExceeded, ErrStreamIdle):
		return http.StatusGatewayTimeout
	case is(ErrProvider, ErrStreamTruncated, ErrStreamGap): // whatever became of the resume
		return http.StatusBadGateway
	case is(ErrBusy, ErrPendingApproval, ErrNothingPending, ErrNoActiveRun, ErrInvalidApprovals, ErrConflict):
		return http.StatusConflict
	case is(ErrNotFound) && !(errors.As(err, &api) && (api.Operation == "agents.create" || api.Operation == "agents.list")):
		return http.StatusNotFound
	case is(ErrInvalidArgument, ErrInvalidTags, ErrValidation, ErrBadRequest):
		return http.StatusBadRequest
	case errors.As(err, &api) && (api.StatusCode == http.StatusRequestEntityTooLarge || api.StatusCode == http.StatusUnsupportedMediaType):
		return api.StatusCode // of an upload
	case is(ErrRateLimited, ErrNotSent, ErrQuota), errors.As(err, &api) && api.StatusCode == http.StatusServiceUnavailable:
		return http.StatusServiceUnavailable
	case errors.As(err, &api), errors.As(err, &stream), errors.As(err, &decode), errors.As(err, &redirect), errors.As(err, &broken), is(ErrPageLoop, ErrTooManyRounds):
		return http.StatusBadGateway
	}
	return http.StatusInternalServerError
}

// oneLine makes text fit for a log: Letta 0.16.8 sends whole SQL statements with their parameters.
func oneLine(text string) string {
	const most = 300 // runes
	text = text[:min(len(text), 8*most)]
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "..."
	}
	return text
}
