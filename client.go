// Package letta is a client for Letta, the server of agents with memory: https://docs.letta.com.
//
//	client, err := letta.NewClient()                                           // Letta Cloud, key from LETTA_API_KEY
//	client, err := letta.NewClient(letta.WithBaseURL("http://localhost:8283")) // a server of your own
//
//	agents, err := client.Agents.List(ctx, letta.Tags("user_1"))
//
// Names of methods, types and fields are those of Letta's own documentation. A failed request is an [*APIError];
// what a list call did not ask the server to load is nil, not empty.
package letta

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/go-querystring/query"
)

// Version of this package, sent in the User-Agent.
const Version = "0.1.0"

// Addresses of Letta Cloud and of a server on this machine.
const (
	CloudURL = "https://api.letta.com"
	LocalURL = "http://localhost:8283"
)

const (
	userAgent = "letta-go/" + Version
	// Without this header, with any value, a server takes us for a client of before its 1.0 API and answers
	// differently: it loads every relation of every agent in a list and refuses some streams.
	sdkVersionHeader = "X-Stainless-Package-Version"
	sdkVersion       = "1.12.1" // of the official clients whose API this package speaks

	defaultTimeout  = 60 * time.Second
	defaultRetries  = 2
	maxResponseSize = 256 << 20
	maxErrorSize    = 1 << 20
)

// Client talks to one server. It is safe for concurrent use; make one and share it.
type Client struct {
	Agents        *AgentService
	Blocks        *BlockService
	Conversations *ConversationService
	Messages      *MessageService
	Models        *ModelService
	Runs          *RunService
	Steps         *StepService
	Tags          *TagService

	core *core // behind a pointer, so that fmt prints an address and no header
}

// core is what the services share.
type core struct {
	base        string // without a trailing slash and without /v1
	http        *http.Client
	logger      *slog.Logger
	defaults    config
	maxResponse int64  // bytes of a body; a bound against a server that never stops, not a quota
	keyNote     string // why the key of the environment was not used, for a 401
	ensures     flights[*Ensured]
	spoiled     spoiled
	tagWriters  keyedLock[AgentID]
	turns       keyedLock[string]
}

// NewClient makes a client; it sends nothing. Without options it talks to Letta Cloud with the key in
// LETTA_API_KEY, or to the server in LETTA_BASE_URL. Options win over the environment. A key from the environment
// goes only to Letta Cloud or to the server that the environment names, never to one set in code.
func NewClient(opts ...ClientOption) (*Client, error) {
	settings := clientConfig{config: newConfig(), http: &http.Client{Transport: defaultTransport()}, userAgent: userAgent}
	for _, opt := range opts {
		if opt == nil {
			return nil, errors.New("letta: a client option is nil")
		}
		if err := opt.applyClient(&settings); err != nil {
			return nil, fmt.Errorf("letta: %w", err)
		}
	}
	c := &core{maxResponse: maxResponseSize, http: settings.http, logger: settings.logger, defaults: settings.config}
	address, fromCode := settings.baseURL, settings.baseURL != ""
	if !fromCode {
		address = os.Getenv("LETTA_BASE_URL")
	}
	if address == "" {
		address = CloudURL
	}
	var err error
	if c.base, err = parseBaseURL(address); err != nil {
		source := "WithBaseURL"
		if !fromCode {
			source = "LETTA_BASE_URL"
		}
		return nil, fmt.Errorf("letta: base URL (%s): %w", source, err)
	}
	if key := os.Getenv("LETTA_API_KEY"); key != "" && c.defaults.auth.header == nil {
		if fromCode && c.base != CloudURL {
			c.keyNote = "the key in LETTA_API_KEY was not sent, because the base URL is set in code: pass WithAPIKey"
		} else if err := WithAPIKey(key).applyClient(&settings); err != nil {
			return nil, fmt.Errorf("letta: LETTA_API_KEY: %w", err)
		} else {
			c.defaults.auth = settings.auth
		}
	}
	if c.base == CloudURL && c.defaults.auth.header == nil {
		return nil, errors.New("letta: Letta Cloud needs a key: set LETTA_API_KEY or pass WithAPIKey; for a server of your own pass WithBaseURL")
	}
	c.defaults.insecure = settings.insecureHTTP
	if err := c.defaults.checkTransport(c.base); err != nil {
		return nil, fmt.Errorf("letta: %w", err)
	}
	c.defaults.header.Set("User-Agent", settings.userAgent)
	return &Client{
		Agents:        &AgentService{c, &AgentMessageService{c}},
		Blocks:        &BlockService{c, &BlockAgentService{c}},
		Conversations: &ConversationService{c, &ConversationMessageService{c}},
		Messages:      &MessageService{c},
		Models:        &ModelService{c, &ModelEmbeddingService{c}},
		Runs:          &RunService{c, &RunMessageService{c}, &RunStepService{c}, &RunTraceService{c}, &RunUsageService{c}},
		Steps:         &StepService{c, &StepFeedbackService{c}, &StepMessageService{c}, &StepMetricService{c}, &StepTraceService{c}},
		Tags:          &TagService{c},
		core:          c,
	}, nil
}

// defaultTransport has a pool of its own, with more idle connections to one host than net/http keeps. It has no
// response-header timeout: an agent's turn may take minutes to its first byte; each call has its own timeout.
func defaultTransport() http.RoundTripper {
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	transport = transport.Clone()
	transport.MaxIdleConnsPerHost = 100
	return transport
}

// parseBaseURL gives scheme://host[/prefix]. Its errors hold no user info.
func parseBaseURL(address string) (string, error) {
	u, err := url.Parse(strings.TrimSpace(address))
	var urlErr *url.Error
	switch {
	case !strings.Contains(address, "://"):
		return "", errors.New("it does not start with http:// or https://") // and may be a key: not shown
	case strings.Contains(address, "@"):
		return "", errors.New("it must not hold a user name or password: pass WithAPIKey or WithPassword")
	case errors.As(err, &urlErr):
		return "", urlErr.Err
	case err != nil:
		return "", err
	case u.Scheme != "http" && u.Scheme != "https":
		return "", errors.New("it does not start with http:// or https://") // and may be a key: not shown
	case u.Hostname() == "":
		return "", errors.New("it has no host")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(address, "#"):
		return "", errors.New("it must not hold a query or a fragment")
	case strings.EqualFold(u.Hostname(), "app.letta.com"):
		return "", errors.New("app.letta.com is the web editor, the API is at " + CloudURL)
	}
	path := strings.TrimRight(u.EscapedPath(), "/")
	path = strings.TrimRight(strings.TrimSuffix(path, "/v1"), "/")
	return u.Scheme + "://" + strings.ToLower(u.Host) + path, nil
}

// call is one operation of the API.
type call struct {
	method string
	path   string // with the ids as {agent_id}
	ids    []any  // typed ids, in the order of path
	query  any    // a pointer to a struct with url tags, or url.Values
	body   any    // encoded as JSON; *form and []byte are sent as they are
	header http.Header

	foreign bool // body and answer are types of the caller: null is an answer, and the rules are those of encoding/json
	turn    bool // repeated only if nothing was sent: a turn of an agent
}

// form is a body that is not JSON.
type form struct {
	contentType string
	data        []byte
}

// list is do for a list of objects. A null among them is an error: dropped, it would make a page look short.
func list[T any](ctx context.Context, c *core, op call, opts []RequestOption) ([]*T, error) {
	rows, err := do[[]*T](ctx, c, op, opts)
	if i := slices.Index(rows, nil); i >= 0 {
		return nil, &DecodeError{Method: op.method, Path: op.path, StatusCode: http.StatusOK, Err: fmt.Errorf("row %d is null", i)}
	}
	return rows, err
}

// do sends one call and decodes its answer.
func do[T any](ctx context.Context, c *core, op call, opts []RequestOption) (T, error) {
	var out T
	err := c.send(ctx, op, &out, opts)
	if err != nil {
		return *new(T), err
	}
	return out, nil
}

// send is the one place that talks to the server: it builds the request from op and the options, hands it to
// the retry loop, and decodes the answer into out (nil to drop it).
func (c *core) send(ctx context.Context, op call, out any, opts []RequestOption) error {
	cfg, err := c.configure(opts)
	if err != nil {
		return refusal{fmt.Errorf("letta: %s %s: %w", op.method, op.path, err)}
	}
	x, err := c.prepare(ctx, op, cfg)
	if err != nil {
		return fmt.Errorf("letta: %s %s: %w", op.method, op.path, err)
	}
	if cfg.timeout > 0 {
		var cancel context.CancelFunc
		cause := fmt.Errorf("no answer within %v (WithTimeout): %w", cfg.timeout, context.DeadlineExceeded)
		ctx, cancel = context.WithTimeoutCause(ctx, cfg.timeout, cause)
		defer cancel()
	}
	resp, err := x.run(ctx)
	if cfg.response != nil {
		*cfg.response = x.response(resp)
	}
	if err != nil {
		return x.fail(ctx, err)
	}
	return x.decode(resp, out, op.foreign)
}

// prepare checks everything that can be checked before something is sent.
func (c *core) prepare(ctx context.Context, op call, cfg *config) (*exchange, error) {
	if ctx == nil {
		return nil, refusal{errors.New("the context is nil")}
	}
	path, err := expand(op.path, op.ids)
	if err != nil {
		return nil, err
	}
	values, err := queryValues(op.query)
	if err != nil {
		return nil, err
	}
	for key, list := range cfg.query {
		values[key] = list
	}
	address := c.base + path
	if len(values) > 0 {
		address += "?" + values.Encode()
	}
	header := cfg.header.Clone()
	for key, list := range op.header {
		header[key] = list
	}
	body, contentType, err := cfg.encode(op.body, op.foreign)
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		header.Set("Content-Type", contentType)
	}
	if header.Get("Accept") == "" {
		header.Set("Accept", "application/json")
	}
	if header.Get(sdkVersionHeader) == "" {
		header.Set(sdkVersionHeader, sdkVersion)
	}
	if header.Get("User-Agent") == "" {
		header.Set("User-Agent", userAgent)
	}
	if err := cfg.checkTransport(c.base); err != nil {
		return nil, err
	}
	if err := cfg.auth.apply(ctx, header); err != nil {
		return nil, err
	}
	return &exchange{core: c, config: cfg, method: op.method, path: path, url: address, header: header, body: body, turn: op.turn}, nil
}

// expand puts escaped ids into a path.
func expand(path string, ids []any) (string, error) {
	for _, id := range ids {
		start, end := strings.IndexByte(path, '{'), strings.IndexByte(path, '}')
		name, text := path[start+1:end], fmt.Sprint(id)
		switch {
		case text == "":
			return "", refusal{fmt.Errorf("%s is empty", name)}
		case text == "." || text == "..", strings.ContainsAny(text, `/\`):
			return "", refusal{fmt.Errorf("%s %q is not an id", name, text)}
		}
		path = path[:start] + url.PathEscape(text) + path[end+1:]
	}
	return path, nil
}

func queryValues(params any) (url.Values, error) {
	switch params := params.(type) {
	case nil:
		return url.Values{}, nil
	case url.Values:
		return params, nil
	}
	return query.Values(params)
}

// encode gives the bytes of a body, with the fields of WithBodyField, and their content type.
func (cfg *config) encode(body any, foreign bool) ([]byte, string, error) {
	switch body := body.(type) {
	case nil:
		if cfg.callFields {
			return nil, "", refusal{errors.New("WithBodyField: this call has no body")}
		}
		return nil, "", nil
	case *form:
		if cfg.callFields {
			return nil, "", refusal{errors.New("WithBodyField: the body of this call is not JSON")}
		}
		return body.data, body.contentType, nil
	}
	engine := marshal
	if foreign {
		engine = marshalForeign
	}
	data, err := engine(body)
	if err != nil {
		return nil, "", refusal{fmt.Errorf("the parameters cannot be encoded: %w", err)}
	}
	if len(cfg.fields) > 0 {
		if data, err = cfg.addFields(data); err != nil {
			return nil, "", err
		}
	}
	return data, "application/json", nil
}

// decode turns a whole answer into out or an error.
func (x *exchange) decode(resp *http.Response, out any, foreign bool) error {
	body := x.answer
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return newRedirectError(x, resp)
	case resp.StatusCode < 200 || resp.StatusCode >= 400:
		if x.method == http.MethodDelete && resp.StatusCode == http.StatusNotFound && x.lost {
			return nil // an earlier attempt deleted it, and its answer was lost
		}
		return newAPIError(x, resp, body)
	case out == nil:
		return nil
	}
	switch out := out.(type) {
	case *[]byte:
		*out = body
		return nil
	case *string: // declared as text by some sources, sent as a JSON string by 0.16.8
		if len(body) == 0 || body[0] != '"' {
			*out = string(body)
			return nil
		}
	}
	var err error
	switch trimmed := bytes.TrimSpace(body); {
	case len(trimmed) == 0:
		err = io.ErrUnexpectedEOF
	case foreign:
		err = json.Unmarshal(body, out)
	case string(trimmed) == "null":
		err = errors.New("it is null")
	default:
		err = unmarshal(body, out)
	}
	if err != nil {
		return newDecodeError(x, resp, body, err)
	}
	return nil
}

// Do calls an endpoint that this package lacks. path is absolute, such as "/v1/agents/count", and may hold a
// query; body is nil or encoded as JSON; out is nil, or a pointer to decode into (*[]byte takes the raw body).
// Retries follow the method, as everywhere.
func (c *Client) Do(ctx context.Context, method, path string, body, out any, opts ...RequestOption) error {
	u, err := url.Parse(path)
	switch {
	case err != nil, u.Scheme != "", u.Host != "", u.Fragment != "", !strings.HasPrefix(path, "/"):
		return refusal{fmt.Errorf("letta: path %q must start with /v1/ and hold no host and no fragment", path)}
	case strings.Contains("/"+u.Path+"/", "/../"), strings.Contains("/"+u.Path+"/", "/./"):
		return refusal{fmt.Errorf("letta: path %q must not hold dots as segments", path)}
	}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return refusal{fmt.Errorf("letta: query of path %q: %w", path, err)}
	}
	if data, ok := body.([]byte); ok {
		body = &form{"application/json", data}
	}
	return c.core.send(ctx, call{method: strings.ToUpper(method), path: u.EscapedPath(), query: values, body: body, foreign: true}, out, opts)
}

// HealthResponse is the state of a server.
type HealthResponse struct {
	Status  string `json:"status"`
	Version string `json:"version"`
}

// Health asks the server for its version. It needs no key, so it says nothing about the key.
func (c *Client) Health(ctx context.Context, opts ...RequestOption) (*HealthResponse, error) {
	return do[*HealthResponse](ctx, c.core, call{method: http.MethodGet, path: "/v1/health/"}, opts)
}
