// Package attempt sends an HTTP request once and tells what became of it: whether anything can have reached the
// server, and the whole answer. It knows nothing of Letta.
package attempt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
)

// Policy says how to send a request and how much of the answer to read.
type Policy struct {
	// Once is for a request that must not arrive twice: neither net/http nor a transport of the caller can send its body
	// again. Without it, net/http may repeat the request once.
	Once bool
	// Stream leaves the body of a 2xx answer to the caller.
	Stream bool
	// Limit bounds the body of a 2xx answer, in bytes: a longer one is ErrTooLarge. ErrorLimit bounds any other body,
	// whose rest is dropped.
	Limit, ErrorLimit int64
}

// ErrTooLarge is a body beyond Policy.Limit.
var ErrTooLarge = errors.New("the answer is larger than")

var errRepeated = errors.New("no answer came, and the transport was about to send the request once more")

// Attempt is one request and what became of it.
type Attempt struct {
	// Response is nil if no answer came. Its body reads Body; that of a stream is still unread.
	Response *http.Response
	Body     []byte
	// Location is that of a redirect. It is gone from Response, so that net/http does not follow it.
	Location string
	Err      error

	buffer       *bytes.Buffer // of Body
	traced       atomic.Bool   // the transport reports what it does
	wroteHeaders atomic.Bool
	repeated     atomic.Bool  // by net/http
	open         bool         // Response has a body that is still to be read
	body         *trackedBody // nil where the transport is net/http's own, which reports more
}

// NothingSent reports whether the attempt failed before a byte that a server could act on was written. In doubt it says
// no.
func (a *Attempt) NothingSent() bool {
	switch {
	case a.Err == nil, a.wroteHeaders.Load(), a.body != nil && a.body.read.Load():
		return false
	case a.traced.Load():
		return true
	}
	// A transport that reports nothing is believed only for a failed dial, and only if it left the body alone.
	var dial *net.OpError
	return a.body != nil && errors.As(a.Err, &dial) && dial.Op == "dial"
}

// Repeated reports whether net/http sent the request again. The first one may have been carried out.
func (a *Attempt) Repeated() bool { return a.repeated.Load() }

// Send sends r. Whatever happens is in the attempt that it returns.
func Send(transport http.RoundTripper, r *http.Request, policy Policy) *Attempt {
	a := &Attempt{}
	ctx := httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		GetConn:      func(string) { a.traced.Store(true) },
		WroteHeaders: func() { a.wroteHeaders.Store(true) },
	})
	_, own := transport.(*http.Transport)
	if r.Body == nil || !policy.Once {
		guarded, cancel := context.WithCancelCause(ctx)
		defer func() {
			if !a.open { // the body of a stream is still to be read; the context of r ends then
				cancel(nil)
			}
		}()
		ctx = httptrace.WithClientTrace(guarded, a.boundRepeats(cancel, own, policy.Once))
	}
	r = r.WithContext(ctx)
	if policy.Once {
		r.GetBody = nil
	}
	if !own && r.Body != nil {
		a.body = &trackedBody{ReadCloser: r.Body}
		r.Body = a.body
	}
	a.Response, a.Err = transport.RoundTrip(r) //nolint:bodyclose // readBody closes it, or the caller of a stream
	switch {
	case context.Cause(ctx) == errRepeated: //nolint:errorlint // it is the very one, and not the end of the caller's context
		if a.Response != nil && a.Response.Body != nil { // the answer came first, but its body ends with the context
			_ = a.Response.Body.Close()
		}
		a.Response, a.Err = nil, errRepeated
		return a
	case a.Err != nil:
		a.Response = nil
		return a
	case a.Response == nil:
		a.Err = fmt.Errorf("the transport %T returned neither an answer nor an error", transport)
		return a
	}
	resp := a.Response
	if resp.Body == nil {
		resp.Body = http.NoBody
	}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		a.Location = resp.Header.Get("Location")
		resp.Header.Del("Location")
	}
	if policy.Stream && resp.StatusCode >= 200 && resp.StatusCode < 300 {
		a.open = true
		return a
	}
	if a.Err = a.readBody(policy); a.Err != nil {
		a.Response = nil
		return a
	}
	resp.Body = io.NopCloser(bytes.NewReader(a.Body))
	return a
}

// boundRepeats ends the context of a request that net/http repeats too often. It does so by itself after some HTTP/2 resets if
// the request has no body, or can have it again, and without end where a server refuses every stream.
func (a *Attempt) boundRepeats(cancel context.CancelCauseFunc, own, once bool) *httptrace.ClientTrace {
	var repeats atomic.Int32
	switch {
	case once:
	case own:
		repeats.Store(1)
	default:
		repeats.Store(16) // a transport of the caller may send requests of its own with this context, such as for a token
	}
	return &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		switch {
		case !a.wroteHeaders.Load():
		case repeats.Add(-1) < 0:
			cancel(errRepeated)
		default:
			a.repeated.Store(own)
		}
	}}
}

func (a *Attempt) readBody(policy Policy) error {
	resp := a.Response
	defer resp.Body.Close()
	switch {
	case resp.Request != nil && resp.Request.Method == http.MethodHead:
		return nil
	case resp.StatusCode == http.StatusSwitchingProtocols:
		return nil // its body is the connection itself, and no context ends a Read of that
	}
	limit, failed := policy.Limit, resp.StatusCode < 200 || resp.StatusCode >= 300
	if failed {
		limit = policy.ErrorLimit
	} else if resp.ContentLength > limit {
		return tooLarge(limit)
	}
	buffer := buffers.Get().(*bytes.Buffer)
	buffer.Grow(int(min(max(resp.ContentLength, 0), trusted)) + bytes.MinRead)
	a.buffer = buffer
	if droppable(resp, limit) {
		if _, err := io.CopyN(buffer, resp.Body, resp.ContentLength-1); err != nil {
			return err
		}
		if whole, ok := completed(buffer.Bytes()); ok {
			a.Body = whole
			return nil // closing a body before its end makes net/http drop the connection
		}
	}
	_, err := buffer.ReadFrom(io.LimitReader(resp.Body, limit+1-int64(buffer.Len())))
	a.Body = buffer.Bytes()
	if err == nil && int64(len(a.Body)) > limit {
		if a.Body = a.Body[:limit]; !failed {
			err = tooLarge(limit)
		}
	}
	return err
}

// trusted is what we reserve because a server announces it: one that announces more must send it first.
const trusted = 1 << 20

// buffers are those of bodies, for later ones: a buffer that grows anew for each answer costs more than all else here.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// Release returns the memory of Body, for other answers. Nothing may still refer to it.
func (a *Attempt) Release() {
	if a.buffer == nil {
		return
	}
	if a.Response != nil {
		a.Response.Body = http.NoBody // a transport may have kept the response
	}
	if a.buffer.Cap() <= 2*trusted {
		a.buffer.Reset()
		buffers.Put(a.buffer)
	}
	a.buffer, a.Body = nil, nil
}

// droppable reports whether the connection of an answer is better not used again. Letta 0.16.8 closes the connection of a
// 500 without saying so, and the next request on it would fail. Such an answer is JSON of a known length, and JSON can be
// read but for its last byte; what else a proxy sends in front of it is read to the end.
func droppable(resp *http.Response, limit int64) bool {
	return resp.StatusCode >= 500 && resp.ProtoMajor == 1 && resp.ContentLength > 1 && resp.ContentLength <= limit &&
		strings.Contains(resp.Header.Get("Content-Type"), "json")
}

// completed returns JSON that lacks at most its last byte, whole.
func completed(data []byte) ([]byte, bool) {
	if json.Valid(data) {
		return data, true // the last byte can only be white space
	}
	data = append(data, '}')
	return data, json.Valid(data)
}

func tooLarge(limit int64) error { return fmt.Errorf("%w %d MiB", ErrTooLarge, limit>>20) }

// trackedBody notices that somebody reads it.
type trackedBody struct {
	io.ReadCloser
	read atomic.Bool
}

func (b *trackedBody) Read(p []byte) (int, error) {
	b.read.Store(true)
	return b.ReadCloser.Read(p)
}
