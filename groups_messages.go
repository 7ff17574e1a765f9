package letta

import (
	"context"
	"iter"
	"net/http"
)

// GroupMessageService is client.Groups.Messages: what the agents of a group said.
type GroupMessageService struct{ core *core }

// List gets one page of the group's messages, the newest 10 unless Limit says otherwise.
func (s *GroupMessageService) List(ctx context.Context, id GroupID, params *GroupMessageListParams, opts ...RequestOption) ([]Message, error) {
	return do[[]Message](ctx, s.core, request{op: Operation{"groups.messages.list", http.MethodGet, "/v1/groups/{group_id}/messages"}, ids: []any{id}, query: params}, opts)
}

// ListAll walks over all messages of the group, page by page: oldest first, or newest first if Order is OrderDesc.
func (s *GroupMessageService) ListAll(ctx context.Context, id GroupID, params *GroupMessageListParams, opts ...RequestOption) iter.Seq2[Message, error] {
	p := copyOf(params)
	types := p.IncludeReturnMessageTypes
	p.IncludeReturnMessageTypes = nil // as for agents
	return ofTypes(types, history("groups.messages.list_all", &p, func(p *GroupMessageListParams) (*Order, *MessageID, *MessageID) { return &p.Order, &p.After, &p.Before }, true,
		func(p *GroupMessageListParams) ([]Message, error) { return s.List(ctx, id, p, opts...) }))
}

// Reset deletes the messages of the group.
func (s *GroupMessageService) Reset(ctx context.Context, id GroupID, opts ...RequestOption) error {
	return s.core.send(ctx, request{op: Operation{"groups.messages.reset", http.MethodPatch, "/v1/groups/{group_id}/reset-messages"}, ids: []any{id}}, nil, opts)
}

// GroupMessageListParams filter and page the messages of a group.
type GroupMessageListParams struct {
	// After gets newer messages, Before older ones, whatever the order. ListAll does that by itself.
	After                     MessageID     `url:"after,omitempty"`
	AssistantMessageToolKwarg string        `url:"assistant_message_tool_kwarg,omitempty"`
	AssistantMessageToolName  string        `url:"assistant_message_tool_name,omitempty"`
	Before                    MessageID     `url:"before,omitempty"`
	IncludeReturnMessageTypes []MessageType `url:"include_return_message_types,omitempty"`
	// Limit is the length of a page; the server's default is 10.
	Limit               int       `url:"limit,omitempty"`
	Order               Order     `url:"order,omitempty"`
	OrderBy             OrderBy   `url:"order_by,omitempty"`
	UseAssistantMessage Opt[bool] `url:"use_assistant_message,omitempty"`
}
