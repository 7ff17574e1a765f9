package conformance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
)

// function is the source of a Python tool, whose name is safe as one.
func function(name, returns string) string {
	return fmt.Sprintf("def %s(text: str) -> str:\n    \"\"\"\n    Says something.\n\n    Args:\n        text (str): a text\n\n    Returns:\n        str: a text\n    \"\"\"\n    return %s\n", name, returns)
}

func uniqueFunction() string { return strings.ReplaceAll(unique("tool"), "-", "_") }

func deleteToolAtEnd(t *testing.T, id letta.ToolID) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		_ = server.client.Tools.Delete(ctx, id) // most tests have deleted it
	})
}

func TestTool(t *testing.T) {
	ctx := begin(t)
	needs(t, "tools")
	name, tag := uniqueFunction(), unique("tag")
	_, err := server.client.Tools.Find(ctx, name)
	require.ErrorIs(t, err, letta.ErrNotFound)
	tool, err := server.client.Tools.Create(ctx, &letta.ToolCreateParams{SourceCode: function(name, "text"), Tags: []string{tag}, ReturnCharLimit: 100})
	require.NoError(t, err)
	deleteToolAtEnd(t, tool.ID)
	assert.Equal(t, name, tool.Name)
	assert.Equal(t, letta.ToolTypeCustom, tool.ToolType)
	assert.Equal(t, []string{tag}, tool.Tags)
	assert.Equal(t, 100, tool.ReturnCharLimit)
	assert.Contains(t, string(tool.JSONSchema), name)
	stored, err := server.client.Tools.Retrieve(ctx, tool.ID)
	require.NoError(t, err)
	assert.Equal(t, tool.Name, stored.Name)
	found, err := server.client.Tools.Find(ctx, name)
	require.NoError(t, err)
	assert.Equal(t, tool.ID, found.ID)

	updated, err := server.client.Tools.Update(ctx, tool.ID, &letta.ToolUpdateParams{Description: letta.Some("d"), Tags: []string{"x"}, DefaultRequiresApproval: letta.Some(true)})
	require.NoError(t, err)
	assert.Equal(t, "d", updated.Description)
	assert.Equal(t, []string{"x"}, updated.Tags)
	assert.True(t, updated.DefaultRequiresApproval)

	upserted, err := server.client.Tools.Upsert(ctx, &letta.ToolCreateParams{SourceCode: function(name, "'new'")})
	require.NoError(t, err)
	assert.Equal(t, tool.ID, upserted.ID, "one tool of a name")
	assert.Contains(t, upserted.SourceCode, "'new'")
	again, err := server.client.Tools.Create(ctx, &letta.ToolCreateParams{SourceCode: function(name, "'newer'")})
	require.NoError(t, err)
	assert.Equal(t, tool.ID, again.ID, "create does as upsert")

	require.NoError(t, server.client.Tools.Delete(ctx, tool.ID))
	_, err = server.client.Tools.Retrieve(ctx, tool.ID)
	require.ErrorIs(t, err, letta.ErrNotFound)
	assert.ErrorIs(t, server.client.Tools.Delete(ctx, tool.ID), letta.ErrBadRequest, "not a 404")
	_, err = server.client.Tools.Create(ctx, &letta.ToolCreateParams{SourceCode: "def " + name + "(): pass"})
	assert.ErrorIs(t, err, letta.ErrBadRequest, "no docstring")
}

func TestEnsureTool(t *testing.T) {
	ctx := begin(t)
	needs(t, "tools")
	name := uniqueFunction()
	client, sent := newRecorded(t)
	params := &letta.ToolCreateParams{SourceCode: function(name, "text"), SourceType: "python", Tags: []string{"b", "a"}}
	tool, err := client.Tools.Ensure(ctx, name, params)
	require.NoError(t, err)
	deleteToolAtEnd(t, tool.ID)
	again, err := client.Tools.Ensure(ctx, name, params)
	require.NoError(t, err)
	assert.Equal(t, tool.ID, again.ID)
	assert.Len(t, sent.seen(), 3, "nothing is written the second time")
	params.SourceCode = function(name, "'other'")
	again, err = client.Tools.Ensure(ctx, name, params)
	require.NoError(t, err)
	assert.Equal(t, tool.ID, again.ID)
	assert.Contains(t, again.SourceCode, "'other'")
	_, err = client.Tools.Ensure(ctx, "memory_insert", &letta.ToolCreateParams{SourceCode: function("memory_insert", "text")})
	assert.ErrorIs(t, err, letta.ErrConflict, "a tool of Letta's own")
}

func TestToolList(t *testing.T) {
	needs(t, "tools")
	var created []letta.ToolID
	var names []string
	for range 4 {
		names = append(names, uniqueFunction())
		tool, err := server.client.Tools.Create(t.Context(), &letta.ToolCreateParams{SourceCode: function(names[len(names)-1], "text")})
		require.NoError(t, err)
		deleteToolAtEnd(t, tool.ID)
		created = append(created, tool.ID)
	}
	for _, limit := range []int{0, 1, 3, 4} {
		for _, order := range []letta.Order{letta.OrderAsc, letta.OrderDesc} {
			t.Run(fmt.Sprint(limit, order), func(t *testing.T) {
				ctx := begin(t)
				got := []letta.ToolID{}
				for tool, err := range server.client.Tools.ListAll(ctx, &letta.ToolListParams{Names: names, Limit: limit, Order: order}) {
					require.NoError(t, err)
					got = append(got, tool.ID)
				}
				want := slices.Clone(created)
				if order == letta.OrderDesc {
					slices.Reverse(want)
				}
				assert.Equal(t, want, got)
			})
		}
	}
	t.Run("filters", func(t *testing.T) {
		ctx := begin(t)
		tools, err := server.client.Tools.List(ctx, &letta.ToolListParams{ToolIDs: created[:2]})
		require.NoError(t, err)
		assert.Len(t, tools, 2)
		tools, err = server.client.Tools.List(ctx, &letta.ToolListParams{Search: names[0][2:], ToolTypes: []letta.ToolType{letta.ToolTypeCustom}})
		require.NoError(t, err)
		assert.Len(t, tools, 1)
		tools, err = server.client.Tools.List(ctx, &letta.ToolListParams{Names: names, ExcludeToolTypes: []letta.ToolType{letta.ToolTypeCustom}})
		require.NoError(t, err)
		assert.Empty(t, tools)
	})
}

func TestToolSearch(t *testing.T) {
	ctx := begin(t)
	needs(t, "tools")
	_, err := server.client.Tools.Search(ctx, &letta.ToolSearchParams{Query: "memory"})
	assert.ErrorIs(t, err, letta.ErrBadRequest, "it embeds no tools")
}
