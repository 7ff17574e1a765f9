package letta

import (
	"context"
	"slices"
	"time"
)

const (
	maxTagRounds = 8
	maxSettle    = 2 * time.Second  // see settle
	lateWrite    = 10 * time.Second // how long a write is waited for although the context has ended
)

// AddTags adds tags to an agent and keeps the others; tags that it has already cost no write. The server can only replace all
// tags at once, so this reads, writes and verifies, and starts again if another writer won. Writers in this process,
// through this client, wait for each other. Between processes a tag can still be lost if the other writer is slower than
// the verification waits, which is about as long as the write took, 2 s at most. Once the write is sent, its answer is
// waited for, 10 s at most, even if the context ends: a write that lands late would undo what others wrote in between.
func (s *AgentService) AddTags(ctx context.Context, id AgentID, tags []string, opts ...RequestOption) (*AgentState, error) {
	return s.editTags(ctx, "agents.add_tags", id, tags, opts, func(have []string) []string { return merged(have, tags) })
}

// RemoveTags removes tags from an agent and keeps the others, like AddTags.
func (s *AgentService) RemoveTags(ctx context.Context, id AgentID, tags []string, opts ...RequestOption) (*AgentState, error) {
	return s.editTags(ctx, "agents.remove_tags", id, tags, opts, func(have []string) []string {
		return slices.DeleteFunc(slices.Clone(have), func(tag string) bool { return slices.Contains(tags, tag) })
	})
}

func (s *AgentService) editTags(ctx context.Context, operation string, id AgentID, tags []string, opts []RequestOption, edit func([]string) []string) (*AgentState, error) {
	subject := about(operation, id)
	cfg, err := s.core.resolveFor(operation, accepts{}, opts, id)
	switch {
	case err != nil:
		return nil, err
	case ctx == nil:
		return nil, invalid(subject, "the context is nil")
	}
	if err := checkTags(tags); err != nil {
		return nil, invalid(subject, "%w", err)
	}
	if _, err := expand("{agent_id}", []any{id}); err != nil {
		return nil, invalid(operation, "%w", err)
	}
	ctx, cancel := cfg.boundAll(ctx)
	defer cancel()
	unlock, err := s.core.tagEdits.Lock(ctx, id)
	if err != nil {
		return nil, notSent(subject, contextError(ctx))
	}
	defer unlock()
	wrap := func(err error) error { return err }
	for range maxTagRounds {
		began := time.Now()
		agent, err := s.Retrieve(ctx, id, &AgentRetrieveParams{Include: []AgentInclude{AgentIncludeTags}}, cfg)
		if err != nil {
			return nil, wrap(err)
		}
		wrap = later
		if agent.Tags == nil {
			return nil, fail(subject, "the server did not send the tags")
		}
		want := edit(agent.Tags)
		if sameSet(want, agent.Tags) {
			return agent, nil
		}
		if err := s.writeTags(ctx, id, want, cfg); err != nil {
			return nil, later(err)
		}
		if err := settle(ctx, time.Since(began)); err != nil {
			return nil, fail(subject, "the tags were written, but not verified: %w", err)
		}
	}
	return nil, fail(subject, "other writers of the tags won %d times", maxTagRounds)
}

// writeTags replaces the tags. The body is one field, so that nothing else of the agent is touched.
func (s *AgentService) writeTags(ctx context.Context, id AgentID, tags []string, cfg *settings) error {
	if ctx.Err() != nil {
		return contextError(ctx)
	}
	writing, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(lateWrite, func() { cancel(contextError(ctx)) })
		context.AfterFunc(writing, func() { timer.Stop() })
	})()
	_, err := s.Update(writing, id, &AgentUpdateParams{Tags: tags}, cfg)
	if err == nil && ctx.Err() != nil {
		return fail(about("agents.update", id), "the tags were written, but not verified: %w", contextError(ctx))
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

// merged is a, then what b adds to it, without repeats.
func merged(a, b []string) []string {
	out := make([]string, 0, len(a)+len(b))
	for _, list := range [][]string{a, b} {
		for _, tag := range list {
			if !slices.Contains(out, tag) {
				out = append(out, tag)
			}
		}
	}
	return out
}

// sameSet reports whether two lists hold the same tags, in any order and number.
func sameSet(a, b []string) bool {
	missing := func(in []string) func(string) bool {
		return func(tag string) bool { return !slices.Contains(in, tag) }
	}
	return !slices.ContainsFunc(a, missing(b)) && !slices.ContainsFunc(b, missing(a))
}
