package redislock_test

import (
	"context"
	"log"

	"github.com/redis/go-redis/v9"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/peruser"
	"github.com/letta-go/letta/peruser/redislock"
)

func newUsers(client *letta.Client, create func(context.Context, string) (*letta.AgentCreateParams, error)) (*peruser.Users, error) {
	locker, err := redislock.New(redis.NewClient(&redis.Options{Addr: "localhost:6379"}), redislock.Options{})
	if err != nil {
		return nil, err
	}
	return peruser.New(client, peruser.Options{Create: create, Locker: locker})
}

// It is compiled and not run: it needs a Redis.
func Example() {
	client, err := letta.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	users, err := newUsers(client, func(context.Context, string) (*letta.AgentCreateParams, error) {
		return &letta.AgentCreateParams{Model: "openai/gpt-4o-mini"}, nil
	})
	if err != nil {
		log.Fatal(err)
	}
	agent, err := users.Agent(context.Background(), "user_1")
	if err != nil {
		log.Fatal(err)
	}
	log.Println(agent)
}
