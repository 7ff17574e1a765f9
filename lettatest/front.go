package lettatest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// The front is HTTP: it logs what arrives, acts out faults, and writes answers. What an answer is, process decides.

// Request is one request that arrived, as it was sent. Of an upload, Body is the first MiB.
type Request struct {
	Method string
	Path   string
	Query  url.Values
	Header http.Header
	Body   []byte
	Status int // what was answered; 0 while there is no answer, and when the connection was cut without one
}

type front struct {
	faults  faults
	process func(*http.Request, *payload) *reply
	stream  func(http.ResponseWriter, *http.Request, *stream, *StreamFault, func())
	done    chan struct{} // closed when the server is
	running sync.WaitGroup

	mu     sync.Mutex
	closed bool
	log    []*Request
}

// reply is an encoded answer.
type reply struct {
	status  int
	header  http.Header
	body    []byte
	crashed bool
	stream  *stream
}

func newReply(a answer) *reply {
	out := &reply{status: a.status, header: http.Header{}, crashed: a.crashed, stream: a.stream}
	maps.Copy(out.header, a.header)
	if a.body != nil {
		out.header.Set("Content-Type", "application/json")
		out.body = encode(a.body)
	}
	return out
}

// arrive logs a request. It fails when the server is closed.
func (f *front) arrive(r *http.Request) *Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		panic(http.ErrAbortHandler)
	}
	f.running.Add(1)
	entry := &Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.Query(), Header: r.Header.Clone()}
	f.log = append(f.log, entry)
	return entry
}

func (f *front) requests() []Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]Request, len(f.log))
	for i, r := range f.log {
		out[i] = *r
		out[i].Query, out[i].Header, out[i].Body = url.Values(http.Header(r.Query).Clone()), r.Header.Clone(), bytes.Clone(r.Body)
	}
	return out
}

func (f *front) note(set func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	set()
}

// ServeHTTP answers one request.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	entry := f.arrive(r)
	defer f.running.Done()
	fault := f.faults.pick(r)
	if fault.Drop == DropBeforeRead {
		pause(context.Background(), f.done, fault.Delay) // the client's going is not seen before the body is read
		cut(w, nil, true)
		return
	}
	body, err := readPayload(r)
	f.note(func() { entry.Body = body.raw })
	if err != nil {
		panic(http.ErrAbortHandler)
	}

	out := &reply{status: fault.Status, header: http.Header{}, body: []byte(fault.Body), crashed: fault.Status == http.StatusInternalServerError}
	if fault.Status == 0 || fault.Process {
		if real := f.process(r, body); fault.Status == 0 {
			out = real
		}
	}
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler)
	}
	maps.Copy(out.header, fault.Header)
	if !pause(r.Context(), f.done, fault.Delay) {
		panic(http.ErrAbortHandler)
	}
	answered := func() {
		f.note(func() { entry.Status = cmp.Or(out.status, http.StatusOK) }) // 0 of a stream
	}
	switch {
	case fault.Drop == DropAfterRead:
		cut(w, nil, false)
	case out.stream != nil:
		maps.Copy(w.Header(), out.header)
		f.stream(w, r, out.stream, fault.Stream, answered)
	default:
		answered()
		out.send(w, fault)
	}
}

func (o *reply) send(w http.ResponseWriter, fault Fault) {
	n := len(o.body)
	switch {
	case fault.Drop == DropMidBody:
		n /= 2
	case fault.Truncate > 0:
		n = min(n, fault.Truncate)
	}
	if n < len(o.body) || o.crashed {
		o.header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
		cut(w, func(c io.Writer) { o.write(c, n, fault.Pad) }, false)
		return
	}
	maps.Copy(w.Header(), o.header)
	if o.status >= http.StatusOK && o.status != http.StatusNoContent && o.status != http.StatusNotModified {
		w.Header().Set("Content-Length", fmt.Sprint(int64(len(o.body))+fault.Pad))
	}
	w.WriteHeader(o.status)
	if _, err := w.Write(o.body); err == nil {
		pad(w, fault.Pad)
	}
}

// write sends the head for the whole body, the first n bytes of the body, and the padding if the body is whole.
func (o *reply) write(w io.Writer, n int, spaces int64) {
	var head bytes.Buffer
	fmt.Fprintf(&head, "HTTP/1.1 %d %s\r\nContent-Length: %d\r\n", o.status, http.StatusText(o.status), int64(len(o.body))+spaces)
	_ = o.header.Write(&head)
	head.WriteString("\r\n")
	head.Write(o.body[:n])
	if _, err := w.Write(head.Bytes()); err == nil && n == len(o.body) {
		pad(w, spaces)
	}
}

// pad writes n spaces without holding them.
func pad(w io.Writer, n int64) {
	chunk := bytes.Repeat([]byte{' '}, int(min(n, 32<<10)))
	for n > 0 {
		m, err := w.Write(chunk[:min(n, int64(len(chunk)))])
		if err != nil {
			return
		}
		n -= int64(m)
	}
}

// cut takes the connection over, lets send write to it, and closes it; reset makes the client see a reset rather than an end.
func cut(w http.ResponseWriter, send func(io.Writer), reset bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if send != nil {
		send(conn)
	}
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
	}
}

const (
	logged = 1 << 20  // so much of an upload is kept in the log of requests
	kept   = 16 << 20 // so much of an uploaded file is kept
)

// A payload is the body of a request. A form is read as it comes: of a file, only the beginning is kept.
type payload struct {
	raw  []byte // of a form, the beginning
	form url.Values
	file *upload // the form's part of that name
}

// An upload is a file that was sent.
type upload struct {
	name, kind string
	size       int64
	head       []byte
}

// bounded keeps the beginning of what is written to it.
type bounded struct {
	data []byte
	max  int
}

func (b *bounded) Write(p []byte) (int, error) {
	b.data = append(b.data, p[:min(len(p), b.max-len(b.data))]...)
	return len(p), nil
}

func mediaType(h http.Header) (string, map[string]string) {
	media, params, _ := mime.ParseMediaType(h.Get("Content-Type"))
	return media, params
}

func readPayload(r *http.Request) (*payload, error) {
	media, params := mediaType(r.Header)
	if media != "multipart/form-data" {
		raw, err := io.ReadAll(r.Body)
		return &payload{raw: raw}, err
	}
	log := &bounded{max: logged}
	body := io.TeeReader(r.Body, log)
	p := &payload{form: url.Values{}}
	err := p.parts(multipart.NewReader(body, params["boundary"]))
	if err == nil || !errors.Is(err, io.ErrUnexpectedEOF) { // a form that is none is not an error of the connection
		_, err = io.Copy(io.Discard, body)
	}
	p.raw = log.data
	return p, err
}

func (p *payload) parts(form *multipart.Reader) error {
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if part.FileName() == "" {
			value, err := io.ReadAll(io.LimitReader(part, kept))
			if err != nil {
				return err
			}
			p.form.Set(part.FormName(), string(value))
			continue
		}
		head := &bounded{max: kept}
		n, err := io.Copy(head, part)
		if err != nil {
			return err
		}
		if part.FormName() == "file" {
			kind, _, _ := strings.Cut(part.Header.Get("Content-Type"), ";")
			p.file = &upload{part.FileName(), kind, n, head.data}
		}
	}
}
