package peruser_test

import (
	"strings"
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

// TestCreateThatShowsLate: the answer to a create is lost, and the agent appears after Ensure has looked for it.
func TestCreateThatShowsLate(t *testing.T) {
	t.Parallel()
	server, users := setUp(t, peruser.Options{Create: newAgent, LookAfter: 10 * time.Second})
	server.Fail(lettatest.Fault{Method: "POST", Path: "/v1/agents/", Drop: lettatest.DropBeforeRead, Times: 1})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := users.Agent(t.Context(), "user_1")
		assert.NoError(t, err)
	}()
	lookups := func() (n int) {
		for _, r := range server.Requests() {
			if r.Method == "GET" {
				n++
			}
		}
		return n
	}
	require.Eventually(t, func() bool {
		select {
		case <-done:
			return true
		default:
			return lookups() > 3 // before the lock, those of Ensure, and then
		}
	}, 10*time.Second, time.Millisecond)
	_, err := server.Client().Agents.Create(t.Context(), &letta.AgentCreateParams{Model: "openai/gpt-4o-mini", Tags: []string{"user_1"}})
	require.NoError(t, err)
	<-done
}

// TestDeleteNamesConversations: a conversation may have blocks of its own, to which nothing leads when the agent is gone.
func TestDeleteNamesConversations(t *testing.T) {
	t.Parallel()
	server, users := setUp(t, peruser.Options{Create: newAgent})
	conversation, err := users.Conversation(t.Context(), "user_1", "chat")
	require.NoError(t, err)
	server.ClearRequests()
	require.NoError(t, users.Delete(t.Context(), "user_1"))
	var deleted []string
	for _, r := range sent(server) {
		if path, ok := strings.CutPrefix(r, "DELETE "); ok {
			deleted = append(deleted, path)
		}
	}
	require.NotEmpty(t, deleted)
	require.Equal(t, "/v1/conversations/"+string(conversation), deleted[0])
	require.Contains(t, deleted[len(deleted)-1], "/v1/agents/")
}
