package letta_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/lettatest"
)

type observer struct {
	calls []*letta.Call
	ends  []error
}

func (o *observer) RoundTrip(r *http.Request) (*http.Response, error) {
	call, ok := letta.CallFromContext(r.Context())
	if ok && (len(o.calls) == 0 || o.calls[len(o.calls)-1] != call) {
		call.OnEnd(func(err error) { o.ends = append(o.ends, err) })
	}
	o.calls = append(o.calls, call)
	return http.DefaultTransport.RoundTrip(r)
}

func TestCallFromContext(t *testing.T) {
	server, o := lettatest.NewServer(t), &observer{}
	client := server.Client(letta.WithHTTPClient(&http.Client{Transport: o}))
	server.Fail(lettatest.Fault{Status: 503, Header: http.Header{"Retry-After": {"0"}}, Times: 1})
	_, err := client.Agents.List(t.Context(), nil)
	require.NoError(t, err)
	_, err = client.Agents.Retrieve(t.Context(), "agent-00000000-0000-4000-8000-000000000000", nil)
	require.Error(t, err)
	require.Len(t, o.calls, 3)
	assert.Same(t, o.calls[0], o.calls[1], "two attempts of one call")
	assert.NotSame(t, o.calls[1], o.calls[2])
	assert.Equal(t, []error{nil, err}, o.ends)
	_, ok := letta.CallFromContext(context.Background())
	assert.False(t, ok)
}
