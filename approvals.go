package letta

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Errors of approvals, raised here and not by the server.
var (
	// ErrInvalidApprovals says that the answers do not fit the calls that wait: a call has no answer or several, or an answer
	// has no call. They were not sent: the server refuses less than all answers, and the agent would stay as it is.
	ErrInvalidApprovals = errors.New("the approvals do not fit the calls that wait")
	// ErrNothingPending says that no tool call waits. Somebody else may have answered, such as a second click.
	ErrNothingPending = errors.New("no tool call waits for an approval")
)

// Pending gets the message that asks for approval, nil if nothing waits. It is about the agent's own messages: a call in a
// conversation waits there, see Conversations.Messages.Pending.
func (s *AgentMessageService) Pending(ctx context.Context, id AgentID, opts ...RequestOption) (*ApprovalRequestMessage, error) {
	return s.thread(id).pending(ctx, opts)
}

// Pending gets the message of the conversation that asks for approval, nil if nothing waits. It takes two requests. For the
// conversation "default" use Agents.Messages.Pending.
func (s *ConversationMessageService) Pending(ctx context.Context, id ConversationID, opts ...RequestOption) (*ApprovalRequestMessage, error) {
	return s.thread(id, nil).pending(ctx, opts)
}

// Respond answers all calls that wait, in one request, and returns the rest of the turn. It asks for them first, and
// sends nothing unless every one of them has exactly one answer. Calls of Respond, RespondStream and DenyAll for one agent
// wait for each other in this client, and for turns with WithTurnLock: of two clicks the second gets ErrNothingPending.
// A call of a client tool needs a ToolReturn: approved, it fails, because the server has no such function. RespondTools runs it.
// params may be nil; they are those of a turn, without messages.
//
// Of two clients that answer at the same moment, Letta 0.16.8 carries out both, and the tool runs twice. It refuses the
// second, which gets ErrBusy, in the conversation "default", which is the agent's own messages under a lock of the server:
// Conversations.Messages.Respond with the agent in the params. One that comes when the first has just ended is a turn in which
// no tool runs.
func (s *AgentMessageService) Respond(ctx context.Context, id AgentID, answers []Approval, params *AgentMessageCreateParams, opts ...RequestOption) (*Turn, error) {
	return s.thread(id).respond(ctx, "respond", exactly(answers), params, opts)
}

// Respond answers all calls that wait in the conversation, as Agents.Messages.Respond does. For the conversation
// "default", params name the agent. Of two clients that answer at the same moment, Letta 0.16.8 refuses the second, with
// ErrBusy, in the conversation "default", and in another only if the answer is a stream: use RespondStream there.
func (s *ConversationMessageService) Respond(ctx context.Context, id ConversationID, answers []Approval, params *ConversationMessageCreateParams, opts ...RequestOption) (*Turn, error) {
	return s.thread(id, params).respond(ctx, "respond", exactly(answers), params, opts)
}

// RespondStream is Respond with the rest of the turn as a stream, which holds the lock to its end.
func (s *AgentMessageService) RespondStream(ctx context.Context, id AgentID, answers []Approval, params *AgentMessageCreateParams, opts ...RequestOption) (*MessageStream, error) {
	return s.thread(id).respondStream(ctx, answers, params, opts)
}

// RespondStream is Respond with the rest of the turn as a stream, which holds the lock to its end.
func (s *ConversationMessageService) RespondStream(ctx context.Context, id ConversationID, answers []Approval, params *ConversationMessageCreateParams, opts ...RequestOption) (*MessageStream, error) {
	return s.thread(id, params).respondStream(ctx, answers, params, opts)
}

// DenyAll denies all calls that wait, with a reason that the model reads: the way out for an agent that is stuck. It
// returns the rest of the turn, which the model ends. params are those of Respond.
func (s *AgentMessageService) DenyAll(ctx context.Context, id AgentID, reason string, params *AgentMessageCreateParams, opts ...RequestOption) (*Turn, error) {
	return s.thread(id).respond(ctx, "deny_all", denials(reason), params, opts)
}

// DenyAll denies all calls that wait in the conversation, as Agents.Messages.DenyAll does.
func (s *ConversationMessageService) DenyAll(ctx context.Context, id ConversationID, reason string, params *ConversationMessageCreateParams, opts ...RequestOption) (*Turn, error) {
	return s.thread(id, params).respond(ctx, "deny_all", denials(reason), params, opts)
}

// answering gives the answers to the calls that wait.
type answering func(calls []ToolCall) ([]Approval, error)

func exactly(answers []Approval) answering {
	return func(calls []ToolCall) ([]Approval, error) { return answers, CheckApprovals(calls, answers) }
}

func denials(reason string) answering {
	return func(calls []ToolCall) (answers []Approval, _ error) {
		for _, c := range calls {
			answers = append(answers, &ApprovalReturn{ToolCallID: c.ToolCallID, Reason: reason})
		}
		return answers, nil
	}
}

func (t thread) pending(ctx context.Context, opts []RequestOption) (*ApprovalRequestMessage, error) {
	const method = "pending"
	if err := checkDefault(t.operation(method), t.conversation, t.agent); err != nil {
		return nil, err
	}
	cfg, err := t.core.resolveFor(t.operation(method), accepts{}, opts, t.id())
	if err != nil {
		return nil, err
	}
	if t.ofAgent() {
		agent, err := do[*AgentState](ctx, t.core, retrieveAgent(t.agent, &AgentRetrieveParams{Include: []AgentInclude{AgentIncludePendingApproval}}), []RequestOption{cfg})
		if err != nil {
			return nil, err
		}
		return agent.PendingApproval, nil
	}
	conversations, history := ConversationService{core: t.core}, MessageService{t.core}
	conversation, err := conversations.Retrieve(ctx, t.conversation, cfg)
	if err != nil || len(conversation.InContextMessageIDs) == 0 {
		return nil, err
	}
	last, err := history.Retrieve(ctx, conversation.InContextMessageIDs[len(conversation.InContextMessageIDs)-1], cfg)
	if err != nil {
		return nil, later(err)
	}
	for _, message := range last {
		if request, asks := message.(*ApprovalRequestMessage); asks {
			return request, nil
		}
	}
	return nil, nil //nolint:nilnil // nothing waits
}

// respond answers what waits, and waits for the rest of the turn. The lock comes before the look at what waits: of two
// answers to the same calls, the second would be another turn.
func (t thread) respond(ctx context.Context, method string, answer answering, params *AgentMessageCreateParams, opts []RequestOption) (*Turn, error) {
	whole := request{op: Operation{Name: t.operation(method)}, ids: []any{t.id()}, turn: true}
	return locked(ctx, t.core, t.key(), whole, true, opts, func(ctx context.Context, lock *turnLock, cfg *settings) (*Turn, error) {
		sent, err := t.answered(ctx, method, answer, params, cfg)
		if err != nil {
			return nil, err
		}
		r, err := t.turn("create", sent, false)
		if err != nil {
			return nil, later(err)
		}
		turn, err := t.createUnder(ctx, lock, r, cfg)
		return turn, later(err)
	})
}

func (t thread) respondStream(ctx context.Context, answers []Approval, params *AgentMessageCreateParams, opts []RequestOption) (*MessageStream, error) {
	const method = "respond_stream"
	cfg, err := t.core.resolveFor(t.operation(method), accepts{streams: true, turns: true}, opts, t.id())
	if err != nil {
		return nil, err
	}
	lock, release, err := t.core.lockTurn(ctx, true, t.key(), t.subject(method))
	if err != nil {
		return nil, err
	}
	defer release()
	sent, err := t.answered(ctx, method, exactly(answers), params, cfg)
	if err != nil {
		return nil, err
	}
	r, err := t.turn("stream", sent, true)
	if err != nil {
		return nil, later(err)
	}
	stream, err := t.streamUnder(ctx, lock, r, sent.Background, cfg, settleTimeout)
	return stream, later(err)
}

// answered are params with the answers to what waits as their message.
func (t thread) answered(ctx context.Context, method string, answer answering, params *AgentMessageCreateParams, cfg *settings) (*AgentMessageCreateParams, error) {
	sent := copyOf(params)
	if sent.Messages != nil || sent.Input.Text != "" || sent.Input.Parts != nil {
		return nil, invalid(t.subject(method), "the params hold messages: the answers are the message")
	}
	waiting, err := t.pending(ctx, []RequestOption{cfg.followUp()})
	if err != nil {
		return nil, err
	}
	if waiting == nil {
		return nil, fail(t.subject(method), "%w", ErrNothingPending)
	}
	answers, err := answer(waiting.Calls())
	if err != nil {
		return nil, later(err) // what waits was asked for
	}
	sent.Messages = []MessageInput{&ApprovalCreate{Approvals: answers}}
	return &sent, nil
}

// withdraw frees a thread whose calls nobody will answer any more, if they are those of the runs. Letta 0.16.8 denies the
// calls of an agent whose run is cancelled, without asking the model. In a conversation it does not: there they are
// denied in a turn.
func (t thread) withdraw(ctx context.Context, runs []RunID, cfg *settings) {
	ctx, stop := after(ctx, t.core.life.now(), turnEndTimeout)
	defer stop()
	cfg = cfg.followUp()
	cfg.cancelOnDone, cfg.turnLock = false, false
	waiting, err := t.pending(ctx, []RequestOption{cfg})
	if err != nil || waiting == nil || !slices.Contains(runs, waiting.RunID) {
		return
	}
	if t.ofAgent() {
		t.cancel(ctx, waiting.RunID, cfg)
		if waiting, err = t.pending(ctx, []RequestOption{cfg}); err != nil || waiting == nil {
			return
		}
	}
	// As a stream, the turn ends at the server even if this takes too long for us.
	answers, _ := denials("cancelled")(waiting.Calls())
	params := &AgentMessageCreateParams{AgentID: t.agentOfDefault(), Messages: []MessageInput{&ApprovalCreate{Approvals: answers}}, MaxSteps: 1}
	if stream, err := t.stream(ctx, params, []RequestOption{cfg}); err == nil {
		_, _ = stream.Collect()
	}
}

// agentOfDefault is what params need to name for the conversation "default".
func (t thread) agentOfDefault() AgentID {
	if t.inConversation {
		return t.agent
	}
	return ""
}

// CheckApprovals reports, as ErrInvalidApprovals, which of the pending calls has no answer or several, and which
// answer has no call.
func CheckApprovals(pending []ToolCall, answers []Approval) error {
	count := make(map[ToolCallID]int, len(pending))
	for _, c := range pending {
		count[c.ToolCallID] = 0
	}
	for i, answer := range answers {
		id := answerTo(answer)
		if _, waits := count[id]; !waits {
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

// answerTo is the call that an answer is for; empty if it is none.
func answerTo(answer Approval) ToolCallID {
	switch answer := answer.(type) {
	case *ApprovalReturn:
		if answer != nil {
			return answer.ToolCallID
		}
	case *ToolReturn:
		if answer != nil {
			return answer.ToolCallID
		}
	}
	return ""
}
