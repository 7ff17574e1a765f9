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
	// other as an ApprovalRequestMessage. Each round is a run of its own, which Common().RunID tells.
	OnMessage func(Message)
	// MaxRounds bounds how often tools are run for one turn; 0 means 10.
	MaxRounds int
}

// Undecided gives those of the calls that a person has to decide on: the ones that are not of Tools. Approve is not asked.
// After ErrPendingApproval it is given turn.PendingCalls().
func (r *ToolRun) Undecided(calls []ToolCall) []ToolCall {
	return slices.DeleteFunc(slices.Clone(calls), func(c ToolCall) bool {
		return slices.ContainsFunc(r.Tools, func(tool *FuncTool) bool { return tool != nil && tool.Name == c.Name })
	})
}

// RunTools sends messages, runs the client tools that the agent calls, side by side, sends back what they return, and
// goes on until the turn ends. The turn holds the messages of all rounds, the usage of all, and the last stop
// reason. It is returned with an error too: ErrTooManyRounds, ErrPendingApproval for a call that nobody here
// decides on, or that of a request. After ErrPendingApproval a person decides on run.Undecided(turn.PendingCalls()), and
// RespondTools goes on. Several calls come side by side only if the agent's model may make them: by default Letta 0.16.8 keeps
// the first of a step; ParallelToolCalls in its ModelSettings keeps all.
//
// When RunTools ends early, because of an error, a panic of a function of yours or the end of the context, calls may be left
// that wait for an answer, and the agent refuses messages until Respond or DenyAll. With WithCancelOnDone such calls are
// withdrawn before RunTools returns, but for those of ErrPendingApproval; that may take as long as the server needs to end
// the turn, a minute at most. WithTurnLock holds the lock over all rounds; WithTimeout is for each. Options of streams need
// OnMessage or WithCancelOnDone.
func (s *AgentMessageService) RunTools(ctx context.Context, id AgentID, params *AgentMessageCreateParams, run *ToolRun, opts ...RequestOption) (*Turn, error) {
	return s.thread(id).runTools(ctx, params, run, opts)
}

// RunTools does in a conversation what Agents.Messages.RunTools does.
func (s *ConversationMessageService) RunTools(ctx context.Context, id ConversationID, params *ConversationMessageCreateParams, run *ToolRun, opts ...RequestOption) (*Turn, error) {
	return s.thread(id, params).runTools(ctx, params, run, opts)
}

// RespondTools answers the calls that wait, as Respond does, and goes on as RunTools does: for a person who decides in a later
// request on a turn that ended with ErrPendingApproval. Calls of run.Tools that wait too need no answer: those tools are run,
// whatever the person says about the other calls. ApprovalReturn runs such a tool as well, or denies its call, and
// ToolReturn says what it returned. Every other call needs exactly one answer, from answers or from run.Approve;
// run.Undecided tells which calls those are. params may be nil; they are those of a turn, without messages. The lock is taken
// as by Respond.
func (s *AgentMessageService) RespondTools(ctx context.Context, id AgentID, answers []Approval, params *AgentMessageCreateParams, run *ToolRun, opts ...RequestOption) (*Turn, error) {
	return s.thread(id).respondTools(ctx, answers, params, run, opts)
}

// RespondTools does in a conversation what Agents.Messages.RespondTools does.
func (s *ConversationMessageService) RespondTools(ctx context.Context, id ConversationID, answers []Approval, params *ConversationMessageCreateParams, run *ToolRun, opts ...RequestOption) (*Turn, error) {
	return s.thread(id, params).respondTools(ctx, answers, params, run, opts)
}

// toolLoop is one call of RunTools or RespondTools.
type toolLoop struct {
	thread
	subject string
	run     *ToolRun
	tools   map[string]*FuncTool
	params  AgentMessageCreateParams // of the next round
	cfg     *settings
	lock    *turnLock
	whole   *Turn
	runs    []RunID // of the rounds so far
}

func (t thread) runTools(ctx context.Context, params *AgentMessageCreateParams, run *ToolRun, opts []RequestOption) (*Turn, error) {
	const method = "run_tools"
	if params == nil {
		return nil, invalid(t.subject(method), "the params are nil")
	}
	loop, err := t.toolLoop(method, params, run, opts)
	if err != nil {
		return nil, err
	}
	return loop.under(ctx, loop.cfg.turnLock, func() error { return loop.rounds(ctx) })
}

func (t thread) respondTools(ctx context.Context, answers []Approval, params *AgentMessageCreateParams, run *ToolRun, opts []RequestOption) (*Turn, error) {
	const method = "respond_tools"
	p := copyOf(params)
	loop, err := t.toolLoop(method, &p, run, opts)
	if err != nil {
		return nil, err
	}
	return loop.under(ctx, true, func() error {
		sent, err := t.answered(ctx, method, func(calls []ToolCall) ([]Approval, error) { return loop.complete(ctx, calls, answers) }, &loop.params, loop.cfg)
		if err != nil {
			return err
		}
		loop.params = *sent
		return later(loop.rounds(ctx))
	})
}

// toolLoop checks what RunTools and RespondTools are given.
func (t thread) toolLoop(method string, params *AgentMessageCreateParams, run *ToolRun, opts []RequestOption) (*toolLoop, error) {
	subject := t.subject(method)
	switch {
	case run == nil:
		return nil, invalid(subject, "the tool run is nil")
	case run.OnMessage == nil && (params.Background || params.StreamTokens):
		return nil, invalid(subject, "background and stream_tokens need OnMessage")
	}
	takes := accepts{streams: true, turns: true}
	cfg, err := t.core.resolveFor(t.operation(method), takes, opts, t.id())
	if err == nil && run.OnMessage == nil && !cfg.cancelOnDone {
		takes.streams = false
		cfg, err = t.core.resolveFor(t.operation(method), takes, opts, t.id())
	}
	if err != nil {
		return nil, err
	}
	loop := &toolLoop{thread: t, subject: subject, run: run, tools: map[string]*FuncTool{}, params: *params, cfg: cfg, whole: &Turn{}}
	loop.params.ClientTools = slices.Clone(params.ClientTools)
	for i, tool := range run.Tools {
		if tool == nil || tool.call == nil || slices.ContainsFunc(loop.params.ClientTools, func(c ClientTool) bool { return c.Name == tool.Name }) {
			return nil, invalid(subject, "tools[%d] is not made by NewTool, or its name comes twice", i)
		}
		loop.tools[tool.Name] = tool
		loop.params.ClientTools = append(loop.params.ClientTools, tool.ClientTool)
	}
	return loop, nil
}

// under runs the loop under the lock, if it is wanted. With WithCancelOnDone nothing that the loop has brought about waits
// afterwards.
func (l *toolLoop) under(ctx context.Context, locked bool, loop func() error) (*Turn, error) {
	lock, release, err := l.core.lockTurn(ctx, locked, l.key(), l.subject)
	if err != nil {
		return nil, err
	}
	defer release()
	l.lock, l.cfg.turnLock = lock, false
	settled := false // nothing waits, or the caller is to answer
	defer func() {   // after a panic of the caller's functions too, which goes on to the caller
		if !settled && l.cfg.cancelOnDone && len(l.runs) > 0 {
			l.withdraw(ctx, l.runs, l.cfg)
		}
	}()
	err = loop()
	settled = err == nil || errors.Is(err, errUndecided)
	return l.whole, err
}

// errUndecided is ErrPendingApproval that the caller is to deal with.
var errUndecided = fmt.Errorf("%w", ErrPendingApproval)

func (l *toolLoop) rounds(ctx context.Context) error {
	most := l.run.MaxRounds
	if most <= 0 {
		most = defaultRounds
	}
	for round := 0; ; round++ {
		turn, err := l.round(ctx)
		if err != nil && round > 0 {
			err = fail(l.subject, "round %d: %w (calls of the agent may wait: see Pending)", round+1, later(err))
		}
		if err != nil {
			return err
		}
		calls := turn.PendingCalls()
		switch {
		case len(calls) == 0 && turn.StopReason == StopReasonRequiresApproval:
			return fail(l.subject, "%w, for calls that IncludeReturnMessageTypes hides", errUndecided)
		case len(calls) == 0:
			return nil
		case round == most:
			return fail(l.subject, "%w: %d rounds", ErrTooManyRounds, most)
		}
		answers, err := l.answer(ctx, calls)
		if err != nil {
			return fail(l.subject, "%w", err)
		}
		l.params.Messages, l.params.Input = []MessageInput{&ApprovalCreate{Approvals: answers}}, Content{}
	}
}

// complete adds to the answers of the caller those to the other calls that wait: our tools run, and Approve decides. A call
// of our tools that the caller approves runs here: the server has no such function.
func (l *toolLoop) complete(ctx context.Context, calls []ToolCall, answers []Approval) ([]Approval, error) {
	given := make(map[ToolCallID]Approval, len(answers))
	for _, a := range answers {
		given[answerTo(a)] = a
	}
	var open []ToolCall
	all := slices.Clone(answers)
	for _, c := range calls {
		ours := l.tools[c.Name] != nil
		switch answer, answered := given[c.ToolCallID]; {
		case ours && approves(answer):
			open = append(open, c)
		case !answered && (ours || l.run.Approve != nil):
			open, all = append(open, c), append(all, &ToolReturn{ToolCallID: c.ToolCallID})
		}
	}
	// No tool runs if the answers do not fit.
	if err := CheckApprovals(calls, all); err != nil {
		return nil, err
	}
	rest, err := l.answer(ctx, open)
	if err != nil {
		return nil, fail(l.subject, "%w", err)
	}
	kept := slices.DeleteFunc(slices.Clone(answers), func(a Approval) bool {
		return slices.ContainsFunc(open, func(c ToolCall) bool { return c.ToolCallID == answerTo(a) })
	})
	return append(kept, rest...), nil
}

func approves(answer Approval) bool {
	a, ok := answer.(*ApprovalReturn)
	return ok && a != nil && a.Approve
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

// round sends the next messages and adds what comes to the whole. It is a stream if somebody looks on, or if it is to be
// cancelled: only a stream tells its run in time, and when a cancelled run has ended.
func (l *toolLoop) round(ctx context.Context) (*Turn, error) {
	if l.run.OnMessage == nil && !l.cfg.cancelOnDone {
		r, err := l.turn("create", &l.params, false)
		if err != nil {
			return nil, err
		}
		turn, err := l.createUnder(ctx, l.lock, r, l.cfg)
		if turn != nil {
			l.whole.add(turn)
		}
		return turn, err
	}
	r, err := l.turn("stream", &l.params, true)
	if err != nil {
		return nil, err
	}
	stream, err := l.streamUnder(ctx, l.lock, r, l.params.Background, l.cfg, turnEndTimeout)
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
