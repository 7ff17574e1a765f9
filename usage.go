package letta

import (
	"context"
	"errors"
	"sync"
	"time"
)

// UsageParams are the period to count.
type UsageParams struct {
	StartDate time.Time // zero: from the beginning
	EndDate   time.Time // zero: until now
	// Concurrency is how many requests are sent at once where one for each run is needed; 8 if it is 0.
	Concurrency int
}

// AgentUsage counts the tokens of an agent in a period.
type AgentUsage struct {
	CacheWriteTokens  int
	CachedInputTokens int
	CompletionTokens  int
	PromptTokens      int
	ReasoningTokens   int
	TotalTokens       int

	Steps int // counted, 0 where runs were
	Runs  int // counted, 0 where steps were
}

// Usage counts the tokens that an agent used in a period, in as few requests as the server allows.
//
// Letta Cloud lists the steps of a period: one request for 1000 of them. Letta 0.16.8 has that list, but always answers
// 400 to it, so there it is one request for 1000 runs of the agent, from now back to the start of the period, and one for
// each run in the period; a run counts as a whole, by the time when it began. A run that failed before the model
// answered counts as nothing. Runs of an agent that was deleted are not found.
func (s *AgentService) Usage(ctx context.Context, id AgentID, params *UsageParams, opts ...RequestOption) (*AgentUsage, error) {
	const operation = "agents.usage"
	cfg, err := s.core.resolveFor(operation, accepts{}, opts, id)
	if err != nil {
		return nil, err
	}
	if ctx == nil {
		return nil, invalid(operation, "the context is nil")
	}
	if _, err := expand("{agent_id}", []any{id}); err != nil { // it goes into queries, where anything would pass
		return nil, invalid(operation, "%w", err)
	}
	p := copyOf(params)
	usage, err := s.usageOfSteps(ctx, id, p, cfg.followUp())
	if errors.Is(err, ErrBadRequest) {
		usage, err = s.usageOfRuns(ctx, id, p, cfg.followUp())
		err = later(err)
	}
	return usage, err
}

const usagePage = 1000

func (s *AgentService) usageOfSteps(ctx context.Context, id AgentID, p UsageParams, cfg *settings) (*AgentUsage, error) {
	usage := new(AgentUsage)
	list := &StepListParams{AgentID: id, StartDate: p.StartDate, EndDate: p.EndDate, Limit: usagePage}
	for step, err := range (&StepService{core: s.core}).ListAll(ctx, list, cfg) {
		if err != nil {
			return nil, err
		}
		usage.Steps++
		usage.CacheWriteTokens += step.CacheWriteTokens
		usage.CachedInputTokens += step.CachedInputTokens
		usage.CompletionTokens += step.CompletionTokens
		usage.PromptTokens += step.PromptTokens
		usage.ReasoningTokens += step.ReasoningTokens
		usage.TotalTokens += step.TotalTokens
	}
	return usage, nil
}

func (s *AgentService) usageOfRuns(ctx context.Context, id AgentID, p UsageParams, cfg *settings) (*AgentUsage, error) {
	runs := &RunService{core: s.core, Usage: &RunUsageService{s.core}}
	inPeriod := func(yield func(*Run, error) bool) {
		for run, err := range runs.ListAll(ctx, &RunListParams{AgentID: id, Limit: usagePage, Order: OrderDesc}, cfg) {
			switch {
			case err == nil && run.CreatedAt.Before(p.StartDate):
				return // so are all that follow
			case err == nil && !p.EndDate.IsZero() && !run.CreatedAt.Before(p.EndDate):
				continue
			}
			if !yield(run, err) {
				return
			}
		}
	}
	var mu sync.Mutex
	usage := new(AgentUsage)
	_, err := ForEach(ctx, inPeriod, ForEachOptions{Concurrency: p.Concurrency, MaxFailures: 1}, func(ctx context.Context, run *Run) error {
		u, err := runs.Usage.Retrieve(ctx, run.ID, cfg)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		usage.Runs++
		usage.CacheWriteTokens += u.PromptTokensDetails.CacheCreationTokens
		usage.CachedInputTokens += u.PromptTokensDetails.CachedTokens
		usage.CompletionTokens += u.CompletionTokens
		usage.PromptTokens += u.PromptTokens
		usage.ReasoningTokens += u.CompletionTokensDetails.ReasoningTokens
		usage.TotalTokens += u.TotalTokens
		return nil
	})
	if err != nil {
		return nil, err
	}
	return usage, nil
}
