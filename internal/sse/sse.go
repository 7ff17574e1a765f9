// Package sse reads streams of server-sent events, the format of WHATWG's EventSource.
package sse

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
)

const (
	defaultMax = 32 << 20
	minBuffer  = 8 << 10
	minRead    = 512      // the least room to read into
	keepBuffer = 64 << 10 // a larger buffer is given up when little of it is in use
	keepNames  = 16       // so many names of events are remembered, if they are not longer
	keepName   = 64       // than this
)

// ErrTooLarge is what every [*TooLargeError] is.
var ErrTooLarge = errors.New("sse: event too large")

// TooLargeError is the error for an event whose data, or any line of it, is longer than Limit bytes.
type TooLargeError struct{ Limit int }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%v: more than %d bytes", ErrTooLarge, e.Limit)
}

func (e *TooLargeError) Unwrap() error { return ErrTooLarge }

// Event is one event.
type Event struct {
	Name    string // of the last "event:" field, "" for a message
	ID      string // of the last "id:" field of the stream, also of an earlier event
	Data    []byte // the data lines, joined by \n, as they came; valid until the next call of Next
	Partial bool   // the stream ended before the blank line that ends an event
}

// Reader reads events. It never reads ahead of an event that it holds, so that an event is delivered as soon as its
// last byte has come.
type Reader struct {
	src io.Reader
	max int
	err error // what ended src; what buf holds comes first
	eof bool  // err is io.EOF

	buf      []byte
	pos, end int  // buf[pos:end] is still to be looked at, but for lf and cr
	lf, cr   int  // buf[pos:lf] holds no \n, buf[pos:cr] no \r: nothing is searched twice
	skipLF   bool // the last line ended in \r: a \n at pos belongs to it
	begun    bool // there was a line, so there is no byte order mark any more

	data     []byte // of the event being read, in buf before pos; nil if it has no data line
	name, id string
	names    map[string]string
}

// NewReader returns a Reader of r. maxEvent bounds the data of an event, and each line of the stream with its
// field name and without its end, in bytes; 0 or less means 32 MiB.
func NewReader(r io.Reader, maxEvent int) *Reader {
	if maxEvent <= 0 {
		maxEvent = defaultMax
	}
	return &Reader{src: r, max: maxEvent, names: map[string]string{}}
}

// Next returns the next event that has data. At the end of the stream it returns an event that is not finished as
// Partial, then io.EOF. Any other error of the underlying reader is returned as it came, after the events that
// are complete; io.ErrNoProgress if it reads nothing again and again; a [*TooLargeError] for an event out of bounds.
// An error ends the stream: Next returns it from then on.
func (r *Reader) Next() (Event, error) {
	r.data, r.name = nil, ""
	for {
		line, ended := r.line()
		switch {
		case len(line) > r.max:
			return r.fail(&TooLargeError{r.max})
		case !ended && r.err == nil:
			r.fill()
			continue
		case !ended && !r.eof:
			return r.fail(r.err)
		case !r.begun:
			r.begun = true
			line = bytes.TrimPrefix(line, []byte("\uFEFF"))
		}
		if len(line) > 0 {
			if !r.field(line) {
				return r.fail(&TooLargeError{r.max})
			}
			if ended {
				continue
			}
		}
		switch { // a blank line, or the end of the stream
		case r.data != nil:
			return Event{Name: r.name, ID: r.id, Data: slices.Clip(r.data), Partial: !ended}, nil
		case !ended:
			return r.fail(r.err)
		}
		r.name = ""
	}
}

// fail ends the stream and lets go of everything but the error.
func (r *Reader) fail(err error) (Event, error) {
	*r = Reader{err: err}
	return Event{}, err
}

// line takes a line from buf. If none has ended, it returns all there is, and takes it only at the end of the stream.
func (r *Reader) line() (line []byte, ended bool) {
	if r.skipLF && r.pos < r.end {
		r.skipLF = false
		if r.buf[r.pos] == '\n' {
			r.pos++
		}
	}
	buf, start := r.buf[:r.end], r.pos
	r.lf, r.cr = index(buf, max(r.lf, start), '\n'), index(buf, max(r.cr, start), '\r')
	stop := min(r.lf, r.cr)
	if ended = stop < r.end; ended {
		r.pos, r.skipLF = stop+1, r.cr < r.lf
	} else if r.eof {
		r.pos = stop
	}
	return buf[start:stop], ended
}

// index returns where the first c in b[from:] is in b, or len(b).
func index(b []byte, from int, c byte) int {
	if from == len(b) || b[from] == c {
		return from
	}
	if i := bytes.IndexByte(b[from:], c); i >= 0 {
		return from + i
	}
	return len(b)
}

// field adds a line to the event, and reports whether its data is within bounds.
func (r *Reader) field(line []byte) bool {
	i := index(line, 0, ':')
	value := bytes.TrimPrefix(line[min(i+1, len(line)):], []byte(" "))
	switch string(line[:i]) {
	case "data":
		if r.data == nil {
			r.data = value
			return true
		}
		// In place: there is always room before value, where "data" was.
		r.data = append(append(r.data, '\n'), value...)
		return len(r.data) <= r.max
	case "event":
		r.name = r.intern(value)
	case "id":
		if string(value) != r.id && bytes.IndexByte(value, 0) < 0 {
			r.id = string(value)
		}
	}
	return true
}

// intern returns name as a string, without allocating for the few names that a stream has.
func (r *Reader) intern(name []byte) string {
	s, ok := r.names[string(name)]
	if !ok {
		s = string(name)
		if len(s) <= keepName && len(r.names) < keepNames {
			r.names[s] = s
		}
	}
	return s
}

// fill reads once, after moving data and what follows pos to the front of a buffer of the right size. Only lines that
// have ended leave a gap to close, and these came with the last read, so that no byte is moved more than a few times:
// a copy of bytes to where they are is free.
func (r *Reader) fill() {
	rest := r.buf[r.pos:r.end]
	used := len(r.data) + len(rest)
	if size := len(r.buf); size-used < minRead || size > keepBuffer && used < size/4 {
		r.buf = make([]byte, max(2*used, minBuffer))
	}
	n := copy(r.buf, r.data)
	if r.data != nil {
		r.data = r.buf[:n]
	}
	copy(r.buf[n:], rest)
	r.pos, r.lf, r.cr = n, used, used
	for range 100 {
		m, err := r.src.Read(r.buf[used:])
		r.end, r.err, r.eof = used+m, err, err == io.EOF
		if m > 0 || err != nil {
			return
		}
	}
	r.err = io.ErrNoProgress
}
