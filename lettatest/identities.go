package lettatest

import (
	"fmt"
	"slices"
)

// Identities, groups, providers and jobs: the official client has no methods for them, self-hosted servers do.

const identityFields = "name string%[1]s; identifier_key string%[1]s; identity_type string%[1]s enum=org,user,other; project_id string|null; " +
	"agent_ids array<string>|null; block_ids array<string>|null; properties array<any>|null"

var (
	identityRoutes = []route{
		{op: "GET /v1/identities/ | query name string; project_id string; identifier_key string; identity_type string enum=org,user,other; " +
			"before string; after string; limit integer; order string enum=asc,desc; order_by string", handle: identities.index},
		{op: "GET /v1/identities/count", handle: identities.count},
		{op: "GET /v1/identities/{identity_id}", handle: identities.retrieve},
		{op: "POST /v1/identities/ | body " + fmt.Sprintf(identityFields, "!"), handle: identities.create},
		{op: "PUT /v1/identities/ | body " + fmt.Sprintf(identityFields, "!"), handle: upsertIdentity},
		{op: "PATCH /v1/identities/{identity_id} | body " + fmt.Sprintf(identityFields, "|null"), handle: identities.update},
		{op: "PUT /v1/identities/{identity_id}/properties", handle: setProperties},
		{op: "DELETE /v1/identities/{identity_id}", handle: identities.remove},
		{op: "GET /v1/identities/{identity_id}/agents | AgentListParams", handle: linkedAgents("identity")},
		{op: "GET /v1/identities/{identity_id}/blocks | agents.BlockListParams", handle: func(w *world, c *call) answer {
			have := texts(identities.get(w, c.id).fields, "block_ids")
			return blocks.page(w, c.q, w.blocks.where(func(b *row) bool { return slices.Contains(have, b.id) }))
		}},
	}
	groupRoutes = []route{
		{op: "GET /v1/groups/ | query manager_type string; before string; after string; limit integer; order string enum=asc,desc; project_id string; " +
			"show_hidden_groups boolean", handle: groups.index},
		{op: "GET /v1/groups/count", handle: groups.count},
		{op: "GET /v1/groups/{group_id}", handle: groups.retrieve},
		{op: "POST /v1/groups/ | body agent_ids array<string>!; description string!; manager_config any; project_id string|null; " +
			"shared_block_ids array<string>; hidden boolean|null", handle: groups.create},
		{op: "PATCH /v1/groups/{group_id} | body agent_ids array<string>|null; description string|null; project_id string|null; " +
			"shared_block_ids array<string>|null", handle: groups.update},
		{op: "DELETE /v1/groups/{group_id}", handle: groups.remove},
	}
	providerRoutes = []route{
		{
			op:     "GET /v1/providers/ | query before string; after string; limit integer; order string enum=asc,desc; name string; provider_type string",
			handle: providers.index,
		},
		{op: "GET /v1/providers/{provider_id}", handle: providers.retrieve},
		{op: "POST /v1/providers/ | body name string!; provider_type string!; api_key string!; base_url string|null; region string|null; " +
			"access_key string|null; api_version string|null", handle: providers.create},
		{op: "PATCH /v1/providers/{provider_id} | body api_key string!; base_url string|null; region string|null; access_key string|null; " +
			"api_version string|null", handle: providers.update},
		{op: "PATCH /v1/providers/{provider_id}/refresh", handle: providers.retrieve},
		{op: "DELETE /v1/providers/{provider_id}", handle: providers.remove},
	}
	jobRoutes = []route{
		{op: "GET /v1/jobs/ | query source_id string; before string; after string; limit integer; order string enum=asc,desc; active boolean; " +
			"ascending boolean", handle: jobs.index},
		{op: "GET /v1/jobs/active | query limit integer", handle: jobs.index},
		{op: "GET /v1/jobs/{job_id}", handle: jobs.retrieve},
		{op: "PATCH /v1/jobs/{job_id}/cancel", handle: jobs.retrieve},
		{op: "DELETE /v1/jobs/{job_id}", handle: jobs.remove},
	}
)

var identities = &resource{
	kind: "identity", noun: "Identity",
	rows:    func(w *world) *table[*row] { return &w.identities },
	sample:  func() object { return with(sample("x.identities.create"), "properties", []any{}) },
	blank:   "project_id",
	filters: map[string]filter{"name": contains("name")},
	making: func(w *world, _ *call, r *row) {
		if w.identityKeyed(r.fields["identifier_key"]) != nil {
			panic(duplicate("Identity"))
		}
	},
	deleted: null,
	gone: func(w *world, r *row) {
		for _, a := range w.agents.rows {
			a.unlink("identity", r.id)
		}
	},
}

func (w *world) identityKeyed(key any) *row {
	for _, r := range w.identities.rows {
		if r.fields["identifier_key"] == key {
			return r
		}
	}
	return nil
}

func upsertIdentity(w *world, c *call) answer {
	r := w.identityKeyed(c.in["identifier_key"])
	if r == nil {
		return identities.create(w, c)
	}
	overlay(r.fields, c.in)
	r.updated = w.now()
	return ok(identities.view(w, r))
}

// setProperties replaces the properties of an identity. Its body is a bare list.
func setProperties(w *world, c *call) answer {
	r := identities.get(w, c.id)
	var properties []any
	if readJSON(c.raw, &properties) == nil {
		r.fields["properties"] = properties
	}
	return ok(null)
}

var groups = &resource{
	kind: "group", noun: "Group",
	rows: func(w *world) *table[*row] { return &w.groups },
	sample: func() object {
		return with(sample("agents.create.sleeptime", "managed_group"), "manager_type", "round_robin", "turns_counter", nil, "sleeptime_agent_frequency", nil)
	},
	blank:   "manager_agent_id",
	filters: map[string]filter{"show_hidden_groups": always},
	making: func(_ *world, c *call, r *row) {
		config := get[object](c.in, "manager_config")
		overlay(r.fields, pick(config, "manager_type manager_agent_id termination_token max_turns sleeptime_agent_frequency max_message_buffer_length "+
			"min_message_buffer_length"))
	},
	deleted: object{"message": "Group deleted"},
}

// providers are those that a user brings along. The members are those of the documentation: no recording has one.
var providers = &resource{
	kind: "provider", noun: "Provider",
	rows: func(w *world) *table[*row] { return &w.providers },
	sample: func() object {
		return with(nulls("id name provider_type api_key base_url region access_key api_version created_at updated_at api_key_enc access_key_enc "+
			"last_synced"), "provider_category", "byok", "organization_id", orgID)
	},
	deleted: object{"message": "Provider deleted"},
}

// jobs belong to uploads in the background. Here everything is done at once, so there are none.
var jobs = &resource{
	kind: "job", noun: "Job",
	rows:    func(w *world) *table[*row] { return &w.jobs },
	filters: map[string]filter{"active": always},
}
