package letta

import (
	"context"
	"iter"
	"net/http"
)

// FolderPassageService is client.Folders.Passages: the pieces that the server has cut the files of a folder into. Only
// self-hosted servers have it.
type FolderPassageService struct{ core *core }

// List gets one page of the folder's passages, newest first.
func (s *FolderPassageService) List(ctx context.Context, id FolderID, params *FolderPassageListParams, opts ...RequestOption) ([]*Passage, error) {
	return do[[]*Passage](ctx, s.core, request{op: Operation{"folders.passages.list", http.MethodGet, "/v1/folders/{folder_id}/passages"}, ids: []any{id}, query: params}, opts)
}

// ListAll walks over all passages of the folder, page by page.
func (s *FolderPassageService) ListAll(ctx context.Context, id FolderID, params *FolderPassageListParams, opts ...RequestOption) iter.Seq2[*Passage, error] {
	return pages("folders.passages.list_all", params, func(p *FolderPassageListParams) ([]*Passage, error) { return s.List(ctx, id, p, opts...) },
		func(p *FolderPassageListParams, row *Passage) string { p.After = row.ID; return string(row.ID) })
}

// FolderPassageListParams page the passages of a folder.
type FolderPassageListParams struct {
	After  PassageID `url:"after,omitempty"`
	Before PassageID `url:"before,omitempty"`
	// Limit is the length of a page; the server's default is 100.
	Limit   int     `url:"limit,omitempty"`
	Order   Order   `url:"order,omitempty"`
	OrderBy OrderBy `url:"order_by,omitempty"`
}
