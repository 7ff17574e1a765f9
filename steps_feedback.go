package letta

import (
	"context"
	"net/http"
)

// StepFeedbackService is client.Steps.Feedback: what users think of a step.
type StepFeedbackService struct{ core *core }

// Create sets the feedback on a step.
func (s *StepFeedbackService) Create(ctx context.Context, id StepID, params *StepFeedbackCreateParams, opts ...RequestOption) (*Step, error) {
	return do[*Step](ctx, s.core, request{op: Operation{"steps.feedback.create", http.MethodPatch, "/v1/steps/{step_id}/feedback"}, ids: []any{id}, body: params}, opts)
}

// FeedbackType is what a user thinks of a step.
type FeedbackType string

// The values known today.
const (
	FeedbackPositive FeedbackType = "positive"
	FeedbackNegative FeedbackType = "negative"
)

// StepFeedbackCreateParams are the feedback on a step.
type StepFeedbackCreateParams struct {
	// Feedback replaces what there is; null clears it, and so does leaving it out on Letta 0.16.8.
	Feedback Opt[FeedbackType] `json:"feedback,omitzero"`
	// Tags replace those of the step; on Letta 0.16.8 an empty list leaves them.
	Tags []string `json:"tags,omitzero"`
}
