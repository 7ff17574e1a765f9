package letta

import (
	"context"
	"iter"
	"net/http"
)

// StepMessageService is client.Steps.Messages: the messages of a step.
type StepMessageService struct{ core *core }

// List gets one page of the step's messages, oldest first.
func (s *StepMessageService) List(ctx context.Context, id StepID, params *StepMessageListParams, opts ...RequestOption) ([]Message, error) {
	return do[[]Message](ctx, s.core, request{op: Operation{"steps.messages.list", http.MethodGet, "/v1/steps/{step_id}/messages"}, ids: []any{id}, query: params}, opts)
}

// ListAll walks over all messages of the step, page by page: oldest first, or newest first if Order is OrderDesc.
func (s *StepMessageService) ListAll(ctx context.Context, id StepID, params *StepMessageListParams, opts ...RequestOption) iter.Seq2[Message, error] {
	// What is stored as one message may be several rows or none: a short page need not be the last.
	return walk("steps.messages.list_all", params, func(p *StepMessageListParams) ([]Message, error) { return s.List(ctx, id, p, opts...) },
		func(p *StepMessageListParams, m Message) string {
			p.After = m.Common().ID
			return string(p.After) + string(m.messageType()) + m.Common().Otid
		}, false)
}

// StepMessageListParams page the messages of a step.
type StepMessageListParams struct {
	After  MessageID `url:"after,omitempty"`
	Before MessageID `url:"before,omitempty"`
	// Limit is the length of a page; the server's default is 100.
	Limit   int     `url:"limit,omitempty"`
	Order   Order   `url:"order,omitempty"`
	OrderBy OrderBy `url:"order_by,omitempty"`
}
