package letta

import (
	"context"
	"time"
)

const (
	maxEdits  = 8
	maxSettle = 2 * time.Second  // see settle
	lateWrite = 10 * time.Second // how long a write is waited for although the context has ended
)

// agentEdit changes a relation of an agent that the server can only replace at once.
type agentEdit[T any] struct {
	operation string
	what      string // for errors
	include   AgentInclude
	read      func(*AgentState) (T, error)
	change    func(have T) T
	same      func(a, b T) bool
	params    func(want T) *AgentUpdateParams // of one field, so that nothing else of the agent is touched
}

// run reads, writes what changes, verifies, and starts again if another writer won.
func (e agentEdit[T]) run(ctx context.Context, s *AgentService, id AgentID, opts []RequestOption) (*AgentState, error) {
	subject := about(e.operation, id)
	cfg, err := s.core.resolveFor(e.operation, accepts{}, opts, id)
	switch {
	case err != nil:
		return nil, err
	case ctx == nil:
		return nil, invalid(subject, "the context is nil")
	}
	if _, err := expand("{agent_id}", []any{id}); err != nil {
		return nil, invalid(e.operation, "%w", err)
	}
	ctx, cancel := cfg.boundAll(ctx)
	defer cancel()
	unlock, err := s.core.agentEdits.Lock(ctx, id)
	if err != nil {
		return nil, notSent(subject, contextError(ctx))
	}
	defer unlock()
	wrap := func(err error) error { return err }
	for range maxEdits {
		began := time.Now()
		agent, err := s.Retrieve(ctx, id, &AgentRetrieveParams{Include: []AgentInclude{e.include}}, cfg)
		if err != nil {
			return nil, wrap(err)
		}
		wrap = later
		have, err := e.read(agent)
		if err != nil {
			return nil, fail(subject, "%w", err)
		}
		want := e.change(have)
		if e.same(want, have) {
			return agent, nil
		}
		if err := e.write(ctx, s, id, want, cfg); err != nil {
			return nil, later(err)
		}
		if err := settle(ctx, time.Since(began)); err != nil {
			return nil, fail(subject, "the %s were written, but not verified: %w", e.what, err)
		}
	}
	return nil, fail(subject, "other writers of the %s won %d times", e.what, maxEdits)
}

// write replaces the relation.
func (e agentEdit[T]) write(ctx context.Context, s *AgentService, id AgentID, want T, cfg *settings) error {
	if ctx.Err() != nil {
		return contextError(ctx)
	}
	writing, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(lateWrite, func() { cancel(contextError(ctx)) })
		context.AfterFunc(writing, func() { timer.Stop() })
	})()
	_, err := s.Update(writing, id, e.params(want), cfg)
	if err == nil && ctx.Err() != nil {
		return fail(about(e.operation, id), "the %s were written, but not verified: %w", e.what, contextError(ctx))
	}
	return err
}

// settle waits as long as a read and a write just took. Another writer that read before our write has then written too, if
// it is about as fast, and the next read sees it.
func settle(ctx context.Context, took time.Duration) error {
	return sleep(ctx, min(took, maxSettle))
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return contextError(ctx)
	}
}
