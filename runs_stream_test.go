package letta_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/internal/apispec"
)

func TestRunsStream(t *testing.T) {
	t.Parallel()
	frames := recordedFrames(t, "agents.messages.create.stream_background")
	run := runOf(frames)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { sse(w, framesAfter(frames, resumeOf(r))...) })
	client := s.client(t)
	for from := range lastSeq(frames) {
		stream, err := client.Runs.Messages.Stream(streamContext(t), run, &letta.RunMessageStreamParams{StartingAfter: from})
		require.NoError(t, err)
		require.Equal(t, run, stream.RunID())
		require.Equal(t, from, stream.LastSeq())
		shown, err := watchStream(t, stream)
		require.NoError(t, err)
		require.Len(t, shown, min(5, 6-from)) // the first frame is a ping
		require.Equal(t, 6, stream.LastSeq())
		require.Equal(t, 15, stream.Result().Usage.TotalTokens)
		require.True(t, stream.Result().Complete())
	}
	r := s.seen("POST")[0]
	require.Equal(t, "/v1/runs/"+string(run)+"/stream", r.Path)
	require.Contains(t, r.Body, `"include_pings":true`) // a body is needed: without one 0.16.8 answers 500
	require.JSONEq(t, `{"starting_after":1,"include_pings":true}`, s.seen("POST")[2].Body, "from 2: the known frame once more")
	require.Equal(t, "text/event-stream", r.Header.Get("Accept"))

	stream, err := client.Runs.Messages.Stream(streamContext(t), run, &letta.RunMessageStreamParams{StartingAfter: 0}, letta.WithPings())
	require.NoError(t, err)
	shown, err := watchStream(t, stream)
	require.NoError(t, err)
	require.Len(t, shown, 6)
}

func TestRunIDsOfARunsStream(t *testing.T) {
	t.Parallel()
	frames := recordedFrames(t, "agents.messages.create.stream_background")
	stream, err := serve(t, sendStream(frames...)).client(t).Runs.Messages.Stream(streamContext(t), runOf(frames), &letta.RunMessageStreamParams{StartingAfter: 0})
	require.NoError(t, err)
	turn, err := stream.Collect()
	require.NoError(t, err)
	require.Equal(t, []letta.RunID{runOf(frames)}, turn.RunIDs)
}

func TestRunsStreamResumes(t *testing.T) {
	t.Parallel()
	frames := recordedFrames(t, "conversations.messages.create.background")
	connections := 0
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		connections++
		rest := framesAfter(frames, resumeOf(r))
		if len(rest) > 4 {
			sse(w, rest[0], rest[1], rest[2][:20])
			panic(http.ErrAbortHandler)
		}
		sse(w, rest...)
	})
	stream, err := s.client(t).Runs.Messages.Stream(streamContext(t), runOf(frames), &letta.RunMessageStreamParams{StartingAfter: 2})
	require.NoError(t, err)
	turn, err := stream.Collect()
	require.NoError(t, err)
	require.Greater(t, connections, 2)
	whole, err := serve(t, sendStream(framesAfter(frames, 2)...)).client(t).Runs.Messages.Stream(streamContext(t), runOf(frames), &letta.RunMessageStreamParams{StartingAfter: 2})
	require.NoError(t, err)
	want, err := whole.Collect()
	require.NoError(t, err)
	require.Equal(t, want, turn)
}

func TestRunsStreamRefused(t *testing.T) {
	t.Parallel()
	x, ok := apispec.Recording(apispec.ServerV1, "runs.messages.stream.error_not_background_400")
	require.True(t, ok)
	client := serve(t, reply(400, string(x.Body))).client(t)
	_, err := client.Runs.Messages.Stream(streamContext(t), "run-1", &letta.RunMessageStreamParams{StartingAfter: 0})
	require.ErrorIs(t, err, letta.ErrBadRequest)
	require.ErrorContains(t, err, "background mode")
	for _, id := range []letta.RunID{"", "a/b", ".."} {
		_, err := client.Runs.Messages.Stream(streamContext(t), id, &letta.RunMessageStreamParams{StartingAfter: 0})
		require.ErrorContains(t, err, "run_id")
	}
	_, err = client.Runs.Messages.Stream(streamContext(t), "run-1", &letta.RunMessageStreamParams{StartingAfter: 0}, nil)
	require.ErrorContains(t, err, "option is nil")
	var none context.Context
	_, err = client.Runs.Messages.Stream(none, "run-1", &letta.RunMessageStreamParams{StartingAfter: 0})
	require.ErrorContains(t, err, "context")
}

// TestRunsStreamAfterTheEnd: past the end of a run 0.16.8 does not answer at all (runs.messages.stream.past_end), which is
// no sign that the turn was complete.
func TestRunsStreamAfterTheEnd(t *testing.T) {
	t.Parallel()
	_, err := serve(t, hang).client(t).Runs.Messages.Stream(streamContext(t), "run-1", &letta.RunMessageStreamParams{StartingAfter: 1000}, letta.WithTimeout(1500*time.Millisecond))
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestRunsWait(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]letta.RunStatus{"runs.retrieve": letta.RunStatusCompleted, "runs.retrieve.failed": letta.RunStatusFailed, "runs.retrieve.cancelled": letta.RunStatusCancelled, "runs.retrieve.requires_approval": letta.RunStatusCompleted} {
		x, ok := apispec.Recording(apispec.ServerV1, name)
		require.True(t, ok)
		var asked atomic.Int32
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			body := string(x.Body)
			if asked.Add(1) == 1 {
				body = strings.Replace(body, `"status": "`+string(status), `"status": "running`, 1)
			}
			reply(200, body)(w, r)
		})
		run, err := s.client(t).Runs.Wait(streamContext(t), "run-1")
		require.NoError(t, err)
		require.Equal(t, status, run.Status, name)
		require.NotEmpty(t, run.StopReason, name)
		require.LessOrEqual(t, len(s.seen("GET")), 2)
	}
}

func TestRunsWaitEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var asked atomic.Int32
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 2 {
			cancel()
		}
		reply(200, `{"id":"run-1","agent_id":"agent-1","status":"running"}`)(w, r)
	}).client(t)
	_, err := client.Runs.Wait(ctx, "run-1")
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "running")
	require.NotContains(t, err.Error(), "\n")
}
