package letta

import (
	"context"
	"iter"
	"net/http"
)

// AgentFolderService is client.Agents.Folders: the folders of one agent. Letta Cloud no longer has folders: see
// FolderService. https://docs.letta.com/api/resources/agents/subresources/folders
type AgentFolderService struct{ core *core }

// List gets one page of the agent's folders, newest first. The cursors of Letta 0.16.8 skip and repeat rows of this list: use
// ListAll, or a Limit that is large enough.
//
// Deprecated: on Letta Cloud use /v1/repositories, by Client.Do. A self-hosted server still has folders.
func (s *AgentFolderService) List(ctx context.Context, id AgentID, params *AgentFolderListParams, opts ...RequestOption) ([]*Folder, error) {
	return do[[]*Folder](ctx, s.core, request{op: Operation{"agents.folders.list", http.MethodGet, "/v1/agents/{agent_id}/folders"}, ids: []any{id}, query: params}, opts)
}

// ListAll yields all folders of the agent, in as few requests as possible.
//
// Deprecated: on Letta Cloud use /v1/repositories, by Client.Do. A self-hosted server still has folders.
func (s *AgentFolderService) ListAll(ctx context.Context, id AgentID, params *AgentFolderListParams, opts ...RequestOption) iter.Seq2[*Folder, error] {
	return whole("agents.folders.list_all", params,
		func(p *AgentFolderListParams) ([]*Folder, *bool, error) {
			rows, err := s.List(ctx, id, p, opts...)
			return rows, nil, err
		},
		func(p *AgentFolderListParams, f *Folder) string { p.After = f.ID; return string(f.ID) },
		func(p *AgentFolderListParams) *int { return &p.Limit })
}

// Attach gives the agent a folder, whose files it can then open and search. One that it has already is no error, but Letta
// 0.16.8 answers ErrConflict when a folder with files is attached again after Detach. The official clients return the
// agent, for which Letta 0.16.8 sends null.
//
// Deprecated: on Letta Cloud use /v1/repositories, by Client.Do. A self-hosted server still has folders.
func (s *AgentFolderService) Attach(ctx context.Context, id AgentID, folder FolderID, opts ...RequestOption) error {
	return s.core.send(ctx, request{op: Operation{"agents.folders.attach", http.MethodPatch, "/v1/agents/{agent_id}/folders/attach/{folder_id}"}, ids: []any{id, folder}}, nil, opts)
}

// Detach takes a folder from the agent; one that it does not have is no error.
//
// Deprecated: on Letta Cloud use /v1/repositories, by Client.Do. A self-hosted server still has folders.
func (s *AgentFolderService) Detach(ctx context.Context, id AgentID, folder FolderID, opts ...RequestOption) error {
	return s.core.send(ctx, request{op: Operation{"agents.folders.detach", http.MethodPatch, "/v1/agents/{agent_id}/folders/detach/{folder_id}"}, ids: []any{id, folder}}, nil, opts)
}

// AgentFolderListParams page the folders of an agent.
type AgentFolderListParams struct {
	After  FolderID `url:"after,omitempty"`
	Before FolderID `url:"before,omitempty"`
	// Limit is the length of a page; the server's default is 100.
	Limit   int     `url:"limit,omitempty"`
	Order   Order   `url:"order,omitempty"`
	OrderBy OrderBy `url:"order_by,omitempty"`
}
