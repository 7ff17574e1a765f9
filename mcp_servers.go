package letta

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
)

// MCPServerService is client.MCPServers: servers of the Model Context Protocol, whose tools agents can have. The Letta
// server connects to them, not this program. https://docs.letta.com/api/resources/mcp_servers
type MCPServerService struct {
	core  *core
	Tools *MCPServerToolService
}

// Create registers an MCP server and makes tools of what it offers. Letta 0.16.8 also registers a server that it cannot
// reach, without tools. It answers 409 if the name is taken, 422 for an address that is not public, and 400 for a server
// over stdio unless it runs with MCP_DISABLE_STDIO=false.
func (s *MCPServerService) Create(ctx context.Context, params *MCPServerCreateParams, opts ...RequestOption) (MCPServer, error) {
	return do[MCPServer](ctx, s.core, request{op: Operation{"mcp_servers.create", http.MethodPost, "/v1/mcp-servers/"}, body: params}, opts)
}

// Retrieve gets an MCP server.
func (s *MCPServerService) Retrieve(ctx context.Context, id MCPServerID, opts ...RequestOption) (MCPServer, error) {
	return do[MCPServer](ctx, s.core, request{op: Operation{"mcp_servers.retrieve", http.MethodGet, "/v1/mcp-servers/{mcp_server_id}"}, ids: []any{id}}, opts)
}

// Update changes the name, the configuration or both. The configuration is needed each time; on Letta 0.16.8 it replaces
// the old one as a whole. Its tools stay as they are: Refresh reads them again.
func (s *MCPServerService) Update(ctx context.Context, id MCPServerID, params *MCPServerUpdateParams, opts ...RequestOption) (MCPServer, error) {
	return do[MCPServer](ctx, s.core, request{op: Operation{"mcp_servers.update", http.MethodPatch, "/v1/mcp-servers/{mcp_server_id}"}, ids: []any{id}, body: params}, opts)
}

// List gets all MCP servers.
func (s *MCPServerService) List(ctx context.Context, opts ...RequestOption) (MCPServers, error) {
	return do[MCPServers](ctx, s.core, request{op: Operation{"mcp_servers.list", http.MethodGet, "/v1/mcp-servers/"}}, opts)
}

// Delete removes an MCP server and its tools. Letta 0.16.8 answers 400, not 404, if there is none.
func (s *MCPServerService) Delete(ctx context.Context, id MCPServerID, opts ...RequestOption) error {
	return s.core.send(ctx, request{op: Operation{"mcp_servers.delete", http.MethodDelete, "/v1/mcp-servers/{mcp_server_id}"}, ids: []any{id}}, nil, opts)
}

// Refresh asks the MCP server for its tools again: new ones are added, and those that are gone are deleted, from agents
// too.
func (s *MCPServerService) Refresh(ctx context.Context, id MCPServerID, params *MCPServerRefreshParams, opts ...RequestOption) (*MCPServerRefreshResponse, error) {
	return do[*MCPServerRefreshResponse](ctx, s.core, request{op: Operation{"mcp_servers.refresh", http.MethodPatch, "/v1/mcp-servers/{mcp_server_id}/refresh"}, ids: []any{id}, query: params}, opts)
}

// MCPServerCreateParams register an MCP server.
type MCPServerCreateParams struct {
	Config     MCPServerConfig `json:"config" letta:"required"`
	ServerName string          `json:"server_name" letta:"required"`
}

// UnmarshalJSON reads the configuration.
func (v *MCPServerCreateParams) UnmarshalJSON(data []byte) error { return unmarshal(data, v) }

func (v *MCPServerCreateParams) withoutMethods() any {
	type fields MCPServerCreateParams
	return (*fields)(v)
}

// MCPServerUpdateParams change an MCP server.
type MCPServerUpdateParams struct {
	Config     MCPServerConfig `json:"config" letta:"required"`
	ServerName Opt[string]     `json:"server_name,omitzero"`
}

// UnmarshalJSON reads the configuration.
func (v *MCPServerUpdateParams) UnmarshalJSON(data []byte) error { return unmarshal(data, v) }

func (v *MCPServerUpdateParams) withoutMethods() any {
	type fields MCPServerUpdateParams
	return (*fields)(v)
}

// MCPServerRefreshParams say for whom to refresh.
type MCPServerRefreshParams struct {
	// AgentID is the agent whose environment variables fill in the configuration's templates.
	AgentID AgentID `url:"agent_id,omitempty"`
}

// MCPServerRefreshResponse names the tools that a refresh changed. The facts leave its shape open: it is that of
// Letta 0.16.8.
type MCPServerRefreshResponse struct {
	Added   []string `json:"added"`
	Deleted []string `json:"deleted"`
	Updated []string `json:"updated"`
}

// MCPServerConfig says how to reach an MCP server: [*StdioMCPServerConfig], [*StreamableHTTPMCPServerConfig],
// [*SSEMCPServerConfig], or [*UnknownMCPServerConfig].
type MCPServerConfig interface{ mcpServerType() string }

var mcpServerConfigs = newUnion[MCPServerConfig]("mcp_server_type", MCPServerConfig.mcpServerType,
	func(kind string, raw json.RawMessage) MCPServerConfig {
		return &UnknownMCPServerConfig{Kind: kind, Raw: raw}
	},
	&StdioMCPServerConfig{}, &SSEMCPServerConfig{}, &StreamableHTTPMCPServerConfig{},
)

// StdioMCPServerConfig is a program that the Letta server starts and talks to over its standard input and output.
type StdioMCPServerConfig struct {
	MCPServerType Kind[StdioMCPServerConfig] `json:"mcp_server_type"`
	Command       string                     `json:"command"`
	Args          []string                   `json:"args"`
	Env           map[string]string          `json:"env,omitzero"`
}

// SSEMCPServerConfig is a server over HTTP with server-sent events, the older transport of MCP.
type SSEMCPServerConfig struct {
	MCPServerType Kind[SSEMCPServerConfig] `json:"mcp_server_type"`
	ServerURL     string                   `json:"server_url"`
	// AuthHeader is the header that carries AuthToken, such as Authorization. Letta 0.16.8 puts "Bearer " in front of a
	// token without it.
	AuthHeader    string            `json:"auth_header,omitzero"`
	AuthToken     string            `json:"auth_token,omitzero"`
	CustomHeaders map[string]string `json:"custom_headers,omitzero"`
}

// StreamableHTTPMCPServerConfig is a server over HTTP, the current transport of MCP.
type StreamableHTTPMCPServerConfig struct {
	MCPServerType Kind[StreamableHTTPMCPServerConfig] `json:"mcp_server_type"`
	ServerURL     string                              `json:"server_url"`
	// AuthHeader is the header that carries AuthToken, such as Authorization. Letta 0.16.8 puts "Bearer " in front of a
	// token without it.
	AuthHeader    string            `json:"auth_header,omitzero"`
	AuthToken     string            `json:"auth_token,omitzero"`
	CustomHeaders map[string]string `json:"custom_headers,omitzero"`
}

// UnknownMCPServerConfig is a kind that this version does not know; its JSON is kept and written back.
type UnknownMCPServerConfig struct {
	Kind string // of "mcp_server_type"
	Raw  json.RawMessage
}

func (*StdioMCPServerConfig) mcpServerType() string          { return "stdio" }
func (*SSEMCPServerConfig) mcpServerType() string            { return "sse" }
func (*StreamableHTTPMCPServerConfig) mcpServerType() string { return "streamable_http" }
func (v *UnknownMCPServerConfig) mcpServerType() string      { return v.Kind }

// MarshalJSON gives Raw back.
func (v UnknownMCPServerConfig) MarshalJSON() ([]byte, error) {
	return rawOr(v.Raw, "UnknownMCPServerConfig")
}

// MCPServer is an MCP server that Letta knows, with its configuration: [*StdioMCPServer], [*StreamableHTTPMCPServer],
// [*SSEMCPServer], or [*UnknownMCPServer].
type MCPServer interface {
	// Common gives the fields that all of them have.
	Common() *MCPServerCommon
	mcpServerType() string
}

// MCPServers is a list of MCP servers that encoding/json can read; a []MCPServer is assignable to it.
type MCPServers []MCPServer

// UnmarshalJSON reads servers of all kinds.
func (l *MCPServers) UnmarshalJSON(data []byte) error { return unmarshal(data, l) }

var mcpServers = newUnion[MCPServer]("mcp_server_type", MCPServer.mcpServerType,
	func(kind string, raw json.RawMessage) MCPServer {
		v := &UnknownMCPServer{Kind: kind, Raw: raw}
		_ = unmarshal(raw, &v.MCPServerCommon)
		return v
	},
	&StdioMCPServer{}, &SSEMCPServer{}, &StreamableHTTPMCPServer{},
)

// MCPServerCommon are the fields that all MCP servers have.
type MCPServerCommon struct {
	ID         MCPServerID `json:"id,omitzero"`
	ServerName string      `json:"server_name"`
}

// Common gives the fields that all MCP servers have.
func (c *MCPServerCommon) Common() *MCPServerCommon { return c }

func (c *MCPServerCommon) wellFormed() error {
	if c.ID == "" {
		return errors.New("it has no id")
	}
	return nil
}

// StdioMCPServer is an MCP server over standard input and output.
type StdioMCPServer struct {
	MCPServerCommon
	StdioMCPServerConfig
}

// SSEMCPServer is an MCP server over HTTP with server-sent events.
type SSEMCPServer struct {
	MCPServerCommon
	SSEMCPServerConfig
}

// StreamableHTTPMCPServer is an MCP server over HTTP.
type StreamableHTTPMCPServer struct {
	MCPServerCommon
	StreamableHTTPMCPServerConfig
}

// UnknownMCPServer is a kind that this version does not know; its JSON is kept and written back.
type UnknownMCPServer struct {
	MCPServerCommon
	Kind string // of "mcp_server_type"
	Raw  json.RawMessage
}

func (v *UnknownMCPServer) mcpServerType() string { return v.Kind }

// MarshalJSON gives Raw back.
func (v UnknownMCPServer) MarshalJSON() ([]byte, error) { return rawOr(v.Raw, "UnknownMCPServer") }
