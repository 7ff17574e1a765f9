package peruser_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"strings"
	"testing"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/lettatest"
	"github.com/letta-go/letta/peruser"
)

// The pieces of the examples that a program has anyway.
var (
	sharedLocker peruser.Locker
	exampleCtx   = context.Background()
)

func sessionUser(*http.Request) (string, error) { return "user_1", nil }

func exampleUsers(server *lettatest.Server) *peruser.Users {
	users, err := newUsers(server.Client())
	if err != nil {
		log.Fatal(err)
	}
	return users
}

func newUsers(client *letta.Client) (*peruser.Users, error) {
	return peruser.New(client, peruser.Options{
		Create: func(ctx context.Context, userID string) (*letta.AgentCreateParams, error) {
			return &letta.AgentCreateParams{
				Model:        "openai/gpt-4o-mini",
				MemoryBlocks: []letta.CreateBlock{{Label: "human", Value: "The user's id is " + userID + "."}},
			}, nil
		},
	})
}

func newTaggedUsers(client *letta.Client, create func(context.Context, string) (*letta.AgentCreateParams, error)) (*peruser.Users, error) {
	return peruser.New(client, peruser.Options{
		Create: create,
		Tag:    func(userID string) string { return "user:" + userID },
		UserID: func(tag string) (string, bool) { return strings.CutPrefix(tag, "user:") },
		Locker: sharedLocker,
	})
}

func Example() {
	server := lettatest.Start()
	defer server.Close()
	ctx, users := exampleCtx, exampleUsers(server)

	agent, err := users.Agent(ctx, "user_1") // created
	if err != nil {
		log.Fatal(err)
	}
	again, err := users.Agent(ctx, "user_1") // remembered: no request
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(agent == again)
	// Output: true
}

func ExampleUsers_Do() {
	server := lettatest.Start()
	defer server.Close()
	client := server.Client()
	ctx, users := exampleCtx, exampleUsers(server)

	var turn *letta.Turn
	err := users.Do(ctx, "user_1", func(ctx context.Context, agent letta.AgentID) (err error) {
		turn, err = client.Agents.Messages.Create(ctx, agent, &letta.AgentMessageCreateParams{
			Messages: []letta.MessageInput{letta.UserText("Hello")},
		})
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(turn.Text())
	// Output: You said: Hello
}

func ExampleUsers_Owns() {
	server := lettatest.Start()
	defer server.Close()
	ctx, users := exampleCtx, exampleUsers(server)
	theirs, err := users.Agent(ctx, "user_2")
	if err != nil {
		log.Fatal(err)
	}

	fromRequest := theirs // an agent id that came in a request of user_1
	owns, err := users.Owns(ctx, "user_1", fromRequest)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(owns)
	// Output: false
}

func ExampleUsers_Conversation() {
	server := lettatest.Start()
	defer server.Close()
	client := server.Client()
	ctx, users := exampleCtx, exampleUsers(server)

	chat, err := users.Conversation(ctx, "user_1", "slack:C024BE91L")
	if err != nil {
		log.Fatal(err)
	}
	turn, err := client.Conversations.Messages.Create(ctx, chat, &letta.ConversationMessageCreateParams{
		Messages: []letta.MessageInput{letta.UserText("Hello")},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(turn.Text())
	// Output: You said: Hello
}

func ExampleUsers_Middleware() {
	server := lettatest.Start()
	defer server.Close()
	users := exampleUsers(server)

	chat := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		agent := peruser.AgentFrom(r.Context())
		fmt.Fprintln(w, agent)
	})
	mux := http.NewServeMux()
	mux.Handle("POST /chat", users.Middleware(sessionUser)(chat))
	mux.HandleFunc("DELETE /me", deleteMe(users)) // not behind it: a user without an agent would get one first
}

// deleteMe stands for the handler that deletes a user.
func deleteMe(users *peruser.Users) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		userID, err := sessionUser(r)
		if err != nil {
			http.Error(w, "sign in", http.StatusUnauthorized)
			return
		}
		if err := users.Delete(r.Context(), userID); err != nil {
			http.Error(w, "try again", letta.HTTPStatus(err))
		}
	}
}

func ExampleUsers_Delete() {
	server := lettatest.Start()
	defer server.Close()
	ctx, users := exampleCtx, exampleUsers(server)

	// The user's agents, and what only they had.
	if err := users.Delete(ctx, "user_1"); err != nil {
		log.Fatal(err) // some of it is gone: call it again
	}
}

func ExampleUsers_Duplicates() {
	server := lettatest.Start()
	defer server.Close()
	ctx, users := exampleCtx, exampleUsers(server)

	for duplicate, err := range users.Duplicates(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(duplicate.UserID, "uses", duplicate.Agents[0], "and not", duplicate.Agents[1:])
	}
}

func TestSignUp(t *testing.T) {
	server := lettatest.NewServer(t)
	users, err := newUsers(server.Client())
	if err != nil {
		t.Fatal(err)
	}

	// The list of agents fails once: the client asks again, and no second agent is made.
	server.Fail(lettatest.Fault{Path: "/v1/agents/", Status: 500, Times: 1})
	if _, err := users.Agent(t.Context(), "user_1"); err != nil {
		t.Fatal(err)
	}
	if n := countAgents(t, server); n != 1 {
		t.Errorf("%d agents", n)
	}
}

func TestTaggedUsers(t *testing.T) {
	server := lettatest.NewServer(t)
	users, err := newTaggedUsers(server.Client(), newAgent)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := users.Agent(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Client().Agents.Find(t.Context(), []string{"user:1"}); err != nil {
		t.Fatal(err)
	}
}
