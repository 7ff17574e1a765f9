// Approvals shows the two ways in which an agent waits for the caller: tools that run here, in Go, and tools of the server
// that need a person's yes.
//
//	go run ./examples/approvals     # lettatest, in this process; its "model" obeys lines such as CALL weather {...}
//
// With LETTA_BASE_URL it talks to that server, with LETTA_API_KEY alone to Letta Cloud. It removes the agent that it made,
// unless -keep is given. On a real server with a real model, ask in words: -text "What is the weather in Oslo?"
package main

import (
	"context"
	"flag"
	"fmt"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/examples/internal/example"
)

var text = flag.String("text", `CALL weather {"city": "Oslo"}`, "what to say to make the agent use a tool")

func main() { example.Main(run) }

// place is what the model has to fill in; the tags make the JSON schema that it reads.
type place struct {
	City string `json:"city" jsonschema:"the name of a city"`
}

// weather is an ordinary Go function.
func weather(_ context.Context, in place) (string, error) {
	if in.City == "" {
		return "", fmt.Errorf("which city?") // goes back to the model as a failed call
	}
	return "Rain in " + in.City + ", 9 degrees.", nil
}

func run(ctx context.Context, session *example.Session) error {
	client := session.Client
	model, err := session.Model(ctx)
	if err != nil {
		return err
	}
	agent, err := client.Agents.Create(ctx, &letta.AgentCreateParams{
		Model: model,
		Tags:  []string{"example:approvals"},
		// A tool of the server that must not run without a yes.
		ToolRules:    []letta.ToolRule{&letta.RequiresApprovalToolRule{ToolName: "memory_insert"}},
		MemoryBlocks: []letta.CreateBlock{{Label: "human", Value: "-"}},
	})
	if err != nil {
		return err
	}
	session.Made(agent)

	fmt.Println("1. A tool that runs here:")
	tool, err := letta.NewTool("weather", "Tells the weather of a city.", weather)
	if err != nil {
		return err
	}
	response, err := client.Agents.Messages.RunTools(ctx, agent.ID, &letta.AgentMessageCreateParams{
		Messages: []letta.MessageInput{letta.UserText(*text)},
	}, &letta.ToolRun{Tools: []*letta.FuncTool{tool}})
	if err != nil {
		return err
	}
	fmt.Println("  ", response.Text())

	fmt.Println("2. A tool of the server that needs approval:")
	response, err = client.Agents.Messages.Create(ctx, agent.ID, &letta.AgentMessageCreateParams{
		Messages: []letta.MessageInput{letta.UserText(`CALL memory_insert {"label": "human", "new_string": "likes rain"}`)},
	})
	if err != nil {
		return err
	}
	var answers []letta.Approval
	for _, call := range response.PendingCalls() { // all of them, in one request
		fmt.Println("   may it call", call.Name, call.Arguments, "- yes")
		answers = append(answers, &letta.ApprovalReturn{ToolCallID: call.ToolCallID, Approve: true})
	}
	if len(answers) == 0 {
		fmt.Println("   the model did not call it:", response.Text())
		return nil
	}
	if response, err = client.Agents.Messages.Respond(ctx, agent.ID, answers, nil); err != nil {
		return err
	}
	fmt.Println("  ", response.StopReason, "-", len(response.Messages), "messages")
	return nil
}
