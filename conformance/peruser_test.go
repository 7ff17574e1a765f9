package conformance

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/peruser"
)

// TestDeleteUser: a user is deleted with conversation, memory and archive.
func TestDeleteUser(t *testing.T) {
	ctx := begin(t)
	needs(t, "archives")
	client, user := server.client, unique("user")
	users, err := peruser.New(client, peruser.Options{Create: func(context.Context, string) (*letta.AgentCreateParams, error) {
		params := basic()
		params.Embedding, params.MemoryBlocks = server.embedding, []letta.CreateBlock{{Label: "human", Value: "Likes tea."}}
		return params, nil
	}})
	require.NoError(t, err)
	agent, err := users.Agent(ctx, user)
	require.NoError(t, err)
	deleteAtEnd(t, agent)
	blocks := walkAll(t, client.Agents.Blocks.ListAll(ctx, agent, nil))
	require.NotEmpty(t, blocks)
	_, err = client.Agents.Passages.Create(ctx, agent, &letta.AgentPassageCreateParams{Text: "Likes tea."})
	require.NoError(t, err)
	archives := walkAll(t, client.Archives.ListAll(ctx, &letta.ArchiveListParams{AgentID: agent}))
	require.Len(t, archives, 1)
	chat, err := users.Conversation(ctx, user, "chat")
	require.NoError(t, err)

	require.NoError(t, users.Delete(ctx, user))
	_, err = client.Agents.Retrieve(ctx, agent, nil)
	require.ErrorIs(t, err, letta.ErrNotFound)
	_, err = client.Conversations.Retrieve(ctx, chat)
	require.ErrorIs(t, err, letta.ErrNotFound)
	_, err = client.Archives.Retrieve(ctx, archives[0].ID)
	require.ErrorIs(t, err, letta.ErrNotFound)
	for _, block := range blocks {
		_, err := client.Blocks.Retrieve(ctx, block.ID)
		assert.ErrorIs(t, err, letta.ErrNotFound)
	}
}
