package letta

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"slices"
	"strings"
)

// AgentMessageService is client.Agents.Messages: talking to an agent. Turns of one agent should not overlap: see
// WithTurnLock.
type AgentMessageService struct{ core *core }

// Create sends messages and waits for the whole turn, 10 minutes at most unless WithTimeout says otherwise. It is
// sent once: after an error that leaves open whether it arrived, look at the agent's messages.
func (s *AgentMessageService) Create(ctx context.Context, id AgentID, params *AgentMessageCreateParams, opts ...RequestOption) (*LettaResponse, error) {
	body, err := params.body("agents.messages.create", false, false)
	if err != nil {
		return nil, err
	}
	r := request{op: Operation{"agents.messages.create", http.MethodPost, "/v1/agents/{agent_id}/messages"}, ids: []any{id}, body: body, turn: true}
	return s.core.sendTurn(ctx, string(id), r, opts)
}

// Stream sends messages and gives the turn as it happens. It is sent once. A background turn is resumed when its
// connection is lost.
func (s *AgentMessageService) Stream(ctx context.Context, id AgentID, params *AgentMessageCreateParams, opts ...RequestOption) (*MessageStream, error) {
	body, err := params.body("agents.messages.stream", true, false)
	if err != nil {
		return nil, err
	}
	r := request{op: Operation{"agents.messages.stream", http.MethodPost, "/v1/agents/{agent_id}/messages"}, ids: []any{id}, body: body, turn: true}
	r.stream = true
	return s.core.stream(ctx, string(id), r, params.Background, func(ctx context.Context, run RunID, cfg *settings) {
		_, _ = s.Cancel(ctx, id, &AgentMessageCancelParams{RunIDs: []RunID{run}}, cfg)
	}, opts)
}

// CreateAsync sends messages and returns at once; Runs.Wait waits for the turn, Runs.Messages.List has its messages.
func (s *AgentMessageService) CreateAsync(ctx context.Context, id AgentID, params *AgentMessageCreateAsyncParams, opts ...RequestOption) (*Run, error) {
	p := copyOf(params)
	var err error
	if p.Messages, err = checkInput("agents.messages.create_async", p.Messages, p.Input); err != nil {
		return nil, err
	}
	return do[*Run](ctx, s.core, request{op: Operation{"agents.messages.create_async", http.MethodPost, "/v1/agents/{agent_id}/messages/async"}, ids: []any{id}, body: &p, turn: true}, opts)
}

// List gets one page of the agent's messages: by default the newest 100, oldest first.
func (s *AgentMessageService) List(ctx context.Context, id AgentID, params *AgentMessageListParams, opts ...RequestOption) ([]Message, error) {
	return do[[]Message](ctx, s.core, request{op: Operation{"agents.messages.list", http.MethodGet, "/v1/agents/{agent_id}/messages"}, ids: []any{id}, query: params}, opts)
}

// ListAll walks over all messages, page by page: oldest first, or newest first if Order is OrderDesc.
func (s *AgentMessageService) ListAll(ctx context.Context, id AgentID, params *AgentMessageListParams, opts ...RequestOption) iter.Seq2[Message, error] {
	p := copyOf(params)
	types := p.IncludeReturnMessageTypes
	p.IncludeReturnMessageTypes = nil // a server filters a page after its limit: an empty page would look like the end
	return ofTypes(types, history("agents.messages.list_all", &p, func(p *AgentMessageListParams) (*Order, *MessageID, *MessageID) { return &p.Order, &p.After, &p.Before }, true,
		func(p *AgentMessageListParams) ([]Message, error) { return s.List(ctx, id, p, opts...) }))
}

// Latest gets the newest n messages in one request, oldest first.
func (s *AgentMessageService) Latest(ctx context.Context, id AgentID, n int, opts ...RequestOption) ([]Message, error) {
	return latest("agents.messages.latest", n, true, func() ([]Message, error) {
		return s.List(ctx, id, &AgentMessageListParams{Limit: n, Order: OrderDesc}, opts...)
	})
}

// AgentMessageCancelParams name the runs to cancel; without any, the agent's current one.
type AgentMessageCancelParams struct {
	RunIDs []RunID `json:"run_ids,omitzero"`
}

// Cancel stops runs of the agent; the answer maps run ids to what became of them. A cancelled turn leaves no messages.
// ErrNoActiveRun if there is nothing to stop, which not every server says.
func (s *AgentMessageService) Cancel(ctx context.Context, id AgentID, params *AgentMessageCancelParams, opts ...RequestOption) (map[string]any, error) {
	r := request{op: Operation{"agents.messages.cancel", http.MethodPost, "/v1/agents/{agent_id}/messages/cancel"}, ids: []any{id}}
	if params != nil {
		r.body = params
	}
	return do[map[string]any](ctx, s.core, r, opts)
}

// AgentMessageResetParams choose what is left after a reset.
type AgentMessageResetParams struct {
	AddDefaultInitialMessages bool `json:"add_default_initial_messages,omitzero"`
}

// Reset empties the agent's context, but for the system message. 0.16.8 still lists the messages as history.
func (s *AgentMessageService) Reset(ctx context.Context, id AgentID, params *AgentMessageResetParams, opts ...RequestOption) (*AgentState, error) {
	p := copyOf(params)
	agent, err := do[*AgentState](ctx, s.core, request{op: Operation{"agents.messages.reset", http.MethodPatch, "/v1/agents/{agent_id}/reset-messages"}, ids: []any{id}, body: &p}, opts)
	if err != nil {
		return nil, err
	}
	dropUnloaded([]*AgentState{agent}, nil)
	return agent, nil
}

// AgentMessageCompactParams choose how to summarise.
type AgentMessageCompactParams struct {
	CompactionSettings *CompactionSettings `json:"compaction_settings,omitzero"`
}

// Compact summarises the older messages of the agent's context.
func (s *AgentMessageService) Compact(ctx context.Context, id AgentID, params *AgentMessageCompactParams, opts ...RequestOption) (*CompactionResponse, error) {
	p := copyOf(params)
	r := request{op: Operation{"agents.messages.compact", http.MethodPost, "/v1/agents/{agent_id}/summarize"}, ids: []any{id}, body: &p, turn: true}
	return do[*CompactionResponse](ctx, s.core, r, opts)
}

// CompactionResponse says what a compaction did.
type CompactionResponse struct {
	Summary           string `json:"summary"`
	NumMessagesBefore int    `json:"num_messages_before"`
	NumMessagesAfter  int    `json:"num_messages_after"`
}

// MessageType names a kind of message.
type MessageType string

// ClientTool describes a tool that the caller runs.
type ClientTool struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitzero"`
	Parameters  json.RawMessage `json:"parameters,omitzero"` // a JSON schema
}

// ClientSkill describes a skill that the caller has.
type ClientSkill struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Location    string `json:"location"`
}

// AgentMessageCreateParams are what to send to an agent or in a conversation, and how to answer.
type AgentMessageCreateParams struct {
	// Deprecated: by Letta.
	AssistantMessageToolKwarg string `json:"assistant_message_tool_kwarg,omitzero"`
	// Deprecated: by Letta.
	AssistantMessageToolName string `json:"assistant_message_tool_name,omitzero"`
	// AgentID is for the conversation "default", which every agent has; agents' own messages do without.
	AgentID AgentID `json:"agent_id,omitzero"`
	// Background keeps the run going when the connection is lost; the stream then resumes by itself. Needs Stream.
	Background   bool          `json:"background,omitzero"`
	ClientSkills []ClientSkill `json:"client_skills,omitzero"`
	// ClientTools are tools that the caller runs; see RunTools.
	ClientTools []ClientTool `json:"client_tools,omitzero"`
	// Deprecated: by Letta.
	EnableThinking            string        `json:"enable_thinking,omitzero"`
	IncludeCompactionMessages bool          `json:"include_compaction_messages,omitzero"`
	IncludeReturnMessageTypes []MessageType `json:"include_return_message_types,omitzero"`
	Input                     Content       `json:"input,omitzero"`
	// MaxSteps bounds the model calls of the turn; the server's default is 50.
	MaxSteps int `json:"max_steps,omitzero"`
	// Messages are what to send; UserText makes the usual one. Either Messages or Input is needed.
	Messages       []MessageInput `json:"messages,omitzero"`
	OverrideModel  string         `json:"override_model,omitzero"`
	OverrideSystem string         `json:"override_system,omitzero"`
	ReturnLogprobs bool           `json:"return_logprobs,omitzero"`
	ReturnTokenIDs bool           `json:"return_token_ids,omitzero"`
	// StreamTokens streams pieces of messages as they come. Needs Stream.
	StreamTokens bool `json:"stream_tokens,omitzero"`
	TopLogprobs  int  `json:"top_logprobs,omitzero"`
	// Deprecated: by Letta.
	UseAssistantMessage Opt[bool] `json:"use_assistant_message,omitzero"`
}

// UnmarshalJSON reads messages of all kinds.
func (v *AgentMessageCreateParams) UnmarshalJSON(data []byte) error { return unmarshal(data, v) }

func (v *AgentMessageCreateParams) plain() any {
	type fields AgentMessageCreateParams
	return (*fields)(v)
}

// AgentMessageCreateAsyncParams are what to send to an agent.
type AgentMessageCreateAsyncParams struct {
	// Deprecated: by Letta.
	AssistantMessageToolKwarg string `json:"assistant_message_tool_kwarg,omitzero"`
	// Deprecated: by Letta.
	AssistantMessageToolName string `json:"assistant_message_tool_name,omitzero"`
	// CallbackURL is called by the server when the run has ended.
	CallbackURL  string        `json:"callback_url,omitzero"`
	ClientSkills []ClientSkill `json:"client_skills,omitzero"`
	ClientTools  []ClientTool  `json:"client_tools,omitzero"`
	// Deprecated: by Letta.
	EnableThinking            string         `json:"enable_thinking,omitzero"`
	IncludeCompactionMessages bool           `json:"include_compaction_messages,omitzero"`
	IncludeReturnMessageTypes []MessageType  `json:"include_return_message_types,omitzero"`
	Input                     Content        `json:"input,omitzero"`
	MaxSteps                  int            `json:"max_steps,omitzero"`
	Messages                  []MessageInput `json:"messages,omitzero"`
	OverrideModel             string         `json:"override_model,omitzero"`
	OverrideSystem            string         `json:"override_system,omitzero"`
	ReturnLogprobs            bool           `json:"return_logprobs,omitzero"`
	ReturnTokenIDs            bool           `json:"return_token_ids,omitzero"`
	TopLogprobs               int            `json:"top_logprobs,omitzero"`
	// Deprecated: by Letta.
	UseAssistantMessage Opt[bool] `json:"use_assistant_message,omitzero"`
}

// UnmarshalJSON reads messages of all kinds.
func (v *AgentMessageCreateAsyncParams) UnmarshalJSON(data []byte) error { return unmarshal(data, v) }

func (v *AgentMessageCreateAsyncParams) plain() any {
	type fields AgentMessageCreateAsyncParams
	return (*fields)(v)
}

// AgentMessageListParams filter and page messages.
type AgentMessageListParams struct {
	// After gets newer messages, Before older ones, whatever the order. ListAll does that by itself.
	After                     MessageID      `url:"after,omitempty"`
	AssistantMessageToolKwarg string         `url:"assistant_message_tool_kwarg,omitempty"`
	AssistantMessageToolName  string         `url:"assistant_message_tool_name,omitempty"`
	Before                    MessageID      `url:"before,omitempty"`
	ConversationID            ConversationID `url:"conversation_id,omitempty"`
	GroupID                   GroupID        `url:"group_id,omitempty"`
	IncludeErr                bool           `url:"include_err,omitempty"`
	IncludeReturnMessageTypes []MessageType  `url:"include_return_message_types,omitempty"`
	Limit                     int            `url:"limit,omitempty"`
	Order                     Order          `url:"order,omitempty"`
	OrderBy                   OrderBy        `url:"order_by,omitempty"`
	UseAssistantMessage       Opt[bool]      `url:"use_assistant_message,omitempty"`
}

// LettaResponse is a whole turn of an agent.
type LettaResponse struct {
	Messages   []Message            `json:"messages"`
	StopReason StopReason           `json:"stop_reason"`
	Usage      LettaUsageStatistics `json:"usage"`
	Logprobs   *Logprobs            `json:"logprobs,omitzero"`
	Turns      []ModelTurn          `json:"turns,omitzero"`
}

// UnmarshalJSON reads messages of all kinds.
func (v *LettaResponse) UnmarshalJSON(data []byte) error { return unmarshal(data, v) }

func (v *LettaResponse) plain() any {
	type fields LettaResponse
	return (*fields)(v)
}

// Text is what the agent said, one line per message.
func (r *LettaResponse) Text() string {
	var lines []string
	for _, m := range r.Messages {
		if m, ok := m.(*AssistantMessage); ok {
			lines = append(lines, m.Content.String())
		}
	}
	return strings.Join(lines, "\n")
}

// ToolCalls are the calls that the agent made, those that wait for an approval too.
func (r *LettaResponse) ToolCalls() []ToolCall {
	var calls []ToolCall
	for _, m := range r.Messages {
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
func (r *LettaResponse) PendingCalls() []ToolCall {
	var calls []ToolCall
	for _, m := range r.Messages {
		switch m := m.(type) {
		case *ApprovalRequestMessage:
			calls = callsOf(append(calls, m.Calls()...), nil)
		case *ToolReturnMessage:
			calls = slices.DeleteFunc(calls, func(c ToolCall) bool {
				return c.ToolCallID == m.ToolCallID || slices.ContainsFunc(m.ToolReturns, func(r ToolReturn) bool { return r.ToolCallID == c.ToolCallID })
			})
		}
	}
	return calls
}

// Calls are the calls that the message asks about.
func (m *ApprovalRequestMessage) Calls() []ToolCall { return callsOf(m.ToolCalls, m.ToolCall) }

// callsOf are the calls of a message, each once.
func callsOf(calls []ToolCall, older *ToolCall) []ToolCall {
	if len(calls) == 0 && older != nil {
		return []ToolCall{*older}
	}
	var once []ToolCall
	for _, c := range calls {
		if !slices.ContainsFunc(once, func(have ToolCall) bool { return have.ToolCallID == c.ToolCallID }) {
			once = append(once, c)
		}
	}
	return once
}

// Complete reports whether the turn ended as it should: not by an error, a limit of the account or a context that is
// too small. A turn that waits for an approval, was cancelled or reached its steps is complete.
func (r *LettaResponse) Complete() bool {
	switch r.StopReason.StopReason {
	case "", StopReasonError, StopReasonLLMAPIError, StopReasonInvalidLLMResponse, StopReasonInvalidToolCall,
		StopReasonInsufficientCredits, StopReasonContextWindowOverflowInSystemPrompt:
		return false
	}
	return true
}

// StopReason says why a turn ended.
type StopReason struct {
	MessageType string         `json:"message_type,omitzero"`
	StopReason  StopReasonType `json:"stop_reason"`
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
	Role                string  `json:"role"` // assistant, tool
	Content             string  `json:"content,omitzero"`
	ToolName            string  `json:"tool_name,omitzero"`
	OutputIDs           []int   `json:"output_ids,omitzero"`
	OutputTokenLogprobs [][]any `json:"output_token_logprobs,omitzero"`
}
