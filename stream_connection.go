package letta

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/letta-go/letta/internal/sse"
)

// An answer that carries events: asked for, read with an idle timeout, closed.

const drainTime = 20 * time.Millisecond

// connection is one answer that carries events.
type connection struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	body   io.Closer
	events *sse.Reader
}

func (c *connection) close(cause error) {
	c.cancel(cause)
	_ = c.body.Close()
}

// drain reads to the end of the body, so that the connection can be used again, unless that end does not come.
func (c *connection) drain() {
	timer := time.AfterFunc(drainTime, func() { c.cancel(ErrStreamClosed) })
	defer timer.Stop()
	_, _ = c.events.Next()
}

// connect sends a request whose answer is a stream. The timeout of the settings bounds the wait for the headers, as does
// the context abort; the idle timeout bounds each wait for bytes after them.
func (c *core) connect(ctx, abort context.Context, r request, cfg *settings) (*connection, error) {
	r.header, r.stream = http.Header{"Accept": {"text/event-stream"}}, true
	ctx, cancel := context.WithCancelCause(ctx)
	defer context.AfterFunc(abort, func() { cancel(context.Cause(abort)) })()
	call, err := c.newCall(ctx, r, cfg)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	headers := afterFunc(cfg.timeout, func() {
		cancel(timeoutError{"no headers", cfg.timeout})
	})
	err = call.run(ctx)
	headers.Stop()
	switch {
	case err != nil:
	case !strings.HasPrefix(strings.ToLower(call.attempt.Response.Header.Get("Content-Type")), "text/event-stream"):
		err = call.decodeError(errors.New("it is no event stream"))
		_ = call.attempt.Response.Body.Close()
	}
	if err != nil {
		cancel(nil)
		return nil, err
	}
	timer := afterFunc(0, func() { cancel(fmt.Errorf("%w: nothing for %v", ErrStreamIdle, cfg.idleTimeout)) })
	body := &idleBody{call.attempt.Response.Body, timer, cfg.idleTimeout}
	return &connection{ctx, cancel, body, sse.NewReader(body, cfg.maxEvent)}, nil
}

// afterFunc is time.AfterFunc, for which 0 means never.
func afterFunc(d time.Duration, f func()) *time.Timer {
	if d <= 0 {
		d = 1<<63 - 1
	}
	return time.AfterFunc(d, f)
}

// idleBody runs the idle timer while a Read waits; not while the caller is busy with what came.
type idleBody struct {
	io.ReadCloser
	timer   *time.Timer
	timeout time.Duration
}

func (b *idleBody) Read(p []byte) (int, error) {
	if b.timeout > 0 {
		b.timer.Reset(b.timeout)
		defer b.timer.Stop()
	}
	return b.ReadCloser.Read(p)
}

func (b *idleBody) Close() error {
	b.timer.Stop()
	return b.ReadCloser.Close()
}
