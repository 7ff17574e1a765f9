package lettatest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/letta-go/letta/internal/python"
)

var (
	toolRoutes = tools.routes("tools", "delete count retrieve list search create upsert update run", handlers{
		"search": always(fail(http.StatusBadRequest, "Tool semantic search requires tool embedding to be enabled.")),
		"create": writeTool, "upsert": writeTool, "run": runSource,
	})
	agentToolRoutes = tools.routes("agents.tools", "list attach detach update_approval run", handlers{
		"list": tools.ofAgent(listing{asc: true, byID: true, fixed: true}), "update_approval": withAgent(approveTool), "run": withAgent(runTool),
	})
)

var tools = &resource{
	kind: "tool", noun: "Tool",
	rows: func(w *world) *table[*row] { return &w.tools },
	sample: func() object {
		return with(sample("tools.create"), "tags", []any{}, "metadata_", object{}, "return_char_limit", 50000)
	},
	blank: "name description json_schema args_json_schema source_code pip_requirements npm_requirements default_requires_approval project_id",
	filters: map[string]filter{
		"search": contains("name"), "names": among("name"), "tool_ids": func(_ *world, r *row, v any) bool { return slices.Contains(v.([]any), any(r.id)) },
		"tool_types":              among("tool_type"),
		"exclude_tool_types":      func(w *world, r *row, v any) bool { return !among("tool_type")(w, r, v) },
		"return_only_letta_tools": func(_ *world, r *row, v any) bool { return v == false || isLettaTool(r) },
	},
	change:  func(_ *world, _ *call, r *row) { describe(r) },
	unknown: http.StatusBadRequest, deleted: null,
	give: func(w *world, a *agent, t *row) {
		a.link("tool", t.id)
		w.approvals(a, t.id)
	},
	told: legacy,
}

//go:embed basetools.jsonl
var baseTools []byte // every server is born with them

func (w *world) stockTools() {
	for line := range bytes.Lines(baseTools) {
		var in object
		_ = readJSON(line, &in)
		w.tools.put(tools.fresh(w, in))
	}
}

func isLettaTool(r *row) bool { return strings.HasPrefix(text(r.fields, "tool_type"), "letta_") }

// toolNamed finds a tool by its name; nil for none.
func (w *world) toolNamed(name string) *row { return first(whose(&w.tools, "name", name)) }

// upsertTool finds a tool by name, or takes it over.
func (w *world) upsertTool(in object) *row {
	if t := w.toolNamed(text(in, "name")); t != nil {
		return t
	}
	return w.tools.put(tools.fresh(w, in))
}

// describe derives the name and the schema of a tool from its Python source.
func describe(r *row) {
	source, schema := text(r.fields, "source_code"), get[object](r.fields, "json_schema")
	switch {
	case source == "", schema != nil && r.fields["name"] != nil:
		return
	case schema == nil:
		f, parsed := python.Parse(source)
		if !parsed || f.Doc == "" {
			refuse(http.StatusBadRequest, "Failed to derive json schema: Schema generation failed: Failed to parse source code, or missing docstring")
		}
		schema = f.Schema()
		r.fields["json_schema"] = schema
	}
	r.fields["name"] = schema["name"]
	if r.fields["description"] == nil {
		r.fields["description"] = schema["description"]
	}
}

// writeTool is create and upsert alike: a tool of the same name is updated.
func writeTool(w *world, c *call) answer {
	r := tools.fresh(w, with(c.in, "args_json_schema", or(c.in["args_json_schema"], object{}), "source_type", or(c.in["source_type"], "json")))
	describe(r)
	sum := sha256.Sum256([]byte(text(r.fields, "source_code")))
	r.fields["metadata_"] = object{"tool_hash": hex.EncodeToString(sum[:])}
	if old := w.toolNamed(text(r.fields, "name")); old != nil {
		if c.in["tags"] == nil {
			delete(r.fields, "tags")
		}
		overlay(old.fields, r.fields)
		old.updated = w.now()
		return ok(old.shown())
	}
	return ok(w.tools.put(r).shown())
}

var toolTypes = []string{
	"custom", "letta_core", "letta_memory_core", "letta_multi_agent_core", "letta_sleeptime_core", "letta_voice_sleeptime_core", "letta_builtin",
	"letta_files_core", "external_langchain", "external_composio", "external_mcp",
}

// knownTypes is the rule of the parameters that name types of tools.
func knownTypes(c *call) {
	for _, t := range append(texts(c.q, "tool_types"), texts(c.q, "exclude_tool_types")...) {
		if !slices.Contains(toolTypes, t) {
			refuse(http.StatusBadRequest, "Invalid tool type '%s'. Must be one of: %s", t, strings.Join(toolTypes, ", "))
		}
	}
}

func runSource(w *world, c *call) answer {
	def, _ := python.Parse(text(c.in, "source_code"))
	name := cmp.Or(text(c.in, "name"), def.Name)
	run := w.runner(nil, &row{fields: object{"name": name, "source_code": c.in["source_code"]}}, string(encode(c.in["args"])))
	return answer{later: func(context.Context) answer {
		out, _, bad := run()
		o, result := sample("x.tools.run"), object{"tool_return": out, "status": "success", "stderr": []any{}}
		if bad != nil {
			with(result, "tool_return", bad.Text, "status", "error", "stderr", []any{bad.In(name)})
		}
		maps.Copy(get[[]any](o, "tool_returns")[0].(object), result)
		maps.Copy(o, result)
		return ok(with(o, "date", date(time.Now().UTC())))
	}}
}

// approvals gives an agent the rule of a tool that waits for an approval by default.
func (w *world) approvals(a *agent, tools ...string) {
	for _, id := range tools {
		if t := w.tools.get(id); t != nil && t.fields["default_requires_approval"] == true {
			a.waitFor(text(t.fields, "name"), true)
		}
	}
}

// waitFor adds or removes the rule that a tool waits for an approval.
func (a *agent) waitFor(tool string, on bool) {
	rules := slices.DeleteFunc(slices.Clone(get[[]any](a.fields, "tool_rules")), func(v any) bool {
		return text(v.(object), "type") == "requires_approval" && text(v.(object), "tool_name") == tool
	})
	if on {
		rules = append(rules, object{"type": "requires_approval", "tool_name": tool, "prompt_template": nil})
	}
	a.fields["tool_rules"] = rules
}

// approveTool adds or removes the rule that a tool waits for an approval. Of a tool that the agent lacks nobody complains.
func approveTool(w *world, c *call, a *agent) answer {
	a.waitFor(c.sub, or(c.q["requires_approval"], flag(c.in, "requires_approval")).(bool))
	return tools.told.see(w, c, a)
}

// runTool runs a tool of an agent outside of a turn.
func runTool(w *world, c *call, a *agent) answer {
	for _, t := range tools.of(w, a) {
		if t.fields["name"] != c.sub {
			continue
		}
		o, run := sample("agents.tools.run"), w.runner(a, t, string(encode(c.in["args"])))
		if isLettaTool(t) {
			o = sample("agents.tools.run.core_tool")
		}
		return answer{later: func(context.Context) answer {
			out, _, bad := run()
			if o["func_return"] = out; bad != nil {
				with(o, "status", "error", "func_return", nil, "stderr", []any{bad.In(c.sub)})
			}
			return ok(o)
		}}
	}
	return fail(http.StatusNotFound, "Tool '%s' not found or not attached to agent '%s'", c.sub, c.id)
}

// giveTools gives a new agent its tools, and returns their names.
func (w *world) giveTools(a *agent, in object, kind string) []string {
	names, ids := texts(in, "tools"), texts(in, "tool_ids")
	if base, set := in["include_base_tools"]; !set || base == true {
		in["include_base_tools"] = true
		more := baseToolsOf[kind]
		if flag(in, "enable_sleeptime") && !strings.HasPrefix(kind, "voice_") && kind != "sleeptime_agent" {
			more = "archival_memory_search conversation_search send_message"
		}
		names = append(names, strings.Fields(more)...)
	}
	if flag(in, "include_multi_agent_tools") {
		names = append(names, "send_message_to_agent_and_wait_for_reply", "send_message_to_agent_async", "send_message_to_agents_matching_tags")
	}
	var found []string
	for _, t := range w.tools.rows {
		name := text(t.fields, "name")
		if slices.Contains(names, name) || slices.Contains(ids, t.id) {
			a.link("tool", t.id)
			found = append(found, name)
			names, ids = without(names, name), without(ids, t.id)
		}
	}
	for what, missing := range map[string][]string{"name: ": names, "id:   ": ids} {
		if len(missing) > 0 {
			refuse(http.StatusBadRequest, "Tools not found by %s{%s}", what, printed(missing))
		}
	}
	return found
}

func printed(values []string) string {
	out := python.Repr(list(values))
	return out[1 : len(out)-1]
}

// baseToolsOf are what an agent gets unasked, by its type.
var baseToolsOf = map[string]string{
	"voice_sleeptime_agent": "finish_rethinking_memory rethink_user_memory store_memories",
	"voice_convo_agent":     "search_memory",
	"sleeptime_agent":       "memory_finish_edits memory_insert memory_replace memory_rethink",
	"memgpt_v2_agent":       "conversation_search memory_insert memory_replace send_message",
	typeV1:                  "conversation_search memory_insert memory_replace",
	"memgpt_agent":          "conversation_search core_memory_append core_memory_replace memory memory_apply_patch send_message",
}

// baseRule is the kind of rule a base tool brings along.
func baseRule(name string) string {
	switch {
	case slices.Contains([]string{"send_message", "send_message_to_agent_async", "memory_finish_edits"}, name):
		return "exit_loop"
	case strings.Contains(name, "memory") && !strings.HasSuffix(name, "_memory"), name == "conversation_search":
		return "continue_loop"
	}
	return ""
}
