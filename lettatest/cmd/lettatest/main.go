// Command lettatest serves an embedded Letta server on a port until it is interrupted. An MCP server with the command lettatest-echo has a tool
// echo; others cannot be reached.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/letta-go/letta/lettatest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("lettatest", flag.ExitOnError)
	addr := flags.String("addr", "127.0.0.1:8283", "address to listen on; port 0 picks a free one")
	password := flags.String("password", "", "password that clients must send")
	models := flags.String("models", "", "model handles to offer, separated by commas")
	_ = flags.Parse(args) // exits on an error

	opts := []lettatest.Option{lettatest.WithAddr(*addr), lettatest.WithPassword(*password)}
	if *models != "" {
		opts = append(opts, lettatest.WithModels(strings.Split(*models, ",")...))
	}
	srv, err := lettatest.Listen(opts...)
	if err != nil {
		return fmt.Errorf("%w\n(is another server running there? -addr 127.0.0.1:0 picks a free port)", err)
	}
	defer srv.Close()
	srv.MCP("lettatest-echo", lettatest.MCPTool{
		Name: "echo", Description: "Repeats its arguments.", Run: func(arguments string) (string, error) { return arguments, nil },
	})
	fmt.Println("LETTA_BASE_URL=" + srv.URL())
	if *password != "" {
		fmt.Println("LETTA_API_KEY=" + *password)
	}
	<-ctx.Done()
	return nil
}
