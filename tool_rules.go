package letta

import "encoding/json"

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
