package lettaotel_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/lettatest"
	lettaotel "github.com/letta-go/letta/otel"
)

// TestServer: turns on lettatest, or on the server of LETTA_BASE_URL, whose model must be that of scripts/letta-server. Their
// spans say what the client says.
func TestServer(t *testing.T) {
	opts := []letta.ClientOption{}
	model := "openai-proxy/gpt-4o-mini"
	if os.Getenv("LETTA_BASE_URL") == "" {
		model = "openai/gpt-4o-mini"
		opts = append(opts, letta.WithBaseURL(lettatest.NewServer(t).URL()))
	}
	spans := tracetest.NewInMemoryExporter()
	transport := lettaotel.NewTransport(nil, lettaotel.WithTurns(), lettaotel.WithTracerProvider(trace.NewTracerProvider(trace.WithSyncer(spans))))
	t.Cleanup(transport.CloseIdleConnections)
	client, err := letta.NewClient(append(opts, letta.WithHTTPClient(&http.Client{Transport: transport}))...)
	require.NoError(t, err)
	tag := fmt.Sprintf("otel-%x", rand.Uint64())
	agent, err := client.Agents.Create(t.Context(), &letta.AgentCreateParams{Model: model, Tags: []string{tag}})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Agents.Delete(context.WithoutCancel(t.Context()), agent.ID)) })
	conversation, err := client.Conversations.Create(t.Context(), &letta.ConversationCreateParams{AgentID: agent.ID})
	require.NoError(t, err)
	say := func(text string, background bool) *letta.AgentMessageCreateParams {
		return &letta.AgentMessageCreateParams{Messages: []letta.MessageInput{letta.UserText(text)}, StreamTokens: true, Background: background}
	}
	stream := func(text string, background bool) func() (*letta.Turn, error) {
		return func() (*letta.Turn, error) {
			s, err := client.Agents.Messages.Stream(t.Context(), agent.ID, say(text, background))
			if err != nil {
				return nil, err
			}
			return s.Collect()
		}
	}
	for _, tt := range []struct {
		name      string
		turn      func() (*letta.Turn, error)
		operation string
		outcome   string
		failure   string
		stop      letta.StopReason
	}{
		{"create", func() (*letta.Turn, error) {
			return client.Agents.Messages.Create(t.Context(), agent.ID, &letta.AgentMessageCreateParams{Messages: []letta.MessageInput{letta.UserText("hello")}})
		}, "agents.messages.create", "complete", "", letta.StopReasonEndTurn},
		{"stream", stream("one two three", false), "agents.messages.stream", "complete", "", letta.StopReasonEndTurn},
		{"background", stream("SLOW 5 one two three", true), "agents.messages.stream", "complete", "", letta.StopReasonEndTurn},
		{"tool", stream(`CALL core_memory_append {"label": "human", "content": "rain"}`, false), "agents.messages.stream", "complete", "", letta.StopReasonEndTurn},
		{"failed", stream("FAIL 429", false), "agents.messages.stream", "failed", "llm_rate_limit", letta.StopReasonLLMAPIError},
		{"conversation", func() (*letta.Turn, error) {
			s, err := client.Conversations.Messages.Stream(t.Context(), conversation.ID, &letta.ConversationMessageCreateParams{Messages: []letta.MessageInput{letta.UserText("hello")}, StreamTokens: true})
			if err != nil {
				return nil, err
			}
			return s.Collect()
		}, "conversations.messages.stream", "complete", "", letta.StopReasonEndTurn},
		{"cancelled", func() (*letta.Turn, error) {
			s, err := client.Agents.Messages.Stream(t.Context(), agent.ID, say("SLOW 200 "+strings.Repeat("word ", 100), true))
			if err != nil {
				return nil, err
			}
			defer s.Close()
			cancelled := false
			for _, err := range s.Messages() {
				if err != nil {
					return s.Result(), err
				}
				if !cancelled {
					cancelled = true
					if _, err := client.Agents.Messages.Cancel(t.Context(), agent.ID, &letta.AgentMessageCancelParams{RunIDs: []letta.RunID{s.RunID()}}); err != nil {
						return nil, err
					}
				}
			}
			return s.Result(), nil
		}, "agents.messages.stream", "cancelled", "", letta.StopReasonCancelled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			spans.Reset()
			turn, err := tt.turn()
			assert.Equal(t, tt.outcome != "failed", err == nil, "%v", err)
			var span tracetest.SpanStub
			for _, s := range spans.GetSpans() {
				if s.Name == "invoke_agent" {
					require.Empty(t, span.Name, "one turn")
					span = s
				}
			}
			require.NotEmpty(t, span.Name)
			got := map[attribute.Key]any{}
			for _, a := range span.Attributes {
				got[a.Key] = a.Value.AsInterface()
			}
			assert.Equal(t, tt.operation, got["letta.operation"])
			assert.Equal(t, tt.outcome, got["letta.turn.outcome"])
			if tt.failure == "" {
				assert.NotContains(t, got, attribute.Key("error.type"))
			} else {
				assert.Equal(t, tt.failure, got["error.type"])
			}
			assert.Equal(t, []string{string(tt.stop)}, got["gen_ai.response.finish_reasons"])
			if tt.outcome == "complete" {
				assert.NotZero(t, turn.Usage.PromptTokens)
				assert.Equal(t, int64(turn.Usage.PromptTokens), got["gen_ai.usage.input_tokens"])
				assert.Equal(t, int64(turn.Usage.CompletionTokens), got["gen_ai.usage.output_tokens"])
				assert.Equal(t, int64(turn.Usage.StepCount), got["letta.turn.steps"])
			}
		})
	}
}
