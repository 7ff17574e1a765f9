package letta

import "sync/atomic"

// NewMessageStream makes a stream of a turn that you have: for a test of code that calls the client through an interface of
// yours. Messages yields the messages of the turn, or pieces of them, and then err, if it is not nil. Result has the
// pieces joined. RunID is the last of RunIDs. LastSeq is 0, as of a turn that is not in the background: there is no server to
// resume at.
func NewMessageStream(turn *Turn, err error) *MessageStream {
	s := &MessageStream{source: newMemory(turn, err)}
	for _, id := range copyOf(turn).RunIDs {
		s.turn.ranAs(id)
	}
	return s
}

// memory is a source that needs no server; see NewMessageStream.
type memory struct {
	frames []frame
	last   ending
	run    RunID
	ended  atomic.Pointer[ending]
}

func newMemory(turn *Turn, err error) *memory {
	t := copyOf(turn)
	m := &memory{last: ending{how: endComplete, err: err, warnings: t.Warnings}}
	for _, message := range t.Messages {
		m.frames = append(m.frames, frame{message: message})
	}
	m.frames = append(m.frames, frame{stopReason: t.StopReason}, frame{usage: &t.Usage})
	if len(t.RunIDs) > 0 {
		m.run = t.RunIDs[len(t.RunIDs)-1]
	}
	return m
}

func (m *memory) next() (frame, *ending) {
	if len(m.frames) == 0 {
		m.ended.CompareAndSwap(nil, &m.last)
	}
	if e := m.ended.Load(); e != nil {
		return frame{}, e
	}
	f := m.frames[0]
	m.frames = m.frames[1:]
	return f, nil
}

func (m *memory) close() {
	m.ended.CompareAndSwap(nil, &ending{how: endClosed, err: &StreamError{RunID: m.run, Err: ErrStreamClosed}})
}

func (m *memory) runID() RunID { return m.run }
func (m *memory) lastSeq() int { return 0 }
