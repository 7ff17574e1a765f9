package letta_test

// The examples of turns: messages, streams, approvals, client tools.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

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

// A server tool that waits for a person, and an agent that has it.
func ExampleToolCreateParams_approval() {
	client, stop := newTestClient()
	defer stop()
	ctx := context.Background()

	tool, err := client.Tools.Ensure(ctx, "send_money", &letta.ToolCreateParams{ // when the program starts
		SourceCode:              "def send_money(amount: int) -> str:\n    \"\"\"\n    Sends money.\n\n    Args:\n        amount (int): In euros.\n    \"\"\"\n    return 'sent'\n",
		DefaultRequiresApproval: true, // of every agent that gets the tool from now on
	})
	if err != nil {
		log.Fatal(err)
	}
	agent, err := client.Agents.Create(ctx, &letta.AgentCreateParams{Model: "openai/gpt-4o-mini", Tools: []string{tool.Name}})
	if err != nil {
		log.Fatal(err)
	}

	turn, err := client.Agents.Messages.Create(ctx, agent.ID, &letta.AgentMessageCreateParams{
		Messages: []letta.MessageInput{letta.UserText(`CALL send_money {"amount": 5}`)},
	})
	fmt.Println(turn.StopReason, turn.PendingCalls()[0].Name, err)
	// Output: requires_approval send_money <nil>
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
	run := &letta.ToolRun{Tools: []*letta.FuncTool{tool}}

	// RunTools ended with ErrPendingApproval. Ask the person about these calls:
	for _, call := range run.Undecided(turn.PendingCalls()) {
		fmt.Println(call.Name, call.Arguments)
	}
	callID := turn.PendingCalls()[0].ToolCallID // in the page that asked

	// In the request of the person who decides: your tools run, those that wait and those that the agent calls next.
	turn, err = client.Agents.Messages.RespondTools(ctx, agent.ID, []letta.Approval{
		&letta.ApprovalReturn{ToolCallID: callID, Approve: true},
	}, nil, run)

	fmt.Println(turn.StopReason, err)
	// Output: memory_insert {"label": "human", "new_string": "x"}
	// end_turn <nil>
}

// A browser that reconnects in the middle of an answer: the turn does not depend on the request that began it.
func ExampleRunMessageService_Stream_reconnect() {
	client, agent, stop := newTestAgent("user_1")
	defer stop()

	// POST /chat begins the turn, and tells the browser its run.
	begin := func(w http.ResponseWriter, r *http.Request) {
		stream, err := client.Agents.Messages.Stream(r.Context(), agent.ID, &letta.AgentMessageCreateParams{
			Messages:     []letta.MessageInput{letta.UserText(r.FormValue("text"))},
			StreamTokens: true, Background: true,
		}, letta.WithTurnLock(), letta.WithPings()) // without WithCancelOnDone: the turn goes on without a reader
		if err == nil {
			defer stream.Close()
			for _, err = range stream.Messages() { // the first event names the run
				if err != nil || stream.RunID() != "" {
					break
				}
			}
		}
		if err != nil {
			http.Error(w, "no answer", letta.HTTPStatus(err))
			return
		}
		fmt.Fprint(w, stream.RunID())
	}

	// GET /answers/{run} sends the answer as server-sent events, from the start or from where the browser lost its connection.
	follow := func(w http.ResponseWriter, r *http.Request) {
		runID := letta.RunID(r.PathValue("run"))
		run, err := client.Runs.Retrieve(r.Context(), runID) // the id comes from the browser
		if err == nil && run.AgentID != agent.ID {           // the agent of the user who is signed in
			err = letta.ErrNotFound
		}
		if err != nil {
			http.Error(w, "no such answer", letta.HTTPStatus(err))
			return
		}
		last, _ := strconv.Atoi(r.Header.Get("Last-Event-ID")) // a browser that reconnects sends it; 0 for the start
		stream, err := client.Runs.Messages.Stream(r.Context(), runID, &letta.RunMessageStreamParams{StartingAfter: last})
		if err != nil {
			http.Error(w, "no answer", letta.HTTPStatus(err))
			return
		}
		defer stream.Close()
		wrote := false
		send := func(event string, data any) {
			wrote = true
			w.Header().Set("Content-Type", "text/event-stream")
			text, _ := json.Marshal(data)
			fmt.Fprintf(w, "id: %d\nevent: %s\ndata: %s\n\n", stream.LastSeq(), event, text)
			http.NewResponseController(w).Flush()
		}
		for message, err := range stream.Messages() {
			if err != nil {
				if !wrote { // the browser gives up
					http.Error(w, "no answer", letta.HTTPStatus(err))
				}
				return // without "done" the browser connects again
			}
			if message, ok := message.(*letta.AssistantMessage); ok {
				send("message", message.Content.String())
			}
		}
		send("done", stream.Result().StopReason)
	}

	mux := http.NewServeMux()
	mux.HandleFunc("POST /chat", begin)
	mux.HandleFunc("GET /answers/{run}", follow)
	site := httptest.NewServer(mux)
	defer site.Close()

	_, run := visit(site, http.MethodPost, "/chat?text=hello", "")
	fmt.Println(visit(site, http.MethodGet, "/answers/"+run, ""))
	fmt.Println(visit(site, http.MethodGet, "/answers/"+run, "3"))
	_, run = visit(site, http.MethodPost, "/chat?text=FAIL+429", "")
	fmt.Println(visit(site, http.MethodGet, "/answers/"+run, ""))
	// Output:
	// 200 text/event-stream id: 2 event: message data: "You" id: 3 event: message data: " said:" id: 4 event: message data: " hello" id: 4 event: done data: "end_turn"
	// 200 text/event-stream id: 4 event: message data: " hello" id: 4 event: done data: "end_turn"
	// 502 text/plain; charset=utf-8 no answer
}

// visit is what a browser does.
func visit(site *httptest.Server, method, path, lastEventID string) (head, body string) {
	request, err := http.NewRequest(method, site.URL+path, nil)
	if err != nil {
		log.Fatal(err)
	}
	if lastEventID != "" {
		request.Header.Set("Last-Event-ID", lastEventID)
	}
	response, err := site.Client().Do(request)
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		log.Fatal(err)
	}
	return fmt.Sprint(response.StatusCode, " ", response.Header.Get("Content-Type")), strings.Join(strings.Fields(string(text)), " ")
}

// A turn with tools of this program goes on when its request has ended, and is a chain of runs.
func ExampleAgentMessageService_RunTools_outlive() {
	client, agent, stop := newTestAgent("user_1")
	defer stop()
	tool, err := letta.NewTool("weather", "Tells the weather of a city.", weather)
	if err != nil {
		log.Fatal(err)
	}
	var next sync.Map // by run: the one that goes on with the turn, "" if none does. In your database, if a server may stop

	// POST /chat begins the turn, and tells the browser its first run.
	begin := func(w http.ResponseWriter, r *http.Request) {
		ctx, text := context.WithoutCancel(r.Context()), r.FormValue("text")
		began, failed := make(chan letta.RunID, 1), make(chan error, 1)
		go func() {
			var current letta.RunID
			_, err := client.Agents.Messages.RunTools(ctx, agent.ID, &letta.AgentMessageCreateParams{
				Messages:     []letta.MessageInput{letta.UserText(text)},
				StreamTokens: true, Background: true,
			}, &letta.ToolRun{
				Tools: []*letta.FuncTool{tool},
				OnMessage: func(message letta.Message) {
					run := message.Common().RunID
					switch {
					case run == "" || run == current:
						return
					case current == "":
						began <- run
					default:
						next.Store(current, run) // the tools have returned
					}
					current = run
				},
			}, letta.WithTurnLock(), letta.WithPings())
			next.Store(current, letta.RunID("")) // the turn is over, or a person has to decide
			if current == "" {
				failed <- err
			}
		}()
		select {
		case run := <-began:
			fmt.Fprint(w, run)
		case err := <-failed:
			http.Error(w, "no answer", letta.HTTPStatus(err))
		}
	}

	answer := httptest.NewRecorder()
	begin(answer, httptest.NewRequest(http.MethodPost, "/chat?text="+url.QueryEscape(`CALL weather {"city": "Oslo"}`), nil))
	runs := 0
	for run := letta.RunID(answer.Body.String()); run != ""; { // the browser, until the turn is over
		id, known := next.Load(run)
		if !known {
			time.Sleep(time.Millisecond)
			continue
		}
		run = id.(letta.RunID)
		runs++
	}
	fmt.Println(answer.Code, runs)
	// Output: 200 2
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

func TestLettatestApproval(t *testing.T) {
	srv := lettatest.NewServer(t)
	client := srv.Client()
	srv.Tool("send_money", func(arguments string) (string, error) { return "sent", nil })
	srv.Script(func(turn lettatest.Turn) lettatest.Reply {
		switch {
		case len(turn.ToolReturns) == 0:
			return lettatest.Reply{ToolCalls: []lettatest.ToolCall{{Name: "send_money", Arguments: `{"amount": 5}`}}}
		case turn.ToolReturns[0].Error: // the person said no
			return lettatest.Reply{Text: "I did not send it: " + turn.ToolReturns[0].Text}
		}
		return lettatest.Reply{Text: "It is " + turn.ToolReturns[0].Text + "."}
	})
	agent, err := client.Agents.Create(t.Context(), &letta.AgentCreateParams{
		Model: "openai/gpt-4o-mini", Tools: []string{"send_money"},
		ToolRules: []letta.ToolRule{&letta.RequiresApprovalToolRule{ToolName: "send_money"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for answer, want := range map[bool]string{true: "It is sent.", false: "I did not send it: Error: request to call tool denied. User reason: no"} {
		asked, err := client.Agents.Messages.Create(t.Context(), agent.ID, &letta.AgentMessageCreateParams{
			Messages: []letta.MessageInput{letta.UserText("send 5 euros")},
		})
		if err != nil {
			t.Fatal(err)
		}
		turn, err := client.Agents.Messages.Respond(t.Context(), agent.ID, []letta.Approval{
			&letta.ApprovalReturn{ToolCallID: asked.PendingCalls()[0].ToolCallID, Approve: answer, Reason: "no"},
		}, nil)
		if err != nil || turn.Text() != want {
			t.Fatal(turn.Text(), err)
		}
	}
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
