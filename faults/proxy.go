package faults

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Proxy stands in front of a server and plays a fault.
type Proxy struct {
	c        Case
	upstream string
	address  string
	identity *Identity
	other    *elsewhere
	server   *http.Server
	client   http.Client // to the server
	stage    chan struct{}
	running  sync.WaitGroup
	small    bool // oversized bodies, for a client without a limit

	mu        sync.Mutex
	closed    bool
	listener  net.Listener
	conns     map[net.Conn]bool
	reached   bool
	cutFirst  bool // has been played
	met       int  // requests that the fault is for
	played    int
	requests  []*Request
	handshake atomic.Int32 // TLS handshakes cut
}

// Request is one that arrived at the proxy.
type Request struct {
	Method, Path string // ids are replaced by {id}
	Done         bool   // the server carried it out
}

// answer is what the server answered, or what the proxy answers instead.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// newProxy listens in front of upstream.
func newProxy(c Case, upstream string, identity *Identity) (*Proxy, error) {
	p := &Proxy{c: c, upstream: upstream, identity: identity, stage: make(chan struct{}), conns: map[net.Conn]bool{}}
	p.client.Transport = &http.Transport{DisableCompression: true}
	listener, err := listen("")
	if err != nil {
		return nil, err
	}
	p.address = listener.Addr().String()
	p.other = newElsewhere()
	if c.Fault.Reach == Closed {
		return p, listener.Close()
	}
	p.serve(listener)
	return p, nil
}

// ports below those that the system gives away, so that nobody gets the port of a server that is down.
var ports atomic.Int32

func listen(address string) (net.Listener, error) {
	if address != "" {
		return new(net.ListenConfig).Listen(context.Background(), "tcp", address)
	}
	for range 10000 {
		port := 18000 + (int(ports.Add(1))+int(time.Now().UnixNano()/1e6))%14000
		if l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", fmt.Sprint("127.0.0.1:", port)); err == nil {
			return l, nil
		}
	}
	return nil, fmt.Errorf("no free port")
}

func (p *Proxy) serve(listener net.Listener) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = listener.Close()
		return
	}
	p.listener = &tracked{listener, p}
	switch p.c.Fault.Reach {
	case HTTP2:
		p.running.Go(func() { p.serveHTTP2(p.listener) })
		return
	case Untrusted, TLSHandshake:
		certificate := p.identity.trusted
		if p.c.Fault.Reach == Untrusted {
			certificate = p.identity.untrusted
		}
		p.listener = tls.NewListener(p.listener, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
	default:
	}
	server := &http.Server{Handler: p, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	p.server = server
	l := p.listener
	p.running.Go(func() { _ = server.Serve(l) })
}

// tracked knows its connections, to cut them all. It cuts a handshake if that is the fault.
type tracked struct {
	net.Listener
	p *Proxy
}

func (l *tracked) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		l.p.mu.Lock()
		l.p.conns[conn] = true
		l.p.mu.Unlock()
		switch l.p.c.Fault.Reach {
		case Untrusted:
			l.p.handshake.Add(1)
		case TLSHandshake:
			if l.p.handshake.Load() == 0 || l.p.c.Always {
				l.p.handshake.Add(1)
				_, _ = io.ReadFull(conn, make([]byte, 5))
				abort(conn)
				continue
			}
		default:
		}
		return conn, nil
	}
}

// abort makes the other side see a reset.
func abort(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// URL is the address for the client.
func (p *Proxy) URL() string {
	switch p.c.Fault.Reach {
	case NoHost:
		return "https://letta.invalid" // no name of this kind exists (RFC 6761)
	case Untrusted, TLSHandshake:
		return "https://" + p.address
	default:
		return "http://" + p.address
	}
}

// Stage is closed when the caller is to cancel.
func (p *Proxy) Stage() <-chan struct{} { return p.stage }

func (p *Proxy) reachStage() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reached {
		p.reached = true
		close(p.stage)
	}
}

// close cuts every connection.
func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.kill()
	p.running.Wait()
	p.client.CloseIdleConnections()
	p.other.Close()
}

func (p *Proxy) kill() {
	p.mu.Lock()
	listener, server, conns := p.listener, p.server, p.conns
	p.conns = map[net.Conn]bool{}
	p.mu.Unlock()
	if listener != nil {
		_ = listener.Close()
	}
	for conn := range conns {
		abort(conn)
	}
	if server != nil {
		_ = server.Close()
	}
}

// restart cuts every connection, and listens again after a while. What the server knows stays, as in a database.
func (p *Proxy) restart(after time.Duration) {
	p.kill()
	p.running.Go(func() {
		time.Sleep(after)
		for range 100 {
			listener, err := listen(p.address)
			if err == nil {
				p.serve(listener)
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
}

// --- requests --------------------------------------------------------------------------------------------

var ids = regexp.MustCompile(`/(agent|source|folder|run|file)-[^/]+`)

// arrive notes a request, and says what to play: the fault, the cut that comes before it, or nothing.
func (p *Proxy) arrive(method, target string) (*Request, func(*exchange)) {
	relay := func(x *exchange) { x.answer(x.carryOut()) }
	entry := &Request{Method: method, Path: strings.TrimSuffix(ids.ReplaceAllString(strings.TrimPrefix(target, "/v1"), "/{id}"), "/")}
	if target == "/v1/health/" { // opens the connection
		return entry, relay
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests = append(p.requests, entry)
	o := p.c.Operation
	if matches(o.cutFirst, target) && !p.cutFirst {
		p.cutFirst = true
		return entry, func(x *exchange) { x.truncate(x.carryOut()) }
	}
	if method != o.method || !matches(o.path, target) {
		return entry, relay
	}
	if p.met++; p.c.Fault.play == nil || p.met <= o.skip || !p.c.Always && p.met > o.skip+1 {
		return entry, relay
	}
	p.played++
	return entry, p.c.Fault.play
}

func matches(patterns, target string) bool {
	for pattern := range strings.SplitSeq(patterns, "|") {
		if ok, _ := path.Match(pattern, target); ok {
			return true
		}
	}
	return false
}

// Saw counts a fault that only the client can see, such as a name that is not known.
func (p *Proxy) Saw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.played++
}

// Played is how often the fault was played.
func (p *Proxy) Played() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.played + int(p.handshake.Load())
}

// ServeHTTP answers over HTTP/1.1.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	entry, play := p.arrive(r.Method, r.URL.Path)
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		panic(http.ErrAbortHandler)
	}
	p.running.Add(1)
	p.mu.Unlock()
	defer p.running.Done()
	x := &exchange{p: p, r: r, w: w, entry: entry}
	play(x)
	if x.conn != nil {
		_ = x.conn.Close()
	}
}

// exchange is one request and its answer.
type exchange struct {
	p     *Proxy
	r     *http.Request
	entry *Request
	body  []byte
	done  bool // the body was read

	w    http.ResponseWriter // of HTTP/1.1
	conn net.Conn            // taken over from w
	h2   *stream2            // of HTTP/2
}

func (x *exchange) read() {
	if !x.done {
		x.body, _ = io.ReadAll(x.r.Body)
		x.done = true
	}
}

// carryOut has the server do what was asked, and returns its answer. It does so to the end even if the client leaves, as
// a server does that has read a request.
func (x *exchange) carryOut() *answer {
	x.read()
	r, err := http.NewRequestWithContext(context.Background(), x.r.Method, x.p.upstream+x.r.URL.RequestURI(), bytes.NewReader(x.body))
	if err != nil {
		return failure(http.StatusBadGateway)
	}
	r.Header = x.r.Header.Clone()
	r.Header.Del("Connection")
	r.Header.Del("Accept-Encoding")
	response, err := x.p.client.Transport.RoundTrip(r)
	if err != nil {
		return failure(http.StatusBadGateway)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return failure(http.StatusBadGateway)
	}
	x.p.mu.Lock()
	x.entry.Done = response.StatusCode < 300
	x.p.mu.Unlock()
	header := http.Header{}
	if kind := response.Header.Get("Content-Type"); kind != "" {
		header.Set("Content-Type", kind)
	}
	return &answer{response.StatusCode, header, body}
}

// answer sends a whole answer.
func (x *exchange) answer(a *answer) {
	if x.h2 != nil {
		x.h2.send(a, a.body, true)
		return
	}
	maps.Copy(x.w.Header(), a.header)
	if !a.events() {
		x.w.Header().Set("Content-Length", fmt.Sprint(len(a.body)))
	}
	x.w.WriteHeader(a.status)
	_, _ = x.w.Write(a.body)
}

func (a *answer) events() bool {
	return strings.HasPrefix(a.header.Get("Content-Type"), "text/event-stream")
}

func (x *exchange) redirect(status int, to string) {
	x.answer(&answer{status, http.Header{"Location": {to + x.r.URL.RequestURI()}}, nil})
}

// take takes the connection over.
func (x *exchange) take() *bufio.ReadWriter {
	conn, buffer, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	x.conn = conn
	return buffer
}

func (x *exchange) reset() {
	x.take()
	abort(x.conn)
}

// early answers before the body was read, and closes as servers do: what still comes is dropped for a while.
func (x *exchange) early(a *answer) {
	buffer := x.take()
	x.head(a, "Content-Length: "+fmt.Sprint(len(a.body)))
	_, _ = x.conn.Write(a.body)
	if tcp, ok := x.conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	_ = x.conn.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = io.Copy(io.Discard, buffer)
}

// head writes a status line and headers, with a line that says how long the body is. It announces that the connection is
// closed afterwards: otherwise the next request may or may not meet that.
func (x *exchange) head(a *answer, length string) {
	var head bytes.Buffer
	fmt.Fprintf(&head, "HTTP/1.1 %d %s\r\nConnection: close\r\n%s\r\n", a.status, http.StatusText(a.status), length)
	_ = a.header.Write(&head)
	head.WriteString("\r\n")
	_, _ = x.conn.Write(head.Bytes())
}

const chunked = "Transfer-Encoding: chunked"

func (x *exchange) chunk(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(x.conn, "%x\r\n%s\r\n", len(data), data)
	return err
}

// part sends the headers and the beginning of the body.
func (x *exchange) part(a *answer, share float64) {
	x.take()
	part := a.body[:int(share*float64(len(a.body)))]
	if a.events() {
		x.head(a, chunked)
		_ = x.chunk(part)
		return
	}
	x.head(a, "Content-Length: "+fmt.Sprint(len(a.body)))
	_, _ = x.conn.Write(part)
}

func (x *exchange) truncate(a *answer) {
	if x.h2 != nil {
		x.h2.send(a, a.body[:len(a.body)/2], false)
		_ = x.h2.conn.conn.Close()
		return
	}
	x.part(a, 0.5)
}

// endEarly sends half of the body as if it were the whole.
func (x *exchange) endEarly(a *answer) {
	x.take()
	x.head(a, chunked)
	half := a.body[:len(a.body)/2]
	if a.events() { // at the end of an event
		half = half[:bytes.LastIndex(half, []byte("\n\n"))+2]
	}
	_ = x.chunk(half)
	_, _ = io.WriteString(x.conn, "0\r\n\r\n")
}

// flood sends 300 MiB of white space after the answer, or in front of a stream 40 MiB, as one event: more than this
// package reads. For clients without a limit a tenth shows as much.
func (x *exchange) flood(a *answer) {
	x.take()
	more := 300 << 20
	if a.events() {
		more = 40 << 20
	}
	if x.p.small {
		more /= 10
	}
	x.head(a, "Content-Length: "+fmt.Sprint(len(a.body)+more))
	filler := bytes.Repeat([]byte{' '}, 1<<20)
	if a.events() {
		_, _ = io.WriteString(x.conn, "data: ")
		more -= len("data: ")
	} else {
		_, _ = x.conn.Write(a.body)
	}
	for more > 0 {
		n, err := x.conn.Write(filler[:min(more, len(filler))])
		if err != nil {
			return
		}
		more -= n
	}
	if a.events() {
		_, _ = x.conn.Write(a.body)
	}
}

// endless sends the beginning of the answer and then white space, or of a stream comments, for as long as the client reads.
func (x *exchange) endless(a *answer) {
	x.take()
	x.head(a, chunked)
	begin, filler := a.body[:max(len(a.body)-1, 0)], []byte(" ")
	if a.events() {
		begin, filler = a.body[:bytes.Index(a.body, []byte("\n\n"))+2], []byte(": more\n\n")
	}
	err := x.chunk(begin)
	for err == nil {
		time.Sleep(10 * time.Millisecond)
		err = x.chunk(filler)
	}
}

// drip sends the body a byte at a time.
func (x *exchange) drip(a *answer) {
	x.take()
	x.head(a, chunked)
	for i := range a.body {
		if x.chunk(a.body[i:i+1]) != nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	_, _ = io.WriteString(x.conn, "0\r\n\r\n")
}

// hold waits until the client leaves.
func (x *exchange) hold() {
	if x.conn == nil {
		x.take()
	}
	_, _ = x.conn.Read(make([]byte, 1))
}

// --- another origin ------------------------------------------------------------------------------------------

// elsewhere is another origin. It notes what a client brings there.
type elsewhere struct {
	*httptest.Server
	mu   sync.Mutex
	seen map[string]bool
}

func newElsewhere() *elsewhere {
	e := &elsewhere{seen: map[string]bool{}}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		e.mu.Lock()
		defer e.mu.Unlock()
		e.seen["request"] = true
		if r.Header.Get("Authorization")+r.Header.Get("X-Bare-Password") != "" {
			e.seen["key"] = true
		}
		if len(body) > 0 {
			e.seen["body"] = true
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{}")
	}))
	return e
}

// host is its address by another name than the server's.
func (e *elsewhere) host() string { return strings.Replace(e.URL, "127.0.0.1", "localhost", 1) }

// brought says what came to the other origin.
func (e *elsewhere) brought() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var what []string
	for _, word := range []string{"request", "key", "body"} {
		if e.seen[word] {
			what = append(what, word)
		}
	}
	if what == nil {
		return "nothing"
	}
	return strings.Join(what, "+")
}
