package pglock_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/letta-go/letta/peruser"
	"github.com/letta-go/letta/peruser/internal/services"
	"github.com/letta-go/letta/peruser/internal/swarm"
	"github.com/letta-go/letta/peruser/pglock"
)

const lease = 2 * time.Second // of the tests

var _ peruser.LeaseLocker = (*pglock.Locker)(nil)

func TestMain(m *testing.M) {
	swarm.Main(func(addr string) (peruser.Locker, func(), error) {
		locker, err := pglock.New(address(addr), pglock.Options{Lease: lease})
		return locker, func() {}, err
	})
	os.Exit(m.Run())
}

func address(addr string) string { return "postgres://postgres@" + addr + "/postgres?sslmode=disable" }

func newLocker(t *testing.T, addr string) *pglock.Locker {
	t.Helper()
	locker, err := pglock.New(address(addr), pglock.Options{Lease: lease})
	if err != nil {
		t.Fatal(err)
	}
	return locker
}

func acquire(t *testing.T, locker *pglock.Locker, key string) (context.Context, func()) {
	t.Helper()
	held, unlock, err := locker.LockLease(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(unlock)
	return held, unlock
}

// mustEnd waits until a lock has ended, within a time.
func mustEnd(t *testing.T, held context.Context, within time.Duration) {
	t.Helper()
	select {
	case <-held.Done():
		if !errors.Is(context.Cause(held), pglock.ErrLost) {
			t.Error(context.Cause(held))
		}
	case <-time.After(within):
		t.Errorf("the lock was not given up within %v", within)
	}
}

func rows(t *testing.T, addr string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM letta_locks").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestSeveralInstances: exactly one agent for each user. All of it: PERUSER_USERS=10000 go test -run SeveralInstances .
func TestSeveralInstances(t *testing.T) {
	server := services.Postgres(t)
	result := swarm.Run(t, swarm.Users(200), server.Addr)
	t.Logf("%+v", result)
	if result.Agents != result.Users || len(result.Duplicates) > 0 || result.Wrong > 0 {
		t.Error("not one agent for each user")
	}
	if n := rows(t, server.Addr); n > 0 {
		t.Errorf("%d rows are left", n)
	}
}

func TestLocksExclude(t *testing.T) {
	t.Parallel()
	server := services.Postgres(t)
	lockers := []*pglock.Locker{newLocker(t, server.Addr), newLocker(t, server.Addr)}
	var mu sync.Mutex
	inside, counts := map[string]bool{}, map[string]int{}
	var all sync.WaitGroup
	for _, key := range []string{"a", "b"} {
		for i := range 20 {
			all.Go(func() {
				held, unlock, err := lockers[i%2].LockLease(t.Context(), key)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if inside[key] {
					t.Error("two have the lock")
				}
				inside[key] = true
				counts[key]++
				mu.Unlock()
				time.Sleep(time.Millisecond)
				mu.Lock()
				inside[key] = false
				mu.Unlock()
				unlock()
				unlock()
				<-held.Done()
			})
		}
	}
	all.Wait()
	if fmt.Sprint(counts) != "map[a:20 b:20]" {
		t.Error(counts)
	}
	if n := rows(t, server.Addr); n > 0 {
		t.Errorf("%d rows are left", n)
	}
}

func TestRenewed(t *testing.T) {
	t.Parallel()
	server := services.Postgres(t)
	held, unlock := acquire(t, newLocker(t, server.Addr), "user_1")
	ctx, cancel := context.WithTimeout(t.Context(), 2*lease)
	defer cancel()
	other := newLocker(t, server.Addr)
	if _, err := other.Lock(ctx, "user_1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Error("the lock was not kept beyond its lease:", err)
	}
	if held.Err() != nil {
		t.Error(context.Cause(held))
	}
	unlock()
	began := time.Now()
	acquire(t, other, "user_1")
	if took := time.Since(began); took > lease/2 {
		t.Errorf("a lock that was unlocked was free after %v only", took)
	}
}

func TestKilledHolder(t *testing.T) {
	t.Parallel()
	server := services.Postgres(t)
	swarm.KilledHolder(t, server.Addr, lease, newLocker(t, server.Addr))
}

// TestHungHolder: PostgreSQL ends the session of a process that stopped.
func TestHungHolder(t *testing.T) {
	t.Parallel()
	server := services.Postgres(t)
	swarm.HungHolder(t, server.Addr, newLocker(t, server.Addr))
}

func TestPostgresIsLost(t *testing.T) {
	t.Parallel()
	server := services.Postgres(t)
	locker := newLocker(t, server.Addr)
	held, _ := acquire(t, locker, "user_1")
	server.Kill()
	mustEnd(t, held, lease/3) // at once, but for a slow machine
	if _, err := locker.Lock(t.Context(), "user_2"); err == nil {
		t.Error("a lock without a PostgreSQL")
	}
	lost := time.Now()
	server.Start()
	acquire(t, newLocker(t, server.Addr), "user_1")
	if took := time.Since(lost); took < lease/2 {
		t.Errorf("the lock was free after %v, the lease is %v", took, lease)
	}
}

func TestEndedSession(t *testing.T) {
	t.Parallel()
	server := services.Postgres(t)
	held, _ := acquire(t, newLocker(t, server.Addr), "user_1")
	conn, err := pgx.Connect(t.Context(), address(server.Addr))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"); err != nil {
		t.Fatal(err)
	}
	mustEnd(t, held, lease/3)
}

func TestPooler(t *testing.T) {
	t.Parallel()
	server := services.Postgres(t)
	for _, roundRobin := range []bool{false, true} {
		locker := newLocker(t, pooler(t, server.Addr, roundRobin))
		for range 2 {
			unlock, err := locker.Lock(t.Context(), "user_1")
			if !errors.Is(err, pglock.ErrPooled) {
				t.Errorf("round robin %v: %v", roundRobin, err)
			}
			if err == nil {
				unlock()
			}
		}
	}
}

// pooler lends out two connections by transaction, as PgBouncer with pool_mode=transaction: the one that was used last, or
// the other. It speaks as much of the protocol as simple queries need.
func pooler(t *testing.T, server string, roundRobin bool) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var idle []*pgproto3.Frontend
	var conns []io.Closer
	free := sync.NewCond(&mu)
	for range 2 {
		conn, err := net.Dial("tcp", server)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
		backend := pgproto3.NewFrontend(conn, conn)
		backend.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": "postgres", "database": "postgres"}})
		if err := backend.Flush(); err != nil {
			t.Fatal(err)
		}
		for ready := false; !ready; {
			message, err := backend.Receive()
			if err != nil {
				t.Fatal(err)
			}
			_, ready = message.(*pgproto3.ReadyForQuery)
		}
		idle = append(idle, backend)
	}
	serve := func(conn net.Conn) {
		defer conn.Close()
		client := pgproto3.NewBackend(conn, conn)
		if _, err := client.ReceiveStartupMessage(); err != nil {
			return
		}
		client.Send(&pgproto3.AuthenticationOk{})
		client.Send(&pgproto3.ParameterStatus{Name: "standard_conforming_strings", Value: "on"})
		client.Send(&pgproto3.ParameterStatus{Name: "client_encoding", Value: "UTF8"})
		client.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		var backend *pgproto3.Frontend
		for client.Flush() == nil {
			query, err := client.Receive()
			if err != nil {
				return
			}
			if _, ok := query.(*pgproto3.Query); !ok {
				return
			}
			mu.Lock()
			for backend == nil {
				if len(idle) == 0 {
					free.Wait()
					continue
				}
				last := len(idle) - 1
				if roundRobin {
					last = 0
				}
				backend, idle = idle[last], append(idle[:last:last], idle[last+1:]...)
			}
			mu.Unlock()
			backend.Send(query)
			if backend.Flush() != nil {
				return
			}
			for {
				message, err := backend.Receive()
				if err != nil {
					return
				}
				client.Send(message)
				if ready, ok := message.(*pgproto3.ReadyForQuery); ok {
					if ready.TxStatus == 'I' {
						mu.Lock()
						idle, backend = append(idle, backend), nil
						free.Signal()
						mu.Unlock()
					}
					break
				}
				if client.Flush() != nil { // the message is valid until the next is received
					return
				}
			}
		}
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		for _, conn := range conns {
			_ = conn.Close()
		}
		serving.Wait()
	})
	return listener.Addr().String()
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, bad := range []pglock.Options{{Lease: -1}, {Lease: time.Millisecond}, {Connections: -1}} {
		if _, err := pglock.New("postgres://localhost/x", bad); err == nil {
			t.Errorf("%+v", bad)
		}
	}
	if _, err := pglock.New("postgres://localhost:port/x", pglock.Options{}); err == nil {
		t.Error("a bad address")
	}
}
