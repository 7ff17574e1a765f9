package letta

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOversizedBody lowers the bound of 256 MiB, which would take seconds.
func TestOversizedBody(t *testing.T) {
	t.Parallel()
	for name, length := range map[string]string{"declared": "3145728", "chunked": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				requests.Add(1)
				if length != "" {
					w.Header().Set("Content-Length", length)
				}
				_, _ = w.Write(bytes.Repeat([]byte(" "), 3<<20))
			}))
			t.Cleanup(srv.Close)
			c, err := NewClient(WithBaseURL(srv.URL))
			require.NoError(t, err)
			c.core.maxResponse = 1 << 20
			_, err = c.Agents.List(t.Context(), nil)
			var decode *DecodeError
			require.ErrorAs(t, err, &decode)
			require.ErrorContains(t, err, "1 MiB")
			require.LessOrEqual(t, len(decode.Body), 1<<20)
			require.EqualValues(t, 1, requests.Load())
		})
	}
}
