package peruser_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/lettatest"
	"github.com/letta-go/letta/peruser"
	"github.com/letta-go/letta/peruser/internal/swarm"
)

func TestMain(m *testing.M) {
	swarm.Main(nil) // a process of the test of several
	code := m.Run()
	http.DefaultClient.CloseIdleConnections()
	if err := goleak.Find(
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"),
	); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func newAgent(context.Context, string) (*letta.AgentCreateParams, error) {
	return &letta.AgentCreateParams{Model: "openai/gpt-4o-mini"}, nil
}

func setUp(t *testing.T, options peruser.Options) (*lettatest.Server, *peruser.Users) {
	t.Helper()
	server := lettatest.NewServer(t)
	return server, usersOf(t, server, options)
}

func usersOf(t *testing.T, server *lettatest.Server, options peruser.Options) *peruser.Users {
	t.Helper()
	client := server.Client(letta.WithMaxRetries(0))
	t.Cleanup(client.Close)
	options.LookAfter = cmp.Or(options.LookAfter, 50*time.Millisecond)
	users, err := peruser.New(client, options)
	require.NoError(t, err)
	return users
}

func sent(server *lettatest.Server) []string {
	var out []string
	for _, r := range server.Requests() {
		out = append(out, r.Method+" "+r.Path)
	}
	server.ClearRequests()
	return out
}

func countAgents(t *testing.T, server *lettatest.Server) int {
	t.Helper()
	n := 0
	for _, err := range server.Client().Agents.ListAll(t.Context(), nil, letta.WithQuery("show_hidden_agents", "true")) {
		require.NoError(t, err)
		n++
	}
	return n
}

func TestAgent(t *testing.T) {
	t.Parallel()
	server, users := setUp(t, peruser.Options{Create: newAgent})
	first, err := users.Agent(t.Context(), "user_1")
	require.NoError(t, err)
	state, err := server.Client().Agents.Find(t.Context(), []string{"user_1"})
	require.NoError(t, err)
	assert.Equal(t, state.ID, first)
	sent(server)

	again, err := users.Agent(t.Context(), "user_1")
	require.NoError(t, err)
	assert.Equal(t, first, again)
	assert.Empty(t, sent(server), "it is remembered")

	users.Forget("user_1")
	again, err = users.Find(t.Context(), "user_1")
	require.NoError(t, err)
	assert.Equal(t, first, again)
	assert.Equal(t, []string{"GET /v1/agents/"}, sent(server), "a miss is one request")

	other, err := users.Agent(t.Context(), "user_2")
	require.NoError(t, err)
	assert.NotEqual(t, first, other)
}

func TestFindNeverCreates(t *testing.T) {
	t.Parallel()
	server, users := setUp(t, peruser.Options{Create: newAgent})
	_, err := users.Find(t.Context(), "user_1")
	require.ErrorIs(t, err, letta.ErrNotFound)
	assert.Zero(t, countAgents(t, server))
	_, err = users.Agent(t.Context(), "user_1")
	require.NoError(t, err, "that there was none is not remembered")
}

func TestInvalidUsers(t *testing.T) {
	t.Parallel()
	server, users := setUp(t, peruser.Options{Create: newAgent})
	for _, id := range []string{"", " ", "\t\n", "a\x00b", "a\nb", "user_\xff"} {
		_, err := users.Agent(t.Context(), id)
		require.ErrorIs(t, err, letta.ErrInvalidArgument, "%q", id)
		_, err = users.Find(t.Context(), id)
		require.ErrorIs(t, err, letta.ErrInvalidArgument)
		_, err = users.Owns(t.Context(), id, "agent-1")
		require.ErrorIs(t, err, letta.ErrInvalidArgument)
		require.ErrorIs(t, users.Delete(t.Context(), id), letta.ErrInvalidArgument)
		_, err = users.Conversation(t.Context(), id, "chat")
		require.ErrorIs(t, err, letta.ErrInvalidArgument)
		_, err = users.Conversation(t.Context(), "user_1", id)
		require.ErrorIs(t, err, letta.ErrInvalidArgument)
	}
	assert.Empty(t, sent(server))
	_, users = setUp(t, peruser.Options{Tag: func(string) string { return " " }})
	_, err := users.Agent(t.Context(), "user_1")
	require.ErrorIs(t, err, letta.ErrInvalidArgument)
	for _, bad := range []peruser.Options{
		{CacheSize: -1},
		{CacheTTL: -1},
		{LookAfter: -1},
		{RequestOptions: []letta.RequestOption{letta.WithDeleteOwnDuplicate()}},
		{RequestOptions: []letta.RequestOption{nil}},
	} {
		_, err = peruser.New(server.Client(), bad)
		require.ErrorIs(t, err, letta.ErrInvalidArgument)
	}
	_, err = peruser.New(nil, peruser.Options{})
	require.ErrorIs(t, err, letta.ErrInvalidArgument)
}

// TestErrorsCreateNothing: whatever the lookup fails with, no agent is made and nothing is remembered.
func TestErrorsCreateNothing(t *testing.T) {
	t.Parallel()
	for _, fault := range []lettatest.Fault{
		{Status: 401},
		{Status: 403},
		{Status: 404, Body: `{"detail":"Not Found"}`},
		{Status: 429},
		{Status: 500},
		{Status: 502},
		{Status: 503},
		{Drop: lettatest.DropBeforeRead},
		{Drop: lettatest.DropAfterRead},
		{Drop: lettatest.DropMidBody},
		{Status: 200, Body: "null"},
		{Status: 200, Body: `[{"id":"agent-00000000-0000-4000-8000-000000000000","tags":["somebody else"]}]`},
	} {
		fault.Method, fault.Path, fault.Times = "GET", "/v1/agents/", 1
		server, users := setUp(t, peruser.Options{Create: newAgent})
		server.Fail(fault)
		_, err := users.Agent(t.Context(), "user_1")
		require.Error(t, err, "%+v", fault)
		require.NotErrorIs(t, err, letta.ErrNotFound, "%+v", fault)
		assert.Equal(t, []string{"GET /v1/agents/"}, sent(server), "%+v", fault)
		_, err = users.Agent(t.Context(), "user_1")
		require.NoError(t, err)
	}
}

// TestUnknownCreates: an answer that is lost leads to no second agent.
func TestUnknownCreates(t *testing.T) {
	t.Parallel()
	for _, fault := range []lettatest.Fault{
		{Drop: lettatest.DropAfterRead}, {Drop: lettatest.DropMidBody}, {Status: 502, Process: true}, {Status: 500, Process: true}, {Status: 200, Body: "null", Process: true},
	} {
		fault.Method, fault.Path, fault.Times = "POST", "/v1/agents/", 1
		server, users := setUp(t, peruser.Options{Create: newAgent})
		server.Fail(fault)
		_, err := users.Agent(t.Context(), "user_1")
		require.NoError(t, err, "%+v", fault)
		require.Equal(t, 1, countAgents(t, server), "%+v", fault)
	}
	// Refused, or gone before it arrived: an error, and the next call creates it.
	for _, fault := range []lettatest.Fault{{Status: 422}, {Status: 502}, {Drop: lettatest.DropBeforeRead}} {
		fault.Method, fault.Path, fault.Times = "POST", "/v1/agents/", 1
		server, users := setUp(t, peruser.Options{Create: newAgent})
		server.Fail(fault)
		_, err := users.Agent(t.Context(), "user_1")
		require.Error(t, err, "%+v", fault)
		_, err = users.Agent(t.Context(), "user_1")
		require.NoError(t, err)
		require.Equal(t, 1, countAgents(t, server))
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestDeleteOwnDuplicate: another instance creates the user's agent just before this one does.
func TestDeleteOwnDuplicate(t *testing.T) {
	t.Parallel()
	for deleteOwn, left := range map[bool]int{false: 2, true: 1} {
		server := lettatest.NewServer(t)
		other := server.Client()
		faster := roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPost {
				_, err := other.Agents.Create(r.Context(), &letta.AgentCreateParams{Model: "openai/gpt-4o-mini", Tags: []string{"user_1"}})
				assert.NoError(t, err)
			}
			return http.DefaultTransport.RoundTrip(r)
		})
		client := server.Client(letta.WithHTTPClient(&http.Client{Transport: faster}))
		users, err := peruser.New(client, peruser.Options{Create: newAgent, DeleteOwnDuplicate: deleteOwn})
		require.NoError(t, err)
		agent, err := users.Agent(t.Context(), "user_1")
		require.NoError(t, err)
		theirs, err := other.Agents.Find(t.Context(), []string{"user_1"})
		require.NoError(t, err)
		assert.Equal(t, theirs.ID, agent)
		assert.Equal(t, left, countAgents(t, server))
		client.Close()
		other.Close()
	}
}

func TestLateCreate(t *testing.T) {
	t.Parallel()
	server, users := setUp(t, peruser.Options{Create: newAgent})
	server.Fail(lettatest.Fault{Method: "POST", Path: "/v1/agents/", Delay: 300 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := users.Agent(ctx, "user_1")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	server.ClearRequests()
	_, err = users.Agent(t.Context(), "user_1")
	require.NoError(t, err)
	assert.Empty(t, sent(server), "the create of the caller who left was waited for and remembered")
}

// TestOneRequest: many callers share a request, and one who leaves takes nobody along.
func TestOneRequest(t *testing.T) {
	t.Parallel()
	server, users := setUp(t, peruser.Options{Create: newAgent})
	server.Fail(lettatest.Fault{Method: "GET", Path: "/v1/agents/", Delay: 200 * time.Millisecond, Times: 1})
	leaving, leave := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		_, err := users.Agent(leaving, "user_1")
		assert.ErrorIs(t, err, context.Canceled)
	})
	require.Eventually(t, func() bool { return len(server.Requests()) == 1 }, 5*time.Second, time.Millisecond)
	var ids sync.Map
	var asked sync.WaitGroup
	for range 20 {
		asked.Add(1)
		all.Go(func() {
			asked.Done()
			id, err := users.Agent(t.Context(), "user_1")
			assert.NoError(t, err)
			ids.Store(id, true)
		})
	}
	asked.Wait()
	leave()
	all.Wait()
	assert.Len(t, maps.Collect(func(yield func(any, any) bool) { ids.Range(yield) }), 1)
	posts := 0
	for _, r := range sent(server) {
		if strings.HasPrefix(r, "POST") {
			posts++
		}
	}
	assert.Equal(t, 1, posts)
	assert.Equal(t, 1, countAgents(t, server))
}

func TestTTL(t *testing.T) {
	t.Parallel()
	server, users := setUp(t, peruser.Options{Create: newAgent, CacheTTL: 50 * time.Millisecond})
	_, err := users.Agent(t.Context(), "user_1")
	require.NoError(t, err)
	for range 2 { // the clock stops, and starts again
		server.ClearRequests()
		require.Eventually(t, func() bool {
			_, err := users.Agent(t.Context(), "user_1")
			return err == nil && len(server.Requests()) > 0
		}, 5*time.Second, time.Millisecond)
		time.Sleep(200 * time.Millisecond)
	}
	users = usersOf(t, server, peruser.Options{CacheTTL: time.Hour})
	_, err = users.Agent(t.Context(), "user_1")
	require.NoError(t, err)
	server.ClearRequests()
	time.Sleep(100 * time.Millisecond)
	_, err = users.Agent(t.Context(), "user_1")
	require.NoError(t, err)
	assert.Empty(t, server.Requests())
}

func TestDoHeals(t *testing.T) {
	t.Parallel()
	server, users := setUp(t, peruser.Options{Create: newAgent})
	ctx := t.Context()
	client := server.Client()
	old, err := users.Agent(ctx, "user_1")
	require.NoError(t, err)
	require.NoError(t, client.Agents.Delete(ctx, old))
	var used []letta.AgentID
	say := func(ctx context.Context, agent letta.AgentID) error {
		used = append(used, agent)
		_, err := client.Agents.Messages.Create(ctx, agent, &letta.AgentMessageCreateParams{Messages: []letta.MessageInput{letta.UserText("hi")}})
		return err
	}
	require.NoError(t, users.Do(ctx, "user_1", say))
	require.Len(t, used, 2)
	assert.Equal(t, old, used[0])
	now, err := users.Agent(ctx, "user_1")
	require.NoError(t, err)
	assert.Equal(t, now, used[1])
	assert.Equal(t, 1, countAgents(t, server))

	// Something else was not found: f ran once, and the agent is the same.
	calls := 0
	err = users.Do(ctx, "user_1", func(ctx context.Context, _ letta.AgentID) error {
		calls++
		_, err := client.Runs.Retrieve(ctx, "run-00000000-0000-4000-8000-000000000000")
		return err
	})
	require.ErrorIs(t, err, letta.ErrNotFound)
	assert.Equal(t, 1, calls)

	// The lookup fails: no agent is made.
	require.NoError(t, client.Agents.Delete(ctx, now))
	server.Fail(lettatest.Fault{Method: "GET", Path: "/v1/agents/", Status: 503, Times: 1})
	require.ErrorIs(t, users.Do(ctx, "user_1", say), letta.ErrServer)
	assert.Zero(t, countAgents(t, server))

	// Nothing may be created.
	finder := usersOf(t, server, peruser.Options{})
	made, err := users.Agent(ctx, "user_1")
	require.NoError(t, err)
	_, err = finder.Agent(ctx, "user_1")
	require.NoError(t, err)
	require.NoError(t, client.Agents.Delete(ctx, made))
	require.ErrorIs(t, finder.Do(ctx, "user_1", say), letta.ErrNotFound)
	assert.Zero(t, countAgents(t, server))
}

func TestOwns(t *testing.T) {
	t.Parallel()
	server, users := setUp(t, peruser.Options{Create: newAgent})
	ctx := t.Context()
	mine, err := users.Agent(ctx, "user_1")
	require.NoError(t, err)
	theirs, err := users.Agent(ctx, "user_10") // begins like the other
	require.NoError(t, err)
	server.ClearRequests()
	for agent, want := range map[letta.AgentID]bool{mine: true, theirs: false, "agent-00000000-0000-4000-8000-000000000000": false} {
		owns, err := users.Owns(ctx, "user_1", agent)
		require.NoError(t, err)
		assert.Equal(t, want, owns)
	}
	assert.Len(t, sent(server), 2, "the remembered agent costs no request")
	users.Forget("user_1")
	owns, err := users.Owns(ctx, "user_1", mine)
	require.NoError(t, err)
	assert.True(t, owns)
	server.Fail(lettatest.Fault{Path: "/v1/agents/*", Status: 500, Times: 1})
	_, err = users.Owns(ctx, "user_1", theirs)
	require.ErrorIs(t, err, letta.ErrServer)
	for _, id := range []letta.AgentID{"", "..", "agent-1/../agent-2"} {
		owns, err = users.Owns(ctx, "user_1", id)
		require.ErrorIs(t, err, letta.ErrInvalidArgument, "%q", id)
		assert.False(t, owns)
	}
}

func TestConversation(t *testing.T) {
	t.Parallel()
	server, users := setUp(t, peruser.Options{Create: newAgent})
	ctx := t.Context()
	ids := map[string]letta.ConversationID{}
	keys := []string{"chat", "chat 2", `C:\chat`, "100%", "a_b", "aXb"}
	for _, key := range keys {
		id, err := users.Conversation(ctx, "user_1", key)
		require.NoError(t, err)
		ids[key] = id
	}
	assert.Len(t, slices.Compact(slices.Sorted(maps.Values(ids))), len(keys))
	server.ClearRequests()
	for _, key := range keys {
		id, err := users.Conversation(ctx, "user_1", key)
		require.NoError(t, err)
		assert.Equal(t, ids[key], id)
	}
	assert.Empty(t, sent(server), "they are remembered")
	users.Forget("user_1")
	for _, key := range keys {
		id, err := users.Conversation(ctx, "user_1", key)
		require.NoError(t, err)
		assert.Equal(t, ids[key], id, "found again: %q", key)
	}
	other, err := users.Conversation(ctx, "user_2", "chat")
	require.NoError(t, err)
	assert.NotEqual(t, ids["chat"], other)

	// A title after the first line does not hide it.
	_, err = server.Client().Conversations.Update(ctx, ids["chat"], &letta.ConversationUpdateParams{Summary: letta.Some("chat\nAbout cats")})
	require.NoError(t, err)
	users.Forget("user_1")
	id, err := users.Conversation(ctx, "user_1", "chat")
	require.NoError(t, err)
	assert.Equal(t, ids["chat"], id)

	// Of several, the oldest.
	agent, err := users.Agent(ctx, "user_1")
	require.NoError(t, err)
	_, err = server.Client().Conversations.Create(ctx, &letta.ConversationCreateParams{AgentID: agent, Summary: "chat"})
	require.NoError(t, err)
	users.Forget("user_1")
	id, err = users.Conversation(ctx, "user_1", "chat")
	require.NoError(t, err)
	assert.Equal(t, ids["chat"], id)

	// Its agent was deleted: healed.
	require.NoError(t, server.Client().Agents.Delete(ctx, agent))
	users.Forget("user_1")
	id, err = users.Conversation(ctx, "user_1", "chat")
	require.NoError(t, err)
	conversation, err := server.Client().Conversations.Retrieve(ctx, id)
	require.NoError(t, err)
	agent, err = users.Agent(ctx, "user_1")
	require.NoError(t, err)
	assert.Equal(t, agent, conversation.AgentID)
}

func TestConversationOnce(t *testing.T) {
	t.Parallel()
	server, users := setUp(t, peruser.Options{Create: newAgent})
	for _, fault := range []lettatest.Fault{{Drop: lettatest.DropAfterRead}, {Status: 502, Process: true}} {
		fault.Method, fault.Path, fault.Times = "POST", "/v1/conversations/", 1
		server.Fail(fault)
		key := fmt.Sprintf("%+v", fault.Drop)
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				_, err := users.Conversation(t.Context(), "user_1", key)
				assert.NoError(t, err)
			})
		}
		all.Wait()
		agent, err := users.Agent(t.Context(), "user_1")
		require.NoError(t, err)
		list, err := server.Client().Conversations.List(t.Context(), &letta.ConversationListParams{AgentID: agent, SummarySearch: key})
		require.NoError(t, err)
		assert.Len(t, list, 1)
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	var shared *letta.Block
	server, users := setUp(t, peruser.Options{Create: func(context.Context, string) (*letta.AgentCreateParams, error) {
		return &letta.AgentCreateParams{
			Model: "openai/gpt-4o-mini", MemoryBlocks: []letta.CreateBlock{{Label: "human", Value: "x"}}, BlockIDs: []letta.BlockID{shared.ID},
		}, nil
	}})
	ctx := t.Context()
	client := server.Client()
	var err error
	shared, err = client.Blocks.Create(ctx, &letta.BlockCreateParams{Label: "company", Value: "we"})
	require.NoError(t, err)
	agent, err := users.Agent(ctx, "user_1")
	require.NoError(t, err)
	other, err := users.Agent(ctx, "user_2")
	require.NoError(t, err)
	hidden, err := client.Agents.Create(ctx, &letta.AgentCreateParams{Model: "openai/gpt-4o-mini", Tags: []string{"user_1", "role:subagent"}})
	require.NoError(t, err)
	for _, id := range []letta.AgentID{agent, other, hidden.ID} { // each gets an archive of the server's
		_, err = client.Agents.Passages.Create(ctx, id, &letta.AgentPassageCreateParams{Text: "likes tea"})
		require.NoError(t, err)
	}
	lent := archivesOf(ctx, t, client, hidden.ID)[0]
	helper, err := client.Agents.Create(ctx, &letta.AgentCreateParams{Model: "openai/gpt-4o-mini", Tags: []string{"helper"}})
	require.NoError(t, err)
	require.NoError(t, client.Agents.Archives.Attach(ctx, helper.ID, lent))
	manual, err := client.Archives.Create(ctx, &letta.ArchiveCreateParams{Name: "manual"})
	require.NoError(t, err)
	require.NoError(t, client.Agents.Archives.Attach(ctx, agent, manual.ID))
	conversation, err := users.Conversation(ctx, "user_1", "chat")
	require.NoError(t, err)

	// Each request fails once on the way; the repeats go on.
	for _, path := range []string{"/v1/agents/", "/v1/agents/*", "/v1/conversations/", "/v1/conversations/*", "/v1/blocks/*", "/v1/blocks/*/agents", "/v1/archives/", "/v1/archives/*", "/v1/archives/*/agents"} {
		server.Fail(lettatest.Fault{Path: path, Status: 503, Times: 1})
	}
	failed := 0
	for err = errors.New("first"); err != nil; failed++ {
		require.Less(t, failed, 20)
		err = users.Delete(ctx, "user_1")
	}
	assert.Greater(t, failed, 3)
	require.NoError(t, users.Delete(ctx, "user_1"), "repeated")
	assert.Equal(t, 2, countAgents(t, server), "the other user's, and the helper")
	assert.ElementsMatch(t, append(archivesOf(ctx, t, client, other), lent, manual.ID), archivesOf(ctx, t, client, ""))
	_, err = client.Conversations.Retrieve(ctx, conversation)
	require.ErrorIs(t, err, letta.ErrNotFound)
	blocks, err := client.Blocks.List(ctx, nil)
	require.NoError(t, err)
	assert.Len(t, blocks, 2, "the other user's, and the shared one")
	_, err = users.Find(ctx, "user_1")
	require.ErrorIs(t, err, letta.ErrNotFound, "it is forgotten")
	_, err = users.Find(ctx, "user_2")
	require.NoError(t, err)
}

// archivesOf lists the archives of an agent, or all.
func archivesOf(ctx context.Context, t *testing.T, client *letta.Client, agent letta.AgentID) (ids []letta.ArchiveID) {
	t.Helper()
	for archive, err := range client.Archives.ListAll(ctx, &letta.ArchiveListParams{AgentID: agent}) {
		require.NoError(t, err)
		ids = append(ids, archive.ID)
	}
	return ids
}

// TestDeleteKeepsArchive: a server that does not say which agents have an archive keeps it.
func TestDeleteKeepsArchive(t *testing.T) {
	t.Parallel()
	server, users := setUp(t, peruser.Options{Create: newAgent})
	ctx, client := t.Context(), server.Client()
	agent, err := users.Agent(ctx, "user_1")
	require.NoError(t, err)
	_, err = client.Agents.Passages.Create(ctx, agent, &letta.AgentPassageCreateParams{Text: "likes tea"})
	require.NoError(t, err)
	server.Fail(lettatest.Fault{Path: "/v1/archives/*/agents", Status: 404})
	require.NoError(t, users.Delete(ctx, "user_1"))
	assert.Len(t, archivesOf(ctx, t, client, ""), 1)
	assert.Zero(t, countAgents(t, server))
}

func TestDeleteBelievesNoServer(t *testing.T) {
	t.Parallel()
	server, users := setUp(t, peruser.Options{})
	server.Fail(lettatest.Fault{Path: "/v1/agents/", Status: 200, Body: `[{"id":"agent-00000000-0000-4000-8000-000000000000","tags":["user_2"]}]`})
	require.ErrorContains(t, users.Delete(t.Context(), "user_1"), "ignores the filter")
	assert.Equal(t, []string{"GET /v1/agents/"}, sent(server))
}

func TestDuplicates(t *testing.T) {
	t.Parallel()
	server, users := setUp(t, peruser.Options{
		Tag:    func(id string) string { return "user:" + id },
		UserID: func(tag string) (string, bool) { return strings.CutPrefix(tag, "user:") },
	})
	client := server.Client()
	var ids []letta.AgentID
	for i := range 130 { // several pages
		tags := []string{"plan:pro", fmt.Sprintf("user:%d", i%128)}
		if i == 129 {
			tags = append(tags, "role:subagent") // hidden
		}
		agent, err := client.Agents.Create(t.Context(), &letta.AgentCreateParams{Model: "openai/gpt-4o-mini", Tags: tags})
		require.NoError(t, err)
		ids = append(ids, agent.ID)
	}
	var found []peruser.Duplicate
	for duplicate, err := range users.Duplicates(t.Context()) {
		require.NoError(t, err)
		found = append(found, duplicate)
	}
	assert.Equal(t, []peruser.Duplicate{
		{UserID: "0", Tag: "user:0", Agents: []letta.AgentID{ids[0], ids[128]}},
		{UserID: "1", Tag: "user:1", Agents: []letta.AgentID{ids[1], ids[129]}},
	}, found)
	server.Fail(lettatest.Fault{Path: "/v1/agents/", Skip: 1, Times: 1, Status: 500})
	_, err := all(usersOf(t, server, peruser.Options{}).Duplicates(t.Context()))
	require.ErrorIs(t, err, letta.ErrServer)
	_, err = all(usersOf(t, server, peruser.Options{Tag: strings.ToUpper}).Duplicates(t.Context()))
	require.ErrorIs(t, err, letta.ErrInvalidArgument)
}

func all[T any](rows func(func(T, error) bool)) (out []T, err error) {
	for row, err := range rows {
		if err != nil {
			return out, err
		}
		out = append(out, row)
	}
	return out, nil
}

func TestMiddleware(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		user   string
		err    error
		create bool
		fault  lettatest.Fault
		lock   error
		want   int
		retry  string
	}{
		"an agent":           {user: "user_1", create: true, want: 200},
		"no session":         {err: errors.New("no cookie"), create: true, want: 401},
		"blank":              {user: " ", create: true, want: 401},
		"invalid":            {user: "a\nb", create: true, want: 400},
		"none":               {user: "user_1", want: 404},
		"wrong path":         {user: "user_1", fault: lettatest.Fault{Status: 404}, want: 502},
		"wrong path, create": {user: "user_1", create: true, fault: lettatest.Fault{Status: 404}, want: 502},
		"our key":            {user: "user_1", create: true, fault: lettatest.Fault{Status: 401}, want: 502},
		"overloaded":         {user: "user_1", create: true, fault: lettatest.Fault{Status: 503, Header: http.Header{"Retry-After": {"7"}}}, want: 503, retry: "7"},
		"gateway":            {user: "user_1", create: true, fault: lettatest.Fault{Status: 502}, want: 503, retry: "5"},
		"bug":                {user: "user_1", create: true, fault: lettatest.Fault{Status: 500}, want: 502},
		"cut":                {user: "user_1", create: true, fault: lettatest.Fault{Drop: lettatest.DropAfterRead}, want: 503, retry: "5"},
		"a page":             {user: "user_1", create: true, fault: lettatest.Fault{Status: 200, Body: "<html>"}, want: 502},
		"lock":               {user: "user_1", create: true, lock: errors.New("Redis is down"), want: 503, retry: "5"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := peruser.Options{}
			if c.create {
				options.Create = newAgent
			}
			if c.lock != nil {
				options.Locker = lockerFunc(func(context.Context, string) (func(), error) { return nil, c.lock })
			}
			server, users := setUp(t, options)
			if c.fault.Status != 0 || c.fault.Drop != 0 {
				c.fault.Method, c.fault.Path = "GET", "/v1/agents/"
				server.Fail(c.fault)
			}
			var got letta.AgentID
			handler := users.Middleware(func(*http.Request) (string, error) { return c.user, c.err })(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				got = peruser.AgentFrom(r.Context())
			}))
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
			assert.Equal(t, c.want, w.Code)
			assert.Equal(t, c.retry, w.Header().Get("Retry-After"))
			assert.Equal(t, c.want == 200, got != "")
			for _, r := range sent(server) {
				assert.True(t, c.want == 200 || !strings.HasPrefix(r, "POST"), r)
			}
		})
	}
	server, users := setUp(t, peruser.Options{Create: newAgent})
	server.Close()
	w := httptest.NewRecorder()
	users.Middleware(func(*http.Request) (string, error) { return "user_1", nil })(http.NotFoundHandler()).
		ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
	assert.Equal(t, 503, w.Code, "the server is down")
	assert.Empty(t, peruser.AgentFrom(t.Context()))
}

type lockerFunc func(context.Context, string) (func(), error)

func (f lockerFunc) Lock(ctx context.Context, key string) (func(), error) { return f(ctx, key) }

// lease is a lock that a test loses.
type lease struct {
	lockerFunc
	lose context.CancelCauseFunc
	held context.Context
	keys []string
}

func (l *lease) LockLease(_ context.Context, key string) (context.Context, func(), error) {
	l.keys = append(l.keys, key)
	return l.held, func() {}, nil
}

func TestLostLock(t *testing.T) {
	t.Parallel()
	var l lease
	l.held, l.lose = context.WithCancelCause(t.Context())
	server, users := setUp(t, peruser.Options{Create: newAgent, Locker: &l})
	_, err := users.Agent(t.Context(), "user_0")
	require.NoError(t, err)
	server.ClearRequests()
	l.lose(errors.New("connection gone"))
	_, err = users.Agent(t.Context(), "user_1")
	require.ErrorIs(t, err, peruser.ErrLock)
	require.ErrorContains(t, err, "connection gone")
	require.ErrorIs(t, users.Delete(t.Context(), "user_0"), peruser.ErrLock)
	assert.Equal(t, []string{"GET /v1/agents/"}, sent(server), "the lookup before the lock, and nothing under it")
	assert.Equal(t, []string{"user_0", "user_1", "user_0"}, l.keys)
}

// TestLockIsLostInBetween: the lookup under the lock is under way when the lock is lost, so the create is not sent.
func TestLockIsLostInBetween(t *testing.T) {
	t.Parallel()
	var l lease
	l.held, l.lose = context.WithCancelCause(t.Context())
	server, users := setUp(t, peruser.Options{Create: newAgent, Locker: &l})
	server.Fail(lettatest.Fault{Method: "GET", Path: "/v1/agents/", Skip: 1, Delay: 5 * time.Second, Times: 1})
	var wait sync.WaitGroup
	wait.Go(func() {
		_, err := users.Agent(t.Context(), "user_1")
		assert.ErrorIs(t, err, peruser.ErrLock)
	})
	require.Eventually(t, func() bool { return len(server.Requests()) == 2 }, 5*time.Second, time.Millisecond)
	l.lose(errors.New("the lease expired"))
	wait.Wait()
	assert.Zero(t, countAgents(t, server))
}

func TestForgetDuringLookup(t *testing.T) {
	t.Parallel()
	server, users := setUp(t, peruser.Options{Create: newAgent})
	_, err := users.Agent(t.Context(), "user_1")
	require.NoError(t, err)
	users.Forget("user_1")
	server.ClearRequests()
	server.Fail(lettatest.Fault{Method: "GET", Path: "/v1/agents/", Delay: 100 * time.Millisecond, Times: 1})
	var wait sync.WaitGroup
	wait.Go(func() {
		_, err := users.Find(t.Context(), "user_1")
		assert.NoError(t, err)
	})
	require.Eventually(t, func() bool { return len(server.Requests()) == 1 }, 5*time.Second, time.Millisecond)
	users.Forget("user_1")
	wait.Wait()
	server.ClearRequests()
	_, err = users.Find(t.Context(), "user_1")
	require.NoError(t, err)
	assert.Len(t, sent(server), 1, "what was looked up before the Forget is not remembered")
}

func TestCachedLookupAllocatesNothing(t *testing.T) {
	_, users := setUp(t, peruser.Options{Create: newAgent})
	ctx := t.Context()
	_, err := users.Agent(ctx, "user_1")
	require.NoError(t, err)
	_, err = users.Conversation(ctx, "user_1", "chat")
	require.NoError(t, err)
	assert.Zero(t, testing.AllocsPerRun(1000, func() { _, _ = users.Agent(ctx, "user_1") }))
	assert.Zero(t, testing.AllocsPerRun(1000, func() { _, _ = users.Conversation(ctx, "user_1", "chat") }))
}

func BenchmarkAgentCached(b *testing.B) {
	server := lettatest.Start()
	defer server.Close()
	users, err := peruser.New(server.Client(), peruser.Options{Create: newAgent})
	if err != nil {
		b.Fatal(err)
	}
	ctx := b.Context()
	ids := make([]string, 1000)
	for i := range ids {
		ids[i] = fmt.Sprintf("user_%d", i)
		if _, err := users.Agent(ctx, ids[i]); err != nil {
			b.Fatal(err)
		}
	}
	server.ClearRequests()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i = (i + 1) % len(ids)
		if _, err := users.Agent(ctx, ids[i]); err != nil {
			b.Fatal(err)
		}
	}
	if n := len(server.Requests()); n > 0 {
		b.Fatal(n, "requests")
	}
}
