package letta_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/lettatest"
)

// TestDeleteOwnDuplicateWithBlocks: another process signs the same user up in the same moment. The call deletes its agent
// with the blocks that it made, and no block that was there before.
func TestDeleteOwnDuplicateWithBlocks(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault *lettatest.Fault
		left  int // blocks beside those of the others
	}{
		"deleted":                    {nil, 0},
		"agents of blocks not known": {&lettatest.Fault{Method: "GET", Path: "/v1/blocks/*/agents", Status: 404}, 2},
		"the agent stays":            {&lettatest.Fault{Method: "DELETE", Path: "/v1/agents/*", Status: 409}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			srv := lettatest.NewServer(t)
			others := srv.Client()
			company, err := others.Blocks.Create(ctx, &letta.BlockCreateParams{Label: "company", Value: "we"})
			require.NoError(t, err)
			human := letta.CreateBlock{Label: "human", Value: "Likes tea."}
			var once sync.Once
			faster := roundTrip(func(r *http.Request) (*http.Response, error) {
				if r.Method == http.MethodPost && r.URL.Path == "/v1/agents/" {
					once.Do(func() {
						_, err := others.Agents.Create(context.WithoutCancel(r.Context()), &letta.AgentCreateParams{
							Model: "openai/gpt-4o-mini", Tags: []string{"user_1"}, MemoryBlocks: []letta.CreateBlock{human},
						})
						assert.NoError(t, err)
					})
				}
				return http.DefaultTransport.RoundTrip(r)
			})
			var log bytes.Buffer
			client := srv.Client(letta.WithHTTPClient(&http.Client{Transport: faster}), letta.WithLogger(slog.New(slog.NewTextHandler(io.Writer(&log), nil))))
			if test.fault != nil {
				srv.Fail(*test.fault)
			}
			ensured, err := client.Agents.Ensure(ctx, []string{"user_1"}, &letta.AgentCreateParams{
				Model: "openai/gpt-4o-mini", BlockIDs: []letta.BlockID{company.ID},
				MemoryBlocks: []letta.CreateBlock{human, {Label: "plans", Value: "None."}},
			}, letta.WithDeleteOwnDuplicate())
			require.NoError(t, err)
			assert.False(t, ensured.Created)
			assert.Len(t, ensured.Agent.Tags, 1)

			var labels []string
			for block, err := range others.Blocks.ListAll(ctx, nil) {
				require.NoError(t, err)
				labels = append(labels, block.Label)
			}
			assert.Subset(t, labels, []string{"company", "human"})
			assert.Len(t, labels, 2+test.left)
			if test.fault != nil && test.fault.Method == "DELETE" {
				assert.Len(t, ensured.Duplicates, 1)
				return
			}
			assert.Empty(t, ensured.Duplicates)
			assert.Equal(t, test.left, bytes.Count(log.Bytes(), []byte("a memory block of a deleted duplicate is left")))
		})
	}
}
