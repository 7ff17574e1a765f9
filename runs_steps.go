package letta

import (
	"context"
	"iter"
	"net/http"
)

// RunStepService is client.Runs.Steps: the steps of a run.
type RunStepService struct{ core *core }

// List gets one page of the run's steps, newest first.
func (s *RunStepService) List(ctx context.Context, id RunID, params *RunStepListParams, opts ...RequestOption) ([]*Step, error) {
	return do[[]*Step](ctx, s.core, request{op: Operation{"runs.steps.list", http.MethodGet, "/v1/runs/{run_id}/steps"}, ids: []any{id}, query: params}, opts)
}

// ListAll walks over all steps of the run, page by page.
func (s *RunStepService) ListAll(ctx context.Context, id RunID, params *RunStepListParams, opts ...RequestOption) iter.Seq2[*Step, error] {
	return pages("runs.steps.list_all", params, func(p *RunStepListParams) ([]*Step, error) { return s.List(ctx, id, p, opts...) },
		func(p *RunStepListParams, step *Step) string { p.After = step.ID; return string(step.ID) })
}

// RunStepListParams page the steps of a run.
type RunStepListParams struct {
	After  StepID `url:"after,omitempty"`
	Before StepID `url:"before,omitempty"`
	// Limit is the length of a page; the server's default is 100.
	Limit   int     `url:"limit,omitempty"`
	Order   Order   `url:"order,omitempty"`
	OrderBy OrderBy `url:"order_by,omitempty"`
}
