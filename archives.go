package letta

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// ArchiveService is client.Archives: collections of passages, which agents can share.
// https://docs.letta.com/api/resources/archives
type ArchiveService struct {
	core     *core
	Passages *ArchivePassageService
}

// Create makes an archive.
func (s *ArchiveService) Create(ctx context.Context, params *ArchiveCreateParams, opts ...RequestOption) (*Archive, error) {
	return do[*Archive](ctx, s.core, request{op: Operation{"archives.create", http.MethodPost, "/v1/archives/"}, body: params}, opts)
}

// Retrieve gets an archive, without its passages.
func (s *ArchiveService) Retrieve(ctx context.Context, id ArchiveID, opts ...RequestOption) (*Archive, error) {
	return do[*Archive](ctx, s.core, request{op: Operation{"archives.retrieve", http.MethodGet, "/v1/archives/{archive_id}"}, ids: []any{id}}, opts)
}

// Update changes the fields that are set.
func (s *ArchiveService) Update(ctx context.Context, id ArchiveID, params *ArchiveUpdateParams, opts ...RequestOption) (*Archive, error) {
	return do[*Archive](ctx, s.core, request{op: Operation{"archives.update", http.MethodPatch, "/v1/archives/{archive_id}"}, ids: []any{id}, body: params}, opts)
}

// List gets one page of archives, newest first.
func (s *ArchiveService) List(ctx context.Context, params *ArchiveListParams, opts ...RequestOption) ([]*Archive, error) {
	return do[[]*Archive](ctx, s.core, request{op: Operation{"archives.list", http.MethodGet, "/v1/archives/"}, query: params}, opts)
}

// ListAll walks over all archives, page by page. If the archive at the end of a page is deleted meanwhile, Letta 0.16.8
// answers ErrNotFound.
func (s *ArchiveService) ListAll(ctx context.Context, params *ArchiveListParams, opts ...RequestOption) iter.Seq2[*Archive, error] {
	return pages("archives.list_all", params, func(p *ArchiveListParams) ([]*Archive, error) { return s.List(ctx, p, opts...) },
		func(p *ArchiveListParams, a *Archive) string { p.After = a.ID; return string(a.ID) })
}

// Delete removes an archive with its passages, also from the agents that have it.
func (s *ArchiveService) Delete(ctx context.Context, id ArchiveID, opts ...RequestOption) error {
	return s.core.send(ctx, request{op: Operation{"archives.delete", http.MethodDelete, "/v1/archives/{archive_id}"}, ids: []any{id}}, nil, opts)
}

// Archive is a collection of passages.
type Archive struct {
	ID          ArchiveID `json:"id"`
	CreatedAt   time.Time `json:"created_at"`
	Name        string    `json:"name"`
	CreatedByID string    `json:"created_by_id,omitzero"`
	Description string    `json:"description,omitzero"`
	// EmbeddingConfig is nil if the archive has no embedding model; then it can be searched by words only.
	EmbeddingConfig  *EmbeddingConfig `json:"embedding_config,omitzero"`
	LastUpdatedByID  string           `json:"last_updated_by_id,omitzero"`
	Metadata         map[string]any   `json:"metadata,omitzero"`
	UpdatedAt        time.Time        `json:"updated_at,omitzero"`
	VectorDBProvider VectorDBProvider `json:"vector_db_provider,omitzero"`
}

// ArchiveCreateParams describe a new archive. Name is required.
type ArchiveCreateParams struct {
	Name        string `json:"name" letta:"required"`
	Description string `json:"description,omitzero"`
	// Embedding is a handle, provider/model-name; client.Models.Embeddings.List names those of the server.
	Embedding string `json:"embedding,omitzero"`
	// Deprecated: use Embedding.
	EmbeddingConfig *EmbeddingConfig `json:"embedding_config,omitzero"`
}

// ArchiveUpdateParams are the fields to change.
type ArchiveUpdateParams struct {
	Description Opt[string] `json:"description,omitzero"`
	Name        Opt[string] `json:"name,omitzero"`
}

// ArchiveListParams filter and page archives.
type ArchiveListParams struct {
	After ArchiveID `url:"after,omitempty"`
	// AgentID keeps the archives of an agent.
	AgentID AgentID   `url:"agent_id,omitempty"`
	Before  ArchiveID `url:"before,omitempty"`
	// Limit is the length of a page; the server's default is 50.
	Limit   int     `url:"limit,omitempty"`
	Name    string  `url:"name,omitempty"`
	Order   Order   `url:"order,omitempty"`
	OrderBy OrderBy `url:"order_by,omitempty"`
}
