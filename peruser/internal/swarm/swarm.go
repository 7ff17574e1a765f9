// Package swarm runs several processes that sign up the same users at the same time, and counts what comes of it. It is for
// tests of package peruser and of its lockers.
//
// A process is the test binary again: its TestMain calls Main first.
package swarm

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/lettatest"
	"github.com/letta-go/letta/peruser"
)

const (
	jobVariable = "PERUSER_SWARM"
	processes   = 3
	workers     = 16 // of a process
	tries       = 60 // of a worker for one user
	maxPause    = 500 * time.Millisecond
)

// job is what a process does.
type job struct {
	URL, Model, Locker, Prefix string
	Users                      int
	Hold                       string // only take the lock of this key, say so, and wait to be killed
}

// Main does the job of a process and ends it, if this is one. newLocker makes the locker that the test asked for.
func Main(newLocker func(locker string) (peruser.Locker, func(), error)) {
	text := os.Getenv(jobVariable)
	if text == "" {
		return
	}
	var j job
	err := json.Unmarshal([]byte(text), &j)
	if err == nil {
		err = j.run(newLocker)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "swarm:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func (j *job) run(newLocker func(string) (peruser.Locker, func(), error)) error {
	ctx := context.Background()
	var locker peruser.Locker
	if j.Locker != "" {
		made, done, err := newLocker(j.Locker)
		if err != nil {
			return err
		}
		defer done()
		locker = made
	}
	if j.Hold != "" {
		if _, err := locker.Lock(ctx, j.Hold); err != nil {
			return err
		}
		fmt.Println(`"held"`)
		_, err := io.Copy(io.Discard, os.Stdin) // until it is killed
		return err
	}
	client, err := letta.NewClient(letta.WithBaseURL(j.URL), letta.WithMaxRetries(1), letta.WithTimeout(20*time.Second))
	if err != nil {
		return err
	}
	users, err := peruser.New(client, peruser.Options{
		Create: func(context.Context, string) (*letta.AgentCreateParams, error) {
			return &letta.AgentCreateParams{Model: j.Model, System: letta.Some("You are a test."), IncludeBaseTools: letta.Some(false)}, nil
		},
		Locker: locker,
	})
	if err != nil {
		return err
	}
	found := make([]letta.AgentID, j.Users)
	failures := make([]error, j.Users)
	next := make(chan int)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for i := range next {
				for try := range tries {
					if found[i], failures[i] = users.Agent(ctx, j.user(i)); failures[i] == nil {
						break
					}
					time.Sleep(min(time.Duration(try+1)*20*time.Millisecond, maxPause))
				}
			}
		})
	}
	// Nearly the same order in every process, so that they meet.
	order := make([]int, j.Users)
	for i := range order {
		order[i] = i
	}
	for i := 0; i+8 <= len(order); i += 8 {
		rand.Shuffle(8, func(a, b int) { order[i+a], order[i+b] = order[i+b], order[i+a] })
	}
	for _, i := range order {
		next <- i
	}
	close(next)
	all.Wait()
	if err := errors.Join(failures...); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}

func (j *job) user(i int) string { return j.Prefix + strconv.Itoa(i) }

// process starts a process of the job.
func (j *job) process(ctx context.Context) (*exec.Cmd, io.ReadCloser, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	text, err := json.Marshal(j)
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), jobVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil {
		return nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	return cmd, out, cmd.Start()
}

// KilledHolder checks that a process that died blocks a key for one lease, and not for less: what it sent may be on its way.
func KilledHolder(t *testing.T, addr string, lease time.Duration, next peruser.Locker) {
	t.Helper()
	holder := Hold(t, addr, "user_1")
	killed := time.Now()
	_ = holder.Process.Kill()
	acquire(t, next, "user_1")
	if took := time.Since(killed); took < lease/2 || took > lease+5*time.Second {
		t.Errorf("the lock was free after %v, the lease is %v", took, lease)
	}
}

// HungHolder checks that a process that stopped loses its lock.
func HungHolder(t *testing.T, addr string, next peruser.Locker) {
	t.Helper()
	holder := Hold(t, addr, "user_1")
	_ = holder.Process.Signal(syscall.SIGSTOP)
	acquire(t, next, "user_1")
}

func acquire(t *testing.T, locker peruser.Locker, key string) {
	t.Helper()
	unlock, err := locker.Lock(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(unlock)
}

// Result is what came of a swarm.
type Result struct {
	Users, Agents int
	Duplicates    []peruser.Duplicate
	Wrong         int // users for whom a process used another agent than the oldest
	Took          time.Duration
}

// Users is how many users a test signs up: few unless PERUSER_USERS says how many.
func Users(few int) int {
	if n, err := strconv.Atoi(os.Getenv("PERUSER_USERS")); err == nil {
		return n
	}
	return few
}

// Run signs up users in three processes, on lettatest with random faults, or on the server of LETTA_BASE_URL.
func Run(t *testing.T, users int, locker string) Result {
	t.Helper()
	began := time.Now()
	j := &job{Locker: locker, Users: users, Prefix: fmt.Sprintf("swarm-%08x-", rand.Uint32()), Model: os.Getenv("LETTA_MODEL")}
	var client *letta.Client
	if j.URL = os.Getenv("LETTA_BASE_URL"); j.URL == "" {
		server := lettatest.Start() // NewServer would ask for every fault to be met
		t.Cleanup(server.Close)
		t.Cleanup(sabotage(server))
		j.URL, client = server.URL(), server.Client()
		if j.Model == "" {
			j.Model = "openai/gpt-4o-mini"
		}
	} else {
		var err error
		if client, err = letta.NewClient(); err != nil {
			t.Fatal(err)
		}
		if j.Model == "" {
			j.Model = "openai-proxy/gpt-4o-mini"
		}
	}
	t.Cleanup(client.Close)
	reports := make([][]letta.AgentID, processes)
	var all sync.WaitGroup
	for i := range processes {
		all.Go(func() {
			cmd, out, err := j.process(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			decodeErr := json.NewDecoder(bufio.NewReader(out)).Decode(&reports[i])
			if err := cmd.Wait(); err != nil {
				t.Errorf("process %d: %v", i, err)
			} else if decodeErr != nil {
				t.Error(decodeErr)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return j.count(t, client, reports, began)
}

// count looks at what is on the server, and deletes it there unless it is lettatest.
func (j *job) count(t *testing.T, client *letta.Client, reports [][]letta.AgentID, began time.Time) Result {
	t.Helper()
	result := Result{Users: j.Users, Took: time.Since(began)}
	mine := map[string]int{}
	for i := range j.Users {
		mine[j.user(i)] = i
	}
	admin, err := peruser.New(client, peruser.Options{UserID: func(tag string) (string, bool) { _, ok := mine[tag]; return tag, ok }})
	if err != nil {
		t.Fatal(err)
	}
	oldest := make([]letta.AgentID, j.Users)
	for try := 0; ; try++ { // faults are still about
		result.Agents, result.Duplicates, err = j.look(t.Context(), client, admin, mine, oldest)
		if err == nil {
			break
		}
		if try == tries {
			t.Fatal(err)
		}
	}
	for _, report := range reports {
		for i, id := range report {
			if id != oldest[i] {
				result.Wrong++
			}
		}
	}
	if os.Getenv("LETTA_BASE_URL") != "" {
		for user := range mine {
			if err := admin.Delete(t.Context(), user); err != nil {
				t.Error(err)
			}
		}
	}
	return result
}

func (j *job) look(ctx context.Context, client *letta.Client, admin *peruser.Users, mine map[string]int, oldest []letta.AgentID) (agents int, duplicates []peruser.Duplicate, err error) {
	clear(oldest)
	params := &letta.AgentListParams{Include: []letta.AgentInclude{letta.AgentIncludeTags}, Order: letta.OrderAsc}
	for agent, err := range client.Agents.ListAll(ctx, params, letta.WithQuery("show_hidden_agents", "true")) {
		if err != nil {
			return 0, nil, err
		}
		for _, tag := range agent.Tags {
			if i, ok := mine[tag]; ok {
				agents++
				if oldest[i] == "" {
					oldest[i] = agent.ID
				}
			}
		}
	}
	for duplicate, err := range admin.Duplicates(ctx) {
		if err != nil {
			return 0, nil, err
		}
		duplicates = append(duplicates, duplicate)
	}
	return agents, duplicates, nil
}

// sabotage makes a server misbehave now and then.
func sabotage(server *lettatest.Server) (stop func()) {
	done := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
			}
			if len(server.Unmet()) > 0 {
				continue
			}
			fault := lettatest.Fault{Path: "/v1/agents/", Times: 1, Skip: rand.IntN(20)} // about every tenth request
			switch rand.IntN(6) {
			case 0:
				fault.Status = []int{500, 502, 503, 429}[rand.IntN(4)]
			case 1:
				fault.Status, fault.Process = 502, true
			case 2:
				fault.Drop = lettatest.DropBeforeRead
			case 3:
				fault.Drop = lettatest.DropAfterRead
			case 4:
				fault.Drop = lettatest.DropMidBody
			default:
				fault.Delay = time.Duration(rand.IntN(300)) * time.Millisecond
			}
			server.Fail(fault)
			server.ClearRequests() // ten thousand users make many
		}
	})
	return sync.OnceFunc(func() { close(done); wait.Wait() })
}

// Hold starts a process that holds the lock of a key, and returns once it does. end kills it; pause stops it, as a machine
// that hangs.
func Hold(t *testing.T, locker, key string) *exec.Cmd {
	t.Helper()
	j := &job{Locker: locker, Hold: key}
	cmd, out, err := j.process(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal("the process did not get the lock:", err)
	}
	return cmd
}
