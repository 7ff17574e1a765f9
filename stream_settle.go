package letta

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// What follows when a stream ends before its turn does: the run is cancelled if WithCancelOnDone asks for that, and the lock
// of WithTurnLock is held until the turn has ended at the server too. A turn that begins before that is lost from the agent's
// context, where the older one overwrites it.

const (
	// settleTimeout is how long Close, or leaving the loop, waits for a cancelled turn to end.
	settleTimeout = 5 * time.Second
	// turnEndTimeout is how long the lock is held for a turn that nobody reads any more. Letta 0.16.8 answers a cancel at once
	// and obeys when the model next says something, half a second later at the earliest; without StreamTokens that is at the
	// end of the step. RunTools waits as long for calls to be withdrawn. The documentation of WithTurnLock names it.
	turnEndTimeout = time.Minute

	minPoll, maxPoll = 100 * time.Millisecond, 2 * time.Second // between looks at a run
)

// lifetime is how long goroutines of a client may go on that no caller waits for: until Close. The zero value is ready.
type lifetime struct {
	mu  sync.Mutex
	ctx context.Context
	end context.CancelFunc
}

// now is a context that ends with the next Close. A turn takes it when it begins, so that nothing of it goes on after Close.
func (l *lifetime) now() context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end == nil {
		l.ctx, l.end = context.WithCancel(context.Background())
	}
	return l.ctx
}

func (l *lifetime) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end != nil {
		l.end()
	}
	l.ctx, l.end = nil, nil
}

// after gives a context for what follows a call whose own has ended, or may end: with the same values, bounded by a lifetime
// and a timeout.
func after(ctx, life context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	unwatch := context.AfterFunc(life, cancel)
	return ctx, func() { unwatch(); cancel() }
}

// settle does what follows from the ending, once. Whoever has left a turn that is cancelled waits for its end.
func (t *turnReader) settle() {
	if !t.settling.Swap(true) {
		if t.unwatch != nil {
			t.unwatch()
		}
		if t.ended.Load().byServer() || t.over.Load() || t.cancel == nil && t.unlock == nil {
			t.letGo()
		} else {
			go func() { // the lock may have to be held for longer than the caller can wait
				defer t.letGo()
				t.core.guarded(t.caller, t.operation, t.seeOff)
			}()
		}
	}
	if t.cancel == nil {
		return
	}
	timer := time.NewTimer(t.patience)
	defer timer.Stop()
	select {
	case <-t.ctx.Done():
	case <-timer.C:
	}
}

// letGo ends what the stream holds: its connection, and the lock.
func (t *turnReader) letGo() {
	t.disconnect()
	if t.unlock != nil {
		t.unlock()
	}
	t.stop(nil)
}

// disconnect closes the connection, which wakes whoever reads. A transport sees the end of the stream as that of its request.
func (t *turnReader) disconnect() {
	cause := ErrStreamClosed
	if e := t.ended.Load(); e != nil && e.err != nil {
		cause = e.err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conn.close(cause)
}

// guarded survives a panic of the caller's transport or token source, which would end the process on a goroutine of ours.
func (c *core) guarded(ctx context.Context, operation string, f func()) {
	defer func() {
		if p := recover(); p != nil && c.logger != nil {
			c.logger.LogAttrs(ctx, slog.LevelError, "letta: a turn was not seen to end", slog.String("operation", operation), slog.Any("panic", p))
		}
	}()
	f()
}

// cancelRun cancels the run, once the server has named it.
func (t *turnReader) cancelRun() {
	run := t.runID()
	if run == "" || t.cancelled || t.over.Load() {
		return
	}
	t.cancelled = true
	ctx, stop := context.WithTimeout(context.WithoutCancel(t.caller), settleTimeout)
	defer stop()
	t.cancel(ctx, run, t.cfg.followUp())
}

// seeOff returns when the server has ended the turn that its reader has left, or when nobody should wait any longer.
func (t *turnReader) seeOff() {
	limit := t.patience
	if t.unlock != nil {
		limit = turnEndTimeout
	}
	ctx, stop := after(t.caller, t.life, limit)
	defer stop()
	if t.cancel != nil {
		t.core.guarded(t.caller, t.operation, t.cancelRun)
	}
	if t.cancel != nil || t.runID() == "" {
		t.readOn(ctx)
	}
	t.disconnect()
	if t.unlock == nil || t.over.Load() {
		return
	}
	cfg := t.cfg.followUp()
	cfg.maxRetries = 0
	waitUntil(ctx, func() bool { // a server that cannot be reached may come back
		if run := t.runID(); run != "" {
			return t.core.runIsOver(ctx, run, cfg)
		}
		return t.idle(ctx, cfg) // the connection was lost before the server named the run
	})
}

// readOn reads what nobody wants any more: to the end of a cancelled turn, which nothing else tells, for the server calls its
// run cancelled before it obeys; or until the run has a name.
func (t *turnReader) readOn(ctx context.Context) {
	defer context.AfterFunc(ctx, t.disconnect)()
	t.reading.Lock() // the loop wakes with the next frame
	defer t.reading.Unlock()
	for t.cancel != nil || t.runID() == "" {
		if t.cancel != nil {
			t.cancelRun() // it may have been named meanwhile
		}
		event, err := t.conn.events.Next()
		if err != nil {
			return
		}
		if isDone(event.Data) {
			t.over.Store(true)
			return
		}
		t.glance(event.Name, event.Data)
	}
}

// glance learns from an event what is needed to see the turn off.
func (t *turnReader) glance(name string, data []byte) {
	var event struct {
		MessageType string `json:"message_type"`
		RunID       RunID  `json:"run_id"`
	}
	if unmarshal(data, &event) != nil {
		return
	}
	t.named(event.RunID)
	if event.MessageType == "stop_reason" || event.MessageType == "error_message" || name == "cancelled" {
		t.over.Store(true)
	}
}

// runIsOver reports whether a run does nothing more. Letta 0.16.8 calls a run cancelled while it still works on a step, which
// is then pending. A step that it broke off in the middle stays pending for ever: there, only a timeout helps.
func (c *core) runIsOver(ctx context.Context, id RunID, cfg *settings) bool {
	run, err := do[*Run](ctx, c, retrieveRun(id), []RequestOption{cfg})
	switch {
	case errors.Is(err, ErrNotFound):
		return true
	case err != nil || !run.Ended():
		return false
	case run.Status != RunStatusCancelled:
		return true
	}
	steps := RunStepService{c}
	for step, err := range steps.ListAll(ctx, id, nil, cfg) {
		if err != nil || step.Status == StepStatusPending {
			return false
		}
	}
	return true
}
