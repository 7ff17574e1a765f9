// Command anthropic uses models and messages alone.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/anthropics/anthropic-sdk-go"
)

func main() {
	ctx := context.Background()
	client := anthropic.NewClient()
	models, err := client.Models.List(ctx, anthropic.ModelListParams{})
	if err == nil && len(os.Args) > 1 {
		var answer *anthropic.Message
		answer, err = client.Messages.New(ctx, anthropic.MessageNewParams{
			MaxTokens: 1000, Model: "claude", Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock(os.Args[1]))},
		})
		if err == nil {
			fmt.Println(answer.Content[0].Text)
		}
	}
	fmt.Println(models != nil, err)
}
