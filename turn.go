package letta

import (
	"errors"
	"slices"
	"strings"
)

// Turn is a whole turn of an agent: what Create, Respond and RunTools return, and what a stream adds up to.
type Turn struct {
	Messages   Messages             `json:"messages"`
	StopReason StopReason           `json:"stop_reason"` // in JSON, an object with message_type, as the server writes it
	Usage      LettaUsageStatistics `json:"usage"`
	Logprobs   *Logprobs            `json:"logprobs,omitzero"`
	Turns      []ModelTurn          `json:"turns,omitzero"`
	RunIDs     []RunID              `json:"run_ids,omitzero"`  // of a stream
	Warnings   []*StreamError       `json:"warnings,omitzero"` // failures after the turn was complete
}

// MarshalJSON writes the stop reason as the server does.
func (t Turn) MarshalJSON() ([]byte, error) { return marshal(t.withoutMethods()) }

// UnmarshalJSON reads what MarshalJSON writes, and the server's answers.
func (t *Turn) UnmarshalJSON(data []byte) error { return unmarshal(data, t) }

func (t *Turn) withoutMethods() any {
	type fields Turn
	return &struct {
		*fields
		StopReason stopReason `json:"stop_reason"`
	}{(*fields)(t), stopReason{"stop_reason", &t.StopReason}}
}

// wellFormed refuses an answer that is no turn, such as an error that a proxy sends with the status 200.
func (t *Turn) wellFormed() error {
	if t.StopReason == "" && t.Messages == nil {
		return errors.New("it has neither messages nor a stop reason")
	}
	return nil
}

// Text is what the agent said, one line per message.
func (t *Turn) Text() string {
	var lines []string
	for _, m := range t.Messages {
		if m, ok := m.(*AssistantMessage); ok {
			lines = append(lines, m.Content.String())
		}
	}
	return strings.Join(lines, "\n")
}

// ToolCalls are the calls that the agent made, those that wait for an approval too.
func (t *Turn) ToolCalls() []ToolCall {
	var calls []ToolCall
	for _, m := range t.Messages {
		switch m := m.(type) {
		case *ToolCallMessage:
			calls = append(calls, callsOf(m.ToolCalls, m.ToolCall)...)
		case *ApprovalRequestMessage:
			calls = append(calls, m.Calls()...)
		}
	}
	return calls
}

// PendingCalls are the calls that wait for an approval or for the return of a client tool; all of them have to be
// answered in one request.
func (t *Turn) PendingCalls() []ToolCall {
	var asked []ToolCall
	waits := map[ToolCallID]bool{} // false once it has returned
	for _, m := range t.Messages {
		switch m := m.(type) {
		case *ApprovalRequestMessage:
			for _, c := range m.Calls() {
				if !waits[c.ToolCallID] {
					waits[c.ToolCallID] = true
					asked = append(asked, c)
				}
			}
		case *ToolReturnMessage:
			waits[m.ToolCallID] = false
			for _, r := range m.ToolReturns {
				waits[r.ToolCallID] = false
			}
		}
	}
	return slices.DeleteFunc(callsOf(asked, nil), func(c ToolCall) bool { return !waits[c.ToolCallID] })
}

// callsOf are the calls of a message, each once.
func callsOf(calls []ToolCall, older *ToolCall) []ToolCall {
	if len(calls) == 0 && older != nil {
		return []ToolCall{*older}
	}
	var once []ToolCall
	seen := make(map[ToolCallID]bool, len(calls))
	for _, c := range calls {
		if !seen[c.ToolCallID] {
			seen[c.ToolCallID] = true
			once = append(once, c)
		}
	}
	return once
}

// Complete reports whether the turn ended as it should: not by an error, a limit of the account or a context that is
// too small. A turn that waits for an approval, was cancelled or reached its steps is complete.
func (t *Turn) Complete() bool {
	switch t.StopReason {
	case "", StopReasonError, StopReasonLLMAPIError, StopReasonInvalidLLMResponse, StopReasonInvalidToolCall,
		StopReasonInsufficientCredits, StopReasonContextWindowOverflowInSystemPrompt:
		return false
	}
	return true
}

// stopReason is how the server writes a StopReason of a turn. It points to where it belongs.
type stopReason struct {
	MessageType MessageType `json:"message_type"`
	StopReason  *StopReason `json:"stop_reason"`
}

// LettaUsageStatistics count tokens and steps of a turn.
type LettaUsageStatistics struct {
	MessageType       string  `json:"message_type,omitzero"`
	CompletionTokens  int     `json:"completion_tokens"`
	PromptTokens      int     `json:"prompt_tokens"`
	TotalTokens       int     `json:"total_tokens"`
	StepCount         int     `json:"step_count"`
	ContextTokens     int     `json:"context_tokens,omitzero"`
	CachedInputTokens int     `json:"cached_input_tokens,omitzero"`
	CacheWriteTokens  int     `json:"cache_write_tokens,omitzero"`
	ReasoningTokens   int     `json:"reasoning_tokens,omitzero"`
	RunIDs            []RunID `json:"run_ids,omitzero"`
}

// Logprobs are the log probabilities of tokens, for those who train models.
type Logprobs struct {
	Content []Logprob `json:"content,omitzero"`
	Refusal []Logprob `json:"refusal,omitzero"`
}

// Logprob is the log probability of a token.
type Logprob struct {
	Token       string    `json:"token"`
	Logprob     float64   `json:"logprob"`
	Bytes       []int     `json:"bytes,omitzero"`
	TopLogprobs []Logprob `json:"top_logprobs,omitzero"`
}

// ModelTurn is a turn as the model saw it, for those who train models.
type ModelTurn struct {
	Role                Role    `json:"role"`
	Content             string  `json:"content,omitzero"`
	ToolName            string  `json:"tool_name,omitzero"`
	OutputIDs           []int   `json:"output_ids,omitzero"`
	OutputTokenLogprobs [][]any `json:"output_token_logprobs,omitzero"`
}
