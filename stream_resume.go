package letta

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/letta-go/letta/internal/sse"
)

// How a stream goes on after a cut.

const (
	resumeTimeout = 15 * time.Second // for the headers of a resumed stream
	maxResumes    = 5                // in a row, without a new frame
)

// cut handles the end of a connection without [DONE]. It returns nil if there is more to read.
func (t *turnReader) cut(err error) *ending {
	if t.failure != nil || t.reason != "" {
		// A cancelled turn ends without usage and [DONE].
		if !t.usage && t.failure == nil && t.wentWell() && t.reason != StopReasonCancelled {
			if t.resumable && t.runID() != "" && !t.askedFor {
				t.askedFor = true
				if t.resume(t.fails(err)) == nil {
					return nil
				}
				if e := t.ended.Load(); e != nil {
					return e
				}
			}
			missing := t.fails(ErrStreamTruncated)
			missing.Message = "the usage of the turn is missing"
			t.warnings = append(t.warnings, missing)
		}
		return t.finished()
	}
	how, failure := endCut, t.fails(ErrStreamTruncated)
	switch cause := context.Cause(t.conn.ctx); {
	case errors.Is(cause, ErrStreamIdle):
		how, failure.Err = endSilent, cause
	case errors.Is(err, sse.ErrTooLarge):
		return t.end(endUnreadable, t.fails(err))
	case !errors.Is(err, io.EOF):
		failure.Err = fmt.Errorf("%w: %w", ErrStreamTruncated, err)
	}
	if t.resumable && t.runID() != "" {
		if failure = t.resume(failure); failure == nil {
			return nil
		}
	}
	return t.end(how, failure)
}

// resume goes on with a background run at its last frame. It returns nil if it can, or else failure with the reason why not.
func (t *turnReader) resume(failure *StreamError) *StreamError {
	cfg := t.cfg.followUp()
	if cfg.timeout == 0 || cfg.timeout > resumeTimeout {
		cfg.timeout = resumeTimeout
	}
	for t.fruitless < maxResumes {
		if t.fruitless++; t.fruitless > 1 {
			wait := min(maxBackoff, minBackoff<<(t.fruitless-2))
			if sleep(t.left, wait/2+rand.N(wait/2)) != nil {
				return failure
			}
		}
		conn, err := t.core.connect(t.ctx, t.left, streamRun(t.runID(), t.lastSeq()), cfg)
		var apiErr *APIError
		switch {
		case err == nil:
			t.mu.Lock()
			t.conn.close(nil)
			t.conn = conn
			t.mu.Unlock()
			if t.left.Err() != nil { // whoever ended the stream may have closed the connection before
				conn.close(ErrStreamClosed)
				return failure
			}
			t.sequence.connected()
			t.attached = true
			return nil
		case t.left.Err() != nil:
			return failure
		case errors.As(err, &apiErr) && apiErr.StatusCode < 500 && apiErr.StatusCode != http.StatusTooManyRequests, t.fruitless == maxResumes:
			failure.Err = fmt.Errorf("%w; %w: %w", failure.Err, ErrNotResumable, err)
			return failure
		}
	}
	failure.Err = fmt.Errorf("%w; %w: nothing new in %d attempts", failure.Err, ErrNotResumable, maxResumes)
	return failure
}
