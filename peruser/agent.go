package peruser

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/letta-go/letta"
)

// Agent returns the user's agent, the oldest if there are several. It remembers the answer, and asks the server at most once
// at a time for each user. Errors are not remembered.
//
// If there is no agent and Options.Create is set, it takes the user's lock and creates one with [letta.AgentService.Ensure],
// which looks again first: only a complete, empty list leads to a create. A caller whose context ends gets its error; a
// create that is under way is then waited for, 10 s at most, and so is not made again by the next caller. After a create
// whose outcome is not known, because the connection broke or the server answered 5xx, the agent is looked for during
// Options.LookAfter, with the lock kept. Letta 0.16.8 answers 500 also to some mistakes in what Create returned, such as a
// Name with a colon: each sign-up then takes that long, and fails.
func (u *Users) Agent(ctx context.Context, userID string) (letta.AgentID, error) {
	if k, ok := u.known(userID); ok {
		return k.agent, nil
	}
	id, err := u.look(ctx, userID)
	if !errors.Is(err, letta.ErrNotFound) || u.options.Create == nil {
		return id, err
	}
	id, _, err = u.creates.Do(ctx, u.flight(userID), func(ctx context.Context) (letta.AgentID, error) { return u.create(ctx, userID) })
	return id, err
}

// Find is Agent, and never creates: letta.ErrNotFound if the user has no agent.
func (u *Users) Find(ctx context.Context, userID string) (letta.AgentID, error) {
	if k, ok := u.known(userID); ok {
		return k.agent, nil
	}
	return u.look(ctx, userID)
}

// Do calls f with the user's agent. If f fails with letta.ErrNotFound, the agent may have been deleted since it was remembered:
// it is forgotten and looked up again, or created, as by Agent, and f is called once more only if the user then has another
// agent. So f must return the error of a call of the agent as it is, or wrapped, and may be called twice.
func (u *Users) Do(ctx context.Context, userID string, f func(ctx context.Context, agent letta.AgentID) error) error {
	agent, err := u.Agent(ctx, userID)
	if err != nil {
		return err
	}
	err = f(ctx, agent)
	if !errors.Is(err, letta.ErrNotFound) {
		return err
	}
	u.Forget(userID)
	switch again, lookErr := u.Agent(ctx, userID); {
	case errors.Is(lookErr, letta.ErrNotFound):
		return err
	case lookErr != nil:
		return fmt.Errorf("%w, after: %w", lookErr, err)
	case again == agent:
		return err // something else was not found
	default:
		return f(ctx, again)
	}
}

// Forget makes the next call ask the server again. Other instances of the program keep what they remember until it expires, or
// until Do finds out.
func (u *Users) Forget(userID string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.forgets.Add(1)
	u.agents.Invalidate(userID)
}

// Owns reports whether an agent is the user's. Ask it before you use an agent id that came in a request: a tag is only a
// label, and the server lets any key use any agent. It costs no request for the remembered agent, and else one, which
// looks for the user's tag. An agent that does not exist is nobody's.
func (u *Users) Owns(ctx context.Context, userID string, agent letta.AgentID) (bool, error) {
	tag, err := u.tag(userID)
	if err != nil {
		return false, err
	}
	if k, ok := u.known(userID); ok && k.agent == agent {
		return true, nil
	}
	state, err := u.client.Agents.Retrieve(ctx, agent, &letta.AgentRetrieveParams{Include: []letta.AgentInclude{letta.AgentIncludeTags}}, u.requestOptions()...)
	switch {
	case errors.Is(err, letta.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	}
	return state.ID == agent && slices.Contains(state.Tags, tag), nil
}

func (u *Users) known(userID string) (*known, bool) {
	k, ok := u.agents.GetIfPresent(userID)
	if !ok || u.clock.now.Load() >= k.until {
		return nil, false
	}
	return k, true
}

// remember caches an agent, unless something was forgotten since the lookup began.
func (u *Users) remember(userID string, agent letta.AgentID, forgets int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.forgets.Load() == forgets {
		u.agents.Set(userID, &known{agent, u.clock.after()})
	}
}

// flight is the key under which callers share a request: those after a Forget want a new answer.
func (u *Users) flight(userID string) string {
	return strconv.FormatInt(u.forgets.Load(), 36) + " " + userID
}

// look asks the server, with one request.
func (u *Users) look(ctx context.Context, userID string) (letta.AgentID, error) {
	tag, err := u.tag(userID)
	if err != nil {
		return "", err
	}
	if ctx == nil {
		return "", invalid("the context is nil")
	}
	id, _, err := u.lookups.Do(ctx, u.flight(userID), func(ctx context.Context) (letta.AgentID, error) {
		forgets := u.forgets.Load()
		agent, err := u.client.Agents.Find(ctx, []string{tag}, u.requestOptions()...)
		if err != nil {
			return "", lookup(err)
		}
		u.remember(userID, agent.ID, forgets)
		return agent.ID, nil
	})
	return id, err
}

// create makes the agent of a user under the user's lock, or finds that of another who was faster.
func (u *Users) create(ctx context.Context, userID string) (letta.AgentID, error) {
	tag, err := u.tag(userID)
	if err != nil {
		return "", err
	}
	params, err := u.options.Create(ctx, userID)
	if err != nil {
		return "", err
	}
	if params == nil {
		return "", invalid("Options.Create returned nil")
	}
	held, unlock, err := u.lock(ctx, tag)
	if err != nil {
		return "", err
	}
	defer unlock()
	forgets := u.forgets.Load()
	late, cancelLate := outlive(ctx, lateCreate)
	defer cancelLate()
	work, cancel := while(late, held)
	defer cancel()
	opts := u.requestOptions()
	if u.options.DeleteOwnDuplicate {
		opts = append(opts, letta.WithDeleteOwnDuplicate())
	}
	ensured, err := u.client.Agents.Ensure(work, []string{tag}, params, opts...)
	var id letta.AgentID
	switch {
	case err == nil:
		id = ensured.Agent.ID
	case outcomeUnknown(err):
		if id = u.await(work, tag); id == "" {
			return "", lost(held, lookup(err))
		}
	default:
		return "", lost(held, lookup(err))
	}
	u.remember(userID, id, forgets)
	return id, nil
}

// outlive is ctx, but ends later than it by d.
func outlive(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	late, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(d, func() { cancel(context.Cause(ctx)) })
		context.AfterFunc(late, func() { timer.Stop() })
	})
	return late, func() { stop(); cancel(nil) }
}

// outcomeUnknown reports whether an error of Ensure leaves open whether an agent was created. Errors of its lookup count
// too, except where they can be told.
func outcomeUnknown(err error) bool {
	var api *letta.APIError
	switch {
	case errors.Is(err, letta.ErrNotSent), errors.Is(err, letta.ErrInvalidArgument):
		return false
	case errors.As(err, &api):
		return api.Operation == "agents.create" && api.StatusCode >= http.StatusInternalServerError
	}
	return true
}

// await looks for an agent that a server may still be creating.
func (u *Users) await(ctx context.Context, tag string) letta.AgentID {
	ctx, cancel := context.WithTimeout(ctx, u.options.LookAfter)
	defer cancel()
	for pause := u.options.LookAfter / 64; ; pause *= 2 {
		agent, err := u.client.Agents.Find(ctx, []string{tag}, u.requestOptions()...)
		if err == nil {
			return agent.ID
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ""
		}
	}
}
