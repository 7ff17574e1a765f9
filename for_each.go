package letta

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
)

const defaultConcurrency = 8

// ForEachOptions are how ForEach works. The zero value is good.
type ForEachOptions struct {
	// Concurrency is how many items are worked on at once; 8 if it is 0.
	Concurrency int
	// MaxFailures stops the work when so many items have failed; 0 never stops it.
	MaxFailures int
	// Progress is called after each item with the numbers so far, never twice at once. It should return soon.
	Progress func(done, failed int)
}

// ForEachResult is what came of the items of ForEach.
type ForEachResult[T any] struct {
	Done     int // items without an error
	Failures []ForEachFailure[T]
}

// ForEachFailure is an item that failed.
type ForEachFailure[T any] struct {
	Item T
	Err  error
}

// ForEach calls do for every item of a list, such as that of a ListAll, several at a time. A failed item does not stop the
// others: failures are collected, in the order in which they came.
//
//	agents := client.Agents.ListAll(ctx, letta.Tags("team_a"))
//	result, err := letta.ForEach(ctx, agents, letta.ForEachOptions{}, func(ctx context.Context, agent *letta.AgentState) error {
//		return client.Agents.Delete(ctx, agent.ID)
//	})
//
// The error is nil only if the list was read to its end and every item is done; errors.Is and errors.As find those of the
// items in it, but for ErrNotSent and ErrInvalidArgument, which would be about the whole. When ctx ends, no further item is
// begun. ForEach returns after the last call of do has; a panic in do is raised again here. Only the failures are kept in
// memory.
func ForEach[T any](ctx context.Context, items iter.Seq2[T, error], opts ForEachOptions, do func(context.Context, T) error) (*ForEachResult[T], error) {
	const operation = "for_each"
	switch {
	case ctx == nil:
		return nil, invalid(operation, "the context is nil")
	case opts.Concurrency < 0 || opts.MaxFailures < 0:
		return nil, invalid(operation, "concurrency is %d, max failures is %d", opts.Concurrency, opts.MaxFailures)
	}
	if opts.Concurrency == 0 {
		opts.Concurrency = defaultConcurrency
	}
	work := &forEach[T]{opts: opts, do: do}
	stopped := work.all(ctx, items)
	switch {
	case work.panicked != nil:
		panic(work.panicked)
	case stopped == nil && len(work.result.Failures) == 0:
		return &work.result, nil
	}
	e := &forEachError{done: work.result.Done, stopped: stopped}
	for _, f := range work.result.Failures {
		e.failures = append(e.failures, later(f.Err))
	}
	return &work.result, e
}

// forEach is the work of one ForEach.
type forEach[T any] struct {
	opts ForEachOptions
	do   func(context.Context, T) error
	stop context.CancelCauseFunc

	mu       sync.Mutex
	result   ForEachResult[T]
	panicked any // what do or Progress panicked with
}

// all works on the items and returns when no work is under way: nil after all of them, otherwise what stopped it.
func (w *forEach[T]) all(ctx context.Context, items iter.Seq2[T, error]) error {
	var working sync.WaitGroup
	defer working.Wait() // also when the list panics
	ctx, w.stop = context.WithCancelCause(ctx)
	defer w.stop(nil)
	slots := make(chan struct{}, w.opts.Concurrency)
	var stopped error
	for item, err := range items {
		if err != nil {
			stopped = err
			break
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		working.Go(func() {
			defer func() { <-slots }()
			w.one(ctx, item)
		})
	}
	if stopped == nil {
		stopped = context.Cause(ctx)
	}
	working.Wait()
	return stopped
}

func (w *forEach[T]) one(ctx context.Context, item T) {
	defer func() {
		if p := recover(); p != nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.panicked = p
			w.stop(errors.New("a panic"))
		}
	}()
	w.record(item, w.do(ctx, item))
}

func (w *forEach[T]) record(item T, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.result.Done++
	} else {
		w.result.Failures = append(w.result.Failures, ForEachFailure[T]{item, err})
	}
	if w.opts.MaxFailures > 0 && len(w.result.Failures) >= w.opts.MaxFailures {
		w.stop(fmt.Errorf("%d items have failed", len(w.result.Failures)))
	}
	if w.opts.Progress != nil {
		w.opts.Progress(w.result.Done, len(w.result.Failures))
	}
}

type forEachError struct {
	done     int
	failures []error
	stopped  error
}

func (e *forEachError) Error() string {
	text := fmt.Sprintf("letta: for_each: %d done, %d failed", e.done, len(e.failures))
	if e.stopped != nil {
		text += ", then stopped: " + e.stopped.Error()
	}
	if len(e.failures) > 0 {
		text += "; the first failure: " + e.failures[0].Error()
	}
	return text
}

func (e *forEachError) Unwrap() []error {
	if e.stopped == nil {
		return e.failures
	}
	return append([]error{e.stopped}, e.failures...)
}

// UpdateAll makes the same change to every agent of a list, several at a time: for instance, it moves the agents of 300
// users to another model.
//
//	result, err := client.Agents.UpdateAll(ctx, letta.Tags("team_a"), &letta.AgentUpdateParams{Model: letta.Some("openai/gpt-4.1")}, letta.ForEachOptions{})
//
// filter may be empty, which means every agent, but not nil. A failed agent does not stop the others: see ForEach. The
// same call again repeats the change for all of them, which does no harm.
func (s *AgentService) UpdateAll(ctx context.Context, filter *AgentListParams, update *AgentUpdateParams, each ForEachOptions, opts ...RequestOption) (*ForEachResult[*AgentState], error) {
	const operation = "agents.update_all"
	cfg, err := s.core.resolveFor(operation, accepts{}, opts)
	if err != nil {
		return nil, err
	}
	switch {
	case ctx == nil:
		return nil, invalid(operation, "the context is nil")
	case filter == nil:
		return nil, invalid(operation, "the filter is nil: pass an empty one for every agent")
	case cfg.response != nil:
		return nil, invalid(operation, "WithResponse is for one request")
	}
	if err := validate(update, false); err != nil {
		return nil, invalid(operation, "%w", err)
	}
	return ForEach(ctx, s.ListAll(ctx, filter, cfg.followUp()), each, func(ctx context.Context, agent *AgentState) error {
		_, err := s.Update(ctx, agent.ID, update, cfg)
		return err
	})
}
