package peruser

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	ticksOfTTL = 64
	minTick    = time.Millisecond
)

// clock tells when what is remembered expires. To read the time costs about as much as all the rest of a cached lookup, so a
// timer does, 64 times in the time to live, and only while something is remembered: there is no goroutine to be stopped.
type clock struct {
	now   atomic.Int64 // in ticks
	began time.Time
	tick  time.Duration
	live  int64 // how many ticks something lives

	mu    sync.Mutex
	until int64 // when all that is remembered has expired
	runs  bool
}

func newClock(ttl time.Duration) clock {
	tick := max(ttl/ticksOfTTL, minTick)
	return clock{began: time.Now(), tick: tick, live: max(1, int64(ttl/tick))}
}

// after is when something expires that is remembered now: after its time to live, or up to a tick earlier.
func (c *clock) after() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read()
	c.until = c.now.Load() + c.live
	if !c.runs {
		c.runs = true
		time.AfterFunc(c.tick, c.run)
	}
	return c.until
}

func (c *clock) run() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read()
	if c.runs = c.now.Load() < c.until; c.runs {
		time.AfterFunc(c.tick, c.run)
	}
}

// read needs c.mu.
func (c *clock) read() { c.now.Store(int64(time.Since(c.began) / c.tick)) }
