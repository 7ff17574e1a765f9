package lettatest

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/letta-go/letta/internal/apispec"
	"github.com/letta-go/letta/internal/apispec/check"
)

// A route is one operation, as a row of a table: its name in apispec, and who answers. What a request must look like comes with the name, so that a
// handler sees checked input only.
type route struct {
	op     string
	handle func(*world, *call) answer

	method, path string
	segments     []string
	query, body  check.Fields
	json, form   bool
	required     bool // a body
	closed       bool // against unknown fields
	status       int  // of a success
	hosted       bool // documented, not recorded: Letta 0.16.8 lacks it
}

// operations are the rows of all tables. Order counts: as in the real server, the first pattern that fits decides about redirects and 405.
var operations = sync.OnceValue(func() []*route {
	var out []*route
	for _, r := range slices.Concat(
		[]route{{op: "health", handle: always(ok(object{"version": version, "status": "ok"}))}}, agentRoutes, agentToolRoutes, agentFolderRoutes, agentArchiveRoutes, agentBlockRoutes,
		agentMessageRoutes, blockRoutes, toolRoutes, archiveRoutes, passageRoutes, folderRoutes, identityRoutes, groupRoutes, providerRoutes, jobRoutes,
		mcpRoutes, conversationRoutes, messageRoutes, modelRoutes, runRoutes, stepRoutes, []route{{op: "tags.list", handle: listTags}}, hostedRoutes,
	) {
		out = append(out, r.resolve())
	}
	return out
})

// A call is one request on its way to its handler, which runs under the lock of the world.
type call struct {
	*http.Request
	*payload
	world  *world
	params map[string]string // of the path
	id     string            // the first of them
	sub    string            // the last
	q, in  object            // the query and the body, checked
	sent   any               // the body as it was sent
	errs   check.Problems
}

// resolve fills in what the name of an operation stands for.
func (r route) resolve() *route {
	o, known := apispec.Lookup(r.op)
	if !known {
		o, known = apispec.LookupSelfHosted(r.op)
	}
	if !known {
		panic("lettatest: no operation " + r.op)
	}
	r.method, r.path, r.hosted, r.required = o.Method, o.Path, o.HostedOnly, o.BodyRequired
	r.closed, r.status = o.BodyClosed, o.Status
	r.json, r.form = o.BodyKind == "json", o.BodyKind == "multipart"
	r.query, r.body = check.Parameters(o, "query"), check.Parameters(o, "body")
	r.segments = strings.Split(r.path, "/")
	return &r
}

// kinds are the parameters of paths that must be ids, and of what kind.
var kinds = map[string]string{
	"agent_id": "agent", "block_id": "block", "tool_id": "tool", "archive_id": "archive", "folder_id": "source", "file_id": "file",
	"identity_id": "identity", "message_id": "message", "step_id": "step", "passage_id": "passage", "memory_id": "passage", "group_id": "group",
	"provider_id": "provider", "job_id": "job", "conversation_id": "conv",
}

// match fits a path to the pattern: a call with what stands for its parameters, or nil.
func (r *route) match(path []string) *call {
	if len(path) != len(r.segments) {
		return nil
	}
	c := &call{params: map[string]string{}}
	for i, want := range r.segments {
		switch name, isParam := strings.CutPrefix(want, "{"); {
		case isParam && path[i] != "":
			c.params[strings.TrimSuffix(name, "}")] = path[i]
			c.id, c.sub = cmp.Or(c.id, path[i]), path[i]
		case want != path[i]:
			return nil
		}
	}
	return c
}

// find looks a path up: the route with its call, and for a wrong method the one that is allowed.
func (w *world) find(method, path string) (rt *route, c *call, allow string) {
	segments := strings.Split(path, "/")
	for _, r := range w.routes {
		if c := r.match(segments); c != nil && r.method == method {
			return r, c, ""
		} else if c != nil {
			allow = cmp.Or(allow, r.method)
		}
	}
	return nil, nil, allow
}

// dispatch is the way of a request to its operation: password, path, user, checks.
func (w *world) dispatch(r *http.Request, body *payload) (out answer) {
	if a, bad := refused[answer](func() { out = w.decide(r, body) }); bad {
		return a
	}
	return out
}

func (w *world) decide(r *http.Request, body *payload) answer {
	p := r.URL.Path
	if w.password != "" && strings.TrimSuffix(p, "/") != "/v1/health" &&
		r.Header.Get("Authorization") != "Bearer "+w.password && r.Header.Get("X-Bare-Password") != "password "+w.password {
		return fail(http.StatusUnauthorized, "Unauthorized")
	}
	rt, c, allow := w.find(r.Method, p)
	switch {
	case rt == nil && allow == "":
		return w.redirect(r)
	case rt == nil:
		a := fail(http.StatusMethodNotAllowed, "Method Not Allowed")
		a.header = http.Header{"Allow": {allow}}
		return a
	}
	c.Request, c.payload, c.world = r, body, w
	if rt.json {
		c.decode()
	}
	if user := r.Header.Get("User_id"); r.Header["User_id"] != nil && !check.IsID("user", user) {
		return invalid("Invalid user ID format: %s. Expected format: 'user-<uuid4>'", user)
	}
	c.check(rt)
	a := rt.handle(w, c)
	if rt.hosted && a.status == http.StatusOK {
		a.status = rt.status
	}
	return a
}

// check checks the path, the query and the body, and reports all that is wrong at once.
func (c *call) check(rt *route) {
	for _, name := range slices.Sorted(maps.Keys(c.params)) {
		id := c.params[name]
		switch kind := kinds[name]; {
		case kind == "", strings.HasPrefix(rt.path, "/v1/mcp-servers/"):
		case kind == "conv": // below a conversation, default and an agent's id stand for an agent
			if strings.Count(rt.path, "/") == 3 || id != "default" && !check.IsID("agent", id) {
				c.errs.Length(name, kind, id)
			}
		case kind == "source":
			c.errs.Length(name, kind, id)
		default:
			c.errs.Path(name, kind, id)
		}
	}
	c.q, c.in = c.errs.Values("query", rt.query, c.URL.Query()), object{}
	switch {
	case rt.form:
		c.in = c.errs.Values("body", slices.DeleteFunc(slices.Clone(rt.body), func(f apispec.Field) bool { return f.Type == "file" }), c.form)
		if c.file == nil {
			c.errs.Add("missing", check.Loc{"body", "file"}, "Field required", nil)
		}
	case !rt.json:
	case len(c.raw) > 0 && c.sent != nil:
		c.in = c.errs.Body(rt.body, c.sent, rt.closed)
	case rt.required:
		c.errs.Add("missing", check.Loc{"body"}, "Field required", nil)
	}
	if rule := bounds[rt.op]; rule != nil {
		rule(c)
	}
	c.wrong()
}

// bounds are the rules of single operations.
var bounds = map[string]func(*call){
	"runs.list": func(c *call) {
		if n, ok := c.q["limit"].(int); ok {
			c.errs.Between("limit", n, 1, 1000)
		}
	},
	"blocks.list": labelAndName, "blocks.count": labelAndName, "tools.list": knownTypes, "tools.count": knownTypes,
	"blocks.create": func(c *call) {
		if in, ok := c.sent.(object); ok && len(in) == 0 { // a missing value is an empty one, unless all is missing
			c.errs.Add("missing", check.Loc{"body", "value"}, "Field required", in)
		}
	},
}

func labelAndName(c *call) {
	for name, rule := range map[string]func(string){
		"label": func(v string) { c.errs.Text("label", v, 50, `^[a-zA-Z0-9_/-]+$`) },
		"name":  func(v string) { c.errs.Text("name", v, 100, `^[a-zA-Z0-9 _-]+$`) },
	} {
		if v, ok := c.q[name].(string); ok {
			rule(v)
		}
	}
}

// wrong ends a request in which something is wrong.
func (c *call) wrong() {
	if c.errs.Any() {
		panic(wrong(&c.errs))
	}
}

// bad refuses a field with a 422.
func (c *call) bad(msg string, at ...any) {
	c.errs.Add("value_error", check.Loc(at), "Value error, "+msg, c.sent)
	c.wrong()
}

// decode reads the JSON body. As in the real server only a JSON content type makes it JSON.
func (c *call) decode() {
	media, _ := mediaType(c.Header)
	if main, sub, _ := strings.Cut(media, "/"); main != "application" || sub != "json" && !strings.HasSuffix(sub, "+json") {
		if len(c.raw) > 0 {
			c.sent = c.raw
		}
		return
	}
	if len(c.raw) == 0 {
		return
	}
	if !utf8.Valid(c.raw) {
		refuse(http.StatusBadRequest, "There was an error parsing the body")
	}
	var syntax *json.SyntaxError
	if err := json.Unmarshal(c.raw, new(json.RawMessage)); errors.As(err, &syntax) {
		at := int(syntax.Offset) - 1
		if strings.HasPrefix(err.Error(), "unexpected end") {
			at++
		}
		c.errs.Add("json_invalid", check.Loc{"body", at}, "JSON decode error", object{})
		c.wrong()
	}
	_ = readJSON(c.raw, &c.sent) // cannot fail any more
}

// modern tells a client of the 1.x generation from a legacy one.
func (c *call) modern() bool {
	agent := c.UserAgent()
	if c.Header.Get("X-Stainless-Package-Version") != "" || agent == "" {
		return true
	}
	name, version, _ := strings.Cut(strings.TrimPrefix(agent, "@letta-ai/"), "/")
	return name == "letta-client" && !strings.Contains(version, "/") && strings.HasPrefix(version, "1.")
}

// redirect sends a path with one slash too many or too few to where it belongs.
func (w *world) redirect(r *http.Request) answer {
	p := strings.TrimRight(r.URL.Path, "/")
	if p == r.URL.Path {
		p += "/"
	}
	if rt, _, allow := w.find(r.Method, p); rt == nil && allow == "" {
		return fail(http.StatusNotFound, "Not Found")
	}
	to := url.URL{Scheme: "http", Host: r.Host, Path: p, RawQuery: r.URL.RawQuery}
	return answer{status: http.StatusTemporaryRedirect, header: http.Header{"Location": {to.String()}}}
}
