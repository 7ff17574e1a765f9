package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// plan is how much is measured.
type plan struct {
	rounds  int
	share   float64 // of the calls of a round
	workers []int
	clients []string
	only    string // workloads whose name/workers contains it
	parts   []string
	agents  []int // of a walk
	open    int   // streams
	builds  []string
}

// The parts of a run.
const (
	partCalls   = "calls"
	partFirst   = "first"
	partWalks   = "walks"
	partStreams = "streams"
	partLookups = "lookups"
	partBuilds  = "builds"
	partProfile = "profiles"
)

var parts = []string{partCalls, partFirst, partWalks, partStreams, partLookups, partBuilds, partProfile}

func fullPlan() plan {
	return plan{
		rounds: 5, share: 1, workers: workerCounts, clients: clients, parts: parts,
		agents: []int{1000, 100_000}, open: 10_000, builds: consumers,
	}
}

// quickPlan is for CI: everything runs, little is measured.
func quickPlan() plan {
	return plan{
		rounds: 1, share: 0.1, workers: []int{8}, clients: clients, parts: parts,
		agents: []int{1000, 2000}, open: 200, builds: []string{"letta"},
	}
}

// run measures the parts that the plan names, puts them into r, and saves after each of them.
func run(p plan, l *lab, r *results, save func() error) error {
	if err := l.prepare(p.clients); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	srv, err := start(newCommand(self, "server"))
	if err != nil {
		return err
	}
	defer func() { _ = srv.end() }()
	if l.base, err = srv.line(); err != nil {
		return err
	}
	r.Date, r.Cores = time.Now().UTC().Format(time.DateOnly), runtime.NumCPU()
	if r.Versions, err = versions(l, p.clients); err != nil {
		return err
	}
	for _, part := range p.parts {
		began := time.Now()
		switch part {
		case partCalls:
			r.Cells = nil
			err = runCells(p, l, r)
		case partFirst:
			r.First = nil
			err = runFirst(p, l, r)
		case partWalks:
			r.Walks = nil
			err = runWalks(p, l, r)
		case partStreams:
			r.Streams = nil
			err = runStreams(p, l, r)
		case partLookups:
			r.Lookups = nil
			err = runLookups(p, l, r)
		case partBuilds:
			r.Builds = nil
			err = runBuilds(p, r)
		case partProfile:
			r.Profiles = nil
			err = runProfiles(p, l, r)
		default:
			err = fmt.Errorf("no such part, only %v", parts)
		}
		if err == nil {
			err = save()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", part, err)
		}
		fmt.Fprintf(os.Stderr, "%s: %.0f s\n", part, time.Since(began).Seconds())
	}
	return nil
}

// versions of what is compared.
func versions(l *lab, kinds []string) (map[string]string, error) {
	v := map[string]string{"Go": strings.TrimPrefix(runtime.Version(), "go"), "Letta's official clients": lettaClient}
	ask := func(name string, args ...string) error {
		out, err := newCommand(args[0], args[1:]...).Output()
		v[name] = strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(string(out)), "Python "), "v")
		return err
	}
	var err error
	if slices.Contains(kinds, python) {
		err = ask("Python", l.env+"/"+venv+"/bin/python", "--version")
	}
	if slices.Contains(kinds, typescript) {
		err = errors.Join(err, ask("Node", "node", "--version"))
	}
	return v, err
}

// runCells measures the calls. In each cell all clients run, each in a process of its own that lives through all rounds. They take
// turns, a different one first in each round, so that what else the machine does falls on all of them.
func runCells(p plan, l *lab, r *results) error {
	s, err := newServer()
	if err != nil {
		return err
	}
	for _, w := range workloads {
		for _, workers := range p.workers {
			if name := fmt.Sprintf("%s/%d", w.name, workers); strings.Contains(name, p.only) {
				c, err := runCell(p, l, s, w, workers)
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				r.Cells = append(r.Cells, c)
				fmt.Fprintln(os.Stderr, name, c.summary())
			}
		}
	}
	return nil
}

func runCell(p plan, l *lab, srv *server, w workload, workers int) (cell, error) {
	c := cell{Workload: w.name, Workers: workers}
	var processes []*process
	var wants []int
	for _, kind := range p.clients {
		want, err := srv.wants(w.name, kind)
		if err != nil {
			return c, err
		}
		worker, err := start(l.command(kind, w.name, workers))
		if err != nil {
			return c, err
		}
		processes, wants = append(processes, worker), append(wants, want)
		calls := max(workers, int(float64(w.calls)*p.share*share(kind)))
		c.Clients = append(c.Clients, inOneCell{Client: kind, Calls: calls})
		// The first round warms up: connections, caches, the just-in-time compiler. A stream is long enough for that.
		warm := calls
		if strings.HasPrefix(w.name, "stream-") {
			warm = min(calls, 8)
		}
		if _, err := worker.round(warm, want); err != nil {
			return c, fmt.Errorf("%s: %w", kind, err)
		}
	}
	for round := range p.rounds {
		for i := range processes {
			i = (i + round) % len(processes)
			x := &c.Clients[i]
			s, err := processes[i].round(x.Calls, wants[i])
			if err != nil {
				return c, fmt.Errorf("%s: %w", x.Client, err)
			}
			x.CPU = append(x.CPU, s.CPU/int64(x.Calls))
			x.Allocs, x.Bytes = float64(s.Allocs)/float64(x.Calls), float64(s.Bytes)/float64(x.Calls)
		}
	}
	for i, worker := range processes {
		var err error
		if c.Clients[i].Peak, err = worker.memory("VmHWM"); err != nil {
			return c, err
		}
		if err := worker.end(); err != nil {
			return c, err
		}
	}
	return c, nil
}

// summary is a cell in a line, to be read while it runs.
func (c cell) summary() string {
	var b strings.Builder
	for _, x := range c.Clients {
		fmt.Fprintf(&b, " | %s %.1f µs", x.Client, float64(median(x.CPU))/1e3)
		if ratio, ok := c.ratio(x.Client, ours); ok && x.Client != ours {
			fmt.Fprintf(&b, " %.2f (%.2f to %.2f)", ratio.median, ratio.low, ratio.high)
		}
	}
	return b.String()
}

// runFirst measures fresh processes, from their start to their end, that list agents by a tag once.
func runFirst(p plan, l *lab, r *results) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	commands := map[string]func() *exec.Cmd{}
	for _, kind := range p.clients {
		switch kind {
		case ours, standard:
			file := filepath.Join(dir, consumerOf[kind])
			if _, _, err := once(newCommand("go", "build", "-o", file, "./consumers/"+consumerOf[kind])); err != nil {
				return err
			}
			commands[kind] = func() *exec.Cmd {
				cmd := newCommand(file)
				cmd.Env = append(os.Environ(), "LETTA_BASE_URL="+l.base, "LETTA_API_KEY=sk-test")
				return cmd
			}
		case python, typescript:
			commands[kind] = func() *exec.Cmd { return l.command(kind, "first", 1) }
		default:
			continue
		}
		r.First = append(r.First, program{Client: kind})
	}
	for round := range p.rounds + 1 {
		for i := range r.First {
			x := &r.First[i]
			cpu, wall, err := once(commands[x.Client]())
			if err != nil {
				return err
			}
			if round > 0 { // the first one reads the files
				x.CPU, x.Wall = append(x.CPU, cpu), append(x.Wall, wall)
			}
		}
	}
	return nil
}

// longWalk is as far as the Python client walks: the whole list would take it a minute.
const longWalk = 10_000

// runWalks walks over lists of two lengths, each time in a fresh process: what the longer one needs more is not constant.
func runWalks(p plan, l *lab, r *results) error {
	for _, n := range p.agents {
		for _, kind := range p.clients {
			switch {
			case kind == ours, kind == typescript, kind == python && n <= longWalk:
				r.Walks = append(r.Walks, held{Client: kind, N: n})
			case kind == python:
				r.Walks = append(r.Walks, held{Client: kind, N: longWalk})
			}
		}
	}
	for range p.rounds {
		for i := range r.Walks {
			x := &r.Walks[i]
			if x.N >= longWalk && x.Client != ours && len(x.CPU) > 0 {
				continue // once is enough to see whether memory grows
			}
			worker, err := start(l.command(x.Client, walk, 1))
			if err != nil {
				return err
			}
			s, err := worker.round(x.N, x.N)
			if err != nil {
				return err
			}
			peak, err := worker.memory("VmHWM")
			if err != nil {
				return err
			}
			x.CPU, x.Peak = append(x.CPU, s.CPU/int64(x.N)), append(x.Peak, peak)
			if err := worker.end(); err != nil {
				return err
			}
		}
	}
	return nil
}

// runStreams opens streams and leaves them open.
func runStreams(p plan, l *lab, r *results) error {
	for _, kind := range p.clients {
		n := p.open
		switch kind {
		case sameEngine, undecoded:
			continue // as encoding/json: an open stream decodes nothing
		case python:
			n = min(n, 100) // the client has no more connections
		case typescript:
			n = min(n, 1000)
		}
		worker, err := start(l.command(kind, openStreams, 1))
		if err != nil {
			return err
		}
		const warm = 10
		if _, err := worker.round(warm, warm); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		before, err := worker.memory("VmRSS")
		if err != nil {
			return err
		}
		s, err := worker.round(n, n) // in all
		if err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		after, err := worker.memory("VmRSS")
		if err != nil {
			return err
		}
		r.Streams = append(r.Streams, held{Client: kind, N: n - warm, CPU: []int64{s.CPU / int64(n-warm)}, RSS: after - before, Heap: s.Heap, Stack: s.Stack})
		_ = worker.cmd.Process.Kill() // it need not say goodbye to every stream
		_ = worker.end()
	}
	return nil
}

// runLookups measures package peruser.
func runLookups(p plan, l *lab, r *results) error {
	for kind, calls := range map[string]int{cachedLookup: 2_000_000, missedLookup: 600} {
		calls = int(float64(calls) * p.share)
		worker, err := start(l.command(ours, kind, 1))
		if err != nil {
			return err
		}
		want := 0
		if kind == missedLookup {
			want = calls
		}
		if _, err := worker.round(calls, want); err != nil {
			return err
		}
		x := lookup{Kind: kind}
		for range p.rounds {
			s, err := worker.round(calls, want)
			if err != nil {
				return err
			}
			x.CPU = append(x.CPU, s.CPU*1000/int64(calls))
			x.Allocs, x.Requests = float64(s.Allocs)/float64(calls), float64(s.Result)/float64(calls)
		}
		r.Lookups = append(r.Lookups, x)
		if err := worker.end(); err != nil {
			return err
		}
	}
	slices.SortFunc(r.Lookups, func(a, b lookup) int { return strings.Compare(a.Kind, b.Kind) })
	return nil
}
