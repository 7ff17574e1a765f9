package letta_test

// The examples of turns: messages, streams, approvals, client tools.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/lettatest"
)

func ExampleAgentMessageService_Create() {
	client, agent, stop := newTestAgent("user_1")
	defer stop()
	ctx := context.Background()

	turn, err := client.Agents.Messages.Create(ctx, agent.ID, &letta.AgentMessageCreateParams{
		Messages: []letta.MessageInput{letta.UserText("hello")},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(turn.Text(), turn.StopReason == letta.StopReasonEndTurn, turn.Usage.TotalTokens)

	// Output: You said: hello true 15
}

func ExampleAgentMessageService_Stream() {
	client, agent, stop := newTestAgent("user_1")
	defer stop()
	ctx := context.Background()

	stream, err := client.Agents.Messages.Stream(ctx, agent.ID, &letta.AgentMessageCreateParams{
		Messages:     []letta.MessageInput{letta.UserText("hello")},
		StreamTokens: true, // pieces of messages, as they come
		Background:   true, // the turn survives a lost connection, and the stream resumes by itself
	}, letta.WithTurnLock(), letta.WithCancelOnDone()) // turns of a user wait; one that is left is cancelled
	if err != nil {
		log.Fatal(err)
	}
	defer stream.Close()
	for message, err := range stream.Messages() {
		if err != nil {
			log.Fatal(err) // what came so far is not the whole answer
		}
		if message, ok := message.(*letta.AssistantMessage); ok {
			fmt.Print(message.Content)
		}
	}
	turn := stream.Result() // the whole turn: text, tool calls, stop reason, usage, run ids
	fmt.Println("|", turn.Text())

	// Output: You said: hello| You said: hello
}

func ExampleMessageStream_Collect() {
	client, agent, stop := newTestAgent("user_1")
	defer stop()
	ctx := context.Background()

	stream, err := client.Agents.Messages.Stream(ctx, agent.ID, &letta.AgentMessageCreateParams{
		Messages:   []letta.MessageInput{letta.UserText("a long task")},
		Background: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	turn, err := stream.Collect() // reads to the end, without a loop

	fmt.Println(turn.Text(), err)
	// Output: You said: a long task <nil>
}

func ExampleRunMessageService_Stream() {
	client, agent, stop := newTestAgent("user_1")
	defer stop()
	ctx := context.Background()
	stream, err := client.Agents.Messages.Stream(ctx, agent.ID, &letta.AgentMessageCreateParams{
		Messages: []letta.MessageInput{letta.UserText("hello")}, Background: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := stream.Collect(); err != nil {
		log.Fatal(err)
	}
	runID := stream.RunID()

	// In another process, which knows the run id, and the number of the last event that it has seen.
	again, err := client.Runs.Messages.Stream(ctx, runID, &letta.RunMessageStreamParams{StartingAfter: 0})
	if err != nil {
		log.Fatal(err)
	}
	turn, err := again.Collect()

	fmt.Println(turn.Text(), err)
	// Output: You said: hello <nil>
}

func ExampleAgentMessageService_Latest() {
	client, agent, stop := newTestAgent("user_1")
	defer stop()
	ctx := context.Background()

	messages, err := client.Agents.Messages.Latest(ctx, agent.ID, 10) // the newest ten, oldest of them first
	if err != nil {
		log.Fatal(err)
	}
	for message, err := range client.Agents.Messages.ListAll(ctx, agent.ID, nil) { // the whole history, oldest first
		if err != nil {
			log.Fatal(err)
		}
		messages = append(messages, message)
	}

	fmt.Println(len(messages) > 0)
	// Output: true
}

func ExampleConversationMessageService_Stream() {
	client, agent, stop := newTestAgent("user_1")
	defer stop()
	ctx := context.Background()

	conversation, err := client.Conversations.Create(ctx, &letta.ConversationCreateParams{AgentID: agent.ID})
	if err != nil {
		log.Fatal(err)
	}
	stream, err := client.Conversations.Messages.Stream(ctx, conversation.ID, &letta.ConversationMessageCreateParams{
		Messages: []letta.MessageInput{letta.UserText("hello")},
	}, letta.WithTurnLock(), letta.WithCancelOnDone())
	if err != nil {
		log.Fatal(err)
	}
	turn, err := stream.Collect()

	fmt.Println(turn.Text(), err)
	// Output: You said: hello <nil>
}

// place is what the model fills in.
type place struct {
	City string `json:"city" jsonschema:"the name of a city"`
}

func weather(ctx context.Context, in place) (string, error) {
	return "Rain in " + in.City, nil
}

func ExampleNewTool() {
	client, agent, stop := newTestAgent("user_1")
	defer stop()
	ctx := context.Background()

	tool, err := letta.NewTool("weather", "Tells the weather of a city.", weather)
	if err != nil {
		log.Fatal(err)
	}
	turn, err := client.Agents.Messages.RunTools(ctx, agent.ID, &letta.AgentMessageCreateParams{
		Messages: []letta.MessageInput{letta.UserText(`CALL weather {"city": "Oslo"}`)},
	}, &letta.ToolRun{Tools: []*letta.FuncTool{tool}})

	fmt.Println(len(turn.ToolCalls()), err)
	// Output: 1 <nil>
}

func ExampleAgentMessageService_RunTools() {
	client, agent, stopServer := newTestAgent("user_1")
	defer stopServer()
	tool, err := letta.NewTool("weather", "Tells the weather of a city.", weather)
	if err != nil {
		log.Fatal(err)
	}
	handler := func(w http.ResponseWriter, r *http.Request, text string) error {
		ctx, stop := context.WithCancel(r.Context())
		defer stop()
		_, err := client.Agents.Messages.RunTools(ctx, agent.ID, &letta.AgentMessageCreateParams{
			Messages:     []letta.MessageInput{letta.UserText(text)},
			StreamTokens: true,
		}, &letta.ToolRun{
			Tools: []*letta.FuncTool{tool},
			OnMessage: func(message letta.Message) {
				if message, ok := message.(*letta.AssistantMessage); ok {
					if _, err := io.WriteString(w, message.Content.String()); err != nil {
						stop() // nobody reads any more
					}
				}
			},
		}, letta.WithTurnLock(), letta.WithCancelOnDone())
		return err
	}

	answer := httptest.NewRecorder()
	err = handler(answer, httptest.NewRequest(http.MethodPost, "/chat", nil), "hello")
	fmt.Println(answer.Body, err)
	// Output: You said: hello <nil>
}

// newCarefulAgent makes an agent that waits for an approval.
func newCarefulAgent() (client *letta.Client, agent *letta.AgentState, turn *letta.Turn, stop func()) {
	client, stop = newTestClient()
	ctx := context.Background()
	agent, err := client.Agents.Create(ctx, &letta.AgentCreateParams{
		Model:        "openai/gpt-4o-mini",
		MemoryBlocks: []letta.CreateBlock{{Label: "human"}},
		ToolRules:    []letta.ToolRule{&letta.RequiresApprovalToolRule{ToolName: "memory_insert"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	turn, err = client.Agents.Messages.Create(ctx, agent.ID, &letta.AgentMessageCreateParams{
		Messages: []letta.MessageInput{letta.UserText(`CALL memory_insert {"label": "human", "new_string": "x"}`)},
	})
	if err != nil {
		log.Fatal(err)
	}
	return client, agent, turn, stop
}

func ExampleAgentMessageService_Respond() {
	client, agent, turn, stop := newCarefulAgent()
	defer stop()
	ctx := context.Background()

	var answers []letta.Approval
	for _, call := range turn.PendingCalls() {
		answers = append(answers, &letta.ApprovalReturn{ToolCallID: call.ToolCallID, Approve: call.Name == "memory_insert"})
	}
	turn, err := client.Agents.Messages.Respond(ctx, agent.ID, answers, nil)

	fmt.Println(len(answers), turn.StopReason, err)
	// Output: 1 end_turn <nil>
}

func ExampleAgentMessageService_RespondTools() {
	client, agent, turn, stop := newCarefulAgent()
	defer stop()
	ctx := context.Background()
	tool, err := letta.NewTool("weather", "Tells the weather of a city.", weather)
	if err != nil {
		log.Fatal(err)
	}
	callID := turn.PendingCalls()[0].ToolCallID // in the page that asked

	// In the request of the person who decides: the agent may call your tools again.
	turn, err = client.Agents.Messages.RespondTools(ctx, agent.ID, []letta.Approval{
		&letta.ApprovalReturn{ToolCallID: callID, Approve: true},
	}, nil, &letta.ToolRun{Tools: []*letta.FuncTool{tool}})

	fmt.Println(turn.StopReason, err)
	// Output: end_turn <nil>
}

// A browser that reconnects in the middle of an answer: the turn does not depend on the request that began it.
func ExampleRunMessageService_Stream_reconnect() {
	client, agent, stop := newTestAgent("user_1")
	defer stop()

	// POST /chat begins the turn, and tells the browser its run.
	begin := func(r *http.Request, text string) (letta.RunID, error) {
		stream, err := client.Agents.Messages.Stream(r.Context(), agent.ID, &letta.AgentMessageCreateParams{
			Messages:     []letta.MessageInput{letta.UserText(text)},
			StreamTokens: true, Background: true,
		}, letta.WithTurnLock(), letta.WithPings()) // without WithCancelOnDone: the turn goes on without a reader
		if err != nil {
			return "", err
		}
		defer stream.Close()
		for _, err := range stream.Messages() { // the first event names the run
			if err != nil || stream.RunID() != "" {
				return stream.RunID(), err
			}
		}
		return stream.RunID(), nil
	}

	// GET /answers/{run}?after=n shows what came after an event, now or as it comes.
	follow := func(w http.ResponseWriter, r *http.Request, runID letta.RunID, after int) error {
		run, err := client.Runs.Retrieve(r.Context(), runID) // the id comes from the browser
		if err != nil {
			return err
		}
		if run.AgentID != agent.ID { // the agent of the user who is signed in
			return letta.ErrNotFound
		}
		stream, err := client.Runs.Messages.Stream(r.Context(), runID, &letta.RunMessageStreamParams{StartingAfter: after})
		if err != nil {
			return err
		}
		defer stream.Close()
		for message, err := range stream.Messages() {
			if err != nil {
				return err
			}
			if message, ok := message.(*letta.AssistantMessage); ok {
				// Server-sent events: a browser that reconnects sends the last id again.
				fmt.Fprintf(w, "id: %d\ndata: %q\n\n", stream.LastSeq(), message.Content.String())
			}
		}
		return nil
	}

	runID, err := begin(httptest.NewRequest(http.MethodPost, "/chat", nil), "hello")
	if err != nil {
		log.Fatal(err)
	}
	first, again := httptest.NewRecorder(), httptest.NewRecorder()
	if err := follow(first, httptest.NewRequest(http.MethodGet, "/answers", nil), runID, 0); err != nil {
		log.Fatal(err)
	}
	err = follow(again, httptest.NewRequest(http.MethodGet, "/answers", nil), runID, 2)
	fmt.Println(strings.Count(first.Body.String(), "data:"), strings.Count(again.Body.String(), "data:"), err)
	// Output: 3 2 <nil>
}

func ExampleAgentMessageService_Pending() {
	client, agent, _, stop := newCarefulAgent()
	defer stop()
	ctx := context.Background()

	pending, err := client.Agents.Messages.Pending(ctx, agent.ID) // also after a restart; nil if nothing waits
	if err != nil {
		log.Fatal(err)
	}
	for _, call := range pending.Calls() {
		fmt.Println(call.Name)
	}

	// Output: memory_insert
}

func ExampleAgentMessageService_DenyAll() {
	client, agent, _, stop := newCarefulAgent()
	defer stop()
	ctx := context.Background()

	turn, err := client.Agents.Messages.DenyAll(ctx, agent.ID, "Nobody answered in time.", nil)

	fmt.Println(turn.StopReason, err)
	// Output: end_turn <nil>
}

// chat is what a handler of yours needs of the client: *letta.AgentMessageService has it.
type chat interface {
	Stream(ctx context.Context, id letta.AgentID, params *letta.AgentMessageCreateParams, opts ...letta.RequestOption) (*letta.MessageStream, error)
}

// showAnswer is what the handler does.
func showAnswer(ctx context.Context, w io.Writer, messages chat, id letta.AgentID, text string) error {
	stream, err := messages.Stream(ctx, id, &letta.AgentMessageCreateParams{Messages: []letta.MessageInput{letta.UserText(text)}})
	if err != nil {
		return err
	}
	defer stream.Close()
	for message, err := range stream.Messages() {
		if err != nil {
			return err
		}
		if message, ok := message.(*letta.AssistantMessage); ok {
			fmt.Fprint(w, message.Content)
		}
	}
	return nil
}

// scripted is a chat without a server.
type scripted struct {
	turn *letta.Turn
	err  error
}

func (s scripted) Stream(context.Context, letta.AgentID, *letta.AgentMessageCreateParams, ...letta.RequestOption) (*letta.MessageStream, error) {
	return letta.NewMessageStream(s.turn, s.err), nil
}

func ExampleNewMessageStream_interface() {
	var page strings.Builder
	err := showAnswer(context.Background(), &page, scripted{
		turn: &letta.Turn{Messages: letta.Messages{&letta.AssistantMessage{Content: letta.Content{Text: "Half an ans"}}}},
		err:  &letta.StreamError{Err: letta.ErrStreamTruncated},
	}, "agent-1", "hello")

	fmt.Println(page.String(), errors.Is(err, letta.ErrStreamTruncated))
	// Output: Half an ans true
}

func TestLettatestExample(t *testing.T) {
	srv := lettatest.NewServer(t)
	client := srv.Client()
	srv.Fail(lettatest.Fault{Method: "POST", Path: "/v1/agents/", Status: 503, Times: 1})

	_, err := client.Agents.Create(context.Background(), &letta.AgentCreateParams{Model: "openai/gpt-4o-mini"})
	if !errors.Is(err, letta.ErrServer) || len(srv.Requests()) != 1 { // what arrived: sent once
		t.Fatal(err, len(srv.Requests()))
	}

	srv.Script(func(turn lettatest.Turn) lettatest.Reply { // what the model says; by default "You said: ..."
		return lettatest.Reply{Text: strings.ToUpper(turn.Text)}
	})
	// On every turn: the streams of Stream and RunTools are cut after the ping and the first piece.
	srv.Fail(lettatest.Fault{Path: "/v1/agents/*/messages", Stream: &lettatest.StreamFault{After: 2, Then: lettatest.StreamCut}})

	agent, err := client.Agents.Create(context.Background(), &letta.AgentCreateParams{Model: "openai/gpt-4o-mini"})
	if err != nil {
		t.Fatal(err)
	}
	stream, err := client.Agents.Messages.Stream(context.Background(), agent.ID, &letta.AgentMessageCreateParams{
		Messages: []letta.MessageInput{letta.UserText("one two three")}, StreamTokens: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if turn, err := stream.Collect(); !errors.Is(err, letta.ErrStreamTruncated) || turn.Text() != "ONE" {
		t.Fatal(turn.Text(), err)
	}
}
