package letta

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// AgentPassageService is client.Agents.Passages: the archival memory of one agent, which it searches by tool calls.
// https://docs.letta.com/api/resources/agents/subresources/passages
type AgentPassageService struct{ core *core }

// Create adds a text to the agent's archival memory. An agent without an archive gets one. The answer is a list, of one
// passage on Letta 0.16.8.
func (s *AgentPassageService) Create(ctx context.Context, id AgentID, params *AgentPassageCreateParams, opts ...RequestOption) ([]*Passage, error) {
	return do[[]*Passage](ctx, s.core, request{op: Operation{"agents.passages.create", http.MethodPost, "/v1/agents/{agent_id}/archival-memory"}, ids: []any{id}, body: params}, opts)
}

// List gets one page of the agent's passages, oldest first.
func (s *AgentPassageService) List(ctx context.Context, id AgentID, params *AgentPassageListParams, opts ...RequestOption) ([]*Passage, error) {
	return do[[]*Passage](ctx, s.core, request{op: Operation{"agents.passages.list", http.MethodGet, "/v1/agents/{agent_id}/archival-memory"}, ids: []any{id}, query: params}, opts)
}

// ListAll walks over all passages of the agent, page by page.
func (s *AgentPassageService) ListAll(ctx context.Context, id AgentID, params *AgentPassageListParams, opts ...RequestOption) iter.Seq2[*Passage, error] {
	return pages("agents.passages.list_all", params, func(p *AgentPassageListParams) ([]*Passage, error) { return s.List(ctx, id, p, opts...) },
		func(p *AgentPassageListParams, row *Passage) string { p.After = row.ID; return string(row.ID) })
}

// Delete removes a passage from the agent's archival memory.
func (s *AgentPassageService) Delete(ctx context.Context, id AgentID, passage PassageID, opts ...RequestOption) error {
	return s.core.send(ctx, request{op: Operation{"agents.passages.delete", http.MethodDelete, "/v1/agents/{agent_id}/archival-memory/{memory_id}"}, ids: []any{id, passage}}, nil, opts)
}

// Search finds the agent's passages that are closest in meaning to a text, as the agent's own tool does.
func (s *AgentPassageService) Search(ctx context.Context, id AgentID, params *AgentPassageSearchParams, opts ...RequestOption) (*AgentPassageSearchResponse, error) {
	return do[*AgentPassageSearchResponse](ctx, s.core, request{op: Operation{"agents.passages.search", http.MethodGet, "/v1/agents/{agent_id}/archival-memory/search"}, ids: []any{id}, query: params}, opts)
}

// AgentPassageCreateParams describe a new passage. Text is required.
type AgentPassageCreateParams struct {
	Text string `json:"text" letta:"required"`
	// CreatedAt is now when left out.
	CreatedAt time.Time `json:"created_at,omitzero"`
	Tags      []string  `json:"tags,omitzero"`
}

// AgentPassageListParams filter and page the passages of an agent.
type AgentPassageListParams struct {
	After PassageID `url:"after,omitempty"`
	// Ascending is true when left out.
	Ascending Opt[bool] `url:"ascending,omitempty"`
	Before    PassageID `url:"before,omitempty"`
	// Limit is the length of a page; the server's default is 100.
	Limit int `url:"limit,omitempty"`
	// Search keeps the passages that hold a text.
	Search string `url:"search,omitempty"`
}

// AgentPassageSearchParams say what to search for. Query is required.
type AgentPassageSearchParams struct {
	Query         string       `url:"query" letta:"required"`
	EndDatetime   time.Time    `url:"end_datetime,omitempty"`
	StartDatetime time.Time    `url:"start_datetime,omitempty"`
	TagMatchMode  TagMatchMode `url:"tag_match_mode,omitempty"`
	Tags          []string     `url:"tags,omitempty"`
	TopK          int          `url:"top_k,omitempty"` // how many results
}

// AgentPassageSearchResponse is what a search of an agent's passages found.
type AgentPassageSearchResponse struct {
	Count   int          `json:"count"`
	Results []PassageHit `json:"results"`
}

// PassageHit is a passage that a search of an agent's passages found.
type PassageHit struct {
	ID        PassageID `json:"id"`
	Content   string    `json:"content"`
	Timestamp time.Time `json:"timestamp"`
	Tags      []string  `json:"tags,omitzero"`
}

// TagMatchMode says how many of the tags a passage must have.
type TagMatchMode string

// The values known today. The server's default is any.
const (
	TagMatchAny TagMatchMode = "any"
	TagMatchAll TagMatchMode = "all"
)
