package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
)

// A worker is a process with one client. It reads a number from each line of its standard input, makes so many calls, and
// answers with a line of JSON, which is a sample. clients/client.py and clients/client.mjs do the same.

// sample is what a number of calls took.
type sample struct {
	CPU    int64 `json:"cpu_ns"` // of the whole process, user and system
	Result int   `json:"result"` // of each call: agents, or letters of text
	// Of Go programs only.
	Allocs uint64 `json:"allocs,omitempty"`
	Bytes  uint64 `json:"bytes,omitempty"` // that were allocated
	// Of open streams only: what the process holds.
	Heap  int64 `json:"heap,omitempty"`
	Stack int64 `json:"stack,omitempty"`

	Error string `json:"error,omitempty"`
}

// work is the worker of a Go client.
func work(kind, base, name string, workers int, profile string) error {
	if profile != "" {
		file, err := os.Create(profile)
		if err != nil {
			return err
		}
		runtime.SetCPUProfileRate(1000) // the usual rate is low for so short a run; pprof then says that it was set already
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	round, err := rounds(kind, base, name, workers)
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		calls, err := strconv.Atoi(lines.Text())
		if err != nil {
			return err
		}
		s, err := round(calls)
		if err != nil {
			s.Error = err.Error()
		}
		if err := out.Encode(s); err != nil {
			return err
		}
	}
	return nil
}

// rounds is what a worker does with a number of calls.
func rounds(kind, base, name string, workers int) (func(calls int) (sample, error), error) {
	switch name {
	case walk:
		return walkAll(kind, base)
	case openStreams:
		return holdStreams(kind, base)
	case cachedLookup, missedLookup:
		return lookups(base, name)
	}
	call, err := lettaCall(base, name)
	if kind != ours {
		call, err = bareCall(base, kind, name)
	}
	return func(calls int) (sample, error) {
		return measure(func() (int, error) { return spread(call, calls, workers) })
	}, err
}

// measure takes the sample of what f does.
func measure(f func() (int, error)) (sample, error) {
	var before, after runtime.MemStats
	runtime.GC() // what was left by the round before
	runtime.ReadMemStats(&before)
	began := cpuTime()
	result, err := f()
	s := sample{CPU: cpuTime() - began, Result: result}
	runtime.ReadMemStats(&after)
	s.Allocs, s.Bytes = after.Mallocs-before.Mallocs, after.TotalAlloc-before.TotalAlloc
	return s, err
}

// spread makes the calls from as many goroutines, and returns what each of them comes to.
func spread(call callFunc, calls, workers int) (int, error) {
	var wg sync.WaitGroup
	var begun atomic.Int64
	var once sync.Once
	var failure error
	result := -1
	var mu sync.Mutex
	for range workers {
		wg.Go(func() {
			for begun.Add(1) <= int64(calls) {
				got, err := call(context.Background())
				mu.Lock()
				if result == -1 {
					result = got
				}
				if err == nil && got != result {
					err = fmt.Errorf("one call gives %d, another %d", result, got)
				}
				mu.Unlock()
				if err != nil {
					once.Do(func() { failure = err })
					return
				}
			}
		})
	}
	wg.Wait()
	return result, failure
}

// cpuTime is what this process has used, in nanoseconds.
func cpuTime() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err) // it cannot fail with these arguments
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}
