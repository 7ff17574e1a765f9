// Command openai uses models and chat completions alone.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/openai/openai-go/v3"
)

func main() {
	ctx := context.Background()
	client := openai.NewClient()
	models, err := client.Models.List(ctx)
	if err == nil && len(os.Args) > 1 {
		var answer *openai.ChatCompletion
		answer, err = client.Chat.Completions.New(ctx, openai.ChatCompletionNewParams{
			Model: "gpt", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(os.Args[1])},
		})
		if err == nil {
			fmt.Println(answer.Choices[0].Message.Content)
		}
	}
	fmt.Println(models != nil, err)
}
