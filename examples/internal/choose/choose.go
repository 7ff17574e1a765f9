// Package choose picks a server and a model for the examples.
package choose

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/lettatest"
)

// Closer is what Server's caller closes at the end.
type Closer interface{ Close() }

type nothing struct{}

func (nothing) Close() {}

// Server returns a client of the server in LETTA_BASE_URL or, if that is not set, of lettatest in this process. It
// prints which.
func Server() (*letta.Client, Closer, error) {
	if url := os.Getenv("LETTA_BASE_URL"); url != "" {
		fmt.Printf("Server: %s, from LETTA_BASE_URL\n", url)
		client, err := letta.NewClient()
		return client, nothing{}, err
	}
	server := lettatest.Start()
	fmt.Println("Server: lettatest, embedded in this process, because LETTA_BASE_URL is not set; it forgets everything at the end")
	return server.Client(), server, nil
}

// Model returns the handle that want, or else the environment variable LETTA_MODEL, names; if both are empty, a
// model of the server. The error for a model that the server lacks names those that it has.
func Model(ctx context.Context, client *letta.Client, want string) (string, error) {
	models, err := client.Models.List(ctx, nil)
	if err != nil {
		return "", err
	}
	var handles []string
	for _, m := range models {
		// 0.16.8 lists embedding models among the others; letta-free is a service that self-hosted servers may not reach.
		if m.Handle != "" && !strings.Contains(m.Handle, "embedding") && m.Handle != "letta/letta-free" {
			handles = append(handles, m.Handle)
		}
	}
	return choose("model", "LETTA_MODEL", want, "gpt-4o-mini", handles)
}

// Embedding does the same for embedding models and LETTA_EMBEDDING.
func Embedding(ctx context.Context, client *letta.Client, want string) (string, error) {
	models, err := client.Models.Embeddings.List(ctx)
	if err != nil {
		return "", err
	}
	var handles []string
	for _, m := range models {
		if m.Handle != "letta/letta-free" {
			handles = append(handles, m.Handle)
		}
	}
	return choose("embedding model", "LETTA_EMBEDDING", want, "text-embedding", handles)
}

func choose(kind, variable, want, preferred string, handles []string) (string, error) {
	slices.Sort(handles)
	want = cmp.Or(want, os.Getenv(variable))
	switch {
	case len(handles) == 0:
		return "", fmt.Errorf("the server has no %s: give it the key of a provider", kind)
	case want == "":
		if i := slices.IndexFunc(handles, func(h string) bool { return strings.Contains(h, preferred) }); i >= 0 {
			return handles[i], nil
		}
		return handles[0], nil
	case !slices.Contains(handles, want):
		return "", fmt.Errorf("the server has no %s %q; it has %s (choose one by flag or %s)", kind, want, strings.Join(handles, ", "), variable)
	}
	return want, nil
}
