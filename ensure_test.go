package letta_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
)

// fleet is a small server of agents with the habits that matter for tags: relations are empty unless included, PATCH
// replaces, some agents are hidden.
type fleet struct {
	*server
	mu      sync.Mutex
	agents  []*fleetAgent
	noCount bool // /v1/agents/count does not exist
	oldAll  bool // match_all_tags counts the matches, as 0.6.12 does

	// before sees a request first, and reports whether it has answered it. number counts those of the same method.
	before func(w http.ResponseWriter, r *http.Request, number int) bool
	counts sync.Map
}

type fleetAgent struct {
	ID        string
	Name      string
	Tags      []string
	Hidden    bool
	Invisible bool // created, but not committed
	Project   string
	CreatedAt time.Time
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := new(fleet)
	f.server = serve(t, f.handle)
	return f
}

// holdFirstGet makes the first GET wait for gate; arrived is closed when it is there.
func (f *fleet) holdFirstGet() (arrived, gate chan struct{}) {
	arrived, gate = make(chan struct{}), make(chan struct{})
	f.before = func(_ http.ResponseWriter, r *http.Request, number int) bool {
		if r.Method == "GET" && number == 1 {
			close(arrived)
			<-gate
		}
		return false
	}
	return arrived, gate
}

func (f *fleet) add(name string, tags ...string) *fleetAgent {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.agents) + 1
	a := &fleetAgent{ID: fmt.Sprintf("agent-%d", n), Name: name, Tags: tags, CreatedAt: time.Unix(1_700_000_000+int64(n), 0).UTC()}
	f.agents = append(f.agents, a)
	return a
}

func (f *fleet) tags(id string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.agents {
		if a.ID == id {
			return slices.Clone(a.Tags)
		}
	}
	return nil
}

func (f *fleet) handle(w http.ResponseWriter, r *http.Request) {
	n, _ := f.counts.LoadOrStore(r.Method, new(atomic.Int32))
	if number := int(n.(*atomic.Int32).Add(1)); f.before != nil && f.before(w, r, number) {
		return
	}
	f.answer(w, r)
}

func (f *fleet) answer(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	id, _ := strings.CutPrefix(r.URL.Path, "/v1/agents/")
	var params struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}
	body, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(body, &params)
	switch {
	case id == "" && r.Method == "GET", id == "count" && !f.noCount:
		f.mu.Lock()
		rows := []any{}
		for _, a := range f.agents {
			if f.matches(a, r) {
				rows = append(rows, f.row(a, query["include"]))
			}
		}
		f.mu.Unlock()
		if query.Get("order") != "asc" {
			slices.Reverse(rows)
		}
		var out any = rows
		if id == "count" {
			out = len(rows)
		}
		write(w, out)
	case id == "" && r.Method == "POST":
		a := f.add(params.Name, params.Tags...)
		a.Project = r.Header.Get("X-Project")
		write(w, f.row(a, []string{"agent.tags"}))
	default:
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, a := range f.agents {
			if a.ID != id {
				continue
			}
			include := query["include"]
			if r.Method == "PATCH" && params.Tags != nil {
				a.Tags, include = params.Tags, []string{"agent.tags"}
			}
			write(w, f.row(a, include))
			return
		}
		reply(404, `{"detail":"Agent not found"}`)(w, r)
	}
}

func (f *fleet) matches(a *fleetAgent, r *http.Request) bool {
	query := r.URL.Query()
	tags := query["tags"]
	found := 0
	for _, tag := range a.Tags {
		if slices.Contains(tags, tag) {
			found++
		}
	}
	want := min(len(tags), 1)
	if query.Get("match_all_tags") == "true" {
		want = len(tags)
		if !f.oldAll {
			unique := slices.Clone(tags)
			slices.Sort(unique)
			want = len(slices.Compact(unique))
		}
	}
	return found >= want && !a.Invisible && (!a.Hidden || query.Get("show_hidden_agents") == "true") &&
		a.Project == r.Header.Get("X-Project") && (query.Get("name") == "" || query.Get("name") == a.Name)
}

// row sends every relation, empty unless it was asked for.
func (*fleet) row(a *fleetAgent, include []string) map[string]any {
	row := map[string]any{"id": a.ID, "name": a.Name, "created_at": a.CreatedAt, "hidden": a.Hidden, "tags": []string{}, "blocks": []any{}, "tools": []any{}, "sources": []any{}}
	if slices.Contains(include, "agent.tags") {
		row["tags"] = append([]string{}, a.Tags...)
	}
	return row
}

func write(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// watched tells when somebody waits for the context. Without a timeout, which would begin to wait at once, Ensure does so after
// it joined the request of another caller.
type watched struct {
	context.Context
	waited chan struct{}
	once   *sync.Once
}

func watch(ctx context.Context) watched { return watched{ctx, make(chan struct{}), new(sync.Once)} }

func (c watched) Done() <-chan struct{} {
	c.once.Do(func() { close(c.waited) })
	return c.Context.Done()
}

// --- lists ----------------------------------------------------------------------------------------------------------

func TestListByTags(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.add("one", "user_1")
	f.add("two", "user_1", "team")
	f.add("three", "user_2")
	agents := f.client(t).Agents
	list, err := agents.List(t.Context(), letta.Tags("user_1"))
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, []string{"user_1", "team"}, list[0].Tags)
	require.Nil(t, list[0].Blocks)
	require.Equal(t, map[string][]string{"tags": {"user_1"}, "include": {"agent.tags"}}, map[string][]string(f.seen("GET")[0].Query))

	list, err = agents.List(t.Context(), letta.Tags("user_1", "user_2"))
	require.NoError(t, err)
	require.Len(t, list, 3, "any of the tags")
	require.Equal(t, []string{"user_1", "user_2"}, f.seen("GET")[1].Query["tags"])

	list, err = agents.List(t.Context(), &letta.AgentListParams{Tags: []string{"user_1", "team"}, MatchAllTags: true, Include: []letta.AgentInclude{letta.AgentIncludeBlocks}})
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Nil(t, list[0].Tags, "the caller's include is not touched")
	require.NotNil(t, list[0].Blocks)
	require.Equal(t, []string{"agent.blocks"}, f.seen("GET")[2].Query["include"])

	list, err = agents.List(t.Context(), letta.Tags("nobody"))
	require.NoError(t, err)
	require.NotNil(t, list)
	require.Empty(t, list)

	given := []string{"a"}
	params := letta.Tags(given...)
	given[0] = "changed"
	require.Equal(t, []string{"a"}, params.Tags)
}

func TestRelationsThatWereNotLoaded(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.add("one")
	agents := f.client(t).Agents
	tags := []letta.AgentInclude{letta.AgentIncludeTags}

	list, err := agents.List(t.Context(), nil)
	require.NoError(t, err)
	require.Nil(t, list[0].Tags)
	list, err = agents.List(t.Context(), &letta.AgentListParams{Include: tags})
	require.NoError(t, err)
	require.Equal(t, []string{}, list[0].Tags)
	require.Nil(t, list[0].Tools)
	list, err = agents.List(t.Context(), &letta.AgentListParams{IncludeRelationships: []string{"tags"}})
	require.NoError(t, err)
	require.Equal(t, []string{}, list[0].Tags)

	agent, err := agents.Retrieve(t.Context(), "agent-1", nil)
	require.NoError(t, err)
	require.Nil(t, agent.Tags)
	require.Nil(t, agent.Tools)
	agent, err = agents.Retrieve(t.Context(), "agent-1", &letta.AgentRetrieveParams{Include: tags})
	require.NoError(t, err)
	require.Equal(t, []string{}, agent.Tags)
	require.Nil(t, agent.Sources)

	agent, err = agents.Create(t.Context(), &letta.AgentCreateParams{})
	require.NoError(t, err)
	require.Equal(t, []string{}, agent.Tags, "the answer of a create has all relations")
	agent, err = agents.Update(t.Context(), "agent-1", &letta.AgentUpdateParams{Tags: []string{}})
	require.NoError(t, err)
	require.Equal(t, []string{}, agent.Tags)
	require.JSONEq(t, `{"tags":[]}`, f.seen("PATCH")[0].Body, "an empty slice clears")
	_, err = agents.Update(t.Context(), "agent-1", &letta.AgentUpdateParams{Name: letta.Some("n")})
	require.NoError(t, err)
	require.JSONEq(t, `{"name":"n"}`, f.seen("PATCH")[1].Body, "nil does not")
}

func TestCountAndExists(t *testing.T) {
	t.Parallel()
	for _, noCount := range []bool{false, true} {
		t.Run(fmt.Sprintf("noCount=%v", noCount), func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			f.noCount = noCount
			f.add("one", "user_1")
			f.add("two", "user_1", "team")
			f.add("three")
			agents := f.client(t).Agents
			for _, tt := range []struct {
				params *letta.AgentListParams
				want   int
			}{
				{nil, 3},
				{letta.Tags("user_1"), 2},
				{letta.Tags("user_1", "team"), 2},
				{&letta.AgentListParams{Tags: []string{"user_1", "team"}, MatchAllTags: true, Limit: 1, Order: letta.OrderAsc}, 1},
				{letta.Tags("nobody"), 0},
				{&letta.AgentListParams{Name: "three"}, 1},
			} {
				n, err := agents.Count(t.Context(), tt.params)
				require.NoError(t, err)
				require.Equal(t, tt.want, n)
				exists, err := agents.Exists(t.Context(), tt.params)
				require.NoError(t, err)
				require.Equal(t, tt.want > 0, exists)
			}
			for _, r := range f.seen("GET") {
				if r.Path == "/v1/agents/count" {
					require.Empty(t, r.Query["limit"])
					require.Empty(t, r.Query["include"])
				}
			}
		})
	}
}

// lookupFailures are the ways in which a list is not known to be complete and empty.
func lookupFailures() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"401":            reply(401, `{"detail":"Unauthorized"}`),
		"402":            reply(402, `{}`),
		"403":            reply(403, `{}`),
		"404":            reply(404, `{"detail":"Not Found"}`),
		"409":            reply(409, `{}`),
		"422":            reply(422, `{}`),
		"429":            reply(429, `{}`, "Retry-After-Ms", "1"),
		"500":            reply(500, `[]`, "Retry-After-Ms", "1"),
		"503":            reply(503, ``, "Retry-After-Ms", "1"),
		"timeout":        hang,
		"reset":          cut(""),
		"redirect":       reply(307, `[]`, "Location", "/v1/agents"),
		"not modified":   reply(304, ``),
		"page":           reply(200, `<html>[]</html>`, "Content-Type", "text/html"),
		"truncated":      cut("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[]"),
		"truncated JSON": reply(200, `[`),
		"more":           reply(200, `[]{`),
		"null":           reply(200, `null`),
		"empty":          reply(200, ``),
		"object":         reply(200, `{"agents":[]}`),
		"text":           reply(200, `"[]"`),
		"no content":     reply(204, ``),
	}
}

func TestFailedLookups(t *testing.T) {
	t.Parallel()
	for name, handler := range lookupFailures() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := serve(t, handler)
			agents := srv.client(t, letta.WithTimeout(5*time.Second)).Agents
			var opts []letta.RequestOption
			if name == "timeout" {
				opts = append(opts, letta.WithTimeout(50*time.Millisecond))
			}
			ensured, err := agents.Ensure(t.Context(), []string{"user_1"}, &letta.AgentCreateParams{Model: "openai/m"}, opts...)
			require.Error(t, err)
			require.Nil(t, ensured)
			require.ErrorContains(t, err, "created nothing")
			exists, err := agents.Exists(t.Context(), letta.Tags("user_1"), opts...)
			require.Error(t, err)
			require.False(t, exists)
			n, err := agents.Count(t.Context(), letta.Tags("user_1"), opts...)
			require.Error(t, err)
			require.Zero(t, n)
			require.Empty(t, srv.seen("POST"))
			require.Empty(t, srv.seen("PATCH"))
		})
	}
}

func TestEnsureTakesNullRowsForNoEmptyList(t *testing.T) {
	t.Parallel()
	srv := serve(t, reply(200, `[null]`))
	_, err := srv.client(t).Agents.Ensure(t.Context(), []string{"user_1"}, &letta.AgentCreateParams{}, letta.WithMaxRetries(0))
	require.Error(t, err)
	require.Empty(t, srv.seen("POST"))
}

// --- AddTags, RemoveTags ------------------------------------------------------------------------------------------------

func TestAddAndRemoveTags(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.add("one", "user_1", "keep")
	agents := f.client(t).Agents

	agent, err := agents.AddTags(t.Context(), "agent-1", []string{"new", "user_1", "new"})
	require.NoError(t, err)
	require.Equal(t, []string{"user_1", "keep", "new"}, agent.Tags)
	require.Equal(t, agent.Tags, f.tags("agent-1"))
	require.Len(t, f.seen("PATCH"), 1)
	require.JSONEq(t, `{"tags":["user_1","keep","new"]}`, f.seen("PATCH")[0].Body)
	require.Equal(t, []string{"agent.tags"}, f.seen("GET")[0].Query["include"])

	agent, err = agents.RemoveTags(t.Context(), "agent-1", []string{"user_1", "absent"})
	require.NoError(t, err)
	require.Equal(t, []string{"keep", "new"}, agent.Tags)
	require.JSONEq(t, `{"tags":["keep","new"]}`, f.seen("PATCH")[1].Body)

	reads := len(f.seen("GET"))
	for range 2 {
		agent, err = agents.AddTags(t.Context(), "agent-1", []string{"keep"})
		require.NoError(t, err)
		require.Equal(t, []string{"keep", "new"}, agent.Tags)
		_, err = agents.RemoveTags(t.Context(), "agent-1", []string{"absent"})
		require.NoError(t, err)
	}
	require.Len(t, f.seen("PATCH"), 2, "nothing to do, nothing written")
	require.Len(t, f.seen("GET"), reads+4)

	agent, err = agents.RemoveTags(t.Context(), "agent-1", []string{"keep", "new"})
	require.NoError(t, err)
	require.Equal(t, []string{}, agent.Tags)
	require.JSONEq(t, `{"tags":[]}`, f.seen("PATCH")[2].Body)

	_, err = agents.AddTags(t.Context(), "agent-404", []string{"a"})
	require.ErrorIs(t, err, letta.ErrNotFound)
	require.Len(t, f.seen("PATCH"), 3)
}

func TestTagsOfAnotherWriter(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	one := f.add("one", "user_1")
	f.before = func(w http.ResponseWriter, r *http.Request, number int) bool {
		if r.Method == "PATCH" && number == 1 {
			f.answer(w, r) // ours is written, and overwritten before we look
			f.mu.Lock()
			one.Tags = []string{"user_1", "theirs"}
			f.mu.Unlock()
			return true
		}
		return false
	}
	agent, err := f.client(t).Agents.AddTags(t.Context(), "agent-1", []string{"ours"})
	require.NoError(t, err)
	require.Equal(t, []string{"user_1", "theirs", "ours"}, agent.Tags)
	require.Equal(t, agent.Tags, f.tags("agent-1"))
	require.Len(t, f.seen("PATCH"), 2)
}

func TestTagsThatNeverStay(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.add("one", "user_1")
	f.before = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.Method == "PATCH" {
			write(w, map[string]any{"id": "agent-1"})
			return true
		}
		return false
	}
	_, err := f.client(t).Agents.AddTags(t.Context(), "agent-1", []string{"ours"})
	require.ErrorContains(t, err, "agents.add_tags")
	require.LessOrEqual(t, len(f.seen("PATCH")), 10)
}

func TestTagsAreNotSent(t *testing.T) {
	t.Parallel()
	srv := serve(t, reply(200, `{"id":"agent-1"}`))
	agents := srv.client(t).Agents
	_, err := agents.AddTags(t.Context(), "agent-1", []string{"a"})
	require.ErrorContains(t, err, "did not send the tags")
	require.Empty(t, srv.seen("PATCH"))
	_, err = agents.RemoveTags(t.Context(), "agent-1", []string{"a"})
	require.ErrorContains(t, err, "did not send the tags")
}

func TestAddTagsSideBySide(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.add("one", "user_1")
	f.add("two", "user_2")
	agents := f.client(t).Agents
	var wg sync.WaitGroup
	for i := range 8 {
		for _, id := range []letta.AgentID{"agent-1", "agent-2"} {
			wg.Go(func() {
				agent, err := agents.AddTags(t.Context(), id, []string{fmt.Sprintf("tag_%d", i)})
				assert.NoError(t, err)
				assert.Contains(t, agent.Tags, fmt.Sprintf("tag_%d", i))
			})
		}
	}
	wg.Wait()
	require.Len(t, f.tags("agent-1"), 9)
	require.Len(t, f.tags("agent-2"), 9)
	require.Len(t, f.seen("PATCH"), 16)
	for _, r := range f.seen("PATCH") {
		require.Regexp(t, `^\{"tags":\[[^\]]*\]\}$`, r.Body)
	}
}

func TestAddTagsWaitsNoLongerThanItsContext(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.add("one", "user_1")
	arrived := make(chan struct{})
	release := make(chan struct{})
	f.before = func(_ http.ResponseWriter, r *http.Request, number int) bool {
		if r.Method == "GET" && number == 1 {
			close(arrived)
			<-release
		}
		return false
	}
	agents := f.client(t, letta.WithTimeout(0)).Agents
	done := make(chan error)
	go func() { _, err := agents.AddTags(t.Context(), "agent-1", []string{"a"}); done <- err }()
	<-arrived
	ctx, cancel := context.WithCancel(t.Context())
	waiter := watch(ctx)
	second := make(chan error)
	go func() { _, err := agents.AddTags(waiter, "agent-1", []string{"b"}); second <- err }()
	<-waiter.waited
	cancel()
	require.ErrorIs(t, <-second, context.Canceled)
	close(release)
	require.NoError(t, <-done)
	require.Equal(t, []string{"user_1", "a"}, f.tags("agent-1"))
	_, err := agents.AddTags(t.Context(), "agent-1", []string{"b"})
	require.NoError(t, err, "the lock is free again")
}

// --- Ensure -------------------------------------------------------------------------------------------------------------

var newAgent = &letta.AgentCreateParams{Name: "new", Model: "openai/m"}

func TestEnsure(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.add("other", "user_1")
	client := f.client(t, letta.WithProject("acme"))
	create := &letta.AgentCreateParams{Name: "new", Tags: []string{"team", "user_1"}}
	ensured, err := client.Agents.Ensure(t.Context(), []string{"user_1", "chat"}, create)
	require.NoError(t, err)
	require.True(t, ensured.Created)
	require.Empty(t, ensured.Duplicates)
	require.Equal(t, []string{"user_1", "chat", "team"}, ensured.Agent.Tags)
	require.Equal(t, []string{"team", "user_1"}, create.Tags, "the params are not changed")
	require.Len(t, f.seen("POST"), 1)

	again, err := client.Agents.Ensure(t.Context(), []string{"chat", "user_1"}, create)
	require.NoError(t, err)
	require.False(t, again.Created)
	require.Equal(t, ensured.Agent.ID, again.Agent.ID)
	require.Equal(t, ensured.Agent.Tags, again.Agent.Tags)
	require.Len(t, f.seen("POST"), 1)
	for _, r := range f.seen("") {
		require.Equal(t, "acme", r.Header.Get("X-Project"), "lookup and create see one project")
		if r.Method == "GET" {
			require.Equal(t, "true", r.Query.Get("match_all_tags"))
			require.ElementsMatch(t, []string{"user_1", "chat"}, r.Query["tags"])
			require.Contains(t, r.Query["include"], "agent.tags")
		}
	}
	_, err = client.Agents.Ensure(t.Context(), []string{"user_1", "chat"}, create, letta.WithProject("other"))
	require.NoError(t, err)
	require.Len(t, f.seen("POST"), 2, "another project has an agent of its own")
}

func TestEnsureFindsHiddenAgents(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.add("hidden", "user_1").Hidden = true
	ensured, err := f.client(t).Agents.Ensure(t.Context(), []string{"user_1"}, newAgent)
	require.NoError(t, err)
	require.Equal(t, "hidden", ensured.Agent.Name)
	require.Empty(t, f.seen("POST"))
}

func TestEnsureReportsDuplicates(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	for i := range 4 {
		f.add(fmt.Sprint(i), "user_1")
	}
	f.agents[0].CreatedAt, f.agents[2].CreatedAt = f.agents[2].CreatedAt, f.agents[0].CreatedAt
	ensured, err := f.client(t).Agents.Ensure(t.Context(), []string{"user_1"}, newAgent)
	require.NoError(t, err)
	require.Equal(t, letta.AgentID("agent-3"), ensured.Agent.ID)
	require.Equal(t, []letta.AgentID{"agent-2", "agent-1", "agent-4"}, ensured.Duplicates)
	require.False(t, ensured.Created)
	require.Empty(t, f.seen("POST"))
}

func TestEnsureWithARepeatedTag(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.oldAll = true
	agents := f.client(t).Agents
	first, err := agents.Ensure(t.Context(), []string{"user_1", "user_1"}, newAgent)
	require.NoError(t, err)
	second, err := agents.Ensure(t.Context(), []string{"user_1", "user_1"}, newAgent)
	require.NoError(t, err)
	require.Equal(t, first.Agent.ID, second.Agent.ID)
	require.Len(t, f.seen("POST"), 1)
}

func TestEnsureOnAServerThatIgnoresTheFilter(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.before = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.Method == "GET" {
			write(w, []any{f.row(&fleetAgent{ID: "agent-x", Tags: []string{"user_2"}}, r.URL.Query()["include"])})
			return true
		}
		return false
	}
	_, err := f.client(t).Agents.Ensure(t.Context(), []string{"user_1"}, newAgent)
	require.ErrorContains(t, err, "ignores the filter")
	require.Empty(t, f.seen("POST"))
}

func TestEnsureSideBySide(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	agents := f.client(t).Agents
	const callers = 100
	results := make([]*letta.Ensured, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			var err error
			results[i], err = agents.Ensure(t.Context(), []string{"user_1"}, newAgent)
			assert.NoError(t, err)
		})
	}
	wg.Wait()
	require.Len(t, f.seen("POST"), 1)
	created := 0
	pointers := map[*letta.AgentState]bool{}
	for _, r := range results {
		require.Equal(t, letta.AgentID("agent-1"), r.Agent.ID)
		require.Equal(t, []string{"user_1"}, r.Agent.Tags)
		require.Nil(t, r.Duplicates)
		pointers[r.Agent] = true
		if r.Created {
			created++
		}
	}
	require.Equal(t, 1, created)
	require.Len(t, pointers, callers)
}

// TestEnsuredAgentsAreNotShared changes each agent at once, while others still copy.
// It is not parallel, for the race detector blames every test that runs.
func TestEnsuredAgentsAreNotShared(t *testing.T) {
	for range 20 {
		f := newFleet(t)
		gate := make(chan struct{})
		f.before = func(_ http.ResponseWriter, r *http.Request, number int) bool {
			if r.Method == "GET" && number == 1 {
				<-gate
			}
			return false
		}
		agents := f.client(t, letta.WithTimeout(0)).Agents
		var wg, joined sync.WaitGroup
		for i := range 16 {
			joined.Add(1)
			wg.Go(func() {
				ctx := watch(t.Context())
				go func() { <-ctx.waited; joined.Done() }()
				ensured, err := agents.Ensure(ctx, []string{"user_1"}, newAgent)
				if !assert.NoError(t, err) {
					return
				}
				assert.Equal(t, []string{"new", "user_1"}, []string{ensured.Agent.Name, ensured.Agent.Tags[0]})
				ensured.Agent.Name, ensured.Agent.Tags[0] = fmt.Sprint(i), "changed"
			})
		}
		joined.Wait()
		close(gate)
		wg.Wait()
	}
}

func TestEnsureWhenTheFirstCallerLeaves(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	arrived, gate := f.holdFirstGet()
	agents := f.client(t, letta.WithTimeout(0)).Agents
	ctx, cancel := context.WithCancel(t.Context())
	first, second := make(chan error), make(chan error)
	go func() { _, err := agents.Ensure(ctx, []string{"user_1"}, newAgent); first <- err }()
	<-arrived
	follower := watch(t.Context())
	var ensured *letta.Ensured
	go func() {
		var err error
		ensured, err = agents.Ensure(follower, []string{"user_1"}, newAgent)
		second <- err
	}()
	<-follower.waited
	cancel()
	require.ErrorIs(t, <-first, context.Canceled)
	close(gate)
	require.NoError(t, <-second)
	require.Equal(t, letta.AgentID("agent-1"), ensured.Agent.ID)
	require.Len(t, f.seen("POST"), 1)
	require.True(t, ensured.Created)
}

func TestEnsureWhenAllCallersLeave(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	arrived, gone := make(chan struct{}), make(chan struct{})
	f.before = func(_ http.ResponseWriter, r *http.Request, number int) bool {
		if r.Method == "GET" && number == 1 {
			close(arrived)
			<-r.Context().Done()
			close(gone)
			return true
		}
		return false
	}
	agents := f.client(t, letta.WithTimeout(0)).Agents
	ctx, cancel := context.WithCancelCause(t.Context())
	errs := make(chan error)
	ensure := func(ctx context.Context) { _, err := agents.Ensure(ctx, []string{"user_1"}, newAgent); errs <- err }
	go ensure(ctx)
	<-arrived
	follower := watch(ctx)
	go ensure(follower)
	<-follower.waited
	stopped := errors.New("shutting down")
	cancel(stopped)
	for range 2 {
		require.ErrorIs(t, <-errs, stopped)
	}
	<-gone // the request was ended
	require.Empty(t, f.seen("POST"))
	ensured, err := agents.Ensure(t.Context(), []string{"user_1"}, newAgent)
	require.NoError(t, err, "the next caller starts anew")
	require.True(t, ensured.Created)
}

func TestEnsureKeepsTenantsApart(t *testing.T) {
	t.Parallel()
	// A source per tenant, made by one function, as programs do.
	source := func(tenant string) letta.RequestOption {
		return letta.WithTokenSource(func(context.Context) (string, error) { return tenant, nil })
	}
	for name, option := range map[string]func(string) letta.RequestOption{
		"key":          letta.WithAPIKey,
		"project":      letta.WithProject,
		"header":       func(tenant string) letta.RequestOption { return letta.WithHeader("X-Tenant", tenant) },
		"query":        func(tenant string) letta.RequestOption { return letta.WithQuery("tenant", tenant) },
		"token source": source,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
				tenant := "a"
				if strings.Contains(fmt.Sprint(r.Header, r.URL.RawQuery), "tenant-b") {
					tenant = "b"
				}
				time.Sleep(20 * time.Millisecond) // for the others to come
				write(w, []any{map[string]any{"id": "agent-" + tenant, "tags": []string{"user_1"}}})
			})
			agents := srv.client(t).Agents
			var wg sync.WaitGroup
			for range 10 {
				for _, tenant := range []string{"a", "b"} {
					wg.Go(func() {
						ensured, err := agents.Ensure(t.Context(), []string{"user_1"}, newAgent, option("tenant-"+tenant))
						if assert.NoError(t, err) {
							assert.Equal(t, letta.AgentID("agent-"+tenant), ensured.Agent.ID)
						}
					})
				}
			}
			wg.Wait()
		})
	}
}

type tenantKey struct{}

// TestEnsureWithATokenOfTheContext: one source of tokens for the whole client, which takes the tenant from the context.
func TestEnsureWithATokenOfTheContext(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(20 * time.Millisecond) // for the others to come
		tenant := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer tenant-")
		write(w, []any{map[string]any{"id": "agent-" + tenant, "tags": []string{"user_1"}}})
	})
	agents := srv.client(t, letta.WithTokenSource(func(ctx context.Context) (string, error) {
		tenant, _ := ctx.Value(tenantKey{}).(string)
		return "tenant-" + tenant, nil
	})).Agents
	var wg sync.WaitGroup
	for range 10 {
		for _, tenant := range []string{"a", "b"} {
			wg.Go(func() {
				ensured, err := agents.Ensure(context.WithValue(t.Context(), tenantKey{}, tenant), []string{"user_1"}, newAgent)
				if assert.NoError(t, err) {
					assert.Equal(t, letta.AgentID("agent-"+tenant), ensured.Agent.ID)
				}
			})
		}
	}
	wg.Wait()
}

// TestEnsureWithARequestIDEach: a header, a query or a token of its own must not give each caller an agent of its own.
func TestEnsureWithARequestIDEach(t *testing.T) {
	t.Parallel()
	for name, option := range map[string]func(string) letta.RequestOption{
		"header": func(id string) letta.RequestOption { return letta.WithHeader("X-Request-Id", id) },
		"query":  func(id string) letta.RequestOption { return letta.WithQuery("request_id", id) },
		"token source": func(string) letta.RequestOption {
			return letta.WithTokenSource(func(context.Context) (string, error) { return "sk-1", nil })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			agents := f.client(t).Agents
			var wg sync.WaitGroup
			var created atomic.Int32
			for i := range 20 {
				wg.Go(func() {
					ensured, err := agents.Ensure(t.Context(), []string{"user_1"}, newAgent, option(fmt.Sprint("r", i)))
					if assert.NoError(t, err) && ensured.Created {
						created.Add(1)
					}
				})
			}
			wg.Wait()
			require.EqualValues(t, 1, created.Load())
			require.Len(t, f.seen("POST"), 1)
		})
	}
}

// TestEnsureInTwoProcesses: both look before either creates. With late, the agent that was created first by time is
// shown by the server only after the other's create was answered.
func TestEnsureInTwoProcesses(t *testing.T) {
	t.Parallel()
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprintf("late=%v", late), func(t *testing.T) {
			t.Parallel()
			f := new(fleet)
			f.server = unstarted(t, f.handle) // in the bubble, there is no network
			f.URL = "http://127.0.0.1:1"
			synctest.Test(t, func(t *testing.T) {
				const create = 300 * time.Millisecond // is how long one takes
				var lookups sync.WaitGroup
				lookups.Add(2)
				shown := make(chan struct{})
				f.before = func(w http.ResponseWriter, r *http.Request, number int) bool {
					switch {
					case r.Method == "GET" && number <= 2:
						f.answer(w, r)
						lookups.Done()
						lookups.Wait()
						return true
					case r.Method != "POST":
						return false
					case !late:
						time.Sleep(create)
						return false
					}
					agent := f.add("new", "user_1")
					first := agent.ID == "agent-1"
					f.mu.Lock()
					agent.Invisible = first
					f.mu.Unlock()
					if first {
						<-shown
					} else {
						time.Sleep(create)
						time.AfterFunc(create/5, func() {
							f.mu.Lock()
							f.agents[0].Invisible = false
							f.mu.Unlock()
							close(shown)
						})
					}
					write(w, f.row(agent, []string{"agent.tags"}))
					return true
				}
				results := make([]*letta.Ensured, 2)
				var wg sync.WaitGroup
				for i := range results {
					client := f.client(t, letta.WithHTTPClient(&http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
						w := httptest.NewRecorder()
						if r.Body == nil {
							r.Body = http.NoBody
						}
						f.Config.Handler.ServeHTTP(w, r)
						return w.Result(), nil
					})}))
					wg.Go(func() {
						var err error
						results[i], err = client.Agents.Ensure(t.Context(), []string{"user_1"}, newAgent)
						assert.NoError(t, err)
					})
				}
				wg.Wait()
				require.Len(t, f.seen("POST"), 2)
				for _, r := range results {
					require.Equal(t, letta.AgentID("agent-1"), r.Agent.ID, "both have the oldest")
					require.Equal(t, []letta.AgentID{"agent-2"}, r.Duplicates)
				}
				require.NotEqual(t, results[0].Created, results[1].Created)
			})
		})
	}
}

func TestEnsureWhenTheCreateFails(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		carriedOut bool
		handler    http.HandlerFunc
		is         error // nil: the agent is found
		lookups    int
	}{
		"answer lost":      {true, cut(""), nil, 2},
		"answer truncated": {true, cut("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"), nil, 2},
		"answer unread":    {true, reply(200, `<html>`), nil, 2},
		"500 after all":    {true, reply(500, `{}`), nil, 2},
		"504 after all":    {true, reply(504, ``), nil, 2},
		"500":              {false, reply(500, `{"detail":"no"}`), letta.ErrServer, 2},
		"400":              {false, reply(400, `{}`), letta.ErrBadRequest, 1},
		"402":              {false, reply(402, `{}`), letta.ErrQuota, 1},
		"403":              {false, reply(403, `{}`), letta.ErrForbidden, 1},
		"422":              {false, reply(422, `{}`), letta.ErrValidation, 1},
		"429":              {false, reply(429, `{}`), letta.ErrRateLimited, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			f.before = func(w http.ResponseWriter, r *http.Request, _ int) bool {
				if r.Method != "POST" {
					return false
				}
				if tt.carriedOut {
					f.add("new", "user_1")
				}
				tt.handler(w, r)
				return true
			}
			ensured, err := f.client(t).Agents.Ensure(t.Context(), []string{"user_1"}, newAgent)
			require.Len(t, f.seen("POST"), 1)
			require.Len(t, f.seen("GET"), tt.lookups)
			if tt.is != nil {
				require.ErrorIs(t, err, tt.is)
				require.Nil(t, ensured)
				return
			}
			require.NoError(t, err)
			require.Equal(t, letta.AgentID("agent-1"), ensured.Agent.ID)
			require.False(t, ensured.Created, "no answer says that this call made it")
		})
	}
}

func TestEnsureWhenTheSecondLookupFails(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.before = func(w http.ResponseWriter, r *http.Request, number int) bool {
		if r.Method == "GET" && number == 2 {
			reply(403, `{}`)(w, r)
			return true
		}
		return false
	}
	_, err := f.client(t).Agents.Ensure(t.Context(), []string{"user_1"}, newAgent)
	require.ErrorIs(t, err, letta.ErrForbidden)
	require.ErrorContains(t, err, "agent-1", "it says what was created")
	ensured, err := f.client(t).Agents.Ensure(t.Context(), []string{"user_1"}, newAgent)
	require.NoError(t, err)
	require.False(t, ensured.Created)
	require.Len(t, f.seen("POST"), 1)
}

func TestEnsureWhenTheListLags(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.before = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.Method == "GET" {
			write(w, []any{}) // a replica that has not seen the create
			return true
		}
		return false
	}
	ensured, err := f.client(t).Agents.Ensure(t.Context(), []string{"user_1"}, newAgent)
	require.NoError(t, err)
	require.True(t, ensured.Created)
	require.Equal(t, letta.AgentID("agent-1"), ensured.Agent.ID)
}
