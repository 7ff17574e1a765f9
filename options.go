package letta

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	defaultTimeout     = 60 * time.Second
	turnTimeout        = 10 * time.Minute // of a turn that is answered as a whole, unless WithTimeout says otherwise
	defaultIdleTimeout = 90 * time.Second // Letta 0.16.8 sends a ping after 20 s of silence
	defaultRetries     = 2
	maxResponseSize    = 256 << 20
	maxErrorSize       = 1 << 20 // of what an error keeps of a body
)

// ClientOption changes how a client is made. Every RequestOption is one too.
type ClientOption interface{ applyClient(*clientSettings) error }

// RequestOption changes one call, or, given to NewClient, all calls. The call's option wins over the client's.
type RequestOption interface {
	ClientOption
	applyRequest(*settings) error
}

// clientSettings is what NewClient collects.
type clientSettings struct {
	settings
	baseURL   string
	http      *http.Client
	logger    *slog.Logger
	userAgent string
}

// settings is what the options of one call come to. They are resolved once, at the public method, and passed down from
// there: a *settings is itself an option, which replaces everything before it. A copy shares its maps with the original:
// whoever changes one replaces it by a copy of its own.
type settings struct {
	auth         auth
	header       http.Header
	query        url.Values
	fields       map[string]json.RawMessage // of WithBodyField
	timeout      time.Duration              // 0: none
	timeoutSet   bool                       // by an option
	maxRetries   int
	response     *Response
	insecureHTTP bool

	deleteDuplicate bool // of Ensure

	idleTimeout  time.Duration // of streams
	maxEvent     int           // bytes
	pings        bool
	turnLock     bool
	cancelOnDone bool

	// What was given for this call, not for the client, and is a mistake on another kind of operation.
	callFields                             bool
	streamOption, turnOption, ensureOption string // its name
}

func defaultSettings() settings {
	return settings{header: http.Header{}, query: url.Values{}, fields: map[string]json.RawMessage{}, timeout: defaultTimeout, maxRetries: defaultRetries, idleTimeout: defaultIdleTimeout}
}

func (s *settings) applyClient(*clientSettings) error { return errors.New("settings are for calls") }

func (s *settings) applyRequest(c *settings) error {
	*c = *s
	return nil
}

// accepts are the kinds of options that only some methods take. Given to another, they are mistakes that would go unnoticed.
type accepts struct{ streams, transfers, turns, ensure bool }

// resolve gives the client's settings with the options of one call on top.
func (c *core) resolve(r request, out any, opts []RequestOption) (*settings, error) {
	return c.resolveFor(r.op.Name, accepts{streams: r.stream, transfers: r.transfers(out), turns: r.turn}, opts, r.ids...)
}

// resolveFor is resolve for a method that is made of several operations.
func (c *core) resolveFor(operation string, takes accepts, opts []RequestOption, ids ...any) (*settings, error) {
	cfg := c.defaults
	cfg.callFields, cfg.streamOption, cfg.turnOption, cfg.ensureOption = false, "", "", ""
	for _, opt := range opts {
		if opt == nil {
			return nil, invalid(about(operation, ids...), "a request option is nil")
		}
		if err := opt.applyRequest(&cfg); err != nil {
			return nil, invalid(about(operation, ids...), "%w", err)
		}
	}
	switch {
	case cfg.streamOption != "" && !takes.streams && !(takes.transfers && cfg.streamOption == "WithIdleTimeout"):
		return nil, invalid(about(operation, ids...), "%s is for streams", cfg.streamOption)
	case cfg.turnOption != "" && !takes.turns:
		return nil, invalid(about(operation, ids...), "%s is for turns", cfg.turnOption)
	case cfg.ensureOption != "" && !takes.ensure:
		return nil, invalid(about(operation, ids...), "%s is for Agents.Ensure", cfg.ensureOption)
	}
	cfg.streamOption, cfg.turnOption, cfg.ensureOption = "", "", ""
	return &cfg, nil
}

// followUp are the settings for another operation on the way of the same call: its body is not that of the first, and it
// has no say in what the caller reads of the answer.
func (s *settings) followUp() *settings {
	next := *s
	next.fields, next.callFields, next.response = nil, false, nil
	return &next
}

// bound is ctx with the timeout of a call.
func (s *settings) bound(ctx context.Context, r request) (context.Context, context.CancelFunc) {
	timeout := s.timeout
	if r.turn && !s.timeoutSet {
		timeout = turnTimeout
	}
	if timeout <= 0 || r.stream || ctx == nil {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, timeout, timeoutError{"no answer", timeout})
}

// timeoutError is the end of a wait that WithTimeout bounds.
type timeoutError struct {
	missing string
	after   time.Duration
}

func (e timeoutError) Error() string {
	return fmt.Sprintf("%s within %v (WithTimeout): %v", e.missing, e.after, context.DeadlineExceeded)
}
func (e timeoutError) Unwrap() error { return context.DeadlineExceeded }
func (e timeoutError) Timeout() bool { return true }

// boundAll is bound for what is made of several operations, which then have no timeout each.
func (s *settings) boundAll(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := s.bound(ctx, request{})
	s.timeout, s.timeoutSet = 0, true
	return ctx, cancel
}

type clientOption func(*clientSettings) error

func (o clientOption) applyClient(c *clientSettings) error { return o(c) }

type requestOption func(*settings) error

func (o requestOption) applyClient(c *clientSettings) error { return o(&c.settings) }
func (o requestOption) applyRequest(c *settings) error      { return o(c) }

// callOption makes no sense for all calls of a client.
type callOption struct {
	name  string
	apply func(*settings) error
}

func (o callOption) applyClient(*clientSettings) error {
	return errors.New(o.name + " is for one call, not for a client")
}
func (o callOption) applyRequest(c *settings) error { return o.apply(c) }

// streamOption is for streams; given for a call of another kind, it is a mistake that would go unnoticed.
func streamOption(name string, apply func(*settings) error) RequestOption {
	return requestOption(func(c *settings) error {
		c.streamOption = name
		return apply(c)
	})
}

// WithBaseURL sets the server: https://host, with or without /v1, a path prefix or a slash at the end. A key is
// sent over plain http only to this machine; see WithInsecureHTTP.
func WithBaseURL(address string) ClientOption {
	return clientOption(func(c *clientSettings) error {
		if strings.TrimSpace(address) == "" {
			return errors.New("WithBaseURL: the address is empty")
		}
		c.baseURL = address
		return nil
	})
}

// WithHTTPClient uses a client's transport, timeout and cookies. The client is copied, not changed; redirects
// are never followed. A key is not sent over plain http through the proxy of an [http.Transport]; what a RoundTripper of another
// type does cannot be seen: see WithInsecureHTTP.
func WithHTTPClient(client *http.Client) ClientOption {
	return clientOption(func(c *clientSettings) error {
		if client == nil {
			return errors.New("WithHTTPClient: the client is nil")
		}
		copied := *client
		c.http = &copied
		return nil
	})
}

// WithLogger logs each attempt at level Debug, failed ones at Warn: method, path, status, attempt, duration,
// request id. Never a key, a body, a query or a tag.
func WithLogger(logger *slog.Logger) ClientOption {
	return clientOption(func(c *clientSettings) error {
		c.logger = logger
		return nil
	})
}

// WithUserAgent puts the name of your program in front of the User-Agent.
func WithUserAgent(name string) ClientOption {
	return clientOption(func(c *clientSettings) error {
		if err := checkHeader("User-Agent", name); err != nil {
			return fmt.Errorf("WithUserAgent: %w", err)
		}
		c.userAgent = strings.TrimSpace(name + " " + userAgent)
		return nil
	})
}

// WithInsecureHTTP allows a key to be sent over plain http to another machine, or through a proxy. Without it such a call fails
// before anything is sent, with one gap: of a RoundTripper that wraps an http.Transport, the proxy is not seen. The proxy of
// [http.ProxyFromEnvironment] is never used for this machine, so that is about a Proxy function of your own.
func WithInsecureHTTP() ClientOption {
	return clientOption(func(c *clientSettings) error {
		c.insecureHTTP = true
		return nil
	})
}

// auth sets the headers that carry a secret. The secret lives in a closure, where fmt and debug printers of structs do not
// look.
type auth struct {
	header func(context.Context) (map[string]string, error)
	made   *int // tells one from another
}

func newAuth(header func(context.Context) (map[string]string, error)) auth {
	return auth{header, new(int)}
}

// identity tells two secrets apart without revealing them, and says who may mean the same user although the secrets differ:
// all calls with the client's own source of tokens, which may rotate.
func (s *settings) identity(ctx context.Context, c *core) (secret, owner string, err error) {
	if s.auth.header == nil {
		return "none", "none", nil
	}
	set, err := s.auth.header(ctx)
	if err != nil {
		return "", "", err
	}
	secret = fmt.Sprintf("%x", sha256.Sum256(fmt.Append(nil, set)))
	if s.auth.made == c.defaults.auth.made {
		return secret, "the client", nil
	}
	return secret, secret, nil
}

func (a auth) apply(ctx context.Context, header http.Header) error {
	if a.header == nil {
		return nil
	}
	set, err := a.header(ctx)
	if err != nil {
		return err
	}
	for name, value := range set {
		header.Set(name, value)
	}
	return nil
}

func fixedAuth(headers map[string]string) auth {
	return newAuth(func(context.Context) (map[string]string, error) { return headers, nil })
}

// WithAPIKey sends the key as a bearer token.
func WithAPIKey(key string) RequestOption {
	return requestOption(func(c *settings) error {
		if err := checkSecret(key); err != nil {
			return fmt.Errorf("WithAPIKey: %w", err)
		}
		c.auth = fixedAuth(map[string]string{"Authorization": "Bearer " + key})
		return nil
	})
}

// WithPassword is for a self-hosted server with a password. It sends both headers that such servers read.
func WithPassword(password string) RequestOption {
	return requestOption(func(c *settings) error {
		if err := checkSecret(password); err != nil {
			return fmt.Errorf("WithPassword: %w", err)
		}
		c.auth = fixedAuth(map[string]string{"Authorization": "Bearer " + password, "X-BARE-PASSWORD": "password " + password})
		return nil
	})
}

// WithTokenSource asks for a bearer token before each call, for keys that change.
func WithTokenSource(source func(context.Context) (string, error)) RequestOption {
	return requestOption(func(c *settings) error {
		if source == nil {
			return errors.New("WithTokenSource: the source is nil")
		}
		c.auth = newAuth(func(ctx context.Context) (map[string]string, error) {
			token, err := source(ctx)
			if err == nil {
				err = checkSecret(token)
			}
			if err != nil {
				return nil, fmt.Errorf("token source: %w", err)
			}
			return map[string]string{"Authorization": "Bearer " + token}, nil
		})
		return nil
	})
}

// WithProject chooses a project of Letta Cloud by its slug. Without one, Cloud uses the default project for new
// agents and for lists. A self-hosted server has no projects and ignores it.
func WithProject(slug string) RequestOption {
	return projectOption("WithProject", "X-Project", "X-Project-Id", slug)
}

// WithProjectID chooses a project of Letta Cloud by its id.
func WithProjectID(id string) RequestOption {
	return projectOption("WithProjectID", "X-Project-Id", "X-Project", id)
}

func projectOption(option, name, other, value string) RequestOption {
	return requestOption(func(c *settings) error {
		if strings.TrimSpace(value) == "" {
			return errors.New(option + ": the project is empty")
		}
		c.header = c.header.Clone()
		c.header.Del(other)
		return setHeader(c, option, name, value)
	})
}

// WithHeader sets a header. Authorization replaces the key; with an empty value, no key is sent.
func WithHeader(name, value string) RequestOption {
	return requestOption(func(c *settings) error { return setHeader(c, "WithHeader", name, value) })
}

func setHeader(c *settings, option, name, value string) error {
	if err := checkHeader(name, value); err != nil {
		return fmt.Errorf("%s: %w", option, err)
	}
	c.header = c.header.Clone()
	switch name = http.CanonicalHeaderKey(name); {
	case name == "Authorization" || name == "X-Bare-Password":
		if c.auth = fixedAuth(map[string]string{name: value}); value == "" {
			c.auth = auth{made: new(int)}
		}
	case name == "Idempotency-Key" || name == "X-Idempotency-Key":
		// By its usual name, net/http takes it for a licence to send a POST twice.
		c.header[strings.ToLower(name)] = []string{value}
	default:
		c.header.Set(name, value)
	}
	return nil
}

// WithQuery sets a query parameter that the params of a call lack. Several values repeat the key.
func WithQuery(key string, values ...string) RequestOption {
	return requestOption(func(c *settings) error {
		if key == "" {
			return errors.New("WithQuery: the key is empty")
		}
		c.query = with(c.query, key, slices.Clone(values))
		return nil
	})
}

// WithBodyField sets a field of the JSON body that the params of a call lack. A nil value is null.
func WithBodyField(name string, value any) RequestOption {
	return requestOption(func(c *settings) error {
		data, err := marshalStandard(value)
		if err == nil && name == "" {
			err = errors.New("the name is empty")
		}
		if err != nil {
			return fmt.Errorf("WithBodyField: %w", err)
		}
		c.fields, c.callFields = with(c.fields, name, data), true
		return nil
	})
}

// with is a copy of m with one more entry.
func with[M ~map[string]V, V any](m M, key string, value V) M {
	if m = maps.Clone(m); m == nil {
		m = M{}
	}
	m[key] = value
	return m
}

func (s *settings) addFields(body []byte) ([]byte, error) {
	object := map[string]json.RawMessage{}
	if err := unmarshal(body, &object); err != nil {
		return nil, errors.New("WithBodyField: the body of this operation is not a JSON object")
	}
	maps.Copy(object, s.fields)
	return marshal(object)
}

// WithTimeout bounds a call with all its retries; 0 removes the bound. The default is 60 s, for a whole turn 10 minutes. Ensure,
// AddTags and their kind are bounded as a whole, ListAll page by page. Of a stream it bounds the wait for the headers only:
// see WithIdleTimeout.
func WithTimeout(d time.Duration) RequestOption {
	return requestOption(func(c *settings) error {
		if d < 0 {
			return errors.New("WithTimeout: the duration is negative")
		}
		c.timeout, c.timeoutSet = d, true
		return nil
	})
}

// WithIdleTimeout ends a stream that is silent for so long, with ErrStreamIdle; 0 never does. Default 90 s: a server
// sends a ping after 20 s of silence. A stream has no total timeout but its context. An upload and a download end in the
// same way when nothing moves.
func WithIdleTimeout(d time.Duration) RequestOption {
	return streamOption("WithIdleTimeout", func(c *settings) error {
		if d < 0 {
			return errors.New("WithIdleTimeout: the duration is negative")
		}
		c.idleTimeout = d
		return nil
	})
}

// WithMaxEvent bounds one event of a stream, in bytes; default 32 MiB.
func WithMaxEvent(bytes int) RequestOption {
	return streamOption("WithMaxEvent", func(c *settings) error {
		if bytes < 1 {
			return errors.New("WithMaxEvent: the bound must be positive")
		}
		c.maxEvent = bytes
		return nil
	})
}

// WithPings makes a stream show the server's pings.
func WithPings() RequestOption {
	return streamOption("WithPings", func(c *settings) error { c.pings = true; return nil })
}

// WithDeleteOwnDuplicate is for Agents.Ensure: when an older agent with the tags appears while this call creates one, such as
// that of another process, the agent of this call is deleted again. Agents that others have made are never deleted.
func WithDeleteOwnDuplicate() RequestOption {
	return callOption{"WithDeleteOwnDuplicate", func(c *settings) error {
		c.deleteDuplicate, c.ensureOption = true, "WithDeleteOwnDuplicate"
		return nil
	}}
}

// WithTurnLock makes turns of one agent, or of one conversation, wait for each other in this client, within their context.
// The lock is held until the turn has ended at the server, which would otherwise lose the next one from the agent's context:
// also of a stream that was left, or whose connection was lost, and whose turn goes on. For such a turn it is held for a
// minute at most, or until Client.Close. Turns of different agents never wait.
func WithTurnLock() RequestOption {
	return requestOption(func(c *settings) error { c.turnLock, c.turnOption = true, "WithTurnLock"; return nil })
}

// WithCancelOnDone cancels the run at the server when its stream ends before the turn does: the context ended, the loop was
// left, Close was called, or the connection was lost for good. A run cannot be cancelled before the server has named it, so
// that is waited for. The loop gets its error first. Leaving the loop, or Close, then waits until the server has obeyed, 5 s
// at most. RunTools waits until it has obeyed and the calls that wait are withdrawn, a minute at most. Without this option
// the turn goes on.
func WithCancelOnDone() RequestOption {
	return streamOption("WithCancelOnDone", func(c *settings) error { c.cancelOnDone = true; return nil })
}

// WithMaxRetries sets how often a call that may be repeated is repeated; default 2. No setting makes a POST be
// sent again once it may have reached the server.
func WithMaxRetries(n int) RequestOption {
	return requestOption(func(c *settings) error {
		if n < 0 {
			return errors.New("WithMaxRetries: the number is negative")
		}
		c.maxRetries = n
		return nil
	})
}

// Response is what an answer said besides its body.
type Response struct {
	StatusCode int // 0 if no answer came
	Header     http.Header
	RequestID  string
	Attempts   int
	Duration   time.Duration // of all attempts
}

// WithResponse fills r when the call returns, with or without an error. Where a method makes several calls, the
// last one counts.
func WithResponse(r *Response) RequestOption {
	return callOption{"WithResponse", func(c *settings) error {
		if r == nil {
			return errors.New("WithResponse: the response is nil")
		}
		*r = Response{}
		c.response = r
		return nil
	}}
}

func checkSecret(secret string) error {
	switch {
	case strings.TrimSpace(secret) == "":
		return errors.New("the key is empty")
	case strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("the key holds a space, a line break or another character that no key has")
	}
	return nil
}

func checkHeader(name, value string) error {
	const token = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	switch {
	case name == "" || strings.Trim(name, token) != "":
		return fmt.Errorf("%q is not the name of a header", name)
	case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
		return fmt.Errorf("the value of %s holds a line break or a control character", name)
	}
	return nil
}
