// Command letta uses agents and messages alone.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/letta-go/letta"
)

func main() {
	ctx := context.Background()
	client, err := letta.NewClient()
	if err != nil {
		fmt.Println(err)
		return
	}
	agents, err := client.Agents.List(ctx, letta.Tags("user_1"))
	if err == nil && len(os.Args) > 1 {
		var turn *letta.Turn
		turn, err = client.Agents.Messages.Create(ctx, agents[0].ID, &letta.AgentMessageCreateParams{Messages: []letta.MessageInput{letta.UserText(os.Args[1])}})
		if err == nil {
			fmt.Println(turn.Text())
		}
	}
	fmt.Println(len(agents), err)
}
