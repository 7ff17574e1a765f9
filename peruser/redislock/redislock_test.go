package redislock_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/letta-go/letta/peruser"
	"github.com/letta-go/letta/peruser/internal/services"
	"github.com/letta-go/letta/peruser/internal/swarm"
	"github.com/letta-go/letta/peruser/redislock"
)

const lease = time.Second // of the tests

var _ peruser.LeaseLocker = (*redislock.Locker)(nil)

func TestMain(m *testing.M) {
	swarm.Main(func(addr string) (peruser.Locker, func(), error) {
		client := redis.NewClient(&redis.Options{Addr: addr})
		locker, err := redislock.New(client, redislock.Options{Lease: lease})
		return locker, func() { _ = client.Close() }, err
	})
	os.Exit(m.Run())
}

func newLocker(t *testing.T, server *services.Service) *redislock.Locker {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: server.Addr, MaxRetries: -1, DialTimeout: time.Second})
	t.Cleanup(func() { _ = client.Close() })
	locker, err := redislock.New(client, redislock.Options{Lease: lease})
	if err != nil {
		t.Fatal(err)
	}
	return locker
}

func acquire(t *testing.T, locker *redislock.Locker, key string) *redislock.Lock {
	t.Helper()
	lock, err := locker.Acquire(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(lock.Unlock)
	return lock
}

// mustEnd waits until a lock has ended, within one lease.
func mustEnd(t *testing.T, held context.Context) {
	t.Helper()
	select {
	case <-held.Done():
		if !errors.Is(context.Cause(held), redislock.ErrLost) {
			t.Error(context.Cause(held))
		}
	case <-time.After(lease):
		t.Error("the lock was not given up within its lease")
	}
}

// TestSeveralInstances: exactly one agent for each user. All of it: PERUSER_USERS=10000 go test -run SeveralInstances .
func TestSeveralInstances(t *testing.T) {
	result := swarm.Run(t, swarm.Users(200), services.Redis(t).Addr)
	t.Logf("%+v", result)
	if result.Agents != result.Users || len(result.Duplicates) > 0 || result.Wrong > 0 {
		t.Error("not one agent for each user")
	}
}

func TestLocksExclude(t *testing.T) {
	t.Parallel()
	server := services.Redis(t)
	lockers := []*redislock.Locker{newLocker(t, server), newLocker(t, server)}
	counts := map[string]int{"a": 0, "b{}": 0}
	tokens := map[string]int64{}
	var mu sync.Mutex
	inside := map[string]bool{}
	var all sync.WaitGroup
	for key := range counts {
		for i := range 20 {
			all.Go(func() {
				lock, err := lockers[i%2].Acquire(t.Context(), key)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if inside[key] {
					t.Error("two have the lock")
				}
				if lock.Token <= tokens[key] {
					t.Error("the token did not grow")
				}
				inside[key], tokens[key] = true, lock.Token
				counts[key]++
				mu.Unlock()
				time.Sleep(time.Millisecond)
				mu.Lock()
				inside[key] = false
				mu.Unlock()
				lock.Unlock()
				lock.Unlock()
				<-lock.Held.Done()
			})
		}
	}
	all.Wait()
	if fmt.Sprint(counts) != "map[a:20 b{}:20]" {
		t.Error(counts)
	}
}

func TestRenewed(t *testing.T) {
	t.Parallel()
	server := services.Redis(t)
	lock := acquire(t, newLocker(t, server), "user_1")
	ctx, cancel := context.WithTimeout(t.Context(), 2*lease)
	defer cancel()
	if _, err := newLocker(t, server).Lock(ctx, "user_1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Error("the lock was not kept beyond its lease:", err)
	}
	if lock.Held.Err() != nil {
		t.Error(context.Cause(lock.Held))
	}
}

func TestKilledHolder(t *testing.T) {
	t.Parallel()
	server := services.Redis(t)
	swarm.KilledHolder(t, server.Addr, lease, newLocker(t, server))
}

// TestHungHolder: a process that stopped loses the lock after its lease.
func TestHungHolder(t *testing.T) {
	t.Parallel()
	server := services.Redis(t)
	swarm.HungHolder(t, server.Addr, newLocker(t, server))
}

func TestRedisIsLost(t *testing.T) {
	t.Parallel()
	server := services.Redis(t)
	locker := newLocker(t, server)
	lock := acquire(t, locker, "user_1")
	server.Kill()
	mustEnd(t, lock.Held)
	if _, err := locker.Lock(t.Context(), "user_2"); err == nil {
		t.Error("a lock without a Redis")
	}
	// It comes back empty: nobody gets the lock before the one that was held has ended.
	server.Start()
	back := time.Now()
	acquire(t, newLocker(t, server), "user_1")
	if took := time.Since(back); took < lease/2 {
		t.Errorf("an empty Redis gave a lock after %v, the lease is %v", took, lease)
	}
}

func TestFlushed(t *testing.T) {
	t.Parallel()
	server := services.Redis(t)
	lock := acquire(t, newLocker(t, server), "user_1")
	client := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer client.Close()
	if err := client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	next := acquire(t, newLocker(t, server), "user_1")
	if lock.Held.Err() == nil {
		t.Error("two have the lock")
	}
	lock.Unlock() // does not take the lock from the next
	time.Sleep(lease / 2)
	if next.Held.Err() != nil {
		t.Error(context.Cause(next.Held))
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	client := redis.NewClient(&redis.Options{})
	defer client.Close()
	for _, bad := range []redislock.Options{{Lease: -1}, {Lease: time.Millisecond}} {
		if _, err := redislock.New(client, bad); err == nil {
			t.Errorf("%+v", bad)
		}
	}
	if _, err := redislock.New(nil, redislock.Options{}); err == nil {
		t.Error("a nil client")
	}
}
