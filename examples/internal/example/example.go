// Package example is what the example programs share: which server they use, which model, and that they remove what
// they made.
package example

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/lettatest"
)

// The flags that every example has.
var (
	keep  = flag.Bool("keep", false, "keep the agents that this run made")
	model = flag.String("model", "", "model handle, such as openai/gpt-4o-mini (default: LETTA_MODEL, or one that the server has)")
)

// Session is one run of an example.
type Session struct {
	Client *letta.Client

	embedded *lettatest.Server // nil on a server of its own
	made     []letta.AgentID
}

// Main runs an example. It prints which server the example uses, and at the end it deletes the agents that the example
// made, also after an error or ^C.
func Main(run func(context.Context, *Session) error) {
	log.SetFlags(0)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second ^C ends the program at once
	if err := start(ctx, run); err != nil {
		log.Fatal(err)
	}
}

func start(ctx context.Context, run func(context.Context, *Session) error) (err error) {
	s, where, err := connect()
	if err != nil {
		return err
	}
	fmt.Println("Server:", where)
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	return run(ctx, s)
}

// connect follows the rule of the examples, and says which server that gives.
func connect() (*Session, string, error) {
	url, key := os.Getenv("LETTA_BASE_URL"), os.Getenv("LETTA_API_KEY")
	if url == "" && key == "" {
		server := lettatest.Start()
		return &Session{Client: server.Client(), embedded: server},
			"lettatest, in this process, because neither LETTA_BASE_URL nor LETTA_API_KEY is set", nil
	}
	client, err := letta.NewClient() // reads both variables
	if err != nil {
		return nil, "", err
	}
	if url == "" {
		return &Session{Client: client}, "Letta Cloud, because LETTA_API_KEY is set and LETTA_BASE_URL is not", nil
	}
	return &Session{Client: client}, url + ", from LETTA_BASE_URL", nil
}

// Made notes an agent that the example made, to be deleted at the end.
func (s *Session) Made(agent *letta.AgentState) { s.made = append(s.made, agent.ID) }

// Model returns the handle that -model or LETTA_MODEL names or, if neither does, a model of the server.
func (s *Session) Model(ctx context.Context) (string, error) {
	return chooseModel(ctx, s.Client, *model)
}

// Embedded is the lettatest server of this process, nil on a server of its own: for an example that scripts it.
func (s *Session) Embedded() *lettatest.Server { return s.embedded }

// Keep says that -keep was given: for an example that removes what it made by itself.
func Keep() bool { return *keep }

// close deletes what the example made, unless -keep was given. It does so after ^C too.
func (s *Session) close(ctx context.Context) error {
	if s.embedded != nil {
		defer s.embedded.Close()
	}
	switch {
	case len(s.made) == 0:
		return nil
	case *keep && s.embedded != nil:
		fmt.Println("Agents kept: 0, because lettatest ends with this program")
		return nil
	case *keep:
		fmt.Printf("Agents kept: %d\n", len(s.made))
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	var errs []error
	for _, id := range s.made {
		if err := remove(ctx, s.Client, id); err != nil {
			errs = append(errs, fmt.Errorf("agent %s was not removed: %w", id, err))
		}
	}
	fmt.Printf("Agents removed: %d (-keep keeps them)\n", len(s.made)-len(errs))
	return errors.Join(errs...)
}

// remove deletes an agent and its memory blocks, which Agents.Delete leaves on the server. An example makes its blocks
// with the agent, so no other agent has them.
func remove(ctx context.Context, client *letta.Client, id letta.AgentID) error {
	agent, err := client.Agents.Retrieve(ctx, id, &letta.AgentRetrieveParams{Include: []letta.AgentInclude{letta.AgentIncludeBlocks}})
	if err != nil {
		return err
	}
	if err := client.Agents.Delete(ctx, id); err != nil {
		return err
	}
	for _, block := range agent.Blocks {
		if err := client.Blocks.Delete(ctx, block.ID); err != nil {
			return fmt.Errorf("its block %s: %w", block.ID, err)
		}
	}
	return nil
}
