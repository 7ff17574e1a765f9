package lettatest

import (
	"slices"
)

// Identities, groups, providers and jobs: the official client has no methods for them, self-hosted servers do.

var (
	identityRoutes = []route{
		{op: "identities.list", handle: identities.index},
		{op: "identities.count", handle: identities.count},
		{op: "identities.retrieve", handle: identities.retrieve},
		{op: "identities.create", handle: identities.create},
		{op: "identities.upsert", handle: upsertIdentity},
		{op: "identities.update", handle: identities.update},
		{op: "identities.properties.update", handle: setProperties},
		{op: "identities.delete", handle: identities.remove},
		{op: "identities.agents.list", handle: linkedAgents("identity")},
		{op: "identities.blocks.list", handle: func(w *world, c *call) answer {
			have := texts(identities.get(w, c.id).fields, "block_ids")
			return blocks.page(w, c.q, w.blocks.where(func(b *row) bool { return slices.Contains(have, b.id) }))
		}},
	}
	groupRoutes = []route{
		{op: "groups.list", handle: groups.index},
		{op: "groups.count", handle: groups.count},
		{op: "groups.retrieve", handle: groups.retrieve},
		{op: "groups.create", handle: groups.create},
		{op: "groups.update", handle: groups.update},
		{op: "groups.delete", handle: groups.remove},
	}
	providerRoutes = []route{
		{op: "providers.list", handle: providers.index},
		{op: "providers.retrieve", handle: providers.retrieve},
		{op: "providers.create", handle: providers.create},
		{op: "providers.update", handle: providers.update},
		{op: "providers.refresh", handle: providers.retrieve},
		{op: "providers.delete", handle: providers.remove},
	}
	jobRoutes = []route{
		{op: "jobs.list", handle: jobs.index},
		{op: "jobs.active.list", handle: jobs.index},
		{op: "jobs.retrieve", handle: jobs.retrieve},
		{op: "jobs.cancel", handle: jobs.retrieve},
		{op: "jobs.delete", handle: jobs.remove},
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
