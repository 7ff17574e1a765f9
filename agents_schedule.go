package letta

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// AgentScheduleService is client.Agents.Schedule: messages that Letta Cloud sends to an agent later. Letta 0.16.8 does not
// have it: the error is ErrNotFound. https://docs.letta.com/api/resources/agents/subresources/schedule
type AgentScheduleService struct{ core *core }

// Create schedules messages, for ScheduleAt a time or by ScheduleCron.
func (s *AgentScheduleService) Create(ctx context.Context, id AgentID, params *AgentScheduleCreateParams, opts ...RequestOption) (*AgentScheduleCreateResponse, error) {
	return do[*AgentScheduleCreateResponse](ctx, s.core, request{op: Operation{"agents.schedule.create", http.MethodPost, "/v1/agents/{agent_id}/schedule"}, ids: []any{id}, body: params}, opts)
}

// Retrieve gets a scheduled message.
func (s *AgentScheduleService) Retrieve(ctx context.Context, id AgentID, scheduled ScheduledMessageID, opts ...RequestOption) (*ScheduledMessage, error) {
	return do[*ScheduledMessage](ctx, s.core, request{op: Operation{"agents.schedule.retrieve", http.MethodGet, "/v1/agents/{agent_id}/schedule/{scheduled_message_id}"}, ids: []any{id, scheduled}}, opts)
}

// List gets one page of the agent's scheduled messages.
func (s *AgentScheduleService) List(ctx context.Context, id AgentID, params *AgentScheduleListParams, opts ...RequestOption) (*AgentScheduleListResponse, error) {
	return do[*AgentScheduleListResponse](ctx, s.core, request{op: Operation{"agents.schedule.list", http.MethodGet, "/v1/agents/{agent_id}/schedule"}, ids: []any{id}, query: params}, opts)
}

// ListAll walks over all scheduled messages of the agent, page by page.
func (s *AgentScheduleService) ListAll(ctx context.Context, id AgentID, params *AgentScheduleListParams, opts ...RequestOption) iter.Seq2[*ScheduledMessage, error] {
	return flagged("agents.schedule.list_all", params, func(p *AgentScheduleListParams) ([]*ScheduledMessage, bool, error) {
		page, err := s.List(ctx, id, p, opts...)
		if err != nil {
			return nil, false, err
		}
		return page.ScheduledMessages, page.HasNextPage, nil
	}, func(p *AgentScheduleListParams, m *ScheduledMessage) string { p.After = m.ID; return string(m.ID) })
}

// Delete takes back a scheduled message.
func (s *AgentScheduleService) Delete(ctx context.Context, id AgentID, scheduled ScheduledMessageID, opts ...RequestOption) error {
	return s.core.send(ctx, request{op: Operation{"agents.schedule.delete", http.MethodDelete, "/v1/agents/{agent_id}/schedule/{scheduled_message_id}"}, ids: []any{id, scheduled}}, nil, opts)
}

// Schedule says when messages are sent. ScheduleAt and ScheduleCron make one.
type Schedule struct {
	Type ScheduleType `json:"type,omitzero"`
	// ScheduledAt is the time of ScheduleTypeOneTime, in milliseconds since 1970.
	ScheduledAt float64 `json:"scheduled_at,omitzero"`
	// CronExpression is the rule of ScheduleTypeRecurring, such as "0 9 * * 1-5".
	CronExpression string `json:"cron_expression,omitzero"`
}

// ScheduleType is the kind of a schedule.
type ScheduleType string

// The values known today; others are kept as they come.
const (
	ScheduleTypeOneTime   ScheduleType = "one-time"
	ScheduleTypeRecurring ScheduleType = "recurring"
)

// ScheduleAt sends once, at a time, which is cut to milliseconds.
func ScheduleAt(t time.Time) Schedule {
	return Schedule{Type: ScheduleTypeOneTime, ScheduledAt: float64(t.UnixMilli())}
}

// ScheduleCron sends again and again, by a cron expression.
func ScheduleCron(expression string) Schedule {
	return Schedule{Type: ScheduleTypeRecurring, CronExpression: expression}
}

// ScheduledMessage are messages that wait for their time.
type ScheduledMessage struct {
	ID       ScheduledMessageID      `json:"id"`
	AgentID  AgentID                 `json:"agent_id"`
	Message  ScheduledMessageContent `json:"message"`
	Schedule Schedule                `json:"schedule"`
	// NextScheduledTime comes as the server has it.
	NextScheduledTime string `json:"next_scheduled_time,omitzero"`
}

// ScheduledMessageContent is what is sent at the time.
type ScheduledMessageContent struct {
	Messages []MessageCreate `json:"messages"`
	// Deprecated: poll Runs instead.
	CallbackURL               string        `json:"callback_url,omitzero"`
	IncludeReturnMessageTypes []MessageType `json:"include_return_message_types,omitzero"`
	MaxSteps                  float64       `json:"max_steps,omitzero"`
}

// AgentScheduleCreateParams describe messages for later. Messages and Schedule are required.
type AgentScheduleCreateParams struct {
	Messages []MessageCreate `json:"messages" letta:"required"`
	Schedule Schedule        `json:"schedule" letta:"required"`
	// Deprecated: poll Runs instead.
	CallbackURL               string        `json:"callback_url,omitzero"`
	IncludeReturnMessageTypes []MessageType `json:"include_return_message_types,omitzero"`
	MaxSteps                  int           `json:"max_steps,omitzero"`
}

// AgentScheduleCreateResponse names what was scheduled.
type AgentScheduleCreateResponse struct {
	ID ScheduledMessageID `json:"id"`
	// NextScheduledAt comes as the server has it.
	NextScheduledAt string `json:"next_scheduled_at,omitzero"`
}

// AgentScheduleListParams page the scheduled messages of an agent.
type AgentScheduleListParams struct {
	After ScheduledMessageID `url:"after,omitempty"`
	// Limit is the length of a page.
	Limit int `url:"limit,omitempty"`
}

// AgentScheduleListResponse is a page of the scheduled messages of an agent.
type AgentScheduleListResponse struct {
	HasNextPage       bool                `json:"has_next_page"`
	ScheduledMessages []*ScheduledMessage `json:"scheduled_messages"`
}
