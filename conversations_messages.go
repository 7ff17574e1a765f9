package letta

import (
	"context"
	"iter"
	"net/http"
	"strings"
)

// ConversationMessageService is client.Conversations.Messages: talking to an agent in one of its conversations. Turns of
// one conversation should not overlap: see WithTurnLock.
type ConversationMessageService struct{ core *core }

// Create sends messages and waits for the whole turn, 10 minutes at most unless WithTimeout says otherwise. It is
// sent once: after an error that leaves open whether it arrived, look at the conversation's messages. Letta 0.16.8 leaves the
// run of such a turn in the state created, so that Runs.Wait would not end.
func (s *ConversationMessageService) Create(ctx context.Context, id ConversationID, params *ConversationMessageCreateParams, opts ...RequestOption) (*Turn, error) {
	return s.thread(id, params).create(ctx, params, opts)
}

// Stream sends messages and gives the turn as it happens. It is sent once. A background turn is resumed when its
// connection is lost. ErrBusy if another streamed turn of the conversation goes on; the stream of that turn, if the
// messages have its otid.
func (s *ConversationMessageService) Stream(ctx context.Context, id ConversationID, params *ConversationMessageCreateParams, opts ...RequestOption) (*MessageStream, error) {
	return s.thread(id, params).stream(ctx, params, opts)
}

// thread is the conversation. params name the agent of the conversation "default".
func (s *ConversationMessageService) thread(id ConversationID, params *ConversationMessageCreateParams) thread {
	return thread{core: s.core, inConversation: true, conversation: id, agent: copyOf(params).AgentID}
}

// Resume gives the events of a background turn that has begun before: that of a run or of an otid, or else the active
// one; ErrNoActiveRun if there is none. Letta's own name of it is stream.
func (s *ConversationMessageService) Resume(ctx context.Context, id ConversationID, params *ConversationMessageStreamParams, opts ...RequestOption) (*MessageStream, error) {
	p := copyOf(params)
	if p.RunID == "" && p.Otid == "" {
		if err := checkDefault("conversations.messages.resume", id, p.AgentID); err != nil {
			return nil, err
		}
	}
	r := request{op: Operation{"conversations.messages.stream", http.MethodPost, "/v1/conversations/{conversation_id}/stream"}, ids: []any{id}, turn: true}
	return thread{core: s.core, inConversation: true, conversation: id, agent: p.AgentID}.attach(ctx, r, &p, p.RunID, opts)
}

// List gets one page of the conversation's messages: by default the newest 100, newest first; of "default" oldest first.
func (s *ConversationMessageService) List(ctx context.Context, id ConversationID, params *ConversationMessageListParams, opts ...RequestOption) ([]Message, error) {
	p := copyOf(params)
	if err := checkDefault("conversations.messages.list", id, p.AgentID); err != nil {
		return nil, err
	}
	return do[[]Message](ctx, s.core, request{op: Operation{"conversations.messages.list", http.MethodGet, "/v1/conversations/{conversation_id}/messages"}, ids: []any{id}, query: &p}, opts)
}

// ListAll walks over all messages, page by page: oldest first, or newest first if Order is OrderDesc.
func (s *ConversationMessageService) ListAll(ctx context.Context, id ConversationID, params *ConversationMessageListParams, opts ...RequestOption) iter.Seq2[Message, error] {
	p := copyOf(params)
	types := p.IncludeReturnMessageTypes
	p.IncludeReturnMessageTypes = nil
	return ofTypes(types, history("conversations.messages.list_all", &p, (*ConversationMessageListParams).cursors, oldestFirst(id),
		func(p *ConversationMessageListParams) ([]Message, error) {
			rows, err := s.List(ctx, id, p, opts...)
			if p.Order == OrderDesc && !ascending(rows, oldestFirst(id)) {
				turnParts(rows)
			}
			return rows, err
		}))
}

func (p *ConversationMessageListParams) cursors() (order *Order, after, before *MessageID) {
	return &p.Order, &p.After, &p.Before
}

// oldestFirst is how a page in descending order comes. That of the conversation "default", and of an agent's id instead
// of a conversation's, comes as from Agents.Messages.
func oldestFirst(id ConversationID) bool {
	return id == defaultConversation || strings.HasPrefix(string(id), "agent-")
}

// Latest gets the newest n messages in one request, oldest first. Of the conversation "default", Agents.Messages.Latest
// gets them.
func (s *ConversationMessageService) Latest(ctx context.Context, id ConversationID, n int, opts ...RequestOption) ([]Message, error) {
	return latest("conversations.messages.latest", n, oldestFirst(id), func() ([]Message, error) {
		return s.List(ctx, id, &ConversationMessageListParams{Limit: n, Order: OrderDesc}, opts...)
	})
}

// Compact summarises the older messages of the conversation's context.
func (s *ConversationMessageService) Compact(ctx context.Context, id ConversationID, params *ConversationMessageCompactParams, opts ...RequestOption) (*CompactionResponse, error) {
	p := copyOf(params)
	if err := checkDefault("conversations.messages.compact", id, p.AgentID); err != nil {
		return nil, err
	}
	r := request{op: Operation{"conversations.messages.compact", http.MethodPost, "/v1/conversations/{conversation_id}/compact"}, ids: []any{id}, body: &p, turn: true}
	return thread{core: s.core, inConversation: true, conversation: id, agent: p.AgentID}.compact(ctx, r, opts)
}

// ConversationMessageCreateParams are what to send in a conversation, and how to answer.
type ConversationMessageCreateParams = AgentMessageCreateParams

// ConversationMessageStreamParams say which turn to attach to, and where to begin.
type ConversationMessageStreamParams = RunMessageStreamParams

// ConversationMessageListParams filter and page messages.
type ConversationMessageListParams struct {
	// After gets newer messages, Before older ones, whatever the order. ListAll does that by itself.
	After MessageID `url:"after,omitempty"`
	// AgentID is for the conversation "default".
	AgentID                   AgentID       `url:"agent_id,omitempty"`
	Before                    MessageID     `url:"before,omitempty"`
	GroupID                   GroupID       `url:"group_id,omitempty"`
	IncludeErr                bool          `url:"include_err,omitempty"`
	IncludeReturnMessageTypes []MessageType `url:"include_return_message_types,omitempty"`
	// Limit is the length of a page; the server's default is 100.
	Limit   int     `url:"limit,omitempty"`
	Order   Order   `url:"order,omitempty"`
	OrderBy OrderBy `url:"order_by,omitempty"`
}

// ConversationMessageCompactParams choose how to summarise.
type ConversationMessageCompactParams struct {
	// AgentID is for the conversation "default".
	AgentID            AgentID             `json:"agent_id,omitzero"`
	CompactionSettings *CompactionSettings `json:"compaction_settings,omitzero"`
}
