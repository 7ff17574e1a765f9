package letta

import (
	"context"
	"iter"
	"net/http"
)

// GroupService is client.Groups: agents that work together. Letta deprecates it, and only self-hosted servers document it.
type GroupService struct {
	core     *core
	Blocks   *GroupBlockService
	Messages *GroupMessageService
}

// Create makes a group.
func (s *GroupService) Create(ctx context.Context, params *GroupCreateParams, opts ...RequestOption) (*Group, error) {
	return do[*Group](ctx, s.core, request{op: Operation{"groups.create", http.MethodPost, "/v1/groups/"}, body: params}, opts)
}

// Retrieve gets a group.
func (s *GroupService) Retrieve(ctx context.Context, id GroupID, opts ...RequestOption) (*Group, error) {
	return do[*Group](ctx, s.core, request{op: Operation{"groups.retrieve", http.MethodGet, "/v1/groups/{group_id}"}, ids: []any{id}}, opts)
}

// Update changes the fields that are set. Slices replace what is there.
func (s *GroupService) Update(ctx context.Context, id GroupID, params *GroupUpdateParams, opts ...RequestOption) (*Group, error) {
	return do[*Group](ctx, s.core, request{op: Operation{"groups.update", http.MethodPatch, "/v1/groups/{group_id}"}, ids: []any{id}, body: params}, opts)
}

// List gets one page of groups, oldest first.
func (s *GroupService) List(ctx context.Context, params *GroupListParams, opts ...RequestOption) ([]*Group, error) {
	return do[[]*Group](ctx, s.core, request{op: Operation{"groups.list", http.MethodGet, "/v1/groups/"}, query: params}, opts)
}

// ListAll walks over all groups, page by page.
func (s *GroupService) ListAll(ctx context.Context, params *GroupListParams, opts ...RequestOption) iter.Seq2[*Group, error] {
	return pages("groups.list_all", params, func(p *GroupListParams) ([]*Group, error) { return s.List(ctx, p, opts...) },
		func(p *GroupListParams, g *Group) string { p.After = g.ID; return string(g.ID) })
}

// Count counts all groups.
func (s *GroupService) Count(ctx context.Context, opts ...RequestOption) (int, error) {
	return do[int](ctx, s.core, request{op: Operation{"groups.count", http.MethodGet, "/v1/groups/count"}}, opts)
}

// Delete removes a group and keeps its agents.
func (s *GroupService) Delete(ctx context.Context, id GroupID, opts ...RequestOption) error {
	return s.core.send(ctx, request{op: Operation{"groups.delete", http.MethodDelete, "/v1/groups/{group_id}"}, ids: []any{id}}, nil, opts)
}

// Group is a set of agents that work together.
type Group struct {
	ID                     GroupID     `json:"id"`
	AgentIDs               []AgentID   `json:"agent_ids,omitzero"`
	Description            string      `json:"description"`
	ManagerType            ManagerType `json:"manager_type"`
	BaseTemplateID         string      `json:"base_template_id,omitzero"`
	DeploymentID           string      `json:"deployment_id,omitzero"`
	Hidden                 bool        `json:"hidden,omitzero"`
	LastProcessedMessageID MessageID   `json:"last_processed_message_id,omitzero"`
	ManagerAgentID         AgentID     `json:"manager_agent_id,omitzero"`
	MaxMessageBufferLength int         `json:"max_message_buffer_length,omitzero"`
	MaxTurns               int         `json:"max_turns,omitzero"`
	MinMessageBufferLength int         `json:"min_message_buffer_length,omitzero"`
	ProjectID              string      `json:"project_id,omitzero"`
	// Deprecated: attach the blocks to each agent.
	SharedBlockIDs          []BlockID  `json:"shared_block_ids,omitzero"`
	SleeptimeAgentFrequency int        `json:"sleeptime_agent_frequency,omitzero"`
	TemplateID              TemplateID `json:"template_id,omitzero"`
	TerminationToken        string     `json:"termination_token,omitzero"`
	TurnsCounter            int        `json:"turns_counter,omitzero"`
}

// ManagerType says who decides whose turn it is in a group.
type ManagerType string

// The values known today; others are kept as they come.
const (
	ManagerTypeRoundRobin     ManagerType = "round_robin"
	ManagerTypeSupervisor     ManagerType = "supervisor"
	ManagerTypeDynamic        ManagerType = "dynamic"
	ManagerTypeSleeptime      ManagerType = "sleeptime"
	ManagerTypeVoiceSleeptime ManagerType = "voice_sleeptime"
	ManagerTypeSwarm          ManagerType = "swarm"
)

// ManagerConfig is how a group is managed. ManagerType says which of the other fields count.
type ManagerConfig struct {
	ManagerType ManagerType `json:"manager_type"`
	// ManagerAgentID is required but for ManagerTypeRoundRobin.
	ManagerAgentID AgentID `json:"manager_agent_id,omitzero"`
	// MaxTurns is for ManagerTypeRoundRobin and ManagerTypeDynamic.
	MaxTurns int `json:"max_turns,omitzero"`
	// TerminationToken ends the talk of ManagerTypeDynamic; the server's default is DONE!
	TerminationToken string `json:"termination_token,omitzero"`
	// SleeptimeAgentFrequency is for ManagerTypeSleeptime, in turns.
	SleeptimeAgentFrequency int `json:"sleeptime_agent_frequency,omitzero"`
	// MaxMessageBufferLength and MinMessageBufferLength are for ManagerTypeVoiceSleeptime.
	MaxMessageBufferLength int `json:"max_message_buffer_length,omitzero"`
	MinMessageBufferLength int `json:"min_message_buffer_length,omitzero"`
}

// GroupCreateParams describe a new group. AgentIDs and Description are required.
type GroupCreateParams struct {
	AgentIDs    []AgentID `json:"agent_ids" letta:"required"`
	Description string    `json:"description" letta:"required"`
	Hidden      bool      `json:"hidden,omitzero"`
	// ManagerConfig is that of ManagerTypeRoundRobin when left out.
	ManagerConfig *ManagerConfig `json:"manager_config,omitzero"`
	ProjectID     string         `json:"project_id,omitzero"`
	// Deprecated: attach the blocks to each agent.
	SharedBlockIDs []BlockID `json:"shared_block_ids,omitzero"`
}

// GroupUpdateParams are the fields to change.
type GroupUpdateParams struct {
	AgentIDs      []AgentID      `json:"agent_ids,omitzero"`
	Description   Opt[string]    `json:"description,omitzero"`
	ManagerConfig *ManagerConfig `json:"manager_config,omitzero"`
	ProjectID     Opt[string]    `json:"project_id,omitzero"`
	// Deprecated: attach the blocks to each agent.
	SharedBlockIDs []BlockID `json:"shared_block_ids,omitzero"`
}

// GroupListParams filter and page groups.
type GroupListParams struct {
	After  GroupID `url:"after,omitempty"`
	Before GroupID `url:"before,omitempty"`
	// Limit is the length of a page; the server's default is 50.
	Limit       int         `url:"limit,omitempty"`
	ManagerType ManagerType `url:"manager_type,omitempty"`
	Order       Order       `url:"order,omitempty"`
	OrderBy     OrderBy     `url:"order_by,omitempty"`
	// Deprecated: use WithProjectID.
	ProjectID string `url:"project_id,omitempty"`
}
