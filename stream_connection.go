package letta

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/letta-go/letta/internal/sse"
)

const (
	// settleTimeout is how long Close, or leaving the loop, waits for a cancelled turn to end.
	settleTimeout = 5 * time.Second
	// obeyTimeout is how long the lock is held for it. Letta 0.16.8 answers a cancel at once and obeys when the model next says
	// something, half a second later at the earliest; without StreamTokens that is at the end of the step.
	obeyTimeout = time.Minute
	// obeyTime is how long the lock is held when the connection is lost, and cannot tell.
	obeyTime = time.Second

	resumeTimeout = 15 * time.Second // for the headers of a resumed stream
	maxResumes    = 5                // in a row, without a new frame
	drainTime     = 20 * time.Millisecond
)

// turnReader reads the frames of a turn from the server, over one connection or, if it can be resumed, several.
type turnReader struct {
	core      *core
	cfg       *settings
	operation string
	subject   string                                            // the operation and its ids, for errors
	resumable bool                                              // a background run
	attached  bool                                              // to a run that had begun before
	cancel    func(ctx context.Context, run RunID, c *settings) // see WithCancelOnDone; nil if it was not asked for
	unlock    func()                                            // lets the next turn in; nil if there is no lock

	caller  context.Context
	ctx     context.Context // of every connection; outlives the caller's, to see a cancelled turn end
	stop    context.CancelCauseFunc
	left    context.Context // ends with the first ending
	leave   context.CancelCauseFunc
	unwatch func() bool // of the caller's context
	ended   atomic.Pointer[ending]
	settled sync.Once

	cancelled bool // the run, by settle

	reading sync.Mutex // held by the one who reads: the loop, or later the one who sees the turn off
	mu      sync.Mutex // guards conn, which close takes
	conn    *connection

	frames   frameDecoder
	run      atomic.Value // RunID
	seq      atomic.Int64
	over     atomic.Bool // the server has ended the turn
	sequence sequence

	// What next knows of the turn.
	reason    StopReason
	failure   *StreamError // that the server reported
	warnings  []*StreamError
	usage     bool // was seen
	askedFor  bool // usage, after a cut
	fruitless int  // resumes since the last new frame
	runEnded  bool // the server said so, when only pings came
}

// start sends the request whose answer is the stream.
func (t *turnReader) start(ctx context.Context, r request) error {
	switch {
	case ctx == nil:
		return invalid(t.subject, "the context is nil")
	case ctx.Err() != nil:
		return notSent(t.subject, contextError(ctx))
	}
	t.caller = ctx
	t.ctx, t.stop = context.WithCancelCause(context.WithoutCancel(ctx))
	t.left, t.leave = context.WithCancelCause(t.ctx)
	var sent atomic.Bool
	unwatch := context.AfterFunc(ctx, func() {
		if t.cancel == nil || !sent.Load() {
			t.leave(contextError(ctx))
			return
		}
		// The run cannot be cancelled before the server has named it, which it does at once: wait for that a little.
		time.AfterFunc(settleTimeout, func() { t.leave(contextError(ctx)) })
	})
	traced := httptrace.WithClientTrace(t.ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }})
	conn, err := t.core.connect(traced, t.left, r, t.cfg)
	watching := unwatch()
	if err != nil {
		t.stop(nil)
		return err
	}
	t.conn = conn
	if !watching {
		t.end(endContext, t.fails(contextError(ctx)))
		t.settle()
		return fail(t.subject, "%w (the request may have reached the server: look before you send it again)", contextError(ctx))
	}
	t.unwatch = context.AfterFunc(ctx, func() {
		t.end(endContext, t.fails(contextError(ctx)))
		t.settle()
	})
	return nil
}

func (t *turnReader) runID() RunID {
	id, _ := t.run.Load().(RunID)
	return id
}

func (t *turnReader) lastSeq() int { return int(t.seq.Load()) }

func (t *turnReader) named(id RunID) {
	if id != "" && id != t.runID() {
		t.run.Store(id)
	}
}

func (t *turnReader) close() {
	t.end(endClosed, t.fails(ErrStreamClosed))
	t.settle()
}

// fails is the error of a stream that ended by err.
func (t *turnReader) fails(err error) *StreamError {
	return &StreamError{Operation: t.operation, RunID: t.runID(), LastSeq: t.lastSeq(), Err: err, subject: t.subject}
}

// end sets how the stream ended, unless it has ended already, and returns how it did.
func (t *turnReader) end(how end, err *StreamError) *ending {
	e := &ending{how: how, warnings: t.warningsOf(how)}
	if err != nil {
		e.err = err
	}
	if t.ended.CompareAndSwap(nil, e) {
		t.leave(ErrStreamClosed)
	}
	return t.ended.Load()
}

// warningsOf a turn that its reader ends; others may end it at the same time, and must not look.
func (t *turnReader) warningsOf(how end) []*StreamError {
	if how == endComplete {
		return t.warnings
	}
	return nil
}

// next returns the next frame to join, or how the stream ended.
func (t *turnReader) next() (frame, *ending) {
	if e := t.ended.Load(); e != nil { // the one who sees the turn off may read for a minute
		return frame{}, e
	}
	t.reading.Lock()
	defer t.reading.Unlock()
	for {
		if e := t.ended.Load(); e != nil {
			return frame{}, e
		}
		event, err := t.conn.events.Next()
		if e := t.ended.Load(); e != nil {
			if err == nil {
				t.glance(event.Data)
			}
			return frame{}, e
		}
		if err == nil {
			f, e, more := t.read(event)
			if !more {
				return f, e
			}
			continue
		}
		if e := t.cut(err); e != nil {
			return frame{}, e
		}
	}
}

// read takes an event. more means that there is nothing to return for it.
func (t *turnReader) read(event sse.Event) (_ frame, _ *ending, more bool) {
	if event.Partial && !isJSON(event.Data) && !isDone(event.Data) {
		return frame{}, nil, true // the end of the body comes next, and is a cut
	}
	if isDone(event.Data) {
		if t.reason == "" && t.failure == nil {
			return frame{}, t.end(endCut, t.fails(fmt.Errorf("%w: the server ended it without a stop reason", ErrStreamTruncated))), false
		}
		t.over.Store(true)
		t.conn.drain()
		return frame{}, t.finished(), false
	}
	kind, message, err := t.frames.decode(event.Data)
	switch {
	case kind == "stop_reason":
		var stop struct {
			StopReason StopReason `json:"stop_reason"`
		}
		if err := unmarshal(event.Data, &stop); err != nil {
			return frame{}, t.unreadable(event.Data, err), false
		}
		t.sequence.take(0)
		t.reason = stop.StopReason
		t.over.Store(true)
		return frame{stopReason: stop.StopReason}, nil, stop.StopReason == ""
	case kind == "usage_statistics":
		f := frame{usage: &LettaUsageStatistics{}}
		if err := unmarshal(event.Data, f.usage); err != nil {
			return frame{}, t.unreadable(event.Data, err), false
		}
		t.sequence.take(0)
		t.usage = true
		return f, nil, false
	case kind == "error_message", event.Name == "error", kind == "" && hasField(event.Data, "error"):
		t.sequence.take(0)
		t.reported(event.Data)
		return frame{}, nil, true
	case kind == "" && event.Name != "":
		t.sequence.take(0)
		return frame{}, nil, true // such as cancelled; a stop reason follows
	}
	if err != nil {
		return frame{}, t.unreadable(event.Data, err), false
	}
	return t.message(message)
}

// message takes an event that is a message or a ping.
func (t *turnReader) message(message Message) (_ frame, _ *ending, more bool) {
	common := message.Common()
	if run := t.runID(); common.RunID != "" && common.RunID != run {
		if run != "" {
			t.sequence = sequence{} // another run counts anew
			t.seq.Store(0)
		}
		t.run.Store(common.RunID)
	}
	_, ping := message.(*Ping)
	if ping && common.SeqID <= 0 {
		return frame{message: message}, t.onlyPings(), false
	}
	expected := t.sequence.last + 1
	switch t.sequence.take(common.SeqID) {
	case seqMissing:
		return frame{}, t.end(endGap, t.fails(fmt.Errorf("%w: the number after %d is %d", ErrStreamGap, expected-1, common.SeqID))), false
	case seqKnown:
		return frame{}, nil, true
	case seqRepeated:
		if ping { // a sign of life between two frames has the number of the first
			return frame{message: message}, t.onlyPings(), false
		}
	case seqNew:
		t.seq.Store(int64(t.sequence.last))
		t.fruitless, t.runEnded = 0, false
	}
	return frame{message: message}, nil, false
}

// onlyPings ends the stream of a run that has ended and has nothing more to say: Letta 0.16.8 sends pings for half an hour to
// one who asks for what comes after the last number.
func (t *turnReader) onlyPings() *ending {
	run := t.runID()
	if !t.attached || run == "" || t.reason != "" || t.failure != nil {
		return nil
	}
	if t.runEnded { // since the last ping
		return t.end(endCut, t.fails(fmt.Errorf("%w: the run has ended, and the server has nothing after number %d", ErrStreamTruncated, t.sequence.last)))
	}
	ctx, cancel := context.WithTimeout(t.left, settleTimeout)
	defer cancel()
	state, err := do[*Run](ctx, t.core, retrieveRun(run), []RequestOption{t.cfg.followUp()})
	t.runEnded = err == nil && state.Ended()
	return nil
}

func isDone(data []byte) bool { return string(bytes.TrimSpace(data)) == "[DONE]" }

func (t *turnReader) unreadable(data []byte, err error) *ending {
	return t.end(endUnreadable, t.fails(fmt.Errorf("an event cannot be read: %w: %q", err, data[:min(len(data), 200)])))
}

// reported keeps a failure that the server sent as an event; [DONE] follows. After a good stop reason it is a warning.
func (t *turnReader) reported(data []byte) {
	t.over.Store(true)
	body := parseProblem(0, data)
	t.named(body.runID)
	e := t.fails(nil)
	e.Type, e.Message, e.Detail = body.kind, stringField(data, "message"), stringField(data, "detail")
	if e.Type == "" {
		e.Type = body.code
	}
	if e.Message == "" {
		e.Message = body.message
	}
	switch {
	case t.wentWell():
		t.warnings = append(t.warnings, e)
	case t.failure == nil:
		t.failure = e // of two, the first has the words
	}
}

func (t *turnReader) wentWell() bool {
	turn := Turn{StopReason: t.reason}
	return turn.Complete()
}

// finished is how a turn ended that the server has ended: well, by a failure that it reported, or with a bad stop reason.
func (t *turnReader) finished() *ending {
	switch {
	case t.failure != nil:
		return t.end(endFailed, t.failure)
	case !t.wentWell():
		e := t.fails(nil)
		e.Type, e.Message = string(t.reason), "the turn ended with this stop reason"
		return t.end(endFailed, e)
	}
	return t.end(endComplete, nil)
}

// cut handles the end of a connection without [DONE]. It returns nil if there is more to read.
func (t *turnReader) cut(err error) *ending {
	if t.failure != nil || t.reason != "" {
		// A cancelled turn ends without usage and [DONE].
		if !t.usage && t.failure == nil && t.wentWell() && t.reason != StopReasonCancelled {
			if t.resumable && t.runID() != "" && !t.askedFor {
				t.askedFor = true
				if t.resume(t.fails(err)) == nil {
					return nil
				}
				if e := t.ended.Load(); e != nil {
					return e
				}
			}
			missing := t.fails(ErrStreamTruncated)
			missing.Message = "the usage of the turn is missing"
			t.warnings = append(t.warnings, missing)
		}
		return t.finished()
	}
	how, failure := endCut, t.fails(ErrStreamTruncated)
	switch cause := context.Cause(t.conn.ctx); {
	case errors.Is(cause, ErrStreamIdle):
		how, failure.Err = endSilent, cause
	case errors.Is(err, sse.ErrTooLarge):
		return t.end(endUnreadable, t.fails(err))
	case !errors.Is(err, io.EOF):
		failure.Err = fmt.Errorf("%w: %w", ErrStreamTruncated, err)
	}
	if t.resumable && t.runID() != "" {
		if failure = t.resume(failure); failure == nil {
			return nil
		}
	}
	return t.end(how, failure)
}

// resume goes on with a background run at its last frame. It returns nil if it can, or else failure with the reason why not.
func (t *turnReader) resume(failure *StreamError) *StreamError {
	cfg := t.cfg.followUp()
	if cfg.timeout == 0 || cfg.timeout > resumeTimeout {
		cfg.timeout = resumeTimeout
	}
	for t.fruitless < maxResumes {
		if t.fruitless++; t.fruitless > 1 {
			wait := min(maxBackoff, minBackoff<<(t.fruitless-2))
			if sleep(t.left, wait/2+rand.N(wait/2)) != nil {
				return failure
			}
		}
		conn, err := t.core.connect(t.ctx, t.left, streamRun(t.runID(), t.lastSeq()), cfg)
		var apiErr *APIError
		switch {
		case err == nil:
			t.mu.Lock()
			t.conn.close(nil)
			t.conn = conn
			t.mu.Unlock()
			if t.left.Err() != nil { // whoever ended the stream may have closed the connection before
				conn.close(ErrStreamClosed)
				return failure
			}
			t.sequence.connected()
			t.attached = true
			return nil
		case t.left.Err() != nil:
			return failure
		case errors.As(err, &apiErr) && apiErr.StatusCode < 500 && apiErr.StatusCode != http.StatusTooManyRequests, t.fruitless == maxResumes:
			failure.Err = fmt.Errorf("%w; %w: %w", failure.Err, ErrNotResumable, err)
			return failure
		}
	}
	failure.Err = fmt.Errorf("%w; %w: nothing new in %d attempts", failure.Err, ErrNotResumable, maxResumes)
	return failure
}

// settle does what follows from the ending, once. Others who call it wait for the first.
func (t *turnReader) settle() {
	t.settled.Do(func() {
		if t.unwatch != nil {
			t.unwatch()
		}
		if t.ended.Load().byServer() || t.cancel == nil || t.over.Load() {
			t.letGo()
			return
		}
		t.cancelRun()
		obeyed := make(chan struct{})
		go func() { // the lock may have to be held for longer than the caller can wait
			defer close(obeyed)
			defer t.letGo()
			t.seeOff()
		}()
		timer := time.NewTimer(settleTimeout)
		defer timer.Stop()
		select {
		case <-obeyed:
		case <-timer.C:
		}
	})
}

func (t *turnReader) letGo() {
	cause := ErrStreamClosed
	if e := t.ended.Load(); e != nil && e.err != nil {
		cause = e.err // what a transport sees as the end of its request
	}
	t.stop(cause)
	t.closeConnection()
	if t.unlock != nil {
		t.unlock()
	}
}

func (t *turnReader) closeConnection() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conn.close(ErrStreamClosed)
}

// cancelRun cancels the run, once the server has named it.
func (t *turnReader) cancelRun() {
	run := t.runID()
	if run == "" || t.cancelled || t.over.Load() {
		return
	}
	t.cancelled = true
	ctx, stop := context.WithTimeout(context.WithoutCancel(t.caller), settleTimeout)
	defer stop()
	defer func() { // on a goroutine of ours, a panic of the transport or the token source would end the process
		if p := recover(); p != nil && t.core.logger != nil {
			t.core.logger.LogAttrs(ctx, slog.LevelError, "letta: a run was not cancelled", slog.String("operation", t.operation), slog.Any("panic", p))
		}
	}()
	t.cancel(ctx, run, t.cfg.followUp())
}

// seeOff reads on until the server has ended the turn that its reader has left.
func (t *turnReader) seeOff() {
	limit := settleTimeout
	if t.unlock != nil {
		limit = obeyTimeout
	}
	defer time.AfterFunc(limit, t.closeConnection).Stop() // wakes whoever reads
	t.reading.Lock()                                      // the loop wakes with the next frame
	defer t.reading.Unlock()
	for {
		t.cancelRun() // it may have been named meanwhile
		event, err := t.conn.events.Next()
		switch {
		case err == nil && isDone(event.Data):
			return
		case err == nil:
			t.glance(event.Data)
			continue
		case t.cancelled && t.unlock != nil && !errors.Is(err, io.EOF):
			time.Sleep(obeyTime)
		}
		return
	}
}

// glance learns from an event what is needed to see the turn off.
func (t *turnReader) glance(data []byte) {
	var event struct {
		MessageType string `json:"message_type"`
		RunID       RunID  `json:"run_id"`
	}
	if unmarshal(data, &event) != nil {
		return
	}
	t.named(event.RunID)
	if event.MessageType == "stop_reason" || event.MessageType == "error_message" {
		t.over.Store(true)
	}
}

// sequence follows the numbers of a run's frames. Letta 0.16.8 counts every frame of a background run from 1, but writes no
// number into a stop reason, usage, an error and [DONE]. So a number may be greater than the one before it by one, and by
// one more for each frame without a number in between.
type sequence struct {
	last       int // the greatest number so far
	begin      int // last when the connection began: what is not above it was seen before
	current    int // the last number of this connection
	unnumbered int // frames since then
}

type seqVerdict int

const (
	seqNew seqVerdict = iota // or without a number
	seqKnown
	seqRepeated // has the number of the frame before it
	seqMissing  // there is a gap before it
)

// connected begins another connection, which may send again what was seen before.
func (s *sequence) connected() { *s = sequence{last: s.last, begin: s.last} }

func (s *sequence) take(n int) seqVerdict {
	switch {
	case n <= 0:
		s.unnumbered++
		return seqNew
	case n == s.current:
		if n <= s.begin {
			return seqKnown
		}
		return seqRepeated
	case n <= s.last:
		s.current = n
		return seqKnown
	case n > s.last+1+s.unnumbered:
		return seqMissing
	}
	s.last, s.current, s.unnumbered = n, n, 0
	return seqNew
}

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
