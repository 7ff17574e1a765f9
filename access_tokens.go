package letta

import (
	"context"
	"iter"
	"net/http"
)

// AccessTokenService is client.AccessTokens: short-lived keys for a browser, which reach single agents only. Letta Cloud
// only. https://docs.letta.com/api/resources/access_tokens
type AccessTokenService struct{ core *core }

// Create makes a token.
func (s *AccessTokenService) Create(ctx context.Context, params *AccessTokenCreateParams, opts ...RequestOption) (*AccessToken, error) {
	return do[*AccessToken](ctx, s.core, request{op: Operation{"access_tokens.create", http.MethodPost, "/v1/client-side-access-tokens"}, body: params}, opts)
}

// List gets one page of tokens.
func (s *AccessTokenService) List(ctx context.Context, params *AccessTokenListParams, opts ...RequestOption) (*AccessTokenListResponse, error) {
	return do[*AccessTokenListResponse](ctx, s.core, request{op: Operation{"access_tokens.list", http.MethodGet, "/v1/client-side-access-tokens"}, query: params}, opts)
}

// ListAll walks over all tokens, page by page. Its pages count from the start of the list, so a token that is made or
// deleted meanwhile may move another one past you.
func (s *AccessTokenService) ListAll(ctx context.Context, params *AccessTokenListParams, opts ...RequestOption) iter.Seq2[*AccessToken, error] {
	return flagged("access_tokens.list_all", params, func(p *AccessTokenListParams) ([]*AccessToken, bool, error) {
		page, err := s.List(ctx, p, opts...)
		if err != nil {
			return nil, false, err
		}
		return page.Tokens, page.HasNextPage, nil
	}, func(p *AccessTokenListParams, token *AccessToken) string { p.Offset++; return string(token.Token) })
}

// Delete makes a token invalid at once. Errors and logs do not show it.
func (s *AccessTokenService) Delete(ctx context.Context, token AccessTokenID, opts ...RequestOption) error {
	return s.core.send(ctx, request{op: Operation{"access_tokens.delete", http.MethodDelete, "/v1/client-side-access-tokens/{token}"}, ids: []any{token}}, nil, opts)
}

// AccessTokenID is the token itself, which a browser sends as its key. Convert it to a string to see it: it does not print.
type AccessTokenID string

// String shows no token, so that none ends up in a log.
func (AccessTokenID) String() string { return "(access token)" }

// GoString shows no token either.
func (t AccessTokenID) GoString() string { return t.String() }

// AccessTokenAccess is something that a token allows.
type AccessTokenAccess string

// The values known today; others are kept as they come.
const (
	AccessTokenAccessReadMessages  AccessTokenAccess = "read_messages"
	AccessTokenAccessWriteMessages AccessTokenAccess = "write_messages"
	AccessTokenAccessReadAgent     AccessTokenAccess = "read_agent"
	AccessTokenAccessWriteAgent    AccessTokenAccess = "write_agent"
)

// AccessTokenPolicyType says what kind of thing a token reaches.
type AccessTokenPolicyType string

// AccessTokenPolicyTypeAgent is the only value known today.
const AccessTokenPolicyTypeAgent AccessTokenPolicyType = "agent"

// AccessTokenPolicy is what a token may do with one agent.
type AccessTokenPolicy struct {
	ID     AgentID               `json:"id"`
	Access []AccessTokenAccess   `json:"access"`
	Type   AccessTokenPolicyType `json:"type"`
}

// AccessTokenPolicies is all that a token may do.
type AccessTokenPolicies struct {
	Data    []AccessTokenPolicy `json:"data"`
	Version string              `json:"version"` // of the form of Data: "1"
}

// AccessTokenCreateParams describe a token. Hostname and Policy are required.
type AccessTokenCreateParams struct {
	// Hostname is where the browser's page comes from, with http:// or https://.
	Hostname string              `json:"hostname" letta:"required"`
	Policy   []AccessTokenPolicy `json:"policy" letta:"required"`
	// ExpiresAt is the time when the token ends, by default in 5 minutes. It is sent as it is; use RFC 3339.
	ExpiresAt string `json:"expires_at,omitzero"`
}

// AccessToken is a token with what it may do.
type AccessToken struct {
	Token     AccessTokenID       `json:"token"`
	ExpiresAt string              `json:"expiresAt"` // as Letta Cloud writes it
	Hostname  string              `json:"hostname"`
	Policy    AccessTokenPolicies `json:"policy"`
}

// AccessTokenListParams filter and page tokens.
type AccessTokenListParams struct {
	AgentID AgentID `url:"agentId,omitempty"`
	// Limit is the length of a page; the server's default is 10.
	Limit  int `url:"limit,omitempty"`
	Offset int `url:"offset,omitempty"` // how many tokens to skip
}

// AccessTokenListResponse is one page of tokens.
type AccessTokenListResponse struct {
	HasNextPage bool           `json:"hasNextPage"`
	Tokens      []*AccessToken `json:"tokens"`
}
