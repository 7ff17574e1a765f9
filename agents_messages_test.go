package letta_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
)

const (
	turnJSON    = `{"messages":[{"id":"message-1","message_type":"assistant_message","content":"hi"}],"stop_reason":{"message_type":"stop_reason","stop_reason":"end_turn"},"usage":{"message_type":"usage_statistics","completion_tokens":5,"prompt_tokens":10,"total_tokens":15,"step_count":1}}`
	pendingJSON = `{"id":"agent-1","name":"one","agent_type":"letta_v1_agent","pending_approval":{"id":"message-7","message_type":"approval_request_message","tool_calls":[{"name":"mail","arguments":"{}","tool_call_id":"call_1"},{"name":"pay","arguments":"{}","tool_call_id":"call_2"}]}}`
)

// turnCalls are the methods that send a turn.
var turnCalls = map[string]func(context.Context, *letta.Client, ...letta.RequestOption) error{
	"Create": func(ctx context.Context, c *letta.Client, opts ...letta.RequestOption) error {
		_, err := c.Agents.Messages.Create(ctx, streamAgent, helloParams(), opts...)
		return err
	},
	"Stream": func(ctx context.Context, c *letta.Client, opts ...letta.RequestOption) error {
		stream, err := c.Agents.Messages.Stream(ctx, streamAgent, helloParams(), opts...)
		if err == nil {
			_, err = stream.Collect()
		}
		return err
	},
	"Stream in the background": func(ctx context.Context, c *letta.Client, opts ...letta.RequestOption) error {
		stream, err := c.Agents.Messages.Stream(ctx, streamAgent, helloBackground(), opts...)
		if err == nil {
			_, err = stream.Collect()
		}
		return err
	},
	"CreateAsync": func(ctx context.Context, c *letta.Client, opts ...letta.RequestOption) error {
		_, err := c.Agents.Messages.CreateAsync(ctx, streamAgent, &letta.AgentMessageCreateAsyncParams{Messages: []letta.MessageInput{letta.UserText("hello")}}, opts...)
		return err
	},
	"Respond": func(ctx context.Context, c *letta.Client, opts ...letta.RequestOption) error {
		_, err := c.Agents.Messages.Respond(ctx, streamAgent, []letta.Approval{&letta.ApprovalReturn{ToolCallID: "call_2"}, &letta.ApprovalReturn{ToolCallID: "call_1", Approve: true}}, nil, opts...)
		return err
	},
	"DenyAll": func(ctx context.Context, c *letta.Client, opts ...letta.RequestOption) error {
		_, err := c.Agents.Messages.DenyAll(ctx, streamAgent, "no", nil, opts...)
		return err
	},
	"RunTools": func(ctx context.Context, c *letta.Client, opts ...letta.RequestOption) error {
		_, err := c.Agents.Messages.RunTools(ctx, streamAgent, helloParams(), &letta.ToolRun{}, opts...)
		return err
	},
	"Compact": func(ctx context.Context, c *letta.Client, opts ...letta.RequestOption) error {
		_, err := c.Agents.Messages.Compact(ctx, streamAgent, nil, opts...)
		return err
	},
}

// TestOneAttemptPerTurn: a turn sent twice is paid twice.
func TestOneAttemptPerTurn(t *testing.T) {
	t.Parallel()
	chunked := "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n"
	for name, call := range turnCalls {
		kind := "application/json"
		if strings.HasPrefix(name, "Stream") {
			kind = "text/event-stream"
		}
		for fault, handler := range map[string]http.HandlerFunc{
			"500":                  reply(500, `{"detail":"An unknown error occurred"}`),
			"500 with Retry-After": reply(500, "{}", "Retry-After-Ms", "1"),
			"501":                  reply(501, "{}"),
			"502":                  reply(502, "<html>"),
			"503":                  reply(503, "{}"),
			"503 with Retry-After": reply(503, "{}", "Retry-After-Ms", "1"),
			"504":                  reply(504, "{}"),
			"408":                  reply(408, "{}", "Retry-After-Ms", "1"),
			"409":                  reply(409, `{"detail":"CONFLICT"}`, "Retry-After-Ms", "1"),
			"429":                  reply(429, "{}"),
			"429 with Retry-After": reply(429, "{}", "Retry-After-Ms", "1"),
			"reset before headers": cut(""),
			"closed before an answer": func(http.ResponseWriter, *http.Request) {
				panic(http.ErrAbortHandler)
			},
			"half a header":     cut("HTTP/1.1 200 OK\r\nConte"),
			"no body":           cut("HTTP/1.1 200 OK\r\nContent-Type: " + kind + "\r\nContent-Length: 100\r\n\r\n"),
			"half a body":       cut("HTTP/1.1 200 OK\r\nContent-Type: " + kind + "\r\nContent-Length: 1000\r\n\r\n" + turnJSON[:40]),
			"half a chunk":      cut(fmt.Sprintf(chunked, kind) + "ff\r\n" + turnJSON[:40]),
			"a chunk, no end":   cut(fmt.Sprintf(chunked, kind) + "28\r\n" + turnJSON[:40] + "\r\n"),
			"timeout":           hang,
			"timeout in a body": func(w http.ResponseWriter, r *http.Request) { sse(w, turnJSON[:40]); hang(w, r) },
			"a page":            reply(200, "<html>", "Content-Type", "text/html"),
			"a redirect":        reply(307, "", "Location", "/v1/elsewhere"),
		} {
			t.Run(name+"/"+fault, func(t *testing.T) {
				t.Parallel()
				s := serve(t, func(w http.ResponseWriter, r *http.Request) {
					if r.Method == "GET" {
						reply(200, pendingJSON)(w, r)
						return
					}
					handler(w, r)
				})
				opts := []letta.RequestOption{letta.WithMaxRetries(4)}
				if strings.HasPrefix(name, "Stream") {
					opts = append(opts, letta.WithIdleTimeout(400*time.Millisecond))
				}
				if strings.HasPrefix(fault, "timeout") {
					opts = append(opts, letta.WithTimeout(2*time.Second)) // long enough for a request to arrive on a busy machine
				}
				require.Error(t, call(t.Context(), s.client(t), opts...))
				require.Len(t, s.seen("POST"), 1)
			})
		}
	}
}

func TestTurnAfterARefusedConnection(t *testing.T) {
	t.Parallel()
	for name, call := range turnCalls {
		if name == "Compact" {
			continue // it has no message
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var bodies []string
			attempts := 0
			hc := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				if r.Method == "GET" {
					return answer(r, 200, pendingJSON)
				}
				if attempts++; attempts < 3 { // a body that was read may have been sent
					return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
				}
				body, _ := io.ReadAll(r.Body)
				bodies = append(bodies, string(body))
				switch {
				case strings.HasPrefix(name, "Stream"):
					return eventStream(r, []byte(textFrame+stopFrame+doneFrame)), nil
				case name == "CreateAsync":
					return answer(r, 200, `{"id":"run-1","agent_id":"agent-1","status":"created"}`)
				}
				return answer(r, 200, turnJSON)
			})}
			client, err := letta.NewClient(letta.WithBaseURL("http://localhost:8283"), letta.WithHTTPClient(hc))
			require.NoError(t, err)
			require.NoError(t, call(t.Context(), client))
			require.Equal(t, 3, attempts)
			require.Len(t, bodies, 1)
			require.Contains(t, bodies[0], `"otid":"`)
		})
	}
}

func otids(t *testing.T, body string) (ids []string) {
	t.Helper()
	var sent struct {
		Messages []struct {
			Otid string `json:"otid"`
		} `json:"messages"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &sent))
	for _, m := range sent.Messages {
		ids = append(ids, m.Otid)
	}
	return ids
}

func TestOtid(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/async"):
			reply(200, `{"id":"run-1","agent_id":"agent-1","status":"created"}`)(w, r)
		case r.Header.Get("Accept") == "text/event-stream":
			sse(w, textFrame, stopFrame, doneFrame)
		default:
			reply(200, turnJSON)(w, r)
		}
	})
	client := s.client(t)
	messages := []letta.MessageInput{
		letta.UserText("one"), &letta.MessageCreate{Role: "user", Otid: "webhook-7", Content: letta.Content{Text: "two"}},
		&letta.ApprovalCreate{Approvals: []letta.Approval{&letta.ApprovalReturn{ToolCallID: "call_1"}}},
		&letta.ToolReturnCreate{ToolReturns: []letta.ToolReturn{{ToolCallID: "call_1"}}},
		&letta.UnknownMessageInput{Kind: "new", Raw: json.RawMessage(`{"type":"new","otid":"raw"}`)},
	}
	params := &letta.AgentMessageCreateParams{Messages: messages}
	async := &letta.AgentMessageCreateAsyncParams{Messages: messages}
	before := toJSON(t, params) + toJSON(t, async)
	var callers sync.WaitGroup
	for i := range 60 {
		callers.Go(func() {
			var err error
			switch i % 4 {
			case 0:
				_, err = client.Agents.Messages.Create(t.Context(), streamAgent, params)
			case 1:
				var stream *letta.MessageStream
				if stream, err = client.Agents.Messages.Stream(t.Context(), streamAgent, params); err == nil {
					_, err = stream.Collect()
				}
			case 2:
				_, err = client.Agents.Messages.CreateAsync(t.Context(), streamAgent, async)
			default:
				_, err = client.Agents.Messages.RunTools(t.Context(), streamAgent, params, &letta.ToolRun{})
			}
			assert.NoError(t, err)
		})
	}
	callers.Wait()
	require.Equal(t, before, toJSON(t, params)+toJSON(t, async), "the caller's params were changed")
	known := map[string]bool{}
	for _, r := range s.seen("POST") {
		ids := otids(t, r.Body)
		require.Len(t, ids, 5)
		require.Equal(t, []string{"webhook-7", "raw"}, []string{ids[1], ids[4]}, "the caller's own")
		for _, id := range []string{ids[0], ids[2], ids[3]} {
			require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, id)
			require.False(t, known[id], "an otid came twice")
			known[id] = true
		}
	}
	require.Len(t, known, 180)
}

func TestBodiesOfTurns(t *testing.T) {
	t.Parallel()
	s := serve(t, reply(200, turnJSON))
	client := s.client(t)
	_, err := client.Agents.Messages.Create(t.Context(), streamAgent, &letta.AgentMessageCreateParams{Input: letta.Content{Text: "hello"}, UseAssistantMessage: letta.Some(false)})
	require.NoError(t, err)
	_, err = client.Agents.Messages.Create(t.Context(), streamAgent, &letta.AgentMessageCreateParams{Input: letta.Content{Parts: []letta.ContentPart{&letta.TextContent{Text: "x"}}}})
	require.NoError(t, err)
	_, err = client.Agents.Messages.Create(t.Context(), streamAgent, helloParams(), letta.WithBodyField("streaming", true), letta.WithBodyField("new", []int{1}))
	require.NoError(t, err)
	requests := s.seen("POST")
	require.JSONEq(t, `{"streaming":false,"input":"hello","use_assistant_message":false}`, requests[0].Body)
	require.JSONEq(t, `{"streaming":false,"input":[{"type":"text","text":"x"}]}`, requests[1].Body)
	require.Contains(t, requests[2].Body, `"streaming":true`)
	require.Contains(t, requests[2].Body, `"new":[1]`)
}

// --- bad input -------------------------------------------------------------------------------------------------

func TestBadTurnsAreNotSent(t *testing.T) {
	t.Parallel()
	var requests []*http.Request
	client, err := letta.NewClient(letta.WithBaseURL("http://localhost:8283"), letta.WithHTTPClient(offline(&requests)))
	require.NoError(t, err)
	m := client.Agents.Messages
	with := func(messages ...letta.MessageInput) *letta.AgentMessageCreateParams {
		return &letta.AgentMessageCreateParams{Messages: messages}
	}
	for _, tt := range []struct {
		name   string
		params *letta.AgentMessageCreateParams
		words  string
	}{
		{"nil params", nil, ""},
		{"nothing", &letta.AgentMessageCreateParams{}, "messages"},
		{"empty messages", &letta.AgentMessageCreateParams{Messages: []letta.MessageInput{}}, "messages"},
		{"empty messages and input", &letta.AgentMessageCreateParams{Messages: []letta.MessageInput{}, Input: letta.Content{Text: "x"}}, "input"},
		{"nil message", with(letta.UserText("a"), nil), "messages[1]"},
		{"nil MessageCreate", with((*letta.MessageCreate)(nil)), "messages[0]"},
		{"nil ApprovalCreate", with((*letta.ApprovalCreate)(nil)), "messages[0]"},
		{"nil ToolReturnCreate", with((*letta.ToolReturnCreate)(nil)), "messages[0]"},
		{"empty UnknownMessageInput", with(&letta.UnknownMessageInput{Kind: "x"}), "UnknownMessageInput"},
		{"no role", with(letta.UserText("a"), &letta.MessageCreate{Content: letta.Content{Text: "x"}}), "messages[1].role"},
		{"messages and input", &letta.AgentMessageCreateParams{Messages: helloParams().Messages, Input: letta.Content{Text: "x"}}, "input"},
		{"messages and input parts", &letta.AgentMessageCreateParams{Messages: helloParams().Messages, Input: letta.Content{Parts: []letta.ContentPart{}}}, "input"},
		{"agent id", &letta.AgentMessageCreateParams{Messages: helloParams().Messages, AgentID: "agent-1"}, "agent_id"},
	} {
		calls := map[string]func() error{
			"create":    func() error { _, err := m.Create(t.Context(), streamAgent, tt.params); return err },
			"stream":    func() error { _, err := m.Stream(t.Context(), streamAgent, tt.params); return err },
			"run_tools": func() error { _, err := m.RunTools(t.Context(), streamAgent, tt.params, &letta.ToolRun{}); return err },
			"create_async": func() error {
				if tt.params == nil {
					_, err := m.CreateAsync(t.Context(), streamAgent, nil)
					return err
				}
				if tt.params.AgentID != "" {
					return errors.New("letta: agent_id") // a field that this one lacks
				}
				_, err := m.CreateAsync(t.Context(), streamAgent, &letta.AgentMessageCreateAsyncParams{Messages: tt.params.Messages, Input: tt.params.Input})
				return err
			},
		}
		for name, call := range calls {
			err := call()
			assert.ErrorContains(t, err, tt.words, "%s: %s", tt.name, name)
			assert.ErrorContains(t, err, "letta: ", "%s: %s", tt.name, name)
			if tt.params == nil {
				assert.ErrorIs(t, err, letta.ErrInvalidArgument, name)
			}
		}
	}
	for name, params := range map[string]*letta.AgentMessageCreateParams{
		"background":    {Messages: helloParams().Messages, Background: true},
		"stream_tokens": {Messages: helloParams().Messages, StreamTokens: true},
	} {
		_, err := m.Create(t.Context(), streamAgent, params)
		require.ErrorContains(t, err, name)
		require.ErrorContains(t, err, "Stream")
	}
	for _, id := range []letta.AgentID{"", ".", "..", "a/b", `a\b`} {
		_, err := m.Create(t.Context(), id, helloParams())
		require.ErrorContains(t, err, "agent_id")
		_, err = m.Stream(t.Context(), id, helloParams())
		require.ErrorContains(t, err, "agent_id")
		_, err = m.CreateAsync(t.Context(), id, &letta.AgentMessageCreateAsyncParams{Messages: helloParams().Messages})
		require.ErrorContains(t, err, "agent_id")
		_, err = m.Respond(t.Context(), id, nil, nil)
		require.ErrorContains(t, err, "agent_id")
		_, err = m.DenyAll(t.Context(), id, "", nil)
		require.ErrorContains(t, err, "agent_id")
	}
	_, err = m.RunTools(t.Context(), streamAgent, helloParams(), nil)
	require.ErrorIs(t, err, letta.ErrInvalidArgument)
	_, err = m.Stream(t.Context(), streamAgent, helloParams(), nil)
	require.ErrorContains(t, err, "option is nil")
	require.Empty(t, requests)
}

func TestNilUnknownMessageIsNotSent(t *testing.T) {
	t.Parallel()
	var requests []*http.Request
	client, err := letta.NewClient(letta.WithBaseURL("http://localhost:8283"), letta.WithHTTPClient(offline(&requests)))
	require.NoError(t, err)
	_, err = client.Agents.Messages.Create(t.Context(), streamAgent, &letta.AgentMessageCreateParams{Messages: []letta.MessageInput{(*letta.UnknownMessageInput)(nil)}})
	require.ErrorContains(t, err, "messages[0]")
	require.Empty(t, requests)
}

func TestTurnsWithoutAContext(t *testing.T) {
	t.Parallel()
	var requests []*http.Request
	client, err := letta.NewClient(letta.WithBaseURL("http://localhost:8283"), letta.WithHTTPClient(offline(&requests)))
	require.NoError(t, err)
	var none context.Context
	for name, call := range turnCalls {
		assert.ErrorContains(t, call(none, client), "context", name)
	}
	require.Empty(t, requests)
}

func TestTurnLockWithoutAContext(t *testing.T) {
	t.Parallel()
	var requests []*http.Request
	client, err := letta.NewClient(letta.WithBaseURL("http://localhost:8283"), letta.WithHTTPClient(offline(&requests)))
	require.NoError(t, err)
	var none context.Context
	for name, call := range turnCalls {
		want := "context"
		if name == "CreateAsync" {
			want = "WithTurnLock" // the turn goes on without the call
		}
		assert.NotPanics(t, func() { assert.ErrorContains(t, call(none, client, letta.WithTurnLock()), want, name) }, name)
	}
	require.Empty(t, requests)
}

// --- approvals -------------------------------------------------------------------------------------------------

func TestCheckApprovals(t *testing.T) {
	t.Parallel()
	pending := []letta.ToolCall{{Name: "mail", ToolCallID: "call_1"}, {Name: "pay", ToolCallID: "call_2"}}
	one, two := &letta.ApprovalReturn{ToolCallID: "call_1"}, &letta.ToolReturn{ToolCallID: "call_2"}
	for _, tt := range []struct {
		name    string
		pending []letta.ToolCall
		answers []letta.Approval
		words   string // "" is good
	}{
		{"all", pending, []letta.Approval{one, two}, ""},
		{"any order", pending, []letta.Approval{two, one}, ""},
		{"nothing for nothing", nil, nil, ""},
		{"a call that is listed twice", append(pending[:1:1], pending...), []letta.Approval{one, two}, ""},
		{"missing", pending, []letta.Approval{one}, "call_2"},
		{"none", pending, nil, "call_1"},
		{"twice", pending, []letta.Approval{one, two, one}, "call_1"},
		{"twice and missing", pending, []letta.Approval{one, one}, "call_1"},
		{"unknown", pending, []letta.Approval{one, two, &letta.ApprovalReturn{ToolCallID: "call_3"}}, "call_3"},
		{"message id", pending, []letta.Approval{one, &letta.ApprovalReturn{ToolCallID: "message-7"}}, "message-7"},
		{"nothing pends", nil, []letta.Approval{one}, "call_1"},
		{"empty id", pending, []letta.Approval{one, two, &letta.ApprovalReturn{}}, "answer 2"},
		{"nil", pending, []letta.Approval{one, nil}, "answer 1"},
		{"typed nil", pending, []letta.Approval{(*letta.ApprovalReturn)(nil), one}, "answer 0"},
		{"typed nil return", pending, []letta.Approval{one, (*letta.ToolReturn)(nil)}, "answer 1"},
		{"unknown variant", pending, []letta.Approval{one, &letta.UnknownApproval{Kind: "new", Raw: json.RawMessage(`{"type":"new","tool_call_id":"call_2"}`)}}, "answer 1"},
	} {
		err := letta.CheckApprovals(tt.pending, tt.answers)
		if tt.words == "" {
			assert.NoError(t, err, tt.name)
			continue
		}
		assert.ErrorIs(t, err, letta.ErrInvalidApprovals, tt.name)
		assert.ErrorContains(t, err, tt.words, tt.name)
	}
}

func TestRespond(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" {
			reply(200, pendingJSON)(w, r)
			return
		}
		reply(200, turnJSON)(w, r)
	})
	m := s.client(t).Agents.Messages
	pending, err := m.Pending(t.Context(), streamAgent)
	require.NoError(t, err)
	require.Equal(t, letta.MessageID("message-7"), pending.ID)
	require.Len(t, pending.Calls(), 2)
	require.Equal(t, []string{"agent.pending_approval"}, s.seen("GET")[0].Query["include"])

	for _, answers := range [][]letta.Approval{nil, {&letta.ApprovalReturn{ToolCallID: "call_1"}}, {&letta.ApprovalReturn{ToolCallID: "call_9"}}} {
		_, err = m.Respond(t.Context(), streamAgent, answers, nil)
		require.ErrorIs(t, err, letta.ErrInvalidApprovals)
	}
	require.Empty(t, s.seen("POST"))

	response, err := m.Respond(t.Context(), streamAgent, []letta.Approval{&letta.ApprovalReturn{ToolCallID: "call_2", Approve: true}, &letta.ToolReturn{ToolCallID: "call_1", Status: "success", ToolReturn: letta.Content{Text: "7"}}}, nil)
	require.NoError(t, err)
	require.Equal(t, "hi", response.Text())
	_, err = m.DenyAll(t.Context(), streamAgent, "not now", nil)
	require.NoError(t, err)
	want := []string{
		`[{"type":"approval","approvals":[{"type":"approval","tool_call_id":"call_2","approve":true},{"type":"tool","tool_call_id":"call_1","status":"success","tool_return":"7"}]}]`,
		`[{"type":"approval","approvals":[{"type":"approval","tool_call_id":"call_1","approve":false,"reason":"not now"},{"type":"approval","tool_call_id":"call_2","approve":false,"reason":"not now"}]}]`,
	}
	for i, r := range s.seen("POST") {
		var body struct {
			Messages []map[string]any `json:"messages"`
		}
		require.NoError(t, json.Unmarshal([]byte(r.Body), &body))
		delete(body.Messages[0], "otid")
		require.JSONEq(t, want[i], toJSON(t, body.Messages))
	}
	require.Len(t, s.seen("POST"), 2)
}

func TestNothingPending(t *testing.T) {
	t.Parallel()
	s := serve(t, reply(200, agentJSON))
	m := s.client(t).Agents.Messages
	pending, err := m.Pending(t.Context(), streamAgent)
	require.NoError(t, err)
	require.Nil(t, pending)
	_, err = m.Respond(t.Context(), streamAgent, []letta.Approval{&letta.ApprovalReturn{ToolCallID: "call_1"}}, nil)
	require.ErrorIs(t, err, letta.ErrNothingPending)
	_, err = m.DenyAll(t.Context(), streamAgent, "no", nil)
	require.ErrorIs(t, err, letta.ErrNothingPending)
	require.Empty(t, s.seen("POST"))
}

func TestRespondWithABodyField(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" {
			reply(200, pendingJSON)(w, r)
			return
		}
		reply(200, turnJSON)(w, r)
	})
	_, err := s.client(t).Agents.Messages.DenyAll(t.Context(), streamAgent, "no", nil, letta.WithBodyField("max_steps", 3))
	require.NoError(t, err)
}

func TestCallListedTwiceIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" {
			reply(200, strings.Replace(pendingJSON, "call_2", "call_1", 1))(w, r)
			return
		}
		reply(200, turnJSON)(w, r)
	})
	_, err := s.client(t).Agents.Messages.DenyAll(t.Context(), streamAgent, "no", nil)
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(s.seen("POST")[0].Body, "call_1"))
}

// --- the lock of turns -----------------------------------------------------------------------------------------

func TestTurnLock(t *testing.T) {
	t.Parallel()
	var now [2]atomic.Int32
	var most atomic.Int32
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/v1/runs/") {
			sse(w, stopFrame, doneFrame)
			return
		}
		agent := &now[0]
		if strings.Contains(r.URL.Path, "agent-2") {
			agent = &now[1]
		}
		most.Store(max(most.Load(), agent.Add(1)))
		defer agent.Add(-1)
		time.Sleep(5 * time.Millisecond)
		if r.Header.Get("Accept") != "text/event-stream" {
			reply(200, turnJSON)(w, r)
			return
		}
		sse(w, strings.Replace(textFrame, "{", `{"seq_id":1,`, 1))
		time.Sleep(5 * time.Millisecond)
		sse(w, stopFrame, doneFrame)
	})
	client := s.client(t, letta.WithTurnLock())
	var callers sync.WaitGroup
	for i := range 24 {
		callers.Go(func() {
			agent := letta.AgentID(fmt.Sprintf("agent-%d", i%2+1))
			if i%3 == 0 {
				_, err := client.Agents.Messages.Create(t.Context(), agent, helloParams())
				assert.NoError(t, err)
				return
			}
			stream, err := client.Agents.Messages.Stream(t.Context(), agent, helloBackground())
			if assert.NoError(t, err) {
				_, err = stream.Collect()
				assert.NoError(t, err)
			}
		})
	}
	callers.Wait()
	require.EqualValues(t, 1, most.Load())
}

// TestTurnLockOfAStream: the lock is held until the turn has ended at the server, however its stream ended.
func TestTurnLockOfAStream(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		leave func(t *testing.T, s *letta.MessageStream, cancel func())
		cut   bool
	}{
		"closed":        {func(t *testing.T, s *letta.MessageStream, _ func()) { require.NoError(t, s.Close()) }, false},
		"context ended": {func(t *testing.T, s *letta.MessageStream, cancel func()) { cancel() }, false},
		"the loop is left": {func(t *testing.T, s *letta.MessageStream, _ func()) {
			for range s.Messages() {
				break
			}
		}, false},
		"cut": {func(t *testing.T, s *letta.MessageStream, _ func()) {
			_, err := s.Collect()
			require.ErrorIs(t, err, letta.ErrStreamTruncated)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var status atomic.Value
			status.Store("running")
			asked := make(chan struct{}, 1000)
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				switch {
				case strings.HasPrefix(r.URL.Path, "/v1/runs/"):
					select {
					case asked <- struct{}{}:
					default:
					}
					if status.Load() == "down" {
						panic(http.ErrAbortHandler)
					}
					reply(200, fmt.Sprintf(`{"id":"run-1","status":%q}`, status.Load()))(w, r)
				case r.Header.Get("Accept") != "text/event-stream":
					reply(200, turnJSON)(w, r)
				case tt.cut:
					sse(w, pingFrame, textFrame)
				default:
					stallStream(pingFrame, textFrame)(w, r)
				}
			})
			client := s.client(t, letta.WithTurnLock(), letta.WithMaxRetries(0))
			ctx, cancel := context.WithCancel(streamContext(t))
			defer cancel()
			waits := func(opts ...letta.RequestOption) {
				t.Helper()
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				defer cancel()
				before := len(s.seen("POST"))
				_, err := client.Agents.Messages.Create(ctx, streamAgent, helloParams(), opts...)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Len(t, s.seen("POST"), before, "it was sent")
			}
			stream, err := client.Agents.Messages.Stream(ctx, streamAgent, helloParams())
			require.NoError(t, err)
			waits()
			waits(letta.WithTimeout(time.Hour))
			_, err = client.Agents.Messages.Create(t.Context(), "agent-2", helloParams())
			require.NoError(t, err, "another agent")
			tt.leave(t, stream, cancel)
			<-asked
			waits()
			status.Store("down")
			<-asked
			waits()
			status.Store("completed")
			_, err = client.Agents.Messages.Create(streamContext(t), streamAgent, helloParams())
			require.NoError(t, err)
			require.NoError(t, stream.Close())
		})
	}
}

// TestTurnLockOfALostAnswer: nobody knows the run, but the agent's are known.
func TestTurnLockOfALostAnswer(t *testing.T) {
	t.Parallel()
	type sender = func(context.Context, *letta.Client) error
	create := func(ctx context.Context, c *letta.Client) error {
		_, err := c.Agents.Messages.Create(ctx, streamAgent, helloParams())
		return err
	}
	for name, tt := range map[string]struct {
		send  sender
		lost  http.HandlerFunc
		busy  string // the run that goes on
		holds bool
	}{
		"context ended":   {create, hang, `{"id":"run-1","status":"created"}`, true},
		"connection lost": {create, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, `{"id":"run-1","status":"created"}`, true},
		"gateway timeout": {create, reply(504, "<html>"), `{"id":"run-1","status":"running"}`, true},
		"refused":         {create, reply(422, "{}"), `{"id":"run-1","status":"running"}`, false},
		"stream without headers": {func(ctx context.Context, c *letta.Client) error {
			_, err := c.Agents.Messages.Stream(ctx, streamAgent, helloParams())
			return err
		}, hang, `{"id":"run-1","status":"running"}`, true},
		"stream cut before the run has a name": {func(ctx context.Context, c *letta.Client) error {
			stream, err := c.Agents.Messages.Stream(ctx, streamAgent, helloParams())
			if err != nil {
				return err
			}
			_, err = stream.Collect()
			return err
		}, func(w http.ResponseWriter, _ *http.Request) { sse(w) }, `{"id":"run-1","status":"running"}`, true},
		"RunTools": {func(ctx context.Context, c *letta.Client) error {
			_, err := c.Agents.Messages.RunTools(ctx, streamAgent, helloParams(), &letta.ToolRun{})
			return err
		}, hang, `{"id":"run-1","status":"running"}`, true},
		"of a conversation": {create, hang, `{"id":"run-1","conversation_id":"conv-1","status":"running"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var ended, later atomic.Bool
			asked := make(chan struct{}, 1000)
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path == "/v1/runs/":
					asked <- struct{}{}
					if ended.Load() {
						reply(200, "[]")(w, r)
						return
					}
					reply(200, "["+tt.busy+"]")(w, r)
				case later.Load():
					reply(200, turnJSON)(w, r)
				default:
					tt.lost(w, r)
				}
			})
			client := s.client(t, letta.WithTurnLock(), letta.WithMaxRetries(0))
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			require.Error(t, tt.send(ctx, client))
			later.Store(true)
			if tt.holds {
				<-asked
				<-asked
				short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				defer cancel()
				require.ErrorIs(t, create(short, client), letta.ErrNotSent)
				ended.Store(true)
			}
			require.NoError(t, create(streamContext(t), client))
		})
	}
}

func TestTurnLockEndsWithTheContext(t *testing.T) {
	t.Parallel()
	client := serve(t, stallStream(pingFrame)).client(t, letta.WithTurnLock())
	stream, err := client.Agents.Messages.Stream(streamContext(t), streamAgent, helloParams())
	require.NoError(t, err)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	time.AfterFunc(10*time.Millisecond, func() { cancel(cause) })
	_, err = client.Agents.Messages.Create(ctx, streamAgent, helloParams())
	require.ErrorIs(t, err, cause)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, stream.Close())
}

func TestTurnLockOfRunTools(t *testing.T) {
	t.Parallel()
	var order []string
	var mu sync.Mutex
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case strings.Contains(string(body), "intruder"):
			order = append(order, "another turn")
		case strings.Contains(string(body), "approvals"):
			order = append(order, "return")
		default:
			order = append(order, "call")
			reply(200, callsJSON("call_1 wait {}"))(w, r)
			return
		}
		reply(200, turnJSON)(w, r)
	})
	client := s.client(t, letta.WithTurnLock())
	intruder := make(chan error, 1)
	wait, err := letta.NewTool("wait", "", func(context.Context, struct{}) (string, error) {
		go func() {
			_, err := client.Agents.Messages.Create(t.Context(), streamAgent, &letta.AgentMessageCreateParams{Messages: []letta.MessageInput{letta.UserText("intruder")}})
			intruder <- err
		}()
		time.Sleep(50 * time.Millisecond)
		return "done", nil
	})
	require.NoError(t, err)
	_, err = client.Agents.Messages.RunTools(t.Context(), streamAgent, helloParams(), &letta.ToolRun{Tools: []*letta.FuncTool{wait}})
	require.NoError(t, err)
	require.NoError(t, <-intruder)
	require.Equal(t, []string{"call", "return", "another turn"}, order)
}
