package letta

import (
	"context"
	"errors"
	"slices"
)

// AddTags adds tags to an agent and keeps the others; tags that it has already cost no write. The server can only replace all
// tags at once, so this reads, writes and verifies, and starts again if another writer won. Writers in this process,
// through this client, wait for each other. Between processes a tag can still be lost if the other writer is slower than
// the verification waits, which is about as long as the write took, 2 s at most. Once the write is sent, its answer is
// waited for, 10 s at most, even if the context ends: a write that lands late would undo what others wrote in between.
func (s *AgentService) AddTags(ctx context.Context, id AgentID, tags []string, opts ...RequestOption) (*AgentState, error) {
	return s.editTags(ctx, "agents.add_tags", id, tags, opts, func(have []string) []string { return merged(have, tags) })
}

// RemoveTags removes tags from an agent and keeps the others, like AddTags.
func (s *AgentService) RemoveTags(ctx context.Context, id AgentID, tags []string, opts ...RequestOption) (*AgentState, error) {
	return s.editTags(ctx, "agents.remove_tags", id, tags, opts, func(have []string) []string {
		return slices.DeleteFunc(slices.Clone(have), func(tag string) bool { return slices.Contains(tags, tag) })
	})
}

func (s *AgentService) editTags(ctx context.Context, operation string, id AgentID, tags []string, opts []RequestOption, edit func([]string) []string) (*AgentState, error) {
	if err := checkTags(tags); err != nil {
		return nil, invalid(about(operation, id), "%w", err)
	}
	return agentEdit[[]string]{
		operation: operation, what: "tags", include: AgentIncludeTags,
		read: func(a *AgentState) ([]string, error) {
			if a.Tags == nil {
				return nil, errors.New("the server did not send the tags")
			}
			return a.Tags, nil
		},
		change: edit,
		same:   sameSet,
		params: func(want []string) *AgentUpdateParams { return &AgentUpdateParams{Tags: want} },
	}.run(ctx, s, id, opts)
}

// merged is a, then what b adds to it, without repeats.
func merged(a, b []string) []string {
	out := make([]string, 0, len(a)+len(b))
	seen := make(map[string]bool, len(a)+len(b))
	for _, tag := range slices.Concat(a, b) {
		if !seen[tag] {
			seen[tag] = true
			out = append(out, tag)
		}
	}
	return out
}

// sameSet reports whether two lists hold the same tags, in any order and number.
func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(merged(a, nil))), slices.Sorted(slices.Values(merged(b, nil))))
}
