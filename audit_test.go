package letta_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"runtime"
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

// Tests that an audit of the others found missing: see docs/broken-variants.md.

// --- connections --------------------------------------------------------------------------------------------------------

// listConn is a connection of a type that cannot be compared.
type listConn struct {
	net.Conn
	_ []int
}

func TestUncomparableConnections(t *testing.T) {
	t.Parallel()
	srv := serve(t, reply(500, `{"detail":"An unknown error occurred"}`))
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return listConn{Conn: conn}, err
	}}
	t.Cleanup(transport.CloseIdleConnections)
	client := srv.client(t, letta.WithHTTPClient(&http.Client{Transport: transport}), letta.WithMaxRetries(0))
	for range 3 {
		_, err := client.Agents.Create(t.Context(), newAgent)
		require.ErrorIs(t, err, letta.ErrServer)
	}
}

// TestFailuresLeaveNothing: a client does not grow with the connections that it has lost. It is not parallel, because it looks
// at the memory of the process.
func TestFailuresLeaveNothing(t *testing.T) {
	hc := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		return answer(r, 500, `{"detail":"An unknown error occurred"}`)
	})}
	client, err := letta.NewClient(letta.WithBaseURL("http://localhost:8283"), letta.WithHTTPClient(hc), letta.WithMaxRetries(0))
	require.NoError(t, err)
	held := func(failures int) uint64 {
		for range failures {
			_, err := client.Agents.Create(t.Context(), newAgent)
			require.ErrorIs(t, err, letta.ErrServer)
		}
		runtime.GC()
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		return memory.HeapAlloc
	}
	before := held(100)
	require.Less(t, int64(held(5000))-int64(before), int64(1<<20))
}

// TestLongHead: the length that a HEAD is told is that of a body which does not come.
func TestLongHead(t *testing.T) {
	t.Parallel()
	status := 200
	srv := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "1000000000")
		w.WriteHeader(status)
	})
	client := srv.client(t, letta.WithMaxRetries(0))
	require.NoError(t, client.Do(t.Context(), "HEAD", "/v1/agents/", nil, nil))
	status = 500
	require.ErrorIs(t, client.Do(t.Context(), "HEAD", "/v1/agents/", nil, nil), letta.ErrServer)
}

// TestDeadlineIsNoCancel: who looks at an error can tell a deadline from a user who left.
func TestDeadlineIsNoCancel(t *testing.T) {
	t.Parallel()
	quiet := serve(t, hang)
	talking := serve(t, stallStream(pingFrame, textFrame))
	for name, call := range map[string]func(context.Context) error{
		"a call": func(ctx context.Context) error { return second(quiet.client(t).Agents.List(ctx, nil)) },
		"a turn": func(ctx context.Context) error {
			return second(quiet.client(t).Agents.Messages.Create(ctx, streamAgent, helloParams()))
		},
		"Ensure": func(ctx context.Context) error {
			return second(quiet.client(t).Agents.Ensure(ctx, []string{"a"}, newAgent))
		},
		"AddTags": func(ctx context.Context) error {
			return second(quiet.client(t).Agents.AddTags(ctx, "agent-1", []string{"a"}))
		},
		"a silent stream": func(ctx context.Context) error {
			return second(quiet.client(t).Agents.Messages.Stream(ctx, streamAgent, helloParams()))
		},
		"a stream, locked": func(ctx context.Context) error {
			return readAll(quiet.client(t).Agents.Messages.Stream(ctx, streamAgent, helloParams(), letta.WithTurnLock()))
		},
		"within a stream": func(ctx context.Context) error {
			return readAll(talking.client(t).Agents.Messages.Stream(ctx, streamAgent, helloParams()))
		},
		"within a run": func(ctx context.Context) error {
			return readAll(talking.client(t).Runs.Messages.Stream(ctx, "run-1", nil))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			err := call(ctx)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.NotErrorIs(t, err, context.Canceled)
			require.Equal(t, http.StatusGatewayTimeout, letta.HTTPStatus(err))
			ctx, cancel = context.WithCancel(t.Context())
			time.AfterFunc(50*time.Millisecond, cancel)
			err = call(ctx)
			require.ErrorIs(t, err, context.Canceled)
			require.NotErrorIs(t, err, context.DeadlineExceeded)
		})
	}
}

func readAll(stream *letta.MessageStream, err error) error {
	if err == nil {
		_, err = stream.Collect()
	}
	return err
}

// --- Ensure, tags, blocks -----------------------------------------------------------------------------------------------

// TestEnsureOfTwoUsersAtOnce: the second user comes while the lookup of the first is under way.
func TestEnsureOfTwoUsersAtOnce(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	arrived, gate := f.holdFirstGet()
	agents := f.client(t).Agents
	var all sync.WaitGroup
	ensure := func(user string) *letta.AgentState {
		ensured, err := agents.Ensure(t.Context(), []string{user}, newAgent)
		if !assert.NoError(t, err) {
			return new(letta.AgentState)
		}
		assert.Equal(t, []string{user}, ensured.Agent.Tags)
		return ensured.Agent
	}
	var one, two *letta.AgentState
	all.Go(func() { one = ensure("user_1") })
	<-arrived
	all.Go(func() { two = ensure("user_2") })
	time.Sleep(50 * time.Millisecond) // for the second to come
	close(gate)
	all.Wait()
	require.NotEqual(t, one.ID, two.ID)
	require.Len(t, f.seen("POST"), 2)
}

// TestResponseOfACallerThatLeft: when a call has returned, its Response is the caller's.
func TestResponseOfACallerThatLeft(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	arrived, gate := f.holdFirstGet()
	agents := f.client(t, letta.WithTimeout(0)).Agents
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	var response letta.Response
	left := make(chan struct{})
	all.Go(func() {
		defer close(left)
		_, err := agents.Ensure(ctx, []string{"user_1"}, newAgent, letta.WithResponse(&response))
		assert.ErrorIs(t, err, context.Canceled)
	})
	<-arrived
	follower := watch(t.Context())
	all.Go(func() {
		_, err := agents.Ensure(follower, []string{"user_1"}, newAgent)
		assert.NoError(t, err)
	})
	<-follower.waited
	cancel()
	<-left
	response = letta.Response{RequestID: "mine"}
	close(gate)
	all.Wait()
	require.Equal(t, letta.Response{RequestID: "mine"}, response)
}

func TestEnsureWarnsOfDuplicates(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	var log bytes.Buffer
	agents := f.client(t, letta.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})))).Agents
	f.add("one", "user_1")
	_, err := agents.Ensure(t.Context(), []string{"user_1"}, newAgent)
	require.NoError(t, err)
	require.Empty(t, log.String())
	f.add("two", "user_1")
	_, err = agents.Ensure(t.Context(), []string{"user_1"}, newAgent)
	require.NoError(t, err)
	require.Contains(t, log.String(), "agent-1")
	require.Contains(t, log.String(), "agent-2")
	require.NotContains(t, log.String(), "user_1")
}

// TestBeatenByOtherWriters: requests were sent, and the call was not at fault.
func TestBeatenByOtherWriters(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.add("one", "user_1")
	f.before = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.Method == "PATCH" {
			write(w, map[string]any{"id": "agent-1"})
		}
		return r.Method == "PATCH"
	}
	_, err := f.client(t).Agents.AddTags(t.Context(), "agent-1", []string{"ours"})
	require.ErrorContains(t, err, "other writers")
	require.NotErrorIs(t, err, letta.ErrInvalidArgument)
	require.NotErrorIs(t, err, letta.ErrNotSent)
	require.Equal(t, http.StatusBadGateway, letta.HTTPStatus(err))
}

func TestDeleteWithBlocksGoesOn(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	blocks, broken := []string{`{"id":"block-1"}`, `{"id":"block-2"}`}, true
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case r.Method == "DELETE" && r.URL.Path == "/v1/blocks/block-1":
			blocks = blocks[1:]
			reply(200, "{}")(w, r)
		case r.Method == "DELETE":
			reply(200, "{}")(w, r)
		case strings.HasSuffix(r.URL.Path, "/core-memory/blocks"):
			reply(200, "["+strings.Join(blocks, ",")+"]")(w, r)
		case r.URL.Path == "/v1/blocks/block-2/agents" && broken:
			reply(500, "{}")(w, r)
		default:
			reply(200, `[{"id":"agent-1"}]`)(w, r)
		}
	})
	agents := srv.client(t, letta.WithMaxRetries(0)).Agents
	deleted, err := agents.DeleteWithBlocks(t.Context(), "agent-1")
	require.ErrorIs(t, err, letta.ErrServer)
	require.Equal(t, []letta.BlockID{"block-1"}, deleted.Deleted)
	require.Len(t, srv.seen("DELETE"), 1, "the agent is deleted last")
	mu.Lock()
	broken = false
	mu.Unlock()
	deleted, err = agents.DeleteWithBlocks(t.Context(), "agent-1")
	require.NoError(t, err)
	require.Equal(t, []letta.BlockID{"block-2"}, deleted.Deleted)
	require.Equal(t, "/v1/agents/agent-1", srv.seen("DELETE")[2].Path)
}

// --- turns --------------------------------------------------------------------------------------------------------------

// TestResponseAfterACancel: the response that a caller reads is that of the turn.
func TestResponseAfterACancel(t *testing.T) {
	t.Parallel()
	o := obeySlowly(t)
	close(o.name)
	close(o.obey)
	var response letta.Response
	stream, err := o.client(t).Agents.Messages.Stream(streamContext(t), streamAgent, helloParams(), letta.WithCancelOnDone(), letta.WithResponse(&response))
	require.NoError(t, err)
	for range stream.Messages() {
		break
	}
	require.EqualValues(t, 1, o.cancelled.Load())
	require.Contains(t, response.Header.Get("Content-Type"), "text/event-stream")
}

// waiting is a server whose agent calls a tool in every turn, and waits for its return until the run is cancelled.
func waiting(t *testing.T) (*server, *atomic.Int32) {
	t.Helper()
	var cancelled atomic.Int32
	const call = `"id":"message-1","run_id":"run-1","message_type":"approval_request_message","tool_calls":[{"name":"again","arguments":"{}","tool_call_id":"call_1"}]`
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/cancel"):
			cancelled.Add(1)
			reply(200, `{"run-1":"cancelled"}`)(w, r)
		case r.Method == "GET" && cancelled.Load() > 0:
			reply(200, agentJSON)(w, r)
		case r.Method == "GET":
			reply(200, `{"id":"agent-1","pending_approval":{`+call+`}}`)(w, r)
		default:
			sse(w, pingFrame, "data: {"+call+"}\n\n", strings.Replace(stopFrame, "end_turn", "requires_approval", 1), usageFrame, doneFrame)
		}
	}), &cancelled
}

func TestNothingWaitsAfterTooManyRounds(t *testing.T) {
	t.Parallel()
	srv, cancelled := waiting(t)
	again := tool(t, "again", func(context.Context, struct{}) (string, error) { return "x", nil })
	run := &letta.ToolRun{Tools: []*letta.FuncTool{again}, MaxRounds: 2}
	_, err := srv.client(t).Agents.Messages.RunTools(t.Context(), streamAgent, helloParams(), run, letta.WithCancelOnDone())
	require.ErrorIs(t, err, letta.ErrTooManyRounds)
	require.EqualValues(t, 1, cancelled.Load())
}

func TestNothingWaitsAfterAPanicOfApprove(t *testing.T) {
	t.Parallel()
	srv, cancelled := waiting(t)
	run := &letta.ToolRun{Approve: func(context.Context, letta.ToolCall) *letta.ApprovalReturn { panic("mine") }}
	require.PanicsWithValue(t, "mine", func() {
		_, _ = srv.client(t).Agents.Messages.RunTools(t.Context(), streamAgent, helloParams(), run, letta.WithCancelOnDone())
	})
	require.EqualValues(t, 1, cancelled.Load())
}

// TestUndecidedCallsStay: a call that nobody here decides on is the caller's to answer.
func TestUndecidedCallsStay(t *testing.T) {
	t.Parallel()
	srv, cancelled := waiting(t)
	_, err := srv.client(t).Agents.Messages.RunTools(t.Context(), streamAgent, helloParams(), &letta.ToolRun{}, letta.WithCancelOnDone())
	require.ErrorIs(t, err, letta.ErrPendingApproval)
	require.Zero(t, cancelled.Load())
}

// answerable is a server whose agent waits for two answers, and then not any more.
func answerable(t *testing.T) *server {
	t.Helper()
	var answered atomic.Bool
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == "GET" && answered.Load():
			reply(200, agentJSON)(w, r)
		case r.Method == "GET":
			reply(200, pendingJSON)(w, r)
		case r.Header.Get("Accept") == "text/event-stream":
			time.Sleep(50 * time.Millisecond)
			answered.Store(true)
			sse(w, pingFrame, textFrame, stopFrame, usageFrame, doneFrame)
		default:
			answered.Store(true)
			reply(200, turnJSON)(w, r)
		}
	})
}

var bothDenied = []letta.Approval{&letta.ApprovalReturn{ToolCallID: "call_1"}, &letta.ApprovalReturn{ToolCallID: "call_2"}}

func TestSecondClickOnAStream(t *testing.T) {
	t.Parallel()
	srv := answerable(t)
	messages := srv.client(t).Agents.Messages
	var all sync.WaitGroup
	var late atomic.Int32
	for range 4 {
		all.Go(func() {
			if err := readAll(messages.RespondStream(t.Context(), streamAgent, bothDenied, nil)); errors.Is(err, letta.ErrNothingPending) {
				late.Add(1)
			} else {
				assert.NoError(t, err)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 3, late.Load())
	require.Len(t, srv.seen("POST"), 1)
}

func TestParamsOfAnswers(t *testing.T) {
	t.Parallel()
	params := &letta.AgentMessageCreateParams{MaxSteps: 3}
	for name, call := range map[string]func(*letta.AgentMessageService) error{
		"Respond": func(m *letta.AgentMessageService) error {
			return second(m.Respond(t.Context(), streamAgent, bothDenied, params))
		},
		"RespondStream": func(m *letta.AgentMessageService) error {
			return readAll(m.RespondStream(t.Context(), streamAgent, bothDenied, params))
		},
		"DenyAll": func(m *letta.AgentMessageService) error {
			return second(m.DenyAll(t.Context(), streamAgent, "no", params))
		},
	} {
		srv := answerable(t)
		require.NoError(t, call(srv.client(t).Agents.Messages), name)
		require.Contains(t, srv.seen("POST")[0].Body, `"max_steps":3`, name)
		require.Contains(t, srv.seen("POST")[0].Body, `"call_2"`, name)
	}
	require.Nil(t, params.Messages, "the caller's")
}

// TestPendingOfAConversation: the call waits in the conversation, and not at its agent.
func TestPendingOfAConversation(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/conversations/conv-1":
			reply(200, `{"id":"conv-1","agent_id":"agent-1","in_context_message_ids":["message-1","message-7"]}`)(w, r)
		case "/v1/messages/message-7":
			reply(200, `[{"id":"message-7","message_type":"approval_request_message","tool_calls":[{"name":"mail","arguments":"{}","tool_call_id":"call_1"}]}]`)(w, r)
		case "/v1/agents/agent-1":
			reply(200, agentJSON)(w, r)
		default:
			reply(404, "{}")(w, r)
		}
	})
	client := srv.client(t)
	pending, err := client.Conversations.Messages.Pending(t.Context(), "conv-1")
	require.NoError(t, err)
	require.NotNil(t, pending)
	require.Equal(t, letta.ToolCallID("call_1"), pending.Calls()[0].ToolCallID)
	pending, err = client.Agents.Messages.Pending(t.Context(), "agent-1")
	require.NoError(t, err)
	require.Nil(t, pending)
}

// TestTurnsOfOthersDoNotWait: while one agent thinks, another answers.
func TestTurnsOfOthersDoNotWait(t *testing.T) {
	t.Parallel()
	thinking, gate := make(chan struct{}), make(chan struct{})
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "agent-slow") {
			close(thinking)
			<-gate
		}
		reply(200, turnJSON)(w, r)
	})
	messages := srv.client(t, letta.WithTurnLock()).Agents.Messages
	var all sync.WaitGroup
	all.Go(func() { assert.NoError(t, second(messages.Create(t.Context(), "agent-slow", helloParams()))) })
	<-thinking
	_, err := messages.Create(t.Context(), streamAgent, helloParams(), letta.WithTimeout(5*time.Second))
	close(gate)
	all.Wait()
	require.NoError(t, err)
}

// TestRunToolsIsRefusedLater: the return of a tool cannot be sent, and the agent waits for it.
func TestRunToolsIsRefusedLater(t *testing.T) {
	t.Parallel()
	n := 0
	hc := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if n++; n == 1 {
			return answer(r, 200, callsJSON("call_1 add {}"))
		}
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("refused")}
	})}
	client, err := letta.NewClient(letta.WithBaseURL("http://localhost:8283"), letta.WithHTTPClient(hc), letta.WithMaxRetries(0))
	require.NoError(t, err)
	add := tool(t, "add", func(context.Context, struct{}) (string, error) { return "3", nil })
	_, err = client.Agents.Messages.RunTools(t.Context(), streamAgent, helloParams(), &letta.ToolRun{Tools: []*letta.FuncTool{add}})
	require.ErrorContains(t, err, "refused")
	require.NotErrorIs(t, err, letta.ErrNotSent)
	_, err = client.Agents.Messages.Create(t.Context(), streamAgent, helloParams())
	require.ErrorIs(t, err, letta.ErrNotSent, "a turn that begins then was not sent")
}

// TestTypesOfAgentsMessages: a server cuts pages before it drops types, so it is not asked to.
func TestTypesOfAgentsMessages(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("after") {
			reply(200, "[]")(w, r)
			return
		}
		reply(200, `[{"id":"message-1","message_type":"user_message","content":"hi"},{"id":"message-2","message_type":"assistant_message","content":"hi"}]`)(w, r)
	})
	client := srv.client(t)
	types := []letta.MessageType{letta.MessageTypeUserMessage}
	for _, all := range []iter.Seq2[letta.Message, error]{
		client.Agents.Messages.ListAll(t.Context(), streamAgent, &letta.AgentMessageListParams{IncludeReturnMessageTypes: types}),
		client.Groups.Messages.ListAll(t.Context(), "group-1", &letta.GroupMessageListParams{IncludeReturnMessageTypes: types}),
	} {
		n := 0
		for message, err := range all {
			require.NoError(t, err)
			require.IsType(t, &letta.UserMessage{}, message)
			n++
		}
		require.Equal(t, 1, n)
	}
	for _, r := range srv.seen("GET") {
		require.NotContains(t, r.Query, "include_return_message_types")
	}
}

// TestTimeoutOfTheHTTPClientCutsNoStream: an http.Client with a Timeout of a second, and a turn of half a minute.
func TestTimeoutOfTheHTTPClientCutsNoStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hc := drip(time.Second, append(slices.Repeat([]string{textFrame}, 30), stopFrame, doneFrame)...)
		hc.Timeout = time.Second
		client, err := letta.NewClient(letta.WithBaseURL("http://localhost:8283"), letta.WithHTTPClient(hc))
		require.NoError(t, err)
		require.NoError(t, readAll(client.Agents.Messages.Stream(t.Context(), streamAgent, helloParams())))
	})
}
