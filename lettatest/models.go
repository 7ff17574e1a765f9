package lettatest

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/letta-go/letta/internal/python"
)

var modelRoutes = []route{
	{op: "models.list", handle: listModels},
	{op: "models.embeddings.list", handle: listEmbeddingModels},
}

var defaultModels = []string{
	"letta/letta-free", "openai/gpt-4.1", "openai/gpt-4o", "openai/gpt-4o-mini", "openai-proxy/gpt-4.1", "openai-proxy/gpt-4o",
	"openai-proxy/gpt-4o-mini",
}

const modelEndpoint = "https://models.invalid/v1"

var windows = map[string]int{"letta-free": 30000, "gpt-4": 8192, "gpt-4.1": 1047576}

// languageModels are the configurations of the models behind handles.
func languageModels(handles []string) []object {
	out := make([]object, 0, len(handles))
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
		out = append(out, newLLM(object{
			"model": name, "model_endpoint_type": kind, "model_endpoint": modelEndpoint, "provider_name": provider, "context_window": window,
			"handle": h, "max_tokens": tokens,
		}))
	}
	return out
}

// newLLM is a model configuration with the defaults that the server gives one.
func newLLM(set object) object {
	o := sample("agents.create", "llm_config")
	maps.Copy(o, nulls("model_endpoint provider_name handle max_tokens"))
	o["enable_reasoner"] = true
	maps.Copy(o, set)
	return o
}

func embeddingModels() (out []object) {
	for _, h := range []string{
		"letta/letta-free", "openai/text-embedding-3-large", "openai/text-embedding-3-small", "openai/text-embedding-ada-002",
	} {
		_, name, _ := strings.Cut(h, "/")
		dim := 1536
		if strings.HasSuffix(name, "-large") {
			dim = 3072
		}
		out = append(out, with(sample("agents.create", "embedding_config"),
			"handle", h, "embedding_endpoint", modelEndpoint, "embedding_model", name, "embedding_dim", dim))
	}
	return out
}

func listModels(w *world, c *call) answer {
	out := []any{}
	for _, m := range w.models {
		categories := texts(c.q, "provider_category")
		if text(c.q, "provider_name") != "" && m["provider_name"] != c.q["provider_name"] ||
			c.q["provider_type"] != nil && m["provider_name"] != c.q["provider_type"] ||
			categories != nil && !slices.Contains(categories, "base") {
			continue
		}
		out = append(out, with(maps.Clone(m), "name", m["model"], "display_name", m["model"], "provider_type", m["model_endpoint_type"],
			"model_type", "llm", "max_context_window", m["context_window"]))
	}
	return ok(out)
}

func listEmbeddingModels(w *world, _ *call) answer {
	return ok(shown(w.embedder, func(m object) any {
		name := m["embedding_model"]
		return with(maps.Clone(m), "name", name, "display_name", name, "provider_type", "openai", "provider_name", "openai",
			"model_type", "embedding")
	}))
}

// modelFor finds a model; its window is capped as the real server's default does.
func (w *world) modelFor(handle string) object {
	for _, m := range w.models {
		if m["handle"] == handle {
			return with(maps.Clone(m), "context_window", min(m["context_window"].(int), 128000))
		}
	}
	panic(fail(http.StatusNotFound, "NOT_FOUND: Handle %s not found, must be one of []", handle))
}

func (w *world) embeddingFor(handle string) object {
	for _, m := range w.embedder {
		if m["handle"] == handle {
			return maps.Clone(m)
		}
	}
	panic(invalid("Embedding model %s not found", handle))
}

// embeddingOf is the embedding that a body names, by its handle or in full; nil for none.
func (w *world) embeddingOf(in object) object {
	if full := get[object](in, "embedding_config"); full != nil {
		o := sample("agents.create", "embedding_config")
		maps.Copy(o, nulls("embedding_endpoint handle"))
		overlay(o, full)
		return o
	}
	if h := text(in, "embedding"); h != "" {
		return w.embeddingFor(h)
	}
	return nil
}

// llmOf is a model configuration that a body spells out; nil for none.
func llmOf(in object) object {
	full := get[object](in, "llm_config")
	if full == nil {
		return nil
	}
	o := newLLM(nil)
	overlay(o, full)
	return o
}

// llmFor works out the model configuration of a new agent.
func (w *world) llmFor(in object, kind string) object {
	llm := llmOf(in)
	if llm == nil {
		if in["model"] == nil {
			panic(invalid("Must specify either model or llm_config in request"))
		}
		llm = w.modelFor(text(in, "model"))
		for from, to := range map[string]string{
			"context_window_limit": "context_window", "max_tokens": "max_tokens", "max_reasoning_tokens": "max_reasoning_tokens",
			"enable_reasoner": "enable_reasoner",
		} {
			if in[from] != nil {
				llm[to] = in[from]
			}
		}
		if n := get[int](in, "max_reasoning_tokens"); in["max_reasoning_tokens"] != nil && (in["max_tokens"] == nil || n > get[int](in, "max_tokens")) {
			panic(invalid("Max reasoning tokens (%d) must be less than max tokens (%s)", n, python.Repr(in["max_tokens"])))
		}
	}
	applySettings(llm, get[object](in, "model_settings"))
	if in["parallel_tool_calls"] != nil {
		llm["parallel_tool_calls"] = in["parallel_tool_calls"]
	}
	// No model here reasons by itself: the newest agent type turns reasoning off, older ones simulate it unless told not to.
	reasoning := flag(llm, "enable_reasoner") || flag(llm, "put_inner_thoughts_in_kwargs")
	if in["reasoning"] != nil {
		reasoning = flag(in, "reasoning")
	}
	reasoning = reasoning && kind != typeV1
	llm["enable_reasoner"], llm["put_inner_thoughts_in_kwargs"] = reasoning, reasoning
	if kind == typeV1 {
		llm["max_reasoning_tokens"] = 0
	}
	return llm
}

// llmUpdate works out the model configuration that an update sets; nil leaves it alone.
func (w *world) llmUpdate(a *agent, in object) object {
	current := get[object](a.fields, "llm_config")
	_, tokensSet := in["max_tokens"]
	llm := llmOf(in)
	if llm == nil && (in["model"] != nil || in["context_window_limit"] != nil || tokensSet) {
		handle := text(in, "model")
		if in["model"] == nil {
			handle = text(current, "handle")
		}
		llm = w.modelFor(handle)
		if in["context_window_limit"] != nil {
			llm["context_window"] = in["context_window_limit"]
		}
		if tokensSet {
			llm["max_tokens"] = in["max_tokens"]
		}
	}
	if settings := get[object](in, "model_settings"); settings != nil {
		switch {
		case llm == nil:
			llm = maps.Clone(current)
		case !tokensSet && settings["max_output_tokens"] == nil:
			llm["max_tokens"] = current["max_tokens"]
		}
		applySettings(llm, settings)
	}
	if in["parallel_tool_calls"] != nil {
		if llm == nil {
			llm = maps.Clone(current)
		}
		llm["parallel_tool_calls"] = in["parallel_tool_calls"]
	}
	return llm
}

// applySettings puts model settings into a model configuration. What they leave out goes back to the default of settings.
func applySettings(llm, settings object) {
	if settings == nil {
		return
	}
	llm["temperature"], llm["parallel_tool_calls"], llm["response_format"] = json.Number("0.7"), true, settings["response_format"]
	if provider := text(settings, "provider_type"); provider == "openai" || provider == "sglang" {
		llm["strict"], llm["reasoning_effort"] = true, "high"
	}
	for from, to := range map[string]string{
		"temperature": "temperature", "parallel_tool_calls": "parallel_tool_calls", "max_output_tokens": "max_tokens", "strict": "strict",
	} {
		if settings[from] != nil {
			llm[to] = settings[from]
		}
	}
	if r := get[object](settings, "reasoning"); r["reasoning_effort"] != nil {
		llm["reasoning_effort"] = r["reasoning_effort"]
	}
}

// settingsOf shows a model configuration as model settings.
func settingsOf(llm object) object {
	effort, tokens := llm["reasoning_effort"], llm["max_tokens"]
	if effort == nil {
		effort = "minimal"
	}
	if tokens == nil {
		tokens = 4096
	}
	return object{
		"max_output_tokens": tokens, "parallel_tool_calls": true, "provider_type": llm["model_endpoint_type"], "temperature": llm["temperature"],
		"reasoning": object{"reasoning_effort": effort}, "response_format": nil, "strict": llm["strict"],
	}
}

// defaultCompaction is how an agent with a model compacts its messages.
func defaultCompaction(llm object) object {
	model, ok := map[string]any{
		"openai": "openai/gpt-5-mini", "anthropic": "anthropic/claude-haiku-4-5", "google_ai": "google_ai/gemini-2.5-flash", "letta": "letta/auto",
	}[text(llm, "provider_name")]
	if !ok {
		model = llm["handle"]
	}
	return with(sample("agents.create", "compaction_settings"), "model", model)
}
