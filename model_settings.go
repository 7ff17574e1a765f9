package letta

import "encoding/json"

// ModelSettings are the settings of a model, by its provider: [*OpenAIModelSettings], [*AnthropicModelSettings],
// [*GoogleAIModelSettings], [*GoogleVertexModelSettings], [*AzureModelSettings], [*BedrockModelSettings],
// [*OpenRouterModelSettings], [*XaiModelSettings], [*GroqModelSettings], [*DeepseekModelSettings], [*TogetherModelSettings],
// [*BasetenModelSettings], [*MoonshotModelSettings], [*MoonshotCodingModelSettings], [*ZaiModelSettings],
// [*SGLangModelSettings], [*ChatGPTOAuthModelSettings], or [*UnknownModelSettings], which this version does not know.
type ModelSettings interface{ modelSettings() string }

var modelSettings = newUnion[ModelSettings]("provider_type", ModelSettings.modelSettings,
	func(kind string, raw json.RawMessage) ModelSettings {
		return &UnknownModelSettings{Kind: kind, Raw: raw}
	},
	&OpenAIModelSettings{}, &SGLangModelSettings{}, &AnthropicModelSettings{}, &GoogleAIModelSettings{}, &GoogleVertexModelSettings{}, &AzureModelSettings{}, &XaiModelSettings{}, &MoonshotModelSettings{}, &ZaiModelSettings{}, &MoonshotCodingModelSettings{}, &GroqModelSettings{}, &DeepseekModelSettings{}, &TogetherModelSettings{}, &BedrockModelSettings{}, &BasetenModelSettings{}, &OpenRouterModelSettings{}, &ChatGPTOAuthModelSettings{},
)

// OpenAIModelSettings are the settings of OpenAI.
type OpenAIModelSettings struct {
	ProviderType      Kind[OpenAIModelSettings] `json:"provider_type"`
	MaxOutputTokens   int                       `json:"max_output_tokens,omitzero"`
	ParallelToolCalls Opt[bool]                 `json:"parallel_tool_calls,omitzero"`
	Temperature       Opt[float64]              `json:"temperature,omitzero"`
	Reasoning         *Reasoning                `json:"reasoning,omitzero"`
	ResponseFormat    ResponseFormat            `json:"response_format,omitzero"`
	Strict            Opt[bool]                 `json:"strict,omitzero"`
}

// SGLangModelSettings are the settings of SGLang.
type SGLangModelSettings struct {
	ProviderType      Kind[SGLangModelSettings] `json:"provider_type"`
	MaxOutputTokens   int                       `json:"max_output_tokens,omitzero"`
	ParallelToolCalls Opt[bool]                 `json:"parallel_tool_calls,omitzero"`
	Temperature       Opt[float64]              `json:"temperature,omitzero"`
	Reasoning         *Reasoning                `json:"reasoning,omitzero"`
	ResponseFormat    ResponseFormat            `json:"response_format,omitzero"`
	Strict            Opt[bool]                 `json:"strict,omitzero"`
	ToolCallParser    string                    `json:"tool_call_parser,omitzero"`
}

// AnthropicModelSettings are the settings of Anthropic.
type AnthropicModelSettings struct {
	ProviderType      Kind[AnthropicModelSettings] `json:"provider_type"`
	MaxOutputTokens   int                          `json:"max_output_tokens,omitzero"`
	ParallelToolCalls Opt[bool]                    `json:"parallel_tool_calls,omitzero"`
	Temperature       Opt[float64]                 `json:"temperature,omitzero"`
	Effort            Effort                       `json:"effort,omitzero"`
	ResponseFormat    ResponseFormat               `json:"response_format,omitzero"`
	Strict            Opt[bool]                    `json:"strict,omitzero"`
	Thinking          *Thinking                    `json:"thinking,omitzero"`
	Verbosity         Verbosity                    `json:"verbosity,omitzero"`
}

// GoogleAIModelSettings are the settings of Google AI.
type GoogleAIModelSettings struct {
	ProviderType      Kind[GoogleAIModelSettings] `json:"provider_type"`
	MaxOutputTokens   int                         `json:"max_output_tokens,omitzero"`
	ParallelToolCalls Opt[bool]                   `json:"parallel_tool_calls,omitzero"`
	Temperature       Opt[float64]                `json:"temperature,omitzero"`
	ResponseSchema    ResponseFormat              `json:"response_schema,omitzero"`
	ThinkingConfig    *ThinkingConfig             `json:"thinking_config,omitzero"`
}

// GoogleVertexModelSettings are the settings of Google Vertex.
type GoogleVertexModelSettings struct {
	ProviderType      Kind[GoogleVertexModelSettings] `json:"provider_type"`
	MaxOutputTokens   int                             `json:"max_output_tokens,omitzero"`
	ParallelToolCalls Opt[bool]                       `json:"parallel_tool_calls,omitzero"`
	Temperature       Opt[float64]                    `json:"temperature,omitzero"`
	ResponseSchema    ResponseFormat                  `json:"response_schema,omitzero"`
	ThinkingConfig    *ThinkingConfig                 `json:"thinking_config,omitzero"`
}

// AzureModelSettings are the settings of Azure.
type AzureModelSettings struct {
	ProviderType      Kind[AzureModelSettings] `json:"provider_type"`
	MaxOutputTokens   int                      `json:"max_output_tokens,omitzero"`
	ParallelToolCalls Opt[bool]                `json:"parallel_tool_calls,omitzero"`
	Temperature       Opt[float64]             `json:"temperature,omitzero"`
	ResponseFormat    ResponseFormat           `json:"response_format,omitzero"`
}

// XaiModelSettings are the settings of xAI.
type XaiModelSettings struct {
	ProviderType      Kind[XaiModelSettings] `json:"provider_type"`
	MaxOutputTokens   int                    `json:"max_output_tokens,omitzero"`
	ParallelToolCalls Opt[bool]              `json:"parallel_tool_calls,omitzero"`
	Temperature       Opt[float64]           `json:"temperature,omitzero"`
	ResponseFormat    ResponseFormat         `json:"response_format,omitzero"`
}

// MoonshotModelSettings are the settings of Moonshot.
type MoonshotModelSettings struct {
	ProviderType      Kind[MoonshotModelSettings] `json:"provider_type"`
	MaxOutputTokens   int                         `json:"max_output_tokens,omitzero"`
	ParallelToolCalls Opt[bool]                   `json:"parallel_tool_calls,omitzero"`
	Temperature       Opt[float64]                `json:"temperature,omitzero"`
	ResponseFormat    ResponseFormat              `json:"response_format,omitzero"`
	Strict            Opt[bool]                   `json:"strict,omitzero"`
}

// ZaiModelSettings are the settings of Z.ai.
type ZaiModelSettings struct {
	ProviderType      Kind[ZaiModelSettings] `json:"provider_type"`
	MaxOutputTokens   int                    `json:"max_output_tokens,omitzero"`
	ParallelToolCalls Opt[bool]              `json:"parallel_tool_calls,omitzero"`
	Temperature       Opt[float64]           `json:"temperature,omitzero"`
	ResponseFormat    ResponseFormat         `json:"response_format,omitzero"`
	Thinking          *Thinking              `json:"thinking,omitzero"`
}

// MoonshotCodingModelSettings are the settings of Moonshot's coding models.
type MoonshotCodingModelSettings struct {
	ProviderType      Kind[MoonshotCodingModelSettings] `json:"provider_type"`
	MaxOutputTokens   int                               `json:"max_output_tokens,omitzero"`
	ParallelToolCalls Opt[bool]                         `json:"parallel_tool_calls,omitzero"`
	Temperature       Opt[float64]                      `json:"temperature,omitzero"`
	Effort            Effort                            `json:"effort,omitzero"`
	ResponseFormat    ResponseFormat                    `json:"response_format,omitzero"`
	Strict            Opt[bool]                         `json:"strict,omitzero"`
	Thinking          *Thinking                         `json:"thinking,omitzero"`
	Verbosity         Verbosity                         `json:"verbosity,omitzero"`
}

// GroqModelSettings are the settings of Groq.
type GroqModelSettings struct {
	ProviderType      Kind[GroqModelSettings] `json:"provider_type"`
	MaxOutputTokens   int                     `json:"max_output_tokens,omitzero"`
	ParallelToolCalls Opt[bool]               `json:"parallel_tool_calls,omitzero"`
	Temperature       Opt[float64]            `json:"temperature,omitzero"`
	ResponseFormat    ResponseFormat          `json:"response_format,omitzero"`
}

// DeepseekModelSettings are the settings of DeepSeek.
type DeepseekModelSettings struct {
	ProviderType      Kind[DeepseekModelSettings] `json:"provider_type"`
	MaxOutputTokens   int                         `json:"max_output_tokens,omitzero"`
	ParallelToolCalls Opt[bool]                   `json:"parallel_tool_calls,omitzero"`
	Temperature       Opt[float64]                `json:"temperature,omitzero"`
	ResponseFormat    ResponseFormat              `json:"response_format,omitzero"`
}

// TogetherModelSettings are the settings of Together.
type TogetherModelSettings struct {
	ProviderType      Kind[TogetherModelSettings] `json:"provider_type"`
	MaxOutputTokens   int                         `json:"max_output_tokens,omitzero"`
	ParallelToolCalls Opt[bool]                   `json:"parallel_tool_calls,omitzero"`
	Temperature       Opt[float64]                `json:"temperature,omitzero"`
	ResponseFormat    ResponseFormat              `json:"response_format,omitzero"`
}

// BedrockModelSettings are the settings of Bedrock.
type BedrockModelSettings struct {
	ProviderType      Kind[BedrockModelSettings] `json:"provider_type"`
	MaxOutputTokens   int                        `json:"max_output_tokens,omitzero"`
	ParallelToolCalls Opt[bool]                  `json:"parallel_tool_calls,omitzero"`
	Temperature       Opt[float64]               `json:"temperature,omitzero"`
	ResponseFormat    ResponseFormat             `json:"response_format,omitzero"`
}

// BasetenModelSettings are the settings of Baseten.
type BasetenModelSettings struct {
	ProviderType      Kind[BasetenModelSettings] `json:"provider_type"`
	MaxOutputTokens   int                        `json:"max_output_tokens,omitzero"`
	ParallelToolCalls Opt[bool]                  `json:"parallel_tool_calls,omitzero"`
	Temperature       Opt[float64]               `json:"temperature,omitzero"`
}

// OpenRouterModelSettings are the settings of OpenRouter.
type OpenRouterModelSettings struct {
	ProviderType      Kind[OpenRouterModelSettings] `json:"provider_type"`
	MaxOutputTokens   int                           `json:"max_output_tokens,omitzero"`
	ParallelToolCalls Opt[bool]                     `json:"parallel_tool_calls,omitzero"`
	Temperature       Opt[float64]                  `json:"temperature,omitzero"`
	ResponseFormat    ResponseFormat                `json:"response_format,omitzero"`
}

// ChatGPTOAuthModelSettings are the settings of ChatGPT over OAuth.
type ChatGPTOAuthModelSettings struct {
	ProviderType      Kind[ChatGPTOAuthModelSettings] `json:"provider_type"`
	MaxOutputTokens   int                             `json:"max_output_tokens,omitzero"`
	ParallelToolCalls Opt[bool]                       `json:"parallel_tool_calls,omitzero"`
	Temperature       Opt[float64]                    `json:"temperature,omitzero"`
	Reasoning         *Reasoning                      `json:"reasoning,omitzero"`
}

// UnknownModelSettings is a variant that this version does not know; its JSON is kept and written back.
type UnknownModelSettings struct {
	Kind string // of "provider_type"
	Raw  json.RawMessage
}

func (*OpenAIModelSettings) modelSettings() string         { return "openai" }
func (*SGLangModelSettings) modelSettings() string         { return "sglang" }
func (*AnthropicModelSettings) modelSettings() string      { return "anthropic" }
func (*GoogleAIModelSettings) modelSettings() string       { return "google_ai" }
func (*GoogleVertexModelSettings) modelSettings() string   { return "google_vertex" }
func (*AzureModelSettings) modelSettings() string          { return "azure" }
func (*XaiModelSettings) modelSettings() string            { return "xai" }
func (*MoonshotModelSettings) modelSettings() string       { return "moonshot" }
func (*ZaiModelSettings) modelSettings() string            { return "zai" }
func (*MoonshotCodingModelSettings) modelSettings() string { return "moonshot_coding" }
func (*GroqModelSettings) modelSettings() string           { return "groq" }
func (*DeepseekModelSettings) modelSettings() string       { return "deepseek" }
func (*TogetherModelSettings) modelSettings() string       { return "together" }
func (*BedrockModelSettings) modelSettings() string        { return "bedrock" }
func (*BasetenModelSettings) modelSettings() string        { return "baseten" }
func (*OpenRouterModelSettings) modelSettings() string     { return "openrouter" }
func (*ChatGPTOAuthModelSettings) modelSettings() string   { return "chatgpt_oauth" }
func (v *UnknownModelSettings) modelSettings() string      { return v.Kind }

// MarshalJSON gives Raw back.
func (v UnknownModelSettings) MarshalJSON() ([]byte, error) {
	return rawOr(v.Raw, "UnknownModelSettings")
}

// Reasoning is how hard a model thinks.
type Reasoning struct {
	ReasoningEffort Effort `json:"reasoning_effort,omitzero"`
}

// Effort is how hard a model works on an answer. Which of them it takes depends on the model.
type Effort string

// The values known today; others are kept as they come.
const (
	EffortNone    Effort = "none"
	EffortMinimal Effort = "minimal"
	EffortLow     Effort = "low"
	EffortMedium  Effort = "medium"
	EffortHigh    Effort = "high"
	EffortXHigh   Effort = "xhigh"
	EffortMax     Effort = "max"
)

// Verbosity is how long the answers of a model are.
type Verbosity string

// The values known today; others are kept as they come.
const (
	VerbosityLow    Verbosity = "low"
	VerbosityMedium Verbosity = "medium"
	VerbosityHigh   Verbosity = "high"
)

// Thinking switches extended thinking. Anthropic reads BudgetTokens, Z.ai ClearThinking.
type Thinking struct {
	Type          ThinkingType `json:"type,omitzero"`
	BudgetTokens  int          `json:"budget_tokens,omitzero"`
	ClearThinking bool         `json:"clear_thinking,omitzero"`
}

// ThinkingType switches Thinking.
type ThinkingType string

// The values known today; others are kept as they come.
const (
	ThinkingEnabled  ThinkingType = "enabled"
	ThinkingDisabled ThinkingType = "disabled"
)

// ThinkingConfig is Google's form of Thinking.
type ThinkingConfig struct {
	IncludeThoughts Opt[bool] `json:"include_thoughts,omitzero"`
	ThinkingBudget  Opt[int]  `json:"thinking_budget,omitzero"`
}

// ResponseFormat is the form of a model's answer.
type ResponseFormat struct {
	Type       ResponseFormatType `json:"type,omitzero"`
	JSONSchema map[string]any     `json:"json_schema,omitzero"` // of ResponseFormatJSONSchema
	// Extra holds fields that this version does not know; they are kept and written back.
	Extra map[string]json.RawMessage `json:"-"`
}

// MarshalJSON writes Extra beside the other fields.
func (f ResponseFormat) MarshalJSON() ([]byte, error) { return marshal(f.withoutMethods()) }

// UnmarshalJSON keeps unknown fields in Extra.
func (f *ResponseFormat) UnmarshalJSON(data []byte) error { return unmarshal(data, f) }

func (f *ResponseFormat) withoutMethods() any {
	type fields struct {
		Type       ResponseFormatType         `json:"type,omitzero"`
		JSONSchema map[string]any             `json:"json_schema,omitzero"`
		Extra      map[string]json.RawMessage `json:",embed"`
	}
	return (*fields)(f)
}

// ResponseFormatType is the kind of a ResponseFormat.
type ResponseFormatType string

// The values known today; others are kept as they come.
const (
	ResponseFormatText       ResponseFormatType = "text"
	ResponseFormatJSONSchema ResponseFormatType = "json_schema" // JSON of a schema
	ResponseFormatJSONObject ResponseFormatType = "json_object" // any JSON object
)

// LLMConfig is the older form of a model and its settings.
//
// Deprecated: use Model and ModelSettings.
type LLMConfig struct {
	ContextWindow      int          `json:"context_window"`
	Model              string       `json:"model"`
	ModelEndpointType  string       `json:"model_endpoint_type"`
	CompatibilityType  string       `json:"compatibility_type,omitzero"`
	DisplayName        string       `json:"display_name,omitzero"`
	Effort             Effort       `json:"effort,omitzero"`
	EnableReasoner     Opt[bool]    `json:"enable_reasoner,omitzero"`
	FrequencyPenalty   Opt[float64] `json:"frequency_penalty,omitzero"`
	Handle             string       `json:"handle,omitzero"`
	MaxReasoningTokens int          `json:"max_reasoning_tokens,omitzero"`
	MaxTokens          int          `json:"max_tokens,omitzero"`
	ModelEndpoint      string       `json:"model_endpoint,omitzero"`
	ModelWrapper       string       `json:"model_wrapper,omitzero"`
	// Deprecated: use ModelSettings.
	ParallelToolCalls        Opt[bool]        `json:"parallel_tool_calls,omitzero"`
	ProviderCategory         ProviderCategory `json:"provider_category,omitzero"`
	ProviderName             string           `json:"provider_name,omitzero"`
	PutInnerThoughtsInKwargs Opt[bool]        `json:"put_inner_thoughts_in_kwargs,omitzero"`
	ReasoningEffort          Effort           `json:"reasoning_effort,omitzero"`
	ResponseFormat           ResponseFormat   `json:"response_format,omitzero"`
	ReturnLogprobs           bool             `json:"return_logprobs,omitzero"`
	ReturnTokenIDs           bool             `json:"return_token_ids,omitzero"`
	Strict                   bool             `json:"strict,omitzero"`
	Temperature              Opt[float64]     `json:"temperature,omitzero"`
	Tier                     string           `json:"tier,omitzero"`
	ToolCallParser           string           `json:"tool_call_parser,omitzero"`
	TopLogprobs              int              `json:"top_logprobs,omitzero"`
	Verbosity                Verbosity        `json:"verbosity,omitzero"`
}

// EmbeddingConfig is the older form of an embedding model.
type EmbeddingConfig struct {
	EmbeddingDim          int    `json:"embedding_dim"`
	EmbeddingEndpointType string `json:"embedding_endpoint_type"`
	EmbeddingModel        string `json:"embedding_model"`
	AzureDeployment       string `json:"azure_deployment,omitzero"`
	AzureEndpoint         string `json:"azure_endpoint,omitzero"`
	AzureVersion          string `json:"azure_version,omitzero"`
	BatchSize             int    `json:"batch_size,omitzero"`
	EmbeddingChunkSize    int    `json:"embedding_chunk_size,omitzero"`
	EmbeddingEndpoint     string `json:"embedding_endpoint,omitzero"`
	Handle                string `json:"handle,omitzero"`
}

// CompactionMode is what of a history is summarised, and by whom: a model of its own, or the agent (self_compact).
type CompactionMode string

// The values known today; others are kept as they come.
const (
	CompactionModeAll                      CompactionMode = "all"
	CompactionModeSlidingWindow            CompactionMode = "sliding_window"
	CompactionModeSelfCompactAll           CompactionMode = "self_compact_all"
	CompactionModeSelfCompactSlidingWindow CompactionMode = "self_compact_sliding_window"
)

// CompactionSettings say how old messages are summarised.
type CompactionSettings struct {
	ClipChars               Opt[int]       `json:"clip_chars,omitzero"`
	Mode                    CompactionMode `json:"mode,omitzero"`
	Model                   string         `json:"model,omitzero"`
	ModelSettings           ModelSettings  `json:"model_settings,omitzero"`
	Prompt                  string         `json:"prompt,omitzero"`
	PromptAcknowledgement   bool           `json:"prompt_acknowledgement,omitzero"`
	SlidingWindowPercentage float64        `json:"sliding_window_percentage,omitzero"`
}

// UnmarshalJSON reads settings of any provider.
func (v *CompactionSettings) UnmarshalJSON(data []byte) error { return unmarshal(data, v) }

func (v *CompactionSettings) withoutMethods() any {
	type fields CompactionSettings
	return (*fields)(v)
}

// ProviderType names a provider of models.
type ProviderType string

// The values known today; others are kept as they come.
const (
	ProviderTypeAnthropic      ProviderType = "anthropic"
	ProviderTypeAzure          ProviderType = "azure"
	ProviderTypeBaseten        ProviderType = "baseten"
	ProviderTypeBedrock        ProviderType = "bedrock"
	ProviderTypeCerebras       ProviderType = "cerebras"
	ProviderTypeChatGPTOAuth   ProviderType = "chatgpt_oauth"
	ProviderTypeDeepseek       ProviderType = "deepseek"
	ProviderTypeFireworks      ProviderType = "fireworks"
	ProviderTypeGoogleAI       ProviderType = "google_ai"
	ProviderTypeGoogleVertex   ProviderType = "google_vertex"
	ProviderTypeGroq           ProviderType = "groq"
	ProviderTypeHuggingFace    ProviderType = "hugging-face"
	ProviderTypeLetta          ProviderType = "letta"
	ProviderTypeLMStudioOpenAI ProviderType = "lmstudio_openai"
	ProviderTypeMinimax        ProviderType = "minimax"
	ProviderTypeMoonshot       ProviderType = "moonshot"
	ProviderTypeMoonshotCoding ProviderType = "moonshot_coding"
	ProviderTypeMistral        ProviderType = "mistral"
	ProviderTypeOllama         ProviderType = "ollama"
	ProviderTypeOpenAI         ProviderType = "openai"
	ProviderTypeTogether       ProviderType = "together"
	ProviderTypeVLLM           ProviderType = "vllm"
	ProviderTypeSGLang         ProviderType = "sglang"
	ProviderTypeOpenRouter     ProviderType = "openrouter"
	ProviderTypeXai            ProviderType = "xai"
	ProviderTypeZai            ProviderType = "zai"
	ProviderTypeZaiCoding      ProviderType = "zai_coding"
)

// ProviderCategory tells the server's own providers from those of a user's key.
type ProviderCategory string

// The values known today; others are kept as they come.
const (
	ProviderCategoryBase ProviderCategory = "base"
	ProviderCategoryBYOK ProviderCategory = "byok"
)
