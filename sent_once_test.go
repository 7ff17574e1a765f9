package letta_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
)

// --- what must not arrive twice, over transports and servers that tempt net/http or us to send again -------------

// transports are what people put between a client and the wire.
var transports = map[string]func(*http.Transport) http.RoundTripper{
	"plain": func(t *http.Transport) http.RoundTripper { return t },
	"dumping": func(t *http.Transport) http.RoundTripper { // reads the answer before us
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			resp, err := t.RoundTrip(r)
			if err == nil {
				_, err = httputil.DumpResponse(resp, true)
			}
			return resp, err
		})
	},
	"probing": func(t *http.Transport) http.RoundTripper { // looks at the beginning of each answer, which may be all of it
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			resp, err := t.RoundTrip(r)
			if err == nil {
				body := bufio.NewReader(resp.Body)
				_, _ = body.Peek(512)
				resp.Body = struct {
					io.Reader
					io.Closer
				}{body, resp.Body}
			}
			return resp, err
		})
	},
	"setting deadlines": func(t *http.Transport) http.RoundTripper {
		dial := t.DialContext
		if dial == nil {
			dial = new(net.Dialer).DialContext
		}
		t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			return &deadlineConn{conn}, err
		}
		return t
	},
}

type deadlineConn struct{ net.Conn }

func (c *deadlineConn) Write(p []byte) (int, error) {
	_ = c.SetWriteDeadline(time.Now().Add(time.Minute))
	return c.Conn.Write(p)
}

// TestPostsAmong500s sends POSTs to a server that answers 500 to 3 of 10 and then closes the connection without a word, as
// Letta 0.16.8 does. Each must arrive at most once, and the caller must hear what became of it.
func TestPostsAmong500s(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"HTTP/1.1", "TLS", "HTTP/2"} {
		for name, wrap := range transports {
			t.Run(protocol+", "+name, func(t *testing.T) {
				t.Parallel()
				var mu sync.Mutex
				arrived, failed := map[string]int{}, map[string]bool{}
				srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					id := string(body)
					mu.Lock()
					arrived[id]++
					fails := len(arrived)%10 < 3
					failed[id] = fails
					mu.Unlock()
					if !fails {
						reply(200, "{}")(w, r)
						return
					}
					hijacker, ok := w.(http.Hijacker)
					if !ok {
						reply(500, `{"detail":"An unknown error occurred"}`)(w, r)
						return
					}
					conn, _, err := hijacker.Hijack()
					if err != nil {
						return
					}
					_, _ = io.WriteString(conn, "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nContent-Length: 38\r\n\r\n{\"detail\":\"An unknown error occurred\"}")
					time.Sleep(50 * time.Microsecond)
					_ = conn.Close()
				}))
				switch protocol {
				case "HTTP/1.1":
					srv.Start()
				case "HTTP/2":
					srv.EnableHTTP2 = true
					fallthrough
				default:
					srv.StartTLS()
				}
				t.Cleanup(srv.Close)
				base := srv.Client().Transport.(*http.Transport)
				base.MaxIdleConnsPerHost = 100
				client, err := letta.NewClient(letta.WithBaseURL(srv.URL), letta.WithHTTPClient(&http.Client{Transport: wrap(base)}))
				require.NoError(t, err)

				outcomes := sync.Map{}
				var all sync.WaitGroup
				for i := range 8 {
					all.Go(func() {
						for j := range 60 {
							id := fmt.Sprintf(`{"id":"%d-%d"}`, i, j)
							outcomes.Store(id, client.Do(t.Context(), "POST", "/v1/things", []byte(id), nil))
						}
					})
				}
				all.Wait()
				lost, broken := 0, 0
				outcomes.Range(func(key, value any) bool {
					id := key.(string)
					err, _ := value.(error)
					assert.LessOrEqual(t, arrived[id], 1, id)
					switch {
					case err == nil && (arrived[id] == 0 || failed[id]):
						lost++
					case errors.Is(err, letta.ErrNotSent):
						assert.Zero(t, arrived[id], id)
					case err != nil && !errors.Is(err, letta.ErrServer):
						broken++
					case err != nil && !failed[id]:
						lost++
					}
					return true
				})
				assert.Zero(t, lost, "the caller heard something else than the server said")
				// A transport that reads an answer to its end gives net/http the connection back before we can let it drop. There, some
				// POSTs fail, aloud, as they do without us.
				if name != "dumping" && name != "probing" {
					assert.Zero(t, broken, "a POST met a connection that the server had closed")
				}
			})
		}
	}
}

// http2Server speaks just enough HTTP/2 without TLS to answer every request with one frame, and counts them.
type http2Server struct {
	net.Listener
	requests atomic.Int32
}

const (
	http2Data = iota
	http2Headers
	_
	http2ResetStream
	http2Settings
	http2GoAway = 7
)

func newHTTP2Server(t *testing.T, answer func(conn net.Conn, stream uint32)) *http2Server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &http2Server{Listener: listener}
	var all sync.WaitGroup
	var conns []net.Conn
	var mu sync.Mutex
	t.Cleanup(func() {
		_ = listener.Close()
		mu.Lock()
		for _, conn := range conns {
			_ = conn.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			all.Go(func() { s.serve(conn, answer) })
		}
	})
	return s
}

func (s *http2Server) serve(conn net.Conn, answer func(net.Conn, uint32)) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	if _, err := io.CopyN(io.Discard, r, int64(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))); err != nil {
		return
	}
	http2Frame(conn, http2Settings, 0, 0, nil)
	for {
		var head [9]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return
		}
		length := int64(head[0])<<16 | int64(head[1])<<8 | int64(head[2])
		if _, err := io.CopyN(io.Discard, r, length); err != nil {
			return
		}
		stream := binary.BigEndian.Uint32(head[5:])
		switch kind, flags := head[3], head[4]; {
		case kind == http2Settings && flags == 0:
			http2Frame(conn, http2Settings, 1, 0, nil)
		case kind == http2Headers:
			s.requests.Add(1)
			answer(conn, stream)
		}
	}
}

func http2Frame(conn net.Conn, kind, flags byte, stream uint32, payload []byte) {
	frame := []byte{0, byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	frame = binary.BigEndian.AppendUint32(frame, stream)
	_, _ = conn.Write(append(frame, payload...))
}

// TestHTTP2ResetStream: net/http sends a request again after some of a server's resets, if it can have the body again.
func TestHTTP2ResetStream(t *testing.T) {
	t.Parallel()
	for name, code := range map[string]uint32{"PROTOCOL_ERROR": 1, "INTERNAL_ERROR": 2, "REFUSED_STREAM": 7, "CANCEL": 8} {
		for kind, body := range map[string]any{"with a body": map[string]string{"a": "b"}, "without": nil} {
			t.Run(name+", "+kind, func(t *testing.T) {
				t.Parallel()
				srv := newHTTP2Server(t, func(conn net.Conn, stream uint32) {
					http2Frame(conn, http2ResetStream, 0, stream, binary.BigEndian.AppendUint32(nil, code))
				})
				protocols := new(http.Protocols)
				protocols.SetUnencryptedHTTP2(true)
				transport := &http.Transport{Protocols: protocols}
				t.Cleanup(transport.CloseIdleConnections)
				client, err := letta.NewClient(letta.WithBaseURL("http://"+srv.Addr().String()), letta.WithHTTPClient(&http.Client{Transport: transport}))
				require.NoError(t, err)
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				err = client.Do(ctx, "POST", "/v1/things", body, nil)
				require.Error(t, err)
				require.NotErrorIs(t, err, letta.ErrNotSent)
				require.ErrorContains(t, err, "may have reached the server")
				require.EqualValues(t, 1, srv.requests.Load())
			})
		}
	}
}

// TestHTTP2RefusedGet: net/http sends a GET again for as long as the server refuses its streams. Each of our attempts lets it
// do so once.
func TestHTTP2RefusedGet(t *testing.T) {
	t.Parallel()
	srv := newHTTP2Server(t, func(conn net.Conn, stream uint32) {
		http2Frame(conn, http2ResetStream, 0, stream, binary.BigEndian.AppendUint32(nil, 7))
	})
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	client, err := letta.NewClient(letta.WithBaseURL("http://"+srv.Addr().String()), letta.WithHTTPClient(&http.Client{Transport: transport}))
	require.NoError(t, err)
	_, err = client.Agents.List(t.Context(), nil)
	require.ErrorContains(t, err, "after 3 attempts")
	require.NotErrorIs(t, err, context.Canceled)
	require.EqualValues(t, 6, srv.requests.Load())
}

// TestFailoverTransport: a transport that tries a second server must not carry a POST to both.
func TestFailoverTransport(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	next := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(next.CloseIdleConnections)
	failover := roundTrip(func(r *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		if err != nil {
			again := r.Clone(r.Context())
			if r.GetBody != nil {
				again.Body, _ = r.GetBody()
			}
			resp, err = next.RoundTrip(again)
		}
		return resp, err
	})
	client := srv.client(t, letta.WithHTTPClient(&http.Client{Transport: failover}))
	_, err := client.Agents.Create(t.Context(), &letta.AgentCreateParams{Name: "one"})
	require.Error(t, err)
	require.NotErrorIs(t, err, letta.ErrNotSent)
	whole := 0
	for _, r := range srv.seen("POST") {
		if r.Body != "" {
			whole++
		}
	}
	require.Equal(t, 1, whole, "the second server gets headers, but no body to act on")
}

// TestEarlyServerError: an answer that comes before the body was read is the answer.
func TestEarlyServerError(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = bufio.NewReader(conn).ReadString('\n')
				_, _ = io.WriteString(conn, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 60\r\nContent-Length: 15\r\n\r\n{\"detail\":\"no\"}")
				_, _ = io.Copy(io.Discard, conn)
				_ = conn.Close()
			}()
		}
	}()
	client, err := letta.NewClient(letta.WithBaseURL("http://" + listener.Addr().String()))
	require.NoError(t, err)
	for range 10 {
		_, err = client.Agents.Create(t.Context(), &letta.AgentCreateParams{System: letta.Some(strings.Repeat("x", 4<<20))})
		var apiErr *letta.APIError
		require.ErrorAs(t, err, &apiErr)
		require.Equal(t, time.Minute, apiErr.RetryAfter)
		require.Equal(t, "no", apiErr.Message)
	}
	client.Close()
}

// TestEndedContext: nothing is sent for a context that has ended.
func TestEndedContext(t *testing.T) {
	t.Parallel()
	srv := serve(t, reply(200, agentJSON))
	client := srv.client(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		_, err := client.Agents.Create(ctx, &letta.AgentCreateParams{})
		require.ErrorIs(t, err, letta.ErrNotSent)
		require.ErrorIs(t, err, context.Canceled)
		_, err = client.Agents.Ensure(ctx, []string{"user_1"}, &letta.AgentCreateParams{})
		require.ErrorIs(t, err, letta.ErrNotSent)
		_, err = client.Agents.AddTags(ctx, "agent-1", []string{"a"})
		require.ErrorIs(t, err, letta.ErrNotSent)
	}
	require.Empty(t, srv.seen(""))
}

// TestTransportsThatAnswerNothing: a RoundTripper must not return nil, nil, but some do.
func TestTransportsThatAnswerNothing(t *testing.T) {
	t.Parallel()
	hc := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) { return nil, nil })} //nolint:nilnil // that is the point
	client, err := letta.NewClient(letta.WithBaseURL("https://letta.test"), letta.WithHTTPClient(hc), letta.WithMaxRetries(0))
	require.NoError(t, err)
	_, err = client.Agents.List(t.Context(), nil)
	require.ErrorContains(t, err, "neither an answer nor an error")
}
