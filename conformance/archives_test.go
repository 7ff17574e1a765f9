package conformance

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
)

// walkAll collects a list.
func walkAll[T any](t *testing.T, list iter.Seq2[T, error]) (rows []T) {
	t.Helper()
	for row, err := range list {
		require.NoError(t, err)
		rows = append(rows, row)
	}
	return rows
}

func createArchive(ctx context.Context, t *testing.T, name string) *letta.Archive {
	t.Helper()
	archive, err := server.client.Archives.Create(ctx, &letta.ArchiveCreateParams{Name: name, Description: "d", Embedding: server.embedding})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := server.client.Archives.Delete(ctx, archive.ID); err != nil {
			assert.ErrorIs(t, err, letta.ErrNotFound)
		}
	})
	return archive
}

func TestArchive(t *testing.T) {
	ctx := begin(t)
	needs(t, "archives")
	archives := server.client.Archives
	name := unique("archive")
	archive := createArchive(ctx, t, name)
	assert.NotNil(t, archive.EmbeddingConfig)
	updated, err := archives.Update(ctx, archive.ID, &letta.ArchiveUpdateParams{Description: letta.Some("e")})
	require.NoError(t, err)
	assert.Equal(t, "e", updated.Description)
	stored, err := archives.Retrieve(ctx, archive.ID)
	require.NoError(t, err)
	assert.Equal(t, updated, stored)
	made := []letta.ArchiveID{archive.ID}
	for range 4 {
		made = append(made, createArchive(ctx, t, name).ID)
	}
	for _, order := range []letta.Order{"", letta.OrderAsc} {
		for _, limit := range []int{0, 2} {
			var got []letta.ArchiveID
			for _, row := range walkAll(t, archives.ListAll(ctx, &letta.ArchiveListParams{Name: name, Limit: limit, Order: order})) {
				got = append(got, row.ID)
			}
			if order == "" {
				slices.Reverse(got)
			}
			assert.Equal(t, made, got, "limit %d %s", limit, order)
		}
	}
	one, err := archives.List(ctx, &letta.ArchiveListParams{Name: name, Limit: 1})
	require.NoError(t, err)
	assert.Len(t, one, 1)
	require.NoError(t, archives.Delete(ctx, archive.ID))
	require.ErrorIs(t, archives.Delete(ctx, archive.ID), letta.ErrNotFound)
	_, err = archives.Retrieve(ctx, archive.ID)
	require.ErrorIs(t, err, letta.ErrNotFound)
}

func TestPassages(t *testing.T) {
	ctx := begin(t)
	needs(t, "archives")
	archive := createArchive(ctx, t, unique("archive")).ID
	passages := server.client.Archives.Passages
	when := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	first, err := passages.Create(ctx, archive, &letta.ArchivePassageCreateParams{Text: "The sky is blue.", Tags: []string{"sky"}, Metadata: map[string]any{"n": 1}, CreatedAt: when})
	require.NoError(t, err)
	assert.True(t, when.Equal(first.CreatedAt), first.CreatedAt)
	assert.Equal(t, archive, first.ArchiveID)
	assert.NotEmpty(t, first.Embedding)
	many, err := passages.CreateMany(ctx, archive, &letta.ArchivePassageCreateManyParams{Passages: []letta.ArchivePassageCreateParams{{Text: "Tea is hot."}, {Text: "Ice is cold.", Tags: []string{"sky", "ice"}}}})
	require.NoError(t, err)
	require.Len(t, many, 2)

	found, err := server.client.Passages.Search(ctx, &letta.PassageSearchParams{ArchiveID: archive, Query: "sky"})
	require.NoError(t, err)
	assert.Len(t, found, 3)
	found, err = server.client.Passages.Search(ctx, &letta.PassageSearchParams{ArchiveID: archive, Query: "sky", Tags: []string{"sky", "ice"}, TagMatchMode: letta.TagMatchAll})
	require.NoError(t, err)
	require.Len(t, found, 1)
	assert.Equal(t, many[1].ID, found[0].Passage.ID)

	params := basic()
	params.Embedding = server.embedding
	agent := create(ctx, t, params).ID
	agents := server.client.Agents
	require.NoError(t, agents.Archives.Attach(ctx, agent, archive))
	require.NoError(t, agents.Archives.Attach(ctx, agent, archive), "twice")
	listed, err := server.client.Archives.List(ctx, &letta.ArchiveListParams{AgentID: agent})
	require.NoError(t, err)
	require.Len(t, listed, 1)
	assert.Equal(t, archive, listed[0].ID)
	own, err := agents.Passages.Create(ctx, agent, &letta.AgentPassageCreateParams{Text: "Mine.", Tags: []string{"own"}})
	require.NoError(t, err)
	require.Len(t, own, 1)
	for i := range 3 {
		_, err := agents.Passages.Create(ctx, agent, &letta.AgentPassageCreateParams{Text: fmt.Sprint("Number ", i)})
		require.NoError(t, err)
	}
	for _, limit := range []int{0, 2, 3} {
		texts := map[string]bool{}
		for _, row := range walkAll(t, agents.Passages.ListAll(ctx, agent, &letta.AgentPassageListParams{Limit: limit})) {
			texts[row.Text] = true
		}
		assert.Len(t, texts, 7, "limit %d", limit)
	}
	rows, err := agents.Passages.List(ctx, agent, &letta.AgentPassageListParams{Search: "Mine"})
	require.NoError(t, err)
	assert.Len(t, rows, 1)
	hits, err := agents.Passages.Search(ctx, agent, &letta.AgentPassageSearchParams{Query: "blue", TopK: 2})
	require.NoError(t, err)
	assert.Equal(t, 2, hits.Count)
	require.Len(t, hits.Results, 2)
	assert.False(t, hits.Results[0].Timestamp.IsZero())
	hits, err = agents.Passages.Search(ctx, agent, &letta.AgentPassageSearchParams{Query: "blue", EndDatetime: when.Add(time.Hour), StartDatetime: when.Add(-time.Hour)})
	require.NoError(t, err)
	require.Len(t, hits.Results, 1)
	assert.Equal(t, first.ID, hits.Results[0].ID)

	require.NoError(t, agents.Passages.Delete(ctx, agent, own[0].ID))
	require.ErrorIs(t, agents.Passages.Delete(ctx, agent, own[0].ID), letta.ErrNotFound)
	require.NoError(t, passages.Delete(ctx, archive, first.ID))
	require.ErrorIs(t, passages.Delete(ctx, archive, first.ID), letta.ErrNotFound)
	require.NoError(t, agents.Archives.Detach(ctx, agent, archive))
	require.NoError(t, agents.Archives.Detach(ctx, agent, archive), "twice")
}
