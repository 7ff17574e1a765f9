package peruser

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/letta-go/letta"
)

const defaultRetryAfter = 5 * time.Second

type contextKey struct{}

// Middleware finds the agent of a request's user, as Agent does, for AgentFrom in the handlers behind it. userID takes the
// user from the request's session; an error, or a blank id, is answered with 401. The other answers:
//
//	404  the user has no agent, and Options.Create is nil
//	502  the server answered 500 or refused your key, or it lacks the model that Options.Create names
//	503  with Retry-After: the server is down or overloaded, or the user's lock cannot be taken
//	else letta.HTTPStatus of the error
//
// The answers hold the status's name only. No error leads to a new agent. A handler that deletes users stands outside: behind
// Middleware, a user without an agent would get one first.
func (u *Users) Middleware(userID func(*http.Request) (string, error)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			user, err := userID(r)
			if err != nil || strings.TrimSpace(user) == "" {
				http.Error(w, http.StatusText(http.StatusUnauthorized), http.StatusUnauthorized)
				return
			}
			agent, err := u.Agent(r.Context(), user)
			if err != nil {
				status, retryAfter := answer(err)
				if retryAfter > 0 {
					w.Header().Set("Retry-After", strconv.Itoa(int((retryAfter+time.Second-1)/time.Second)))
				}
				http.Error(w, http.StatusText(status), status)
				return
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, agent)))
		})
	}
}

// AgentFrom is the agent that Middleware found; "" outside of it.
func AgentFrom(ctx context.Context) letta.AgentID {
	agent, _ := ctx.Value(contextKey{}).(letta.AgentID)
	return agent
}

// answer is the status for an error, and when to come again.
func answer(err error) (status int, retryAfter time.Duration) {
	status = letta.HTTPStatus(err)
	var (
		api      *letta.APIError
		decode   *letta.DecodeError
		redirect *letta.RedirectError
	)
	isAPI := errors.As(err, &api)
	switch {
	case errors.Is(err, context.Canceled): // by the browser
		return status, 0
	case errors.Is(err, ErrLock):
	case isAPI && (api.StatusCode == http.StatusBadGateway || api.StatusCode == http.StatusServiceUnavailable || api.StatusCode == http.StatusGatewayTimeout):
	case status == http.StatusServiceUnavailable:
	case status == http.StatusGatewayTimeout && errors.Is(err, letta.ErrNotSent):
	case status == http.StatusBadGateway && !isAPI && !errors.As(err, &decode) && !errors.As(err, &redirect): // a connection that broke
	default:
		return status, 0
	}
	retryAfter = defaultRetryAfter
	if isAPI && api.RetryAfter > 0 {
		retryAfter = api.RetryAfter
	}
	return http.StatusServiceUnavailable, retryAfter
}
