package letta

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// ProviderService is client.Providers: providers of models with keys of your own. Self-hosted servers only.
type ProviderService struct{ core *core }

// Create adds a provider. The server asks it for its models; Letta 0.16.8 keeps a provider that does not answer, without
// models.
func (s *ProviderService) Create(ctx context.Context, params *ProviderCreateParams, opts ...RequestOption) (*Provider, error) {
	return do[*Provider](ctx, s.core, request{op: Operation{"providers.create", http.MethodPost, "/v1/providers/"}, body: params}, opts)
}

// Retrieve gets a provider.
func (s *ProviderService) Retrieve(ctx context.Context, id ProviderID, opts ...RequestOption) (*Provider, error) {
	return do[*Provider](ctx, s.core, request{op: Operation{"providers.retrieve", http.MethodGet, "/v1/providers/{provider_id}"}, ids: []any{id}}, opts)
}

// Update replaces the key of a provider, and what else is set in params.
func (s *ProviderService) Update(ctx context.Context, id ProviderID, params *ProviderUpdateParams, opts ...RequestOption) (*Provider, error) {
	return do[*Provider](ctx, s.core, request{op: Operation{"providers.update", http.MethodPatch, "/v1/providers/{provider_id}"}, ids: []any{id}, body: params}, opts)
}

// List gets one page of providers, newest first. Letta 0.16.8 leaves out those of its own configuration.
func (s *ProviderService) List(ctx context.Context, params *ProviderListParams, opts ...RequestOption) ([]*Provider, error) {
	return do[[]*Provider](ctx, s.core, request{op: Operation{"providers.list", http.MethodGet, "/v1/providers/"}, query: params}, opts)
}

// ListAll walks over all providers, page by page.
func (s *ProviderService) ListAll(ctx context.Context, params *ProviderListParams, opts ...RequestOption) iter.Seq2[*Provider, error] {
	return pages("providers.list_all", params, func(p *ProviderListParams) ([]*Provider, error) { return s.List(ctx, p, opts...) },
		func(p *ProviderListParams, provider *Provider) string {
			p.After = provider.ID
			return string(provider.ID)
		})
}

// Delete removes a provider.
func (s *ProviderService) Delete(ctx context.Context, id ProviderID, opts ...RequestOption) error {
	return s.core.send(ctx, request{op: Operation{"providers.delete", http.MethodDelete, "/v1/providers/{provider_id}"}, ids: []any{id}}, nil, opts)
}

// Check asks a provider whether it takes a key, before anything is stored. ErrProvider if not.
func (s *ProviderService) Check(ctx context.Context, params *ProviderCheckParams, opts ...RequestOption) error {
	return s.core.send(ctx, request{op: Operation{"providers.check", http.MethodPost, "/v1/providers/check"}, body: params}, nil, opts)
}

// CheckExisting asks a stored provider whether it takes its key. ErrProvider if not.
func (s *ProviderService) CheckExisting(ctx context.Context, id ProviderID, opts ...RequestOption) error {
	return s.core.send(ctx, request{op: Operation{"providers.check_existing", http.MethodPost, "/v1/providers/{provider_id}/check"}, ids: []any{id}}, nil, opts)
}

// Refresh asks a provider for its models again. Letta 0.16.8 says nothing when the provider does not answer: LastSynced
// then stays as it was.
func (s *ProviderService) Refresh(ctx context.Context, id ProviderID, opts ...RequestOption) (*Provider, error) {
	return do[*Provider](ctx, s.core, request{op: Operation{"providers.refresh", http.MethodPatch, "/v1/providers/{provider_id}/refresh"}, ids: []any{id}}, opts)
}

// Provider is a provider of models. Letta 0.16.8 shows the stored key in APIKeyEnc, in the clear when it runs without a key
// for encryption: do not log a Provider.
type Provider struct {
	ID ProviderID `json:"id"`
	// Deprecated: it is null. Use APIKeyEnc.
	AccessKey    string `json:"access_key,omitzero"`
	AccessKeyEnc string `json:"access_key_enc,omitzero"`
	// Deprecated: it is null. Use APIKeyEnc.
	APIKey           string           `json:"api_key,omitzero"`
	APIKeyEnc        string           `json:"api_key_enc,omitzero"`
	APIVersion       string           `json:"api_version,omitzero"`
	BaseURL          string           `json:"base_url,omitzero"`
	LastSynced       time.Time        `json:"last_synced,omitzero"`
	Name             string           `json:"name"`
	ProviderCategory ProviderCategory `json:"provider_category"`
	ProviderType     ProviderType     `json:"provider_type"`
	Region           string           `json:"region,omitzero"`
	UpdatedAt        time.Time        `json:"updated_at,omitzero"`
}

// ProviderCreateParams describe a provider. APIKey, Name and ProviderType are required.
type ProviderCreateParams struct {
	APIKey       string       `json:"api_key" letta:"required"`
	Name         string       `json:"name" letta:"required"` // goes in front of the slash in the handles of its models
	ProviderType ProviderType `json:"provider_type" letta:"required"`
	AccessKey    string       `json:"access_key,omitzero"`  // of Bedrock
	APIVersion   string       `json:"api_version,omitzero"` // of Azure
	BaseURL      string       `json:"base_url,omitzero"`
	Region       string       `json:"region,omitzero"` // of Bedrock
}

// ProviderUpdateParams change a provider. APIKey is required.
type ProviderUpdateParams struct {
	APIKey     string      `json:"api_key" letta:"required"`
	AccessKey  Opt[string] `json:"access_key,omitzero"`
	APIVersion Opt[string] `json:"api_version,omitzero"`
	BaseURL    Opt[string] `json:"base_url,omitzero"`
	Region     Opt[string] `json:"region,omitzero"`
}

// ProviderCheckParams describe a provider that is not stored. APIKey and ProviderType are required.
type ProviderCheckParams struct {
	APIKey       string       `json:"api_key" letta:"required"`
	ProviderType ProviderType `json:"provider_type" letta:"required"`
	AccessKey    string       `json:"access_key,omitzero"`
	APIVersion   string       `json:"api_version,omitzero"`
	BaseURL      string       `json:"base_url,omitzero"`
	Region       string       `json:"region,omitzero"`
}

// ProviderListParams filter and page providers.
type ProviderListParams struct {
	After  ProviderID `url:"after,omitempty"`
	Before ProviderID `url:"before,omitempty"`
	// Limit is the length of a page; the server's default is 50.
	Limit        int          `url:"limit,omitempty"`
	Name         string       `url:"name,omitempty"`
	Order        Order        `url:"order,omitempty"`
	OrderBy      OrderBy      `url:"order_by,omitempty"`
	ProviderType ProviderType `url:"provider_type,omitempty"`
}
