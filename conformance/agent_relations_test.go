package conformance

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
)

func TestAgentBlocks(t *testing.T) {
	ctx := begin(t)
	needs(t, "agent relations")
	params := basic(unique("tag"))
	params.MemoryBlocks = []letta.CreateBlock{{Label: "human", Value: "Likes tea."}}
	params.Secrets = map[string]string{"KEY": "value"}
	agent := create(ctx, t, params).ID
	blocks := server.client.Agents.Blocks
	human, err := blocks.Retrieve(ctx, agent, "human")
	require.NoError(t, err)
	assert.Equal(t, "Likes tea.", human.Value)
	_, err = blocks.Retrieve(ctx, agent, "nobody")
	require.ErrorIs(t, err, letta.ErrNotFound)
	human, err = blocks.Update(ctx, agent, "human", &letta.BlockUpdateParams{Value: letta.Some("Likes coffee.")})
	require.NoError(t, err)
	assert.Equal(t, "Likes coffee.", human.Value)
	ids := []letta.BlockID{human.ID}
	for range 4 {
		block := createBlock(ctx, t, &letta.BlockCreateParams{Label: unique("label"), Value: "v"})
		state, err := blocks.Attach(ctx, agent, block.ID)
		require.NoError(t, err)
		ids = append(ids, block.ID)
		assert.Len(t, state.Blocks, len(ids))
		assert.Len(t, state.Tags, 1)
		assert.Len(t, state.Secrets, 1)
	}
	other := createBlock(ctx, t, &letta.BlockCreateParams{Label: "human", Value: "v"})
	_, err = blocks.Attach(ctx, agent, other.ID)
	require.ErrorIs(t, err, letta.ErrConflict, "one block of a label")
	for _, limit := range []int{0, 2, 3} {
		for _, order := range []letta.Order{"", letta.OrderAsc} {
			var got []letta.BlockID
			for _, row := range walkAll(t, blocks.ListAll(ctx, agent, &letta.AgentBlockListParams{Limit: limit, Order: order})) {
				got = append(got, row.ID)
			}
			assert.ElementsMatch(t, ids, got, "limit %d %s", limit, order)
		}
	}
	page, err := blocks.List(ctx, agent, &letta.AgentBlockListParams{Limit: 2})
	require.NoError(t, err)
	assert.Len(t, page, 2)
	state, err := blocks.Detach(ctx, agent, ids[1])
	require.NoError(t, err)
	assert.Len(t, state.Blocks, 4)
	_, err = blocks.Detach(ctx, agent, ids[1])
	require.ErrorIs(t, err, letta.ErrNotFound)
}

func TestAgentTools(t *testing.T) {
	ctx := begin(t)
	needs(t, "agent relations")
	agent := create(ctx, t, basic()).ID
	tools := server.client.Agents.Tools
	name := "echo_" + runID
	var custom letta.Tool
	source := "def " + name + "(text: str) -> str:\n    \"\"\"\n    Echoes.\n\n    Args:\n        text (str): what to echo\n    \"\"\"\n    print('hello')\n    return text\n"
	require.NoError(t, server.client.Do(ctx, "POST", "/v1/tools/", map[string]any{"source_code": source}, &custom))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		assert.NoError(t, server.client.Do(ctx, "DELETE", "/v1/tools/"+string(custom.ID), nil, nil))
	})
	attached, err := tools.AttachByName(ctx, agent, name)
	require.NoError(t, err)
	assert.Equal(t, custom.ID, attached.ID)
	require.NoError(t, tools.Attach(ctx, agent, custom.ID), "twice")
	_, err = tools.AttachByName(ctx, agent, unique("none"))
	require.ErrorIs(t, err, letta.ErrNotFound)
	want := []letta.ToolID{custom.ID}
	for _, builtin := range []string{"conversation_search", "archival_memory_insert", "archival_memory_search", "send_message", "core_memory_append", "core_memory_replace"} {
		tool, err := tools.AttachByName(ctx, agent, builtin)
		require.NoError(t, err)
		want = append(want, tool.ID)
	}
	for _, limit := range []int{0, 1, 2, 7} {
		var got []letta.ToolID
		for _, row := range walkAll(t, tools.ListAll(ctx, agent, &letta.AgentToolListParams{Limit: limit})) {
			got = append(got, row.ID)
		}
		assert.ElementsMatch(t, want, got, "limit %d", limit)
	}
	page, err := tools.List(ctx, agent, &letta.AgentToolListParams{Limit: 3})
	require.NoError(t, err)
	assert.Len(t, page, 3)

	result, err := tools.Run(ctx, agent, name, &letta.AgentToolRunParams{Args: map[string]any{"text": "hi"}})
	require.NoError(t, err)
	assert.Equal(t, letta.ToolExecutionSuccess, result.Status)
	assert.JSONEq(t, `"hi"`, string(result.FuncReturn))
	if has("tool output") {
		assert.Equal(t, []string{"hello\n"}, result.Stdout)
	}
	result, err = tools.Run(ctx, agent, name, nil)
	require.NoError(t, err, "a tool that fails")
	assert.Equal(t, letta.ToolExecutionError, result.Status)

	require.NoError(t, tools.UpdateApproval(ctx, agent, name, &letta.AgentToolUpdateApprovalParams{RequiresApproval: true}))
	assert.Len(t, retrieve(ctx, t, agent).ToolRules, 1)
	require.NoError(t, tools.UpdateApproval(ctx, agent, name, &letta.AgentToolUpdateApprovalParams{}))
	assert.Empty(t, retrieve(ctx, t, agent).ToolRules)
	require.NoError(t, tools.Detach(ctx, agent, custom.ID))
	require.NoError(t, tools.Detach(ctx, agent, custom.ID), "twice")
	assert.Len(t, walkAll(t, tools.ListAll(ctx, agent, nil)), 6)
}

func TestSecrets(t *testing.T) {
	ctx := begin(t)
	needs(t, "agent settings")
	params := basic()
	params.Secrets = map[string]string{"A": "1", "B": "2"}
	agent := create(ctx, t, params).ID
	values := func(a *letta.AgentState) map[string]string {
		m := map[string]string{}
		for _, s := range a.Secrets {
			m[s.Key] = s.Value
		}
		return m
	}
	state, err := server.client.Agents.SetSecrets(ctx, agent, map[string]string{"B": "3", "C": "4"})
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"A": "1", "B": "3", "C": "4"}, values(state))
	state, err = server.client.Agents.UnsetSecrets(ctx, agent, []string{"A", "none"})
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"B": "3", "C": "4"}, values(state))
	state, err = server.client.Agents.UnsetSecrets(ctx, agent, []string{"B", "C"})
	require.NoError(t, err)
	assert.Empty(t, state.Secrets)
	assert.Empty(t, retrieve(ctx, t, agent, letta.AgentIncludeSecrets).Secrets)
	_, err = server.client.Agents.SetSecrets(ctx, agent, map[string]string{"A": ""})
	require.ErrorIs(t, err, letta.ErrInvalidArgument)
}

// TestEmptySecret: the server does not keep an empty value that Update gives.
func TestEmptySecret(t *testing.T) {
	ctx := begin(t)
	needs(t, "agent relations")
	agent := create(ctx, t, basic()).ID
	_, err := server.client.Agents.Update(ctx, agent, &letta.AgentUpdateParams{Secrets: map[string]string{"A": ""}})
	require.NoError(t, err)
	stored := retrieve(ctx, t, agent, letta.AgentIncludeSecrets).Secrets
	require.Len(t, stored, 1)
	assert.Equal(t, "<encrypted>", stored[0].Value)
	_, err = server.client.Agents.SetSecrets(ctx, agent, map[string]string{"B": "1"})
	require.ErrorContains(t, err, "secret A is empty or hidden")
	state, err := server.client.Agents.SetSecrets(ctx, agent, map[string]string{"A": "1"})
	require.NoError(t, err)
	assert.Equal(t, "1", state.Secrets[0].Value)
}

func TestDeleteWithBlocks(t *testing.T) {
	ctx := begin(t)
	needs(t, "agent relations")
	shared := createBlock(ctx, t, &letta.BlockCreateParams{Label: unique("shared"), Value: "v"})
	other := basic()
	other.BlockIDs = []letta.BlockID{shared.ID}
	create(ctx, t, other)
	params := basic()
	params.BlockIDs = other.BlockIDs
	params.MemoryBlocks = []letta.CreateBlock{{Label: "human", Value: "x"}, {Label: "persona", Value: "y"}}
	agent := create(ctx, t, params)
	done, err := server.client.Agents.DeleteWithBlocks(ctx, agent.ID)
	require.NoError(t, err)
	assert.Len(t, done.Deleted, 2)
	assert.Equal(t, []letta.BlockID{shared.ID}, done.Shared)
	_, err = server.client.Blocks.Retrieve(ctx, shared.ID)
	require.NoError(t, err)
	for _, id := range done.Deleted {
		_, err = server.client.Blocks.Retrieve(ctx, id)
		require.ErrorIs(t, err, letta.ErrNotFound)
	}
	_, err = server.client.Agents.DeleteWithBlocks(ctx, agent.ID)
	require.ErrorIs(t, err, letta.ErrNotFound, "again")

	// A block that only a hidden agent has besides is shared, too.
	hidden := basic()
	hidden.BlockIDs, hidden.Hidden = []letta.BlockID{shared.ID}, true //lint:ignore SA1019 the server still has it
	blockOfHidden := createBlock(ctx, t, &letta.BlockCreateParams{Label: unique("hidden"), Value: "v"})
	hidden.BlockIDs = []letta.BlockID{blockOfHidden.ID}
	create(ctx, t, hidden)
	params = basic()
	params.BlockIDs = hidden.BlockIDs
	done, err = server.client.Agents.DeleteWithBlocks(ctx, create(ctx, t, params).ID)
	require.NoError(t, err)
	assert.Equal(t, hidden.BlockIDs, done.Shared)
}

func TestSchedule(t *testing.T) {
	ctx := begin(t)
	needs(t, "schedule")
	agent := create(ctx, t, basic()).ID
	schedule := server.client.Agents.Schedule
	ids := map[letta.ScheduledMessageID]letta.Schedule{}
	for _, when := range []letta.Schedule{letta.ScheduleAt(time.Now().Add(time.Hour)), letta.ScheduleCron("0 9 * * 1-5")} {
		made, err := schedule.Create(ctx, agent, &letta.AgentScheduleCreateParams{Messages: []letta.MessageCreate{*letta.UserText("hi")}, Schedule: when})
		require.NoError(t, err)
		ids[made.ID] = when
		got, err := schedule.Retrieve(ctx, agent, made.ID)
		require.NoError(t, err)
		assert.Equal(t, when, got.Schedule)
		require.Len(t, got.Message.Messages, 1)
		assert.Equal(t, "hi", got.Message.Messages[0].Content.String())
	}
	assert.Len(t, walkAll(t, schedule.ListAll(ctx, agent, &letta.AgentScheduleListParams{Limit: 1})), 2)
	for id := range ids {
		require.NoError(t, schedule.Delete(ctx, agent, id))
	}
	assert.Empty(t, walkAll(t, schedule.ListAll(ctx, agent, nil)))
}

func TestScheduleOnAServerWithoutIt(t *testing.T) {
	ctx := begin(t)
	if has("schedule") {
		return
	}
	agent := create(ctx, t, basic()).ID
	_, err := server.client.Agents.Schedule.List(ctx, agent, nil)
	require.ErrorIs(t, err, letta.ErrNotFound)
}

func TestIdentities(t *testing.T) {
	ctx := begin(t)
	needs(t, "identities")
	identities := server.client.Identities
	params := &letta.IdentityCreateParams{IdentifierKey: unique("key"), IdentityType: letta.IdentityTypeUser, Name: "Ada", Properties: []letta.IdentityProperty{{Key: "age", Type: letta.IdentityPropertyNumber, Value: 3}}}
	identity, err := identities.Create(ctx, params)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := identities.Delete(ctx, identity.ID); err != nil {
			assert.ErrorIs(t, err, letta.ErrNotFound)
		}
	})
	_, err = identities.Create(ctx, params)
	require.ErrorIs(t, err, letta.ErrConflict)
	params.Name = "Grace"
	same, err := identities.Upsert(ctx, params)
	require.NoError(t, err)
	assert.Equal(t, identity.ID, same.ID)
	same, err = identities.Update(ctx, identity.ID, &letta.IdentityUpdateParams{Name: letta.Some("Joan")})
	require.NoError(t, err)
	assert.Equal(t, "Joan", same.Name)
	require.NoError(t, identities.Properties.Upsert(ctx, identity.ID, []letta.IdentityProperty{{Key: "city", Type: letta.IdentityPropertyString, Value: "Kyiv"}}))
	same, err = identities.Retrieve(ctx, identity.ID)
	require.NoError(t, err)
	assert.Equal(t, []letta.IdentityProperty{{Key: "city", Type: letta.IdentityPropertyString, Value: "Kyiv"}}, same.Properties, "the others are gone")
	agent := create(ctx, t, basic()).ID
	require.NoError(t, server.client.Agents.Identities.Attach(ctx, agent, identity.ID))
	require.NoError(t, server.client.Agents.Identities.Attach(ctx, agent, identity.ID), "twice")
	agents := walkAll(t, identities.Agents.ListAll(ctx, identity.ID, nil))
	require.Len(t, agents, 1)
	assert.Equal(t, agent, agents[0].ID)
	assert.Nil(t, agents[0].Tags, "not asked for")
	require.NoError(t, server.client.Agents.Identities.Detach(ctx, agent, identity.ID))
	require.NoError(t, server.client.Agents.Identities.Detach(ctx, agent, identity.ID), "twice")
	assert.Empty(t, walkAll(t, identities.Agents.ListAll(ctx, identity.ID, nil)))
	assert.Empty(t, walkAll(t, identities.Blocks.ListAll(ctx, identity.ID, nil)))
	listed := walkAll(t, identities.ListAll(ctx, &letta.IdentityListParams{IdentifierKey: params.IdentifierKey}))
	require.Len(t, listed, 1)
	n, err := identities.Count(ctx)
	require.NoError(t, err)
	assert.Positive(t, n)
	require.NoError(t, identities.Delete(ctx, identity.ID))
	_, err = identities.Retrieve(ctx, identity.ID)
	require.ErrorIs(t, err, letta.ErrNotFound)
}

func TestGroups(t *testing.T) {
	ctx := begin(t)
	needs(t, "groups")
	groups := server.client.Groups
	a, b := create(ctx, t, basic()).ID, create(ctx, t, basic()).ID
	group, err := groups.Create(ctx, &letta.GroupCreateParams{AgentIDs: []letta.AgentID{a, b}, Description: "d", ManagerConfig: &letta.ManagerConfig{ManagerType: letta.ManagerTypeRoundRobin, MaxTurns: 3}})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := groups.Delete(ctx, group.ID); err != nil {
			assert.ErrorIs(t, err, letta.ErrNotFound)
		}
	})
	assert.Equal(t, letta.ManagerTypeRoundRobin, group.ManagerType)
	assert.Equal(t, 3, group.MaxTurns)
	group, err = groups.Update(ctx, group.ID, &letta.GroupUpdateParams{Description: letta.Some("e")})
	require.NoError(t, err)
	assert.Equal(t, "e", group.Description)
	stored, err := groups.Retrieve(ctx, group.ID)
	require.NoError(t, err)
	assert.ElementsMatch(t, []letta.AgentID{a, b}, stored.AgentIDs)
	found := false
	for _, row := range walkAll(t, groups.ListAll(ctx, &letta.GroupListParams{Limit: 100, Order: letta.OrderDesc})) {
		found = found || row.ID == group.ID
	}
	assert.True(t, found)
	n, err := groups.Count(ctx)
	require.NoError(t, err)
	assert.Positive(t, n)
	block := createBlock(ctx, t, &letta.BlockCreateParams{Label: unique("group"), Value: "v"})
	require.NoError(t, groups.Blocks.Attach(ctx, group.ID, block.ID))
	require.NoError(t, groups.Blocks.Detach(ctx, group.ID, block.ID))
	assert.Empty(t, walkAll(t, groups.Messages.ListAll(ctx, group.ID, nil)))
	require.NoError(t, groups.Messages.Reset(ctx, group.ID))
	require.NoError(t, groups.Delete(ctx, group.ID))
}
