// Package lettatest is an embedded, in-memory Letta server for tests and examples.
//
// It copies the REST API and the habits of a self-hosted server, Letta 0.16.8: relations that stay empty unless asked for, tags that PATCH
// replaces, cursors that restart, slash redirects, legacy mode, error bodies, the frames of streams. Nothing is kept after Close, and no model is
// called: Script says what the model says, Tool what a tool does, MCP what a tool server offers, and Fail what goes wrong.
//
// # How it is built
//
// The front is HTTP: it logs requests, acts out faults, writes answers and streams. The router finds an operation in the tables of routes and
// checks the request against the types of the API. Handlers work on a world: tables of rows, most of which one generic resource serves. Turns
// run beside, and write what their clients see to a feed.
//
// The shapes of answers come from recordings of a real server, the checks from the official client's types; a test replays all recordings.
package lettatest

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/letta-go/letta"
)

// TB is the part of testing.TB that NewServer needs.
type TB interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Option changes how a server starts.
type Option func(*Server)

// WithPassword makes the server ask for a password on every route but health.
func WithPassword(password string) Option { return func(s *Server) { s.world.password = password } }

// WithModels replaces the language models that the server offers; a handle reads provider/name.
func WithModels(handles ...string) Option { return func(s *Server) { s.world.handles = handles } }

// WithPingInterval sets after how much silence a stream sends a ping. The default is 20 s, as on the real server.
func WithPingInterval(d time.Duration) Option {
	return func(s *Server) { s.world.pingInterval = max(d, time.Millisecond) }
}

// WithCancelInterval sets how often a streamed turn looks whether it was cancelled. The default is 500 ms, as on the real server: a cancel is
// answered at once, but until then the turn goes on, and may store what it has.
func WithCancelInterval(d time.Duration) Option {
	return func(s *Server) { s.world.cancelInterval = d }
}

// WithEventLimit sets how many events of a background run are kept for those who read them later; older ones are dropped, so that a slow reader
// meets a gap in seq_id. The default is 10,000, as on the real server (which drops them in larger portions).
func WithEventLimit(n int) Option { return func(s *Server) { s.world.eventLimit = max(n, 1) } }

// WithAddr sets the listen address; the default is a free port of the loopback interface.
func WithAddr(addr string) Option { return func(s *Server) { s.addr = addr } }

// Server is a running server. It is safe for concurrent use.
type Server struct {
	clients  []*letta.Client // made by Client
	addr     string
	listener net.Listener
	http     *http.Server
	front    *front
	world    *world
}

// NewServer starts a server that closes itself when the test ends. A fault that never acted fails the test.
func NewServer(t TB, opts ...Option) *Server {
	t.Helper()
	s, err := Listen(opts...)
	if err != nil {
		t.Fatalf("%v", err)
		return nil
	}
	t.Cleanup(func() {
		s.Close()
		for _, f := range s.Unmet() {
			t.Errorf("lettatest: no request met the fault %s %s (skip %d)", f.Method, f.Path, f.Skip)
		}
	})
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
	s := &Server{addr: "127.0.0.1:0", world: newWorld()}
	for _, opt := range opts {
		opt(s)
	}
	s.world.stock()
	s.front = &front{process: s.world.process, stream: s.world.send, done: s.world.done}
	var err error
	if s.listener, err = new(net.ListenConfig).Listen(context.Background(), "tcp", s.addr); err != nil {
		return nil, fmt.Errorf("lettatest: %w", err)
	}
	s.http = &http.Server{Handler: s.front, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	s.front.running.Go(func() { _ = s.http.Serve(s.listener) })
	return s, nil
}

// URL is the base address, without a slash at the end.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// Client makes a client of this server, with its password if it has one. It panics on an option that the client refuses.
func (s *Server) Client(opts ...letta.ClientOption) *letta.Client {
	all := []letta.ClientOption{letta.WithBaseURL(s.URL())}
	if s.world.password != "" {
		all = append(all, letta.WithPassword(s.world.password))
	}
	client, err := letta.NewClient(append(all, opts...)...)
	if err != nil {
		panic(err)
	}
	s.front.note(func() { s.clients = append(s.clients, client) })
	return client
}

// Close stops the server and closes its clients, cuts every connection and waits until its goroutines have ended. Calling it again does nothing.
func (s *Server) Close() {
	first := false
	s.front.note(func() { first, s.front.closed = !s.front.closed, true })
	if first {
		for _, client := range s.clients {
			client.Close() // they may wait for turns that were left
		}
		close(s.world.done)
		s.world.quit()
		_ = s.http.Close()
	}
	s.front.running.Wait()
	s.world.running.Wait()
}

// Requests returns everything that arrived, in order of arrival, with the requests that a fault met.
func (s *Server) Requests() []Request { return s.front.requests() }

// ClearRequests forgets what arrived so far.
func (s *Server) ClearRequests() { s.front.note(func() { s.front.log = nil }) }

// Fail adds a fault. It panics when Path is not a pattern for path.Match.
func (s *Server) Fail(f Fault) { s.front.faults.add(f) }

// Unmet returns the faults that have not acted yet. With NewServer, one left at the end of the test is an error; a program with Start asks here.
func (s *Server) Unmet() []Fault { return s.front.faults.unmet() }

// Script sets what the model says. It is called once for each model call, perhaps by several turns at a time, and Close waits for it. nil restores
// DefaultScript.
func (s *Server) Script(f func(Turn) Reply) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	if s.world.script = f; f == nil {
		s.world.script = DefaultScript
	}
}

// Tool gives the server a tool that it can run; agents get it by tools: [name]. f is handed the arguments as JSON, perhaps by several turns at
// a time. For the name of a built-in tool, or of one that a client made, it takes that one's place.
func (s *Server) Tool(name string, f func(arguments string) (string, error)) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	s.world.functions[name] = f
	s.world.upsertTool(object{"name": name, "json_schema": object{
		"name": name, "description": "", "parameters": object{"type": "object", "properties": object{}, "required": []any{}},
	}})
}

// MCPTool is a tool of an MCP server.
type MCPTool struct {
	Name, Description string
	Parameters        map[string]any // a JSON schema; nil for no arguments
	Run               func(arguments string) (string, error)
}

// MCP says which tools an MCP server offers: one that is started with this command, or has this URL. Other commands and URLs cannot be reached.
// Nothing is started, and nobody is called.
func (s *Server) MCP(commandOrURL string, tools ...MCPTool) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	s.world.offers[commandOrURL] = tools
}
