package letta

import (
	"context"
	"errors"
)

// DeletedAgent is what DeleteWithBlocks did.
type DeletedAgent struct {
	ID      AgentID
	Deleted []BlockID // the blocks that no other agent had
	Shared  []BlockID // those that other agents have, which were kept
}

// DeleteWithBlocks deletes an agent, and its memory blocks that no other agent has: Delete leaves them behind. After an error,
// the result says which blocks are gone, and the same call goes on where it stopped: the agent is deleted last, and only
// when its blocks are. Do not attach a block of the agent to another one meanwhile: between the look at a block's agents
// and its deletion, the server has no lock. WithTimeout bounds the whole.
func (s *AgentService) DeleteWithBlocks(ctx context.Context, id AgentID, opts ...RequestOption) (*DeletedAgent, error) {
	const operation = "agents.delete_with_blocks"
	cfg, err := s.core.resolveFor(operation, accepts{}, opts, id)
	switch {
	case err != nil:
		return nil, err
	case ctx == nil:
		return nil, invalid(about(operation, id), "the context is nil")
	}
	ctx, cancel := cfg.boundAll(ctx)
	defer cancel()
	done := &DeletedAgent{ID: id}
	var blocks []BlockID
	for block, err := range s.Blocks.ListAll(ctx, id, nil, cfg) {
		if err != nil {
			return done, err
		}
		blocks = append(blocks, block.ID)
	}
	all := &BlockService{s.core, &BlockAgentService{s.core}}
	for _, block := range blocks {
		switch shared, err := hasOtherAgent(ctx, all, block, id, cfg); {
		case err != nil:
			return done, later(err)
		case shared:
			done.Shared = append(done.Shared, block)
			continue
		}
		if err := all.Delete(ctx, block, cfg); err != nil && !errors.Is(err, ErrNotFound) {
			return done, later(err)
		}
		done.Deleted = append(done.Deleted, block)
	}
	if err := s.Delete(ctx, id, cfg); err != nil {
		return done, later(err)
	}
	return done, nil
}

// hasOtherAgent reports whether an agent other than one has a block.
func hasOtherAgent(ctx context.Context, blocks *BlockService, block BlockID, but AgentID, cfg *settings) (bool, error) {
	// Two rows tell: the agent itself, and any other.
	agents, err := blocks.Agents.List(ctx, block, &BlockAgentListParams{Limit: 2}, cfg)
	for _, agent := range agents {
		if agent.ID != but {
			return true, nil
		}
	}
	return false, err
}
