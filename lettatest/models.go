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
	{op: "models.embeddings.list", handle: func(w *world, _ *call) answer { return ok(shown(w.embedder.rows, (*row).json)) }},
}

var defaultModels = []string{
	"letta/letta-free", "openai/gpt-4.1", "openai/gpt-4o", "openai/gpt-4o-mini", "openai-proxy/gpt-4.1", "openai-proxy/gpt-4o",
	"openai-proxy/gpt-4o-mini",
}

const modelEndpoint = "https://models.invalid/v1"

// stockModels offers the models behind handles. One that the recorded server offered, whatever its provider, is as it was there.
func (w *world) stockModels(handles []string) {
	for _, handle := range slices.Sorted(slices.Values(handles)) {
		provider, name, _ := strings.Cut(handle, "/")
		m := sample("models.list", "name=gpt-4o")
		with(m, "name", name, "display_name", name, "model", name, "model_endpoint_type", strings.TrimSuffix(provider, "-proxy"))
		if known := recorded("models.list", "name="+name); known != nil {
			m = known.(object)
		}
		window, _ := m["context_window"].(json.Number).Int64()
		w.models.put(&row{id: handle, fields: with(m, "handle", handle, "provider_name", strings.TrimSuffix(provider, "-proxy"),
			"model_endpoint", modelEndpoint, "context_window", int(window))})
	}
	for _, m := range recorded("models.embeddings.list").([]any) {
		w.embedder.put(&row{id: text(m.(object), "handle"), fields: with(m.(object), "embedding_endpoint", modelEndpoint)})
	}
}

// configuration is a part of an agent that names a model, with the defaults that the server gives one.
func configuration(member, blank string, set object) object {
	o := sample("agents.create", member)
	maps.Copy(o, nulls(blank+" handle"))
	overlay(o, set)
	return o
}

func newLLM(set object) object {
	return configuration("llm_config", "model_endpoint provider_name max_tokens", with(maps.Clone(set), "enable_reasoner", or(set["enable_reasoner"], true)))
}

func newEmbedding(set object) object {
	return configuration("embedding_config", "embedding_endpoint", set)
}

var modelFilters = map[string]filter{
	"provider_category": among("provider_category"),
	"provider_type":     func(_ *world, r *row, v any) bool { return r.fields["provider_name"] == v },
}

func listModels(w *world, c *call) answer {
	return ok(shown(filtered(w, w.models.rows, modelFilters, c.q), (*row).json))
}

// modelFor finds a model; its window is capped as the real server's default does.
func (w *world) modelFor(handle string) object {
	m := w.models.must(handle, fail(http.StatusNotFound, "NOT_FOUND: Handle %s not found, must be one of []", handle)).fields
	return with(newLLM(m), "context_window", min(get[int](m, "context_window"), 128000), "display_name", nil)
}

func (w *world) embeddingFor(handle string) object {
	return newEmbedding(w.embedder.must(handle, invalid("Embedding model %s not found", handle)).fields)
}

// embeddingOf is the embedding that a body names, by its handle or in full; nil for none.
func (w *world) embeddingOf(in object) object {
	if full := get[object](in, "embedding_config"); full != nil {
		return newEmbedding(full)
	}
	if h := text(in, "embedding"); h != "" {
		return w.embeddingFor(h)
	}
	return nil
}

// llmFor works out the model configuration that a body asks for, instead of the current one if there is one; nil if it asks for none.
func (w *world) llmFor(in, current object) object {
	var llm object
	_, tokensSet := in["max_tokens"]
	switch full := get[object](in, "llm_config"); {
	case full != nil:
		llm = newLLM(full)
	case current == nil && in["model"] == nil:
		panic(invalid("Must specify either model or llm_config in request"))
	case current == nil, in["model"] != nil, in["context_window_limit"] != nil, tokensSet:
		llm = w.modelFor(or(in["model"], current["handle"]).(string))
		if tokensSet && current != nil {
			llm["max_tokens"] = nil
		}
		renamed(llm, in, map[string]string{
			"context_window_limit": "context_window", "max_tokens": "max_tokens", "max_reasoning_tokens": "max_reasoning_tokens",
			"enable_reasoner": "enable_reasoner",
		})
		if n := get[int](in, "max_reasoning_tokens"); in["max_reasoning_tokens"] != nil && (in["max_tokens"] == nil || n > get[int](in, "max_tokens")) {
			panic(invalid("Max reasoning tokens (%d) must be less than max tokens (%s)", n, python.Repr(in["max_tokens"])))
		}
	}
	settings := get[object](in, "model_settings")
	if llm == nil && (settings != nil || in["parallel_tool_calls"] != nil) {
		llm = maps.Clone(current)
	} else if current != nil && settings != nil && !tokensSet && settings["max_output_tokens"] == nil {
		llm["max_tokens"] = current["max_tokens"]
	}
	applySettings(llm, settings)
	if in["parallel_tool_calls"] != nil {
		llm["parallel_tool_calls"] = in["parallel_tool_calls"]
	}
	return llm
}

// reasons sets whether a new agent reasons. No model here does so by itself: the newest agent type turns it off, older ones simulate it unless
// told not to.
func reasons(llm, in object, kind string) {
	reasoning := kind != typeV1 && or(in["reasoning"], flag(llm, "enable_reasoner") || flag(llm, "put_inner_thoughts_in_kwargs")).(bool)
	llm["enable_reasoner"], llm["put_inner_thoughts_in_kwargs"] = reasoning, reasoning
	if kind == typeV1 {
		llm["max_reasoning_tokens"] = 0
	}
}

// renamed copies members that are set under other names.
func renamed(o, from object, names map[string]string) {
	for name, other := range names {
		if from[name] != nil {
			o[other] = from[name]
		}
	}
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
	renamed(llm, settings, map[string]string{
		"temperature": "temperature", "parallel_tool_calls": "parallel_tool_calls", "max_output_tokens": "max_tokens", "strict": "strict",
	})
	renamed(llm, get[object](settings, "reasoning"), map[string]string{"reasoning_effort": "reasoning_effort"})
}

// settingsOf shows a model configuration as model settings.
func settingsOf(llm object) object {
	return object{
		"max_output_tokens": or(llm["max_tokens"], 4096), "parallel_tool_calls": true, "provider_type": llm["model_endpoint_type"], "temperature": llm["temperature"],
		"reasoning": object{"reasoning_effort": or(llm["reasoning_effort"], "minimal")}, "response_format": nil, "strict": llm["strict"],
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
