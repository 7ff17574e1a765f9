package letta

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
)

// Errors of approvals and client tools, raised here and not by the server.
var (
	ErrInvalidApprovals = errors.New("the approvals do not fit the calls that wait") // refused before sending
	ErrNothingPending   = errors.New("no tool call waits for an approval")
	ErrTooManyRounds    = errors.New("the agent kept calling tools")
)

// Pending gets the message that asks for approval, nil if nothing waits.
func (s *AgentMessageService) Pending(ctx context.Context, id AgentID, opts ...RequestOption) (*ApprovalRequestMessage, error) {
	agent, err := do[*AgentState](ctx, s.core, retrieveAgent(id, &AgentRetrieveParams{Include: []AgentInclude{AgentIncludePendingApproval}}), opts)
	if err != nil {
		return nil, err
	}
	return agent.PendingApproval, nil
}

// Respond answers all calls that wait, in one request, and returns the rest of the turn. It asks for them first, and
// sends nothing unless every one of them has exactly one answer: a server refuses less, and the agent stays stuck.
func (s *AgentMessageService) Respond(ctx context.Context, id AgentID, answers []Approval, opts ...RequestOption) (*Turn, error) {
	calls, err := s.waiting(ctx, "agents.messages.respond", id, opts)
	if err == nil {
		err = CheckApprovals(calls, answers)
	}
	if err != nil {
		return nil, err
	}
	return s.Create(ctx, id, &AgentMessageCreateParams{Messages: []MessageInput{&ApprovalCreate{Approvals: answers}}}, opts...)
}

// DenyAll denies all calls that wait, with a reason that the model reads: the way out for an agent that is stuck.
func (s *AgentMessageService) DenyAll(ctx context.Context, id AgentID, reason string, opts ...RequestOption) (*Turn, error) {
	calls, err := s.waiting(ctx, "agents.messages.deny_all", id, opts)
	if err != nil {
		return nil, err
	}
	var answers []Approval
	for _, c := range calls {
		answers = append(answers, &ApprovalReturn{ToolCallID: c.ToolCallID, Reason: reason})
	}
	return s.Create(ctx, id, &AgentMessageCreateParams{Messages: []MessageInput{&ApprovalCreate{Approvals: answers}}}, opts...)
}

// waiting are the calls that wait, or ErrNothingPending.
func (s *AgentMessageService) waiting(ctx context.Context, operation string, id AgentID, opts []RequestOption) ([]ToolCall, error) {
	pending, err := s.Pending(ctx, id, opts...)
	if err != nil {
		return nil, err
	}
	if pending == nil {
		return nil, fail(about(operation, id), "%w", ErrNothingPending)
	}
	return pending.Calls(), nil
}

// CheckApprovals reports, as ErrInvalidApprovals, which of the pending calls has no answer or several, and which
// answer has no call.
func CheckApprovals(pending []ToolCall, answers []Approval) error {
	count := map[ToolCallID]int{}
	for i, answer := range answers {
		var id ToolCallID
		switch answer := answer.(type) {
		case *ApprovalReturn:
			if answer != nil {
				id = answer.ToolCallID
			}
		case *ToolReturn:
			if answer != nil {
				id = answer.ToolCallID
			}
		}
		if !slices.ContainsFunc(pending, func(c ToolCall) bool { return c.ToolCallID == id }) {
			return argumentError{fmt.Errorf("letta: %w: answer %d is for call %q, which does not wait", ErrInvalidApprovals, i, id)}
		}
		count[id]++
	}
	for _, c := range pending {
		if n := count[c.ToolCallID]; n != 1 {
			return argumentError{fmt.Errorf("letta: %w: call %q of %s has %d answers", ErrInvalidApprovals, c.ToolCallID, c.Name, n)}
		}
	}
	return nil
}

// FuncTool is a client tool with the Go function that it stands for; see NewTool.
type FuncTool struct {
	ClientTool
	// Timeout bounds one call; 0 means a minute. The function must heed its context.
	Timeout time.Duration
	call    func(context.Context, json.RawMessage) (string, error)
}

// NewTool makes a client tool of a function. The JSON schema that the model reads comes from the type In: field names
// and what is optional from json tags, descriptions from jsonschema tags. Arguments that violate it do not reach the function.
// A result that is no string is sent as JSON. An error goes back to the model as a failed call.
func NewTool[In, Out any](name, description string, f func(context.Context, In) (Out, error)) (*FuncTool, error) {
	if name == "" || f == nil {
		return nil, errors.New("letta: NewTool: the name is empty or the function nil")
	}
	if t := reflect.TypeFor[In](); t.Kind() != reflect.Struct && t.Kind() != reflect.Map {
		return nil, fmt.Errorf("letta: NewTool: the input of %s must be a struct or a map, not %s", name, t)
	}
	schema, err := jsonschema.For[In](nil)
	if err != nil {
		return nil, fmt.Errorf("letta: NewTool: schema of %s: %w", name, err)
	}
	resolved, err := schema.Resolve(nil)
	if err != nil {
		return nil, fmt.Errorf("letta: NewTool: schema of %s: %w", name, err)
	}
	parameters, err := json.Marshal(schema)
	if err != nil {
		return nil, fmt.Errorf("letta: NewTool: schema of %s: %w", name, err)
	}
	call := func(ctx context.Context, arguments json.RawMessage) (string, error) {
		var in In
		if len(arguments) == 0 {
			arguments = json.RawMessage("{}") // what some models write for none
		}
		var instance any
		err := json.Unmarshal(arguments, &instance)
		if err == nil {
			err = resolved.Validate(instance)
		}
		if err == nil {
			err = json.Unmarshal(arguments, &in)
		}
		if err != nil {
			return "", fmt.Errorf("the arguments do not fit: %w", err)
		}
		out, err := f(ctx, in)
		if err != nil {
			return "", err
		}
		if text, ok := any(out).(string); ok {
			return text, nil
		}
		data, err := json.Marshal(out)
		return string(data), err
	}
	return &FuncTool{ClientTool: ClientTool{Name: name, Description: description, Parameters: parameters}, call: call}, nil
}

// ToolRun says how RunTools works.
type ToolRun struct {
	Tools []*FuncTool
	// Approve decides on calls of other tools that wait for an approval. Without it such a call ends the run.
	Approve func(context.Context, ToolCall) *ApprovalReturn
	// OnMessage, if set, makes each round a stream, and is given its messages as they come. It may be told of a message in
	// pieces: see StreamTokens.
	OnMessage func(Message)
	// MaxRounds bounds how often tools are run for one turn; 0 means 10.
	MaxRounds int
}

// RunTools sends messages, runs the client tools that the agent calls, side by side, sends back what they return, and
// goes on until the turn ends. The response holds the messages of all rounds, the usage of all, and the last stop
// reason. It is returned with an error too: ErrTooManyRounds, ErrPendingApproval for a call that nobody here
// decides on, or that of a request. When the context ends during a call, the agent waits for its return, and refuses
// messages until DenyAll; with WithCancelOnDone that is done at once.
func (s *AgentMessageService) RunTools(ctx context.Context, id AgentID, params *AgentMessageCreateParams, run *ToolRun, opts ...RequestOption) (*Turn, error) {
	const operation = "agents.messages.run_tools"
	if params == nil || run == nil {
		return nil, invalid(operation, "the params are nil")
	}
	if run.OnMessage == nil && (params.Background || params.StreamTokens) {
		return nil, invalid(operation, "background and stream_tokens need OnMessage")
	}
	cfg, err := s.core.resolveFor(operation, accepts{streams: true, turns: true}, opts, id)
	if err != nil {
		return nil, err
	}
	p := *params
	p.ClientTools = slices.Clone(params.ClientTools)
	tools := map[string]*FuncTool{}
	for i, tool := range run.Tools {
		if tool == nil || tool.call == nil || slices.ContainsFunc(p.ClientTools, func(c ClientTool) bool { return c.Name == tool.Name }) {
			return nil, invalid(operation, "tools[%d] is not made by NewTool, or its name comes twice", i)
		}
		tools[tool.Name] = tool
		p.ClientTools = append(p.ClientTools, tool.ClientTool)
	}
	release, err := s.core.lockTurn(ctx, cfg, string(id), request{op: Operation{Name: operation}, ids: []any{id}})
	if err != nil {
		return nil, err
	}
	defer release() // the lock is for all rounds
	cfg.turnLock = false
	rounds := run.MaxRounds
	if rounds <= 0 {
		rounds = 10
	}
	whole := &Turn{}
	for round := 0; ; round++ {
		response, err := s.round(ctx, id, &p, run.OnMessage, cfg)
		if response != nil {
			whole.add(response)
		}
		if err != nil {
			return whole, err
		}
		calls := response.PendingCalls()
		switch {
		case len(calls) == 0 && response.StopReason == StopReasonRequiresApproval:
			return whole, fail(operation, "%w, for calls that IncludeReturnMessageTypes hides", ErrPendingApproval)
		case len(calls) == 0:
			return whole, nil
		case round == rounds:
			return whole, fail(operation, "%w: %d rounds", ErrTooManyRounds, rounds)
		}
		answers := make([]Approval, len(calls))
		for i, c := range calls {
			if tools[c.Name] == nil {
				var decision *ApprovalReturn
				if run.Approve != nil {
					decision = run.Approve(ctx, c)
				}
				if decision == nil {
					return whole, fail(operation, "call %s of %s: %w", c.ToolCallID, c.Name, ErrPendingApproval)
				}
				answer := *decision
				answer.ToolCallID = c.ToolCallID
				answers[i] = &answer
			}
		}
		var running sync.WaitGroup
		for i, c := range calls {
			if tool := tools[c.Name]; tool != nil {
				running.Go(func() { answers[i] = tool.Call(ctx, c) })
			}
		}
		running.Wait()
		if ctx.Err() != nil {
			if cfg.cancelOnDone {
				free, cancel := context.WithTimeout(context.WithoutCancel(ctx), abandonTimeout)
				_, _ = s.DenyAll(free, id, "cancelled", cfg)
				cancel()
			}
			return whole, fail(operation, "%w", contextError(ctx))
		}
		p.Messages, p.Input = []MessageInput{&ApprovalCreate{Approvals: answers}}, Content{}
	}
}

// round sends messages and waits for the turn, or shows it as it happens.
func (s *AgentMessageService) round(ctx context.Context, id AgentID, params *AgentMessageCreateParams, show func(Message), cfg *settings) (*Turn, error) {
	if show == nil {
		return s.Create(ctx, id, params, cfg)
	}
	stream, err := s.Stream(ctx, id, params, cfg)
	if err != nil {
		return nil, err
	}
	for message, err := range stream.Events() {
		if err != nil {
			return stream.Result(), err
		}
		show(message)
	}
	return stream.Result(), nil
}

// Call calls the function, and turns whatever happens into a return for the model. RunTools does it by itself.
func (t *FuncTool) Call(ctx context.Context, c ToolCall) *ToolReturn {
	timeout := t.Timeout
	if timeout <= 0 {
		timeout = time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	type outcome struct {
		text string
		err  error
	}
	done := make(chan outcome, 1) // a function that does not heed its context must not hold up the turn
	go func() {
		o := outcome{err: errors.New("the tool did not return")} // but ended its goroutine
		defer func() {
			if p := recover(); p != nil {
				o.err = fmt.Errorf("the tool panicked: %v", p)
			}
			done <- o
		}()
		o.text, o.err = t.call(ctx, json.RawMessage(c.Arguments))
	}()
	var o outcome
	select {
	case o = <-done:
	case <-ctx.Done():
		select {
		case o = <-done: // it heeded its context
		case <-time.After(drainTime):
			o.err = fmt.Errorf("the tool did not return within %v", timeout)
		}
	}
	if o.err != nil {
		return &ToolReturn{ToolCallID: c.ToolCallID, Status: "error", ToolReturn: Content{Text: o.err.Error()}}
	}
	return &ToolReturn{ToolCallID: c.ToolCallID, Status: "success", ToolReturn: Content{Text: o.text}}
}

// add appends another part of the same turn.
func (t *Turn) add(next *Turn) {
	t.Messages = append(t.Messages, next.Messages...)
	t.StopReason, t.Logprobs = next.StopReason, next.Logprobs
	t.Turns = append(t.Turns, next.Turns...)
	t.RunIDs = append(t.RunIDs, next.RunIDs...)
	t.Warnings = append(t.Warnings, next.Warnings...)
	u, n := &t.Usage, next.Usage
	u.MessageType = n.MessageType
	u.CompletionTokens += n.CompletionTokens
	u.PromptTokens += n.PromptTokens
	u.TotalTokens += n.TotalTokens
	u.StepCount += n.StepCount
	u.ContextTokens = n.ContextTokens
	u.CachedInputTokens += n.CachedInputTokens
	u.CacheWriteTokens += n.CacheWriteTokens
	u.ReasoningTokens += n.ReasoningTokens
	u.RunIDs = append(u.RunIDs, n.RunIDs...)
}
