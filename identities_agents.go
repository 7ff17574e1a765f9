package letta

import (
	"context"
	"iter"
	"net/http"
)

// IdentityAgentService is client.Identities.Agents: the agents of an identity.
type IdentityAgentService struct{ core *core }

// List gets one page of the agents of the identity, newest first. Relations are nil unless params include them.
func (s *IdentityAgentService) List(ctx context.Context, id IdentityID, params *IdentityAgentListParams, opts ...RequestOption) ([]*AgentState, error) {
	p := copyOf(params)
	agents, err := do[[]*AgentState](ctx, s.core, request{op: Operation{"identities.agents.list", http.MethodGet, "/v1/identities/{identity_id}/agents"}, ids: []any{id}, query: &p}, opts)
	return dropUnloaded(agents, p.Include), err
}

// ListAll walks over all agents of the identity, page by page.
func (s *IdentityAgentService) ListAll(ctx context.Context, id IdentityID, params *IdentityAgentListParams, opts ...RequestOption) iter.Seq2[*AgentState, error] {
	return pages("identities.agents.list_all", params, func(p *IdentityAgentListParams) ([]*AgentState, error) { return s.List(ctx, id, p, opts...) },
		func(p *IdentityAgentListParams, a *AgentState) string { p.After = a.ID; return string(a.ID) })
}

// IdentityAgentListParams page the agents of an identity.
type IdentityAgentListParams struct {
	After   AgentID        `url:"after,omitempty"`
	Before  AgentID        `url:"before,omitempty"`
	Include []AgentInclude `url:"include,omitempty"`
	// Limit is the length of a page; the server's default is 50.
	Limit   int     `url:"limit,omitempty"`
	Order   Order   `url:"order,omitempty"`
	OrderBy OrderBy `url:"order_by,omitempty"`
}
