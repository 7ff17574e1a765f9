package letta

import (
	"context"
	"net/http"
)

// AgentArchiveService is client.Agents.Archives: the archives of one agent; Archives.List with AgentID lists them.
// https://docs.letta.com/api/resources/agents/subresources/archives
type AgentArchiveService struct{ core *core }

// Attach gives the agent an archive, whose passages it can then search; one that it has already is no error.
func (s *AgentArchiveService) Attach(ctx context.Context, id AgentID, archive ArchiveID, opts ...RequestOption) error {
	return s.core.send(ctx, request{op: Operation{"agents.archives.attach", http.MethodPatch, "/v1/agents/{agent_id}/archives/attach/{archive_id}"}, ids: []any{id, archive}}, nil, opts)
}

// Detach takes an archive from the agent and keeps its passages; one that it does not have is no error.
func (s *AgentArchiveService) Detach(ctx context.Context, id AgentID, archive ArchiveID, opts ...RequestOption) error {
	return s.core.send(ctx, request{op: Operation{"agents.archives.detach", http.MethodPatch, "/v1/agents/{agent_id}/archives/detach/{archive_id}"}, ids: []any{id, archive}}, nil, opts)
}
