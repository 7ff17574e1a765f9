package letta

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestDeepErrorsAreNotRead: no server nests what it says deeper than 3, and reading on would cost the square of the depth.
func TestDeepErrorsAreNotRead(t *testing.T) {
	t.Parallel()
	message := func(depth int) string {
		return parseProblem(400, []byte(strings.Repeat(`{"detail":`, depth)+`{"message":"deep"}`+strings.Repeat("}", depth))).message
	}
	require.Equal(t, "deep", message(3))
	require.Empty(t, message(20))
}

// TestCopyOfAnOddAgent: what a server sent and we could read is copied, whatever it is.
func TestCopyOfAnOddAgent(t *testing.T) {
	t.Parallel()
	odd := &AgentState{ID: "agent-1", Name: "\xff", Tags: []string{"user_1"}}
	copied := cloneAgent(odd)
	require.Equal(t, odd.ID, copied.ID)
	copied.Tags[0] = "changed"
	require.Equal(t, "user_1", odd.Tags[0])
}

// TestCloseWithoutObedience: a server answers the cancel, and goes on with the turn for ever. Close waits for 5 s.
func TestCloseWithoutObedience(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		obey := make(chan struct{})
		defer close(obey)
		messages := onCancel(t, obey, func() {})
		stream, err := messages.Stream(t.Context(), "agent-1", &AgentMessageCreateParams{Messages: []MessageInput{UserText("hi")}}, WithTurnLock(), WithCancelOnDone())
		require.NoError(t, err)
		began := time.Now() // on the clock of the bubble
		for range stream.Messages() {
			break
		}
		require.Equal(t, settleTimeout, time.Since(began))
		require.Equal(t, 1, messages.core.turns.Held(), "the server has not obeyed")
	})
}
