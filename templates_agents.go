package letta

import (
	"context"
	"net/http"
)

// TemplateAgentService is client.Templates.Agents: agents made of a template. Letta Cloud only.
type TemplateAgentService struct{ core *core }

// Create makes the agents of a template. The version is such as "support:3" or "support:latest".
func (s *TemplateAgentService) Create(ctx context.Context, templateVersion string, params *TemplateAgentCreateParams, opts ...RequestOption) (*TemplateAgentCreateResponse, error) {
	p := copyOf(params)
	return do[*TemplateAgentCreateResponse](ctx, s.core, request{op: Operation{"templates.agents.create", http.MethodPost, "/v1/templates/{template_version}/agents"}, ids: []any{templateVersion}, body: &p}, opts)
}

// TemplateAgentCreateParams fill in a template.
type TemplateAgentCreateParams struct {
	// AgentName holds letters, digits, spaces, _ and - only; without one, Letta Cloud makes one up.
	AgentName   string       `json:"agent_name,omitzero"`
	IdentityIDs []IdentityID `json:"identity_ids,omitzero"`
	// InitialMessageSequence replaces the first messages of the agent: nil leaves the template's, empty means none.
	InitialMessageSequence []TemplateMessage `json:"initial_message_sequence,omitzero"`
	// MemoryVariables are the values of the variables in memory blocks, by their names.
	MemoryVariables map[string]string `json:"memory_variables,omitzero"`
	// Tags hold letters, digits, spaces, _ and - only.
	Tags []string `json:"tags,omitzero"`
	// ToolVariables are the environment variables of the agent's tools.
	ToolVariables map[string]string `json:"tool_variables,omitzero"`
}

// TemplateMessage is a message that an agent starts with.
type TemplateMessage struct {
	Content     string  `json:"content"`
	Role        Role    `json:"role"`
	BatchItemID string  `json:"batch_item_id,omitzero"`
	GroupID     GroupID `json:"group_id,omitzero"`
	Name        string  `json:"name,omitzero"`
	Otid        string  `json:"otid,omitzero"`
	SenderID    string  `json:"sender_id,omitzero"`
}

// TemplateAgentCreateResponse names the agents that were made.
type TemplateAgentCreateResponse struct {
	AgentIDs     []AgentID `json:"agent_ids"`
	DeploymentID string    `json:"deployment_id"`
	GroupID      GroupID   `json:"group_id,omitzero"`
}
