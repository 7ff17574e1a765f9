// Command bench compares this client with programs without a client library and with the official Python and TypeScript
// clients. All talk to one server in a process of its own, which answers with bytes that were recorded from Letta 0.16.8. What
// is compared is CPU time, which other programs on the machine disturb less than the clock, in rounds in which the clients
// take turns.
//
//	go -C bench run .            measures, about a quarter of an hour, and writes results.json
//	go -C bench run . -quick     the same in a minute, with figures that mean nothing, and writes nothing
//	go -C bench run . render     writes docs/benchmarks.md and docs/benchmarks.svg from results.json
//	go -C bench run . join a.json b.json        writes results.json from two runs, with the rounds of both
//	go -C bench run . compare a.json b.json     says where two runs disagree
package main

import (
	"embed"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

//go:embed clients/client.py clients/client.mjs
var scripts embed.FS

func main() {
	if err := command(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func command(args []string) error {
	first := ""
	if len(args) > 0 {
		first = args[0]
	}
	switch first {
	case "server":
		return serve()
	case "worker": // KIND URL WORKLOAD WORKERS PROFILE
		workers, err := strconv.Atoi(args[4])
		if err != nil {
			return err
		}
		return work(args[1], args[2], args[3], workers, args[5])
	case "render":
		return render(resultsFile, "..")
	case "join":
		if len(args) != 3 {
			return fmt.Errorf("join wants two files")
		}
		r, err := readResults(args[1])
		if err != nil {
			return err
		}
		other, err := readResults(args[2])
		if err != nil {
			return err
		}
		r.join(other)
		return r.write(resultsFile)
	case "compare":
		if len(args) != 3 {
			return fmt.Errorf("compare wants two files")
		}
		return compare(args[1], args[2])
	}
	return measureAll(args)
}

const resultsFile = "results.json"

func measureAll(args []string) error {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	quick := flags.Bool("quick", false, "run everything with little of it, and write no file")
	out := flags.String("o", resultsFile, "write the results to this `file`; the default with -quick is none")
	rounds := flags.Int("rounds", 0, "measure in so many rounds")
	only := flags.String("only", "", "of the calls, only those whose `workload/workers` contains this")
	which := flags.String("parts", "", "measure only these parts, separated by commas, and leave the others in the file as they are: "+strings.Join(parts, ","))
	who := flags.String("clients", "", "only these clients, separated by semicolons: "+strings.Join(clients, ";"))
	env := flags.String("env", filepath.Join(cache, "letta-go-bench"), "`folder` for the official clients, which are installed there")
	profile := flags.String("cpuprofile", "", "write a CPU profile of a Go client to a `file`; use it with -parts calls, -only and -clients")
	if err := flags.Parse(args); err != nil {
		return err
	}
	p := fullPlan()
	if *quick {
		p = quickPlan()
		if *out == resultsFile {
			*out = ""
		}
	}
	if *rounds > 0 {
		p.rounds = *rounds
	}
	p.only = *only
	if *which != "" {
		p.parts = strings.Split(*which, ",")
	}
	if *who != "" {
		p.clients = strings.Split(*who, ";")
	}
	r := &results{Rounds: p.rounds, Runs: 1, Command: commandOf(flags)}
	if *which != "" && *out != "" { // measured again, beside what the file has of the other parts
		if old, err := readResults(*out); err == nil {
			r = old
			if slices.Contains(p.parts, "calls") { // joined with nothing any more
				r.Runs, r.Rounds = 1, p.rounds
			}
		}
	}
	return run(p, &lab{env: *env, profile: *profile}, r, func() error {
		if *out == "" {
			return nil
		}
		return r.write(*out)
	})
}

// commandOf is the command that repeats a run. Where its files are does not matter to it.
func commandOf(flags *flag.FlagSet) string {
	text := "go -C bench run ."
	flags.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "o", "env", "cpuprofile":
		default:
			text += fmt.Sprintf(" -%s %q", f.Name, f.Value)
		}
	})
	return text
}
