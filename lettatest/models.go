package lettatest

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

var defaultModels = []string{
	"letta/letta-free", "openai/gpt-4.1", "openai/gpt-4o", "openai/gpt-4o-mini", "openai-proxy/gpt-4.1", "openai-proxy/gpt-4o",
	"openai-proxy/gpt-4o-mini",
}

var (
	windows   = map[string]int{"letta-free": 30000, "gpt-4": 8192, "gpt-4.1": 1047576}
	ruleOrder = []string{
		"constrain_child_tools", "run_first", "exit_loop", "conditional", "continue_loop", "required_before_exit", "max_count_per_step",
		"parent_last_tool", "requires_approval",
	}
	settingTypes = []string{
		"openai", "sglang", "anthropic", "google_ai", "google_vertex", "azure", "xai", "zai", "groq", "deepseek", "together", "bedrock",
		"baseten", "openrouter", "chatgpt_oauth",
	}
	providers = []string{
		"anthropic", "azure", "baseten", "bedrock", "cerebras", "chatgpt_oauth", "deepseek", "fireworks", "google_ai", "google_vertex",
		"groq", "hugging-face", "letta", "lmstudio_openai", "minimax", "mistral", "ollama", "openai", "together", "vllm", "sglang",
		"openrouter", "xai", "zai", "zai_coding",
	}
)

const modelEndpoint = "https://models.invalid/v1"

// languageModels builds the configurations of the models behind handles.
func languageModels(handles []string) []map[string]any {
	out := make([]map[string]any, 0, len(handles))
	for _, h := range slices.Sorted(slices.Values(handles)) {
		provider, name, _ := strings.Cut(h, "/")
		provider = strings.TrimSuffix(provider, "-proxy")
		window, tokens, kind := windows[name], 16384, provider
		if window == 0 {
			window = 128000
		}
		if provider == "letta" {
			tokens, kind = 4096, "openai"
		}
		out = append(out, newLLM(map[string]any{
			"model": name, "model_endpoint_type": kind, "model_endpoint": modelEndpoint, "provider_name": provider, "context_window": window,
			"handle": h, "max_tokens": tokens,
		}))
	}
	return out
}

// newLLM fills a model configuration up with what is the same for all.
func newLLM(set map[string]any) map[string]any {
	m := map[string]any{
		"display_name": nil, "model_endpoint": nil, "provider_name": nil, "provider_category": "base", "model_wrapper": nil,
		"put_inner_thoughts_in_kwargs": false, "handle": nil, "temperature": json.Number("1.0"), "max_tokens": nil, "enable_reasoner": true,
		"reasoning_effort": nil, "max_reasoning_tokens": 0, "effort": nil, "frequency_penalty": nil, "compatibility_type": nil,
		"verbosity": nil, "tier": nil, "parallel_tool_calls": false, "response_format": nil, "strict": false, "return_logprobs": false,
		"top_logprobs": nil, "return_token_ids": false, "tool_call_parser": nil,
	}
	maps.Copy(m, set)
	return m
}

func embeddingModels() []map[string]any {
	var out []map[string]any
	for _, h := range []string{
		"letta/letta-free", "openai/text-embedding-3-large", "openai/text-embedding-3-small", "openai/text-embedding-ada-002",
	} {
		_, name, _ := strings.Cut(h, "/")
		dim := 1536
		if strings.HasSuffix(name, "-large") {
			dim = 3072
		}
		out = append(out, map[string]any{
			"handle": h, "embedding_endpoint_type": "openai", "embedding_endpoint": modelEndpoint, "embedding_model": name, "embedding_dim": dim,
			"embedding_chunk_size": 300, "batch_size": 32, "azure_endpoint": nil, "azure_version": nil, "azure_deployment": nil,
		})
	}
	return out
}

func (s *Server) listModels(c *call) answer {
	o := c.params([]field{
		{"provider_category[]", list(oneOf("enum", "base", "byok"))}, {"provider_name", text}, {"provider_type", oneOf("enum", providers...)},
	})
	if a, bad := c.failed(); bad {
		return a
	}
	out := []any{}
	for _, m := range s.models {
		categories := o.strs("provider_category")
		if o.str("provider_name") != "" && m["provider_name"] != o["provider_name"] ||
			o.has("provider_type") && m["provider_name"] != o["provider_type"] ||
			categories != nil && !slices.Contains(categories, "base") {
			continue
		}
		m := maps.Clone(m)
		m["name"], m["display_name"], m["provider_type"], m["model_type"] = m["model"], m["model"], m["model_endpoint_type"], "llm"
		m["max_context_window"] = m["context_window"]
		out = append(out, m)
	}
	return ok(out)
}

func (s *Server) listEmbeddingModels(*call) answer {
	out := []any{}
	for _, m := range s.embedder {
		m := maps.Clone(m)
		name := m["embedding_model"]
		m["name"], m["display_name"], m["provider_type"], m["provider_name"], m["model_type"] = name, name, "openai", "openai", "embedding"
		out = append(out, m)
	}
	return ok(out)
}

// modelFor finds a model; its window is capped as the real server's default does.
func (s *Server) modelFor(handle string) (map[string]any, *answer) {
	for _, m := range s.models {
		if m["handle"] == handle {
			m := maps.Clone(m)
			m["context_window"] = min(m["context_window"].(int), 128000)
			return m, nil
		}
	}
	a := fail(404, "NOT_FOUND: Handle %s not found, must be one of []", handle)
	return nil, &a
}

func (s *Server) embeddingFor(handle string) (object, *answer) {
	for _, m := range s.embedder {
		if m["handle"] == handle {
			return maps.Clone(m), nil
		}
	}
	a := invalid("Embedding model %s not found", handle)
	return nil, &a
}

// llmFor works out the model configuration of a new agent.
func (s *Server) llmFor(o object, kind string) (map[string]any, *answer) {
	llm := map[string]any(get[object](o, "llm_config"))
	if llm == nil {
		if !o.has("model") {
			a := invalid("Must specify either model or llm_config in request")
			return nil, &a
		}
		var problem *answer
		if llm, problem = s.modelFor(o.str("model")); problem != nil {
			return nil, problem
		}
		if o.has("context_window_limit") {
			llm["context_window"] = o["context_window_limit"]
		}
		if o.has("max_tokens") {
			llm["max_tokens"] = o["max_tokens"]
		}
		if o.has("max_reasoning_tokens") {
			if n := get[int](o, "max_reasoning_tokens"); !o.has("max_tokens") || n > get[int](o, "max_tokens") {
				a := invalid("Max reasoning tokens (%d) must be less than max tokens (%s)", n, printed(o["max_tokens"]))
				return nil, &a
			}
			llm["max_reasoning_tokens"] = o["max_reasoning_tokens"]
		}
		if o.has("enable_reasoner") {
			llm["enable_reasoner"] = o["enable_reasoner"]
		}
	}
	applySettings(llm, get[object](o, "model_settings"))
	if o.has("parallel_tool_calls") {
		llm["parallel_tool_calls"] = o["parallel_tool_calls"]
	}
	// No model here reasons by itself: the newest agent type turns reasoning off, older ones simulate it unless told not to.
	reasoning := llm["enable_reasoner"] == true || llm["put_inner_thoughts_in_kwargs"] == true
	if o.has("reasoning") {
		reasoning = get[bool](o, "reasoning")
	}
	reasoning = reasoning && kind != typeV1
	llm["enable_reasoner"], llm["put_inner_thoughts_in_kwargs"] = reasoning, reasoning
	if kind == typeV1 {
		llm["max_reasoning_tokens"] = 0
	}
	return llm, nil
}

// errNoAgent says that an update needs the model of an agent that does not exist.
var errNoAgent = &answer{}

// llmUpdate works out the model configuration that an update sets; nil leaves it alone.
func (s *Server) llmUpdate(a *agent, o object) (map[string]any, *answer) {
	_, tokensSet := o["max_tokens"]
	llm := map[string]any(get[object](o, "llm_config"))
	var current map[string]any
	if a != nil {
		current = get[map[string]any](a.fields, "llm_config")
	}
	if llm == nil && (o.has("model") || o.has("context_window_limit") || tokensSet) {
		handle := o.str("model")
		if !o.has("model") {
			if a == nil {
				return nil, errNoAgent
			}
			handle, _ = current["handle"].(string)
		}
		var problem *answer
		if llm, problem = s.modelFor(handle); problem != nil {
			return nil, problem
		}
		if o.has("context_window_limit") {
			llm["context_window"] = o["context_window_limit"]
		}
		if tokensSet {
			llm["max_tokens"] = o["max_tokens"]
		}
	}
	if settings := get[object](o, "model_settings"); settings != nil {
		switch {
		case a == nil:
			return nil, errNoAgent
		case llm == nil:
			llm = maps.Clone(current)
		case !tokensSet && !settings.has("max_output_tokens"):
			llm["max_tokens"] = current["max_tokens"]
		}
		applySettings(llm, settings)
	}
	if o.has("parallel_tool_calls") {
		if a == nil {
			return nil, errNoAgent
		}
		if llm == nil {
			llm = maps.Clone(current)
		}
		llm["parallel_tool_calls"] = o["parallel_tool_calls"]
	}
	return llm, nil
}

// applySettings puts model settings into a model configuration. What they leave out goes back to the default of settings.
func applySettings(llm map[string]any, o object) {
	if o == nil {
		return
	}
	llm["temperature"], llm["parallel_tool_calls"], llm["response_format"] = json.Number("0.7"), true, o["response_format"]
	if o.str("provider_type") == "openai" || o.str("provider_type") == "sglang" {
		llm["strict"], llm["reasoning_effort"] = true, "high"
	}
	for from, to := range map[string]string{
		"temperature": "temperature", "parallel_tool_calls": "parallel_tool_calls", "max_output_tokens": "max_tokens", "strict": "strict",
	} {
		if o.has(from) {
			llm[to] = o[from]
		}
	}
	if r := get[object](o, "reasoning"); r.has("reasoning_effort") {
		llm["reasoning_effort"] = r["reasoning_effort"]
	}
}

// settingsOf shows a model configuration as model settings.
func settingsOf(llm map[string]any) map[string]any {
	effort, tokens := llm["reasoning_effort"], llm["max_tokens"]
	if effort == nil {
		effort = "minimal"
	}
	if tokens == nil {
		tokens = 4096
	}
	return map[string]any{
		"max_output_tokens": tokens, "parallel_tool_calls": true, "provider_type": llm["model_endpoint_type"], "temperature": llm["temperature"],
		"reasoning": map[string]any{"reasoning_effort": effort}, "response_format": nil, "strict": llm["strict"],
	}
}

func llmConfig(p *problems, at loc, v any) any {
	in, ok := v.(map[string]any)
	if !ok { // the real server trips over it
		a := crash()
		p.stop = &a
		return nil
	}
	out := newLLM(nil)
	for k := range out {
		if in[k] != nil {
			out[k] = in[k]
		}
	}
	maps.Copy(out, checkFields(p, at, in, []field{{"model*", text}, {"model_endpoint_type*", text}, {"context_window*", integer}}))
	return object(out)
}

func embeddingConfig(p *problems, at loc, v any) any {
	out := object{
		"embedding_endpoint": nil, "embedding_chunk_size": 300, "handle": nil, "batch_size": 32, "azure_endpoint": nil, "azure_version": nil,
		"azure_deployment": nil,
	}
	in, _ := v.(map[string]any)
	for k := range out {
		if in[k] != nil {
			out[k] = in[k]
		}
	}
	fields := structure([]field{{"embedding_endpoint_type*", text}, {"embedding_model*", text}, {"embedding_dim*", integer}})
	checked, _ := fields(p, at, v).(object)
	maps.Copy(out, checked)
	return out
}

var modelSettings = union("provider_type", "ProviderType", settingTypes, func(string) check {
	return structure([]field{
		{"max_output_tokens", integer},
		{"parallel_tool_calls", boolean},
		{"provider_type", text},
		{"temperature", number},
		{"reasoning", structure([]field{{"reasoning_effort", text}})},
		{"response_format", opt(responseFormat)},
		{"strict", boolean},
	})
})

var responseFormat = union("type", "ResponseFormatType", []string{"text", "json_schema", "json_object"}, func(string) check {
	return dict(nil)
})

var compactionFields = []field{
	{"model", optText},
	{"model_settings", optDict},
	{"prompt", optText},
	{"prompt_acknowledgement", boolean},
	{"clip_chars", optInt},
	{"mode", oneOf("literal_error", "all", "sliding_window", "self_compact_all", "self_compact_sliding_window")},
	{"sliding_window_percentage", number},
}

func defaultCompaction(llm map[string]any) map[string]any {
	provider, _ := llm["provider_name"].(string)
	model, ok := map[string]any{
		"openai": "openai/gpt-5-mini", "anthropic": "anthropic/claude-haiku-4-5", "google_ai": "google_ai/gemini-2.5-flash", "letta": "letta/auto",
	}[provider]
	if !ok {
		model = llm["handle"]
	}
	return map[string]any{
		"model": model, "model_settings": nil, "prompt": "Summarize the messages that leave the context window.", "prompt_acknowledgement": false,
		"clip_chars": 50000, "mode": "sliding_window", "sliding_window_percentage": json.Number("0.3"),
	}
}

// ruleFields are the members of each kind of tool rule, besides type, tool_name and prompt_template.
var ruleFields = map[string][]field{
	"constrain_child_tools": {{"children*", list(text)}, {"child_arg_nodes", opt(anyList)}},
	"run_first":             {{"args", optDict}},
	"exit_loop":             nil,
	"conditional":           {{"default_child*", optText}, {"child_output_mapping", dict(nil)}, {"require_output_mapping", boolean}},
	"continue_loop":         nil,
	"required_before_exit":  nil,
	"max_count_per_step":    {{"max_count_limit*", integer}},
	"parent_last_tool":      {{"children*", list(text)}},
	"requires_approval":     nil,
}

var anyList = list(func(_ *problems, _ loc, v any) any { return v })

// toolRule checks a rule. Here, and only here, unknown members are refused.
var toolRule = union("type", "ToolRuleType", ruleOrder, func(kind string) check {
	fields := slices.Concat([]field{{"tool_name*", text}, {"type", text}, {"prompt_template", optText}}, ruleFields[kind])
	return func(p *problems, at loc, v any) any {
		in := v.(map[string]any)
		out := checkFields(p, at, in, fields)
		known := func(k string) bool {
			return slices.ContainsFunc(fields, func(f field) bool { return strings.TrimSuffix(f.name, "*") == k })
		}
		for _, k := range slices.Sorted(maps.Keys(in)) {
			if !known(k) {
				p.add("extra_forbidden", at.in(k), "Extra inputs are not permitted", in[k], "")
			}
		}
		for _, f := range fields {
			if name := strings.TrimSuffix(f.name, "*"); !out.has(name) {
				out[name] = nil
			}
		}
		if kind == "conditional" && out["require_output_mapping"] == nil {
			out["require_output_mapping"] = false
		}
		return out
	}
})

// tool is the JSON form of a tool.
type tool map[string]any

func (t tool) id() string { return object(t).str("id") }

// baseTools are the tools every server is born with: name, kind, what it does, its parameters with * at the required ones.
func baseTools() []tool {
	var out []tool
	for _, row := range [][4]string{
		{"archival_memory_insert", "letta_core", "Keep a text in long-term memory.", "content* tags"},
		{"archival_memory_search", "letta_core", "Search long-term memory.", "query* tags top_k"},
		{"conversation_search", "letta_core", "Search earlier messages.", "query roles limit start_date end_date"},
		{"core_memory_append", "letta_memory_core", "Append to a memory block.", "label* content*"},
		{"core_memory_replace", "letta_memory_core", "Replace text in a memory block.", "label* old_content* new_content*"},
		{"finish_rethinking_memory", "letta_voice_sleeptime_core", "End the work on memory.", ""},
		{"memory", "letta_memory_core", "Edit memory blocks with commands.", "command* path file_text old_string new_string"},
		{"memory_apply_patch", "letta_memory_core", "Apply a patch to a memory block.", "label* patch*"},
		{"memory_finish_edits", "letta_sleeptime_core", "End the edits of memory.", ""},
		{"memory_insert", "letta_sleeptime_core", "Insert text into a memory block.", "label* new_string* insert_line"},
		{"memory_replace", "letta_sleeptime_core", "Replace text in a memory block.", "label* old_string* new_string*"},
		{"memory_rethink", "letta_sleeptime_core", "Rewrite a memory block.", "label* new_memory*"},
		{"rethink_user_memory", "letta_voice_sleeptime_core", "Rewrite what is known of the user.", "new_memory*"},
		{"search_memory", "letta_voice_sleeptime_core", "Search the conversation.", "convo_keyword_queries"},
		{"send_message", "letta_core", "Send a message to the user.", "message*"},
		{"send_message_to_agent_and_wait_for_reply", "letta_multi_agent_core", "Ask another agent.", "message* other_agent_id*"},
		{"send_message_to_agent_async", "letta_multi_agent_core", "Tell another agent.", "message* other_agent_id*"},
		{"send_message_to_agents_matching_tags", "letta_multi_agent_core", "Ask agents by tag.", "message* match_all* match_some*"},
		{"store_memories", "letta_voice_sleeptime_core", "Keep parts of the conversation.", "chunks*"},
	} {
		props, required := map[string]any{}, []string{}
		for _, p := range strings.Fields(row[3]) {
			name, must := strings.CutSuffix(p, "*")
			props[name] = map[string]any{"type": "string", "description": "The " + strings.ReplaceAll(name, "_", " ") + "."}
			if must {
				required = append(required, name)
			}
		}
		out = append(out, newTool(tool{
			"name": row[0], "tool_type": row[1], "description": row[2], "tags": []string{row[1]},
			"enable_parallel_execution": strings.HasSuffix(row[0], "_search"),
			"json_schema": map[string]any{
				"name": row[0], "description": row[2],
				"parameters": map[string]any{"type": "object", "properties": props, "required": required},
			},
		}))
	}
	return out
}

func newTool(set tool) tool {
	t := tool{
		"tool_type": "custom", "description": nil, "source_type": "python", "tags": []string{}, "source_code": nil, "json_schema": nil,
		"args_json_schema": nil, "return_char_limit": 50000, "pip_requirements": nil, "npm_requirements": nil,
		"default_requires_approval": nil, "enable_parallel_execution": false, "metadata_": map[string]any{}, "project_id": nil,
	}
	maps.Copy(t, set)
	t["id"], t["created_by_id"], t["last_updated_by_id"] = newID("tool"), userID, userID
	return t
}

// upsertTool finds a tool of an agent file by name, or takes it over.
func (s *Server) upsertTool(in map[string]any) string {
	for _, t := range s.tools {
		if t["name"] == in["name"] {
			return t.id()
		}
	}
	t := newTool(in)
	s.tools = append(s.tools, t)
	return t.id()
}

// resolveTools gives an agent its tools, and returns their names.
func (s *Server) resolveTools(a *agent, o object, kind string) ([]string, *answer) {
	names, ids := o.strs("tools"), o.strs("tool_ids")
	if base, set := o["include_base_tools"]; !set || base == true {
		o["include_base_tools"] = true
		names = append(names, baseToolsOf(kind, get[bool](o, "enable_sleeptime"))...)
		if kind == typeV1 {
			names = slices.DeleteFunc(names, func(n string) bool { return n == "send_message" })
		}
	}
	if get[bool](o, "include_multi_agent_tools") {
		names = append(names, "send_message_to_agent_and_wait_for_reply", "send_message_to_agent_async", "send_message_to_agents_matching_tags")
	}
	var found []string
	for _, t := range s.tools {
		name, _ := t["name"].(string)
		byName, byID := slices.Index(names, name), slices.Index(ids, t.id())
		if byName < 0 && byID < 0 {
			continue
		}
		a.tools, found = append(a.tools, t.id()), append(found, name)
		names = slices.DeleteFunc(names, func(n string) bool { return n == name })
		ids = slices.DeleteFunc(ids, func(i string) bool { return i == t.id() })
	}
	if len(names) > 0 {
		bad := fail(400, "Tools not found by name: {%s}", printedSet(names))
		return nil, &bad
	}
	if len(ids) > 0 {
		bad := fail(400, "Tools not found by id:   {%s}", printedSet(ids))
		return nil, &bad
	}
	return found, nil
}

func printedSet(values []string) string {
	for i, v := range values {
		values[i] = printed(v)
	}
	return strings.Join(values, ", ")
}

func baseToolsOf(kind string, sleeptime bool) []string {
	switch {
	case kind == "voice_sleeptime_agent":
		return []string{"finish_rethinking_memory", "rethink_user_memory", "store_memories"}
	case kind == "voice_convo_agent":
		return []string{"search_memory"}
	case kind == "sleeptime_agent":
		return []string{"memory_finish_edits", "memory_insert", "memory_replace", "memory_rethink"}
	case sleeptime:
		return []string{"archival_memory_search", "conversation_search", "send_message"}
	case kind == "memgpt_v2_agent", kind == typeV1:
		return []string{"conversation_search", "memory_insert", "memory_replace", "send_message"}
	case kind == "react_agent", kind == "workflow_agent":
		return nil
	}
	return []string{"conversation_search", "core_memory_append", "core_memory_replace", "memory", "memory_apply_patch", "send_message"}
}

// baseRule is the kind of rule a base tool brings along.
func baseRule(name string) string {
	switch {
	case name == "send_message", name == "send_message_to_agent_async", name == "memory_finish_edits":
		return "exit_loop"
	case strings.HasPrefix(name, "memory"), strings.HasPrefix(name, "core_memory"), strings.HasPrefix(name, "archival_memory"),
		name == "conversation_search":
		return "continue_loop"
	}
	return ""
}

func excludedFromRules(model any) bool {
	name, _ := model.(string)
	has := func(part string) bool { return strings.Contains(name, part) }
	return !has("mini") && slices.ContainsFunc([]string{"claude-4-sonnet", "claude-3-5-sonnet", "gpt-5", "gemini-2.5-pro"}, has)
}
