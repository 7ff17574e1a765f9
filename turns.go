package letta

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// thread is where turns are sent: to an agent, or into one of its conversations. Both have the same methods, which are
// here, in approvals.go and in client_tools.go.
type thread struct {
	core           *core
	inConversation bool
	conversation   ConversationID
	agent          AgentID // of a conversation only if it is the conversation "default"
}

// operation is the name of a method of the thread.
func (t thread) operation(method string) string {
	if t.inConversation {
		return "conversations.messages." + method
	}
	return "agents.messages." + method
}

func (t thread) subject(method string) string { return about(t.operation(method), t.id()) }

func (t thread) id() any {
	if t.inConversation {
		return t.conversation
	}
	return t.agent
}

// ofAgent reports whether the thread is the agent's own: the conversation "default" is.
func (t thread) ofAgent() bool { return !t.inConversation || t.conversation == defaultConversation }

// key is that of the thread's lock.
func (t thread) key() string {
	if t.ofAgent() {
		return string(t.agent)
	}
	return string(t.conversation)
}

// turn is the request for a turn.
func (t thread) turn(method string, params *AgentMessageCreateParams, stream bool) (request, error) {
	operation := t.operation(method)
	body, err := params.body(operation, stream, t.inConversation)
	if err != nil {
		return request{}, err
	}
	path := "/v1/agents/{agent_id}/messages"
	if t.inConversation {
		path = "/v1/conversations/{conversation_id}/messages"
		if err := checkDefault(operation, t.conversation, t.agent); err != nil {
			return request{}, err
		}
	}
	return request{op: Operation{operation, http.MethodPost, path}, ids: []any{t.id()}, body: body, turn: true, stream: stream}, nil
}

// create sends a turn and waits for the whole of it, under the lock of the thread if WithTurnLock asks for that.
func (t thread) create(ctx context.Context, params *AgentMessageCreateParams, opts []RequestOption) (*Turn, error) {
	r, err := t.turn("create", params, false)
	if err != nil {
		return nil, err
	}
	return locked(ctx, t.core, t.key(), r, false, opts, func(ctx context.Context, lock *turnLock, cfg *settings) (*Turn, error) {
		return t.createUnder(ctx, lock, r, cfg)
	})
}

// createUnder is create under a lock, nil if there is none.
func (t thread) createUnder(ctx context.Context, lock *turnLock, r request, cfg *settings) (*Turn, error) {
	life := t.core.life.now()
	turn, err := do[*Turn](ctx, t.core, r, []RequestOption{cfg})
	t.seeOff(ctx, life, lock, r, cfg, err)
	return turn, err
}

// seeOff holds the lock of a turn whose answer was lost, and which may go on at the server, until no turn of the thread does.
func (t thread) seeOff(ctx, life context.Context, lock *turnLock, r request, cfg *settings, err error) {
	if lock == nil || !answerLost(err) {
		return
	}
	release, cfg := lock.hold(), cfg.followUp()
	cfg.maxRetries = 0
	ctx, stop := after(ctx, life, turnEndTimeout)
	go func() {
		defer release()
		defer stop()
		t.core.guarded(ctx, r.op.Name, func() { waitUntil(ctx, func() bool { return t.idle(ctx, cfg) }) })
	}()
}

// answerLost reports whether a turn that failed may go on at the server.
func answerLost(err error) bool {
	var answer *APIError
	switch {
	case err == nil, errors.Is(err, ErrNotSent), errors.Is(err, ErrInvalidArgument):
		return false
	case errors.As(err, &answer): // of a proxy that waited no longer, or lost its own connection
		return answer.StatusCode == http.StatusBadGateway || answer.StatusCode == http.StatusGatewayTimeout ||
			answer.StatusCode >= 520 && answer.StatusCode <= 527 // Cloudflare's, in front of Letta Cloud
	}
	return true
}

// idle reports whether no turn of the thread goes on, as far as that can be seen: Letta 0.16.8 leaves the run of a turn in a
// conversation that is not a stream in the state created for ever.
func (t thread) idle(ctx context.Context, cfg *settings) bool {
	params := &RunListParams{AgentID: t.agent, Active: true}
	if !t.ofAgent() {
		params = &RunListParams{ConversationID: t.conversation, Active: true}
	}
	runs := RunService{core: t.core}
	for run, err := range runs.ListAll(ctx, params, cfg) {
		switch {
		case err != nil:
			return errors.Is(err, ErrNotFound)
		case t.ofAgent() && run.ConversationID == "", !t.ofAgent() && run.Status != RunStatusCreated:
			return false
		}
	}
	return true
}

// locked does something that is part of an agent's turns, under a lock if it always needs one or WithTurnLock asks for it, and
// nil otherwise. The timeout is for both.
func locked[T any](ctx context.Context, c *core, key string, r request, always bool, opts []RequestOption, f func(context.Context, *turnLock, *settings) (T, error)) (out T, err error) {
	cfg, err := c.resolve(r, nil, opts)
	if err != nil {
		return out, err
	}
	ctx, cancel := cfg.bound(ctx, r)
	defer cancel()
	cfg.timeout, cfg.timeoutSet = 0, true
	lock, release, err := c.lockTurn(ctx, always || cfg.turnLock, key, about(r.op.Name, r.ids...))
	if err != nil {
		return out, err
	}
	defer release()
	return f(ctx, lock, cfg)
}

// compact sends a request for a compaction, which is no turn but must not meet one.
func (t thread) compact(ctx context.Context, r request, opts []RequestOption) (*CompactionResponse, error) {
	return locked(ctx, t.core, t.key(), r, false, opts, func(ctx context.Context, _ *turnLock, cfg *settings) (*CompactionResponse, error) {
		return do[*CompactionResponse](ctx, t.core, r, []RequestOption{cfg})
	})
}

// turnLock is the lock of a thread for one turn. Several may hold it, and the last to release it lets the next turn in: the
// call that sent the turn, and whoever waits for the server to end it when the call has returned.
type turnLock struct {
	unlock  func()
	holders atomic.Int32
}

// hold takes a share. Without a lock it returns nil. release may be called several times.
func (l *turnLock) hold() (release func()) {
	if l == nil {
		return nil
	}
	l.holders.Add(1)
	return sync.OnceFunc(func() {
		if l.holders.Add(-1) == 0 {
			l.unlock()
		}
	})
}

// lockTurn waits for the lock of a thread, if it is wanted; if not, the lock is nil. The caller has a share of it.
func (c *core) lockTurn(ctx context.Context, wanted bool, key, subject string) (lock *turnLock, release func(), err error) {
	switch {
	case ctx == nil:
		return nil, nil, invalid(subject, "the context is nil")
	case !wanted:
		return nil, func() {}, nil
	}
	unlock, err := c.turns.Lock(ctx, key)
	if err != nil {
		return nil, nil, notSent(subject, fmt.Errorf("waiting for another turn of %s: %w", oneLine(key), contextError(ctx)))
	}
	lock = &turnLock{unlock: unlock}
	return lock, lock.hold(), nil
}

// stream sends a turn and returns its stream, which holds the lock of the thread to its end if WithTurnLock asks for that.
func (t thread) stream(ctx context.Context, params *AgentMessageCreateParams, opts []RequestOption) (*MessageStream, error) {
	r, err := t.turn("stream", params, true)
	if err != nil {
		return nil, err
	}
	cfg, err := t.core.resolve(r, nil, opts)
	if err != nil {
		return nil, err
	}
	lock, release, err := t.core.lockTurn(ctx, cfg.turnLock, t.key(), about(r.op.Name, r.ids...))
	if err != nil {
		return nil, err
	}
	defer release()
	return t.streamUnder(ctx, lock, r, params.Background, cfg, settleTimeout)
}

// streamUnder is stream under a lock, of which the stream has a share to its end; nil if there is none. Whoever leaves the
// stream waits for a cancelled turn to end, as long as patience lasts.
func (t thread) streamUnder(ctx context.Context, lock *turnLock, r request, background bool, cfg *settings, patience time.Duration) (*MessageStream, error) {
	reader := t.reader(r, cfg)
	reader.resumable, reader.unlock, reader.patience = background, lock.hold(), patience
	stream, err := reader.open(ctx, r)
	if reader.conn == nil { // or else the reader sees to it
		t.seeOff(ctx, reader.life, lock, r, cfg, err)
	}
	return stream, err
}

// reader will read the answer to r.
func (t thread) reader(r request, cfg *settings) *turnReader {
	reader := &turnReader{core: t.core, cfg: cfg, operation: r.op.Name, subject: about(r.op.Name, r.ids...), patience: settleTimeout, idle: t.idle}
	if cfg.cancelOnDone {
		reader.cancel = t.cancel
	}
	return reader
}

// open starts the reader. If that fails, the lock is released.
func (t *turnReader) open(ctx context.Context, r request) (*MessageStream, error) {
	begun := false
	defer func() { // a transport or a token source may panic
		if !begun && t.conn == nil && t.unlock != nil { // with a connection, settle releases it
			t.unlock()
		}
	}()
	if err := t.start(ctx, r); err != nil {
		return nil, err
	}
	begun = true
	s := &MessageStream{source: t, pings: t.cfg.pings}
	s.turn.ranAs(t.runID())
	return s, nil
}

// cancel stops a run at the server: this run alone, where the cancel of a conversation would stop the runs of others too.
// Letta 0.16.8 cancels by run id whatever the agent is, but wants an agent, which the run knows.
func (t thread) cancel(ctx context.Context, run RunID, cfg *settings) {
	agent := t.agent
	if agent == "" {
		state, err := do[*Run](ctx, t.core, retrieveRun(run), []RequestOption{cfg})
		if err != nil || state.Ended() {
			return
		}
		agent = state.AgentID
	}
	agents := AgentMessageService{t.core}
	_, _ = agents.Cancel(ctx, agent, &AgentMessageCancelParams{RunIDs: []RunID{run}}, cfg)
}

// body is what is sent: the params with an otid in every message, and the fields that make the answer a stream or not.
func (p *AgentMessageCreateParams) body(operation string, stream, conversation bool) (any, error) {
	switch {
	case p == nil:
		return nil, invalid(operation, "the params are nil")
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
