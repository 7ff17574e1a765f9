package letta

import (
	"context"
	"crypto/rand"
	"fmt"
	"reflect"
	"slices"
	"sync"
)

// sendTurn sends a turn and waits for the whole of it, under the lock of its agent or conversation if WithTurnLock asks for
// that.
func (c *core) sendTurn(ctx context.Context, key string, r request, opts []RequestOption) (*Turn, error) {
	cfg, err := c.resolve(r, nil, opts)
	if err != nil {
		return nil, err
	}
	ctx, cancel := cfg.bound(ctx, r)
	defer cancel()
	cfg.timeout, cfg.timeoutSet = 0, true
	release, err := c.lockTurn(ctx, cfg, key, r)
	if err != nil {
		return nil, err
	}
	defer release()
	return do[*Turn](ctx, c, r, []RequestOption{cfg})
}

func (c *core) lockTurn(ctx context.Context, cfg *settings, key string, r request) (func(), error) {
	subject := about(r.op.Name, r.ids...)
	switch {
	case ctx == nil:
		return nil, invalid(subject, "the context is nil")
	case !cfg.turnLock:
		return func() {}, nil
	}
	release, err := c.turns.Lock(ctx, key)
	if err != nil {
		return nil, notSent(subject, fmt.Errorf("waiting for another turn of %s: %w", oneLine(key), contextError(ctx)))
	}
	return release, nil
}

// stream sends a turn and returns its stream, which holds the lock of the agent or conversation to its end.
func (c *core) stream(ctx context.Context, key string, r request, background bool, cancel func(context.Context, RunID, *settings), opts []RequestOption) (*MessageStream, error) {
	cfg, err := c.resolve(r, nil, opts)
	if err != nil {
		return nil, err
	}
	s := &MessageStream{core: c, cfg: cfg, pings: cfg.pings}
	if background {
		s.resume = streamRun
	}
	if cfg.cancelOnDone && cancel != nil {
		s.abandon = func(ctx context.Context, run RunID) {
			ctx, stop := context.WithTimeout(ctx, abandonTimeout)
			defer stop()
			cancel(ctx, run, cfg.followUp())
		}
	}
	if s.release, err = c.lockTurn(ctx, cfg, key, r); err != nil {
		return nil, err
	}
	s.release = sync.OnceFunc(s.release)
	if _, err := s.start(ctx, r); err != nil {
		s.release()
		return nil, err
	}
	return s, nil
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
