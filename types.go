package letta

import (
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
)

// Ids are types of their own, so that two of them cannot be swapped. They are opaque; 0.16.8 writes prefix-uuid.
type (
	AgentFileID        string
	AgentID            string
	ArchiveID          string
	BlockID            string
	ConnectionID       string
	ConversationID     string
	DeviceID           string
	FileID             string
	FolderID           string
	GroupID            string
	IdentityID         string
	JobID              string
	MCPServerID        string
	MessageID          string
	PassageID          string
	ProviderID         string
	RunID              string
	ScheduledMessageID string
	StepID             string
	TemplateID         string
	ToolCallID         string
	ToolID             string
)

// Opt is a field that can be left out (its zero value), null, or a value.
type Opt[T any] struct {
	value T
	state optState
}

type optState uint8

const (
	optNull optState = iota + 1
	optSome
)

// Some is a value that is sent, even if it is zero.
func Some[T any](value T) Opt[T] { return Opt[T]{value, optSome} }

// Null is sent as null.
func Null[T any]() Opt[T] { return Opt[T]{state: optNull} }

// Get returns the value, and whether there is one.
func (o Opt[T]) Get() (T, bool) { return o.value, o.state == optSome }

// IsZero reports whether the field is left out.
func (o Opt[T]) IsZero() bool { return o.state == 0 }

// IsNull reports whether the field is null.
func (o Opt[T]) IsNull() bool { return o.state == optNull }

// MarshalJSON writes the value or null.
func (o Opt[T]) MarshalJSON() ([]byte, error) {
	if o.state != optSome {
		return []byte("null"), nil
	}
	return marshal(o.value)
}

// UnmarshalJSON reads the value or null.
func (o *Opt[T]) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		*o = Null[T]()
		return nil
	}
	*o = Some(*new(T))
	return unmarshal(data, &o.value)
}

// EncodeValues writes the value into a query; null is left out.
func (o Opt[T]) EncodeValues(key string, values *url.Values) error {
	if o.state == optSome {
		values.Add(key, fmt.Sprint(o.value))
	}
	return nil
}

// Kind is the field that tells the variants of a union apart, such as "type" or "message_type". There is nothing to
// set: T, the struct that holds it, decides what it is in JSON.
type Kind[T any] struct{}

// String is the kind of T, such as "user_message".
func (Kind[T]) String() string { return kinds[reflect.TypeFor[T]()] }

// MarshalText writes the kind of T.
func (k Kind[T]) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText accepts every kind: who decodes into a T has chosen it already.
func (Kind[T]) UnmarshalText([]byte) error { return nil }

func (Kind[T]) isKind() {}

// Order is the direction of a list.
type Order string

// The two directions; a list's default is in its documentation.
const (
	OrderAsc  Order = "asc"
	OrderDesc Order = "desc"
)

// OrderBy is what a list is ordered by. A list takes some of these.
type OrderBy string

// What lists can be ordered by. ListAll takes only those that do not change while it walks: OrderByCreatedAt and
// OrderByName.
const (
	OrderByCreatedAt         OrderBy = "created_at"
	OrderByUpdatedAt         OrderBy = "updated_at"
	OrderByLastRunCompletion OrderBy = "last_run_completion"
	OrderByLastMessageAt     OrderBy = "last_message_at"
	OrderByName              OrderBy = "name"
)

// StopReasonType says why a turn ended.
type StopReasonType string

// The values known today; others are kept as they come.
const (
	StopReasonEndTurn                             StopReasonType = "end_turn"
	StopReasonError                               StopReasonType = "error"
	StopReasonLLMAPIError                         StopReasonType = "llm_api_error"
	StopReasonInvalidLLMResponse                  StopReasonType = "invalid_llm_response"
	StopReasonInvalidToolCall                     StopReasonType = "invalid_tool_call"
	StopReasonMaxSteps                            StopReasonType = "max_steps"
	StopReasonMaxTokensExceeded                   StopReasonType = "max_tokens_exceeded"
	StopReasonNoToolCall                          StopReasonType = "no_tool_call"
	StopReasonToolRule                            StopReasonType = "tool_rule"
	StopReasonCancelled                           StopReasonType = "cancelled"
	StopReasonInsufficientCredits                 StopReasonType = "insufficient_credits"
	StopReasonRequiresApproval                    StopReasonType = "requires_approval"
	StopReasonContextWindowOverflowInSystemPrompt StopReasonType = "context_window_overflow_in_system_prompt"
)

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

// LLMConfig is the older form of a model and its settings.
//
// Deprecated: by Letta, in favour of Model and ModelSettings.
type LLMConfig struct {
	ContextWindow      int          `json:"context_window"`
	Model              string       `json:"model"`
	ModelEndpointType  string       `json:"model_endpoint_type"`
	CompatibilityType  string       `json:"compatibility_type,omitzero"`
	DisplayName        string       `json:"display_name,omitzero"`
	Effort             string       `json:"effort,omitzero"`
	EnableReasoner     Opt[bool]    `json:"enable_reasoner,omitzero"`
	FrequencyPenalty   Opt[float64] `json:"frequency_penalty,omitzero"`
	Handle             string       `json:"handle,omitzero"`
	MaxReasoningTokens int          `json:"max_reasoning_tokens,omitzero"`
	MaxTokens          int          `json:"max_tokens,omitzero"`
	ModelEndpoint      string       `json:"model_endpoint,omitzero"`
	ModelWrapper       string       `json:"model_wrapper,omitzero"`
	// Deprecated: by Letta, in favour of ModelSettings.
	ParallelToolCalls        Opt[bool]        `json:"parallel_tool_calls,omitzero"`
	ProviderCategory         ProviderCategory `json:"provider_category,omitzero"`
	ProviderName             string           `json:"provider_name,omitzero"`
	PutInnerThoughtsInKwargs Opt[bool]        `json:"put_inner_thoughts_in_kwargs,omitzero"`
	ReasoningEffort          string           `json:"reasoning_effort,omitzero"`
	ResponseFormat           ResponseFormat   `json:"response_format,omitzero"`
	ReturnLogprobs           bool             `json:"return_logprobs,omitzero"`
	ReturnTokenIDs           bool             `json:"return_token_ids,omitzero"`
	Strict                   bool             `json:"strict,omitzero"`
	Temperature              Opt[float64]     `json:"temperature,omitzero"`
	Tier                     string           `json:"tier,omitzero"`
	ToolCallParser           string           `json:"tool_call_parser,omitzero"`
	TopLogprobs              int              `json:"top_logprobs,omitzero"`
	Verbosity                string           `json:"verbosity,omitzero"`
}

// UnmarshalJSON reads the response format.
func (v *LLMConfig) UnmarshalJSON(data []byte) error { return unmarshal(data, v) }

func (v *LLMConfig) plain() any {
	type fields LLMConfig
	return (*fields)(v)
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

// CompactionSettings say how old messages are summarised.
type CompactionSettings struct {
	ClipChars               Opt[int]      `json:"clip_chars,omitzero"`
	Mode                    string        `json:"mode,omitzero"`
	Model                   string        `json:"model,omitzero"`
	ModelSettings           ModelSettings `json:"model_settings,omitzero"`
	Prompt                  string        `json:"prompt,omitzero"`
	PromptAcknowledgement   bool          `json:"prompt_acknowledgement,omitzero"`
	SlidingWindowPercentage float64       `json:"sliding_window_percentage,omitzero"`
}

// UnmarshalJSON reads the model settings.
func (v *CompactionSettings) UnmarshalJSON(data []byte) error { return unmarshal(data, v) }

func (v *CompactionSettings) plain() any {
	type fields CompactionSettings
	return (*fields)(v)
}

// ModelSettings are the settings of a model, one variant per provider.
type ModelSettings interface{ modelSettings() string }

var modelSettings = newUnion[ModelSettings]("provider_type", ModelSettings.modelSettings,
	func(kind string, raw json.RawMessage) ModelSettings {
		return &UnknownModelSettings{Kind: kind, Raw: raw}
	},
	&OpenAIModelSettings{}, &SGLangModelSettings{}, &AnthropicModelSettings{}, &GoogleAIModelSettings{}, &GoogleVertexModelSettings{}, &AzureModelSettings{}, &XaiModelSettings{}, &MoonshotModelSettings{}, &ZaiModelSettings{}, &MoonshotCodingModelSettings{}, &GroqModelSettings{}, &DeepseekModelSettings{}, &TogetherModelSettings{}, &BedrockModelSettings{}, &BasetenModelSettings{}, &OpenRouterModelSettings{}, &ChatGPTOAuthModelSettings{},
)

// OpenAIModelSettings are the settings of OpenAI.
type OpenAIModelSettings struct {
	MaxOutputTokens   int            `json:"max_output_tokens,omitzero"`
	ParallelToolCalls Opt[bool]      `json:"parallel_tool_calls,omitzero"`
	Temperature       Opt[float64]   `json:"temperature,omitzero"`
	Reasoning         *Reasoning     `json:"reasoning,omitzero"`
	ResponseFormat    ResponseFormat `json:"response_format,omitzero"`
	Strict            Opt[bool]      `json:"strict,omitzero"`
}

// SGLangModelSettings are the settings of SGLang.
type SGLangModelSettings struct {
	MaxOutputTokens   int            `json:"max_output_tokens,omitzero"`
	ParallelToolCalls Opt[bool]      `json:"parallel_tool_calls,omitzero"`
	Temperature       Opt[float64]   `json:"temperature,omitzero"`
	Reasoning         *Reasoning     `json:"reasoning,omitzero"`
	ResponseFormat    ResponseFormat `json:"response_format,omitzero"`
	Strict            Opt[bool]      `json:"strict,omitzero"`
	ToolCallParser    string         `json:"tool_call_parser,omitzero"`
}

// AnthropicModelSettings are the settings of Anthropic.
type AnthropicModelSettings struct {
	MaxOutputTokens   int            `json:"max_output_tokens,omitzero"`
	ParallelToolCalls Opt[bool]      `json:"parallel_tool_calls,omitzero"`
	Temperature       Opt[float64]   `json:"temperature,omitzero"`
	Effort            string         `json:"effort,omitzero"`
	ResponseFormat    ResponseFormat `json:"response_format,omitzero"`
	Strict            Opt[bool]      `json:"strict,omitzero"`
	Thinking          *Thinking      `json:"thinking,omitzero"`
	Verbosity         string         `json:"verbosity,omitzero"`
}

// GoogleAIModelSettings are the settings of Google AI.
type GoogleAIModelSettings struct {
	MaxOutputTokens   int             `json:"max_output_tokens,omitzero"`
	ParallelToolCalls Opt[bool]       `json:"parallel_tool_calls,omitzero"`
	Temperature       Opt[float64]    `json:"temperature,omitzero"`
	ResponseSchema    ResponseFormat  `json:"response_schema,omitzero"`
	ThinkingConfig    *ThinkingConfig `json:"thinking_config,omitzero"`
}

// GoogleVertexModelSettings are the settings of Google Vertex.
type GoogleVertexModelSettings struct {
	MaxOutputTokens   int             `json:"max_output_tokens,omitzero"`
	ParallelToolCalls Opt[bool]       `json:"parallel_tool_calls,omitzero"`
	Temperature       Opt[float64]    `json:"temperature,omitzero"`
	ResponseSchema    ResponseFormat  `json:"response_schema,omitzero"`
	ThinkingConfig    *ThinkingConfig `json:"thinking_config,omitzero"`
}

// AzureModelSettings are the settings of Azure.
type AzureModelSettings struct {
	MaxOutputTokens   int            `json:"max_output_tokens,omitzero"`
	ParallelToolCalls Opt[bool]      `json:"parallel_tool_calls,omitzero"`
	Temperature       Opt[float64]   `json:"temperature,omitzero"`
	ResponseFormat    ResponseFormat `json:"response_format,omitzero"`
}

// XaiModelSettings are the settings of xAI.
type XaiModelSettings struct {
	MaxOutputTokens   int            `json:"max_output_tokens,omitzero"`
	ParallelToolCalls Opt[bool]      `json:"parallel_tool_calls,omitzero"`
	Temperature       Opt[float64]   `json:"temperature,omitzero"`
	ResponseFormat    ResponseFormat `json:"response_format,omitzero"`
}

// MoonshotModelSettings are the settings of Moonshot.
type MoonshotModelSettings struct {
	MaxOutputTokens   int            `json:"max_output_tokens,omitzero"`
	ParallelToolCalls Opt[bool]      `json:"parallel_tool_calls,omitzero"`
	Temperature       Opt[float64]   `json:"temperature,omitzero"`
	ResponseFormat    ResponseFormat `json:"response_format,omitzero"`
	Strict            Opt[bool]      `json:"strict,omitzero"`
}

// ZaiModelSettings are the settings of Z.ai.
type ZaiModelSettings struct {
	MaxOutputTokens   int            `json:"max_output_tokens,omitzero"`
	ParallelToolCalls Opt[bool]      `json:"parallel_tool_calls,omitzero"`
	Temperature       Opt[float64]   `json:"temperature,omitzero"`
	ResponseFormat    ResponseFormat `json:"response_format,omitzero"`
	Thinking          *Thinking      `json:"thinking,omitzero"`
}

// MoonshotCodingModelSettings are the settings of Moonshot's coding models.
type MoonshotCodingModelSettings struct {
	MaxOutputTokens   int            `json:"max_output_tokens,omitzero"`
	ParallelToolCalls Opt[bool]      `json:"parallel_tool_calls,omitzero"`
	Temperature       Opt[float64]   `json:"temperature,omitzero"`
	Effort            string         `json:"effort,omitzero"`
	ResponseFormat    ResponseFormat `json:"response_format,omitzero"`
	Strict            Opt[bool]      `json:"strict,omitzero"`
	Thinking          *Thinking      `json:"thinking,omitzero"`
	Verbosity         string         `json:"verbosity,omitzero"`
}

// GroqModelSettings are the settings of Groq.
type GroqModelSettings struct {
	MaxOutputTokens   int            `json:"max_output_tokens,omitzero"`
	ParallelToolCalls Opt[bool]      `json:"parallel_tool_calls,omitzero"`
	Temperature       Opt[float64]   `json:"temperature,omitzero"`
	ResponseFormat    ResponseFormat `json:"response_format,omitzero"`
}

// DeepseekModelSettings are the settings of DeepSeek.
type DeepseekModelSettings struct {
	MaxOutputTokens   int            `json:"max_output_tokens,omitzero"`
	ParallelToolCalls Opt[bool]      `json:"parallel_tool_calls,omitzero"`
	Temperature       Opt[float64]   `json:"temperature,omitzero"`
	ResponseFormat    ResponseFormat `json:"response_format,omitzero"`
}

// TogetherModelSettings are the settings of Together.
type TogetherModelSettings struct {
	MaxOutputTokens   int            `json:"max_output_tokens,omitzero"`
	ParallelToolCalls Opt[bool]      `json:"parallel_tool_calls,omitzero"`
	Temperature       Opt[float64]   `json:"temperature,omitzero"`
	ResponseFormat    ResponseFormat `json:"response_format,omitzero"`
}

// BedrockModelSettings are the settings of Bedrock.
type BedrockModelSettings struct {
	MaxOutputTokens   int            `json:"max_output_tokens,omitzero"`
	ParallelToolCalls Opt[bool]      `json:"parallel_tool_calls,omitzero"`
	Temperature       Opt[float64]   `json:"temperature,omitzero"`
	ResponseFormat    ResponseFormat `json:"response_format,omitzero"`
}

// BasetenModelSettings are the settings of Baseten.
type BasetenModelSettings struct {
	MaxOutputTokens   int          `json:"max_output_tokens,omitzero"`
	ParallelToolCalls Opt[bool]    `json:"parallel_tool_calls,omitzero"`
	Temperature       Opt[float64] `json:"temperature,omitzero"`
}

// OpenRouterModelSettings are the settings of OpenRouter.
type OpenRouterModelSettings struct {
	MaxOutputTokens   int            `json:"max_output_tokens,omitzero"`
	ParallelToolCalls Opt[bool]      `json:"parallel_tool_calls,omitzero"`
	Temperature       Opt[float64]   `json:"temperature,omitzero"`
	ResponseFormat    ResponseFormat `json:"response_format,omitzero"`
}

// ChatGPTOAuthModelSettings are the settings of ChatGPT over OAuth.
type ChatGPTOAuthModelSettings struct {
	MaxOutputTokens   int          `json:"max_output_tokens,omitzero"`
	ParallelToolCalls Opt[bool]    `json:"parallel_tool_calls,omitzero"`
	Temperature       Opt[float64] `json:"temperature,omitzero"`
	Reasoning         *Reasoning   `json:"reasoning,omitzero"`
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

// MarshalJSON adds "provider_type".
func (v OpenAIModelSettings) MarshalJSON() ([]byte, error) {
	type fields OpenAIModelSettings
	return tagged("provider_type", v.modelSettings(), fields(v))
}

// MarshalJSON adds "provider_type".
func (v SGLangModelSettings) MarshalJSON() ([]byte, error) {
	type fields SGLangModelSettings
	return tagged("provider_type", v.modelSettings(), fields(v))
}

// MarshalJSON adds "provider_type".
func (v AnthropicModelSettings) MarshalJSON() ([]byte, error) {
	type fields AnthropicModelSettings
	return tagged("provider_type", v.modelSettings(), fields(v))
}

// MarshalJSON adds "provider_type".
func (v GoogleAIModelSettings) MarshalJSON() ([]byte, error) {
	type fields GoogleAIModelSettings
	return tagged("provider_type", v.modelSettings(), fields(v))
}

// MarshalJSON adds "provider_type".
func (v GoogleVertexModelSettings) MarshalJSON() ([]byte, error) {
	type fields GoogleVertexModelSettings
	return tagged("provider_type", v.modelSettings(), fields(v))
}

// MarshalJSON adds "provider_type".
func (v AzureModelSettings) MarshalJSON() ([]byte, error) {
	type fields AzureModelSettings
	return tagged("provider_type", v.modelSettings(), fields(v))
}

// MarshalJSON adds "provider_type".
func (v XaiModelSettings) MarshalJSON() ([]byte, error) {
	type fields XaiModelSettings
	return tagged("provider_type", v.modelSettings(), fields(v))
}

// MarshalJSON adds "provider_type".
func (v MoonshotModelSettings) MarshalJSON() ([]byte, error) {
	type fields MoonshotModelSettings
	return tagged("provider_type", v.modelSettings(), fields(v))
}

// MarshalJSON adds "provider_type".
func (v ZaiModelSettings) MarshalJSON() ([]byte, error) {
	type fields ZaiModelSettings
	return tagged("provider_type", v.modelSettings(), fields(v))
}

// MarshalJSON adds "provider_type".
func (v MoonshotCodingModelSettings) MarshalJSON() ([]byte, error) {
	type fields MoonshotCodingModelSettings
	return tagged("provider_type", v.modelSettings(), fields(v))
}

// MarshalJSON adds "provider_type".
func (v GroqModelSettings) MarshalJSON() ([]byte, error) {
	type fields GroqModelSettings
	return tagged("provider_type", v.modelSettings(), fields(v))
}

// MarshalJSON adds "provider_type".
func (v DeepseekModelSettings) MarshalJSON() ([]byte, error) {
	type fields DeepseekModelSettings
	return tagged("provider_type", v.modelSettings(), fields(v))
}

// MarshalJSON adds "provider_type".
func (v TogetherModelSettings) MarshalJSON() ([]byte, error) {
	type fields TogetherModelSettings
	return tagged("provider_type", v.modelSettings(), fields(v))
}

// MarshalJSON adds "provider_type".
func (v BedrockModelSettings) MarshalJSON() ([]byte, error) {
	type fields BedrockModelSettings
	return tagged("provider_type", v.modelSettings(), fields(v))
}

// MarshalJSON adds "provider_type".
func (v BasetenModelSettings) MarshalJSON() ([]byte, error) {
	type fields BasetenModelSettings
	return tagged("provider_type", v.modelSettings(), fields(v))
}

// MarshalJSON adds "provider_type".
func (v OpenRouterModelSettings) MarshalJSON() ([]byte, error) {
	type fields OpenRouterModelSettings
	return tagged("provider_type", v.modelSettings(), fields(v))
}

// MarshalJSON adds "provider_type".
func (v ChatGPTOAuthModelSettings) MarshalJSON() ([]byte, error) {
	type fields ChatGPTOAuthModelSettings
	return tagged("provider_type", v.modelSettings(), fields(v))
}

// MarshalJSON gives Raw back.
func (v UnknownModelSettings) MarshalJSON() ([]byte, error) {
	return rawOr(v.Raw, "UnknownModelSettings")
}

// Reasoning is how hard a model thinks.
type Reasoning struct {
	ReasoningEffort string `json:"reasoning_effort,omitzero"` // none, minimal, low, medium, high, xhigh
}

// Thinking switches extended thinking. Anthropic reads BudgetTokens, Z.ai ClearThinking.
type Thinking struct {
	Type          string `json:"type,omitzero"` // enabled, disabled
	BudgetTokens  int    `json:"budget_tokens,omitzero"`
	ClearThinking bool   `json:"clear_thinking,omitzero"`
}

// ThinkingConfig is Google's form of Thinking.
type ThinkingConfig struct {
	IncludeThoughts Opt[bool] `json:"include_thoughts,omitzero"`
	ThinkingBudget  Opt[int]  `json:"thinking_budget,omitzero"`
}

// ResponseFormat is the form of a model's answer.
type ResponseFormat interface{ responseFormat() string }

var responseFormats = newUnion[ResponseFormat]("type", ResponseFormat.responseFormat,
	func(kind string, raw json.RawMessage) ResponseFormat {
		return &UnknownResponseFormat{Kind: kind, Raw: raw}
	},
	&TextResponseFormat{}, &JSONSchemaResponseFormat{}, &JSONObjectResponseFormat{},
)

// TextResponseFormat asks for plain text.
type TextResponseFormat struct{}

// JSONSchemaResponseFormat asks for JSON of a schema.
type JSONSchemaResponseFormat struct {
	JSONSchema map[string]any `json:"json_schema"`
}

// JSONObjectResponseFormat asks for any JSON object.
type JSONObjectResponseFormat struct{}

// UnknownResponseFormat is a variant that this version does not know; its JSON is kept and written back.
type UnknownResponseFormat struct {
	Kind string // of "type"
	Raw  json.RawMessage
}

func (*TextResponseFormat) responseFormat() string       { return "text" }
func (*JSONSchemaResponseFormat) responseFormat() string { return "json_schema" }
func (*JSONObjectResponseFormat) responseFormat() string { return "json_object" }
func (v *UnknownResponseFormat) responseFormat() string  { return v.Kind }

// MarshalJSON adds "type".
func (v TextResponseFormat) MarshalJSON() ([]byte, error) {
	type fields TextResponseFormat
	return tagged("type", v.responseFormat(), fields(v))
}

// MarshalJSON adds "type".
func (v JSONSchemaResponseFormat) MarshalJSON() ([]byte, error) {
	type fields JSONSchemaResponseFormat
	return tagged("type", v.responseFormat(), fields(v))
}

// MarshalJSON adds "type".
func (v JSONObjectResponseFormat) MarshalJSON() ([]byte, error) {
	type fields JSONObjectResponseFormat
	return tagged("type", v.responseFormat(), fields(v))
}

// MarshalJSON gives Raw back.
func (v UnknownResponseFormat) MarshalJSON() ([]byte, error) {
	return rawOr(v.Raw, "UnknownResponseFormat")
}

// UnmarshalJSON reads the response format.
func (v *OpenAIModelSettings) UnmarshalJSON(data []byte) error { return unmarshal(data, v) }

func (v *OpenAIModelSettings) plain() any {
	type fields OpenAIModelSettings
	return (*fields)(v)
}

// UnmarshalJSON reads the response format.
func (v *SGLangModelSettings) UnmarshalJSON(data []byte) error { return unmarshal(data, v) }

func (v *SGLangModelSettings) plain() any {
	type fields SGLangModelSettings
	return (*fields)(v)
}

// UnmarshalJSON reads the response format.
func (v *AnthropicModelSettings) UnmarshalJSON(data []byte) error { return unmarshal(data, v) }

func (v *AnthropicModelSettings) plain() any {
	type fields AnthropicModelSettings
	return (*fields)(v)
}

// UnmarshalJSON reads the response format.
func (v *GoogleAIModelSettings) UnmarshalJSON(data []byte) error { return unmarshal(data, v) }

func (v *GoogleAIModelSettings) plain() any {
	type fields GoogleAIModelSettings
	return (*fields)(v)
}

// UnmarshalJSON reads the response format.
func (v *GoogleVertexModelSettings) UnmarshalJSON(data []byte) error { return unmarshal(data, v) }

func (v *GoogleVertexModelSettings) plain() any {
	type fields GoogleVertexModelSettings
	return (*fields)(v)
}

// UnmarshalJSON reads the response format.
func (v *AzureModelSettings) UnmarshalJSON(data []byte) error { return unmarshal(data, v) }

func (v *AzureModelSettings) plain() any {
	type fields AzureModelSettings
	return (*fields)(v)
}

// UnmarshalJSON reads the response format.
func (v *XaiModelSettings) UnmarshalJSON(data []byte) error { return unmarshal(data, v) }

func (v *XaiModelSettings) plain() any {
	type fields XaiModelSettings
	return (*fields)(v)
}

// UnmarshalJSON reads the response format.
func (v *MoonshotModelSettings) UnmarshalJSON(data []byte) error { return unmarshal(data, v) }

func (v *MoonshotModelSettings) plain() any {
	type fields MoonshotModelSettings
	return (*fields)(v)
}

// UnmarshalJSON reads the response format.
func (v *ZaiModelSettings) UnmarshalJSON(data []byte) error { return unmarshal(data, v) }

func (v *ZaiModelSettings) plain() any {
	type fields ZaiModelSettings
	return (*fields)(v)
}

// UnmarshalJSON reads the response format.
func (v *MoonshotCodingModelSettings) UnmarshalJSON(data []byte) error { return unmarshal(data, v) }

func (v *MoonshotCodingModelSettings) plain() any {
	type fields MoonshotCodingModelSettings
	return (*fields)(v)
}

// UnmarshalJSON reads the response format.
func (v *GroqModelSettings) UnmarshalJSON(data []byte) error { return unmarshal(data, v) }

func (v *GroqModelSettings) plain() any {
	type fields GroqModelSettings
	return (*fields)(v)
}

// UnmarshalJSON reads the response format.
func (v *DeepseekModelSettings) UnmarshalJSON(data []byte) error { return unmarshal(data, v) }

func (v *DeepseekModelSettings) plain() any {
	type fields DeepseekModelSettings
	return (*fields)(v)
}

// UnmarshalJSON reads the response format.
func (v *TogetherModelSettings) UnmarshalJSON(data []byte) error { return unmarshal(data, v) }

func (v *TogetherModelSettings) plain() any {
	type fields TogetherModelSettings
	return (*fields)(v)
}

// UnmarshalJSON reads the response format.
func (v *BedrockModelSettings) UnmarshalJSON(data []byte) error { return unmarshal(data, v) }

func (v *BedrockModelSettings) plain() any {
	type fields BedrockModelSettings
	return (*fields)(v)
}

// UnmarshalJSON reads the response format.
func (v *OpenRouterModelSettings) UnmarshalJSON(data []byte) error { return unmarshal(data, v) }

func (v *OpenRouterModelSettings) plain() any {
	type fields OpenRouterModelSettings
	return (*fields)(v)
}

// ToolRule constrains the order in which an agent calls its tools.
type ToolRule interface{ toolRule() string }

var toolRules = newUnion[ToolRule]("type", ToolRule.toolRule,
	func(kind string, raw json.RawMessage) ToolRule { return &UnknownToolRule{Kind: kind, Raw: raw} },
	&ChildToolRule{}, &InitToolRule{}, &TerminalToolRule{}, &ConditionalToolRule{}, &ContinueToolRule{}, &RequiredBeforeExitToolRule{}, &MaxCountPerStepToolRule{}, &ParentToolRule{}, &RequiresApprovalToolRule{},
)

// ChildToolRule lets only Children follow the tool.
type ChildToolRule struct {
	ToolName       string         `json:"tool_name"`
	Children       []string       `json:"children"`
	ChildArgNodes  []ChildArgNode `json:"child_arg_nodes,omitzero"`
	PromptTemplate string         `json:"prompt_template,omitzero"`
}

// InitToolRule makes the tool run first.
type InitToolRule struct {
	ToolName       string         `json:"tool_name"`
	Args           map[string]any `json:"args,omitzero"`
	PromptTemplate string         `json:"prompt_template,omitzero"`
}

// TerminalToolRule ends the turn after the tool.
type TerminalToolRule struct {
	ToolName       string `json:"tool_name"`
	PromptTemplate string `json:"prompt_template,omitzero"`
}

// ConditionalToolRule picks the next tool by the tool's output.
type ConditionalToolRule struct {
	ToolName             string            `json:"tool_name"`
	ChildOutputMapping   map[string]string `json:"child_output_mapping"`
	DefaultChild         string            `json:"default_child,omitzero"`
	RequireOutputMapping bool              `json:"require_output_mapping,omitzero"`
	PromptTemplate       string            `json:"prompt_template,omitzero"`
}

// ContinueToolRule goes on with the turn after the tool.
type ContinueToolRule struct {
	ToolName       string `json:"tool_name"`
	PromptTemplate string `json:"prompt_template,omitzero"`
}

// RequiredBeforeExitToolRule does not let a turn end before the tool has run.
type RequiredBeforeExitToolRule struct {
	ToolName       string `json:"tool_name"`
	PromptTemplate string `json:"prompt_template,omitzero"`
}

// MaxCountPerStepToolRule bounds the calls of the tool in a step.
type MaxCountPerStepToolRule struct {
	ToolName       string `json:"tool_name"`
	MaxCountLimit  int    `json:"max_count_limit"`
	PromptTemplate string `json:"prompt_template,omitzero"`
}

// ParentToolRule lets Children run only after the tool.
type ParentToolRule struct {
	ToolName       string   `json:"tool_name"`
	Children       []string `json:"children"`
	PromptTemplate string   `json:"prompt_template,omitzero"`
}

// RequiresApprovalToolRule makes calls of the tool wait for an approval.
type RequiresApprovalToolRule struct {
	ToolName       string `json:"tool_name"`
	PromptTemplate string `json:"prompt_template,omitzero"`
}

// UnknownToolRule is a variant that this version does not know; its JSON is kept and written back.
type UnknownToolRule struct {
	Kind string // of "type"
	Raw  json.RawMessage
}

func (*ChildToolRule) toolRule() string              { return "constrain_child_tools" }
func (*InitToolRule) toolRule() string               { return "run_first" }
func (*TerminalToolRule) toolRule() string           { return "exit_loop" }
func (*ConditionalToolRule) toolRule() string        { return "conditional" }
func (*ContinueToolRule) toolRule() string           { return "continue_loop" }
func (*RequiredBeforeExitToolRule) toolRule() string { return "required_before_exit" }
func (*MaxCountPerStepToolRule) toolRule() string    { return "max_count_per_step" }
func (*ParentToolRule) toolRule() string             { return "parent_last_tool" }
func (*RequiresApprovalToolRule) toolRule() string   { return "requires_approval" }
func (v *UnknownToolRule) toolRule() string          { return v.Kind }

// MarshalJSON adds "type".
func (v ChildToolRule) MarshalJSON() ([]byte, error) {
	type fields ChildToolRule
	return tagged("type", v.toolRule(), fields(v))
}

// MarshalJSON adds "type".
func (v InitToolRule) MarshalJSON() ([]byte, error) {
	type fields InitToolRule
	return tagged("type", v.toolRule(), fields(v))
}

// MarshalJSON adds "type".
func (v TerminalToolRule) MarshalJSON() ([]byte, error) {
	type fields TerminalToolRule
	return tagged("type", v.toolRule(), fields(v))
}

// MarshalJSON adds "type".
func (v ConditionalToolRule) MarshalJSON() ([]byte, error) {
	type fields ConditionalToolRule
	return tagged("type", v.toolRule(), fields(v))
}

// MarshalJSON adds "type".
func (v ContinueToolRule) MarshalJSON() ([]byte, error) {
	type fields ContinueToolRule
	return tagged("type", v.toolRule(), fields(v))
}

// MarshalJSON adds "type".
func (v RequiredBeforeExitToolRule) MarshalJSON() ([]byte, error) {
	type fields RequiredBeforeExitToolRule
	return tagged("type", v.toolRule(), fields(v))
}

// MarshalJSON adds "type".
func (v MaxCountPerStepToolRule) MarshalJSON() ([]byte, error) {
	type fields MaxCountPerStepToolRule
	return tagged("type", v.toolRule(), fields(v))
}

// MarshalJSON adds "type".
func (v ParentToolRule) MarshalJSON() ([]byte, error) {
	type fields ParentToolRule
	return tagged("type", v.toolRule(), fields(v))
}

// MarshalJSON adds "type".
func (v RequiresApprovalToolRule) MarshalJSON() ([]byte, error) {
	type fields RequiresApprovalToolRule
	return tagged("type", v.toolRule(), fields(v))
}

// MarshalJSON gives Raw back.
func (v UnknownToolRule) MarshalJSON() ([]byte, error) { return rawOr(v.Raw, "UnknownToolRule") }

// ChildArgNode names a child tool with arguments it is called with.
type ChildArgNode struct {
	Name string         `json:"name"`
	Args map[string]any `json:"args,omitzero"`
}
