// Package pglock locks users through PostgreSQL, for instances of a program that share a database:
//
//	locker, err := pglock.New("postgres://app@localhost/app", pglock.Options{})
//	users, err := peruser.New(client, peruser.Options{Create: create, Locker: locker})
//
// # How
//
// A lock is a session-level advisory lock on a connection of its own: it waits in PostgreSQL's queue, and is gone when the
// connection is. Because an advisory lock leaves no trace, the holder also writes a row, with the time until which its
// lock may count, and deletes it when it unlocks. Whoever finds a row that nobody deleted waits until that time: its writer
// died, and what it had sent to Letta may still arrive. The table is made when it is missing: see [Schema].
//
// # What it promises
//
// The holder renews every third of the lease. If it cannot, because PostgreSQL or the network is gone, or the process hung,
// held ends before the lease does, and package peruser cancels what it does under the lock. A lost connection ends it at
// once. PostgreSQL ends the session of a holder that is silent for one lease. So a lock whose holder died is free after about
// one lease, two if its machine vanished without a word, and nobody gets it before one lease is over.
//
// # What it does not
//
// A request that was sent while the lock was held and is still on its way after the lease can cross with the next
// holder's: choose a lease longer than your slowest create. A standby that takes over without the newest commits may lack
// the row.
//
// PostgreSQL 14 or newer is needed. Session locks do not work behind a pooler that lends out connections by transaction or statement, such as PgBouncer with
// pool_mode=transaction: the lock would belong to whoever gets the connection next. Lock looks for that and answers
// ErrPooled. Connect to PostgreSQL itself, or to a pool by session.
package pglock

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	defaultLease       = 15 * time.Second
	minLease           = 500 * time.Millisecond
	defaultConnections = 8
	goodbye            = 2 * time.Second // for unlocking, at most
)

var (
	// ErrLost is why the context of a lock ended: the connection is gone, or the lock could not be renewed in time.
	ErrLost = errors.New("pglock: the lock was lost")
	// ErrPooled says that a pooler lends the connection to others between two statements. Connect without it.
	ErrPooled = errors.New("pglock: session locks do not work through this pooler: connect to PostgreSQL itself, or pool by session")

	errUnlocked = errors.New("pglock: the lock was unlocked")
)

// Schema makes the table of the locks that are held. Lock runs it when the table is missing; a role that may not create
// tables needs it to be run once, and then SELECT, INSERT, UPDATE and DELETE on the table.
const Schema = `CREATE TABLE IF NOT EXISTS letta_locks (key text PRIMARY KEY, holder bigint NOT NULL, until timestamptz NOT NULL);
CREATE SEQUENCE IF NOT EXISTS letta_locks_holder`

// Options of a Locker. The zero value is good.
type Options struct {
	// Lease is how long a lock counts after its holder died, 15 s by default.
	Lease time.Duration
	// Connections is how many locks may be held or waited for at once, each on a connection of its own; 8 by default. Others
	// wait for a place.
	Connections int
	// Namespace tells programs with other users apart that use one database.
	Namespace string
}

// Locker implements peruser.LeaseLocker. It is safe for concurrent use, and holds no connection while no lock is held.
type Locker struct {
	config  *pgx.ConnConfig
	options Options
	places  chan struct{}

	mu      sync.Mutex
	checked bool // no pooler
}

// New makes a Locker for a database, given as a URL or as key=value pairs. It connects to nothing.
func New(connString string, options Options) (*Locker, error) {
	if options.Lease == 0 {
		options.Lease = defaultLease
	}
	if options.Connections == 0 {
		options.Connections = defaultConnections
	}
	switch {
	case options.Lease < minLease:
		return nil, fmt.Errorf("pglock: a lease of %v is too short to be renewed", options.Lease)
	case options.Connections < 1:
		return nil, errors.New("pglock: Connections is negative")
	}
	config, err := pgx.ParseConfig(connString)
	if err != nil {
		return nil, fmt.Errorf("pglock: %w", err)
	}
	// A prepared statement would belong to a connection behind a pooler, which is looked for below.
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	return &Locker{config: config, options: options, places: make(chan struct{}, options.Connections)}, nil
}

// Lock waits for the lock of key until ctx ends. Prefer LockLease, which tells when the lock is lost.
func (l *Locker) Lock(ctx context.Context, key string) (unlock func(), err error) {
	_, unlock, err = l.LockLease(ctx, key)
	return unlock, err
}

// LockLease waits for the lock of key until ctx ends. held ends when the lock is lost or unlocked; its cause is then ErrLost.
func (l *Locker) LockLease(ctx context.Context, key string) (held context.Context, unlock func(), err error) {
	select {
	case l.places <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
	leave := func() { <-l.places }
	lock, err := l.acquire(ctx, l.options.Namespace+"/"+key)
	if err != nil {
		leave()
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		if errors.Is(err, ErrPooled) {
			return nil, nil, err
		}
		return nil, nil, fmt.Errorf("pglock: %w", err)
	}
	return lock.held, sync.OnceFunc(func() { lock.unlock(); leave() }), nil
}

// lock is a lock that is held.
type lock struct {
	conn   *pgx.Conn
	key    string
	id     int64 // of the advisory lock
	holder int64
	lease  time.Duration

	held     context.Context
	end      context.CancelCauseFunc
	expire   *time.Timer
	renewing sync.WaitGroup
}

func (l *Locker) connect(ctx context.Context) (*pgx.Conn, error) {
	return pgx.ConnectConfig(ctx, l.config.Copy())
}

func (l *Locker) acquire(ctx context.Context, key string) (_ *lock, err error) {
	conn, err := l.connect(ctx)
	if err != nil {
		return nil, err
	}
	k := &lock{conn: conn, key: key, id: number(key), lease: l.options.Lease}
	defer func() {
		if err != nil {
			hangUp(k.conn)
		}
	}()
	if err := l.check(ctx, conn); err != nil {
		return nil, err
	}
	// What PostgreSQL waits for before it takes a silent client for dead, in ms and s. Waiting for a lock is no silence.
	ms := strconv.FormatInt(k.lease.Milliseconds(), 10)
	s := strconv.FormatInt(max(1, int64(k.lease/time.Second)/3), 10)
	if _, err := conn.Exec(ctx, "SET idle_session_timeout = "+ms+"; SET statement_timeout = 0; SET lock_timeout = 0; SET tcp_user_timeout = "+ms+
		"; SET tcp_keepalives_idle = "+s+"; SET tcp_keepalives_interval = "+s+"; SET tcp_keepalives_count = 2"); err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", k.id); err != nil {
		return nil, err
	}
	// A row that nobody deleted: wait as long as its holder's lock may count.
	wait := "SELECT pg_sleep(greatest(0, extract(epoch FROM max(until) - clock_timestamp()))) FROM letta_locks WHERE key = $1"
	if _, err := conn.Exec(ctx, wait, key); missing(err) {
		if _, err := conn.Exec(ctx, Schema); err != nil && !exists(err) {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	asked := time.Now()
	err = conn.QueryRow(ctx, `INSERT INTO letta_locks (key, holder, until) VALUES ($1, nextval('letta_locks_holder'), clock_timestamp() + $2 * interval '1 millisecond')
		ON CONFLICT (key) DO UPDATE SET holder = EXCLUDED.holder, until = EXCLUDED.until RETURNING holder`, key, k.lease.Milliseconds()).Scan(&k.holder)
	if err != nil {
		return nil, err
	}
	k.hold(asked)
	return k, nil
}

// number is the advisory lock of a key. Two keys with one number wait for each other, which does no harm.
func number(key string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte("letta peruser/pglock " + key))
	return int64(h.Sum64()) //nolint:gosec // all its bits
}

func missing(err error) bool { return hasCode(err, "42P01") }

// exists reports that another session made the table at the same moment.
func exists(err error) bool {
	return hasCode(err, "42P07") || hasCode(err, "23505") || hasCode(err, "42710")
}

func hasCode(err error, code string) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == code
}

// check looks for a pooler that lends out server processes by transaction, once. One that takes turns gives us another from
// statement to statement. One that lends the last again gives ours to a second connection, whose transaction then keeps it.
func (l *Locker) check(ctx context.Context, conn *pgx.Conn) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.checked {
		return nil
	}
	other, err := l.connect(ctx)
	if err != nil {
		return err
	}
	defer hangUp(other)
	for range 2 {
		mine, err := process(ctx, conn)
		if err != nil {
			return err
		}
		again, err := process(ctx, conn)
		if err != nil {
			return err
		}
		if _, err := other.Exec(ctx, "BEGIN"); err != nil {
			return err
		}
		theirs, err := process(ctx, other)
		if err != nil {
			return err
		}
		if again != mine || theirs == mine {
			return ErrPooled
		}
		switch again, err = process(ctx, conn); {
		case err != nil:
			return err
		case again != mine:
			return ErrPooled
		}
		if _, err := other.Exec(ctx, "ROLLBACK"); err != nil {
			return err
		}
	}
	l.checked = true
	return nil
}

// process is the server process that answers a connection.
func process(ctx context.Context, conn *pgx.Conn) (pid int, err error) {
	err = conn.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&pid)
	return pid, err
}

// renewal prolongs the row and tells whether the session has the advisory lock, which a pooler's would not.
const renewal = `UPDATE letta_locks SET until = clock_timestamp() + $3 * interval '1 millisecond' WHERE key = $1 AND holder = $2 AND EXISTS (
	SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid() AND objsubid = 1
	AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
	AND ((classid::bigint << 32) | objid::bigint) = $4)`

// hold renews a lock until it is unlocked or lost. asked is when the request was sent that wrote its row: the lease began later.
func (k *lock) hold(asked time.Time) {
	k.held, k.end = context.WithCancelCause(context.Background())
	// The lock ends here before it ends there.
	safe := k.lease * 9 / 10
	k.expire = time.AfterFunc(time.Until(asked.Add(safe)), func() { k.end(ErrLost) })
	k.renewing.Go(func() {
		for {
			// Reading notices at once when the connection ends. Nobody notifies this session.
			wait, cancel := context.WithTimeout(k.held, k.lease/3)
			_, err := k.conn.WaitForNotification(wait)
			quiet := wait.Err() != nil && !k.conn.IsClosed()
			cancel()
			if k.held.Err() != nil {
				return
			}
			if err != nil && !quiet {
				k.end(fmt.Errorf("%w: %w", ErrLost, err))
				return
			}
			asked := time.Now()
			// Not under k.held: an unlock in the middle of it would break the connection off, and leave the row.
			renew, cancel := context.WithTimeout(context.Background(), k.lease/3)
			tag, err := k.conn.Exec(renew, renewal, k.key, k.holder, k.lease.Milliseconds(), k.id)
			cancel()
			switch {
			case err != nil:
				k.end(fmt.Errorf("%w: %w", ErrLost, err))
				return
			case tag.RowsAffected() != 1:
				k.end(ErrLost)
				return
			case k.expire.Stop():
				k.expire.Reset(time.Until(asked.Add(safe)))
			}
		}
	})
}

// unlock deletes the row, which says that nothing of the holder is on its way any more, and ends the session, and so the lock.
func (k *lock) unlock() {
	k.end(errUnlocked)
	k.expire.Stop()
	k.renewing.Wait()
	if context.Cause(k.held) != errUnlocked { //nolint:errorlint // the very cause: a lock that was lost leaves its row
		hangUp(k.conn)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), goodbye)
	defer cancel()
	if !k.conn.IsClosed() {
		_, _ = k.conn.Exec(ctx, "DELETE FROM letta_locks WHERE key = $1 AND holder = $2", k.key, k.holder)
	}
	hangUp(k.conn)
}

func hangUp(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), goodbye)
	defer cancel()
	_ = conn.Close(ctx)
}
