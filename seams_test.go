package letta_test

import (
	"net/http"
	"net/http/cookiejar"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/lettatest"
)

// TestDeleteThatAnswers: where a delete returns what it deleted, a lost answer must not become a nil without an error.
func TestDeleteThatAnswers(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			panic(http.ErrAbortHandler)
		}
		reply(404, `{"detail":"Job not found"}`)(w, r)
	}).client(t)
	job, err := client.Jobs.Delete(t.Context(), "job-1")
	require.ErrorIs(t, err, letta.ErrNotFound)
	require.Nil(t, job)
}

// TestCookiesOfRetries: an attempt has the cookies of its time, each once.
func TestCookiesOfRetries(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "s", Value: string('a' + asked.Add(1)), Path: "/"})
		if asked.Load() < 3 {
			reply(503, "{}", "Retry-After", "0")(w, r)
			return
		}
		reply(200, "[]")(w, r)
	})
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	_, err = srv.client(t, letta.WithHTTPClient(&http.Client{Jar: jar})).Agents.List(t.Context(), nil)
	require.NoError(t, err)
	var sent []string
	for _, r := range srv.seen("GET") {
		sent = append(sent, r.Header.Get("Cookie"))
	}
	require.Equal(t, []string{"", "s=b", "s=c"}, sent)
}

// TestNoKeyByHeaderOfTheClient: who wants no key gets none from the environment.
func TestNoKeyByHeaderOfTheClient(t *testing.T) {
	t.Setenv("LETTA_API_KEY", "sk-1")
	srv := serve(t, reply(200, "[]"))
	t.Setenv("LETTA_BASE_URL", srv.URL)
	client, err := letta.NewClient(letta.WithHeader("Authorization", ""))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	_, err = client.Agents.List(t.Context(), nil)
	require.NoError(t, err)
	require.NotContains(t, srv.seen("GET")[0].Header, "Authorization")
}

// TestEnsureToolThatCannotBeEncoded: it is no tool that is up to date.
func TestEnsureToolThatCannotBeEncoded(t *testing.T) {
	t.Parallel()
	client := lettatest.NewServer(t).Client()
	params := &letta.ToolCreateParams{SourceCode: "def roll():\n    \"\"\"Rolls.\"\"\"\n    return 4\n"}
	_, err := client.Tools.Ensure(t.Context(), "roll", params)
	require.NoError(t, err)
	params.SourceCode += "# \xff"
	_, err = client.Tools.Ensure(t.Context(), "roll", params)
	require.ErrorIs(t, err, letta.ErrInvalidArgument)
}
