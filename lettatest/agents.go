package lettatest

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/letta-go/letta/internal/apispec/check"
)

const (
	subagentTag = "role:subagent"
	gitTag      = "git-memory-enabled"
	typeV1      = "letta_v1_agent"
)

var agentRoutes = []route{
	{op: "agents.list", handle: listAgents},
	{op: "agents.count", handle: countAgents},
	{op: "agents.export_file", handle: exportAgent},
	{op: "agents.import_file", handle: importAgents},
	{op: "agents.context", handle: withAgent(agentContext)},
	{op: "agents.create", handle: createAgent},
	{op: "agents.update", handle: updateAgent},
	{op: "agents.retrieve", handle: retrieveAgent},
	{op: "agents.delete", handle: deleteAgent},
	{op: "agents.recompile", handle: withAgent(recompileAgent)},
	{op: "agents.core_memory", handle: withAgent(func(w *world, _ *call, a *agent) answer {
		return ok(w.state(a, everything())["memory"])
	})},
}

// An agent is one stored agent. Its fields are the members of its JSON form that need no work to show.
type agent struct {
	row
	thread
	lastRun time.Time // zero: never ran
	secrets []secret
	last    string      // the id of the newest run
	opened  table[*row] // files
}

type secret struct{ id, key, value string }

var relations = []string{
	"agent.blocks", "agent.identities", "agent.managed_group", "agent.pending_approval", "agent.secrets", "agent.sources", "agent.tags",
	"agent.tools",
}

// settable are the members that a create and an update set as they come.
const settable = "name system description metadata project_id template_id base_template_id message_buffer_autoclear enable_sleeptime " +
	"response_format timezone max_files_open per_file_view_window_char_limit"

// legacyRelations are the names that include_relationships knows.
var legacyRelations = map[string]string{
	"memory": "agent.blocks", "secrets": "agent.secrets", "tool_exec_environment_variables": "agent.secrets", "tags": "agent.tags",
	"tools": "agent.tools", "sources": "agent.sources", "identity_ids": "agent.identities", "multi_agent_group": "agent.managed_group",
}

var (
	adjectives   = []string{"Amber", "Brisk", "Calm", "Daring", "Gentle", "Lively", "Mellow", "Quiet", "Sunny", "Witty"}
	nouns        = []string{"Badger", "Comet", "Falcon", "Harbor", "Maple", "Meadow", "Otter", "Pebble", "River", "Willow"}
	unsafeInName = regexp.MustCompile(`[^\p{L}\p{N}\p{M}_ '\-]`)
)

const (
	badName = "Export failed: Agent name '%s' contains invalid characters. Only letters (any language), digits, spaces, hyphens, " +
		`underscores, and apostrophes are allowed. Please avoid filesystem-unsafe characters like: / \ : * ? " < > |`
	defaultSystem = "You are a helpful agent with a memory that you keep up to date."
)

func (w *world) agent(id string) *agent { return w.agents.must(id, noAgent(id)) }

// withAgent finds the agent of the path.
func withAgent(f func(*world, *call, *agent) answer) handler {
	return func(w *world, c *call) answer { return f(w, c, w.agent(c.id)) }
}

// An include says which relations an answer shows.
type include map[string]bool

func including(relations []string) include {
	in := include{}
	for _, r := range relations {
		in[r] = true
	}
	return in
}

func everything() include { return including(relations) }

// included works out the relations of an answer. A legacy client that asks for none gets all of them.
func (c *call) included() include {
	names := texts(c.q, "include")
	switch {
	case c.q["include"] != nil:
	case c.q["include_relationships"] != nil:
		for _, r := range texts(c.q, "include_relationships") {
			names = append(names, legacyRelations[r])
		}
	case !c.modern():
		return everything()
	}
	return including(names)
}

// state is the JSON form of an agent.
func (w *world) state(a *agent, in include) object {
	o := maps.Clone(a.fields)
	llm := get[object](a.fields, "llm_config")
	files, chars := fileLimits(get[int](llm, "context_window"))
	with(o, "id", a.id, "created_at", timestamp(a.created), "updated_at", timestamp(a.updated), "last_run_completion", moment(a.lastRun),
		"message_ids", messageIDs(a.messages), "model", llm["handle"], "model_settings", settingsOf(llm), "embedding", nil)
	if e := get[object](a.fields, "embedding_config"); e != nil {
		o["embedding"] = e["handle"]
	}
	o["max_files_open"] = or(o["max_files_open"], files)
	o["per_file_view_window_char_limit"] = or(o["per_file_view_window_char_limit"], chars)

	empty := []any{}
	with(o, "tags", empty, "tools", empty, "sources", empty, "blocks", empty, "identities", empty, "identity_ids", empty, "secrets", empty)
	maps.Copy(o, nulls("multi_agent_group managed_group pending_approval deployment_id entity_id"))
	memory := object{"agent_type": a.fields["agent_type"], "git_enabled": false, "blocks": empty, "file_blocks": empty, "prompt_template": ""}
	if in["agent.blocks"] || in["agent.tags"] {
		o["tags"] = list(a.tags)
		memory["git_enabled"] = slices.Contains(a.tags, gitTag)
	}
	if in["agent.blocks"] {
		o["blocks"] = shown(a.links["block"], func(id string) any {
			return with(w.blocks.get(id).shown(), "tags", empty) // tags of blocks are not loaded here
		})
		memory["blocks"] = o["blocks"]
	}
	if in["agent.tools"] {
		o["tools"] = shown(tools.of(w, a), (*row).json)
	}
	if in["agent.sources"] {
		o["sources"] = shown(folders.of(w, a), (*row).ofAgent)
	}
	if in["agent.identities"] {
		o["identity_ids"] = list(a.links["identity"])
		o["identities"] = shown(a.links["identity"], func(id string) any { return identities.view(w, w.identities.get(id)) })
	}
	if in["agent.secrets"] {
		o["secrets"] = shown(a.secrets, func(x secret) any {
			e := with(nulls("description created_at updated_at created_by_id last_updated_by_id"),
				"id", x.id, "key", x.key, "value", x.value, "value_enc", x.value, "agent_id", a.id, "organization_id", orgID)
			if x.value == "" {
				e["value"], e["value_enc"] = "<encrypted>", nil
			}
			return e
		})
	}
	o["tool_exec_environment_variables"] = o["secrets"]
	if in["agent.managed_group"] {
		for _, g := range whose(&w.groups, "manager_agent_id", a.id) {
			o["managed_group"], o["multi_agent_group"] = g.shown(), g.shown()
		}
	}
	if in["agent.pending_approval"] {
		if last := pending(a.messages); last != nil {
			o["pending_approval"] = last.request()
		}
	}
	o["memory"] = memory
	return o
}

// fileLimits are how many files an agent opens, and how much of one it sees, by the window of its model.
func fileLimits(window int) (files, chars int) {
	for _, l := range [][3]int{{0, 5, 50_000}, {8_000, 3, 5_000}, {32_000, 5, 15_000}, {128_000, 10, 25_000}, {200_000, 10, 40_000}} {
		if window <= l[0] {
			return l[1], l[2]
		}
	}
	return 15, 40_000
}

// precheck are the checks that the real server makes in the middle of its own: they are no 422.
func (c *call) precheck() {
	if name := text(c.in, "name"); unsafeInName.MatchString(name) && c.Method == http.MethodPost {
		refuse(http.StatusInternalServerError, badName, name)
	}
	if !check.IsHandle(text(c.in, "model")) {
		panic(invalid("The model handle should be in the format provider/model-name"))
	}
	for name, limit := range map[string]int{"max_files_open": 1000, "per_file_view_window_char_limit": 1<<31 - 1} {
		if n := get[int](c.in, name); n > limit {
			panic(invalid("%s cannot exceed %d. Got: %d", name, limit, n))
		}
	}
}

func createAgent(w *world, c *call) answer {
	c.precheck()
	if text(c.in, "agent_type") == "voice_convo_agent" && !flag(c.in, "enable_sleeptime") {
		c.bad("Agent type AgentType.voice_convo_agent requires enable_sleeptime to be True", "body")
	}
	if tags := texts(c.in, "tags"); slices.Contains(tags, gitTag) { // plain self-hosted servers have no git memory: only the labels show the wish
		c.in["tags"] = slices.DeleteFunc(slices.Clone(get[[]any](c.in, "tags")), func(t any) bool { return t == gitTag })
		for _, b := range objects(c.in, "memory_blocks") {
			if !strings.HasPrefix(text(b, "label"), "system/") {
				b["label"] = "system/" + text(b, "label")
			}
		}
	}
	a := w.newAgent(c.in)
	out := w.state(a, everything())
	a.updated = w.now() // storing the messages touches the row once more
	return ok(out)
}

// newAgent makes an agent from a checked create body.
func (w *world) newAgent(in object) *agent {
	if in["name"] == nil {
		in["name"] = adjectives[rand.IntN(len(adjectives))] + nouns[rand.IntN(len(nouns))]
	}
	kind := cmp.Or(text(in, "agent_type"), typeV1)
	llm, embedding := w.llmFor(in, nil), w.embeddingOf(in)
	reasons(llm, in, kind)
	if _, err := time.LoadLocation(text(in, "timezone")); err != nil {
		panic(crash())
	}
	a := &agent{row: w.newRow("agent")}
	a.tags = texts(in, "tags")
	blockIDs := texts(in, "block_ids")
	for _, o := range objects(in, "memory_blocks") { // stored even when the agent fails later on
		b := blocks.fresh(w, o)
		makeBlock(w, nil, b)
		blockIDs = append(blockIDs, w.blocks.put(b).id)
	}
	names := w.giveTools(a, in, kind)
	w.missingRelations(in)
	a.setLinks("block", w.joined(nil, blockIDs))
	a.setSecrets(secretsOf(in))

	rules := slices.Clone(get[[]any](in, "tool_rules"))
	baseRules := !excludedFromRules(text(llm, "model")) || kind == "sleeptime_agent"
	if in["include_base_tool_rules"] != nil {
		baseRules = flag(in, "include_base_tool_rules")
	} else if kind == typeV1 && flag(in, "include_base_tools") && len(rules) == 0 && !flag(in, "enable_sleeptime") {
		baseRules = false
	}
	for _, n := range names {
		if rule := baseRule(n); rule != "" && baseRules {
			rules = append(rules, object{"type": rule, "tool_name": n, "prompt_template": nil})
		}
	}
	compaction := defaultCompaction(llm)
	overlay(compaction, get[object](in, "compaction_settings"))

	a.fields = sample("agents.create")
	maps.Copy(a.fields, nulls(settable+" hidden embedding_config last_stop_reason last_run_duration_ms"))
	overlay(a.fields, pick(in, settable+" hidden"))
	with(a.fields, "agent_type", kind, "llm_config", llm, "compaction_settings", compaction, "tool_rules", append([]any{}, completed(rules)...),
		"system", or(in["system"], defaultSystem), "timezone", cmp.Or(text(in, "timezone"), "UTC"),
		"message_buffer_autoclear", kind == "workflow_agent" || flag(in, "message_buffer_autoclear"))
	w.approvals(a, a.links["tool"]...)
	if embedding != nil {
		a.fields["embedding_config"] = embedding
	}
	if slices.Contains(a.tags, subagentTag) {
		a.fields["hidden"] = true
	}
	w.firstMessages(a, in, kind)
	w.agents.put(a)
	w.setFolders(a, append(texts(in, "folder_ids"), texts(in, "source_ids")...))
	a.setLinks("identity", texts(in, "identity_ids"))
	if flag(in, "enable_sleeptime") && kind != "voice_convo_agent" {
		w.sleeptime(a)
	}
	return a
}

// sleeptime makes the second agent that works on an agent's memory, and the group of both.
func (w *world) sleeptime(a *agent) {
	helper := w.newAgent(object{
		"name": text(a.fields, "name") + "-sleeptime", "agent_type": "sleeptime_agent", "llm_config": maps.Clone(get[object](a.fields, "llm_config")),
		"block_ids": list(a.links["block"]), "tags": list(a.tags),
	})
	g := w.newRow("group")
	g.fields = with(sample("agents.create.sleeptime", "managed_group"), "id", g.id, "agent_ids", list([]string{helper.id}), "manager_agent_id", a.id)
	w.groups.put(&g)
}

// completed fills the members of tool rules that were left out.
func completed(rules []any) []any {
	more := map[string]string{
		"constrain_child_tools": "child_arg_nodes", "run_first": "args", "conditional": "default_child child_output_mapping", "max_count_per_step": "",
	}
	for i, v := range rules {
		rule := v.(object)
		rules[i] = nulls("prompt_template " + more[text(rule, "type")])
		if rule["type"] == "conditional" {
			rules[i].(object)["require_output_mapping"] = false
		}
		maps.Copy(rules[i].(object), rule)
	}
	return rules
}

// firstMessages are the messages an agent is born with: the compiled system prompt, and what the caller or an older agent type adds.
func (w *world) firstMessages(a *agent, in object, kind string) {
	add := func(role, text string) {
		m := &message{otid: uuid(), role: role, text: text}
		if role == "tool" {
			m.returns = []toolReturn{{text: text}}
		}
		w.keep(a, &a.thread, m)
	}
	add("system", w.compile(a, &a.thread, w.now()))
	switch {
	case in["initial_message_sequence"] != nil:
		for _, m := range objects(in, "initial_message_sequence") {
			add(text(m, "role"), text(m, "content"))
			if text(m, "role") == "assistant" {
				add("tool", "sent")
			}
		}
	case kind != typeV1 && kind != "sleeptime_agent" && kind != "voice_sleeptime_agent":
		add("assistant", "ready")
		add("tool", "sent")
		add("user", "login")
	}
}

func secretsOf(in object) object {
	values, _ := or(in["secrets"], in["tool_exec_environment_variables"]).(object)
	return values
}

func (a *agent) setSecrets(values object) {
	a.secrets = nil
	for _, k := range slices.Sorted(maps.Keys(values)) {
		a.secrets = append(a.secrets, secret{newID("agent-env"), k, text(values, k)})
	}
}

// missingRelations refuses references to rows that do not exist.
func (w *world) missingRelations(in object) {
	for name, k := range map[string]*resource{"tool_ids": tools, "folder_ids": folders, "source_ids": folders, "identity_ids": identities} {
		for _, id := range texts(in, name) {
			k.rows(w).must(id, dangling(k.kind, id))
		}
	}
}

func updateAgent(w *world, c *call) answer {
	c.precheck()
	a, in := w.agents.must(c.id, notFound("Agent", c.id)), c.in
	llm, embedding := w.llmFor(in, get[object](a.fields, "llm_config")), w.embeddingOf(in)
	w.missingRelations(in)
	for _, id := range texts(in, "block_ids") {
		w.blocks.must(id, crash())
	}
	a.updated = w.now()
	overlay(a.fields, pick(in, settable+" last_run_duration_ms last_stop_reason")) // the real server forgets hidden
	if llm != nil {
		a.fields["llm_config"] = llm
	}
	if embedding != nil {
		a.fields["embedding_config"] = embedding
	}
	overlay(get[object](a.fields, "compaction_settings"), get[object](in, "compaction_settings"))
	for name, set := range map[string]func(ids []string){
		"tool_rules":   func([]string) { a.fields["tool_rules"] = completed(get[[]any](in, "tool_rules")) },
		"tags":         func(tags []string) { a.tags = replace(a.tags, tags) },
		"tool_ids":     func(ids []string) { a.setLinks("tool", ids) },
		"identity_ids": func(ids []string) { a.setLinks("identity", ids) },
		"block_ids":    func(ids []string) { w.replaceBlocks(a, ids) },
	} {
		if in[name] != nil {
			set(texts(in, name))
		}
	}
	if in["folder_ids"] != nil || in["source_ids"] != nil {
		w.setFolders(a, append(texts(in, "folder_ids"), texts(in, "source_ids")...))
	}
	if values := secretsOf(in); values != nil {
		a.setSecrets(values)
	}
	a.lastRun = or(in["last_run_completion"], a.lastRun).(time.Time)
	if in["message_ids"] != nil {
		keep := texts(in, "message_ids")
		a.messages = slices.DeleteFunc(slices.Clone(a.messages), func(m *message) bool { return !slices.Contains(keep, m.id) })
	}
	return ok(w.state(a, everything()))
}

func retrieveAgent(w *world, c *call) answer {
	return ok(w.state(w.agent(c.id), c.included()))
}

func deleteAgent(w *world, c *call) answer {
	a := w.agents.must(c.id, notFound("Agent", c.id))
	w.forget(a)
	w.agents.drop(a.id) // its blocks stay
	groups.dropWhere(w, "manager_agent_id", a.id)
	return ok(object{"message": "Agent id=" + c.id + " successfully deleted"})
}

// filterAgents returns the agents that a list or a count is about.
func (w *world) filterAgents(q object) []*agent {
	like := ilike(text(q, "query_text"))
	keys := texts(q, "identifier_keys")
	tags, all := texts(q, "tags"), flag(q, "match_all_tags")
	return w.agents.where(func(a *agent) bool {
		if !tagged(a.tags, tags, all) { // first: with ten thousand agents it leaves the fewest
			return false
		}
		for _, k := range []string{"name", "project_id", "template_id", "base_template_id", "last_stop_reason"} {
			if text(q, k) != "" && a.fields[k] != q[k] {
				return false
			}
		}
		return like(text(a.fields, "name")) &&
			(text(q, "created_by_id") == "" || text(q, "created_by_id") == userID) &&
			(text(q, "identity_id") == "" || a.linked("identity", text(q, "identity_id"))) &&
			(keys == nil || slices.ContainsFunc(a.links["identity"], func(id string) bool {
				return slices.Contains(keys, text(w.identities.get(id).fields, "identifier_key"))
			})) &&
			(!flag(a.fields, "hidden") || flag(q, "show_hidden_agents"))
	})
}

func listAgents(w *world, c *call) answer {
	l := listing{}
	switch text(c.q, "order_by") {
	case "updated_at":
		l.by = func(r *row) time.Time { return r.updated }
	case "last_run_completion":
		l.by = func(r *row) time.Time { return w.agents.get(r.id).lastRun }
	}
	return w.showAgents(w.filterAgents(c.q), c.q, l, c.included())
}

func (w *world) showAgents(rows []*agent, q object, l listing, in include) answer {
	return show(rows, w.agents.find, q, l, func(a *agent) any { return w.state(a, in) })
}

// linkedAgents lists the agents that have a row of a kind, with the relations of the query. Unlike elsewhere a legacy client gets none unasked.
func linkedAgents(kind string) handler {
	return func(w *world, c *call) answer {
		rows := w.agents.where(func(a *agent) bool { return a.linked(kind, c.id) })
		return w.showAgents(rows, c.q, listing{}, including(texts(c.q, "include")))
	}
}

func countAgents(w *world, c *call) answer { return ok(len(w.filterAgents(c.q))) }

// compile is the system prompt with the memory put in.
func (w *world) compile(a *agent, th *thread, at time.Time) string {
	var b strings.Builder
	b.WriteString(text(a.fields, "system") + "\n\n")
	if len(a.links["block"]) > 0 {
		b.WriteString("<memory_blocks>\nYour memory holds these blocks:\n\n")
		for _, id := range a.links["block"] {
			f := w.blocks.get(id).fields
			label, value := text(f, "label"), text(f, "value")
			fmt.Fprintf(&b, "<%s>\n<description>\n%s\n</description>\n<metadata>\n- chars_current=%d\n- chars_limit=%v\n</metadata>\n"+
				"<value>\n%s\n</value>\n</%s>\n\n", label, text(f, "description"), len([]rune(value)), f["limit"], value, label)
		}
		b.WriteString("</memory_blocks>\n\n")
	}
	fmt.Fprintf(&b, "<memory_metadata>\n- AGENT_ID: %s\n- CONVERSATION_ID: %s\n- System prompt last recompiled: %s\n</memory_metadata>",
		a.id, cmp.Or(th.conversation, "default"), clock(a, at))
	return b.String()
}

func recompileAgent(w *world, c *call, a *agent) answer {
	if len(a.messages) == 0 {
		return fail(http.StatusNotFound, "No system message found for agent '%s'", c.id)
	}
	m := a.messages[0]
	at := m.created
	if flag(c.q, "update_timestamp") {
		at = w.now()
	}
	before, after := m.text, w.compile(a, &a.thread, at)
	if flag(c.q, "dry_run") {
		return ok(after)
	}
	m.text = after
	return ok(before) // the real server stores the new prompt and answers with the old one
}

// agentContext is what the window of the model holds. Tokens are words here.
func agentContext(w *world, _ *call, a *agent) answer {
	o := sample("x.agents.context")
	count := func(text string) int { return len(strings.Fields(text)) }
	raw := shown(a.messages, func(m *message) any {
		return with(sample("x.agents.context", "messages", 0), "id", m.id, "agent_id", a.id, "created_at", timestamp(m.created), "role", m.role,
			"model", get[object](a.fields, "llm_config")["model"], "content", []any{object{"type": "text", "text": m.text, "signature": nil}})
	})
	prompt := w.compile(a, &a.thread, w.now())
	return ok(with(o, "num_messages", len(a.messages), "num_recall_memory", len(a.history), "num_archival_memory", len(w.passagesOf(a)),
		"system_prompt", a.fields["system"], "num_tokens_system", count(text(a.fields, "system")), "core_memory", prompt,
		"num_tokens_core_memory", count(prompt), "context_window_size_max", get[object](a.fields, "llm_config")["context_window"],
		"context_window_size_current", count(prompt), "messages", raw))
}

func excludedFromRules(model string) bool {
	return !strings.Contains(model, "mini") && slices.ContainsFunc([]string{"claude-4-sonnet", "claude-3-5-sonnet", "gpt-5", "gemini-2.5-pro"},
		func(part string) bool { return strings.Contains(model, part) })
}
