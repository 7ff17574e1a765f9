package peruser

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/maypok86/otter/v2"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/internal/keyed"
)

const (
	defaultCacheSize = 10_000
	defaultCacheTTL  = 5 * time.Minute
	defaultLookAfter = 5 * time.Second
	lateCreate       = 10 * time.Second // stands in the documentation of Agent
)

// ErrLock says that the lock of a user could not be taken, or was lost before the work under it was done. It wraps the
// Locker's error. The same call can be made again.
var ErrLock = errors.New("the user's lock")

// Options say how users and agents belong together. The zero value finds agents by the user id as their tag, and creates
// none.
type Options struct {
	// Create describes the agent of a new user. The user's tag is added to its Tags. It may be called although another
	// process then creates the agent. Nil: users without an agent are letta.ErrNotFound.
	Create func(ctx context.Context, userID string) (*letta.AgentCreateParams, error)
	// Tag is the tag of a user's agent; by default the user id itself. Two users must never have the same tag: they would
	// share an agent. An agent belongs to every user whose tag it has.
	Tag func(userID string) string
	// UserID is the inverse of Tag, false for a tag that is not a user's. Duplicates needs it to tell users' tags from others.
	UserID func(tag string) (userID string, ok bool)
	// Locker makes instances of a program create one at a time for one user. By default only this Users does.
	Locker Locker
	// CacheSize is how many users are remembered; default 10,000. CacheTTL is for how long; default 5 minutes.
	CacheSize int
	CacheTTL  time.Duration
	// LookAfter is for how long Agent looks for the new agent, with the user's lock kept, when a create failed and the agent may
	// still appear: the connection broke, or the server answered 5xx. Default 5 s. If a server takes longer than that to
	// create it, the user's next call can create a second one.
	LookAfter time.Duration
	// DeleteOwnDuplicate is letta.WithDeleteOwnDuplicate, for instances of a program without a Locker.
	DeleteOwnDuplicate bool
	// RequestOptions go with every request, such as letta.WithProject. New takes no option that is for some methods only.
	RequestOptions []letta.RequestOption
}

// Users knows the agents of users. It is safe for concurrent use: make one and share it.
type Users struct {
	client  *letta.Client
	options Options
	clock   clock

	agents        *otter.Cache[string, *known]
	conversations *otter.Cache[chat, knownConversation]
	mu            sync.Mutex   // orders what is cached and what is forgotten
	forgets       atomic.Int64 // how often something was forgotten: what was looked up before is not cached after

	lookups keyed.Flights[letta.AgentID]
	creates keyed.Flights[letta.AgentID]
	opens   keyed.Flights[letta.ConversationID]
	locks   keyed.Locks[string] // by tag
}

// known is the agent of a user. What else is cached of the user points to it, and so ends with it.
type known struct {
	agent letta.AgentID
	until int64 // on Users.clock
}

// New makes Users of a client. It sends nothing.
func New(client *letta.Client, options Options) (*Users, error) {
	switch {
	case client == nil:
		return nil, invalid("the client is nil")
	case options.CacheSize < 0:
		return nil, invalid("CacheSize is negative")
	case options.CacheTTL < 0:
		return nil, invalid("CacheTTL is negative")
	case options.LookAfter < 0:
		return nil, invalid("LookAfter is negative")
	}
	// Find checks its options before its tags, which here are none. Nothing is sent.
	if _, err := client.Agents.Find(context.Background(), nil, options.RequestOptions...); !errors.Is(err, letta.ErrInvalidTags) {
		return nil, fmt.Errorf("peruser: RequestOptions: %w", err)
	}
	if options.CacheSize == 0 {
		options.CacheSize = defaultCacheSize
	}
	if options.CacheTTL == 0 {
		options.CacheTTL = defaultCacheTTL
	}
	if options.LookAfter == 0 {
		options.LookAfter = defaultLookAfter
	}
	// The cache is asked for no expiry: that would cost a goroutine, which somebody would have to stop.
	agents, err := otter.New(&otter.Options[string, *known]{MaximumSize: options.CacheSize})
	if err != nil {
		return nil, fmt.Errorf("peruser: %w", err)
	}
	conversations, err := otter.New(&otter.Options[chat, knownConversation]{MaximumSize: options.CacheSize})
	if err != nil {
		return nil, fmt.Errorf("peruser: %w", err)
	}
	return &Users{client: client, options: options, clock: newClock(options.CacheTTL), agents: agents, conversations: conversations}, nil
}

func (u *Users) requestOptions(more ...letta.RequestOption) []letta.RequestOption {
	return append(slices.Clip(u.options.RequestOptions), more...)
}

// tag is the tag of a user.
func (u *Users) tag(userID string) (string, error) {
	if err := checkText("the user id", userID); err != nil {
		return "", err
	}
	if u.options.Tag == nil {
		return userID, nil
	}
	tag := u.options.Tag(userID)
	return tag, checkText("the tag of the user", tag)
}

// checkText refuses what a server would not keep as it is: two users could then have one tag. The text is not shown: it is
// somebody's name.
func checkText(what, text string) error {
	switch {
	case strings.TrimSpace(text) == "":
		return invalid(what + " is blank")
	case !utf8.ValidString(text):
		return invalid(what + " is not UTF-8")
	case strings.ContainsFunc(text, unicode.IsControl):
		return invalid(what + " holds a control character")
	}
	return nil
}

func invalid(what string) error { return fmt.Errorf("peruser: %w: %s", letta.ErrInvalidArgument, what) }

// lookupError is the error of a request that looks for something. A 404 then means that the server lacks the route, as behind a
// wrong base URL, and never that a user has no agent.
type lookupError struct{ err error }

func (e lookupError) Error() string      { return e.err.Error() }
func (e lookupError) As(target any) bool { return errors.As(e.err, target) }
func (e lookupError) Is(target error) bool {
	return target != letta.ErrNotFound && errors.Is(e.err, target)
}

func lookup(err error) error {
	var api *letta.APIError
	if errors.As(err, &api) && errors.Is(err, letta.ErrNotFound) {
		return lookupError{err}
	}
	return err
}
