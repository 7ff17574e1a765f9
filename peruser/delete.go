package peruser

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/letta-go/letta"
)

const maxDeleteRounds = 3

// Delete removes the agents of a user, which are all with the user's tag, hidden ones too, and what only they had: their
// conversations, messages and runs, the memory blocks that no other agent has, and the archive that the server made for what
// an agent remembers, if no other agent has it and the server says so, as Letta 0.16.8 does.
//
// What stays: blocks and archives that other agents have, archives that your program created, folders with their files, and
// identities. The server's own records stay too: Letta 0.16.8 keeps the prompts of the user's turns, which
// Steps.Trace.Retrieve shows to whoever has the id of a step, and no operation deletes them.
//
// Delete holds the user's lock, so that no other instance creates an agent meanwhile; make sure that nobody signs the user in
// again afterwards. After an error some of it is gone, and the same call goes on with the rest; a user without agents is no
// error.
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
	for round := 0; ; round++ {
		agents, err := u.agentsWith(work, tag)
		if err != nil {
			return lost(held, err)
		}
		if len(agents) == 0 {
			return nil
		}
		if round == maxDeleteRounds {
			return errors.New("peruser: agents of the user appear as fast as they are deleted")
		}
		for _, agent := range agents {
			if err := u.deleteAgent(work, agent); err != nil {
				return lost(held, err)
			}
		}
	}
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

// deleteAgent deletes the agent last: without it, nothing would lead to the conversations' own blocks and to the archive.
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
	if err := u.deleteArchive(ctx, agent); err != nil {
		return err
	}
	_, err := u.client.Agents.DeleteWithBlocks(ctx, agent, u.requestOptions()...)
	return ignoreNotFound(err)
}

// madeByServer is how Letta's servers describe the archive that they make when an agent has none and remembers something.
const madeByServer = "Default archive created automatically"

// deleteArchive deletes the archive that the server made for an agent, if no other agent has it.
func (u *Users) deleteArchive(ctx context.Context, agent letta.AgentID) error {
	for archive, err := range u.client.Archives.ListAll(ctx, &letta.ArchiveListParams{AgentID: agent}, u.requestOptions()...) {
		if err != nil {
			return lookup(err)
		}
		if archive.Description != madeByServer {
			continue
		}
		var having []struct{ ID letta.AgentID }
		path := "/v1/archives/" + url.PathEscape(string(archive.ID)) + "/agents"
		err := u.client.Do(ctx, http.MethodGet, path, nil, &having, u.requestOptions(letta.WithQuery("limit", "2"))...)
		switch {
		case errors.Is(err, letta.ErrNotFound): // it is gone, or the server does not say who has it
			continue
		case err != nil:
			return err
		case len(having) != 1 || having[0].ID != agent:
			continue
		}
		if err := ignoreNotFound(u.client.Archives.Delete(ctx, archive.ID, u.requestOptions()...)); err != nil {
			return err
		}
	}
	return nil
}

func ignoreNotFound(err error) error {
	if errors.Is(err, letta.ErrNotFound) {
		return nil
	}
	return err
}
