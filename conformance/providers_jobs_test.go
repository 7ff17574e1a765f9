package conformance

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
)

func TestProviders(t *testing.T) {
	ctx := begin(t)
	needs(t, "providers")
	const nowhere = "http://127.0.0.1:9/v1"
	name := unique("provider")
	provider, err := server.client.Providers.Create(ctx, &letta.ProviderCreateParams{Name: name, ProviderType: letta.ProviderTypeOpenAI, APIKey: "sk-one", BaseURL: nowhere})
	require.NoError(t, err, "it is kept although it does not answer")
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := server.client.Providers.Delete(ctx, provider.ID); err != nil {
			assert.ErrorIs(t, err, letta.ErrNotFound)
		}
	})
	assert.Equal(t, letta.ProviderCategoryBYOK, provider.ProviderCategory)
	assert.False(t, provider.UpdatedAt.IsZero())
	stored, err := server.client.Providers.Retrieve(ctx, provider.ID)
	require.NoError(t, err)
	assert.Equal(t, provider, stored)
	updated, err := server.client.Providers.Update(ctx, provider.ID, &letta.ProviderUpdateParams{APIKey: "sk-two"})
	require.NoError(t, err)
	assert.Equal(t, nowhere, updated.BaseURL)
	var found []letta.ProviderID
	for p, err := range server.client.Providers.ListAll(ctx, &letta.ProviderListParams{Name: name, Limit: 1}) {
		require.NoError(t, err)
		found = append(found, p.ID)
	}
	assert.Equal(t, []letta.ProviderID{provider.ID}, found)
	refreshed, err := server.client.Providers.Refresh(ctx, provider.ID)
	require.NoError(t, err)
	assert.Equal(t, provider.ID, refreshed.ID)
	t.Run("check", func(t *testing.T) {
		needs(t, "provider checks")
		err := server.client.Providers.CheckExisting(ctx, provider.ID)
		require.ErrorIs(t, err, letta.ErrProvider)
		err = server.client.Providers.Check(ctx, &letta.ProviderCheckParams{ProviderType: letta.ProviderTypeOpenAI, APIKey: "sk-x", BaseURL: nowhere})
		require.ErrorIs(t, err, letta.ErrProvider)
	})
	require.NoError(t, server.client.Providers.Delete(ctx, provider.ID))
	require.ErrorIs(t, server.client.Providers.Delete(ctx, provider.ID), letta.ErrNotFound)
}

// TestJobs: no route makes a job that can be waited for, so there may be none.
func TestJobs(t *testing.T) {
	ctx := begin(t)
	needs(t, "jobs")
	const unknown = letta.JobID("job-00000000-0000-4000-8000-000000000001")
	for job, err := range server.client.Jobs.ListAll(ctx, &letta.JobListParams{Limit: 10}) {
		require.NoError(t, err)
		assert.NotEmpty(t, job.Status)
	}
	_, err := server.client.Jobs.List(ctx, &letta.JobListParams{Active: true})
	require.NoError(t, err)
	_, err = server.client.Jobs.ListActive(ctx, nil) //lint:ignore SA1019 servers still have it
	require.NoError(t, err)
	_, err = server.client.Jobs.Retrieve(ctx, unknown)
	require.ErrorIs(t, err, letta.ErrNotFound)
	_, err = server.client.Jobs.Cancel(ctx, unknown)
	require.ErrorIs(t, err, letta.ErrNotFound)
	_, err = server.client.Jobs.Delete(ctx, unknown)
	require.ErrorIs(t, err, letta.ErrNotFound)
}

// TestLettaCloudOnly: what a server lacks answers 404 to, so that nobody takes it for something else.
func TestLettaCloudOnly(t *testing.T) {
	ctx := begin(t)
	needs(t, "no hosted operations")
	for name, err := range map[string]error{
		"templates.delete":      second(server.client.Templates.Delete(ctx, "none")),
		"templates.save":        second(server.client.Templates.Save(ctx, "none", nil)),
		"templates.agents":      second(server.client.Templates.Agents.Create(ctx, "none:latest", nil)),
		"environments.list":     second(server.client.Environments.List(ctx, nil)),
		"environments.retrieve": second(server.client.Environments.Retrieve(ctx, "none")),
		"access_tokens.list":    second(server.client.AccessTokens.List(ctx, nil)),
		"access_tokens.delete":  server.client.AccessTokens.Delete(ctx, "none"),
	} {
		assert.ErrorIs(t, err, letta.ErrNotFound, name)
	}
}

func second[T any](_ T, err error) error { return err }

func TestUpdateAllAndUsage(t *testing.T) {
	ctx := begin(t)
	needs(t, "agent usage")
	tag := unique("user")
	for range 3 {
		create(ctx, t, basic(tag))
	}
	result, err := server.client.Agents.UpdateAll(ctx, letta.Tags(tag), &letta.AgentUpdateParams{Description: letta.Some("moved")}, letta.ForEachOptions{Concurrency: 2})
	require.NoError(t, err)
	assert.Equal(t, 3, result.Done)
	agents, err := server.client.Agents.List(ctx, letta.Tags(tag))
	require.NoError(t, err)
	for _, agent := range agents {
		assert.Equal(t, "moved", agent.Description)
	}
	client, sent := newRecorded(t)
	usage, err := client.Agents.Usage(ctx, agents[0].ID, &letta.UsageParams{StartDate: time.Now().Add(-time.Hour)})
	require.NoError(t, err)
	assert.Zero(t, usage.TotalTokens)
	assert.LessOrEqual(t, len(sent.seen()), 2)
	turn, err := client.Agents.Messages.Create(ctx, agents[0].ID, &letta.AgentMessageCreateParams{Messages: []letta.MessageInput{letta.UserText("hello")}})
	require.NoError(t, err)
	usage, err = client.Agents.Usage(ctx, agents[0].ID, &letta.UsageParams{StartDate: time.Now().Add(-time.Hour)})
	require.NoError(t, err)
	assert.Equal(t, turn.Usage.TotalTokens, usage.TotalTokens)
	assert.Positive(t, usage.TotalTokens)
	usage, err = client.Agents.Usage(ctx, agents[0].ID, &letta.UsageParams{StartDate: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	assert.Zero(t, usage.TotalTokens, "a turn of another time")
}
