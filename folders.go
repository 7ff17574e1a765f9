package letta

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// FolderService is client.Folders: collections of files, which agents can open and search. Letta Cloud no longer has
// folders since 2026-07-17: it answers 400, and the error is ErrRetired. Its /v1/repositories is in no document that this
// package goes by; Client.Do reaches it. Letta 0.16.8 still has folders. https://docs.letta.com/api/resources/folders
type FolderService struct {
	core   *core
	Agents *FolderAgentService
	Files  *FolderFileService
	// Passages are those of a self-hosted server.
	Passages *FolderPassageService
}

// Create makes a folder. Letta 0.16.8 wants an Embedding, and a Name that no other folder has: otherwise the error is
// ErrConflict.
//
// Deprecated: on Letta Cloud use /v1/repositories, by Client.Do. A self-hosted server still has folders.
func (s *FolderService) Create(ctx context.Context, params *FolderCreateParams, opts ...RequestOption) (*Folder, error) {
	return do[*Folder](ctx, s.core, request{op: Operation{"folders.create", http.MethodPost, "/v1/folders/"}, body: params}, opts)
}

// Retrieve gets a folder, without its files.
//
// Deprecated: on Letta Cloud use /v1/repositories, by Client.Do. A self-hosted server still has folders.
func (s *FolderService) Retrieve(ctx context.Context, id FolderID, opts ...RequestOption) (*Folder, error) {
	return do[*Folder](ctx, s.core, request{op: Operation{"folders.retrieve", http.MethodGet, "/v1/folders/{folder_id}"}, ids: []any{id}}, opts)
}

// Update changes the fields that are set.
//
// Deprecated: on Letta Cloud use /v1/repositories, by Client.Do. A self-hosted server still has folders.
func (s *FolderService) Update(ctx context.Context, id FolderID, params *FolderUpdateParams, opts ...RequestOption) (*Folder, error) {
	return do[*Folder](ctx, s.core, request{op: Operation{"folders.update", http.MethodPatch, "/v1/folders/{folder_id}"}, ids: []any{id}, body: params}, opts)
}

// List gets one page of folders, oldest first.
//
// Deprecated: on Letta Cloud use /v1/repositories, by Client.Do. A self-hosted server still has folders.
func (s *FolderService) List(ctx context.Context, params *FolderListParams, opts ...RequestOption) ([]*Folder, error) {
	return do[[]*Folder](ctx, s.core, request{op: Operation{"folders.list", http.MethodGet, "/v1/folders/"}, query: params}, opts)
}

// ListAll walks over all folders, page by page.
//
// Deprecated: on Letta Cloud use /v1/repositories, by Client.Do. A self-hosted server still has folders.
func (s *FolderService) ListAll(ctx context.Context, params *FolderListParams, opts ...RequestOption) iter.Seq2[*Folder, error] {
	return pages("folders.list_all", params, func(p *FolderListParams) ([]*Folder, error) { return s.List(ctx, p, opts...) },
		func(p *FolderListParams, f *Folder) string { p.After = f.ID; return string(f.ID) })
}

// Delete removes a folder with its files, also from the agents that have it.
//
// Deprecated: on Letta Cloud use /v1/repositories, by Client.Do. A self-hosted server still has folders.
func (s *FolderService) Delete(ctx context.Context, id FolderID, opts ...RequestOption) error {
	return s.core.send(ctx, request{op: Operation{"folders.delete", http.MethodDelete, "/v1/folders/{folder_id}"}, ids: []any{id}}, nil, opts)
}

// Folder is a collection of files. Older servers call it a source, and its id still begins so.
type Folder struct {
	ID              FolderID        `json:"id"`
	EmbeddingConfig EmbeddingConfig `json:"embedding_config"`
	Name            string          `json:"name"`
	CreatedAt       time.Time       `json:"created_at,omitzero"`
	CreatedByID     string          `json:"created_by_id,omitzero"`
	Description     string          `json:"description,omitzero"`
	// Instructions tell the agents what the folder is for.
	Instructions    string         `json:"instructions,omitzero"`
	LastUpdatedByID string         `json:"last_updated_by_id,omitzero"`
	Metadata        map[string]any `json:"metadata,omitzero"`
	UpdatedAt       time.Time      `json:"updated_at,omitzero"`
	// VectorDBProvider is set where the folder is listed as that of an agent.
	VectorDBProvider VectorDBProvider `json:"vector_db_provider,omitzero"`
}

// VectorDBProvider is where the vectors of a folder or an archive lie.
type VectorDBProvider string

// The values known today; others are kept as they come.
const (
	VectorDBProviderNative   VectorDBProvider = "native"
	VectorDBProviderTpuf     VectorDBProvider = "tpuf"
	VectorDBProviderPinecone VectorDBProvider = "pinecone"
)

// FolderCreateParams describe a new folder. Name is required.
type FolderCreateParams struct {
	Name        string `json:"name" letta:"required"`
	Description string `json:"description,omitzero"`
	// Embedding is a handle, provider/model-name; client.Models.Embeddings.List names those of the server.
	Embedding string `json:"embedding,omitzero"`
	// EmbeddingChunkSize is in tokens.
	EmbeddingChunkSize int `json:"embedding_chunk_size,omitzero"`
	// Deprecated: use Embedding.
	EmbeddingConfig *EmbeddingConfig `json:"embedding_config,omitzero"`
	// Instructions tell the agents what the folder is for.
	Instructions string         `json:"instructions,omitzero"`
	Metadata     map[string]any `json:"metadata,omitzero"`
}

// FolderUpdateParams are the fields to change.
type FolderUpdateParams struct {
	Description     Opt[string]          `json:"description,omitzero"`
	EmbeddingConfig Opt[EmbeddingConfig] `json:"embedding_config,omitzero"`
	Instructions    Opt[string]          `json:"instructions,omitzero"`
	Metadata        map[string]any       `json:"metadata,omitzero"`
	Name            Opt[string]          `json:"name,omitzero"`
}

// FolderListParams filter and page folders.
type FolderListParams struct {
	After  FolderID `url:"after,omitempty"`
	Before FolderID `url:"before,omitempty"`
	// Limit is the length of a page; the server's default is 50.
	Limit   int     `url:"limit,omitempty"`
	Name    string  `url:"name,omitempty"`
	Order   Order   `url:"order,omitempty"`
	OrderBy OrderBy `url:"order_by,omitempty"`
}
