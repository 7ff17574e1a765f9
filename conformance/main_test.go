// Package conformance is one suite of tests, over the public client alone, that runs on the embedded server of package lettatest and on real
// ones, so that they cannot drift apart:
//
//	go test ./conformance                                        the embedded server
//	LETTA_BASE_URL=http://localhost:8283 go test ./conformance   a real one, with the key in LETTA_API_KEY if it wants one
//
// Every test makes what it needs under tags of its own and deletes it, so the server may hold other data, and the suite may run twice at once.
// LETTA_MODEL and LETTA_EMBEDDING name the models to make agents with; by default they are chosen from what the server offers. Nothing is sent
// to a model. What an older server lacks is named by needs, and counted at the end.
package conformance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/lettatest"
)

// server is what the suite runs on.
var server struct {
	embedded  bool
	url       string
	version   string
	old       bool   // 0.6.12: from before the API of today
	password  string // what it asks for, if it does
	model     string
	embedding string
	client    *letta.Client // made the way a user makes one
}

// lacks says what 0.6.12 does not have, and why a test of it cannot run there.
var lacks = map[string]string{
	"relations":            "0.6.12 always loads every relation",
	"hidden agents":        "0.6.12 has none",
	"list order":           "0.6.12 ignores order, after and before",
	"agent settings":       "0.6.12 has no model settings, compaction settings, response format, timezone or secrets",
	"agents.export_file":   "0.6.12 has no such route",
	"agents.recompile":     "0.6.12 has no such route",
	"blocks.agents.list":   "0.6.12 has no such route",
	"blocks.list filters":  "0.6.12 filters blocks by label and name only",
	"tags.list filters":    "0.6.12 has no name filter and ignores after",
	"crash":                "nothing is known that makes 0.6.12 answer 500",
	"agent relations":      "0.6.12 has other routes",
	"archives":             "0.6.12 has none",
	"folders":              "0.6.12 has other routes",
	"identities":           "0.6.12 has none",
	"groups":               "0.6.12 has none",
	"old server":           "it is a habit of 0.6.12",
	"turns":                "a message of 0.6.12 has other fields",
	"password":             "the server asks for none",
	"tools":                "tools of Letta 0.6.12 have other fields",
	"mcp servers":          "Letta 0.6.12 has other routes",
	"mcp tools":            "they need LETTA_MCP_PYTHON: a Python with the package mcp, on the machine of a real server",
	"provider checks":      "lettatest asks no provider",
	"providers":            "providers of Letta 0.6.12 have other fields",
	"jobs":                 "jobs of Letta 0.6.12 have other fields",
	"agent usage":          "Letta 0.6.12 has no runs",
	"no hosted operations": "lettatest serves the operations of Letta Cloud too",
	"replaced files":       "lettatest replaces by the original name, and deletes another file",
	"tool output":          "lettatest runs no code that prints",
	"schedule":             "only Letta Cloud has it, and lettatest by its documents",
}

func has(feature string) bool {
	if lacks[feature] == "" {
		panic("needs: unknown feature " + feature)
	}
	switch feature {
	case "replaced files", "tool output":
		return !server.embedded && !server.old
	case "schedule":
		return server.embedded
	case "old server":
		return server.old
	case "password":
		return server.password != "" || server.embedded
	case "provider checks":
		return !server.old && !server.embedded
	case "no hosted operations":
		return !server.embedded
	case "mcp tools":
		return !server.old && !server.embedded && os.Getenv("LETTA_MCP_PYTHON") != ""
	}
	return !server.old
}

// tally counts the tests that ran, and names those that did not.
var tally struct {
	sync.Mutex
	run     int
	skipped map[string]int
	named   map[*testing.T]bool
}

// needs skips a test of something that the server does not have. Nothing else may skip.
func needs(t *testing.T, feature string) {
	t.Helper()
	if has(feature) {
		return
	}
	tally.Lock()
	tally.skipped[feature]++
	tally.named[t] = true
	tally.Unlock()
	t.Skipf("%s: %s", feature, lacks[feature])
}

// begin starts a test: it runs beside the others, and is counted.
func begin(t *testing.T) context.Context { t.Helper(); return beginFor(t, time.Minute) }

// slow is begin for a test of many turns.
func slow(t *testing.T) context.Context { t.Helper(); return beginFor(t, 3*time.Minute) }

func beginFor(t *testing.T, timeout time.Duration) context.Context {
	t.Helper()
	t.Parallel()
	t.Cleanup(func() {
		tally.Lock()
		defer tally.Unlock()
		switch {
		case !t.Skipped():
			tally.run++
		case !tally.named[t]:
			t.Error("only needs may skip a test")
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	t.Cleanup(cancel)
	return ctx
}

func TestMain(m *testing.M) {
	tally.skipped, tally.named = map[string]int{}, map[*testing.T]bool{}
	closeServer, err := connect()
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
	code := m.Run()
	closeServer()
	// The pools of http.Transport keep idle connections; nothing else may be left.
	leaks := goleak.Find(
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"),
	)
	if leaks != nil {
		fmt.Fprintln(os.Stderr, "conformance:", leaks)
		code = max(code, 1)
	}
	skips, n := []string{}, 0
	for _, feature := range slices.Sorted(maps.Keys(tally.skipped)) {
		times := ""
		if tally.skipped[feature] > 1 {
			times = fmt.Sprintf("%d x ", tally.skipped[feature])
		}
		n += tally.skipped[feature]
		skips = append(skips, fmt.Sprintf("%s%s (%s)", times, feature, lacks[feature]))
	}
	kind := ""
	if server.embedded {
		kind = "lettatest at "
	}
	line := fmt.Sprintf("conformance on %s%s (%s): %d run, %d skipped", kind, server.url, server.version, tally.run, n)
	if n > 0 {
		line += ": " + strings.Join(skips, ", ")
	}
	fmt.Println(line)
	if err := writeReport(); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// connect starts the embedded server, or finds the one of the environment, and learns what it is.
func connect() (closeServer func(), err error) {
	closeServer = func() {}
	if server.url = os.Getenv("LETTA_BASE_URL"); server.url == "" {
		s, err := lettatest.Listen()
		if err != nil {
			return nil, err
		}
		server.embedded, server.url, closeServer = true, s.URL(), s.Close
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if server.client, err = connectAs(); err != nil {
		return nil, err
	}
	health, err := server.client.Health(ctx)
	if err != nil {
		return nil, fmt.Errorf("the server of LETTA_BASE_URL does not answer: %w", err)
	}
	server.version = health.Version
	server.old = strings.HasPrefix(health.Version, "0.6.")
	stranger, err := letta.NewClient(letta.WithBaseURL(server.url))
	if err != nil {
		return nil, err
	}
	switch _, err := stranger.Models.List(ctx, nil); {
	case errors.Is(err, letta.ErrUnauthorized):
		server.password = os.Getenv("LETTA_API_KEY")
	case err != nil:
		return nil, err
	}
	models, err := server.client.Models.List(ctx, nil)
	if err != nil {
		return nil, err
	}
	embeddings, err := server.client.Models.Embeddings.List(ctx)
	if err != nil {
		return nil, err
	}
	var handles, embedders []string
	for _, m := range models {
		handles = append(handles, m.Handle)
	}
	for _, m := range embeddings {
		embedders = append(embedders, m.Handle)
	}
	server.model = choose(os.Getenv("LETTA_MODEL"), handles, "openai-proxy/gpt-4o-mini", "openai/gpt-4o-mini")
	server.embedding = choose(os.Getenv("LETTA_EMBEDDING"), embedders, "openai/text-embedding-ada-002", "openai/text-embedding-3-small")
	if server.model == "" || server.embedding == "" {
		return nil, fmt.Errorf("no model among %q, or no embedding model among %q", handles, embedders)
	}
	return closeServer, nil
}

// choose takes what the environment asks for, a favourite that is on offer, or the last on offer: the first is Letta's own, over the network.
func choose(asked string, offered []string, favourites ...string) string {
	if asked != "" {
		return asked
	}
	for _, f := range favourites {
		if slices.Contains(offered, f) {
			return f
		}
	}
	if len(offered) == 0 {
		return ""
	}
	return offered[len(offered)-1]
}

// transport is that of all clients, as the default one of a client is made.
var transport = func() http.RoundTripper {
	own := http.DefaultTransport.(*http.Transport).Clone()
	own.MaxIdleConnsPerHost = 100
	return own
}()

// connectAs makes another client of the server, with the key that the environment gives.
func connectAs(opts ...letta.ClientOption) (*letta.Client, error) {
	opts = append([]letta.ClientOption{letta.WithHTTPClient(&http.Client{Transport: noting{transport}})}, opts...)
	if server.embedded {
		opts = append([]letta.ClientOption{letta.WithBaseURL(server.url)}, opts...)
	}
	return letta.NewClient(opts...)
}

func newClient(t *testing.T, opts ...letta.ClientOption) *letta.Client {
	t.Helper()
	client, err := connectAs(opts...)
	require.NoError(t, err)
	return client
}

// recorder is a transport that keeps what passes through it.
type recorder struct {
	http.Transport
	mu       sync.Mutex
	requests []string // method and path
}

func (r *recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	r.mu.Lock()
	r.requests = append(r.requests, request.Method+" "+request.URL.EscapedPath())
	r.mu.Unlock()
	return r.Transport.RoundTrip(request)
}

func (r *recorder) seen() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.requests)
}

// newRecorded makes a client whose requests are recorded.
func newRecorded(t *testing.T, opts ...letta.ClientOption) (*letta.Client, *recorder) {
	t.Helper()
	r := new(recorder)
	t.Cleanup(r.CloseIdleConnections)
	return newClient(t, append(opts, letta.WithHTTPClient(&http.Client{Transport: noting{r}}))...), r
}

var (
	runID = fmt.Sprintf("%08x", rand.Uint32())
	names atomic.Int64
)

// unique makes a name, tag or label that nobody else has. It is safe as any of them.
func unique(what string) string { return fmt.Sprintf("conf-%s-%d-%s", runID, names.Add(1), what) }

// basic are the least params of an agent. The field of the model has another name on 0.6.12.
func basic(tags ...string) *letta.AgentCreateParams {
	p := &letta.AgentCreateParams{System: letta.Some("You are a test."), IncludeBaseTools: letta.Some(false), Tags: tags}
	if server.old {
		p.LLM = server.model //lint:ignore SA1019 the field of 0.6.12
		p.Embedding, p.ContextWindowLimit, p.MemoryBlocks = server.embedding, 16000, []letta.CreateBlock{}
		return p
	}
	p.Model = server.model
	return p
}

func create(ctx context.Context, t *testing.T, params *letta.AgentCreateParams) *letta.AgentState {
	t.Helper()
	agent, err := server.client.Agents.Create(ctx, params)
	require.NoError(t, err)
	deleteAtEnd(t, agent.ID)
	return agent
}

func deleteAtEnd(t *testing.T, id letta.AgentID) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second) // the context of the test has ended
		defer cancel()
		remove(ctx, t, id)
	})
}

// deleteTagged deletes at the end every agent with the tag, also those that a failed test does not know.
func deleteTagged(t *testing.T, tag string) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		agents, err := server.client.Agents.List(ctx, letta.Tags(tag), showHidden)
		assert.NoError(t, err)
		for _, agent := range agents {
			remove(ctx, t, agent.ID)
		}
	})
}

// remove deletes an agent, if it is still there, and its blocks, which the server leaves behind.
func remove(ctx context.Context, t *testing.T, id letta.AgentID) {
	agent, err := server.client.Agents.Retrieve(ctx, id, &letta.AgentRetrieveParams{Include: []letta.AgentInclude{letta.AgentIncludeBlocks}})
	if err != nil {
		assert.ErrorIs(t, err, letta.ErrNotFound)
		return
	}
	assert.NoError(t, server.client.Agents.Delete(ctx, id))
	for _, block := range agent.Blocks {
		if err := server.client.Blocks.Delete(ctx, block.ID); err != nil {
			assert.ErrorIs(t, err, letta.ErrNotFound)
		}
	}
}

var showHidden = letta.WithQuery("show_hidden_agents", "true")

func createBlock(ctx context.Context, t *testing.T, params *letta.BlockCreateParams) *letta.Block {
	t.Helper()
	block, err := server.client.Blocks.Create(ctx, params)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := server.client.Blocks.Delete(ctx, block.ID); err != nil {
			assert.ErrorIs(t, err, letta.ErrNotFound)
		}
	})
	return block
}

// retrieve gets an agent with the relations; without any, it gets those of the default.
func retrieve(ctx context.Context, t *testing.T, id letta.AgentID, include ...letta.AgentInclude) *letta.AgentState {
	t.Helper()
	agent, err := server.client.Agents.Retrieve(ctx, id, &letta.AgentRetrieveParams{Include: include})
	require.NoError(t, err)
	return agent
}

func tagsOf(ctx context.Context, t *testing.T, id letta.AgentID) []string {
	t.Helper()
	return retrieve(ctx, t, id, letta.AgentIncludeTags).Tags
}

func ids(agents []*letta.AgentState) []letta.AgentID {
	out := []letta.AgentID{}
	for _, agent := range agents {
		out = append(out, agent.ID)
	}
	return out
}

// apiError gives the server's answer in an error.
func apiError(t *testing.T, err error) *letta.APIError {
	t.Helper()
	var e *letta.APIError
	require.ErrorAs(t, err, &e)
	return e
}

// onOld picks what is expected of 0.6.12 or of the servers of today.
func onOld[T any](old, today T) T {
	if server.old {
		return old
	}
	return today
}

// together runs n functions at once and waits for them.
func together(n int, run func(i int)) {
	var start, done sync.WaitGroup
	start.Add(1)
	for i := range n {
		done.Go(func() {
			start.Wait()
			run(i)
		})
	}
	start.Done()
	done.Wait()
}
