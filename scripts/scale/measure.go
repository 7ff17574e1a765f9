package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/peruser"
)

// Measured is what measure writes.
type Measured struct {
	Server     string      `json:"server"`
	Go         string      `json:"go"`
	Cores      int         `json:"cores"`
	Agents     int         `json:"agents"` // on the server while it was measured
	Operations []Operation `json:"operations"`
	Client     Client      `json:"client"`
}

// Operation is one operation by so many workers at once.
type Operation struct {
	Name        string             `json:"name"`
	Workers     int                `json:"workers"`
	Count       int                `json:"count"`
	Median      float64            `json:"median_ms"`
	P90         float64            `json:"p90_ms"`
	PerSecond   float64            `json:"per_second"`
	CPU         map[string]float64 `json:"cpu_ms"`         // of each process of the server, per operation
	ClientCPU   float64            `json:"client_cpu_ms"`  // of this process, per operation
	FirstMedian float64            `json:"first_piece_ms"` // of streams
}

// Client is what the client's process needs.
type Client struct {
	Streams         int     `json:"streams"`
	StreamMemory    float64 `json:"stream_memory_kib"` // heap and stacks, per open stream
	StreamRoutines  float64 `json:"stream_goroutines"`
	CachedLookup    float64 `json:"cached_lookup_ns"`
	CachedAllocs    int64   `json:"cached_lookup_allocations"`
	CacheEntry      float64 `json:"cache_entry_bytes"`
	CacheEntryCount int     `json:"cache_entries"`
}

func measure(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("measure", flag.ExitOnError)
	url := flags.String("url", "http://127.0.0.1:8283", "a Letta server")
	model := flags.String("model", "openai-proxy/gpt-4o-mini", "of the agents; that of scripts/letta-server answers at once")
	pids := flags.String("pids", "", "name=pid,...: processes of the server")
	agents := flags.Int("agents", 200, "how many agents to make")
	out := flags.String("out", "", "the file of results")
	_ = flags.Parse(args)
	m := &measurement{model: *model, n: *agents, tag: fmt.Sprintf("scale-%08x", rand.Uint32()), pids: map[string]int{}}
	for pair := range strings.SplitSeq(*pids, ",") {
		name, pid, _ := strings.Cut(pair, "=")
		n, err := strconv.Atoi(pid)
		if err != nil {
			return fmt.Errorf("-pids: %w", err)
		}
		m.pids[name] = n
	}
	var err error
	if m.client, err = letta.NewClient(letta.WithBaseURL(*url), letta.WithMaxRetries(0)); err != nil {
		return err
	}
	defer m.client.Close()
	defer m.clean(ctx)
	health, err := m.client.Health(ctx)
	if err != nil {
		return err
	}
	m.result = Measured{Server: "Letta " + health.Version, Go: runtime.Version(), Cores: runtime.NumCPU(), Agents: *agents}
	if err := m.server(ctx); err != nil {
		return err
	}
	if m.result.Client, err = ownNeeds(ctx, 2000, 100_000); err != nil {
		return err
	}
	return save(*out, m.result)
}

type measurement struct {
	client *letta.Client
	model  string
	tag    string
	n      int
	pids   map[string]int
	ids    []letta.AgentID
	result Measured
}

func (m *measurement) user(i int) string { return fmt.Sprintf("%s-user_%d", m.tag, i) }

// server measures the operations, one at a time and eight at once.
func (m *measurement) server(ctx context.Context) error {
	m.ids = make([]letta.AgentID, m.n)
	create := func(i int) (err error) {
		agent, err := m.client.Agents.Create(ctx, &letta.AgentCreateParams{
			Model: m.model, Tags: []string{m.tag, m.user(i)},
			MemoryBlocks: []letta.CreateBlock{{Label: "human", Value: "A user."}, {Label: "persona", Value: "An agent."}},
		})
		if err == nil {
			m.ids[i] = agent.ID
		}
		return err
	}
	say := func(background bool) *letta.AgentMessageCreateParams {
		return &letta.AgentMessageCreateParams{Messages: []letta.MessageInput{letta.UserText("How are you?")}, StreamTokens: true, Background: background}
	}
	var firsts []time.Duration
	var mu sync.Mutex
	stream := func(background bool) func(int) error {
		return func(i int) error {
			began, first := time.Now(), time.Duration(0)
			s, err := m.client.Agents.Messages.Stream(ctx, m.ids[i], say(background))
			if err != nil {
				return err
			}
			for _, err := range s.Messages() {
				if err != nil {
					return err
				}
				if first == 0 {
					first = time.Since(began)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			firsts = append(firsts, first)
			return nil
		}
	}
	half := m.n / 2
	for _, step := range []struct {
		name    string
		workers int
		from, n int
		do      func(int) error
	}{
		{"health", 1, 0, m.n, func(int) error { _, err := m.client.Health(ctx); return err }},
		{"agents.create", 1, 0, half, create},
		{"agents.create", 8, half, half, create},
		{"agents.list by tag", 1, 0, m.n, m.lookup(ctx)},
		{"agents.list by tag", 8, 0, m.n, m.lookup(ctx)},
		{"agents.retrieve", 1, 0, m.n, func(i int) error { _, err := m.client.Agents.Retrieve(ctx, m.ids[i], nil); return err }},
		{"agents.messages.create", 1, 0, half, func(i int) error {
			_, err := m.client.Agents.Messages.Create(ctx, m.ids[i], &letta.AgentMessageCreateParams{Messages: say(false).Messages})
			return err
		}},
		{"agents.messages.stream", 1, 0, half, stream(false)},
		{"agents.messages.stream", 8, half, half, stream(false)},
		{"agents.messages.stream, background", 1, 0, half, stream(true)},
		{"agents.messages.stream, background", 8, half, half, stream(true)},
		{"agents.delete", 1, 0, half, func(i int) error { return m.client.Agents.Delete(ctx, m.ids[i]) }},
	} {
		firsts = nil
		op, err := m.run(step.name, step.workers, step.from, step.n, step.do)
		if err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		if firsts != nil {
			op.FirstMedian = at(firsts, 0.5)
		}
		fmt.Fprintf(os.Stderr, "%+v\n", op)
		m.result.Operations = append(m.result.Operations, op)
	}
	return nil
}

func (m *measurement) lookup(ctx context.Context) func(int) error {
	return func(i int) error {
		found, err := m.client.Agents.List(ctx, letta.Tags(m.user(i)))
		if err == nil && (len(found) != 1 || found[0].ID != m.ids[i]) {
			err = errors.New("not the agent")
		}
		return err
	}
}

// run does an operation n times.
func (m *measurement) run(name string, workers, from, n int, do func(int) error) (Operation, error) {
	// CPU time is counted in hundredths of a second, so it must be much of it.
	server, own, began := m.cpu(), ownCPU(), time.Now()
	took := make([]time.Duration, n)
	errs := make([]error, n)
	next := make(chan int)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for i := range next {
				began := time.Now()
				errs[i] = do(from + i)
				took[i] = time.Since(began)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	all.Wait()
	elapsed := time.Since(began)
	op := Operation{Name: name, Workers: workers, Count: n, Median: at(took, 0.5), P90: at(took, 0.9), PerSecond: round(float64(n) / elapsed.Seconds()), CPU: map[string]float64{}}
	op.ClientCPU = round(ms(ownCPU()-own) / float64(n))
	for name, before := range server {
		op.CPU[name] = round(ms(m.cpu()[name]-before) / float64(n))
	}
	return op, errors.Join(errs...)
}

func (m *measurement) clean(ctx context.Context) {
	_, err := letta.ForEach(ctx, m.client.Agents.ListAll(ctx, letta.Tags(m.tag)), letta.ForEachOptions{Concurrency: 2}, func(ctx context.Context, agent *letta.AgentState) error {
		return m.client.Agents.Delete(ctx, agent.ID)
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "not all agents were deleted:", err)
	}
}

// cpu is the time of each process with its descendants, and with those that have ended.
func (m *measurement) cpu() map[string]time.Duration {
	const tick = 10 * time.Millisecond
	parent, used := map[int]int{}, map[int]time.Duration{}
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		data, err := os.ReadFile(file) //nolint:gosec // of /proc
		if err != nil {
			continue
		}
		text := string(data)
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:]) // from the state on
		parent[pid], _ = strconv.Atoi(fields[1])
		for _, field := range fields[11:15] { // utime, stime, cutime, cstime
			n, _ := strconv.Atoi(field)
			used[pid] += time.Duration(n) * tick
		}
	}
	total := map[string]time.Duration{}
	for name, root := range m.pids {
		for pid := range used {
			for up := pid; up > 1; up = parent[up] {
				if up == root {
					total[name] += used[pid]
					break
				}
			}
		}
	}
	return total
}

func ownCPU() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// --- the client's process -----------------------------------------------------------------------------------

// ownNeeds measures open streams, on a server in another process, and lookups that are remembered.
func ownNeeds(ctx context.Context, streams, entries int) (Client, error) {
	c := Client{Streams: streams, CacheEntryCount: entries}
	self, err := os.Executable()
	if err != nil {
		return c, err
	}
	cmd := exec.CommandContext(ctx, self, "stub")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return c, err
	}
	if err := cmd.Start(); err != nil {
		return c, err
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return c, err
	}
	client, err := letta.NewClient(letta.WithBaseURL(strings.TrimSpace(url)))
	if err != nil {
		return c, err
	}
	defer client.Close()
	if err := c.openStreams(ctx, client); err != nil {
		return c, err
	}
	err = c.rememberUsers(ctx, client)
	return c, err
}

// openStreams measures streams that wait for their next frame.
func (c *Client) openStreams(ctx context.Context, client *letta.Client) error {
	streams := c.Streams
	memory, routines := held()
	open := make([]*letta.MessageStream, streams)
	var all sync.WaitGroup
	errs := make([]error, streams)
	slots := make(chan struct{}, 50)
	ready := make(chan struct{}, streams)
	done := make(chan struct{})
	for i := range streams {
		slots <- struct{}{}
		all.Go(func() {
			open[i], errs[i] = client.Agents.Messages.Stream(ctx, "agent-00000000-0000-4000-8000-000000000000",
				&letta.AgentMessageCreateParams{Messages: []letta.MessageInput{letta.UserText("hello")}, StreamTokens: true})
			<-slots
			if errs[i] != nil {
				ready <- struct{}{}
				return
			}
			defer open[i].Close()
			for _, errs[i] = range open[i].Messages() {
				ready <- struct{}{}
				<-done // a loop that is left closes the stream
				return
			}
		})
	}
	for range streams {
		<-ready
	}
	memoryThen, routinesThen := held()
	close(done)
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	c.StreamMemory = round(float64(memoryThen-memory) / float64(streams) / 1024)
	c.StreamRoutines = round(float64(routinesThen-routines) / float64(streams))
	return nil
}

// rememberUsers measures what peruser remembers, and lookups of it.
func (c *Client) rememberUsers(ctx context.Context, client *letta.Client) error {
	entries := c.CacheEntryCount
	memory, _ := held()
	users, err := peruser.New(client, peruser.Options{CacheSize: entries, CacheTTL: time.Hour})
	if err != nil {
		return err
	}
	for i := range entries {
		if _, err := users.Agent(ctx, fmt.Sprintf("user_%d", i)); err != nil {
			return err
		}
	}
	memoryThen, _ := held()
	c.CacheEntry = math.Round(float64(memoryThen-memory) / float64(entries))
	bench := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := users.Agent(ctx, "user_1"); err != nil {
				b.Fatal(err)
			}
		}
	})
	c.CachedLookup, c.CachedAllocs = round(float64(bench.T.Nanoseconds())/float64(bench.N)), bench.AllocsPerOp()
	return nil
}

// held is the memory that is in use, and the number of goroutines.
func held() (int64, int) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse), runtime.NumGoroutine() //nolint:gosec // far from overflowing
}

// stub serves streams that send a piece and then nothing, and an agent for every tag.
func stub(ctx context.Context, _ []string) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", listener.Addr())
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprintf(w, `[{"id": "agent-00000000-0000-4000-8000-%012x", "tags": [%q]}]`, rand.Uint64()>>16, r.URL.Query().Get("tags"))
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, `data: {"id":"message-1","date":"2026-01-01T00:00:00+00:00","message_type":"assistant_message","content":"Hello","run_id":"run-1","seq_id":1}`+"\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})}
	return server.Serve(listener)
}

func at(times []time.Duration, part float64) float64 {
	sorted := slices.Sorted(slices.Values(times))
	return round(ms(sorted[int(part*float64(len(sorted)-1))]))
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// round keeps three digits.
func round(v float64) float64 {
	if v == 0 {
		return 0
	}
	scale := math.Pow(10, 2-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*scale) / scale
}
