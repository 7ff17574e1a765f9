package letta

import (
	"context"
	"net/http"
	"time"
)

// PassageService is client.Passages: the passages of all archives. https://docs.letta.com/api/resources/passages
type PassageService struct{ core *core }

// Search finds the passages that are closest in meaning to Query, of one agent, of one archive, or of all. Without Query it
// filters by tags and dates.
func (s *PassageService) Search(ctx context.Context, params *PassageSearchParams, opts ...RequestOption) ([]PassageSearchResult, error) {
	p := copyOf(params)
	return do[[]PassageSearchResult](ctx, s.core, request{op: Operation{"passages.search", http.MethodPost, "/v1/passages/search"}, body: &p}, opts)
}

// PassageSearchParams say what to search for, and where: AgentID or ArchiveID, not both.
type PassageSearchParams struct {
	AgentID   AgentID   `json:"agent_id,omitzero"`
	ArchiveID ArchiveID `json:"archive_id,omitzero"`
	EndDate   time.Time `json:"end_date,omitzero"`
	// Limit is the most results; the server's default is 50.
	Limit        int          `json:"limit,omitzero"`
	Query        string       `json:"query,omitzero"`
	StartDate    time.Time    `json:"start_date,omitzero"`
	TagMatchMode TagMatchMode `json:"tag_match_mode,omitzero"`
	Tags         []string     `json:"tags,omitzero"`
}

// PassageSearchResult is a passage that a search found.
type PassageSearchResult struct {
	Passage Passage `json:"passage"`
	// Score is 0 on Letta 0.16.8 when it searches its own database.
	Score    float64        `json:"score"`
	Metadata map[string]any `json:"metadata,omitzero"`
}

// Passage is a text of an archive, or a piece of a file of a folder.
type Passage struct {
	ID   PassageID `json:"id"`
	Text string    `json:"text"`
	// Embedding is padded with zeros by Letta 0.16.8.
	Embedding       []float64        `json:"embedding,omitzero"`
	EmbeddingConfig *EmbeddingConfig `json:"embedding_config,omitzero"`
	ArchiveID       ArchiveID        `json:"archive_id,omitzero"`
	CreatedAt       time.Time        `json:"created_at,omitzero"`
	CreatedByID     string           `json:"created_by_id,omitzero"`
	FileID          FileID           `json:"file_id,omitzero"`
	FileName        string           `json:"file_name,omitzero"`
	IsDeleted       bool             `json:"is_deleted,omitzero"`
	LastUpdatedByID string           `json:"last_updated_by_id,omitzero"`
	Metadata        map[string]any   `json:"metadata,omitzero"`
	// Deprecated: use FileID, whose folder it is.
	SourceID  FolderID  `json:"source_id,omitzero"`
	Tags      []string  `json:"tags,omitzero"`
	UpdatedAt time.Time `json:"updated_at,omitzero"`
}
