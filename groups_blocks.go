package letta

import (
	"context"
	"net/http"
)

// GroupBlockService is client.Groups.Blocks: the memory blocks that the agents of a group share.
type GroupBlockService struct{ core *core }

// Attach gives a block to the agents of the group.
func (s *GroupBlockService) Attach(ctx context.Context, id GroupID, block BlockID, opts ...RequestOption) error {
	return s.core.send(ctx, request{op: Operation{"groups.blocks.attach", http.MethodPatch, "/v1/groups/{group_id}/blocks/attach/{block_id}"}, ids: []any{id, block}}, nil, opts)
}

// Detach takes a block from the agents of the group.
func (s *GroupBlockService) Detach(ctx context.Context, id GroupID, block BlockID, opts ...RequestOption) error {
	return s.core.send(ctx, request{op: Operation{"groups.blocks.detach", http.MethodPatch, "/v1/groups/{group_id}/blocks/detach/{block_id}"}, ids: []any{id, block}}, nil, opts)
}
