package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/peruser"
)

// Workloads of package peruser.
const (
	cachedLookup = "lookup-cached"
	missedLookup = "lookup-missed"
)

// counter counts requests.
type counter struct {
	next http.RoundTripper
	n    atomic.Int64
}

func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return c.next.RoundTrip(r)
}

// lookups asks for the agents of users, of a thousand who are known or of ever new ones. The result is the number of requests.
func lookups(base, name string) (func(int) (sample, error), error) {
	transport := &counter{next: &http.Transport{MaxIdleConnsPerHost: 100}}
	client, err := letta.NewClient(letta.WithBaseURL(base), letta.WithAPIKey("sk-test"), letta.WithHTTPClient(&http.Client{Transport: transport}))
	if err != nil {
		return nil, err
	}
	users, err := peruser.New(client, peruser.Options{CacheSize: 1 << 20})
	if err != nil {
		return nil, err
	}
	known := make([]string, 1000)
	for i := range known {
		known[i] = fmt.Sprint("user_", i)
		if _, err := users.Find(context.Background(), known[i]); err != nil {
			return nil, err
		}
	}
	next := len(known)
	return func(calls int) (sample, error) {
		ids := known
		if name == missedLookup {
			ids = make([]string, calls)
			for i := range ids {
				ids[i] = "user_" + strconv.Itoa(next)
				next++
			}
		}
		before := transport.n.Load()
		return measure(func() (int, error) {
			for i := range calls {
				if _, err := users.Agent(context.Background(), ids[i%len(ids)]); err != nil {
					return 0, err
				}
			}
			return int(transport.n.Load() - before), nil
		})
	}, nil
}
