package letta

import (
	"context"
	"iter"
	"net/http"
	"slices"
	"time"
)

// MessageService is client.Messages: the messages of all agents. https://docs.letta.com/api/resources/messages
type MessageService struct{ core *core }

// Retrieve gets what is stored as one message, which may be several here, with the same ID.
func (s *MessageService) Retrieve(ctx context.Context, id MessageID, opts ...RequestOption) ([]Message, error) {
	return do[[]Message](ctx, s.core, request{op: Operation{"messages.retrieve", http.MethodGet, "/v1/messages/{message_id}"}, ids: []any{id}}, opts)
}

// List gets one page of messages: by default the newest 100, oldest first.
func (s *MessageService) List(ctx context.Context, params *MessageListParams, opts ...RequestOption) ([]Message, error) {
	return do[[]Message](ctx, s.core, request{op: Operation{"messages.list", http.MethodGet, "/v1/messages/"}, query: params}, opts)
}

// ListAll walks over all messages, page by page: oldest first, or newest first if Order is OrderDesc.
func (s *MessageService) ListAll(ctx context.Context, params *MessageListParams, opts ...RequestOption) iter.Seq2[Message, error] {
	p := copyOf(params)
	types := p.IncludeReturnMessageTypes
	p.IncludeReturnMessageTypes = nil
	return ofTypes(types, history("messages.list_all", &p, (*MessageListParams).cursors, true,
		func(p *MessageListParams) ([]Message, error) { return s.List(ctx, p, opts...) }))
}

func (p *MessageListParams) cursors() (order *Order, after, before *MessageID) {
	return &p.Order, &p.After, &p.Before
}

// ofTypes keeps the messages of some types; without any, all. Letta 0.16.8 cuts a page before it drops the other types from
// it: an empty page would not be the last.
func ofTypes(types []MessageType, all iter.Seq2[Message, error]) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		for m, err := range all {
			if err == nil && len(types) > 0 && !slices.Contains(types, m.messageType()) {
				continue
			}
			if !yield(m, err) {
				return
			}
		}
	}
}

// Search finds messages by their words or their meaning, the best first. A server of your own answers 400 unless it
// embeds messages.
func (s *MessageService) Search(ctx context.Context, params *MessageSearchParams, opts ...RequestOption) ([]*MessageSearchResult, error) {
	return do[[]*MessageSearchResult](ctx, s.core, request{op: Operation{"messages.search", http.MethodPost, "/v1/messages/search"}, body: params}, opts)
}

// MessageListParams filter and page messages.
type MessageListParams struct {
	// After gets newer messages, Before older ones, whatever the order. ListAll does that by itself.
	After                     MessageID      `url:"after,omitempty"`
	Before                    MessageID      `url:"before,omitempty"`
	ConversationID            ConversationID `url:"conversation_id,omitempty"`
	IncludeReturnMessageTypes []MessageType  `url:"include_return_message_types,omitempty"`
	// Limit is the length of a page; the server's default is 100.
	Limit int   `url:"limit,omitempty"`
	Order Order `url:"order,omitempty"`
}

// MessageSearchParams say what to search for. Query is required.
type MessageSearchParams struct {
	Query          string         `json:"query" letta:"required"`
	AgentID        AgentID        `json:"agent_id,omitzero"`
	ConversationID ConversationID `json:"conversation_id,omitzero"`
	EndDate        time.Time      `json:"end_date,omitzero"`
	// Limit is the most results to get; the server's default is 50.
	Limit int `json:"limit,omitzero"`
	// SearchMode is vector, fts or hybrid; hybrid when left out.
	SearchMode SearchMode `json:"search_mode,omitzero"`
	StartDate  time.Time  `json:"start_date,omitzero"`
}

// MessageSearchResult is a message that was found: of the system, a user or an assistant with Content, or Reasoning.
type MessageSearchResult struct {
	MessageID      MessageID      `json:"message_id"`
	MessageType    MessageType    `json:"message_type"`
	AgentID        AgentID        `json:"agent_id,omitzero"`
	ConversationID ConversationID `json:"conversation_id,omitzero"`
	Content        Content        `json:"content,omitzero"`
	CreatedAt      time.Time      `json:"created_at"`
	Reasoning      string         `json:"reasoning,omitzero"`
}

// SearchMode is how Search finds messages.
type SearchMode string

// The values known today; others are kept as they come.
const (
	SearchModeVector SearchMode = "vector"
	SearchModeFTS    SearchMode = "fts"
	SearchModeHybrid SearchMode = "hybrid"
)
