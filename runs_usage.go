package letta

import (
	"context"
	"net/http"
)

// RunUsageService is client.Runs.Usage: what a run cost.
type RunUsageService struct{ core *core }

// Retrieve sums up the tokens of the run's steps.
func (s *RunUsageService) Retrieve(ctx context.Context, id RunID, opts ...RequestOption) (*RunUsageRetrieveResponse, error) {
	return do[*RunUsageRetrieveResponse](ctx, s.core, request{op: Operation{"runs.usage.retrieve", http.MethodGet, "/v1/runs/{run_id}/usage"}, ids: []any{id}}, opts)
}

// RunUsageRetrieveResponse counts the tokens of a run.
type RunUsageRetrieveResponse struct {
	CompletionTokens        int                     `json:"completion_tokens"`
	CompletionTokensDetails CompletionTokensDetails `json:"completion_tokens_details,omitzero"`
	PromptTokens            int                     `json:"prompt_tokens"`
	PromptTokensDetails     PromptTokensDetails     `json:"prompt_tokens_details,omitzero"`
	TotalTokens             int                     `json:"total_tokens"`
}

// CompletionTokensDetails count the tokens that a model wrote.
type CompletionTokensDetails struct {
	ReasoningTokens int `json:"reasoning_tokens,omitzero"`
}

// PromptTokensDetails count the tokens that a model read.
type PromptTokensDetails struct {
	CacheCreationTokens int `json:"cache_creation_tokens,omitzero"`
	CacheReadTokens     int `json:"cache_read_tokens,omitzero"`
	CachedTokens        int `json:"cached_tokens,omitzero"`
}
