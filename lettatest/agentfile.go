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
	secrets := object{}
	for _, x := range a.secrets {
		secrets[x.key] = "" // values never leave
	}
	attached := shown(tools.of(w, a), (*row).json)
	attachedBlocks := shown(a.links["block"], func(id string) any {
		b := with(w.blocks.get(id).shown(), "tags", nil)
		delete(b, "created_by_id")
		delete(b, "last_updated_by_id")
		return b
	})
	messages := shown(a.messages, func(m *message) any {
		return with(sample("agents.export_file", "agents", 0, "messages", 0), "otid", m.otid, "role", m.role, "created_at", pyTime(m.created),
			"model", m.model, "content", []any{object{"type": "text", "text": m.text, "signature": nil}})
	})
	if flag(c.q, "scrub_messages") {
		messages = []any{}
	}
	file := sample("agents.export_file")
	out := get[[]any](file, "agents")[0].(object)
	maps.Copy(out, pick(w.state(a, nil), portable))
	with(out, "tags", list(a.tags), "secrets", secrets, "tool_exec_environment_variables", secrets, "messages", messages,
		"tool_ids", numbered("tool", attached), "block_ids", numbered("block", attachedBlocks), "in_context_message_ids", numbered("message", messages))
	if len(secrets) == 0 {
		out["secrets"] = nil
	}
	return ok(with(file, "agents", []any{out}, "tools", attached, "blocks", attachedBlocks, "created_at", pyTime(w.now())))
}

// numbered gives rows the ids that they have within a file, and returns these.
func numbered(kind string, rows []any) []any {
	ids := []any{}
	for i, v := range rows {
		ids = append(ids, fmt.Sprintf("%s-%d", kind, i))
		v.(object)["id"] = ids[i]
	}
	return ids
}

func importAgents(w *world, c *call) answer {
	var file any
	if readJSON(c.file.head, &file) != nil || c.file.size > int64(len(c.file.head)) {
		return fail(http.StatusBadRequest, "Corrupted agent file format.")
	}
	var env object
	if v := cmp.Or(c.form.Get("secrets"), c.form.Get("env_vars_json")); v != "" && (readJSON([]byte(v), &env) != nil || env == nil) {
		return fail(http.StatusBadRequest, "secrets must be a valid JSON string")
	}
	in, _ := file.(object)
	checkFile(in)
	over, ids := w.overrides(c), map[string]any{}
	for _, t := range objects(in, "tools") {
		ids[text(t, "id")] = w.upsertTool(t).id
	}
	for _, o := range objects(in, "blocks") {
		b := blocks.fresh(w, new(check.Problems).Body(check.Of("BlockCreateParams", "body"), o, false))
		makeBlock(w, nil, b)
		ids[text(o, "id")] = w.blocks.put(b).id
	}
	made := []any{}
	for _, spec := range objects(in, "agents") {
		if name := cmp.Or(c.form.Get("name"), c.form.Get("override_name")); name != "" {
			spec["name"] = name
		} else if c.in["append_copy_suffix"] != false {
			spec["name"] = fmt.Sprint(spec["name"]) + "_copy"
		}
		for _, k := range []string{"tool_ids", "block_ids"} {
			spec[k] = shown(texts(spec, k), func(id string) any { return ids[id] })
		}
		if have := get[object](spec, "secrets"); have != nil && env != nil {
			for k := range have {
				have[k] = text(env, k)
			}
		}
		var p check.Problems
		create := p.Body(check.Of("AgentCreateParams", "body"), spec, false)
		maps.Copy(create, over)
		if p.Any() {
			return fail(http.StatusBadRequest, "Import failed: %s", p.String())
		}
		if a, bad := refused[answer](func() {
			a := w.newAgent(create)
			w.importMessages(a, spec)
			made = append(made, a.id)
		}); bad {
			return fail(http.StatusBadRequest, "Import failed: %v", a.body.(object)["detail"])
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
	for _, m := range objects(spec, "messages") {
		if slices.Contains(keep, text(m, "id")) {
			w.keep(a, &a.thread, &message{
				otid: text(m, "otid"), role: text(m, "role"), text: textOf(get[[]any](m, "content"), ""), model: m["model"],
			})
		}
	}
}

// checkFile reports what an agent file lacks.
func checkFile(in object) {
	if _, isList := in["agents"].([]any); !isList {
		refuse(http.StatusBadRequest, "Legacy AgentSchema format is deprecated. Please use the new AgentFileSchema format with 'agents' field.")
	}
	missing := slices.DeleteFunc(strings.Fields("groups blocks files sources tools mcp_servers"), func(k string) bool { return in[k] != nil })
	if len(missing) > 0 {
		refuse(http.StatusBadRequest, "%d validation errors for AgentFileSchema\n%s\n  Field required", len(missing),
			strings.Join(missing, "\n  Field required\n"))
	}
}
