// Streaming shows an agent's answer as it comes, and survives a lost connection: the turn runs in the background at the
// server, and the stream resumes by itself.
//
//	go run ./examples/streaming                                         # no server: lettatest, in this process
//	LETTA_BASE_URL=http://localhost:8283 go run ./examples/streaming -text "Hello"
//	LETTA_API_KEY=... go run ./examples/streaming                       # Letta Cloud
//
// It removes the agent that it made, unless -keep is given.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/examples/internal/example"
)

var text = flag.String("text", "Tell me about the sea, in one sentence.", "what to say")

func main() { example.Main(run) }

func run(ctx context.Context, session *example.Session) error {
	client := session.Client
	model, err := session.Model(ctx)
	if err != nil {
		return err
	}
	ensured, err := client.Agents.Ensure(ctx, []string{"user_1"}, &letta.AgentCreateParams{Model: model})
	if err != nil {
		return err
	}
	if ensured.Created {
		session.Made(ensured.Agent)
	}

	stream, err := client.Agents.Messages.Stream(ctx, ensured.Agent.ID, &letta.AgentMessageCreateParams{
		Messages:     []letta.MessageInput{letta.UserText(*text)},
		StreamTokens: true,
		Background:   true, // survives a lost connection
	}, letta.WithCancelOnDone()) // ^C stops the turn at the server too
	if err != nil {
		return err
	}
	for message, err := range stream.Messages() {
		if err != nil {
			return explain(err)
		}
		switch message := message.(type) {
		case *letta.AssistantMessage:
			fmt.Print(message.Content)
		case *letta.ToolCallMessage:
			for _, call := range message.ToolCalls {
				fmt.Printf("[%s %s]", call.Name, call.Arguments)
			}
		}
	}
	turn := stream.Result()
	fmt.Printf("\n(%s, %d tokens, %s)\n", turn.StopReason, turn.Usage.TotalTokens, stream.RunID())
	return nil
}

// explain tells what to do about a turn that failed.
func explain(err error) error {
	switch {
	case errors.Is(err, letta.ErrStreamTruncated), errors.Is(err, letta.ErrStreamIdle):
		return fmt.Errorf("the answer above is not the whole one: %w", err)
	case errors.Is(err, letta.ErrProvider):
		return fmt.Errorf("the model failed, not Letta: %w", err)
	case errors.Is(err, letta.ErrPendingApproval):
		return fmt.Errorf("answer the pending tool call first, see examples/approvals: %w", err)
	}
	return err
}
