package lettatest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	subagentTag = "role:subagent"
	gitTag      = "git-memory-enabled"
	typeV1      = "letta_v1_agent"
)

// agent is one stored agent. fields holds the members of its JSON form that need no work to show.
type agent struct {
	id               string
	created, updated time.Time
	lastRun          time.Time // zero: never ran
	fields           object
	tags             []string
	blocks           []string
	tools            []string
	secrets          []secret
	messages         []*message // in context
	history          []*message // all that were ever stored, of conversations too
	last             string     // the id of the newest run
}

type secret struct{ id, key, value string }

var agentTypes = []string{
	"memgpt_agent", "memgpt_v2_agent", typeV1, "react_agent", "workflow_agent", "split_thread_agent", "sleeptime_agent", "voice_convo_agent",
	"voice_sleeptime_agent",
}

var stopReasons = []string{
	"end_turn", "error", "llm_api_error", "invalid_llm_response", "invalid_tool_call", "max_steps", "max_tokens_exceeded", "no_tool_call",
	"tool_rule", "cancelled", "insufficient_credits", "requires_approval", "context_window_overflow_in_system_prompt",
}

var relations = []string{
	"agent.blocks", "agent.identities", "agent.managed_group", "agent.pending_approval", "agent.secrets", "agent.sources", "agent.tags",
	"agent.tools",
}

// legacyRelations are the names that include_relationships knows.
var legacyRelations = map[string]string{
	"memory": "agent.blocks", "secrets": "agent.secrets", "tool_exec_environment_variables": "agent.secrets", "tags": "agent.tags",
	"tools": "agent.tools",
}

// The fields of a create and of an update, in the order in which the real server checks them.
var (
	optText, optInt, optBool, optDict = opt(text), opt(integer), opt(boolean), opt(dict(nil))
	optTexts, optTextMap              = opt(list(text)), opt(dict(text))
	anything                          = func(_ *problems, _ loc, v any) any { return v }

	createFields = []field{
		{"name", agentName},
		{"memory_blocks", opt(list(structure(createBlockFields)))},
		{"tools", optTexts},
		{"tool_ids", opt(list(id("tool")))},
		{"source_ids", opt(list(id("source")))},
		{"folder_ids", opt(list(id("source")))},
		{"block_ids", opt(list(id("block")))},
		{"tool_rules", opt(list(toolRule))},
		{"tags", optTexts},
		{"system", optText},
		{"agent_type", oneOf("enum", agentTypes...)},
		{"initial_message_sequence", opt(list(structure([]field{
			{"role*", choice("literal_error", quoted("<MessageRole.%s: '%s'>", roles), roles)}, {"content*", anything},
		})))},
		{"include_base_tools", boolean},
		{"include_multi_agent_tools", boolean},
		{"include_base_tool_rules", optBool},
		{"description", optText},
		{"metadata", optDict},
		{"llm_config", opt(llmConfig)},
		{"embedding_config", opt(embeddingConfig)},
		{"model", opt(modelHandle)},
		{"embedding", opt(embeddingHandle)},
		{"model_settings", opt(modelSettings)},
		{"compaction_settings", opt(structure(compactionFields))},
		{"context_window_limit", optInt},
		{"max_tokens", optInt},
		{"max_reasoning_tokens", optInt},
		{"enable_reasoner", optBool},
		{"reasoning", optBool},
		{"tool_exec_environment_variables", optTextMap},
		{"secrets", optTextMap},
		{"project_id", optText},
		{"template_id", optText},
		{"base_template_id", optText},
		{"identity_ids", opt(list(id("identity")))},
		{"message_buffer_autoclear", boolean},
		{"enable_sleeptime", optBool},
		{"response_format", opt(responseFormat)},
		{"timezone", optText},
		{"max_files_open", opt(atMost("max_files_open", 1000))},
		{"per_file_view_window_char_limit", opt(atMost("per_file_view_window_char_limit", 1<<31-1))},
		{"hidden", optBool},
		{"parallel_tool_calls", optBool},
	}
	updateFields = []field{
		{"name", optText},
		{"tool_ids", opt(list(id("tool")))},
		{"source_ids", opt(list(id("source")))},
		{"folder_ids", opt(list(id("source")))},
		{"block_ids", opt(list(id("block")))},
		{"tags", optTexts},
		{"system", optText},
		{"tool_rules", opt(list(toolRule))},
		{"message_ids", opt(list(id("message")))},
		{"description", optText},
		{"metadata", optDict},
		{"tool_exec_environment_variables", optTextMap},
		{"secrets", optTextMap},
		{"project_id", optText},
		{"template_id", optText},
		{"base_template_id", optText},
		{"identity_ids", opt(list(id("identity")))},
		{"message_buffer_autoclear", optBool},
		{"model", optText},
		{"embedding", optText},
		{"model_settings", opt(modelSettings)},
		{"compaction_settings", opt(structure(compactionFields))},
		{"context_window_limit", optInt},
		{"reasoning", optBool},
		{"llm_config", opt(llmConfig)},
		{"embedding_config", opt(embeddingConfig)},
		{"parallel_tool_calls", optBool},
		{"response_format", opt(responseFormat)},
		{"max_tokens", optInt},
		{"enable_sleeptime", optBool},
		{"last_run_completion", opt(datetime)},
		{"last_run_duration_ms", optInt},
		{"last_stop_reason", opt(oneOf("enum", stopReasons...))},
		{"timezone", optText},
		{"max_files_open", opt(atMost("max_files_open", 1000))},
		{"per_file_view_window_char_limit", opt(atMost("per_file_view_window_char_limit", 1<<31-1))},
		{"hidden", optBool},
	}
	filterFields = []field{
		{"name", text},
		{"tags[]", list(text)},
		{"match_all_tags", boolean},
		{"query_text", text},
		{"project_id", text},
		{"template_id", text},
		{"base_template_id", text},
		{"identity_id", text},
		{"identifier_keys[]", list(text)},
	}
	filterFieldsEnd = []field{
		{"show_hidden_agents", boolean}, {"last_stop_reason", oneOf("enum", stopReasons...)}, {"created_by_id", text},
	}
	includeFields = []field{
		{"include_relationships[]", list(text)}, {"include[]", list(oneOf("literal_error", relations...))},
	}
	listFields = slices.Concat(filterFields[:3], pageFields[:3], filterFields[3:], includeFields, []field{
		pageFields[3],
		{"order_by", oneOf("literal_error", "created_at", "updated_at", "last_run_completion")},
		{"ascending", boolean},
	}, filterFieldsEnd)
	roles        = []string{"user", "system", "assistant"}
	unsafeInName = regexp.MustCompile(`[^\p{L}\p{N}\p{M}_ '\-]`)
)

const badName = "Export failed: Agent name '%s' contains invalid characters. Only letters (any language), digits, spaces, hyphens, " +
	`underscores, and apostrophes are allowed. Please avoid filesystem-unsafe characters like: / \ : * ? " < > |`

func agentName(p *problems, at loc, v any) any {
	if name, ok := text(p, at, v).(string); ok && unsafeInName.MatchString(name) {
		a := fail(http.StatusInternalServerError, badName, name)
		p.stop = &a
	}
	return v
}

func badHandle(h string) bool {
	provider, name, ok := strings.Cut(h, "/")
	return h != "" && (!ok || provider == "" || name == "")
}

func modelHandle(p *problems, at loc, v any) any {
	if h, ok := text(p, at, v).(string); ok && badHandle(h) {
		a := invalid("The model handle should be in the format provider/model-name")
		p.stop = &a
	}
	return v
}

func embeddingHandle(p *problems, at loc, v any) any {
	const msg = "The embedding handle should be in the format provider/model-name"
	if h, ok := text(p, at, v).(string); ok && badHandle(h) {
		p.add("value_error", at, "Value error, "+msg, v, "'error': ValueError('"+msg+"')")
	}
	return v
}

func atMost(name string, limit int) check {
	return func(p *problems, at loc, v any) any {
		n := integer(p, at, v)
		if i, ok := n.(int); ok && i > limit {
			a := invalid("%s cannot exceed %d. Got: %d", name, limit, i)
			p.stop = &a
		}
		return n
	}
}

func datetime(p *problems, at loc, v any) any {
	s, _ := v.(string)
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999", time.DateTime, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC()
		}
	}
	p.add("datetime_from_date_parsing", at, "Input should be a valid datetime or date, input is too short", v, "'error': 'input is too short'")
	return nil
}

// include says which relations an answer shows.
type include map[string]bool

func everything() include {
	in := include{}
	for _, r := range relations {
		in[r] = true
	}
	return in
}

// included works out the relations of an answer. A legacy client that asks for none gets all of them.
func (c *call) included(o object) include {
	in := include{}
	switch {
	case o.strs("include") != nil:
		for _, r := range o.strs("include") {
			in[r] = true
		}
	case o.has("include_relationships"):
		for _, r := range o.strs("include_relationships") {
			in[legacyRelations[r]] = true
		}
	case !c.modern():
		return everything()
	}
	return in
}

// modern tells a client of the 1.x generation from a legacy one.
func (c *call) modern() bool {
	agent := c.UserAgent()
	if c.Header.Get("X-Stainless-Package-Version") != "" || agent == "" {
		return true
	}
	name, version, _ := strings.Cut(strings.TrimPrefix(agent, "@letta-ai/"), "/")
	return name == "letta-client" && !strings.Contains(version, "/") && strings.HasPrefix(version, "1.")
}

// state is the JSON form of an agent.
func (s *Server) state(a *agent, in include) map[string]any {
	m := maps.Clone(map[string]any(a.fields))
	empty := []any{}
	m["id"], m["created_at"], m["updated_at"] = a.id, timestamp(a.created), timestamp(a.updated)
	m["created_by_id"], m["last_updated_by_id"] = userID, userID
	m["last_run_completion"] = nil
	if !a.lastRun.IsZero() {
		m["last_run_completion"] = timestamp(a.lastRun)
	}
	ids := make([]string, len(a.messages))
	for i, msg := range a.messages {
		ids[i] = msg.id
	}
	m["message_ids"] = ids

	llm := get[map[string]any](a.fields, "llm_config")
	m["model"], m["model_settings"], m["embedding"] = llm["handle"], settingsOf(llm), nil
	if e := get[map[string]any](a.fields, "embedding_config"); e != nil {
		m["embedding"] = e["handle"]
	}
	files, chars := fileLimits(llm["context_window"])
	if m["max_files_open"] == nil {
		m["max_files_open"] = files
	}
	if m["per_file_view_window_char_limit"] == nil {
		m["per_file_view_window_char_limit"] = chars
	}

	for _, k := range []string{"tags", "tools", "sources", "blocks", "identities", "identity_ids", "secrets"} {
		m[k] = empty
	}
	for _, k := range []string{"multi_agent_group", "managed_group", "pending_approval", "deployment_id", "entity_id"} {
		m[k] = nil
	}
	memory := map[string]any{"agent_type": a.fields["agent_type"], "git_enabled": false, "blocks": empty, "file_blocks": empty, "prompt_template": ""}
	if in["agent.blocks"] || in["agent.tags"] {
		m["tags"] = append([]string{}, a.tags...)
		memory["git_enabled"] = slices.Contains(a.tags, gitTag)
	}
	if in["agent.blocks"] {
		blocks := make([]any, 0, len(a.blocks))
		for _, id := range a.blocks {
			blocks = append(blocks, s.blocks[id].state([]string{})) // tags of blocks are not loaded here
		}
		m["blocks"], memory["blocks"] = blocks, blocks
	}
	if in["agent.tools"] {
		tools := make([]any, 0, len(a.tools))
		for _, t := range s.tools {
			if slices.Contains(a.tools, t.id()) {
				tools = append(tools, t)
			}
		}
		m["tools"] = tools
	}
	if in["agent.secrets"] {
		secrets := make([]any, 0, len(a.secrets))
		for _, x := range a.secrets {
			e := map[string]any{
				"id": x.id, "key": x.key, "value": x.value, "value_enc": x.value, "agent_id": a.id, "organization_id": orgID, "description": nil,
				"created_at": nil, "updated_at": nil, "created_by_id": nil, "last_updated_by_id": nil,
			}
			if x.value == "" {
				e["value"], e["value_enc"] = "<encrypted>", nil
			}
			secrets = append(secrets, e)
		}
		m["secrets"] = secrets
	}
	m["tool_exec_environment_variables"] = m["secrets"]
	if in["agent.pending_approval"] {
		if last := pending(a.messages); last != nil {
			m["pending_approval"] = last.request()
		}
	}
	m["memory"] = memory
	return m
}

func fileLimits(window any) (files, chars int) {
	switch n, _ := window.(int); {
	case n == 0:
		return 5, 50_000
	case n <= 8_000:
		return 3, 5_000
	case n <= 32_000:
		return 5, 15_000
	case n <= 128_000:
		return 10, 25_000
	case n <= 200_000:
		return 10, 40_000
	}
	return 15, 40_000
}

func (s *Server) createAgent(c *call) answer {
	o := c.body(createFields)
	if a, bad := c.failed(); bad {
		return a
	}
	if o.str("agent_type") == "voice_convo_agent" && !get[bool](o, "enable_sleeptime") {
		const msg = "Agent type AgentType.voice_convo_agent requires enable_sleeptime to be True"
		c.errs.add("value_error", loc{"body"}, "Value error, "+msg, c.data, "'error': ValueError('"+msg+"')")
		a, _ := c.failed()
		return a
	}
	if tags := o.strs("tags"); slices.Contains(tags, gitTag) { // plain self-hosted servers have no git memory: only the labels show the wish
		o["tags"] = slices.DeleteFunc(slices.Clone(get[[]any](o, "tags")), func(t any) bool { return t == gitTag })
		for _, b := range get[[]any](o, "memory_blocks") {
			if b := b.(object); !strings.HasPrefix(b.str("label"), "system/") {
				b["label"] = "system/" + b.str("label")
			}
		}
	}
	a, problem := s.newAgent(o)
	if problem != nil {
		return *problem
	}
	out := ok(s.state(a, everything()))
	a.updated = s.now() // storing the messages touches the row once more
	return out
}

// newAgent makes an agent from a checked create body.
func (s *Server) newAgent(o object) (*agent, *answer) {
	if o.str("name") == "" && !o.has("name") {
		o["name"] = adjectives[rand.IntN(len(adjectives))] + nouns[rand.IntN(len(nouns))]
	}
	kind := o.str("agent_type")
	if kind == "" {
		kind = typeV1
	}
	llm, problem := s.llmFor(o, kind)
	if problem != nil {
		return nil, problem
	}
	embedding := get[object](o, "embedding_config")
	if embedding == nil && o.has("embedding") {
		if embedding, problem = s.embeddingFor(o.str("embedding")); problem != nil {
			return nil, problem
		}
	}

	if _, err := time.LoadLocation(o.str("timezone")); err != nil {
		a := crash()
		return nil, &a
	}

	now := s.now()
	a := &agent{id: newID("agent"), created: now, updated: now, tags: o.strs("tags")}
	blockIDs := o.strs("block_ids")
	for _, b := range get[[]any](o, "memory_blocks") { // stored even when the agent fails later on
		blk, problem := s.newBlock(b.(object))
		if problem != nil {
			return nil, problem
		}
		blockIDs = append(blockIDs, blk.id)
	}
	names, problem := s.resolveTools(a, o, kind)
	if problem != nil {
		return nil, problem
	}
	if problem := missingRelations(o); problem != nil {
		return nil, problem
	}
	for _, id := range blockIDs {
		if b := s.blocks[id]; b != nil && !slices.ContainsFunc(a.blocks, s.labelled(b)) {
			a.blocks = append(a.blocks, id)
		}
	}
	a.setSecrets(secretsOf(o))

	rules := slices.Clone(get[[]any](o, "tool_rules"))
	baseRules := !(excludedFromRules(llm["model"]) && kind != "sleeptime_agent")
	if o.has("include_base_tool_rules") {
		baseRules = get[bool](o, "include_base_tool_rules")
	} else if kind == typeV1 && get[bool](o, "include_base_tools") && len(rules) == 0 {
		baseRules = false
	}
	if baseRules {
		for _, n := range names {
			if rule := baseRule(n); rule != "" {
				rules = append(rules, map[string]any{"type": rule, "tool_name": n, "prompt_template": nil})
			}
		}
	}
	compaction := defaultCompaction(llm)
	mergeSet(compaction, get[object](o, "compaction_settings"))

	system := o.str("system")
	if !o.has("system") {
		system = defaultSystem
	}
	a.fields = object{
		"name": o["name"], "agent_type": kind, "system": system, "llm_config": llm, "embedding_config": nil, "compaction_settings": compaction,
		"tool_rules": append([]any{}, rules...), "timezone": "UTC", "hidden": o["hidden"],
		"message_buffer_autoclear": kind == "workflow_agent" || get[bool](o, "message_buffer_autoclear"),
		"last_run_duration_ms":     nil, "last_stop_reason": nil,
	}
	for _, k := range []string{
		"description", "metadata", "project_id", "template_id", "base_template_id", "enable_sleeptime", "response_format", "max_files_open",
		"per_file_view_window_char_limit",
	} {
		a.fields[k] = o[k]
	}
	if embedding != nil {
		a.fields["embedding_config"] = map[string]any(embedding)
	}
	if o.str("timezone") != "" {
		a.fields["timezone"] = o["timezone"]
	}
	if slices.Contains(a.tags, subagentTag) {
		a.fields["hidden"] = true
	}
	s.firstMessages(a, o, kind)
	s.agents[a.id] = a
	return a, nil
}

// firstMessages are the messages an agent is born with: the compiled system prompt, and what the caller or an older agent type adds.
func (s *Server) firstMessages(a *agent, o object, kind string) {
	now := s.now()
	add := func(role, text string) {
		s.keep(a, &a.messages, &message{otid: uuid(), role: role, text: text})
	}
	add("system", s.compile(a, now))
	switch {
	case o.has("initial_message_sequence"):
		for _, v := range get[[]any](o, "initial_message_sequence") {
			m := v.(object)
			content, _ := m["content"].(string)
			add(m.str("role"), content)
			if m.str("role") == "assistant" {
				add("tool", "sent")
			}
		}
	case kind != typeV1 && kind != "sleeptime_agent" && kind != "voice_sleeptime_agent":
		add("assistant", "ready")
		add("tool", "sent")
		add("user", "login")
	}
}

// labelled finds, among block ids, those whose label is that of b: an agent has one block per label.
func (s *Server) labelled(b *block) func(string) bool {
	return func(id string) bool { return s.blocks[id].fields["label"] == b.fields["label"] }
}

func secretsOf(o object) map[string]any {
	if v := get[map[string]any](o, "secrets"); v != nil {
		return v
	}
	return get[map[string]any](o, "tool_exec_environment_variables")
}

func (a *agent) setSecrets(values map[string]any) {
	a.secrets = nil
	for _, k := range slices.Sorted(maps.Keys(values)) {
		a.secrets = append(a.secrets, secret{newID("agent-env"), k, values[k].(string)})
	}
}

// missingRelations refuses references to what this server does not have: folders and identities.
func missingRelations(o object) *answer {
	for _, r := range [][3]string{{"folder_ids", "source", "sources"}, {"source_ids", "source", "sources"}, {"identity_ids", "identity", "identities"}} {
		if ids := o.strs(r[0]); ids != nil {
			return missingKey(r[1], r[2], ids[0])
		}
	}
	return nil
}

func missingKey(kind, table, id string) *answer {
	a := fail(http.StatusConflict, "(sqlalchemy.dialects.postgresql.asyncpg.IntegrityError) <class 'asyncpg.exceptions.ForeignKeyViolationError'>: "+
		"insert or update on table \"%s_agents\" violates foreign key constraint \"%s_agents_%s_id_fkey\"\n"+
		"DETAIL:  Key (%s_id)=(%s) is not present in table \"%s\".", table, table, kind, kind, id, table)
	return &a
}

// mergeSet copies the members that are set.
func mergeSet(to map[string]any, from object) {
	for k, v := range from {
		if v != nil {
			to[k] = v
		}
	}
}

func (s *Server) updateAgent(c *call) answer {
	c.needID("agent")
	o := c.body(updateFields)
	if a, bad := c.failed(); bad {
		return a
	}
	a := s.agents[c.id]
	llm, problem := s.llmUpdate(a, o)
	if problem == errNoAgent {
		return fail(http.StatusNotFound, "Agent with ID %s not found", c.id)
	} else if problem != nil {
		return *problem
	}
	embedding := get[object](o, "embedding_config")
	if o.has("embedding") {
		if embedding, problem = s.embeddingFor(o.str("embedding")); problem != nil {
			return *problem
		}
	}
	if a == nil {
		return notFound("Agent", c.id)
	}
	for _, id := range o.strs("tool_ids") {
		if !slices.ContainsFunc(s.tools, func(t tool) bool { return t.id() == id }) {
			return *missingKey("tool", "tools", id)
		}
	}
	for _, id := range o.strs("block_ids") {
		if s.blocks[id] == nil {
			return crash()
		}
	}
	if problem := missingRelations(o); problem != nil {
		return *problem
	}

	a.updated = s.now()
	for _, k := range []string{
		"name", "system", "description", "metadata", "project_id", "template_id", "base_template_id", "message_buffer_autoclear",
		"enable_sleeptime", "response_format", "last_run_duration_ms", "last_stop_reason", "timezone", "max_files_open",
		"per_file_view_window_char_limit", "tool_rules",
	} { // not "hidden": the real server forgets it
		if o.has(k) {
			a.fields[k] = o[k]
		}
	}
	if t := get[time.Time](o, "last_run_completion"); !t.IsZero() {
		a.lastRun = t
	}
	if llm != nil {
		a.fields["llm_config"] = llm
	}
	if embedding != nil {
		a.fields["embedding_config"] = map[string]any(embedding)
	}
	if o.has("compaction_settings") {
		merged := maps.Clone(get[map[string]any](a.fields, "compaction_settings"))
		mergeSet(merged, get[object](o, "compaction_settings"))
		a.fields["compaction_settings"] = merged
	}
	if o.has("tags") {
		a.tags = replace(a.tags, o.strs("tags"))
	}
	if o.has("tool_ids") {
		a.tools = o.strs("tool_ids")
	}
	if o.has("block_ids") {
		s.replaceBlocks(a, o.strs("block_ids"))
	}
	if values := secretsOf(o); values != nil {
		a.setSecrets(values)
	}
	if o.has("message_ids") {
		keep := o.strs("message_ids")
		a.messages = slices.DeleteFunc(a.messages, func(m *message) bool { return !slices.Contains(keep, m.id) })
	}
	return ok(s.state(a, everything()))
}

// replace keeps the old rows that stay and adds the new ones behind them.
func replace(old, want []string) []string {
	out := slices.DeleteFunc(slices.Clone(old), func(v string) bool { return !slices.Contains(want, v) })
	for _, v := range want {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// replaceBlocks inserts before it deletes, as the real server does: a new block is lost to an old one of the same label, even to one that goes.
func (s *Server) replaceBlocks(a *agent, want []string) {
	rows := slices.Clone(a.blocks)
	for _, id := range want {
		if !slices.ContainsFunc(rows, s.labelled(s.blocks[id])) {
			rows = append(rows, id)
		}
	}
	a.blocks = slices.DeleteFunc(rows, func(id string) bool { return !slices.Contains(want, id) })
}

func (s *Server) retrieveAgent(c *call) answer {
	c.needID("agent")
	o := c.params(includeFields)
	if a, bad := c.failed(); bad {
		return a
	}
	a := s.agents[c.id]
	if a == nil {
		return fail(http.StatusNotFound, "Agent with ID %s not found", c.id)
	}
	return ok(s.state(a, c.included(o)))
}

func (s *Server) deleteAgent(c *call) answer {
	c.needID("agent")
	if a, bad := c.failed(); bad {
		return a
	}
	if s.agents[c.id] == nil {
		return notFound("Agent", c.id)
	}
	s.forget(s.agents[c.id])
	delete(s.agents, c.id) // its blocks stay
	return ok(map[string]any{"message": "Agent id=" + c.id + " successfully deleted"})
}

// filterAgents returns the agents that a list or a count is about.
func (s *Server) filterAgents(o object) []*agent {
	like := ilike(o.str("query_text"))
	tags := o.strs("tags")
	var out []*agent
	for _, a := range s.agents {
		same := true
		for _, k := range []string{"name", "project_id", "template_id", "base_template_id", "last_stop_reason"} {
			same = same && (o.str(k) == "" || a.fields[k] == o[k])
		}
		switch {
		case !same,
			!like(a.fields.str("name")),
			!tagged(a.tags, tags, get[bool](o, "match_all_tags")),
			o.str("created_by_id") != "" && o.str("created_by_id") != userID,
			o.str("identity_id") != "" || o.strs("identifier_keys") != nil, // nobody has an identity here
			get[bool](a.fields, "hidden") && !get[bool](o, "show_hidden_agents"):
			continue
		}
		out = append(out, a)
	}
	return out
}

// tagged is the tag filter: any tag, or all of them; no filter without tags.
func tagged(have, want []string, all bool) bool {
	if len(want) == 0 {
		return true
	}
	has := func(t string) bool { return slices.Contains(have, t) }
	if all {
		return !slices.ContainsFunc(want, func(t string) bool { return !has(t) })
	}
	return slices.ContainsFunc(want, has)
}

func (s *Server) listAgents(c *call) answer {
	o := c.params(listFields)
	if a, bad := c.failed(); bad {
		return a
	}
	key := func(a *agent) cursor {
		switch o.str("order_by") {
		case "updated_at":
			return cursor{a.updated, a.id}
		case "last_run_completion":
			return cursor{a.lastRun, a.id}
		}
		return cursor{a.created, a.id}
	}
	return s.showAgents(s.filterAgents(o), key, o, o.str("order") == "asc", c.included(o))
}

// showAgents sorts agents, cuts the page out and shows it.
func (s *Server) showAgents(rows []*agent, key func(*agent) cursor, o object, asc bool, in include) answer {
	rows, bad := page(rows, key, func(id string) (*agent, bool) { a := s.agents[id]; return a, a != nil }, o, asc)
	if bad {
		return databaseError()
	}
	out := make([]any, len(rows))
	for i, a := range rows {
		out[i] = s.state(a, in)
	}
	return ok(out)
}

func (s *Server) countAgents(c *call) answer {
	o := c.params(slices.Concat(filterFields, filterFieldsEnd))
	if a, bad := c.failed(); bad {
		return a
	}
	return ok(len(s.filterAgents(o)))
}

// compile is the system prompt with the memory put in.
func (s *Server) compile(a *agent, at time.Time) string {
	var b strings.Builder
	b.WriteString(a.fields.str("system") + "\n\n")
	if len(a.blocks) > 0 {
		b.WriteString("<memory_blocks>\nYour memory holds these blocks:\n\n")
		for _, id := range a.blocks {
			f := s.blocks[id].fields
			label, value := f.str("label"), f.str("value")
			fmt.Fprintf(&b, "<%s>\n<description>\n%s\n</description>\n<metadata>\n- chars_current=%d\n- chars_limit=%v\n</metadata>\n"+
				"<value>\n%s\n</value>\n</%s>\n\n", label, f.str("description"), len([]rune(value)), f["limit"], value, label)
		}
		b.WriteString("</memory_blocks>\n\n")
	}
	zone, err := time.LoadLocation(a.fields.str("timezone"))
	if err != nil {
		zone = time.UTC
	}
	fmt.Fprintf(&b, "<memory_metadata>\n- AGENT_ID: %s\n- CONVERSATION_ID: default\n- System prompt last recompiled: %s\n</memory_metadata>",
		a.id, at.In(zone).Format("2006-01-02 03:04:05 PM MST-0700"))
	return b.String()
}

func (s *Server) recompileAgent(c *call) answer {
	c.needID("agent")
	o := c.params([]field{{"update_timestamp", boolean}, {"dry_run", boolean}})
	if a, bad := c.failed(); bad {
		return a
	}
	a := s.agents[c.id]
	if a == nil {
		return fail(http.StatusNotFound, "Agent with ID %s not found", c.id)
	}
	if len(a.messages) == 0 {
		return fail(http.StatusNotFound, "No system message found for agent '%s'", c.id)
	}
	m := a.messages[0]
	at := m.created
	if get[bool](o, "update_timestamp") {
		at = s.now()
	}
	before, after := m.text, s.compile(a, at)
	if get[bool](o, "dry_run") {
		return ok(after)
	}
	m.text = after
	return ok(before) // the real server stores the new prompt and answers with the old one
}

func (s *Server) exportAgent(c *call) answer {
	o := c.params([]field{{"max_steps", integer}, {"use_legacy_format", boolean}, {"scrub_messages", boolean}})
	if a, bad := c.failed(); bad {
		return a
	}
	if get[bool](o, "use_legacy_format") {
		return fail(http.StatusBadRequest, "Legacy format is not supported")
	}
	a := s.agents[c.id]
	if a == nil {
		return fail(http.StatusInternalServerError, "Export failed: The following agent IDs were not found: [%s]", printed(c.id))
	}
	if name := a.fields.str("name"); unsafeInName.MatchString(name) {
		return fail(http.StatusInternalServerError, "Export failed: "+badName, name)
	}
	none := []any{}
	file := map[string]any{
		"groups": none, "files": none, "sources": none, "mcp_servers": none, "skills": none,
		"metadata": map[string]any{"revision_id": "unknown"}, "created_at": pyTime(s.now()),
	}
	tools, toolIDs := []any{}, []string{}
	for _, t := range s.tools {
		if slices.Contains(a.tools, t.id()) {
			t := maps.Clone(t)
			t["id"] = fmt.Sprintf("tool-%d", len(tools))
			tools, toolIDs = append(tools, t), append(toolIDs, t.id())
		}
	}
	blocks, blockIDs := []any{}, []string{}
	for i, id := range a.blocks {
		b := s.blocks[id].state(nil)
		delete(b, "created_by_id")
		delete(b, "last_updated_by_id")
		b["id"] = fmt.Sprintf("block-%d", i)
		blocks, blockIDs = append(blocks, b), append(blockIDs, fmt.Sprint(b["id"]))
	}
	messages, messageIDs := []any{}, []string{}
	for i, m := range a.messages {
		if get[bool](o, "scrub_messages") {
			break
		}
		id := fmt.Sprintf("message-%d", i)
		messageIDs = append(messageIDs, id)
		messages = append(messages, map[string]any{
			"type": "message", "id": id, "otid": m.otid, "role": m.role, "agent_id": "agent-0", "created_at": pyTime(m.created),
			"content": []any{map[string]any{"type": "text", "text": m.text, "signature": nil}},
			"model":   m.model, "group_id": nil, "name": nil, "sender_id": nil, "batch_item_id": nil,
			"tool_calls": nil, "tool_call_id": nil, "tool_returns": none, "approve": nil, "approval_request_id": nil, "denial_reason": nil,
			"approvals": none,
		})
	}
	secrets := map[string]any{}
	for _, x := range a.secrets {
		secrets[x.key] = "" // values never leave
	}
	out := map[string]any{}
	for _, f := range createFields {
		out[f.name] = nil
	}
	for _, k := range []string{"embedding_chunk_size", "from_template", "memory_variables", "project"} {
		out[k] = nil
	}
	for _, k := range []string{
		"include_base_tools", "include_base_tool_rules", "include_default_source", "include_multi_agent_tools", "enable_reasoner", "template",
	} {
		out[k] = false
	}
	state := s.state(a, nil)
	for _, k := range []string{
		"name", "system", "agent_type", "description", "metadata", "llm_config", "embedding_config", "tool_rules", "message_buffer_autoclear",
		"response_format", "timezone", "max_files_open", "per_file_view_window_char_limit", "hidden",
	} {
		out[k] = state[k]
	}
	maps.Copy(out, map[string]any{
		"id": "agent-0", "tags": append([]string{}, a.tags...), "tool_ids": toolIDs, "block_ids": blockIDs, "source_ids": none, "tools": none,
		"memory_blocks": none, "secrets": secrets, "tool_exec_environment_variables": secrets, "messages": messages,
		"in_context_message_ids": messageIDs, "enable_sleeptime": get[bool](a.fields, "enable_sleeptime"), "files_agents": none, "group_ids": none,
	})
	if len(secrets) == 0 {
		out["secrets"] = nil
	}
	file["agents"], file["tools"], file["blocks"] = []any{out}, tools, blocks
	return ok(file)
}

func (s *Server) importAgents(c *call) answer {
	form, data, sent := c.form()
	o := checkFields(&c.errs, loc{"body"}, form, []field{
		{"override_existing_tools", boolean}, {"strip_messages", boolean}, {"append_copy_suffix", boolean},
	})
	if _, isText := form["file"]; isText {
		const msg = `Expected UploadFile, received: <class 'str'>`
		c.errs.add("value_error", loc{"body", "file"}, "Value error, "+msg, form["file"], "'error': ValueError("+printed(msg)+")")
	} else if !sent {
		c.errs.add("missing", loc{"body", "file"}, "Field required", nil, "")
	}
	if a, bad := c.failed(); bad {
		return a
	}
	var file any
	if readJSON(data, &file) != nil {
		return fail(http.StatusBadRequest, "Corrupted agent file format.")
	}
	if again, ok := file.(string); ok && readJSON([]byte(again), &file) != nil {
		return fail(http.StatusBadRequest, "Corrupted agent file format.")
	}
	first := func(keys ...string) string {
		for _, k := range keys {
			if v, _ := form[k].(string); v != "" {
				return v
			}
		}
		return ""
	}
	var env map[string]any
	if v := first("secrets", "env_vars_json"); v != "" && (readJSON([]byte(v), &env) != nil || env == nil) {
		return fail(http.StatusBadRequest, "secrets must be a valid JSON string")
	}
	switch file.(type) {
	case nil, bool, json.Number:
		return crash()
	}
	in, _ := file.(map[string]any)
	agents, isList := in["agents"].([]any)
	if !isList {
		return fail(http.StatusBadRequest, "Legacy AgentSchema format is deprecated. Please use the new AgentFileSchema format with 'agents' field.")
	}
	if a := checkFile(in, agents); a != nil {
		return *a
	}
	over := object{}
	if h := first("embedding", "override_embedding_handle"); h != "" || c.Header.Get("X-Override-Embedding-Model") != "" {
		if h == "" {
			h = c.Header.Get("X-Override-Embedding-Model")
		}
		e, problem := s.embeddingFor(h)
		if problem != nil {
			return *problem
		}
		over["embedding_config"] = e
	}
	if h := first("model", "override_model_handle"); h != "" {
		llm, problem := s.modelFor(h)
		if problem != nil {
			return *problem
		}
		over["llm_config"] = object(llm)
	}
	if p := c.Header.Get("X-Project-Id"); p != "" {
		over["project_id"] = p
	} else if p := first("project_id"); p != "" {
		over["project_id"] = p
	}

	ids := map[string]string{}
	for _, v := range get[[]any](in, "tools") {
		if t, ok := v.(map[string]any); ok {
			ids[fmt.Sprint(t["id"])] = s.upsertTool(t)
		}
	}
	for _, v := range get[[]any](in, "blocks") {
		f, _ := v.(map[string]any)
		b, problem := s.newBlock(checkFields(new(problems), nil, f, createBlockFields))
		if problem != nil {
			return *problem
		}
		ids[fmt.Sprint(f["id"])] = b.id
	}
	suffix := true
	if o.has("append_copy_suffix") {
		suffix = get[bool](o, "append_copy_suffix")
	}
	made := []string{}
	for _, v := range agents {
		spec := maps.Clone(v.(map[string]any))
		if name := first("name", "override_name"); name != "" {
			spec["name"] = name
		} else if suffix {
			spec["name"] = fmt.Sprint(spec["name"]) + "_copy"
		}
		for _, k := range []string{"tool_ids", "block_ids"} {
			spec[k] = mapped(spec[k], ids)
		}
		if have, ok := spec["secrets"].(map[string]any); ok && env != nil {
			values := map[string]any{}
			for k := range have {
				values[k], _ = env[k].(string)
				if values[k] == nil {
					values[k] = ""
				}
			}
			spec["secrets"] = values
		}
		var p problems
		create := checkFields(&p, nil, spec, createFields)
		maps.Copy(create, over)
		problem := p.stop
		if problem == nil && len(p.list) > 0 {
			a := fail(http.StatusBadRequest, "[%s]", strings.Join(p.list, ", "))
			problem = &a
		}
		var a *agent
		if problem == nil {
			a, problem = s.newAgent(create)
		}
		if problem != nil {
			return fail(http.StatusBadRequest, "Import failed: %v", problem.body.(map[string]any)["detail"])
		}
		s.importMessages(a, spec)
		made = append(made, a.id)
	}
	return ok(map[string]any{"agent_ids": made})
}

// importMessages takes over the messages that were in context.
func (s *Server) importMessages(a *agent, spec map[string]any) {
	s.forget(a)
	keep := object(spec).strs("in_context_message_ids")
	for _, v := range get[[]any](spec, "messages") {
		m, _ := v.(map[string]any)
		if !slices.Contains(keep, object(m).str("id")) {
			continue
		}
		var text string
		for _, part := range get[[]any](m, "content") {
			if part, ok := part.(map[string]any); ok {
				text += object(part).str("text")
			}
		}
		s.keep(a, &a.messages, &message{otid: object(m).str("otid"), role: object(m).str("role"), text: text, model: m["model"]})
	}
}

func mapped(list any, ids map[string]string) []any {
	in, _ := list.([]any)
	out := make([]any, len(in))
	for i, v := range in {
		out[i] = ids[fmt.Sprint(v)]
	}
	return out
}

// checkFile reports what an agent file lacks.
func checkFile(in map[string]any, agents []any) *answer {
	var lines []string
	missing := func(at string, v any) {
		lines = append(lines, fmt.Sprintf("%s\n  Field required [type=missing, input_value=%s, input_type=dict]\n"+
			"    For further information visit https://errors.pydantic.dev/2.13/v/missing", at, printed(v)))
	}
	for i, v := range agents {
		if a, ok := v.(map[string]any); !ok || a["id"] == nil {
			missing(fmt.Sprintf("agents.%d.id", i), v)
		}
	}
	for _, k := range []string{"groups", "blocks", "files", "sources", "tools", "mcp_servers"} {
		if _, ok := in[k]; !ok {
			missing(k, in)
		}
	}
	if lines == nil {
		return nil
	}
	plural := "s"
	if len(lines) == 1 {
		plural = ""
	}
	a := fail(http.StatusBadRequest, "%d validation error%s for AgentFileSchema\n%s", len(lines), plural, strings.Join(lines, "\n"))
	return &a
}

// form reads the multipart form: its text fields, and the file.
func (c *call) form() (fields map[string]any, file []byte, sent bool) {
	fields = map[string]any{}
	media, params, _ := mime.ParseMediaType(c.Header.Get("Content-Type"))
	if media != "multipart/form-data" {
		return fields, nil, false
	}
	f, err := multipart.NewReader(bytes.NewReader(c.raw), params["boundary"]).ReadForm(int64(len(c.raw)) + 1)
	if err != nil {
		return fields, nil, false
	}
	for k, v := range f.Value {
		fields[k] = v[len(v)-1]
	}
	for _, h := range f.File["file"] {
		r, err := h.Open()
		if err != nil {
			continue
		}
		var buf bytes.Buffer
		_, err = buf.ReadFrom(r)
		_ = r.Close()
		return fields, buf.Bytes(), err == nil
	}
	return fields, nil, false
}
