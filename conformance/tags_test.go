package conformance

import (
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
)

// TestGuide is the multi-user guide: an agent with the id of its user as a tag, found again by the tag.
// https://docs.letta.com/guides/agents/multi-user
func TestGuide(t *testing.T) {
	ctx := begin(t)
	user, other := unique("user_1"), unique("user_2")
	create(ctx, t, basic(other))

	params := &letta.AgentCreateParams{
		MemoryBlocks:       []letta.CreateBlock{},
		Model:              server.model,
		ContextWindowLimit: 16000,
		Embedding:          server.embedding,
		Tags:               []string{user},
	}
	if server.old { // the curl example, from its own time
		params = &letta.AgentCreateParams{
			MemoryBlocks:       []letta.CreateBlock{},
			LLM:                server.model, //lint:ignore SA1019 the guide says so
			ContextWindowLimit: 16000,
			Embedding:          "openai/text-embedding-ada-002",
			Tags:               []string{user},
		}
	}
	agent := create(ctx, t, params)
	assert.Equal(t, []string{user}, agent.Tags)
	assert.NotEmpty(t, agent.Name)
	assert.Equal(t, 16000, agent.LLMConfig.ContextWindow) //lint:ignore SA1019 the only place that shows it
	assert.NotEmpty(t, agent.System)
	if !server.old {
		assert.Equal(t, server.model, agent.Model)
		assert.Equal(t, server.embedding, agent.Embedding)
	}

	agents, err := server.client.Agents.List(ctx, letta.Tags(user))
	require.NoError(t, err)
	require.Equal(t, []letta.AgentID{agent.ID}, ids(agents))
	assert.Equal(t, []string{user}, agents[0].Tags)
	assert.Equal(t, agent.Name, agents[0].Name)

	agents, err = server.client.Agents.List(ctx, letta.Tags(unique("user_3")))
	require.NoError(t, err)
	assert.NotNil(t, agents)
	assert.Empty(t, agents)
}

func TestTagFilter(t *testing.T) {
	a, b, c := unique("a"), unique("b"), unique("c")
	upper := "CONF-" + a[len("conf-"):]
	onlyA, onlyB := create(t.Context(), t, basic(a)).ID, create(t.Context(), t, basic(b)).ID
	both := create(t.Context(), t, basic(a, b)).ID
	for _, test := range []struct {
		name   string
		params letta.AgentListParams
		want   []letta.AgentID
	}{
		{"one", letta.AgentListParams{Tags: []string{a}}, []letta.AgentID{onlyA, both}},
		{"any of two", letta.AgentListParams{Tags: []string{a, b}}, []letta.AgentID{onlyA, onlyB, both}},
		{"any, one unknown", letta.AgentListParams{Tags: []string{a, c}}, []letta.AgentID{onlyA, both}},
		{"all of two", letta.AgentListParams{Tags: []string{a, b}, MatchAllTags: true}, []letta.AgentID{both}},
		{"all of one", letta.AgentListParams{Tags: []string{b}, MatchAllTags: true}, []letta.AgentID{onlyB, both}},
		{"all, one unknown", letta.AgentListParams{Tags: []string{a, c}, MatchAllTags: true}, []letta.AgentID{}},
		{"twice the same", letta.AgentListParams{Tags: []string{a, a}}, []letta.AgentID{onlyA, both}},
		{"other case", letta.AgentListParams{Tags: []string{upper}}, []letta.AgentID{}},
		{"part of a tag", letta.AgentListParams{Tags: []string{a[:len(a)-1]}}, []letta.AgentID{}},
		{"comma is no separator", letta.AgentListParams{Tags: []string{a + "," + b}}, []letta.AgentID{}},
		{"no wildcard", letta.AgentListParams{Tags: []string{a[:len(a)-1] + "%"}}, []letta.AgentID{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx := begin(t)
			agents, err := server.client.Agents.List(ctx, &test.params)
			require.NoError(t, err)
			assert.ElementsMatch(t, test.want, ids(agents))
			for _, agent := range agents {
				assert.NotEmpty(t, agent.Tags, "a list by tags loads the tags")
			}
			n, err := server.client.Agents.Count(ctx, &test.params)
			assert.NoError(t, err)
			assert.Len(t, agents, n, "Count counts what List finds")
			found, err := server.client.Agents.Exists(ctx, &test.params)
			assert.NoError(t, err)
			assert.Equal(t, len(test.want) > 0, found)
		})
	}
}

func TestOddTags(t *testing.T) {
	for name, odd := range map[string]string{
		"comma": "a,b", "spaces": " a  b ", "ampersand": "a&tags=b", "plus": "a+b", "percent": "100%25", "equals and hash": "k=v#f", "slash": "a/../b",
		"single quote": "O'Brien", "double quote": `say "hi"`, "backslash": `C:\temp\n`, "unicode": "Zoë-日本語-😀", "decomposed": "Zoe\u0308",
		"brackets": "[x]{y}<z>", "semicolon": "a;b", "like": "a_b%c", "line break": "a\nb", "question mark": "a?b",
	} {
		t.Run(name, func(t *testing.T) {
			ctx := begin(t)
			tag, next := unique(odd), unique(odd)+"!"
			agent := create(ctx, t, basic(tag))
			assert.Equal(t, []string{tag}, agent.Tags)

			agents, err := server.client.Agents.List(ctx, letta.Tags(tag))
			require.NoError(t, err)
			require.Equal(t, []letta.AgentID{agent.ID}, ids(agents))
			assert.Equal(t, []string{tag}, agents[0].Tags)
			all, err := server.client.Agents.List(ctx, &letta.AgentListParams{Tags: []string{tag}, MatchAllTags: true})
			assert.NoError(t, err)
			assert.Equal(t, ids(agents), ids(all))
			n, err := server.client.Agents.Count(ctx, letta.Tags(tag))
			assert.NoError(t, err)
			assert.Equal(t, 1, n)

			agent, err = server.client.Agents.Update(ctx, agent.ID, &letta.AgentUpdateParams{Tags: []string{next, tag}})
			require.NoError(t, err)
			assert.ElementsMatch(t, []string{tag, next}, agent.Tags)
			agent, err = server.client.Agents.RemoveTags(ctx, agent.ID, []string{tag})
			require.NoError(t, err)
			assert.Equal(t, []string{next}, agent.Tags)
			agents, err = server.client.Agents.List(ctx, letta.Tags(tag))
			assert.NoError(t, err)
			assert.Empty(t, agents)
		})
	}
}

func TestTagsDuplicate(t *testing.T) {
	ctx := begin(t)
	a, b := unique("a"), unique("b")
	agent := create(ctx, t, basic(a, b, a))
	assert.ElementsMatch(t, []string{a, b}, agent.Tags)
	agents, err := server.client.Agents.List(ctx, letta.Tags(a, b))
	require.NoError(t, err)
	assert.Len(t, agents, 1, "an agent comes once, however many tags match")
	agent, err = server.client.Agents.Update(ctx, agent.ID, &letta.AgentUpdateParams{Tags: []string{b, b}})
	require.NoError(t, err)
	assert.Equal(t, []string{b}, agent.Tags)
}

func TestTagsUpdate(t *testing.T) {
	ctx := begin(t)
	a, b, c := unique("a"), unique("b"), unique("c")
	agent := create(ctx, t, basic(a, b))
	for _, step := range []struct {
		name   string
		params letta.AgentUpdateParams
		want   []string
	}{
		{"nil leaves them alone", letta.AgentUpdateParams{Description: letta.Some("d")}, []string{a, b}},
		{"tags replace all", letta.AgentUpdateParams{Tags: []string{b, c}}, []string{b, c}},
		{"no params at all", letta.AgentUpdateParams{}, []string{b, c}},
		{"empty clears", letta.AgentUpdateParams{Tags: []string{}}, []string{}},
		{"again", letta.AgentUpdateParams{Tags: []string{a}}, []string{a}},
	} {
		updated, err := server.client.Agents.Update(ctx, agent.ID, &step.params)
		require.NoError(t, err, step.name)
		assert.NotNil(t, updated.Tags, step.name)
		assert.ElementsMatch(t, step.want, updated.Tags, step.name)
		stored := tagsOf(ctx, t, agent.ID)
		assert.NotNil(t, stored, step.name)
		assert.ElementsMatch(t, step.want, stored, step.name)
	}
}

func TestTagsRefused(t *testing.T) {
	ctx := begin(t)
	client, sent := newRecorded(t)
	for name, call := range map[string]func() error{
		"list without a tag":   func() error { _, err := client.Agents.List(ctx, letta.Tags()); return err },
		"list by a blank tag":  func() error { _, err := client.Agents.List(ctx, letta.Tags(" ")); return err },
		"count without a tag":  func() error { _, err := client.Agents.Count(ctx, letta.Tags()); return err },
		"exists without a tag": func() error { _, err := client.Agents.Exists(ctx, letta.Tags()); return err },
		"ensure without a tag": func() error { _, err := client.Agents.Ensure(ctx, nil, basic()); return err },
		"add a blank tag":      func() error { _, err := client.Agents.AddTags(ctx, "agent-x", []string{""}); return err },
		"create with a blank":  func() error { _, err := client.Agents.Create(ctx, basic("a", "")); return err },
		"walk without a tag": func() error {
			for _, err := range client.Agents.ListAll(ctx, letta.Tags()) {
				return err
			}
			return nil
		},
	} {
		assert.ErrorIs(t, call(), letta.ErrInvalidTags, name)
	}
	assert.Empty(t, sent.seen(), "refused before sending")
}

func TestAddRemoveTags(t *testing.T) {
	ctx := begin(t)
	a, b, c := unique("a"), unique("b"), unique("c")
	client, sent := newRecorded(t)
	agent := create(ctx, t, basic(a))
	agent, err := client.Agents.AddTags(ctx, agent.ID, []string{b, c, b})
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{a, b, c}, agent.Tags)
	agent, err = client.Agents.RemoveTags(ctx, agent.ID, []string{b, unique("none")})
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{a, c}, agent.Tags)

	writes := len(sent.seen())
	agent, err = client.Agents.AddTags(ctx, agent.ID, []string{a, c})
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{a, c}, agent.Tags)
	for _, request := range sent.seen()[writes:] {
		assert.Equal(t, "GET /v1/agents/"+string(agent.ID), request, "what is there already costs no write")
	}

	agent, err = client.Agents.RemoveTags(ctx, agent.ID, []string{a, c})
	require.NoError(t, err)
	assert.NotNil(t, agent.Tags)
	assert.Empty(t, agent.Tags)
	_, err = client.Agents.AddTags(ctx, unknownAgent, []string{a})
	assert.ErrorIs(t, err, letta.ErrNotFound)
}

// TestAddTagsOneClient: goroutines that share a client lose no tag.
func TestAddTagsOneClient(t *testing.T) {
	ctx := begin(t)
	agent := create(ctx, t, basic(unique("user")))
	want := slices.Clone(agent.Tags)
	for range 8 {
		want = append(want, unique("added"))
	}
	client, sent := newRecorded(t)
	together(8, func(i int) {
		_, err := client.Agents.AddTags(ctx, agent.ID, want[i+1:i+2])
		assert.NoError(t, err)
	})
	assert.ElementsMatch(t, want, tagsOf(ctx, t, agent.ID))
	together(8, func(i int) {
		_, err := client.Agents.RemoveTags(ctx, agent.ID, want[i+1:i+2])
		assert.NoError(t, err)
	})
	assert.Equal(t, want[:1], tagsOf(ctx, t, agent.ID))
	writes := slices.DeleteFunc(sent.seen(), func(request string) bool { return request != "PATCH /v1/agents/"+string(agent.ID) })
	assert.Len(t, writes, 16, "they wait for each other, so none writes twice")
}

// TestAddTagsManyClients reports how often clients that know nothing of each other lose a tag: the server offers no way to rule it out.
func TestAddTagsManyClients(t *testing.T) {
	ctx := begin(t)
	const rounds, writers = 3, 8
	lost, failed := 0, atomic.Int64{}
	for range rounds {
		agent := create(ctx, t, basic(unique("user")))
		added := []string{}
		clients := []*letta.Client{}
		for range writers {
			added = append(added, unique("added"))
			client, _ := newRecorded(t)
			clients = append(clients, client)
		}
		together(writers, func(i int) {
			if _, err := clients[i].Agents.AddTags(ctx, agent.ID, added[i:i+1]); err != nil {
				failed.Add(1)
			}
		})
		have := tagsOf(ctx, t, agent.ID)
		for _, tag := range added {
			if !slices.Contains(have, tag) {
				lost++
			}
		}
	}
	t.Logf("%d clients at once, %d rounds: %d of %d tags lost, %d calls gave up with an error", writers, rounds, lost, rounds*writers, failed.Load())
}
