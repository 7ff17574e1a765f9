package letta

import (
	"context"
	"fmt"
	"strings"
	"sync"
)

// Operation is one operation of the API. Errors, logs and [OperationFromContext] name it in the same way.
type Operation struct {
	Name         string // such as agents.create; of Client.Do the method and the path
	Method       string
	PathTemplate string // such as /v1/agents/{agent_id}
}

// Call is one call of an operation. It may take several attempts: the requests of all of them have the same *Call in their
// contexts.
type Call struct {
	op    Operation
	mu    sync.Mutex
	onEnd []func(error)
}

// OnEnd has f called when the call ends: just before its method returns, with the error that it returns. The call of a
// stream ends when the stream begins; its body is still to be read then. It is for an http.RoundTripper, which must call
// it before RoundTrip returns.
func (c *Call) OnEnd(f func(err error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onEnd = append(c.onEnd, f)
}

func (c *Call) end(err error) {
	c.mu.Lock()
	hooks := c.onEnd
	c.mu.Unlock() // a hook may call OnEnd
	for _, f := range hooks {
		f(err)
	}
}

type callKey struct{}

// CallFromContext returns the call that a request is an attempt of, so that an http.RoundTripper can tell a second attempt
// from another call.
func CallFromContext(ctx context.Context) (*Call, bool) {
	call, ok := ctx.Value(callKey{}).(*Call)
	return call, ok
}

// OperationFromContext returns the operation that a request belongs to. An http.RoundTripper finds it in the context of the
// request, to name spans and metrics by it.
func OperationFromContext(ctx context.Context) (Operation, bool) {
	call, ok := CallFromContext(ctx)
	if !ok {
		return Operation{}, false
	}
	return call.op, true
}

// about names an operation and the ids that it was called with, for errors.
func about(operation string, ids ...any) string {
	if len(ids) == 0 {
		return operation
	}
	parts := make([]string, len(ids))
	for i, id := range ids {
		parts[i] = oneLine(fmt.Sprint(id))
	}
	return operation + " " + strings.Join(parts, " ")
}
