package lettatest

import (
	"slices"
)

// Identities, groups, providers and jobs: the official client has no methods for them, self-hosted servers do.

var (
	identityRoutes = identities.routes("identities", "list count retrieve create upsert update properties.update delete agents.list blocks.list", handlers{
		"upsert":            upsertIdentity,
		"properties.update": identities.with(setProperties),
		"blocks.list": identities.with(func(w *world, c *call, r *row) answer {
			have := texts(r.fields, "block_ids")
			return blocks.page(w, c.q, blocks.list, w.blocks.where(func(b *row) bool { return slices.Contains(have, b.id) }))
		}),
	})
	groupRoutes = groups.routes("groups", "list count retrieve create update delete messages.list messages.reset blocks.attach blocks.detach", handlers{
		"messages.list":  groups.always(ok([]any{})), // nobody speaks to a group here
		"messages.reset": groups.always(ok(null)),
		"blocks.attach":  groups.with(shareBlock),
		"blocks.detach":  groups.with(shareBlock),
	})
	providerRoutes = providers.routes("providers", "list retrieve create update refresh check check_existing delete", handlers{
		"refresh":        providers.retrieve,
		"check":          func(_ *world, c *call) answer { return ok(valid(c.in)) },
		"check_existing": providers.with(func(_ *world, _ *call, r *row) answer { return ok(valid(r.fields)) }),
	})
	jobRoutes = jobs.routes("jobs", "list active.list retrieve cancel delete", handlers{"active.list": jobs.index, "cancel": jobs.retrieve})
)

var identities = &resource{
	kind: "identity", noun: "Identity",
	rows:    func(w *world) *table[*row] { return &w.identities },
	sample:  func() object { return with(sample("x.identities.create"), "properties", []any{}) },
	blank:   "project_id",
	filters: map[string]filter{"name": contains("name")},
	making: func(w *world, _ *call, r *row) {
		if whose(&w.identities, "identifier_key", r.fields["identifier_key"]) != nil {
			panic(duplicate("Identity"))
		}
	},
	deleted: null,
}

func upsertIdentity(w *world, c *call) answer {
	if r := first(whose(&w.identities, "identifier_key", c.in["identifier_key"])); r != nil {
		c.id = r.id
		return identities.update(w, c)
	}
	return identities.create(w, c)
}

// setProperties replaces the properties of an identity. Its body is a bare list.
func setProperties(_ *world, c *call, r *row) answer {
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
	filters: map[string]filter{"show_hidden_groups": yes},
	making: func(_ *world, c *call, r *row) {
		config := get[object](c.in, "manager_config")
		overlay(r.fields, pick(config, "manager_type manager_agent_id termination_token max_turns sleeptime_agent_frequency max_message_buffer_length "+
			"min_message_buffer_length"))
	},
	deleted: object{"message": "Group deleted"},
}

// shareBlock attaches or detaches a block. No answer shows which ones a group has.
func shareBlock(w *world, c *call, _ *row) answer {
	blocks.get(w, c.sub)
	return ok(null)
}

// valid is what a check of a provider says: every key is one.
func valid(provider object) object {
	return object{"message": "Valid api key for provider_type=" + text(provider, "provider_type")}
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
	filters: map[string]filter{"active": yes},
}
