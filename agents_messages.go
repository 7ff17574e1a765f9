package letta

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"time"
)

const turnTimeout = 10 * time.Minute // of a turn that is answered as a whole, unless WithTimeout says otherwise

// AgentMessageService is client.Agents.Messages: talking to an agent. Turns of one agent should not overlap: see
// WithTurnLock.
type AgentMessageService struct{ core *core }

// Create sends messages and waits for the whole turn, 10 minutes at most unless WithTimeout says otherwise. It is
// sent once: after an error that leaves open whether it arrived, look at the agent's messages.
func (s *AgentMessageService) Create(ctx context.Context, id AgentID, params *AgentMessageCreateParams, opts ...RequestOption) (*Turn, error) {
	body, err := params.body("agents.messages.create", false, false)
	if err != nil {
		return nil, err
	}
	op := call{method: http.MethodPost, path: "/v1/agents/{agent_id}/messages", ids: []any{id}, body: body, turn: true}
	return turn[*Turn](ctx, s.core, string(id), op, opts)
}

// Stream sends messages and gives the turn as it happens. It is sent once. A background turn is resumed when its
// connection is lost.
func (s *AgentMessageService) Stream(ctx context.Context, id AgentID, params *AgentMessageCreateParams, opts ...RequestOption) (*MessageStream, error) {
	body, err := params.body("agents.messages.stream", true, false)
	if err != nil {
		return nil, err
	}
	op := call{method: http.MethodPost, path: "/v1/agents/{agent_id}/messages", ids: []any{id}, body: body, turn: true}
	return s.core.stream(ctx, string(id), op, params.Background, func(ctx context.Context, run RunID) {
		_, _ = s.Cancel(ctx, id, &AgentMessageCancelParams{RunIDs: []RunID{run}}, withoutFields(opts)...)
	}, opts)
}

// CreateAsync sends messages and returns at once; Runs.Wait waits for the turn, Runs.Messages.List has its messages.
func (s *AgentMessageService) CreateAsync(ctx context.Context, id AgentID, params *AgentMessageCreateAsyncParams, opts ...RequestOption) (*Run, error) {
	if params == nil {
		return nil, missing("agents.messages.create_async")
	}
	p := *params
	var err error
	if p.Messages, err = checkInput("agents.messages.create_async", p.Messages, p.Input); err != nil {
		return nil, err
	}
	return do[*Run](ctx, s.core, call{method: http.MethodPost, path: "/v1/agents/{agent_id}/messages/async", ids: []any{id}, body: &p, turn: true}, opts)
}

// List gets one page of the agent's messages: by default the newest 100, oldest first.
func (s *AgentMessageService) List(ctx context.Context, id AgentID, params *AgentMessageListParams, opts ...RequestOption) ([]Message, error) {
	if params != nil {
		if err := checkList("agents.messages.list", params.Limit, nil); err != nil {
			return nil, err
		}
	}
	return do[[]Message](ctx, s.core, call{method: http.MethodGet, path: "/v1/agents/{agent_id}/messages", ids: []any{id}, query: params}, opts)
}

// ListAll walks over all messages, page by page: oldest first, or newest first if Order is OrderDesc.
func (s *AgentMessageService) ListAll(ctx context.Context, id AgentID, params *AgentMessageListParams, opts ...RequestOption) iter.Seq2[Message, error] {
	p := copyOf(params)
	types := p.IncludeReturnMessageTypes
	p.IncludeReturnMessageTypes = nil // a server filters a page after its limit: an empty page would look like the end
	return ofTypes(types, history(&p, func(p *AgentMessageListParams) (*Order, *MessageID, *MessageID) { return &p.Order, &p.After, &p.Before }, true,
		func(p *AgentMessageListParams) ([]Message, error) { return s.List(ctx, id, p, opts...) }))
}

// Latest gets the newest n messages in one request, oldest first.
func (s *AgentMessageService) Latest(ctx context.Context, id AgentID, n int, opts ...RequestOption) ([]Message, error) {
	return latest(n, true, func() ([]Message, error) {
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
	op := call{method: http.MethodPost, path: "/v1/agents/{agent_id}/messages/cancel", ids: []any{id}}
	if params != nil {
		op.body = params
	}
	return do[map[string]any](ctx, s.core, op, opts)
}

// AgentMessageResetParams choose what is left after a reset.
type AgentMessageResetParams struct {
	AddDefaultInitialMessages bool `json:"add_default_initial_messages,omitzero"`
}

// Reset empties the agent's context, but for the system message. 0.16.8 still lists the messages as history.
func (s *AgentMessageService) Reset(ctx context.Context, id AgentID, params *AgentMessageResetParams, opts ...RequestOption) (*AgentState, error) {
	p := copyOf(params)
	agent, err := do[*AgentState](ctx, s.core, call{method: http.MethodPatch, path: "/v1/agents/{agent_id}/reset-messages", ids: []any{id}, body: &p}, opts)
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
	op := call{method: http.MethodPost, path: "/v1/agents/{agent_id}/summarize", ids: []any{id}, body: &p, turn: true}
	return do[*CompactionResponse](ctx, s.core, op, longer(opts))
}

// CompactionResponse says what a compaction did.
type CompactionResponse struct {
	Summary           string `json:"summary"`
	NumMessagesBefore int    `json:"num_messages_before"`
	NumMessagesAfter  int    `json:"num_messages_after"`
}

// turn sends op under the lock of its agent or conversation, if WithTurnLock asks for it.
func turn[T any](ctx context.Context, c *core, key string, op call, opts []RequestOption) (T, error) {
	release, err := c.lockTurn(ctx, key, opts)
	if err != nil {
		return *new(T), fmt.Errorf("letta: %s %s: %w", op.method, op.path, err)
	}
	defer release()
	return do[T](ctx, c, op, longer(opts))
}

// longer puts the timeout of turns before the options of a call.
func longer(opts []RequestOption) []RequestOption {
	return append([]RequestOption{requestOption(func(c *config) error {
		if !c.timeoutSet {
			c.timeout = turnTimeout
		}
		return nil
	})}, opts...)
}

func (c *core) lockTurn(ctx context.Context, key string, opts []RequestOption) (func(), error) {
	cfg, err := c.configure(opts)
	if err != nil || !cfg.turnLock {
		return func() {}, err
	}
	if ctx == nil {
		return nil, errors.New("the context is nil")
	}
	release, err := c.turns.lock(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("%w: another turn of %s goes on: %w", ErrNotSent, key, err)
	}
	return release, nil
}

// stream sends op and returns its stream, which holds the lock of the agent or conversation to its end.
func (c *core) stream(ctx context.Context, key string, op call, background bool, cancel func(context.Context, RunID), opts []RequestOption) (*MessageStream, error) {
	cfg, err := c.configure(opts)
	if err != nil {
		return nil, fmt.Errorf("letta: %s %s: %w", op.method, op.path, err)
	}
	s := &MessageStream{core: c, opts: opts, pings: cfg.pings}
	if background {
		s.resume = streamRun
	}
	if cfg.cancelOnDone && cancel != nil {
		s.abandon = func(ctx context.Context, run RunID) {
			ctx, stop := context.WithTimeout(ctx, abandonTimeout)
			defer stop()
			cancel(ctx, run)
		}
	}
	if s.release, err = c.lockTurn(ctx, key, opts); err != nil {
		return nil, fmt.Errorf("letta: %s %s: %w", op.method, op.path, err)
	}
	s.release = sync.OnceFunc(s.release)
	if _, err := s.start(ctx, op); err != nil {
		s.release()
		return nil, err
	}
	return s, nil
}

// body is what is sent: the params with an otid in every message, and the fields that make the answer a stream or not.
func (p *AgentMessageCreateParams) body(operation string, stream, conversation bool) (any, error) {
	switch {
	case p == nil:
		return nil, missing(operation)
	case p.AgentID != "" && !conversation:
		return nil, invalid(operation, "agent_id is for the conversation default only")
	case !stream && (p.Background || p.StreamTokens):
		return nil, invalid(operation, "background and stream_tokens need Stream")
	}
	sent := *p
	var err error
	if sent.Messages, err = checkInput(operation, p.Messages, p.Input); err != nil {
		return nil, err
	}
	type fields AgentMessageCreateParams
	if !stream {
		return &struct {
			*fields
			Streaming bool `json:"streaming"`
		}{(*fields)(&sent), false}, nil
	}
	return &struct {
		*fields
		Streaming    bool `json:"streaming"`
		IncludePings bool `json:"include_pings"`
	}{(*fields)(&sent), true, true}, nil
}

// checkInput refuses what a server would, and returns copies of the messages with an otid each: a server that knows
// it already does not store the message twice.
func checkInput(operation string, messages []MessageInput, input Content) ([]MessageInput, error) {
	hasInput := input.Text != "" || input.Parts != nil
	switch {
	case messages == nil && !hasInput, messages != nil && hasInput:
		return nil, invalid(operation, "either messages or input is needed")
	case messages == nil:
		return nil, nil
	case len(messages) == 0:
		return nil, invalid(operation, "messages is empty")
	}
	messages = slices.Clone(messages)
	for i, m := range messages {
		if m == nil || reflect.ValueOf(m).IsNil() { // every variant is a pointer
			return nil, invalid(operation, "messages[%d] is nil", i)
		}
		switch m := m.(type) {
		case *MessageCreate:
			if m.Role == "" {
				return nil, invalid(operation, "messages[%d].role is empty", i)
			}
			if m.Content.Text == "" && len(m.Content.Parts) == 0 {
				return nil, invalid(operation, "messages[%d].content is empty", i)
			}
			sent := *m
			fillOtid(&sent.Otid)
			messages[i] = &sent
		case *ApprovalCreate:
			sent := *m
			fillOtid(&sent.Otid)
			messages[i] = &sent
		case *ToolReturnCreate:
			sent := *m
			fillOtid(&sent.Otid)
			messages[i] = &sent
		}
	}
	return messages, nil
}

func fillOtid(otid *string) {
	if *otid != "" {
		return
	}
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	*otid = fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
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
	Messages       MessageInputs `json:"messages,omitzero"`
	OverrideModel  string        `json:"override_model,omitzero"`
	OverrideSystem string        `json:"override_system,omitzero"`
	ReturnLogprobs bool          `json:"return_logprobs,omitzero"`
	ReturnTokenIDs bool          `json:"return_token_ids,omitzero"`
	// StreamTokens streams pieces of messages as they come. Needs Stream.
	StreamTokens bool `json:"stream_tokens,omitzero"`
	TopLogprobs  int  `json:"top_logprobs,omitzero"`
	// Deprecated: by Letta.
	UseAssistantMessage Opt[bool] `json:"use_assistant_message,omitzero"`
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
	// Deprecated: by Letta.
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
