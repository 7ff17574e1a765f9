package letta_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/lettatest"
)

// soakServer is read here, since TestMain takes it out of the environment.
var soakServer = os.Getenv("LETTA_BASE_URL")

const soakProcesses = 3

// soakJob is what one process of a soak does.
type soakJob struct {
	URL, Model, Prefix    string
	Index, Users, Workers int
	Length, Pause         time.Duration
	Seed                  uint64
}

// soakTurn is a turn that a process has sent, and what the client said of it.
type soakTurn struct {
	User    int
	Name    string // the first word of the agent's answer, which no other turn has
	Outcome string // once, never or perhaps: so often it must be stored; or cancelled
}

// soakUser is what the process that owns a user has done with it.
type soakUser struct {
	Agent letta.AgentID // "" after a delete
	Tags  []string
}

// soakSize is what a process holds.
type soakSize struct {
	Goroutines, Files int
	Heap              uint64
}

// soakRecord is a line that a process writes: a turn, or at its end the rest.
type soakRecord struct {
	Turn *soakTurn   `json:",omitzero"`
	End  *soakReport `json:",omitzero"`
}

type soakReport struct {
	Users       map[int]soakUser
	Operations  map[string]int // that succeeded, by name
	Failures    map[string]int // that failed
	Problems    []string       // what must not be
	Before, End soakSize
}

// TestSoak lets processes work with many users through a proxy that fails now and then, and compares the end with what the
// server holds:
//
//   - every user has exactly one agent, with exactly the tags that were added and not removed, or none after a delete
//   - a turn that succeeded is stored once, with the whole answer; one that failed with ErrNotSent is not stored; no turn is stored twice
//   - each process has as many goroutines and open files as at its beginning, and as much memory but for 4 MiB
//
// It takes three seconds on lettatest; LETTA_SOAK is another time, LETTA_BASE_URL another server, whose model must be that of
// scripts/letta-server, and LETTA_SOAK_REPORT a file for what happened:
//
//	LETTA_SOAK=1h LETTA_BASE_URL=http://127.0.0.1:8283 go test -run '^TestSoak$' -count=1 -timeout 2h -v .
func TestSoak(t *testing.T) {
	if job := os.Getenv("LETTA_SOAK_JOB"); job != "" {
		soakProcess(t, job)
		return
	}
	t.Parallel()
	length := 3 * time.Second
	if text := os.Getenv("LETTA_SOAK"); text != "" {
		var err error
		length, err = time.ParseDuration(text)
		require.NoError(t, err)
	}
	job := soakJob{Prefix: fmt.Sprintf("soak-%08x-", rand.Uint32()), Users: 100, Workers: 8, Length: length, Model: "openai/gpt-4o-mini", Seed: rand.Uint64()}
	// Longer soaks are slower, so that what a server keeps stays small.
	job.Pause = max(5*time.Millisecond, length/8000)
	var client *letta.Client
	target := soakServer
	if target == "" {
		server := lettatest.NewServer(t)
		client, target = server.Client(), server.URL()
		go func() { // what it remembers of requests would grow
			for tick := time.Tick(time.Second); t.Context().Err() == nil; {
				select {
				case <-tick:
					server.ClearRequests()
				case <-t.Context().Done():
				}
			}
		}()
	} else {
		var err error
		client, err = letta.NewClient(letta.WithBaseURL(target))
		require.NoError(t, err)
		job.Model, job.Users, job.Workers = "openai-proxy/gpt-4o-mini", 30, 3
	}
	t.Cleanup(client.Close)
	t.Logf("seed %d, users %s*", job.Seed, job.Prefix)
	if soakServer != "" {
		t.Cleanup(func() { soakClean(t, client, job.Prefix) })
	}
	proxy := newSoakProxy(t, target, job.Seed)
	job.URL = proxy.url

	turns, reports := runSoak(t, job)
	require.False(t, t.Failed(), "a process failed")
	operations, failures := map[string]int{}, map[string]int{}
	var sizes []string // at the beginning and at the end
	for i, r := range reports {
		for name, n := range r.Operations {
			operations[name] += n
		}
		for name, n := range r.Failures {
			failures[name] += n
		}
		assert.Empty(t, r.Problems)
		sizes = append(sizes, fmt.Sprintf("%d and %d goroutines, %d and %d files, %d and %d KiB of memory", r.Before.Goroutines, r.End.Goroutines, r.Before.Files, r.End.Files, r.Before.Heap>>10, r.End.Heap>>10))
		assert.LessOrEqual(t, r.End.Goroutines, r.Before.Goroutines, "goroutines of process %d", i)
		assert.LessOrEqual(t, r.End.Files, r.Before.Files, "files of process %d", i)
		assert.LessOrEqual(t, r.End.Heap, r.Before.Heap+4<<20, "memory of process %d", i)
	}
	checkSoakedUsers(t, client, job, reports)
	outcomes := checkSoakedTurns(t, client, turns, reports)
	faults := proxy.played()
	assert.NotEmpty(t, faults)
	if length >= time.Minute {
		assert.Len(t, faults, len(soakFaults), "every kind of fault was played")
	}
	summary := map[string]any{
		"server": map[bool]string{true: "lettatest", false: "real"}[soakServer == ""], "length": length.String(), "processes": soakProcesses, "users": job.Users,
		"operations": operations, "failures": failures, "turns": outcomes, "faults": faults, "sizes": sizes, "passed": !t.Failed(),
	}
	text, err := json.MarshalIndent(summary, "", "  ")
	require.NoError(t, err)
	t.Logf("%s", text)
	if name := os.Getenv("LETTA_SOAK_REPORT"); name != "" {
		require.NoError(t, os.WriteFile(name, append(text, '\n'), 0o600))
	}
}

// runSoak runs the processes to their end.
func runSoak(t *testing.T, job soakJob) (turns []*soakTurn, reports []*soakReport) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	var mu sync.Mutex
	var all sync.WaitGroup
	reports = make([]*soakReport, soakProcesses)
	for i := range soakProcesses {
		job.Index = i
		text, err := json.Marshal(job)
		require.NoError(t, err)
		all.Go(func() {
			read, write, err := os.Pipe()
			if !assert.NoError(t, err) {
				return
			}
			defer read.Close()
			var log bytes.Buffer
			cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestSoak$", "-test.timeout=0", "-test.v")
			cmd.Env = append(os.Environ(), "LETTA_SOAK_JOB="+string(text))
			cmd.ExtraFiles = []*os.File{write}
			cmd.Stdout, cmd.Stderr = &log, &log
			err = cmd.Start()
			_ = write.Close()
			if !assert.NoError(t, err) {
				return
			}
			lines := json.NewDecoder(read)
			for {
				var record soakRecord
				if err := lines.Decode(&record); err != nil {
					break
				}
				mu.Lock()
				if record.Turn != nil {
					turns = append(turns, record.Turn)
				}
				if record.End != nil {
					reports[i] = record.End
				}
				mu.Unlock()
			}
			assert.NoError(t, cmd.Wait(), "process %d:\n%s", i, &log)
			assert.NotNil(t, reports[i], "process %d wrote no report", i)
		})
	}
	all.Wait()
	return turns, reports
}

// checkSoakedUsers compares the agents that the server has with those that the owners of the users know.
func checkSoakedUsers(t *testing.T, client *letta.Client, job soakJob, reports []*soakReport) {
	t.Helper()
	found := map[string][]*letta.AgentState{}
	params := &letta.AgentListParams{Tags: []string{job.Prefix}, Include: []letta.AgentInclude{letta.AgentIncludeTags}}
	for agent, err := range client.Agents.ListAll(t.Context(), params) {
		require.NoError(t, err)
		for _, tag := range agent.Tags {
			if strings.HasPrefix(tag, job.Prefix) && tag != job.Prefix {
				found[tag] = append(found[tag], agent)
			}
		}
	}
	known := 0
	for _, report := range reports {
		for i, user := range report.Users {
			agents := found[job.user(i)]
			if user.Agent == "" {
				assert.Empty(t, agents, "user %d was deleted", i)
				continue
			}
			known++
			if assert.Len(t, agents, 1, "user %d", i) {
				assert.Equal(t, user.Agent, agents[0].ID)
				assert.ElementsMatch(t, append(user.Tags, job.user(i), job.Prefix), agents[0].Tags, "user %d", i)
			}
		}
	}
	assert.Len(t, found, known, "users that nobody has signed up")
}

var soakName = regexp.MustCompile(`turn-\d+-\d+`)

// checkSoakedTurns counts how often each turn is stored, and each answer.
func checkSoakedTurns(t *testing.T, client *letta.Client, turns []*soakTurn, reports []*soakReport) (outcomes map[string]int) {
	t.Helper()
	asked, answered := map[string]int{}, map[string]int{}
	kept := map[int]bool{}
	for _, report := range reports {
		for i, user := range report.Users {
			if mortal(i) || user.Agent == "" {
				continue
			}
			kept[i] = true
			for message, err := range client.Agents.Messages.ListAll(t.Context(), user.Agent, &letta.AgentMessageListParams{Limit: 1000}) {
				require.NoError(t, err)
				switch m := message.(type) {
				case *letta.UserMessage:
					asked[soakName.FindString(m.Content.String())]++
				case *letta.AssistantMessage:
					answered[soakName.FindString(m.Content.String())]++
				}
			}
		}
	}
	outcomes = map[string]int{}
	for _, turn := range turns {
		n, outcome := asked[turn.Name], turn.Outcome
		switch {
		case !kept[turn.User]:
			outcome += ", agent deleted"
		case outcome == "once":
			assert.Equal(t, 1, n, "%s succeeded, so it is stored once", turn.Name)
			assert.Equal(t, 1, answered[turn.Name], "%s succeeded, so its answer is stored once", turn.Name)
		case outcome == "never":
			assert.Zero(t, n, "%s was not sent, so it is not stored", turn.Name)
		case n > 0 && answered[turn.Name] > 0:
			outcome += ", stored with an answer"
		case n > 0:
			outcome += ", stored without an answer"
		}
		outcomes[outcome]++
	}
	for name, n := range asked {
		assert.Equal(t, 1, n, "%s is stored several times", name)
	}
	return outcomes
}

// soakClean deletes all agents of a soak from a real server.
func soakClean(t *testing.T, client *letta.Client, tag string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 5*time.Minute)
	defer cancel()
	_, err := letta.ForEach(ctx, client.Agents.ListAll(ctx, letta.Tags(tag)), letta.ForEachOptions{Concurrency: 2}, func(ctx context.Context, agent *letta.AgentState) error {
		return client.Agents.Delete(ctx, agent.ID)
	})
	assert.NoError(t, err)
}

// soakFaults are those of the proxy. About every tenth request meets one.
var soakFaults = []string{
	"status, not processed", "status, processed", "cut before", "cut after", "cut within the answer", "slow request", "slow answer",
	"stream cut", "stream ended early",
}

// soakProxy stands before a server and fails. It waits for the server's answer before it loses it.
type soakProxy struct {
	url       string
	target    *url.URL
	transport *http.Transport
	mu        sync.Mutex
	random    *rand.Rand
	count     map[string]int
}

func newSoakProxy(t *testing.T, target string, seed uint64) *soakProxy {
	t.Helper()
	u, err := url.Parse(target)
	require.NoError(t, err)
	p := &soakProxy{target: u, transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 100}, random: rand.New(rand.NewPCG(seed, 1)), count: map[string]int{}}
	server := httptest.NewServer(p)
	t.Cleanup(func() { server.Close(); p.transport.CloseIdleConnections() })
	p.url = server.URL
	return p
}

func (p *soakProxy) played() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.count)
}

// pick says which fault a request meets, "" for none, and gives a number for its extent.
func (p *soakProxy) pick(faults []string, of int) (fault string, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n = p.random.IntN(of)
	if n >= len(faults) {
		return "", 0
	}
	return faults[n], p.random.IntN(1 << 16)
}

func (p *soakProxy) plays(fault string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count[fault]++
}

func (p *soakProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fault, n := p.pick(soakFaults[:7], 70)
	switch fault {
	case "status, not processed":
		p.plays(fault)
		http.Error(w, `{"detail": "a fault"}`, []int{500, 502, 503, 429}[n%4])
		return
	case "cut before":
		p.plays(fault)
		reset(w)
		return
	case "slow request":
		p.plays(fault)
		pause(r.Context(), n)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.RequestURI, out.Host = p.target.Scheme, p.target.Host, "", p.target.Host
	out.Body = io.NopCloser(bytes.NewReader(body))
	resp, err := p.transport.RoundTrip(out)
	if err != nil {
		reset(w)
		return
	}
	defer resp.Body.Close()
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		p.stream(w, resp)
		return
	}
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		reset(w)
		return
	}
	switch fault {
	case "status, processed":
		p.plays(fault)
		http.Error(w, `{"detail": "a fault"}`, []int{500, 502, 504}[n%3])
		return
	case "cut after":
		p.plays(fault)
		reset(w)
		return
	case "slow answer":
		p.plays(fault)
		pause(r.Context(), n)
	}
	maps.Copy(w.Header(), resp.Header)
	if fault == "cut within the answer" && len(answer) > 1 {
		p.plays(fault)
		w.Header().Set("Content-Length", fmt.Sprint(len(answer)))
		w.WriteHeader(resp.StatusCode)
		_, _ = w.Write(answer[:1+n%(len(answer)-1)])
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = w.Write(answer)
}

// stream passes events on as they come, every fifth stream not to its end.
func (p *soakProxy) stream(w http.ResponseWriter, resp *http.Response) {
	fault, n := p.pick(soakFaults[7:], 10)
	left := n % 6000 // bytes
	maps.Copy(w.Header(), resp.Header)
	w.WriteHeader(resp.StatusCode)
	control := http.NewResponseController(w)
	part := make([]byte, 4096)
	for {
		size, err := resp.Body.Read(part)
		if fault != "" && size > left {
			p.plays(fault)
			_, _ = w.Write(part[:left])
			if fault == "stream cut" {
				_ = control.Flush()
				panic(http.ErrAbortHandler)
			}
			return
		}
		left -= size
		_, _ = w.Write(part[:size])
		_ = control.Flush()
		if err != nil {
			return
		}
	}
}

// reset breaks the connection.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

func pause(ctx context.Context, n int) {
	select {
	case <-ctx.Done():
	case <-time.After(time.Duration(n%300) * time.Millisecond):
	}
}

func (j *soakJob) user(i int) string { return fmt.Sprintf("%suser_%d", j.Prefix, i) }

// owner is the process that signs a user up, and changes the agent's tags: without a lock that processes share only one may.
func owner(user int) int { return user % soakProcesses }

// mortal users are deleted and signed up again.
func mortal(user int) bool { return user%10 == 9 }
