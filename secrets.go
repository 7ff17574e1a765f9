package letta

import (
	"context"
	"errors"
	"fmt"
	"maps"
)

// SetSecrets adds secrets to an agent, or changes them, and keeps the others; what is so already costs no write. Secrets are
// the environment variables of the agent's tools. The server can only replace all of them at once, so this reads, writes
// and verifies, with the bounds of AddTags. It needs a server that shows the secrets' values, as Letta 0.16.8 does: if one
// is hidden, nothing is written, and all secrets must be given to Update. The answer has the secrets loaded.
func (s *AgentService) SetSecrets(ctx context.Context, id AgentID, secrets map[string]string, opts ...RequestOption) (*AgentState, error) {
	return s.editSecrets(ctx, "agents.set_secrets", id, opts, func(have map[string]string) { maps.Copy(have, secrets) })
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
	return agentEdit[map[string]string]{
		operation: operation, what: "secrets", include: AgentIncludeSecrets,
		read: readSecrets,
		change: func(have map[string]string) map[string]string {
			want := maps.Clone(have)
			edit(want)
			return want
		},
		same:   maps.Equal[map[string]string, map[string]string],
		params: func(want map[string]string) *AgentUpdateParams { return &AgentUpdateParams{Secrets: want} },
	}.run(ctx, s, id, opts)
}

// readSecrets gives the secrets of an agent that were loaded.
func readSecrets(a *AgentState) (map[string]string, error) {
	if a.Secrets == nil {
		return nil, errors.New("the server did not send the secrets")
	}
	secrets := map[string]string{}
	for _, secret := range a.Secrets {
		if secret.Value == "" && secret.ValueEnc != "" {
			return nil, fmt.Errorf("the server does not show the value of the secret %s, which would be lost: give all secrets to Update", secret.Key)
		}
		secrets[secret.Key] = secret.Value
	}
	return secrets, nil
}
