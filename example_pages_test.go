package letta_test

import (
	"context"
	"fmt"
	"log"

	"github.com/letta-go/letta"
)

func ExamplePage_newestFirst() {
	client, agent, stop := newTestAgent("user_1")
	defer stop()
	ctx := context.Background()
	conversation, err := client.Conversations.Create(ctx, &letta.ConversationCreateParams{AgentID: agent.ID})
	if err != nil {
		log.Fatal(err)
	}
	for _, text := range []string{"one", "two", "three"} {
		_, err := client.Conversations.Messages.Create(ctx, conversation.ID, &letta.ConversationMessageCreateParams{
			Messages: []letta.MessageInput{letta.UserText(text)},
		})
		if err != nil {
			log.Fatal(err)
		}
	}

	page := func(oldest letta.MessageID) (messages []letta.Message, more bool, err error) {
		// oldest comes from the browser: the id of the oldest message that it shows, empty at first.
		return letta.Page(client.Conversations.Messages.ListAll(ctx, conversation.ID, &letta.ConversationMessageListParams{
			Order:                     letta.OrderDesc, // newest first
			Before:                    oldest,
			IncludeReturnMessageTypes: []letta.MessageType{letta.MessageTypeUserMessage, letta.MessageTypeAssistantMessage},
		}), 4)
	}
	oldest, more := letta.MessageID(""), true
	for more {
		var messages []letta.Message
		if messages, more, err = page(oldest); err != nil {
			log.Fatal(err)
		}
		for _, message := range messages {
			if message, ok := message.(*letta.UserMessage); ok {
				fmt.Print(message.Content, " ")
			}
		}
		oldest = messages[len(messages)-1].Common().ID
		fmt.Println(more)
	}
	// Output:
	// three two true
	// one false
}
