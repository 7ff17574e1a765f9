package letta_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/letta-go/letta"
)

// TestMain looks for leaked goroutines once, after all tests: they run in parallel, so none could tell its own.
func TestMain(m *testing.M) {
	_ = os.Unsetenv("LETTA_API_KEY")
	_ = os.Unsetenv("LETTA_BASE_URL")
	_ = flag.Set("test.parallel", "12") // the tests mostly wait; a -parallel of the command line wins
	code := m.Run()
	http.DefaultClient.CloseIdleConnections()
	if fuzz := flag.Lookup("test.fuzz"); code == 0 && (fuzz == nil || fuzz.Value.String() == "") {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// --- helpers of all tests of this package -------------------------------------------------------------------

const agentJSON = `{"id":"agent-1","name":"one","agent_type":"letta_v1_agent","tags":[],"blocks":[],"tools":[]}`

// seen is a request that arrived.
type seen struct {
	Method, Path, Remote string // Path is escaped
	Query                url.Values
	Header               http.Header
	Body                 string
}

// server records what arrives, and then calls its handler.
type server struct {
	*httptest.Server
	mu       sync.Mutex
	requests []seen
}

func unstarted(t *testing.T, handler http.HandlerFunc) *server {
	t.Helper()
	s := new(server)
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		s.mu.Lock()
		s.requests = append(s.requests, seen{r.Method, r.URL.EscapedPath(), r.RemoteAddr, r.URL.Query(), r.Header.Clone(), string(body)})
		s.mu.Unlock()
		handler(w, r)
	}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s
}

func serve(t *testing.T, handler http.HandlerFunc) *server {
	t.Helper()
	s := unstarted(t, handler)
	s.Start()
	return s
}

// seen gives the requests of one method, or all with "".
func (s *server) seen(method string) []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.requests), func(r seen) bool { return method != "" && r.Method != method })
}

func (s *server) client(t *testing.T, opts ...letta.ClientOption) *letta.Client {
	t.Helper()
	client, err := letta.NewClient(append([]letta.ClientOption{letta.WithBaseURL(s.URL)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(client.Close) // also ends what waits for turns that were left
	return client
}

// reply answers all requests alike; header holds names and values by turns.
func reply(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// hang answers nothing until the client gives up.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// roundTrip is a transport without a network.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(r *http.Request, status int, body string) (*http.Response, error) {
	return &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r, ContentLength: int64(len(body)),
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)),
	}, nil
}

// offline is an http.Client that answers an empty list and counts.
func offline(requests *[]*http.Request) *http.Client {
	var mu sync.Mutex
	return &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		mu.Lock()
		defer mu.Unlock()
		*requests = append(*requests, r)
		return answer(r, 200, "[]")
	})}
}

// --- construction ---------------------------------------------------------------------------------------------

func TestBaseURL(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"https://h":                "https://h/v1/agents/",
		"https://h/":               "https://h/v1/agents/",
		"https://h/v1":             "https://h/v1/agents/",
		"https://h/v1/":            "https://h/v1/agents/",
		"https://h//":              "https://h/v1/agents/",
		"https://h/prefix":         "https://h/prefix/v1/agents/",
		"https://h/prefix/v1/":     "https://h/prefix/v1/agents/",
		"https://h/a%20b/v1":       "https://h/a%20b/v1/agents/",
		"https://h/av1":            "https://h/av1/v1/agents/",
		" https://h/v1 \n":         "https://h/v1/agents/",
		"HTTPS://API.Letta.COM/v1": "https://api.letta.com/v1/agents/",
		"https://h:8443/v1":        "https://h:8443/v1/agents/",
		"http://localhost:8283":    "http://localhost:8283/v1/agents/",
		"http://127.0.0.9:1":       "http://127.0.0.9:1/v1/agents/",
		"http://[::1]:8283/v1":     "http://[::1]:8283/v1/agents/",
	} {
		var requests []*http.Request
		client, err := letta.NewClient(letta.WithBaseURL(address), letta.WithAPIKey("sk-1"), letta.WithHTTPClient(offline(&requests)))
		require.NoError(t, err, address)
		_, err = client.Agents.List(t.Context(), nil)
		require.NoError(t, err, address)
		require.Len(t, requests, 1)
		require.Equal(t, want, requests[0].URL.String(), address)
		require.Equal(t, "Bearer sk-1", requests[0].Header.Get("Authorization"))
	}
	for _, tt := range []struct{ address, want, hidden string }{
		{"https://h?x=1", "query", "x=1"},
		{"https://h/v1?", "query", ""},
		{"https://h/#hunter2", "fragment", "hunter2"},
		{"https://h/#", "fragment", ""},
		{"https://joe:hunter2@h/v1", "user name", "hunter2"},
		{"https://hunter2@h", "user name", "hunter2"},
		{"https://joe:hunter2%zz@h", "user name", "hunter2"},
		{"h/v1", "http://", ""},
		{"localhost:8283", "http://", ""},
		{"api.letta.com", "http://", ""},
		{"ftp://h", "http://", ""},
		{"https://", "host", ""},
		{"https:///v1", "host", ""},
		{"https://h:sk-secret", "not a URL", "sk-secret"},
		{"", "empty", ""},
		{" ", "empty", ""},
		{"https://app.letta.com", "https://api.letta.com", ""},
		{"https://APP.letta.com/v1", "https://api.letta.com", ""},
		{"http://letta.internal:8283", "WithInsecureHTTP", "sk-1"},
		{"http://10.0.0.7", "WithInsecureHTTP", "sk-1"},
		{"http://localhost.evil.com", "WithInsecureHTTP", "sk-1"},
	} {
		client, err := letta.NewClient(letta.WithBaseURL(tt.address), letta.WithAPIKey("sk-1"))
		require.ErrorContains(t, err, tt.want, tt.address)
		require.Nil(t, client)
		if tt.hidden != "" {
			require.NotContains(t, err.Error(), tt.hidden)
		}
	}
}

func TestPlainHTTP(t *testing.T) {
	t.Parallel()
	const remote = "http://letta.internal:8283"
	secrets := map[string]letta.RequestOption{
		"key":      letta.WithAPIKey("sk-1"),
		"password": letta.WithPassword("pw-1"),
		"source":   letta.WithTokenSource(func(context.Context) (string, error) { return "sk-1", nil }),
		"header":   letta.WithHeader("authorization", "Bearer sk-1"),
	}
	for name, secret := range secrets {
		_, err := letta.NewClient(letta.WithBaseURL(remote), secret)
		require.ErrorContains(t, err, "WithInsecureHTTP", name)

		var requests []*http.Request
		client, err := letta.NewClient(letta.WithBaseURL(remote), letta.WithHTTPClient(offline(&requests)))
		require.NoError(t, err, "without a secret")
		_, err = client.Agents.List(t.Context(), nil, secret)
		require.ErrorContains(t, err, "WithInsecureHTTP", name)
		require.NotContains(t, err.Error(), "-1")
		require.Empty(t, requests, name)

		client, err = letta.NewClient(secret, letta.WithInsecureHTTP(), letta.WithBaseURL(remote), letta.WithHTTPClient(offline(&requests)))
		require.NoError(t, err, name)
		_, err = client.Agents.List(t.Context(), nil)
		require.NoError(t, err, name)
		require.Len(t, requests, 1)
	}
}

func TestPlainHTTPWithPasswordHeader(t *testing.T) {
	t.Parallel()
	_, err := letta.NewClient(letta.WithBaseURL("http://letta.internal:8283"), letta.WithHeader("X-BARE-PASSWORD", "password pw-1"))
	require.ErrorContains(t, err, "WithInsecureHTTP")
}

func TestEnvironment(t *testing.T) {
	for _, tt := range []struct {
		name, envKey, envURL string
		opts                 []letta.ClientOption
		url, auth, err       string
	}{
		{name: "nothing", err: "LETTA_API_KEY"},
		{name: "key", envKey: "sk-env", url: letta.CloudURL, auth: "Bearer sk-env"},
		{name: "key and Cloud in code", envKey: "sk-env", opts: []letta.ClientOption{letta.WithBaseURL("https://api.letta.com/v1/")}, url: letta.CloudURL, auth: "Bearer sk-env"},
		{name: "both", envKey: "sk-env", envURL: "https://own", url: "https://own", auth: "Bearer sk-env"},
		{name: "address only", envURL: "https://own/v1", url: "https://own"},
		{name: "option beats key", envKey: "sk-env", opts: []letta.ClientOption{letta.WithAPIKey("sk-code")}, url: letta.CloudURL, auth: "Bearer sk-code"},
		{name: "option beats address", envURL: "https://own", opts: []letta.ClientOption{letta.WithBaseURL("https://code")}, url: "https://code"},
		{name: "key stays home", envKey: "sk-env", opts: []letta.ClientOption{letta.WithBaseURL("https://code")}, url: "https://code"},
		{name: "key stays home 2", envKey: "sk-env", envURL: "https://own", opts: []letta.ClientOption{letta.WithBaseURL("https://code")}, url: "https://code"},
		{name: "bad key unused", envKey: "sk env", opts: []letta.ClientOption{letta.WithBaseURL("https://code")}, url: "https://code"},
		{name: "bad key", envKey: "sk-env\n", err: "LETTA_API_KEY"},
		{name: "bad address", envKey: "sk-env", envURL: "own", err: "http://"},
		{name: "in the clear", envKey: "sk-env", envURL: "http://own", err: "WithInsecureHTTP"},
		{name: "web editor", envKey: "sk-env", envURL: "https://app.letta.com/v1", err: "https://api.letta.com"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("LETTA_API_KEY", tt.envKey)
			t.Setenv("LETTA_BASE_URL", tt.envURL)
			var requests []*http.Request
			client, err := letta.NewClient(append(tt.opts, letta.WithHTTPClient(offline(&requests)))...)
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				require.NotContains(t, err.Error(), "sk-env")
				return
			}
			require.NoError(t, err)
			_, err = client.Agents.List(t.Context(), nil)
			require.NoError(t, err)
			require.Equal(t, tt.url+"/v1/agents/", requests[0].URL.String())
			require.Equal(t, tt.auth, requests[0].Header.Get("Authorization"))
		})
	}
	t.Run("a 401 explains the unused key", func(t *testing.T) {
		t.Setenv("LETTA_API_KEY", "sk-env")
		srv := serve(t, reply(401, `{"detail":"Unauthorized"}`))
		_, err := srv.client(t).Agents.List(t.Context(), nil)
		require.ErrorIs(t, err, letta.ErrUnauthorized)
		require.ErrorContains(t, err, "LETTA_API_KEY")
		require.ErrorContains(t, err, "WithAPIKey")
		require.NotContains(t, err.Error(), "sk-env")
		_, err = srv.client(t, letta.WithAPIKey("sk-code")).Agents.List(t.Context(), nil)
		require.ErrorIs(t, err, letta.ErrUnauthorized)
		require.NotContains(t, err.Error(), "LETTA_API_KEY")
		require.NotContains(t, err.Error(), "sk-code")
	})
}

func TestUnusableOptions(t *testing.T) {
	t.Parallel()
	var nilRequest letta.RequestOption
	for name, tt := range map[string]struct {
		opt  letta.ClientOption
		want string
	}{
		"nil":               {nil, "nil"},
		"nil request":       {nilRequest, "nil"},
		"nil http client":   {letta.WithHTTPClient(nil), "WithHTTPClient"},
		"nil token source":  {letta.WithTokenSource(nil), "WithTokenSource"},
		"nil response":      {letta.WithResponse(nil), "WithResponse"},
		"key newline":       {letta.WithAPIKey("sk-secret\n"), "WithAPIKey"},
		"key space":         {letta.WithAPIKey("sk secret"), "WithAPIKey"},
		"key carriage":      {letta.WithAPIKey("sk-secret\rX: y"), "WithAPIKey"},
		"key not ascii":     {letta.WithAPIKey("sk-secret\u200b"), "WithAPIKey"},
		"key empty":         {letta.WithAPIKey(""), "WithAPIKey"},
		"password newline":  {letta.WithPassword("secret\n"), "WithPassword"},
		"password empty":    {letta.WithPassword(" "), "WithPassword"},
		"header name":       {letta.WithHeader("X Y", "secret"), "X Y"},
		"header no name":    {letta.WithHeader("", "secret"), "WithHeader"},
		"header injection":  {letta.WithHeader("X-Y", "a\r\nsecret: b"), "X-Y"},
		"query no key":      {letta.WithQuery("", "secret"), "WithQuery"},
		"field no name":     {letta.WithBodyField("", "secret"), "WithBodyField"},
		"field not JSON":    {letta.WithBodyField("f", func() {}), "WithBodyField"},
		"field bad text":    {letta.WithBodyField("f", "\xff"), "WithBodyField"},
		"project":           {letta.WithProject(" "), "WithProject"},
		"project id":        {letta.WithProjectID(""), "WithProjectID"},
		"project injection": {letta.WithProject("a\nb"), "WithProject"},
		"timeout":           {letta.WithTimeout(-1), "WithTimeout"},
		"retries":           {letta.WithMaxRetries(-1), "WithMaxRetries"},
		"user agent":        {letta.WithUserAgent("a\nb"), "WithUserAgent"},
	} {
		_, err := letta.NewClient(letta.WithBaseURL("https://h"), tt.opt)
		require.ErrorContains(t, err, tt.want, name)
		require.NotContains(t, err.Error(), "secret", name)
		opt, ok := tt.opt.(letta.RequestOption)
		if !ok && tt.opt != nil {
			continue
		}
		var requests []*http.Request
		client, err := letta.NewClient(letta.WithBaseURL("https://h"), letta.WithHTTPClient(offline(&requests)))
		require.NoError(t, err)
		_, err = client.Agents.List(t.Context(), nil, opt)
		require.ErrorContains(t, err, tt.want, name)
		require.NotContains(t, err.Error(), "secret", name)
		require.Empty(t, requests, name)
	}
}

func TestTokenSource(t *testing.T) {
	t.Parallel()
	srv := serve(t, reply(200, "[]"))
	tokens := []string{"t1", "t2", "t3 secret"}
	client := srv.client(t, letta.WithTokenSource(func(context.Context) (string, error) {
		token := tokens[0]
		tokens = tokens[1:]
		return token, nil
	}))
	for range 2 {
		_, err := client.Agents.List(t.Context(), nil)
		require.NoError(t, err)
	}
	_, err := client.Agents.List(t.Context(), nil)
	require.ErrorContains(t, err, "token source")
	require.NotContains(t, err.Error(), "secret")
	broken := errors.New("vault is sealed")
	_, err = client.Agents.List(t.Context(), nil, letta.WithTokenSource(func(context.Context) (string, error) { return "", broken }))
	require.ErrorIs(t, err, broken)
	require.Len(t, srv.seen(""), 2)
	require.Equal(t, "Bearer t1", srv.seen("")[0].Header.Get("Authorization"))
	require.Equal(t, "Bearer t2", srv.seen("")[1].Header.Get("Authorization"))
}

// --- options ----------------------------------------------------------------------------------------------------

func TestOptionPrecedence(t *testing.T) {
	t.Parallel()
	srv := serve(t, reply(200, agentJSON))
	client := srv.client(t, letta.WithAPIKey("sk-client"), letta.WithHeader("X-A", "client"), letta.WithHeader("X-B", "client"), letta.WithHeader("Accept", "application/x-client"),
		letta.WithQuery("q", "client"), letta.WithQuery("r", "1", "2"), letta.WithBodyField("name", "client"), letta.WithBodyField("f", 1), letta.WithProject("p"), letta.WithUserAgent("app/2"))
	create := &letta.AgentCreateParams{Name: "params", Model: "openai/m"}
	_, err := client.Agents.Create(t.Context(), create)
	require.NoError(t, err)
	_, err = client.Agents.Create(t.Context(), create, letta.WithAPIKey("sk-call"), letta.WithHeader("X-B", "call"), letta.WithQuery("q", "call"),
		letta.WithBodyField("f", 2), letta.WithBodyField("f", nil), letta.WithProjectID("id"))
	require.NoError(t, err)
	_, err = client.Agents.Create(t.Context(), create, letta.WithPassword("pw"))
	require.NoError(t, err)
	got := srv.seen("POST")
	require.Len(t, got, 3)

	for _, i := range []int{0, 2} { // the second call left nothing behind
		require.Equal(t, "client", got[i].Header.Get("X-B"))
		require.Equal(t, url.Values{"q": {"client"}, "r": {"1", "2"}}, got[i].Query)
		require.JSONEq(t, `{"name":"client","model":"openai/m","f":1}`, got[i].Body)
		require.Equal(t, []string{"p"}, got[i].Header["X-Project"])
		require.Empty(t, got[i].Header["X-Project-Id"])
		require.Equal(t, "application/x-client", got[i].Header.Get("Accept"))
	}
	require.Equal(t, "Bearer sk-client", got[0].Header.Get("Authorization"))
	require.Equal(t, "application/json", got[0].Header.Get("Content-Type"))
	require.Equal(t, "app/2 letta-go/"+letta.Version, got[0].Header.Get("User-Agent"))

	require.Equal(t, "client", got[1].Header.Get("X-A"))
	require.Equal(t, []string{"call"}, got[1].Header["X-B"])
	require.Equal(t, url.Values{"q": {"call"}, "r": {"1", "2"}}, got[1].Query)
	require.JSONEq(t, `{"name":"client","model":"openai/m","f":null}`, got[1].Body)
	require.Empty(t, got[1].Header["X-Project"])
	require.Equal(t, []string{"id"}, got[1].Header["X-Project-Id"])
	require.Equal(t, "Bearer sk-call", got[1].Header.Get("Authorization"))

	require.Equal(t, "Bearer pw", got[2].Header.Get("Authorization"))
	require.Equal(t, "password pw", got[2].Header.Get("X-Bare-Password"))
	require.Empty(t, got[1].Header.Get("X-Bare-Password"))

	_, err = client.Agents.List(t.Context(), nil, letta.WithProjectID("id"), letta.WithProject("slug"))
	require.Error(t, err, "an object is no list")
	last := srv.seen("GET")[0]
	require.Equal(t, []string{"slug"}, last.Header["X-Project"])
	require.Empty(t, last.Header["X-Project-Id"])
}

func TestOptionsShareNothing(t *testing.T) {
	t.Parallel()
	srv := serve(t, reply(200, agentJSON))
	values := []string{"x", "y"}
	client := srv.client(t, letta.WithHeader("X-Base", "b"), letta.WithQuery("base", values...), letta.WithBodyField("base", "b"), letta.WithAPIKey("sk-1"))
	values[0] = "changed"
	const calls = 50
	shared := []letta.RequestOption{letta.WithHeader("X-Shared", "s"), letta.WithBodyField("shared", 1), letta.WithQuery("shared", "1")}
	shared = slices.Grow(shared, 8) // room for an append that would be seen by a neighbour
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			n := strconv.Itoa(i)
			opts := append(slices.Clone(shared), letta.WithHeader("X-N", n), letta.WithQuery("n", n), letta.WithBodyField("n", n))
			if i%2 == 0 {
				opts = append(opts, letta.WithHeader("X-Even", n), letta.WithQuery("even", n), letta.WithBodyField("even", n))
			}
			_, err := client.Agents.Create(t.Context(), &letta.AgentCreateParams{Name: n}, opts...)
			assert.NoError(t, err)
		})
	}
	wg.Wait()
	numbers := map[string]bool{}
	for _, r := range srv.seen("POST") {
		n := r.Header.Get("X-N")
		numbers[n] = true
		want := url.Values{"base": {"x", "y"}, "shared": {"1"}, "n": {n}}
		body := map[string]any{"base": "b", "shared": 1.0, "n": n, "name": n}
		if i, _ := strconv.Atoi(n); i%2 == 0 {
			want["even"], body["even"] = []string{n}, n
			require.Equal(t, n, r.Header.Get("X-Even"))
		} else {
			require.Empty(t, r.Header["X-Even"])
		}
		require.Equal(t, want, r.Query)
		var got map[string]any
		require.NoError(t, json.Unmarshal([]byte(r.Body), &got))
		require.Equal(t, body, got)
	}
	require.Len(t, numbers, calls)
}

func TestHeadersAlwaysSent(t *testing.T) {
	t.Parallel()
	const sdk = "X-Stainless-Package-Version"
	check := func(t *testing.T, clientOpts []letta.ClientOption, opts ...letta.RequestOption) {
		t.Helper()
		srv := serve(t, reply(200, "[]"))
		client := srv.client(t, clientOpts...)
		_, err := client.Agents.List(t.Context(), nil, opts...)
		require.NoError(t, err)
		require.NoError(t, client.Do(t.Context(), "POST", "/v1/x", nil, nil, opts...))
		for _, r := range srv.seen("") {
			require.NotEmpty(t, r.Header.Get(sdk))
			require.Contains(t, r.Header.Get("User-Agent"), "letta-go/"+letta.Version)
		}
	}
	t.Run("plain", func(t *testing.T) { t.Parallel(); check(t, nil) })
	t.Run("version", func(t *testing.T) {
		t.Parallel()
		check(t, []letta.ClientOption{letta.WithHeader(sdk, "")}, letta.WithHeader("x-stainless-package-version", ""))
	})
	t.Run("agent of the client", func(t *testing.T) {
		t.Parallel()
		check(t, []letta.ClientOption{letta.WithHeader("User-Agent", ""), letta.WithUserAgent("app")})
	})
	t.Run("agent of the call", func(t *testing.T) {
		t.Parallel()
		check(t, nil, letta.WithHeader("User-Agent", ""))
	})
}

// --- secrets ------------------------------------------------------------------------------------------------------

// failure collects what a failed assertion prints: a deep dump of both values.
type failure struct{ text string }

func (f *failure) Errorf(format string, args ...any) { f.text += fmt.Sprintf(format, args...) }

func dump(v any) string {
	var text, structured bytes.Buffer
	slog.New(slog.NewTextHandler(&text, nil)).Info("dump", "v", v)
	slog.New(slog.NewJSONHandler(&structured, nil)).Info("dump", "v", v)
	deep := new(failure)
	assert.Equal(deep, v, "another")
	plain, _ := json.Marshal(v)
	return fmt.Sprintf("%v %+v %#v %s %s %s %s", v, v, v, text.String(), structured.String(), deep.text, plain)
}

func TestSecretsStayHidden(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t"
	requireHidden := func(t *testing.T, v any) {
		t.Helper()
		require.NotContains(t, dump(v), secret)
		require.NotContains(t, dump(v), fmt.Sprintf("%x", secret))
	}
	var logged bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/agents/agent-1":
			reply(401, `{"detail":"Unauthorized"}`)(w, r)
		case "/v1/agents/agent-2":
			reply(307, "", "Location", "/elsewhere?q=1")(w, r)
		case "/v1/agents/agent-3":
			reply(200, "<html>")(w, r)
		default:
			reply(200, "[]")(w, r)
		}
	})
	for name, opt := range map[string]letta.RequestOption{
		"key":      letta.WithAPIKey("sk-" + secret),
		"password": letta.WithPassword(secret),
		"source":   letta.WithTokenSource(func(context.Context) (string, error) { return secret, nil }),
	} {
		requireHidden(t, opt)
		client := srv.client(t, opt, letta.WithLogger(logger), letta.WithMaxRetries(0))
		requireHidden(t, client)
		requireHidden(t, *client)
		requireHidden(t, client.Agents)
		requireHidden(t, *client.Agents)
		_, err := client.Agents.List(t.Context(), nil)
		require.NoError(t, err, name)
		for _, id := range []letta.AgentID{"agent-1", "agent-2", "agent-3"} {
			_, err := client.Agents.Retrieve(t.Context(), id, nil)
			require.Error(t, err)
			requireHidden(t, err)
			for err != nil {
				requireHidden(t, err)
				err = errors.Unwrap(err)
			}
		}
		lost, err := letta.NewClient(letta.WithBaseURL("http://127.0.0.1:1"), opt, letta.WithLogger(logger), letta.WithMaxRetries(0))
		require.NoError(t, err)
		_, err = lost.Agents.Retrieve(t.Context(), "agent-1", nil, letta.WithQuery("q", secret))
		requireHidden(t, err)
	}
	_, err := srv.client(t, letta.WithLogger(logger)).Agents.Create(t.Context(), &letta.AgentCreateParams{Tags: []string{secret}, Secrets: map[string]string{"K": secret}},
		letta.WithQuery("q", secret), letta.WithHeader("X-Y", secret))
	require.Error(t, err)
	_, err = srv.client(t, letta.WithLogger(logger)).Agents.List(t.Context(), letta.Tags(secret))
	require.NoError(t, err)
	require.NotContains(t, logged.String(), secret)
	require.Contains(t, logged.String(), `"status":401`)
	require.Contains(t, logged.String(), `"path":"/v1/agents/agent-1"`)
}

func TestWords401(t *testing.T) {
	t.Parallel()
	srv := serve(t, reply(401, `{"detail":"Unauthorized"}`))
	for want, opts := range map[string][]letta.RequestOption{
		"no key was sent":                   nil,
		"a key was sent as Authorization":   {letta.WithAPIKey("sk-1")},
		"Authorization and X-BARE-PASSWORD": {letta.WithPassword("pw-1")},
	} {
		_, err := srv.client(t).Agents.List(t.Context(), nil, opts...)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "-1")
	}
}

// --- the caller's http.Client -----------------------------------------------------------------------------------

// sharedPool fails the test when somebody flushes the pool.
type sharedPool struct {
	http.RoundTripper
	t *testing.T
}

func (p sharedPool) CloseIdleConnections() { p.t.Error("the pool of the caller was flushed") }

func TestCallersHTTPClient(t *testing.T) {
	t.Parallel()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	follow := func(*http.Request, []*http.Request) error { return nil }
	hc := &http.Client{Transport: sharedPool{transport, t}, Jar: jar, Timeout: 20 * time.Second, CheckRedirect: follow}
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/redirect":
			reply(302, "", "Location", "/v1/target")(w, r)
		case "/v1/fail":
			reply(503, "", "Retry-After-Ms", "1")(w, r)
		case "/v1/cut":
			panic(http.ErrAbortHandler)
		case "/v1/hang":
			hang(w, r)
		default:
			reply(200, "[]", "Set-Cookie", "seen=1; Path=/")(w, r)
		}
	})
	client := srv.client(t, letta.WithHTTPClient(hc))
	do := func(path string) error { return client.Do(t.Context(), "GET", path, nil, nil) }
	require.NoError(t, do("/v1/ok"))
	require.NoError(t, do("/v1/ok"))
	require.Error(t, do("/v1/redirect"))
	require.Error(t, do("/v1/fail"))
	require.Error(t, client.Do(t.Context(), "POST", "/v1/cut", nil, nil))
	require.Error(t, client.Do(t.Context(), "GET", "/v1/hang", nil, nil, letta.WithTimeout(20*time.Millisecond)))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	require.ErrorIs(t, client.Do(ctx, "GET", "/v1/hang", nil, nil), context.Canceled)
	require.Equal(t, "seen=1", srv.seen("")[1].Header.Get("Cookie"), "the jar is used")

	require.Equal(t, 20*time.Second, hc.Timeout)
	require.Equal(t, sharedPool{transport, t}, hc.Transport)
	require.Equal(t, fmt.Sprintf("%p", follow), fmt.Sprintf("%p", hc.CheckRedirect))
	require.Same(t, jar, hc.Jar)
}

func TestHTTPClientIsCopied(t *testing.T) {
	t.Parallel()
	srv := serve(t, reply(200, "[]"))
	hc := &http.Client{}
	client := srv.client(t, letta.WithHTTPClient(hc))
	hc.Transport = roundTrip(func(*http.Request) (*http.Response, error) { return nil, errors.New("changed afterwards") })
	_, err := client.Agents.List(t.Context(), nil, letta.WithMaxRetries(0))
	require.NoError(t, err)
}

func TestDefaultClientFollowsTheEnvironment(t *testing.T) {
	t.Parallel()
	before := http.DefaultTransport.(*http.Transport).Clone()
	srv := serve(t, reply(200, "[]"))
	_, err := srv.client(t).Agents.List(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, before.MaxIdleConnsPerHost, http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost)
	require.Nil(t, http.DefaultClient.CheckRedirect)
}

// --- redirects ------------------------------------------------------------------------------------------------------

func TestRedirects(t *testing.T) {
	t.Parallel()
	target := serve(t, reply(200, agentJSON))
	handler := func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(r.Header.Get("X-Status"))
		if strings.HasPrefix(r.URL.Path, "/target") {
			status = 200
		}
		reply(status, "", "Location", r.Header.Get("X-Location"))(w, r)
	}
	plain, secure := serve(t, handler), unstarted(t, handler)
	secure.StartTLS()
	other := strings.TrimPrefix(target.URL, "http://")
	for _, tt := range []struct {
		name, to, want string
		from           *server
	}{
		{"same host", "/target?token=hidden", "/target", plain},
		{"same host, absolute", plain.URL + "/target/?token=hidden#hidden", plain.URL + "/target/", plain},
		{"other host", "http://joe:hidden@" + other + "/target?token=hidden", "http://" + other + "/target", plain},
		{"https to http", "http://" + other + "/target?tags=hidden", "http://" + other + "/target", secure},
		{"no location", "", "", plain},
	} {
		client := tt.from.client(t, letta.WithAPIKey("sk-hidden"), letta.WithHTTPClient(tt.from.Client()))
		for _, status := range []int{301, 302, 303, 307, 308} {
			for _, method := range []string{"GET", "POST", "PATCH", "DELETE"} {
				name := fmt.Sprintf("%s %d %s", tt.name, status, method)
				before := len(tt.from.seen(""))
				var body any
				if method == "POST" || method == "PATCH" {
					body = map[string]string{"text": "hidden"}
				}
				var response letta.Response
				err := client.Do(t.Context(), method, "/v1/agents?tags=hidden", body, nil, letta.WithHeader("X-Status", strconv.Itoa(status)),
					letta.WithHeader("X-Location", tt.to), letta.WithResponse(&response))
				var redirect *letta.RedirectError
				require.ErrorAs(t, err, &redirect, name)
				require.Equal(t, []any{method + " /v1/agents", method, "/v1/agents", status, tt.want}, []any{redirect.Operation, redirect.Method, redirect.Path, redirect.StatusCode, redirect.To}, name)
				require.ErrorContains(t, err, "base URL", name)
				require.NotContains(t, err.Error(), "hidden", name)
				require.Equal(t, status, response.StatusCode, name)
				require.Len(t, tt.from.seen(""), before+1, name)
			}
		}
	}
	require.Empty(t, target.seen(""))
}

func TestRedirectToNonsense(t *testing.T) {
	t.Parallel()
	srv := serve(t, reply(307, "", "Location", "http://joe:hidden@h:port/?token=hidden"))
	err := srv.client(t).Do(t.Context(), "GET", "/v1/x", nil, nil)
	var redirect *letta.RedirectError
	require.ErrorAs(t, err, &redirect)
	require.NotContains(t, err.Error(), "hidden")
	require.Len(t, srv.seen(""), 1)
}

// --- Do, Response, timeouts -------------------------------------------------------------------------------------

func TestDo(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/null":
			reply(200, "null")(w, r)
		case "/v1/nothing":
			w.WriteHeader(204)
		default:
			body, _ := io.ReadAll(r.Body)
			reply(200, fmt.Sprintf(`{"method":%q,"body":%q}`, r.Method, body))(w, r)
		}
	})
	client := srv.client(t)
	ctx := t.Context()
	for _, path := range []string{
		"", "v1/x", srv.URL + "/v1/x", "//evil.example/v1", "http:/v1/x", "/v1/../x", "/..", "/v1/%2e%2e/x", "/v1/./x", "/v1/x/..", "/v1/x#frag", "/v1/%zz", "?a=b",
	} {
		require.ErrorContains(t, client.Do(ctx, "GET", path, nil, nil), "path", path)
	}
	require.Empty(t, srv.seen(""))

	var out struct {
		Method string `json:"method"`
		Body   string `json:"body"`
	}
	require.NoError(t, client.Do(ctx, "get", "/v1/x%2Fy?a=1&a=2&b=", nil, &out, letta.WithQuery("c", "3"), letta.WithQuery("b", "4")))
	require.Equal(t, "GET", out.Method)
	require.Equal(t, "/v1/x%2Fy", srv.seen("")[0].Path)
	require.Equal(t, url.Values{"a": {"1", "2"}, "b": {"4"}, "c": {"3"}}, srv.seen("")[0].Query)
	require.Empty(t, srv.seen("")[0].Header.Get("Content-Type"))

	require.NoError(t, client.Do(ctx, "POST", "/v1/x", []byte(`{"raw": 1 }`), &out))
	require.Equal(t, `{"raw": 1 }`, out.Body)
	require.Equal(t, "application/json", srv.seen("")[1].Header.Get("Content-Type"))
	require.NoError(t, client.Do(ctx, "PUT", "/v1/x", map[string]any{"a": nil}, &out, letta.WithBodyField("b", 1)))
	require.JSONEq(t, `{"a":null,"b":1}`, out.Body)

	var raw []byte
	require.NoError(t, client.Do(ctx, "DELETE", "/v1/x", nil, &raw))
	require.JSONEq(t, `{"method":"DELETE","body":""}`, string(raw))
	require.NoError(t, client.Do(ctx, "GET", "/v1/null", nil, &raw))
	require.Equal(t, "null", string(raw))
	value := &struct{ A int }{1}
	require.NoError(t, client.Do(ctx, "GET", "/v1/null", nil, &value))
	require.Nil(t, value)
	require.NoError(t, client.Do(ctx, "DELETE", "/v1/nothing", nil, nil))
	require.NoError(t, client.Do(ctx, "HEAD", "/v1/x", nil, nil))

	sent := len(srv.seen(""))
	require.Error(t, client.Do(ctx, "BAD METHOD", "/v1/x", nil, nil))
	require.ErrorContains(t, client.Do(ctx, "POST", "/v1/x", func() {}, nil), "encoded")
	require.ErrorContains(t, client.Do(ctx, "POST", "/v1/x", []string{"a"}, nil, letta.WithBodyField("b", 1)), "WithBodyField")
	require.ErrorContains(t, client.Do(ctx, "POST", "/v1/x", []byte(`{}`), nil, letta.WithBodyField("b", 1)), "WithBodyField")
	require.ErrorContains(t, client.Do(ctx, "GET", "/v1/x", nil, nil, letta.WithBodyField("b", 1)), "WithBodyField")
	require.Len(t, srv.seen(""), sent)
}

func TestDoKeepsTheWholeQuery(t *testing.T) {
	t.Parallel()
	srv := serve(t, reply(200, "[]"))
	err := srv.client(t).Do(t.Context(), "GET", "/v1/agents/?query_text=a;b", nil, nil)
	if err == nil {
		require.Contains(t, srv.seen("")[0].Query, "query_text")
	}
}

func TestDoTakesTypesOfEncodingJSON(t *testing.T) {
	t.Parallel()
	srv := serve(t, reply(200, `{"NAME":"n","total":1}`))
	body := struct {
		Name  string        `json:"name,omitempty"`
		Limit int           `json:"limit,omitempty"`
		On    bool          `json:"on,omitempty"`
		Wait  time.Duration `json:"wait"`
		List  []string      `json:"list"`
	}{Wait: time.Second}
	var out struct {
		Name  string
		Total int
	}
	// encoding/json: use it for the body and the out of Do.
	require.NoError(t, srv.client(t).Do(t.Context(), "POST", "/v1/x", body, &out))
	require.JSONEq(t, `{"wait":1000000000,"list":null}`, srv.seen("")[0].Body)
	require.Equal(t, "n", out.Name)
	require.Equal(t, 1, out.Total)
}

func TestBodyFieldOfTheCallOverClient(t *testing.T) {
	t.Parallel()
	var requests []*http.Request
	client, err := letta.NewClient(letta.WithBaseURL("https://h"), letta.WithHTTPClient(offline(&requests)), letta.WithBodyField("f", 1))
	require.NoError(t, err)
	_, err = client.Agents.List(t.Context(), nil)
	require.NoError(t, err, "a field of the client concerns only calls with a body")
	_, err = client.Agents.List(t.Context(), nil, letta.WithBodyField("f", 2))
	require.ErrorContains(t, err, "WithBodyField")
}

func TestWithResponse(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/agents/agent-1":
			reply(200, agentJSON, "X-Request-Id", "req-1", "X-Extra", "e")(w, r)
		case "/v1/agents/agent-2":
			reply(429, "{}", "Retry-After-Ms", "1", "X-Api-Request-Log-Id", "log-1", "X-Request-Id", "req-2")(w, r)
		default:
			panic(http.ErrAbortHandler)
		}
	})
	client := srv.client(t)
	var r letta.Response
	_, err := client.Agents.Retrieve(t.Context(), "agent-1", nil, letta.WithResponse(&r))
	require.NoError(t, err)
	require.Equal(t, 200, r.StatusCode)
	require.Equal(t, "req-1", r.RequestID)
	require.Equal(t, "e", r.Header.Get("X-Extra"))
	require.Equal(t, 1, r.Attempts)
	require.Positive(t, r.Duration)

	_, err = client.Agents.Retrieve(t.Context(), "agent-2", nil, letta.WithResponse(&r))
	var apiErr *letta.APIError
	require.ErrorAs(t, err, &apiErr)
	require.Equal(t, "log-1", apiErr.RequestID)
	require.ErrorContains(t, err, "log-1")
	require.ErrorContains(t, err, "3 attempts")
	require.Equal(t, 429, r.StatusCode)
	require.Equal(t, "log-1", r.RequestID)
	require.Equal(t, 3, r.Attempts)
	require.Equal(t, 3, apiErr.Attempts)

	_, err = client.Agents.Create(t.Context(), &letta.AgentCreateParams{}, letta.WithResponse(&r))
	require.Error(t, err)
	require.Zero(t, r.StatusCode)
	require.Nil(t, r.Header)
	require.Equal(t, 1, r.Attempts)
}

func TestTimeoutsAndCancels(t *testing.T) {
	t.Parallel()
	client := serve(t, hang).client(t)
	const short = 30 * time.Millisecond
	stopped := errors.New("user left")
	list := func(ctx context.Context, opts ...letta.RequestOption) error {
		var r letta.Response
		_, err := client.Agents.List(ctx, nil, append(opts, letta.WithResponse(&r))...)
		require.Equal(t, 1, r.Attempts, "not repeated")
		return err
	}

	err := list(t.Context(), letta.WithTimeout(short))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "WithTimeout")
	require.ErrorContains(t, err, "letta: agents.list:")
	var timeout interface{ Timeout() bool }
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout())

	_, err = client.Agents.Create(t.Context(), &letta.AgentCreateParams{}, letta.WithTimeout(short))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "WithTimeout")

	ctx, cancel := context.WithTimeout(t.Context(), short)
	defer cancel()
	err = list(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotContains(t, err.Error(), "WithTimeout")

	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	time.AfterFunc(short, cancel)
	err = list(ctx, letta.WithTimeout(0))
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, context.DeadlineExceeded)

	ctx, cancelCause := context.WithCancelCause(t.Context())
	time.AfterFunc(short, func() { cancelCause(stopped) })
	err = list(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, stopped)

	untouched := serve(t, hang)
	_, err = untouched.client(t).Agents.List(ctx, nil)
	require.ErrorIs(t, err, stopped)
	require.Empty(t, untouched.seen(""), "a dead context sends nothing")
}

// --- bad input --------------------------------------------------------------------------------------------------------

func TestBadInput(t *testing.T) {
	t.Parallel()
	var requests []*http.Request
	c, err := letta.NewClient(letta.WithBaseURL("https://h"), letta.WithHTTPClient(offline(&requests)))
	require.NoError(t, err)
	ctx := t.Context()
	type row struct {
		name, want string
		is         error
		call       func() error
	}
	rows := []row{
		{"nil create", "agents.create", letta.ErrInvalidArgument, func() error { _, err := c.Agents.Create(ctx, nil); return err }},
		{"nil update", "agents.update", letta.ErrInvalidArgument, func() error { _, err := c.Agents.Update(ctx, "agent-1", nil); return err }},
		{"nil import", "agents.import_file", letta.ErrInvalidArgument, func() error { _, err := c.Agents.ImportFile(ctx, nil); return err }},
		{"nil file", "file", nil, func() error { _, err := c.Agents.ImportFile(ctx, &letta.AgentImportFileParams{}); return err }},
		{"nil ensure", "agents.ensure", letta.ErrInvalidArgument, func() error { _, err := c.Agents.Ensure(ctx, []string{"a"}, nil); return err }},
		{"nil block", "blocks.create", letta.ErrInvalidArgument, func() error { _, err := c.Blocks.Create(ctx, nil); return err }},
		{"block label", "label", nil, func() error { _, err := c.Blocks.Create(ctx, &letta.BlockCreateParams{}); return err }},
		{"limit", "limit", nil, func() error { _, err := c.Agents.List(ctx, &letta.AgentListParams{Limit: -1}); return err }},
		{"count limit", "limit", nil, func() error { _, err := c.Agents.Count(ctx, &letta.AgentListParams{Limit: -1}); return err }},
		{"block limit", "limit", nil, func() error { _, err := c.Blocks.List(ctx, &letta.BlockListParams{Limit: -1}); return err }},
		{"all limit", "limit", nil, func() error {
			for _, err := range c.Agents.ListAll(ctx, &letta.AgentListParams{Limit: -1}) {
				return err
			}
			return nil
		}},
		{"project in ensure", "WithProject", nil, func() error {
			_, err := c.Agents.Ensure(ctx, []string{"a"}, &letta.AgentCreateParams{Project: "p"})
			return err
		}},
		{"not JSON in ensure", "encoded", nil, func() error {
			_, err := c.Agents.Ensure(ctx, []string{"a"}, &letta.AgentCreateParams{Metadata: map[string]any{"f": func() {}}})
			return err
		}},
		{"field on GET", "WithBodyField", nil, func() error { _, err := c.Agents.List(ctx, nil, letta.WithBodyField("f", 1)); return err }},
		{"field on DELETE", "WithBodyField", nil, func() error { return c.Agents.Delete(ctx, "agent-1", letta.WithBodyField("f", 1)) }},
	}
	for _, id := range []letta.AgentID{"", "../x", ".", "..", "a/b", "/", `a\b`, `..\x`} {
		for name, call := range map[string]func() error{
			"retrieve": func() error { _, err := c.Agents.Retrieve(ctx, id, nil); return err },
			"update":   func() error { _, err := c.Agents.Update(ctx, id, &letta.AgentUpdateParams{}); return err },
			"delete":   func() error { return c.Agents.Delete(ctx, id) },
			"export":   func() error { _, err := c.Agents.ExportFile(ctx, id, nil); return err },
			"add":      func() error { _, err := c.Agents.AddTags(ctx, id, []string{"a"}); return err },
			"remove":   func() error { _, err := c.Agents.RemoveTags(ctx, id, []string{"a"}); return err },
			"block":    func() error { _, err := c.Blocks.Retrieve(ctx, letta.BlockID(id)); return err },
		} {
			rows = append(rows, row{fmt.Sprintf("%s %q", name, id), "_id", nil, call})
		}
	}
	for _, tags := range [][]string{{}, {""}, {"a", " "}, {"\t\n"}} {
		params := &letta.AgentListParams{Tags: tags}
		create := &letta.AgentCreateParams{}
		for name, call := range map[string]func() error{
			"list":   func() error { _, err := c.Agents.List(ctx, params); return err },
			"Tags":   func() error { _, err := c.Agents.List(ctx, letta.Tags(tags...)); return err },
			"count":  func() error { _, err := c.Agents.Count(ctx, params); return err },
			"exists": func() error { _, err := c.Agents.Exists(ctx, params); return err },
			"ensure": func() error { _, err := c.Agents.Ensure(ctx, tags, create); return err },
			"add":    func() error { _, err := c.Agents.AddTags(ctx, "agent-1", tags); return err },
			"remove": func() error { _, err := c.Agents.RemoveTags(ctx, "agent-1", tags); return err },
			"blocks": func() error { _, err := c.Blocks.List(ctx, &letta.BlockListParams{Tags: tags}); return err },
			"list all": func() error {
				for _, err := range c.Agents.ListAll(ctx, params) {
					return err
				}
				return nil
			},
			"create": func() error {
				if len(tags) == 0 {
					return letta.ErrInvalidTags // no tags are fine here
				}
				_, err := c.Agents.Create(ctx, &letta.AgentCreateParams{Tags: tags})
				return err
			},
			"update": func() error {
				if len(tags) == 0 {
					return letta.ErrInvalidTags // clears them
				}
				_, err := c.Agents.Update(ctx, "agent-1", &letta.AgentUpdateParams{Tags: tags})
				return err
			},
			"of create": func() error {
				if len(tags) == 0 {
					return letta.ErrInvalidTags
				}
				_, err := c.Agents.Ensure(ctx, []string{"a"}, &letta.AgentCreateParams{Tags: tags})
				return err
			},
		} {
			rows = append(rows, row{fmt.Sprintf("%s %q", name, tags), "tags", letta.ErrInvalidTags, call})
		}
	}
	var none context.Context
	for name, call := range map[string]func() error{
		"list":   func() error { _, err := c.Agents.List(none, nil); return err },
		"create": func() error { _, err := c.Agents.Create(none, &letta.AgentCreateParams{}); return err },
		"do":     func() error { return c.Do(none, "GET", "/v1/x", nil, nil) },
		"count":  func() error { _, err := c.Agents.Count(none, nil); return err },
		"list all": func() error {
			for _, err := range c.Agents.ListAll(none, nil) {
				return err
			}
			return nil
		},
	} {
		rows = append(rows, row{"no context: " + name, "context", nil, call})
	}
	for _, tt := range rows {
		err := tt.call()
		require.ErrorContains(t, err, tt.want, tt.name)
		require.True(t, errors.Is(err, letta.ErrInvalidArgument) || err == letta.ErrInvalidTags, tt.name)
		if tt.is != nil {
			require.ErrorIs(t, err, tt.is, tt.name)
		}
	}
	require.Empty(t, requests)
}

func TestNoContextForHelpers(t *testing.T) {
	t.Parallel()
	var requests []*http.Request
	var none context.Context
	for name, call := range map[string]func(*letta.AgentService) error{
		"ensure": func(s *letta.AgentService) error {
			_, err := s.Ensure(none, []string{"a"}, &letta.AgentCreateParams{})
			return err
		},
		"add tags":    func(s *letta.AgentService) error { _, err := s.AddTags(none, "agent-1", []string{"a"}); return err },
		"remove tags": func(s *letta.AgentService) error { _, err := s.RemoveTags(none, "agent-1", []string{"a"}); return err },
	} {
		client, err := letta.NewClient(letta.WithBaseURL("https://h"), letta.WithHTTPClient(offline(&requests)))
		require.NoError(t, err)
		require.NotPanics(t, func() { require.ErrorContains(t, call(client.Agents), "context", name) }, name)
	}
	require.Empty(t, requests)
}

func TestIDsAreEscaped(t *testing.T) {
	t.Parallel()
	srv := serve(t, reply(200, agentJSON))
	client := srv.client(t)
	for id, want := range map[letta.AgentID]string{
		"agent-1":     "agent-1",
		"a?b#c%2e d":  "a%3Fb%23c%252e%20d",
		"%2e%2e%2fx":  "%252e%252e%252fx",
		"{agent_id}":  "%7Bagent_id%7D",
		"ü;a=b&c,d:e": "%C3%BC%3Ba=b&c%2Cd:e",
		"...":         "...",
	} {
		_, err := client.Agents.Retrieve(t.Context(), id, nil)
		require.NoError(t, err)
		last := srv.seen("")[len(srv.seen(""))-1]
		require.Equal(t, "/v1/agents/"+want, last.Path)
		decoded, err := url.PathUnescape(strings.TrimPrefix(last.Path, "/v1/agents/"))
		require.NoError(t, err)
		require.Equal(t, string(id), decoded)
		require.Empty(t, last.Query)
	}
}

// TestPageInsteadOfNothing: a page that a network puts in the way has the status 200, and nothing was deleted.
func TestPageInsteadOfNothing(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!doctype html><title>Sign in</title>")
	})
	var decode *letta.DecodeError
	require.ErrorAs(t, srv.client(t).Agents.Delete(t.Context(), "agent-1"), &decode)
	require.ErrorContains(t, decode, "is the base URL that of a Letta server?")
}
