package letta_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
)

var allMethods = []string{"GET", "HEAD", "PUT", "DELETE", "POST", "PATCH"}

// do calls one method; those with a body send one.
func do(ctx context.Context, c *letta.Client, method string, opts ...letta.RequestOption) error {
	var body any
	if method == "PUT" || method == "POST" || method == "PATCH" {
		body = map[string]string{"text": "hello"}
	}
	return c.Do(ctx, method, "/v1/x", body, nil, opts...)
}

// cut answers with a part of an answer and then closes the connection, with a reset if the part is empty.
func cut(part string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, part)
		if tcp, ok := conn.(*net.TCPConn); ok && part == "" {
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
	}
}

// TestRetryLaw counts what arrives. The waits are those of production, about a second for two retries.
func TestRetryLaw(t *testing.T) {
	t.Parallel()
	const once, thrice = 1, 3
	for _, tt := range []struct {
		name       string
		handler    http.HandlerFunc
		idempotent int
		post       int
		want       error
	}{
		{"500", reply(500, `{"detail":"An unknown error occurred"}`), thrice, once, letta.ErrServer},
		{"500 with Retry-After", reply(500, "{}", "Retry-After-Ms", "1"), thrice, once, letta.ErrServer},
		{"502", reply(502, "<html>"), thrice, once, letta.ErrServer},
		{"503", reply(503, "{}"), thrice, once, letta.ErrServer},
		{"504", reply(504, "{}"), thrice, once, letta.ErrServer},
		{"504 with Retry-After", reply(504, "{}", "Retry-After-Ms", "1"), thrice, once, letta.ErrServer},
		{"529", reply(529, "{}"), thrice, once, letta.ErrServer},
		{"408", reply(408, "{}"), thrice, once, nil},
		{"408 with Retry-After", reply(408, "{}", "Retry-After-Ms", "1"), thrice, once, nil},
		{"429", reply(429, "{}"), thrice, once, letta.ErrRateLimited},
		{"429 with bad Retry-After", reply(429, "{}", "Retry-After", "soon"), thrice, once, letta.ErrRateLimited},
		{"429 with negative Retry-After", reply(429, "{}", "Retry-After", "-1"), thrice, once, letta.ErrRateLimited},
		{"429 with Retry-After", reply(429, "{}", "Retry-After-Ms", "1"), thrice, thrice, letta.ErrRateLimited},
		{"429 with Retry-After 0", reply(429, "{}", "Retry-After", "0"), thrice, thrice, letta.ErrRateLimited},
		{"429 with a past date", reply(429, "{}", "Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT"), thrice, thrice, letta.ErrRateLimited},
		{"503 with Retry-After", reply(503, "{}", "Retry-After", "0.01"), thrice, thrice, letta.ErrServer},
		{"429 of the provider", reply(429, `{"error":{"type":"llm_rate_limit","message":"later"}}`, "Retry-After-Ms", "1"), thrice, once, letta.ErrProvider},
		{"503 of the provider", reply(503, `{"error":{"type":"llm_overloaded","message":"later"}}`, "Retry-After-Ms", "1"), thrice, once, letta.ErrProvider},
		{"429 quota", reply(429, `{"error":"limit","reasons":["exceeded-quota"]}`, "Retry-After-Ms", "1"), once, once, letta.ErrQuota},
		{"429 quota, nested", reply(429, `{"error":{"message":"limit","reasons":["not-enough-credits"]}}`, "Retry-After-Ms", "1"), once, once, letta.ErrQuota},
		{"501", reply(501, "{}", "Retry-After-Ms", "1"), once, once, letta.ErrServer},
		{"400", reply(400, "{}", "Retry-After-Ms", "1"), once, once, letta.ErrBadRequest},
		{"402", reply(402, "{}", "Retry-After-Ms", "1"), once, once, letta.ErrQuota},
		{"404", reply(404, "{}"), once, once, letta.ErrNotFound},
		{"409", reply(409, "{}", "Retry-After-Ms", "1"), once, once, letta.ErrConflict},
		{"422", reply(422, "{}"), once, once, letta.ErrValidation},
		{"reset after reading", cut(""), thrice, once, nil},
		{"closed in the headers", cut("HTTP/1.1 200 OK\r\nContent-Le"), thrice, once, nil},
		{"truncated", cut("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"), thrice, once, io.ErrUnexpectedEOF},
		{"truncated chunks", cut("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\r\n"), thrice, once, io.ErrUnexpectedEOF},
		{"no HTTP", cut("SSH-2.0-OpenSSH\r\n\r\n"), thrice, once, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := serve(t, tt.handler)
			client := srv.client(t)
			var wg sync.WaitGroup
			for _, method := range allMethods {
				if method == "HEAD" && (strings.Contains(tt.name, "provider") || strings.Contains(tt.name, "quota") || strings.Contains(tt.name, "truncated")) {
					continue // no body
				}
				wg.Go(func() {
					err := do(t.Context(), client, method)
					assert.Error(t, err, method)
					if tt.want != nil {
						assert.ErrorIs(t, err, tt.want, method)
					}
					want := tt.idempotent
					if method == "POST" || method == "PATCH" {
						want = tt.post
					}
					assert.Len(t, srv.seen(method), want, method)
					if want > 1 {
						assert.ErrorContains(t, err, strconv.Itoa(want)+" attempts", method)
					} else {
						assert.NotContains(t, err.Error(), "attempts", method)
					}
				})
			}
			wg.Wait()
		})
	}
}

func TestRetryLawWithoutReading(t *testing.T) {
	t.Parallel()
	var counts sync.Map
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := counts.LoadOrStore(r.Method, new(atomic.Int32))
		n.(*atomic.Int32).Add(1)
		cut("")(w, r) // the body is not read
	}))
	t.Cleanup(srv.Close)
	client, err := letta.NewClient(letta.WithBaseURL(srv.URL))
	require.NoError(t, err)
	big := bytes.Repeat([]byte(" "), 1<<20)
	for _, body := range [][]byte{[]byte("{}"), big} {
		counts.Clear()
		var wg sync.WaitGroup
		for _, method := range []string{"GET", "PUT", "POST", "PATCH"} {
			wg.Go(func() {
				var payload any
				if method != "GET" {
					payload = body
				}
				assert.Error(t, client.Do(t.Context(), method, "/v1/x", payload, nil))
			})
		}
		wg.Wait()
		for method, want := range map[string]int32{"GET": 3, "PUT": 3, "POST": 1, "PATCH": 1} {
			n, _ := counts.Load(method)
			require.Equal(t, want, n.(*atomic.Int32).Load(), method)
		}
	}
}

func TestRetryAfterATimeoutOfTheTransport(t *testing.T) {
	t.Parallel()
	srv := serve(t, hang)
	transport := &http.Transport{ResponseHeaderTimeout: 200 * time.Millisecond}
	t.Cleanup(transport.CloseIdleConnections)
	client := srv.client(t, letta.WithHTTPClient(&http.Client{Transport: transport}))
	var wg sync.WaitGroup
	for _, method := range allMethods {
		wg.Go(func() { assert.Error(t, do(t.Context(), client, method)) })
	}
	wg.Wait()
	for method, want := range map[string]int{"GET": 3, "HEAD": 3, "PUT": 3, "DELETE": 3, "POST": 1, "PATCH": 1} {
		require.Len(t, srv.seen(method), want, method)
	}
}

// TestTypedCallsFollowTheLaw: the services go the same way as Do.
func TestTypedCallsFollowTheLaw(t *testing.T) {
	t.Parallel()
	srv := serve(t, reply(500, "{}", "Retry-After-Ms", "1"))
	agents := srv.client(t).Agents
	_, err := agents.Create(t.Context(), &letta.AgentCreateParams{})
	require.ErrorIs(t, err, letta.ErrServer)
	_, err = agents.Update(t.Context(), "agent-1", &letta.AgentUpdateParams{})
	require.ErrorIs(t, err, letta.ErrServer)
	_, err = agents.ImportFile(t.Context(), &letta.AgentImportFileParams{File: strings.NewReader("{}")})
	require.ErrorIs(t, err, letta.ErrServer)
	require.Len(t, srv.seen("POST"), 2)
	require.Len(t, srv.seen("PATCH"), 1)
	_, err = agents.Retrieve(t.Context(), "agent-1", nil)
	require.ErrorIs(t, err, letta.ErrServer)
	require.Len(t, srv.seen("GET"), 3)
	require.ErrorIs(t, agents.Delete(t.Context(), "agent-1"), letta.ErrServer)
	require.Len(t, srv.seen("DELETE"), 3)
}

func TestMaxRetries(t *testing.T) {
	t.Parallel()
	srv := serve(t, reply(503, "{}", "Retry-After-Ms", "1"))
	client := srv.client(t, letta.WithMaxRetries(0))
	sent := 0
	for _, tt := range []struct {
		opts []letta.RequestOption
		want int
	}{{nil, 1}, {[]letta.RequestOption{letta.WithMaxRetries(4)}, 5}, {[]letta.RequestOption{letta.WithMaxRetries(1)}, 2}} {
		for _, method := range []string{"GET", "POST"} {
			err := do(t.Context(), client, method, tt.opts...)
			var apiErr *letta.APIError
			require.ErrorAs(t, err, &apiErr)
			require.Equal(t, tt.want, apiErr.Attempts)
			sent += tt.want
			require.Len(t, srv.seen(""), sent)
		}
	}
}

func TestSecondAttemptSucceeds(t *testing.T) {
	t.Parallel()
	var n atomic.Int32
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1)%3 != 0 {
			reply(429, "{}", "Retry-After-Ms", "1")(w, r)
			return
		}
		reply(200, agentJSON)(w, r)
	})
	agent, err := srv.client(t).Agents.Create(t.Context(), &letta.AgentCreateParams{Name: "n", Tags: []string{"a"}}, letta.WithBodyField("f", 1))
	require.NoError(t, err)
	require.Equal(t, letta.AgentID("agent-1"), agent.ID)
	posts := srv.seen("POST")
	require.Len(t, posts, 3)
	for _, r := range posts[1:] {
		require.Equal(t, posts[0].Body, r.Body)
		require.Equal(t, posts[0].Header, r.Header)
		require.Equal(t, posts[0].Path, r.Path)
	}
	require.JSONEq(t, `{"name":"n","tags":["a"],"f":1}`, posts[0].Body)
}

func TestNothingSentIsRepeated(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"GET", "POST", "PATCH"} {
		var dials atomic.Int32
		transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			dials.Add(1)
			return new(net.Dialer).DialContext(ctx, network, address)
		}}
		client, err := letta.NewClient(letta.WithBaseURL("http://127.0.0.1:1"), letta.WithHTTPClient(&http.Client{Transport: transport}), letta.WithMaxRetries(1)) // nobody listens on port 1; a port that was let go may be taken by another test
		require.NoError(t, err)
		err = do(t.Context(), client, method)
		require.ErrorContains(t, err, "refused")
		require.ErrorContains(t, err, "2 attempts")
		require.EqualValues(t, 2, dials.Load(), method)
	}
}

func TestPostAfterALateStart(t *testing.T) {
	t.Parallel()
	srv := serve(t, reply(200, agentJSON))
	var dials atomic.Int32
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if dials.Add(1) == 1 {
			return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("not up yet")}
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	_, err := srv.client(t, letta.WithHTTPClient(&http.Client{Transport: transport})).Agents.Create(t.Context(), &letta.AgentCreateParams{})
	require.NoError(t, err)
	require.Len(t, srv.seen("POST"), 1)
}

func TestSilentTransport(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err  error
		post int
	}{
		"unknown":    {errors.New("queue is full"), 1},
		"dial":       {&net.OpError{Op: "dial", Err: errors.New("refused")}, 2},
		"read":       {&net.OpError{Op: "read", Err: errors.New("reset")}, 1},
		"closed":     {io.ErrUnexpectedEOF, 1},
		"bare error": {io.EOF, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for method, want := range map[string]int{"GET": 2, "DELETE": 2, "POST": tt.post, "PATCH": tt.post} {
				n := 0
				hc := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) { n++; return nil, tt.err })}
				client, err := letta.NewClient(letta.WithBaseURL("https://h"), letta.WithHTTPClient(hc), letta.WithMaxRetries(1))
				require.NoError(t, err)
				require.ErrorIs(t, do(t.Context(), client, method), tt.err)
				require.Equal(t, want, n, method)
			}
		})
	}
}

func TestCertificateErrorsAreFinal(t *testing.T) {
	t.Parallel()
	srv := unstarted(t, reply(200, "[]"))
	srv.StartTLS()
	var response letta.Response
	_, err := srv.client(t).Agents.List(t.Context(), nil, letta.WithResponse(&response))
	var invalid *tls.CertificateVerificationError
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, 1, response.Attempts)
}

// TestIdempotencyKey: net/http itself repeats any request with such a header after it was sent on a kept connection.
func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == "POST" {
					cut("")(w, r)
					return
				}
				reply(200, "[]")(w, r)
			})
			client := srv.client(t, letta.WithHeader(name, "k1"))
			require.NoError(t, do(t.Context(), client, "GET")) // leaves a connection to reuse
			require.Error(t, do(t.Context(), client, "POST"))
			require.Len(t, srv.seen("POST"), 1)
		})
	}
}

func TestDeleteTwice(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		first http.HandlerFunc
		want  error
		sent  int
	}{
		"answer lost":       {cut(""), nil, 2},
		"answer cut":        {cut("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"), nil, 2},
		"500 after all":     {reply(500, "{}", "Retry-After-Ms", "1"), nil, 2},
		"was never there":   {reply(404, "{}"), letta.ErrNotFound, 1},
		"not let in at all": {reply(429, "{}", "Retry-After-Ms", "1"), letta.ErrNotFound, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var n atomic.Int32
			srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if n.Add(1) == 1 {
					tt.first(w, r)
					return
				}
				reply(404, `{"detail":"Agent not found"}`)(w, r)
			})
			err := srv.client(t).Agents.Delete(t.Context(), "agent-1")
			if tt.want == nil {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, tt.want)
			}
			require.Len(t, srv.seen("DELETE"), tt.sent)
		})
	}
	t.Run("only DELETE", func(t *testing.T) {
		t.Parallel()
		var n atomic.Int32
		srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
			reply([]int{500, 404}[min(n.Add(1), 2)-1], "{}", "Retry-After-Ms", "1")(w, r)
		})
		_, err := srv.client(t).Agents.Retrieve(t.Context(), "agent-1", nil)
		require.ErrorIs(t, err, letta.ErrNotFound)
	})
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		header, value string
		timeout       time.Duration
		low, high     time.Duration
	}{
		"over the cap":         {"Retry-After", "3600", time.Minute, time.Hour, time.Hour},
		"far over the cap":     {"Retry-After", "1e300", time.Minute, time.Hour, 1 << 62},
		"date over the cap":    {"Retry-After", "2h", time.Minute, time.Hour, 3 * time.Hour},
		"ms over the cap":      {"Retry-After-Ms", "40000", time.Minute, 40 * time.Second, 40 * time.Second},
		"beyond the deadline":  {"Retry-After", "20", 10 * time.Second, 20 * time.Second, 20 * time.Second},
		"date beyond deadline": {"Retry-After", "25s", 10 * time.Second, 20 * time.Second, 25 * time.Second},
	} {
		for _, method := range []string{"GET", "POST"} {
			t.Run(name+" "+method, func(t *testing.T) {
				t.Parallel()
				srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
					value := tt.value
					if in, err := time.ParseDuration(value); err == nil {
						value = time.Now().Add(in).UTC().Format(http.TimeFormat)
					}
					reply(429, `{"detail":"slow down"}`, tt.header, value)(w, r)
				})
				err := do(t.Context(), srv.client(t, letta.WithTimeout(tt.timeout)), method)
				var apiErr *letta.APIError
				require.ErrorAs(t, err, &apiErr)
				require.ErrorIs(t, err, letta.ErrRateLimited)
				require.NotErrorIs(t, err, context.DeadlineExceeded)
				require.GreaterOrEqual(t, apiErr.RetryAfter, tt.low)
				require.LessOrEqual(t, apiErr.RetryAfter, tt.high)
				require.Contains(t, err.Error(), "retry after")
				require.Equal(t, 1, apiErr.Attempts)
				require.Len(t, srv.seen(""), 1)
			})
		}
	}
	t.Run("deadline of the caller", func(t *testing.T) {
		t.Parallel()
		srv := serve(t, reply(503, "{}", "Retry-After", "5"))
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		err := do(ctx, srv.client(t), "GET")
		require.ErrorIs(t, err, letta.ErrServer)
		require.NoError(t, ctx.Err(), "it did not wait")
	})
	t.Run("cancelled while waiting", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
			reply(503, "{}", "Retry-After", "20")(w, r)
			time.AfterFunc(50*time.Millisecond, cancel)
		})
		require.ErrorIs(t, do(ctx, srv.client(t), "GET"), context.Canceled)
		require.Len(t, srv.seen(""), 1)
	})
}

// --- connections --------------------------------------------------------------------------------------------------

// TestPostAfterA500: 0.16.8 closes the connection of a 500 without saying so, a moment later.
func TestPostAfterA500(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%v", secure), func(t *testing.T) {
			t.Parallel()
			srv := unstarted(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/v1/fail" {
					reply(200, agentJSON)(w, r)
					return
				}
				conn, _, err := w.(http.Hijacker).Hijack()
				if err != nil {
					return
				}
				_, _ = io.WriteString(conn, "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
				time.AfterFunc(2*time.Millisecond, func() { _ = conn.Close() })
			})
			if secure {
				srv.StartTLS()
			} else {
				srv.Start()
			}
			client := srv.client(t, letta.WithHTTPClient(srv.Client()))
			for i := range 50 {
				require.ErrorIs(t, client.Do(t.Context(), "POST", "/v1/fail", nil, nil), letta.ErrServer)
				if i%2 == 1 {
					time.Sleep(time.Duration(i%5) * time.Millisecond) // before, during and after the close
				}
				_, err := client.Agents.Create(t.Context(), &letta.AgentCreateParams{Name: strconv.Itoa(i)})
				require.NoError(t, err)
			}
			names := map[string]int{}
			for _, r := range srv.seen("POST") {
				if r.Path == "/v1/agents/" {
					names[r.Body]++
				}
			}
			require.Len(t, names, 50)
			for body, n := range names {
				require.Equal(t, 1, n, body)
			}
		})
	}
}

// TestPostsAfter500sSideBySide: the same for callers that share a pool.
func TestPostsAfter500sSideBySide(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/fail" {
			reply(200, agentJSON)(w, r)
			return
		}
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
		time.Sleep(100 * time.Microsecond)
		_ = conn.Close()
	})
	client := srv.client(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	failed := map[string]int{}
	for i := range 8 {
		wg.Go(func() {
			for j := range 100 {
				_ = client.Do(t.Context(), "POST", "/v1/fail", nil, nil)
				path := fmt.Sprintf("/v1/%d/%d", i, j)
				if err := client.Do(t.Context(), "POST", path, []byte("{}"), nil); err != nil {
					mu.Lock()
					failed[strings.ReplaceAll(err.Error(), path, "")]++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	arrived := map[string]int{}
	for _, r := range srv.seen("POST") {
		arrived[r.Path]++
	}
	delete(arrived, "/v1/fail")
	for path, n := range arrived {
		require.Equal(t, 1, n, path)
	}
	unsent := 800 - len(arrived)
	require.Empty(t, failed, "%d of them did not arrive", unsent)
}

func TestConnectionsOfA5xxAreNotReused(t *testing.T) {
	t.Parallel()
	plain := &http.Transport{}
	t.Cleanup(plain.CloseIdleConnections)
	for name, tt := range map[string]struct {
		secure bool
		client func(*server) *http.Client
	}{
		"default":    {false, nil},
		"own client": {false, func(*server) *http.Client { return &http.Client{Transport: plain} }},
		"wrapped":    {false, func(*server) *http.Client { return &http.Client{Transport: sharedPool{plain, t}} }},
		"tls":        {true, func(s *server) *http.Client { return s.Client() }},
		"wrapped, tls": {true, func(s *server) *http.Client {
			return &http.Client{Transport: struct{ http.RoundTripper }{s.Client().Transport}}
		}},
		"dialer with it": {false, func(*server) *http.Client { return dialing(t) }},
	} {
		for _, body := range []string{`{"detail":"An unknown error occurred"}`, "", `{"detail":"` + strings.Repeat("x", 100<<10) + `"}`} {
			t.Run(fmt.Sprintf("%s, %d bytes", name, len(body)), func(t *testing.T) {
				t.Parallel()
				srv := unstarted(t, func(w http.ResponseWriter, r *http.Request) {
					status, _ := strconv.Atoi(r.Header.Get("X-Status"))
					w.Header().Set("Content-Length", strconv.Itoa(len(body)))
					reply(status, body)(w, r)
				})
				if tt.secure {
					srv.StartTLS()
				} else {
					srv.Start()
				}
				var opts []letta.ClientOption
				if tt.client != nil {
					opts = append(opts, letta.WithHTTPClient(tt.client(srv)))
				}
				client := srv.client(t, append(opts, letta.WithMaxRetries(0))...)
				burnt := map[string]bool{}
				last := ""
				for i, status := range []int{200, 404, 200, 409, 500, 200, 200, 503, 502, 422, 200, 500} {
					err := do(t.Context(), client, []string{"POST", "GET"}[i%2], letta.WithHeader("X-Status", strconv.Itoa(status)))
					var apiErr *letta.APIError
					if status != 200 {
						require.ErrorAs(t, err, &apiErr)
					} else {
						require.NoError(t, err)
					}
					requests := srv.seen("")
					require.Len(t, requests, i+1, "each is seen once")
					remote := requests[i].Remote
					// A connection without a body to read is back in the pool, and maybe in use, before the caller knows.
					if body != "" {
						require.False(t, burnt[remote], "request %d came on the connection of a 5xx", i)
					}
					if last != "" && !burnt[last] {
						require.Equal(t, last, remote, "the connection of a 2xx or 4xx is kept")
					}
					if last = remote; status >= 500 {
						burnt[remote] = true
					}
				}
			})
		}
	}
}

// dialing has connections of a type of its own, as tracers and limiters make them.
func dialing(t *testing.T) *http.Client {
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return struct{ net.Conn }{conn}, err
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// TestNeighboursOfA5xx: net/http gives a connection back before the caller sees an answer without a body. Whoever
// has it by then must not suffer for the 5xx of another.
func TestNeighboursOfA5xx(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/fail" {
			w.Header().Set("Content-Length", "0")
			w.WriteHeader(500)
			return
		}
		reply(200, "{}")(w, r)
	})
	client := srv.client(t, letta.WithMaxRetries(0))
	large := bytes.Repeat([]byte(" "), 256<<10)
	var posting sync.WaitGroup
	var failed atomic.Int32
	for range 4 {
		posting.Go(func() {
			for range 40 {
				_ = client.Do(t.Context(), "GET", "/v1/fail", nil, nil)
				if err := client.Do(t.Context(), "POST", "/v1/x", large, nil); err != nil {
					failed.Add(1)
				}
			}
		})
	}
	posting.Wait()
	require.Zero(t, failed.Load(), "POSTs that failed")
}

func TestEndlessErrorBody(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(400)
		chunk := bytes.Repeat([]byte("x"), 1<<16)
		for range 1024 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	_, err := srv.client(t).Agents.List(t.Context(), nil)
	var apiErr *letta.APIError
	require.ErrorAs(t, err, &apiErr)
	require.Len(t, apiErr.Body, 1<<20)
	require.Less(t, len(err.Error()), 1000)
}

// --- errors ------------------------------------------------------------------------------------------------------------

func TestErrorShapes(t *testing.T) {
	t.Parallel()
	sentinels := []error{
		letta.ErrBadRequest, letta.ErrUnauthorized, letta.ErrForbidden, letta.ErrNotFound, letta.ErrConflict, letta.ErrValidation, letta.ErrRateLimited,
		letta.ErrQuota, letta.ErrServer, letta.ErrProvider, letta.ErrBusy, letta.ErrPendingApproval, letta.ErrNoActiveRun,
	}
	for _, tt := range []struct {
		name   string
		status int
		body   string
		header []string
		is     []error
		text   []string // parts of Error()
		want   letta.APIError
	}{
		{
			name: "text", status: 404, body: `{"detail":"Agent not found"}`, is: []error{letta.ErrNotFound},
			text: []string{"letta: agents.update agent-1: 404 Not Found: Agent not found"}, want: letta.APIError{Message: "Agent not found"},
		},
		{
			name: "object", status: 409, is: []error{letta.ErrConflict, letta.ErrPendingApproval}, text: []string{"waits for you"},
			body: `{"detail":{"code":"PENDING_APPROVAL","message":"it waits for you","pending_request_id":"message-7"}}`,
			want: letta.APIError{Code: "PENDING_APPROVAL", Message: "it waits for you", PendingRequestID: "message-7"},
		},
		{
			name: "pending approval as text", status: 409, is: []error{letta.ErrConflict, letta.ErrPendingApproval},
			body: `{"detail":"CONFLICT: The agent is waiting for approval on a tool call, so nothing new can be sent."}`,
			want: letta.APIError{Message: "CONFLICT: The agent is waiting for approval on a tool call, so nothing new can be sent."},
		},
		{
			name: "busy", status: 409, is: []error{letta.ErrConflict, letta.ErrBusy}, text: []string{"(run run-5"},
			body: `{"detail":"CONFLICT: another request is being processed","run_id":"run-5"}`,
			want: letta.APIError{Message: "CONFLICT: another request is being processed", RunID: "run-5"},
		},
		{
			name: "busy, and the run has no name yet", status: 409, is: []error{letta.ErrConflict, letta.ErrBusy},
			body: `{"detail":"CONFLICT: Another request is being processed for this conversation."}`,
			want: letta.APIError{Message: "CONFLICT: Another request is being processed for this conversation."},
		},
		{
			name: "nothing to cancel", status: 409, is: []error{letta.ErrConflict, letta.ErrNoActiveRun},
			body: `{"detail":"CONFLICT: No active runs to cancel for agent agent-1"}`, want: letta.APIError{Message: "CONFLICT: No active runs to cancel for agent agent-1"},
		},
		{
			name: "nothing to follow", status: 400, is: []error{letta.ErrBadRequest, letta.ErrNoActiveRun},
			body: `{"detail":"INVALID_ARGUMENT: No active runs found"}`, want: letta.APIError{Message: "INVALID_ARGUMENT: No active runs found"},
		},
		{name: "other conflict", status: 409, body: `{"detail":"CONFLICT: changed meanwhile"}`, is: []error{letta.ErrConflict}, want: letta.APIError{Message: "CONFLICT: changed meanwhile"}},
		{
			name: "list", status: 422, is: []error{letta.ErrValidation}, text: []string{"body.tags.0: must be text; query.limit: must be a number"},
			body: `{"detail":[{"type":"t","loc":["body","tags",0],"msg":"must be text","input":1},{"loc":["query","limit"],"msg":"must be a number"}]}`,
			want: letta.APIError{Fields: []letta.FieldError{{Field: "body.tags.0", Message: "must be text"}, {Field: "query.limit", Message: "must be a number"}}},
		},
		{
			name: "printed list", status: 422, is: []error{letta.ErrValidation}, text: []string{"body.tags: must be a list; body.blocks.3.label: can't be x"},
			body: `{"trace_id":"","detail":"[{'type': 'list_type', 'loc': ('body', 'tags'), 'msg': 'must be a list', 'input': 'a'}, ` +
				`{'type': 't', 'loc': ('body', 'blocks', 3, 'label'), 'msg': \"can't be x\", 'input': None}]"}`,
			want: letta.APIError{Fields: []letta.FieldError{{Field: "body.tags", Message: "must be a list"}, {Field: "body.blocks.3.label", Message: "can't be x"}}},
		},
		{
			name: "provider's key", status: 401, is: []error{letta.ErrProvider}, text: []string{"key was refused: 401 from upstream"},
			body: `{"error":{"type":"llm_authentication","message":"the provider's key was refused","detail":"401 from upstream"}}`,
			want: letta.APIError{Type: "llm_authentication", Message: "the provider's key was refused: 401 from upstream"},
		},
		{
			name: "provider's limit", status: 429, is: []error{letta.ErrProvider},
			body: `{"error":{"type":"llm_rate_limit","message":"slow"}}`, want: letta.APIError{Type: "llm_rate_limit", Message: "slow"},
		},
		{
			name: "provider's credits", status: 402, is: []error{letta.ErrProvider},
			body: `{"error":{"type":"llm_insufficient_credits","message":"pay"}}`, want: letta.APIError{Type: "llm_insufficient_credits", Message: "pay"},
		},
		{name: "provider's 500", status: 500, is: []error{letta.ErrProvider, letta.ErrServer}, body: `{"error":{"type":"llm_error","message":"odd"}}`, want: letta.APIError{Type: "llm_error", Message: "odd"}},
		{
			name: "text and code", status: 503, is: []error{letta.ErrServer}, body: `{"error":"going down","errorCode":"cloud_api_shutting_down"}`,
			want: letta.APIError{Message: "going down", Code: "cloud_api_shutting_down"},
		},
		{
			name: "quota", status: 402, is: []error{letta.ErrQuota}, body: `{"error":"You have reached your limit for agents","reasons":["agents-limit-exceeded"]}`,
			want: letta.APIError{Message: "You have reached your limit for agents", Reasons: []string{"agents-limit-exceeded"}},
		},
		{
			name: "quota 429", status: 429, is: []error{letta.ErrQuota}, header: []string{"Retry-After", "7"},
			body: `{"error":{"reasons":["premium-usage-exceeded"],"reason_text":"all used"}}`, text: []string{"retry after 7s"},
			want: letta.APIError{Message: "all used", Reasons: []string{"premium-usage-exceeded"}, RetryAfter: 7 * time.Second},
		},
		{name: "rate limit", status: 429, is: []error{letta.ErrRateLimited}, body: `{"message":"slow down"}`, want: letta.APIError{Message: "slow down"}},
		{name: "forbidden", status: 403, is: []error{letta.ErrForbidden}, body: `{"error":"no"}`, want: letta.APIError{Message: "no"}},
		{name: "unauthorized", status: 401, is: []error{letta.ErrUnauthorized}, body: `{"detail":"Unauthorized"}`, text: []string{"no key was sent: pass WithAPIKey"}, want: letta.APIError{Message: "Unauthorized"}},
		{
			name: "proxy's page", status: 502, is: []error{letta.ErrServer}, header: []string{"Content-Type", "text/html", "Server", "cloudflare", "Cf-Ray", "8f1-FRA"},
			body: "<!DOCTYPE html>\n<html><head><title>\n  502: Bad\tgateway </title></head><body>" + strings.Repeat("<p>x</p>\n", 500),
			text: []string{"502 Bad Gateway: 502: Bad gateway (", "cloudflare", "8f1-FRA"},
			want: letta.APIError{Message: "502: Bad gateway (not from a Letta server, but from cloudflare, ray 8f1-FRA)"},
		},
		{name: "page without title", status: 503, is: []error{letta.ErrServer}, body: "<h1>Down</h1>\n<p>Sorry</p>", text: []string{"Down Sorry"}, want: letta.APIError{Message: "Down Sorry (not from a Letta server)"}},
		{name: "plain text", status: 400, is: []error{letta.ErrBadRequest}, body: "no\nway", text: []string{"no way"}, want: letta.APIError{Message: "no\nway"}},
		{name: "empty", status: 500, is: []error{letta.ErrServer}, text: []string{"letta: agents.update agent-1: 500 Internal Server Error"}},
		{name: "null", status: 500, body: "null", is: []error{letta.ErrServer}},
		{name: "other JSON", status: 418, body: `{"a":[1,{}],"detail":7,"error":[]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := serve(t, reply(tt.status, tt.body, append([]string{"X-Request-Id", "req-9"}, tt.header...)...))
			// PATCH, so that nothing is repeated
			_, err := srv.client(t, letta.WithMaxRetries(0)).Agents.Update(t.Context(), "agent-1", &letta.AgentUpdateParams{})
			var got *letta.APIError
			require.ErrorAs(t, err, &got)
			wrapped := fmt.Errorf("wrapped: %w", err)
			for _, sentinel := range sentinels {
				want := false
				for _, is := range tt.is {
					want = want || errors.Is(is, sentinel)
				}
				require.Equal(t, want, errors.Is(wrapped, sentinel), sentinel)
			}
			for _, part := range append(tt.text, "agents.update agent-1", "req-9", strconv.Itoa(tt.status)) {
				require.Contains(t, err.Error(), part)
			}
			require.NotContains(t, err.Error(), "\n")
			require.Less(t, len(err.Error()), 500)
			require.Equal(t, tt.body, string(got.Body))
			require.Equal(t, "/v1/agents/agent-1", got.Path)
			require.Equal(t, "req-9", got.RequestID)
			want := tt.want
			require.Equal(t, []any{want.Type, want.Code, want.Message, want.Fields, want.Reasons, want.RunID, want.PendingRequestID, want.RetryAfter},
				[]any{got.Type, got.Code, got.Message, got.Fields, got.Reasons, got.RunID, got.PendingRequestID, got.RetryAfter})
		})
	}
}

func TestErrorIsOneShortLine(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"lines":   `{"detail":"duplicate key\nDETAIL: Key (file_id)\n[SQL: INSERT INTO files_agents]\r\n"}`,
		"long":    `{"detail":"` + strings.Repeat("long ", 20_000) + `"}`,
		"field":   `{"detail":[{"loc":["body"],"msg":"two\nlines"}]}`,
		"many":    `{"detail":[` + strings.Repeat(`{"loc":["body"],"msg":"long"},`, 5000) + `{}]}`,
		"control": `{"error":{"message":"a\u001b[31mb\u0000"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := serve(t, reply(409, body)).client(t).Agents.List(t.Context(), nil)
			require.ErrorIs(t, err, letta.ErrConflict)
			require.NotRegexp(t, `[\x00-\x1f]`, err.Error())
			require.Less(t, len(err.Error()), 4096)
		})
	}
}

func TestPrintedQuotes(t *testing.T) {
	t.Parallel()
	body := `{"detail":"[{'type': 't', 'loc': ('body', 'name'), 'msg': 'can\\'t be \"x\"', 'input': None}]"}`
	_, err := serve(t, reply(422, body)).client(t).Agents.List(t.Context(), nil)
	require.ErrorContains(t, err, `can't be "x"`)
}

func TestLargeErrorBodyIsStillRead(t *testing.T) {
	t.Parallel()
	// A 422 echoes the input, so it is as large as what was sent.
	body := `{"detail":[{"loc":["body","system"],"msg":"too long","input":"` + strings.Repeat("x", 2<<20) + `"}]}`
	_, err := serve(t, reply(422, body)).client(t).Agents.Create(t.Context(), &letta.AgentCreateParams{})
	require.NotContains(t, err.Error(), "not from a Letta server")
	require.ErrorContains(t, err, "body.system: too long")
}

func TestDecodeErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, kind, body, want string }{
		{"page", "text/html; charset=utf-8", "<!DOCTYPE html><html>", "base URL"},
		{"page of an editor", "text/html", `<html><body>Sign in</body></html>`, "base URL"},
		{"half", "application/json", `{"id":"agent-1"`, "200"},
		{"two", "application/json", agentJSON + agentJSON, "200"},
		{"other type", "application/json", `[]`, "200"},
		{"null", "application/json", "null", "null"},
		{"empty", "application/json", "", "EOF"},
		{"spaces", "application/json", " \n", "EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := serve(t, reply(200, tt.body, "Content-Type", tt.kind))
			for range 2 {
				agent, err := srv.client(t).Agents.Retrieve(t.Context(), "agent-1", nil)
				require.Nil(t, agent)
				var decode *letta.DecodeError
				require.ErrorAs(t, err, &decode)
				require.ErrorContains(t, err, tt.want)
				require.NotContains(t, err.Error(), "\n")
				require.Equal(t, []any{"GET", "/v1/agents/agent-1", 200, tt.body}, []any{decode.Method, decode.Path, decode.StatusCode, string(decode.Body)})
				require.ErrorIs(t, err, decode.Err)
			}
			require.Len(t, srv.seen(""), 2, "the request was carried out, so it is not repeated")
		})
	}
}

// TestKeptConnectionIsClosed: the server closes a kept connection while a POST goes out on it. Whether the POST was
// read cannot be known, so it is sent once.
func TestKeptConnectionIsClosed(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var posts atomic.Int32
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				reader := bufio.NewReader(conn)
				for {
					r, err := http.ReadRequest(reader)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, r.Body)
					if r.Method == "POST" {
						posts.Add(1)
						return // closed without an answer
					}
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
				}
			})
		}
	})
	t.Cleanup(func() { _ = listener.Close() })
	transport := &http.Transport{}
	client, err := letta.NewClient(letta.WithBaseURL("http://"+listener.Addr().String()), letta.WithHTTPClient(&http.Client{Transport: transport}))
	require.NoError(t, err)
	for range 10 {
		require.NoError(t, do(t.Context(), client, "GET"))
		require.Error(t, do(t.Context(), client, "POST"))
	}
	require.EqualValues(t, 10, posts.Load())
	transport.CloseIdleConnections()
	_ = listener.Close()
	wg.Wait()
}
