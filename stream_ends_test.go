package letta_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
)

// Tests of how streams end, and of what follows from that.

// seqFrame is a frame of a background run.
func seqFrame(n int) string {
	return strings.Replace(textFrame, "{", fmt.Sprintf(`{"seq_id":%d,`, n), 1)
}

func seqPing(n int) string {
	return strings.Replace(pingFrame, "{", fmt.Sprintf(`{"seq_id":%d,`, n), 1)
}

func TestGaps(t *testing.T) {
	t.Parallel()
	cancelled := `data: {"message_type":"stop_reason","stop_reason":"cancelled"}` + "\n\n"
	for name, tt := range map[string]struct {
		frames []string
		gap    bool
	}{
		"none":                         {[]string{seqPing(1), seqFrame(2), seqFrame(3), stopFrame, usageFrame, doneFrame}, false},
		"in the middle":                {[]string{seqPing(1), seqFrame(2), seqFrame(4), stopFrame, usageFrame, doneFrame}, true},
		"at the beginning":             {[]string{seqFrame(2), seqFrame(3), stopFrame, usageFrame, doneFrame}, true},
		"a late frame":                 {[]string{seqFrame(1), seqFrame(3), seqFrame(2), stopFrame, usageFrame, doneFrame}, true},
		"a frame without a number":     {[]string{seqFrame(1), "event: note\ndata: {}\n\n", seqFrame(3), stopFrame, usageFrame, doneFrame}, false},
		"more than the frames without": {[]string{seqFrame(1), "event: note\ndata: {}\n\n", seqFrame(4), stopFrame, usageFrame, doneFrame}, true},
		"signs of life are no frames":  {[]string{seqFrame(1), seqPing(1), pingFrame, seqFrame(3), stopFrame, usageFrame, doneFrame}, true},
		"cancelled":                    {[]string{seqFrame(1), cancelled}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stream, err := serve(t, sendStream(tt.frames...)).client(t).Agents.Messages.Stream(streamContext(t), streamAgent, helloBackground())
			require.NoError(t, err)
			_, err = stream.Collect()
			if !tt.gap {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, letta.ErrStreamGap)
			require.NotErrorIs(t, err, letta.ErrStreamTruncated)
			require.ErrorContains(t, err, "Runs.Messages.List")
			require.Equal(t, letta.RunID("run-1"), streamError(t, err).RunID)
			require.Equal(t, http.StatusBadGateway, letta.HTTPStatus(err))
		})
	}
}

// TestGapAfterAResume: the server has trimmed what the cut swallowed.
func TestGapAfterAResume(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if resumeOf(r) < 0 {
			sse(w, seqPing(1), seqFrame(2))
			return
		}
		sse(w, seqFrame(7), stopFrame, usageFrame, doneFrame)
	})
	stream, err := s.client(t).Agents.Messages.Stream(streamContext(t), streamAgent, helloBackground())
	require.NoError(t, err)
	_, err = stream.Collect()
	require.ErrorIs(t, err, letta.ErrStreamGap)
	require.Equal(t, 2, streamError(t, err).LastSeq)
}

func TestPingsOfABackgroundStream(t *testing.T) {
	t.Parallel()
	s := serve(t, sendStream(seqPing(1), seqFrame(2), seqPing(2), pingFrame, seqFrame(3), stopFrame, usageFrame, doneFrame))
	stream, err := s.client(t).Agents.Messages.Stream(streamContext(t), streamAgent, helloBackground(), letta.WithPings())
	require.NoError(t, err)
	shown, err := watchStream(t, stream)
	require.NoError(t, err)
	require.Len(t, shown, 5)
	require.Equal(t, "hihi", stream.Result().Text())
}

// TestOnlyPings: a run that has ended and of which the server has nothing more.
func TestOnlyPings(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" {
			reply(200, `{"id":"run-1","agent_id":"agent-1","status":"completed"}`)(w, r)
			return
		}
		for r.Context().Err() == nil {
			sse(w, pingFrame)
			time.Sleep(10 * time.Millisecond)
		}
	})
	stream, err := s.client(t).Runs.Messages.Stream(streamContext(t), "run-1", &letta.RunMessageStreamParams{StartingAfter: 1000})
	require.NoError(t, err)
	_, err = stream.Collect()
	require.ErrorIs(t, err, letta.ErrStreamTruncated)
	require.ErrorContains(t, err, "has ended")
	require.Len(t, s.seen("GET"), 1)
}

func TestEndedContextSendsNothing(t *testing.T) {
	t.Parallel()
	var requests []*http.Request
	client, err := letta.NewClient(letta.WithBaseURL("http://localhost:8283"), letta.WithHTTPClient(offline(&requests)))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range turnCalls {
		for range 20 {
			require.ErrorIs(t, call(ctx, client), letta.ErrNotSent, name)
		}
	}
	for range 20 {
		_, err := client.Agents.Messages.Stream(ctx, streamAgent, helloParams(), letta.WithCancelOnDone(), letta.WithTurnLock())
		require.ErrorIs(t, err, letta.ErrNotSent)
		require.ErrorIs(t, err, context.Canceled)
	}
	// It ends while a token is fetched.
	ctx, cancel = context.WithCancel(t.Context())
	source := func(context.Context) (string, error) {
		cancel()
		time.Sleep(20 * time.Millisecond)
		return "token", nil
	}
	_, err = client.Agents.Messages.Stream(ctx, streamAgent, helloParams(), letta.WithCancelOnDone(), letta.WithTokenSource(source))
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, letta.ErrNotSent)
	require.Empty(t, requests)
}

// slowToObey is a server that answers a cancel at once, and ends the cancelled turn when it is told to.
type slowToObey struct {
	*server
	obey      chan struct{}
	name      chan struct{} // when to name the run
	cancelled atomic.Int32
}

func obeySlowly(t *testing.T) *slowToObey {
	o := &slowToObey{obey: make(chan struct{}), name: make(chan struct{})}
	stop, over := make(chan struct{}, 10), make(chan struct{})
	o.server = serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/cancel"):
			o.cancelled.Add(1)
			stop <- struct{}{}
			reply(200, `{"run-1":"cancelled"}`)(w, r)
		case r.Method == "GET":
			reply(200, `{"id":"run-1","agent_id":"agent-1","status":"running"}`)(w, r)
		case r.Header.Get("Accept") == "text/event-stream":
			sse(w, ": headers\n\n")
			select {
			case <-o.name:
			case <-over:
			}
			sse(w, pingFrame, textFrame)
			select {
			case <-stop:
			case <-r.Context().Done():
				return
			}
			select {
			case <-o.obey:
			case <-over:
			}
			sse(w, `data: {"message_type":"stop_reason","stop_reason":"cancelled"}`+"\n\n")
		default:
			reply(200, turnJSON)(w, r)
		}
	})
	t.Cleanup(func() { close(over) }) // runs before the server is closed
	return o
}

// TestLockUntilTheServerObeys: the next turn waits until the cancelled one has ended, or it would be lost.
func TestLockUntilTheServerObeys(t *testing.T) {
	t.Parallel()
	for _, named := range []bool{true, false} {
		t.Run(fmt.Sprint("named ", named), func(t *testing.T) {
			t.Parallel()
			o := obeySlowly(t)
			client := o.client(t, letta.WithTurnLock(), letta.WithCancelOnDone())
			if named {
				close(o.name)
			}
			stream, err := client.Agents.Messages.Stream(streamContext(t), streamAgent, helloParams())
			require.NoError(t, err)
			var group sync.WaitGroup
			group.Go(func() {
				if named {
					for range stream.Messages() {
						break
					}
				}
				assert.NoError(t, stream.Close())
			})
			if !named {
				time.Sleep(50 * time.Millisecond)
				require.Zero(t, o.cancelled.Load())
				close(o.name)
			}
			require.Eventually(t, func() bool { return o.cancelled.Load() > 0 }, 10*time.Second, time.Millisecond)
			short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			_, err = client.Agents.Messages.Create(short, streamAgent, helloParams())
			require.ErrorIs(t, err, letta.ErrNotSent, "the lock is held")
			close(o.obey)
			group.Wait()
			_, err = client.Agents.Messages.Create(streamContext(t), streamAgent, helloParams())
			require.NoError(t, err)
			require.EqualValues(t, 1, o.cancelled.Load())
			require.Equal(t, letta.RunID("run-1"), stream.RunID())
		})
	}
}

// TestCancelDoesNotTouchTheResponse: the race detector looks on.
func TestCancelDoesNotTouchTheResponse(t *testing.T) {
	t.Parallel()
	o := obeySlowly(t)
	close(o.name)
	close(o.obey)
	var response letta.Response
	ctx, cancel := context.WithCancel(streamContext(t))
	stream, err := o.client(t).Agents.Messages.Stream(ctx, streamAgent, helloParams(), letta.WithCancelOnDone(), letta.WithResponse(&response))
	require.NoError(t, err)
	cancel()
	for o.cancelled.Load() == 0 {
		require.Equal(t, 200, response.StatusCode)
	}
	_ = stream.Close()
}

func TestCancelOfAConversationsRun(t *testing.T) {
	t.Parallel()
	o := obeySlowly(t)
	close(o.name)
	close(o.obey)
	stream, err := o.client(t).Conversations.Messages.Stream(streamContext(t), "conv-1", helloParams(), letta.WithCancelOnDone())
	require.NoError(t, err)
	for range stream.Messages() {
		break
	}
	posts := o.seen("POST")
	require.Len(t, posts, 2)
	require.Equal(t, "/v1/agents/agent-1/messages/cancel", posts[1].Path)
	require.JSONEq(t, `{"run_ids":["run-1"]}`, posts[1].Body)
}

// TestSecondClick: of two answers to the same calls one is sent, and no second turn is run.
func TestSecondClick(t *testing.T) {
	t.Parallel()
	var answered atomic.Bool
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == "GET" && answered.Load():
			reply(200, `{"id":"agent-1","name":"one"}`)(w, r)
		case r.Method == "GET":
			reply(200, pendingJSON)(w, r)
		case r.Header.Get("Accept") == "text/event-stream":
			time.Sleep(50 * time.Millisecond)
			answered.Store(true)
			sse(w, pingFrame, textFrame, stopFrame, usageFrame, doneFrame)
		default:
			time.Sleep(50 * time.Millisecond)
			answered.Store(true)
			reply(200, turnJSON)(w, r)
		}
	})
	m := s.client(t).Agents.Messages
	var group sync.WaitGroup
	var late, sent atomic.Int32
	for i := range 6 {
		group.Go(func() {
			var err error
			answers := []letta.Approval{&letta.ApprovalReturn{ToolCallID: "call_1"}, &letta.ApprovalReturn{ToolCallID: "call_2"}}
			switch i % 3 {
			case 0:
				_, err = m.Respond(t.Context(), streamAgent, answers, nil)
			case 1:
				_, err = m.DenyAll(t.Context(), streamAgent, "no", &letta.AgentMessageCreateParams{MaxSteps: 3})
			default:
				var stream *letta.MessageStream
				if stream, err = m.RespondStream(t.Context(), streamAgent, answers, nil); err == nil {
					_, err = stream.Collect()
				}
			}
			if errors.Is(err, letta.ErrNothingPending) {
				assert.Equal(t, http.StatusConflict, letta.HTTPStatus(err))
				late.Add(1)
			} else if assert.NoError(t, err) {
				sent.Add(1)
			}
		})
	}
	group.Wait()
	require.EqualValues(t, 1, sent.Load())
	require.EqualValues(t, 5, late.Load())
	require.Len(t, s.seen("POST"), 1)
	_, err := m.Respond(t.Context(), streamAgent, nil, helloParams())
	require.ErrorIs(t, err, letta.ErrInvalidArgument)
}

func TestStreamErrorKinds(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]error{
		"insufficient_credits": letta.ErrQuota, "llm_api_error": letta.ErrProvider, "invalid_llm_response": letta.ErrProvider,
		"error": letta.ErrServer, "internal_error": letta.ErrServer, "stream_incomplete": letta.ErrServer,
	} {
		s := serve(t, sendStream(pingFrame, textFrame, strings.Replace(stopFrame, "end_turn", kind, 1), doneFrame))
		stream, err := s.client(t).Agents.Messages.Stream(streamContext(t), streamAgent, helloParams())
		require.NoError(t, err)
		_, err = stream.Collect()
		if kind == "internal_error" || kind == "stream_incomplete" {
			err = &letta.StreamError{Type: kind} // no stop reasons
		}
		for _, target := range []error{letta.ErrQuota, letta.ErrProvider, letta.ErrServer, letta.ErrPendingApproval, letta.ErrBusy} {
			require.Equal(t, target == want, errors.Is(err, target), "%s: %v", kind, target)
		}
	}
}

// --- RunTools ------------------------------------------------------------------------------------------------

func TestToolWithInvalidText(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]func(context.Context, struct{}) (string, error){
		"result": func(context.Context, struct{}) (string, error) { return "a\xffb", nil },
		"error":  func(context.Context, struct{}) (string, error) { return "", errors.New("a\xffb") },
		"panic":  func(context.Context, struct{}) (string, error) { panic("a\xffb") },
	} {
		got := tool(t, "t", f).Call(t.Context(), letta.ToolCall{ToolCallID: "call_1", Arguments: "{}"})
		require.Contains(t, got.ToolReturn.Text, "a\uFFFDb", name)
	}
}

// TestShownCalls: nobody is asked about a tool that runs by itself.
func TestShownCalls(t *testing.T) {
	t.Parallel()
	_, client, id := talk(t)
	var shown []letta.Message
	done := tool(t, "add", func(context.Context, struct {
		A int `json:"a"`
	},
	) (int, error) {
		return 1, nil
	})
	run := &letta.ToolRun{Tools: []*letta.FuncTool{done}, OnMessage: func(m letta.Message) { shown = append(shown, m) }}
	params := &letta.AgentMessageCreateParams{Messages: []letta.MessageInput{letta.UserText(`CALL add {"a": 1}`)}, StreamTokens: true}
	_, err := client.Agents.Messages.RunTools(t.Context(), id, params, run)
	require.NoError(t, err)
	calls := 0
	for _, m := range shown {
		_, asks := m.(*letta.ApprovalRequestMessage)
		require.False(t, asks)
		if m, ok := m.(*letta.ToolCallMessage); ok {
			calls++
			require.Len(t, m.ToolCalls, 1)
			require.JSONEq(t, `{"a": 1}`, m.ToolCalls[0].Arguments)
		}
	}
	require.Equal(t, 1, calls)
}

// TestNothingWaitsAfterRunTools: with WithCancelOnDone, wherever it ends.
func TestNothingWaitsAfterRunTools(t *testing.T) {
	t.Parallel()
	type ending struct {
		run   func(cancel func()) *letta.ToolRun
		panic bool
		want  error
	}
	again := func(f func()) *letta.FuncTool {
		return tool(t, "again", func(context.Context, struct{}) (string, error) { f(); return "x", nil })
	}
	nothing := func() {}
	for name, tt := range map[string]ending{
		"in a tool": {func(cancel func()) *letta.ToolRun {
			return &letta.ToolRun{Tools: []*letta.FuncTool{again(cancel)}}
		}, false, context.Canceled},
		"in OnMessage": {func(cancel func()) *letta.ToolRun {
			return &letta.ToolRun{Tools: []*letta.FuncTool{again(nothing)}, OnMessage: func(letta.Message) { cancel() }}
		}, false, context.Canceled},
		"in Approve": {func(cancel func()) *letta.ToolRun {
			return &letta.ToolRun{Approve: func(context.Context, letta.ToolCall) *letta.ApprovalReturn { cancel(); return nil }, OnMessage: func(letta.Message) {}}
		}, false, nil},
		"panic in OnMessage": {func(func()) *letta.ToolRun {
			return &letta.ToolRun{Tools: []*letta.FuncTool{again(nothing)}, OnMessage: func(letta.Message) { panic("mine") }}
		}, true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, client, id := talk(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			params := &letta.AgentMessageCreateParams{Messages: []letta.MessageInput{letta.UserText(`CALL again {}`)}}
			call := func() error {
				_, err := client.Agents.Messages.RunTools(ctx, id, params, tt.run(cancel), letta.WithCancelOnDone(), letta.WithTurnLock())
				return err
			}
			if tt.panic {
				require.PanicsWithValue(t, "mine", func() { _ = call() })
			} else if err := call(); tt.want != nil {
				require.ErrorIs(t, err, tt.want)
			}
			pending, err := client.Agents.Messages.Pending(t.Context(), id)
			require.NoError(t, err)
			require.Nil(t, pending)
			_, err = client.Agents.Messages.Create(t.Context(), id, helloParams(), letta.WithTurnLock())
			require.NoError(t, err)
		})
	}
}

type stringer interface{ String() string }

type textual struct{ n int }

func (v *textual) UnmarshalText([]byte) error { v.n++; return nil }

type hidden struct{ A int }

func TestNewToolRefusesTypes(t *testing.T) {
	t.Parallel()
	refused := func(err error) { t.Helper(); assert.ErrorContains(t, err, "NewTool") }
	refused(second(letta.NewTool("t", "", func(context.Context, struct{ F func() }) (string, error) { return "", nil })))
	refused(second(letta.NewTool("t", "", func(context.Context, struct{ C chan int }) (string, error) { return "", nil })))
	refused(second(letta.NewTool("t", "", func(context.Context, struct{ S stringer }) (string, error) { return "", nil })))
	refused(second(letta.NewTool("t", "", func(context.Context, struct{ S []map[string]stringer }) (string, error) { return "", nil })))
	refused(second(letta.NewTool("t", "", func(context.Context, struct{ T textual }) (string, error) { return "", nil })))
	refused(second(letta.NewTool("t", "", func(context.Context, struct {
		N int `json:",string"`
	},
	) (string, error) {
		return "", nil
	})))
	refused(second(letta.NewTool("t", "", func(context.Context, struct{ *hidden }) (string, error) { return "", nil })))
	_, err := letta.NewTool("t", "", func(context.Context, struct {
		At   time.Time
		Raw  json.RawMessage
		Any  any
		List []*hidden
	},
	) (string, error) {
		return "", nil
	})
	require.NoError(t, err)
}

func TestOptionsOfRunTools(t *testing.T) {
	t.Parallel()
	var requests []*http.Request
	client, err := letta.NewClient(letta.WithBaseURL("http://localhost:8283"), letta.WithHTTPClient(offline(&requests)))
	require.NoError(t, err)
	m := client.Agents.Messages
	_, err = m.RunTools(t.Context(), streamAgent, helloParams(), &letta.ToolRun{}, letta.WithPings())
	require.ErrorIs(t, err, letta.ErrInvalidArgument)
	_, err = m.Respond(t.Context(), streamAgent, nil, nil, letta.WithPings())
	require.ErrorIs(t, err, letta.ErrInvalidArgument)
	_, err = m.CreateAsync(t.Context(), streamAgent, &letta.AgentMessageCreateAsyncParams{Input: letta.Content{Text: "x"}}, letta.WithTurnLock())
	require.ErrorIs(t, err, letta.ErrInvalidArgument)
	_, err = client.Runs.Messages.Stream(t.Context(), "run-1", nil, letta.WithTurnLock())
	require.ErrorIs(t, err, letta.ErrInvalidArgument)
	require.Empty(t, requests)
}

func TestNewMessageStream(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	stream := letta.NewMessageStream(&letta.Turn{
		Messages:   letta.Messages{&letta.AssistantMessage{MessageCommon: letta.MessageCommon{ID: "m"}, Content: letta.Content{Text: "one "}}, &letta.AssistantMessage{MessageCommon: letta.MessageCommon{ID: "m"}, Content: letta.Content{Text: "two"}}},
		StopReason: letta.StopReasonEndTurn, Usage: letta.LettaUsageStatistics{TotalTokens: 15}, RunIDs: []letta.RunID{"run-1"},
	}, broken)
	shown, err := watchStream(t, stream)
	require.Len(t, shown, 2)
	require.ErrorIs(t, err, broken)
	turn := stream.Result()
	require.Equal(t, "one two", turn.Text())
	require.True(t, turn.Complete())
	require.Equal(t, 15, turn.Usage.TotalTokens)
	require.Equal(t, letta.RunID("run-1"), stream.RunID())
	_, err = stream.Collect()
	require.ErrorIs(t, err, broken, "it stays as it is")

	stream = letta.NewMessageStream(nil, nil)
	require.NoError(t, stream.Close())
	_, err = stream.Collect()
	require.ErrorIs(t, err, letta.ErrStreamClosed)
}

func ExampleNewMessageStream() {
	// What a fake of an interface of yours returns.
	stream := letta.NewMessageStream(&letta.Turn{
		Messages:   letta.Messages{&letta.AssistantMessage{Content: letta.Content{Text: "Hello!"}}},
		StopReason: letta.StopReasonEndTurn,
	}, nil)

	for message, err := range stream.Messages() {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(message.(*letta.AssistantMessage).Content)
	}
	// Output: Hello!
}
