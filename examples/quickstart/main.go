// Quickstart is the Python example of Letta's multi-user guide (docs.letta.com/guides/agents/multi-user), line for
// line. It prints the same two lines.
//
//	go run ./examples/quickstart                    # a server on localhost:8283
//	LETTA_BASE_URL=... go run ./examples/quickstart # another one
//
// -model and -embedding, or LETTA_MODEL and LETTA_EMBEDDING, choose the models; by default it takes some that the
// server has. Each run creates an agent.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/examples/internal/choose"
)

func main() {
	log.SetFlags(0)
	model := flag.String("model", "", "model handle, such as anthropic/claude-3-5-sonnet-20241022")
	embedding := flag.String("embedding", "", "embedding handle, such as openai/text-embedding-ada-002")
	flag.Parse()
	if err := run(context.Background(), *model, *embedding); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, model, embedding string) error {
	// in this example we'll connect to a self-hosted Letta server
	var opts []letta.ClientOption
	if os.Getenv("LETTA_BASE_URL") == "" {
		opts = append(opts, letta.WithBaseURL("http://localhost:8283"))
	}
	client, err := letta.NewClient(opts...)
	if err != nil {
		return err
	}
	if model, err = choose.Model(ctx, client, model); err != nil {
		return err
	}
	if embedding, err = choose.Embedding(ctx, client, embedding); err != nil {
		return err
	}
	userID := "my_uuid"

	// create an agent with the userID tag
	agent, err := client.Agents.Create(ctx, &letta.AgentCreateParams{
		MemoryBlocks:       []letta.CreateBlock{},
		Model:              model,
		ContextWindowLimit: 16000,
		Embedding:          embedding,
		Tags:               []string{userID},
	})
	if err != nil {
		return err
	}
	fmt.Printf("Created agent with id %s, tags %s\n", agent.ID, list(agent.Tags))

	// list agents
	userAgents, err := client.Agents.List(ctx, letta.Tags(userID))
	if err != nil {
		return err
	}
	var agentIDs []letta.AgentID
	for _, agent := range userAgents {
		agentIDs = append(agentIDs, agent.ID)
	}
	fmt.Printf("Found matching agents %s\n", list(agentIDs))
	return nil
}

// list writes a list as Python does.
func list[T ~string](items []T) string {
	var quoted []string
	for _, item := range items {
		quoted = append(quoted, "'"+string(item)+"'")
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
