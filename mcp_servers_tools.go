package letta

import (
	"context"
	"net/http"
)

// MCPServerToolService is client.MCPServers.Tools: the tools of one MCP server.
type MCPServerToolService struct{ core *core }

// Retrieve gets a tool.
func (s *MCPServerToolService) Retrieve(ctx context.Context, id MCPServerID, toolID ToolID, opts ...RequestOption) (*Tool, error) {
	return do[*Tool](ctx, s.core, request{op: Operation{"mcp_servers.tools.retrieve", http.MethodGet, "/v1/mcp-servers/{mcp_server_id}/tools/{tool_id}"}, ids: []any{id, toolID}}, opts)
}

// List gets all tools of the MCP server, as they were when it was registered or refreshed.
func (s *MCPServerToolService) List(ctx context.Context, id MCPServerID, opts ...RequestOption) ([]*Tool, error) {
	return do[[]*Tool](ctx, s.core, request{op: Operation{"mcp_servers.tools.list", http.MethodGet, "/v1/mcp-servers/{mcp_server_id}/tools"}, ids: []any{id}}, opts)
}

// Run runs a tool once, without an agent. A tool that fails gives a result with the status error, not an error.
func (s *MCPServerToolService) Run(ctx context.Context, id MCPServerID, toolID ToolID, params *MCPServerToolRunParams, opts ...RequestOption) (*ToolExecutionResult, error) {
	p := copyOf(params)
	return do[*ToolExecutionResult](ctx, s.core, request{op: Operation{"mcp_servers.tools.run", http.MethodPost, "/v1/mcp-servers/{mcp_server_id}/tools/{tool_id}/run"}, ids: []any{id, toolID}, body: &p}, opts)
}

// MCPServerToolRunParams are the arguments of a tool.
type MCPServerToolRunParams struct {
	Args map[string]any `json:"args,omitzero"`
}
