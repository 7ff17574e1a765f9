package conformance

import (
	"context"
	"net/http"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/lettatest"
)

func TestHealth(t *testing.T) {
	ctx := begin(t)
	var response letta.Response
	health, err := server.client.Health(ctx, letta.WithResponse(&response))
	require.NoError(t, err)
	assert.Equal(t, "ok", health.Status)
	assert.Regexp(t, `^\d+\.\d+\.\d+`, health.Version)
	assert.Equal(t, http.StatusOK, response.StatusCode)
	assert.Equal(t, 1, response.Attempts)
	assert.Equal(t, "application/json", response.Header.Get("Content-Type"))
}

func TestModels(t *testing.T) {
	ctx := begin(t)
	models, err := server.client.Models.List(ctx, nil)
	require.NoError(t, err)
	require.NotEmpty(t, models)
	handles := []string{}
	for _, m := range models {
		assert.Regexp(t, `^[^/]+/.+`, m.Handle)
		assert.Positive(t, m.ContextWindow, m.Handle) //lint:ignore SA1019 0.6.12 has no other
		handles = append(handles, m.Handle)
		if !server.old {
			assert.NotEmpty(t, m.Name, m.Handle)
			assert.Positive(t, m.MaxContextWindow, m.Handle)
			assert.NotEmpty(t, m.ProviderType, m.Handle)
			assert.Equal(t, letta.ModelTypeLLM, m.ModelType, m.Handle)
		}
	}
	assert.Contains(t, handles, server.model)
	embeddings, err := server.client.Models.Embeddings.List(ctx)
	require.NoError(t, err)
	require.NotEmpty(t, embeddings)
	handles = nil
	for _, m := range embeddings {
		assert.Regexp(t, `^[^/]+/.+`, m.Handle)
		assert.Positive(t, m.EmbeddingDim, m.Handle)
		handles = append(handles, m.Handle)
		if !server.old {
			assert.Equal(t, letta.ModelTypeEmbedding, m.ModelType, m.Handle)
		}
	}
	assert.Contains(t, handles, server.embedding)
}

func TestRedirect(t *testing.T) {
	for name, test := range map[string]struct{ method, path, to string }{
		"list": {"GET", "/v1/agents", "/v1/agents/"}, "create": {"POST", "/v1/agents", "/v1/agents/"}, "blocks": {"GET", "/v1/blocks", "/v1/blocks/"},
		"one":  {"GET", "/v1/agents/" + string(unknownAgent) + "/", "/v1/agents/" + string(unknownAgent)},
		"tags": {"GET", "/v1/tags?limit=1", "/v1/tags/"}, "health": {"GET", "/v1/health", "/v1/health/"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := begin(t)
			client, sent := newRecorded(t)
			var body any
			if test.method == "POST" {
				body = basic(unique("user"))
			}
			var out any
			err := client.Do(ctx, test.method, test.path, body, &out)
			var redirect *letta.RedirectError
			require.ErrorAs(t, err, &redirect)
			assert.Equal(t, http.StatusTemporaryRedirect, redirect.StatusCode)
			assert.Equal(t, server.url+test.to, redirect.To)
			assert.Len(t, sent.seen(), 1, "it is not followed")
			assert.Nil(t, out)
		})
	}
}

func TestDo(t *testing.T) {
	ctx := begin(t)
	var raw []byte
	require.NoError(t, server.client.Do(ctx, "GET", "/v1/health/", nil, &raw))
	assert.Contains(t, string(raw), server.version)
	err := server.client.Do(ctx, "GET", "/v1/no/such/route", nil, nil)
	assert.ErrorIs(t, err, letta.ErrNotFound)
	assert.Equal(t, "Not Found", apiError(t, err).Message)
	err = server.client.Do(ctx, "PUT", "/v1/agents/", nil, nil)
	assert.Equal(t, http.StatusMethodNotAllowed, apiError(t, err).StatusCode)
}

// TestPassword: the embedded server is started once more with one; a real one must be of the kind, with its password in LETTA_API_KEY.
func TestPassword(t *testing.T) {
	needs(t, "password")
	address, password := server.url, server.password
	if server.embedded {
		password = "conf-password"
		address = lettatest.NewServer(t, lettatest.WithPassword(password)).URL()
	}
	const wrong = "wrong-password"
	hint := "no key was sent"
	if os.Getenv("LETTA_API_KEY") != "" {
		hint = "the key in LETTA_API_KEY was not sent"
	}
	token := func(key string) letta.RequestOption {
		return letta.WithTokenSource(func(context.Context) (string, error) { return key, nil })
	}
	for _, test := range []struct {
		name string
		opts func() []letta.RequestOption // made late: without a password there is no such option
		hint string                       // of the 401; empty: it works
	}{
		{"nothing", func() []letta.RequestOption { return nil }, hint},
		{"wrong key", func() []letta.RequestOption { return []letta.RequestOption{letta.WithAPIKey(wrong)} }, "a key was sent as Authorization"},
		{"wrong password", func() []letta.RequestOption { return []letta.RequestOption{letta.WithPassword(wrong)} }, "the password was sent as Authorization and X-BARE-PASSWORD"},
		{"wrong token", func() []letta.RequestOption { return []letta.RequestOption{token(wrong)} }, "a key was sent as Authorization"},
		{"basic", func() []letta.RequestOption {
			return []letta.RequestOption{letta.WithHeader("Authorization", "Basic "+password)}
		}, "401 Unauthorized"},
		{"key", func() []letta.RequestOption { return []letta.RequestOption{letta.WithAPIKey(password)} }, ""},
		{"password", func() []letta.RequestOption { return []letta.RequestOption{letta.WithPassword(password)} }, ""},
		{"token", func() []letta.RequestOption { return []letta.RequestOption{token(password)} }, ""},
		{"last wins", func() []letta.RequestOption {
			return []letta.RequestOption{letta.WithAPIKey(wrong), letta.WithPassword(password)}
		}, ""},
		{"bare header alone", func() []letta.RequestOption {
			return []letta.RequestOption{letta.WithHeader("X-BARE-PASSWORD", "password "+password)}
		}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx := begin(t)
			perCall, err := letta.NewClient(letta.WithBaseURL(address))
			require.NoError(t, err)
			opts := []letta.ClientOption{letta.WithBaseURL(address)}
			for _, opt := range test.opts() {
				opts = append(opts, opt)
			}
			always, err := letta.NewClient(opts...)
			require.NoError(t, err)
			_, err = always.Health(ctx)
			assert.NoError(t, err, "health asks for no password")
			calls := map[string]func() error{
				"list": func() error { _, err := always.Agents.List(ctx, letta.Tags(unique("none"))); return err },
				"option of the call": func() error {
					_, err := perCall.Agents.List(ctx, letta.Tags(unique("none")), test.opts()...)
					return err
				},
			}
			if test.hint != "" {
				calls["create"] = func() error { _, err := always.Agents.Create(ctx, basic(unique("user"))); return err }
				calls["ensure"] = func() error {
					_, err := always.Agents.Ensure(ctx, []string{unique("user")}, basic())
					return err
				}
				calls["exists"] = func() error { _, err := always.Agents.Exists(ctx, letta.Tags(unique("none"))); return err }
				calls["no such route"] = func() error { return always.Do(ctx, "GET", "/v1/no/such/route", nil, nil) }
				calls["missing slash"] = func() error { return always.Do(ctx, "GET", "/v1/agents", nil, nil) }
			}
			for name, call := range calls {
				err := call()
				if test.hint == "" {
					assert.NoError(t, err, name)
					continue
				}
				if !assert.ErrorIs(t, err, letta.ErrUnauthorized, name) {
					continue
				}
				assert.Contains(t, err.Error(), test.hint, name)
				for _, secret := range []string{wrong, password} {
					assert.NotContains(t, err.Error(), secret, name)
				}
			}
		})
	}
	t.Run("password, through a proxy that eats Authorization", func(t *testing.T) {
		ctx := begin(t)
		transport := new(eater)
		t.Cleanup(transport.CloseIdleConnections)
		client, err := letta.NewClient(letta.WithBaseURL(address), letta.WithPassword(password), letta.WithHTTPClient(&http.Client{Transport: transport}))
		require.NoError(t, err)
		_, err = client.Agents.List(ctx, letta.Tags(unique("none")))
		assert.NoError(t, err)
	})
}

// eater is a transport that drops the header Authorization, as some proxies do.
type eater struct{ http.Transport }

func (e *eater) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Del("Authorization")
	return e.Transport.RoundTrip(request)
}
