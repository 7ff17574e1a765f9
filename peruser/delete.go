package peruser

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/letta-go/letta"
)

const maxDeleteRounds = 3

// Delete removes a user with everything: every agent with the user's tag, hidden ones too, their conversations, and the
// memory blocks that no other agent has. It holds the user's lock, so that no other instance creates an agent meanwhile;
// make sure that nobody signs the user in again afterwards. After an error some of it is gone, and the same call goes on
// with the rest; a user without agents is no error.
//
// Folders, files and archives belong to nobody in particular at the server, and stay.
func (u *Users) Delete(ctx context.Context, userID string) error {
	tag, err := u.tag(userID)
	if err != nil {
		return err
	}
	if ctx == nil {
		return invalid("the context is nil")
	}
	held, unlock, err := u.lock(ctx, tag)
	if err != nil {
		return err
	}
	defer unlock()
	defer u.Forget(userID)
	work, cancel := while(ctx, held)
	defer cancel()
	// Again until there is none: agents may appear that were created without the lock.
	for range maxDeleteRounds {
		agents, err := u.agentsWith(work, tag)
		if err != nil {
			return lost(held, err)
		}
		if len(agents) == 0 {
			return nil
		}
		for _, agent := range agents {
			if err := u.deleteAgent(work, agent); err != nil {
				return lost(held, err)
			}
		}
	}
	return errors.New("peruser: agents of the user appear as fast as they are deleted")
}

// agentsWith lists all agents with a tag. What a server returns that ignores the filter is not taken for the user's.
func (u *Users) agentsWith(ctx context.Context, tag string) ([]letta.AgentID, error) {
	var ids []letta.AgentID
	for agent, err := range u.client.Agents.ListAll(ctx, letta.Tags(tag), u.requestOptions(letta.WithQuery("show_hidden_agents", "true"))...) {
		if err != nil {
			return nil, lookup(err)
		}
		if !slices.Contains(agent.Tags, tag) {
			return nil, fmt.Errorf("peruser: the server ignores the filter: it returned agent %s, which lacks the tag", agent.ID)
		}
		ids = append(ids, agent.ID)
	}
	return ids, nil
}

// deleteAgent deletes the conversations first: with the agent gone, nothing would lead to their own blocks.
func (u *Users) deleteAgent(ctx context.Context, agent letta.AgentID) error {
	var conversations []letta.ConversationID
	for conversation, err := range u.client.Conversations.ListAll(ctx, &letta.ConversationListParams{AgentID: agent, ArchiveStatus: letta.ArchiveStatusAll}, u.requestOptions()...) {
		if err != nil {
			return lookup(err)
		}
		if conversation.AgentID != agent {
			return fmt.Errorf("peruser: the server ignores the filter: it returned conversation %s, which is another agent's", conversation.ID)
		}
		conversations = append(conversations, conversation.ID)
	}
	for _, conversation := range conversations {
		if err := ignoreNotFound(u.client.Conversations.Delete(ctx, conversation, u.requestOptions()...)); err != nil {
			return err
		}
	}
	_, err := u.client.Agents.DeleteWithBlocks(ctx, agent, u.requestOptions()...)
	return ignoreNotFound(err)
}

func ignoreNotFound(err error) error {
	if errors.Is(err, letta.ErrNotFound) {
		return nil
	}
	return err
}
