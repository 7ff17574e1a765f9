package letta

import (
	"context"
	"net/http"
)

// IdentityPropertyService is client.Identities.Properties: the properties of an identity.
type IdentityPropertyService struct{ core *core }

// Upsert sets the properties. Despite its name, Letta 0.16.8 drops those that are not given.
func (s *IdentityPropertyService) Upsert(ctx context.Context, id IdentityID, properties []IdentityProperty, opts ...RequestOption) error {
	return s.core.send(ctx, request{op: Operation{"identities.properties.upsert", http.MethodPut, "/v1/identities/{identity_id}/properties"}, ids: []any{id}, body: properties}, nil, opts)
}
