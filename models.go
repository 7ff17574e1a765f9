package letta

import (
	"context"
	"net/http"
)

// ModelService is client.Models: the models that the server can use.
type ModelService struct {
	core       *core
	Embeddings *ModelEmbeddingService
}

// List gets all models.
func (s *ModelService) List(ctx context.Context, params *ModelListParams, opts ...RequestOption) ([]*Model, error) {
	return do[[]*Model](ctx, s.core, request{op: Operation{"models.list", http.MethodGet, "/v1/models/"}, query: params}, opts)
}

// ModelListParams filter models.
type ModelListParams struct {
	ProviderCategory []ProviderCategory `url:"provider_category,omitempty"`
	ProviderName     string             `url:"provider_name,omitempty"`
	ProviderType     ProviderType       `url:"provider_type,omitempty"`
}

// ModelType tells models from embedding models.
type ModelType string

// The values known today; others are kept as they come.
const (
	ModelTypeLLM       ModelType = "llm"
	ModelTypeEmbedding ModelType = "embedding"
)

// Model is a model that the server can use. Handle is what AgentCreateParams.Model takes.
type Model struct {
	// Deprecated: use MaxContextWindow.
	ContextWindow    int `json:"context_window"`
	MaxContextWindow int `json:"max_context_window"`
	// Deprecated: use Name.
	Model string `json:"model"`
	// Deprecated: use ProviderType.
	ModelEndpointType string       `json:"model_endpoint_type"`
	Name              string       `json:"name"`
	ProviderType      ProviderType `json:"provider_type"`
	// Deprecated: nothing replaces it; do not rely on it.
	CompatibilityType string `json:"compatibility_type,omitzero"`
	DisplayName       string `json:"display_name,omitzero"`
	Effort            Effort `json:"effort,omitzero"`
	// Deprecated: use ModelSettings of the agent.
	EnableReasoner bool `json:"enable_reasoner"`
	// Deprecated: set it in ModelSettings of the agent.
	FrequencyPenalty float64 `json:"frequency_penalty,omitzero"`
	Handle           string  `json:"handle,omitzero"`
	// Deprecated: use ModelSettings of the agent.
	MaxReasoningTokens int `json:"max_reasoning_tokens"`
	// Deprecated: use ModelSettings of the agent.
	MaxTokens int `json:"max_tokens,omitzero"`
	// Deprecated: nothing replaces it; do not rely on it.
	ModelEndpoint string    `json:"model_endpoint,omitzero"`
	ModelType     ModelType `json:"model_type"`
	// Deprecated: nothing replaces it; do not rely on it.
	ModelWrapper string `json:"model_wrapper,omitzero"`
	// Deprecated: use ModelSettings of the agent.
	ParallelToolCalls bool `json:"parallel_tool_calls,omitzero"`
	// Deprecated: nothing replaces it; do not rely on it.
	ProviderCategory ProviderCategory `json:"provider_category,omitzero"`
	ProviderName     string           `json:"provider_name,omitzero"`
	// Deprecated: nothing replaces it; do not rely on it.
	PutInnerThoughtsInKwargs bool `json:"put_inner_thoughts_in_kwargs,omitzero"`
	// Deprecated: set it in ModelSettings of the agent.
	ReasoningEffort Effort         `json:"reasoning_effort,omitzero"`
	ResponseFormat  ResponseFormat `json:"response_format,omitzero"`
	ReturnLogprobs  bool           `json:"return_logprobs"`
	ReturnTokenIDs  bool           `json:"return_token_ids"`
	Strict          bool           `json:"strict"`
	// Deprecated: set it in ModelSettings of the agent.
	Temperature float64 `json:"temperature"`
	// Deprecated: nothing replaces it; do not rely on it.
	Tier           string `json:"tier,omitzero"`
	ToolCallParser string `json:"tool_call_parser,omitzero"`
	TopLogprobs    int    `json:"top_logprobs,omitzero"`
	// Deprecated: set it in ModelSettings of the agent.
	Verbosity Verbosity `json:"verbosity,omitzero"`
}
