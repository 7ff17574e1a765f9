package lettatest

import (
	"io"
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
	frame, isText := v.(string)
	if !isText {
		m := v.(object)
		if _, ok := m["seq_id"]; ok && f.background {
			m["seq_id"] = f.dropped + len(f.frames) + 1
		}
		frame = "data: " + string(encode(m)) + "\n\n"
	}
	if event != "" {
		frame = "event: " + event + "\n" + frame
	}
	f.frames = append(f.frames, frame)
	if more := len(f.frames) - f.limit; f.background && more > 0 {
		f.frames, f.dropped = f.frames[more:], f.dropped+more
	}
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

func ping(run string, seq any) object {
	return with((&message{row: row{created: time.Now().UTC()}, run: run}).view("ping", nil), "id", newID("ping"), "seq_id", seq)
}

// send writes a stream. The headers wait for the first frame: beyond the end of a run nothing is answered at all.
func (w *world) send(rw http.ResponseWriter, r *http.Request, st *stream, fault *StreamFault, answered func()) {
	sent, i := 0, max(0, st.from)
	begun := false
	write := func(text string) bool {
		if !begun {
			begun = true
			answered()
			rw.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
			rw.WriteHeader(http.StatusOK)
		}
		_, err := io.WriteString(rw, text)
		return err == nil && http.NewResponseController(rw).Flush() == nil
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
			case <-w.done:
			}
			panic(http.ErrAbortHandler)
		}
		return f.Then == StreamGo
	}
	timer := time.NewTimer(w.pingInterval)
	defer timer.Stop()
	var seq any
	for {
		if fault != nil && !fault.Half && fault.After == sent && !disturb("") {
			return
		}
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
				timer.Reset(w.pingInterval)
				if !st.pings {
					continue
				}
				f := w.newFeed(false)
				f.add("", ping(st.run, seq))
				frame = f.frames[0]
			case <-r.Context().Done():
				panic(http.ErrAbortHandler)
			case <-w.done:
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
	case !r.background:
		return notBackground()
	}
	return r.replay(c.in)
}

func notBackground() answer {
	return invalid("Run was not created in background mode, so it cannot be retrieved.")
}
