package conformance

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
)

// every makes 0.6.12 list blocks that are no templates; later servers do not know it.
func every() letta.RequestOption { return letta.WithQuery("templates_only", "false") }

func blockIDs(blocks []*letta.Block) []letta.BlockID {
	out := []letta.BlockID{}
	for _, b := range blocks {
		out = append(out, b.ID)
	}
	return out
}

func TestBlock(t *testing.T) {
	ctx := begin(t)
	label := unique("label")
	params := &letta.BlockCreateParams{Label: label, Value: "Likes tea: 日本 <&>\n😀", Description: "d", Limit: 500}
	if !server.old {
		params.Tags, params.Metadata = []string{unique("tag"), "a,b"}, map[string]any{"n": 1}
	}
	block := createBlock(ctx, t, params)
	stored, err := server.client.Blocks.Retrieve(ctx, block.ID)
	require.NoError(t, err)
	for of, b := range map[string]*letta.Block{"create": block, "retrieve": stored} {
		assert.Equal(t, block.ID, b.ID, of)
		assert.Equal(t, label, b.Label, of)
		assert.Equal(t, params.Value, b.Value, of)
		assert.Equal(t, "d", b.Description, of)
		assert.Equal(t, 500, b.Limit, of)
		if !server.old {
			assert.ElementsMatch(t, params.Tags, b.Tags, of)
			assert.Equal(t, map[string]any{"n": 1.0}, b.Metadata, of)
		}
	}
	for _, step := range []struct {
		name  string
		set   letta.BlockUpdateParams
		get   func(*letta.Block) any
		want  any
		needs bool // more than 0.6.12
	}{
		{"value", letta.BlockUpdateParams{Value: letta.Some("Likes coffee.")}, func(b *letta.Block) any { return b.Value }, "Likes coffee.", false},
		{"nothing", letta.BlockUpdateParams{}, func(b *letta.Block) any { return b.Value }, "Likes coffee.", false},
		{"empty value", letta.BlockUpdateParams{Value: letta.Some("")}, func(b *letta.Block) any { return b.Value }, "", false},
		{"description", letta.BlockUpdateParams{Description: letta.Some("e")}, func(b *letta.Block) any { return b.Description }, "e", false},
		{"null description", letta.BlockUpdateParams{Description: letta.Null[string]()}, func(b *letta.Block) any { return b.Description }, "e", false},
		{"empty description", letta.BlockUpdateParams{Description: letta.Some("")}, func(b *letta.Block) any { return b.Description }, "", false},
		{"limit", letta.BlockUpdateParams{Limit: letta.Some(10)}, func(b *letta.Block) any { return b.Limit }, 10, false},
		{"tags", letta.BlockUpdateParams{Tags: []string{"c"}}, func(b *letta.Block) any { return b.Tags }, []string{"c"}, true},
		{"nil tags", letta.BlockUpdateParams{Value: letta.Some("v")}, func(b *letta.Block) any { return b.Tags }, []string{"c"}, true},
		{"empty tags", letta.BlockUpdateParams{Tags: []string{}}, func(b *letta.Block) any { return b.Tags }, []string{}, true},
		{"metadata", letta.BlockUpdateParams{Metadata: map[string]any{"m": "x"}}, func(b *letta.Block) any { return b.Metadata }, map[string]any{"m": "x"}, true},
		{"empty metadata", letta.BlockUpdateParams{Metadata: map[string]any{}}, func(b *letta.Block) any { return b.Metadata }, map[string]any{}, true},
		{"read only", letta.BlockUpdateParams{ReadOnly: letta.Some(true)}, func(b *letta.Block) any {
			return b.ReadOnly //lint:ignore SA1019 the server still has it
		}, true, true},
	} {
		if step.needs && server.old {
			continue
		}
		updated, err := server.client.Blocks.Update(ctx, block.ID, &step.set)
		require.NoError(t, err, step.name)
		assert.Equal(t, step.want, step.get(updated), step.name)
		stored, err := server.client.Blocks.Retrieve(ctx, block.ID)
		require.NoError(t, err, step.name)
		assert.Equal(t, step.want, step.get(stored), "%s: retrieve", step.name)
	}
	require.NoError(t, server.client.Blocks.Delete(ctx, block.ID))
	_, err = server.client.Blocks.Retrieve(ctx, block.ID)
	assert.ErrorIs(t, err, letta.ErrNotFound)
	assert.ErrorIs(t, server.client.Blocks.Delete(ctx, block.ID), letta.ErrNotFound)
}

func TestBlockList(t *testing.T) {
	label, a, b, word := unique("label"), unique("a"), unique("b"), unique("word")
	make := func(label, value string, tags ...string) letta.BlockID {
		return createBlock(t.Context(), t, &letta.BlockCreateParams{Label: label, Value: value, Tags: tags}).ID
	}
	one, two, three := make(label, "x", a), make(label, "y "+word+" z", a, b), make(unique("label"), word, b)
	for _, test := range []struct {
		name   string
		needs  bool
		params letta.BlockListParams
		want   []letta.BlockID
	}{
		{"label", false, letta.BlockListParams{Label: label}, []letta.BlockID{one, two}},
		{"part of a label", false, letta.BlockListParams{Label: label[:len(label)-1]}, []letta.BlockID{}},
		{"any tag", true, letta.BlockListParams{Tags: []string{a, b}}, []letta.BlockID{one, two, three}},
		{"all tags", true, letta.BlockListParams{Tags: []string{a, b}, MatchAllTags: true}, []letta.BlockID{two}},
		{"unknown tag", true, letta.BlockListParams{Tags: []string{unique("none")}}, []letta.BlockID{}},
		{"value", true, letta.BlockListParams{ValueSearch: word}, []letta.BlockID{two, three}},
		{"value and label", true, letta.BlockListParams{ValueSearch: word, Label: label}, []letta.BlockID{two}},
		{"label search", true, letta.BlockListParams{LabelSearch: label[2:]}, []letta.BlockID{one, two}},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx := begin(t)
			if test.needs {
				needs(t, "blocks.list filters")
			}
			blocks, err := server.client.Blocks.List(ctx, &test.params, every())
			require.NoError(t, err)
			assert.ElementsMatch(t, test.want, blockIDs(blocks))
		})
	}
}

func TestBlockListAll(t *testing.T) {
	label := unique("label")
	var created []letta.BlockID
	for i := range 5 {
		created = append(created, createBlock(t.Context(), t, &letta.BlockCreateParams{Label: label, Value: fmt.Sprint(i)}).ID)
	}
	for _, limit := range []int{0, 2, 3, 5} {
		t.Run(fmt.Sprint("limit ", limit), func(t *testing.T) {
			if limit > 0 {
				needs(t, "list order")
			}
			for _, order := range []letta.Order{"", letta.OrderAsc, letta.OrderDesc} {
				t.Run("order "+string(order), func(t *testing.T) {
					ctx := begin(t)
					got := []letta.BlockID{}
					for block, err := range server.client.Blocks.ListAll(ctx, &letta.BlockListParams{Label: label, Limit: limit, Order: order}, every()) {
						require.NoError(t, err)
						got = append(got, block.ID)
					}
					want := slices.Clone(created)
					if order == letta.OrderDesc { // blocks come oldest first when nothing is said, unlike agents
						slices.Reverse(want)
					}
					if server.old {
						assert.ElementsMatch(t, want, got)
					} else {
						assert.Equal(t, want, got)
					}
				})
			}
		})
	}
}

func TestBlockAgents(t *testing.T) {
	ctx := begin(t)
	needs(t, "blocks.agents.list")
	block := createBlock(ctx, t, &letta.BlockCreateParams{Label: unique("shared"), Value: "v"})
	var created []letta.AgentID
	for range 3 {
		params := basic(unique("user"))
		params.BlockIDs = []letta.BlockID{block.ID}
		created = append(created, create(ctx, t, params).ID)
	}
	agents, err := server.client.Blocks.Agents.List(ctx, block.ID, nil)
	require.NoError(t, err)
	assert.ElementsMatch(t, created, ids(agents))
	for _, agent := range agents {
		assert.Nil(t, agent.Blocks, "not asked for")
		assert.Nil(t, agent.Tags, "not asked for")
	}
	agents, err = server.client.Blocks.Agents.List(ctx, block.ID, &letta.BlockAgentListParams{
		Include: []letta.AgentInclude{letta.AgentIncludeBlocks, letta.AgentIncludeTags, letta.AgentIncludeTools}, Limit: 2, Order: letta.OrderAsc,
	})
	require.NoError(t, err)
	require.Equal(t, created[:2], ids(agents))
	for _, agent := range agents {
		require.Len(t, agent.Blocks, 1)
		assert.Equal(t, block.ID, agent.Blocks[0].ID)
		assert.Len(t, agent.Tags, 1)
		assert.NotNil(t, agent.Tools)
		assert.Empty(t, agent.Tools)
	}
	for _, limit := range []int{0, 1, 2, 3} {
		for _, order := range []letta.Order{"", letta.OrderAsc, letta.OrderDesc} {
			params := &letta.BlockAgentListParams{Limit: limit, Order: order}
			got := walk(t, server.client.Blocks.Agents.ListAll(ctx, block.ID, params))
			if order != letta.OrderAsc {
				slices.Reverse(got)
			}
			assert.Equal(t, created, got, "limit %d %s", limit, order)
		}
	}

	// A change of the block is seen by all of them; a deleted block is gone from all.
	_, err = server.client.Blocks.Update(ctx, block.ID, &letta.BlockUpdateParams{Value: letta.Some("w")})
	require.NoError(t, err)
	for _, id := range created {
		blocks := retrieve(ctx, t, id, letta.AgentIncludeBlocks).Blocks
		require.Len(t, blocks, 1)
		assert.Equal(t, "w", blocks[0].Value)
	}
	require.NoError(t, server.client.Blocks.Delete(ctx, block.ID))
	for _, id := range created {
		blocks := retrieve(ctx, t, id, letta.AgentIncludeBlocks).Blocks
		assert.NotNil(t, blocks)
		assert.Empty(t, blocks)
	}
	agents, err = server.client.Blocks.Agents.List(ctx, unknownBlock, nil)
	require.NoError(t, err, "an unknown block has no agents")
	assert.Empty(t, agents)
}
