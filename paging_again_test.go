package letta

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestWalkAgain: a sequence can be walked more than once, also one whose pages say that they are the last.
func TestWalkAgain(t *testing.T) {
	c, _ := script(t, func(r *http.Request) (int, string) {
		q := r.URL.Query()
		switch first := !q.Has("after") && !q.Has("offset"); {
		case strings.HasSuffix(r.URL.Path, "/client-side-access-tokens"):
			return 200, fmt.Sprintf(`{"tokens":[{"token":"token-%v"}],"hasNextPage":%v}`, first, first)
		case strings.HasSuffix(r.URL.Path, "/environments"):
			return 200, fmt.Sprintf(`{"connections":[{"id":"environment-%v"}],"hasNextPage":%v}`, first, first)
		default:
			return 200, fmt.Sprintf(`{"scheduled_messages":[{"id":"scheduled-%v"}],"has_next_page":%v}`, first, first)
		}
	})
	tokens := c.AccessTokens.ListAll(t.Context(), nil)
	environments := c.Environments.ListAll(t.Context(), nil)
	scheduled := c.Agents.Schedule.ListAll(t.Context(), "agent-1", nil)
	for range 2 {
		got, err := walked(tokens, func(a *AccessToken) string { return string(a.Token) })
		require.NoError(t, err)
		assert.Equal(t, []string{"token-true", "token-false"}, got)
		got, err = walked(environments, func(e *Environment) string { return string(e.ID) })
		require.NoError(t, err)
		assert.Equal(t, []string{"environment-true", "environment-false"}, got)
		got, err = walked(scheduled, func(m *ScheduledMessage) string { return string(m.ID) })
		require.NoError(t, err)
		assert.Equal(t, []string{"scheduled-true", "scheduled-false"}, got)
	}
}
