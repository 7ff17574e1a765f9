package letta

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxSettle bounds the wait after a write for writers in other processes; see settle.
const maxSettle = 2 * time.Second

// Ensured is what Ensure found or made.
type Ensured struct {
	Agent      *AgentState // the oldest agent with the tags; its Tags are loaded
	Created    bool        // this call made it
	Duplicates []AgentID   // younger agents with the same tags, oldest first; nothing is done to them
}

// Ensure returns the one agent that has all of the tags, and creates it if there is none:
//
//	ensured, err := client.Agents.Ensure(ctx, []string{"user_1"}, &letta.AgentCreateParams{Model: "openai/gpt-4o-mini"})
//
// It creates only after the server answered with a complete, empty list, hidden agents included; an error of that lookup
// creates nothing, and the create is sent once. If only the create's answer was lost, the agent is found, and Created is
// true. Concurrent callers in this process share one request. After a create it lists again: if another process
// was at it too, the oldest agent wins, for both, and the others are reported. No server enforces this, so a
// process that is stopped in between may leave a duplicate for the next Ensure to report.
//
// tags are added to those of create. Options apply to every request, so the lookup and the create see one project.
func (s *AgentService) Ensure(ctx context.Context, tags []string, create *AgentCreateParams, opts ...RequestOption) (*Ensured, error) {
	const operation = "agents.ensure"
	if ctx == nil {
		return nil, invalid(operation, "the context is nil")
	}
	if create == nil {
		return nil, missing(operation)
	}
	if err := checkTags(operation, tags); err != nil {
		return nil, err
	}
	if create.Project != "" {
		return nil, invalid(operation, "use WithProject instead of Project: the lookup must see the same project")
	}
	if _, err := marshal(create); err != nil {
		return nil, refusal{invalid(operation, "the parameters cannot be encoded: %w", err)}
	}
	cfg, err := s.core.configure(opts)
	if err != nil {
		return nil, refusal{invalid(operation, "%w", err)}
	}
	params := *create
	params.Tags = union2(tags, create.Tags)
	if err := checkTags(operation, params.Tags); err != nil {
		return nil, err
	}
	tags = slices.Clone(tags)
	slices.Sort(tags)
	tags = slices.Compact(tags) // one key for the same tags
	key := fmt.Sprintf("%q %q %q %q %q", tags, params.ProjectID, cfg.auth.id, cfg.header, cfg.query)
	ensured, first, err := s.core.ensures.do(ctx, key, func(ctx context.Context) (*Ensured, error) {
		return s.ensure(ctx, tags, &params, opts)
	})
	if err != nil {
		return nil, err
	}
	// Callers that share a request get an agent each, and one of them is told that it was created.
	data, err := marshal(ensured.Agent)
	if err != nil {
		return nil, err
	}
	agent := new(AgentState)
	return &Ensured{Agent: agent, Created: ensured.Created && first, Duplicates: slices.Clone(ensured.Duplicates)}, unmarshal(data, agent)
}

// Find returns the agent that has all of the tags: the oldest, as Ensure does, hidden ones included. ErrNotFound if there
// is none.
func (s *AgentService) Find(ctx context.Context, tags []string, opts ...RequestOption) (*AgentState, error) {
	if err := checkTags("agents.find", tags); err != nil {
		return nil, err
	}
	found, err := s.withTags(ctx, tags, "", opts)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, invalid("agents.find", "%w: no agent has the tags", ErrNotFound)
	}
	return found[0], nil
}

func (s *AgentService) ensure(ctx context.Context, tags []string, create *AgentCreateParams, opts []RequestOption) (*Ensured, error) {
	found, err := s.withTags(ctx, tags, create.ProjectID, opts)
	if err != nil {
		return nil, fmt.Errorf("%w (Ensure created nothing)", err)
	}
	if len(found) > 0 {
		return choose(found, nil), nil
	}
	began := time.Now()
	created, createErr := s.Create(ctx, create, opts...)
	var apiErr *APIError
	if createErr != nil && (ctx.Err() != nil || errors.As(createErr, &apiErr) && apiErr.StatusCode < 500) {
		return nil, createErr
	}
	// Who looked before our agent was there may be creating one now; it takes about as long as ours did.
	if err := settle(ctx, time.Since(began)); err != nil {
		return nil, err
	}
	found, err = s.withTags(ctx, tags, create.ProjectID, opts)
	switch {
	case createErr != nil && (err != nil || len(found) == 0):
		return nil, createErr // open whether it was made; the next Ensure will look again
	case err != nil:
		return nil, fmt.Errorf("agent %s was created, but whether it is the only one is not known: %w", created.ID, err)
	case createErr != nil:
		created = found[0] // only its answer was lost
	}
	return choose(found, created), nil
}

// withTags lists the agents that have all the tags, oldest first.
func (s *AgentService) withTags(ctx context.Context, tags []string, projectID string, opts []RequestOption) ([]*AgentState, error) {
	tags = union2(tags, nil) // without repeats: 0.6.12 compares the number of matches with the number of tags
	// No limit: 0.6.12, which does not know the order, then sends all; later servers send the oldest 50.
	params := &AgentListParams{Tags: tags, MatchAllTags: true, Order: OrderAsc, OrderBy: "created_at", ProjectID: projectID}
	found, err := s.List(ctx, params, append(slices.Clone(opts), WithQuery("show_hidden_agents", "true"))...)
	if err != nil {
		return nil, err
	}
	for _, agent := range found {
		for _, tag := range tags {
			if !slices.Contains(agent.Tags, tag) {
				return nil, invalid("agents.list", "the server ignores the filter: it returned agent %s, which lacks a tag", agent.ID)
			}
		}
	}
	slices.SortFunc(found, older)
	return found, nil
}

func older(a, b *AgentState) int {
	if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
		return c
	}
	return strings.Compare(string(a.ID), string(b.ID))
}

// choose takes the oldest of those found and the one created, which a list may not show yet.
func choose(found []*AgentState, created *AgentState) *Ensured {
	if created != nil && !slices.ContainsFunc(found, func(a *AgentState) bool { return a.ID == created.ID }) {
		found = append(found, created)
		slices.SortFunc(found, older)
	}
	e := &Ensured{Agent: found[0], Created: created != nil && found[0].ID == created.ID}
	if e.Created {
		e.Agent = created
	}
	for _, agent := range found[1:] {
		e.Duplicates = append(e.Duplicates, agent.ID)
	}
	return e
}

// AddTags adds tags to an agent and keeps the others; tags that it has already cost no write. The server can only
// replace all tags at once, so this reads, writes and verifies, and starts again if another writer won. Writers in
// this process, through this client, wait for each other; between processes a tag can still be lost if the other
// writer is slower than the verification waits, which is about as long as the write took, 2 s at most.
func (s *AgentService) AddTags(ctx context.Context, id AgentID, tags []string, opts ...RequestOption) (*AgentState, error) {
	return s.changeTags(ctx, "agents.add_tags", id, tags, opts, func(have []string) []string { return union2(have, tags) })
}

// RemoveTags removes tags from an agent and keeps the others, like AddTags.
func (s *AgentService) RemoveTags(ctx context.Context, id AgentID, tags []string, opts ...RequestOption) (*AgentState, error) {
	return s.changeTags(ctx, "agents.remove_tags", id, tags, opts, func(have []string) []string {
		return slices.DeleteFunc(slices.Clone(have), func(tag string) bool { return slices.Contains(tags, tag) })
	})
}

func (s *AgentService) changeTags(ctx context.Context, operation string, id AgentID, tags []string, opts []RequestOption, change func([]string) []string) (*AgentState, error) {
	const rounds = 8
	if ctx == nil {
		return nil, invalid(operation, "the context is nil")
	}
	if err := checkTags(operation, tags); err != nil {
		return nil, err
	}
	unlock, err := s.core.tagWriters.lock(ctx, id)
	if err != nil {
		return nil, invalid(operation, "%w", err)
	}
	defer unlock()
	for range rounds {
		began := time.Now()
		agent, err := s.Retrieve(ctx, id, &AgentRetrieveParams{Include: []AgentInclude{AgentIncludeTags}}, opts...)
		if err != nil {
			return nil, err
		}
		if agent.Tags == nil {
			return nil, invalid(operation, "the server did not send the tags of agent %s", id)
		}
		want := change(agent.Tags)
		if len(want) == len(agent.Tags) {
			return agent, nil
		}
		// The body is one field, so that nothing else of the agent is touched.
		if _, err := s.Update(ctx, id, &AgentUpdateParams{Tags: want}, opts...); err != nil {
			return nil, err
		}
		if err := settle(ctx, time.Since(began)); err != nil {
			return nil, err
		}
	}
	return nil, invalid(operation, "other writers of the tags of agent %s won %d times", id, rounds)
}

// settle waits as long as a read and a write just took. Another writer that read before our write has then written
// too, if it is about as fast, and the next read sees it.
func settle(ctx context.Context, took time.Duration) error {
	timer := time.NewTimer(min(took, maxSettle))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// union2 is a, then what b adds to it, without repeats.
func union2(a, b []string) []string {
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
