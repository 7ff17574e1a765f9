package letta

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// RunService is client.Runs: turns as the server keeps them. https://docs.letta.com/api/resources/runs
type RunService struct {
	core     *core
	Messages *RunMessageService
	Steps    *RunStepService
	Trace    *RunTraceService
	Usage    *RunUsageService
}

func retrieveRun(id RunID) request {
	return request{op: Operation{"runs.retrieve", http.MethodGet, "/v1/runs/{run_id}"}, ids: []any{id}}
}

// Retrieve gets a run.
func (s *RunService) Retrieve(ctx context.Context, id RunID, opts ...RequestOption) (*Run, error) {
	return do[*Run](ctx, s.core, retrieveRun(id), opts)
}

// List gets one page of runs, newest first.
func (s *RunService) List(ctx context.Context, params *RunListParams, opts ...RequestOption) ([]*Run, error) {
	return do[[]*Run](ctx, s.core, request{op: Operation{"runs.list", http.MethodGet, "/v1/runs/"}, query: params}, opts)
}

// ListAll walks over all runs, page by page.
func (s *RunService) ListAll(ctx context.Context, params *RunListParams, opts ...RequestOption) iter.Seq2[*Run, error] {
	return pages("runs.list_all", params, func(p *RunListParams) ([]*Run, error) { return s.List(ctx, p, opts...) },
		func(p *RunListParams, r *Run) string { p.Before = r.ID; return string(r.ID) })
}

// Wait asks for the run until it has ended, and returns it: completed, failed or cancelled. The context bounds the
// wait.
func (s *RunService) Wait(ctx context.Context, id RunID, opts ...RequestOption) (*Run, error) {
	return poll(ctx, about("runs.wait", id), func() (*Run, error) { return s.Retrieve(ctx, id, opts...) },
		func(run *Run) (string, bool) { return string(run.Status), run.Ended() })
}

// RunListParams filter and page runs.
type RunListParams struct {
	// Active keeps the runs that have not ended.
	Active bool `url:"active,omitempty"`
	// After gets the rows before the cursor, Before the rows behind it, in either order: the reverse of most lists. ListAll
	// knows that.
	After   RunID   `url:"after,omitempty"`
	AgentID AgentID `url:"agent_id,omitempty"`
	// Deprecated: use AgentID.
	AgentIDs []AgentID `url:"agent_ids,omitempty"`
	// Deprecated: use Order.
	Ascending      bool           `url:"ascending,omitempty"`
	Background     Opt[bool]      `url:"background,omitempty"`
	Before         RunID          `url:"before,omitempty"`
	ConversationID ConversationID `url:"conversation_id,omitempty"`
	// Limit is the length of a page, 1000 at most; the server's default is 100.
	Limit      int         `url:"limit,omitempty"`
	Order      Order       `url:"order,omitempty"`
	OrderBy    OrderBy     `url:"order_by,omitempty"`
	Statuses   []RunStatus `url:"statuses,omitempty"`
	StopReason StopReason  `url:"stop_reason,omitempty"`
}

// RunStatus is the state of a run.
type RunStatus string

// The values known today; others are kept as they come.
const (
	RunStatusCreated   RunStatus = "created"
	RunStatusRunning   RunStatus = "running"
	RunStatusCompleted RunStatus = "completed"
	RunStatusFailed    RunStatus = "failed"
	RunStatusCancelled RunStatus = "cancelled"
)

// Run is a turn as the server keeps it.
type Run struct {
	ID             RunID   `json:"id"`
	AgentID        AgentID `json:"agent_id"`
	Background     bool    `json:"background,omitzero"`
	BaseTemplateID string  `json:"base_template_id,omitzero"`
	// Deprecated: Letta is giving up callbacks. Use Status.
	CallbackError string `json:"callback_error,omitzero"`
	// Deprecated: Letta is giving up callbacks. Use CompletedAt.
	CallbackSentAt time.Time `json:"callback_sent_at,omitzero"`
	// Deprecated: Letta is giving up callbacks. Use Status.
	CallbackStatusCode int `json:"callback_status_code,omitzero"`
	// Deprecated: Letta is giving up callbacks. Use Runs.Wait.
	CallbackURL     string            `json:"callback_url,omitzero"`
	CompletedAt     time.Time         `json:"completed_at,omitzero"`
	ConversationID  ConversationID    `json:"conversation_id,omitzero"`
	CreatedAt       time.Time         `json:"created_at,omitzero"`
	Metadata        map[string]any    `json:"metadata,omitzero"`
	RequestConfig   *RunRequestConfig `json:"request_config,omitzero"`
	Status          RunStatus         `json:"status"`
	StopReason      StopReason        `json:"stop_reason,omitzero"`
	TotalDurationNS int               `json:"total_duration_ns,omitzero"`
	TTFTNS          int               `json:"ttft_ns,omitzero"`
}

// Ended reports whether the run has completed, failed or been cancelled.
func (r *Run) Ended() bool {
	return r.Status == RunStatusCompleted || r.Status == RunStatusFailed || r.Status == RunStatusCancelled
}

// RunRequestConfig is how the messages of a run are shown.
type RunRequestConfig struct {
	AssistantMessageToolKwarg string        `json:"assistant_message_tool_kwarg,omitzero"`
	AssistantMessageToolName  string        `json:"assistant_message_tool_name,omitzero"`
	IncludeReturnMessageTypes []MessageType `json:"include_return_message_types,omitzero"`
	UseAssistantMessage       bool          `json:"use_assistant_message"`
}
