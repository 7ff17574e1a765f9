package conformance

import (
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
)

const subagent = "role:subagent" // later servers hide agents that have this tag

func TestEnsure(t *testing.T) {
	ctx := begin(t)
	user, app := unique("user"), unique("app")
	deleteTagged(t, user)
	client, sent := newRecorded(t)

	first, err := client.Agents.Ensure(ctx, []string{user}, basic(app))
	require.NoError(t, err)
	assert.True(t, first.Created)
	assert.Empty(t, first.Duplicates)
	assert.ElementsMatch(t, []string{user, app}, first.Agent.Tags)
	assert.False(t, first.Agent.CreatedAt.IsZero())

	before := len(sent.seen())
	second, err := client.Agents.Ensure(ctx, []string{user}, basic(app))
	require.NoError(t, err)
	assert.False(t, second.Created)
	assert.Equal(t, first.Agent.ID, second.Agent.ID)
	assert.ElementsMatch(t, []string{user, app}, second.Agent.Tags, "the tags are loaded")
	assert.Equal(t, []string{"GET /v1/agents/"}, sent.seen()[before:], "finding costs one request")

	// All of the tags must match, not any.
	both, err := client.Agents.Ensure(ctx, []string{user, unique("session")}, basic())
	require.NoError(t, err)
	assert.True(t, both.Created)
	assert.NotEqual(t, first.Agent.ID, both.Agent.ID)

	// Now two agents have the tag of the user: the oldest is chosen, and the other reported.
	third, err := client.Agents.Ensure(ctx, []string{user}, basic())
	require.NoError(t, err)
	assert.False(t, third.Created)
	found := append([]letta.AgentID{third.Agent.ID}, third.Duplicates...)
	assert.ElementsMatch(t, []letta.AgentID{first.Agent.ID, both.Agent.ID}, found)
	if !server.old { // it stores whole seconds, so of two agents of one second neither is older
		assert.Equal(t, first.Agent.ID, third.Agent.ID)
	}
}

func TestEnsureMovesOn(t *testing.T) {
	ctx := begin(t)
	user := unique("user")
	deleteTagged(t, user)
	first, err := server.client.Agents.Ensure(ctx, []string{user}, basic())
	require.NoError(t, err)
	require.NoError(t, server.client.Agents.Delete(ctx, first.Agent.ID))
	second, err := server.client.Agents.Ensure(ctx, []string{user}, basic())
	require.NoError(t, err)
	assert.True(t, second.Created, "a deleted agent is not found again")
	assert.NotEqual(t, first.Agent.ID, second.Agent.ID)
}

func TestEnsureErrorCreatesNothing(t *testing.T) {
	ctx := begin(t)
	user := unique("user")
	deleteTagged(t, user)
	params := basic()
	params.Model, params.LLM = "nobody/nothing", "nobody/nothing" //lint:ignore SA1019 the field of 0.6.12
	_, err := server.client.Agents.Ensure(ctx, []string{user}, params)
	require.Error(t, err)
	agents, err := server.client.Agents.List(ctx, letta.Tags(user), showHidden)
	require.NoError(t, err)
	assert.Empty(t, agents)
}

func TestEnsureTogether(t *testing.T) {
	ctx := begin(t)
	user := unique("user")
	deleteTagged(t, user)
	var created atomic.Int64
	found := make([]letta.AgentID, 20)
	together(len(found), func(i int) {
		ensured, err := server.client.Agents.Ensure(ctx, []string{user}, basic())
		if !assert.NoError(t, err) {
			return
		}
		found[i] = ensured.Agent.ID
		if ensured.Created {
			created.Add(1)
		}
	})
	assert.Len(t, slices.Compact(found), 1, "all got the same agent")
	assert.EqualValues(t, 1, created.Load())
	agents, err := server.client.Agents.List(ctx, letta.Tags(user))
	require.NoError(t, err)
	assert.Len(t, agents, 1, "and it is the only one")
}

// TestEnsureRace: two clients that know nothing of each other end on the same agent, also if both created one.
func TestEnsureRace(t *testing.T) {
	ctx := begin(t)
	const rounds = 4
	duplicates := 0
	for range rounds {
		user := unique("user")
		deleteTagged(t, user)
		one, _ := newRecorded(t)
		two, _ := newRecorded(t)
		ensured := make([]*letta.Ensured, 2)
		together(2, func(i int) {
			var err error
			ensured[i], err = []*letta.Client{one, two}[i].Agents.Ensure(ctx, []string{user}, basic())
			assert.NoError(t, err)
		})
		if t.Failed() {
			return
		}
		assert.Equal(t, ensured[0].Agent.ID, ensured[1].Agent.ID)
		later, err := one.Agents.Ensure(ctx, []string{user}, basic())
		require.NoError(t, err)
		assert.Equal(t, ensured[0].Agent.ID, later.Agent.ID, "and stay with it")
		agents, err := one.Agents.List(ctx, letta.Tags(user))
		require.NoError(t, err)
		assert.Len(t, later.Duplicates, len(agents)-1, "what the race left over is reported")
		duplicates += len(later.Duplicates)
	}
	t.Logf("two clients at once, %d rounds: %d surplus agents", rounds, duplicates)
}

func TestEnsureHidden(t *testing.T) {
	for name, hide := range map[string]func(*letta.AgentCreateParams){
		"by tag": func(p *letta.AgentCreateParams) { p.Tags = append(p.Tags, subagent) },
		"by field": func(p *letta.AgentCreateParams) {
			p.Hidden = true //lint:ignore SA1019 it still hides
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := begin(t)
			user := unique("user")
			deleteTagged(t, user)
			params := basic()
			hide(params)
			first, err := server.client.Agents.Ensure(ctx, []string{user}, params)
			require.NoError(t, err)
			assert.True(t, first.Created)
			second, err := server.client.Agents.Ensure(ctx, []string{user}, params)
			require.NoError(t, err)
			assert.False(t, second.Created)
			assert.Equal(t, first.Agent.ID, second.Agent.ID)
			assert.Empty(t, second.Duplicates)
		})
	}
}

func TestHidden(t *testing.T) {
	ctx := begin(t)
	needs(t, "hidden agents")
	user := unique("user")
	hidden := create(ctx, t, basic(user, subagent))
	assert.True(t, hidden.Hidden)
	agents, err := server.client.Agents.List(ctx, letta.Tags(user))
	require.NoError(t, err)
	assert.Empty(t, agents)
	n, err := server.client.Agents.Count(ctx, letta.Tags(user))
	require.NoError(t, err)
	assert.Zero(t, n)
	agents, err = server.client.Agents.List(ctx, letta.Tags(user), showHidden)
	require.NoError(t, err)
	assert.Equal(t, []letta.AgentID{hidden.ID}, ids(agents))
	n, err = server.client.Agents.Count(ctx, letta.Tags(user), showHidden)
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	assert.ElementsMatch(t, []string{user, subagent}, tagsOf(ctx, t, hidden.ID))
}
