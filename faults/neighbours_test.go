package faults

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
)

// TestNeighbours: while one user's turn meets a fault, or is cancelled, other users of the same client and of the same
// connections notice nothing.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	identity, err := NewIdentity()
	require.NoError(t, err)
	for _, c := range Cases() {
		if c.Operation.Name != "turn" || c.Always || c.Fault.connects() {
			continue
		}
		t.Run(c.Fault.Name, func(t *testing.T) {
			t.Parallel()
			r, err := Start(c, identity)
			require.NoError(t, err)
			transport := r.transport()
			defer transport.CloseIdleConnections()
			client, err := letta.NewClient(letta.WithBaseURL(r.URL()), letta.WithPassword(Password), letta.WithHTTPClient(&http.Client{Transport: transport}))
			require.NoError(t, err)
			ctx, cancel := r.caller(false)
			defer cancel()
			over := make(chan struct{})
			var others sync.WaitGroup
			for range 4 {
				others.Go(func() {
					for i := 0; ; i++ {
						time.Sleep(10 * time.Millisecond)
						agent, err := client.Agents.Retrieve(context.Background(), r.Agent, nil)
						if assert.NoError(t, err) {
							assert.Equal(t, Name, agent.Name)
						}
						select {
						case <-over:
							if i > 0 {
								return
							}
						default:
						}
					}
				})
			}
			_, _ = client.Agents.Messages.Create(ctx, r.Agent, &letta.AgentMessageCreateParams{Messages: []letta.MessageInput{letta.UserText(Text)}}, letta.WithTimeout(c.Patience()))
			close(over)
			others.Wait()
			record, err := r.Finish(Heard{})
			require.NoError(t, err)
			if c.Fault.Name != "no fault" {
				assert.Positive(t, record.played, "the fault was not played")
			}
		})
	}
}
