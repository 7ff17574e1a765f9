package example

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/letta-go/letta"
)

// chooseModel returns the handle that want, or else the environment variable LETTA_MODEL, names; if both are empty, a
// model of the server. The error for a model that the server lacks names those that it has.
func chooseModel(ctx context.Context, client *letta.Client, want string) (string, error) {
	models, err := client.Models.List(ctx, nil)
	if err != nil {
		return "", err
	}
	var handles []string
	for _, m := range models {
		// Letta 0.16.8 lists embedding models among the others; letta-free is a service that self-hosted servers may not reach.
		if m.Handle != "" && !strings.Contains(m.Handle, "embedding") && m.Handle != "letta/letta-free" {
			handles = append(handles, m.Handle)
		}
	}
	return choose("model", "LETTA_MODEL", want, "gpt-4o-mini", handles)
}

// Embedding returns the handle that want or LETTA_EMBEDDING names or, if both are empty, an embedding model of the server.
func (s *Session) Embedding(ctx context.Context, want string) (string, error) {
	models, err := s.Client.Models.Embeddings.List(ctx)
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
