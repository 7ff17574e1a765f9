// Package redislock locks users through Redis, for instances of a program that share no PostgreSQL:
//
//	locker, err := redislock.New(redis.NewClient(&redis.Options{Addr: "localhost:6379"}), redislock.Options{})
//	users, err := peruser.New(client, peruser.Options{Create: create, Locker: locker})
//
// # What it promises
//
// A lock is a lease: a key that expires. The holder renews it every third of the lease. If it cannot, because Redis or the
// network is gone, or the process hung, held ends before the lease does, and package peruser cancels what it does under the
// lock. So a lock whose holder died is free after one lease at the latest, and nobody gets it earlier: what the holder
// had sent has that long to arrive. When Redis has lost its memory (restarted without its data, flushed, replaced by
// an empty replica), no lock is given for one lease, because those that were held are no longer known.
//
// # What it does not
//
// No lease on a machine that cannot be seen is perfect. A request that was sent while the lock was held and is still on its
// way after the lease can cross with the next holder's: choose a lease longer than your slowest create. A replica that takes
// over with most of the data, but without the newest locks, is not noticed. A cluster is not taken:
// each of its nodes can lose its memory by itself. Letta has no field for a fencing token; [Lock.Token] is for stores that check one.
package redislock

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	defaultLease  = 15 * time.Second
	minLease      = 100 * time.Millisecond
	defaultPrefix = "letta:lock:"
	firstPause    = 5 * time.Millisecond // between two attempts to get a lock
	maxPause      = 250 * time.Millisecond
)

// ErrLost is why the context of a lock ended: it could not be renewed in time, or somebody else has it.
var ErrLost = errors.New("redislock: the lock was lost")

var errUnlocked = errors.New("redislock: the lock was unlocked")

// Options of a Locker. The zero value is good.
type Options struct {
	// Lease is how long a lock outlives its holder, 15 s by default. A user whose instance died waits so long.
	Lease time.Duration
	// Prefix of the keys in Redis; "letta:lock:" by default. Programs with other users need another one.
	Prefix string
}

// Locker implements peruser.LeaseLocker. It is safe for concurrent use.
type Locker struct {
	client  redis.Scripter
	options Options
}

// New makes a Locker of one Redis. It sends nothing.
func New(client *redis.Client, options Options) (*Locker, error) {
	if options.Lease == 0 {
		options.Lease = defaultLease
	}
	if options.Prefix == "" {
		options.Prefix = defaultPrefix
	}
	switch {
	case client == nil:
		return nil, errors.New("redislock: the client is nil")
	case options.Lease < minLease:
		return nil, fmt.Errorf("redislock: a lease of %v is too short to be renewed", options.Lease)
	}
	return &Locker{client, options}, nil
}

// KEYS: the lock, the fencing counter, the marker of a Redis that has kept its memory. ARGV: the holder, the lease in ms.
// Returns the token, or minus the time in ms until it is worth trying again. The marker says when this Redis was met first:
// one that has just been met may have lost locks with the rest of its memory.
var acquire = redis.NewScript(`
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local since = redis.call('GET', KEYS[3])
if not since then
  redis.call('SET', KEYS[3], now)
  since = now
end
local wait = since + ARGV[2] - now
if wait > 0 then return -wait end
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return redis.call('INCR', KEYS[2])
end
return -math.max(redis.call('PTTL', KEYS[1]), 1)
`)

var renew = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
`)

var release = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
`)

// Lock is a lock that is held.
type Lock struct {
	Token  int64           // greater than that of every lock before, as long as Redis keeps its memory
	Held   context.Context // ends when the lock is lost or unlocked
	Unlock func()
}

// Lock waits for the lock of key until ctx ends. Prefer LockLease, which tells when the lock is lost.
func (l *Locker) Lock(ctx context.Context, key string) (unlock func(), err error) {
	_, unlock, err = l.LockLease(ctx, key)
	return unlock, err
}

// LockLease waits for the lock of key until ctx ends. held ends when the lock is lost or unlocked; its cause is then ErrLost.
func (l *Locker) LockLease(ctx context.Context, key string) (held context.Context, unlock func(), err error) {
	lock, err := l.Acquire(ctx, key)
	if err != nil {
		return nil, nil, err
	}
	return lock.Held, lock.Unlock, nil
}

// Acquire is LockLease with the fencing token.
func (l *Locker) Acquire(ctx context.Context, key string) (*Lock, error) {
	name := l.options.Prefix + "key:" + key
	holder := rand.Text()
	keys := []string{name, l.options.Prefix + "fence", l.options.Prefix + "since"}
	pause := firstPause
	for {
		asked := time.Now()
		answer, err := acquire.Run(ctx, l.client, keys, holder, l.options.Lease.Milliseconds()).Int64()
		switch {
		case ctx.Err() != nil && err != nil:
			l.giveUp(ctx, name, holder)
			return nil, context.Cause(ctx)
		case err != nil:
			l.giveUp(ctx, name, holder)
			return nil, fmt.Errorf("redislock: %w", err)
		case answer > 0:
			return l.hold(name, holder, answer, asked), nil
		}
		// The holder may unlock at any time; a lock that nobody unlocks is free when it has expired.
		wait := min(time.Duration(-answer)*time.Millisecond, pause/2+mathrand.N(pause))
		pause = min(2*pause, maxPause)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// giveUp releases a lock whose answer was lost. Should that fail too, the lock expires.
func (l *Locker) giveUp(ctx context.Context, name, holder string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(l.options.Lease/3, time.Second))
	defer cancel()
	_ = release.Run(ctx, l.client, []string{name}, holder).Err()
}

// hold renews a lock until it is unlocked or lost. asked is when the request was sent that got it: the lease began later.
func (l *Locker) hold(name, holder string, token int64, asked time.Time) *Lock {
	held, end := context.WithCancelCause(context.Background())
	// The lock ends here before it ends there: the clock of Redis may run a little faster.
	safe := l.options.Lease * 9 / 10
	expire := time.AfterFunc(time.Until(asked.Add(safe)), func() { end(ErrLost) })
	var renewing sync.WaitGroup
	renewing.Go(func() {
		every := time.NewTicker(l.options.Lease / 3)
		defer every.Stop()
		for {
			select {
			case <-held.Done():
				return
			case <-every.C:
			}
			asked := time.Now()
			switch ok, err := renew.Run(held, l.client, []string{name}, holder, l.options.Lease.Milliseconds()).Int64(); {
			case err == nil && ok == 0:
				end(ErrLost)
			case err == nil && expire.Stop():
				expire.Reset(time.Until(asked.Add(safe)))
			}
		}
	})
	unlock := sync.OnceFunc(func() {
		end(errUnlocked)
		expire.Stop()
		renewing.Wait()
		l.giveUp(context.Background(), name, holder)
	})
	return &Lock{Token: token, Held: held, Unlock: unlock}
}
