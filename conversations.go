package letta

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// ConversationService is client.Conversations: threads of messages with one agent, which share its memory.
// https://docs.letta.com/api/resources/conversations
//
// Every agent has a conversation "default", which is that of Agents.Messages. Cancel, Fork, Recompile and Messages take
// that id too, together with the agent's.
type ConversationService struct {
	core     *core
	Messages *ConversationMessageService
}

const defaultConversation ConversationID = "default"

// checkDefault refuses the conversation "default" without its agent.
func checkDefault(operation string, id ConversationID, agent AgentID) error {
	if id == defaultConversation && agent == "" {
		return invalid(operation, "the conversation default needs agent_id")
	}
	return nil
}

// Create begins a conversation with an agent.
func (s *ConversationService) Create(ctx context.Context, params *ConversationCreateParams, opts ...RequestOption) (*Conversation, error) {
	query := url.Values{"agent_id": {string(copyOf(params).AgentID)}}
	return do[*Conversation](ctx, s.core, request{op: Operation{"conversations.create", http.MethodPost, "/v1/conversations/"}, query: query, body: params}, opts)
}

// Retrieve gets a conversation.
func (s *ConversationService) Retrieve(ctx context.Context, id ConversationID, opts ...RequestOption) (*Conversation, error) {
	return do[*Conversation](ctx, s.core, request{op: Operation{"conversations.retrieve", http.MethodGet, "/v1/conversations/{conversation_id}"}, ids: []any{id}}, opts)
}

// Update changes the fields that are set.
func (s *ConversationService) Update(ctx context.Context, id ConversationID, params *ConversationUpdateParams, opts ...RequestOption) (*Conversation, error) {
	return do[*Conversation](ctx, s.core, request{op: Operation{"conversations.update", http.MethodPatch, "/v1/conversations/{conversation_id}"}, ids: []any{id}, body: params}, opts)
}

// List gets one page of conversations, newest first; of all agents, unless params name one.
func (s *ConversationService) List(ctx context.Context, params *ConversationListParams, opts ...RequestOption) ([]*Conversation, error) {
	return do[[]*Conversation](ctx, s.core, request{op: Operation{"conversations.list", http.MethodGet, "/v1/conversations/"}, query: params}, opts)
}

// ListAll walks over all conversations, page by page. Letta 0.16.8 leaves out conversations that were created in the same
// microsecond as the last of a page.
func (s *ConversationService) ListAll(ctx context.Context, params *ConversationListParams, opts ...RequestOption) iter.Seq2[*Conversation, error] {
	return pages("conversations.list_all", params, func(p *ConversationListParams) ([]*Conversation, error) { return s.List(ctx, p, opts...) },
		func(p *ConversationListParams, c *Conversation) string { p.After = c.ID; return string(c.ID) })
}

// Delete removes a conversation.
func (s *ConversationService) Delete(ctx context.Context, id ConversationID, opts ...RequestOption) error {
	return s.core.send(ctx, request{op: Operation{"conversations.delete", http.MethodDelete, "/v1/conversations/{conversation_id}"}, ids: []any{id}}, nil, opts)
}

// Cancel cancels the runs of the conversation; the answer maps run ids to what became of them. A cancelled turn leaves no
// messages. The error is ErrNoActiveRun if there is nothing to cancel.
func (s *ConversationService) Cancel(ctx context.Context, id ConversationID, params *ConversationCancelParams, opts ...RequestOption) (map[string]any, error) {
	p := copyOf(params)
	if err := checkDefault("conversations.cancel", id, p.AgentID); err != nil {
		return nil, err
	}
	return do[map[string]any](ctx, s.core, request{op: Operation{"conversations.cancel", http.MethodPost, "/v1/conversations/{conversation_id}/cancel"}, ids: []any{id}, query: &p}, opts)
}

// Fork begins a conversation with the messages of another, which keep their ids.
func (s *ConversationService) Fork(ctx context.Context, id ConversationID, params *ConversationForkParams, opts ...RequestOption) (*Conversation, error) {
	p := copyOf(params)
	if err := checkDefault("conversations.fork", id, p.AgentID); err != nil {
		return nil, err
	}
	return do[*Conversation](ctx, s.core, request{op: Operation{"conversations.fork", http.MethodPost, "/v1/conversations/{conversation_id}/fork"}, ids: []any{id}, query: &p}, opts)
}

// Recompile rebuilds the conversation's system prompt from the agent's current memory, and returns it.
func (s *ConversationService) Recompile(ctx context.Context, id ConversationID, params *ConversationRecompileParams, opts ...RequestOption) (string, error) {
	p := copyOf(params)
	if err := checkDefault("conversations.recompile", id, p.AgentID); err != nil {
		return "", err
	}
	r := request{op: Operation{"conversations.recompile", http.MethodPost, "/v1/conversations/{conversation_id}/recompile"}, ids: []any{id}, body: &p}
	if p.DryRun {
		r.query = url.Values{"dry_run": {"true"}}
	}
	return do[string](ctx, s.core, r, opts)
}

// Conversation is a thread of messages with an agent.
type Conversation struct {
	ID         ConversationID `json:"id"`
	AgentID    AgentID        `json:"agent_id"`
	Archived   bool           `json:"archived,omitzero"`
	ArchivedAt time.Time      `json:"archived_at,omitzero"`
	// ContextWindowLimit is in tokens.
	ContextWindowLimit  int           `json:"context_window_limit,omitzero"`
	CreatedAt           time.Time     `json:"created_at,omitzero"`
	CreatedByID         string        `json:"created_by_id,omitzero"`
	Description         string        `json:"description,omitzero"`
	InContextMessageIDs []MessageID   `json:"in_context_message_ids,omitzero"`
	LastMessageAt       time.Time     `json:"last_message_at,omitzero"`
	LastUpdatedByID     string        `json:"last_updated_by_id,omitzero"`
	Model               string        `json:"model,omitzero"`
	ModelSettings       ModelSettings `json:"model_settings,omitzero"`
	Summary             string        `json:"summary,omitzero"`
	UpdatedAt           time.Time     `json:"updated_at,omitzero"`
}

// UnmarshalJSON reads model settings of any provider, and every form of time that servers send.
func (v *Conversation) UnmarshalJSON(data []byte) error { return unmarshal(data, v) }

func (v *Conversation) withoutMethods() any {
	type fields Conversation
	return (*fields)(v)
}

// ConversationCreateParams describe a new conversation. AgentID is required. Letta 0.16.8 ignores ContextWindowLimit,
// Description and Hidden.
type ConversationCreateParams struct {
	AgentID AgentID `json:"-" url:"agent_id" letta:"required"`
	// ContextWindowLimit is in tokens.
	ContextWindowLimit int    `json:"context_window_limit,omitzero"`
	Description        string `json:"description,omitzero"`
	Hidden             bool   `json:"hidden,omitzero"`
	// Model is a handle, provider/model-name, for this conversation; the agent's when left out.
	Model         string        `json:"model,omitzero"`
	ModelSettings ModelSettings `json:"model_settings,omitzero"`
	Summary       string        `json:"summary,omitzero"`
}

// UnmarshalJSON reads model settings of any provider.
func (v *ConversationCreateParams) UnmarshalJSON(data []byte) error { return unmarshal(data, v) }

func (v *ConversationCreateParams) withoutMethods() any {
	type fields ConversationCreateParams
	return (*fields)(v)
}

// ConversationUpdateParams are the fields to change. Letta 0.16.8 ignores null, and Archived, ContextWindowLimit and
// Description.
type ConversationUpdateParams struct {
	Archived           Opt[bool]          `json:"archived,omitzero"`
	ContextWindowLimit Opt[int]           `json:"context_window_limit,omitzero"`
	Description        Opt[string]        `json:"description,omitzero"`
	LastMessageAt      Opt[time.Time]     `json:"last_message_at,omitzero"`
	Model              Opt[string]        `json:"model,omitzero"`
	ModelSettings      Opt[ModelSettings] `json:"model_settings,omitzero"`
	Summary            Opt[string]        `json:"summary,omitzero"`
}

// ConversationListParams filter and page conversations.
type ConversationListParams struct {
	After   ConversationID `url:"after,omitempty"`
	AgentID AgentID        `url:"agent_id,omitempty"`
	// ArchiveStatus is unarchived, archived or all; Letta 0.16.8 ignores it.
	ArchiveStatus ArchiveStatus `url:"archive_status,omitempty"`
	// Limit is the length of a page; the server's default is 50.
	Limit int   `url:"limit,omitempty"`
	Order Order `url:"order,omitempty"`
	// OrderBy is created_at, last_run_completion or last_message_at.
	OrderBy       OrderBy `url:"order_by,omitempty"`
	SummarySearch string  `url:"summary_search,omitempty"`
}

// ArchiveStatus is which conversations to list.
type ArchiveStatus string

// The values known today; others are kept as they come.
const (
	ArchiveStatusUnarchived ArchiveStatus = "unarchived"
	ArchiveStatusArchived   ArchiveStatus = "archived"
	ArchiveStatusAll        ArchiveStatus = "all"
)

// ConversationCancelParams name the agent of the conversation "default".
type ConversationCancelParams struct {
	AgentID AgentID `url:"agent_id,omitempty"`
}

// ConversationForkParams say what to take.
type ConversationForkParams struct {
	// AgentID is for the conversation "default".
	AgentID AgentID `url:"agent_id,omitempty"`
	Hidden  bool    `url:"hidden,omitempty"`
	// MessageID is the last message to take; Letta 0.16.8 takes all.
	MessageID MessageID `url:"message_id,omitempty"`
}

// ConversationRecompileParams choose how to compile.
type ConversationRecompileParams struct {
	// AgentID is for the conversation "default".
	AgentID            AgentID             `json:"agent_id,omitzero"`
	CompactionSettings *CompactionSettings `json:"compaction_settings,omitzero"`
	// DryRun returns the new prompt and keeps the old one.
	DryRun bool `json:"-" url:"dry_run"`
}
