package letta

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// raw answers every connection with the bytes of answer, once a request's headers have come, and then keeps it open.
func raw(t *testing.T, answer string, opts ...ClientOption) *Client {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			go func() {
				_, _ = conn.Read(make([]byte, 1<<16))
				_, _ = io.WriteString(conn, answer)
			}()
		}
	}()
	c, err := NewClient(append([]ClientOption{WithBaseURL("http://" + l.Addr().String()), WithMaxRetries(0)}, opts...)...)
	require.NoError(t, err)
	return c
}

// inTime fails the test if f does not return: a context cannot end everything.
func inTime(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("it did not return")
	}
}

// TestSwitchedProtocols: net/http gives the connection of a 101 away, and no context ends a Read of it.
func TestSwitchedProtocols(t *testing.T) {
	t.Parallel()
	c := raw(t, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", WithTimeout(5*time.Second))
	inTime(t, func() {
		_, err := c.Agents.List(t.Context(), nil)
		var apiErr *APIError
		assert.ErrorAs(t, err, &apiErr)
	})
	inTime(t, func() {
		_, err := c.Agents.Messages.Stream(t.Context(), "agent-1", &AgentMessageCreateParams{Messages: []MessageInput{UserText("hi")}})
		assert.Error(t, err)
	})
}

// TestDownloadOfAPostWithoutABody: the body of the answer outlives the round trip.
func TestDownloadOfAPostWithoutABody(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		time.Sleep(50 * time.Millisecond)
		_, _ = w.Write(make([]byte, 1<<20))
	}))
	defer srv.Close()
	c, err := NewClient(WithBaseURL(srv.URL))
	require.NoError(t, err)
	var got bytes.Buffer
	require.NoError(t, c.Do(t.Context(), "POST", "/v1/x", nil, &got))
	require.Equal(t, 1<<20, got.Len())
}

type (
	ctxValue [1 << 10]byte
	ctxKey   struct{}
)

// TestTransferLeavesNoTimer: a timer that is never stopped keeps the call and its context for ever.
func TestTransferLeavesNoTimer(t *testing.T) {
	t.Parallel()
	c, _ := script(t, func(*http.Request) (int, string) { return 200, "some data" })
	collected := make(chan struct{})
	func() {
		value := new(ctxValue)
		runtime.AddCleanup(value, func(done chan struct{}) { close(done) }, collected)
		require.NoError(t, c.Do(context.WithValue(t.Context(), ctxKey{}, value), "GET", "/v1/x", nil, new(bytes.Buffer)))
	}()
	c.Close()
	for range 100 {
		runtime.GC()
		select {
		case <-collected:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Fatal("the context is still held")
}

// pausing is a reader of the caller's, not to be used by two at once.
type pausing struct {
	reads   int
	entered chan struct{}
}

func (p *pausing) Read(b []byte) (int, error) {
	p.reads++
	if p.reads == 3 {
		close(p.entered)
		time.Sleep(100 * time.Millisecond)
	}
	p.reads++
	b[0] = 'x'
	return 1, nil
}

// TestReaderAfterAnEarlyAnswer: when the call has returned, its reader is the caller's again.
func TestReaderAfterAnEarlyAnswer(t *testing.T) {
	t.Parallel()
	p := &pausing{entered: make(chan struct{})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = conn.Read(make([]byte, 100))
		<-p.entered
		_, _ = io.WriteString(conn, "HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\n{}")
		time.Sleep(300 * time.Millisecond)
	}()
	c, err := NewClient(WithBaseURL("http://"+l.Addr().String()), WithMaxRetries(0))
	require.NoError(t, err)
	err = c.Do(t.Context(), "POST", "/v1/x", io.Reader(p), nil)
	var apiErr *APIError
	require.ErrorAs(t, err, &apiErr)
	before := p.reads // the race detector tells
	time.Sleep(200 * time.Millisecond)
	assert.Equal(t, before, p.reads)
}

// TestEnsureWithABodyField: the field is for the create, the lookup has no body.
func TestEnsureWithABodyField(t *testing.T) {
	t.Parallel()
	var body []byte
	created := false
	c, _ := script(t, func(r *http.Request) (int, string) {
		agent := `{"id":"agent-1","tags":["a"]}`
		if r.Method == http.MethodPost {
			body, _ = io.ReadAll(r.Body)
			created = true
			return 200, agent
		}
		if created {
			return 200, "[" + agent + "]"
		}
		return 200, "[]"
	})
	_, err := c.Agents.Ensure(t.Context(), []string{"a"}, &AgentCreateParams{Model: "m"}, WithBodyField("new_field", 1))
	require.NoError(t, err)
	assert.Contains(t, string(body), `"new_field":1`)
}

// TestLookupsCountAsSent: an error that says that nothing was sent is true of the whole call.
func TestLookupsCountAsSent(t *testing.T) {
	t.Parallel()
	waiting := `{"id":"agent-1","pending_approval":{"message_type":"approval_request_message","id":"message-1","run_id":"run-1","tool_call":{"tool_call_id":"call-1","name":"x","arguments":"{}"}}}`
	deny := []Approval{&ApprovalReturn{ToolCallID: "call-1"}}
	for name, call := range map[string]func(context.Context, *Client) error{
		"Respond to another call": func(ctx context.Context, c *Client) error {
			_, err := c.Agents.Messages.Respond(ctx, "agent-1", []Approval{&ApprovalReturn{ToolCallID: "call-2"}}, nil)
			return err
		},
		"Respond in the background": func(ctx context.Context, c *Client) error {
			_, err := c.Agents.Messages.Respond(ctx, "agent-1", deny, &AgentMessageCreateParams{Background: true})
			return err
		},
		"Respond with invalid text": func(ctx context.Context, c *Client) error {
			_, err := c.Agents.Messages.Respond(ctx, "agent-1", []Approval{&ApprovalReturn{ToolCallID: "call-1", Reason: "\xff"}}, nil)
			return err
		},
		"RespondStream with invalid text": func(ctx context.Context, c *Client) error {
			_, err := c.Agents.Messages.RespondStream(ctx, "agent-1", []Approval{&ApprovalReturn{ToolCallID: "call-1", Reason: "\xff"}}, nil)
			return err
		},
		"RespondStream to another agent": func(ctx context.Context, c *Client) error {
			_, err := c.Agents.Messages.RespondStream(ctx, "agent-1", deny, &AgentMessageCreateParams{AgentID: "agent-2"})
			return err
		},
		"Tools.Ensure with invalid text": func(ctx context.Context, c *Client) error {
			_, err := c.Tools.Ensure(ctx, "add", &ToolCreateParams{SourceCode: "add \xff"})
			return err
		},
		"UpdateAll with invalid text": func(ctx context.Context, c *Client) error {
			_, err := c.Agents.UpdateAll(ctx, &AgentListParams{}, &AgentUpdateParams{Name: Some("\xff")}, ForEachOptions{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, sent := script(t, func(r *http.Request) (int, string) {
				switch {
				case r.URL.Path == "/v1/tools/":
					return 200, "[]"
				case strings.HasSuffix(r.URL.Path, "/agents/"):
					return 200, `[{"id":"agent-1"}]`
				case r.Method == http.MethodGet:
					return 200, waiting
				}
				return 500, "{}"
			})
			err := call(t.Context(), c)
			require.Error(t, err)
			if len(sent()) > 0 {
				assert.NotErrorIs(t, err, ErrInvalidArgument, "%v", sent())
				assert.NotErrorIs(t, err, ErrNotSent)
			}
		})
	}
}

// TestNotSentLater: the second request of a call does not reach the server.
func TestNotSentLater(t *testing.T) {
	t.Parallel()
	row := func(n int) string {
		var rows []string
		for i := range 60 {
			rows = append(rows, fmt.Sprintf(`{"id":"x-%d-%d","created_at":"2026-01-01T00:00:00Z","message_type":"user_message","content":"x"}`, n, i))
		}
		return "[" + strings.Join(rows, ",") + "]"
	}
	last := func(all func(func(error) bool)) (err error) {
		all(func(e error) bool { err = e; return true })
		return err
	}
	for name, tt := range map[string]struct {
		first string
		call  func(context.Context, *Client) error
	}{
		"ListAll": {row(1), func(ctx context.Context, c *Client) error {
			return last(func(yield func(error) bool) {
				for _, err := range c.Agents.ListAll(ctx, nil) {
					yield(err)
				}
			})
		}},
		"ListAll of messages": {row(1), func(ctx context.Context, c *Client) error {
			return last(func(yield func(error) bool) {
				for _, err := range c.Agents.Messages.ListAll(ctx, "agent-1", nil) {
					yield(err)
				}
			})
		}},
		"Respond": {`{"id":"agent-1","pending_approval":{"message_type":"approval_request_message","id":"message-1","run_id":"run-1","tool_call":{"tool_call_id":"call-1","name":"x","arguments":"{}"}}}`, func(ctx context.Context, c *Client) error {
			_, err := c.Agents.Messages.DenyAll(ctx, "agent-1", "no", nil)
			return err
		}},
		"Pending of a conversation": {`{"id":"conversation-1","agent_id":"agent-1","in_context_message_ids":["message-1"]}`, func(ctx context.Context, c *Client) error {
			_, err := c.Conversations.Messages.Pending(ctx, "conversation-1")
			return err
		}},
		"Tools.Ensure": {`[]`, func(ctx context.Context, c *Client) error {
			_, err := c.Tools.Ensure(ctx, "add", &ToolCreateParams{SourceCode: "add"})
			return err
		}},
		"Runs.Wait": {`{"id":"run-1","status":"running"}`, func(ctx context.Context, c *Client) error {
			_, err := c.Runs.Wait(ctx, "run-1")
			return err
		}},
		"UpdateAll": {`[{"id":"agent-1"}]`, func(ctx context.Context, c *Client) error {
			_, err := c.Agents.UpdateAll(ctx, &AgentListParams{}, &AgentUpdateParams{Name: Some("x")}, ForEachOptions{})
			return err
		}},
		"Usage": {`[{"id":"run-1","created_at":"2026-01-01T00:00:00Z"}]`, func(ctx context.Context, c *Client) error {
			_, err := c.Agents.Usage(ctx, "agent-1", nil)
			return err
		}},
		"AddTags": {`{"id":"agent-1","tags":["a"]}`, func(ctx context.Context, c *Client) error {
			_, err := c.Agents.AddTags(ctx, "agent-1", []string{"b"})
			return err
		}},
		"AttachByName": {`[{"id":"tool-1","name":"add"}]`, func(ctx context.Context, c *Client) error {
			_, err := c.Agents.Tools.AttachByName(ctx, "agent-1", "add")
			return err
		}},
		"DeleteWithBlocks": {row(1), func(ctx context.Context, c *Client) error {
			_, err := c.Agents.DeleteWithBlocks(ctx, "agent-1")
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var once atomic.Int32
			transport := roundTripper(func(r *http.Request) (*http.Response, error) {
				if r.Body != nil && once.Load() == 0 {
					_, _ = io.Copy(io.Discard, r.Body)
				}
				if r.URL.Path == "/v1/steps/" {
					return respond(r, 400, `{}`), nil
				}
				if once.Add(1) > 1 {
					return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
				}
				return respond(r, 200, tt.first), nil
			})
			// A real transport reports a failed dial of a request without a body too.
			dead := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("refused") }}
			c, err := NewClient(WithBaseURL("http://127.0.0.1:1"), WithMaxRetries(0), WithHTTPClient(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				if once.Load() >= 1 && r.URL.Path != "/v1/steps/" {
					once.Add(1)
					return dead.RoundTrip(r)
				}
				return transport(r)
			})}))
			require.NoError(t, err)
			err = tt.call(t.Context(), c)
			require.Error(t, err)
			require.Greater(t, once.Load(), int32(1))
			assert.NotErrorIs(t, err, ErrNotSent)
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func respond(r *http.Request, status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r,
	}
}

// TestNestedURLErrors: a transport that is built on an http.Client wraps its error in the address, which we do not show.
func TestNestedURLErrors(t *testing.T) {
	t.Parallel()
	c, err := NewClient(WithBaseURL("http://127.0.0.1:1"), WithMaxRetries(0), WithHTTPClient(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		return nil, &url.Error{Op: "Get", URL: r.URL.String(), Err: errors.New("refused")}
	})}))
	require.NoError(t, err)
	_, err = c.Agents.List(t.Context(), &AgentListParams{Tags: []string{"jane@example.com"}})
	require.ErrorContains(t, err, "refused")
	assert.NotContains(t, err.Error(), "jane")
	err = c.AccessTokens.Delete(t.Context(), "secret-1")
	require.ErrorContains(t, err, "refused")
	assert.NotContains(t, err.Error(), "secret-1")
}

const runFrame = `data: {"message_type":"reasoning_message","id":"message-1","run_id":"run-1","reasoning":"x"}` + "\n\n"

// onCancel streams the first frame of a turn, does f when its run is cancelled, and ends the stream when obey is closed.
func onCancel(t *testing.T, obey chan struct{}, f func()) *AgentMessageService {
	t.Helper()
	c, err := NewClient(WithBaseURL("http://127.0.0.1:1"), WithHTTPClient(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		if strings.HasSuffix(r.URL.Path, "/cancel") {
			f()
			return respond(r, 200, "{}"), nil
		}
		switch {
		case strings.HasSuffix(r.URL.Path, "/steps"):
			return respond(r, 200, `[]`), nil
		case strings.HasPrefix(r.URL.Path, "/v1/runs/"):
			return respond(r, 200, `{"id":"run-1","status":"cancelled"}`), nil
		case r.Method == http.MethodGet:
			return respond(r, 200, `{"id":"agent-1"}`), nil // nothing waits
		}
		body, w := io.Pipe()
		go func() {
			_, _ = io.WriteString(w, runFrame)
			<-obey
			_ = w.Close()
		}()
		resp := respond(r, 200, "")
		resp.Body, resp.ContentLength = body, -1
		resp.Header.Set("Content-Type", "text/event-stream")
		return resp, nil
	})}))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c.Agents.Messages
}

// TestPanicWhileCancelling: a run is cancelled on a goroutine of ours, where a panic would end the process.
func TestPanicWhileCancelling(t *testing.T) {
	t.Parallel()
	obey := make(chan struct{})
	messages := onCancel(t, obey, func() { close(obey); panic("a transport that panics") })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := messages.Stream(ctx, "agent-1", &AgentMessageCreateParams{Messages: []MessageInput{UserText("hi")}}, WithTurnLock(), WithCancelOnDone())
	require.NoError(t, err)
	for _, err := range stream.Messages() {
		if err != nil {
			require.ErrorIs(t, err, context.Canceled)
		}
		cancel()
	}
	require.Eventually(t, func() bool { return messages.core.turns.Held() == 0 }, 10*time.Second, 10*time.Millisecond)
}

// TestErrorBeforeTheServerObeys: the loop gets its error at once, although somebody still reads to see the turn off.
func TestErrorBeforeTheServerObeys(t *testing.T) {
	t.Parallel()
	obey, cancelled := make(chan struct{}), make(chan struct{})
	defer close(obey)
	messages := onCancel(t, obey, func() { close(cancelled) })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := messages.Stream(ctx, "agent-1", &AgentMessageCreateParams{Messages: []MessageInput{UserText("hi")}}, WithTurnLock(), WithCancelOnDone())
	require.NoError(t, err)
	_, err = stream.next()
	require.NoError(t, err)
	cancel()
	<-cancelled
	time.Sleep(100 * time.Millisecond) // until the other reads
	inTime(t, func() { _, err = stream.next() })
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 1, messages.core.turns.Held(), "the server has not obeyed")
}

// TestLockOfRunToolsUntilTheServerObeys: the next turn waits for the cancelled one, and RunTools too, since calls may be left
// to withdraw.
func TestLockOfRunToolsUntilTheServerObeys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const slow = 20 * time.Second // longer than Close would wait
		obey := make(chan struct{})
		messages := onCancel(t, obey, func() { time.AfterFunc(slow, func() { close(obey) }) })
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		began := time.Now()
		_, err := messages.RunTools(ctx, "agent-1", &AgentMessageCreateParams{Messages: []MessageInput{UserText("hi")}},
			&ToolRun{OnMessage: func(Message) { cancel() }}, WithTurnLock(), WithCancelOnDone())
		require.ErrorIs(t, err, context.Canceled)
		require.GreaterOrEqual(t, time.Since(began), slow)
		require.Zero(t, messages.core.turns.Held())
	})
}

// TestServerThatNeverObeys: nothing waits for ever.
func TestServerThatNeverObeys(t *testing.T) {
	t.Parallel()
	hello := &AgentMessageCreateParams{Messages: []MessageInput{UserText("hi")}}
	for name, leave := range map[string]func(context.Context, context.CancelFunc, *AgentMessageService){
		"RunTools": func(ctx context.Context, cancel context.CancelFunc, m *AgentMessageService) {
			_, _ = m.RunTools(ctx, "agent-1", hello, &ToolRun{OnMessage: func(Message) { cancel() }}, WithTurnLock(), WithCancelOnDone())
		},
		"a loop that is left": func(ctx context.Context, _ context.CancelFunc, m *AgentMessageService) {
			stream, err := m.Stream(ctx, "agent-1", hello, WithTurnLock(), WithCancelOnDone())
			if assert.NoError(t, err) {
				for range stream.Messages() {
					break
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				obey := make(chan struct{})
				defer close(obey)
				messages := onCancel(t, obey, func() {})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				began := time.Now()
				leave(ctx, cancel, messages)
				unlock, err := messages.core.turns.Lock(t.Context(), "agent-1")
				require.NoError(t, err)
				unlock()
				require.Equal(t, turnEndTimeout, time.Since(began))
			})
		})
	}
}

// TestCloseEndsWhatNobodyWaitsFor: the goroutine that holds the lock of a left turn ends with the client.
func TestCloseEndsWhatNobodyWaitsFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		obey := make(chan struct{})
		defer close(obey)
		cancelled := make(chan struct{})
		messages := onCancel(t, obey, func() { close(cancelled) })
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := messages.Stream(ctx, "agent-1", &AgentMessageCreateParams{Messages: []MessageInput{UserText("hi")}}, WithTurnLock(), WithCancelOnDone())
		require.NoError(t, err)
		_, err = stream.next()
		require.NoError(t, err)
		cancel()
		<-cancelled
		synctest.Wait()
		require.Equal(t, 1, messages.core.turns.Held())
		messages.core.life.close()
		synctest.Wait()
		require.Zero(t, messages.core.turns.Held())
	})
}

// TestManyPieces: a server that names a new call or run in every frame costs time in proportion.
func TestManyPieces(t *testing.T) {
	t.Parallel()
	const n = 60000
	began := time.Now()
	var a accumulator
	for i := range n {
		call := ToolCall{ToolCallID: ToolCallID(fmt.Sprintf("call-%08d", i)), Name: "x"}
		a.add(frame{message: &ToolCallMessage{MessageCommon: MessageCommon{ID: "message-1", RunID: RunID(fmt.Sprintf("run-%08d", i))}, ToolCalls: []ToolCall{call}}})
	}
	turn := a.result()
	t.Log("accumulate", time.Since(began))
	began = time.Now()
	require.Len(t, turn.ToolCalls(), n)
	t.Log("ToolCalls", time.Since(began))
	began = time.Now()
	tags := make([]string, n)
	for i := range tags {
		tags[i] = fmt.Sprintf("tag-%08d", i)
	}
	merged(tags, nil)
	t.Log("merged", time.Since(began))
	began = time.Now()
	sameSet(tags, tags)
	t.Log("sameSet", time.Since(began))
}
