package lettatest

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/letta-go/letta/internal/python"
)

// What only Letta's hosted service has. These rows are documented, not recorded: Letta 0.16.8 answers them with 404, and what stands here follows
// the types of the official client alone. Nothing is scheduled, and no environment ever connects.
var hostedRoutes = slices.Concat(
	schedules.routes("agents.schedule", "create list retrieve delete", handlers{
		"create":   withAgent(createSchedule),
		"list":     withAgent(listSchedules),
		"retrieve": func(w *world, c *call) answer { return ok(schedules.get(w, c.sub).shown()) },
		"delete": func(w *world, c *call) answer {
			schedules.drop(w, schedules.get(w, c.sub))
			return ok(object{"success": true})
		},
	}),
	[]route{
		{op: "templates.create", handle: createTemplate},
		{op: "templates.update", handle: withTemplate(func(*world, *row, *call) answer { return succeeded("Template updated") })},
		{op: "templates.delete", handle: withTemplate(func(w *world, t *row, _ *call) answer {
			w.templates.drop(t.id)
			return ok(object{"success": true})
		})},
		{op: "templates.rollback", handle: withTemplate(func(w *world, t *row, c *call) answer {
			t.fields["latest_version"] = c.in["version"]
			return succeeded("Template rolled back")
		})},
		{op: "templates.save", handle: withTemplate(func(w *world, t *row, c *call) answer {
			t.fields["latest_version"], t.updated = text(t.fields, "latest_version")+"0", w.now()
			return ok(t.shown())
		})},
		{op: "templates.agents.create", handle: withTemplate(agentOfTemplate)},
		{op: "environments.list", handle: always(ok(object{"connections": []any{}, "hasNextPage": false}))},
		{op: "environments.retrieve", handle: always(noEnvironment)},
		{op: "environments.send_message", handle: always(noEnvironment)},
		{op: "access_tokens.create", handle: createToken},
		{op: "access_tokens.list", handle: listTokens},
		{op: "access_tokens.delete", handle: deleteToken},
	},
)

var schedules = &resource{
	kind: "scheduled-message", noun: "Schedule",
	rows:   func(w *world) *table[*row] { return &w.schedules },
	sample: func() object { return nulls("id agent_id schedule next_scheduled_time message") },
}

func succeeded(message string) answer { return ok(object{"success": true, "message": message}) }

func createSchedule(w *world, c *call, a *agent) answer {
	r := schedules.fresh(w, pick(c.in, "schedule"))
	with(r.fields, "agent_id", a.id, "message", pick(c.in, "messages callback_url include_return_message_types max_steps"))
	out := object{"id": r.id}
	if at, ok := get[object](c.in, "schedule")["scheduled_at"].(json.Number); ok {
		ms, _ := at.Float64()
		out["next_scheduled_at"] = timestamp(time.UnixMilli(int64(ms)).UTC())
		r.fields["next_scheduled_time"] = out["next_scheduled_at"]
	}
	w.schedules.put(r)
	return ok(out)
}

func listSchedules(w *world, _ *call, a *agent) answer {
	return ok(object{"scheduled_messages": shown(whose(&w.schedules, "agent_id", a.id), (*row).json), "has_next_page": false})
}

// createTemplate keeps the agent that a template is made of.
func createTemplate(w *world, c *call) answer {
	agent := text(c.in, "agent_id")
	if text(c.in, "type") == "agent" {
		w.agents.must(agent, noAgent(agent))
	}
	r := w.newRow("template")
	name := cmp.Or(text(c.in, "name"), strings.ToLower(adjectives[len(w.templates.rows)%len(adjectives)])+"-template")
	r.fields = with(nulls("id updated_at"), "name", name, "latest_version", "1", "project_id", "default", "project_slug", "default",
		"template_deployment_slug", name)
	r.links = map[string][]string{"agent": {agent}}
	return ok(w.templates.put(&r).shown())
}

// withTemplate finds a template by its name, with or without project/ and :version.
func withTemplate(f func(*world, *row, *call) answer) func(*world, *call) answer {
	return func(w *world, c *call) answer {
		name, _, _ := strings.Cut(c.id, ":")
		if t := first(whose(&w.templates, "name", name)); t != nil {
			return f(w, t, c)
		}
		return fail(http.StatusNotFound, "Template not found")
	}
}

func agentOfTemplate(w *world, t *row, c *call) answer {
	in := object{"model": w.models.rows[0].id, "tags": c.in["tags"], "identity_ids": c.in["identity_ids"], "name": c.in["agent_name"]}
	if from := w.agents.get(t.links["agent"][0]); from != nil {
		with(in, "llm_config", get[object](from.fields, "llm_config"), "system", from.fields["system"], "tool_ids", list(from.links["tool"]),
			"include_base_tools", false)
	}
	a := w.newAgent(in)
	return ok(object{"agent_ids": []any{a.id}, "deployment_id": newID("deployment"), "group_id": nil})
}

var noEnvironment = fail(http.StatusNotFound, "Environment not found")

func createToken(w *world, c *call) answer {
	r := w.newRow("token")
	r.fields = object{
		"token": r.id, "hostname": c.in["hostname"], "policy": object{"version": "1", "data": c.in["policy"]},
		"expiresAt": cmp.Or(text(c.in, "expires_at"), timestamp(r.created.Add(5*time.Minute))),
	}
	return ok(w.tokens.put(&r).fields)
}

func listTokens(w *world, c *call) answer {
	rows := w.tokens.where(func(t *row) bool {
		id := text(c.q, "agentId")
		return id == "" || strings.Contains(python.Repr(t.fields["policy"]), id)
	})
	return ok(object{"tokens": shown(rows, (*row).json), "hasNextPage": false})
}

func deleteToken(w *world, c *call) answer {
	w.tokens.must(c.id, fail(http.StatusNotFound, "Token not found"))
	w.tokens.drop(c.id)
	return answer{status: http.StatusNoContent} // without a type: the official client would look for JSON
}
