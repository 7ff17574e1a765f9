package attempt_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta/internal/attempt"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

var once = attempt.Policy{Once: true, Limit: 1 << 20, ErrorLimit: 1 << 20}

func post(t *testing.T, url, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	return r
}

// raw serves what write sends, over connections that it counts.
func raw(t *testing.T, write func(net.Conn)) (url string, connections *atomic.Int32) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	connections = new(atomic.Int32)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			go func() {
				defer conn.Close()
				r := bufio.NewReader(conn)
				for {
					request, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, request.Body)
					write(conn)
				}
			}()
		}
	}()
	return "http://" + listener.Addr().String(), connections
}

func newTransport(t *testing.T) *http.Transport {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

func TestWhatWasSent(t *testing.T) {
	t.Parallel()
	dial := &net.OpError{Op: "dial", Err: errors.New("refused")}
	for name, tt := range map[string]struct {
		transport http.RoundTripper
		nothing   bool
	}{
		"a dial that fails":                               {&http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, dial }}, true},
		"a transport that tells nothing, a dial":          {roundTrip(func(*http.Request) (*http.Response, error) { return nil, dial }), true},
		"a transport that tells nothing, another failure": {roundTrip(func(*http.Request) (*http.Response, error) { return nil, io.EOF }), false},
		"a transport that read the body before its dial":  {roundTrip(func(r *http.Request) (*http.Response, error) { _, _ = io.ReadAll(r.Body); return nil, dial }), false},
		"a transport that returns neither":                {roundTrip(func(*http.Request) (*http.Response, error) { return nil, nil }), false}, //nolint:nilnil // the point
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := attempt.Send(tt.transport, post(t, "http://letta.test/", "body"), once)
			require.Error(t, a.Err)
			require.Nil(t, a.Response)
			require.Equal(t, tt.nothing, a.NothingSent(), a.Err)
		})
	}
}

// TestTransportWithRequestsOfItsOwn: one that gets a token first, with the context of the request, is no repeat.
func TestTransportWithRequestsOfItsOwn(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(srv.Close)
	next := newTransport(t)
	withToken := roundTrip(func(r *http.Request) (*http.Response, error) {
		for range 3 {
			token, err := http.NewRequestWithContext(r.Context(), http.MethodGet, srv.URL, nil)
			require.NoError(t, err)
			resp, err := next.RoundTrip(token)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
		}
		return next.RoundTrip(r)
	})
	require.NoError(t, attempt.Send(withToken, post(t, srv.URL, "{}"), once).Err)
	get, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
	require.NoError(t, err)
	require.NoError(t, attempt.Send(withToken, get, attempt.Policy{Limit: 1 << 20, ErrorLimit: 1 << 20}).Err)
}

// TestConnectionOfA500: its end is left unread, and net/http drops the connection; nothing of the body is lost.
func TestConnectionOfA500(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status, kind, body string
		dropped            bool
	}{
		"JSON":                       {"500 No", "application/json", `{"detail":"An unknown error occurred"}`, true},
		"JSON, then a line break":    {"500 No", "application/json", "{\"detail\":\"x\"}\n", true},
		"a list":                     {"502 No", "application/json", `[1,2]`, false},
		"broken JSON":                {"500 No", "application/json", `{"detail":`, false},
		"text":                       {"500 No", "text/plain", "Internal Server Error", false},
		"a page":                     {"503 No", "text/html", "<html></html>", false},
		"JSON of a 404":              {"404 No", "application/json", `{"detail":"x"}`, false},
		"JSON of a success":          {"200 OK", "application/json", `{"detail":"x"}`, false},
		"one byte":                   {"500 No", "application/json", `1`, false},
		"an object without anything": {"500 No", "application/json", `{}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, connections := raw(t, func(conn net.Conn) {
				_, _ = io.WriteString(conn, "HTTP/1.1 "+tt.status+"\r\nContent-Type: "+tt.kind+"\r\nContent-Length: ")
				_, _ = io.WriteString(conn, strconv.Itoa(len(tt.body))+"\r\n\r\n"+tt.body)
			})
			transport := newTransport(t)
			for range 2 {
				a := attempt.Send(transport, post(t, url, "{}"), once)
				require.NoError(t, a.Err)
				require.Equal(t, strings.TrimSpace(tt.body), strings.TrimSpace(string(a.Body)))
				again, err := io.ReadAll(a.Response.Body)
				require.NoError(t, err)
				require.Equal(t, a.Body, again)
			}
			require.Equal(t, tt.dropped, connections.Load() == 2)
		})
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		case "/large":
			_, _ = w.Write(bytes.Repeat([]byte("x"), 2<<20))
		case "/large-error":
			w.WriteHeader(http.StatusTeapot)
			_, _ = w.Write(bytes.Repeat([]byte("x"), 2<<20))
		case "/cut":
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("half"))
		default:
			_, _ = w.Write([]byte("fine"))
		}
	}))
	t.Cleanup(srv.Close)
	transport := newTransport(t)
	a := attempt.Send(transport, post(t, srv.URL+"/redirect", "x"), once)
	require.NoError(t, a.Err)
	require.Equal(t, "/elsewhere", a.Location)
	require.Empty(t, a.Response.Header.Get("Location"))
	a = attempt.Send(transport, post(t, srv.URL+"/large", "x"), once)
	require.ErrorIs(t, a.Err, attempt.ErrTooLarge)
	a = attempt.Send(transport, post(t, srv.URL+"/large-error", "x"), once)
	require.NoError(t, a.Err)
	require.Len(t, a.Body, 1<<20)
	a = attempt.Send(transport, post(t, srv.URL+"/cut", "x"), once)
	require.ErrorIs(t, a.Err, io.ErrUnexpectedEOF)
	require.False(t, a.NothingSent())
	streamed := once
	streamed.Stream = true
	a = attempt.Send(transport, post(t, srv.URL+"/", "x"), streamed)
	require.NoError(t, a.Err)
	require.Nil(t, a.Body)
	body, err := io.ReadAll(a.Response.Body)
	require.NoError(t, err)
	require.Equal(t, "fine", string(body))
	require.NoError(t, a.Response.Body.Close())
}

// TestRelease: what was not released stays as it is; what was is used again, and cannot be read any more.
func TestRelease(t *testing.T) {
	t.Parallel()
	n := byte('a')
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(bytes.Repeat([]byte{n}, 10_000))
		n++
	}))
	t.Cleanup(srv.Close)
	transport := newTransport(t)
	kept := attempt.Send(transport, post(t, srv.URL, "x"), once)
	require.NoError(t, kept.Err)
	for range 10 {
		a := attempt.Send(transport, post(t, srv.URL, "x"), once)
		require.NoError(t, a.Err)
		response := a.Response
		a.Release()
		a.Release()
		require.Nil(t, a.Body)
		rest, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.Empty(t, rest)
	}
	require.Equal(t, strings.Repeat("a", 10_000), string(kept.Body))
}

// staleConn is a connection that has died unnoticed once stale is set: not a byte can be written.
type staleConn struct {
	net.Conn
	stale *atomic.Bool
}

func (c staleConn) Write(p []byte) (int, error) {
	if c.stale.Load() {
		return 0, errors.New("broken pipe")
	}
	return c.Conn.Write(p)
}

// TestStaleConnection: net/http sends a request of which no byte was written over another connection, and that is no repeat.
func TestStaleConnection(t *testing.T) {
	t.Parallel()
	for name, policy := range map[string]attempt.Policy{"once": once, "stream": {Once: true, Stream: true}, "wrapped": once} {
		var served atomic.Int32
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			served.Add(1)
			_, _ = io.WriteString(w, "fine")
		}))
		defer server.Close()
		for range 20 { // a cancelled request may be answered all the same
			var last *atomic.Bool
			own := newTransport(t)
			own.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
				last = new(atomic.Bool)
				return staleConn{conn, last}, err
			}
			var transport http.RoundTripper = own
			if name == "wrapped" {
				transport = roundTrip(own.RoundTrip)
			}
			for i := range 2 {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, nil)
				require.NoError(t, err)
				before := served.Load()
				a := attempt.Send(transport, r, policy)
				require.NoError(t, a.Err, name)
				body, err := io.ReadAll(a.Response.Body)
				require.NoError(t, err, name)
				require.NoError(t, a.Response.Body.Close())
				require.Equal(t, "fine", string(body))
				require.Equal(t, before+1, served.Load())
				if i == 0 {
					last.Store(true)
				}
			}
		}
	}
}
