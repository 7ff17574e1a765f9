package conformance

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
)

// Tests of turns that end early: cancelled, left, or waiting for somebody.

// long is a turn of several seconds.
func long(background bool) *letta.AgentMessageCreateParams {
	return tokens("SLOW 100 "+strings.Repeat("word ", 100), background)
}

// userTexts are what users said in messages.
func userTexts(ctx context.Context, t *testing.T, ids []letta.MessageID) []string {
	t.Helper()
	var texts []string
	for _, message := range ids {
		parts, err := server.client.Messages.Retrieve(ctx, message)
		require.NoError(t, err)
		for _, part := range parts {
			if user, ok := part.(*letta.UserMessage); ok {
				texts = append(texts, user.Content.String())
			}
		}
	}
	return texts
}

// TestTurnAfterACancelledOne: a turn that is left, and the next one under the same lock, which must stay in the agent's
// context.
func TestTurnAfterACancelledOne(t *testing.T) {
	for _, test := range []struct {
		name  string
		leave func(t *testing.T, ctx context.Context, client *letta.Client, id letta.AgentID, params *letta.AgentMessageCreateParams) letta.RunID
	}{
		{"first message and out", func(t *testing.T, ctx context.Context, client *letta.Client, id letta.AgentID, params *letta.AgentMessageCreateParams) letta.RunID {
			stream, err := client.Agents.Messages.Stream(ctx, id, params)
			require.NoError(t, err)
			for _, err := range stream.Messages() {
				require.NoError(t, err)
				break
			}
			return stream.RunID()
		}},
		{"closed before the first event", func(t *testing.T, ctx context.Context, client *letta.Client, id letta.AgentID, params *letta.AgentMessageCreateParams) letta.RunID {
			stream, err := client.Agents.Messages.Stream(ctx, id, params)
			require.NoError(t, err)
			require.NoError(t, stream.Close())
			return stream.RunID()
		}},
		{"context ended", func(t *testing.T, ctx context.Context, client *letta.Client, id letta.AgentID, params *letta.AgentMessageCreateParams) letta.RunID {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			stream, err := client.Agents.Messages.Stream(ctx, id, params)
			require.NoError(t, err)
			time.AfterFunc(300*time.Millisecond, cancel)
			var last error
			for _, last = range stream.Messages() {
			}
			require.ErrorIs(t, last, context.Canceled)
			return stream.RunID()
		}},
		{"context ended, not read", func(t *testing.T, ctx context.Context, client *letta.Client, id letta.AgentID, params *letta.AgentMessageCreateParams) letta.RunID {
			ctx, cancel := context.WithCancel(ctx)
			stream, err := client.Agents.Messages.Stream(ctx, id, params)
			require.NoError(t, err)
			cancel()
			require.Eventually(t, func() bool { return stream.RunID() != "" }, 10*time.Second, 10*time.Millisecond) // another goroutine closes it
			return stream.RunID()
		}},
	} {
		for kind, params := range map[string]*letta.AgentMessageCreateParams{
			"tokens": long(false), "background": long(true),
			"steps": say("SLOW 50 " + strings.Repeat("word ", 40)), // a server obeys after the step, which it has stored then
		} {
			t.Run(test.name+" "+kind, func(t *testing.T) {
				ctx := begin(t)
				agent := talker(t)
				client := newClient(t, letta.WithTurnLock(), letta.WithCancelOnDone())
				run := test.leave(t, ctx, client, agent.ID, params)
				require.NotEmpty(t, run)
				response, err := client.Agents.Messages.Create(ctx, agent.ID, say("remember me"))
				require.NoError(t, err)
				assert.Equal(t, "You said: remember me", response.Text())
				state, err := client.Runs.Wait(ctx, run)
				require.NoError(t, err)
				if kind != "steps" || test.name != "first message and out" { // the only message is the end of the turn
					assert.Equal(t, letta.RunStatusCancelled, state.Status)
				}
				time.Sleep(2 * time.Second) // for the cancelled turn to do what it may still do
				assert.Contains(t, userTexts(ctx, t, retrieve(ctx, t, agent.ID).MessageIDs), "remember me")
			})
		}
	}
}

// TestCancelInAConversation: the run of the stream is cancelled, and no other.
func TestCancelInAConversation(t *testing.T) {
	ctx := begin(t)
	agent := talker(t)
	conversation, err := server.client.Conversations.Create(ctx, &letta.ConversationCreateParams{AgentID: agent.ID})
	require.NoError(t, err)
	// Another process's turn in the same conversation: a server does not refuse it if it is not streamed.
	other := make(chan error, 1)
	go func() {
		response, err := server.client.Conversations.Messages.Create(ctx, conversation.ID, say("SLOW 150 "+strings.Repeat("other ", 30)))
		if err == nil && response.StopReason != letta.StopReasonEndTurn {
			err = errors.New(string(response.StopReason))
		}
		other <- err
	}()
	client, transport := newRecorded(t)
	stream, err := client.Conversations.Messages.Stream(ctx, conversation.ID, long(false), letta.WithCancelOnDone())
	require.NoError(t, err)
	for _, err := range stream.Messages() {
		require.NoError(t, err)
		break
	}
	run, err := server.client.Runs.Wait(ctx, stream.RunID())
	require.NoError(t, err)
	assert.Equal(t, letta.RunStatusCancelled, run.Status)
	for _, request := range transport.seen() {
		assert.NotContains(t, request, "/v1/conversations/"+string(conversation.ID)+"/cancel")
	}
	require.NoError(t, <-other, "the turn of somebody else")
}

func TestApprovalsOfAConversation(t *testing.T) {
	ctx := begin(t)
	agent := talker(t, needsApproval)
	conversation, err := server.client.Conversations.Create(ctx, &letta.ConversationCreateParams{AgentID: agent.ID})
	require.NoError(t, err)
	m := server.client.Conversations.Messages
	pending, err := m.Pending(ctx, conversation.ID)
	require.NoError(t, err)
	require.Nil(t, pending)
	_, err = m.DenyAll(ctx, conversation.ID, "no", nil)
	require.ErrorIs(t, err, letta.ErrNothingPending)

	response, err := m.Create(ctx, conversation.ID, say(fmt.Sprintf(insert, "one")+"\n"+fmt.Sprintf(insert, "two")))
	require.NoError(t, err)
	calls := response.PendingCalls()
	require.Len(t, calls, 2)
	pending, err = m.Pending(ctx, conversation.ID)
	require.NoError(t, err)
	require.NotNil(t, pending)
	assert.Equal(t, calls, pending.Calls())
	ofAgent, err := server.client.Agents.Messages.Pending(ctx, agent.ID)
	require.NoError(t, err)
	assert.Nil(t, ofAgent, "a call in a conversation does not wait at the agent")
	_, err = m.Create(ctx, conversation.ID, say("hello?"))
	require.ErrorIs(t, err, letta.ErrPendingApproval)
	answers := []letta.Approval{&letta.ApprovalReturn{ToolCallID: calls[0].ToolCallID, Approve: true}}
	_, err = m.Respond(ctx, conversation.ID, answers, nil)
	require.ErrorIs(t, err, letta.ErrInvalidApprovals)
	answers = append(answers, &letta.ApprovalReturn{ToolCallID: calls[1].ToolCallID, Reason: "no"})
	stream, err := m.RespondStream(ctx, conversation.ID, answers, &letta.ConversationMessageCreateParams{StreamTokens: true})
	require.NoError(t, err)
	turn, err := stream.Collect()
	require.NoError(t, err)
	assert.Equal(t, letta.StopReasonEndTurn, turn.StopReason)
	assert.NotEmpty(t, turn.Text())
	_, err = m.Respond(ctx, conversation.ID, answers, nil)
	require.ErrorIs(t, err, letta.ErrNothingPending, "the second click")

	_, err = m.Create(ctx, conversation.ID, say(fmt.Sprintf(insert, "three")))
	require.NoError(t, err)
	_, err = m.DenyAll(ctx, conversation.ID, "no more", nil)
	require.NoError(t, err)
	pending, err = m.Pending(ctx, conversation.ID)
	require.NoError(t, err)
	require.Nil(t, pending)

	byDefault := &letta.ConversationMessageCreateParams{AgentID: agent.ID}
	say := say(fmt.Sprintf(insert, "four"))
	say.AgentID = agent.ID
	_, err = m.Create(ctx, "default", say)
	require.NoError(t, err)
	_, err = m.DenyAll(ctx, "default", "no", byDefault)
	require.NoError(t, err)
}

// TestToolsThatAreNotAnswered: with WithCancelOnDone nothing waits after RunTools, wherever it ends.
func TestToolsThatAreNotAnswered(t *testing.T) {
	ctx := slow(t)
	agent := talker(t, needsApproval)
	conversation, err := server.client.Conversations.Create(ctx, &letta.ConversationCreateParams{AgentID: agent.ID})
	require.NoError(t, err)
	type caller interface {
		run(ctx context.Context, params *letta.AgentMessageCreateParams, run *letta.ToolRun) error
		pending() (*letta.ApprovalRequestMessage, error)
	}
	weather, err := letta.NewTool("weather", "Tells the weather.", func(_ context.Context, in city) (string, error) { return "rain\xff", nil })
	require.NoError(t, err)
	for name, thread := range map[string]caller{"agent": agentCaller{ctx, agent.ID}, "conversation": conversationCaller{ctx, conversation.ID}} {
		call := "CALL weather {\"city\": \"Oslo\"}"
		require.NoError(t, thread.run(ctx, say(call), &letta.ToolRun{Tools: []*letta.FuncTool{weather}}), "%s: what a tool returns is made valid UTF-8", name)

		short, cancel := context.WithCancel(ctx)
		stop, err := letta.NewTool("weather", "Tells the weather.", func(_ context.Context, in city) (string, error) { cancel(); return "rain", nil })
		require.NoError(t, err)
		err = thread.run(short, say(call), &letta.ToolRun{Tools: []*letta.FuncTool{stop}})
		require.ErrorIs(t, err, context.Canceled, name)
		assertNothingPending(t, name+": in a tool", thread.pending)

		short, cancel = context.WithCancel(ctx)
		err = thread.run(short, say(call), &letta.ToolRun{Tools: []*letta.FuncTool{weather}, OnMessage: func(letta.Message) { cancel() }})
		require.ErrorIs(t, err, context.Canceled, name)
		assertNothingPending(t, name+": in OnMessage", thread.pending)
		cancel()

		require.PanicsWithValue(t, "mine", func() {
			_ = thread.run(ctx, say(fmt.Sprintf(insert, "x")), &letta.ToolRun{Approve: func(context.Context, letta.ToolCall) *letta.ApprovalReturn { panic("mine") }})
		})
		assertNothingPending(t, name+": panic in Approve", thread.pending)
		require.PanicsWithValue(t, "mine", func() {
			_ = thread.run(ctx, say(call), &letta.ToolRun{Tools: []*letta.FuncTool{weather}, OnMessage: func(letta.Message) { panic("mine") }})
		})
		assertNothingPending(t, name+": panic in OnMessage", thread.pending)

		require.ErrorIs(t, thread.run(ctx, say(fmt.Sprintf(insert, "x")), &letta.ToolRun{}), letta.ErrPendingApproval)
		pending, err := thread.pending()
		require.NoError(t, err)
		require.NotNil(t, pending, "%s: the caller is to decide", name)
		if name == "agent" {
			_, err = server.client.Agents.Messages.DenyAll(ctx, agent.ID, "no", nil)
		} else {
			_, err = server.client.Conversations.Messages.DenyAll(ctx, conversation.ID, "no", nil)
		}
		require.NoError(t, err)
	}
}

func assertNothingPending(t *testing.T, when string, pending func() (*letta.ApprovalRequestMessage, error)) {
	t.Helper()
	waits, err := pending()
	require.NoError(t, err)
	assert.Nil(t, waits, when)
}

type agentCaller struct {
	ctx context.Context
	id  letta.AgentID
}

func (c agentCaller) run(ctx context.Context, params *letta.AgentMessageCreateParams, run *letta.ToolRun) error {
	_, err := server.client.Agents.Messages.RunTools(ctx, c.id, params, run, letta.WithCancelOnDone(), letta.WithTurnLock())
	return err
}

func (c agentCaller) pending() (*letta.ApprovalRequestMessage, error) {
	return server.client.Agents.Messages.Pending(c.ctx, c.id)
}

type conversationCaller struct {
	ctx context.Context
	id  letta.ConversationID
}

func (c conversationCaller) run(ctx context.Context, params *letta.AgentMessageCreateParams, run *letta.ToolRun) error {
	_, err := server.client.Conversations.Messages.RunTools(ctx, c.id, params, run, letta.WithCancelOnDone(), letta.WithTurnLock())
	return err
}

func (c conversationCaller) pending() (*letta.ApprovalRequestMessage, error) {
	return server.client.Conversations.Messages.Pending(c.ctx, c.id)
}

// TestPastTheEndOfARun: what comes after the last event of a run is no turn.
func TestPastTheEndOfARun(t *testing.T) {
	ctx := begin(t)
	agent := talker(t)
	stream, err := server.client.Agents.Messages.Stream(ctx, agent.ID, tokens("one two", true))
	require.NoError(t, err)
	_, err = stream.Collect()
	require.NoError(t, err)
	// The stop reason, usage and [DONE] have numbers too, but do not show them.
	for after := stream.LastSeq(); after <= stream.LastSeq()+3; after++ {
		again, err := server.client.Runs.Messages.Stream(ctx, stream.RunID(), &letta.RunMessageStreamParams{StartingAfter: after})
		require.NoError(t, err)
		_, err = again.Collect()
		if after <= stream.LastSeq()+1 {
			require.NoError(t, err, after)
			continue
		}
		require.ErrorIs(t, err, letta.ErrStreamTruncated, after)
		assert.Equal(t, http.StatusBadGateway, letta.HTTPStatus(err))
	}
}

// TestLongRun: Letta 0.16.8 keeps about the last 10,000 frames of a run. A reader gets all of them or an error.
func TestLongRun(t *testing.T) {
	ctx := begin(t)
	agent := talker(t)
	words := strings.TrimSpace(strings.Repeat("word ", 12_500))
	stream, err := server.client.Agents.Messages.Stream(ctx, agent.ID, tokens("SLOW 0 "+words, true))
	require.NoError(t, err)
	whole := func(turn *letta.Turn, err error) bool {
		if err == nil {
			return assert.Equal(t, len(words), len(turn.Text()))
		}
		return assert.ErrorIs(t, err, letta.ErrStreamGap)
	}
	whole(stream.Collect()) // it may fall behind
	_, err = server.client.Runs.Wait(ctx, stream.RunID())
	require.NoError(t, err)
	again, err := server.client.Runs.Messages.Stream(ctx, stream.RunID(), nil)
	require.NoError(t, err)
	turn, err := again.Collect()
	whole(turn, err)
	if !server.embedded {
		require.ErrorIs(t, err, letta.ErrStreamGap)
	}
	messages := collectMessages(t, server.client.Runs.Messages.ListAll(ctx, stream.RunID(), nil))
	texts := 0
	for _, message := range messages {
		if said, ok := message.(*letta.AssistantMessage); ok {
			texts += len(said.Content.String())
		}
	}
	assert.Equal(t, len(words), texts, "where the error says that they are")
}
