package letta_test

// The code blocks of README.md stand here, where they are compiled, and most of them run. TestReadme compares.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/lettatest"
)

func newTestClient() (*letta.Client, func()) {
	server := lettatest.Start()
	return server.Client(), server.Close
}

func Example() {
	client, stop := newTestClient()
	defer stop()
	ctx := context.Background()

	// At sign-up: the agent of user_1, created if there is none.
	ensured, err := client.Agents.Ensure(ctx, []string{"user_1"}, &letta.AgentCreateParams{
		Model:        "openai/gpt-4o-mini",
		MemoryBlocks: []letta.CreateBlock{{Label: "human", Value: "Likes tea."}},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(ensured.Agent.Tags, ensured.Created)

	// In a web handler: the agent of user_1, a *letta.AgentState, or ErrNotFound.
	agent, err := client.Agents.Find(ctx, []string{"user_1"})
	if err != nil {
		log.Fatal(err)
	}

	// Or all agents with the tag, newest first.
	agents, err := client.Agents.List(ctx, letta.Tags("user_1"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(agents[0].ID == agent.ID)

	// Output:
	// [user_1] true
	// true
}

func Example_guide() {
	client, stop := newTestClient()
	defer stop()
	ctx := context.Background()

	agent, err := client.Agents.Create(ctx, &letta.AgentCreateParams{
		MemoryBlocks:       []letta.CreateBlock{},
		Model:              "openai/gpt-4o-mini",
		Embedding:          "openai/text-embedding-ada-002",
		ContextWindowLimit: 16000,
		Tags:               []string{"user_1"},
	})

	fmt.Println(agent.Tags, err)
	// Output: [user_1] <nil>
}

func Example_clients() {
	// Letta Cloud: the key from LETTA_API_KEY, or from code.
	cloud, err := letta.NewClient(letta.WithAPIKey("sk-let-..."))

	// A server of your own, without and with a password.
	local, err2 := letta.NewClient(letta.WithBaseURL("http://localhost:8283"))
	remote, err3 := letta.NewClient(letta.WithBaseURL("https://letta.example.com"), letta.WithPassword("secret"))

	fmt.Println(cloud != nil, local != nil, remote != nil, err, err2, err3)
	// Output: true true true <nil> <nil> <nil>
}

func Example_options() {
	client, err := letta.NewClient(
		letta.WithBaseURL("http://localhost:8283"),
		letta.WithHTTPClient(&http.Client{Transport: http.DefaultTransport}), // copied, never changed
		letta.WithLogger(slog.Default()),                                     // metadata only: no key, body, query or tag
		letta.WithTimeout(10*time.Second),                                    // all calls ...
	)
	if err != nil {
		log.Fatal(err)
	}
	var response letta.Response
	_, err = client.Agents.List(context.Background(), nil, letta.WithTimeout(time.Millisecond), letta.WithResponse(&response)) // ... or one
	fmt.Println(err)
}

func Example_tags() {
	client, stop := newTestClient()
	defer stop()
	ctx := context.Background()
	agent, err := client.Agents.Create(ctx, &letta.AgentCreateParams{Model: "openai/gpt-4o-mini", Tags: []string{"user_1"}})
	if err != nil {
		log.Fatal(err)
	}

	agent, err = client.Agents.AddTags(ctx, agent.ID, []string{"plan:pro"})    // keeps the others
	agent, err = client.Agents.RemoveTags(ctx, agent.ID, []string{"plan:pro"}) // keeps the others
	exists, err := client.Agents.Exists(ctx, letta.Tags("user_1"))
	count, err := client.Agents.Count(ctx, &letta.AgentListParams{Tags: []string{"user_1", "plan:pro"}, MatchAllTags: true})
	for agent, err := range client.Agents.ListAll(ctx, letta.Tags("user_1")) { // every page
		fmt.Println(agent.Tags, err)
	}

	fmt.Println(exists, count, err)
	// Output:
	// [user_1] <nil>
	// true 0 <nil>
}

func Example_update() {
	client, stop := newTestClient()
	defer stop()
	ctx := context.Background()
	agent, err := client.Agents.Create(ctx, &letta.AgentCreateParams{Model: "openai/gpt-4o-mini", Tags: []string{"user_1"}})
	if err != nil {
		log.Fatal(err)
	}

	agent, err = client.Agents.Update(ctx, agent.ID, &letta.AgentUpdateParams{
		Name:        letta.Some("Ada"),    // sent, also when empty
		Description: letta.Null[string](), // sent as null
		// What is not set is not sent. Slices and maps: nil is not sent, empty clears.
	})

	fmt.Println(agent.Name, agent.Tags, err)
	// Output: Ada [user_1] <nil>
}

func Example_errors() {
	client, stop := newTestClient()
	defer stop()
	ctx := context.Background()

	_, err := client.Agents.Retrieve(ctx, "agent-00000000-0000-4000-8000-000000000000", nil)
	var apiErr *letta.APIError
	switch {
	case errors.Is(err, letta.ErrNotFound):
		fmt.Println("no such agent")
	case errors.Is(err, letta.ErrRateLimited) && errors.As(err, &apiErr):
		fmt.Println("come back in", apiErr.RetryAfter)
	case err != nil:
		fmt.Println(err) // method, path, status, the server's words; never a key
	}

	// Output: no such agent
}

func Example_do() {
	client, stop := newTestClient()
	defer stop()
	ctx := context.Background()

	var count int
	err := client.Do(ctx, http.MethodGet, "/v1/agents/count?tags=user_1", nil, &count)

	fmt.Println(count, err)
	// Output: 0 <nil>
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

func Example_messages() {
	client, stop := newTestClient()
	defer stop()
	ctx := context.Background()
	agent, err := client.Agents.Create(ctx, &letta.AgentCreateParams{Model: "openai/gpt-4o-mini"})
	if err != nil {
		log.Fatal(err)
	}

	response, err := client.Agents.Messages.Create(ctx, agent.ID, &letta.AgentMessageCreateParams{
		Messages: []letta.MessageInput{letta.UserText("hello")},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(response.Text(), response.StopReason, response.Usage.TotalTokens)

	// Output: You said: hello end_turn 15
}

func Example_stream() {
	client, stop := newTestClient()
	defer stop()
	ctx := context.Background()
	agent, err := client.Agents.Create(ctx, &letta.AgentCreateParams{Model: "openai/gpt-4o-mini"})
	if err != nil {
		log.Fatal(err)
	}

	stream, err := client.Agents.Messages.Stream(ctx, agent.ID, &letta.AgentMessageCreateParams{
		Messages:     []letta.MessageInput{letta.UserText("hello")},
		StreamTokens: true, // pieces of messages, as they come
		Background:   true, // the turn survives a lost connection, and the stream resumes by itself
	}, letta.WithTurnLock(), letta.WithCancelOnDone()) // turns of a user wait; one that is left is stopped
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

// place is what the model fills in.
type place struct {
	City string `json:"city" jsonschema:"the name of a city"`
}

func weather(ctx context.Context, in place) (string, error) {
	return "Rain in " + in.City, nil
}

func Example_tools() {
	client, stop := newTestClient()
	defer stop()
	ctx := context.Background()
	agent, err := client.Agents.Create(ctx, &letta.AgentCreateParams{Model: "openai/gpt-4o-mini"})
	if err != nil {
		log.Fatal(err)
	}

	tool, err := letta.NewTool("weather", "Tells the weather of a city.", weather)
	if err != nil {
		log.Fatal(err)
	}
	response, err := client.Agents.Messages.RunTools(ctx, agent.ID, &letta.AgentMessageCreateParams{
		Messages: []letta.MessageInput{letta.UserText(`CALL weather {"city": "Oslo"}`)},
	}, &letta.ToolRun{Tools: []*letta.FuncTool{tool}})

	fmt.Println(len(response.ToolCalls()), err)
	// Output: 1 <nil>
}

func Example_approvals() {
	client, stop := newTestClient()
	defer stop()
	ctx := context.Background()
	agent, err := client.Agents.Create(ctx, &letta.AgentCreateParams{
		Model:        "openai/gpt-4o-mini",
		MemoryBlocks: []letta.CreateBlock{{Label: "human"}},
		ToolRules:    []letta.ToolRule{&letta.RequiresApprovalToolRule{ToolName: "memory_insert"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	response, err := client.Agents.Messages.Create(ctx, agent.ID, &letta.AgentMessageCreateParams{
		Messages: []letta.MessageInput{letta.UserText(`CALL memory_insert {"label": "human", "new_string": "x"}`)},
	})
	if err != nil {
		log.Fatal(err)
	}

	var answers []letta.Approval
	for _, call := range response.PendingCalls() {
		answers = append(answers, &letta.ApprovalReturn{ToolCallID: call.ToolCallID, Approve: call.Name == "memory_insert"})
	}
	response, err = client.Agents.Messages.Respond(ctx, agent.ID, answers, nil)

	fmt.Println(len(answers), response.StopReason, err)
	// Output: 1 end_turn <nil>
}

func Example_handler() {
	client, stopServer := newTestClient()
	defer stopServer()
	agent, err := client.Agents.Create(context.Background(), &letta.AgentCreateParams{Model: "openai/gpt-4o-mini"})
	if err != nil {
		log.Fatal(err)
	}
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
