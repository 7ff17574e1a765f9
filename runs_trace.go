package letta

import (
	"context"
	"net/http"
)

// RunTraceService is client.Runs.Trace: what a run did, for debugging.
type RunTraceService struct{ core *core }

// Retrieve gets the OpenTelemetry spans of the run. A server of your own answers 501 unless it stores traces.
func (s *RunTraceService) Retrieve(ctx context.Context, id RunID, params *RunTraceRetrieveParams, opts ...RequestOption) ([]map[string]any, error) {
	return do[[]map[string]any](ctx, s.core, request{op: Operation{"runs.trace.retrieve", http.MethodGet, "/v1/runs/{run_id}/trace"}, ids: []any{id}, query: params}, opts)
}

// RunTraceRetrieveParams bound a trace.
type RunTraceRetrieveParams struct {
	// Limit is the most spans to get; the server's default is 1000.
	Limit int `url:"limit,omitempty"`
}
