package letta_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/lettatest"
)

// --- what a hostile or odd server can cost --------------------------------------------------------------------------

// TestDeeplyNestedErrors: a body that nests without end is read once, not once a level.
func TestDeeplyNestedErrors(t *testing.T) {
	t.Parallel()
	const depth = 100_000
	body := strings.Repeat(`{"detail":`, depth) + `"deep"` + strings.Repeat("}", depth) // 1.1 MB
	_, err := serve(t, reply(400, `{"message":"outer","detail":`+body+`}`)).client(t).Agents.Retrieve(t.Context(), "agent-1", nil)
	var apiErr *letta.APIError
	require.ErrorAs(t, err, &apiErr)
	require.Equal(t, 400, apiErr.StatusCode)
	_, err = serve(t, reply(400, `{"message":"outer","detail":`+strings.Repeat(`{"detail":`, 3)+`"deep"`+strings.Repeat("}", 4))).client(t).Agents.Retrieve(t.Context(), "agent-1", nil)
	require.ErrorContains(t, err, "deep")
}

func TestDecodeErrorKeepsLittle(t *testing.T) {
	t.Parallel()
	_, err := serve(t, reply(200, `{"id":"agent-1","name":`+strings.Repeat(" ", 20<<20))).client(t).Agents.Retrieve(t.Context(), "agent-1", nil)
	var decode *letta.DecodeError
	require.ErrorAs(t, err, &decode)
	require.LessOrEqual(t, cap(decode.Body), 2<<20)
}

// TestClaimedLength: what a server announces is not reserved before it comes.
func TestClaimedLength(t *testing.T) {
	srv := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 260000000\r\n\r\n[")
			_ = conn.Close()
		}
	})
	client := srv.client(t, letta.WithMaxRetries(0))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 20 {
		_, err := client.Agents.List(t.Context(), nil)
		require.Error(t, err)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(200<<20), "20 answers that claim 260 MB and send a byte")
	head := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "260000000") })
	runtime.ReadMemStats(&before)
	require.NoError(t, head.client(t).Do(t.Context(), "HEAD", "/v1/agents/", nil, nil))
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(20<<20))
}

func TestNoEndOfRetries(t *testing.T) {
	t.Parallel()
	var n atomic.Int32
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) < 3 {
			reply(503, "{}", "Retry-After-Ms", "1")(w, r)
			return
		}
		reply(200, "[]")(w, r)
	})
	_, err := srv.client(t, letta.WithMaxRetries(math.MaxInt)).Agents.List(t.Context(), nil)
	require.NoError(t, err)
}

// --- answers that decode and are none --------------------------------------------------------------------------------

func TestAnswersWithoutAnID(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for body, call := range map[string]func(*letta.Client) error{
		`{"error":"no backend"}`: func(c *letta.Client) error { return second(c.Agents.Retrieve(ctx, "agent-1", nil)) },
		`{}`:                     func(c *letta.Client) error { return second(c.Agents.Create(ctx, &letta.AgentCreateParams{})) },
		`{"id":""}`:              func(c *letta.Client) error { return second(c.Blocks.Retrieve(ctx, "block-1")) },
		`{"id":null}`:            func(c *letta.Client) error { return second(c.Runs.Retrieve(ctx, "run-1")) },
	} {
		err := call(serve(t, reply(200, body)).client(t))
		var decode *letta.DecodeError
		require.ErrorAs(t, err, &decode, body)
		require.ErrorContains(t, err, "no id", body)
	}
	_, err := serve(t, reply(200, `[{"id":"agent-1"},{"error":"x"}]`)).client(t).Agents.List(ctx, nil)
	require.ErrorContains(t, err, "row 1: it has no id")
	_, err = serve(t, reply(200, `[{"id":"agent-1"},null]`)).client(t).Agents.List(ctx, nil)
	require.ErrorContains(t, err, "row 1 is null")
	_, err = serve(t, reply(200, `[{"id":"agent-1"},{"id":"agent-2"},{"id":"agent-3","name":7}]`)).client(t).Agents.List(ctx, nil)
	require.ErrorContains(t, err, "/2/name", "it names the row and the field")
}

// --- options and addresses -------------------------------------------------------------------------------------------

func TestAddressWithAZone(t *testing.T) {
	t.Parallel()
	var requests []*http.Request
	client, err := letta.NewClient(letta.WithBaseURL("http://[fe80::1%25eth0]:8283"), letta.WithHTTPClient(offline(&requests)))
	require.NoError(t, err)
	_, err = client.Agents.List(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, "fe80::1%eth0", requests[0].URL.Hostname())
	_, err = letta.NewClient(letta.WithBaseURL("http://[fe80::1%25eth0]:8283"), letta.WithAPIKey("sk-1"))
	require.ErrorContains(t, err, "WithInsecureHTTP")
}

func TestKeyThroughAProxy(t *testing.T) {
	t.Parallel()
	proxy, err := url.Parse("http://proxy.test:3128")
	require.NoError(t, err)
	proxied := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy)}}
	_, err = letta.NewClient(letta.WithBaseURL("http://localhost:8283"), letta.WithAPIKey("sk-1"), letta.WithHTTPClient(proxied))
	require.ErrorContains(t, err, "proxy")
	_, err = letta.NewClient(letta.WithBaseURL("http://localhost:8283"), letta.WithAPIKey("sk-1"), letta.WithHTTPClient(proxied), letta.WithInsecureHTTP())
	require.NoError(t, err)
	client, err := letta.NewClient(letta.WithBaseURL("http://localhost:8283"), letta.WithHTTPClient(proxied), letta.WithMaxRetries(0))
	require.NoError(t, err)
	_, err = client.Agents.List(t.Context(), nil, letta.WithAPIKey("sk-1"))
	require.ErrorIs(t, err, letta.ErrInvalidArgument)
}

func TestNoKeyByHeader(t *testing.T) {
	t.Parallel()
	srv := serve(t, reply(200, "[]"))
	_, err := srv.client(t, letta.WithAPIKey("sk-1")).Agents.List(t.Context(), nil, letta.WithHeader("Authorization", ""))
	require.NoError(t, err)
	require.NotContains(t, srv.seen("GET")[0].Header, "Authorization")
}

func TestHeaderOfAnImport(t *testing.T) {
	t.Parallel()
	srv := serve(t, reply(200, "{}"))
	_, err := srv.client(t).Agents.ImportFile(t.Context(), &letta.AgentImportFileParams{File: strings.NewReader("{}"), OverrideEmbeddingModel: "a\nb"})
	require.ErrorIs(t, err, letta.ErrInvalidArgument)
	require.Empty(t, srv.seen(""))
}

func TestClose(t *testing.T) {
	t.Parallel()
	srv := serve(t, reply(200, "[]"))
	client := srv.client(t)
	for range 3 {
		_, err := client.Agents.List(t.Context(), nil)
		require.NoError(t, err)
		client.Close()
	}
	remotes := map[string]bool{}
	for _, r := range srv.seen("") {
		remotes[r.Remote] = true
	}
	require.Len(t, remotes, 3)
}

func TestTimeoutOfWholeHelpers(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(60 * time.Millisecond)
		switch {
		case r.Method == "GET" && r.URL.Path == "/v1/agents/":
			write(w, []any{})
		default:
			write(w, map[string]any{"id": "agent-1", "tags": []string{}})
		}
	})
	_, err := srv.client(t).Agents.Ensure(t.Context(), []string{"a"}, &letta.AgentCreateParams{}, letta.WithTimeout(100*time.Millisecond))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "WithTimeout")
	_, err = srv.client(t).Agents.AddTags(t.Context(), "agent-1", []string{"a"}, letta.WithTimeout(100*time.Millisecond))
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// --- Do ----------------------------------------------------------------------------------------------------------------

func TestDoBodies(t *testing.T) {
	t.Parallel()
	srv := serve(t, reply(200, `[{"id":"agent-1","tags":[],"blocks":[]}]`))
	client := srv.client(t)
	ctx := t.Context()
	require.NoError(t, client.Do(ctx, "POST", "/v1/x", strings.NewReader("a,b"), nil, letta.WithHeader("Content-Type", "text/csv")))
	require.Equal(t, "a,b", srv.seen("POST")[0].Body)
	require.Equal(t, "text/csv", srv.seen("POST")[0].Header.Get("Content-Type"))
	var agents []letta.AgentState
	for _, out := range []any{agents, (*int)(nil), 7} {
		require.ErrorIs(t, client.Do(ctx, "POST", "/v1/x", nil, out), letta.ErrInvalidArgument, "%T", out)
	}
	require.Len(t, srv.seen("POST"), 1)
	require.NoError(t, client.Do(ctx, "GET", "/v1/agents/?include=agent.tags", nil, &agents))
	require.NotNil(t, agents[0].Tags)
	require.Nil(t, agents[0].Blocks, "not loaded is nil")
}

// --- what a handler answers ----------------------------------------------------------------------------------------

func TestHTTPStatus(t *testing.T) {
	t.Parallel()
	api := func(status int, kind string) error {
		return fmt.Errorf("wrapped: %w", &letta.APIError{StatusCode: status, Type: kind})
	}
	for _, tt := range []struct {
		err  error
		want int
	}{
		{nil, 200},
		{api(404, ""), 404},
		{fmt.Errorf("wrapped: %w", &letta.APIError{StatusCode: 404, Operation: "agents.create"}), 502},
		{fmt.Errorf("wrapped: %w", &letta.APIError{StatusCode: 404, Operation: "conversations.create"}), 404}, // of the agent
		{api(400, ""), 400},
		{api(422, ""), 400},
		{api(409, ""), 409},
		{api(413, ""), 413},
		{api(415, ""), 415},
		{letta.ErrNothingPending, 409},
		{letta.ErrInvalidApprovals, 409},
		{letta.ErrBusy, 409},
		{letta.ErrInvalidArgument, 400},
		{letta.ErrInvalidTags, 400},
		{api(401, ""), 502},
		{api(401, "llm_authentication"), 502},
		{api(404, "llm_not_found"), 502},
		{api(429, ""), 503},
		{api(402, ""), 503},
		{api(500, ""), 502},
		{api(503, ""), 503},
		{letta.ErrNotSent, 503},
		{context.Canceled, 499},
		{context.DeadlineExceeded, 504},
		{&letta.StreamError{Err: letta.ErrStreamIdle}, 504},
		{&letta.StreamError{Err: letta.ErrStreamTruncated}, 502},
		{&letta.DecodeError{Err: io.ErrUnexpectedEOF}, 502},
		{&letta.RedirectError{}, 502},
		{errors.New("the database is down"), 500},
	} {
		assert.Equal(t, tt.want, letta.HTTPStatus(tt.err), "%v", tt.err)
	}
	// Against a server: a garbage id, and one that nobody listens for.
	client := lettatest.NewServer(t).Client()
	_, err := client.Agents.Retrieve(t.Context(), "../etc", nil)
	assert.Equal(t, 400, letta.HTTPStatus(err))
	_, err = client.Agents.Retrieve(t.Context(), "agent-00000000-0000-4000-8000-000000000000", nil)
	assert.Equal(t, 404, letta.HTTPStatus(err))
	gone, err := letta.NewClient(letta.WithBaseURL("http://127.0.0.1:1"), letta.WithMaxRetries(0))
	require.NoError(t, err)
	_, err = gone.Agents.List(t.Context(), nil)
	assert.Equal(t, 503, letta.HTTPStatus(err))
	_, err = client.Agents.Find(t.Context(), []string{"user_1"})
	assert.Equal(t, 404, letta.HTTPStatus(err))
	noModel := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			reply(200, "[]")(w, r)
			return
		}
		reply(404, `{"detail":"NOT_FOUND: Handle openai/gpt-5 not found, must be one of []"}`)(w, r)
	})
	_, err = noModel.client(t).Agents.Ensure(t.Context(), []string{"user_1"}, &letta.AgentCreateParams{Model: "openai/gpt-5"})
	assert.ErrorIs(t, err, letta.ErrNotFound)
	assert.Equal(t, 502, letta.HTTPStatus(err), "a model that the server lacks is no user that is unknown")
	noLetta := serve(t, reply(404, ""))
	_, err = noLetta.client(t).Agents.Find(t.Context(), []string{"user_1"})
	assert.Equal(t, 502, letta.HTTPStatus(err), "neither is a wrong base URL")
	cut := serve(t, func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) })
	_, err = cut.client(t, letta.WithMaxRetries(0)).Agents.List(t.Context(), nil)
	assert.Equal(t, 502, letta.HTTPStatus(fmt.Errorf("sign-up: %w", err)), "a broken connection is not the program's fault, whoever wraps it")
}

func TestAPIErrorMadeByHand(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]*letta.APIError{
		"letta: 409 Conflict":                  {StatusCode: 409},
		"letta: 409 Conflict: busy":            {StatusCode: 409, Message: "busy"},
		"letta: agents.create: 409 Conflict":   {StatusCode: 409, Operation: "agents.create"},
		"letta: GET /v1/agents/: 409 Conflict": {StatusCode: 409, Method: "GET", Path: "/v1/agents/"},
		"letta: 599":                           {StatusCode: 599},
	} {
		assert.Equal(t, want, err.Error())
	}
}

// --- lists -----------------------------------------------------------------------------------------------------------

func TestListAllNeedsAnOrderThatStays(t *testing.T) {
	t.Parallel()
	srv := serve(t, reply(200, "[]"))
	for _, params := range []*letta.AgentListParams{
		{OrderBy: letta.OrderByLastRunCompletion}, {OrderBy: letta.OrderByUpdatedAt}, {SortBy: "updated_at"},
	} {
		for _, err := range srv.client(t).Agents.ListAll(t.Context(), params) {
			require.ErrorIs(t, err, letta.ErrInvalidArgument)
		}
	}
	require.Empty(t, srv.seen(""))
}

func TestRepeatedTagsOfAllTags(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.oldAll = true
	f.add("one", "a", "b")
	agents := f.client(t).Agents
	found, err := agents.List(t.Context(), letta.AllTags("a", "b", "a"))
	require.NoError(t, err)
	require.Len(t, found, 1)
	n, err := agents.Count(t.Context(), letta.AllTags("a", "a"))
	require.NoError(t, err)
	require.Equal(t, 1, n)
	exists, err := agents.Exists(t.Context(), letta.AllTags("b", "b"))
	require.NoError(t, err)
	require.True(t, exists)
}

// TestLongWalkRemembersLittle: the guard against loops must not keep every row of a long list.
func TestLongWalkRemembersLittle(t *testing.T) {
	const rows, page = 100_000, 1000
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		from := 0
		if after := r.URL.Query().Get("after"); after != "" {
			_, _ = fmt.Sscanf(after, "agent-%d", &from)
		}
		list := []string{}
		for i := from + 1; i <= min(from+page, rows); i++ {
			list = append(list, fmt.Sprintf(`{"id":"agent-%d"}`, i))
		}
		reply(200, "["+strings.Join(list, ",")+"]")(w, r)
	})
	n := 0
	var first, last runtime.MemStats
	for _, err := range srv.client(t).Agents.ListAll(t.Context(), &letta.AgentListParams{Limit: page}) {
		require.NoError(t, err)
		if n++; n == 5*page {
			runtime.GC()
			runtime.ReadMemStats(&first)
		}
		if n == rows {
			runtime.GC()
			runtime.ReadMemStats(&last)
		}
	}
	require.Equal(t, rows, n)
	require.Less(t, int64(last.HeapAlloc)-int64(first.HeapAlloc), int64(4<<20))
}

// TestCircles: whatever the length of the circle that a server runs in, the walk ends with an error.
func TestCircles(t *testing.T) {
	t.Parallel()
	for _, circle := range []int{1, 2, 3, 5, 17} {
		for _, lead := range []int{0, 1, 4} {
			calls := 0
			srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
				n := calls
				calls++
				if n >= lead {
					n = lead + (n-lead)%circle
				}
				list := []string{}
				for i := range 60 {
					list = append(list, fmt.Sprintf(`{"id":"agent-%d-%d"}`, n, i))
				}
				reply(200, "["+strings.Join(list, ",")+"]")(w, r)
			})
			var failure error
			for _, err := range srv.client(t).Agents.ListAll(t.Context(), nil) {
				failure = err
				if calls > 200 {
					break
				}
			}
			require.ErrorIs(t, failure, letta.ErrPageLoop, "circle of %d after %d", circle, lead)
		}
	}
}

// --- Ensure and tags ---------------------------------------------------------------------------------------------------

// TestEnsureOfOthers: one caller's timeout, panic or odd agent is not another's.
func TestEnsureOutlivesItsFirstCaller(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	started := make(chan struct{})
	var once sync.Once
	f.before = func(http.ResponseWriter, *http.Request, int) bool {
		once.Do(func() { close(started) })
		time.Sleep(100 * time.Millisecond)
		return false
	}
	agents := f.client(t).Agents
	var all sync.WaitGroup
	all.Go(func() {
		_, err := agents.Ensure(t.Context(), []string{"user_1"}, newAgent, letta.WithTimeout(50*time.Millisecond))
		assert.ErrorIs(t, err, context.DeadlineExceeded)
	})
	<-started
	for range 5 {
		all.Go(func() {
			var response letta.Response
			ensured, err := agents.Ensure(t.Context(), []string{"user_1"}, newAgent, letta.WithResponse(&response))
			if assert.NoError(t, err) {
				assert.Equal(t, letta.AgentID("agent-1"), ensured.Agent.ID)
				assert.Equal(t, 200, response.StatusCode, "every caller has it")
			}
		})
	}
	all.Wait()
	require.Len(t, f.seen("POST"), 1)
}

func TestEnsureWithAPanickingTransport(t *testing.T) {
	t.Parallel()
	hc := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) { panic("in a transport") })}
	client, err := letta.NewClient(letta.WithBaseURL("https://letta.test"), letta.WithHTTPClient(hc))
	require.NoError(t, err)
	_, err = client.Agents.Ensure(t.Context(), []string{"a"}, newAgent)
	require.ErrorContains(t, err, "panic: in a transport")
	exits := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) { runtime.Goexit(); return nil, nil })} //nolint:nilnil // not reached
	client, err = letta.NewClient(letta.WithBaseURL("https://letta.test"), letta.WithHTTPClient(exits))
	require.NoError(t, err)
	_, err = client.Agents.Ensure(t.Context(), []string{"a"}, newAgent)
	require.Error(t, err)
}

// TestEnsureOfAnOddAgent: what was read once can be handed to every caller.
func TestEnsureOfAnOddAgent(t *testing.T) {
	t.Parallel()
	body := "[{\"id\":\"agent-1\",\"tags\":[\"user_1\"],\"name\":\"\xff\"}]"
	client := serve(t, reply(200, body)).client(t)
	for range 2 {
		_, err := client.Agents.Ensure(t.Context(), []string{"user_1"}, newAgent)
		require.NoError(t, err)
	}
}

// TestEnsureDeletesItsOwnDuplicate: another process was faster. Only the agent that this call made may go.
func TestEnsureDeletesItsOwnDuplicate(t *testing.T) {
	t.Parallel()
	for _, drop := range []bool{false, true} {
		f := newFleet(t)
		f.before = func(_ http.ResponseWriter, r *http.Request, _ int) bool {
			if r.Method == "POST" {
				f.add("of another process", "user_1") // older than ours
			}
			return false
		}
		var opts []letta.RequestOption
		if drop {
			opts = append(opts, letta.WithDeleteOwnDuplicate())
		}
		ensured, err := f.client(t).Agents.Ensure(t.Context(), []string{"user_1"}, newAgent, opts...)
		require.NoError(t, err)
		require.Equal(t, letta.AgentID("agent-1"), ensured.Agent.ID)
		require.False(t, ensured.Created)
		if !drop {
			require.Equal(t, []letta.AgentID{"agent-2"}, ensured.Duplicates)
			require.Empty(t, f.seen("DELETE"))
			continue
		}
		require.Empty(t, ensured.Duplicates)
		require.Len(t, f.seen("DELETE"), 1)
		require.Equal(t, "/v1/agents/agent-2", f.seen("DELETE")[0].Path)
	}
}

// TestLateTagWrite: a write that was cancelled must not land after AddTags let the next writer in.
func TestLateTagWrite(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.add("one", "user_1")
	writing := make(chan struct{})
	var once sync.Once
	f.before = func(_ http.ResponseWriter, r *http.Request, number int) bool {
		if r.Method == "PATCH" && number == 1 {
			once.Do(func() { close(writing) })
			time.Sleep(100 * time.Millisecond) // and carried out, although nobody waits
		}
		return false
	}
	agents := f.client(t).Agents
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		_, err := agents.AddTags(ctx, "agent-1", []string{"slow"})
		assert.ErrorIs(t, err, context.Canceled)
	})
	<-writing
	cancel()
	_, err := agents.AddTags(t.Context(), "agent-1", []string{"kept"})
	require.NoError(t, err)
	all.Wait()
	require.Contains(t, f.tags("agent-1"), "kept")
	require.Contains(t, f.tags("agent-1"), "slow")
}

func TestTagsAsSets(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.add("one", "a", "a") // a server that keeps repeats
	_, err := f.client(t).Agents.AddTags(t.Context(), "agent-1", []string{"b"})
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"a", "b"}, slices.Compact(slices.Sorted(slices.Values(f.tags("agent-1")))))
	before := len(f.seen(""))
	_, err = f.client(t).Agents.AddTags(t.Context(), "agent-1", []string{"\xff"})
	require.ErrorIs(t, err, letta.ErrInvalidTags)
	require.Len(t, f.seen(""), before)
}

// --- pages for web handlers ----------------------------------------------------------------------------------------------

func TestPage(t *testing.T) {
	t.Parallel()
	srv := lettatest.NewServer(t)
	client := srv.Client()
	agent, err := client.Agents.Create(t.Context(), &letta.AgentCreateParams{Model: "openai/gpt-4o-mini"})
	require.NoError(t, err)
	for i := range 12 {
		_, err := client.Agents.Messages.Create(t.Context(), agent.ID, &letta.AgentMessageCreateParams{Messages: []letta.MessageInput{letta.UserText(fmt.Sprint("message ", i))}})
		require.NoError(t, err)
	}
	for _, params := range []letta.AgentMessageListParams{
		{},
		{Order: letta.OrderDesc},
		{IncludeReturnMessageTypes: []letta.MessageType{letta.MessageTypeUserMessage}},
		{IncludeReturnMessageTypes: []letta.MessageType{letta.MessageTypeAssistantMessage}, Order: letta.OrderDesc, Limit: 5},
	} {
		var whole, paged []letta.Message
		for m, err := range client.Agents.Messages.ListAll(t.Context(), agent.ID, &params) {
			require.NoError(t, err)
			whole = append(whole, m)
		}
		p := params
		for more := true; more; {
			var rows []letta.Message
			var err error
			rows, more, err = letta.Page(client.Agents.Messages.ListAll(t.Context(), agent.ID, &p), 5)
			require.NoError(t, err)
			require.NotEmpty(t, rows)
			require.True(t, !more || len(rows) >= 5)
			paged = append(paged, rows...)
			if last := rows[len(rows)-1].Common().ID; p.Order == letta.OrderDesc {
				p.Before = last
			} else {
				p.After = last
			}
		}
		require.NotEmpty(t, whole)
		require.Equal(t, whole, paged, "%+v", params)
	}
	_, _, err = letta.Page(client.Agents.ListAll(t.Context(), nil), 0)
	require.ErrorIs(t, err, letta.ErrInvalidArgument)
	agents, more, err := letta.Page(client.Agents.ListAll(t.Context(), nil), 5)
	require.NoError(t, err)
	require.Len(t, agents, 1)
	require.False(t, more)
}
