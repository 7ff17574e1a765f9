package keyed_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta/internal/keyed"
)

func TestLocksSerialise(t *testing.T) {
	t.Parallel()
	var locks keyed.Locks[string]
	counts := make([]int, 4)
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			for range 50 {
				unlock, err := locks.Lock(t.Context(), fmt.Sprint(i%4))
				if err != nil {
					return
				}
				counts[i%4]++ // the race detector tells
				unlock()
				unlock() // once more does nothing
			}
		})
	}
	all.Wait()
	require.Equal(t, []int{500, 500, 500, 500}, counts)
	require.Zero(t, locks.Held())
}

func TestLockOfAnEndedContext(t *testing.T) {
	t.Parallel()
	var locks keyed.Locks[string]
	ended, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the user left")
	cancel(cause)
	for range 100 { // a select would pick at random
		_, err := locks.Lock(ended, "key")
		require.Equal(t, cause, err)
	}
	require.Zero(t, locks.Held())
}

func TestLockWaitsWithinItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var locks keyed.Locks[string]
		unlock, err := locks.Lock(t.Context(), "key")
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = locks.Lock(ctx, "key")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		unlock()
		require.Zero(t, locks.Held())
	})
}

func TestFlightsShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var flights keyed.Flights[int]
		var runs, firsts atomic.Int32
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				value, first, err := flights.Do(t.Context(), "key", func(context.Context) (int, error) {
					time.Sleep(time.Second)
					return int(runs.Add(1)), nil
				})
				require.NoError(t, err)
				require.Equal(t, 1, value)
				if first {
					firsts.Add(1)
				}
			})
		}
		all.Wait()
		require.EqualValues(t, 1, firsts.Load())
	})
}

func TestFlightsOutliveTheirFirstCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var flights keyed.Flights[string]
		work := func(ctx context.Context) (string, error) {
			select {
			case <-time.After(time.Minute):
				return "done", nil
			case <-ctx.Done():
				return "", ctx.Err()
			}
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var all sync.WaitGroup
		all.Go(func() {
			_, _, err := flights.Do(short, "key", work)
			require.ErrorIs(t, err, context.DeadlineExceeded)
		})
		synctest.Wait()
		all.Go(func() {
			value, _, err := flights.Do(t.Context(), "key", work)
			require.NoError(t, err)
			require.Equal(t, "done", value)
		})
		all.Wait()
	})
}

// TestFlightsEndWithTheirLastCaller: the last caller to leave waits for the work, so no goroutine outlives it.
func TestFlightsEndWithTheirLastCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var flights keyed.Flights[string]
		var ended atomic.Bool
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, err := flights.Do(ctx, "key", func(ctx context.Context) (string, error) {
			<-ctx.Done()
			time.Sleep(time.Second)
			ended.Store(true)
			return "", ctx.Err()
		})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.True(t, ended.Load())
	})
}

func TestFlightsSurviveTheirWork(t *testing.T) {
	t.Parallel()
	var flights keyed.Flights[int]
	_, _, err := flights.Do(t.Context(), "key", func(context.Context) (int, error) { panic("token source") })
	var panicked *keyed.PanicError
	require.ErrorAs(t, err, &panicked)
	require.Contains(t, string(panicked.Stack), "TestFlightsSurviveTheirWork")
	_, _, err = flights.Do(t.Context(), "key", func(context.Context) (int, error) { runtime.Goexit(); return 0, nil })
	require.ErrorContains(t, err, "ended its goroutine")
	value, _, err := flights.Do(t.Context(), "key", func(context.Context) (int, error) { return 3, nil })
	require.NoError(t, err)
	require.Equal(t, 3, value)
}

func TestFlightOfAnEndedContext(t *testing.T) {
	t.Parallel()
	var flights keyed.Flights[int]
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := flights.Do(ended, "key", func(context.Context) (int, error) { t.Error("it ran"); return 0, nil })
	require.ErrorIs(t, err, context.Canceled)
}
