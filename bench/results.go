package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
)

// results is what a run has measured, as it stands in results.json. Times are in nanoseconds, memory is in bytes. What was
// measured in rounds has a value for each.
type results struct {
	Date     string            `json:"date"`
	Command  string            `json:"command"`
	Versions map[string]string `json:"versions"`
	Cores    int               `json:"cores"`
	Rounds   int               `json:"rounds"` // of a run
	Runs     int               `json:"runs"`

	Cells    []cell    `json:"cells"`
	First    []program `json:"first"`   // result of a fresh process
	Walks    []held    `json:"walks"`   // over all agents
	Streams  []held    `json:"streams"` // that are open
	Lookups  []lookup  `json:"lookups"` // of package peruser
	Builds   []build   `json:"builds"`  // of consumers
	Profiles []spent   `json:"profiles"`
}

// cell is a workload with a number of workers.
type cell struct {
	Workload string      `json:"workload"`
	Workers  int         `json:"workers"`
	Clients  []inOneCell `json:"clients"`
}

type inOneCell struct {
	Client string  `json:"client"`
	Calls  int     `json:"calls"` // of a round
	CPU    []int64 `json:"cpu"`   // of a call, by round
	Allocs float64 `json:"allocs,omitempty"`
	Bytes  float64 `json:"bytes,omitempty"`
	Peak   int64   `json:"peak"` // memory of the process
}

// program is a program that makes one call and ends.
type program struct {
	Client string  `json:"client"`
	CPU    []int64 `json:"cpu"`
	Wall   []int64 `json:"wall"`
}

// held is a process that holds, or goes through, n things.
type held struct {
	Client string  `json:"client"`
	N      int     `json:"n"`
	CPU    []int64 `json:"cpu"`            // of one of them, by round
	Peak   []int64 `json:"peak,omitempty"` // of the process, by round
	RSS    int64   `json:"rss,omitempty"`  // of all of them: by how much the process grew
	Heap   int64   `json:"heap,omitempty"` // of all of them
	Stack  int64   `json:"stack,omitempty"`
}

type lookup struct {
	Kind     string  `json:"kind"`
	CPU      []int64 `json:"cpu"` // of a lookup, in picoseconds, by round
	Allocs   float64 `json:"allocs"`
	Requests float64 `json:"requests"`
}

type build struct {
	Name    string  `json:"name"`
	Version string  `json:"version"`
	CPU     []int64 `json:"cpu"` // of a first build, by round
	Size    int64   `json:"size"`
	// What lies in the program of the library's main package: its functions, and those of them which belong to services
	// that the program does not use.
	Code   int64 `json:"code"`
	Unused int64 `json:"unused"`
}

func readResults(file string) (*results, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r := new(results)
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return r, nil
}

func (r *results) write(file string) error {
	data, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644)
}

// join adds the rounds of another run to those of the calls: between two runs the machine differs more than within one.
func (r *results) join(other *results) {
	for i := range r.Cells {
		c := &r.Cells[i]
		d := other.cell(c.Workload, c.Workers)
		if d == nil {
			continue
		}
		for j := range c.Clients {
			x := &c.Clients[j]
			if y := d.client(x.Client); y != nil {
				x.CPU, x.Peak = append(x.CPU, y.CPU...), max(x.Peak, y.Peak)
			}
		}
	}
	r.Runs++
}

// cell finds a cell, nil if it was not measured.
func (r *results) cell(workload string, workers int) *cell {
	i := slices.IndexFunc(r.Cells, func(c cell) bool { return c.Workload == workload && c.Workers == workers })
	if i < 0 {
		return nil
	}
	return &r.Cells[i]
}

func (c *cell) client(name string) *inOneCell {
	i := slices.IndexFunc(c.Clients, func(x inOneCell) bool { return x.Client == name })
	if i < 0 {
		return nil
	}
	return &c.Clients[i]
}

// ratio is a ratio of CPU times: the median of the rounds, in each of which both were measured one after the other, with the least and the
// largest of them.
type ratio struct{ median, low, high float64 }

func (c *cell) ratio(over, under string) (ratio, bool) {
	a, b := c.client(over), c.client(under)
	if a == nil || b == nil {
		return ratio{}, false
	}
	return ratioOf(a.CPU, b.CPU), true
}

func ratioOf(over, under []int64) ratio {
	var all []float64
	for i := range min(len(over), len(under)) {
		all = append(all, float64(over[i])/float64(under[i]))
	}
	if len(all) == 0 {
		return ratio{math.NaN(), math.NaN(), math.NaN()}
	}
	return ratio{median(all), slices.Min(all), slices.Max(all)}
}

// median is sturdier than a mean where other programs run.
func median[T int64 | float64](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return 0
	}
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}
