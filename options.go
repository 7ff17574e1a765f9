package letta

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// ClientOption changes how a client is made. Every RequestOption is one too.
type ClientOption interface{ applyClient(*clientConfig) error }

// RequestOption changes one call, or, given to NewClient, all calls. The call's option wins over the client's.
type RequestOption interface {
	ClientOption
	applyRequest(*config) error
}

// clientConfig is what NewClient collects.
type clientConfig struct {
	config
	baseURL      string
	http         *http.Client
	logger       *slog.Logger
	userAgent    string
	insecureHTTP bool
}

// config holds the settings of one call.
type config struct {
	auth       auth
	header     http.Header
	query      url.Values
	fields     map[string]json.RawMessage // of WithBodyField
	callFields bool                       // some of them were given for this call
	timeout    time.Duration
	timeoutSet bool // by an option
	maxRetries int
	response   *Response
	insecure   bool

	idleTimeout  time.Duration // of streams
	maxEvent     int
	pings        bool
	turnLock     bool
	cancelOnDone bool
}

func newConfig() config {
	return config{header: http.Header{}, query: url.Values{}, fields: map[string]json.RawMessage{}, timeout: defaultTimeout, maxRetries: defaultRetries, idleTimeout: defaultIdleTimeout}
}

// configure gives the client's settings with those of one call on top; nothing is shared between calls.
func (c *core) configure(opts []RequestOption) (*config, error) {
	cfg := c.defaults
	cfg.header, cfg.query, cfg.fields = cfg.header.Clone(), maps.Clone(cfg.query), maps.Clone(cfg.fields)
	cfg.callFields = false
	for _, opt := range opts {
		if opt == nil {
			return nil, errors.New("a request option is nil")
		}
		if err := opt.applyRequest(&cfg); err != nil {
			return nil, err
		}
	}
	return &cfg, nil
}

type clientOption func(*clientConfig) error

func (o clientOption) applyClient(c *clientConfig) error { return o(c) }

type requestOption func(*config) error

func (o requestOption) applyClient(c *clientConfig) error { return o(&c.config) }
func (o requestOption) applyRequest(c *config) error      { return o(c) }

// callOption makes no sense for all calls of a client.
type callOption func(*config) error

func (o callOption) applyClient(*clientConfig) error {
	return errors.New("WithResponse is for one call, not for a client")
}
func (o callOption) applyRequest(c *config) error { return o(c) }

// WithBaseURL sets the server: https://host, with or without /v1, a path prefix or a slash at the end. A key is
// sent over plain http only to this machine; see WithInsecureHTTP.
func WithBaseURL(address string) ClientOption {
	return clientOption(func(c *clientConfig) error {
		if strings.TrimSpace(address) == "" {
			return errors.New("WithBaseURL: the address is empty")
		}
		c.baseURL = address
		return nil
	})
}

// WithHTTPClient uses a client's transport, timeout and cookies. The client is copied, not changed; redirects
// are never followed.
func WithHTTPClient(client *http.Client) ClientOption {
	return clientOption(func(c *clientConfig) error {
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
	return clientOption(func(c *clientConfig) error {
		c.logger = logger
		return nil
	})
}

// WithUserAgent puts the name of your program in front of the User-Agent.
func WithUserAgent(name string) ClientOption {
	return clientOption(func(c *clientConfig) error {
		if err := checkHeader("User-Agent", name); err != nil {
			return fmt.Errorf("WithUserAgent: %w", err)
		}
		c.userAgent = strings.TrimSpace(name + " " + userAgent)
		return nil
	})
}

// WithInsecureHTTP allows a key to be sent over plain http to another machine.
func WithInsecureHTTP() ClientOption {
	return clientOption(func(c *clientConfig) error {
		c.insecureHTTP = true
		return nil
	})
}

// auth sets the headers that carry a secret. The secret lives in a closure, where fmt and debug printers of
// structs do not look.
type auth struct {
	header func(context.Context) (map[string]string, error)
	id     string // tells two of them apart without revealing the secret
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

func fixedAuth(secret string, headers map[string]string) auth {
	return auth{
		header: func(context.Context) (map[string]string, error) { return headers, nil },
		id:     fmt.Sprintf("%x", sha256.Sum256([]byte(secret))),
	}
}

// WithAPIKey sends the key as a bearer token.
func WithAPIKey(key string) RequestOption {
	return requestOption(func(c *config) error {
		if err := checkSecret(key); err != nil {
			return fmt.Errorf("WithAPIKey: %w", err)
		}
		c.auth = fixedAuth(key, map[string]string{"Authorization": "Bearer " + key})
		return nil
	})
}

// WithPassword is for a self-hosted server with a password. It sends both headers that such servers read.
func WithPassword(password string) RequestOption {
	return requestOption(func(c *config) error {
		if err := checkSecret(password); err != nil {
			return fmt.Errorf("WithPassword: %w", err)
		}
		c.auth = fixedAuth(password, map[string]string{"Authorization": "Bearer " + password, "X-BARE-PASSWORD": "password " + password})
		return nil
	})
}

var tokenSources atomic.Int64

// WithTokenSource asks for a bearer token before each call, for keys that change.
func WithTokenSource(source func(context.Context) (string, error)) RequestOption {
	id := fmt.Sprint("source ", tokenSources.Add(1)) // two closures of one function are two sources
	return requestOption(func(c *config) error {
		if source == nil {
			return errors.New("WithTokenSource: the source is nil")
		}
		c.auth = auth{id: id, header: func(ctx context.Context) (map[string]string, error) {
			token, err := source(ctx)
			if err == nil {
				err = checkSecret(token)
			}
			if err != nil {
				return nil, fmt.Errorf("token source: %w", err)
			}
			return map[string]string{"Authorization": "Bearer " + token}, nil
		}}
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
	return requestOption(func(c *config) error {
		if strings.TrimSpace(value) == "" {
			return errors.New(option + ": the project is empty")
		}
		c.header.Del(other)
		return setHeader(c, option, name, value)
	})
}

// WithHeader sets a header. Authorization replaces the key.
func WithHeader(name, value string) RequestOption {
	return requestOption(func(c *config) error { return setHeader(c, "WithHeader", name, value) })
}

func setHeader(c *config, option, name, value string) error {
	if err := checkHeader(name, value); err != nil {
		return fmt.Errorf("%s: %w", option, err)
	}
	switch name = http.CanonicalHeaderKey(name); {
	case (name == "Authorization" || name == "X-Bare-Password") && value != "":
		c.auth = fixedAuth(value, map[string]string{name: value})
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
	return requestOption(func(c *config) error {
		if key == "" {
			return errors.New("WithQuery: the key is empty")
		}
		c.query[key] = slices.Clone(values)
		return nil
	})
}

// WithBodyField sets a field of the JSON body that the params of a call lack. A nil value is null.
func WithBodyField(name string, value any) RequestOption {
	return requestOption(func(c *config) error {
		data, err := marshalForeign(value)
		if err == nil && name == "" {
			err = errors.New("the name is empty")
		}
		if err != nil {
			return fmt.Errorf("WithBodyField: %w", err)
		}
		c.fields[name], c.callFields = data, true
		return nil
	})
}

func (cfg *config) addFields(body []byte) ([]byte, error) {
	object := map[string]json.RawMessage{}
	if err := unmarshal(body, &object); err != nil {
		return nil, refusal{errors.New("WithBodyField: the body of this call is not a JSON object")}
	}
	maps.Copy(object, cfg.fields)
	return marshal(object)
}

// WithTimeout bounds a call with all its retries; 0 removes the bound. Default 60 s, for a whole turn 10 minutes. Of a
// stream it bounds the wait for the headers only; see WithIdleTimeout.
func WithTimeout(d time.Duration) RequestOption {
	return requestOption(func(c *config) error {
		if d < 0 {
			return errors.New("WithTimeout: the duration is negative")
		}
		c.timeout, c.timeoutSet = d, true
		return nil
	})
}

// WithIdleTimeout ends a stream that is silent for so long, with ErrStreamIdle; 0 never does. Default 90 s: a server
// sends a ping after 20 s of silence. A stream has no total timeout but its context.
func WithIdleTimeout(d time.Duration) RequestOption {
	return requestOption(func(c *config) error {
		if d < 0 {
			return errors.New("WithIdleTimeout: the duration is negative")
		}
		c.idleTimeout = d
		return nil
	})
}

// WithMaxEvent bounds one event of a stream, in bytes; default 32 MiB.
func WithMaxEvent(bytes int) RequestOption {
	return requestOption(func(c *config) error {
		if bytes < 1 {
			return errors.New("WithMaxEvent: the bound must be positive")
		}
		c.maxEvent = bytes
		return nil
	})
}

// WithPings makes a stream show the server's pings.
func WithPings() RequestOption {
	return requestOption(func(c *config) error { c.pings = true; return nil })
}

// WithTurnLock makes turns of one agent, or of one conversation, wait for each other in this client, within their
// context. A stream holds the lock until it is read to its end or closed; a turn that is left early goes on at the server
// without the lock, unless WithCancelOnDone stops it. Turns of different agents never wait.
func WithTurnLock() RequestOption {
	return requestOption(func(c *config) error { c.turnLock = true; return nil })
}

// WithCancelOnDone stops the run at the server when its stream ends before the turn does: the context ended, the loop was
// left, Close was called, the connection was lost for good. Before the server has named the run it cannot be stopped:
// Stream then waits for that, 10 s at most, although the context has ended. Without the option the turn goes on.
func WithCancelOnDone() RequestOption {
	return requestOption(func(c *config) error { c.cancelOnDone = true; return nil })
}

// headersWithin shortens the wait for headers.
func headersWithin(d time.Duration) RequestOption {
	return requestOption(func(c *config) error {
		if c.timeout == 0 || c.timeout > d {
			c.timeout = d
		}
		return nil
	})
}

// WithMaxRetries sets how often a call that may be repeated is repeated; default 2. No setting makes a POST be
// sent again once it may have reached the server.
func WithMaxRetries(n int) RequestOption {
	return requestOption(func(c *config) error {
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
	return callOption(func(c *config) error {
		if r == nil {
			return errors.New("WithResponse: the response is nil")
		}
		*r = Response{}
		c.response = r
		return nil
	})
}

// checkTransport refuses to send a secret in the clear to another machine.
func (cfg *config) checkTransport(base string) error {
	if cfg.insecure || !strings.HasPrefix(base, "http:") || cfg.auth.header == nil {
		return nil
	}
	u, err := url.Parse(base)
	if err != nil {
		return err
	}
	host := u.Hostname()
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("the key would travel in the clear to %s: use https, or allow it by WithInsecureHTTP", host)
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
