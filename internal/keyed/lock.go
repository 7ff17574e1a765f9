// Package keyed holds what is shared by key: locks, and work that concurrent callers do once. It knows nothing of Letta.
package keyed

import (
	"context"
	"sync"
)

// Locks are locks by key. The zero value is ready. A key that nobody holds takes no memory.
type Locks[K comparable] struct {
	mu   sync.Mutex
	held map[K]*lock
}

type lock struct {
	free  chan struct{} // holds a token while nobody holds the lock
	users int           // the holder and those who wait
}

// Lock waits for the lock of key until ctx ends, whose cause is then the error. An ended context never gets a lock. unlock
// may be called several times.
func (l *Locks[K]) Lock(ctx context.Context, key K) (unlock func(), err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	l.mu.Lock()
	h := l.held[key]
	if h == nil {
		if l.held == nil {
			l.held = map[K]*lock{}
		}
		h = &lock{free: make(chan struct{}, 1)}
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
	unlock = sync.OnceFunc(func() { h.free <- struct{}{}; leave() })
	select {
	case <-h.free:
		if ctx.Err() == nil {
			return unlock, nil
		}
		unlock() // both had happened, and select picks one at random
	case <-ctx.Done():
		leave()
	}
	return nil, context.Cause(ctx)
}

// Held counts the keys that are held or waited for.
func (l *Locks[K]) Held() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.held)
}
