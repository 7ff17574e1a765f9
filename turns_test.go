package letta_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
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

// TestPartsInOrder: thought, words and calls are one stored message, and come in the order in which they were said.
func TestPartsInOrder(t *testing.T) {
	t.Parallel()
	server, client, id := talk(t)
	server.Script(func(turn lettatest.Turn) lettatest.Reply {
		if turn.ToolReturns == nil {
			return lettatest.Reply{Reasoning: "hm", Text: "let me see", ToolCalls: []lettatest.ToolCall{{Name: "add", Arguments: "{}"}}}
		}
		return lettatest.Reply{Reasoning: "aha", Text: "done"}
	})
	conversation, err := client.Conversations.Create(t.Context(), &letta.ConversationCreateParams{AgentID: id})
	require.NoError(t, err)
	run := &letta.ToolRun{Tools: []*letta.FuncTool{tool(t, "add", func(context.Context, struct{}) (string, error) { return "3", nil })}}
	kinds := func(messages []letta.Message) (all []string) {
		for _, m := range messages {
			all = append(all, strings.TrimPrefix(fmt.Sprintf("%T", m), "*letta."))
		}
		return all
	}
	want := []string{
		"UserMessage", "ReasoningMessage", "AssistantMessage", "ApprovalRequestMessage", "ApprovalResponseMessage", "ToolReturnMessage",
		"ReasoningMessage", "AssistantMessage",
	}
	for name, thread := range map[string]struct {
		run    func() (*letta.Turn, error)
		latest func() ([]letta.Message, error)
		walk   func(letta.Order) iter.Seq2[letta.Message, error]
	}{
		"agent": {
			func() (*letta.Turn, error) {
				return client.Agents.Messages.RunTools(t.Context(), id, helloParams(), run)
			},
			func() ([]letta.Message, error) { return client.Agents.Messages.Latest(t.Context(), id, 5) },
			func(o letta.Order) iter.Seq2[letta.Message, error] {
				return client.Agents.Messages.ListAll(t.Context(), id, &letta.AgentMessageListParams{Order: o})
			},
		},
		"conversation": {
			func() (*letta.Turn, error) {
				return client.Conversations.Messages.RunTools(t.Context(), conversation.ID, helloParams(), run)
			},
			func() ([]letta.Message, error) {
				return client.Conversations.Messages.Latest(t.Context(), conversation.ID, 5)
			},
			func(o letta.Order) iter.Seq2[letta.Message, error] {
				return client.Conversations.Messages.ListAll(t.Context(), conversation.ID, &letta.ConversationMessageListParams{Order: o})
			},
		},
	} {
		_, err := thread.run()
		require.NoError(t, err, name)
		latest, err := thread.latest()
		require.NoError(t, err)
		require.Equal(t, want, kinds(latest), name)
		var walked [2][]letta.Message
		for i, order := range []letta.Order{letta.OrderAsc, letta.OrderDesc} {
			for m, err := range thread.walk(order) {
				require.NoError(t, err)
				walked[i] = append(walked[i], m)
			}
		}
		require.Equal(t, want, kinds(walked[0][len(walked[0])-len(want):]), name)
		slices.Reverse(walked[1])
		require.Equal(t, kinds(walked[0]), kinds(walked[1]), name)
	}
}

// TestRespondToolsWithAnAnswerToEachCall: a person was asked about a client tool too. Approved it runs here, denied it does not.
func TestRespondToolsWithAnAnswerToEachCall(t *testing.T) {
	t.Parallel()
	server, client, id := talk(t)
	_, err := client.Agents.Update(t.Context(), id, &letta.AgentUpdateParams{
		ToolRules:     []letta.ToolRule{&letta.RequiresApprovalToolRule{ToolName: "memory_insert"}},
		ModelSettings: letta.Some[letta.ModelSettings](&letta.OpenAIModelSettings{ParallelToolCalls: letta.Some(true)}),
	})
	require.NoError(t, err)
	var returned []lettatest.ToolReturn
	server.Script(func(turn lettatest.Turn) lettatest.Reply {
		if returned = turn.ToolReturns; returned != nil {
			return lettatest.Reply{Text: "done"}
		}
		return lettatest.Reply{ToolCalls: []lettatest.ToolCall{
			{Name: "memory_insert", Arguments: `{"label": "human", "new_string": "x"}`}, {Name: "add", Arguments: `{}`},
		}}
	})
	for _, tt := range []struct {
		insert, add bool
		ran         int
		text        string
	}{
		{insert: true, add: true, ran: 1, text: "3"},
		{insert: true, add: false, ran: 0, text: "denied"},
		{insert: false, add: true, ran: 1, text: "3"},
	} {
		ran := 0
		run := &letta.ToolRun{Tools: []*letta.FuncTool{tool(t, "add", func(context.Context, struct{}) (string, error) { ran++; return "3", nil })}}
		turn, err := client.Agents.Messages.RunTools(t.Context(), id, helloParams(), run)
		require.ErrorIs(t, err, letta.ErrPendingApproval)
		undecided := run.Undecided(turn.PendingCalls())
		require.Len(t, undecided, 1)
		require.Equal(t, "memory_insert", undecided[0].Name)

		var answers []letta.Approval
		for _, call := range turn.PendingCalls() {
			answers = append(answers, &letta.ApprovalReturn{ToolCallID: call.ToolCallID, Approve: call.Name == "add" && tt.add || call.Name == "memory_insert" && tt.insert})
		}
		_, err = client.Agents.Messages.RespondTools(t.Context(), id, append(answers, answers[1]), nil, run)
		require.ErrorIs(t, err, letta.ErrInvalidApprovals, "two answers to one call")
		require.Zero(t, ran)
		turn, err = client.Agents.Messages.RespondTools(t.Context(), id, answers, nil, run)
		require.NoError(t, err)
		require.Equal(t, "done", turn.Text())
		require.Equal(t, tt.ran, ran)
		require.Len(t, returned, 2)
		for _, r := range returned {
			if r.Name == "add" {
				require.Contains(t, r.Text, tt.text)
			}
		}
	}
}

// TestRespondTools: a person decides in another request than the one that asked.
func TestRespondTools(t *testing.T) {
	t.Parallel()
	server, client, id := talk(t)
	_, err := client.Agents.Update(t.Context(), id, &letta.AgentUpdateParams{
		ToolRules:     []letta.ToolRule{&letta.RequiresApprovalToolRule{ToolName: "memory_insert"}},
		ModelSettings: letta.Some[letta.ModelSettings](&letta.OpenAIModelSettings{ParallelToolCalls: letta.Some(true)}),
	})
	require.NoError(t, err)
	insert := lettatest.ToolCall{Name: "memory_insert", Arguments: `{"label": "human", "new_string": "x"}`}
	server.Script(func(turn lettatest.Turn) lettatest.Reply {
		switch {
		case turn.ToolReturns == nil:
			return lettatest.Reply{ToolCalls: []lettatest.ToolCall{insert, {Name: "add", Arguments: `{"a": 1}`}}}
		case len(turn.ToolReturns) == 2: // the agent asks for a tool after the approval
			return lettatest.Reply{ToolCalls: []lettatest.ToolCall{{Name: "add", Arguments: `{"a": 2}`}}}
		}
		return lettatest.Reply{Text: "done"}
	})
	conversation, err := client.Conversations.Create(t.Context(), &letta.ConversationCreateParams{AgentID: id})
	require.NoError(t, err)
	type request struct {
		ask     func(*letta.ToolRun) (*letta.Turn, error)
		respond func([]letta.Approval, *letta.AgentMessageCreateParams, *letta.ToolRun, ...letta.RequestOption) (*letta.Turn, error)
	}
	for name, thread := range map[string]request{
		"agent": {
			func(run *letta.ToolRun) (*letta.Turn, error) {
				return client.Agents.Messages.RunTools(t.Context(), id, helloParams(), run)
			},
			func(answers []letta.Approval, params *letta.AgentMessageCreateParams, run *letta.ToolRun, opts ...letta.RequestOption) (*letta.Turn, error) {
				return client.Agents.Messages.RespondTools(t.Context(), id, answers, params, run, opts...)
			},
		},
		"conversation": {
			func(run *letta.ToolRun) (*letta.Turn, error) {
				return client.Conversations.Messages.RunTools(t.Context(), conversation.ID, helloParams(), run)
			},
			func(answers []letta.Approval, params *letta.AgentMessageCreateParams, run *letta.ToolRun, opts ...letta.RequestOption) (*letta.Turn, error) {
				return client.Conversations.Messages.RespondTools(t.Context(), conversation.ID, answers, params, run, opts...)
			},
		},
	} {
		var added atomic.Int32
		add := tool(t, "add", func(_ context.Context, in struct {
			A int `json:"a"`
		},
		) (string, error) {
			added.Add(1)
			return "3", nil
		})
		var shown []letta.Message
		run := &letta.ToolRun{Tools: []*letta.FuncTool{add}, OnMessage: func(m letta.Message) { shown = append(shown, m) }}
		turn, err := thread.ask(run)
		require.ErrorIs(t, err, letta.ErrPendingApproval, name)
		require.Len(t, turn.PendingCalls(), 2)
		require.Zero(t, added.Load(), "no tool runs before the person has decided")
		call := turn.PendingCalls()[0].ToolCallID

		_, err = thread.respond(nil, nil, run)
		require.ErrorIs(t, err, letta.ErrInvalidApprovals, name)
		_, err = thread.respond([]letta.Approval{&letta.ApprovalReturn{ToolCallID: "call_x"}}, nil, run)
		require.ErrorIs(t, err, letta.ErrInvalidApprovals, name)
		require.Zero(t, added.Load(), "answers that do not fit run no tool")
		_, err = thread.respond(nil, helloParams(), run)
		require.ErrorIs(t, err, letta.ErrInvalidArgument, name)

		shown = nil
		turn, err = thread.respond([]letta.Approval{&letta.ApprovalReturn{ToolCallID: call, Approve: true}}, &letta.AgentMessageCreateParams{StreamTokens: true}, run, letta.WithTurnLock(), letta.WithCancelOnDone())
		require.NoError(t, err, name)
		require.Equal(t, "done", turn.Text(), name)
		require.EqualValues(t, 2, added.Load(), "the one that waited, and the one after it")
		require.NotEmpty(t, shown)
		_, err = thread.respond([]letta.Approval{&letta.ApprovalReturn{ToolCallID: call, Approve: true}}, nil, run)
		require.ErrorIs(t, err, letta.ErrNothingPending, "a second click")
		require.EqualValues(t, 2, added.Load())
	}
}
