package check

import (
	"bytes"
	"encoding/json"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/letta-go/letta/internal/apispec"
)

func TestBody(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ schema, body, want string }{
		{"AgentCreateParams", `{"model":"a/b","tags":["x"],"no_such":1}`, ""},
		{"AgentCreateParams", `{"name":null}`, "'type': 'string_type', 'loc': ('body', 'name')"},
		{"AgentCreateParams", `{"tags":[1]}`, "'type': 'string_type', 'loc': ('body', 'tags', 0)"},
		{"AgentCreateParams", `{"block_ids":["x"]}`, "'type': 'string_too_short', 'loc': ('body', 'block_ids', 0)"},
		{"AgentCreateParams", `{"tool_rules":[{"type":"none","tool_name":"x"}]}`, "'type': 'union_tag_invalid', 'loc': ('body', 'tool_rules', 0)"},
		{"AgentCreateParams", `{"tool_rules":[{"type":"exit_loop"}]}`, "'type': 'missing', 'loc': ('body', 'tool_rules', 0, 'exit_loop', 'tool_name')"},
		{"AgentCreateParams", `[]`, "'type': 'model_attributes_type', 'loc': ('body',)"},
		{"agents.MessageCreateParams", `{"messages":[{"role":"user","content":"x"}],"streaming":true}`, ""},
		{"agents.MessageCreateParams", `{"messages":[{"role":"user","content":1}]}`, "'MessageCreateParam', 'content'"},
		{"McpServerCreateParams", `{"server_name":"x"}`, "'type': 'missing', 'loc': ('body', 'config')"},
	} {
		var body any
		dec := json.NewDecoder(bytes.NewReader([]byte(tt.body)))
		dec.UseNumber()
		assert.NoError(t, dec.Decode(&body))
		var p Problems
		out := p.Body(Of(tt.schema, "body"), body, false)
		assert.Equal(t, tt.want != "", p.Any(), "%s %s", tt.body, p.String())
		assert.Contains(t, p.String(), tt.want)
		assert.NotContains(t, out, "no_such")
	}
	var p Problems
	p.Body(Of("ToolCreateParams", "body"), map[string]any{"source_code": "x", "no": 1}, true)
	assert.Contains(t, p.String(), "'type': 'extra_forbidden', 'loc': ('body', 'no')")
}

func TestValues(t *testing.T) {
	t.Parallel()
	var p Problems
	q := p.Values("query", Of("AgentListParams", "query"), url.Values{"limit": {"x", "5"}, "tags": {"a", "b"}, "match_all_tags": {"1"}, "other": {"y"}})
	assert.False(t, p.Any(), p.String())
	assert.Equal(t, map[string]any{"limit": 5, "tags": []any{"a", "b"}, "match_all_tags": true}, q)
	p.Values("query", Of("AgentListParams", "query"), url.Values{"order": {"up"}, "include": {"agent.none"}})
	assert.Contains(t, p.String(), "('query', 'order')")
	assert.Contains(t, p.String(), "('query', 'include', 0)")
}

// Every type that an operation takes can be checked: no name of a schema leads nowhere.
func TestEverySchema(t *testing.T) {
	t.Parallel()
	for _, o := range apispec.Operations() {
		if o.Params == "" {
			continue
		}
		for _, f := range append(Of(o.Params, "body"), Of(o.Params, "query")...) {
			for _, v := range []any{nil, "x", true, json.Number("1"), []any{"x", map[string]any{}}, map[string]any{"type": "x"}} {
				assert.NotPanics(t, func() { new(Problems).value(f.Type, f.Enum, Loc{"body"}, v) }, "%s %s", o.SDK, f.Name)
			}
		}
	}
	for name := range differs {
		i := len(name) - 1
		for name[i] != '.' {
			i--
		}
		assert.Contains(t, apispec.Schemas(), name[:i], name)
	}
}
