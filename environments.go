package letta

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
)

// EnvironmentService is client.Environments: the machines that Letta Code runs on and that are connected to Letta Cloud.
// Letta Cloud only. https://docs.letta.com/api/resources/environments
type EnvironmentService struct{ core *core }

// Retrieve gets the environment of a device.
func (s *EnvironmentService) Retrieve(ctx context.Context, id DeviceID, opts ...RequestOption) (*Environment, error) {
	return do[*Environment](ctx, s.core, request{op: Operation{"environments.retrieve", http.MethodGet, "/v1/environments/{deviceId}"}, ids: []any{id}}, opts)
}

// List gets one page of environments.
func (s *EnvironmentService) List(ctx context.Context, params *EnvironmentListParams, opts ...RequestOption) (*EnvironmentListResponse, error) {
	return do[*EnvironmentListResponse](ctx, s.core, request{op: Operation{"environments.list", http.MethodGet, "/v1/environments"}, query: params}, opts)
}

// ListAll walks over all environments, page by page. Letta does not document what the cursor is; this sends the last
// environment's ID, and ends with ErrPageLoop if that brings nothing new.
func (s *EnvironmentService) ListAll(ctx context.Context, params *EnvironmentListParams, opts ...RequestOption) iter.Seq2[*Environment, error] {
	return flagged("environments.list_all", params, func(p *EnvironmentListParams) ([]*Environment, bool, error) {
		page, err := s.List(ctx, p, opts...)
		if err != nil {
			return nil, false, err
		}
		return page.Connections, page.HasNextPage, nil
	}, func(p *EnvironmentListParams, e *Environment) string { p.After = string(e.ID); return string(e.ID) })
}

// SendMessage sends messages to a connected environment. The answer says that they were passed on; what the agent says
// comes in its conversation.
func (s *EnvironmentService) SendMessage(ctx context.Context, id ConnectionID, params *EnvironmentSendMessageParams, opts ...RequestOption) (*EnvironmentSendMessageResponse, error) {
	return do[*EnvironmentSendMessageResponse](ctx, s.core, request{op: Operation{"environments.send_message", http.MethodPost, "/v1/environments/{connectionId}/messages"}, ids: []any{id}, body: params}, opts)
}

// EnvironmentSource says where environments run.
type EnvironmentSource string

// The values known today.
const (
	EnvironmentSourceLocal  EnvironmentSource = "local"
	EnvironmentSourceRemote EnvironmentSource = "remote"
)

// EnvironmentListParams filter and page environments.
type EnvironmentListParams struct {
	After string `url:"after,omitempty"`
	// Limit is the length of a page.
	Limit      int               `url:"limit,omitempty"`
	OnlineOnly Opt[bool]         `url:"onlineOnly,omitempty"`
	Source     EnvironmentSource `url:"source,omitempty"`
	UserID     string            `url:"userId,omitempty"`
}

// EnvironmentListResponse is one page of environments.
type EnvironmentListResponse struct {
	Connections []*Environment `json:"connections"`
	HasNextPage bool           `json:"hasNextPage"`
}

// EnvironmentMode says what Letta Code may do on a machine without asking.
type EnvironmentMode string

// The values known today; others are kept as they come.
const (
	EnvironmentModeDefault           EnvironmentMode = "default"
	EnvironmentModeStandard          EnvironmentMode = "standard"
	EnvironmentModeAcceptEdits       EnvironmentMode = "acceptEdits"
	EnvironmentModeBypassPermissions EnvironmentMode = "bypassPermissions"
	EnvironmentModeUnrestricted      EnvironmentMode = "unrestricted"
)

// Environment is a machine that is or was connected. Its times are numbers as Letta Cloud sends them.
type Environment struct {
	ID             string              `json:"id"`
	ConnectedAt    float64             `json:"connectedAt,omitzero"`  // 0 while it is not connected
	ConnectionID   ConnectionID        `json:"connectionId,omitzero"` // empty while it is not connected
	ConnectionName string              `json:"connectionName"`
	DeviceID       DeviceID            `json:"deviceId"`
	FirstSeenAt    float64             `json:"firstSeenAt"`
	LastHeartbeat  float64             `json:"lastHeartbeat,omitzero"`
	LastSeenAt     float64             `json:"lastSeenAt"`
	OrganizationID string              `json:"organizationId"`
	PodID          string              `json:"podId,omitzero"`
	APIKeyOwner    string              `json:"apiKeyOwner,omitzero"`
	CurrentMode    EnvironmentMode     `json:"currentMode,omitzero"`
	Metadata       EnvironmentMetadata `json:"metadata,omitzero"`
	UserID         string              `json:"userId,omitzero"`
}

// EnvironmentMetadata is what Letta Code says of its machine.
type EnvironmentMetadata struct {
	GitBranch        string `json:"gitBranch,omitzero"`
	LettaCodeVersion string `json:"lettaCodeVersion,omitzero"`
	NodeVersion      string `json:"nodeVersion,omitzero"`
	OS               string `json:"os,omitzero"`
	WorkingDirectory string `json:"workingDirectory,omitzero"`
}

// EnvironmentSendMessageParams are what to send to an environment. Messages is required.
type EnvironmentSendMessageParams struct {
	Messages       EnvironmentMessages `json:"messages" letta:"required"`
	AgentID        AgentID             `json:"agentId,omitzero"`
	ConversationID ConversationID      `json:"conversationId,omitzero"`
}

// EnvironmentSendMessageResponse says whether messages were passed on.
type EnvironmentSendMessageResponse struct {
	Message string `json:"message"`
	Success bool   `json:"success"`
}

// EnvironmentMessage is something to send to an environment: [*EnvironmentUserMessage], [*ApprovalCreate] with answers to
// pending tool calls, or [*UnknownEnvironmentMessage].
type EnvironmentMessage interface{ environmentMessage() string }

// EnvironmentMessages is a list of messages that encoding/json can read; a []EnvironmentMessage is assignable to it.
type EnvironmentMessages []EnvironmentMessage

// UnmarshalJSON reads messages of both kinds.
func (l *EnvironmentMessages) UnmarshalJSON(data []byte) error { return unmarshal(data, l) }

// Only a user's message has a role.
var environmentMessages = newUnion[EnvironmentMessage]("role", EnvironmentMessage.environmentMessage,
	func(kind string, raw json.RawMessage) EnvironmentMessage {
		return &UnknownEnvironmentMessage{Kind: kind, Raw: raw}
	},
	&EnvironmentUserMessage{}, &ApprovalCreate{},
)

// EnvironmentUserMessage is what a user says.
type EnvironmentUserMessage struct {
	Role Kind[EnvironmentUserMessage] `json:"role"`
	// ClientMessageID is an id of your own, by which the message is recognised when it comes back.
	ClientMessageID string  `json:"client_message_id"`
	Content         Content `json:"content"`
	Otid            string  `json:"otid,omitzero"`
}

// UnknownEnvironmentMessage is a kind that this version does not know; its JSON is kept and written back.
type UnknownEnvironmentMessage struct {
	Kind string // of "role"
	Raw  json.RawMessage
}

func (*EnvironmentUserMessage) environmentMessage() string      { return "user" }
func (*ApprovalCreate) environmentMessage() string              { return "" }
func (v *UnknownEnvironmentMessage) environmentMessage() string { return v.Kind }

// MarshalJSON gives Raw back.
func (v UnknownEnvironmentMessage) MarshalJSON() ([]byte, error) {
	return rawOr(v.Raw, "UnknownEnvironmentMessage")
}
