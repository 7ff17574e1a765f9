package letta

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func upTo(n int, end error) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
		if end != nil {
			yield(0, end)
		}
	}
}

func TestForEach(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	odd, broken := errors.New("odd"), errors.New("the list broke")
	var running, most atomic.Int32
	var seen []string
	result, err := ForEach(t.Context(), upTo(100, nil), ForEachOptions{Concurrency: 3, Progress: func(done, failed int) {
		seen = append(seen, fmt.Sprint(done+failed)) // never twice at once
	}}, func(_ context.Context, i int) error {
		for now := running.Add(1); ; {
			if old := most.Load(); now <= old || most.CompareAndSwap(old, now) {
				break
			}
		}
		defer running.Add(-1)
		if i%2 == 1 {
			return odd
		}
		return nil
	})
	require.ErrorIs(t, err, odd)
	require.ErrorContains(t, err, "50 done, 50 failed")
	assert.Equal(t, 50, result.Done)
	assert.Len(t, result.Failures, 50)
	for _, f := range result.Failures {
		assert.Equal(t, 1, f.Item%2)
	}
	assert.LessOrEqual(t, most.Load(), int32(3))
	assert.Len(t, seen, 100)
	assert.Equal(t, "100", seen[99])

	result, err = ForEach(t.Context(), upTo(5, broken), ForEachOptions{}, func(context.Context, int) error { return nil })
	require.ErrorIs(t, err, broken)
	assert.Equal(t, 5, result.Done, "what was begun is finished")

	result, err = ForEach(t.Context(), upTo(1000, nil), ForEachOptions{Concurrency: 1, MaxFailures: 2}, func(context.Context, int) error { return odd })
	require.ErrorContains(t, err, "2 items have failed")
	assert.Len(t, result.Failures, 2)

	ctx, cancel := context.WithCancel(t.Context())
	result, err = ForEach(ctx, upTo(1000, nil), ForEachOptions{Concurrency: 1}, func(_ context.Context, i int) error {
		if i == 3 {
			cancel()
		}
		return nil
	})
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, 4, result.Done)

	result, err = ForEach(t.Context(), upTo(3, nil), ForEachOptions{}, func(context.Context, int) error { return nil })
	require.NoError(t, err)
	assert.Equal(t, &ForEachResult[int]{Done: 3}, result)
	_, err = ForEach(t.Context(), upTo(3, nil), ForEachOptions{Concurrency: -1}, func(context.Context, int) error { return nil })
	require.ErrorIs(t, err, ErrInvalidArgument)
}

func TestForEachPanics(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	var ended atomic.Int32
	assert.PanicsWithValue(t, "item 5", func() {
		_, _ = ForEach(t.Context(), upTo(1000, nil), ForEachOptions{Concurrency: 4}, func(ctx context.Context, i int) error {
			defer ended.Add(1)
			if i == 5 {
				panic("item 5")
			}
			if i > 5 {
				<-ctx.Done() // the others are told, and waited for
			}
			return nil
		})
	})
	assert.Less(t, ended.Load(), int32(1000))
	assert.PanicsWithValue(t, "progress", func() {
		_, _ = ForEach(t.Context(), upTo(10, nil), ForEachOptions{Progress: func(int, int) { panic("progress") }}, func(context.Context, int) error { return nil })
	})
	assert.PanicsWithValue(t, "list", func() {
		_, _ = ForEach(t.Context(), func(yield func(int, error) bool) { yield(1, nil); panic("list") }, ForEachOptions{}, func(context.Context, int) error { return nil })
	})
}

// script answers requests by "METHOD /path?query" and keeps them.
func script(t *testing.T, answer func(r *http.Request) (status int, body string)) (*Client, func() []string) {
	t.Helper()
	var mu sync.Mutex
	var sent []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		sent = append(sent, r.Method+" "+r.URL.RequestURI())
		mu.Unlock()
		status, body := answer(r)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(srv.Close)
	c, err := NewClient(WithBaseURL(srv.URL), WithMaxRetries(0))
	require.NoError(t, err)
	return c, func() []string { mu.Lock(); defer mu.Unlock(); return slices.Clone(sent) }
}

func TestUpdateAll(t *testing.T) {
	c, sent := script(t, func(r *http.Request) (int, string) {
		switch {
		case r.Method == http.MethodGet:
			return 200, `[{"id":"agent-1"},{"id":"agent-2"},{"id":"agent-3"}]`
		case strings.HasSuffix(r.URL.Path, "agent-2"):
			return 404, `{"detail":"gone"}`
		}
		return 200, `{"id":"agent-1"}`
	})
	update := &AgentUpdateParams{Model: Some("openai/gpt-4.1")}
	result, err := c.Agents.UpdateAll(t.Context(), Tags("a"), update, ForEachOptions{}, WithBodyField("extra", 1))
	require.ErrorIs(t, err, ErrNotFound)
	assert.Equal(t, 2, result.Done)
	require.Len(t, result.Failures, 1)
	assert.Equal(t, AgentID("agent-2"), result.Failures[0].Item.ID)
	assert.Len(t, sent(), 4)

	_, err = c.Agents.UpdateAll(t.Context(), nil, update, ForEachOptions{})
	require.ErrorIs(t, err, ErrInvalidArgument)
	_, err = c.Agents.UpdateAll(t.Context(), Tags("a"), nil, ForEachOptions{})
	require.ErrorIs(t, err, ErrInvalidArgument)
	_, err = c.Agents.UpdateAll(t.Context(), Tags("a"), update, ForEachOptions{}, WithResponse(new(Response)))
	require.ErrorIs(t, err, ErrInvalidArgument)
	assert.Len(t, sent(), 4)
}

func TestEnsureTool(t *testing.T) {
	const source = "def add(a: int) -> int:\n    return a"
	tool := func(name, source, typ string) string {
		return fmt.Sprintf(`{"id":"tool-1","name":%q,"source_code":%q,"tool_type":%q,"tags":["b","a"],"source_type":"json"}`, name, source, typ)
	}
	for name, tt := range map[string]struct {
		list, upserted string
		params         ToolCreateParams
		requests       int
		want           error
	}{
		"there is none":       {"[]", tool("add", source, "custom"), ToolCreateParams{SourceCode: source}, 2, nil},
		"up to date":          {"[" + tool("add", source, "custom") + "]", "", ToolCreateParams{SourceCode: source, SourceType: "python", Tags: []string{"a", "b"}}, 1, nil},
		"other source":        {"[" + tool("add", "old", "custom") + "]", tool("add", source, "custom"), ToolCreateParams{SourceCode: source}, 2, nil},
		"other tags":          {"[" + tool("add", source, "custom") + "]", tool("add", source, "custom"), ToolCreateParams{SourceCode: source, Tags: []string{"a"}}, 2, nil},
		"a neighbour":         {"[" + tool("add2", source, "custom") + "]", tool("add", source, "custom"), ToolCreateParams{SourceCode: source}, 2, nil},
		"the server's own":    {"[" + tool("add", source, "letta_core") + "]", "", ToolCreateParams{SourceCode: source}, 1, ErrConflict},
		"not in the source":   {"", "", ToolCreateParams{SourceCode: "def sub(): pass"}, 0, ErrInvalidArgument},
		"the schema's name":   {"", "", ToolCreateParams{SourceCode: source, JSONSchema: []byte(`{"name":"sub"}`)}, 0, ErrInvalidArgument},
		"no source":           {"", "", ToolCreateParams{}, 0, ErrInvalidArgument},
		"the list is refused": {"", "", ToolCreateParams{SourceCode: source}, 1, ErrServer},
	} {
		t.Run(name, func(t *testing.T) {
			c, sent := script(t, func(r *http.Request) (int, string) {
				switch {
				case tt.list == "":
					return 500, "{}"
				case r.Method == http.MethodGet:
					return 200, tt.list
				}
				return 200, tt.upserted
			})
			got, err := c.Tools.Ensure(t.Context(), "add", &tt.params)
			require.ErrorIs(t, err, tt.want)
			assert.Len(t, sent(), tt.requests)
			if tt.want == nil {
				assert.Equal(t, "add", got.Name)
			}
		})
	}
	c, _ := script(t, func(r *http.Request) (int, string) {
		if r.Method == http.MethodGet {
			return 200, "[]"
		}
		return 200, tool("other", source, "custom")
	})
	_, err := c.Tools.Ensure(t.Context(), "add", &ToolCreateParams{SourceCode: source})
	require.ErrorContains(t, err, `named the tool "other"`)
}

func TestAgentUsage(t *testing.T) {
	old := func(r *http.Request) (int, string) {
		switch {
		case r.URL.Path == "/v1/steps/":
			return 400, `{"detail":"Argument order does not match"}`
		case r.URL.Path == "/v1/runs/":
			return 200, `[{"id":"run-4","created_at":"2026-01-04T00:00:00Z"},{"id":"run-3","created_at":"2026-01-03T00:00:00Z"},
				{"id":"run-2","created_at":"2026-01-02T00:00:00Z"},{"id":"run-1","created_at":"2026-01-01T00:00:00Z"}]`
		}
		return 200, `{"completion_tokens":1,"prompt_tokens":2,"total_tokens":3,"prompt_tokens_details":{"cached_tokens":1}}`
	}
	c, sent := script(t, old)
	period := UsageParams{StartDate: date(2), EndDate: date(4)}
	usage, err := c.Agents.Usage(t.Context(), "agent-1", &period)
	require.NoError(t, err)
	assert.Equal(t, &AgentUsage{Runs: 2, CompletionTokens: 2, PromptTokens: 4, TotalTokens: 6, CachedInputTokens: 2}, usage)
	assert.Len(t, sent(), 4, "the steps, the runs, and two runs of the period")

	c, sent = script(t, func(*http.Request) (int, string) {
		return 200, `[{"id":"step-1","prompt_tokens":2,"completion_tokens":1,"total_tokens":3},{"id":"step-2","total_tokens":5}]`
	})
	usage, err = c.Agents.Usage(t.Context(), "agent-1", &period)
	require.NoError(t, err)
	assert.Equal(t, &AgentUsage{Steps: 2, PromptTokens: 2, CompletionTokens: 1, TotalTokens: 8}, usage)
	require.Len(t, sent(), 1)
	assert.Contains(t, sent()[0], "agent_id=agent-1")
	assert.Contains(t, sent()[0], "start_date=2026-01-02")

	c, _ = script(t, func(*http.Request) (int, string) { return 500, "{}" })
	_, err = c.Agents.Usage(t.Context(), "agent-1", nil)
	require.ErrorIs(t, err, ErrServer)
}

// TestAccessTokensAreNotShown: the id of a token is its secret.
func TestAccessTokensAreNotShown(t *testing.T) {
	c, sent := script(t, func(*http.Request) (int, string) { return 500, `{"detail":"no"}` })
	err := c.AccessTokens.Delete(t.Context(), "secret-1")
	require.ErrorIs(t, err, ErrServer)
	assert.Equal(t, []string{"DELETE /v1/client-side-access-tokens/secret-1"}, sent())
	var apiErr *APIError
	require.ErrorAs(t, err, &apiErr)
	token := AccessToken{Token: "secret-1"}
	for _, text := range []string{err.Error(), apiErr.Path, fmt.Sprintf("%v %+v %#v %s", token, token, token, token.Token)} {
		assert.NotContains(t, text, "secret-1")
	}
}

func date(day int) time.Time { return time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC) }

// TestRetired: what Letta Cloud answers to routes that it has given up.
func TestRetired(t *testing.T) {
	c, _ := script(t, func(*http.Request) (int, string) {
		return 400, `{"message":"This API route is deprecated and no longer supported"}`
	})
	_, err := c.Agents.Messages.CreateAsync(t.Context(), "agent-1", &AgentMessageCreateAsyncParams{Messages: []MessageInput{UserText("hello")}})
	require.ErrorIs(t, err, ErrRetired)
	_, err = c.Folders.List(t.Context(), nil)
	require.ErrorIs(t, err, ErrRetired)
	c, _ = script(t, func(*http.Request) (int, string) { return 400, `{"detail":"model is missing"}` })
	_, err = c.Folders.List(t.Context(), nil)
	require.NotErrorIs(t, err, ErrRetired)
}
