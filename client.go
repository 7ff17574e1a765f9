package letta

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-querystring/query"

	"github.com/letta-go/letta/internal/keyed"
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
)

// Client talks to one server. It is safe for concurrent use: make one and share it.
type Client struct {
	AccessTokens  *AccessTokenService
	Agents        *AgentService
	Archives      *ArchiveService
	Blocks        *BlockService
	Conversations *ConversationService
	Environments  *EnvironmentService
	Folders       *FolderService
	Groups        *GroupService
	Identities    *IdentityService
	Jobs          *JobService
	MCPServers    *MCPServerService
	Messages      *MessageService
	Models        *ModelService
	Passages      *PassageService
	Providers     *ProviderService
	Runs          *RunService
	Steps         *StepService
	Tags          *TagService
	Templates     *TemplateService
	Tools         *ToolService

	core *core // behind a pointer, so that fmt prints an address and no header
}

// core is what the services share.
type core struct {
	base     string // without a trailing slash and without /v1
	http     *http.Client
	ownHTTP  bool // not the caller's
	logger   *slog.Logger
	defaults settings
	secrecy  func() error // see exposed
	keyNote  string       // why the key of the environment was not used, for a 401

	maxResponse int64 // bytes of a body: a bound against a server that never stops, not a quota

	ensures    keyed.Flights[*ensureResult]
	ensureTags keyed.Locks[string]
	agentEdits keyed.Locks[AgentID]
	turns      keyed.Locks[string]
	life       lifetime
}

// NewClient makes a client. It sends nothing. Without options it talks to Letta Cloud with the key in LETTA_API_KEY, or to
// the server in LETTA_BASE_URL. Options win over the environment. A key from the environment goes only to Letta Cloud or
// to the server that the environment names, never to one set in code.
func NewClient(opts ...ClientOption) (*Client, error) {
	c, err := newCore(opts)
	if err != nil {
		return nil, fmt.Errorf("letta: %w", err)
	}
	return &Client{
		AccessTokens: &AccessTokenService{c},
		Agents: &AgentService{
			c, &AgentArchiveService{c}, &AgentBlockService{c}, &AgentFileService{c}, &AgentFolderService{c}, &AgentIdentityService{c},
			&AgentMessageService{c}, &AgentPassageService{c}, &AgentScheduleService{c}, &AgentToolService{c},
		},
		Archives:      &ArchiveService{c, &ArchivePassageService{c}},
		Blocks:        &BlockService{c, &BlockAgentService{c}},
		Conversations: &ConversationService{c, &ConversationMessageService{c}},
		Environments:  &EnvironmentService{c},
		Folders:       &FolderService{c, &FolderAgentService{c}, &FolderFileService{c}, &FolderPassageService{c}},
		Groups:        &GroupService{c, &GroupBlockService{c}, &GroupMessageService{c}},
		Identities:    &IdentityService{c, &IdentityAgentService{c}, &IdentityBlockService{c}, &IdentityPropertyService{c}},
		Jobs:          &JobService{c},
		MCPServers:    &MCPServerService{c, &MCPServerToolService{c}},
		Messages:      &MessageService{c},
		Models:        &ModelService{c, &ModelEmbeddingService{c}},
		Passages:      &PassageService{c},
		Providers:     &ProviderService{c},
		Runs:          &RunService{c, &RunMessageService{c}, &RunStepService{c}, &RunTraceService{c}, &RunUsageService{c}},
		Steps:         &StepService{c, &StepFeedbackService{c}, &StepMessageService{c}, &StepMetricService{c}, &StepTraceService{c}},
		Tags:          &TagService{c},
		Templates:     &TemplateService{c, &TemplateAgentService{c}},
		Tools:         &ToolService{c},
		core:          c,
	}, nil
}

func newCore(opts []ClientOption) (*core, error) {
	settings := clientSettings{settings: defaultSettings(), userAgent: userAgent}
	for _, opt := range opts {
		if opt == nil {
			return nil, errors.New("a client option is nil")
		}
		if err := opt.applyClient(&settings); err != nil {
			return nil, err
		}
	}
	c := &core{maxResponse: maxResponseSize, http: settings.http, logger: settings.logger}
	if c.http == nil {
		c.http, c.ownHTTP = &http.Client{Transport: defaultTransport()}, true
	}
	address, source := settings.baseURL, "WithBaseURL"
	if address == "" {
		address, source = os.Getenv("LETTA_BASE_URL"), "LETTA_BASE_URL"
	}
	if address == "" {
		address = CloudURL
	}
	var err error
	if c.base, err = parseBaseURL(address); err != nil {
		return nil, fmt.Errorf("base URL (%s): %w", source, err)
	}
	if key := os.Getenv("LETTA_API_KEY"); key != "" && settings.auth.header == nil {
		if source == "WithBaseURL" && c.base != CloudURL {
			c.keyNote = "the key in LETTA_API_KEY was not sent, because the base URL is set in code: pass WithAPIKey"
		} else if err := WithAPIKey(key).applyClient(&settings); err != nil {
			return nil, fmt.Errorf("LETTA_API_KEY: %w", err)
		}
	}
	if c.base == CloudURL && settings.auth.header == nil {
		return nil, errors.New("a key is needed for Letta Cloud: set LETTA_API_KEY or pass WithAPIKey; for a server of your own pass WithBaseURL")
	}
	c.secrecy = sync.OnceValue(func() error { return exposed(c.base, c.http.Transport) })
	c.defaults = settings.settings
	c.defaults.header.Set("User-Agent", settings.userAgent)
	setDefaults(c.defaults.header)
	return c, c.checkSecrecy(&c.defaults)
}

// defaultTransport has a pool of its own, with more idle connections to one host than net/http keeps. It has no
// response-header timeout: an agent's turn may take minutes to its first byte, and each call has a timeout of its own.
func defaultTransport() http.RoundTripper {
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	transport = transport.Clone()
	transport.MaxIdleConnsPerHost = 100
	return transport
}

// Close lets go of the idle connections of the client, which can be used again afterwards, and of the locks that are held
// for turns that nobody reads any more; see WithTurnLock. The http.Client of WithHTTPClient is left alone.
func (c *Client) Close() {
	c.core.life.close()
	if c.core.ownHTTP {
		c.core.http.CloseIdleConnections()
	}
}

// parseBaseURL gives scheme://host[/prefix]. Its errors show nothing of an address that cannot be parsed: people paste
// keys into the wrong place.
func parseBaseURL(address string) (string, error) {
	address = strings.TrimSpace(address)
	u, err := url.Parse(address)
	switch {
	case strings.Contains(address, "@"):
		return "", errors.New("it must not hold a user name or password: pass WithAPIKey or WithPassword")
	case !strings.HasPrefix(strings.ToLower(address), "http://") && !strings.HasPrefix(strings.ToLower(address), "https://"):
		return "", errors.New("it does not start with http:// or https://")
	case err != nil:
		return "", errors.New("it is not a URL such as https://letta.example.com:8283")
	case u.Hostname() == "":
		return "", errors.New("it has no host")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(address, "#"):
		return "", errors.New("it must not hold a query or a fragment")
	case strings.EqualFold(u.Hostname(), "app.letta.com"):
		return "", errors.New("app.letta.com is the web editor, the API is at " + CloudURL)
	}
	path := strings.TrimRight(u.EscapedPath(), "/")
	path = strings.TrimRight(strings.TrimSuffix(path, "/v1"), "/")
	host := url.URL{Scheme: strings.ToLower(u.Scheme), Host: strings.ToLower(u.Host)}
	return host.String() + path, nil
}

// checkSecrecy refuses to send a secret in the clear to another machine.
func (c *core) checkSecrecy(cfg *settings) error {
	if cfg.insecureHTTP || cfg.auth.header == nil {
		return nil
	}
	return c.secrecy()
}

// exposed is what would happen to a secret on the way to base, nil if it is safe.
func exposed(base string, transport http.RoundTripper) error {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" {
		return err
	}
	if ip, err := netip.ParseAddr(u.Hostname()); u.Hostname() != "localhost" && (err != nil || !ip.IsLoopback()) {
		return fmt.Errorf("the key would travel in the clear to %s: use https, or allow it with WithInsecureHTTP", u.Hostname())
	}
	if transport == nil {
		transport = http.DefaultTransport
	}
	if transport, ok := transport.(*http.Transport); ok && transport.Proxy != nil {
		if proxy, err := transport.Proxy(&http.Request{URL: u}); err != nil || proxy != nil {
			return errors.New("the key would travel in the clear through a proxy: leave this address out of the transport's Proxy, or allow it with WithInsecureHTTP")
		}
	}
	return nil
}

// request is one call of an operation, as its method describes it.
type request struct {
	op     Operation
	ids    []any // typed ids, in the order of the path template
	query  any   // a pointer to a struct with url tags, or url.Values
	body   any   // encoded as JSON; a *rawBody is sent as it is
	header http.Header

	turn    bool // part of an agent's turn: sent again only if nothing was sent
	stream  bool // the answer is an event stream
	foreign bool // body and answer are types of the caller: null is an answer, and encoding/json's rules hold
}

// subject names the request in errors.
func (r request) subject() string { return about(r.op.Name, r.ids...) }

// rawBody is a body that is not encoded by us: data, or what reader has, which is read while it is sent.
type rawBody struct {
	contentType string
	data        []byte
	reader      io.Reader
	source      io.Reader // the caller's, in reader
	size        int64     // of reader; 0 if it is not known
}

// do sends one request and decodes its answer.
func do[T any](ctx context.Context, c *core, r request, opts []RequestOption) (T, error) {
	var out T
	if err := c.send(ctx, r, &out, opts); err != nil {
		return *new(T), err
	}
	return out, nil
}

// send is the one place that talks to the server and waits for a whole answer, which it decodes into out (nil to drop it).
func (c *core) send(ctx context.Context, r request, out any, opts []RequestOption) error {
	cfg, err := c.resolve(r, out, opts)
	if err != nil {
		return err
	}
	if r.transfers(out) {
		return c.transfer(ctx, r, cfg, out)
	}
	ctx, cancel := cfg.bound(ctx, r)
	defer cancel()
	call, err := c.newCall(ctx, r, cfg)
	if err != nil {
		return err
	}
	call.out = out
	return call.run(ctx)
}

// newCall checks everything that can be checked before something is sent.
func (c *core) newCall(ctx context.Context, r request, cfg *settings) (*call, error) {
	if ctx == nil {
		return nil, invalid(r.subject(), "the context is nil")
	}
	path, err := expand(r.op.PathTemplate, r.ids)
	if err != nil {
		return nil, invalid(r.op.Name, "%w", err) // without the ids, one of which is at fault
	}
	if err := errors.Join(validate(r.query, true), validate(r.body, false)); err != nil {
		return nil, invalid(r.subject(), "%w", err)
	}
	values, err := queryValues(r.query)
	if err != nil {
		return nil, invalid(r.subject(), "%w", err)
	}
	maps.Copy(values, cfg.query)
	address := c.base + path
	if len(values) > 0 {
		address += "?" + values.Encode()
	}
	header := cfg.header.Clone()
	for key, list := range r.header {
		for _, value := range list {
			if err := checkHeader(key, value); err != nil {
				return nil, invalid(r.subject(), "%w", err)
			}
		}
		header[key] = list
	}
	if slices.ContainsFunc(r.ids, isSecret) {
		path = r.op.PathTemplate // for errors and logs
	}
	body, contentType, err := cfg.encode(r.body, r.foreign)
	if err != nil {
		return nil, invalid(r.subject(), "%w", err)
	}
	setDefault(header, "Content-Type", contentType)
	setDefaults(header)
	if err := c.checkSecrecy(cfg); err != nil {
		return nil, invalid(r.subject(), "%w", err)
	}
	if ctx.Err() != nil {
		return nil, notSent(r.subject(), contextError(ctx))
	}
	if err := cfg.auth.apply(ctx, header); err != nil {
		return nil, notSent(r.subject(), err)
	}
	if ctx.Err() != nil { // a token may take its time
		return nil, notSent(r.subject(), contextError(ctx))
	}
	call := &call{core: c, cfg: cfg, op: r.op, ids: r.ids, path: path, url: address, header: header, body: body, turn: r.turn, stream: r.stream, foreign: r.foreign}
	if raw, ok := r.body.(*rawBody); ok && raw.reader != nil {
		call.upload = &upload{body: raw.reader, source: raw.source, size: raw.size}
	}
	return call, nil
}

func isSecret(id any) bool {
	_, secret := id.(AccessTokenID)
	return secret
}

// setDefaults sets what every request has. The headers of a client have it already, unless a call's options took it away.
func setDefaults(header http.Header) {
	setDefault(header, "Accept", "application/json")
	setDefault(header, sdkVersionHeader, sdkVersion)
	setDefault(header, "User-Agent", userAgent)
}

func setDefault(header http.Header, name, value string) {
	if value != "" && header.Get(name) == "" {
		header.Set(name, value)
	}
}

// expand puts escaped ids into a path template.
func expand(path string, ids []any) (string, error) {
	for _, id := range ids {
		start, end := strings.IndexByte(path, '{'), strings.IndexByte(path, '}')
		name, text := path[start+1:end], reflect.ValueOf(id).String() // a secret prints as something else
		switch {
		case text == "":
			return "", fmt.Errorf("%s is empty", name)
		case text == "." || text == "..", strings.ContainsAny(text, `/\`):
			return "", fmt.Errorf("%s %q is not an id", name, text)
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
func (s *settings) encode(body any, foreign bool) ([]byte, string, error) {
	switch body := body.(type) {
	case nil:
		if s.callFields {
			return nil, "", errors.New("WithBodyField: this operation has no body")
		}
		return nil, "", nil
	case *rawBody:
		if s.callFields {
			return nil, "", errors.New("WithBodyField: the body of this operation is not JSON")
		}
		return body.data, body.contentType, nil
	}
	engine := marshal
	if foreign {
		engine = marshalStandard
	}
	data, err := engine(body)
	if err != nil {
		return nil, "", fmt.Errorf("the params cannot be encoded: %w", err)
	}
	if len(s.fields) > 0 {
		if data, err = s.addFields(data); err != nil {
			return nil, "", err
		}
	}
	return data, "application/json", nil
}

// decode turns a whole answer into out or an error, which hold nothing of its bytes.
func (c *call) decode(out any) error {
	status, body := c.attempt.Response.StatusCode, c.attempt.Body
	switch {
	case status >= 300 && status < 400:
		return c.redirectError()
	case status < 200 || status >= 400:
		if c.op.Method == http.MethodDelete && status == http.StatusNotFound && (c.maybeDone || c.attempt.Repeated()) {
			return nil // an earlier request deleted it, and its answer was lost
		}
		return c.apiError()
	case out == nil:
		if !c.foreign && bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) {
			return c.decodeError(errors.New("it is a page, not from a Letta server")) // such as a sign-in for the network
		}
		return nil
	}
	switch out := out.(type) {
	case *[]byte:
		*out = bytes.Clone(body)
		return nil
	case *string: // some sources call it text; Letta 0.16.8 sends a JSON string
		if len(body) == 0 || body[0] != '"' {
			*out = string(body)
			return nil
		}
	}
	var err error
	switch trimmed := bytes.TrimSpace(body); {
	case len(trimmed) == 0:
		err = io.ErrUnexpectedEOF
	case c.foreign:
		err = json.Unmarshal(body, out)
	case string(trimmed) == "null":
		err = errors.New("it is null")
	default:
		result := reflect.ValueOf(out).Elem()
		if result.Kind() == reflect.Pointer { // the engine is faster without the way through a second pointer
			result.Set(reflect.New(result.Type().Elem()))
			out = result.Interface()
		}
		if err = unmarshal(body, out); err == nil {
			err = wellFormed(result)
		}
	}
	if err != nil {
		return c.decodeError(err)
	}
	return nil
}

// wellFormed finds what decodes without an error and still cannot be the answer: a list with a null, and a resource
// without its id, such as an error that a proxy sends with the status 200.
func wellFormed(v reflect.Value) error {
	switch v.Kind() {
	case reflect.Slice:
		if kind := v.Type().Elem().Kind(); kind != reflect.Pointer && kind != reflect.Interface {
			return nil
		}
		for i := range v.Len() {
			if v.Index(i).IsNil() {
				return fmt.Errorf("row %d is null", i)
			}
			if err := wellFormed(v.Index(i)); err != nil {
				return fmt.Errorf("row %d: %w", i, err)
			}
		}
	case reflect.Interface:
		return wellFormed(v.Elem())
	case reflect.Pointer:
		if value, ok := reflect.TypeAssert[interface{ wellFormed() error }](v); ok {
			return value.wellFormed()
		}
		if v.Elem().Kind() != reflect.Struct || v.Elem().NumField() == 0 {
			return nil
		}
		// The id is the first field of every resource that must have one.
		if first := v.Type().Elem().Field(0); first.Tag.Get("json") == "id" && v.Elem().Field(0).Len() == 0 {
			return errors.New("it has no id")
		}
	default:
	}
	return nil
}

// Do calls an endpoint that this package lacks. path is absolute, such as "/v1/agents/count", and may hold a query. body
// is nil, bytes or an io.Reader that are sent as they are, or a value that is encoded as JSON. They are sent as JSON
// unless WithHeader sets another Content-Type. out is nil, or a pointer to decode into; *[]byte takes the body of the
// answer as it is, an io.Writer gets it as it arrives. Retries follow the method, as everywhere, but what was read from
// a reader is not sent again. With a reader or a writer, WithTimeout bounds the wait for the answer's beginning and
// WithIdleTimeout each silence on the way.
func (c *Client) Do(ctx context.Context, method, path string, body, out any, opts ...RequestOption) error {
	method = strings.ToUpper(method)
	op := Operation{method + " " + path, method, path}
	u, err := url.Parse(path)
	switch {
	case err != nil, u.Scheme != "", u.Host != "", u.Fragment != "", !strings.HasPrefix(path, "/"):
		return invalid(method, "path %q must start with /v1/ and hold no host and no fragment", path)
	case strings.Contains("/"+u.Path+"/", "/../"), strings.Contains("/"+u.Path+"/", "/./"):
		return invalid(method, "path %q must not hold dots as segments", path)
	}
	op.Name, op.PathTemplate = method+" "+u.Path, u.EscapedPath()
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return invalid(op.Name, "the query cannot be parsed: %w", err)
	}
	_, download := out.(io.Writer)
	if v := reflect.ValueOf(out); out != nil && !download && v.Kind() != reflect.Pointer || v.Kind() == reflect.Pointer && v.IsNil() {
		return invalid(op.Name, "out must be a pointer, an io.Writer or nil, not %T", out)
	}
	switch content := body.(type) {
	case io.Reader:
		body = &rawBody{contentType: "application/json", reader: content, source: content, size: sizeOf(content)}
	case []byte:
		body = &rawBody{contentType: "application/json", data: content}
	}
	if err := c.core.send(ctx, request{op: op, query: values, body: body, foreign: true}, out, opts); err != nil {
		return err
	}
	dropUnloadedForeign(op, values, out)
	return nil
}

// HealthResponse is the state of a server.
type HealthResponse struct {
	Status  string `json:"status"`
	Version string `json:"version"`
}

// Health asks the server for its version. It needs no key, so it says nothing about the key.
func (c *Client) Health(ctx context.Context, opts ...RequestOption) (*HealthResponse, error) {
	return do[*HealthResponse](ctx, c.core, request{op: Operation{"health", http.MethodGet, "/v1/health/"}}, opts)
}
