// Quickstart is the Python example of Letta's multi-user guide (docs.letta.com/guides/agents/multi-user), line for
// line. It prints the same two lines.
//
//	go run ./examples/quickstart                                       # no server: lettatest, in this process
//	LETTA_BASE_URL=http://localhost:8283 go run ./examples/quickstart  # a server of your own
//	LETTA_API_KEY=... go run ./examples/quickstart                     # Letta Cloud
//
// It removes the agent that it made, unless -keep is given. -model and -embedding, or LETTA_MODEL and LETTA_EMBEDDING,
// choose the models.
package main

import (
	"context"
	"flag"
	"fmt"
	"strings"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/examples/internal/example"
)

var embedding = flag.String("embedding", "", "embedding handle, such as openai/text-embedding-ada-002")

func main() { example.Main(run) }

func run(ctx context.Context, session *example.Session) error {
	client := session.Client
	model, err := session.Model(ctx)
	if err != nil {
		return err
	}
	embedding, err := session.Embedding(ctx, *embedding)
	if err != nil {
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
	session.Made(agent)
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
