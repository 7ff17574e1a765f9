package letta

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// AgentService is client.Agents. https://docs.letta.com/api/resources/agents
type AgentService struct {
	core       *core
	Archives   *AgentArchiveService
	Blocks     *AgentBlockService
	Files      *AgentFileService
	Folders    *AgentFolderService
	Identities *AgentIdentityService
	Messages   *AgentMessageService
	Passages   *AgentPassageService
	Schedule   *AgentScheduleService
	Tools      *AgentToolService
}

// Tags are the parameters for a list of the agents with any of the tags:
//
//	agents, err := client.Agents.List(ctx, letta.Tags("user_1"))
func Tags(tags ...string) *AgentListParams {
	return &AgentListParams{Tags: append([]string{}, tags...)}
}

// AllTags are the parameters for a list of the agents with all of the tags.
func AllTags(tags ...string) *AgentListParams {
	params := Tags(tags...)
	params.MatchAllTags = true
	return params
}

// withoutRepeats is for the server's sake: Letta 0.6.12 compares the number of matches with the number of tags. What was nil
// stays nil, what was empty stays empty.
func withoutRepeats(tags []string) []string {
	if tags == nil {
		return nil
	}
	return merged(tags, nil)
}

// AgentInclude names a relation to load.
type AgentInclude string

// The relations of an agent. What is not asked for is nil in the answer, although the server sends it empty.
const (
	AgentIncludeBlocks          AgentInclude = "agent.blocks"
	AgentIncludeIdentities      AgentInclude = "agent.identities"
	AgentIncludeManagedGroup    AgentInclude = "agent.managed_group"
	AgentIncludePendingApproval AgentInclude = "agent.pending_approval"
	AgentIncludeSecrets         AgentInclude = "agent.secrets"
	AgentIncludeSources         AgentInclude = "agent.sources"
	AgentIncludeTags            AgentInclude = "agent.tags"
	AgentIncludeTools           AgentInclude = "agent.tools"
)

// Create makes an agent; its answer has all relations loaded. It is sent once: after an error that leaves open
// whether the agent was made, look for it by its tags, or use Ensure.
func (s *AgentService) Create(ctx context.Context, params *AgentCreateParams, opts ...RequestOption) (*AgentState, error) {
	return do[*AgentState](ctx, s.core, request{op: Operation{"agents.create", http.MethodPost, "/v1/agents/"}, body: params}, opts)
}

func retrieveAgent(id AgentID, params *AgentRetrieveParams) request {
	return request{op: Operation{"agents.retrieve", http.MethodGet, "/v1/agents/{agent_id}"}, ids: []any{id}, query: params}
}

// Retrieve gets an agent. Relations are nil unless params include them.
func (s *AgentService) Retrieve(ctx context.Context, id AgentID, params *AgentRetrieveParams, opts ...RequestOption) (*AgentState, error) {
	p := copyOf(params)
	agent, err := do[*AgentState](ctx, s.core, retrieveAgent(id, &p), opts)
	if err != nil {
		return nil, err
	}
	dropUnloaded([]*AgentState{agent}, loaded(p.Include, p.IncludeRelationships))
	return agent, nil
}

// Update changes the fields that are set; its answer has all relations loaded. Slices and maps replace what is
// there: to change some tags use AddTags and RemoveTags.
func (s *AgentService) Update(ctx context.Context, id AgentID, params *AgentUpdateParams, opts ...RequestOption) (*AgentState, error) {
	return do[*AgentState](ctx, s.core, request{op: Operation{"agents.update", http.MethodPatch, "/v1/agents/{agent_id}"}, ids: []any{id}, body: params}, opts)
}

// List gets one page of agents, newest first. Hidden agents are not in it.
func (s *AgentService) List(ctx context.Context, params *AgentListParams, opts ...RequestOption) ([]*AgentState, error) {
	p := copyOf(params)
	p.Tags = withoutRepeats(p.Tags)
	if p.Tags != nil && p.Include == nil {
		p.Include = []AgentInclude{AgentIncludeTags}
	}
	agents, err := do[[]*AgentState](ctx, s.core, request{op: Operation{"agents.list", http.MethodGet, "/v1/agents/"}, query: &p}, opts)
	return dropUnloaded(agents, loaded(p.Include, p.IncludeRelationships)), err
}

// ListAll walks over all agents, page by page. After an error it ends; if the server does not page, the error is
// ErrPageLoop.
func (s *AgentService) ListAll(ctx context.Context, params *AgentListParams, opts ...RequestOption) iter.Seq2[*AgentState, error] {
	return pages("agents.list_all", params, func(p *AgentListParams) ([]*AgentState, error) { return s.List(ctx, p, opts...) },
		func(p *AgentListParams, a *AgentState) string { p.After = a.ID; return string(a.ID) })
}

// Delete removes an agent and its messages. Its memory blocks stay on the server, and they may hold what the agent knows about
// its user: DeleteWithBlocks removes those that no other agent has.
func (s *AgentService) Delete(ctx context.Context, id AgentID, opts ...RequestOption) error {
	return s.core.send(ctx, request{op: Operation{"agents.delete", http.MethodDelete, "/v1/agents/{agent_id}"}, ids: []any{id}}, nil, opts)
}

// Count counts the agents that List would find with the filters of params; nil counts all. If the server has no such
// operation, which Letta Cloud does not document, Count walks over the list.
func (s *AgentService) Count(ctx context.Context, params *AgentListParams, opts ...RequestOption) (int, error) {
	p := copyOf(params)
	if p.Limit < 0 {
		return 0, invalid("agents.count", "limit is %d", p.Limit)
	}
	p.Tags = withoutRepeats(p.Tags)
	p.Include, p.IncludeRelationships, p.After, p.Before, p.Limit, p.Order, p.OrderBy, p.SortBy, p.Ascending = []AgentInclude{}, nil, "", "", 0, "", "", "", false
	n, err := do[int](ctx, s.core, request{op: Operation{"agents.count", http.MethodGet, "/v1/agents/count"}, query: &p}, opts)
	var apiErr *APIError
	if !errors.As(err, &apiErr) || !slices.Contains([]int{400, 404, 405, 422}, apiErr.StatusCode) {
		return n, err
	}
	n = 0
	for _, err := range s.ListAll(ctx, &p, opts...) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// Exists reports whether List would find an agent. With an error, the answer is not known.
func (s *AgentService) Exists(ctx context.Context, params *AgentListParams, opts ...RequestOption) (bool, error) {
	p := copyOf(params)
	p.Limit = 1
	agents, err := s.List(ctx, &p, opts...)
	return len(agents) > 0, err
}

// ExportFile gets an agent as an agent file, in JSON, of at most 256 MiB. ExportFileTo has no bound.
func (s *AgentService) ExportFile(ctx context.Context, id AgentID, params *AgentExportFileParams, opts ...RequestOption) ([]byte, error) {
	return do[[]byte](ctx, s.core, exportFile(id, params), opts)
}

func exportFile(id AgentID, params *AgentExportFileParams) request {
	return request{op: Operation{"agents.export_file", http.MethodGet, "/v1/agents/{agent_id}/export"}, ids: []any{id}, query: params}
}

// ExportFileTo writes an agent as an agent file to w while it arrives. After an error, what w has is not the whole file.
func (s *AgentService) ExportFileTo(ctx context.Context, id AgentID, w io.Writer, params *AgentExportFileParams, opts ...RequestOption) error {
	if w == nil {
		return invalid(about("agents.export_file", id), "the writer is nil")
	}
	return s.core.send(ctx, exportFile(id, params), w, opts)
}

// ImportFile makes agents from an agent file, which is read while it is sent.
func (s *AgentService) ImportFile(ctx context.Context, params *AgentImportFileParams, opts ...RequestOption) (*AgentImportFileResponse, error) {
	r := request{op: Operation{"agents.import_file", http.MethodPost, "/v1/agents/import"}}
	if err := validate(params, false); err != nil {
		return nil, invalid(r.op.Name, "%w", err)
	}
	fields, err := params.fields()
	if err != nil {
		return nil, invalid(r.op.Name, "%w", err)
	}
	body, err := file{"agent.af", "application/json", params.File, params.Progress}.form(fields)
	if err != nil {
		return nil, invalid(r.op.Name, "%w", err)
	}
	r.body = body
	if params.OverrideEmbeddingModel != "" {
		r.header = http.Header{"X-Override-Embedding-Model": {params.OverrideEmbeddingModel}}
	}
	return do[*AgentImportFileResponse](ctx, s.core, r, opts)
}

// fields are those of the form: as in JSON, but text without its quotes.
func (v *AgentImportFileParams) fields() (map[string]string, error) {
	data, err := marshal(v)
	if err != nil {
		return nil, err
	}
	var values map[string]json.RawMessage
	if err := unmarshal(data, &values); err != nil {
		return nil, err
	}
	if v.Secrets != nil {
		if values["secrets"], err = marshal(v.Secrets); err != nil {
			return nil, err
		}
	}
	fields := map[string]string{}
	for name, value := range values {
		text := string(value)
		if value[0] == '"' {
			err = errors.Join(err, unmarshal(value, &text))
		}
		fields[name] = text
	}
	return fields, err
}

// Recompile rebuilds the agent's system prompt from its current memory, and returns it.
func (s *AgentService) Recompile(ctx context.Context, id AgentID, params *AgentRecompileParams, opts ...RequestOption) (string, error) {
	return do[string](ctx, s.core, request{op: Operation{"agents.recompile", http.MethodPost, "/v1/agents/{agent_id}/recompile"}, ids: []any{id}, query: params}, opts)
}

// loaded is what a call asked to load. The older parameter uses other words.
func loaded(include []AgentInclude, relationships []string) []AgentInclude {
	if len(include) > 0 {
		return include // the server then ignores the other
	}
	for _, name := range relationships {
		switch name {
		case "memory":
			include = append(include, AgentIncludeBlocks)
		case "identity_ids":
			include = append(include, AgentIncludeIdentities)
		case "multi_agent_group":
			include = append(include, AgentIncludeManagedGroup)
		case "tool_exec_environment_variables":
			include = append(include, AgentIncludeSecrets)
		default:
			include = append(include, AgentInclude("agent."+name))
		}
	}
	return include
}

// dropUnloaded makes the relations nil that were not asked for: the server sends them empty, as if there were none.
func dropUnloaded(agents []*AgentState, include []AgentInclude) []*AgentState {
	for _, a := range agents {
		unload(include, AgentIncludeBlocks, &a.Blocks)
		unload(include, AgentIncludeBlocks, &a.Memory.Blocks)
		unload(include, AgentIncludeBlocks, &a.Memory.FileBlocks)
		unload(include, AgentIncludeIdentities, &a.Identities)
		unload(include, AgentIncludeIdentities, &a.IdentityIDs)
		unload(include, AgentIncludeSecrets, &a.Secrets)
		unload(include, AgentIncludeSecrets, &a.ToolExecEnvironmentVariables)
		unload(include, AgentIncludeSources, &a.Sources)
		unload(include, AgentIncludeTags, &a.Tags)
		unload(include, AgentIncludeTools, &a.Tools)
	}
	return agents
}

// dropUnloadedForeign does the same for what Do has read.
func dropUnloadedForeign(op Operation, query url.Values, out any) {
	if op.Method != http.MethodGet {
		return
	}
	include := make([]AgentInclude, 0, len(query["include"]))
	for _, name := range query["include"] {
		include = append(include, AgentInclude(name))
	}
	include = loaded(include, query["include_relationships"])
	switch out := out.(type) {
	case *AgentState:
		dropUnloaded([]*AgentState{out}, include)
	case **AgentState:
		if *out != nil {
			dropUnloaded([]*AgentState{*out}, include)
		}
	case *[]AgentState:
		for i := range *out {
			dropUnloaded([]*AgentState{&(*out)[i]}, include)
		}
	case *[]*AgentState:
		dropUnloaded(slices.DeleteFunc(slices.Clone(*out), func(a *AgentState) bool { return a == nil }), include)
	}
}

func unload[T any](include []AgentInclude, name AgentInclude, relation *[]T) {
	if len(*relation) == 0 && !slices.Contains(include, name) {
		*relation = nil
	}
}

// AgentState is an agent as the server keeps it.
type AgentState struct {
	ID        AgentID   `json:"id"`
	AgentType AgentType `json:"agent_type"`
	// Blocks is nil unless loaded: see AgentIncludeBlocks. The same holds for every field that an AgentInclude names.
	Blocks []Block `json:"blocks,omitzero"`
	// Deprecated: use Model and ModelSettings.
	LLMConfig LLMConfig `json:"llm_config"`
	// Deprecated: use Blocks.
	Memory Memory `json:"memory"`
	Name   string `json:"name"`
	// Sources are the folders of the agent.
	//
	// Deprecated: use Agents.Folders.List.
	Sources []Folder `json:"sources,omitzero"`
	System  string   `json:"system"`
	// Tags is nil unless loaded: by Tags, or by AgentIncludeTags.
	Tags               []string            `json:"tags,omitzero"`
	Tools              []Tool              `json:"tools,omitzero"`
	BaseTemplateID     string              `json:"base_template_id,omitzero"`
	CompactionSettings *CompactionSettings `json:"compaction_settings,omitzero"`
	CreatedAt          time.Time           `json:"created_at,omitzero"`
	CreatedByID        string              `json:"created_by_id,omitzero"`
	DeploymentID       string              `json:"deployment_id,omitzero"`
	Description        string              `json:"description,omitzero"`
	Embedding          string              `json:"embedding,omitzero"`
	// Deprecated: use Embedding.
	EmbeddingConfig *EmbeddingConfig `json:"embedding_config,omitzero"`
	EnableSleeptime bool             `json:"enable_sleeptime,omitzero"`
	EntityID        string           `json:"entity_id,omitzero"`
	Hidden          bool             `json:"hidden,omitzero"`
	Identities      []Identity       `json:"identities,omitzero"`
	// Deprecated: use Identities.
	IdentityIDs            []IdentityID   `json:"identity_ids,omitzero"`
	LastRunCompletion      time.Time      `json:"last_run_completion,omitzero"`
	LastRunDurationMS      int            `json:"last_run_duration_ms,omitzero"`
	LastStopReason         StopReason     `json:"last_stop_reason,omitzero"`
	LastUpdatedByID        string         `json:"last_updated_by_id,omitzero"`
	ManagedGroup           *Group         `json:"managed_group,omitzero"`
	MaxFilesOpen           int            `json:"max_files_open,omitzero"`
	MessageBufferAutoclear bool           `json:"message_buffer_autoclear"`
	MessageIDs             []MessageID    `json:"message_ids,omitzero"`
	Metadata               map[string]any `json:"metadata,omitzero"`
	Model                  string         `json:"model,omitzero"`
	ModelSettings          ModelSettings  `json:"model_settings,omitzero"`
	// Deprecated: use ManagedGroup.
	MultiAgentGroup            *Group                     `json:"multi_agent_group,omitzero"`
	PendingApproval            *ApprovalRequestMessage    `json:"pending_approval,omitzero"`
	PerFileViewWindowCharLimit int                        `json:"per_file_view_window_char_limit,omitzero"`
	ProjectID                  string                     `json:"project_id,omitzero"`
	ResponseFormat             ResponseFormat             `json:"response_format,omitzero"`
	Secrets                    []AgentEnvironmentVariable `json:"secrets,omitzero"`
	TemplateID                 TemplateID                 `json:"template_id,omitzero"`
	Timezone                   string                     `json:"timezone,omitzero"`
	// Deprecated: use Secrets.
	ToolExecEnvironmentVariables []AgentEnvironmentVariable `json:"tool_exec_environment_variables,omitzero"`
	ToolRules                    ToolRules                  `json:"tool_rules,omitzero"`
	UpdatedAt                    time.Time                  `json:"updated_at,omitzero"`
}

// UnmarshalJSON reads model settings of any provider, and every form of time that servers send.
func (v *AgentState) UnmarshalJSON(data []byte) error { return unmarshal(data, v) }

func (v *AgentState) withoutMethods() any {
	type fields AgentState
	return (*fields)(v)
}

// AgentCreateParams describe a new agent. What is left out takes the server's default.
type AgentCreateParams struct {
	// AgentType is letta_v1_agent when left out.
	AgentType AgentType `json:"agent_type,omitzero"`
	// Deprecated: leave it out; nothing replaces it.
	BaseTemplateID     string              `json:"base_template_id,omitzero"`
	BlockIDs           []BlockID           `json:"block_ids,omitzero"`
	CompactionSettings *CompactionSettings `json:"compaction_settings,omitzero"`
	// ContextWindowLimit is in tokens.
	ContextWindowLimit int    `json:"context_window_limit,omitzero"`
	Description        string `json:"description,omitzero"`
	// Embedding is a handle, provider/model-name; optional.
	Embedding string `json:"embedding,omitzero"`
	// Deprecated: leave it out; nothing replaces it.
	EmbeddingChunkSize int `json:"embedding_chunk_size,omitzero"`
	// Deprecated: use Embedding.
	EmbeddingConfig *EmbeddingConfig `json:"embedding_config,omitzero"`
	// Deprecated: use ModelSettings.
	EnableReasoner  Opt[bool]  `json:"enable_reasoner,omitzero"`
	EnableSleeptime bool       `json:"enable_sleeptime,omitzero"`
	FolderIDs       []FolderID `json:"folder_ids,omitzero"`
	// Deprecated: use Templates.Agents.Create.
	FromTemplate string `json:"from_template,omitzero"`
	// Deprecated: leave it out; nothing replaces it.
	Hidden               bool         `json:"hidden,omitzero"`
	IdentityIDs          []IdentityID `json:"identity_ids,omitzero"`
	IncludeBaseToolRules Opt[bool]    `json:"include_base_tool_rules,omitzero"`
	// IncludeBaseTools is true when left out.
	IncludeBaseTools Opt[bool] `json:"include_base_tools,omitzero"`
	// Deprecated: use FolderIDs.
	IncludeDefaultSource   bool            `json:"include_default_source,omitzero"`
	InitialMessageSequence []MessageCreate `json:"initial_message_sequence,omitzero"`
	// Deprecated: use Model and ModelSettings.
	LLMConfig    *LLMConfig `json:"llm_config,omitzero"`
	MaxFilesOpen int        `json:"max_files_open,omitzero"`
	// Deprecated: use ModelSettings.
	MaxReasoningTokens int `json:"max_reasoning_tokens,omitzero"`
	// Deprecated: use ModelSettings.
	MaxTokens    int           `json:"max_tokens,omitzero"`
	MemoryBlocks []CreateBlock `json:"memory_blocks,omitzero"`
	// Deprecated: use Templates.Agents.Create.
	MemoryVariables        map[string]string `json:"memory_variables,omitzero"`
	MessageBufferAutoclear bool              `json:"message_buffer_autoclear,omitzero"`
	Metadata               map[string]any    `json:"metadata,omitzero"`
	// Model is a handle, provider/model-name; client.Models.List names those of the server.
	Model string `json:"model,omitzero"`
	// LLM is what Letta 0.6.5 to 0.6.12 call Model, and what the multi-user guide's curl example shows. Later
	// servers drop it silently.
	//
	// Deprecated: use Model, unless the server is that old.
	LLM           string        `json:"llm,omitzero"`
	ModelSettings ModelSettings `json:"model_settings,omitzero"`
	// Name is generated when left out. Do not make it from a user id: Letta 0.16.8 takes letters, digits, space, _ - and ' only,
	// and answers 500 to an e-mail address; Letta 0.6.12 takes 50 characters of ASCII without ', and answers 422. It is not checked
	// here, because Letta Cloud documents no rule.
	Name string `json:"name,omitzero"`
	// Deprecated: use ModelSettings.
	ParallelToolCalls          Opt[bool] `json:"parallel_tool_calls,omitzero"`
	PerFileViewWindowCharLimit int       `json:"per_file_view_window_char_limit,omitzero"`
	// Deprecated: use WithProject.
	Project string `json:"project,omitzero"`
	// Deprecated: use WithProjectID.
	ProjectID string `json:"project_id,omitzero"`
	// Deprecated: use ModelSettings.
	Reasoning Opt[bool] `json:"reasoning,omitzero"`
	// Deprecated: use ModelSettings.
	ResponseFormat ResponseFormat `json:"response_format,omitzero"`
	// Secrets are the environment variables of the agent's tools.
	Secrets map[string]string `json:"secrets,omitzero"`
	// Deprecated: use FolderIDs.
	SourceIDs []FolderID `json:"source_ids,omitzero"`
	// System replaces the default prompt of the agent type.
	System Opt[string] `json:"system,omitzero"`
	// Tags to find the agent by, such as the id of its user. They are no security boundary.
	Tags []string `json:"tags,omitzero"`
	// Deprecated: leave it out; nothing replaces it.
	Template bool `json:"template,omitzero"`
	// Deprecated: leave it out; nothing replaces it.
	TemplateID TemplateID `json:"template_id,omitzero"`
	Timezone   string     `json:"timezone,omitzero"`
	// Deprecated: use Secrets.
	ToolExecEnvironmentVariables map[string]string `json:"tool_exec_environment_variables,omitzero"`
	ToolIDs                      []ToolID          `json:"tool_ids,omitzero"`
	ToolRules                    ToolRules         `json:"tool_rules,omitzero"`
	// Tools holds names of tools, ToolIDs their ids; both are attached.
	Tools []string `json:"tools,omitzero"`
}

// UnmarshalJSON reads model settings of any provider.
func (v *AgentCreateParams) UnmarshalJSON(data []byte) error { return unmarshal(data, v) }

func (v *AgentCreateParams) withoutMethods() any {
	type fields AgentCreateParams
	return (*fields)(v)
}

// AgentUpdateParams are the fields to change. A slice or a map replaces what is there.
type AgentUpdateParams struct {
	BaseTemplateID     Opt[string]             `json:"base_template_id,omitzero"`
	BlockIDs           []BlockID               `json:"block_ids,omitzero"`
	CompactionSettings Opt[CompactionSettings] `json:"compaction_settings,omitzero"`
	ContextWindowLimit Opt[int]                `json:"context_window_limit,omitzero"`
	Description        Opt[string]             `json:"description,omitzero"`
	Embedding          Opt[string]             `json:"embedding,omitzero"`
	EmbeddingConfig    Opt[EmbeddingConfig]    `json:"embedding_config,omitzero"`
	EnableSleeptime    Opt[bool]               `json:"enable_sleeptime,omitzero"`
	FolderIDs          []FolderID              `json:"folder_ids,omitzero"`
	Hidden             Opt[bool]               `json:"hidden,omitzero"`
	IdentityIDs        []IdentityID            `json:"identity_ids,omitzero"`
	LastRunCompletion  Opt[time.Time]          `json:"last_run_completion,omitzero"`
	LastRunDurationMS  Opt[int]                `json:"last_run_duration_ms,omitzero"`
	LastStopReason     Opt[StopReason]         `json:"last_stop_reason,omitzero"`
	// Deprecated: use Model and ModelSettings.
	LLMConfig    Opt[LLMConfig] `json:"llm_config,omitzero"`
	MaxFilesOpen Opt[int]       `json:"max_files_open,omitzero"`
	// Deprecated: use ModelSettings.
	MaxTokens              Opt[int]           `json:"max_tokens,omitzero"`
	MessageBufferAutoclear Opt[bool]          `json:"message_buffer_autoclear,omitzero"`
	MessageIDs             []MessageID        `json:"message_ids,omitzero"`
	Metadata               map[string]any     `json:"metadata,omitzero"`
	Model                  Opt[string]        `json:"model,omitzero"`
	ModelSettings          Opt[ModelSettings] `json:"model_settings,omitzero"`
	Name                   Opt[string]        `json:"name,omitzero"`
	// Deprecated: use ModelSettings.
	ParallelToolCalls          Opt[bool]   `json:"parallel_tool_calls,omitzero"`
	PerFileViewWindowCharLimit Opt[int]    `json:"per_file_view_window_char_limit,omitzero"`
	ProjectID                  Opt[string] `json:"project_id,omitzero"`
	// Deprecated: use ModelSettings.
	Reasoning Opt[bool] `json:"reasoning,omitzero"`
	// Deprecated: use ModelSettings.
	ResponseFormat Opt[ResponseFormat] `json:"response_format,omitzero"`
	// Secrets replaces the whole set.
	Secrets map[string]string `json:"secrets,omitzero"`
	// Deprecated: use FolderIDs.
	SourceIDs []FolderID  `json:"source_ids,omitzero"`
	System    Opt[string] `json:"system,omitzero"`
	// Tags replaces all tags; an empty slice removes them. To change some, use AddTags and RemoveTags.
	Tags       []string        `json:"tags,omitzero"`
	TemplateID Opt[TemplateID] `json:"template_id,omitzero"`
	Timezone   Opt[string]     `json:"timezone,omitzero"`
	// Deprecated: use Secrets.
	ToolExecEnvironmentVariables map[string]string `json:"tool_exec_environment_variables,omitzero"`
	ToolIDs                      []ToolID          `json:"tool_ids,omitzero"`
	ToolRules                    ToolRules         `json:"tool_rules,omitzero"`
}

// AgentListParams filter and page agents. Tags makes the common one.
type AgentListParams struct {
	After                AgentID        `url:"after,omitempty"`
	Ascending            bool           `url:"ascending,omitempty"`
	BaseTemplateID       string         `url:"base_template_id,omitempty"`
	Before               AgentID        `url:"before,omitempty"`
	CreatedByID          string         `url:"created_by_id,omitempty"`
	IdentifierKeys       []string       `url:"identifier_keys,omitempty"`
	IdentityID           IdentityID     `url:"identity_id,omitempty"`
	Include              []AgentInclude `url:"include,omitempty"`
	IncludeRelationships []string       `url:"include_relationships,omitempty"`
	LastStopReason       StopReason     `url:"last_stop_reason,omitempty"`
	Limit                int            `url:"limit,omitempty"`
	MatchAllTags         bool           `url:"match_all_tags,omitempty"`
	Name                 string         `url:"name,omitempty"`
	Order                Order          `url:"order,omitempty"`
	OrderBy              OrderBy        `url:"order_by,omitempty"`
	ProjectID            string         `url:"project_id,omitempty"`
	QueryText            string         `url:"query_text,omitempty"`
	SortBy               string         `url:"sort_by,omitempty"`
	Tags                 []string       `url:"tags,omitempty"`
	TemplateID           TemplateID     `url:"template_id,omitempty"`
}

// AgentRetrieveParams choose what to load.
type AgentRetrieveParams struct {
	Include              []AgentInclude `url:"include,omitempty"`
	IncludeRelationships []string       `url:"include_relationships,omitempty"`
}

// AgentExportFileParams choose what to export.
type AgentExportFileParams struct {
	ConversationID  ConversationID `url:"conversation_id,omitempty"`
	MaxSteps        int            `url:"max_steps,omitempty"`
	ScrubMessages   bool           `url:"scrub_messages,omitempty"`
	UseLegacyFormat bool           `url:"use_legacy_format,omitempty"`
}

// AgentImportFileParams hold an agent file and what to change in it.
type AgentImportFileParams struct {
	// File is the agent file, as ExportFile returns it. It is read once, while it is sent. It is closed only if it
	// is an io.Closer and one of its Reads is under way when the context or a timeout ends the call.
	File io.Reader `json:"-" form:"file" letta:"required"`
	// Progress, if set, is called with the bytes of File that were sent so far.
	Progress                func(sent int64) `json:"-"`
	AppendCopySuffix        Opt[bool]        `json:"append_copy_suffix,omitzero"`
	Embedding               string           `json:"embedding,omitzero"`
	EnvVarsJSON             string           `json:"env_vars_json,omitzero"`
	Model                   string           `json:"model,omitzero"`
	Name                    string           `json:"name,omitzero"`
	OverrideEmbeddingHandle string           `json:"override_embedding_handle,omitzero"`
	OverrideExistingTools   Opt[bool]        `json:"override_existing_tools,omitzero"`
	OverrideModelHandle     string           `json:"override_model_handle,omitzero"`
	OverrideName            string           `json:"override_name,omitzero"`
	ProjectID               string           `json:"project_id,omitzero"`
	// Secrets are the environment variables of the agents' tools.
	Secrets map[string]string `json:"-"`
	// OverrideEmbeddingModel is sent as the header x-override-embedding-model.
	OverrideEmbeddingModel string `json:"-"`
	StripMessages          bool   `json:"strip_messages,omitzero"`
}

// AgentImportFileResponse names the agents that were made.
type AgentImportFileResponse struct {
	AgentIDs []AgentID `json:"agent_ids,omitzero"`
}

// AgentRecompileParams choose how to compile.
type AgentRecompileParams struct {
	DryRun          bool `url:"dry_run,omitempty"`
	UpdateTimestamp bool `url:"update_timestamp,omitempty"`
}

// Memory is the older form of an agent's blocks.
type Memory struct {
	Blocks     []Block     `json:"blocks,omitzero"`
	AgentType  AgentType   `json:"agent_type,omitzero"`
	FileBlocks []FileBlock `json:"file_blocks,omitzero"`
	GitEnabled bool        `json:"git_enabled"`
	// Deprecated: use AgentState.System.
	PromptTemplate string `json:"prompt_template"`
}

// FileBlock is a file opened in an agent's context.
type FileBlock struct {
	FileID FileID `json:"file_id"`
	IsOpen bool   `json:"is_open"`
	// Deprecated: use FolderID.
	SourceID        FolderID  `json:"source_id"`
	Value           string    `json:"value"`
	ID              string    `json:"id"`
	BaseTemplateID  string    `json:"base_template_id,omitzero"`
	CreatedByID     string    `json:"created_by_id,omitzero"`
	DeploymentID    string    `json:"deployment_id,omitzero"`
	Description     string    `json:"description,omitzero"`
	EntityID        string    `json:"entity_id,omitzero"`
	Hidden          bool      `json:"hidden,omitzero"`
	IsTemplate      bool      `json:"is_template"`
	Label           string    `json:"label,omitzero"`
	LastAccessedAt  time.Time `json:"last_accessed_at,omitzero"`
	LastUpdatedByID string    `json:"last_updated_by_id,omitzero"`
	// Limit is the length of a page; the server's default is 50.
	Limit               int            `json:"limit"`
	Metadata            map[string]any `json:"metadata,omitzero"`
	PreserveOnMigration bool           `json:"preserve_on_migration,omitzero"`
	ProjectID           string         `json:"project_id,omitzero"`
	ReadOnly            bool           `json:"read_only"`
	Tags                []string       `json:"tags,omitzero"`
	TemplateID          TemplateID     `json:"template_id,omitzero"`
	TemplateName        string         `json:"template_name,omitzero"`
}

// AgentEnvironmentVariable is a secret of an agent's tools.
type AgentEnvironmentVariable struct {
	AgentID         AgentID   `json:"agent_id"`
	Key             string    `json:"key"`
	Value           string    `json:"value"`
	ID              string    `json:"id"`
	CreatedAt       time.Time `json:"created_at,omitzero"`
	CreatedByID     string    `json:"created_by_id,omitzero"`
	Description     string    `json:"description,omitzero"`
	LastUpdatedByID string    `json:"last_updated_by_id,omitzero"`
	UpdatedAt       time.Time `json:"updated_at,omitzero"`
	ValueEnc        string    `json:"value_enc,omitzero"`
}

// AgentType is the architecture of an agent.
type AgentType string

// The values known today; others are kept as they come.
const (
	AgentTypeMemGPTAgent         AgentType = "memgpt_agent"
	AgentTypeMemGPTV2Agent       AgentType = "memgpt_v2_agent"
	AgentTypeLettaV1Agent        AgentType = "letta_v1_agent"
	AgentTypeReactAgent          AgentType = "react_agent"
	AgentTypeWorkflowAgent       AgentType = "workflow_agent"
	AgentTypeSplitThreadAgent    AgentType = "split_thread_agent"
	AgentTypeSleeptimeAgent      AgentType = "sleeptime_agent"
	AgentTypeVoiceConvoAgent     AgentType = "voice_convo_agent"
	AgentTypeVoiceSleeptimeAgent AgentType = "voice_sleeptime_agent"
)
