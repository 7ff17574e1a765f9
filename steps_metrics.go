package letta

import (
	"context"
	"net/http"
)

// StepMetricService is client.Steps.Metrics: how long a step took.
type StepMetricService struct{ core *core }

// Retrieve gets the metrics of a step.
func (s *StepMetricService) Retrieve(ctx context.Context, id StepID, opts ...RequestOption) (*StepMetricRetrieveResponse, error) {
	return do[*StepMetricRetrieveResponse](ctx, s.core, request{op: Operation{"steps.metrics.retrieve", http.MethodGet, "/v1/steps/{step_id}/metrics"}, ids: []any{id}}, opts)
}

// StepMetricRetrieveResponse says how long a step took, in nanoseconds; the starts are Unix times.
type StepMetricRetrieveResponse struct {
	ID                StepID     `json:"id"`
	AgentID           AgentID    `json:"agent_id,omitzero"`
	BaseTemplateID    string     `json:"base_template_id,omitzero"`
	LLMRequestNS      int        `json:"llm_request_ns,omitzero"`
	LLMRequestStartNS int        `json:"llm_request_start_ns,omitzero"`
	ProjectID         string     `json:"project_id,omitzero"`
	ProviderID        ProviderID `json:"provider_id,omitzero"`
	RunID             RunID      `json:"run_id,omitzero"`
	StepNS            int        `json:"step_ns,omitzero"`
	StepStartNS       int        `json:"step_start_ns,omitzero"`
	TemplateID        TemplateID `json:"template_id,omitzero"`
	ToolExecutionNS   int        `json:"tool_execution_ns,omitzero"`
}
