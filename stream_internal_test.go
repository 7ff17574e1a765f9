package letta

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pieceOf is a piece of a message in a stream of tokens.
func pieceOf(kind, text string) Message {
	common := MessageCommon{ID: "message-1", Otid: "o1", RunID: "run-1"}
	switch kind {
	case "assistant_message":
		return &AssistantMessage{MessageCommon: common, Content: Content{Text: text}}
	case "reasoning_message":
		return &ReasoningMessage{MessageCommon: common, Reasoning: text}
	case "tool_call_message":
		return &ToolCallMessage{MessageCommon: common, ToolCalls: []ToolCall{{ToolCallID: "call_1", Arguments: text}}}
	}
	return &ApprovalRequestMessage{MessageCommon: common, ToolCalls: []ToolCall{{ToolCallID: "call_1", Arguments: text}}}
}

// TestAccumulationIsLinear is not parallel: it counts what the process allocates. A megabyte in pieces of ten bytes: a
// quadratic one would take 50 GB.
func TestAccumulationIsLinear(t *testing.T) {
	for _, kind := range []string{"assistant_message", "reasoning_message", "tool_call_message", "approval_request_message"} {
		const size = 1 << 20
		piece := pieceOf(kind, "0123456789")
		var a accumulator
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range size / 10 {
			a.addMessage(piece)
		}
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(10*size), kind)
		require.Less(t, after.Mallocs-before.Mallocs, uint64(size/100), "%s: not one per piece", kind)
		turn := a.result()
		require.Len(t, turn.Messages, 1)
		length := len(turn.Text())
		for _, c := range turn.ToolCalls() {
			length += len(c.Arguments)
		}
		if m, ok := turn.Messages[0].(*ReasoningMessage); ok {
			length = len(m.Reasoning)
		}
		require.Equal(t, size/10*10, length)
		looks := testing.AllocsPerRun(100, func() { a.result() }) // however long the text: it is not copied
		require.Less(t, looks, 10.0, kind)
		require.Equal(t, turn, a.result())
	}
}

func TestAccumulatorKeys(t *testing.T) {
	t.Parallel()
	var a accumulator
	add := func(kind string, id MessageID, otid, text string) {
		m := pieceOf(kind, text)
		m.Common().ID, m.Common().Otid = id, otid
		a.addMessage(m)
	}
	add("reasoning_message", "m1", "o1", "I ")
	add("assistant_message", "m1", "o2", "He")
	add("reasoning_message", "m1", "o1", "think")
	add("assistant_message", "m1", "o2", "llo")
	add("assistant_message", "m1", "o3", "second part")
	add("assistant_message", "m2", "o2", "another message")
	add("assistant_message", "", "", "without an id")
	add("assistant_message", "", "", "and one more")
	var got []string
	for _, m := range a.result().Messages {
		switch m := m.(type) {
		case *AssistantMessage:
			got = append(got, m.Content.Text)
		case *ReasoningMessage:
			got = append(got, m.Reasoning)
		}
	}
	require.Equal(t, []string{"I think", "Hello", "second part", "another message", "without an id", "and one more"}, got)
}

func TestParallelCallsInPieces(t *testing.T) {
	t.Parallel()
	var a accumulator
	for _, c := range []ToolCall{
		{Name: "one", ToolCallID: "call_1"},
		{Arguments: `{"a"`, ToolCallID: "call_1"},
		{Arguments: `:1`}, // the official client's form: no id
		{Name: "two", ToolCallID: "call_2"},
		{Arguments: `{"b":`},
		{Arguments: `}`, ToolCallID: "call_1"},
		{Arguments: `2}`, ToolCallID: "call_2"},
	} {
		a.addMessage(&ToolCallMessage{MessageCommon: MessageCommon{ID: "m1"}, ToolCalls: []ToolCall{c}, ToolCall: &c})
	}
	a.addMessage(&ToolCallMessage{MessageCommon: MessageCommon{ID: "m2"}, ToolCall: &ToolCall{Name: "older", ToolCallID: "call_3", Arguments: "{}"}})
	turn := a.result()
	require.Equal(t, []ToolCall{{"one", `{"a":1}`, "call_1"}, {"two", `{"b":2}`, "call_2"}, {"older", "{}", "call_3"}}, turn.ToolCalls())
	require.Len(t, turn.Messages, 2)
}

func TestSignatureOfReasoning(t *testing.T) {
	t.Parallel()
	var a accumulator
	first := pieceOf("reasoning_message", "a")
	a.addMessage(first)
	last := pieceOf("reasoning_message", "b")
	last.(*ReasoningMessage).Signature = "signed"
	a.addMessage(last)
	whole := a.result().Messages[0].(*ReasoningMessage)
	require.Equal(t, "ab", whole.Reasoning)
	require.Equal(t, "signed", whole.Signature)
	require.Empty(t, first.(*ReasoningMessage).Signature, "given out already")
	require.Equal(t, "a", first.(*ReasoningMessage).Reasoning)
}

// TestTurnLockLeavesNothing: a client that talks to agents for years must not keep an entry for each.
func TestTurnLockLeavesNothing(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.Contains(r.URL.Path, "broken"):
			w.WriteHeader(500)
		case r.URL.Path == "/v1/runs/":
			_, _ = fmt.Fprint(w, "[]")
		case r.Header.Get("Accept") == "text/event-stream":
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = fmt.Fprint(w, "data: {\"message_type\":\"assistant_message\",\"content\":\"hi\"}\n\n")
			if !strings.Contains(r.URL.Path, "cut") {
				_, _ = fmt.Fprint(w, "data: {\"message_type\":\"stop_reason\",\"stop_reason\":\"end_turn\"}\n\n")
			}
		default:
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprint(w, `{"messages":[],"stop_reason":{"stop_reason":"end_turn"},"usage":{}}`)
		}
	}))
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	client, err := NewClient(WithBaseURL(s.URL), WithTurnLock())
	require.NoError(t, err)
	params := &AgentMessageCreateParams{Messages: []MessageInput{UserText("hello")}}
	held := func() int { return client.core.turns.Held() }
	nobody := func(id AgentID) { // once it is known that the turn has ended, or that nothing is known of it
		t.Helper()
		require.Eventually(t, func() bool { return held() == 0 }, 10*time.Second, time.Millisecond, id)
	}
	for _, id := range []AgentID{"good", "broken", "cut", "a/b"} {
		_, _ = client.Agents.Messages.Create(t.Context(), id, params)
		nobody(id)
		if stream, err := client.Agents.Messages.Stream(t.Context(), id, params); err == nil {
			require.Equal(t, 1, held())
			_, _ = stream.Collect()
		}
		nobody(id)
		if stream, err := client.Agents.Messages.Stream(t.Context(), id, params); err == nil {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			_, err = client.Agents.Messages.Create(ctx, id, params)
			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded)
			_, err = client.Agents.Messages.Stream(ctx, id, params)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, 1, held(), "those who gave up are gone")
			_ = stream.Close()
			_ = stream.Close()
		}
		nobody(id)
	}
}
