package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/pprof/profile"
)

// What a call spends its CPU time on.
const (
	inKernel    = "kernel: reads, writes, waits"
	inMemory    = "allocation and garbage collection"
	inEngine    = "JSON engine"
	inOurs      = "letta-go"
	inHTTP      = "net/http"
	inScheduler = "scheduler"
)

var spentKinds = []string{inKernel, inScheduler, inHTTP, inMemory, inEngine, inOurs}

// profiled are the calls whose goals are the hardest.
var profiled = []string{"retrieve", "list-50", "stream-flushed"}

// spent is a profile of calls by one worker.
type spent struct {
	Workload string             `json:"workload"`
	Client   string             `json:"client"`
	CPU      int64              `json:"cpu"` // of a call
	Samples  int                `json:"samples"`
	Shares   map[string]float64 `json:"shares"` // of the samples
}

func runProfiles(p plan, l *lab, r *results) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	asked := lab{base: l.base, env: l.env, profile: filepath.Join(dir, "profile")}
	for _, name := range profiled {
		for _, client := range []string{ours, sameEngine} {
			w := workloads[slices.IndexFunc(workloads, func(w workload) bool { return w.name == name })]
			calls := max(1, int(float64(20*w.calls)*p.share))
			worker, err := start(asked.command(client, name, 1))
			if err != nil {
				return err
			}
			s, err := worker.round(calls, anything)
			if err != nil {
				return err
			}
			if err := worker.end(); err != nil {
				return err
			}
			x := spent{Workload: name, Client: client, CPU: s.CPU / int64(calls)}
			if err := x.read(asked.profile); err != nil {
				return err
			}
			r.Profiles = append(r.Profiles, x)
		}
	}
	return nil
}

// read counts the samples of a profile.
func (x *spent) read(name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	p, err := profile.Parse(file)
	if err != nil {
		return err
	}
	x.Shares = map[string]float64{}
	for _, s := range p.Sample { // its first value is how often it was seen
		var stack []string // the innermost function first
		for _, location := range s.Location {
			for _, line := range location.Line {
				stack = append(stack, line.Function.Name)
			}
		}
		x.Samples += int(s.Value[0])
		x.Shares[spentIn(stack)] += float64(s.Value[0])
	}
	for kind := range x.Shares {
		x.Shares[kind] /= float64(x.Samples)
	}
	return nil
}

// spentIn is what the innermost function of a known kind makes of a stack.
func spentIn(stack []string) string {
	for _, f := range stack {
		switch {
		case hasPrefix(f, "internal/runtime/syscall.", "syscall.", "runtime.futex", "runtime.netpoll", "runtime.usleep", "runtime.write", "runtime.read"):
			return inKernel
		case hasPrefix(f, "runtime.malloc", "runtime.gc", "runtime.bgsweep", "runtime.newobject", "runtime.makeslice", "runtime.growslice", "runtime.scan"):
			return inMemory
		case hasPrefix(f, "github.com/go-json-experiment/", "encoding/json"):
			return inEngine
		case hasPrefix(f, "github.com/letta-go/letta."), hasPrefix(f, "github.com/letta-go/letta/internal"):
			return inOurs
		case hasPrefix(f, "net/http", "net.", "net/", "internal/poll.", "bufio."):
			return inHTTP
		}
	}
	return inScheduler
}

func hasPrefix(name string, prefixes ...string) bool {
	for _, prefix := range prefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
