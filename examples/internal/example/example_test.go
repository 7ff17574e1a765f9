package example

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/lettatest"
)

func TestConnect(t *testing.T) {
	for _, tt := range []struct{ url, key, where string }{
		{"", "", "lettatest, in this process, because neither LETTA_BASE_URL nor LETTA_API_KEY is set"},
		{"", "key", "Letta Cloud, because LETTA_API_KEY is set and LETTA_BASE_URL is not"},
		{"http://localhost:1", "", "http://localhost:1, from LETTA_BASE_URL"},
		{"http://localhost:1", "key", "http://localhost:1, from LETTA_BASE_URL"},
	} {
		t.Setenv("LETTA_BASE_URL", tt.url)
		t.Setenv("LETTA_API_KEY", tt.key)
		s, where, err := connect()
		require.NoError(t, err)
		assert.Equal(t, tt.where, where)
		assert.Equal(t, tt.url == "" && tt.key == "", s.embedded != nil)
		require.NoError(t, s.close(t.Context()))
	}
}

// TestRemoves runs an example on a server that outlives it.
func TestRemoves(t *testing.T) {
	server := lettatest.NewServer(t)
	client := server.Client()
	t.Setenv("LETTA_BASE_URL", server.URL())
	t.Setenv("LETTA_API_KEY", "")
	failed := errors.New("the example failed")

	for _, kept := range []bool{false, true} {
		*keep = kept
		t.Cleanup(func() { *keep = false })
		ctx, cancel := context.WithCancel(t.Context())
		err := start(ctx, func(ctx context.Context, s *Session) error {
			model, err := s.Model(ctx)
			require.NoError(t, err)
			agent, err := s.Client.Agents.Create(ctx, &letta.AgentCreateParams{
				Model: model, MemoryBlocks: []letta.CreateBlock{{Label: "human", Value: "-"}},
			})
			require.NoError(t, err)
			s.Made(agent)
			cancel() // as ^C does
			return failed
		})
		require.ErrorIs(t, err, failed)
		agents, err := client.Agents.List(t.Context(), nil)
		require.NoError(t, err)
		blocks, err := client.Blocks.List(t.Context(), nil)
		require.NoError(t, err)
		if kept {
			assert.Len(t, agents, 1)
			assert.Len(t, blocks, 1)
		} else {
			assert.Empty(t, agents)
			assert.Empty(t, blocks)
		}
	}
}
