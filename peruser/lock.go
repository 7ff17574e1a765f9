package peruser

import (
	"context"
	"fmt"
)

// Locker is a lock by key that the instances of a program share. Lock waits until ctx ends. unlock may be called several
// times, and after ctx has ended.
//
// The packages peruser/pglock and peruser/redislock are Lockers over PostgreSQL and Redis.
type Locker interface {
	Lock(ctx context.Context, key string) (unlock func(), err error)
}

// LeaseLocker is a Locker whose locks can be lost: the connection breaks, or the lease expires. held ends when the lock is
// lost or unlocked, and before anybody else can have it. Users calls LockLease instead of Lock, and cancels what it does
// under the lock when held ends.
type LeaseLocker interface {
	Locker
	LockLease(ctx context.Context, key string) (held context.Context, unlock func(), err error)
}

// lock takes a user's lock: first among the goroutines of this process, so that a process asks the Locker once.
func (u *Users) lock(ctx context.Context, tag string) (held context.Context, unlock func(), err error) {
	unlockHere, err := u.locks.Lock(ctx, tag)
	if err != nil {
		return nil, nil, err
	}
	held, unlockThere := context.Background(), func() {}
	switch locker := u.options.Locker.(type) {
	case nil:
	case LeaseLocker:
		held, unlockThere, err = locker.LockLease(ctx, tag)
	default:
		unlockThere, err = locker.Lock(ctx, tag)
	}
	if err != nil {
		unlockHere()
		return nil, nil, fmt.Errorf("peruser: %w cannot be taken: %w", ErrLock, err)
	}
	return held, func() { unlockThere(); unlockHere() }, nil
}

// while is ctx, ended as well when the lock is lost.
func while(ctx, held context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	lost := func() {
		cancel(fmt.Errorf("peruser: %w was lost: %w", ErrLock, context.Cause(held)))
	}
	if held.Err() != nil {
		lost() // AfterFunc would do it a moment later
	}
	stop := context.AfterFunc(held, lost)
	return ctx, func() { stop(); cancel(nil) }
}

// lost adds to an error that the lock was lost, which a server's or the network's error does not say.
func lost(held context.Context, err error) error {
	if err == nil || held.Err() == nil {
		return err
	}
	return fmt.Errorf("peruser: %w was lost: %w: %w", ErrLock, context.Cause(held), err)
}
