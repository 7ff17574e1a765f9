package letta

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/letta-go/letta/internal/attempt"
)

const (
	minBackoff    = 500 * time.Millisecond
	maxBackoff    = 8 * time.Second
	maxRetryAfter = 30 * time.Second // a server that asks for more gets its error returned, with RetryAfter set
)

// outcome is what the retry law looks at: what was asked for, and how one attempt ended.
type outcome struct {
	method string
	turn   bool

	status      int  // 0 if no whole answer came
	nothingSent bool // before the attempt failed
	permanent   bool // a failure that comes again, such as a certificate that is not trusted
	toldWhen    bool // the server said when to come back
	provider    bool // the model's provider failed, not the server
	quota       bool // a limit of the account, which waiting does not help against
	spent       bool // the body was read while it was sent, and cannot be read again
}

// retryable is the retry law. GET, HEAD, PUT and DELETE are sent again after a lost connection, 408, 429 and 5xx but 501.
// POST and PATCH are sent again only when nothing was sent, or when the server itself says when to come back: 429 or 503
// with Retry-After that does not come from the model's provider. A turn is sent again only when nothing was sent: a turn
// that arrives twice is paid for twice. An upload is sent again only if its reader was not touched.
func (o outcome) retryable() bool {
	switch {
	case o.permanent, o.quota, o.spent, o.status == http.StatusNotImplemented:
		return false
	case o.status == 0:
		return idempotent(o.method) || o.nothingSent
	case o.status != http.StatusRequestTimeout && o.status != http.StatusTooManyRequests && o.status < 500:
		return false
	case idempotent(o.method) || o.turn:
		return idempotent(o.method)
	}
	return o.toldWhen && !o.provider && (o.status == http.StatusTooManyRequests || o.status == http.StatusServiceUnavailable)
}

// mayBeDone reports whether the server may have carried out what was asked.
func (o outcome) mayBeDone() bool {
	return o.status == 0 && !o.nothingSent || o.status == http.StatusRequestTimeout || o.status >= 500
}

// call is one call of an operation, over all its attempts.
type call struct {
	core    *core
	cfg     *settings
	op      Operation
	ids     []any
	path    string // escaped, without the query
	url     string
	header  http.Header
	body    []byte
	upload  *upload // instead of body
	turn    bool
	stream  bool
	foreign bool

	download bool // the answer is written as it arrives

	out       any  // what the answer is decoded into, nil to drop it
	seen      Call // by the transport
	began     time.Time
	attempts  int
	attempt   *attempt.Attempt // the last one
	problem   problem          // what its body says, if it is an error
	sent      bool             // the server may have seen something of it
	maybeDone bool             // an earlier attempt may have been carried out
	wait      time.Duration    // before the next attempt
}

// subject names the call in errors.
func (c *call) subject() string { return about(c.op.Name, c.ids...) }

// run makes attempts until there is an answer to return, or a reason to stop, which is the error. It decodes the answer,
// unless it is a stream.
func (c *call) run(ctx context.Context) (err error) {
	c.began, c.seen.op = time.Now(), c.op
	defer func() { c.seen.end(err) }()
	err = c.loop(context.WithValue(ctx, callKey{}, &c.seen))
	if c.cfg.response != nil {
		*c.cfg.response = c.response()
	}
	if err != nil {
		return c.transportError(ctx, err)
	}
	if c.stream && c.streaming() {
		return nil
	}
	defer c.attempt.Release()
	return c.decode(c.out)
}

func (c *call) loop(ctx context.Context) error {
	var body any
	switch {
	case c.upload != nil:
		body = func() (io.Reader, error) { return c.upload, nil }
	case c.body != nil:
		body = c.body
	}
	request, err := retryablehttp.NewRequestWithContext(ctx, c.op.Method, c.url, body)
	if err != nil {
		return err
	}
	request.Header = c.header
	if c.upload != nil {
		request.ContentLength = c.upload.size
	}
	hc := *c.core.http
	if c.stream || c.download || c.upload != nil {
		hc.Timeout = 0 // it would cut the stream
	}
	if hc.Transport == nil {
		hc.Transport = http.DefaultTransport
	}
	hc.Transport = &transport{hc.Transport, c}
	loop := retryablehttp.Client{
		HTTPClient:   &hc,
		RetryMax:     c.cfg.maxRetries,
		CheckRetry:   c.check,
		Backoff:      func(time.Duration, time.Duration, int, *http.Response) time.Duration { return c.wait },
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	if hc.Jar != nil { // its cookies are added to the header of each attempt
		request.Header = c.header.Clone()
		loop.PrepareRetry = func(r *http.Request) error {
			r.Header = c.header.Clone()
			return nil
		}
	}
	resp, err := loop.Do(request)
	if err == nil && !c.streaming() {
		_ = resp.Body.Close() // it is in memory; this ends the timer of an http.Client with a Timeout
	}
	return err
}

// streaming reports whether the body of the answer is still to be read.
func (c *call) streaming() bool {
	return (c.stream || c.download) && c.attempt.Response.StatusCode >= 200 && c.attempt.Response.StatusCode < 300
}

// transport makes each round trip of net/http's client an attempt. It also hides CloseIdleConnections from retryablehttp,
// which calls it on a pool that others may share.
type transport struct {
	next http.RoundTripper
	call *call
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	c := t.call
	began := time.Now()
	c.attempt = attempt.Send(t.next, r, attempt.Policy{
		Once: !idempotent(c.op.Method), Stream: c.stream || c.download, Limit: c.core.maxResponse, ErrorLimit: 8 * maxErrorSize, // a 422 may hold what was sent
	})
	c.attempts++
	c.log(r.Context(), time.Since(began))
	return c.attempt.Response, c.attempt.Err
}

func idempotent(method string) bool { return method != http.MethodPost && method != http.MethodPatch }

// check decides after each attempt.
func (c *call) check(ctx context.Context, _ *http.Response, err error) (bool, error) {
	o := c.outcome(err)
	c.sent = c.sent || !o.nothingSent
	again := ctx.Err() == nil && c.attempts <= c.cfg.maxRetries && o.retryable() && c.inTime(ctx)
	if again && o.mayBeDone() {
		c.maybeDone = true
	}
	return again, nil
}

func (c *call) outcome(err error) outcome {
	o := outcome{method: c.op.Method, turn: c.turn, nothingSent: c.attempt == nil || c.attempt.NothingSent(), spent: c.upload.spent()}
	if err != nil {
		var untrusted *tls.CertificateVerificationError
		var unknown x509.UnknownAuthorityError
		o.permanent = errors.As(err, &untrusted) || errors.As(err, &unknown) || errors.Is(err, attempt.ErrTooLarge)
		return o
	}
	resp := c.attempt.Response
	o.status, c.problem = resp.StatusCode, problem{status: resp.StatusCode}
	if o.status >= 400 {
		c.problem = parseProblem(o.status, c.attempt.Body)
		_, o.toldWhen = retryAfter(resp.Header)
		o.provider, o.quota = c.problem.provider(), c.problem.quota()
	}
	return o
}

// inTime sets the wait before the next attempt, and reports whether it fits.
func (c *call) inTime(ctx context.Context) bool {
	c.wait = backoff(c.attempts)
	if resp := c.attempt.Response; resp != nil {
		if after, told := retryAfter(resp.Header); told {
			if after > maxRetryAfter {
				return false
			}
			c.wait = max(after, c.wait/8)
		}
	}
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) > c.wait
}

// backoff is the wait after the nth failure in a row, jittered.
func backoff(n int) time.Duration {
	wait := min(maxBackoff, minBackoff<<min(max(n-1, 0), 5))
	return wait/2 + rand.N(wait/2)
}

// retryAfter reads Retry-After, in seconds or as a date, and Retry-After-Ms.
func retryAfter(header http.Header) (time.Duration, bool) {
	if ms, err := strconv.ParseFloat(header.Get("Retry-After-Ms"), 64); err == nil && ms >= 0 {
		return time.Duration(min(ms, 1e12) * float64(time.Millisecond)), true
	}
	value := header.Get("Retry-After")
	if s, err := strconv.ParseFloat(value, 64); err == nil && s >= 0 {
		return time.Duration(min(s, 1e9) * float64(time.Second)), true
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(0, time.Until(date)), true
	}
	return 0, false
}

// transportError words an error without an answer. net/http's own text would show the query, which may hold tags.
func (c *call) transportError(ctx context.Context, err error) error {
	err = withoutURL(err)
	if ctx.Err() != nil {
		err = contextError(ctx)
	}
	if errors.Is(err, attempt.ErrTooLarge) {
		return c.decodeError(err)
	}
	if c.attempts > 1 {
		err = fmt.Errorf("after %d attempts: %w", c.attempts, err)
	}
	switch {
	case !c.sent:
		return notSent(c.subject(), err)
	case !idempotent(c.op.Method):
		return fail(c.subject(), "%w (the request may have reached the server: look before you send it again)", err)
	}
	return fail(c.subject(), "%w", err)
}

// withoutURL is what an http.Client says, without the address: that of ours, and those that a transport is built on.
func withoutURL(err error) error {
	for urlErr := (*url.Error)(nil); errors.As(err, &urlErr); {
		err = urlErr.Err
	}
	return err
}

// contextError is the cause of a context's end, in which the end itself stays visible.
func contextError(ctx context.Context) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, context.Canceled) || errors.Is(cause, context.DeadlineExceeded) || errors.Is(cause, ErrStreamClosed) {
		return cause
	}
	return fmt.Errorf("%w: %w", ctx.Err(), cause)
}

func (c *call) response() Response {
	r := Response{Attempts: c.attempts, Duration: time.Since(c.began)}
	if c.attempt != nil && c.attempt.Response != nil {
		resp := c.attempt.Response
		r.StatusCode, r.Header, r.RequestID = resp.StatusCode, resp.Header, requestID(resp.Header)
	}
	return r
}

func requestID(header http.Header) string {
	for _, name := range []string{"X-Api-Request-Log-Id", "X-Request-Id"} { // Letta Cloud's, and the custom of proxies
		if id := header.Get(name); id != "" {
			return id
		}
	}
	return ""
}

func (c *call) log(ctx context.Context, took time.Duration) {
	if c.core.logger == nil {
		return
	}
	level := slog.LevelDebug
	attrs := []slog.Attr{
		slog.String("operation", c.op.Name), slog.String("method", c.op.Method), slog.String("path", c.path),
		slog.Int("attempt", c.attempts), slog.Duration("duration", took),
	}
	if resp := c.attempt.Response; resp != nil {
		attrs = append(attrs, slog.Int("status", resp.StatusCode))
		if id := requestID(resp.Header); id != "" {
			attrs = append(attrs, slog.String("request_id", id))
		}
		if resp.StatusCode >= 400 {
			level = slog.LevelWarn
		}
	}
	if err := c.attempt.Err; err != nil {
		level = slog.LevelWarn
		err = withoutURL(err)
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	c.core.logger.LogAttrs(ctx, level, "letta request", attrs...)
}
