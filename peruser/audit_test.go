package peruser_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/lettatest"
	"github.com/letta-go/letta/peruser"
)

// TestUsersDoNotShare: the second user comes while the lookup of the first is under way.
func TestUsersDoNotShare(t *testing.T) {
	t.Parallel()
	server, users := setUp(t, peruser.Options{Create: newAgent})
	server.Fail(lettatest.Fault{Method: "GET", Path: "/v1/agents/", Delay: 200 * time.Millisecond, Times: 1})
	var all sync.WaitGroup
	var one, two letta.AgentID
	agent := func(user string) letta.AgentID {
		id, err := users.Agent(t.Context(), user)
		assert.NoError(t, err)
		return id
	}
	all.Go(func() { one = agent("user_1") })
	require.Eventually(t, func() bool { return len(server.Requests()) == 1 }, 5*time.Second, time.Millisecond)
	all.Go(func() { two = agent("user_2") })
	all.Wait()
	require.NotEqual(t, one, two)
	require.Equal(t, 2, countAgents(t, server))
}
