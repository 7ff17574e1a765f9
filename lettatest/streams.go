package lettatest

import (
	"io"
	"math"
	"net/http"
	"strings"
	"time"
)

// feed holds the frames of one run for whoever reads them. The server's mutex guards it.
type feed struct {
	frames     []string
	dropped    int // frames that are not kept any more, ahead of these
	limit      int
	background bool
	closed     bool
	changed    chan struct{} // closed at the next change
}

func (w *world) newFeed(background bool) *feed {
	return &feed{background: background, limit: w.eventLimit, changed: make(chan struct{})}
}

// add appends a frame. In the background a frame gets its number, if it has a place for one.
func (f *feed) add(event string, v any) {
	if m, ok := v.(object); ok && f.background {
		if _, ok := m["seq_id"]; ok {
			m["seq_id"] = f.dropped + len(f.frames) + 1
		}
	}
	f.frames = append(f.frames, framed(event, v))
	if more := len(f.frames) - f.limit; f.background && more > 0 {
		f.frames, f.dropped = f.frames[more:], f.dropped+more
	}
	f.notify()
}

// framed is an event as it is sent; a text is one already.
func framed(event string, v any) string {
	frame, isText := v.(string)
	if !isText {
		frame = "data: " + string(encode(v)) + "\n\n"
	}
	if event != "" {
		frame = "event: " + event + "\n" + frame
	}
	return frame
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

func ping(run string, seq any) object {
	return with((&message{row: row{created: time.Now().UTC()}, run: run}).view("ping", nil), "id", newID("ping"), "seq_id", seq)
}

// A writer sends the frames of a stream, and acts out a fault. It panics when its client has left.
type writer struct {
	http.ResponseWriter
	fault    *StreamFault
	answered func() // called before the first byte
	stall    func() // waits until the client leaves or the server closes
	sent     int    // frames
	begun    bool
}

func (x *writer) write(text string) {
	if !x.begun {
		x.begun = true
		x.answered()
		x.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		x.WriteHeader(http.StatusOK)
	}
	if _, err := io.WriteString(x, text); err != nil || http.NewResponseController(x.ResponseWriter).Flush() != nil {
		panic(http.ErrAbortHandler)
	}
}

// due tells whether the fault acts now.
func (x *writer) due(half bool) bool {
	return x.fault != nil && x.fault.Half == half && x.fault.After == x.sent
}

// disturb acts out the fault behind some text, and tells whether the stream goes on.
func (x *writer) disturb(text string) bool {
	f := x.fault
	x.fault = nil
	x.write(text + f.Raw)
	if f.Then == StreamStall {
		x.stall()
	}
	if f.Then == StreamStall || f.Then == StreamCut {
		panic(http.ErrAbortHandler)
	}
	return f.Then == StreamGo
}

// frame sends a frame, or half of it, and tells whether the stream goes on.
func (x *writer) frame(text string) bool {
	if x.due(true) {
		x.sent++
		return x.disturb(text[:len(text)/2])
	}
	x.write(text)
	x.sent++
	return !x.due(false) || x.disturb("")
}

// send writes a stream. The headers wait for the first frame: beyond the end of a run nothing is answered at all.
func (w *world) send(rw http.ResponseWriter, r *http.Request, st *stream, fault *StreamFault, answered func()) {
	x := &writer{ResponseWriter: rw, fault: fault, answered: answered, stall: func() { pause(r.Context(), w.done, math.MaxInt64) }}
	if x.due(false) && !x.disturb("") {
		return
	}
	timer := time.NewTimer(w.pingInterval)
	defer timer.Stop()
	var seq any
	for i := max(0, st.from); ; {
		w.mu.Lock()
		i = max(i, st.feed.dropped)
		at := i - st.feed.dropped
		frame, ended, changed := "", st.feed.closed && at >= len(st.feed.frames), st.feed.changed
		if at < len(st.feed.frames) {
			frame = st.feed.frames[at]
		}
		w.mu.Unlock()
		switch {
		case frame != "":
			i++
			if st.feed.background && strings.Contains(frame, `"seq_id":`) {
				seq = i
			}
		case ended && x.begun:
			if x.fault != nil && x.fault.After < 0 {
				x.disturb("")
			}
			return
		default:
			select {
			case <-changed:
				continue
			case <-timer.C:
				timer.Reset(w.pingInterval)
				if !st.pings {
					continue
				}
				frame = framed("", ping(st.run, seq))
			case <-r.Context().Done():
				panic(http.ErrAbortHandler)
			case <-w.done:
				panic(http.ErrAbortHandler)
			}
		}
		if !x.frame(frame) {
			return
		}
		timer.Reset(w.pingInterval)
	}
}

// replay answers with the frames of a run.
func (r *run) replay(o object) answer {
	return answer{stream: &stream{
		feed: r.feed, from: get[int](o, "starting_after"), run: r.id, pings: or(o["include_pings"], true).(bool),
	}}
}

func streamRun(w *world, c *call) answer {
	r := w.run(c.id)
	switch {
	case len(c.raw) == 0:
		return crash()
	case !flag(r.fields, "background"):
		return notBackground()
	}
	return r.replay(c.in)
}

func notBackground() answer {
	return invalid("Run was not created in background mode, so it cannot be retrieved.")
}
