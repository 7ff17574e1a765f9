package main

import (
	"context"
	"flag"
	"fmt"
	"path/filepath"
	"strings"
)

// tables prints those of docs/scale.md.
func tables(_ context.Context, args []string) error {
	flags := flag.NewFlagSet("tables", flag.ExitOnError)
	dir := flags.String("dir", "docs/scale", "the folder of the results")
	_ = flags.Parse(args)
	all, err := pageTables(*dir)
	if err != nil {
		return err
	}
	fmt.Print(strings.Join(all, "\n"))
	return nil
}

func pageTables(dir string) ([]string, error) {
	var m Measured
	var s Simulated
	if err := load(filepath.Join(dir, "measured.json"), &m); err != nil {
		return nil, err
	}
	if err := load(filepath.Join(dir, "simulated.json"), &s); err != nil {
		return nil, err
	}
	operations := [][]string{{"operation", "at once", "median, ms", "per second", "CPU of Letta, ms", "CPU of its database, ms", "CPU of the client, ms"}}
	for _, op := range m.Operations {
		operations = append(operations, row("`"+op.Name+"`", op.Workers, op.Median, op.PerSecond, op.CPU["v1"], round(op.CPU["postgres"]+op.CPU["redis"]), op.ClientCPU))
	}
	loads := [][]string{{"users a day", "turns per second", "open streams", "at most", "memory of them, MiB", "cores of the client", "cores of Letta", "Letta processes", "cores of the database"}}
	for _, l := range s.Loads {
		loads = append(loads, row(l.Users, l.Turns, l.Streams, l.PeakStreams, l.StreamMemory, l.ClientCores, l.LettaCores, l.LettaProcesses, l.DatabaseCores))
	}
	caches := [][]string{{"users a day", "instances", "a user stays with one", "lookups per second", "requests per second", "remembered", "cores saved"}}
	for _, c := range s.Caches {
		if c.Users < 100_000 {
			continue // as with more: the part that is remembered is the same
		}
		stays := map[bool]string{true: "yes", false: "no"}[c.Sticky]
		if c.Instances == 1 {
			stays = "-"
		}
		caches = append(caches, row(c.Users, c.Instances, stays, c.Lookups, c.Misses, percent(c.Hits), c.SavedCores))
	}
	moves := [][]string{{"servers", "rendezvous", "modulo"}}
	for _, move := range s.Moves {
		moves = append(moves, row(fmt.Sprintf("%d to %d", move.Servers, move.Servers+1), percent(move.Rendezvous), percent(move.Modulo)))
	}
	c := m.Client
	client := [][]string{
		{"of the client's process", ""},
		row("an open stream", fmt.Sprintf("%v KiB and %v goroutines (%d were open)", c.StreamMemory, c.StreamRoutines, c.Streams)),
		row("a lookup that `peruser` remembers", fmt.Sprintf("%v ns, %d allocations", c.CachedLookup, c.CachedAllocs)),
		row("a user that `peruser` remembers", fmt.Sprintf("%v bytes (of %d)", c.CacheEntry, c.CacheEntryCount)),
	}
	soaks, err := soakTable(dir)
	if err != nil {
		return nil, err
	}
	return []string{markdown(operations), markdown(client), markdown(loads), markdown(caches), markdown(moves), soaks}, nil
}

// soakTable shows what TestSoak wrote.
func soakTable(dir string) (string, error) {
	rows := [][]string{{"server", "for", "users", "faults", "operations", "succeeded, stored once", "not sent, not stored", "open or cancelled, stored once", "open or cancelled, not stored"}}
	for _, name := range []string{"lettatest", "letta"} {
		var s struct {
			Length, Server                      string
			Users                               int
			Passed                              bool
			Faults, Operations, Failures, Turns map[string]int
		}
		if err := load(filepath.Join(dir, "soak-"+name+".json"), &s); err != nil {
			return "", err
		}
		if !s.Passed {
			return "", fmt.Errorf("the soak on %s failed", name)
		}
		sum := func(of ...map[string]int) (n int) {
			for _, m := range of {
				for _, v := range m {
					n += v
				}
			}
			return n
		}
		stored, open := 0, 0
		for outcome, n := range s.Turns {
			switch {
			case strings.Contains(outcome, ", stored"):
				stored += n
			case outcome == "perhaps", outcome == "cancelled":
				open += n
			}
		}
		server := map[string]string{"lettatest": "lettatest", "letta": "Letta 0.16.8"}[name]
		rows = append(rows, row(server, s.Length, s.Users, sum(s.Faults), sum(s.Operations, s.Failures), s.Turns["once"], s.Turns["never"], stored, open))
	}
	return markdown(rows), nil
}

func row(cells ...any) (texts []string) {
	for _, c := range cells {
		if v, ok := c.(float64); ok && v < 0.01 {
			texts = append(texts, "0.01 or less")
			continue
		}
		texts = append(texts, fmt.Sprint(c))
	}
	return texts
}

func percent(part float64) string { return fmt.Sprintf("%.0f %%", 100*part) }

func markdown(rows [][]string) string {
	var b strings.Builder
	for i, cells := range rows {
		b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
		if i == 0 {
			b.WriteString(strings.Repeat("|---", len(cells)) + "|\n")
		}
	}
	return b.String()
}
