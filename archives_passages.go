package letta

import (
	"context"
	"net/http"
	"time"
)

// ArchivePassageService is client.Archives.Passages: the passages of one archive. Passages.Search finds them.
// https://docs.letta.com/api/resources/archives/subresources/passages
type ArchivePassageService struct{ core *core }

// Create adds a passage to the archive. Letta 0.16.8 takes an empty text, too; this method does not.
func (s *ArchivePassageService) Create(ctx context.Context, id ArchiveID, params *ArchivePassageCreateParams, opts ...RequestOption) (*Passage, error) {
	return do[*Passage](ctx, s.core, request{op: Operation{"archives.passages.create", http.MethodPost, "/v1/archives/{archive_id}/passages"}, ids: []any{id}, body: params}, opts)
}

// CreateMany adds passages to the archive in one request.
func (s *ArchivePassageService) CreateMany(ctx context.Context, id ArchiveID, params *ArchivePassageCreateManyParams, opts ...RequestOption) ([]*Passage, error) {
	return do[[]*Passage](ctx, s.core, request{op: Operation{"archives.passages.create_many", http.MethodPost, "/v1/archives/{archive_id}/passages/batch"}, ids: []any{id}, body: params}, opts)
}

// Delete removes a passage from the archive.
func (s *ArchivePassageService) Delete(ctx context.Context, id ArchiveID, passage PassageID, opts ...RequestOption) error {
	return s.core.send(ctx, request{op: Operation{"archives.passages.delete", http.MethodDelete, "/v1/archives/{archive_id}/passages/{passage_id}"}, ids: []any{id, passage}}, nil, opts)
}

// ArchivePassageCreateParams describe a new passage. Text is required.
type ArchivePassageCreateParams struct {
	Text string `json:"text" letta:"required"`
	// CreatedAt is now when left out.
	CreatedAt time.Time      `json:"created_at,omitzero"`
	Metadata  map[string]any `json:"metadata,omitzero"`
	Tags      []string       `json:"tags,omitzero"`
}

// ArchivePassageCreateManyParams hold the new passages.
type ArchivePassageCreateManyParams struct {
	Passages []ArchivePassageCreateParams `json:"passages" letta:"required"`
}
