package letta

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"time"
)

// StepService is client.Steps: single calls of a model. https://docs.letta.com/api/resources/steps
type StepService struct {
	core     *core
	Feedback *StepFeedbackService
	Messages *StepMessageService
	Metrics  *StepMetricService
	Trace    *StepTraceService
}

// Retrieve gets a step.
func (s *StepService) Retrieve(ctx context.Context, id StepID, opts ...RequestOption) (*Step, error) {
	return do[*Step](ctx, s.core, request{op: Operation{"steps.retrieve", http.MethodGet, "/v1/steps/{step_id}"}, ids: []any{id}}, opts)
}

// List gets one page of steps, newest first. 0.16.8 always answers 400, by a mistake of its own; there, Runs.Steps.List
// gets those of a run.
func (s *StepService) List(ctx context.Context, params *StepListParams, opts ...RequestOption) ([]*Step, error) {
	return do[[]*Step](ctx, s.core, request{op: Operation{"steps.list", http.MethodGet, "/v1/steps/"}, query: params}, opts)
}

// ListAll walks over all steps, page by page.
func (s *StepService) ListAll(ctx context.Context, params *StepListParams, opts ...RequestOption) iter.Seq2[*Step, error] {
	return pages("steps.list_all", params, func(p *StepListParams) ([]*Step, error) { return s.List(ctx, p, opts...) },
		func(p *StepListParams, step *Step) string { p.After = step.ID; return string(step.ID) })
}

// StepStatus is the state of a step.
type StepStatus string

// The values known today; others are kept as they come.
const (
	StepStatusPending   StepStatus = "pending"
	StepStatusSuccess   StepStatus = "success"
	StepStatusFailed    StepStatus = "failed"
	StepStatusCancelled StepStatus = "cancelled"
)

// Step is one call of a model, with the tools that it called.
type Step struct {
	ID                      StepID         `json:"id"`
	AgentID                 AgentID        `json:"agent_id,omitzero"`
	CacheWriteTokens        int            `json:"cache_write_tokens,omitzero"`
	CachedInputTokens       int            `json:"cached_input_tokens,omitzero"`
	CompletionTokens        int            `json:"completion_tokens,omitzero"`
	CompletionTokensDetails map[string]any `json:"completion_tokens_details,omitzero"`
	// ContextWindowLimit is in tokens.
	ContextWindowLimit int            `json:"context_window_limit,omitzero"`
	ErrorData          map[string]any `json:"error_data,omitzero"`
	ErrorType          string         `json:"error_type,omitzero"`
	Feedback           FeedbackType   `json:"feedback,omitzero"`
	// Deprecated: by Letta, in favour of Steps.Messages.
	Messages            []json.RawMessage `json:"messages,omitzero"`
	Model               string            `json:"model,omitzero"`
	ModelEndpoint       string            `json:"model_endpoint,omitzero"`
	ModelHandle         string            `json:"model_handle,omitzero"`
	Origin              string            `json:"origin,omitzero"`
	ProjectID           string            `json:"project_id,omitzero"`
	PromptTokens        int               `json:"prompt_tokens,omitzero"`
	PromptTokensDetails map[string]any    `json:"prompt_tokens_details,omitzero"`
	ProviderCategory    ProviderCategory  `json:"provider_category,omitzero"`
	ProviderID          ProviderID        `json:"provider_id,omitzero"`
	ProviderName        string            `json:"provider_name,omitzero"`
	ReasoningTokens     int               `json:"reasoning_tokens,omitzero"`
	RequestID           string            `json:"request_id,omitzero"`
	RunID               RunID             `json:"run_id,omitzero"`
	Status              StepStatus        `json:"status,omitzero"`
	StopReason          StopReason        `json:"stop_reason,omitzero"`
	Tags                []string          `json:"tags,omitzero"`
	TID                 string            `json:"tid,omitzero"`
	TotalTokens         int               `json:"total_tokens,omitzero"`
	TraceID             string            `json:"trace_id,omitzero"`
}

// StepListParams filter and page steps.
type StepListParams struct {
	After       StepID       `url:"after,omitempty"`
	AgentID     AgentID      `url:"agent_id,omitempty"`
	Before      StepID       `url:"before,omitempty"`
	EndDate     time.Time    `url:"end_date,omitempty" layout:"2006-01-02T15:04:05.999999Z07:00"`
	Feedback    FeedbackType `url:"feedback,omitempty"`
	HasFeedback Opt[bool]    `url:"has_feedback,omitempty"`
	// Limit is the length of a page; the server's default is 50.
	Limit     int       `url:"limit,omitempty"`
	Model     string    `url:"model,omitempty"`
	Order     Order     `url:"order,omitempty"`
	OrderBy   OrderBy   `url:"order_by,omitempty"`
	ProjectID string    `url:"project_id,omitempty"`
	StartDate time.Time `url:"start_date,omitempty" layout:"2006-01-02T15:04:05.999999Z07:00"`
	// Tags keep the steps with any of these tags of feedback.
	Tags     []string `url:"tags,omitempty"`
	TraceIDs []string `url:"trace_ids,omitempty"`
}
