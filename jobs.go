package letta

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// JobService is client.Jobs: work that the server does beside requests, such as reading an uploaded file. Self-hosted
// servers only. What an agent does in the background is a run: see Runs.
type JobService struct{ core *core }

// Retrieve gets a job.
func (s *JobService) Retrieve(ctx context.Context, id JobID, opts ...RequestOption) (*Job, error) {
	return do[*Job](ctx, s.core, request{op: Operation{"jobs.retrieve", http.MethodGet, "/v1/jobs/{job_id}"}, ids: []any{id}}, opts)
}

// List gets one page of jobs, newest first.
func (s *JobService) List(ctx context.Context, params *JobListParams, opts ...RequestOption) ([]*Job, error) {
	return do[[]*Job](ctx, s.core, request{op: Operation{"jobs.list", http.MethodGet, "/v1/jobs/"}, query: params}, opts)
}

// ListAll walks over all jobs, page by page.
func (s *JobService) ListAll(ctx context.Context, params *JobListParams, opts ...RequestOption) iter.Seq2[*Job, error] {
	return pages("jobs.list_all", params, func(p *JobListParams) ([]*Job, error) { return s.List(ctx, p, opts...) },
		func(p *JobListParams, job *Job) string { p.After = job.ID; return string(job.ID) })
}

// ListActive gets one page of the jobs that have not ended.
//
// Deprecated: use List with Active.
func (s *JobService) ListActive(ctx context.Context, params *JobListActiveParams, opts ...RequestOption) ([]*Job, error) {
	return do[[]*Job](ctx, s.core, request{op: Operation{"jobs.list_active", http.MethodGet, "/v1/jobs/active"}, query: params}, opts)
}

// Delete deletes a job and returns it.
func (s *JobService) Delete(ctx context.Context, id JobID, opts ...RequestOption) (*Job, error) {
	return do[*Job](ctx, s.core, request{op: Operation{"jobs.delete", http.MethodDelete, "/v1/jobs/{job_id}"}, ids: []any{id}}, opts)
}

// Cancel stops a job.
func (s *JobService) Cancel(ctx context.Context, id JobID, opts ...RequestOption) (*Job, error) {
	return do[*Job](ctx, s.core, request{op: Operation{"jobs.cancel", http.MethodPatch, "/v1/jobs/{job_id}/cancel"}, ids: []any{id}}, opts)
}

// JobStatus is the state of a job.
type JobStatus string

// The values known today; others are kept as they come.
const (
	JobStatusCreated   JobStatus = "created"
	JobStatusRunning   JobStatus = "running"
	JobStatusCompleted JobStatus = "completed"
	JobStatusFailed    JobStatus = "failed"
	JobStatusPending   JobStatus = "pending"
	JobStatusCancelled JobStatus = "cancelled"
	JobStatusExpired   JobStatus = "expired"
)

// JobType is a kind of job.
type JobType string

// The values known today; others are kept as they come.
const (
	JobTypeJob   JobType = "job"
	JobTypeRun   JobType = "run"
	JobTypeBatch JobType = "batch"
)

// Job is work that the server does beside requests.
type Job struct {
	ID                 JobID          `json:"id"`
	AgentID            AgentID        `json:"agent_id,omitzero"`
	Background         bool           `json:"background,omitzero"`
	CallbackError      string         `json:"callback_error,omitzero"`
	CallbackSentAt     time.Time      `json:"callback_sent_at,omitzero"`
	CallbackStatusCode int            `json:"callback_status_code,omitzero"`
	CallbackURL        string         `json:"callback_url,omitzero"`
	CompletedAt        time.Time      `json:"completed_at,omitzero"`
	CreatedAt          time.Time      `json:"created_at,omitzero"`
	CreatedByID        string         `json:"created_by_id,omitzero"`
	JobType            JobType        `json:"job_type"`
	LastUpdatedByID    string         `json:"last_updated_by_id,omitzero"`
	Metadata           map[string]any `json:"metadata,omitzero"`
	Status             JobStatus      `json:"status"`
	StopReason         StopReason     `json:"stop_reason,omitzero"`
	TotalDurationNS    int            `json:"total_duration_ns,omitzero"` // in nanoseconds
	TTFTNS             int            `json:"ttft_ns,omitzero"`           // to the first token, in nanoseconds
	UpdatedAt          time.Time      `json:"updated_at,omitzero"`
}

// JobListParams filter and page jobs.
type JobListParams struct {
	// Active keeps the jobs that have not ended.
	Active bool  `url:"active,omitempty"`
	After  JobID `url:"after,omitempty"`
	// Deprecated: use Order.
	Ascending Opt[bool] `url:"ascending,omitempty"`
	Before    JobID     `url:"before,omitempty"`
	// Limit is the length of a page; the server's default is 100.
	Limit   int     `url:"limit,omitempty"`
	Order   Order   `url:"order,omitempty"`
	OrderBy OrderBy `url:"order_by,omitempty"`
	// Deprecated: Letta calls a source a folder now, and no jobs have one: leave it out.
	SourceID FolderID `url:"source_id,omitempty"`
}

// JobListActiveParams page the jobs that have not ended.
type JobListActiveParams struct {
	After     JobID     `url:"after,omitempty"`
	Ascending Opt[bool] `url:"ascending,omitempty"`
	Before    JobID     `url:"before,omitempty"`
	// Limit is the length of a page; the server's default is 50.
	Limit int `url:"limit,omitempty"`
	// Deprecated: Letta calls a source a folder now, and no jobs have one: leave it out.
	SourceID FolderID `url:"source_id,omitempty"`
}
