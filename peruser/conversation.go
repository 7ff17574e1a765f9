package peruser

import (
	"context"
	"slices"
	"strings"

	"github.com/letta-go/letta"
)

// chat is a user's chat or channel.
type chat struct{ userID, key string }

type knownConversation struct {
	of           *known // the agent when it was remembered
	conversation letta.ConversationID
}

// Conversation returns the conversation of one of the user's chats or channels, such as a Slack channel or a browser tab,
// and creates it if there is none: under the user's lock, so once. The key is stored as the first line of the
// conversation's Summary, the one text that Letta 0.16.8 keeps and never changes by itself. Lines after it are yours, for a
// title; a conversation whose first line you change is no longer found, and a new one takes its place. If there are
// several, the oldest is taken.
//
// Conversations are remembered with the user's agent. When one was deleted behind the back of Users, a call of it fails with
// letta.ErrNotFound: call it within Do, or Forget the user.
func (u *Users) Conversation(ctx context.Context, userID, key string) (letta.ConversationID, error) {
	c := chat{userID, key}
	if k, ok := u.known(userID); ok {
		if conversation, ok := u.conversations.GetIfPresent(c); ok && conversation.of == k {
			return conversation.conversation, nil
		}
	}
	if err := checkText("the key of the conversation", key); err != nil {
		return "", err
	}
	var id letta.ConversationID
	err := u.Do(ctx, userID, func(ctx context.Context, agent letta.AgentID) (err error) {
		k, _ := u.known(userID)
		id, _, err = u.opens.Do(ctx, string(agent)+" "+u.flight(userID)+"\n"+key, func(ctx context.Context) (letta.ConversationID, error) {
			return u.open(ctx, userID, agent, key)
		})
		if err == nil && k != nil && k.agent == agent {
			u.conversations.Set(c, knownConversation{k, id})
		}
		return err
	})
	if err != nil {
		return "", err
	}
	return id, nil
}

// open finds the conversation or creates it.
func (u *Users) open(ctx context.Context, userID string, agent letta.AgentID, key string) (letta.ConversationID, error) {
	if id, err := u.findConversation(ctx, agent, key); id != "" || err != nil {
		return id, lookup(err)
	}
	tag, err := u.tag(userID)
	if err != nil {
		return "", err
	}
	held, unlock, err := u.lock(ctx, tag)
	if err != nil {
		return "", err
	}
	defer unlock()
	late, cancelLate := outlive(ctx, lateCreate)
	defer cancelLate()
	work, cancel := while(late, held)
	defer cancel()
	if id, err := u.findConversation(work, agent, key); id != "" || err != nil {
		return id, lost(held, lookup(err))
	}
	created, createErr := u.client.Conversations.Create(work, &letta.ConversationCreateParams{AgentID: agent, Summary: key}, u.requestOptions()...)
	if createErr != nil && !conversationUnknown(createErr) {
		return "", lost(held, createErr)
	}
	// Another instance, without a shared lock, may have created one too.
	id, err := u.findConversation(work, agent, key)
	switch {
	case id != "":
		return id, nil
	case createErr != nil:
		return "", lost(held, createErr)
	case err != nil:
		return "", lost(held, lookup(err))
	}
	return created.ID, nil
}

// conversationUnknown reports whether an error leaves open whether a conversation was created.
func conversationUnknown(err error) bool { return outcomeUnknown(err) || letta.HTTPStatus(err) >= 500 }

// findConversation finds the oldest conversation of an agent with a key; "" if there is none.
func (u *Users) findConversation(ctx context.Context, agent letta.AgentID, key string) (letta.ConversationID, error) {
	params := &letta.ConversationListParams{AgentID: agent, Order: letta.OrderAsc, ArchiveStatus: letta.ArchiveStatusAll}
	// The server takes it for a pattern: % and _ in it find more, which does no harm, but a backslash finds less.
	if !strings.Contains(key, `\`) {
		params.SummarySearch = key
	}
	var found []*letta.Conversation
	for conversation, err := range u.client.Conversations.ListAll(ctx, params, u.requestOptions()...) {
		if err != nil {
			return "", err
		}
		if first, _, _ := strings.Cut(conversation.Summary, "\n"); first == key && conversation.AgentID == agent {
			found = append(found, conversation)
		}
	}
	if len(found) == 0 {
		return "", nil
	}
	return slices.MinFunc(found, func(a, b *letta.Conversation) int {
		if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
			return c
		}
		return strings.Compare(string(a.ID), string(b.ID))
	}).ID, nil
}
