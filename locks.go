package letta

import (
	"context"
	"sync"
)

// keyedLock is a lock per key. Waiting respects the context; a key that nobody holds takes no memory.
type keyedLock[K comparable] struct {
	mu   sync.Mutex
	held map[K]*heldLock
}

type heldLock struct {
	free  chan struct{} // holds a token while nobody holds the lock
	users int           // holder and waiters
}

func (l *keyedLock[K]) lock(ctx context.Context, key K) (unlock func(), err error) {
	l.mu.Lock()
	h := l.held[key]
	if h == nil {
		if l.held == nil {
			l.held = map[K]*heldLock{}
		}
		h = &heldLock{free: make(chan struct{}, 1)}
		h.free <- struct{}{}
		l.held[key] = h
	}
	h.users++
	l.mu.Unlock()
	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if h.users--; h.users == 0 {
			delete(l.held, key)
		}
	}
	select {
	case <-h.free:
		return func() { h.free <- struct{}{}; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, contextError(ctx)
	}
}

// flights lets callers with the same key share one piece of work. The work ends early only when all its callers
// have left, and the last to leave waits for it, so that no goroutine outlives the calls.
type flights[T any] struct {
	mu  sync.Mutex
	now map[string]*flight[T]
}

type flight[T any] struct {
	done    chan struct{}
	cancel  context.CancelFunc
	callers int
	told    bool // a caller has the result
	value   T
	err     error
}

// do returns the work's result, and whether this caller is the first to get it.
func (f *flights[T]) do(ctx context.Context, key string, work func(context.Context) (T, error)) (T, bool, error) {
	f.mu.Lock()
	c := f.now[key]
	if c == nil {
		shared, cancel := context.WithCancel(context.WithoutCancel(ctx))
		c = &flight[T]{done: make(chan struct{}), cancel: cancel}
		if f.now == nil {
			f.now = map[string]*flight[T]{}
		}
		f.now[key] = c
		go func() {
			c.value, c.err = work(shared)
			cancel()
			f.forget(key, c)
			close(c.done)
		}()
	}
	c.callers++
	f.mu.Unlock()
	select {
	case <-c.done:
		f.mu.Lock()
		defer f.mu.Unlock()
		first := !c.told
		c.told = true
		return c.value, first, c.err
	case <-ctx.Done():
	}
	f.mu.Lock()
	c.callers--
	last := c.callers == 0
	f.mu.Unlock()
	if last {
		f.forget(key, c)
		c.cancel()
		<-c.done
	}
	return *new(T), false, context.Cause(ctx)
}

// forget makes the next caller start anew.
func (f *flights[T]) forget(key string, c *flight[T]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now[key] == c {
		delete(f.now, key)
	}
}
