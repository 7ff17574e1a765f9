package lettatest

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// A world is all that a server knows.
type world struct {
	routes         []*route
	password       string
	handles        []string
	pingInterval   time.Duration
	cancelInterval time.Duration
	eventLimit     int

	done    chan struct{} // closed when the server is
	ctx     context.Context
	quit    context.CancelFunc
	running sync.WaitGroup // turns

	mu    sync.Mutex // guards all that follows
	clock time.Time

	agents        table[*agent]
	messages      table[*message]
	conversations table[*conversation]
	runs          table[*run]
	steps         table[*step]

	blocks, tools, archives, passages, folders, files, identities, groups, providers, jobs, servers table[*row]
	templates, tokens, schedules, models, embedder                                                  table[*row]

	script    func(Turn) Reply
	functions map[string]func(string) (string, error) // tools by name
	offers    map[string][]MCPTool                    // of MCP servers, by command or URL

	locks map[string]*run   // the runs that keep conversations busy, by the id of a conversation or agent
	otids map[string]string // ids of runs
}

func newWorld() *world {
	w := &world{
		handles: defaultModels, pingInterval: 20 * time.Second, cancelInterval: 500 * time.Millisecond, eventLimit: 10_000,
		done: make(chan struct{}), script: DefaultScript, functions: map[string]func(string) (string, error){}, offers: map[string][]MCPTool{},
		locks: map[string]*run{}, otids: map[string]string{},
	}
	w.ctx, w.quit = context.WithCancel(context.Background())
	return w
}

// stock fills in what every server is born with.
func (w *world) stock() {
	w.routes = operations()
	w.stockModels(w.handles)
	w.stockTools()
}

// now is the time in microseconds. No two calls give the same, so that lists have one order.
func (w *world) now() time.Time {
	t := time.Now().UTC().Truncate(time.Microsecond)
	if !t.After(w.clock) {
		t = w.clock.Add(time.Microsecond)
	}
	w.clock = t
	return t
}

func (w *world) newRow(kind string) row {
	now := w.now()
	return row{id: newID(kind), created: now, updated: now}
}

// process is the real server: it decides about a request.
func (w *world) process(r *http.Request, body *payload) *reply {
	w.mu.Lock()
	a := w.dispatch(r, body)
	if a.later != nil {
		w.mu.Unlock()
		a = a.later(r.Context())
		w.mu.Lock()
	}
	defer w.mu.Unlock()
	return newReply(a)
}

// pause sleeps and tells whether neither the context nor the server ended meanwhile.
func pause(ctx context.Context, done <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-done:
	}
	return false
}
