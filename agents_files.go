package letta

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// AgentFileService is client.Agents.Files: the files of the folders that an agent has, and which of them are open in its
// context. Letta Cloud no longer has folders: see FolderService.
// https://docs.letta.com/api/resources/agents/subresources/files
type AgentFileService struct{ core *core }

// List gets one page of the agent's files. Letta 0.16.8 orders a first page by id and later ones by time, and looks for
// greater ids than the cursor's: pages that follow a cursor can lack files. Use ListAll, or a Limit that is large enough.
func (s *AgentFileService) List(ctx context.Context, id AgentID, params *AgentFileListParams, opts ...RequestOption) (*AgentFileListResponse, error) {
	return do[*AgentFileListResponse](ctx, s.core, request{op: Operation{"agents.files.list", http.MethodGet, "/v1/agents/{agent_id}/files"}, ids: []any{id}, query: params}, opts)
}

// ListAll yields all files of the agent, in as few requests as possible.
func (s *AgentFileService) ListAll(ctx context.Context, id AgentID, params *AgentFileListParams, opts ...RequestOption) iter.Seq2[*AgentFile, error] {
	return whole("agents.files.list_all", params,
		func(p *AgentFileListParams) ([]*AgentFile, *bool, error) {
			page, err := s.List(ctx, id, p, opts...)
			if err != nil {
				return nil, nil, err
			}
			return page.Files, &page.HasMore, nil
		},
		func(p *AgentFileListParams, f *AgentFile) string { p.After = f.ID; return string(f.ID) },
		func(p *AgentFileListParams) *int { return &p.Limit })
}

// Open opens a file in the agent's context. The answer names the files that were closed to make room.
func (s *AgentFileService) Open(ctx context.Context, id AgentID, file FileID, opts ...RequestOption) ([]string, error) {
	return do[[]string](ctx, s.core, request{op: Operation{"agents.files.open", http.MethodPatch, "/v1/agents/{agent_id}/files/{file_id}/open"}, ids: []any{id, file}}, opts)
}

// Close closes a file in the agent's context.
func (s *AgentFileService) Close(ctx context.Context, id AgentID, file FileID, opts ...RequestOption) error {
	return s.core.send(ctx, request{op: Operation{"agents.files.close", http.MethodPatch, "/v1/agents/{agent_id}/files/{file_id}/close"}, ids: []any{id, file}}, nil, opts)
}

// CloseAll closes all files in the agent's context and names them.
func (s *AgentFileService) CloseAll(ctx context.Context, id AgentID, opts ...RequestOption) ([]string, error) {
	return do[[]string](ctx, s.core, request{op: Operation{"agents.files.close_all", http.MethodPatch, "/v1/agents/{agent_id}/files/close-all"}, ids: []any{id}}, opts)
}

// AgentFile is a file as one agent sees it.
type AgentFile struct {
	ID     AgentFileID `json:"id"`
	FileID FileID      `json:"file_id"`
	// FileName is folder/file.
	FileName   string   `json:"file_name"`
	FolderID   FolderID `json:"folder_id"`
	FolderName string   `json:"folder_name"`
	IsOpen     bool     `json:"is_open"`
	// StartLine and EndLine bound what is visible, counted from 1; 0 where the server does not say.
	StartLine      int       `json:"start_line,omitzero"`
	EndLine        int       `json:"end_line,omitzero"`
	LastAccessedAt time.Time `json:"last_accessed_at,omitzero"`
	VisibleContent string    `json:"visible_content,omitzero"`
}

// AgentFileListResponse is a page of the files of an agent.
type AgentFileListResponse struct {
	Files      []*AgentFile `json:"files"`
	HasMore    bool         `json:"has_more"`
	NextCursor AgentFileID  `json:"next_cursor,omitzero"` // the After of the next page
}

// AgentFileListParams filter and page the files of an agent.
type AgentFileListParams struct {
	After  AgentFileID `url:"after,omitempty"`
	Before AgentFileID `url:"before,omitempty"`
	// Deprecated: use After.
	Cursor AgentFileID `url:"cursor,omitempty"`
	// IsOpen keeps the files that are open, or those that are not.
	IsOpen Opt[bool] `url:"is_open,omitempty"`
	// Limit is the length of a page; the server's default is 100.
	Limit   int     `url:"limit,omitempty"`
	Order   Order   `url:"order,omitempty"`
	OrderBy OrderBy `url:"order_by,omitempty"`
}
