package letta_test

// The examples of this package, each at the method that it shows. The code blocks of README.md and of docs stand here too,
// where they are compiled: TestPages compares. The examples of turns are in example_turns_test.go.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"time"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/lettatest"
)

// newTestClient makes a client of an embedded server.
func newTestClient() (client *letta.Client, stop func()) {
	server := lettatest.Start()
	return server.Client(), server.Close
}

// newTestAgent makes an agent, too.
func newTestAgent(tags ...string) (client *letta.Client, agent *letta.AgentState, stop func()) {
	client, stop = newTestClient()
	agent, err := client.Agents.Create(context.Background(), &letta.AgentCreateParams{
		Model:        "openai/gpt-4o-mini",
		MemoryBlocks: []letta.CreateBlock{{Label: "human", Value: "Likes tea."}},
		Tags:         tags,
	})
	if err != nil {
		log.Fatal(err)
	}
	return client, agent, stop
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

	// In a web handler: the agent of user_1, or ErrNotFound.
	agent, err := client.Agents.Find(ctx, []string{"user_1"})
	if err != nil {
		log.Fatal(err)
	}

	turn, err := client.Agents.Messages.Create(ctx, agent.ID, &letta.AgentMessageCreateParams{
		Messages: []letta.MessageInput{letta.UserText("hello")},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(turn.Text())

	// Output:
	// [user_1] true
	// You said: hello
}

func ExampleNewClient() {
	// Letta Cloud: the key from LETTA_API_KEY, or from code.
	cloud, err := letta.NewClient(letta.WithAPIKey("sk-let-..."))

	// A server of your own, without and with a password.
	local, err2 := letta.NewClient(letta.WithBaseURL("http://localhost:8283"))
	remote, err3 := letta.NewClient(letta.WithBaseURL("https://letta.example.com"), letta.WithPassword("secret"))

	fmt.Println(cloud != nil, local != nil, remote != nil, err, err2, err3)
	// Output: true true true <nil> <nil> <nil>
}

func ExampleNewClient_options() {
	client, err := letta.NewClient(
		letta.WithBaseURL("http://localhost:8283"),
		letta.WithHTTPClient(&http.Client{Transport: http.DefaultTransport}), // copied, never changed
		letta.WithLogger(slog.Default()),                                     // metadata only: no key, body, query or tag
		letta.WithTimeout(10*time.Second),                                    // every call
	)
	if err != nil {
		log.Fatal(err)
	}
	var response letta.Response
	_, err = client.Agents.List(context.Background(), nil, letta.WithTimeout(time.Millisecond), letta.WithResponse(&response)) // this call

	fmt.Println(err)
}

func ExampleClient_Do() {
	client, stop := newTestClient()
	defer stop()
	ctx := context.Background()

	var count int
	err := client.Do(ctx, http.MethodGet, "/v1/blocks/count", nil, &count)

	fmt.Println(count, err)
	// Output: 0 <nil>
}

func ExampleAgentService_Create() {
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

func ExampleAgentService_Ensure() {
	client, stop := newTestClient()
	defer stop()
	ctx := context.Background()

	// An older agent wins. If this call made a younger one in the same moment, it deletes that again.
	ensured, err := client.Agents.Ensure(ctx, []string{"user_1"}, &letta.AgentCreateParams{
		Model: "openai/gpt-4o-mini",
	}, letta.WithDeleteOwnDuplicate())

	fmt.Println(ensured.Created, len(ensured.Duplicates), err)
	// Output: true 0 <nil>
}

func ExampleAgentService_Find() {
	client, stop := newTestClient()
	defer stop()
	ctx := context.Background()

	_, err := client.Agents.Find(ctx, []string{"user_1"})
	if errors.Is(err, letta.ErrNotFound) {
		fmt.Println("has not signed up")
	}
	// Output: has not signed up
}

func ExampleAgentService_List() {
	client, _, stop := newTestAgent("user_1")
	defer stop()
	ctx := context.Background()

	agents, err := client.Agents.List(ctx, letta.Tags("user_1"))

	fmt.Println(len(agents), err)
	// Output: 1 <nil>
}

func ExampleAgentService_ListAll() {
	client, _, stop := newTestAgent("user_1", "plan:pro")
	defer stop()
	ctx := context.Background()

	for agent, err := range client.Agents.ListAll(ctx, letta.AllTags("user_1", "plan:pro")) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(agent.Tags)
	}
	// Output: [user_1 plan:pro]
}

func ExampleAgentService_AddTags() {
	client, agent, stop := newTestAgent("user_1")
	defer stop()
	ctx := context.Background()

	agent, err := client.Agents.AddTags(ctx, agent.ID, []string{"plan:pro"}) // keeps user_1

	fmt.Println(agent.Tags, err)
	// Output: [user_1 plan:pro] <nil>
}

func ExampleAgentService_RemoveTags() {
	client, agent, stop := newTestAgent("user_1", "plan:pro")
	defer stop()
	ctx := context.Background()

	agent, err := client.Agents.RemoveTags(ctx, agent.ID, []string{"plan:pro"}) // keeps user_1

	fmt.Println(agent.Tags, err)
	// Output: [user_1] <nil>
}

func ExampleAgentService_Count() {
	client, _, stop := newTestAgent("user_1")
	defer stop()
	ctx := context.Background()

	exists, err := client.Agents.Exists(ctx, letta.Tags("user_1"))
	if err != nil {
		log.Fatal(err)
	}
	count, err := client.Agents.Count(ctx, letta.AllTags("user_1", "plan:pro"))

	fmt.Println(exists, count, err)
	// Output: true 0 <nil>
}

func ExampleAgentService_Retrieve() {
	client, agent, stop := newTestAgent("user_1")
	defer stop()
	ctx := context.Background()

	bare, err := client.Agents.Retrieve(ctx, agent.ID, nil)
	if err != nil {
		log.Fatal(err)
	}
	full, err := client.Agents.Retrieve(ctx, agent.ID, &letta.AgentRetrieveParams{
		Include: []letta.AgentInclude{letta.AgentIncludeTags, letta.AgentIncludeBlocks},
	})

	fmt.Println(bare.Tags == nil, full.Tags, len(full.Blocks), err) // not loaded is nil
	// Output: true [user_1] 1 <nil>
}

func ExampleAgentService_Update() {
	client, agent, stop := newTestAgent("user_1")
	defer stop()
	ctx := context.Background()

	agent, err := client.Agents.Update(ctx, agent.ID, &letta.AgentUpdateParams{
		Name:        letta.Some("Ada"),    // sent, also when empty
		Description: letta.Null[string](), // sent as null
		// What is not set is not sent. Slices and maps: nil is not sent, empty clears.
	})

	fmt.Println(agent.Name, agent.Tags, err)
	// Output: Ada [user_1] <nil>
}

func ExampleAgentService_UpdateAll() {
	client, _, stop := newTestAgent("team_a")
	defer stop()
	ctx := context.Background()

	result, err := client.Agents.UpdateAll(ctx, letta.Tags("team_a"), &letta.AgentUpdateParams{
		Model: letta.Some("openai/gpt-4.1"),
	}, letta.ForEachOptions{Concurrency: 4})

	fmt.Println(result.Done, len(result.Failures), err)
	// Output: 1 0 <nil>
}

func ExampleAgentService_DeleteWithBlocks() {
	client, agent, stop := newTestAgent("user_1")
	defer stop()
	ctx := context.Background()

	deleted, err := client.Agents.DeleteWithBlocks(ctx, agent.ID) // Delete would leave what the agent knows about its user

	fmt.Println(len(deleted.Deleted), len(deleted.Shared), err)
	// Output: 1 0 <nil>
}

func ExampleAgentService_SetSecrets() {
	client, agent, stop := newTestAgent("user_1")
	defer stop()
	ctx := context.Background()

	agent, err := client.Agents.SetSecrets(ctx, agent.ID, map[string]string{"CALENDAR_TOKEN": "abc"}) // keeps the others

	fmt.Println(len(agent.Secrets), err)
	// Output: 1 <nil>
}

func ExampleAgentService_ExportFileTo() {
	client, agent, stop := newTestAgent("user_1")
	defer stop()
	ctx := context.Background()

	var file bytes.Buffer // or an *os.File: it is written as it comes
	if err := client.Agents.ExportFileTo(ctx, agent.ID, &file, nil); err != nil {
		log.Fatal(err)
	}
	imported, err := client.Agents.ImportFile(ctx, &letta.AgentImportFileParams{File: &file})

	fmt.Println(len(imported.AgentIDs), err)
	// Output: 1 <nil>
}

func ExampleAgentService_Usage() {
	client, agent, stop := newTestAgent("user_1")
	defer stop()
	ctx := context.Background()

	usage, err := client.Agents.Usage(ctx, agent.ID, &letta.UsageParams{StartDate: time.Now().AddDate(0, -1, 0)})

	fmt.Println(usage.TotalTokens, err)
	// Output: 0 <nil>
}

func ExampleAgentBlockService_Update() {
	client, agent, stop := newTestAgent("user_1")
	defer stop()
	ctx := context.Background()

	block, err := client.Agents.Blocks.Update(ctx, agent.ID, "human", &letta.BlockUpdateParams{
		Value: letta.Some("Likes coffee now."),
	})

	fmt.Println(block.Value, err)
	// Output: Likes coffee now. <nil>
}

func ExampleToolService_Ensure() {
	client, agent, stop := newTestAgent("user_1")
	defer stop()
	ctx := context.Background()

	// When the program starts: the tool, created or brought up to date.
	tool, err := client.Tools.Ensure(ctx, "roll_dice", &letta.ToolCreateParams{
		SourceCode: "def roll_dice() -> int:\n    \"\"\"Rolls a die.\"\"\"\n    import random\n    return random.randint(1, 6)\n",
	})
	if err != nil {
		log.Fatal(err)
	}
	err = client.Agents.Tools.Attach(ctx, agent.ID, tool.ID)

	fmt.Println(tool.Name, err)
	// Output: roll_dice <nil>
}

func ExampleForEach() {
	client, _, stop := newTestAgent("team_a")
	defer stop()
	ctx := context.Background()

	agents := client.Agents.ListAll(ctx, letta.Tags("team_a"))
	result, err := letta.ForEach(ctx, agents, letta.ForEachOptions{}, func(ctx context.Context, agent *letta.AgentState) error {
		return client.Agents.Delete(ctx, agent.ID)
	})

	fmt.Println(result.Done, err)
	// Output: 1 <nil>
}

func ExamplePage() {
	client, agent, stop := newTestAgent("user_1")
	defer stop()
	ctx := context.Background()

	last := letta.MessageID("") // from the browser; empty for the first page
	messages, more, err := letta.Page(client.Agents.Messages.ListAll(ctx, agent.ID, &letta.AgentMessageListParams{
		After:                     last,
		IncludeReturnMessageTypes: []letta.MessageType{letta.MessageTypeUserMessage, letta.MessageTypeAssistantMessage},
	}), 20)

	fmt.Println(len(messages) <= 20, more, err)
	// Output: true false <nil>
}

func ExampleAPIError() {
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
		fmt.Println(err) // operation, status, the server's words; never a key
	}

	// Output: no such agent
}

func ExampleHTTPStatus() {
	client, stop := newTestClient()
	defer stop()

	handler := func(w http.ResponseWriter, r *http.Request) {
		agent, err := client.Agents.Find(r.Context(), []string{r.PathValue("user")})
		if err != nil {
			log.Print(err)
			http.Error(w, "no agent today", letta.HTTPStatus(err))
			return
		}
		fmt.Fprintln(w, agent.Name)
	}
	http.NewServeMux().HandleFunc("GET /agent/{user}", handler)

	fmt.Println(letta.HTTPStatus(letta.ErrNotFound), letta.HTTPStatus(letta.ErrBusy), letta.HTTPStatus(nil))
	// Output: 404 409 200
}

// spans gives every attempt a name for a trace.
type spans struct{ next http.RoundTripper }

func (s spans) RoundTrip(r *http.Request) (*http.Response, error) {
	if op, ok := letta.OperationFromContext(r.Context()); ok {
		fmt.Println("span", op.Name, op.PathTemplate)
	}
	return s.next.RoundTrip(r)
}

func ExampleOperationFromContext() {
	server := lettatest.Start()
	defer server.Close()
	client := server.Client(letta.WithHTTPClient(&http.Client{Transport: spans{http.DefaultTransport}}))

	_, err := client.Agents.List(context.Background(), nil)

	fmt.Println(err)
	// Output:
	// span agents.list /v1/agents/
	// <nil>
}
