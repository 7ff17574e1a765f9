package letta_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
)

// soaking is a process of TestSoak.
type soaking struct {
	soakJob
	client *letta.Client
	down   *letta.Client // of a server that is down
	users  []*soakedUser

	mu     sync.Mutex
	out    *json.Encoder
	report soakReport
	names  int
}

// soakedUser is what this process knows of a user.
type soakedUser struct {
	life sync.RWMutex // written by those who sign the user up or delete it

	mu           sync.Mutex
	agent        letta.AgentID
	tags         []string
	conversation letta.ConversationID
}

// soakProcess does a job, and writes what it did to the file that the test has given it.
func soakProcess(t *testing.T, text string) {
	s := &soaking{out: json.NewEncoder(os.NewFile(3, "records"))}
	require.NoError(t, json.Unmarshal([]byte(text), &s.soakJob))
	s.report = soakReport{Users: map[int]soakUser{}, Operations: map[string]int{}, Failures: map[string]int{}}
	for range s.Users {
		s.users = append(s.users, &soakedUser{})
	}
	var err error
	s.client, err = letta.NewClient(letta.WithBaseURL(s.URL), letta.WithIdleTimeout(20*time.Second))
	require.NoError(t, err)
	s.down, err = letta.NewClient(letta.WithBaseURL("http://127.0.0.1:1"), letta.WithMaxRetries(0))
	require.NoError(t, err)

	// What is made once, such as the tables of the JSON engine, is there before the size is taken.
	s.until("models.list", func(ctx context.Context) error { _, err := s.client.Models.List(ctx, nil); return err })
	for i := range 10 {
		s.act(rand.New(rand.NewPCG(s.Seed, uint64(1000*s.Index+i))))
	}
	s.client.Close()
	time.Sleep(500 * time.Millisecond) // so that what has just ended is not taken for the baseline
	s.report.Before = s.size(soakSize{1 << 20, 1 << 20, 0})

	var all sync.WaitGroup
	end := time.Now().Add(s.Length)
	for i := range s.Workers {
		random := rand.New(rand.NewPCG(s.Seed, uint64(100*s.Index+i)))
		all.Go(func() {
			for time.Now().Before(end) {
				s.act(random)
				time.Sleep(time.Duration(random.Int64N(int64(2 * s.Pause))))
			}
		})
	}
	all.Wait()
	for i, user := range s.users {
		if owner(i) == s.Index && (user.agent != "" || mortal(i)) {
			s.report.Users[i] = soakUser{user.agent, user.tags}
		}
	}
	s.report.End = s.size(s.report.Before)
	require.NoError(t, s.out.Encode(soakRecord{End: &s.report}))
}

// size waits until the process is as small as it was, or for ten seconds.
func (s *soaking) size(was soakSize) (is soakSize) {
	for range 100 {
		s.client.Close()
		runtime.GC()
		runtime.GC() // what sync.Pool holds survives one
		files, _ := os.ReadDir("/dev/fd")
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		is = soakSize{runtime.NumGoroutine(), len(files), memory.HeapAlloc}
		if is.Goroutines <= was.Goroutines && is.Files <= was.Files {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	return is
}

// act does one thing with one user.
func (s *soaking) act(random *rand.Rand) {
	i := random.IntN(s.Users)
	user := s.users[i]
	own := owner(i) == s.Index
	if own && mortal(i) && random.IntN(4) == 0 {
		s.end(i, user)
		return
	}
	agent := s.agent(i, user)
	if agent == "" {
		return
	}
	user.life.RLock()
	defer user.life.RUnlock()
	user.mu.Lock()
	gone := own && user.agent != agent
	user.mu.Unlock()
	if gone { // deleted since
		return
	}
	kind := random.IntN(12)
	switch {
	case kind < 2:
		s.find(i, user)
	case kind < 4 && own:
		s.tags(user, agent)
	default:
		s.turn(i, user, agent, own, random)
	}
}

// agent is that of a user, who is signed up if this process owns the user; "" if there is none.
func (s *soaking) agent(i int, user *soakedUser) letta.AgentID {
	user.mu.Lock()
	agent := user.agent
	user.mu.Unlock()
	switch {
	case agent != "" && !(mortal(i) && owner(i) != s.Index):
		return agent
	case owner(i) != s.Index:
		return s.find(i, user)
	}
	user.life.Lock()
	defer user.life.Unlock()
	s.until("agents.ensure", func(ctx context.Context) error {
		ensured, err := s.client.Agents.Ensure(ctx, []string{s.user(i)}, &letta.AgentCreateParams{
			Model: s.Model, Tags: []string{s.Prefix}, IncludeBaseTools: letta.Some(false), System: letta.Some("You are a test."),
		})
		if err != nil {
			return err
		}
		user.mu.Lock()
		defer user.mu.Unlock()
		if len(ensured.Duplicates) > 0 || user.agent != "" && user.agent != ensured.Agent.ID {
			s.problem("user %d has several agents: %s, %s, %s", i, user.agent, ensured.Agent.ID, ensured.Duplicates)
		}
		user.agent = ensured.Agent.ID
		return nil
	})
	user.mu.Lock()
	defer user.mu.Unlock()
	return user.agent
}

func (s *soaking) find(i int, user *soakedUser) (agent letta.AgentID) {
	s.once("agents.find", func(ctx context.Context) error {
		found, err := s.client.Agents.Find(ctx, []string{s.user(i)})
		if errors.Is(err, letta.ErrNotFound) && (owner(i) != s.Index || mortal(i)) {
			return nil
		}
		if err != nil {
			return err
		}
		user.mu.Lock()
		defer user.mu.Unlock()
		if user.agent != "" && user.agent != found.ID && !mortal(i) {
			s.problem("user %d has the agent %s and then %s", i, user.agent, found.ID)
		}
		if agent = found.ID; !mortal(i) {
			user.agent = found.ID
		}
		return nil
	})
	return agent
}

// end deletes a user.
func (s *soaking) end(i int, user *soakedUser) {
	user.life.Lock()
	defer user.life.Unlock()
	if user.agent == "" {
		return
	}
	s.until("agents.delete", func(ctx context.Context) error {
		err := s.client.Agents.Delete(ctx, user.agent)
		if errors.Is(err, letta.ErrNotFound) { // it was gone after an attempt whose answer was lost
			return nil
		}
		return err
	})
	user.mu.Lock()
	defer user.mu.Unlock()
	user.agent, user.tags = "", nil
}

// tags adds a tag, and sometimes takes one away.
func (s *soaking) tags(user *soakedUser, agent letta.AgentID) {
	tag := s.name("tag")
	s.until("agents.add_tags", func(ctx context.Context) error {
		_, err := s.client.Agents.AddTags(ctx, agent, []string{tag})
		return err
	})
	user.mu.Lock()
	user.tags = append(user.tags, tag)
	if len(user.tags) < 4 {
		user.mu.Unlock()
		return
	}
	tag, user.tags = user.tags[0], slices.Clone(user.tags[1:])
	user.mu.Unlock()
	s.until("agents.remove_tags", func(ctx context.Context) error {
		_, err := s.client.Agents.RemoveTags(ctx, agent, []string{tag})
		return err
	})
}

// turn sends a turn in one of several ways: to the agent if this process owns the user, otherwise into a conversation of its own.
func (s *soaking) turn(i int, user *soakedUser, agent letta.AgentID, own bool, random *rand.Rand) {
	name := s.name("turn")
	answer := name + strings.Repeat(" word", 1+random.IntN(15))
	params := &letta.AgentMessageCreateParams{Messages: []letta.MessageInput{letta.UserText("SLOW 1 " + answer)}}
	client, opts := s.client, []letta.RequestOption{letta.WithTurnLock()}

	ways := []string{"create", "create", "stream", "background", "background", "cancelled", "left", "impatient", "ended", "down"}
	way := ways[random.IntN(len(ways))]
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	switch way {
	case "impatient":
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, time.Duration(random.IntN(60))*time.Millisecond)
		defer stop()
	case "ended":
		cancel()
	case "down":
		client = s.down
	case "cancelled", "left":
		params.Messages = []letta.MessageInput{letta.UserText("SLOW 20 " + answer + strings.Repeat(" more", 50))}
		opts = append(opts, letta.WithCancelOnDone())
	}
	params.StreamTokens = way != "create"
	params.Background = way == "background" || way == "cancelled"

	var turn *letta.Turn
	var stream *letta.MessageStream
	var err error
	streams := way == "stream" || params.Background || way == "left" || random.IntN(2) == 0 && way != "create"
	if !streams {
		params.StreamTokens = false
	}
	operation := "agents.messages."
	if own {
		if streams {
			stream, err = client.Agents.Messages.Stream(ctx, agent, params, opts...)
		} else {
			turn, err = client.Agents.Messages.Create(ctx, agent, params, opts...)
		}
	} else {
		operation = "conversations.messages."
		conversation := s.conversation(user, agent)
		if conversation == "" {
			return // the agent has been deleted by its owner
		}
		params := &letta.ConversationMessageCreateParams{Messages: params.Messages, StreamTokens: params.StreamTokens, Background: params.Background}
		if streams {
			stream, err = client.Conversations.Messages.Stream(ctx, conversation, params, opts...)
		} else {
			turn, err = client.Conversations.Messages.Create(ctx, conversation, params, opts...)
		}
	}
	if stream != nil {
		turn, err = s.read(ctx, stream, way, agent)
	}
	outcome := "perhaps"
	switch {
	case errors.Is(err, letta.ErrNotSent):
		outcome = "never"
	case err != nil || turn == nil:
	case turn.StopReason == letta.StopReasonCancelled:
		outcome = "cancelled"
	case turn.StopReason == letta.StopReasonEndTurn:
		outcome = "once"
		if way != "cancelled" && turn.Text() != answer {
			s.problem("%s by %s: the answer is %q", name, way, turn.Text())
		}
	}
	if errors.Is(err, context.DeadlineExceeded) && way != "impatient" {
		s.problem("%s by %s took two minutes: %v", name, way, err)
	}
	if outcome != "never" && (way == "ended" || way == "down") {
		s.problem("%s by %s: %v", name, way, err)
	}
	if streams {
		operation += "stream, "
	} else {
		operation += "create, "
	}
	s.count(operation+way, err)
	s.record(soakRecord{Turn: &soakTurn{User: i, Name: name, Outcome: outcome}})
}

// read reads a stream, to its end or not; the turn is nil if it was left.
func (s *soaking) read(ctx context.Context, stream *letta.MessageStream, way string, agent letta.AgentID) (*letta.Turn, error) {
	defer stream.Close()
	first := true
	for _, err := range stream.Messages() {
		if err != nil {
			return nil, err
		}
		if first && way == "left" {
			return nil, nil
		}
		if first && way == "cancelled" {
			_, err := s.client.Agents.Messages.Cancel(ctx, agent, &letta.AgentMessageCancelParams{RunIDs: []letta.RunID{stream.RunID()}})
			s.count("agents.messages.cancel", err)
		}
		first = false
	}
	return stream.Result(), nil
}

// conversation is this process's own with the agent of another; "" if the agent is gone.
func (s *soaking) conversation(user *soakedUser, agent letta.AgentID) letta.ConversationID {
	user.mu.Lock()
	defer user.mu.Unlock()
	if user.conversation == "" || user.agent == "" { // of a mortal user each time: it may be another agent
		user.conversation = ""
		s.until("conversations.create", func(ctx context.Context) error {
			conversation, err := s.client.Conversations.Create(ctx, &letta.ConversationCreateParams{AgentID: agent})
			if errors.Is(err, letta.ErrNotFound) {
				return nil
			}
			if err == nil {
				user.conversation = conversation.ID
			}
			return err
		})
	}
	return user.conversation
}

// name is one that nothing else has.
func (s *soaking) name(kind string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names++
	return fmt.Sprintf("%s-%d-%d", kind, s.Index, s.names)
}

// once counts what comes of an operation. until repeats it until it works, which the faults let it do soon.
func (s *soaking) once(operation string, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	err := do(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		s.problem("%s took two minutes: %v", operation, err)
	}
	s.count(operation, err)
	return err
}

func (s *soaking) until(operation string, do func(context.Context) error) {
	var err error
	for range 30 {
		if err = s.once(operation, do); err == nil {
			return
		}
	}
	s.problem("%s never worked: %v", operation, err)
}

func (s *soaking) count(operation string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.report.Operations[operation]++
	} else {
		s.report.Failures[operation]++
	}
}

func (s *soaking) problem(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.report.Problems) < 20 {
		s.report.Problems = append(s.report.Problems, fmt.Sprintf(format, args...))
	}
}

func (s *soaking) record(r soakRecord) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.out.Encode(r); err != nil {
		panic(err) // the test has gone
	}
}
