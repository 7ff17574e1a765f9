package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
)

const (
	unknownAgent letta.AgentID = "agent-00000000-0000-4000-8000-00000000dead"
	unknownBlock letta.BlockID = "block-00000000-0000-4000-8000-00000000dead"
)

func TestAgent(t *testing.T) {
	ctx := begin(t)
	params := basic(unique("user"))
	params.Name, params.Description = unique(onOld("Anna-2_b", "O'Neil Zoë 日本")), "a test"
	params.System = letta.Some("Be brief: <&> \"quotes\" 😀\nand lines.")
	before := time.Now()
	agent := create(ctx, t, params)
	system, _ := params.System.Get()
	for of, a := range map[string]*letta.AgentState{"create": agent, "retrieve": retrieve(ctx, t, agent.ID)} {
		assert.Equal(t, agent.ID, a.ID, of)
		assert.Equal(t, params.Name, a.Name, of)
		assert.Equal(t, params.Description, a.Description, of)
		assert.Equal(t, system, a.System, of)
		assert.WithinDuration(t, before, a.CreatedAt, 5*time.Minute, of)
		assert.WithinDuration(t, before, a.UpdatedAt, 5*time.Minute, of)
		assert.NotEmpty(t, a.AgentType, of)
		assert.NotEmpty(t, a.MessageIDs, of)
	}
	updated, err := server.client.Agents.Update(ctx, agent.ID, &letta.AgentUpdateParams{
		Name: letta.Some(unique("renamed")), System: letta.Some("Be long."),
	})
	require.NoError(t, err)
	assert.Equal(t, "Be long.", updated.System)
	assert.NotEqual(t, params.Name, updated.Name)
	assert.Equal(t, params.Description, updated.Description, "what is not set stays")
	assert.ElementsMatch(t, params.Tags, updated.Tags)
	named, err := server.client.Agents.List(ctx, &letta.AgentListParams{Name: updated.Name})
	require.NoError(t, err)
	assert.Equal(t, []letta.AgentID{agent.ID}, ids(named))

	require.NoError(t, server.client.Agents.Delete(ctx, agent.ID))
	_, err = server.client.Agents.Retrieve(ctx, agent.ID, nil)
	assert.ErrorIs(t, err, letta.ErrNotFound)
	assert.ErrorIs(t, server.client.Agents.Delete(ctx, agent.ID), letta.ErrNotFound)
	agents, err := server.client.Agents.List(ctx, letta.Tags(params.Tags...))
	require.NoError(t, err)
	assert.Empty(t, agents)
}

// TestUpdateNull: what is left out, null and empty do. On these servers null leaves a field alone, like leaving it out.
func TestUpdateNull(t *testing.T) {
	type step struct {
		name string
		set  letta.AgentUpdateParams
		want any
	}
	for _, test := range []struct {
		field string
		needs string
		get   func(*letta.AgentState) any
		steps []step
	}{
		{"description", "", func(a *letta.AgentState) any { return a.Description }, []step{
			{"value", letta.AgentUpdateParams{Description: letta.Some("changed")}, "changed"},
			{"left out", letta.AgentUpdateParams{}, "changed"},
			{"null", letta.AgentUpdateParams{Description: letta.Null[string]()}, "changed"},
			{"empty", letta.AgentUpdateParams{Description: letta.Some("")}, ""},
			{"null", letta.AgentUpdateParams{Description: letta.Null[string]()}, ""},
		}},
		{"name", "", func(a *letta.AgentState) any { return a.Name }, []step{
			{"value", letta.AgentUpdateParams{Name: letta.Some("Conf renamed")}, "Conf renamed"},
			{"null", letta.AgentUpdateParams{Name: letta.Null[string]()}, "Conf renamed"},
		}},
		{"system", "", func(a *letta.AgentState) any { return a.System }, []step{
			{"value", letta.AgentUpdateParams{System: letta.Some("S")}, "S"},
			{"null", letta.AgentUpdateParams{System: letta.Null[string]()}, "S"},
			{"empty", letta.AgentUpdateParams{System: letta.Some("")}, ""},
		}},
		{"metadata", "agent settings", func(a *letta.AgentState) any { return a.Metadata }, []step{
			{"value", letta.AgentUpdateParams{Metadata: map[string]any{"n": 1.0, "s": "x"}}, map[string]any{"n": 1.0, "s": "x"}},
			{"nil", letta.AgentUpdateParams{}, map[string]any{"n": 1.0, "s": "x"}},
			{"other value", letta.AgentUpdateParams{Metadata: map[string]any{"m": nil}}, map[string]any{"m": nil}},
			{"empty", letta.AgentUpdateParams{Metadata: map[string]any{}}, map[string]any{}},
		}},
		{"hidden", "agent settings", func(a *letta.AgentState) any {
			return a.Hidden
		}, []step{
			{"true", letta.AgentUpdateParams{Hidden: letta.Some(true)}, false}, // accepted and dropped
			{"null", letta.AgentUpdateParams{Hidden: letta.Null[bool]()}, false},
		}},
		{"timezone", "agent settings", func(a *letta.AgentState) any { return a.Timezone }, []step{
			{"value", letta.AgentUpdateParams{Timezone: letta.Some("Asia/Tokyo")}, "Asia/Tokyo"},
			{"null", letta.AgentUpdateParams{Timezone: letta.Null[string]()}, "Asia/Tokyo"},
		}},
		{"max_files_open", "agent settings", func(a *letta.AgentState) any { return a.MaxFilesOpen }, []step{
			{"value", letta.AgentUpdateParams{MaxFilesOpen: letta.Some(3)}, 3},
			{"null", letta.AgentUpdateParams{MaxFilesOpen: letta.Null[int]()}, 3},
		}},
		{"message_buffer_autoclear", "agent settings", func(a *letta.AgentState) any { return a.MessageBufferAutoclear }, []step{
			{"true", letta.AgentUpdateParams{MessageBufferAutoclear: letta.Some(true)}, true},
			{"null", letta.AgentUpdateParams{MessageBufferAutoclear: letta.Null[bool]()}, true},
			{"false", letta.AgentUpdateParams{MessageBufferAutoclear: letta.Some(false)}, false},
		}},
		{"embedding", "agent settings", func(a *letta.AgentState) any { return a.Embedding }, []step{
			{"left out", letta.AgentUpdateParams{}, ""},
			{"value", letta.AgentUpdateParams{Embedding: letta.Some(server.embedding)}, server.embedding},
			{"null", letta.AgentUpdateParams{Embedding: letta.Null[string]()}, server.embedding},
		}},
		{"response_format", "agent settings", func(a *letta.AgentState) any { return a.ResponseFormat }, []step{
			//lint:ignore SA1019 the server still has it
			{"value", letta.AgentUpdateParams{ResponseFormat: letta.Some(letta.ResponseFormat{Type: letta.ResponseFormatJSONObject})}, letta.ResponseFormat{Type: letta.ResponseFormatJSONObject}},
			//lint:ignore SA1019 the server still has it
			{"null", letta.AgentUpdateParams{ResponseFormat: letta.Null[letta.ResponseFormat]()}, letta.ResponseFormat{Type: letta.ResponseFormatJSONObject}},
		}},
		{"secrets", "agent settings", func(a *letta.AgentState) any { return secretsOf(a) }, []step{
			{"value", letta.AgentUpdateParams{Secrets: map[string]string{"A": "1", "B": "2"}}, map[string]string{"A": "1", "B": "2"}},
			{"nil", letta.AgentUpdateParams{}, map[string]string{"A": "1", "B": "2"}},
			{"other value", letta.AgentUpdateParams{Secrets: map[string]string{"C": "3"}}, map[string]string{"C": "3"}},
			{"empty", letta.AgentUpdateParams{Secrets: map[string]string{}}, map[string]string{}},
		}},
	} {
		t.Run(test.field, func(t *testing.T) {
			ctx := begin(t)
			if test.needs != "" {
				needs(t, test.needs)
			}
			agent := create(ctx, t, basic())
			for i, step := range test.steps {
				updated, err := server.client.Agents.Update(ctx, agent.ID, &step.set)
				require.NoError(t, err, "%d %s", i, step.name)
				assert.Equal(t, step.want, test.get(updated), "%d %s: answer of update", i, step.name)
				stored := retrieve(ctx, t, agent.ID, letta.AgentIncludeSecrets)
				assert.Equal(t, step.want, test.get(stored), "%d %s: retrieve", i, step.name)
			}
		})
	}
}

func secretsOf(a *letta.AgentState) map[string]string {
	out := map[string]string{}
	for _, s := range a.Secrets {
		out[s.Key] = s.Value
	}
	return out
}

// TestSettings: what is set on creation is there afterwards.
func TestSettings(t *testing.T) {
	needs(t, "agent settings")
	for name, test := range map[string]struct {
		set   func(*letta.AgentCreateParams)
		check func(*testing.T, *letta.AgentState)
	}{
		"tool rules": {
			func(p *letta.AgentCreateParams) {
				p.Tools = []string{"memory_insert", "conversation_search"}
				p.ToolRules = letta.ToolRules{
					&letta.InitToolRule{ToolName: "conversation_search"},
					&letta.MaxCountPerStepToolRule{ToolName: "memory_insert", MaxCountLimit: 2},
					&letta.RequiresApprovalToolRule{ToolName: "memory_insert"},
					&letta.ChildToolRule{ToolName: "conversation_search", Children: []string{"memory_insert"}},
				}
			},
			func(t *testing.T, a *letta.AgentState) {
				require.GreaterOrEqual(t, len(a.ToolRules), 4) // the server adds some of its own
				assert.Equal(t, letta.ToolRules{
					&letta.InitToolRule{ToolName: "conversation_search"},
					&letta.MaxCountPerStepToolRule{ToolName: "memory_insert", MaxCountLimit: 2},
					&letta.RequiresApprovalToolRule{ToolName: "memory_insert"},
				}, a.ToolRules[:3])
				child, ok := a.ToolRules[3].(*letta.ChildToolRule)
				require.True(t, ok)
				assert.Equal(t, []string{"memory_insert"}, child.Children)
				var names []string
				for _, tool := range a.Tools {
					names = append(names, tool.Name)
				}
				assert.ElementsMatch(t, []string{"memory_insert", "conversation_search"}, names)
			},
		},
		"model settings": {
			func(p *letta.AgentCreateParams) {
				p.ModelSettings = &letta.OpenAIModelSettings{
					Temperature: letta.Some(0.25), MaxOutputTokens: 1000, ParallelToolCalls: letta.Some(false), Strict: letta.Some(true),
					Reasoning: &letta.Reasoning{ReasoningEffort: "low"},
				}
				p.ContextWindowLimit = 16000
			},
			func(t *testing.T, a *letta.AgentState) {
				settings, ok := a.ModelSettings.(*letta.OpenAIModelSettings)
				require.True(t, ok, "%T", a.ModelSettings)
				assert.Equal(t, letta.Some(0.25), settings.Temperature)
				assert.Equal(t, 1000, settings.MaxOutputTokens)
				assert.Equal(t, letta.Some(true), settings.ParallelToolCalls, "0.16.8 shows true whatever was set")
				assert.Equal(t, letta.Some(false), a.LLMConfig.ParallelToolCalls) //lint:ignore SA1019 the only place that shows it
				assert.Equal(t, letta.Some(true), settings.Strict)
				assert.Equal(t, &letta.Reasoning{ReasoningEffort: "low"}, settings.Reasoning)
				assert.Equal(t, 16000, a.LLMConfig.ContextWindow) //lint:ignore SA1019 the only place that shows it
				assert.Equal(t, server.model, a.Model)
			},
		},
		"default model settings": {
			func(*letta.AgentCreateParams) {},
			func(t *testing.T, a *letta.AgentState) {
				settings, ok := a.ModelSettings.(*letta.OpenAIModelSettings)
				require.True(t, ok, "%T", a.ModelSettings)
				assert.NotZero(t, settings.MaxOutputTokens)
				assert.Equal(t, letta.Some(1.0), settings.Temperature)
				assert.Equal(t, letta.AgentTypeLettaV1Agent, a.AgentType)
				assert.Equal(t, "UTC", a.Timezone)
				assert.Empty(t, a.Embedding)
				assert.Nil(t, a.EmbeddingConfig) //lint:ignore SA1019 a relation like the others
			},
		},
		"response format": {
			func(p *letta.AgentCreateParams) {
				//lint:ignore SA1019 its replacement is dropped by 0.16.8
				p.ResponseFormat = letta.ResponseFormat{Type: letta.ResponseFormatJSONSchema, JSONSchema: map[string]any{"name": "x", "schema": map[string]any{"type": "object"}}}
			},
			func(t *testing.T, a *letta.AgentState) {
				want := letta.ResponseFormat{Type: letta.ResponseFormatJSONSchema, JSONSchema: map[string]any{"name": "x", "schema": map[string]any{"type": "object"}}}
				assert.Equal(t, want, a.ResponseFormat)
			},
		},
		"compaction settings": {
			func(p *letta.AgentCreateParams) {
				p.CompactionSettings = &letta.CompactionSettings{
					Mode: "sliding_window", Model: server.model, SlidingWindowPercentage: 0.4, Prompt: "Sum it up.", ClipChars: letta.Some(1234),
				}
			},
			func(t *testing.T, a *letta.AgentState) {
				require.NotNil(t, a.CompactionSettings)
				assert.Equal(t, letta.CompactionSettings{
					Mode: "sliding_window", Model: server.model, SlidingWindowPercentage: 0.4, Prompt: "Sum it up.", ClipChars: letta.Some(1234),
				}, *a.CompactionSettings)
			},
		},
		"secrets": {
			func(p *letta.AgentCreateParams) { p.Secrets = map[string]string{"KEY": "välue 😀", "OTHER": "x=y"} },
			func(t *testing.T, a *letta.AgentState) {
				assert.Equal(t, map[string]string{"KEY": "välue 😀", "OTHER": "x=y"}, secretsOf(a))
				assert.Equal(t, a.ID, a.Secrets[0].AgentID)
			},
		},
		"metadata": {
			func(p *letta.AgentCreateParams) {
				p.Metadata = map[string]any{"n": 1, "nested": map[string]any{"list": []any{1, 2.5, nil, "x"}}, "😀": true}
			},
			func(t *testing.T, a *letta.AgentState) {
				assert.Equal(t, map[string]any{"n": 1.0, "nested": map[string]any{"list": []any{1.0, 2.5, nil, "x"}}, "😀": true}, a.Metadata)
			},
		},
		"timezone": {
			func(p *letta.AgentCreateParams) { p.Timezone = "Europe/Berlin" },
			func(t *testing.T, a *letta.AgentState) { assert.Equal(t, "Europe/Berlin", a.Timezone) },
		},
		"agent type": {
			func(p *letta.AgentCreateParams) { p.AgentType = letta.AgentTypeMemGPTV2Agent },
			func(t *testing.T, a *letta.AgentState) { assert.Equal(t, letta.AgentTypeMemGPTV2Agent, a.AgentType) },
		},
		"embedding": {
			func(p *letta.AgentCreateParams) { p.Embedding = server.embedding },
			func(t *testing.T, a *letta.AgentState) { assert.Equal(t, server.embedding, a.Embedding) },
		},
		"limits": {
			func(p *letta.AgentCreateParams) {
				p.MaxFilesOpen, p.PerFileViewWindowCharLimit, p.MessageBufferAutoclear = 4, 4321, true
			},
			func(t *testing.T, a *letta.AgentState) {
				assert.Equal(t, 4, a.MaxFilesOpen)
				assert.Equal(t, 4321, a.PerFileViewWindowCharLimit)
				assert.True(t, a.MessageBufferAutoclear)
			},
		},
		"memory blocks": {
			func(p *letta.AgentCreateParams) {
				p.MemoryBlocks = []letta.CreateBlock{{Label: "human", Value: "Likes tea."}, {Label: "notes", Value: "", Limit: 50, Description: "d", ReadOnly: true}}
			},
			func(t *testing.T, a *letta.AgentState) {
				blocks := map[string]letta.Block{}
				for _, b := range a.Blocks {
					blocks[b.Label] = b
				}
				require.Len(t, blocks, 2)
				assert.Equal(t, "Likes tea.", blocks["human"].Value)
				assert.Equal(t, 50, blocks["notes"].Limit)
				assert.Equal(t, "d", blocks["notes"].Description)
				assert.True(t, blocks["notes"].ReadOnly) //lint:ignore SA1019 the server still has it
			},
		},
		"base tools": {
			func(p *letta.AgentCreateParams) { p.IncludeBaseTools = letta.Opt[bool]{} },
			func(t *testing.T, a *letta.AgentState) {
				assert.NotEmpty(t, a.Tools)
				for _, tool := range a.Tools {
					assert.NotEmpty(t, tool.ID)
					assert.True(t, json.Valid(tool.JSONSchema), tool.Name)
				}
			},
		},
		"first messages": {
			func(p *letta.AgentCreateParams) { p.InitialMessageSequence = []letta.MessageCreate{} },
			func(t *testing.T, a *letta.AgentState) { assert.Len(t, a.MessageIDs, 1, "the system message alone") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := begin(t)
			params := basic(unique("settings"))
			test.set(params)
			agent := create(ctx, t, params)
			t.Run("create", func(t *testing.T) { test.check(t, agent) })
			t.Run("retrieve", func(t *testing.T) { test.check(t, retrieve(ctx, t, agent.ID, allRelations...)) })
			// The update answers with everything, and changes nothing of it.
			updated, err := server.client.Agents.Update(ctx, agent.ID, &letta.AgentUpdateParams{Description: letta.Some("d")})
			require.NoError(t, err)
			t.Run("update", func(t *testing.T) { test.check(t, updated) })
		})
	}
}

func TestErrors(t *testing.T) {
	tag := unique("error")
	deleteTagged(t, tag) // 0.6.12 accepts some
	params := func(change func(*letta.AgentCreateParams)) *letta.AgentCreateParams {
		p := basic(tag)
		change(p)
		return p
	}
	model := func(handle string) *letta.AgentCreateParams {
		return params(func(p *letta.AgentCreateParams) {
			if server.old {
				p.LLM = handle //lint:ignore SA1019 the field of 0.6.12
				return
			}
			p.Model = handle
		})
	}
	agents, blocks := server.client.Agents, server.client.Blocks
	send := func(p *letta.AgentCreateParams, opts ...letta.RequestOption) func(context.Context) error {
		return func(ctx context.Context) error { _, err := agents.Create(ctx, p, opts...); return err }
	}
	description := &letta.AgentUpdateParams{Description: letta.Some("d")}
	for _, test := range []struct {
		name       string
		call       func(context.Context) error
		old, today error  // nil: this server does not make it an error
		field      string // that a 422 names
	}{
		{"retrieve unknown", func(ctx context.Context) error { _, err := agents.Retrieve(ctx, unknownAgent, nil); return err }, letta.ErrNotFound, letta.ErrNotFound, ""},
		{"update unknown", func(ctx context.Context) error { _, err := agents.Update(ctx, unknownAgent, description); return err }, letta.ErrNotFound, letta.ErrNotFound, ""},
		{"delete unknown", func(ctx context.Context) error { return agents.Delete(ctx, unknownAgent) }, letta.ErrNotFound, letta.ErrNotFound, ""},
		{"add tags to unknown", func(ctx context.Context) error {
			_, err := agents.AddTags(ctx, unknownAgent, []string{"a"})
			return err
		}, letta.ErrNotFound, letta.ErrNotFound, ""},
		{"recompile unknown", func(ctx context.Context) error { _, err := agents.Recompile(ctx, unknownAgent, nil); return err }, letta.ErrNotFound, letta.ErrNotFound, ""},
		{"export unknown", func(ctx context.Context) error {
			_, err := agents.ExportFile(ctx, unknownAgent, nil, letta.WithMaxRetries(0))
			return err
		}, letta.ErrNotFound, letta.ErrServer, ""},
		{"retrieve unknown block", func(ctx context.Context) error { _, err := blocks.Retrieve(ctx, unknownBlock); return err }, letta.ErrNotFound, letta.ErrNotFound, ""},
		{"update unknown block", func(ctx context.Context) error {
			_, err := blocks.Update(ctx, unknownBlock, &letta.BlockUpdateParams{Value: letta.Some("v")})
			return err
		}, letta.ErrNotFound, letta.ErrNotFound, ""},
		{"delete unknown block", func(ctx context.Context) error { return blocks.Delete(ctx, unknownBlock) }, letta.ErrNotFound, letta.ErrNotFound, ""},
		{"model without provider", send(model("gpt")), letta.ErrValidation, letta.ErrBadRequest, ""},
		{"unknown model", send(model("openai/none")), letta.ErrBadRequest, letta.ErrNotFound, ""},
		{"no model", send(model("")), letta.ErrBadRequest, letta.ErrBadRequest, ""},
		{"unknown embedding", send(params(func(p *letta.AgentCreateParams) { p.Embedding = "openai/none" })), letta.ErrBadRequest, letta.ErrBadRequest, ""},
		{"embedding without provider", send(params(func(p *letta.AgentCreateParams) { p.Embedding = "none" })), letta.ErrValidation, letta.ErrValidation, "body.embedding"},
		{"bad name", send(params(func(p *letta.AgentCreateParams) { p.Name = "a/b" })), letta.ErrValidation, letta.ErrServer, ""},
		{"unknown tool", send(params(func(p *letta.AgentCreateParams) { p.Tools = []string{"no_such_tool"} })), nil, letta.ErrBadRequest, ""},
		{"unknown agent type", send(params(func(p *letta.AgentCreateParams) { p.AgentType = "no_such_type" })), letta.ErrValidation, letta.ErrValidation, "body.agent_type"},
		{"tags are a string", send(basic(), letta.WithBodyField("tags", "a")), letta.ErrValidation, letta.ErrValidation, "body.tags"},
		{"a tag is a number", send(basic(), letta.WithBodyField("tags", []any{"a", 1})), letta.ErrValidation, letta.ErrValidation, "body.tags.1"},
		{"block without label", send(basic(), letta.WithBodyField("memory_blocks", []any{map[string]any{"value": "v"}})), letta.ErrValidation, letta.ErrValidation, "body.memory_blocks.0.label"},
		{"update with tags as a string", func(ctx context.Context) error {
			_, err := agents.Update(ctx, unknownAgent, description, letta.WithBodyField("tags", "a"))
			return err
		}, letta.ErrValidation, letta.ErrValidation, "body.tags"},
		{"id of another form", func(ctx context.Context) error { _, err := agents.Retrieve(ctx, "nope", nil); return err }, letta.ErrNotFound, letta.ErrValidation, "path.agent_id"},
		{"id of another thing", func(ctx context.Context) error {
			_, err := agents.Retrieve(ctx, letta.AgentID(unknownBlock), nil)
			return err
		}, letta.ErrNotFound, letta.ErrValidation, "path.agent_id"},
		{"block id of another form", func(ctx context.Context) error { _, err := blocks.Retrieve(ctx, "nope"); return err }, letta.ErrNotFound, letta.ErrValidation, "path.block_id"},
		{"unknown order", func(ctx context.Context) error {
			_, err := agents.List(ctx, &letta.AgentListParams{Order: "up", Limit: 1})
			return err
		}, nil, letta.ErrValidation, "query.order"},
		{"unknown include", func(ctx context.Context) error {
			_, err := agents.Retrieve(ctx, unknownAgent, &letta.AgentRetrieveParams{Include: []letta.AgentInclude{"agent.nothing"}})
			return err
		}, letta.ErrNotFound, letta.ErrValidation, "query.include.0"},
		{"limit is a word", func(ctx context.Context) error {
			_, err := agents.List(ctx, nil, letta.WithQuery("limit", "x"))
			return err
		}, letta.ErrValidation, letta.ErrValidation, "query.limit"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx := begin(t)
			want := onOld(test.old, test.today)
			err := test.call(ctx)
			if want == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, want)
			e := apiError(t, err)
			assert.NotContains(t, e.Error(), "not from a Letta server")
			assert.Equal(t, 1, e.Attempts, "not repeated")
			if want == letta.ErrValidation {
				require.NotEmpty(t, e.Fields, "%s", e.Body)
				assert.NotEmpty(t, e.Fields[0].Message)
				if test.field != "" {
					assert.Equal(t, test.field, e.Fields[0].Field)
				}
			} else {
				assert.NotEmpty(t, e.Message)
			}
		})
	}
}

// TestErrorsMade: a failed create leaves nothing behind.
func TestErrorsMade(t *testing.T) {
	ctx := begin(t)
	tag := unique("error")
	deleteTagged(t, tag)
	params := basic(tag)
	params.Name = "a/b"
	_, err := server.client.Agents.Create(ctx, params)
	require.Error(t, err)
	n, err := server.client.Agents.Count(ctx, letta.Tags(tag))
	require.NoError(t, err)
	assert.Zero(t, n)
}

// TestAfterServerError: the server closes the connection of some 500s without saying so; a POST is not repeated, and must not fail for that.
func TestAfterServerError(t *testing.T) {
	needs(t, "crash")
	for name, change := range map[string]func(*letta.AgentCreateParams){
		"bad name":     func(p *letta.AgentCreateParams) { p.Name = "a/b" },          // keeps the connection
		"bad timezone": func(p *letta.AgentCreateParams) { p.Timezone = "No/Where" }, // closes it
	} {
		t.Run(name, func(t *testing.T) {
			ctx := begin(t)
			client, sent := newRecorded(t)
			label := unique("label")
			params := basic(unique("user"))
			change(params)
			for i := range 20 {
				_, err := client.Agents.Create(ctx, params)
				require.ErrorIs(t, err, letta.ErrServer, "%d", i)
				block, err := client.Blocks.Create(ctx, &letta.BlockCreateParams{Label: label, Value: "v"})
				require.NoError(t, err, "%d: the POST right after it", i)
				require.NoError(t, client.Blocks.Delete(ctx, block.ID))
			}
			assert.Len(t, sent.seen(), 60, "nothing was sent twice")
		})
	}
}

func TestOddIDs(t *testing.T) {
	for name, id := range map[string]letta.AgentID{
		"space": "agent x", "unicode": "agent-ä日本", "question mark": "agent-x?include=agent.tags", "hash": "agent-x#y", "percent": "agent-%2e%2e",
		"ampersand": "a&b=c", "plus": "a+b", "semicolon": "a;b", "colon": "http:", "line break": "agent-x\ny", "quote": `a"b'c`, "comma": "a,b",
		"known, and more": unknownAgent + "%2Fmessages", "dots": "...",
	} {
		t.Run(name, func(t *testing.T) {
			ctx := begin(t)
			client, sent := newRecorded(t)
			_, err := client.Agents.Retrieve(ctx, id, nil)
			assert.Equal(t, onOld(404, 422), apiError(t, err).StatusCode)
			_, err = client.Agents.Update(ctx, id, &letta.AgentUpdateParams{Description: letta.Some("d")})
			assert.Equal(t, onOld(404, 422), apiError(t, err).StatusCode)
			assert.Equal(t, onOld(404, 422), apiError(t, client.Agents.Delete(ctx, id)).StatusCode)
			_, err = client.Blocks.Retrieve(ctx, letta.BlockID(id))
			assert.Equal(t, onOld(404, 422), apiError(t, err).StatusCode)
			assert.Len(t, sent.seen(), 4)
		})
	}
	for _, id := range []letta.AgentID{"count", "search", "import"} { // what routes beside {agent_id} are called
		t.Run("route "+string(id), func(t *testing.T) {
			ctx := begin(t)
			_, err := server.client.Agents.Retrieve(ctx, id, nil)
			assert.Error(t, err)
			_, err = server.client.Agents.Update(ctx, id, &letta.AgentUpdateParams{Description: letta.Some("d")})
			assert.Less(t, apiError(t, err).StatusCode, 500)
			assert.Less(t, apiError(t, server.client.Agents.Delete(ctx, id)).StatusCode, 500)
		})
	}
	for _, id := range []letta.AgentID{"", ".", "..", "a/b", "../blocks", `a\b`, "/"} {
		t.Run("refused "+string(id), func(t *testing.T) {
			ctx := begin(t)
			client, sent := newRecorded(t)
			_, err := client.Agents.Retrieve(ctx, id, nil)
			assert.Error(t, err)
			assert.Error(t, client.Agents.Delete(ctx, id))
			assert.Error(t, client.Blocks.Delete(ctx, letta.BlockID(id)))
			assert.Empty(t, sent.seen())
		})
	}
}

func TestExportImport(t *testing.T) {
	ctx := begin(t)
	needs(t, "agents.export_file")
	tag := unique("user")
	deleteTagged(t, tag)
	params := rich(tag)
	params.Tags = append(params.Tags, unique("a,b&c"))
	params.System = letta.Some("Be brief: 日本 <&>.")
	agent := create(ctx, t, params)
	file, err := server.client.Agents.ExportFile(ctx, agent.ID, nil)
	require.NoError(t, err)
	require.True(t, json.Valid(file))

	for name, test := range map[string]struct {
		params letta.AgentImportFileParams
		want   string // the name of the copy
	}{
		"as it is":  {letta.AgentImportFileParams{}, params.Name + "_copy"},
		"no suffix": {letta.AgentImportFileParams{AppendCopySuffix: letta.Some(false)}, params.Name},
		"renamed":   {letta.AgentImportFileParams{Name: "Conf copy", AppendCopySuffix: letta.Some(false)}, "Conf copy"},
	} {
		test.params.File = bytes.NewReader(file)
		made, err := server.client.Agents.ImportFile(ctx, &test.params)
		require.NoError(t, err, name)
		require.Len(t, made.AgentIDs, 1, name)
		deleteAtEnd(t, made.AgentIDs[0])
		assert.NotEqual(t, agent.ID, made.AgentIDs[0], name)
		twin := retrieve(ctx, t, made.AgentIDs[0], allRelations...)
		assert.Equal(t, test.want, twin.Name, name)
		assert.ElementsMatch(t, params.Tags, twin.Tags, name)
		assert.Equal(t, agent.System, twin.System, name)
		assert.Equal(t, agent.Model, twin.Model, name)
		assert.Len(t, twin.Blocks, len(agent.Blocks), name)
		assert.Len(t, twin.Tools, len(agent.Tools), name)
	}
	_, err = server.client.Agents.ImportFile(ctx, &letta.AgentImportFileParams{File: bytes.NewReader([]byte("not JSON"))})
	assert.ErrorIs(t, err, letta.ErrBadRequest)
}

func TestRecompile(t *testing.T) {
	ctx := begin(t)
	needs(t, "agents.recompile")
	params := basic(unique("user"))
	params.MemoryBlocks = []letta.CreateBlock{{Label: "human", Value: "Likes green tea."}}
	agent := create(ctx, t, params)
	text, err := server.client.Agents.Recompile(ctx, agent.ID, nil)
	require.NoError(t, err)
	assert.Contains(t, text, "You are a test.")
	assert.Contains(t, text, "Likes green tea.")
	_, err = server.client.Blocks.Update(ctx, agent.Blocks[0].ID, &letta.BlockUpdateParams{Value: letta.Some("Likes \"coffee\".\nA lot.")})
	require.NoError(t, err)
	for _, dry := range []bool{true, false} {
		text, err = server.client.Agents.Recompile(ctx, agent.ID, &letta.AgentRecompileParams{DryRun: dry})
		require.NoError(t, err)
		assert.Contains(t, text, "Likes \"coffee\".\nA lot.", "the text, not its JSON form")
		assert.NotContains(t, text, "green")
	}
}
