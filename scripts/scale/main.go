// Scale measures what docs/scale.md says, and simulates the rest. Both write a file of results:
//
//	scripts/letta-server up v1 && scripts/letta-server status
//	go run ./scripts/scale measure -url http://127.0.0.1:8283 -pids v1=PID,postgres=PID,redis=PID,model=PID -out docs/scale/measured.json
//	go run ./scripts/scale simulate -in docs/scale/measured.json -out docs/scale/simulated.json
//	go run ./scripts/scale tables -dir docs/scale
//
// The measurement leaves nothing on the server. CPU time is that of the processes and of those that they started, so it is for
// machines with /proc. The simulation is the same each time. The last command prints the tables of docs/scale.md.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	commands := map[string]func(context.Context, []string) error{"measure": measure, "stub": stub, "simulate": simulate, "tables": tables}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: scale measure|simulate|tables [flags]")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](context.Background(), os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func save(file string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644) //nolint:gosec // it is published
}

func load(file string, v any) error {
	data, err := os.ReadFile(file) //nolint:gosec // it is the caller's
	if err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}
