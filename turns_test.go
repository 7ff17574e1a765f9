package letta_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/lettatest"
)

// talk starts lettatest with an agent to talk to.
func talk(t *testing.T) (*lettatest.Server, *letta.Client, letta.AgentID) {
	t.Helper()
	server := lettatest.NewServer(t)
	client := server.Client()
	agent, err := client.Agents.Create(t.Context(), &letta.AgentCreateParams{Model: "openai/gpt-4o-mini", Tags: []string{"user_1"}})
	require.NoError(t, err)
	return server, client, agent.ID
}

func slow(background bool) *letta.AgentMessageCreateParams {
	return &letta.AgentMessageCreateParams{
		Messages:     []letta.MessageInput{letta.UserText("SLOW 50 " + strings.Repeat("word ", 200))},
		StreamTokens: true, Background: background,
	}
}

// requireCancelled waits for the only run of the agent, which must have been stopped.
func requireCancelled(t *testing.T, client *letta.Client, id letta.AgentID) {
	t.Helper()
	runs, err := client.Runs.List(t.Context(), &letta.RunListParams{AgentID: id})
	require.NoError(t, err)
	require.Len(t, runs, 1)
	run, err := client.Runs.Wait(t.Context(), runs[0].ID)
	require.NoError(t, err)
	require.Equal(t, letta.RunStatusCancelled, run.Status)
}

func TestCancelOnDoneWhereverTheStreamEnds(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(t *testing.T, client *letta.Client, id letta.AgentID){
		"before the headers": func(t *testing.T, client *letta.Client, id letta.AgentID) {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			_, err := client.Agents.Messages.Stream(ctx, id, slow(true), letta.WithCancelOnDone())
			require.ErrorIs(t, err, context.DeadlineExceeded)
		},
		"never read": func(t *testing.T, client *letta.Client, id letta.AgentID) {
			ctx, cancel := context.WithCancel(t.Context())
			stream, err := client.Agents.Messages.Stream(ctx, id, slow(false), letta.WithCancelOnDone())
			require.NoError(t, err)
			for range stream.Messages() {
				break // the run has a name now
			}
			cancel()
		},
		"break": func(t *testing.T, client *letta.Client, id letta.AgentID) {
			stream, err := client.Agents.Messages.Stream(t.Context(), id, slow(false), letta.WithCancelOnDone())
			require.NoError(t, err)
			for range stream.Messages() {
				break
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, client, id := talk(t)
			if name == "before the headers" {
				server.Fail(lettatest.Fault{Method: "POST", Path: "/v1/agents/*/messages", Times: 1, Delay: 300 * time.Millisecond})
			}
			leave(t, client, id)
			requireCancelled(t, client, id)
		})
	}
}

func TestTurnLockOfAStreamThatIsNotRead(t *testing.T) {
	t.Parallel()
	_, client, id := talk(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := client.Agents.Messages.Stream(ctx, id, slow(false), letta.WithTurnLock(), letta.WithCancelOnDone())
	require.NoError(t, err)
	waiting, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	_, err = client.Agents.Messages.Create(waiting, id, helloParams(), letta.WithTurnLock())
	require.ErrorIs(t, err, letta.ErrNotSent)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	cancel() // lets go of the lock, when the server has obeyed
	_, err = client.Agents.Messages.Create(t.Context(), id, helloParams(), letta.WithTurnLock())
	require.NoError(t, err)
}

func TestNotSent(t *testing.T) {
	t.Parallel()
	client, err := letta.NewClient(letta.WithBaseURL("http://127.0.0.1:1"), letta.WithMaxRetries(0))
	require.NoError(t, err)
	_, err = client.Agents.List(t.Context(), nil)
	require.ErrorIs(t, err, letta.ErrNotSent)

	server, client, id := talk(t)
	server.Fail(lettatest.Fault{Method: "POST", Path: "/v1/agents/*/messages", Drop: lettatest.DropAfterRead})
	_, err = client.Agents.Messages.Create(t.Context(), id, helloParams())
	require.Error(t, err)
	require.NotErrorIs(t, err, letta.ErrNotSent)
}

func TestFind(t *testing.T) {
	t.Parallel()
	_, client, id := talk(t)
	_, err := client.Agents.Create(t.Context(), &letta.AgentCreateParams{Model: "openai/gpt-4o-mini", Tags: []string{"user_1"}})
	require.NoError(t, err)
	agent, err := client.Agents.Find(t.Context(), []string{"user_1"})
	require.NoError(t, err)
	require.Equal(t, id, agent.ID, "the oldest, as Ensure says")
	_, err = client.Agents.Find(t.Context(), []string{"user_1", "user_2"})
	require.ErrorIs(t, err, letta.ErrNotFound)
	_, err = client.Agents.Find(t.Context(), []string{""})
	require.ErrorIs(t, err, letta.ErrInvalidTags)
}

func TestRunToolsAsAStream(t *testing.T) {
	t.Parallel()
	server, client, id := talk(t)
	calls := 0
	add := tool(t, "add", func(_ context.Context, in struct {
		A int `json:"a"`
		B int `json:"b"`
	},
	) (int, error) {
		calls++
		return in.A + in.B, nil
	})
	var shown strings.Builder
	run := &letta.ToolRun{Tools: []*letta.FuncTool{add}, OnMessage: func(m letta.Message) {
		if m, ok := m.(*letta.AssistantMessage); ok {
			shown.WriteString(m.Content.String())
		}
	}}
	params := &letta.AgentMessageCreateParams{Messages: []letta.MessageInput{letta.UserText(`CALL add {"a": 1, "b": 2}`)}, StreamTokens: true, Background: true}
	response, err := client.Agents.Messages.RunTools(t.Context(), id, params, run)
	require.NoError(t, err)
	require.Equal(t, 1, calls)
	require.Equal(t, response.Text(), shown.String())
	require.Contains(t, shown.String(), "3")

	params.Messages = []letta.MessageInput{letta.UserText(`CALL add {"a": 1, "sum": 2}`)}
	response, err = client.Agents.Messages.RunTools(t.Context(), id, params, run)
	require.NoError(t, err)
	require.Equal(t, 1, calls, "arguments that violate the schema do not reach the function")
	require.Contains(t, response.Text(), "do not fit")

	_, err = client.Agents.Messages.RunTools(t.Context(), id, params, &letta.ToolRun{Tools: []*letta.FuncTool{add}})
	require.ErrorContains(t, err, "OnMessage")

	// The context ends in the middle of a call: with WithCancelOnDone the agent is not left waiting for the return.
	ctx, cancel := context.WithCancel(t.Context())
	stuck := tool(t, "stuck", func(ctx context.Context, _ struct{}) (string, error) { cancel(); <-ctx.Done(); return "", ctx.Err() })
	params = &letta.AgentMessageCreateParams{Messages: []letta.MessageInput{letta.UserText(`CALL stuck {}`)}}
	_, err = client.Agents.Messages.RunTools(ctx, id, params, &letta.ToolRun{Tools: []*letta.FuncTool{stuck}}, letta.WithCancelOnDone(), letta.WithTurnLock())
	require.ErrorIs(t, err, context.Canceled)
	pending, err := client.Agents.Messages.Pending(t.Context(), id)
	require.NoError(t, err)
	require.Nil(t, pending)

	server.Fail(lettatest.Fault{Method: "POST", Path: "/v1/agents/*/messages", Status: http.StatusBadGateway, Times: 1})
	_, err = client.Agents.Messages.RunTools(t.Context(), id, helloParams(), run)
	var apiErr *letta.APIError
	require.True(t, errors.As(err, &apiErr))
}
