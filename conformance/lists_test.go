package conformance

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
)

// relation reads one relation of an agent, as a value whose nil and length can be compared.
var relations = map[letta.AgentInclude]func(*letta.AgentState) any{
	letta.AgentIncludeBlocks:     func(a *letta.AgentState) any { return a.Blocks },
	letta.AgentIncludeIdentities: func(a *letta.AgentState) any { return a.Identities },
	letta.AgentIncludeSecrets:    func(a *letta.AgentState) any { return a.Secrets },
	letta.AgentIncludeSources: func(a *letta.AgentState) any {
		return a.Sources //lint:ignore SA1019 a relation like the others
	},
	letta.AgentIncludeTags:  func(a *letta.AgentState) any { return a.Tags },
	letta.AgentIncludeTools: func(a *letta.AgentState) any { return a.Tools },
}

var allRelations = []letta.AgentInclude{
	letta.AgentIncludeBlocks, letta.AgentIncludeIdentities, letta.AgentIncludeManagedGroup, letta.AgentIncludePendingApproval,
	letta.AgentIncludeSecrets, letta.AgentIncludeSources, letta.AgentIncludeTags, letta.AgentIncludeTools,
}

// rich are the params of an agent with something in every relation that can be filled on creation.
func rich(tag string) *letta.AgentCreateParams {
	p := basic(tag)
	p.Name = unique("rich")
	p.MemoryBlocks = []letta.CreateBlock{{Label: "human", Value: "Likes tea."}, {Label: "persona", Value: "Terse.", Limit: 2000}}
	p.Tools = []string{"conversation_search"}
	p.Secrets = map[string]string{"KEY": "value"}
	return p
}

func TestRelations(t *testing.T) {
	ctx := begin(t)
	needs(t, "relations")
	tag := unique("rich")
	params := rich(tag)
	agent := create(ctx, t, params)
	full := func(a *letta.AgentState, of string) {
		assert.Len(t, a.Blocks, 2, of)
		assert.Len(t, a.Tools, 1, of)
		assert.Equal(t, []string{tag}, a.Tags, of)
		assert.Len(t, a.Secrets, 1, of)
		assert.NotNil(t, a.Identities, of)
		assert.NotNil(t, a.Sources, of) //lint:ignore SA1019 a relation like the others
	}
	full(agent, "create")
	agent, err := server.client.Agents.Update(ctx, agent.ID, &letta.AgentUpdateParams{Description: letta.Some("d")})
	require.NoError(t, err)
	full(agent, "update")
	full(retrieve(ctx, t, agent.ID, allRelations...), "retrieve with everything")

	listed := func(p letta.AgentListParams) *letta.AgentState {
		p.Name = params.Name
		agents, err := server.client.Agents.List(ctx, &p)
		require.NoError(t, err)
		require.Len(t, agents, 1)
		return agents[0]
	}
	full(listed(letta.AgentListParams{Include: allRelations}), "list with everything")
	plain, err := server.client.Agents.Retrieve(ctx, agent.ID, nil)
	require.NoError(t, err)
	for of, a := range map[string]*letta.AgentState{
		"retrieve":                          plain,
		"retrieve, nothing included":        retrieve(ctx, t, agent.ID),
		"list":                              listed(letta.AgentListParams{}),
		"list by tags, nothing included":    listed(letta.AgentListParams{Tags: []string{tag}, Include: []letta.AgentInclude{}}),
		"list of a page, nothing of it all": listed(letta.AgentListParams{Limit: 1}),
	} {
		for name, relation := range relations {
			assert.Nil(t, relation(a), "%s: %s was not asked for", of, name)
		}
	}
	byTags := listed(letta.AgentListParams{Tags: []string{tag}})
	assert.Equal(t, []string{tag}, byTags.Tags)
	assert.Nil(t, byTags.Tools)
	for _, name := range allRelations {
		a, b := retrieve(ctx, t, agent.ID, name), listed(letta.AgentListParams{Include: []letta.AgentInclude{name}})
		for other, relation := range relations {
			switch {
			case other == name:
				assert.NotNil(t, relation(a), "retrieve with %s", name)
				assert.NotNil(t, relation(b), "list with %s", name)
			case name == letta.AgentIncludeBlocks && other == letta.AgentIncludeTags:
				// 0.16.8 loads the tags with the blocks.
			default:
				assert.Nil(t, relation(a), "retrieve with %s: %s was not asked for", name, other)
				assert.Nil(t, relation(b), "list with %s: %s was not asked for", name, other)
			}
		}
	}
}

func TestRelationsOfNothing(t *testing.T) {
	ctx := begin(t)
	agent := create(ctx, t, basic())
	included := retrieve(ctx, t, agent.ID, allRelations...)
	assert.NotNil(t, included.Tags)
	assert.Empty(t, included.Tags)
	if !server.old { // it sends no identities, no secrets
		for name, relation := range relations {
			assert.NotNil(t, relation(included), "%s was asked for", name)
			assert.Empty(t, relation(included), name)
		}
	}
	assert.Nil(t, included.ManagedGroup)
	assert.Nil(t, included.PendingApproval)
	assert.Nil(t, retrieve(ctx, t, agent.ID).Tags, "not asked for")
}

// TestNotLegacy: the servers take a client without a certain header for an old one, and load every relation for it.
func TestNotLegacy(t *testing.T) {
	ctx := begin(t)
	needs(t, "relations")
	tag := unique("rich")
	agent := create(ctx, t, rich(tag))
	for name, option := range map[string]letta.RequestOption{
		"as it is": letta.WithHeader("X-Nothing", "x"), "as curl": letta.WithHeader("User-Agent", "curl/8.5.0"),
		"header removed": letta.WithHeader("X-Stainless-Package-Version", ""),
	} {
		// Raw, so that nothing is hidden by the client.
		var list []map[string]any
		require.NoError(t, server.client.Do(ctx, "GET", "/v1/agents/?tags="+tag, nil, &list, option), name)
		require.Len(t, list, 1, name)
		var one map[string]any
		require.NoError(t, server.client.Do(ctx, "GET", "/v1/agents/"+string(agent.ID), nil, &one, option), name)
		for _, raw := range []map[string]any{list[0], one} {
			for _, relation := range []string{"tags", "tools", "blocks", "sources", "secrets", "identities"} {
				assert.Empty(t, raw[relation], "%s: %s", name, relation)
			}
		}
	}
}

func walk(t *testing.T, seq func(func(*letta.AgentState, error) bool)) []letta.AgentID {
	t.Helper()
	out := []letta.AgentID{}
	for agent, err := range seq {
		require.NoError(t, err)
		out = append(out, agent.ID)
	}
	return out
}

func TestListAll(t *testing.T) {
	tag := unique("page")
	var created []letta.AgentID
	for range 7 {
		created = append(created, create(t.Context(), t, basic(tag)).ID)
	}
	for _, limit := range []int{0, 1, 2, 3, 7, 8, 100} {
		t.Run(fmt.Sprint("limit ", limit), func(t *testing.T) {
			if limit > 0 && limit <= len(created) {
				needs(t, "list order")
			}
			for _, order := range []letta.Order{"", letta.OrderAsc, letta.OrderDesc} {
				t.Run("order "+string(order), func(t *testing.T) {
					ctx := begin(t)
					client, sent := newRecorded(t)
					got := walk(t, client.Agents.ListAll(ctx, &letta.AgentListParams{Tags: []string{tag}, Limit: limit, Order: order}))
					want := slices.Clone(created)
					if order != letta.OrderAsc {
						slices.Reverse(want)
					}
					if server.old {
						assert.ElementsMatch(t, want, got)
					} else {
						assert.Equal(t, want, got)
					}
					most := 1
					if limit > 0 && limit <= len(created) {
						most = len(created)/limit + 2
					}
					assert.LessOrEqual(t, len(sent.seen()), most, "%v", sent.seen())
				})
			}
		})
	}
	t.Run("one page", func(t *testing.T) {
		ctx := begin(t)
		needs(t, "list order")
		page := func(p letta.AgentListParams) []letta.AgentID {
			p.Tags, p.Limit = []string{tag}, 2
			agents, err := server.client.Agents.List(ctx, &p)
			require.NoError(t, err)
			return ids(agents)
		}
		reversed := slices.Clone(created)
		slices.Reverse(reversed)
		assert.Equal(t, reversed[:2], page(letta.AgentListParams{}), "newest first")
		assert.Equal(t, created[:2], page(letta.AgentListParams{Order: letta.OrderAsc}))
		assert.Equal(t, created[2:4], page(letta.AgentListParams{Order: letta.OrderAsc, After: created[1]}))
		assert.Equal(t, reversed[2:4], page(letta.AgentListParams{Order: letta.OrderDesc, After: reversed[1]}))
		assert.Empty(t, page(letta.AgentListParams{Order: letta.OrderAsc, After: created[6]}))
		// The first rows ahead of the cursor, not the adjacent ones.
		assert.Equal(t, created[:2], page(letta.AgentListParams{Order: letta.OrderAsc, Before: created[5]}))
		assert.Equal(t, created[:2], page(letta.AgentListParams{Order: letta.OrderAsc, After: unknownAgent}), "an unknown cursor starts again")
	})
	t.Run("left early", func(t *testing.T) {
		ctx := begin(t)
		client, sent := newRecorded(t)
		for _, err := range client.Agents.ListAll(ctx, &letta.AgentListParams{Tags: []string{tag}, Limit: 2}) {
			require.NoError(t, err)
			break
		}
		assert.Len(t, sent.seen(), 1)
	})
}

// TestListAllCursorGone: the server starts again when the agent of the cursor has been deleted.
func TestListAllCursorGone(t *testing.T) {
	needs(t, "list order")
	for _, limit := range []int{1, 2, 3} {
		for _, order := range []letta.Order{letta.OrderAsc, letta.OrderDesc} {
			t.Run(fmt.Sprintf("limit %d %s", limit, order), func(t *testing.T) {
				ctx := begin(t)
				tag := unique("gone")
				var created []letta.AgentID
				for range 5 {
					created = append(created, create(ctx, t, basic(tag)).ID)
				}
				client, sent := newRecorded(t)
				var gone letta.AgentID
				got := []letta.AgentID{}
				for agent, err := range client.Agents.ListAll(ctx, &letta.AgentListParams{Tags: []string{tag}, Limit: limit, Order: order}) {
					if err != nil {
						require.ErrorIs(t, err, letta.ErrPageLoop)
						break
					}
					if got = append(got, agent.ID); len(got) == limit {
						gone = agent.ID
						require.NoError(t, server.client.Agents.Delete(ctx, gone))
					}
				}
				assert.ElementsMatch(t, created, got, "each exactly once, the deleted one before it was")
				assert.LessOrEqual(t, len(sent.seen()), 2*len(created))
			})
		}
	}
}

// TestListAllOld: a server that ignores the cursor must not make a walk go on for ever.
func TestListAllOld(t *testing.T) {
	ctx := begin(t)
	needs(t, "old server")
	tag := unique("page")
	for range 5 {
		create(ctx, t, basic(tag))
	}
	client, sent := newRecorded(t)
	seen := map[letta.AgentID]int{}
	var last error
	for agent, err := range client.Agents.ListAll(ctx, &letta.AgentListParams{Tags: []string{tag}, Limit: 2}) {
		if last = err; err == nil {
			seen[agent.ID]++
		}
	}
	assert.ErrorIs(t, last, letta.ErrPageLoop)
	assert.Len(t, seen, 2)
	assert.Len(t, sent.seen(), 2)

	// Without a limit it sends all of them, however many.
	const many = 53
	tag = unique("many")
	for range many {
		create(ctx, t, basic(tag))
	}
	client, sent = newRecorded(t)
	seen, last = map[letta.AgentID]int{}, nil
	for agent, err := range client.Agents.ListAll(ctx, letta.Tags(tag)) {
		if last = err; err == nil {
			seen[agent.ID]++
		}
	}
	assert.Len(t, seen, many)
	for id, n := range seen {
		assert.Equal(t, 1, n, id)
	}
	if last != nil {
		assert.ErrorIs(t, last, letta.ErrPageLoop)
	}
	assert.LessOrEqual(t, len(sent.seen()), 2)
	t.Logf("%d agents without a limit: %d requests, then %v", many, len(sent.seen()), last)
}

func TestTagsList(t *testing.T) {
	prefix := unique("list")
	want := []string{}
	for i := range 5 {
		want = append(want, fmt.Sprintf("%s-%d", prefix, i))
	}
	create(t.Context(), t, basic(want[:3]...))
	create(t.Context(), t, basic(want[2:]...))
	t.Run("all", func(t *testing.T) {
		ctx := begin(t)
		got := []string{}
		// 0.6.12 ignores after: there a first page that is long enough must do.
		for tag, err := range server.client.Tags.ListAll(ctx, &letta.TagListParams{Limit: 10000}) {
			if !server.old || err == nil {
				require.NoError(t, err)
				got = append(got, tag)
			}
		}
		assert.Subset(t, got, want)
	})
	t.Run("named", func(t *testing.T) {
		needs(t, "tags.list filters")
		for _, limit := range []int{0, 1, 2, 5, 6} {
			for _, order := range []letta.Order{"", letta.OrderAsc, letta.OrderDesc} {
				t.Run(fmt.Sprintf("limit %d %s", limit, order), func(t *testing.T) {
					ctx := begin(t)
					got := []string{}
					for tag, err := range server.client.Tags.ListAll(ctx, &letta.TagListParams{Name: prefix, Limit: limit, Order: order}) {
						require.NoError(t, err)
						got = append(got, tag)
					}
					if order == letta.OrderDesc {
						slices.Reverse(got)
					}
					assert.Equal(t, want, got, "in alphabetical order, each once")
				})
			}
		}
	})
	t.Run("part of a name in another case", func(t *testing.T) {
		ctx := begin(t)
		needs(t, "tags.list filters")
		tags, err := server.client.Tags.List(ctx, &letta.TagListParams{Name: "CONF" + prefix[len("conf"):] + "-4"})
		require.NoError(t, err)
		assert.Equal(t, want[4:], tags)
		tags, err = server.client.Tags.List(ctx, &letta.TagListParams{Name: unique("none")})
		require.NoError(t, err)
		assert.Empty(t, tags)
	})
}
