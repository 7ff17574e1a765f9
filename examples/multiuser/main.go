// Multiuser is the main job: one agent per user, found by tag.
//
//	go run ./examples/multiuser                                            # no server: lettatest, in this process
//	LETTA_BASE_URL=http://localhost:8283 go run ./examples/multiuser       # a server of your own
//	LETTA_API_KEY=... go run ./examples/multiuser                          # Letta Cloud
//
// user_1 to user_N (-users) get an agent each, which the program removes at the end. With -keep it keeps them: the next
// run then finds them, and creates none. -model, or LETTA_MODEL, chooses the model.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/examples/internal/example"
)

var users = flag.Int("users", 5, "number of users")

func main() { example.Main(run) }

func run(ctx context.Context, session *example.Session) error {
	if *users < 1 {
		return errors.New("-users must be at least 1")
	}
	client := session.Client
	model, err := session.Model(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("Model: %s\n\nSign-up, twice for each user: the second time finds the agent of the first.\n", model)

	for range 2 {
		created := 0
		for i := range *users {
			ensured, err := signUp(ctx, client, fmt.Sprintf("user_%d", i+1), model)
			if err != nil {
				return err
			}
			what := "found"
			if ensured.Created {
				what = "created"
				created++
				session.Made(ensured.Agent)
			}
			fmt.Printf("  user_%d  %s  %s\n", i+1, ensured.Agent.ID, what)
			if len(ensured.Duplicates) > 0 {
				fmt.Printf("          and %d younger agents with the same tag: %v\n", len(ensured.Duplicates), ensured.Duplicates)
			}
		}
		fmt.Printf("  %d created, %d found\n", created, *users-created)
	}

	fmt.Println("\nA web handler looks up the agent of its user, and changes its tags:")
	agent, err := client.Agents.Find(ctx, []string{"user_1"})
	if err != nil {
		return err
	}
	fmt.Printf("  user_1 has %s, tags %q\n", agent.ID, agent.Tags)
	if agent, err = client.Agents.AddTags(ctx, agent.ID, []string{"plan:pro"}); err != nil {
		return err
	}
	fmt.Printf("  after AddTags:    %q\n", agent.Tags)
	if agent, err = client.Agents.RemoveTags(ctx, agent.ID, []string{"plan:pro"}); err != nil {
		return err
	}
	fmt.Printf("  after RemoveTags: %q\n", agent.Tags)
	if _, err := client.Agents.Find(ctx, []string{"user_who_never_signed_up"}); !errors.Is(err, letta.ErrNotFound) {
		return fmt.Errorf("expected no agent: %w", err)
	}

	fmt.Println("\nAll tags of users:")
	for tag, err := range client.Tags.ListAll(ctx, &letta.TagListParams{Name: "user_"}) {
		if err != nil {
			return err
		}
		n, err := client.Agents.Count(ctx, letta.Tags(tag))
		if err != nil {
			return err
		}
		fmt.Printf("  %s: %d\n", tag, n)
	}
	return nil
}

// signUp gives a new user an agent; a user who has one keeps it.
func signUp(ctx context.Context, client *letta.Client, userID, model string) (*letta.Ensured, error) {
	return client.Agents.Ensure(ctx, []string{userID}, &letta.AgentCreateParams{
		Model:        model,
		MemoryBlocks: []letta.CreateBlock{{Label: "human", Value: "The user's id is " + userID + "."}},
	})
}
