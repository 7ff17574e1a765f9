package lettatest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/internal/apispec"
	"github.com/letta-go/letta/lettatest"
)

const (
	model   = "openai-proxy/gpt-4o-mini"
	unknown = "-00000000-0000-4000-8000-00000000dead"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// caller talks to a server over connections of its own, as a client of the 1.x generation unless told otherwise.
type caller struct {
	t   testing.TB
	url string
	hc  *http.Client
}

func newCaller(t testing.TB, s *lettatest.Server) *caller {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &caller{t, s.URL(), &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func start(t testing.TB, opts ...lettatest.Option) (*lettatest.Server, *caller) {
	t.Helper()
	s := lettatest.NewServer(t, opts...)
	return s, newCaller(t, s)
}

// send sends a JSON body, or raw bytes when body is []byte. Header pairs follow; an empty value takes a header away.
func (c *caller) send(method, path string, body any, header ...string) (*http.Response, []byte, error) {
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case []byte:
		r = bytes.NewReader(b)
	default:
		data, err := json.Marshal(b)
		require.NoError(c.t, err)
		r = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, r)
	require.NoError(c.t, err)
	req.Header.Set("X-Stainless-Package-Version", "1.0.0")
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.hc.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	return resp, data, err
}

// do is send that decodes the answer and expects a status.
func (c *caller) do(status int, method, path string, body any, header ...string) any {
	c.t.Helper()
	resp, data, err := c.send(method, path, body, header...)
	require.NoError(c.t, err)
	require.Equal(c.t, status, resp.StatusCode, "%s %s: %s", method, path, data)
	var v any
	if len(data) > 0 {
		require.NoError(c.t, json.Unmarshal(data, &v), "%s", data)
	}
	return v
}

type object = map[string]any

// create makes an agent; pairs of name and value go into the body.
func (c *caller) create(pairs ...any) object {
	c.t.Helper()
	body := object{"model": model, "system": "Test.", "include_base_tools": false}
	for i := 0; i < len(pairs); i += 2 {
		body[pairs[i].(string)] = pairs[i+1]
	}
	return c.do(200, "POST", "/v1/agents/", body).(object)
}

// names lists the names that a list answers with.
func (c *caller) names(path string) []string {
	c.t.Helper()
	out := []string{}
	for _, v := range c.do(200, "GET", path, nil).([]any) {
		out = append(out, v.(object)["name"].(string))
	}
	return out
}

func keys(v any) string {
	var out []string
	for k := range v.(object) {
		out = append(out, k)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestRouting(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	for _, tt := range []struct {
		method, path string
		status       int
		header       string // Location or Allow
	}{
		{"GET", "/v1/health/", 200, ""},
		{"GET", "/v1/health", 307, "/v1/health/"},
		{"POST", "/v1/agents?x=a%2Cb", 307, "/v1/agents/?x=a%2Cb"},
		{"DELETE", "/v1/agents", 307, "/v1/agents/"},
		{"GET", "/v1/agents/x/", 307, "/v1/agents/x"},
		{"GET", "/v1/models/embedding/", 307, "/v1/models/embedding"},
		{"GET", "/v1/agents//", 404, ""},
		{"GET", "/v1/agents/a%2Fb", 404, ""},
		{"GET", "/v1/none", 404, ""},
		{"POST", "/none", 404, ""},
		{"PUT", "/v1/agents/", 405, "GET"},
		{"HEAD", "/v1/agents/", 405, "GET"},
		{"PUT", "/v1/agents/import", 405, "POST"},
		{"POST", "/v1/agents/x", 405, "PATCH"},
		{"GET", "/v1/agents/x/recompile", 405, "POST"},
		{"GET", "/v1/agents/import", 422, ""}, // taken for an id
		{"PUT", "/v1/blocks/x", 405, "PATCH"},
	} {
		resp, data, err := c.send(tt.method, tt.path, nil)
		require.NoError(t, err)
		assert.Equal(t, tt.status, resp.StatusCode, tt.path)
		switch tt.status {
		case 307:
			assert.Equal(t, c.url+tt.header, resp.Header.Get("Location"))
			assert.Empty(t, data)
		case 404:
			assert.JSONEq(t, `{"detail":"Not Found"}`, string(data))
		case 405:
			assert.Equal(t, tt.header, resp.Header.Get("Allow"), tt.path)
		}
	}
}

func TestPassword(t *testing.T) {
	t.Parallel()
	_, c := start(t, lettatest.WithPassword("secret"))
	for _, tt := range []struct {
		path, name, value string
		status            int
	}{
		{"/v1/agents/", "X-None", "", 401},
		{"/v1/agents/", "Authorization", "Bearer secret", 200},
		{"/v1/agents/", "Authorization", "Bearer wrong", 401},
		{"/v1/agents/", "Authorization", "Basic eDpzZWNyZXQ=", 401},
		{"/v1/agents/", "X-BARE-PASSWORD", "password secret", 200},
		{"/v1/agents/", "X-BARE-PASSWORD", "secret", 401},
		{"/v1/agents", "X-None", "", 401}, // the redirect comes after the check
		{"/v1/none", "X-None", "", 401},
		{"/v1/health/", "X-None", "", 200},
		{"/v1/health", "X-None", "", 307},
	} {
		resp, data, err := c.send("GET", tt.path, nil, tt.name, tt.value)
		require.NoError(t, err)
		assert.Equal(t, tt.status, resp.StatusCode, "%s %s", tt.path, tt.value)
		if tt.status == 401 {
			assert.JSONEq(t, `{"detail":"Unauthorized"}`, string(data))
		}
	}
}

// Errors of every kind, with the whole text where clients may look at it.
func TestErrors(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	id := c.create()["id"].(string)
	with := func(k string, v any) object { return object{"model": model, k: v} }
	problem := func(kind, loc, msg, rest string) string {
		return "[{'type': '" + kind + "', 'loc': (" + loc + "), 'msg': " + msg + ", " + rest + "}]"
	}
	for _, tt := range []struct {
		method, path string
		body         any
		status       int
		detail       string // "" is not looked at; ~ before the text asks for a part only
	}{
		{"POST", "/v1/agents/", object{}, 400, "INVALID_ARGUMENT: Must specify either model or llm_config in request"},
		{"POST", "/v1/agents/", object{"llm": model}, 400, "INVALID_ARGUMENT: Must specify either model or llm_config in request"},
		{"POST", "/v1/agents/", object{"model": "gpt"}, 400, "INVALID_ARGUMENT: The model handle should be in the format provider/model-name"},
		{"POST", "/v1/agents/", object{"model": "openai-proxy/none"}, 404, "NOT_FOUND: Handle openai-proxy/none not found, must be one of []"},
		{"POST", "/v1/agents/", object{"model": object{}}, 422, problem("string_type", "'body', 'model'", "'Input should be a valid string'", "'input': {}")},
		{"POST", "/v1/agents/", with("embedding", "openai/none"), 400, "INVALID_ARGUMENT: Embedding model openai/none not found"},
		{"POST", "/v1/agents/", with("embedding", "x"), 422, "~ValueError('The embedding handle should be in the format provider/model-name')"},
		{"POST", "/v1/agents/", with("name", "a/b"), 500, "~Export failed: Agent name 'a/b' contains invalid characters."},
		{"POST", "/v1/agents/", with("name", nil), 422, problem("string_type", "'body', 'name'", "'Input should be a valid string'", "'input': None")},
		{"POST", "/v1/agents/", with("tags", "it's"), 422, problem("list_type", "'body', 'tags'", "'Input should be a valid list'", `'input': "it's"`)},
		{"POST", "/v1/agents/", with("tags", []any{1, true}), 422, "[{'type': 'string_type', 'loc': ('body', 'tags', 0), " +
			"'msg': 'Input should be a valid string', 'input': 1}, {'type': 'string_type', 'loc': ('body', 'tags', 1), " +
			"'msg': 'Input should be a valid string', 'input': True}]"},
		{"POST", "/v1/agents/", with("agent_type", "none"), 422, "~'type': 'enum', 'loc': ('body', 'agent_type'), 'msg': \"Input should be 'memgpt_agent',"},
		{
			"POST", "/v1/agents/", with("memory_blocks", []any{object{"value": "x"}}), 422,
			problem("missing", "'body', 'memory_blocks', 0, 'label'", "'Field required'", "'input': {'value': 'x'}"),
		},
		{
			"POST", "/v1/agents/", with("tool_rules", []any{object{"type": "run_first", "tool_name": "x", "no": 1}}), 422,
			problem("extra_forbidden", "'body', 'tool_rules', 0, 'run_first', 'no'", "'Extra inputs are not permitted'", "'input': 1"),
		},
		{"POST", "/v1/agents/", with("tools", []string{"none"}), 400, "Tools not found by name: {'none'}"},
		{"POST", "/v1/agents/", with("tool_ids", []string{"tool" + unknown}), 400, "Tools not found by id:   {'tool" + unknown + "'}"},
		{"POST", "/v1/agents/", with("block_ids", []string{"x"}), 422, "~'type': 'string_too_short', 'loc': ('body', 'block_ids', 0)"},
		{"POST", "/v1/agents/", with("identity_ids", []string{"identity" + unknown}), 409, "~is not present in table"},
		{"POST", "/v1/agents/", []any{}, 422, problem("model_attributes_type", "'body',",
			"'Input should be a valid dictionary or object to extract fields from'", "'input': []")},
		{"POST", "/v1/agents/", nil, 422, problem("missing", "'body',", "'Field required'", "'input': None")},
		{"POST", "/v1/agents/", []byte(`{"name": `), 422, problem("json_invalid", "'body', 9", "'JSON decode error'",
			"'input': {}")},
		{"GET", "/v1/agents/?limit=-1", nil, 500, "A database error occurred."},
		{"GET", "/v1/agents/?limit=x&order=up", nil, 422, "~'int_parsing', 'loc': ('query', 'limit')"},
		{"GET", "/v1/agents/?order=up", nil, 422, problem("literal_error", "'query', 'order'", `"Input should be 'asc' or 'desc'"`,
			`'input': 'up'`)},
		{"GET", "/v1/agents/?include=agent.tags,agent.blocks", nil, 422, "~'loc': ('query', 'include', 0)"},
		{"GET", "/v1/agents/agent" + unknown, nil, 404, "Agent with ID agent" + unknown + " not found"},
		{"PATCH", "/v1/agents/agent" + unknown, object{"name": "x"}, 404, "~Agent not found with id='['agent" + unknown + "']'"},
		{"DELETE", "/v1/agents/agent" + unknown, nil, 404, "~Agent not found with id="},
		{"GET", "/v1/agents/nope", nil, 422, "~String should match pattern 'agent-{uuid4}'"},
		{"GET", "/v1/agents/agent" + unknown + "/export", nil, 500, "Export failed: The following agent IDs were not found: ['agent" + unknown + "']"},
		{"PATCH", "/v1/agents/" + id, object{"block_ids": []string{"block" + unknown}}, 500, "An unknown error occurred"},
		{"PATCH", "/v1/agents/" + id, object{"model": "openai-proxy/none"}, 404, "NOT_FOUND: Handle openai-proxy/none not found, must be one of []"},
		{"POST", "/v1/blocks/", object{"value": "x"}, 422, problem("missing", "'body', 'label'", "'Field required'", "'input': {'value': 'x'}")},
		{"GET", "/v1/blocks/block" + unknown, nil, 404, "~Block not found with id='['block" + unknown + "']'"},
		{"GET", "/v1/blocks/?label=a%20b", nil, 422, "~string_pattern_mismatch"},
		{"GET", "/v1/tags/?order_by=created_at", nil, 422, problem("literal_error", "'query', 'order_by'", `"Input should be 'name'"`,
			`'input': 'created_at'`)},
	} {
		body := c.do(tt.status, tt.method, tt.path, tt.body).(object)
		if tt.status == 500 {
			c.hc.CloseIdleConnections() // the server closes it, unannounced
		}
		if part, ok := strings.CutPrefix(tt.detail, "~"); ok {
			assert.Contains(t, body["detail"], part)
		} else {
			assert.Equal(t, tt.detail, body["detail"], "%s %s %v", tt.method, tt.path, tt.body)
		}
		if tt.status == 422 {
			assert.Empty(t, body["trace_id"])
			assert.Contains(t, body, "trace_id")
		}
	}
	bad := c.do(422, "GET", "/v1/agents/nope", nil).(object)
	assert.Equal(t, []any{"agent-123e4567-e89b-42d3-8456-426614174000"}, bad["examples"])
	c.do(400, "GET", "/v1/agents/", nil, "user_id", "nope")
	c.do(200, "GET", "/v1/agents/", nil, "user_id", "user"+unknown)
	assert.Equal(t, 1., c.do(200, "GET", "/v1/agents/count", nil), "failed creates leave nothing")
}

func TestAgentShape(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	a := c.do(200, "POST", "/v1/agents/", object{
		"model": model, "tags": []string{"a", "a", "", "B"}, "secrets": object{"K": "v"}, "embedding": "openai/text-embedding-3-small",
		"metadata": object{"n": 1, "f": 2.5, "z": nil}, "memory_blocks": []any{object{"label": "x", "value": "1"}, object{"label": "x", "value": "2"}},
	}).(object)
	assert.Equal(t, "agent_type base_template_id blocks compaction_settings created_at created_by_id deployment_id description embedding "+
		"embedding_config enable_sleeptime entity_id hidden id identities identity_ids last_run_completion last_run_duration_ms last_stop_reason "+
		"last_updated_by_id llm_config managed_group max_files_open memory message_buffer_autoclear message_ids metadata model model_settings "+
		"multi_agent_group name pending_approval per_file_view_window_char_limit project_id response_format secrets sources system tags "+
		"template_id timezone tool_exec_environment_variables tool_rules tools updated_at", keys(a))
	assert.Equal(t, "agent_type blocks file_blocks git_enabled prompt_template", keys(a["memory"]))
	assert.Equal(t, "base_template_id created_by_id deployment_id description entity_id hidden id is_template label last_updated_by_id limit "+
		"metadata preserve_on_migration project_id read_only tags template_id template_name value", keys(a["blocks"].([]any)[0]))
	assert.Equal(t, "args_json_schema created_by_id default_requires_approval description enable_parallel_execution id json_schema "+
		"last_updated_by_id metadata_ name npm_requirements pip_requirements project_id return_char_limit source_code source_type tags tool_type",
		keys(a["tools"].([]any)[0]))
	assert.Equal(t, "agent_id created_at created_by_id description id key last_updated_by_id organization_id updated_at value value_enc",
		keys(a["secrets"].([]any)[0]))
	assert.Len(t, a["llm_config"], 27)
	assert.Len(t, a["embedding_config"], 10)
	assert.Len(t, a["blocks"], 1, "one block per label")
	assert.Equal(t, []any{"a", "", "B"}, a["tags"])
	assert.Equal(t, object{"n": 1., "f": 2.5, "z": nil}, a["metadata"])
	assert.Regexp(t, regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$`), a["created_at"])
	assert.Regexp(t, regexp.MustCompile(`^[A-Z][a-z]+[A-Z][a-z]+$`), a["name"])
	var tools []string
	for _, tool := range a["tools"].([]any) {
		tools = append(tools, tool.(object)["name"].(string))
	}
	assert.ElementsMatch(t, []string{"conversation_search", "memory_insert", "memory_replace"}, tools)
	assert.Empty(t, c.create()["tools"])
	assert.Nil(t, c.create()["embedding"])
}

func TestRelations(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	id := c.create("tags", []string{"a"}, "secrets", object{"K": "v"}, "tools", []string{"memory_insert"},
		"memory_blocks", []any{object{"label": "x", "value": "1"}})["id"].(string)
	all := "blocks memory secrets tags tools"
	for _, tt := range []struct {
		query string
		want  string // the relations that are not empty
		agent []string
	}{
		{"", "", nil},
		{"include=agent.tags", "tags", nil},
		{"include=agent.blocks", "blocks memory tags", nil},
		{"include=agent.tools&include=agent.secrets", "secrets tools", nil},
		{"include=agent.identities&include=agent.sources&include=agent.managed_group&include=agent.pending_approval", "", nil},
		{"include_relationships=memory", "blocks memory tags", nil},
		{"", all, []string{"User-Agent", "Go-http-client/1.1"}},
		{"", all, []string{"User-Agent", "letta-go/1.0.0"}},
		{"", all, []string{"User-Agent", "letta-client/2.0.0"}},
		{"", "", []string{"User-Agent", "letta-client/1.12.1"}},
		{"", "", []string{"User-Agent", "@letta-ai/letta-client/1.12.1"}},
		{"", "", []string{"User-Agent", ""}},
		{"include=agent.tags", "tags", []string{"User-Agent", "curl/8.5"}},
	} {
		header := tt.agent
		if header != nil {
			header = append(slices.Clone(header), "X-Stainless-Package-Version", "")
		}
		for _, path := range []string{"/v1/agents/" + id + "?", "/v1/agents/?limit=1&"} {
			got := c.do(200, "GET", path+tt.query, nil, header...)
			if page, ok := got.([]any); ok {
				got = page[0]
			}
			var full []string
			for _, k := range []string{"blocks", "memory", "secrets", "tags", "tools"} {
				v := got.(object)[k]
				if k == "memory" {
					v = v.(object)["blocks"]
				}
				if len(v.([]any)) > 0 {
					full = append(full, k)
				}
			}
			assert.Equal(t, tt.want, strings.Join(full, " "), "%s %v", tt.query, tt.agent)
		}
	}
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	a := c.create("tags", []string{"a"}, "description", "d", "secrets", object{"K": "v"},
		"memory_blocks", []any{object{"label": "human", "value": "old"}})
	path := "/v1/agents/" + a["id"].(string)
	block := c.do(200, "POST", "/v1/blocks/", object{"label": "other", "value": "new"}).(object)["id"]
	same := c.do(200, "POST", "/v1/blocks/", object{"label": "human", "value": "new"}).(object)["id"]
	for _, tt := range []struct {
		body string
		key  string
		want any
	}{
		{`{"tags":["b","c","b"]}`, "tags", []any{"b", "c"}},
		{`{"tags":null}`, "tags", []any{"b", "c"}},
		{`{}`, "tags", []any{"b", "c"}},
		{`{"tags":[]}`, "tags", []any{}},
		{`{"description":null}`, "description", "d"},
		{`{"description":""}`, "description", ""},
		{`{"name":"a/b"}`, "name", "a/b"},
		{`{"no_such_field":1}`, "name", "a/b"},
		{`{"hidden":true}`, "hidden", nil},
		{`{"tags":["role:subagent"]}`, "hidden", nil},
		{`{"secrets":null}`, "secrets", 1},
		{`{"secrets":{}}`, "secrets", 0},
		{`{"model":"openai-proxy/gpt-4.1"}`, "model", "openai-proxy/gpt-4.1"},
		{`{"context_window_limit":9000}`, "max_files_open", 5.},
		{`{"block_ids":null}`, "blocks", 1},
		{fmt.Sprintf(`{"block_ids":[%q]}`, same), "blocks", 0}, // lost to the old block of the same label, which goes
		{fmt.Sprintf(`{"block_ids":[%q,%q]}`, block, same), "blocks", 2},
		{`{"block_ids":[]}`, "blocks", 0},
	} {
		got := c.do(200, "PATCH", path, []byte(tt.body)).(object)
		if n, ok := tt.want.(int); ok {
			assert.Len(t, got[tt.key], n, tt.body)
		} else {
			assert.Equal(t, tt.want, got[tt.key], tt.body)
		}
		assert.Greater(t, got["updated_at"], a["updated_at"])
	}
	assert.Equal(t, "Agent id="+a["id"].(string)+" successfully deleted", c.do(200, "DELETE", path, nil).(object)["message"])
	c.do(404, "DELETE", path, nil)
	c.do(200, "GET", "/v1/blocks/"+a["blocks"].([]any)[0].(object)["id"].(string), nil) // blocks outlive their agent
}

func TestListAgents(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	var ids []string
	for i, tag := range []string{"even", "odd", "even", "odd", "even"} {
		ids = append(ids, c.create("name", fmt.Sprintf("Agent-%d", i), "tags", []string{"all", tag}, "project_id", "p")["id"].(string))
	}
	c.create("name", "sub", "tags", []string{"all", "role:subagent"})
	c.create("name", "hid", "tags", []string{"all"}, "hidden", true)
	c.do(200, "PATCH", "/v1/agents/"+ids[0], object{"last_stop_reason": "end_turn", "last_run_completion": "2026-01-02T03:04:05Z"})
	for query, want := range map[string]string{
		"":                                      "4 3 2 1 0",
		"order=asc":                             "0 1 2 3 4",
		"limit=2":                               "4 3",
		"limit=0":                               "4 3 2 1 0",
		"tags=odd":                              "3 1",
		"tags=ODD":                              "",
		"tags=odd&tags=even":                    "4 3 2 1 0",
		"tags=odd,even":                         "",
		"tags=":                                 "",
		"tags=odd&tags=":                        "3 1",
		"match_all_tags=true":                   "4 3 2 1 0",
		"show_hidden_agents=true":               "hid sub 4 3 2 1 0",
		"name=Agent-1":                          "1",
		"name=agent-1":                          "",
		"name=":                                 "4 3 2 1 0",
		"query_text=AGENT-_":                    "4 3 2 1 0",
		"project_id=none":                       "",
		"project_id=p&limit=1":                  "4",
		"created_by_id=nobody":                  "",
		"last_stop_reason=end_turn":             "0",
		"identity_id=x":                         "",
		"identifier_keys=x":                     "",
		"ascending=true&sort_by=q":              "4 3 2 1 0",
		"no_such=1":                             "4 3 2 1 0",
		"order_by=updated_at":                   "0 4 3 2 1",
		"after=agent" + unknown:                 "4 3 2 1 0",
		"after=nope&limit=1":                    "4",
		"limit=2&after=" + ids[3]:               "2 1",
		"limit=2&before=" + ids[0]:              "4 3", // the first rows ahead of the cursor, not the adjacent ones
		"order=asc&after=" + ids[2]:             "3 4",
		"order=asc&before=" + ids[2]:            "0 1",
		"after=" + ids[4] + "&before=" + ids[0]: "3 2 1",
		"order_by=last_run_completion&limit=1":  "0",
		"order_by=last_run_completion&after=" + ids[0]:           "others",
		"tags=even&tags=all&match_all_tags=true&limit=2":         "4 2",
		"tags=even&tags=odd&match_all_tags=true":                 "",
		"order_by=last_run_completion&order=asc&after=" + ids[0]: "",
	} {
		got := c.names("/v1/agents/?" + query)
		if want == "others" {
			assert.Len(t, got, 4)
			continue
		}
		assert.Equal(t, want, strings.ReplaceAll(strings.Join(got, " "), "Agent-", ""), query)
	}
	for query, want := range map[string]float64{"": 5, "tags=odd": 2, "show_hidden_agents=true": 7, "limit=1": 5, "name=none": 0} {
		assert.Equal(t, want, c.do(200, "GET", "/v1/agents/count?"+query, nil), query)
	}
	c.do(200, "DELETE", "/v1/agents/"+ids[3], nil)
	assert.Equal(t, []string{"Agent-4", "Agent-2"}, c.names("/v1/agents/?limit=2&after="+ids[3]), "page 1 again when the cursor's agent is gone")
	for i := range 48 {
		c.create("name", fmt.Sprint("more", i))
	}
	assert.Len(t, c.names("/v1/agents/"), 50)
}

func TestBlocks(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	made := map[string]string{}
	for _, label := range []string{"one", "two", "hid", "tpl"} {
		made[label] = c.do(200, "POST", "/v1/blocks/", object{
			"label": label, "value": "Value " + label, "tags": []string{"b", label, "b"}, "hidden": label == "hid", "is_template": label == "tpl",
		}).(object)["id"].(string)
	}
	for query, want := range map[string]string{
		"": "one two", "order=desc": "two one", "label=one": "one", "label_search=O": "one two", "value_search=VALUE": "one two",
		"show_hidden_blocks=true": "one two hid", "templates_only=true": "tpl", "tags=two&tags=x": "two", "tags=b&tags=two&match_all_tags=true": "two",
		"tags=b&tags=b&match_all_tags=true": "", "limit=1": "one", "after=" + made["one"]: "two", "before=" + made["two"]: "one",
		"connected_to_agents_count_gt=0": "", "connected_to_agents_count_lt=1&label=one": "one",
	} {
		var got []string
		for _, b := range c.do(200, "GET", "/v1/blocks/?"+query, nil).([]any) {
			got = append(got, b.(object)["label"].(string))
			assert.Equal(t, []any{"b", got[len(got)-1]}, b.(object)["tags"])
		}
		assert.Equal(t, want, strings.Join(got, " "), query)
	}
	assert.Equal(t, 4., c.do(200, "GET", "/v1/blocks/count", nil))
	assert.Equal(t, 1., c.do(200, "GET", "/v1/blocks/count?label=hid", nil))

	path := "/v1/blocks/" + made["one"]
	for body, want := range map[string]string{
		`{"value":null}`: "Value one", `{"value":"x","limit":0}`: "x", `{"value":""}`: "",
	} {
		c.do(200, "PATCH", path, object{"value": "Value one"})
		assert.Equal(t, want, c.do(200, "PATCH", path, []byte(body)).(object)["value"])
	}
	assert.Equal(t, []any{"t", "t"}, c.do(200, "PATCH", path, object{"tags": []string{"t", "t"}}).(object)["tags"], "repeated as sent")
	assert.Equal(t, []any{"t"}, c.do(200, "GET", path, nil).(object)["tags"])

	first := c.create("name", "first", "block_ids", []string{made["one"], "block" + unknown})
	c.create("name", "second", "block_ids", []string{made["one"]}, "hidden", true)
	assert.Len(t, first["blocks"], 1, "unknown ids are ignored")
	assert.Equal(t, []string{"second", "first"}, c.names(path+"/agents"), "hidden agents too")
	assert.Equal(t, []string{"second"}, c.names(path+"/agents?order=asc&after="+first["id"].(string)))
	c.do(200, "PATCH", path, object{"value": "shared"})
	shown := c.do(200, "GET", "/v1/agents/"+first["id"].(string)+"?include=agent.blocks", nil).(object)
	assert.Equal(t, "shared", shown["blocks"].([]any)[0].(object)["value"])
	assert.Nil(t, c.do(200, "DELETE", path, nil))
	c.do(404, "DELETE", path, nil)
	assert.Empty(t, c.names(path+"/agents"))
}

func TestTagsAndModels(t *testing.T) {
	t.Parallel()
	_, c := start(t, lettatest.WithModels("x/two", "x/one"))
	c.do(200, "POST", "/v1/agents/", object{"model": "x/one", "tags": []string{"user_b", "user_a"}})
	c.do(404, "POST", "/v1/agents/", object{"model": model})
	c.do(200, "POST", "/v1/blocks/", object{"label": "l", "tags": []string{"user_c", "user_a"}})
	for query, want := range map[string]string{
		"": "user_a user_b user_c", "name=USER": "user_a user_b user_c", "query_text=_B": "user_b", "name=a&query_text=b": "user_a",
		"order=desc&limit=2": "user_c user_b", "after=user_a": "user_b user_c", "order=desc&after=user_b": "user_a", "before=user_c&limit=1": "user_a",
		"limit=0": "user_a user_c", "name=none": "", // limit=0 hides the tags of agents
	} {
		got := c.do(200, "GET", "/v1/tags/?"+query, nil).([]any)
		assert.Equal(t, want, strings.Trim(fmt.Sprint(got), "[]"), query)
	}
	assert.Equal(t, []string{"one", "two"}, c.names("/v1/models/"))
	assert.Empty(t, c.names("/v1/models/?provider_category=byok"))
	assert.Equal(t, []string{"two"}, c.names("/v1/models/?provider_name=x")[1:])
	assert.NotEmpty(t, c.names("/v1/models/embedding"))
}

func TestExportImport(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	a := c.create("name", "origin", "tags", []string{"a"}, "secrets", object{"K": "v"}, "tools", []string{"memory_insert"},
		"memory_blocks", []any{object{"label": "x", "value": "1"}}, "embedding", "openai/text-embedding-3-small")
	_, file, err := c.send("GET", "/v1/agents/"+a["id"].(string)+"/export", nil)
	require.NoError(t, err)
	assert.NotContains(t, string(file), `"K":"v"`)
	upload := func(status int, file []byte, fields ...string) any {
		var buf bytes.Buffer
		w := multipart.NewWriter(&buf)
		if file != nil {
			part, err := w.CreateFormFile("file", "agent.af")
			require.NoError(t, err)
			_, _ = part.Write(file)
		}
		for i := 0; i < len(fields); i += 2 {
			_ = w.WriteField(fields[i], fields[i+1])
		}
		_ = w.Close()
		return c.do(status, "POST", "/v1/agents/import", buf.Bytes(), "Content-Type", w.FormDataContentType())
	}
	for _, tt := range []struct {
		fields []string
		name   string
		secret string
	}{
		{nil, "origin_copy", "<encrypted>"},
		{[]string{"append_copy_suffix", "false", "secrets", `{"K":"w","L":"x"}`}, "origin", "w"},
		{[]string{"name", "other", "model", "openai-proxy/gpt-4.1"}, "other", "<encrypted>"},
	} {
		id := upload(200, file, tt.fields...).(object)["agent_ids"].([]any)[0].(string)
		got := c.do(200, "GET", "/v1/agents/"+id, nil, "X-Stainless-Package-Version", "").(object)
		assert.Equal(t, tt.name, got["name"])
		assert.Equal(t, tt.secret, got["secrets"].([]any)[0].(object)["value"])
		assert.Equal(t, a["tags"], got["tags"])
		assert.Equal(t, a["tools"], got["tools"])
		assert.Len(t, got["blocks"], 1)
		assert.NotEqual(t, a["blocks"].([]any)[0].(object)["id"], got["blocks"].([]any)[0].(object)["id"])
		assert.Len(t, got["message_ids"], 1)
	}
	upload(422, nil, "name", "x")
	upload(422, file, "append_copy_suffix", "maybe")
	upload(404, file, "model", "a/b")
	for content, detail := range map[string]string{
		`nope`: "Corrupted agent file format.", `{"a":1}`: "Legacy AgentSchema format", `{"agents":[]}`: "6 validation errors for AgentFileSchema",
	} {
		assert.Contains(t, upload(400, []byte(content)).(object)["detail"], detail)
	}
	assert.Contains(t, upload(400, file, "secrets", "x").(object)["detail"], "secrets must be a valid JSON string")

	recompile := "/v1/agents/" + a["id"].(string) + "/recompile"
	c.do(200, "PATCH", "/v1/agents/"+a["id"].(string), object{"system": "Changed."})
	assert.Contains(t, c.do(200, "POST", recompile+"?dry_run=true", nil), "Changed.")
	assert.Contains(t, c.do(200, "POST", recompile, nil), "Test.", "answers with the prompt it replaces")
	assert.Contains(t, c.do(200, "POST", recompile, nil), "Changed.")
}

func TestFaults(t *testing.T) {
	t.Parallel()
	create := object{"model": model}
	const post, path = "POST", "/v1/agents/"
	for _, tt := range []struct {
		name   string
		fault  lettatest.Fault
		status int // 0: no answer
		body   string
		broken bool // the body ends early
		agents float64
	}{
		{"status", lettatest.Fault{Status: 503, Body: "x", Header: http.Header{"Retry-After": {"1"}}}, 503, "x", false, 0},
		{"body alone", lettatest.Fault{Body: "<html>"}, 200, "<html>", false, 0},
		{"lost answer", lettatest.Fault{Status: 502, Process: true}, 502, "", false, 1},
		{"redirect", lettatest.Fault{Status: 301, Header: http.Header{"Location": {"/x"}}}, 301, "", false, 0},
		{"no content", lettatest.Fault{Status: 204}, 204, "", false, 0},
		{"before read", lettatest.Fault{Drop: lettatest.DropBeforeRead}, 0, "", false, 0},
		{"after read", lettatest.Fault{Drop: lettatest.DropAfterRead}, 0, "", false, 1},
		{"mid body", lettatest.Fault{Drop: lettatest.DropMidBody}, 200, `{"agent_type"`, true, 1},
		{"truncate", lettatest.Fault{Truncate: 5}, 200, `{"age`, true, 1},
		{"pad", lettatest.Fault{Pad: 100_000}, 200, strings.Repeat(" ", 100_000), false, 1},
		{"delay", lettatest.Fault{Delay: time.Millisecond}, 200, `{"agent_type"`, false, 1},
		{"other method", lettatest.Fault{Method: "PUT", Status: 503}, 200, `{"agent_type"`, false, 1},
		{"other path", lettatest.Fault{Path: "/v1/agents/*/export", Status: 503}, 200, `{"agent_type"`, false, 1},
		{"header only", lettatest.Fault{Header: http.Header{"X-A": {"b"}}}, 200, `{"agent_type"`, false, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := lettatest.Start() // a fault that never acts fails the test of a NewServer
			defer s.Close()
			c := newCaller(t, s)
			if tt.fault.Method == "" {
				tt.fault.Method, tt.fault.Times = post, 1
			}
			s.Fail(tt.fault)
			resp, data, err := c.send(post, path, create)
			switch {
			case tt.status == 0:
				require.Error(t, err)
			case tt.broken:
				require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			default:
				require.NoError(t, err)
			}
			if tt.status != 0 {
				assert.Equal(t, tt.status, resp.StatusCode)
				assert.Contains(t, string(data), tt.body)
				for k := range tt.fault.Header {
					assert.Equal(t, tt.fault.Header.Get(k), resp.Header.Get(k))
				}
			}
			log := s.Requests()
			require.Len(t, log, 1)
			assert.Equal(t, tt.status, log[0].Status)
			assert.Equal(t, tt.fault.Drop != lettatest.DropBeforeRead, len(log[0].Body) > 0)
			s.Fail(lettatest.Fault{}) // changes nothing
			assert.Equal(t, tt.agents, newCaller(t, s).do(200, "GET", "/v1/agents/count", nil, "X-A", "b"), "agents made")
		})
	}
}

func TestFaultOrder(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	s.Fail(lettatest.Fault{Path: "/v1/health/", Skip: 1, Times: 2, Status: 501})
	s.Fail(lettatest.Fault{Path: "/v1/health/", Times: 2, Status: 502})
	s.Fail(lettatest.Fault{Path: "/v1/*", Skip: 1, Status: 503})
	for _, want := range []int{502, 501, 501, 502, 503, 503} {
		if want == 503 && len(s.Requests()) == 4 {
			c.do(404, "GET", "/v1/x", nil) // skipped by the last one
		}
		resp, _, err := c.send("GET", "/v1/"+map[bool]string{true: "x", false: "health/"}[want == 503], nil)
		require.NoError(t, err)
		assert.Equal(t, want, resp.StatusCode)
	}
	s.ClearRequests()
	assert.Empty(t, s.Requests())
	assert.Panics(t, func() { s.Fail(lettatest.Fault{Path: "["}) })
}

// A fault that nothing met is a mistake in the test.
func TestUnmetFault(t *testing.T) {
	t.Parallel()
	failed := &tb{}
	s := lettatest.NewServer(failed)
	s.Fail(lettatest.Fault{Path: "/v1/health/", Status: 503})
	s.Fail(lettatest.Fault{Path: "/v1/helth/", Status: 503})
	_, _, err := newCaller(t, s).send("GET", "/v1/health/", nil)
	require.NoError(t, err)
	require.Len(t, s.Unmet(), 1)
	assert.Equal(t, "/v1/helth/", s.Unmet()[0].Path)
	failed.cleanup()
	assert.True(t, failed.failed)
}

// Of an upload the server keeps the beginning and a sum, so a large one needs little memory.
func TestLargeUpload(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	folder := c.do(200, "POST", "/v1/folders/", object{"name": "f", "embedding": "openai/text-embedding-3-small"}).(object)["id"].(string)
	const size = 200 << 20
	pr, pw := io.Pipe()
	w := multipart.NewWriter(pw)
	go func() {
		part, _ := w.CreateFormFile("file", "large.txt")
		chunk := bytes.Repeat([]byte("x"), 1<<20)
		for range size >> 20 {
			_, _ = part.Write(chunk)
		}
		_ = w.Close()
		_ = pw.Close()
	}()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url+"/v1/folders/"+folder+"/upload", pr)
	require.NoError(t, err)
	req.Header.Set("Content-Type", w.FormDataContentType())
	resp, err := c.hc.Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	var file object
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&file))
	runtime.ReadMemStats(&after)
	assert.InDelta(t, size, file["file_size"], 0)
	assert.Less(t, after.HeapInuse, before.HeapInuse+size/2)
	assert.Len(t, s.Requests()[1].Body, 1<<20, "the log keeps the first MiB")
}

// What only the hosted service has is served by its documentation.
func TestHosted(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	id := c.create("name", "origin")["id"].(string)
	c.do(201, "POST", "/v1/templates", object{"type": "agent", "agent_id": id, "name": "t"})
	made := c.do(201, "POST", "/v1/templates/t:latest/agents", object{"agent_name": "copy"}).(object)["agent_ids"].([]any)
	assert.Equal(t, "copy", c.do(200, "GET", "/v1/agents/"+made[0].(string), nil).(object)["name"])
	c.do(200, "POST", "/v1/templates/t/save", object{})
	c.do(200, "DELETE", "/v1/templates/t", nil)
	c.do(404, "DELETE", "/v1/templates/t", nil)
	token := c.do(201, "POST", "/v1/client-side-access-tokens", object{
		"hostname": "h", "policy": []object{{"type": "agent", "id": id, "access": []string{"read_agent"}}},
	}).(object)["token"].(string)
	assert.Len(t, c.do(200, "GET", "/v1/client-side-access-tokens?agentId="+id, nil).(object)["tokens"], 1)
	c.do(204, "DELETE", "/v1/client-side-access-tokens/"+token, object{})
	sched := c.do(201, "POST", "/v1/agents/"+id+"/schedule", object{
		"messages": []object{{"role": "user", "content": "x"}}, "schedule": object{"type": "one-time", "scheduled_at": 1800000000000},
	}).(object)["id"].(string)
	assert.Len(t, c.do(200, "GET", "/v1/agents/"+id+"/schedule", nil).(object)["scheduled_messages"], 1)
	c.do(200, "DELETE", "/v1/agents/"+id+"/schedule/"+sched, nil)
	c.do(404, "GET", "/v1/agents/"+id+"/schedule/"+sched, nil)
	c.do(200, "GET", "/v1/environments", nil)
	c.do(404, "GET", "/v1/environments/x", nil)
}

// What only self-hosted servers have: a group shares blocks without saying so, and every key of a provider is valid.
func TestGroupsAndProviders(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	group := "/v1/groups/" + c.do(200, "POST", "/v1/groups/", object{"agent_ids": []string{}, "description": "d"}).(object)["id"].(string)
	block := c.do(200, "POST", "/v1/blocks/", object{"label": "shared", "value": "x"}).(object)["id"].(string)
	for _, verb := range []string{"attach", "detach", "detach"} {
		assert.Nil(t, c.do(200, "PATCH", group+"/blocks/"+verb+"/"+block, nil))
		c.do(404, "PATCH", group+"/blocks/"+verb+"/block"+unknown, nil)
	}
	assert.Empty(t, c.do(200, "GET", group, nil).(object)["shared_block_ids"])
	assert.Equal(t, []any{}, c.do(200, "GET", group+"/messages", nil))
	assert.Nil(t, c.do(200, "PATCH", group+"/reset-messages", nil))
	c.do(404, "PATCH", "/v1/groups/group"+unknown+"/reset-messages", nil)

	valid := object{"message": "Valid api key for provider_type=openai"}
	provider := c.do(200, "POST", "/v1/providers/", object{"name": "p", "provider_type": "openai", "api_key": "k"}).(object)["id"].(string)
	assert.Equal(t, valid, c.do(200, "POST", "/v1/providers/"+provider+"/check", nil))
	assert.Equal(t, valid, c.do(200, "POST", "/v1/providers/check", object{"provider_type": "openai", "api_key": "k"}))
	c.do(404, "POST", "/v1/providers/provider"+unknown+"/check", nil)
	c.do(422, "POST", "/v1/providers/check", object{"provider_type": "openai"})
}

// Every operation of the official client, and of self-hosted servers, has a row, and each row finds its operation.
func TestEveryOperation(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	for _, o := range apispec.Operations() {
		path := regexp.MustCompile(`\{\w+\}`).ReplaceAllString(o.Path, "x")
		resp, data, err := c.send(o.Method, path, nil)
		require.NoError(t, err)
		if resp.StatusCode == 500 {
			c.hc.CloseIdleConnections()
		}
		assert.NotEqual(t, 405, resp.StatusCode, o.SDK)
		assert.NotEqual(t, `{"detail":"Not Found"}`, string(data), o.SDK)
	}
}

// After an unknown error the real server closes the connection without a word; after other errors, even other 500s, it does not.
func TestConnectionAfter500(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	s.Fail(lettatest.Fault{Path: "/v1/fault", Status: 500})
	for path, closed := range map[string]bool{"/v1/none": false, "/v1/agents/?limit=-1": false, "/v1/fault": true} {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.URL(), "http://"))
		require.NoError(t, err)
		_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
		require.NoError(t, err)
		_ = conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		data, err := io.ReadAll(conn)
		assert.Equal(t, closed, err == nil, path)
		assert.NotContains(t, string(data), "Connection:")
		assert.Contains(t, string(data), "Content-Length:")
		_ = conn.Close()
	}
}

func TestRequests(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	c.do(200, "POST", "/v1/blocks/", object{"label": "x"}, "X-Mine", "1")
	c.do(200, "GET", "/v1/agents/?tags=a&tags=b", nil)
	log := s.Requests()
	require.Len(t, log, 2)
	assert.Equal(t, "POST", log[0].Method)
	assert.JSONEq(t, `{"label":"x"}`, string(log[0].Body))
	assert.Equal(t, "1", log[0].Header.Get("X-Mine"))
	assert.Equal(t, "/v1/agents/", log[1].Path)
	assert.Equal(t, url.Values{"tags": {"a", "b"}}, log[1].Query)
	assert.Equal(t, 200, log[1].Status)
	log[0].Body[0] = 'x'
	assert.JSONEq(t, `{"label":"x"}`, string(s.Requests()[0].Body), "the log is a copy")
}

func TestConcurrency(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	s.Fail(lettatest.Fault{Method: "GET", Path: "/v1/agents/", Times: 10, Status: 503})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 10 {
				_, data, err := c.send("POST", "/v1/agents/", object{"model": model, "tags": []string{fmt.Sprint(i)}})
				assert.NoError(t, err)
				var a object
				assert.NoError(t, json.Unmarshal(data, &a))
				_, _, err = c.send("PATCH", fmt.Sprint("/v1/agents/", a["id"]), object{"tags": []string{"all"}})
				assert.NoError(t, err)
				_, _, _ = c.send("GET", "/v1/agents/?include=agent.tools&limit=2", nil)
				s.Requests()
			}
		})
	}
	wg.Wait()
	assert.Equal(t, 80., c.do(200, "GET", "/v1/agents/count?tags=all", nil))
}

func TestClose(t *testing.T) {
	t.Parallel()
	s := lettatest.Start()
	c := newCaller(t, s)
	s.Fail(lettatest.Fault{Path: "/v1/tags/", Delay: time.Hour})
	s.Fail(lettatest.Fault{Path: "/v1/models/", Delay: time.Hour, Drop: lettatest.DropBeforeRead})
	var wg sync.WaitGroup
	for _, path := range []string{"/v1/tags/", "/v1/models/"} {
		wg.Go(func() {
			_, _, err := c.send("GET", path, nil)
			assert.Error(t, err)
		})
	}
	assert.Eventually(t, func() bool { return len(s.Requests()) == 2 }, 5*time.Second, time.Millisecond)
	for range 3 {
		wg.Go(s.Close)
	}
	wg.Wait()
	s.Close()
	_, _, err := c.send("GET", "/v1/health/", nil)
	require.Error(t, err)
}

func TestClientLeavesDuringDelay(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	s.Fail(lettatest.Fault{Method: "POST", Delay: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/v1/agents/", strings.NewReader(`{"model":"`+model+`"}`))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	_, err = c.hc.Do(req)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Equal(t, 1., c.do(200, "GET", "/v1/agents/count", nil), "processed, although the answer was too late")
}

func TestListen(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	addr := lettatest.WithAddr(strings.TrimPrefix(s.URL(), "http://"))
	_, err := lettatest.Listen(addr)
	require.ErrorContains(t, err, "lettatest: listen tcp")
	assert.Panics(t, func() { lettatest.Start(addr) })
	var failed tb
	assert.Nil(t, lettatest.NewServer(&failed, addr))
	assert.True(t, failed.failed)
}

// tb is a test that only notes that it failed.
type tb struct {
	failed  bool
	cleanup func()
}

func (b *tb) Helper()               {}
func (b *tb) Cleanup(f func())      { b.cleanup = f }
func (b *tb) Errorf(string, ...any) { b.failed = true }
func (b *tb) Fatalf(string, ...any) { b.failed = true }

func TestClient(t *testing.T) {
	t.Parallel()
	for _, opts := range [][]lettatest.Option{nil, {lettatest.WithPassword("secret")}} {
		s, _ := start(t, opts...)
		transport := &http.Transport{}
		t.Cleanup(transport.CloseIdleConnections)
		client := s.Client(letta.WithHTTPClient(&http.Client{Transport: transport}))
		a, err := client.Agents.Create(t.Context(), &letta.AgentCreateParams{Model: model, Tags: []string{"user_1"}})
		require.NoError(t, err)
		found, err := client.Agents.List(t.Context(), letta.Tags("user_1"))
		require.NoError(t, err)
		require.Len(t, found, 1)
		assert.Equal(t, a.ID, found[0].ID)
		assert.Equal(t, []string{"user_1"}, found[0].Tags)
	}
	s, _ := start(t)
	assert.Panics(t, func() { s.Client(letta.WithBaseURL("::")) })
}
