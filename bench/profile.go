package main

import (
	"os"
	"path/filepath"
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

// profiles are of the calls whose goals are the hardest.
var profiled = []string{"retrieve", "list-50", "stream-flushed"}

// spent is a profile of this client's calls by one worker.
type spent struct {
	Workload string             `json:"workload"`
	Shares   map[string]float64 `json:"shares"` // of the CPU time
}

func runProfiles(p plan, l *lab, r *results) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, w := range workloads {
		for _, name := range profiled {
			if w.name != name {
				continue
			}
			file := filepath.Join(dir, name)
			asked := lab{base: l.base, env: l.env, profile: file}
			worker, err := start(asked.command(ours, name, 1))
			if err != nil {
				return err
			}
			if _, err := worker.round(max(1, int(float64(10*w.calls)*p.share)), anything); err != nil {
				return err
			}
			if err := worker.end(); err != nil {
				return err
			}
			shares, err := readProfile(file)
			if err != nil {
				return err
			}
			r.Profiles = append(r.Profiles, spent{name, shares})
		}
	}
	return nil
}

func readProfile(name string) (map[string]float64, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	p, err := profile.Parse(file)
	if err != nil {
		return nil, err
	}
	shares, total := map[string]float64{}, 0.0
	for _, s := range p.Sample {
		var stack []string // the innermost function first
		for _, location := range s.Location {
			for _, line := range location.Line {
				stack = append(stack, line.Function.Name)
			}
		}
		cpu := float64(s.Value[len(s.Value)-1])
		shares[spentIn(stack)] += cpu
		total += cpu
	}
	for kind := range shares {
		shares[kind] /= max(total, 1)
	}
	return shares, nil
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
