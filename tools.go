package letta

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
)

// ToolService is client.Tools: functions that agents can call. https://docs.letta.com/api/resources/tools
type ToolService struct{ core *core }

// Create makes a tool. Its name comes from the source code, or from JSONSchema. Letta 0.16.8 has one tool of a name: it
// updates the one there is, as Upsert does. It answers 400 if the function has no docstring and JSONSchema is not set.
func (s *ToolService) Create(ctx context.Context, params *ToolCreateParams, opts ...RequestOption) (*Tool, error) {
	return do[*Tool](ctx, s.core, request{op: Operation{"tools.create", http.MethodPost, "/v1/tools/"}, body: params}, opts)
}

// Retrieve gets a tool.
func (s *ToolService) Retrieve(ctx context.Context, id ToolID, opts ...RequestOption) (*Tool, error) {
	return do[*Tool](ctx, s.core, request{op: Operation{"tools.retrieve", http.MethodGet, "/v1/tools/{tool_id}"}, ids: []any{id}}, opts)
}

// Update changes what is set in params.
func (s *ToolService) Update(ctx context.Context, id ToolID, params *ToolUpdateParams, opts ...RequestOption) (*Tool, error) {
	return do[*Tool](ctx, s.core, request{op: Operation{"tools.update", http.MethodPatch, "/v1/tools/{tool_id}"}, ids: []any{id}, body: params}, opts)
}

// List gets one page of tools, newest first: Letta's own and those that were made.
func (s *ToolService) List(ctx context.Context, params *ToolListParams, opts ...RequestOption) ([]*Tool, error) {
	return do[[]*Tool](ctx, s.core, request{op: Operation{"tools.list", http.MethodGet, "/v1/tools/"}, query: params}, opts)
}

// ListAll walks over all tools, page by page.
func (s *ToolService) ListAll(ctx context.Context, params *ToolListParams, opts ...RequestOption) iter.Seq2[*Tool, error] {
	return pages("tools.list_all", params, func(p *ToolListParams) ([]*Tool, error) { return s.List(ctx, p, opts...) },
		func(p *ToolListParams, t *Tool) string { p.After = t.ID; return string(t.ID) })
}

// Delete deletes a tool, also from the agents that have it. Letta 0.16.8 answers 400, not 404, if there is none.
func (s *ToolService) Delete(ctx context.Context, id ToolID, opts ...RequestOption) error {
	return s.core.send(ctx, request{op: Operation{"tools.delete", http.MethodDelete, "/v1/tools/{tool_id}"}, ids: []any{id}}, nil, opts)
}

// Search finds tools by their words or their meaning, the best first. A self-hosted server answers 400 unless it embeds
// tools.
func (s *ToolService) Search(ctx context.Context, params *ToolSearchParams, opts ...RequestOption) ([]*ToolSearchResult, error) {
	return do[[]*ToolSearchResult](ctx, s.core, request{op: Operation{"tools.search", http.MethodPost, "/v1/tools/search"}, body: params}, opts)
}

// Upsert makes a tool, or updates the one of the same name. Ensure leaves a tool alone that is up to date.
func (s *ToolService) Upsert(ctx context.Context, params *ToolCreateParams, opts ...RequestOption) (*Tool, error) {
	return do[*Tool](ctx, s.core, request{op: Operation{"tools.upsert", http.MethodPut, "/v1/tools/"}, body: params}, opts)
}

// ToolType says where a tool comes from.
type ToolType string

// The values known today; others are kept as they come.
const (
	ToolTypeCustom                  ToolType = "custom"
	ToolTypeLettaCore               ToolType = "letta_core"
	ToolTypeLettaMemoryCore         ToolType = "letta_memory_core"
	ToolTypeLettaMultiAgentCore     ToolType = "letta_multi_agent_core"
	ToolTypeLettaSleeptimeCore      ToolType = "letta_sleeptime_core"
	ToolTypeLettaVoiceSleeptimeCore ToolType = "letta_voice_sleeptime_core"
	ToolTypeLettaBuiltin            ToolType = "letta_builtin"
	ToolTypeLettaFilesCore          ToolType = "letta_files_core"
	ToolTypeExternalLangchain       ToolType = "external_langchain"
	ToolTypeExternalComposio        ToolType = "external_composio"
	ToolTypeExternalMCP             ToolType = "external_mcp"
)

// Tool is a function that agents can call. Its JSON schemas are kept as they come.
type Tool struct {
	ID                      ToolID           `json:"id"`
	ArgsJSONSchema          json.RawMessage  `json:"args_json_schema,omitzero"`
	CreatedByID             string           `json:"created_by_id,omitzero"`
	DefaultRequiresApproval bool             `json:"default_requires_approval,omitzero"`
	Description             string           `json:"description,omitzero"`
	EnableParallelExecution bool             `json:"enable_parallel_execution,omitzero"`
	JSONSchema              json.RawMessage  `json:"json_schema,omitzero"`
	LastUpdatedByID         string           `json:"last_updated_by_id,omitzero"`
	Metadata                map[string]any   `json:"metadata_,omitzero"`
	Name                    string           `json:"name,omitzero"`
	NpmRequirements         []NpmRequirement `json:"npm_requirements,omitzero"`
	PipRequirements         []PipRequirement `json:"pip_requirements,omitzero"`
	ProjectID               string           `json:"project_id,omitzero"`
	ReturnCharLimit         int              `json:"return_char_limit"`
	SourceCode              string           `json:"source_code,omitzero"`
	SourceType              string           `json:"source_type,omitzero"`
	Tags                    []string         `json:"tags,omitzero"`
	ToolType                ToolType         `json:"tool_type"`
}

// NpmRequirement is a package a TypeScript tool needs.
type NpmRequirement struct {
	Name    string `json:"name"`
	Version string `json:"version,omitzero"`
}

// PipRequirement is a package a Python tool needs.
type PipRequirement struct {
	Name    string `json:"name"`
	Version string `json:"version,omitzero"`
}

// ToolCreateParams describe a tool for Create, Upsert and Ensure. SourceCode is required.
type ToolCreateParams struct {
	// SourceCode is one function. A Python function needs a docstring that describes its arguments, unless JSONSchema does.
	SourceCode string `json:"source_code" letta:"required"`
	// ArgsJSONSchema is a JSON schema of the arguments.
	ArgsJSONSchema json.RawMessage `json:"args_json_schema,omitzero"`
	// DefaultRequiresApproval makes every agent that gets the tool wait for an approval of its calls.
	DefaultRequiresApproval bool `json:"default_requires_approval,omitzero"`
	// Description is for people; the model reads the one in JSONSchema.
	Description             string           `json:"description,omitzero"`
	EnableParallelExecution bool             `json:"enable_parallel_execution,omitzero"`
	JSONSchema              json.RawMessage  `json:"json_schema,omitzero"` // of the function, with its name; made from the source when left out
	NpmRequirements         []NpmRequirement `json:"npm_requirements,omitzero"`
	PipRequirements         []PipRequirement `json:"pip_requirements,omitzero"`
	// ReturnCharLimit cuts what the tool returns, in characters; the server's default is 50000.
	ReturnCharLimit int `json:"return_char_limit,omitzero"`
	// SourceType is python, which is the default, or typescript.
	SourceType string   `json:"source_type,omitzero"`
	Tags       []string `json:"tags,omitzero"`
}

// ToolUpdateParams change a tool: what is not set stays.
type ToolUpdateParams struct {
	ArgsJSONSchema          json.RawMessage  `json:"args_json_schema,omitzero"`
	DefaultRequiresApproval Opt[bool]        `json:"default_requires_approval,omitzero"`
	Description             Opt[string]      `json:"description,omitzero"`
	EnableParallelExecution Opt[bool]        `json:"enable_parallel_execution,omitzero"`
	JSONSchema              json.RawMessage  `json:"json_schema,omitzero"`
	Metadata                map[string]any   `json:"metadata_,omitzero"`
	NpmRequirements         []NpmRequirement `json:"npm_requirements,omitzero"`
	PipRequirements         []PipRequirement `json:"pip_requirements,omitzero"`
	ReturnCharLimit         Opt[int]         `json:"return_char_limit,omitzero"` // in characters
	SourceCode              Opt[string]      `json:"source_code,omitzero"`
	SourceType              Opt[string]      `json:"source_type,omitzero"`
	Tags                    []string         `json:"tags,omitzero"`
}

// ToolListParams filter and page tools.
type ToolListParams struct {
	After            ToolID     `url:"after,omitempty"`
	Before           ToolID     `url:"before,omitempty"`
	ExcludeToolTypes []ToolType `url:"exclude_tool_types,omitempty"`
	// Limit is the length of a page; the server's default is 50.
	Limit int `url:"limit,omitempty"`
	// Name is the whole name of a tool; Search is a part of it, in any case.
	Name                 string     `url:"name,omitempty"`
	Names                []string   `url:"names,omitempty"`
	Order                Order      `url:"order,omitempty"`
	OrderBy              OrderBy    `url:"order_by,omitempty"`
	ReturnOnlyLettaTools bool       `url:"return_only_letta_tools,omitempty"`
	Search               string     `url:"search,omitempty"`
	ToolIDs              []ToolID   `url:"tool_ids,omitempty"`
	ToolTypes            []ToolType `url:"tool_types,omitempty"`
}

// ToolSearchParams say which tools to find; without a query, Tags and ToolTypes filter alone.
type ToolSearchParams struct {
	// Limit is the most results to get; the server's default is 50.
	Limit int    `json:"limit,omitzero"`
	Query string `json:"query,omitzero"`
	// SearchMode is hybrid when left out.
	SearchMode SearchMode `json:"search_mode,omitzero"`
	Tags       []string   `json:"tags,omitzero"`
	ToolTypes  []ToolType `json:"tool_types,omitzero"`
}

// ToolSearchResult is a tool that was found.
type ToolSearchResult struct {
	CombinedScore float64 `json:"combined_score"` // of both ranks, greater is better
	Tool          Tool    `json:"tool"`
	EmbeddedText  string  `json:"embedded_text,omitzero"`
	FTSRank       int     `json:"fts_rank,omitzero"`    // 0 if it was not found by words
	VectorRank    int     `json:"vector_rank,omitzero"` // 0 if it was not found by meaning
}
