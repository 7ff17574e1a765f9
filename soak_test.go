package letta_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/lettatest"
)

// TestSoakOnLettatest: 200 background streams on lettatest, most of them cut at random places, some several times, some within a
// frame. Every consumer sees each piece once and in order, and each turn is stored once. Goroutines are counted by TestMain.
func TestSoakOnLettatest(t *testing.T) {
	t.Parallel()
	const streams, words = 200, 20
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	server := lettatest.NewServer(t)
	client := server.Client()
	for range streams * 2 { // more cuts than streams, spread over first answers and resumes
		server.Fail(lettatest.Fault{Method: "POST", Optional: true, Path: "/v1/agents/*/messages", Skip: random.IntN(3), Times: 1, Stream: &lettatest.StreamFault{After: 1 + random.IntN(words), Half: random.IntN(2) == 0, Then: lettatest.StreamCut}})
		if random.IntN(3) == 0 {
			server.Fail(lettatest.Fault{Method: "POST", Optional: true, Path: "/v1/runs/*/stream", Skip: random.IntN(3), Times: 1, Stream: &lettatest.StreamFault{After: 2 + random.IntN(4), Half: random.IntN(2) == 0, Then: lettatest.StreamCut}})
		}
	}
	var group sync.WaitGroup
	slots := make(chan struct{}, 20)
	for i := range streams {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			agent, err := client.Agents.Create(t.Context(), &letta.AgentCreateParams{Model: "openai/gpt-4o-mini"})
			if !assert.NoError(t, err) {
				return
			}
			want := make([]string, words)
			for w := range want {
				want[w] = fmt.Sprintf("w%d-%d", i, w)
			}
			stream, err := client.Agents.Messages.Stream(t.Context(), agent.ID, &letta.AgentMessageCreateParams{
				Messages:     []letta.MessageInput{letta.UserText("SLOW 1 " + strings.Join(want, " "))},
				StreamTokens: true, Background: true,
			})
			if !assert.NoError(t, err) {
				return
			}
			var pieces []string
			for m, err := range stream.Messages() {
				if !assert.NoError(t, err) {
					return
				}
				pieces = append(pieces, strings.TrimSpace(m.(*letta.AssistantMessage).Content.String()))
			}
			assert.Equal(t, want, pieces)
			assert.Equal(t, strings.Join(want, " "), stream.Result().Text())
			stored := 0
			for m, err := range client.Agents.Messages.ListAll(t.Context(), agent.ID, nil) {
				assert.NoError(t, err)
				if _, user := m.(*letta.UserMessage); user {
					stored++
				}
			}
			assert.Equal(t, 1, stored)
		})
	}
	group.Wait()
	sent, resumed := 0, 0
	for _, r := range server.Requests() {
		switch {
		case strings.HasSuffix(r.Path, "/messages") && r.Method == "POST":
			sent++
		case strings.HasSuffix(r.Path, "/stream"):
			resumed++
		}
	}
	require.Equal(t, streams, sent, "each turn was sent once")
	require.Equal(t, 200, server.Requests()[len(server.Requests())-1].Status)
	require.Greater(t, resumed, streams/2, "the cuts happened")
}
