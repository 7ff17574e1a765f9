package letta

import (
	"context"
	"iter"
	"net/http"
)

// AgentBlockService is client.Agents.Blocks: the memory blocks of one agent, by label.
// https://docs.letta.com/api/resources/agents/subresources/blocks
type AgentBlockService struct{ core *core }

// Retrieve gets the agent's block of a label. A label with a slash cannot be asked for: Letta 0.16.8 has no route for it.
func (s *AgentBlockService) Retrieve(ctx context.Context, id AgentID, label string, opts ...RequestOption) (*Block, error) {
	return do[*Block](ctx, s.core, request{op: Operation{"agents.blocks.retrieve", http.MethodGet, "/v1/agents/{agent_id}/core-memory/blocks/{block_label}"}, ids: []any{id, label}}, opts)
}

// Update changes the agent's block of a label, for every agent that shares it. Letta 0.16.8 does not hold Value to Limit.
func (s *AgentBlockService) Update(ctx context.Context, id AgentID, label string, params *BlockUpdateParams, opts ...RequestOption) (*Block, error) {
	return do[*Block](ctx, s.core, request{op: Operation{"agents.blocks.update", http.MethodPatch, "/v1/agents/{agent_id}/core-memory/blocks/{block_label}"}, ids: []any{id, label}, body: params}, opts)
}

// List gets one page of the agent's blocks. Letta 0.16.8 orders them by id, whatever OrderBy says.
func (s *AgentBlockService) List(ctx context.Context, id AgentID, params *AgentBlockListParams, opts ...RequestOption) ([]*Block, error) {
	return do[[]*Block](ctx, s.core, request{op: Operation{"agents.blocks.list", http.MethodGet, "/v1/agents/{agent_id}/core-memory/blocks"}, ids: []any{id}, query: params}, opts)
}

// ListAll walks over all blocks of the agent, page by page.
func (s *AgentBlockService) ListAll(ctx context.Context, id AgentID, params *AgentBlockListParams, opts ...RequestOption) iter.Seq2[*Block, error] {
	return pages("agents.blocks.list_all", params, func(p *AgentBlockListParams) ([]*Block, error) { return s.List(ctx, id, p, opts...) },
		func(p *AgentBlockListParams, b *Block) string { p.After = b.ID; return string(b.ID) })
}

// Attach gives the agent a block, which it may share with others. If the agent has a block of that label already, the error
// is ErrConflict. The answer has all relations loaded.
func (s *AgentBlockService) Attach(ctx context.Context, id AgentID, block BlockID, opts ...RequestOption) (*AgentState, error) {
	return do[*AgentState](ctx, s.core, request{op: Operation{"agents.blocks.attach", http.MethodPatch, "/v1/agents/{agent_id}/core-memory/blocks/attach/{block_id}"}, ids: []any{id, block}}, opts)
}

// Detach takes a block from the agent and leaves it to others: Blocks.Delete deletes it. If the agent does not have it, the
// error is ErrNotFound.
func (s *AgentBlockService) Detach(ctx context.Context, id AgentID, block BlockID, opts ...RequestOption) (*AgentState, error) {
	return do[*AgentState](ctx, s.core, request{op: Operation{"agents.blocks.detach", http.MethodPatch, "/v1/agents/{agent_id}/core-memory/blocks/detach/{block_id}"}, ids: []any{id, block}}, opts)
}

// AgentBlockListParams page the blocks of an agent.
type AgentBlockListParams struct {
	After  BlockID `url:"after,omitempty"`
	Before BlockID `url:"before,omitempty"`
	// Limit is the length of a page; the server's default is 100.
	Limit   int     `url:"limit,omitempty"`
	Order   Order   `url:"order,omitempty"`
	OrderBy OrderBy `url:"order_by,omitempty"`
}
