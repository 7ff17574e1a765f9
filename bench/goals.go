package main

import "fmt"

// goal is what a ratio of CPU times should be, over the clients as the goal is worded: "at most 1.05 of net/http with the same
// engine" is ours over net/http, "8 times less than Python" is Python over ours.
type goal struct {
	says        string
	over, under string
	bound       float64
	least       bool // bound is the least that is wanted, not the most
	workloads   []string
}

var (
	allWorkloads = []string{"create", "retrieve", "list-1", "list-50", "stream-flushed", "stream-burst"}
	goals        = []goal{
		{"a call, of net/http with the same engine", ours, sameEngine, 1.05, false, []string{"create", "retrieve", "list-1", "list-50"}},
		{"a list of 50 agents, of encoding/json into the same structs", ours, standard, 0.40, false, []string{"list-50"}},
		{"a flushed stream, of encoding/json into one flat struct", ours, standard, 0.75, false, []string{"stream-flushed"}},
		{"a stream at once, of encoding/json into one flat struct", ours, standard, 0.30, false, []string{"stream-burst"}},
		{"anything, of ours: the official Python client", python, ours, 8, true, allWorkloads},
		{"anything but the list of 50, of ours: the official TypeScript client", typescript, ours, 4, true, []string{"create", "retrieve", "list-1", "stream-flushed", "stream-burst"}},
		{"the list of 50, of ours: the official TypeScript client", typescript, ours, 2, true, []string{"list-50"}},
	}
)

// verdict is a goal in one cell.
type verdict struct {
	goal
	cell  cell
	ratio ratio
}

func (v verdict) met() bool {
	if v.least {
		return v.ratio.median >= v.bound
	}
	return v.ratio.median <= v.bound
}

// open reports that the bound lies within the spread, so that another run may say the other thing.
func (v verdict) open() bool { return v.ratio.low <= v.bound && v.bound <= v.ratio.high }

func (g goal) want() string {
	if g.least {
		return fmt.Sprintf("at least %g", g.bound)
	}
	return fmt.Sprintf("at most %.2f", g.bound)
}

// verdicts are those of a goal, in the order of the results.
func (r *results) verdicts(g goal) (list []verdict) {
	for _, c := range r.Cells {
		for _, w := range g.workloads {
			if ratio, ok := c.ratio(g.over, g.under); ok && c.Workload == w {
				list = append(list, verdict{g, c, ratio})
			}
		}
	}
	return list
}
