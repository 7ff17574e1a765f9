package letta

import (
	"context"
	"net/http"
	"time"
)

// StepTraceService is client.Steps.Trace: what went to the model's provider and came back.
type StepTraceService struct{ core *core }

// Retrieve gets the trace of a step; ErrNotFound if there is none.
func (s *StepTraceService) Retrieve(ctx context.Context, id StepID, opts ...RequestOption) (*ProviderTrace, error) {
	trace, err := do[*ProviderTrace](ctx, s.core, request{op: Operation{"steps.trace.retrieve", http.MethodGet, "/v1/steps/{step_id}/trace"}, ids: []any{id}, foreign: true}, opts)
	if trace == nil && err == nil { // also of a step that does not exist, Letta 0.16.8 says null
		err = fail(about("steps.trace.retrieve", id), "%w", ErrNotFound)
	}
	return trace, err
}

// ProviderTrace is a request to a provider of models, and its answer, in the provider's own form.
type ProviderTrace struct {
	RequestJSON    map[string]any              `json:"request_json"`
	ResponseJSON   map[string]any              `json:"response_json"`
	ID             string                      `json:"id,omitzero"`
	AgentID        AgentID                     `json:"agent_id,omitzero"`
	AgentTags      []string                    `json:"agent_tags,omitzero"`
	BillingContext ProviderTraceBillingContext `json:"billing_context,omitzero"`
	// CallType is what the call was for, such as agent_step.
	CallType           string         `json:"call_type,omitzero"`
	CompactionSettings map[string]any `json:"compaction_settings,omitzero"`
	CreatedAt          time.Time      `json:"created_at,omitzero"`
	CreatedByID        string         `json:"created_by_id,omitzero"`
	LastUpdatedByID    string         `json:"last_updated_by_id,omitzero"`
	LatencyMS          int            `json:"latency_ms,omitzero"`
	LLMConfig          map[string]any `json:"llm_config,omitzero"`
	OrgID              string         `json:"org_id,omitzero"`
	RunID              RunID          `json:"run_id,omitzero"`
	Source             string         `json:"source,omitzero"`
	StepID             StepID         `json:"step_id,omitzero"`
	UpdatedAt          time.Time      `json:"updated_at,omitzero"`
}

// ProviderTraceBillingContext says who pays for a call.
type ProviderTraceBillingContext struct {
	CostSource string `json:"cost_source,omitzero"`
	CustomerID string `json:"customer_id,omitzero"`
	PlanType   string `json:"plan_type,omitzero"`
}
