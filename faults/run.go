package faults

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/lettatest"
)

// What the calls are about.
const (
	Password    = "test-password"
	Name        = "the agent of the test"
	NewName     = "an agent that a call creates"
	Tag         = "kept"
	NewTag      = "added"
	UserTag     = "user_1"
	Description = "changed"
	Text        = "hello"
	Answer      = "You said: hello"
	FileName    = "notes.txt"
	Model       = "openai/gpt-4o-mini"
	Embedding   = "openai/text-embedding-3-small"
)

// Run is a case under way: a server of its own, with one agent and one folder, and the proxy in front of it.
type Run struct {
	*Proxy
	Case   Case
	Agent  letta.AgentID
	Folder letta.FolderID

	server    *lettatest.Server
	closeIdle func() // of the client
	direct    *letta.Client
}

// Start begins a case.
func Start(c Case, identity *Identity) (*Run, error) {
	server, err := lettatest.Listen(lettatest.WithPassword(Password))
	if err != nil {
		return nil, err
	}
	r := &Run{Case: c, server: server, direct: server.Client(letta.WithMaxRetries(0))}
	ctx := context.Background()
	agent, err := r.direct.Agents.Create(ctx, &letta.AgentCreateParams{Name: Name, Model: Model, Tags: []string{Tag}})
	if err != nil {
		return nil, err
	}
	//lint:ignore SA1019 a self-hosted server has folders
	folder, err := r.direct.Folders.Create(ctx, &letta.FolderCreateParams{Name: "folder", Embedding: Embedding})
	if err != nil {
		return nil, err
	}
	r.Agent, r.Folder = agent.ID, folder.ID
	r.Proxy, err = newProxy(c, server.URL(), identity)
	return r, err
}

// Heard is what a caller heard: one of the two.
type Heard struct {
	Value string // "whole", or what is wrong with the value
	Error string // its kind
}

func (h Heard) String() string {
	switch {
	case h.Error != "":
		return h.Error
	case h.Value == "whole":
		return "ok"
	}
	return "WRONG: " + strings.Join(strings.Fields(h.Value), " ")
}

// Record is what became of a case: a line of the matrix.
type Record struct {
	Fault, When, Operation string
	Requests               string // those that arrived, and of them how many the server carried out
	Outcome                string
	State                  string // on the server, afterwards
	Elsewhere              string // what came to another origin

	played int
}

// Fields are the columns of a record.
var Fields = []string{"fault", "when", "operation", "requests: arrived/done", "outcome", "on the server", "elsewhere"}

func (r Record) fields() []string {
	return []string{r.Fault, r.When, r.Operation, r.Requests, r.Outcome, r.State, r.Elsewhere}
}

// Finish ends a case.
func (r *Run) Finish(h Heard) (Record, error) {
	r.Proxy.close()
	defer r.server.Close()
	defer r.direct.Close()
	state, err := r.state()
	record := Record{
		Fault: r.Case.Fault.Name, When: r.Case.When(), Operation: r.Case.Operation.Name, Outcome: h.String(), State: state,
		Elsewhere: r.other.brought(), played: r.Played(),
	}
	type count struct{ arrived, done int }
	counts := map[string]*count{}
	for _, request := range r.requests {
		key := request.Method + " " + request.Path
		if counts[key] == nil {
			counts[key] = &count{}
		}
		counts[key].arrived++
		if request.Done {
			counts[key].done++
		}
	}
	var requests []string
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		requests = append(requests, fmt.Sprintf("%s %d/%d", key, counts[key].arrived, counts[key].done))
	}
	if record.Requests = strings.Join(requests, ", "); requests == nil {
		record.Requests = "none"
	}
	return record, err
}

// state says what the operation has changed on the server.
func (r *Run) state() (string, error) {
	ctx := context.Background()
	switch name, _, _ := strings.Cut(r.Case.Operation.Name, ","); name {
	case "create", "Ensure":
		agents, err := r.direct.Agents.Count(ctx, nil)
		return fmt.Sprint(agents-1, " created"), err
	case "delete":
		agents, err := r.direct.Agents.List(ctx, &letta.AgentListParams{})
		return map[int]string{0: "deleted", 1: "there"}[len(agents)], err
	case "turn", "stream", "background stream":
		turns, answers := 0, 0
		for message, err := range r.direct.Agents.Messages.ListAll(ctx, r.Agent, nil) {
			if err != nil {
				return "", err
			}
			switch m := message.(type) {
			case *letta.UserMessage:
				if m.Content.String() == Text {
					turns++
				}
			case *letta.AssistantMessage:
				if m.Content.String() == Answer {
					answers++
				}
			}
		}
		if answers != turns {
			return fmt.Sprintf("%d turns, %d answered", turns, answers), nil
		}
		return fmt.Sprint(turns, " turns"), nil
	case "upload":
		//lint:ignore SA1019 a self-hosted server has folders
		files, err := r.direct.Folders.Files.List(ctx, r.Folder, nil)
		return fmt.Sprint(len(files), " files"), err
	}
	agent, err := r.direct.Agents.Retrieve(ctx, r.Agent, &letta.AgentRetrieveParams{Include: []letta.AgentInclude{letta.AgentIncludeTags}})
	if err != nil {
		return "", err
	}
	slices.Sort(agent.Tags)
	switch {
	case agent.Description == Description:
		return "updated", nil
	case slices.Equal(agent.Tags, []string{NewTag, Tag}):
		return "tag added", nil
	case !slices.Equal(agent.Tags, []string{Tag}):
		return fmt.Sprintf("tags %q", agent.Tags), nil
	}
	return "unchanged", nil
}
