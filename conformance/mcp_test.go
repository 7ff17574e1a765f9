package conformance

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
)

func createMCPServer(ctx context.Context, t *testing.T, config letta.MCPServerConfig) letta.MCPServer {
	t.Helper()
	created, err := server.client.MCPServers.Create(ctx, &letta.MCPServerCreateParams{ServerName: unique("mcp"), Config: config})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := server.client.MCPServers.Delete(ctx, created.Common().ID); err != nil {
			assert.ErrorIs(t, err, letta.ErrBadRequest)
		}
	})
	return created
}

// TestMCPServers keeps servers of the three kinds that nobody can reach: Letta stores them all the same.
func TestMCPServers(t *testing.T) {
	ctx := begin(t)
	needs(t, "mcp servers")
	http := createMCPServer(ctx, t, &letta.StreamableHTTPMCPServerConfig{ServerURL: "https://mcp.invalid/mcp"})
	sse := createMCPServer(ctx, t, &letta.SSEMCPServerConfig{ServerURL: "https://mcp.invalid/sse", AuthHeader: "Authorization", AuthToken: "Bearer token", CustomHeaders: map[string]string{"X-A": "b"}})
	require.IsType(t, &letta.StreamableHTTPMCPServer{}, http)
	require.IsType(t, &letta.SSEMCPServer{}, sse)
	assert.Equal(t, map[string]string{"X-A": "b"}, sse.(*letta.SSEMCPServer).CustomHeaders)
	stored, err := server.client.MCPServers.Retrieve(ctx, sse.Common().ID)
	require.NoError(t, err)
	assert.Equal(t, sse, stored)

	// What is stored can be changed and sent back.
	config := stored.(*letta.SSEMCPServer).SSEMCPServerConfig
	config.ServerURL = "https://mcp.invalid/other"
	name := unique("mcp")
	updated, err := server.client.MCPServers.Update(ctx, sse.Common().ID, &letta.MCPServerUpdateParams{Config: &config, ServerName: letta.Some(name)})
	require.NoError(t, err)
	assert.Equal(t, name, updated.Common().ServerName)
	assert.Equal(t, "https://mcp.invalid/other", updated.(*letta.SSEMCPServer).ServerURL)
	assert.Equal(t, config.AuthToken, updated.(*letta.SSEMCPServer).AuthToken)

	all, err := server.client.MCPServers.List(ctx)
	require.NoError(t, err)
	var ids []letta.MCPServerID
	for _, s := range all {
		ids = append(ids, s.Common().ID)
	}
	assert.Contains(t, ids, http.Common().ID)
	assert.Contains(t, ids, sse.Common().ID)
	tools, err := server.client.MCPServers.Tools.List(ctx, http.Common().ID)
	require.NoError(t, err)
	assert.Empty(t, tools)
	_, err = server.client.MCPServers.Create(ctx, &letta.MCPServerCreateParams{ServerName: name, Config: &config})
	require.ErrorIs(t, err, letta.ErrConflict, "the name is taken")
	_, err = server.client.MCPServers.Create(ctx, &letta.MCPServerCreateParams{ServerName: unique("mcp"), Config: &letta.StreamableHTTPMCPServerConfig{ServerURL: "http://127.0.0.1:1/mcp"}})
	require.ErrorIs(t, err, letta.ErrValidation, "not a public address")
	require.NoError(t, server.client.MCPServers.Delete(ctx, http.Common().ID))
	_, err = server.client.MCPServers.Retrieve(ctx, http.Common().ID)
	require.ErrorIs(t, err, letta.ErrNotFound)
	require.ErrorIs(t, server.client.MCPServers.Delete(ctx, http.Common().ID), letta.ErrBadRequest, "not a 404")
}

// TestMCPTools has the Letta server start mcp_probe.py, with the Python in LETTA_MCP_PYTHON.
func TestMCPTools(t *testing.T) {
	ctx := begin(t)
	needs(t, "mcp tools")
	probe, err := filepath.Abs("mcp_probe.py")
	require.NoError(t, err)
	config := &letta.StdioMCPServerConfig{Command: os.Getenv("LETTA_MCP_PYTHON"), Args: []string{probe}, Env: map[string]string{"A": "b"}}
	created := createMCPServer(ctx, t, config)
	id := created.Common().ID
	require.IsType(t, &letta.StdioMCPServer{}, created)
	assert.Equal(t, config.Args, created.(*letta.StdioMCPServer).Args)
	assert.Equal(t, config.Env, created.(*letta.StdioMCPServer).Env)
	tools, err := server.client.MCPServers.Tools.List(ctx, id)
	require.NoError(t, err)
	byName := map[string]letta.ToolID{}
	for _, tool := range tools {
		byName[tool.Name] = tool.ID
		assert.Equal(t, letta.ToolTypeExternalMCP, tool.ToolType)
	}
	require.Len(t, byName, 2)
	tool, err := server.client.MCPServers.Tools.Retrieve(ctx, id, byName["add"])
	require.NoError(t, err)
	assert.Equal(t, "add", tool.Name)
	result, err := server.client.MCPServers.Tools.Run(ctx, id, byName["add"], &letta.MCPServerToolRunParams{Args: map[string]any{"a": 1, "b": 2}})
	require.NoError(t, err)
	assert.EqualValues(t, "success", result.Status)
	assert.JSONEq(t, `"3"`, string(result.FuncReturn))
	result, err = server.client.MCPServers.Tools.Run(ctx, id, byName["fail"], &letta.MCPServerToolRunParams{Args: map[string]any{"reason": "because"}})
	require.NoError(t, err, "that the tool failed is no error")
	assert.EqualValues(t, "error", result.Status)
	var message string
	require.NoError(t, json.Unmarshal(result.FuncReturn, &message))
	assert.Contains(t, message, "because")

	config.Args = append(config.Args, "extra")
	_, err = server.client.MCPServers.Update(ctx, id, &letta.MCPServerUpdateParams{Config: config})
	require.NoError(t, err)
	changed, err := server.client.MCPServers.Refresh(ctx, id, nil)
	require.NoError(t, err)
	assert.Equal(t, []string{"echo"}, changed.Added)
	assert.Empty(t, changed.Deleted)
}
