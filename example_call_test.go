package letta_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/lettatest"
)

// attempts counts the attempts of each call.
type attempts struct {
	next  http.RoundTripper
	calls sync.Map // *letta.Call to *atomic.Int32
}

func (a *attempts) RoundTrip(r *http.Request) (*http.Response, error) {
	if call, ok := letta.CallFromContext(r.Context()); ok {
		count, again := a.calls.LoadOrStore(call, new(atomic.Int32))
		n := count.(*atomic.Int32)
		n.Add(1)
		if op, _ := letta.OperationFromContext(r.Context()); !again {
			call.OnEnd(func(err error) { // what the method returns, after its last attempt
				a.calls.Delete(call)
				fmt.Println(op.Name, n.Load(), err)
			})
		}
	}
	return a.next.RoundTrip(r)
}

func ExampleCallFromContext() {
	server := lettatest.Start()
	defer server.Close()
	client := server.Client(letta.WithHTTPClient(&http.Client{Transport: &attempts{next: http.DefaultTransport}}))
	server.Fail(lettatest.Fault{Status: 503, Header: http.Header{"Retry-After": {"0"}}, Times: 1})

	_, err := client.Agents.List(context.Background(), nil)

	fmt.Println(err)
	// Output:
	// agents.list 2 <nil>
	// <nil>
}
