package letta

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// Ensured is what Ensure found or made.
type Ensured struct {
	Agent      *AgentState // the oldest agent with the tags; its Tags are loaded
	Created    bool        // this call made it, and the server said so
	Duplicates []AgentID   // younger agents with the same tags, oldest first
}

// Ensure returns the one agent that has all of the tags, and creates it if there is none:
//
//	ensured, err := client.Agents.Ensure(ctx, []string{"user_1"}, &letta.AgentCreateParams{Model: "openai/gpt-4o-mini"})
//
// It creates only after the server answered with a complete, empty list, hidden agents included. An error of that lookup
// creates nothing, and the create is sent once. Concurrent callers in this process share one request.
//
// No server enforces that there is one agent: two processes that sign up the same user at the same moment both create one.
// All callers then get the older one, a warning with the ids goes to the log, and Duplicates names the others.
// [WithDeleteOwnDuplicate] deletes the agent that this very call made in that case, with the memory blocks that it made. A
// lock that all instances share prevents it.
//
// tags are added to those of create. Options apply to every request, so the lookup and the create see one project.
func (s *AgentService) Ensure(ctx context.Context, tags []string, create *AgentCreateParams, opts ...RequestOption) (*Ensured, error) {
	const operation = "agents.ensure"
	cfg, err := s.core.resolveFor(operation, accepts{ensure: true}, opts)
	if err != nil {
		return nil, err
	}
	if err := checkEnsure(ctx, tags, create); err != nil {
		return nil, invalid(operation, "%w", err)
	}
	if ctx.Err() != nil {
		return nil, notSent(operation, contextError(ctx))
	}
	ctx, cancel := cfg.boundAll(ctx)
	defer cancel()
	secret, owner, err := cfg.identity(ctx, s.core)
	if err != nil {
		return nil, notSent(operation, err)
	}
	e := &ensuring{agents: s, tags: slices.Sorted(slices.Values(merged(tags, nil))), create: *create, cfg: new(*cfg)}
	e.create.Tags = merged(tags, create.Tags)
	// Those who ask for the same share a request. Those who ask for the same user in another way, such as with a request id of
	// their own in a header, wait for each other, so that the second finds what the first has created.
	user := fmt.Sprintf("%q %q %q %q %s", e.tags, create.ProjectID, cfg.header["X-Project"], cfg.header["X-Project-Id"], owner)
	result, first, err := s.core.ensures.Do(ctx, fmt.Sprintf("%s %s %q %q", user, secret, cfg.header, cfg.query), func(ctx context.Context) (*ensureResult, error) {
		unlock, err := s.core.ensureTags.Lock(ctx, user)
		if err != nil {
			return nil, err
		}
		defer unlock()
		return e.run(ctx), nil
	})
	switch {
	case err != nil && ctx.Err() != nil && result != nil && !result.creating:
		return nil, fail(operation, "%w (Ensure created nothing)", contextError(ctx))
	case err != nil && ctx.Err() != nil:
		return nil, fail(operation, "%w (an agent may have been created: the next Ensure finds it)", contextError(ctx))
	case err != nil:
		return nil, fail(operation, "%w", err)
	}
	if cfg.response != nil {
		*cfg.response = result.response
	}
	if result.err != nil {
		return nil, result.err
	}
	// Callers that share a request get an agent each, and one of them is told that it was created.
	return &Ensured{
		Agent: cloneAgent(result.agent), Created: result.created && first, Duplicates: slices.Clone(result.duplicates),
	}, nil
}

func checkEnsure(ctx context.Context, tags []string, create *AgentCreateParams) error {
	switch {
	case ctx == nil:
		return errors.New("the context is nil")
	case create == nil:
		return errors.New("the params are nil")
	case create.Project != "":
		return errors.New("use WithProject instead of Project: the lookup must see the same project")
	}
	if _, err := marshal(create); err != nil {
		return fmt.Errorf("the params cannot be encoded: %w", err)
	}
	return errors.Join(checkTags(tags), validate(create, false))
}

// ensuring is the work of one or more concurrent Ensures.
type ensuring struct {
	agents *AgentService
	tags   []string // without repeats
	create AgentCreateParams
	cfg    *settings
	bare   *settings // cfg without WithBodyField, which is for the create
}

type ensureResult struct {
	agent      *AgentState
	created    bool
	duplicates []AgentID
	creating   bool     // a create was sent
	response   Response // of the last request
	err        error
}

func (e *ensuring) run(ctx context.Context) *ensureResult {
	result := &ensureResult{}
	e.cfg.response = &result.response
	e.bare = new(*e.cfg)
	e.bare.fields, e.bare.callFields = nil, false
	found, err := e.agents.withTags(ctx, "agents.ensure", e.tags, e.create.ProjectID, e.bare)
	switch {
	case err != nil:
		result.err = fmt.Errorf("%w (Ensure created nothing)", err)
		return result
	case len(found) > 0:
		result.choose(found, nil)
		e.warn(ctx, result)
		return result
	}
	began := time.Now()
	result.creating = true
	created, createErr := e.agents.Create(ctx, &e.create, e.cfg)
	var apiErr *APIError
	if createErr != nil && (ctx.Err() != nil || errors.As(createErr, &apiErr) && apiErr.StatusCode < 500) {
		result.err = later(createErr)
		return result
	}
	// Whoever looked before our agent was there may be creating one now; it takes about as long as ours did.
	if err = settle(ctx, time.Since(began)); err == nil {
		found, err = e.agents.withTags(ctx, "agents.ensure", e.tags, e.create.ProjectID, e.bare)
	}
	switch {
	case createErr != nil && (err != nil || len(found) == 0):
		result.err = later(createErr) // whether it was made is not known; the next Ensure looks again
		return result
	case err != nil:
		result.err = fail("agents.ensure", "agent %s was created, but whether it is the only one is not known: %w", created.ID, later(err))
		return result
	}
	result.choose(found, created)
	e.dropOwn(ctx, result, created)
	e.warn(ctx, result)
	return result
}

// choose takes the oldest of the agents found and the one created, which a list may not show yet.
func (r *ensureResult) choose(found []*AgentState, created *AgentState) {
	if created != nil && !slices.ContainsFunc(found, func(a *AgentState) bool { return a.ID == created.ID }) {
		found = append(found, created)
		slices.SortFunc(found, older)
	}
	r.agent, r.created = found[0], created != nil && found[0].ID == created.ID
	if r.created {
		r.agent = created
	}
	for _, agent := range found[1:] {
		r.duplicates = append(r.duplicates, agent.ID)
	}
}

// dropOwn deletes the agent that this call made, if an older one exists and the caller wants that, and the memory blocks
// that were made with it.
func (e *ensuring) dropOwn(ctx context.Context, result *ensureResult, created *AgentState) {
	if !e.cfg.deleteDuplicate || created == nil || result.created {
		return
	}
	if err := e.agents.Delete(ctx, created.ID, e.bare); err != nil {
		return // it stays among the duplicates
	}
	result.duplicates = slices.DeleteFunc(result.duplicates, func(id AgentID) bool { return id == created.ID })
	blocks := &BlockService{e.agents.core, &BlockAgentService{e.agents.core}}
	for _, block := range e.ownBlocks(created) {
		// What the label does not tell, the agents of the block do: one that was there before may have others.
		shared, err := hasOtherAgent(ctx, blocks, block, created.ID, e.bare)
		if err == nil && !shared {
			err = blocks.Delete(ctx, block, e.bare)
		}
		if logger := e.agents.core.logger; logger != nil && err != nil {
			logger.LogAttrs(ctx, slog.LevelWarn, "letta: a memory block of a deleted duplicate is left",
				slog.String("operation", "agents.ensure"), slog.Any("agent", created.ID), slog.Any("block", block), slog.Any("error", err))
		}
	}
}

// ownBlocks are the blocks of the agent that were made with it: they have a label of MemoryBlocks, and no id was given.
func (e *ensuring) ownBlocks(created *AgentState) (own []BlockID) {
	if _, given := e.cfg.fields["block_ids"]; given {
		return nil
	}
	for _, block := range created.Blocks {
		made := slices.ContainsFunc(e.create.MemoryBlocks, func(b CreateBlock) bool { return b.Label == block.Label })
		if made && !slices.Contains(e.create.BlockIDs, block.ID) {
			own = append(own, block.ID)
		}
	}
	return own
}

func (e *ensuring) warn(ctx context.Context, result *ensureResult) {
	if logger := e.agents.core.logger; logger != nil && len(result.duplicates) > 0 {
		logger.LogAttrs(ctx, slog.LevelWarn, "letta: several agents have the same tags",
			slog.String("operation", "agents.ensure"), slog.Any("used", result.agent.ID), slog.Any("duplicates", result.duplicates))
	}
}

// Find returns the agent that has all of the tags: the oldest, as Ensure does, hidden ones included. ErrNotFound if there is
// none.
func (s *AgentService) Find(ctx context.Context, tags []string, opts ...RequestOption) (*AgentState, error) {
	const operation = "agents.find"
	cfg, err := s.core.resolveFor(operation, accepts{}, opts)
	if err != nil {
		return nil, err
	}
	if err := checkTags(tags); err != nil {
		return nil, invalid(operation, "%w", err)
	}
	found, err := s.withTags(ctx, operation, tags, "", cfg)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fail(operation, "%w: no agent has the tags; Ensure creates it", ErrNotFound)
	}
	return found[0], nil
}

// withTags lists the agents that have all the tags, oldest first.
func (s *AgentService) withTags(ctx context.Context, operation string, tags []string, projectID string, cfg *settings) ([]*AgentState, error) {
	lookup := *cfg
	lookup.query = with(cfg.query, "show_hidden_agents", []string{"true"})
	// No limit: Letta 0.6.12, which does not know the order, then sends all; later servers send the oldest 50.
	params := &AgentListParams{Tags: tags, MatchAllTags: true, Order: OrderAsc, OrderBy: OrderByCreatedAt, ProjectID: projectID}
	found, err := s.List(ctx, params, &lookup)
	if err != nil {
		return nil, err
	}
	for _, agent := range found {
		for _, tag := range tags {
			if !slices.Contains(agent.Tags, tag) {
				return nil, fail(operation, "the server ignores the filter: it returned agent %s, which lacks a tag", agent.ID)
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
