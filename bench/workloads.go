package main

import (
	"fmt"
)

// The clients that are compared. Their names are those of the results.
const (
	ours       = "letta-go"
	sameEngine = "net/http, same engine"
	standard   = "net/http, encoding/json"
	undecoded  = "net/http, nothing decoded" // the least that a Go program can need
	python     = "Python"
	typescript = "TypeScript"
)

var clients = []string{ours, undecoded, sameEngine, standard, python, typescript}

// workload is what one call does.
type workload struct {
	name string
	says string // in the documentation
	// calls of a round, such that one takes about a tenth of a second of our CPU. A slow client makes fewer of them.
	calls int
}

var workloads = []workload{
	{"create", "create an agent; the answer has 19 kB", 300},
	{"retrieve", "retrieve an agent of 5 kB", 600},
	{"list-1", "list by tag, one agent", 600},
	{"list-50", "list by tag, 50 agents, 0.27 MB", 30},
	{"stream-flushed", "a stream of 2,000 frames, each flushed by itself", 1},
	{"stream-burst", "the same frames at once", 30},
}

var workerCounts = []int{1, 8, 64}

// share is the part of the calls that a client makes, because it needs so much longer for each.
func share(client string) float64 {
	switch client {
	case python:
		return 0.2
	case typescript:
		return 0.5
	}
	return 1
}

const anything = -1

// wants is what one call of the workload comes to: agents, or letters of text.
func (s *server) wants(name, client string) (int, error) {
	if client == undecoded {
		return anything, nil
	}
	switch name {
	case "create", "retrieve", "list-1":
		return 1, nil
	case "list-50":
		return 50, nil
	case "stream-flushed", "stream-burst":
		return len(s.text), nil
	}
	return 0, fmt.Errorf("there is no workload %s, only %v", name, workloadNames())
}

func workloadNames() (names []string) {
	for _, w := range workloads {
		names = append(names, w.name)
	}
	return names
}
