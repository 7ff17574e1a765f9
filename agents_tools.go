package letta

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
)

// AgentToolService is client.Agents.Tools: the tools of one agent.
// https://docs.letta.com/api/resources/agents/subresources/tools
type AgentToolService struct{ core *core }

// List gets one page of the agent's tools, 10 unless Limit says otherwise. The cursors of Letta 0.16.8 skip and repeat rows
// of this list: use ListAll, or a Limit that is large enough.
func (s *AgentToolService) List(ctx context.Context, id AgentID, params *AgentToolListParams, opts ...RequestOption) ([]*Tool, error) {
	return do[[]*Tool](ctx, s.core, request{op: Operation{"agents.tools.list", http.MethodGet, "/v1/agents/{agent_id}/tools"}, ids: []any{id}, query: params}, opts)
}

// ListAll yields all tools of the agent, in as few requests as possible.
func (s *AgentToolService) ListAll(ctx context.Context, id AgentID, params *AgentToolListParams, opts ...RequestOption) iter.Seq2[*Tool, error] {
	return whole("agents.tools.list_all", params,
		func(p *AgentToolListParams) ([]*Tool, *bool, error) {
			rows, err := s.List(ctx, id, p, opts...)
			return rows, nil, err
		},
		func(p *AgentToolListParams, t *Tool) string { p.After = t.ID; return string(t.ID) },
		func(p *AgentToolListParams) *int { return &p.Limit })
}

// Attach gives the agent a tool; one that it has already is no error. AttachByName finds the tool first. The official
// clients return the agent, for which Letta 0.16.8 sends null.
func (s *AgentToolService) Attach(ctx context.Context, id AgentID, tool ToolID, opts ...RequestOption) error {
	return s.core.send(ctx, request{op: Operation{"agents.tools.attach", http.MethodPatch, "/v1/agents/{agent_id}/tools/attach/{tool_id}"}, ids: []any{id, tool}}, nil, opts)
}

// Detach takes a tool from the agent; one that it does not have is no error.
func (s *AgentToolService) Detach(ctx context.Context, id AgentID, tool ToolID, opts ...RequestOption) error {
	return s.core.send(ctx, request{op: Operation{"agents.tools.detach", http.MethodPatch, "/v1/agents/{agent_id}/tools/detach/{tool_id}"}, ids: []any{id, tool}}, nil, opts)
}

// Run runs one of the agent's tools without a turn of the agent, with its secrets. A tool that fails is no error: see
// Status and Stderr of the result.
func (s *AgentToolService) Run(ctx context.Context, id AgentID, name string, params *AgentToolRunParams, opts ...RequestOption) (*ToolExecutionResult, error) {
	p := copyOf(params)
	return do[*ToolExecutionResult](ctx, s.core, request{op: Operation{"agents.tools.run", http.MethodPost, "/v1/agents/{agent_id}/tools/{tool_name}/run"}, ids: []any{id, name}, body: &p}, opts)
}

// UpdateApproval sets whether calls of a tool of the agent wait for an approval. Letta 0.16.8 takes the name of a tool that
// the agent does not have, too.
func (s *AgentToolService) UpdateApproval(ctx context.Context, id AgentID, name string, params *AgentToolUpdateApprovalParams, opts ...RequestOption) error {
	return s.core.send(ctx, request{op: Operation{"agents.tools.update_approval", http.MethodPatch, "/v1/agents/{agent_id}/tools/approval/{tool_name}"}, ids: []any{id, name}, body: params}, nil, opts)
}

// AgentToolListParams page the tools of an agent.
type AgentToolListParams struct {
	After  ToolID `url:"after,omitempty"`
	Before ToolID `url:"before,omitempty"`
	// Limit is the length of a page; the server's default is 10.
	Limit   int     `url:"limit,omitempty"`
	Order   Order   `url:"order,omitempty"`
	OrderBy OrderBy `url:"order_by,omitempty"`
}

// AgentToolRunParams are the arguments of a tool.
type AgentToolRunParams struct {
	Args map[string]any `json:"args,omitzero"`
}

// AgentToolUpdateApprovalParams say whether calls wait for an approval.
type AgentToolUpdateApprovalParams struct {
	RequiresApproval bool `json:"requires_approval"`
}

// ToolExecutionResult is what came of a tool that was run without a turn.
type ToolExecutionResult struct {
	Status ToolExecutionStatus `json:"status"`
	// Deprecated: nothing replaces it. Letta 0.16.8 always sends null.
	AgentState *AgentState `json:"agent_state,omitzero"`
	// FuncReturn is what the tool returned, as JSON.
	FuncReturn               json.RawMessage `json:"func_return,omitzero"`
	SandboxConfigFingerprint string          `json:"sandbox_config_fingerprint,omitzero"`
	Stderr                   []string        `json:"stderr,omitzero"`
	Stdout                   []string        `json:"stdout,omitzero"`
}

// ToolExecutionStatus says whether a tool ran to its end.
type ToolExecutionStatus string

// The values known today; others are kept as they come.
const (
	ToolExecutionSuccess ToolExecutionStatus = "success"
	ToolExecutionError   ToolExecutionStatus = "error"
)
