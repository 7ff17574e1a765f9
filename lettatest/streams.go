package lettatest

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"
)

// Then says how a stream goes on after a StreamFault.
type Then int

// The ways to go on.
const (
	StreamGo    Then = iota // as if nothing had happened
	StreamCut               // the connection breaks
	StreamEnd               // the body ends in order, though early
	StreamStall             // silence until the client leaves
)

// StreamFault disturbs a stream once. The turn behind the stream goes on.
type StreamFault struct {
	After int    // behind so many frames, pings and [DONE] included; -1 is behind the last one
	Half  bool   // the next frame is sent only up to its middle
	Raw   string // these bytes are sent
	Then  Then
}

// feed holds the frames of one run for whoever reads them. The server's mutex guards it.
type feed struct {
	frames     []string
	background bool
	closed     bool
	changed    chan struct{} // closed at the next change
}

func newFeed(background bool) *feed {
	return &feed{background: background, changed: make(chan struct{})}
}

// add appends a frame. In the background a frame gets its number, if it has a place for one.
func (f *feed) add(event string, v any) {
	frame, isText := v.(string)
	if !isText {
		m := v.(map[string]any)
		if _, ok := m["seq_id"]; ok && f.background {
			m["seq_id"] = len(f.frames) + 1
		}
		data, err := encode(m)
		if err != nil {
			panic(err)
		}
		frame = "data: " + string(data) + "\n\n"
	}
	if event != "" {
		frame = "event: " + event + "\n" + frame
	}
	f.frames = append(f.frames, frame)
	f.notify()
}

func (f *feed) end() {
	f.closed = true
	f.notify()
}

func (f *feed) notify() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// stream is an answer of server-sent events: the frames of a feed from a place on.
type stream struct {
	feed  *feed
	from  int
	run   string
	pings bool
}

func ping(run string, seq any) map[string]any {
	return with((&message{created: time.Now().UTC(), run: run}).base("ping", nil), "id", newID("ping"), "seq_id", seq)
}

// send writes a stream. The headers wait for the first frame: beyond the end of a run nothing is answered at all.
func (s *Server) send(w http.ResponseWriter, r *http.Request, st *stream, fault *StreamFault, answered func()) {
	sent, i := 0, max(0, st.from)
	begun := false
	write := func(text string) bool {
		if !begun {
			begun = true
			answered()
			w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
			w.WriteHeader(http.StatusOK)
		}
		_, err := io.WriteString(w, text)
		return err == nil && http.NewResponseController(w).Flush() == nil
	}
	// disturb acts out the fault; next is the frame to halve.
	disturb := func(next string) (goOn bool) {
		f := fault
		fault = nil
		if !write(next[:len(next)/2] + f.Raw) {
			panic(http.ErrAbortHandler)
		}
		switch f.Then {
		case StreamCut:
			panic(http.ErrAbortHandler)
		case StreamStall:
			select {
			case <-r.Context().Done():
			case <-s.done:
			}
			panic(http.ErrAbortHandler)
		}
		return f.Then == StreamGo
	}
	timer := time.NewTimer(s.pingInterval)
	defer timer.Stop()
	var seq any
	for {
		if fault != nil && !fault.Half && fault.After == sent && !disturb("") {
			return
		}
		s.mu.Lock()
		frame, ended, changed := "", st.feed.closed && i >= len(st.feed.frames), st.feed.changed
		if i < len(st.feed.frames) {
			frame = st.feed.frames[i]
		}
		s.mu.Unlock()
		switch {
		case frame != "":
			i++
			if st.feed.background && strings.Contains(frame, `"seq_id":`) {
				seq = i
			}
		case ended && begun:
			if fault != nil && fault.After < 0 {
				disturb("")
			}
			return
		default:
			select {
			case <-changed:
				continue
			case <-timer.C:
				timer.Reset(s.pingInterval)
				if !st.pings {
					continue
				}
				f := newFeed(false)
				f.add("", ping(st.run, seq))
				frame = f.frames[0]
			case <-r.Context().Done():
				panic(http.ErrAbortHandler)
			case <-s.done:
				panic(http.ErrAbortHandler)
			}
		}
		if fault != nil && fault.Half && fault.After == sent {
			if !disturb(frame) {
				return
			}
		} else if !write(frame) {
			panic(http.ErrAbortHandler)
		}
		sent++
		timer.Reset(s.pingInterval)
	}
}

// streamBody is what the routes that read a running stream take.
var streamBody = []field{
	{"agent_id", optText},
	{"run_id", optText},
	{"otid", optText},
	{"starting_after", integer},
	{"include_pings", optBool},
	{"poll_interval", opt(number)},
	{"batch_size", optInt},
}

// replay answers with the frames of a run.
func (r *run) replay(o object) answer {
	pings := true
	if o.has("include_pings") {
		pings = get[bool](o, "include_pings")
	}
	return answer{stream: &stream{feed: r.feed, from: get[int](o, "starting_after"), run: r.id, pings: pings}}
}

func (s *Server) streamRun(c *call) answer {
	if len(c.raw) == 0 {
		if r, problem := s.run(c.id); r == nil {
			return problem
		}
		return crash()
	}
	o := c.body(streamBody)
	if a, bad := c.failed(); bad {
		return a
	}
	r, problem := s.run(c.id)
	switch {
	case r == nil:
		return problem
	case !r.background:
		return notBackground()
	}
	return r.replay(o)
}

func notBackground() answer {
	return invalid("Run was not created in background mode, so it cannot be retrieved.")
}

// aside waits for a turn and answers with its result.
func (t *turn) aside(ctx context.Context) answer {
	select {
	case <-t.done:
	case <-ctx.Done():
	}
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	return t.result
}

var null = json.RawMessage("null")
