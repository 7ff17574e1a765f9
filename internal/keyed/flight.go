package keyed

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
)

// Flights let concurrent callers with the same key share one piece of work. The zero value is ready.
type Flights[T any] struct {
	mu  sync.Mutex
	now map[string]*flight[T]
}

type flight[T any] struct {
	done    chan struct{}
	cancel  context.CancelFunc
	callers int
	claimed bool // a caller has the result
	value   T
	err     error
}

// PanicError is a panic of the work, which every caller gets as an error: a panic on a goroutine of its own would end the
// process.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// errExited is work that ended its goroutine, as testing's FailNow does.
type errExited struct{}

func (errExited) Error() string { return "the work ended its goroutine" }

// Do returns the result of work, and whether this caller is the first to have it. The work runs under a context without
// the deadline of any caller. It is cancelled when all callers have left; the last one to leave waits for it, so that no
// goroutine outlives the calls, and gets its value beside the error.
func (f *Flights[T]) Do(ctx context.Context, key string, work func(context.Context) (T, error)) (value T, first bool, err error) {
	if ctx.Err() != nil {
		return value, false, context.Cause(ctx)
	}
	f.mu.Lock()
	c := f.now[key]
	if c == nil {
		c = f.start(ctx, key, work)
	}
	c.callers++
	f.mu.Unlock()
	select {
	case <-c.done:
		f.mu.Lock()
		defer f.mu.Unlock()
		first, c.claimed = !c.claimed, true
		return c.value, first, c.err
	case <-ctx.Done():
	}
	f.mu.Lock()
	c.callers--
	last := c.callers == 0
	if last && f.now[key] == c {
		delete(f.now, key) // the next caller starts anew
	}
	f.mu.Unlock()
	if last {
		c.cancel()
		<-c.done
		value = c.value
	}
	return value, false, context.Cause(ctx)
}

// start needs f.mu.
func (f *Flights[T]) start(ctx context.Context, key string, work func(context.Context) (T, error)) *flight[T] {
	shared, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c := &flight[T]{done: make(chan struct{}), cancel: cancel, err: errExited{}}
	if f.now == nil {
		f.now = map[string]*flight[T]{}
	}
	f.now[key] = c
	go func() {
		defer func() {
			if p := recover(); p != nil {
				c.err = &PanicError{p, debug.Stack()}
			}
			cancel()
			f.mu.Lock()
			if f.now[key] == c {
				delete(f.now, key)
			}
			f.mu.Unlock()
			close(c.done)
		}()
		c.value, c.err = work(shared)
	}()
	return c
}
