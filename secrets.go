package letta

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// SetSecrets adds secrets to an agent, or changes them, and keeps the others; what is so already costs no write. Secrets are
// the environment variables of the agent's tools. The server can only replace all of them at once, so this reads, writes
// and verifies, with the bounds of AddTags. It needs a server that shows the secrets' values, as Letta 0.16.8 does: if one
// to keep is hidden or empty, nothing is written, and all secrets must be given to Update. An empty value is refused,
// because Letta 0.16.8 keeps the text <encrypted> instead of it. The answer has the secrets loaded.
func (s *AgentService) SetSecrets(ctx context.Context, id AgentID, secrets map[string]string, opts ...RequestOption) (*AgentState, error) {
	const operation = "agents.set_secrets"
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		if name == "" || secrets[name] == "" {
			return nil, invalid(about(operation, id), "the name or the value of the secret %q is empty", name)
		}
	}
	return s.editSecrets(ctx, operation, id, opts, func(have map[string]string) { maps.Copy(have, secrets) })
}

// UnsetSecrets removes secrets from an agent by their names and keeps the others, like SetSecrets.
func (s *AgentService) UnsetSecrets(ctx context.Context, id AgentID, names []string, opts ...RequestOption) (*AgentState, error) {
	return s.editSecrets(ctx, "agents.unset_secrets", id, opts, func(have map[string]string) {
		for _, name := range names {
			delete(have, name)
		}
	})
}

func (s *AgentService) editSecrets(ctx context.Context, operation string, id AgentID, opts []RequestOption, edit func(map[string]string)) (*AgentState, error) {
	change := func(have map[string]string) map[string]string {
		want := maps.Clone(have)
		edit(want)
		return want
	}
	return agentEdit[map[string]string]{
		operation: operation, what: "secrets", include: AgentIncludeSecrets,
		read: func(a *AgentState) (map[string]string, error) {
			if a.Secrets == nil {
				return nil, errors.New("the server did not send the secrets")
			}
			have := map[string]string{}
			for _, secret := range a.Secrets {
				have[secret.Key] = secret.Value
			}
			for name, value := range change(have) {
				if value == "" || value == hiddenSecret {
					return nil, fmt.Errorf("the value of the secret %s is empty or hidden, and would be lost: give all secrets to Update", name)
				}
			}
			return have, nil
		},
		change: change,
		same:   maps.Equal[map[string]string, map[string]string],
		params: func(want map[string]string) *AgentUpdateParams { return &AgentUpdateParams{Secrets: want} },
	}.run(ctx, s, id, opts)
}

// hiddenSecret is what Letta 0.16.8 shows instead of a value.
const hiddenSecret = "<encrypted>"
