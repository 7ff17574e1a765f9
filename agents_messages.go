package letta

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
)

// AgentMessageService is client.Agents.Messages: talking to an agent. Turns of one agent should not overlap: see
// WithTurnLock.
type AgentMessageService struct{ core *core }

// Create sends messages and waits for the whole turn, 10 minutes at most unless WithTimeout says otherwise. It is
// sent once: after an error that leaves open whether it arrived, look at the agent's messages.
func (s *AgentMessageService) Create(ctx context.Context, id AgentID, params *AgentMessageCreateParams, opts ...RequestOption) (*Turn, error) {
	return s.thread(id).create(ctx, params, opts)
}

// Stream sends messages and gives the turn as it happens. It is sent once. A background turn is resumed when its
// connection is lost.
func (s *AgentMessageService) Stream(ctx context.Context, id AgentID, params *AgentMessageCreateParams, opts ...RequestOption) (*MessageStream, error) {
	return s.thread(id).stream(ctx, params, opts)
}

func (s *AgentMessageService) thread(id AgentID) thread { return thread{core: s.core, agent: id} }

// CreateAsync sends messages and returns at once; Runs.Wait waits for the turn, Runs.Messages.List has its messages. A
// server without the route answers ErrRetired or ErrNotFound.
//
// Deprecated: use Stream with Background, and close the stream when it has named its run: the turn goes on.
func (s *AgentMessageService) CreateAsync(ctx context.Context, id AgentID, params *AgentMessageCreateAsyncParams, opts ...RequestOption) (*Run, error) {
	p := copyOf(params)
	var err error
	if p.Messages, err = checkInput("agents.messages.create_async", p.Messages, p.Input); err != nil {
		return nil, err
	}
	r := request{op: Operation{"agents.messages.create_async", http.MethodPost, "/v1/agents/{agent_id}/messages/async"}, ids: []any{id}, body: &p, turn: true}
	cfg, err := s.core.resolveFor(r.op.Name, accepts{}, opts, id) // no lock: the turn goes on when the call has returned
	if err != nil {
		return nil, err
	}
	return do[*Run](ctx, s.core, r, []RequestOption{cfg})
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

// Cancel stops runs of the agent; the answer maps run ids to what became of them. A cancelled turn leaves no messages, unless it
// was nearly over: Letta 0.16.8 then calls its run cancelled too.
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

// Reset empties the agent's context, but for the system message. Letta 0.16.8 still lists the messages as history.
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
	return s.thread(id).compact(ctx, r, opts)
}

// CompactionResponse says what a compaction did.
type CompactionResponse struct {
	Summary           string `json:"summary"`
	NumMessagesBefore int    `json:"num_messages_before"`
	NumMessagesAfter  int    `json:"num_messages_after"`
}

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
	// Deprecated: leave it out. Only agent types before letta_v1_agent read it.
	AssistantMessageToolKwarg string `json:"assistant_message_tool_kwarg,omitzero"`
	// Deprecated: leave it out. Only agent types before letta_v1_agent read it.
	AssistantMessageToolName string `json:"assistant_message_tool_name,omitzero"`
	// AgentID is for the conversation "default", which every agent has; agents' own messages do without.
	AgentID AgentID `json:"agent_id,omitzero"`
	// Background keeps the run going when the connection is lost; the stream then resumes by itself. Needs Stream, or
	// RunTools with OnMessage.
	Background   bool          `json:"background,omitzero"`
	ClientSkills []ClientSkill `json:"client_skills,omitzero"`
	// ClientTools are tools that the caller runs; see RunTools.
	ClientTools []ClientTool `json:"client_tools,omitzero"`
	// Deprecated: use the reasoning settings of ModelSettings.
	EnableThinking            string        `json:"enable_thinking,omitzero"`
	IncludeCompactionMessages bool          `json:"include_compaction_messages,omitzero"`
	IncludeReturnMessageTypes []MessageType `json:"include_return_message_types,omitzero"`
	Input                     Content       `json:"input,omitzero"`
	// MaxSteps bounds the model calls of the turn; the server's default is 50.
	MaxSteps int `json:"max_steps,omitzero"`
	// Messages are what to send; UserText makes the usual one. Either Messages or Input is needed.
	Messages       MessageInputs `json:"messages,omitzero"`
	OverrideModel  string        `json:"override_model,omitzero"`
	OverrideSystem string        `json:"override_system,omitzero"`
	ReturnLogprobs bool          `json:"return_logprobs,omitzero"`
	ReturnTokenIDs bool          `json:"return_token_ids,omitzero"`
	// StreamTokens streams pieces of messages as they come. Needs Stream, or RunTools with OnMessage.
	StreamTokens bool `json:"stream_tokens,omitzero"`
	TopLogprobs  int  `json:"top_logprobs,omitzero"`
	// Deprecated: leave it out. Only agent types before letta_v1_agent read it.
	UseAssistantMessage Opt[bool] `json:"use_assistant_message,omitzero"`
}

// AgentMessageCreateAsyncParams are what to send to an agent.
type AgentMessageCreateAsyncParams struct {
	// Deprecated: leave it out. Only agent types before letta_v1_agent read it.
	AssistantMessageToolKwarg string `json:"assistant_message_tool_kwarg,omitzero"`
	// Deprecated: leave it out. Only agent types before letta_v1_agent read it.
	AssistantMessageToolName string `json:"assistant_message_tool_name,omitzero"`
	// CallbackURL is called by the server when the run has ended.
	//
	// Deprecated: Letta is giving up callbacks. Use Runs.Wait.
	CallbackURL  string        `json:"callback_url,omitzero"`
	ClientSkills []ClientSkill `json:"client_skills,omitzero"`
	ClientTools  []ClientTool  `json:"client_tools,omitzero"`
	// Deprecated: use the reasoning settings of ModelSettings.
	EnableThinking            string        `json:"enable_thinking,omitzero"`
	IncludeCompactionMessages bool          `json:"include_compaction_messages,omitzero"`
	IncludeReturnMessageTypes []MessageType `json:"include_return_message_types,omitzero"`
	Input                     Content       `json:"input,omitzero"`
	MaxSteps                  int           `json:"max_steps,omitzero"`
	Messages                  MessageInputs `json:"messages,omitzero"`
	OverrideModel             string        `json:"override_model,omitzero"`
	OverrideSystem            string        `json:"override_system,omitzero"`
	ReturnLogprobs            bool          `json:"return_logprobs,omitzero"`
	ReturnTokenIDs            bool          `json:"return_token_ids,omitzero"`
	TopLogprobs               int           `json:"top_logprobs,omitzero"`
	// Deprecated: leave it out. Only agent types before letta_v1_agent read it.
	UseAssistantMessage Opt[bool] `json:"use_assistant_message,omitzero"`
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
