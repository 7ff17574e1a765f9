package letta

import "encoding/json"

// ToolRule constrains the order in which an agent calls its tools: [*InitToolRule], [*TerminalToolRule], [*ChildToolRule],
// [*ParentToolRule], [*ConditionalToolRule], [*ContinueToolRule], [*RequiredBeforeExitToolRule], [*MaxCountPerStepToolRule],
// [*RequiresApprovalToolRule], or [*UnknownToolRule], which this version does not know.
type ToolRule interface{ toolRule() string }

// ToolRules is a []ToolRule that encoding/json can decode. Either can be assigned to the other.
type ToolRules []ToolRule

// UnmarshalJSON reads rules of all kinds.
func (l *ToolRules) UnmarshalJSON(data []byte) error { return unmarshal(data, l) }

var toolRules = newUnion[ToolRule]("type", ToolRule.toolRule,
	func(kind string, raw json.RawMessage) ToolRule { return &UnknownToolRule{Kind: kind, Raw: raw} },
	&ChildToolRule{}, &InitToolRule{}, &TerminalToolRule{}, &ConditionalToolRule{}, &ContinueToolRule{}, &RequiredBeforeExitToolRule{}, &MaxCountPerStepToolRule{}, &ParentToolRule{}, &RequiresApprovalToolRule{},
)

// ChildToolRule lets only Children follow the tool.
type ChildToolRule struct {
	Type           Kind[ChildToolRule] `json:"type"`
	ToolName       string              `json:"tool_name"`
	Children       []string            `json:"children"`
	ChildArgNodes  []ChildArgNode      `json:"child_arg_nodes,omitzero"`
	PromptTemplate string              `json:"prompt_template,omitzero"`
}

// InitToolRule makes the tool run first.
type InitToolRule struct {
	Type           Kind[InitToolRule] `json:"type"`
	ToolName       string             `json:"tool_name"`
	Args           map[string]any     `json:"args,omitzero"`
	PromptTemplate string             `json:"prompt_template,omitzero"`
}

// TerminalToolRule ends the turn after the tool.
type TerminalToolRule struct {
	Type           Kind[TerminalToolRule] `json:"type"`
	ToolName       string                 `json:"tool_name"`
	PromptTemplate string                 `json:"prompt_template,omitzero"`
}

// ConditionalToolRule picks the next tool by the tool's output.
type ConditionalToolRule struct {
	Type                 Kind[ConditionalToolRule] `json:"type"`
	ToolName             string                    `json:"tool_name"`
	ChildOutputMapping   map[string]string         `json:"child_output_mapping"`
	DefaultChild         string                    `json:"default_child,omitzero"`
	RequireOutputMapping bool                      `json:"require_output_mapping,omitzero"`
	PromptTemplate       string                    `json:"prompt_template,omitzero"`
}

// ContinueToolRule goes on with the turn after the tool.
type ContinueToolRule struct {
	Type           Kind[ContinueToolRule] `json:"type"`
	ToolName       string                 `json:"tool_name"`
	PromptTemplate string                 `json:"prompt_template,omitzero"`
}

// RequiredBeforeExitToolRule does not let a turn end before the tool has run.
type RequiredBeforeExitToolRule struct {
	Type           Kind[RequiredBeforeExitToolRule] `json:"type"`
	ToolName       string                           `json:"tool_name"`
	PromptTemplate string                           `json:"prompt_template,omitzero"`
}

// MaxCountPerStepToolRule bounds the calls of the tool in a step.
type MaxCountPerStepToolRule struct {
	Type           Kind[MaxCountPerStepToolRule] `json:"type"`
	ToolName       string                        `json:"tool_name"`
	MaxCountLimit  int                           `json:"max_count_limit"`
	PromptTemplate string                        `json:"prompt_template,omitzero"`
}

// ParentToolRule lets Children run only after the tool.
type ParentToolRule struct {
	Type           Kind[ParentToolRule] `json:"type"`
	ToolName       string               `json:"tool_name"`
	Children       []string             `json:"children"`
	PromptTemplate string               `json:"prompt_template,omitzero"`
}

// RequiresApprovalToolRule makes calls of the tool wait for an approval.
type RequiresApprovalToolRule struct {
	Type           Kind[RequiresApprovalToolRule] `json:"type"`
	ToolName       string                         `json:"tool_name"`
	PromptTemplate string                         `json:"prompt_template,omitzero"`
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

// MarshalJSON gives Raw back.
func (v UnknownToolRule) MarshalJSON() ([]byte, error) { return rawOr(v.Raw, "UnknownToolRule") }

// ChildArgNode names a child tool with arguments it is called with.
type ChildArgNode struct {
	Name string         `json:"name"`
	Args map[string]any `json:"args,omitzero"`
}
