package letta

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// countingClient talks to a server that counts, and answers 503.
func countingClient(t *testing.T, opts ...ClientOption) (*Client, *atomic.Int32) {
	t.Helper()
	var requests atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(srv.Close)
	c, err := NewClient(append([]ClientOption{WithBaseURL(srv.URL), WithMaxRetries(0)}, opts...)...)
	require.NoError(t, err)
	return c, &requests
}

// errorOf is the error of a call, by any of the ways in which methods give one.
func errorOf(out []reflect.Value) error {
	last := out[len(out)-1]
	if err, ok := reflect.TypeAssert[error](last); ok {
		return err
	}
	if last.Kind() == reflect.Func { // iter.Seq2
		var found error
		last.Call([]reflect.Value{reflect.MakeFunc(last.Type().In(0), func(row []reflect.Value) []reflect.Value {
			if err, ok := reflect.TypeAssert[error](row[1]); ok {
				found = err
			}
			return []reflect.Value{reflect.ValueOf(found == nil)}
		})})
		return found
	}
	return nil
}

// like are the methods that send what another sends.
var like = map[string]string{
	"agents.messages.run_tools": "agents.messages.create", "conversations.messages.run_tools": "conversations.messages.create",
	"agents.messages.respond_tools": "agents.messages.create", "conversations.messages.respond_tools": "conversations.messages.create",
	"agents.messages.respond": "agents.messages.create", "conversations.messages.respond": "conversations.messages.create",
	"agents.messages.respond_stream": "agents.messages.create", "conversations.messages.respond_stream": "conversations.messages.create",
	"agents.messages.deny_all": "agents.messages.create", "conversations.messages.deny_all": "conversations.messages.create",
}

// TestInvalidArguments calls every method of the client with one mistake at a time. Whatever the method, the error is
// ErrInvalidArgument, it names the operation, and nothing is sent. With good arguments it is never ErrInvalidArgument, and
// something was sent.
func TestInvalidArguments(t *testing.T) {
	t.Parallel()
	for method := range operations(testClient(t)) {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			c, requests := countingClient(t)
			call := operations(c)[method].call
			args, _ := arguments(call.Type())
			for _, arg := range args {
				clearFields(arg, append([]string{"order_by", "sort_by", "project"}, unsent[cmp.Or(like[method], method)]...))
				if strings.Contains(method, "respond") || strings.Contains(method, "deny") {
					clearFields(arg, []string{"messages"}) // the answers are the message
				}
			}
			if method == "tools.ensure" {
				args[1] = reflect.ValueOf("x") // which the source code is
			}
			refused := func(mistake string, args []reflect.Value) {
				t.Helper()
				err := errorOf(call.Call(args))
				assert.ErrorIs(t, err, ErrInvalidArgument, "%s: %s", method, mistake)
				assert.NotErrorIs(t, err, ErrNotSent, "%s: %s", method, mistake)
				assert.Zero(t, requests.Swap(0), "%s was sent: %s", method, mistake)
				if err != nil {
					assert.True(t, strings.HasPrefix(err.Error(), "letta: "+strings.Split(method, ".")[0]), err.Error())
				}
			}
			replaced := func(i int, arg reflect.Value) []reflect.Value {
				changed := append([]reflect.Value{}, args...)
				changed[i] = arg
				return changed
			}
			refused("no context", replaced(0, reflect.Zero(reflect.TypeFor[context.Context]())))
			refused("a nil option", append(append([]reflect.Value{}, args...), reflect.Zero(reflect.TypeFor[RequestOption]())))
			refused("a bad option", append(append([]reflect.Value{}, args...), reflect.ValueOf(WithAPIKey("two words"))))
			for i, arg := range args {
				if arg.Kind() == reflect.String && strings.HasSuffix(arg.Type().Name(), "ID") {
					refused("an empty id", replaced(i, reflect.Zero(arg.Type())))
					for _, id := range []string{"..", "a/b", `a\b`} {
						refused(id, replaced(i, reflect.ValueOf(id).Convert(arg.Type())))
					}
				}
			}
			if strings.HasSuffix(method, "_tools") && reflect.TypeOf(args[len(args)-1].Interface()) == reflect.TypeFor[*ToolRun]() {
				args[len(args)-1] = reflect.ValueOf(&ToolRun{}) // a tool cannot be made by reflection
			}
			err := errorOf(call.Call(args))
			require.NotErrorIs(t, err, ErrInvalidArgument)
			if !errors.Is(err, ErrInvalidApprovals) {
				require.Positive(t, requests.Load(), "%s sends nothing: %v", method, err)
			}
		})
	}
}

// TestLaterErrors: what fails after something was sent is no mistake of the call, and not safe to repeat.
func TestLaterErrors(t *testing.T) {
	t.Parallel()
	err := later(fail("agents.update", "%w", fmt.Errorf("%w: %w", ErrNotSent, context.Canceled)))
	assert.NotErrorIs(t, err, ErrNotSent)
	assert.ErrorIs(t, err, context.Canceled)
	var apiErr *APIError
	assert.ErrorAs(t, later(&APIError{StatusCode: 404}), &apiErr)
	assert.ErrorIs(t, later(&APIError{StatusCode: 404}), ErrNotFound)
	assert.NotErrorIs(t, later(invalid("agents.update", "no")), ErrInvalidArgument)
	assert.NoError(t, later(nil))
}

func TestOptionsOfAnotherKind(t *testing.T) {
	t.Parallel()
	c, requests := countingClient(t)
	ctx := t.Context()
	hello := &AgentMessageCreateParams{Messages: []MessageInput{UserText("hello")}}
	for _, err := range []error{
		second(c.Agents.Messages.Create(ctx, "agent-1", hello, WithPings())),
		second(c.Agents.Messages.Create(ctx, "agent-1", hello, WithCancelOnDone())),
		second(c.Agents.Messages.Create(ctx, "agent-1", hello, WithMaxEvent(10))),
		second(c.Agents.List(ctx, nil, WithTurnLock())),
		second(c.Agents.List(ctx, nil, WithDeleteOwnDuplicate())),
		second(c.Agents.Find(ctx, []string{"a"}, WithIdleTimeout(1))),
		second(c.Agents.AddTags(ctx, "agent-1", []string{"a"}, WithTurnLock())),
	} {
		assert.ErrorIs(t, err, ErrInvalidArgument)
	}
	assert.Zero(t, requests.Load())
	_, err := NewClient(WithBaseURL(LocalURL), WithDeleteOwnDuplicate())
	require.ErrorContains(t, err, "WithDeleteOwnDuplicate is for one call")
	c, _ = countingClient(t, WithPings(), WithTurnLock(), WithCancelOnDone()) // for all streams and turns to come
	_, err = c.Agents.List(ctx, nil)
	require.ErrorIs(t, err, ErrServer)
}

func second[T any](_ T, err error) error { return err }

func TestRetryLawTable(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		methods string
		o       outcome
		want    bool
	}{
		{"GET HEAD PUT DELETE", outcome{}, true}, // a connection that broke
		{"POST PATCH", outcome{}, false},
		{"GET PUT DELETE POST PATCH", outcome{nothingSent: true}, true},
		{"GET POST", outcome{nothingSent: true, permanent: true}, false},
		{"POST", outcome{nothingSent: true, turn: true}, true},
		{"POST", outcome{turn: true}, false},
		{"GET HEAD PUT DELETE", outcome{status: 408}, true},
		{"GET HEAD PUT DELETE", outcome{status: 429}, true},
		{"GET HEAD PUT DELETE", outcome{status: 500}, true},
		{"GET HEAD PUT DELETE", outcome{status: 503}, true},
		{"GET HEAD PUT DELETE POST PATCH", outcome{status: 501}, false},
		{"GET HEAD PUT DELETE POST PATCH", outcome{status: 400}, false},
		{"GET HEAD PUT DELETE POST PATCH", outcome{status: 402, quota: true}, false},
		{"GET HEAD PUT DELETE POST PATCH", outcome{status: 409}, false},
		{"GET HEAD PUT DELETE POST PATCH", outcome{status: 429, quota: true, toldWhen: true}, false},
		{"POST PATCH", outcome{status: 408}, false},
		{"POST PATCH", outcome{status: 429}, false},
		{"POST PATCH", outcome{status: 500, toldWhen: true}, false},
		{"POST PATCH", outcome{status: 503}, false},
		{"POST PATCH", outcome{status: 429, toldWhen: true}, true},
		{"POST PATCH", outcome{status: 503, toldWhen: true}, true},
		{"POST PATCH", outcome{status: 503, toldWhen: true, provider: true}, false},
		{"POST", outcome{status: 503, toldWhen: true, turn: true}, false},
		{"GET", outcome{status: 503, provider: true}, true},
	} {
		for method := range strings.FieldsSeq(tt.methods) {
			tt.o.method = method
			assert.Equal(t, tt.want, tt.o.retryable(), "%+v", tt.o)
		}
	}
}
