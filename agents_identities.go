package letta

import (
	"context"
	"net/http"
)

// AgentIdentityService is client.Agents.Identities: the identities of one agent.
// https://docs.letta.com/api/resources/agents/subresources/identities
type AgentIdentityService struct{ core *core }

// Attach ties the agent to an identity; one that it has already is no error.
func (s *AgentIdentityService) Attach(ctx context.Context, id AgentID, identity IdentityID, opts ...RequestOption) error {
	return s.core.send(ctx, request{op: Operation{"agents.identities.attach", http.MethodPatch, "/v1/agents/{agent_id}/identities/attach/{identity_id}"}, ids: []any{id, identity}}, nil, opts)
}

// Detach unties the agent from an identity; one that it does not have is no error.
func (s *AgentIdentityService) Detach(ctx context.Context, id AgentID, identity IdentityID, opts ...RequestOption) error {
	return s.core.send(ctx, request{op: Operation{"agents.identities.detach", http.MethodPatch, "/v1/agents/{agent_id}/identities/detach/{identity_id}"}, ids: []any{id, identity}}, nil, opts)
}
