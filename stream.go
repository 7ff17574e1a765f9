package letta

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/letta-go/letta/internal/sse"
)

const (
	resumeTimeout  = 15 * time.Second // for the headers of a resumed stream
	maxResumes     = 5                // in a row, without a new frame
	drainTime      = 20 * time.Millisecond
	abandonTimeout = 10 * time.Second // for stopping what a caller has left
)

// How a stream fails, inside a [*StreamError].
var (
	ErrStreamTruncated = errors.New("the stream was cut before its end") // what came so far is not the whole answer
	ErrStreamIdle      = errors.New("the stream fell silent")            // not even a ping within the idle timeout
	ErrStreamClosed    = errors.New("the stream was closed")             // by Close
	ErrNotResumable    = errors.New("the run cannot be resumed")         // as well as ErrStreamTruncated or ErrStreamIdle
	ErrEventTooLarge   = sse.ErrTooLarge                                 // see WithMaxEvent
)

// StreamError is the failure of a stream that had begun. What came before it is in Result.
type StreamError struct {
	// Type is the server's error_type, such as llm_rate_limit; of a turn that ended badly without more words, the stop reason.
	Type    string `json:"error_type,omitzero"`
	Message string `json:"message,omitzero"`
	Detail  string `json:"detail,omitzero"`
	RunID   RunID  `json:"run_id,omitzero"` // empty if the stream failed before the server named the run
	LastSeq int    `json:"seq_id,omitzero"` // of the last frame of a background run
	// Err is ErrStreamTruncated, ErrStreamIdle, a context's or a decode error; nil if the server reported the failure.
	Err error `json:"-"`
}

func (e *StreamError) Error() string {
	parts := []string{"letta: stream"}
	if e.RunID != "" {
		parts[0] += " of run " + string(e.RunID)
	}
	for _, part := range []string{e.Type, oneLine(e.Message)} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	return strings.Join(parts, ": ")
}

func (e *StreamError) Unwrap() error { return e.Err }

// Is reports what kind of failure the server reported, as [*APIError] does.
func (e *StreamError) Is(target error) bool {
	return problem{kind: e.Type, message: e.Message + e.Detail}.is(target)
}

// MessageStream is a turn as it happens: range over Events, then ask for the Result. One goroutine reads it; Close may
// be called from any.
type MessageStream struct {
	core    *core
	cfg     *settings
	pings   bool
	resume  func(RunID, int) request     // the call that goes on after a frame of a background run; nil if there is none
	abandon func(context.Context, RunID) // see WithCancelOnDone
	release func()                       // lets the next turn in

	parent    context.Context
	ctx       context.Context
	cancel    context.CancelCauseFunc
	unwatch   func() bool // of the parent's end
	over      atomic.Bool // the server has ended the turn
	abandoned sync.Once
	named     atomic.Value // runID, for Close
	mu        sync.Mutex   // guards conn, which Close takes
	conn      *connection

	frames    frameDecoder
	turn      accumulator
	runID     RunID
	seq       int
	fruitless int  // resumes since the last new frame
	usage     bool // was seen
	lookedUp  bool // usage was asked for after a cut
	ended     bool
	err       error
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

// connect sends a request whose answer is a stream. The timeout of the settings bounds the wait for the headers, the idle
// timeout each wait for bytes after them.
func (c *core) connect(ctx context.Context, r request, cfg *settings) (*connection, error) {
	r.header, r.stream = http.Header{"Accept": {"text/event-stream"}}, true
	call, err := c.newCall(ctx, r, cfg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	headers := afterFunc(cfg.timeout, func() {
		cancel(timeoutError{"no headers", cfg.timeout})
	})
	err = call.run(ctx)
	headers.Stop()
	switch {
	case err != nil:
	case !call.streaming():
		err = call.decode(nil)
	case !strings.HasPrefix(strings.ToLower(call.attempt.Response.Header.Get("Content-Type")), "text/event-stream"):
		err = call.decodeError(errors.New("it is no event stream"))
		_ = call.attempt.Response.Body.Close()
	}
	if err != nil {
		cancel(nil)
		return nil, err
	}
	idle := afterFunc(0, func() { cancel(fmt.Errorf("%w: nothing for %v", ErrStreamIdle, cfg.idleTimeout)) })
	body := &watched{call.attempt.Response.Body, idle, cfg.idleTimeout}
	return &connection{ctx, cancel, body, sse.NewReader(body, cfg.maxEvent)}, nil
}

// afterFunc is time.AfterFunc, for which 0 means never.
func afterFunc(d time.Duration, f func()) *time.Timer {
	if d <= 0 {
		d = 1<<63 - 1
	}
	return time.AfterFunc(d, f)
}

// watched runs a timer while a Read waits; not while the caller is busy with what came.
type watched struct {
	io.ReadCloser
	idle    *time.Timer
	timeout time.Duration
}

func (w *watched) Read(p []byte) (int, error) {
	if w.timeout > 0 {
		w.idle.Reset(w.timeout)
		defer w.idle.Stop()
	}
	return w.ReadCloser.Read(p)
}

func (w *watched) Close() error {
	w.idle.Stop()
	return w.ReadCloser.Close()
}

// start sends op, whose answer is the stream. What else the stream can do is set by the caller before.
func (s *MessageStream) start(ctx context.Context, r request) (*MessageStream, error) {
	if ctx == nil {
		return nil, invalid(about(r.op.Name, r.ids...), "the context is nil")
	}
	s.parent = ctx
	s.ctx, s.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	stop := func() { s.cancel(contextError(ctx)) }
	if s.abandon != nil {
		// The run cannot be stopped before the server has named it, which it does at once: wait for that a little.
		stop = func() { time.AfterFunc(abandonTimeout, func() { s.cancel(contextError(ctx)) }) }
	}
	unwatch := context.AfterFunc(ctx, stop)
	conn, err := s.core.connect(s.ctx, r, s.cfg)
	if err != nil {
		unwatch()
		s.cancel(nil)
		return nil, err
	}
	s.conn = conn
	if unwatch() {
		s.unwatch = context.AfterFunc(ctx, func() {
			s.cancel(contextError(ctx))
			s.shut()
		})
		return s, nil
	}
	for s.runID == "" && !s.over.Load() {
		event, err := conn.events.Next()
		if err == nil {
			_, err = s.handle(event)
		}
		if err != nil {
			break
		}
	}
	_ = s.Close()
	return nil, fail(about(r.op.Name, r.ids...), "%w", contextError(ctx))
}

// Events yields the messages of the turn; in a stream of tokens, pieces of them. It ends after the last, or with one
// error. Leaving the loop closes the stream. What the server says besides, such as stop reason and usage, is in
// Result.
func (s *MessageStream) Events() iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		defer s.Close()
		for {
			switch message, err := s.next(); {
			case err != nil:
				yield(nil, err)
				return
			case message == nil || !yield(message, nil):
				return
			}
		}
	}
}

// Collect reads the stream to its end. With an error, the turn holds what came before it.
func (s *MessageStream) Collect() (*Turn, error) {
	for _, err := range s.Events() {
		if err != nil {
			return s.Result(), err
		}
	}
	return s.Result(), nil
}

// Result is the turn as far as it was read, with the pieces of a stream of tokens joined. It is whole if Events ended
// without an error.
func (s *MessageStream) Result() *Turn { return s.turn.result() }

// RunID is the run of the turn; the server names it in its first event.
func (s *MessageStream) RunID() RunID { return s.runID }

// LastSeq is the sequence number of the last frame of a background run, for Runs.Stream.
func (s *MessageStream) LastSeq() int { return s.seq }

// Close ends the reading at once. The turn goes on at the server, unless WithCancelOnDone stops it. Events does it by
// itself; for a stream that may not be read, defer it.
func (s *MessageStream) Close() error {
	if s.unwatch != nil {
		s.unwatch()
	}
	s.shut()
	return nil
}

// shut may run beside itself: the first lets go of everything, the others wait for it.
func (s *MessageStream) shut() {
	s.cancel(ErrStreamClosed)
	s.mu.Lock()
	if s.conn != nil {
		s.conn.close(ErrStreamClosed)
	}
	s.mu.Unlock()
	s.abandoned.Do(func() {
		if run, named := s.named.Load().(RunID); s.abandon != nil && named && !s.over.Load() {
			s.abandon(context.WithoutCancel(s.parent), run)
		}
		if s.release != nil {
			s.release()
		}
	})
}

// next returns the next message to show, nil at the end.
func (s *MessageStream) next() (Message, error) {
	for !s.ended {
		if s.ctx.Err() != nil {
			return nil, s.end(s.failure(contextError(s.ctx)))
		}
		event, err := s.conn.events.Next()
		if err == nil && string(bytes.TrimSpace(event.Data)) == "[DONE]" {
			s.over.Store(true)
			s.drain()
			return nil, s.end(s.turn.ending(s))
		}
		var message Message
		if err == nil {
			if message, err = s.handle(event); err == nil && message != nil {
				return message, nil
			}
			if err != nil && !event.Partial {
				return nil, s.end(err)
			}
		}
		if err == nil {
			continue
		}
		if err = s.cut(err); err != nil {
			return nil, s.end(err)
		}
	}
	return nil, s.err
}

// end keeps how the stream ended, and lets go of its connection.
func (s *MessageStream) end(err error) error {
	s.ended, s.err = true, err
	_ = s.Close()
	return err
}

// drain reads to the end of the body, so that the connection can be used again, unless that end does not come.
func (s *MessageStream) drain() {
	timer := time.AfterFunc(drainTime, func() { s.conn.cancel(ErrStreamClosed) })
	defer timer.Stop()
	_, _ = s.conn.events.Next()
}

// handle takes one event, and returns a message to show or nil.
func (s *MessageStream) handle(event sse.Event) (Message, error) {
	turn := &s.turn.turn
	if event.Partial && !isJSON(event.Data) {
		return nil, s.failure(ErrStreamTruncated)
	}
	kind, message, err := s.frames.decode(event.Data)
	switch {
	case kind == "stop_reason":
		s.over.Store(true)
		return nil, s.decode(event.Data, &stopReason{StopReason: &turn.StopReason})
	case kind == "usage_statistics":
		s.usage = true
		return nil, s.decode(event.Data, &turn.Usage)
	case kind == "error_message", event.Name == "error", kind == "" && hasField(event.Data, "error"):
		s.report(event.Data)
		return nil, nil
	case kind == "" && event.Name != "":
		return nil, nil // such as cancelled; a stop reason follows
	}
	if err != nil {
		return nil, s.undecodable(event.Data, err)
	}
	common := message.Common()
	if common.RunID != "" && common.RunID != s.runID {
		if s.runID != "" {
			s.seq = 0 // another run counts anew
		}
		s.runID = common.RunID
		s.named.Store(s.runID)
		turn.RunIDs = appendNew(turn.RunIDs, common.RunID)
	}
	if common.SeqID > 0 {
		if common.SeqID <= s.seq {
			return nil, nil // replayed
		}
		s.seq, s.fruitless = common.SeqID, 0
	}
	if _, ping := message.(*Ping); ping {
		if s.pings {
			return message, nil
		}
		return nil, nil
	}
	s.turn.add(message)
	return message, nil
}

func (s *MessageStream) decode(data []byte, v any) error {
	if err := unmarshal(data, v); err != nil {
		return s.undecodable(data, err)
	}
	return nil
}

func (s *MessageStream) undecodable(data []byte, err error) error {
	return s.failure(fmt.Errorf("an event cannot be read: %w: %q", err, data[:min(len(data), 200)]))
}

func (s *MessageStream) failure(err error) *StreamError {
	return &StreamError{RunID: s.runID, LastSeq: s.seq, Err: err}
}

// report keeps a failure that the server sent as an event; [DONE] follows. After a good stop reason it is a warning.
func (s *MessageStream) report(data []byte) {
	s.over.Store(true)
	body := parseProblem(0, data)
	e := s.failure(nil)
	e.Type, e.Message, e.Detail = body.kind, stringField(data, "message"), stringField(data, "detail")
	if e.Type == "" {
		e.Type = body.code
	}
	if e.Message == "" {
		e.Message = body.message
	}
	if body.runID != "" {
		s.runID, e.RunID = body.runID, body.runID
		s.named.Store(s.runID)
		s.turn.turn.RunIDs = appendNew(s.turn.turn.RunIDs, body.runID)
	}
	if s.turn.turn.Complete() {
		s.turn.turn.Warnings = append(s.turn.turn.Warnings, e)
	} else if s.turn.failure == nil {
		s.turn.failure = e // of two, the first has the words
	}
}

// cut handles an end without [DONE]. It returns nil if there is more to read, after a resume, or if the turn was
// complete.
func (s *MessageStream) cut(err error) error {
	if reason := s.turn.turn.StopReason; s.turn.failure != nil || reason != "" {
		if !s.usage && s.turn.turn.Complete() && reason != StopReasonCancelled { // a cancelled turn ends without usage and [DONE]
			if s.resume != nil && s.runID != "" && !s.lookedUp {
				s.lookedUp = true
				if s.reconnect(s.failure(err)) == nil {
					return nil
				}
			}
			missing := s.failure(ErrStreamTruncated)
			missing.Message = "the usage of the turn is missing"
			s.turn.turn.Warnings = append(s.turn.turn.Warnings, missing)
		}
		return s.end(s.turn.ending(s))
	}
	if s.ctx.Err() != nil {
		return s.failure(contextError(s.ctx))
	}
	failure := s.failure(ErrStreamTruncated)
	var decode *StreamError
	switch cause := context.Cause(s.conn.ctx); {
	case errors.Is(cause, ErrStreamIdle):
		failure.Err = cause
	case errors.Is(err, sse.ErrTooLarge):
		return s.failure(err)
	case !errors.Is(err, io.EOF) && !errors.As(err, &decode): // a half frame is part of the cut
		failure.Err = fmt.Errorf("%w: %w", ErrStreamTruncated, err)
	}
	if s.resume == nil || s.runID == "" {
		return failure
	}
	return s.reconnect(failure)
}

// resumeSettings are those of the requests that go on with the stream.
func (s *MessageStream) resumeSettings() *settings {
	cfg := s.cfg.followUp()
	if cfg.timeout == 0 || cfg.timeout > resumeTimeout {
		cfg.timeout = resumeTimeout
	}
	return cfg
}

// reconnect goes on with a background run at its last frame.
func (s *MessageStream) reconnect(failure *StreamError) error {
	for s.fruitless < maxResumes {
		if s.fruitless++; s.fruitless > 1 {
			wait := min(maxBackoff, minBackoff<<(s.fruitless-2))
			if err := sleep(s.ctx, wait/2+rand.N(wait/2)); err != nil {
				return s.failure(contextError(s.ctx))
			}
		}
		conn, err := s.core.connect(s.ctx, s.resume(s.runID, s.seq), s.resumeSettings())
		var apiErr *APIError
		switch {
		case err == nil:
			s.mu.Lock()
			s.conn.close(nil)
			s.conn = conn
			s.mu.Unlock()
			if s.ctx.Err() != nil { // Close may have looked before
				conn.close(ErrStreamClosed)
			}
			return nil
		case s.ctx.Err() != nil:
			return s.failure(contextError(s.ctx))
		case errors.As(err, &apiErr) && apiErr.StatusCode < 500 && apiErr.StatusCode != http.StatusTooManyRequests:
			failure.Err = fmt.Errorf("%w; %w: %w", failure.Err, ErrNotResumable, err)
			return failure
		}
		if s.fruitless == maxResumes {
			failure.Err = fmt.Errorf("%w; %w: %w", failure.Err, ErrNotResumable, err)
			return failure
		}
	}
	failure.Err = fmt.Errorf("%w; %w: nothing new in %d attempts", failure.Err, ErrNotResumable, maxResumes)
	return failure
}

// accumulator joins the pieces of a stream of tokens, in time linear in their length.
type accumulator struct {
	turn    Turn
	pieces  []*pieces
	index   map[pieceKey]*pieces
	failure *StreamError
}

type pieceKey struct {
	kind MessageType
	otid string
	id   MessageID
}

// pieces are the pieces of one message: the first, and what the others add to it.
type pieces struct {
	first Message
	text  strings.Builder
	calls []*callPieces
}

type callPieces struct {
	call      ToolCall
	arguments strings.Builder
}

func (a *accumulator) add(m Message) {
	common := m.Common()
	key := pieceKey{kind: m.messageType(), id: common.ID}
	switch m := m.(type) {
	case *AssistantMessage:
		if key.otid = common.Otid; m.Content.Parts == nil {
			a.find(key, m).text.WriteString(m.Content.Text)
			return
		}
	case *ReasoningMessage:
		key.otid = common.Otid
		p := a.find(key, m)
		p.text.WriteString(m.Reasoning)
		if first := p.first.(*ReasoningMessage); m.Signature != "" && first != m {
			whole := *first
			whole.Signature = m.Signature
			p.first = &whole
		}
		return
	case *ToolCallMessage:
		a.find(key, m).addCalls(m.ToolCalls, m.ToolCall)
		return
	case *ApprovalRequestMessage:
		a.find(key, m).addCalls(m.ToolCalls, m.ToolCall)
		return
	}
	a.pieces = append(a.pieces, &pieces{first: m})
}

func (a *accumulator) find(key pieceKey, m Message) *pieces {
	if p := a.index[key]; p != nil && key.id != "" {
		return p
	}
	p := &pieces{first: m}
	if a.index == nil {
		a.index = map[pieceKey]*pieces{}
	}
	a.pieces, a.index[key] = append(a.pieces, p), p
	return p
}

// addCalls joins arguments per call. A piece without an id belongs to the last call.
func (p *pieces) addCalls(calls []ToolCall, older *ToolCall) {
	if calls == nil && older != nil {
		calls = []ToolCall{*older}
	}
	for _, call := range calls {
		var found *callPieces
		for _, c := range p.calls {
			if c.call.ToolCallID == call.ToolCallID || call.ToolCallID == "" {
				found = c
			}
		}
		if found == nil {
			found = &callPieces{}
			p.calls = append(p.calls, found)
		}
		if call.ToolCallID != "" {
			found.call.ToolCallID = call.ToolCallID
		}
		if call.Name != "" {
			found.call.Name = call.Name
		}
		found.arguments.WriteString(call.Arguments)
	}
}

// message is the whole message; the pieces stay as they are.
func (p *pieces) message() Message {
	switch first := p.first.(type) {
	case *AssistantMessage:
		if first.Content.Parts == nil {
			whole := *first
			whole.Content.Text = p.text.String()
			return &whole
		}
	case *ReasoningMessage:
		whole := *first
		whole.Reasoning = p.text.String()
		return &whole
	case *ToolCallMessage:
		whole := *first
		whole.ToolCalls = p.toolCalls()
		whole.ToolCall = firstOf(whole.ToolCalls)
		return &whole
	case *ApprovalRequestMessage:
		whole := *first
		whole.ToolCalls = p.toolCalls()
		whole.ToolCall = firstOf(whole.ToolCalls)
		return &whole
	}
	return p.first
}

func (p *pieces) toolCalls() []ToolCall {
	calls := make([]ToolCall, len(p.calls))
	for i, c := range p.calls {
		calls[i] = c.call
		calls[i].Arguments = c.arguments.String()
	}
	return calls
}

func firstOf(calls []ToolCall) *ToolCall {
	if len(calls) == 0 {
		return nil
	}
	call := calls[0]
	return &call
}

func (a *accumulator) result() *Turn {
	turn := a.turn
	turn.Messages = make([]Message, len(a.pieces))
	for i, p := range a.pieces {
		turn.Messages[i] = p.message()
	}
	return &turn
}

// ending is the error of a turn that the server ended: a failure that it reported, or a bad stop reason.
func (a *accumulator) ending(s *MessageStream) error {
	reason := a.turn.StopReason
	switch {
	case a.failure != nil:
		return a.failure
	case reason != "" && !a.turn.Complete():
		e := s.failure(nil)
		e.Type, e.Message = string(reason), "the turn ended with this stop reason"
		return e
	}
	return nil
}

func appendNew[T comparable](list []T, item T) []T {
	for _, have := range list {
		if have == item {
			return list
		}
	}
	return append(list, item)
}
