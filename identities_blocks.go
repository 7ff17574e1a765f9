package letta

import (
	"context"
	"iter"
	"net/http"
)

// IdentityBlockService is client.Identities.Blocks: the memory blocks of an identity.
type IdentityBlockService struct{ core *core }

// List gets one page of the blocks of the identity, newest first.
func (s *IdentityBlockService) List(ctx context.Context, id IdentityID, params *IdentityBlockListParams, opts ...RequestOption) ([]*Block, error) {
	return do[[]*Block](ctx, s.core, request{op: Operation{"identities.blocks.list", http.MethodGet, "/v1/identities/{identity_id}/blocks"}, ids: []any{id}, query: params}, opts)
}

// ListAll yields all blocks of the identity, in as few requests as possible: Letta 0.16.8 orders them by id, which its
// cursor does not follow.
func (s *IdentityBlockService) ListAll(ctx context.Context, id IdentityID, params *IdentityBlockListParams, opts ...RequestOption) iter.Seq2[*Block, error] {
	return whole("identities.blocks.list_all", params,
		func(p *IdentityBlockListParams) ([]*Block, *bool, error) {
			rows, err := s.List(ctx, id, p, opts...)
			return rows, nil, err
		},
		func(p *IdentityBlockListParams, b *Block) string { p.After = b.ID; return string(b.ID) },
		func(p *IdentityBlockListParams) *int { return &p.Limit })
}

// IdentityBlockListParams page the blocks of an identity.
type IdentityBlockListParams struct {
	After  BlockID `url:"after,omitempty"`
	Before BlockID `url:"before,omitempty"`
	// Limit is the length of a page; the server's default is 50.
	Limit   int     `url:"limit,omitempty"`
	Order   Order   `url:"order,omitempty"`
	OrderBy OrderBy `url:"order_by,omitempty"`
}
