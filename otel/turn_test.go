package lettaotel_test

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	api "go.opentelemetry.io/otel/trace"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/lettatest"
)

var hello = &letta.AgentMessageCreateParams{Messages: []letta.MessageInput{letta.UserText("hello there")}}

const messagesPath = "/v1/agents/*/messages"

// turnAttrs are those of a turn.
func turnAttrs(id letta.AgentID, operation string, more map[string]any) map[string]any {
	all := map[string]any{
		"gen_ai.operation.name": "invoke_agent", "gen_ai.provider.name": "letta", "gen_ai.agent.id": string(id), "letta.operation": operation,
	}
	maps.Copy(all, more)
	return all
}

func TestTurn(t *testing.T) {
	w := newWorld(t)
	id := w.agent()
	turn, err := w.client.Agents.Messages.Create(t.Context(), id, hello)
	require.NoError(t, err)

	span, call := w.one("invoke_agent"), w.one("agents.messages.create")
	assert.Equal(t, span.SpanContext.SpanID(), call.Parent.SpanID())
	assert.Equal(t, api.SpanKindClient, span.SpanKind)
	assert.Equal(t, codes.Unset, span.Status.Code)
	assert.Equal(t, "https://opentelemetry.io/schemas/1.41.0", span.InstrumentationScope.SchemaURL)
	require.NotZero(t, turn.Usage.PromptTokens)
	attrs(t, span, turnAttrs(id, "agents.messages.create", map[string]any{
		"letta.turn.outcome": "complete", "gen_ai.response.finish_reasons": []string{"end_turn"}, "letta.turn.steps": int64(turn.Usage.StepCount),
		"gen_ai.usage.input_tokens": int64(turn.Usage.PromptTokens), "gen_ai.usage.output_tokens": int64(turn.Usage.CompletionTokens),
		"gen_ai.usage.cache_read.input_tokens": int64(0), "gen_ai.usage.cache_creation.input_tokens": int64(0), "gen_ai.usage.reasoning.output_tokens": int64(0),
	}))
	common := func(more map[string]any) map[string]any {
		maps.Copy(more, map[string]any{
			"gen_ai.operation.name": "invoke_agent", "gen_ai.provider.name": "letta", "letta.operation": "agents.messages.create", "server.address": "127.0.0.1",
		})
		return more
	}
	counts, sets := w.points("gen_ai.client.operation.duration")
	assert.Equal(t, []uint64{1}, counts)
	assert.Equal(t, []map[string]any{common(map[string]any{"letta.turn.outcome": "complete"})}, sets)
	sums, sets := w.points("gen_ai.client.token.usage")
	assert.ElementsMatch(t, []uint64{uint64(turn.Usage.PromptTokens), uint64(turn.Usage.CompletionTokens)}, sums)
	assert.ElementsMatch(t, []map[string]any{common(map[string]any{"gen_ai.token.type": "input"}), common(map[string]any{"gen_ai.token.type": "output"})}, sets)
	counts, _ = w.points("gen_ai.client.operation.time_to_first_chunk")
	assert.Empty(t, counts, "it is for streams")
}

func TestTurnInAConversation(t *testing.T) {
	w := newWorld(t)
	id := w.agent()
	conversation, err := w.client.Conversations.Create(t.Context(), &letta.ConversationCreateParams{AgentID: id})
	require.NoError(t, err)
	_, err = w.client.Conversations.Messages.Create(t.Context(), conversation.ID, hello)
	require.NoError(t, err)
	values := map[string]any{}
	for _, a := range w.one("invoke_agent").Attributes {
		values[string(a.Key)] = a.Value.AsInterface()
	}
	assert.Equal(t, string(conversation.ID), values["gen_ai.conversation.id"])
	assert.NotContains(t, values, "gen_ai.agent.id")
	assert.Equal(t, "complete", values["letta.turn.outcome"])
}

// Streams end in all ways; the span of the turn ends once, with the truth.
func TestStreamedTurn(t *testing.T) {
	errStop := errors.New("stop")
	for _, c := range []struct {
		name   string
		script string
		fault  *lettatest.StreamFault
		status int
		opts   []letta.RequestOption
		params letta.AgentMessageCreateParams
		read   func(ctx context.CancelFunc, s *letta.MessageStream) error
		first  bool
		want   map[string]any
	}{
		{name: "complete", first: true, want: map[string]any{"letta.turn.outcome": "complete", "gen_ai.response.finish_reasons": []string{"end_turn"}}},
		{name: "cut", first: true, fault: &lettatest.StreamFault{After: 2, Then: lettatest.StreamEnd}, want: map[string]any{"letta.turn.outcome": "cut", "error.type": "stream_truncated"}},
		{name: "reset", first: true, fault: &lettatest.StreamFault{After: 2, Half: true, Then: lettatest.StreamCut}, want: map[string]any{"letta.turn.outcome": "cut", "error.type": "stream_truncated"}},
		{name: "silent", first: true, fault: &lettatest.StreamFault{After: 2, Then: lettatest.StreamStall}, opts: []letta.RequestOption{letta.WithIdleTimeout(100 * time.Millisecond)}, want: map[string]any{"letta.turn.outcome": "cut", "error.type": "stream_idle"}},
		{
			name: "cancelled", first: true, fault: &lettatest.StreamFault{After: 2, Then: lettatest.StreamStall}, want: map[string]any{"letta.turn.outcome": "cancelled", "error.type": "cancelled"},
			read: func(cancel context.CancelFunc, s *letta.MessageStream) error {
				for _, err := range s.Messages() {
					if cancel(); err != nil {
						return err
					}
				}
				return nil
			},
		},
		{
			name: "left", first: true, fault: &lettatest.StreamFault{After: 2, Then: lettatest.StreamStall}, want: map[string]any{"letta.turn.outcome": "left"},
			read: func(_ context.CancelFunc, s *letta.MessageStream) error {
				for range s.Messages() {
					return errStop
				}
				return nil
			},
		},
		{name: "provider failed", script: "FAIL 429", want: map[string]any{"letta.turn.outcome": "failed", "error.type": "llm_rate_limit", "gen_ai.response.finish_reasons": []string{"llm_api_error"}}},
		{name: "refused", status: 503, want: map[string]any{"letta.turn.outcome": "failed", "error.type": "503"}},
		{
			name: "resumed", first: true, fault: &lettatest.StreamFault{After: 2, Half: true, Then: lettatest.StreamCut}, params: letta.AgentMessageCreateParams{Background: true},
			want: map[string]any{"letta.turn.outcome": "complete", "gen_ai.response.finish_reasons": []string{"end_turn"}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			id := w.agent()
			if c.fault != nil || c.status != 0 {
				w.server.Fail(lettatest.Fault{Method: "POST", Path: messagesPath, Times: 1, Stream: c.fault, Status: c.status})
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			params := c.params
			params.StreamTokens = c.script == ""
			params.Messages = []letta.MessageInput{letta.UserText("one two three four five")}
			if c.script != "" {
				params.Messages = []letta.MessageInput{letta.UserText(c.script)}
			}
			stream, err := w.client.Agents.Messages.Stream(ctx, id, &params, c.opts...)
			var turn *letta.Turn
			switch {
			case c.status != 0:
				require.Error(t, err)
			case c.read != nil:
				require.NoError(t, err)
				require.Error(t, c.read(cancel, stream))
			default:
				require.NoError(t, err)
				turn, err = stream.Collect()
				assert.Equal(t, c.want["letta.turn.outcome"] == "complete", err == nil, "%v", err)
			}

			span := w.one("invoke_agent")
			assert.Equal(t, c.want["error.type"] != nil, span.Status.Code == codes.Error)
			varying := []string{}
			if c.first {
				varying = append(varying, "gen_ai.response.time_to_first_chunk")
			}
			if c.status == 0 {
				c.want["gen_ai.request.stream"] = true
				varying = append(varying, "letta.run.id")
			}
			if c.want["letta.turn.outcome"] == "complete" {
				c.want["gen_ai.usage.input_tokens"], c.want["gen_ai.usage.output_tokens"] = int64(turn.Usage.PromptTokens), int64(turn.Usage.CompletionTokens)
				c.want["letta.turn.steps"] = int64(1)
			}
			attrs(t, span, turnAttrs(id, "agents.messages.stream", c.want), varying...)
			counts, _ := w.points("gen_ai.client.operation.duration")
			assert.Equal(t, []uint64{1}, counts)

			call := w.one("agents.messages.stream")
			assert.Equal(t, span.SpanContext.SpanID(), call.Parent.SpanID())
			if c.name == "resumed" {
				again := w.one("runs.messages.stream")
				assert.Equal(t, span.SpanContext.SpanID(), again.Parent.SpanID())
				assert.Equal(t, again.SpanContext.SpanID(), w.one("POST /v1/runs/{run_id}/stream").Parent.SpanID())
			}
		})
	}
}
