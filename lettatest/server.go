// Package lettatest is an embedded, in-memory Letta server for tests and examples.
//
// It copies the REST API and the habits of a self-hosted server 0.16.8: relations that stay empty unless asked for, tags that PATCH replaces,
// cursors that restart, slash redirects, legacy mode, error bodies, the frames of streams. Nothing is kept after Close, and no model is called:
// Script says what the model says, Tool what a tool does, and Fail what goes wrong.
package lettatest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"
)

// TB is the part of testing.TB that NewServer needs.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Option changes how a server starts.
type Option func(*Server)

// WithPassword makes the server ask for a password on every route but health.
func WithPassword(password string) Option { return func(s *Server) { s.password = password } }

// WithModels replaces the language models that the server offers; a handle reads provider/name.
func WithModels(handles ...string) Option { return func(s *Server) { s.handles = handles } }

// WithPingInterval sets after how much silence a stream sends a ping. The default is 20 s, as on the real server.
func WithPingInterval(d time.Duration) Option {
	return func(s *Server) { s.pingInterval = max(d, time.Millisecond) }
}

// WithAddr sets the listen address; the default is a free port of the loopback interface.
func WithAddr(addr string) Option { return func(s *Server) { s.addr = addr } }

// Request is one request that arrived, as it was sent.
type Request struct {
	Method string
	Path   string
	Query  url.Values
	Header http.Header
	Body   []byte
	Status int // what was answered; 0 while there is no answer, and when the connection was cut without one
}

// Server is a running server. It is safe for concurrent use.
type Server struct {
	addr, password string
	handles        []string
	pingInterval   time.Duration

	listener net.Listener
	http     *http.Server
	done     chan struct{}
	ctx      context.Context // of every turn
	quit     context.CancelFunc
	running  sync.WaitGroup

	mu       sync.Mutex // guards all that follows
	closed   bool
	log      []*Request
	faults   []*Fault
	clock    time.Time
	agents   map[string]*agent
	blocks   map[string]*block
	tools    []tool
	models   []map[string]any
	embedder []map[string]any

	script        func(Turn) Reply
	functions     map[string]func(string) (string, error) // tools by name
	messages      map[string]*message
	conversations map[string]*conversation
	runs          map[string]*run
	steps         map[string]*step
	locks         map[string]*run   // the runs that keep conversations busy, by the id of a conversation or agent
	otids         map[string]string // run ids
}

// NewServer starts a server that closes itself when the test ends.
func NewServer(t TB, opts ...Option) *Server {
	t.Helper()
	s, err := Listen(opts...)
	if err != nil {
		t.Fatalf("%v", err)
		return nil
	}
	t.Cleanup(s.Close)
	return s
}

// Start starts a server for a program. Like net/http/httptest it panics when it cannot listen.
func Start(opts ...Option) *Server {
	s, err := Listen(opts...)
	if err != nil {
		panic(err)
	}
	return s
}

// Listen is Start with an error instead of a panic.
func Listen(opts ...Option) (*Server, error) {
	s := &Server{
		addr:    "127.0.0.1:0",
		handles: defaultModels,

		pingInterval: 20 * time.Second,

		done:   make(chan struct{}),
		agents: map[string]*agent{},
		blocks: map[string]*block{},
		tools:  baseTools(),
		script: DefaultScript,

		functions:     map[string]func(string) (string, error){},
		messages:      map[string]*message{},
		conversations: map[string]*conversation{},
		runs:          map[string]*run{},
		steps:         map[string]*step{},
		locks:         map[string]*run{},
		otids:         map[string]string{},
	}
	for _, opt := range opts {
		opt(s)
	}
	s.ctx, s.quit = context.WithCancel(context.Background())
	s.models, s.embedder = languageModels(s.handles), embeddingModels()
	var err error
	if s.listener, err = new(net.ListenConfig).Listen(context.Background(), "tcp", s.addr); err != nil {
		return nil, fmt.Errorf("lettatest: %w", err)
	}
	s.http = &http.Server{Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	s.running.Go(func() { _ = s.http.Serve(s.listener) })
	return s, nil
}

// URL is the base address, without a slash at the end.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// Close stops the server, cuts every connection and waits until its goroutines have ended. Calling it again does nothing.
func (s *Server) Close() {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	s.mu.Unlock()
	if first {
		close(s.done)
		s.quit()
		_ = s.http.Close()
	}
	s.running.Wait()
}

// Requests returns everything that arrived, in order of arrival, with the requests that a fault met.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Request, len(s.log))
	for i, r := range s.log {
		out[i] = *r
		out[i].Query, out[i].Header, out[i].Body = url.Values(http.Header(r.Query).Clone()), r.Header.Clone(), bytes.Clone(r.Body)
	}
	return out
}

// ClearRequests forgets what arrived so far.
func (s *Server) ClearRequests() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = nil
}

// Drop says where a fault cuts the connection.
type Drop int

// The places to cut a connection.
const (
	DropNever      Drop = iota
	DropBeforeRead      // reset before the body is read; nothing is processed
	DropAfterRead       // processed, state changes included, then cut without a byte of answer
	DropMidBody         // processed, then the headers and half of the body are sent
)

// Fault makes the server misbehave. Of the faults given to Fail, the first that matches a request and is not used up acts on it.
type Fault struct {
	Method string // "" matches every method
	Path   string // a path.Match pattern for the URL path; "" matches every path

	Skip  int // this many matching requests pass first (later faults may act on them)
	Times int // then the fault acts this many times; 0 is always

	Delay time.Duration // the answer waits this long after processing; cut short when the client leaves or the server closes
	Drop  Drop

	Status  int         // answer with this status, Header and Body instead of processing the request
	Process bool        // with Status: process the request for real first, and lose its answer
	Header  http.Header // added to the answer, be it real or the fault's own
	Body    string      // a Body alone means Status 200

	Truncate int   // send only so many bytes of the body under the full Content-Length, then cut
	Pad      int64 // append so many spaces to the body

	Stream *StreamFault // for streams, on which DropMidBody, Truncate and Pad do not act
}

// Fail adds a fault. It panics when Path is not a pattern for path.Match.
func (s *Server) Fail(f Fault) {
	if _, err := path.Match(f.Path, ""); err != nil {
		panic("lettatest: Fault.Path " + f.Path + ": " + err.Error())
	}
	if f.Status == 0 && f.Body != "" {
		f.Status = http.StatusOK
	}
	f.Header = f.Header.Clone()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// arrive logs a request and picks the fault that acts on it. It fails when the server is closed.
func (s *Server) arrive(r *http.Request) (*Request, Fault, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, Fault{}, http.ErrServerClosed
	}
	s.running.Add(1)
	entry := &Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.Query(), Header: r.Header.Clone()}
	s.log = append(s.log, entry)
	for i, f := range s.faults {
		if f.Method != "" && f.Method != r.Method {
			continue
		}
		if ok, _ := path.Match(f.Path, r.URL.Path); f.Path != "" && !ok {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.Times == 1 {
			s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
		} else if f.Times > 1 {
			f.Times--
		}
		return entry, *f, nil
	}
	return entry, Fault{}, nil
}

// answer is what a handler decides; body is encoded as JSON unless it is nil (null is a json.RawMessage).
type answer struct {
	status  int
	header  http.Header
	body    any
	crashed bool // the server closes the connection afterwards, unannounced

	later  func(context.Context) answer // the answer proper, worked out without the mutex
	stream *stream                      // sent instead of a body
}

func ok(body any) answer { return answer{status: http.StatusOK, body: body} }

func fail(status int, format string, args ...any) answer {
	return answer{status: status, body: map[string]any{"detail": fmt.Sprintf(format, args...)}}
}

// crash is an unhandled error of the real server: only after this one does it close the connection.
func crash() answer {
	a := fail(http.StatusInternalServerError, "An unknown error occurred")
	a.crashed = true
	return a
}

// serve answers one request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	entry, fault, err := s.arrive(r)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer s.running.Done()

	if fault.Drop == DropBeforeRead {
		s.wait(context.Background(), fault.Delay) // the client's going is not seen before the body is read
		cut(w, nil, true)
		return
	}
	body, err := io.ReadAll(r.Body)
	s.mu.Lock()
	entry.Body = body
	s.mu.Unlock()
	if err != nil {
		panic(http.ErrAbortHandler)
	}

	out := &reply{status: fault.Status, header: http.Header{}, body: []byte(fault.Body), crashed: fault.Status == http.StatusInternalServerError}
	if fault.Status == 0 || fault.Process {
		if real := s.process(r, body); fault.Status == 0 {
			out = real
		}
	}
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler)
	}
	maps.Copy(out.header, fault.Header)
	if !s.wait(r.Context(), fault.Delay) {
		panic(http.ErrAbortHandler)
	}
	answered := func() {
		s.mu.Lock()
		entry.Status = cmp.Or(out.status, http.StatusOK) // of a stream
		s.mu.Unlock()
	}
	if out.stream != nil && fault.Drop != DropAfterRead {
		maps.Copy(w.Header(), out.header)
		s.send(w, r, out.stream, fault.Stream, answered)
		return
	}
	if fault.Drop != DropAfterRead {
		answered()
	}

	send := len(out.body)
	switch {
	case fault.Drop == DropAfterRead:
		cut(w, nil, false)
		return
	case fault.Drop == DropMidBody:
		send /= 2
	case fault.Truncate > 0:
		send = min(send, fault.Truncate)
	}
	if send < len(out.body) || out.crashed {
		out.header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
		cut(w, func(c io.Writer) { out.write(c, send, fault.Pad) }, false)
		return
	}
	maps.Copy(w.Header(), out.header)
	if out.status >= http.StatusOK && out.status != http.StatusNoContent && out.status != http.StatusNotModified {
		w.Header().Set("Content-Length", fmt.Sprint(int64(len(out.body))+fault.Pad))
	}
	w.WriteHeader(out.status)
	if _, err := w.Write(out.body); err == nil {
		pad(w, fault.Pad)
	}
}

// wait sleeps and tells whether the client is still to be answered.
func (s *Server) wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-s.done:
	}
	return false
}

// reply is an encoded answer.
type reply struct {
	status  int
	header  http.Header
	body    []byte
	crashed bool
	stream  *stream
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

// call is one request on its way through a handler. Handlers run under the server's mutex.
type call struct {
	*http.Request
	id    string // the {id} of the path
	sub   string // the {sub} of the path
	query url.Values
	raw   []byte
	data  any // the decoded JSON body
	errs  problems
}

// route is one operation. Order counts: as in the real server the first pattern that fits decides about redirects and 405.
type route struct {
	method, pattern string
	handle          func(*Server, *call) answer
	json            bool // the body is JSON and required
}

var routes = []route{
	{"GET", "/v1/health/", (*Server).health, false},
	{"GET", "/v1/agents/", (*Server).listAgents, false},
	{"GET", "/v1/agents/count", (*Server).countAgents, false},
	{"GET", "/v1/agents/{id}/export", (*Server).exportAgent, false},
	{"POST", "/v1/agents/import", (*Server).importAgents, false},
	{"POST", "/v1/agents/", (*Server).createAgent, true},
	{"PATCH", "/v1/agents/{id}", (*Server).updateAgent, true},
	{"GET", "/v1/agents/{id}", (*Server).retrieveAgent, false},
	{"DELETE", "/v1/agents/{id}", (*Server).deleteAgent, false},
	{"POST", "/v1/agents/{id}/recompile", (*Server).recompileAgent, false},
	{"GET", "/v1/agents/{id}/core-memory/blocks/{sub}", (*Server).retrieveAgentBlock, false},
	{"GET", "/v1/agents/{id}/core-memory/blocks", (*Server).listAgentBlocks, false},
	{"PATCH", "/v1/agents/{id}/core-memory/blocks/{sub}", (*Server).updateAgentBlock, true},
	{"PATCH", "/v1/agents/{id}/core-memory/blocks/attach/{sub}", (*Server).attachBlock, false},
	{"PATCH", "/v1/agents/{id}/core-memory/blocks/detach/{sub}", (*Server).detachBlock, false},
	{"GET", "/v1/agents/{id}/messages", (*Server).listAgentMessages, false},
	{"POST", "/v1/agents/{id}/messages", (*Server).sendMessage, true},
	{"POST", "/v1/agents/{id}/messages/stream", (*Server).streamMessage, true},
	{"POST", "/v1/agents/{id}/messages/cancel", (*Server).cancelAgent, true},
	{"POST", "/v1/agents/{id}/messages/async", (*Server).sendAsync, true},
	{"PATCH", "/v1/agents/{id}/reset-messages", (*Server).resetMessages, true},
	{"POST", "/v1/agents/{id}/summarize", (*Server).compactAgent, true},
	{"GET", "/v1/blocks/", (*Server).listBlocks, false},
	{"GET", "/v1/blocks/count", (*Server).countBlocks, false},
	{"POST", "/v1/blocks/", (*Server).createBlock, true},
	{"PATCH", "/v1/blocks/{id}", (*Server).updateBlock, true},
	{"DELETE", "/v1/blocks/{id}", (*Server).deleteBlock, false},
	{"GET", "/v1/blocks/{id}", (*Server).retrieveBlock, false},
	{"GET", "/v1/blocks/{id}/agents", (*Server).listBlockAgents, false},
	{"POST", "/v1/conversations/", (*Server).createConversation, true},
	{"GET", "/v1/conversations/", (*Server).listConversations, false},
	{"GET", "/v1/conversations/{id}", (*Server).retrieveConversation, false},
	{"PATCH", "/v1/conversations/{id}", (*Server).updateConversation, true},
	{"POST", "/v1/conversations/{id}/fork", (*Server).forkConversation, false},
	{"DELETE", "/v1/conversations/{id}", (*Server).deleteConversation, false},
	{"GET", "/v1/conversations/{id}/messages", (*Server).listConversationMessages, false},
	{"POST", "/v1/conversations/{id}/messages", (*Server).sendToConversation, true},
	{"POST", "/v1/conversations/{id}/stream", (*Server).attachConversation, true},
	{"POST", "/v1/conversations/{id}/cancel", (*Server).cancelConversation, false},
	{"POST", "/v1/conversations/{id}/recompile", (*Server).recompileConversation, true},
	{"POST", "/v1/conversations/{id}/compact", (*Server).compactConversation, true},
	{"GET", "/v1/messages/", (*Server).listMessages, false},
	{"POST", "/v1/messages/search", (*Server).searchMessages, true},
	{"GET", "/v1/messages/{id}", (*Server).retrieveMessage, false},
	{"GET", "/v1/models/", (*Server).listModels, false},
	{"GET", "/v1/models/embedding", (*Server).listEmbeddingModels, false},
	{"GET", "/v1/runs/", (*Server).listRuns, false},
	{"GET", "/v1/runs/active", (*Server).listActiveRuns, false},
	{"GET", "/v1/runs/{id}", (*Server).retrieveRun, false},
	{"GET", "/v1/runs/{id}/messages", (*Server).listRunMessages, false},
	{"GET", "/v1/runs/{id}/usage", (*Server).retrieveUsage, false},
	{"GET", "/v1/runs/{id}/metrics", (*Server).runMetrics, false},
	{"GET", "/v1/runs/{id}/steps", (*Server).listRunSteps, false},
	{"GET", "/v1/runs/{id}/trace", (*Server).runTrace, false},
	{"DELETE", "/v1/runs/{id}", (*Server).deleteRun, false},
	{"POST", "/v1/runs/{id}/stream", (*Server).streamRun, true},
	{"GET", "/v1/steps/", (*Server).listSteps, false},
	{"GET", "/v1/steps/{id}", (*Server).retrieveStep, false},
	{"GET", "/v1/steps/{id}/metrics", (*Server).stepMetrics, false},
	{"GET", "/v1/steps/{id}/trace", (*Server).stepTrace, false},
	{"PATCH", "/v1/steps/{id}/feedback", (*Server).stepFeedback, true},
	{"GET", "/v1/steps/{id}/messages", (*Server).listStepMessages, false},
	{"GET", "/v1/tags/", (*Server).listTags, false},
}

// match fits a path to a pattern and returns what stands for {id} and {sub}.
func match(pattern, p string) (id, sub string, fits bool) {
	want, have := strings.Split(pattern, "/"), strings.Split(p, "/")
	if len(want) != len(have) {
		return "", "", false
	}
	for i, w := range want {
		switch {
		case w == "{id}" && have[i] != "":
			id = have[i]
		case w == "{sub}" && have[i] != "":
			sub = have[i]
		case w != have[i]:
			return "", "", false
		}
	}
	return id, sub, true
}

// find looks a path up: the route, its ids, and for a wrong method the method that is allowed.
func find(method, p string) (found *route, id, sub, allow string) {
	for i := range routes {
		id, sub, fits := match(routes[i].pattern, p)
		if !fits {
			continue
		}
		if routes[i].method == method {
			return &routes[i], id, sub, ""
		}
		if allow == "" {
			allow = routes[i].method
		}
	}
	return nil, "", "", allow
}

// process is the real server: password, routing, the operation itself, and the encoding of its answer.
func (s *Server) process(r *http.Request, body []byte) *reply {
	s.mu.Lock()
	a := s.dispatch(r, body)
	if a.later != nil {
		s.mu.Unlock()
		a = a.later(r.Context())
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	out := &reply{status: a.status, header: http.Header{}, crashed: a.crashed, stream: a.stream}
	maps.Copy(out.header, a.header)
	if a.body != nil {
		out.header.Set("Content-Type", "application/json")
		var err error
		if out.body, err = encode(a.body); err != nil {
			panic(err)
		}
	}
	return out
}

func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimRight(buf.Bytes(), "\n"), err
}

func (s *Server) dispatch(r *http.Request, body []byte) answer {
	p := r.URL.Path
	if s.password != "" && p != "/v1/health" && p != "/v1/health/" &&
		r.Header.Get("Authorization") != "Bearer "+s.password && r.Header.Get("X-Bare-Password") != "password "+s.password {
		return fail(http.StatusUnauthorized, "Unauthorized")
	}
	rt, id, sub, allow := find(r.Method, p)
	if rt == nil && allow == "" {
		return s.redirect(r)
	}
	if rt == nil {
		a := fail(http.StatusMethodNotAllowed, "Method Not Allowed")
		a.header = http.Header{"Allow": {allow}}
		return a
	}
	c := &call{Request: r, id: id, sub: sub, query: r.URL.Query(), raw: body}
	if rt.json {
		if a := c.decode(); a != nil {
			return *a
		}
	}
	if user := r.Header.Get("User_id"); r.Header["User_id"] != nil && !idPattern("user").MatchString(user) {
		return invalid("Invalid user ID format: %s. Expected format: 'user-<uuid4>'", user)
	}
	return rt.handle(s, c)
}

// redirect sends a path with one slash too many or too few to where it belongs.
func (s *Server) redirect(r *http.Request) answer {
	p := strings.TrimRight(r.URL.Path, "/")
	if p == r.URL.Path {
		p += "/"
	}
	if rt, _, _, allow := find(r.Method, p); rt == nil && allow == "" {
		return fail(http.StatusNotFound, "Not Found")
	}
	to := url.URL{Scheme: "http", Host: r.Host, Path: p, RawQuery: r.URL.RawQuery}
	return answer{status: http.StatusTemporaryRedirect, header: http.Header{"Location": {to.String()}}}
}
