package letta

import (
	"context"
	"fmt"
	"strings"
)

// Operation is one operation of the API. Errors, logs and [OperationFromContext] name it in the same way.
type Operation struct {
	Name         string // such as agents.create; of Client.Do the method and the path
	Method       string
	PathTemplate string // such as /v1/agents/{agent_id}
}

type operationKey struct{}

// OperationFromContext returns the operation that a request belongs to. An http.RoundTripper finds it in the context of the
// request, to name spans and metrics by it.
func OperationFromContext(ctx context.Context) (Operation, bool) {
	op, ok := ctx.Value(operationKey{}).(Operation)
	return op, ok
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
