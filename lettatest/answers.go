package lettatest

import (
	"context"
	"fmt"
	"net/http"

	"github.com/letta-go/letta/internal/apispec/check"
	"github.com/letta-go/letta/internal/python"
)

const (
	version = "0.16.8"
	userID  = "user-00000000-0000-4000-8000-000000000000"
	orgID   = "org-00000000-0000-4000-8000-000000000000"
)

// An answer is what a handler decides. A nil body is an empty one; null is a json.RawMessage.
type answer struct {
	status  int
	header  http.Header
	body    any
	crashed bool // the server closes the connection afterwards, unannounced

	later  func(context.Context) answer // the answer proper, worked out without the lock
	stream *stream                      // sent instead of a body
}

// noContent is typed as JSON, as there.
var noContent = answer{status: http.StatusNoContent, header: http.Header{"Content-Type": {"application/json"}}}

func ok(body any) answer { return answer{status: http.StatusOK, body: body} }

func fail(status int, format string, args ...any) answer {
	return answer{status: status, body: object{"detail": fmt.Sprintf(format, args...)}}
}

// always gives everybody the same answer.
func always(a answer) handler { return func(*world, *call) answer { return a } }

// refuse ends a request: a handler that cannot go on panics with the answer, and dispatch sends it.
func refuse(status int, format string, args ...any) { panic(fail(status, format, args...)) }

// refused runs a part of a handler or of a turn, and returns what it panicked with, if that says why it could not go on.
func refused[T any](f func()) (why T, bad bool) {
	defer func() {
		if r := recover(); r != nil {
			if why, bad = r.(T); !bad {
				panic(r)
			}
		}
	}()
	f()
	return why, false
}

func invalid(format string, args ...any) answer {
	return fail(http.StatusBadRequest, "INVALID_ARGUMENT: "+format, args...)
}

// crash is an unhandled error of the real server: only after this one does it close the connection.
func crash() answer {
	a := fail(http.StatusInternalServerError, "An unknown error occurred")
	a.crashed = true
	return a
}

func notFound(noun, id string) answer {
	return fail(http.StatusNotFound, "%s not found with id='[%s]', access level in ['read'] for actor='id='%s' organization_id='%s'", noun,
		python.Repr(id), userID, orgID)
}

func noAgent(id string) answer { return fail(http.StatusNotFound, "Agent with ID %s not found", id) }

// duplicate is a violated unique constraint.
func duplicate(noun string) answer {
	return fail(http.StatusConflict, "A unique constraint was violated for %s. Check your input for duplicates: "+
		"(sqlalchemy.dialects.postgresql.asyncpg.IntegrityError) <class 'asyncpg.exceptions.UniqueViolationError'>", noun)
}

// dangling is a violated foreign key.
func dangling(kind, id string) answer {
	return fail(http.StatusConflict, "(sqlalchemy.dialects.postgresql.asyncpg.IntegrityError) <class 'asyncpg.exceptions.ForeignKeyViolationError'>: "+
		"insert or update violates a foreign key constraint\nDETAIL:  Key (%s_id)=(%s) is not present in table.", kind, id)
}

// wrong is a 422.
func wrong(p *check.Problems) answer {
	body := object{"trace_id": "", "detail": p.String()}
	if p.Examples != nil {
		body["examples"] = p.Examples
	}
	return answer{status: http.StatusUnprocessableEntity, body: body}
}
