package letta

import (
	"context"
	"iter"
	"net/http"
)

// BlockAgentService is client.Blocks.Agents: the agents that have a block.
type BlockAgentService struct{ core *core }

// List gets one page of the agents that have the block, newest first.
func (s *BlockAgentService) List(ctx context.Context, id BlockID, params *BlockAgentListParams, opts ...RequestOption) ([]*AgentState, error) {
	p := copyOf(params)
	agents, err := do[[]*AgentState](ctx, s.core, request{op: Operation{"blocks.agents.list", http.MethodGet, "/v1/blocks/{block_id}/agents"}, ids: []any{id}, query: &p}, opts)
	return dropUnloaded(agents, loaded(p.Include, p.IncludeRelationships)), err
}

// ListAll walks over all agents that have the block, page by page.
func (s *BlockAgentService) ListAll(ctx context.Context, id BlockID, params *BlockAgentListParams, opts ...RequestOption) iter.Seq2[*AgentState, error] {
	return pages("blocks.agents.list_all", params, func(p *BlockAgentListParams) ([]*AgentState, error) { return s.List(ctx, id, p, opts...) },
		func(p *BlockAgentListParams, a *AgentState) string { p.After = a.ID; return string(a.ID) })
}

// BlockAgentListParams page the agents of a block.
type BlockAgentListParams struct {
	After                AgentID        `url:"after,omitempty"`
	Before               AgentID        `url:"before,omitempty"`
	Include              []AgentInclude `url:"include,omitempty"`
	IncludeRelationships []string       `url:"include_relationships,omitempty"`
	// Limit is the length of a page; the server's default is 50.
	Limit   int     `url:"limit,omitempty"`
	Order   Order   `url:"order,omitempty"`
	OrderBy OrderBy `url:"order_by,omitempty"`
}
