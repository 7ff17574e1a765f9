package letta

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"reflect"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// The retry law. GET and HEAD are repeated after a connection error, 408, 429 and 5xx but 501; PUT and DELETE
// too. POST and PATCH only when nothing was sent, or when the server itself says "later" (429 or 503 with
// Retry-After, not from the model's provider). One attempt per turn of an agent: a turn sent twice is paid twice.

const (
	minBackoff    = 500 * time.Millisecond
	maxBackoff    = 8 * time.Second
	maxSpoiled    = 100              // spoiled connections that one call may be given
	maxRetryAfter = 30 * time.Second // a server that asks for more gets its error returned, with RetryAfter set
)

var errTooLarge = errors.New("the answer is larger than")

func tooLarge(limit int64) error { return fmt.Errorf("%w %d MiB", errTooLarge, limit>>20) }

// exchange is one call on its way, over all its attempts.
type exchange struct {
	core   *core
	config *config
	method string
	path   string // escaped, without query
	url    string
	header http.Header
	body   []byte
	turn   bool // see call
	stream bool // a 2xx body is left to the caller

	start    time.Time // of the call
	began    time.Time // of the attempt
	attempts int
	spoiled  int      // connections that could not be written to
	conn     net.Conn // that this attempt got; nil: no byte can have left
	traced   bool     // the transport reports what it does
	sent     bool     // some attempt may have left
	lost     bool     // an earlier attempt may have been carried out
	location string   // of a redirect
	wait     time.Duration
	answer   []byte // the body, read whole
	asked    bool   // check was called for this attempt
	ended    bool   // the body is in answer
}

// run sends the request until there is an answer to return or a reason to stop. The answer's body is in x.answer.
func (x *exchange) run(ctx context.Context) (*http.Response, error) {
	x.start = time.Now()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { x.traced = true },
		GotConn: func(info httptrace.GotConnInfo) { x.conn = info.Conn },
	})
	var body any
	if x.body != nil {
		body = x.body
	}
	request, err := retryablehttp.NewRequestWithContext(ctx, x.method, x.url, body)
	if err != nil {
		return nil, err
	}
	request.Header = x.header
	hc := *x.core.http
	if x.stream {
		hc.Timeout = 0 // it would cut the stream
	}
	if hc.Transport == nil {
		hc.Transport = http.DefaultTransport
	}
	hc.Transport = &attempt{hc.Transport, x}
	loop := retryablehttp.Client{
		HTTPClient: &hc,
		RetryMax:   x.config.maxRetries + maxSpoiled,
		RequestLogHook: func(retryablehttp.Logger, *http.Request, int) {
			x.began, x.conn, x.traced, x.answer, x.asked, x.ended, x.location = time.Now(), nil, false, nil, false, false, ""
		},
		CheckRetry:   x.check,
		Backoff:      func(time.Duration, time.Duration, int, *http.Response) time.Duration { return x.wait },
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	request.SetResponseHandler(x.read)
	return loop.Do(request)
}

// attempt hides two things: redirects from net/http, which would follow them, and fails on those that it cannot
// parse; and CloseIdleConnections from retryablehttp, which calls it on a pool that others may share.
type attempt struct {
	next http.RoundTripper
	x    *exchange
}

func (a *attempt) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := a.next.RoundTrip(r)
	if err == nil && resp.StatusCode >= 300 && resp.StatusCode < 400 {
		a.x.location = resp.Header.Get("Location")
		resp.Header.Del("Location")
	}
	return resp, err
}

// spoiled are connections that nothing can be written to any more; see exchange.read. An attempt that is given one sends
// nothing, whatever net/http calls the error. They are forgotten when net/http has given them up for long.
type spoiled struct {
	mu    sync.Mutex
	since map[net.Conn]time.Time
}

func (s *spoiled) add(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.since == nil {
		s.since = map[net.Conn]time.Time{}
	}
	maps.DeleteFunc(s.since, func(_ net.Conn, t time.Time) bool { return time.Since(t) > 2*time.Minute })
	s.since[conn] = time.Now()
}

func (s *spoiled) has(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.since[conn].IsZero()
}

// read takes the whole body, so that a cut one is seen while the call can still be repeated.
func (x *exchange) read(resp *http.Response) error {
	// 0.16.8 closes the connection of a 500 without saying so. A connection that cannot be written to fails before a byte
	// leaves, and net/http then takes a new one, also for a POST. This must come before the end of the body is read: then
	// the connection is back in the pool, where it is at once if there is no body.
	if x.conn != nil && resp.StatusCode >= 500 && resp.ProtoMajor == 1 && resp.Body != http.NoBody && reflect.TypeOf(x.conn).Comparable() {
		if x.conn.SetWriteDeadline(time.Unix(1, 0)) == nil {
			x.core.spoiled.add(x.conn)
			defer x.conn.Close()
		}
	}
	if x.stream && resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return nil
	}
	defer resp.Body.Close()
	x.ended = true
	limit := x.core.maxResponse
	if resp.StatusCode >= 300 {
		limit = 8 * maxErrorSize // a 422 may hold what was sent
	} else if resp.ContentLength > limit {
		return tooLarge(limit)
	}
	var buffer bytes.Buffer
	if n := resp.ContentLength; n > 0 && n <= limit {
		buffer.Grow(int(n) + bytes.MinRead)
	}
	_, err := buffer.ReadFrom(io.LimitReader(resp.Body, limit+1))
	x.answer = buffer.Bytes()
	if err == nil && int64(len(x.answer)) > limit {
		if x.answer = x.answer[:limit]; resp.StatusCode < 300 {
			err = tooLarge(limit)
		}
	}
	return err
}

// check decides after each attempt. retryablehttp calls it before the body is read and, if that answers no, again
// after: the first time there is nothing to decide yet.
func (x *exchange) check(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if err == nil && !x.ended && (!x.stream || !x.asked) {
		x.asked = true
		return false, nil
	}
	if err != nil && !x.asked && x.conn != nil && x.core.spoiled.has(x.conn) && x.spoiled < maxSpoiled {
		x.spoiled++ // no attempt: nothing could be sent
		x.wait = 0
		return ctx.Err() == nil, nil
	}
	x.attempts++
	x.sent = x.sent || err == nil || !x.nothingSent(err)
	x.log(ctx, resp, err)
	again := ctx.Err() == nil && x.attempts <= x.config.maxRetries && x.repeatable(resp, err) && x.inTime(ctx, resp)
	if again && (err != nil && !x.nothingSent(err) || err == nil && resp.StatusCode != http.StatusTooManyRequests) {
		x.lost = true
	}
	return again, nil
}

func (x *exchange) repeatable(resp *http.Response, err error) bool {
	idempotent := x.method != http.MethodPost && x.method != http.MethodPatch
	var invalid *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &invalid), errors.As(err, &unknown), errors.Is(err, errTooLarge):
		return false
	case err != nil:
		return idempotent || x.nothingSent(err)
	case resp.StatusCode == http.StatusNotImplemented:
		return false
	case resp.StatusCode == http.StatusRequestTimeout, resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode >= 500:
	default:
		return false
	}
	detail := parseErrorBody(x.answer)
	if detail.quota(resp.StatusCode) {
		return false
	}
	if idempotent || x.turn {
		return idempotent
	}
	_, told := retryAfter(resp.Header)
	return told && !detail.provider() && (resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable)
}

// nothingSent reports whether an attempt failed before it had a connection. A transport that does not report
// what it does is believed only for a failed dial.
func (x *exchange) nothingSent(err error) bool {
	if x.traced {
		return x.conn == nil || !x.asked && x.core.spoiled.has(x.conn)
	}
	var dial *net.OpError
	return errors.As(err, &dial) && dial.Op == "dial"
}

// inTime sets the wait before the next attempt, and reports whether it fits.
func (x *exchange) inTime(ctx context.Context, resp *http.Response) bool {
	x.wait = min(maxBackoff, minBackoff<<min(x.attempts-1, 5))
	x.wait = x.wait/2 + rand.N(x.wait/2)
	if resp != nil {
		if after, told := retryAfter(resp.Header); told {
			if after > maxRetryAfter {
				return false
			}
			x.wait = max(after, x.wait/8)
		}
	}
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) > x.wait
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

// fail words an error without an answer. net/http's own text would show the query, which may hold tags.
func (x *exchange) fail(ctx context.Context, err error) error {
	var urlErr *url.Error
	if errors.As(err, &urlErr) {
		err = urlErr.Err
	}
	if cause := context.Cause(ctx); cause != nil && ctx.Err() != nil {
		if err = cause; !errors.Is(err, ctx.Err()) {
			err = fmt.Errorf("%w: %w", ctx.Err(), cause)
		}
	}
	if !x.sent && x.attempts > 0 {
		err = fmt.Errorf("%w: %w", ErrNotSent, err)
	}
	if errors.Is(err, errTooLarge) {
		return &DecodeError{Method: x.method, Path: x.path, StatusCode: http.StatusOK, Err: err}
	}
	if x.attempts > 1 {
		return fmt.Errorf("letta: %s %s: after %d attempts: %w", x.method, x.path, x.attempts, err)
	}
	return fmt.Errorf("letta: %s %s: %w", x.method, x.path, err)
}

func (x *exchange) response(resp *http.Response) Response {
	r := Response{Attempts: x.attempts, Duration: time.Since(x.start)}
	if resp != nil {
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

func (x *exchange) log(ctx context.Context, resp *http.Response, err error) {
	if x.core.logger == nil {
		return
	}
	level := slog.LevelDebug
	attrs := []slog.Attr{
		slog.String("method", x.method), slog.String("path", x.path),
		slog.Int("attempt", x.attempts), slog.Duration("duration", time.Since(x.began)),
	}
	if resp != nil {
		attrs = append(attrs, slog.Int("status", resp.StatusCode))
		if id := requestID(resp.Header); id != "" {
			attrs = append(attrs, slog.String("request_id", id))
		}
	}
	if err != nil || resp.StatusCode >= 400 {
		level = slog.LevelWarn
	}
	if err != nil {
		var urlErr *url.Error
		if errors.As(err, &urlErr) {
			err = urlErr.Err
		}
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	x.core.logger.LogAttrs(ctx, level, "letta request", attrs...)
}
