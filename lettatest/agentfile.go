package lettatest

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/letta-go/letta/internal/apispec/check"
	"github.com/letta-go/letta/internal/python"
)

// portable are the members of an agent that an agent file carries as they are.
const portable = "name system agent_type description metadata llm_config embedding_config tool_rules message_buffer_autoclear response_format " +
	"timezone max_files_open per_file_view_window_char_limit hidden"

func exportAgent(w *world, c *call) answer {
	a := w.agents.get(c.id)
	switch {
	case flag(c.q, "use_legacy_format"):
		return fail(http.StatusBadRequest, "Legacy format is not supported")
	case a == nil:
		return fail(http.StatusInternalServerError, "Export failed: The following agent IDs were not found: [%s]", python.Repr(c.id))
	}
	if name := text(a.fields, "name"); unsafeInName.MatchString(name) {
		return fail(http.StatusInternalServerError, "Export failed: "+badName, name)
	}
	attached, toolIDs := []any{}, []any{}
	for i, t := range tools.of(w, a) {
		toolIDs = append(toolIDs, fmt.Sprintf("tool-%d", i))
		attached = append(attached, with(t.shown(), "id", toolIDs[i]))
	}
	shown, blockIDs := []any{}, []any{}
	for i, id := range a.links["block"] {
		b := with(w.blocks.get(id).shown(), "id", fmt.Sprintf("block-%d", i), "tags", nil)
		delete(b, "created_by_id")
		delete(b, "last_updated_by_id")
		shown, blockIDs = append(shown, b), append(blockIDs, b["id"])
	}
	messages, ids := []any{}, []any{}
	for i, m := range a.messages {
		if flag(c.q, "scrub_messages") {
			break
		}
		ids = append(ids, fmt.Sprintf("message-%d", i))
		o := with(sample("agents.export_file", "agents", 0, "messages", 0), "id", ids[i], "otid", m.otid, "role", m.role,
			"created_at", pyTime(m.created), "model", m.model)
		o["content"] = []any{object{"type": "text", "text": m.text, "signature": nil}}
		messages = append(messages, o)
	}
	secrets := object{}
	for _, x := range a.secrets {
		secrets[x.key] = "" // values never leave
	}
	file := sample("agents.export_file")
	out := get[[]any](file, "agents")[0].(object)
	maps.Copy(out, pick(w.state(a, nil), portable))
	with(out, "tags", list(a.tags), "tool_ids", toolIDs, "block_ids", blockIDs, "secrets", secrets, "tool_exec_environment_variables", secrets,
		"messages", messages, "in_context_message_ids", ids, "enable_sleeptime", flag(a.fields, "enable_sleeptime"))
	if len(secrets) == 0 {
		out["secrets"] = nil
	}
	return ok(with(file, "agents", []any{out}, "tools", attached, "blocks", shown, "created_at", pyTime(w.now())))
}

func importAgents(w *world, c *call) answer {
	var file any
	bad := readJSON(c.file.head, &file) != nil
	if again, ok := file.(string); ok {
		bad = readJSON([]byte(again), &file) != nil
	}
	if bad || c.file.size > int64(len(c.file.head)) {
		return fail(http.StatusBadRequest, "Corrupted agent file format.")
	}
	var env object
	if v := cmp.Or(c.form.Get("secrets"), c.form.Get("env_vars_json")); v != "" && (readJSON([]byte(v), &env) != nil || env == nil) {
		return fail(http.StatusBadRequest, "secrets must be a valid JSON string")
	}
	in, _ := file.(object)
	agents, isList := in["agents"].([]any)
	if !isList {
		if in == nil && python.Repr(file)[0] != '[' {
			return crash()
		}
		return fail(http.StatusBadRequest, "Legacy AgentSchema format is deprecated. Please use the new AgentFileSchema format with 'agents' field.")
	}
	checkFile(in, agents)
	over := w.overrides(c)
	ids := map[string]any{}
	for _, v := range get[[]any](in, "tools") {
		if t, ok := v.(object); ok {
			ids[text(t, "id")] = w.upsertTool(t).id
		}
	}
	for _, v := range get[[]any](in, "blocks") {
		f, _ := v.(object)
		b := blocks.fresh(w, new(check.Problems).Body(check.Of("BlockCreateParams", "body"), f, false))
		makeBlock(w, nil, b)
		ids[text(f, "id")] = w.blocks.put(b).id
	}
	made := []any{}
	for _, v := range agents {
		spec := maps.Clone(v.(object))
		if name := cmp.Or(c.form.Get("name"), c.form.Get("override_name")); name != "" {
			spec["name"] = name
		} else if c.in["append_copy_suffix"] != false {
			spec["name"] = fmt.Sprint(spec["name"]) + "_copy"
		}
		for _, k := range []string{"tool_ids", "block_ids"} {
			mapped := []any{}
			for _, id := range get[[]any](spec, k) {
				mapped = append(mapped, ids[fmt.Sprint(id)])
			}
			spec[k] = mapped
		}
		if have, ok := spec["secrets"].(object); ok && env != nil {
			values := object{}
			for k := range have {
				values[k] = text(env, k)
			}
			spec["secrets"] = values
		}
		var p check.Problems
		create := p.Body(check.Of("AgentCreateParams", "body"), spec, false)
		maps.Copy(create, over)
		if p.Any() {
			return fail(http.StatusBadRequest, "Import failed: %s", p.String())
		}
		if a, bad := refused(func() {
			a := w.newAgent(create)
			w.importMessages(a, spec)
			made = append(made, a.id)
		}); bad {
			refuse(http.StatusBadRequest, "Import failed: %v", a.body.(object)["detail"])
		}
	}
	return ok(object{"agent_ids": made})
}

// overrides are what the form says instead of the file.
func (w *world) overrides(c *call) object {
	over := object{}
	form := c.form.Get
	if h := cmp.Or(form("embedding"), form("override_embedding_handle"), c.Header.Get("X-Override-Embedding-Model")); h != "" {
		over["embedding_config"] = w.embeddingFor(h)
	}
	if h := cmp.Or(form("model"), form("override_model_handle")); h != "" {
		over["llm_config"] = w.modelFor(h)
	}
	if p := cmp.Or(c.Header.Get("X-Project-Id"), form("project_id")); p != "" {
		over["project_id"] = p
	}
	return over
}

// importMessages takes over the messages that were in context.
func (w *world) importMessages(a *agent, spec object) {
	w.forget(a)
	keep := texts(spec, "in_context_message_ids")
	for _, v := range get[[]any](spec, "messages") {
		if m, _ := v.(object); slices.Contains(keep, text(m, "id")) {
			w.keep(a, &a.thread, &message{
				otid: text(m, "otid"), role: text(m, "role"), text: textOf(get[[]any](m, "content"), ""), model: m["model"],
			})
		}
	}
}

// checkFile reports what an agent file lacks.
func checkFile(in object, agents []any) {
	var lines []string
	missing := func(at string) {
		lines = append(lines, at+"\n  Field required [type=missing, input_type=dict]")
	}
	for i, v := range agents {
		if a, ok := v.(object); !ok || a["id"] == nil {
			missing(fmt.Sprintf("agents.%d.id", i))
		}
	}
	for _, k := range []string{"groups", "blocks", "files", "sources", "tools", "mcp_servers"} {
		if _, ok := in[k]; !ok {
			missing(k)
		}
	}
	if lines != nil {
		refuse(http.StatusBadRequest, "%d validation errors for AgentFileSchema\n%s", len(lines), strings.Join(lines, "\n"))
	}
}
