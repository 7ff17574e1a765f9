package letta

import (
	"context"
	"iter"
	"net/http"
)

// IdentityService is client.Identities: an older way to tie agents to users, which Letta deprecates in favour of tags. Only
// self-hosted servers document it.
type IdentityService struct {
	core       *core
	Agents     *IdentityAgentService
	Blocks     *IdentityBlockService
	Properties *IdentityPropertyService
}

// Create makes an identity. If one has the key already, the error is ErrConflict; Upsert updates that one.
func (s *IdentityService) Create(ctx context.Context, params *IdentityCreateParams, opts ...RequestOption) (*Identity, error) {
	return do[*Identity](ctx, s.core, request{op: Operation{"identities.create", http.MethodPost, "/v1/identities/"}, body: params}, opts)
}

// Upsert makes an identity, or updates the one of the same key.
func (s *IdentityService) Upsert(ctx context.Context, params *IdentityCreateParams, opts ...RequestOption) (*Identity, error) {
	return do[*Identity](ctx, s.core, request{op: Operation{"identities.upsert", http.MethodPut, "/v1/identities/"}, body: params}, opts)
}

// Retrieve gets an identity.
func (s *IdentityService) Retrieve(ctx context.Context, id IdentityID, opts ...RequestOption) (*Identity, error) {
	return do[*Identity](ctx, s.core, request{op: Operation{"identities.retrieve", http.MethodGet, "/v1/identities/{identity_id}"}, ids: []any{id}}, opts)
}

// Update changes the fields that are set. Slices replace what is there.
func (s *IdentityService) Update(ctx context.Context, id IdentityID, params *IdentityUpdateParams, opts ...RequestOption) (*Identity, error) {
	return do[*Identity](ctx, s.core, request{op: Operation{"identities.update", http.MethodPatch, "/v1/identities/{identity_id}"}, ids: []any{id}, body: params}, opts)
}

// List gets one page of identities, newest first.
func (s *IdentityService) List(ctx context.Context, params *IdentityListParams, opts ...RequestOption) ([]*Identity, error) {
	return do[[]*Identity](ctx, s.core, request{op: Operation{"identities.list", http.MethodGet, "/v1/identities/"}, query: params}, opts)
}

// ListAll walks over all identities, page by page.
func (s *IdentityService) ListAll(ctx context.Context, params *IdentityListParams, opts ...RequestOption) iter.Seq2[*Identity, error] {
	return pages("identities.list_all", params, func(p *IdentityListParams) ([]*Identity, error) { return s.List(ctx, p, opts...) },
		func(p *IdentityListParams, i *Identity) string { p.After = i.ID; return string(i.ID) })
}

// Count counts all identities.
func (s *IdentityService) Count(ctx context.Context, opts ...RequestOption) (int, error) {
	return do[int](ctx, s.core, request{op: Operation{"identities.count", http.MethodGet, "/v1/identities/count"}}, opts)
}

// Delete removes an identity and keeps its agents.
func (s *IdentityService) Delete(ctx context.Context, id IdentityID, opts ...RequestOption) error {
	return s.core.send(ctx, request{op: Operation{"identities.delete", http.MethodDelete, "/v1/identities/{identity_id}"}, ids: []any{id}}, nil, opts)
}

// Identity is a user or an organisation that agents and blocks can be tied to.
type Identity struct {
	ID IdentityID `json:"id"`
	// Deprecated: use Identities.Agents.List.
	AgentIDs []AgentID `json:"agent_ids,omitzero"`
	// Deprecated: use Identities.Blocks.List.
	BlockIDs []BlockID `json:"block_ids,omitzero"`
	// IdentifierKey is the caller's own name for it, such as a user id.
	IdentifierKey string             `json:"identifier_key"`
	IdentityType  IdentityType       `json:"identity_type"`
	Name          string             `json:"name"`
	ProjectID     string             `json:"project_id,omitzero"`
	Properties    []IdentityProperty `json:"properties,omitzero"`
}

// IdentityType is the kind of an identity.
type IdentityType string

// The values known today; others are kept as they come.
const (
	IdentityTypeOrg   IdentityType = "org"
	IdentityTypeUser  IdentityType = "user"
	IdentityTypeOther IdentityType = "other"
)

// IdentityProperty is one property of an identity. Value is of Type.
type IdentityProperty struct {
	Key   string               `json:"key"`
	Type  IdentityPropertyType `json:"type"`
	Value any                  `json:"value"`
}

// IdentityPropertyType is the type of a property's value.
type IdentityPropertyType string

// The values known today; others are kept as they come.
const (
	IdentityPropertyString  IdentityPropertyType = "string"
	IdentityPropertyNumber  IdentityPropertyType = "number"
	IdentityPropertyBoolean IdentityPropertyType = "boolean"
	IdentityPropertyJSON    IdentityPropertyType = "json"
)

// IdentityCreateParams describe an identity. IdentifierKey, IdentityType and Name are required.
type IdentityCreateParams struct {
	IdentifierKey string       `json:"identifier_key" letta:"required"`
	IdentityType  IdentityType `json:"identity_type" letta:"required"`
	Name          string       `json:"name" letta:"required"`
	// Deprecated: use Agents.Identities.Attach.
	AgentIDs []AgentID `json:"agent_ids,omitzero"`
	// Deprecated: nothing replaces it.
	BlockIDs   []BlockID          `json:"block_ids,omitzero"`
	ProjectID  string             `json:"project_id,omitzero"`
	Properties []IdentityProperty `json:"properties,omitzero"`
}

// IdentityUpdateParams are the fields to change.
type IdentityUpdateParams struct {
	// Deprecated: use Agents.Identities.Attach and Detach.
	AgentIDs []AgentID `json:"agent_ids,omitzero"`
	// Deprecated: nothing replaces it.
	BlockIDs      []BlockID          `json:"block_ids,omitzero"`
	IdentifierKey Opt[string]        `json:"identifier_key,omitzero"`
	IdentityType  Opt[IdentityType]  `json:"identity_type,omitzero"`
	Name          Opt[string]        `json:"name,omitzero"`
	Properties    []IdentityProperty `json:"properties,omitzero"`
}

// IdentityListParams filter and page identities.
type IdentityListParams struct {
	After         IdentityID   `url:"after,omitempty"`
	Before        IdentityID   `url:"before,omitempty"`
	IdentifierKey string       `url:"identifier_key,omitempty"`
	IdentityType  IdentityType `url:"identity_type,omitempty"`
	// Limit is the length of a page; the server's default is 50.
	Limit   int     `url:"limit,omitempty"`
	Name    string  `url:"name,omitempty"`
	Order   Order   `url:"order,omitempty"`
	OrderBy OrderBy `url:"order_by,omitempty"`
	// Deprecated: use WithProjectID.
	ProjectID string `url:"project_id,omitempty"`
}
