package letta

import (
	"bytes"
	"context"
	"fmt"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"

	"github.com/letta-go/letta/internal/sse"
)

// The frames of a turn, read from the server, and how they end.

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
	idle      func(context.Context, *settings) bool             // reports whether no turn of the thread goes on
	patience  time.Duration                                     // of the one who leaves, for a cancelled turn to end

	caller  context.Context
	life    context.Context // of the client when the turn began
	ctx     context.Context // of every connection; outlives the caller's, to see a cancelled turn end
	stop    context.CancelCauseFunc
	left    context.Context // ends with the first ending
	leave   context.CancelCauseFunc
	unwatch func() bool // of the caller's context
	ended   atomic.Pointer[ending]

	settling  atomic.Bool
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
	t.caller, t.life = ctx, t.core.life.now()
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
	if t.caller.Err() != nil { // nothing may come for long that would wake the loop
		return frame{}, t.end(endContext, t.fails(contextError(t.caller)))
	}
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
				t.glance(event.Name, event.Data)
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
