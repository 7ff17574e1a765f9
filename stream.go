package letta

import (
	"errors"
	"iter"
	"strings"

	"github.com/letta-go/letta/internal/sse"
)

// How a stream works.
//
// This file is what the user holds. It pulls frames from a source: stream_reader.go reads them from the server, over the
// connections of stream_connection.go, and knows nothing of what they add up to; stream_memory.go has them in memory.
// accumulator.go joins the pieces of messages, and does no I/O. When a connection ends, stream_resume.go goes on with the
// run, and stream_sequence.go tells what is new and what is missing. When the stream ends, stream_settle.go cancels the run
// and releases the lock. No goroutine belongs to a stream that is read: the loop over Messages pulls each frame from the
// connection.
//
//	           headers                      stop reason, then [DONE]
//	request ───────────► reading ──────────────────────────────────────► complete
//	                     │  ▲  │
//	        cut, silent  │  │  ├─ the server reports a failure ──────────► failed
//	                     ▼  │  ├─ a sequence number is left out ─────────► gap
//	                  resuming ├─ a frame makes no sense ────────────────► unreadable
//	                     │     ├─ Close, or the loop is left ────────────► closed
//	                     │     └─ the context has ended ─────────────────► context ended
//	                     └─ the run cannot be resumed ───────────────────► cut, silent
//
// Only background runs can be resumed; for others, cut and silent are ends. A stream has one ending, the first that
// comes, and everything else follows from it: the error that the loop gets, whether WithCancelOnDone has to cancel the run,
// and when the lock of WithTurnLock is released: when the turn has ended at the server, or after a minute. Letta 0.16.8
// answers a cancel at once and obeys later, so whoever has cancelled reads the stream to its end; see stream_settle.go.

// How a stream fails, inside a [*StreamError].
var (
	// ErrStreamTruncated says that the stream was cut: what came is not the whole turn. The turn may go on at the server.
	// Runs.Wait waits for it, Runs.Messages.List has its messages.
	ErrStreamTruncated = errors.New("the stream was cut before its end")
	// ErrStreamIdle says that nothing came within the idle timeout, not even a ping. See WithIdleTimeout.
	ErrStreamIdle = errors.New("the stream fell silent")
	// ErrStreamGap says that frames are missing in the middle of a background run. Letta 0.16.8 keeps about the last 10,000
	// of a run, and a reader that falls behind them has lost the others. Runs.Messages.List has the messages.
	ErrStreamGap = errors.New("frames of the stream are missing")
	// ErrStreamClosed says that the stream was closed, by Close.
	ErrStreamClosed = errors.New("the stream was closed")
	// ErrNotResumable comes with ErrStreamTruncated or ErrStreamIdle: the background run could not be resumed either.
	ErrNotResumable = errors.New("the run cannot be resumed")
	// ErrEventTooLarge says that an event is larger than WithMaxEvent allows.
	ErrEventTooLarge = sse.ErrTooLarge
)

// StreamError is the failure of a stream that had begun. What came before it is in Result. errors.Is tells what kind it is:
// ErrStreamTruncated and its neighbours, or what the server reported, as for an [*APIError].
type StreamError struct {
	// Operation is that of the stream, such as agents.messages.stream.
	Operation string `json:"operation,omitzero"`
	// Type is the server's error_type, such as llm_rate_limit; of a turn that ended badly without more words, the stop reason.
	Type    string `json:"error_type,omitzero"`
	Message string `json:"message,omitzero"`
	Detail  string `json:"detail,omitzero"`
	RunID   RunID  `json:"run_id,omitzero"` // empty if the stream failed before the server named the run
	LastSeq int    `json:"seq_id,omitzero"` // of the last frame of a background run
	// Err is ErrStreamTruncated, ErrStreamIdle, a context's or a decode error; nil if the server reported the failure.
	Err error `json:"-"`

	subject string // the operation and its ids
}

func (e *StreamError) Error() string {
	subject := e.subject
	if subject == "" {
		subject = e.Operation
	}
	if subject == "" {
		subject = "stream" // made by hand, in a test
	}
	parts := []string{"letta: " + subject}
	if e.RunID != "" {
		parts = append(parts, "run "+oneLine(string(e.RunID)))
	}
	for _, part := range []string{oneLine(e.Type), oneLine(e.Message)} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	text := strings.Join(parts, ": ")
	if advice := e.advice(); advice != "" {
		text += "; " + advice
	}
	return text
}

// advice says what to do next.
func (e *StreamError) advice() string {
	is := func(target error) bool { return errors.Is(e, target) }
	switch {
	case is(ErrPendingApproval):
		return "answer it with Respond or DenyAll"
	case is(ErrStreamGap):
		return "Runs.Messages.List has the messages of the run"
	case !is(ErrStreamTruncated) && !is(ErrStreamIdle):
		return ""
	case e.RunID == "":
		return "the turn may have begun: look at the messages before you send it again"
	case e.LastSeq > 0 && !is(ErrNotResumable):
		return "Runs.Messages.Stream goes on with the run"
	}
	return "the turn may go on at the server: Runs.Wait waits for it, Runs.Messages.List has its messages"
}

// Unwrap gives Err.
func (e *StreamError) Unwrap() error { return e.Err }

// Is reports what kind of failure the server reported, as [*APIError] does.
func (e *StreamError) Is(target error) bool {
	return e.Err == nil && problem{kind: e.Type, message: strings.TrimSpace(e.Message + " " + e.Detail)}.is(target)
}

// MessageStream is a turn as it happens: range over Messages, then ask for the Result. One goroutine reads it. Close, RunID
// and LastSeq may be called from any.
type MessageStream struct {
	source source
	turn   accumulator
	pings  bool // are shown
	ended  bool // the loop knows
}

// source is where the frames of a stream come from: the server, or for a test the memory.
type source interface {
	next() (frame, *ending) // one or the other; the ending again and again
	close()                 // may be called beside next, and several times
	runID() RunID
	lastSeq() int
}

// frame is an event of a stream.
type frame struct {
	message    Message
	stopReason StopReason
	usage      *LettaUsageStatistics
}

// ending is how a stream ended.
type ending struct {
	how      end
	err      error          // what the loop gets; nil if the turn is complete
	warnings []*StreamError // failures after the turn was complete
}

type end int

const (
	endComplete end = iota
	endFailed
	endCut
	endSilent
	endGap
	endUnreadable
	endClosed
	endContext
)

// byServer reports whether the turn is over at the server too.
func (e *ending) byServer() bool { return e.how == endComplete || e.how == endFailed }

// Messages yields the messages of the turn; in a stream of tokens, pieces of them. It ends after the last, or with one
// error. Leaving the loop closes the stream. What the server says besides, such as stop reason and usage, is in
// Result.
func (s *MessageStream) Messages() iter.Seq2[Message, error] {
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

// next returns the next message to show; nil at the end.
func (s *MessageStream) next() (Message, error) {
	for {
		f, ending := s.source.next()
		if ending != nil {
			if !s.ended {
				s.ended = true
				s.turn.ranAs(s.source.runID())
				s.turn.warn(ending.warnings)
			}
			return nil, ending.err
		}
		s.turn.add(f)
		if _, ping := f.message.(*Ping); f.message != nil && (!ping || s.pings) {
			return f.message, nil
		}
	}
}

// Collect reads the stream to its end. With an error, the turn holds what came before it.
func (s *MessageStream) Collect() (*Turn, error) {
	for _, err := range s.Messages() {
		if err != nil {
			return s.Result(), err
		}
	}
	return s.Result(), nil
}

// Result is the turn as far as it was read, with the pieces of a stream of tokens joined. It is whole if Messages ended
// without an error.
func (s *MessageStream) Result() *Turn { return s.turn.result() }

// RunID is the run of the turn; the server names it in its first event.
func (s *MessageStream) RunID() RunID { return s.source.runID() }

// LastSeq is the sequence number of the last frame of a background run, for Runs.Messages.Stream; 0 of a turn that is not
// in the background.
func (s *MessageStream) LastSeq() int { return s.source.lastSeq() }

// Close ends the reading at once. The turn goes on at the server, unless WithCancelOnDone cancels it; Close then waits for
// the turn to end, 5 s at most. A loop over Messages closes the stream by itself; for a stream that may not be read, defer
// Close.
func (s *MessageStream) Close() error {
	s.source.close()
	return nil
}
