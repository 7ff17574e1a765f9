package letta

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTurnJSON: the stop reason is a string in Go and an object in JSON, with both engines.
func TestTurnJSON(t *testing.T) {
	const answer = `{"messages":[{"message_type":"assistant_message","id":"m","date":"2026-11-22T08:16:14Z","content":"hi"}],
		"stop_reason":{"message_type":"stop_reason","stop_reason":"end_turn"},
		"usage":{"message_type":"usage_statistics","completion_tokens":5,"prompt_tokens":10,"total_tokens":15,"step_count":1},
		"run_ids":["run-1"],"warnings":[{"error_type":"internal_error","message":"late"}]}`
	for name, engine := range map[string]struct {
		read  func([]byte, any) error
		write func(any) ([]byte, error)
	}{"ours": {unmarshal, marshal}, "standard": {json.Unmarshal, json.Marshal}} {
		turn := Turn{StopReason: "old", RunIDs: []RunID{"old"}}
		require.NoError(t, engine.read([]byte(answer), &turn), name)
		assert.Equal(t, StopReasonEndTurn, turn.StopReason, name)
		assert.True(t, turn.Complete())
		assert.Equal(t, "hi", turn.Text())
		assert.Equal(t, []RunID{"run-1"}, turn.RunIDs)
		for _, v := range []any{turn, &turn} {
			after, err := engine.write(v)
			require.NoError(t, err, name)
			assert.JSONEq(t, answer, string(after), name)
		}
		turn = Turn{}
		for _, odd := range []string{`{"stop_reason":null}`, `{"stop_reason":{"stop_reason":null}}`, `{}`} {
			require.NoError(t, engine.read([]byte(odd), &turn), name)
			assert.Equal(t, Turn{}, turn, odd)
		}
		assert.Error(t, engine.read([]byte(`{"stop_reason":{"stop_reason":5}}`), &turn), name)
	}
}
