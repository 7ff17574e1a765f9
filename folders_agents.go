package letta

import (
	"context"
	"iter"
	"net/http"
)

// FolderAgentService is client.Folders.Agents: the agents that have a folder.
// https://docs.letta.com/api/resources/folders/subresources/agents
type FolderAgentService struct{ core *core }

// List gets one page of the ids of the agents that have the folder, newest first.
//
// Deprecated: on Letta Cloud use /v1/repositories, by Client.Do. A self-hosted server still has folders.
func (s *FolderAgentService) List(ctx context.Context, id FolderID, params *FolderAgentListParams, opts ...RequestOption) ([]AgentID, error) {
	return do[[]AgentID](ctx, s.core, request{op: Operation{"folders.agents.list", http.MethodGet, "/v1/folders/{folder_id}/agents"}, ids: []any{id}, query: params}, opts)
}

// ListAll walks over the ids of all agents that have the folder, page by page.
//
// Deprecated: on Letta Cloud use /v1/repositories, by Client.Do. A self-hosted server still has folders.
func (s *FolderAgentService) ListAll(ctx context.Context, id FolderID, params *FolderAgentListParams, opts ...RequestOption) iter.Seq2[AgentID, error] {
	return pages("folders.agents.list_all", params, func(p *FolderAgentListParams) ([]AgentID, error) { return s.List(ctx, id, p, opts...) },
		func(p *FolderAgentListParams, agent AgentID) string { p.After = agent; return string(agent) })
}

// FolderAgentListParams page the agents of a folder.
type FolderAgentListParams struct {
	After  AgentID `url:"after,omitempty"`
	Before AgentID `url:"before,omitempty"`
	// Limit is the length of a page; the server's default is 50.
	Limit   int     `url:"limit,omitempty"`
	Order   Order   `url:"order,omitempty"`
	OrderBy OrderBy `url:"order_by,omitempty"`
}
