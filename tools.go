package letta

import "encoding/json"

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
