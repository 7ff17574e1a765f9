package letta

import (
	"context"
	"time"
)

// poll asks for something until it has ended, at first four times a second and at last every 5 seconds. The context bounds
// the wait; its error says what state the thing was last seen in.
func poll[T any](ctx context.Context, subject string, ask func() (T, error), state func(T) (name string, ended bool)) (T, error) {
	seen := ""
	for wait := 250 * time.Millisecond; ; wait = min(wait*3/2, 5*time.Second) {
		thing, err := ask()
		if err == nil {
			name, ended := state(thing)
			if ended {
				return thing, nil
			}
			seen = name
			_ = sleep(ctx, wait)
		}
		switch {
		case ctx != nil && ctx.Err() != nil && seen != "":
			return *new(T), fail(subject, "it is %s: %w", seen, contextError(ctx))
		case err != nil && seen != "":
			return *new(T), later(err)
		case err != nil:
			return *new(T), err
		}
	}
}

// waitUntil asks until the answer is yes, or the context ends.
func waitUntil(ctx context.Context, over func() bool) {
	for wait := minPoll; sleep(ctx, wait) == nil && !over(); wait = min(2*wait, maxPoll) {
	}
}
