package letta

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// RunService is client.Runs: turns as the server keeps them.
type RunService struct{ core *core }

func retrieveRun(id RunID) call {
	return call{method: http.MethodGet, path: "/v1/runs/{run_id}", ids: []any{id}}
}

// Retrieve gets a run.
func (s *RunService) Retrieve(ctx context.Context, id RunID, opts ...RequestOption) (*Run, error) {
	return do[*Run](ctx, s.core, retrieveRun(id), opts)
}

// streamRun is the call for the frames of a background run after one of them; 0 for all.
func streamRun(id RunID, after int) call {
	body := map[string]any{"starting_after": after, "include_pings": true}
	return call{method: http.MethodPost, path: "/v1/runs/{run_id}/stream", ids: []any{id}, body: body, turn: true}
}

// Stream gives the events of a background run after the one with the sequence number after, or all of them for 0: for
// another process than the one that began the turn. It resumes by itself. A server keeps runs for some hours; a run that
// was not in the background is ErrBadRequest.
func (s *RunService) Stream(ctx context.Context, id RunID, after int, opts ...RequestOption) (*MessageStream, error) {
	cfg, err := s.core.configure(opts)
	if err != nil {
		return nil, invalid("runs.stream", "%w", err)
	}
	stream := &MessageStream{core: s.core, opts: opts, pings: cfg.pings, resume: streamRun, runID: id, seq: after}
	return stream.start(ctx, streamRun(id, after))
}

// Wait asks for the run until it has ended, and returns it: completed, failed or cancelled. The context bounds the
// wait.
func (s *RunService) Wait(ctx context.Context, id RunID, opts ...RequestOption) (*Run, error) {
	for wait := 250 * time.Millisecond; ; wait = min(wait*3/2, 5*time.Second) {
		run, err := s.Retrieve(ctx, id, opts...)
		if err != nil || run.Ended() {
			return run, err
		}
		if err := sleep(ctx, wait); err != nil {
			return nil, invalid("runs.wait", "run %s is %s: %w", id, run.Status, errors.Join(ctx.Err(), err))
		}
	}
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
	ID                 RunID             `json:"id"`
	AgentID            AgentID           `json:"agent_id"`
	Background         bool              `json:"background,omitzero"`
	BaseTemplateID     string            `json:"base_template_id,omitzero"`
	CallbackError      string            `json:"callback_error,omitzero"`
	CallbackSentAt     time.Time         `json:"callback_sent_at,omitzero"`
	CallbackStatusCode int               `json:"callback_status_code,omitzero"`
	CallbackURL        string            `json:"callback_url,omitzero"`
	CompletedAt        time.Time         `json:"completed_at,omitzero"`
	ConversationID     ConversationID    `json:"conversation_id,omitzero"`
	CreatedAt          time.Time         `json:"created_at,omitzero"`
	Metadata           map[string]any    `json:"metadata,omitzero"`
	RequestConfig      *RunRequestConfig `json:"request_config,omitzero"`
	Status             RunStatus         `json:"status"`
	StopReason         StopReasonType    `json:"stop_reason,omitzero"`
	TotalDurationNS    int               `json:"total_duration_ns,omitzero"`
	TTFTNS             int               `json:"ttft_ns,omitzero"`
}

// Ended reports whether the run has completed, failed or been cancelled.
func (r *Run) Ended() bool {
	return r.Status == RunStatusCompleted || r.Status == RunStatusFailed || r.Status == RunStatusCancelled
}

// UnmarshalJSON reads every form of time that a server was seen to send.
func (r *Run) UnmarshalJSON(data []byte) error { return unmarshal(data, r) }

func (r *Run) plain() any {
	type fields Run
	return (*fields)(r)
}

// RunRequestConfig is how the messages of a run are shown.
type RunRequestConfig struct {
	AssistantMessageToolKwarg string        `json:"assistant_message_tool_kwarg,omitzero"`
	AssistantMessageToolName  string        `json:"assistant_message_tool_name,omitzero"`
	IncludeReturnMessageTypes []MessageType `json:"include_return_message_types,omitzero"`
	UseAssistantMessage       bool          `json:"use_assistant_message"`
}
