package conformance

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
)

func TestStepsOfATurn(t *testing.T) {
	ctx := begin(t)
	needs(t, "turns")
	agent := create(ctx, t, basic()).ID
	client := server.client
	turn, err := client.Agents.Messages.Create(ctx, agent, say("hello"))
	require.NoError(t, err)
	var run letta.RunID
	for _, message := range turn.Messages {
		run = message.Common().RunID
	}
	require.NotEmpty(t, run)
	steps, err := client.Runs.Steps.List(ctx, run, nil)
	require.NoError(t, err)
	require.Len(t, steps, turn.Usage.StepCount)
	id := steps[0].ID
	step, err := client.Steps.Retrieve(ctx, id)
	require.NoError(t, err)
	assert.Equal(t, agent, step.AgentID)
	metrics, err := client.Steps.Metrics.Retrieve(ctx, id)
	require.NoError(t, err)
	assert.Equal(t, id, metrics.ID)
	messages, err := client.Steps.Messages.List(ctx, id, nil)
	require.NoError(t, err)
	assert.NotEmpty(t, messages)
	rated, err := client.Steps.Feedback.Create(ctx, id, &letta.StepFeedbackCreateParams{Feedback: letta.Some(letta.FeedbackPositive)})
	require.NoError(t, err)
	assert.Equal(t, id, rated.ID)
	if _, err = client.Steps.Trace.Retrieve(ctx, id); err != nil {
		assert.ErrorIs(t, err, letta.ErrNotFound, "a server that stores no traces says null")
	}
	all, err := client.Messages.List(ctx, &letta.MessageListParams{Limit: 5})
	require.NoError(t, err)
	assert.NotEmpty(t, all)
}

func TestConversationsChange(t *testing.T) {
	ctx := begin(t)
	needs(t, "turns")
	agent := create(ctx, t, basic()).ID
	conversations := server.client.Conversations
	conversation, err := conversations.Create(ctx, &letta.ConversationCreateParams{AgentID: agent, Summary: "first"})
	require.NoError(t, err)
	for _, text := range []string{"one", "two", "three"} {
		_, err = conversations.Messages.Create(ctx, conversation.ID, say(text))
		require.NoError(t, err)
	}
	updated, err := conversations.Update(ctx, conversation.ID, &letta.ConversationUpdateParams{Summary: letta.Some("second")})
	require.NoError(t, err)
	assert.Equal(t, "second", updated.Summary)
	fork, err := conversations.Fork(ctx, conversation.ID, nil)
	require.NoError(t, err)
	assert.NotEqual(t, conversation.ID, fork.ID)
	forked, err := conversations.Messages.List(ctx, fork.ID, nil)
	require.NoError(t, err)
	assert.NotEmpty(t, forked)
	prompt, err := conversations.Recompile(ctx, conversation.ID, nil)
	require.NoError(t, err)
	assert.Contains(t, prompt, "You are a test.")
	compacted, err := conversations.Messages.Compact(ctx, conversation.ID, &letta.ConversationMessageCompactParams{CompactionSettings: all()})
	require.NoError(t, err)
	assert.LessOrEqual(t, compacted.NumMessagesAfter, compacted.NumMessagesBefore)
}

func TestCompact(t *testing.T) {
	ctx := begin(t)
	needs(t, "turns")
	agent := create(ctx, t, basic()).ID
	for _, text := range []string{"one", "two", "three"} {
		_, err := server.client.Agents.Messages.Create(ctx, agent, say(text))
		require.NoError(t, err)
	}
	compacted, err := server.client.Agents.Messages.Compact(ctx, agent, &letta.AgentMessageCompactParams{CompactionSettings: all()})
	require.NoError(t, err)
	assert.NotEmpty(t, compacted.Summary)
}

// all summarises every message: few of them cannot be summarised in another mode.
func all() *letta.CompactionSettings {
	return &letta.CompactionSettings{Mode: letta.CompactionModeAll, Model: server.model}
}

// TestToolsThatNeedApprovalByDefault: an agent that gets such a tool waits, however it got it.
func TestToolsThatNeedApprovalByDefault(t *testing.T) {
	ctx := begin(t)
	needs(t, "tools")
	name := unique("pay")
	name = strings.ReplaceAll(name, "-", "_")
	tool, err := server.client.Tools.Create(ctx, &letta.ToolCreateParams{
		SourceCode:              "def " + name + "(amount: int) -> str:\n    \"\"\"\n    Pays.\n\n    Args:\n        amount (int): How much.\n    \"\"\"\n    return 'paid'\n",
		DefaultRequiresApproval: true,
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.client.Tools.Delete(context.WithoutCancel(ctx), tool.ID) })
	params := basic()
	params.ToolIDs = []letta.ToolID{tool.ID}
	given, attached := create(ctx, t, params), create(ctx, t, basic())
	require.NoError(t, server.client.Agents.Tools.Attach(ctx, attached.ID, tool.ID))
	for _, id := range []letta.AgentID{given.ID, attached.ID} {
		agent, err := server.client.Agents.Retrieve(ctx, id, nil)
		require.NoError(t, err)
		assert.Equal(t, letta.ToolRules{&letta.RequiresApprovalToolRule{ToolName: name}}, agent.ToolRules)
	}
}
