package letta

import (
	"context"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
)

// ErrTooManyRounds says that the agent went on calling tools after ToolRun.MaxRounds. Its last calls wait for an answer,
// unless WithCancelOnDone was given.
var ErrTooManyRounds = errors.New("the agent kept calling tools")

const (
	defaultRounds = 10
	toolGrace     = 20 * time.Millisecond // for a tool to heed the end of its context
)

// FuncTool is a client tool with the Go function that it stands for; see NewTool.
type FuncTool struct {
	ClientTool
	// Timeout bounds one call; 0 means a minute. The function must heed its context.
	Timeout time.Duration
	call    func(context.Context, json.RawMessage) (string, error)
}

// NewTool makes a client tool of a function. The JSON schema that the model reads comes from the type In: field names
// and what is optional from json tags, descriptions from jsonschema tags. Arguments that violate it do not reach the function.
// An input that no arguments could satisfy, such as one with a function or with an interface that has methods, is an error.
// A result that is no string is sent as JSON. An error goes back to the model as a failed call.
func NewTool[In, Out any](name, description string, f func(context.Context, In) (Out, error)) (*FuncTool, error) {
	if name == "" || f == nil {
		return nil, errors.New("letta: NewTool: the name is empty or the function nil")
	}
	if t := reflect.TypeFor[In](); t.Kind() != reflect.Struct && t.Kind() != reflect.Map {
		return nil, fmt.Errorf("letta: NewTool: the input of %s must be a struct or a map, not %s", name, t)
	}
	schema, err := jsonschema.For[In](nil) // an error for a type that contains itself, a function or a channel
	if err == nil {
		err = readable(reflect.TypeFor[In](), "the input")
	}
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

// readable reports why encoding/json could not read a type from what its JSON schema describes.
func readable(t reflect.Type, where string) error {
	text, value := reflect.TypeFor[encoding.TextUnmarshaler](), reflect.TypeFor[json.Unmarshaler]()
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch pointer := reflect.PointerTo(t); {
	case slices.Contains([]reflect.Type{reflect.TypeFor[time.Time](), reflect.TypeFor[big.Int](), reflect.TypeFor[big.Rat](), reflect.TypeFor[big.Float]()}, t):
		return nil // the schema knows them
	case pointer.Implements(value):
		return nil // who knows
	case pointer.Implements(text) && t.Kind() != reflect.String:
		return fmt.Errorf("%s is a %s, which is read from a string: use a string", where, t)
	}
	switch t.Kind() {
	case reflect.Interface:
		if t.NumMethod() > 0 {
			return fmt.Errorf("%s is a %s, an interface with methods, which JSON cannot fill", where, t)
		}
	case reflect.Slice, reflect.Array:
		return readable(t.Elem(), where+"[]")
	case reflect.Map:
		if key := t.Key(); key.Kind() != reflect.String && !reflect.PointerTo(key).Implements(text) {
			return fmt.Errorf("%s is a map whose keys, %s, cannot be read", where, key)
		}
		return readable(t.Elem(), where+"[]")
	case reflect.Struct:
		for field := range t.Fields() {
			name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
			switch {
			case name == "-" && options == "", !field.IsExported() && !field.Anonymous:
				continue
			case field.Anonymous && !field.IsExported() && field.Type.Kind() == reflect.Pointer:
				return fmt.Errorf("%s embeds %s, which JSON cannot fill because it is not exported", where, field.Type)
			case slices.Contains(strings.Split(options, ","), "string"):
				return fmt.Errorf("%s.%s has the json option string, which the schema does not know", where, field.Name)
			}
			if err := readable(field.Type, where+"."+field.Name); err != nil {
				return err
			}
		}
	default:
	}
	return nil
}

// sendable is text in the UTF-8 that JSON demands. What a tool returns is the caller's; a byte too many must not leave the
// agent without its answer.
func sendable(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// ToolRun says how RunTools works.
type ToolRun struct {
	Tools []*FuncTool
	// Approve decides on calls of other tools that wait for an approval. Without it, or if it returns nil, such a call ends
	// RunTools with ErrPendingApproval.
	Approve func(context.Context, ToolCall) *ApprovalReturn
	// OnMessage, if set, makes each round a stream, and is given its messages as they come, in pieces with StreamTokens. Calls
	// of Tools and requests for an approval come whole, at the end of their round: a call of Tools as a ToolCallMessage, any
	// other as an ApprovalRequestMessage.
	OnMessage func(Message)
	// MaxRounds bounds how often tools are run for one turn; 0 means 10.
	MaxRounds int
}

// RunTools sends messages, runs the client tools that the agent calls, side by side, sends back what they return, and
// goes on until the turn ends. The turn holds the messages of all rounds, the usage of all, and the last stop
// reason. It is returned with an error too: ErrTooManyRounds, ErrPendingApproval for a call that nobody here
// decides on, or that of a request.
//
// When RunTools ends early, because of an error, a panic of a function of yours or the end of the context, calls may be left
// that wait for an answer, and the agent refuses messages until Respond or DenyAll. With WithCancelOnDone such calls are
// withdrawn before RunTools returns, but for those of ErrPendingApproval. WithTurnLock holds the lock over all rounds;
// WithTimeout is for each. Options of streams need OnMessage or WithCancelOnDone.
func (s *AgentMessageService) RunTools(ctx context.Context, id AgentID, params *AgentMessageCreateParams, run *ToolRun, opts ...RequestOption) (*Turn, error) {
	return s.thread(id).runTools(ctx, params, run, opts)
}

// RunTools does in a conversation what Agents.Messages.RunTools does.
func (s *ConversationMessageService) RunTools(ctx context.Context, id ConversationID, params *ConversationMessageCreateParams, run *ToolRun, opts ...RequestOption) (*Turn, error) {
	return s.thread(id, params).runTools(ctx, params, run, opts)
}

// toolLoop is one call of RunTools.
type toolLoop struct {
	thread
	run   *ToolRun
	tools map[string]*FuncTool
	cfg   *settings
	whole *Turn
	runs  []RunID // of the rounds so far
}

func (t thread) runTools(ctx context.Context, params *AgentMessageCreateParams, run *ToolRun, opts []RequestOption) (*Turn, error) {
	subject := t.subject("run_tools")
	switch {
	case params == nil || run == nil:
		return nil, invalid(subject, "the params are nil")
	case run.OnMessage == nil && (params.Background || params.StreamTokens):
		return nil, invalid(subject, "background and stream_tokens need OnMessage")
	}
	takes := accepts{streams: true, turns: true}
	cfg, err := t.core.resolveFor(t.operation("run_tools"), takes, opts, t.id())
	if err == nil && run.OnMessage == nil && !cfg.cancelOnDone {
		takes.streams = false
		cfg, err = t.core.resolveFor(t.operation("run_tools"), takes, opts, t.id())
	}
	if err != nil {
		return nil, err
	}
	p := *params
	p.ClientTools = slices.Clone(params.ClientTools)
	tools := map[string]*FuncTool{}
	for i, tool := range run.Tools {
		if tool == nil || tool.call == nil || slices.ContainsFunc(p.ClientTools, func(c ClientTool) bool { return c.Name == tool.Name }) {
			return nil, invalid(subject, "tools[%d] is not made by NewTool, or its name comes twice", i)
		}
		tools[tool.Name] = tool
		p.ClientTools = append(p.ClientTools, tool.ClientTool)
	}
	unlock, err := t.core.lockTurn(ctx, cfg.turnLock, t.key(), subject)
	if err != nil {
		return nil, err
	}
	defer unlock()
	cfg.turnLock = false
	loop := &toolLoop{thread: t, run: run, tools: tools, cfg: cfg, whole: &Turn{}}
	settled := false // nothing waits, or the caller is to answer
	defer func() {   // after a panic of the caller's functions too, which goes on to the caller
		if !settled && cfg.cancelOnDone && len(loop.runs) > 0 {
			t.withdraw(ctx, loop.runs, cfg)
		}
	}()
	err = loop.rounds(ctx, &p)
	settled = err == nil || errors.Is(err, errUndecided)
	return loop.whole, err
}

// errUndecided is ErrPendingApproval that the caller is to deal with.
var errUndecided = fmt.Errorf("%w", ErrPendingApproval)

func (l *toolLoop) rounds(ctx context.Context, params *AgentMessageCreateParams) error {
	subject, most := l.subject("run_tools"), l.run.MaxRounds
	if most <= 0 {
		most = defaultRounds
	}
	for round := 0; ; round++ {
		turn, err := l.round(ctx, params)
		if err != nil && round > 0 {
			err = fail(subject, "round %d: %w (calls of the agent may wait: see Pending)", round+1, later(err))
		}
		if err != nil {
			return err
		}
		calls := turn.PendingCalls()
		switch {
		case len(calls) == 0 && turn.StopReason == StopReasonRequiresApproval:
			return fail(subject, "%w, for calls that IncludeReturnMessageTypes hides", errUndecided)
		case len(calls) == 0:
			return nil
		case round == most:
			return fail(subject, "%w: %d rounds", ErrTooManyRounds, most)
		}
		answers, err := l.answer(ctx, calls)
		if err != nil {
			return fail(subject, "%w", err)
		}
		params.Messages, params.Input = []MessageInput{&ApprovalCreate{Approvals: answers}}, Content{}
	}
}

// answer decides on the calls of others, and then runs our tools side by side.
func (l *toolLoop) answer(ctx context.Context, calls []ToolCall) ([]Approval, error) {
	answers := make([]Approval, len(calls))
	for i, c := range calls {
		if l.tools[c.Name] != nil {
			continue
		}
		var decision *ApprovalReturn
		if l.run.Approve != nil {
			decision = l.run.Approve(ctx, c)
		}
		switch {
		case ctx.Err() != nil:
			return nil, contextError(ctx)
		case decision == nil:
			return nil, fmt.Errorf("call %s of %s: %w", c.ToolCallID, c.Name, errUndecided)
		}
		answers[i] = &ApprovalReturn{ToolCallID: c.ToolCallID, Approve: decision.Approve, Reason: sendable(decision.Reason)}
	}
	var group sync.WaitGroup
	for i, c := range calls {
		if tool := l.tools[c.Name]; tool != nil {
			group.Go(func() { answers[i] = tool.Call(ctx, c) })
		}
	}
	group.Wait()
	if ctx.Err() != nil {
		return nil, contextError(ctx)
	}
	return answers, nil
}

// round sends messages and adds what comes to the whole. It is a stream if somebody looks on, or if it is to be cancelled:
// only a stream tells its run in time.
func (l *toolLoop) round(ctx context.Context, params *AgentMessageCreateParams) (*Turn, error) {
	if l.run.OnMessage == nil && !l.cfg.cancelOnDone {
		turn, err := l.create(ctx, params, []RequestOption{l.cfg})
		if turn != nil {
			l.whole.add(turn)
		}
		return turn, err
	}
	stream, err := l.stream(ctx, params, []RequestOption{l.cfg})
	if err != nil {
		return nil, err
	}
	defer func() { // OnMessage may panic
		if run := stream.RunID(); run != "" {
			l.runs = append(l.runs, run)
		}
	}()
	for message, err := range stream.Messages() {
		if err != nil {
			l.whole.add(stream.Result())
			return nil, err
		}
		if _, asks := message.(*ApprovalRequestMessage); !asks {
			l.show(message)
		}
	}
	turn := stream.Result()
	l.whole.add(turn)
	for _, message := range turn.Messages {
		if request, asks := message.(*ApprovalRequestMessage); asks {
			l.showCalls(request)
		}
	}
	return turn, nil
}

func (l *toolLoop) show(message Message) {
	if l.run.OnMessage != nil {
		l.run.OnMessage(message)
	}
}

// showCalls shows a whole request for approvals: the calls of our tools as calls, for nobody is asked about them.
func (l *toolLoop) showCalls(request *ApprovalRequestMessage) {
	var ours, others []ToolCall
	for _, c := range request.Calls() {
		if l.tools[c.Name] != nil {
			ours = append(ours, c)
		} else {
			others = append(others, c)
		}
	}
	if len(ours) > 0 {
		l.show(&ToolCallMessage{MessageCommon: request.MessageCommon, ToolCalls: ours, ToolCall: firstOf(ours)})
	}
	if len(others) > 0 {
		l.show(&ApprovalRequestMessage{MessageCommon: request.MessageCommon, ToolCalls: others, ToolCall: firstOf(others)})
	}
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
		case <-time.After(toolGrace):
			o.err = fmt.Errorf("the tool did not return within %v", timeout)
		}
	}
	status, text := ToolStatusSuccess, o.text
	if o.err != nil {
		status, text = ToolStatusError, o.err.Error()
	}
	return &ToolReturn{ToolCallID: c.ToolCallID, Status: status, ToolReturn: Content{Text: sendable(text)}}
}

// add appends the next round.
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
