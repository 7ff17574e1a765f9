package lettatest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta/internal/apispec"
	"github.com/letta-go/letta/lettatest"
)

// TestReplay sends what was recorded on Letta 0.16.8 to this server, and compares the answers: status, headers, the shape of the JSON with the
// words that carry meaning, the order of rows, the kind of an error, the field that a 422 names, the frames of a stream.
//
// testdata/replay.jsonl says in which order, and what else was sent in between. The ids of the recordings become those of this server: an id is
// learnt where an answer first has it, and must be the same from then on.
func TestReplay(t *testing.T) {
	t.Parallel()
	r := newReplay(t)
	lines, err := os.ReadFile("testdata/replay.jsonl")
	require.NoError(t, err)
	for decoder := json.NewDecoder(bytes.NewReader(lines)); ; {
		var step replayStep
		if err := decoder.Decode(&step); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		r.step(step)
	}
	known := 0
	for _, x := range apispec.Recorded() {
		if x.Server != apispec.ServerV1 {
			continue
		}
		known++
		reason, listed := differs[x.Name]
		problems, played := r.problems[x.Name]
		switch {
		case !played && !listed:
			t.Errorf("%s was not replayed", x.Name)
		case len(problems) > 0 && !listed:
			t.Errorf("%s\n\t%s", x.Name, strings.Join(problems, "\n\t"))
		case len(problems) == 0 && played && listed:
			t.Errorf("%s replays, although it is listed: %s", x.Name, reason)
		}
		delete(r.problems, x.Name)
	}
	assert.Empty(t, r.problems, "no recordings")
	t.Logf("%d exchanges, %d of them differ for the reasons listed", known, len(differs))
}

// A replayStep is a line of testdata/replay.jsonl: a recorded exchange, or a part of one that ran beside others, or a request in between.
type replayStep struct {
	Do, Start, Wait, Finish string // names of exchanges
	Pattern                 string // what Wait waits for in the stream
	StopAt                  string `json:"stop_at"` // the client leaves when it has read this

	Setup   string // the method of a request in between
	Path    string
	Status  int
	Request json.RawMessage
	Headers map[string]string
	IDs     map[string]string // where its answer has which recorded id

	Poll, Field, Value string // until this field of a GET has this value
}

type replay struct {
	*testing.T
	plain, locked *lettatest.Server // without a password, and with one

	ids      map[string]string // recorded to ours
	problems map[string][]string
	running  map[string]*playing
	exported string // the newest agent file
}

// playing is an exchange on its way. done is closed at its end.
type playing struct {
	mu     sync.Mutex
	text   strings.Builder
	status int
	header http.Header
	done   chan struct{}
}

func (p *playing) read() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

var identifier = regexp.MustCompile(`[a-z_]+-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|call_[0-9a-f]{20}`)

const hurry = 10 // the replay is so many times faster than the recording was

func newReplay(t *testing.T) *replay {
	r := &replay{T: t, ids: map[string]string{}, problems: map[string][]string{}, running: map[string]*playing{}}
	opts := append(replayOptions(), lettatest.WithPingInterval(20*time.Second/hurry))
	r.plain, r.locked = lettatest.NewServer(t, opts...), lettatest.NewServer(t, append(opts, lettatest.WithPassword("test-password"))...)
	r.plain.Script(func(turn lettatest.Turn) lettatest.Reply {
		reply := lettatest.DefaultScript(turn)
		reply.Delay /= hurry
		return reply
	})
	replayTools(r.plain)
	return r
}

func (r *replay) ours(recorded string) string {
	return identifier.ReplaceAllStringFunc(recorded, func(id string) string {
		if mine, ok := r.ids[id]; ok {
			return mine
		}
		return id
	})
}

func (r *replay) step(s replayStep) {
	switch {
	case s.Do != "":
		r.finish(s.Do, r.begin(s.Do, s.StopAt))
	case s.Start != "":
		r.running[s.Start] = r.begin(s.Start, s.StopAt)
	case s.Finish != "":
		r.finish(s.Finish, r.running[s.Finish])
	case s.Wait != "":
		p, pattern := r.running[s.Wait], regexp.MustCompile(s.Pattern)
		r.until(s.Wait, func() bool { return pattern.MatchString(p.read()) })
		r.learnFrames(s.Wait, p.read())
	case s.Poll != "":
		r.until(s.Poll, func() bool {
			p := r.send(r.plain, http.MethodGet, r.ours(s.Poll), nil, nil, "")
			<-p.done
			var got object
			return json.Unmarshal([]byte(p.read()), &got) == nil && got[s.Field] == s.Value
		})
	default:
		p := r.send(r.plain, s.Setup, r.ours(s.Path), s.Headers, s.Request, "")
		<-p.done
		if p.status != s.Status {
			r.Logf("setup %s %s: %d %s", s.Setup, s.Path, p.status, p.read())
		}
		var got any
		_ = json.Unmarshal([]byte(p.read()), &got)
		for place, id := range s.IDs {
			if mine, ok := at(got, place).(string); ok {
				r.ids[id] = mine
			}
		}
	}
}

// until waits, not for ever: what the wait was for will differ and say more.
func (r *replay) until(what string, done func() bool) {
	for end := time.Now().Add(3 * time.Second); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			r.Logf("waited in vain: %s", what)
			return
		}
	}
}

// at finds a value by a path such as .messages.0.id.
func at(v any, place string) any {
	for _, key := range strings.Split(place, ".")[1:] {
		switch in := v.(type) {
		case object:
			v = in[key]
		case []any:
			if name, value, ok := strings.Cut(key, "="); ok {
				i := slices.IndexFunc(in, func(e any) bool { o, _ := e.(object); return o[name] == value })
				if i < 0 {
					return nil
				}
				v = in[i]
				continue
			}
			i, err := strconv.Atoi(key)
			if err != nil || i >= len(in) {
				return nil
			}
			v = in[i]
		}
	}
	return v
}

func (r *replay) begin(name, stopAt string) *playing {
	x, ok := apispec.Recording(apispec.ServerV1, name)
	require.True(r, ok, name)
	s := r.plain
	if strings.Contains(name, "auth_") || name == "mcp_servers.create.error_stdio_disabled_400" {
		s = r.locked
	}
	patience := time.Minute
	if x.Status == 0 { // it never answered
		patience = 200 * time.Millisecond
	}
	return r.send(s, x.Method, r.ours(x.Path), x.RequestHeader, x.RequestBody, stopAt, patience)
}

// send sends a body in the way of apispec.Exchange.
func (r *replay) send(s *lettatest.Server, method, path string, header map[string]string, body json.RawMessage, stopAt string, patience ...time.Duration) *playing {
	ctx, cancel := context.WithCancel(r.Context())
	if patience != nil {
		ctx, cancel = context.WithTimeout(r.Context(), patience[0])
	}
	data, kind := r.content(body)
	req, err := http.NewRequestWithContext(ctx, method, s.URL()+path, bytes.NewReader(data))
	require.NoError(r, err)
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if header == nil && patience == nil {
		header = map[string]string{"X-Stainless-Package-Version": "1.0.0"}
	}
	req.Header.Set("User-Agent", "python-httpx/0.28.1")
	for k, v := range header {
		req.Header.Set(k, v)
	}
	p := &playing{done: make(chan struct{})}
	go func() {
		defer close(p.done)
		defer cancel()
		transport := &http.Transport{}
		defer transport.CloseIdleConnections()
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return
		}
		defer func() { _ = resp.Body.Close() }()
		p.mu.Lock()
		p.status, p.header = resp.StatusCode, resp.Header
		p.mu.Unlock()
		for buf := make([]byte, 4096); ; {
			n, err := resp.Body.Read(buf)
			p.mu.Lock()
			p.text.Write(buf[:n])
			stop := stopAt != "" && strings.Contains(p.text.String(), stopAt)
			p.mu.Unlock()
			if err != nil || stop {
				return
			}
		}
	}()
	return p
}

// content is the body of a request and its type.
func (r *replay) content(body json.RawMessage) ([]byte, string) {
	if body == nil || string(body) == "null" {
		return nil, ""
	}
	text := r.ours(string(body))
	var form struct{ Multipart map[string]json.RawMessage }
	var raw string
	switch {
	case json.Unmarshal([]byte(text), &raw) == nil:
		return []byte(raw), "application/json"
	case json.Unmarshal([]byte(text), &form) != nil || form.Multipart == nil:
		return []byte(text), "application/json"
	}
	var buf bytes.Buffer
	w := multipart.NewWriter(&buf)
	for _, name := range slices.Sorted(maps.Keys(form.Multipart)) {
		var file struct {
			Filename, Content string
			ContentType       string `json:"content_type"`
		}
		if json.Unmarshal(form.Multipart[name], &file) != nil {
			_ = json.Unmarshal(form.Multipart[name], &raw)
			_ = w.WriteField(name, raw)
			continue
		}
		if strings.HasPrefix(file.Content, "<") { // too long to be recorded: an agent file
			file.Content = r.exported
		}
		part, _ := w.CreatePart(textproto.MIMEHeader{
			"Content-Disposition": {fmt.Sprintf(`form-data; name=%q; filename=%q`, name, file.Filename)}, "Content-Type": {file.ContentType},
		})
		_, _ = io.WriteString(part, file.Content)
	}
	_ = w.Close()
	return buf.Bytes(), w.FormDataContentType()
}

func (r *replay) finish(name string, p *playing) {
	<-p.done
	x, _ := apispec.Recording(apispec.ServerV1, name)
	if x.Operation == "agents.export_file" && p.status == http.StatusOK {
		r.exported = p.read()
	}
	c := &comparison{replay: r, name: name}
	for prefix := range byChance {
		c.loose = c.loose || strings.HasPrefix(name, prefix)
	}
	r.problems[name] = []string{}
	if p.status != x.Status {
		c.add("status %d, want %d: %.300s", p.status, x.Status, p.read())
		return
	}
	for _, h := range []string{"Content-Type", "Location", "Allow", "Retry-After"} {
		want, got := x.Header[strings.ToLower(h)], p.header.Get(h)
		if h == "Content-Type" {
			want, _, _ = mime.ParseMediaType(want)
			got, _, _ = mime.ParseMediaType(got)
		}
		if h == "Location" {
			want, got = r.ours(path(want)), path(got)
		}
		if want != got {
			c.add("%s %q, want %q", h, got, want)
		}
	}
	if x.Body == nil && strings.Contains(x.Text, "data: ") {
		c.frames(x.Text, p.read(), strings.Contains(x.Name, "cancelled") || slices.Contains(cutShort, x.Name))
		return
	}
	var want, got any
	if x.Body != nil {
		_ = json.Unmarshal(x.Body, &want)
		if err := json.Unmarshal([]byte(p.read()), &got); err != nil {
			c.add("no JSON: %.100s", p.read())
			return
		}
	}
	if x.Status >= 400 {
		c.failure(want, got)
		return
	}
	c.compare("", "", want, got)
}

func path(location string) string {
	_, rest, _ := strings.Cut(location, "://")
	_, rest, _ = strings.Cut(rest, "/")
	return rest
}

// learnFrames learns the ids of a stream that goes on.
func (r *replay) learnFrames(name, text string) {
	x, _ := apispec.Recording(apispec.ServerV1, name)
	(&comparison{replay: r, name: name, quiet: true}).frames(x.Text, text, true)
}

// comparison compares a recorded answer with ours.
type comparison struct {
	*replay
	name  string
	quiet bool // learn ids, complain about nothing
	loose bool // compare members only: which rows come is chance
}

func (c *comparison) add(format string, args ...any) {
	if !c.quiet && len(c.problems[c.name]) < 12 {
		c.problems[c.name] = append(c.problems[c.name], fmt.Sprintf(format, args...))
	}
}

// telling are the fields whose text must be the same.
var telling = []string{
	"message_type", "stop_reason", "status", "error_type", "code", "role", "type", "agent_type", "tool_type", "processing_status", "tag", "label",
	"key", "handle", "model", "embedding", "mcp_server_type", "identity_type", "manager_type", "source_type", "provider_type", "data", "query",
	"tool_return", "func_return", "summary", "content", "value", "text", "limit", "file_name", "original_file_name", "server_name", "feedback",
}

// free are the fields whose content nobody here makes up: it is what the model's provider or Python says.
var free = []string{"json_schema", "args_json_schema", "source_code", "request_json", "response_json", "error_data", "stderr", "stdout", "embedding"}

// unordered are the relations of an agent: rows made at one time come in the order of their random ids. The value is what sorts them here.
var unordered = map[string]string{
	"blocks": "label", "tools": "name", "tags": "", "tool_rules": "tool_name", "sources": "name", "secrets": "key", "tool_exec_environment_variables": "key",
}

func sorted(list []any, by string) []any {
	key := func(v any) string {
		o, _ := v.(object)
		return fmt.Sprint(o[by])
	}
	return slices.SortedStableFunc(slices.Values(list), func(a, b any) int { return strings.Compare(key(a), key(b)) })
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case float64:
		return "number"
	case string:
		return "string"
	case []any:
		return "list"
	}
	return "object"
}

func (c *comparison) compare(at, key string, want, got any) {
	if c.loose && (want == nil || got == nil) {
		return
	}
	if kindOf(want) != kindOf(got) {
		c.add("%s is %s, want %s (%.60v, want %.60v)", at, kindOf(got), kindOf(want), got, want)
		return
	}
	switch want := want.(type) {
	case object:
		got := got.(object)
		if len(want) == 1 && len(got) == 1 { // a map by id
			for id := range want {
				for mine := range got {
					if identifier.MatchString(id) && identifier.MatchString(mine) {
						c.same(at, id, mine)
						got = object{id: got[mine]}
					}
				}
			}
		}
		all := maps.Clone(want)
		maps.Copy(all, got)
		for _, k := range slices.Sorted(maps.Keys(all)) {
			_, wanted := want[k]
			v, has := got[k]
			switch {
			case !wanted:
				c.add("%s.%s is too much", at, k)
			case !has:
				c.add("%s.%s is missing", at, k)
			case slices.Contains(free, k) && kindOf(v) == kindOf(want[k]):
			default:
				c.compare(at+"."+k, k, want[k], v)
			}
		}
	case []any:
		got := got.([]any)
		if by := unordered[key]; by != "" {
			want, got = sorted(want, by), sorted(got, by)
		}
		if c.loose {
			want, got = want[:min(1, len(want), len(got))], got[:min(1, len(want), len(got))]
		}
		if len(want) != len(got) {
			c.add("%s has %d elements, want %d", at, len(got), len(want))
		}
		for i := range min(len(want), len(got)) {
			c.compare(fmt.Sprintf("%s[%d]", at, i), key, want[i], got[i])
		}
	case string:
		c.text(at, key, want, got.(string))
	case bool:
		if want != got && !c.loose {
			c.add("%s is %v, want %v", at, got, want)
		}
	}
}

func (c *comparison) text(at, key, want, got string) {
	switch {
	case c.loose:
	case identifier.FindString(want) == want && want != "":
		if identifier.FindString(got) != got || !samePrefix(want, got) {
			c.add("%s is %q, want an id like %q", at, got, want)
			return
		}
		c.same(at, want, got)
	case stamp(want) != stamp(got):
		c.add("%s is %q, want a time like %q", at, got, want)
	case !slices.Contains(telling, key), identifier.MatchString(want), len(want) > 60, strings.Contains(want, `"time"`), clockPart.MatchString(want), want == got:
	default:
		c.add("%s is %.80q, want %.80q", at, got, want)
	}
}

var clockPart = regexp.MustCompile(`^ ("\d{4}-\d\d-\d\d|\d\d:\d\d:\d\d|[AP]M)$`) // of a tool's result, told word by word

func samePrefix(a, b string) bool {
	a, _, _ = strings.Cut(strings.ReplaceAll(a, "_", "-"), "-")
	b, _, _ = strings.Cut(strings.ReplaceAll(b, "_", "-"), "-")
	return a == b
}

var times = regexp.MustCompile(`^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+\d\d:\d\d)?$`)

// stamp is the form of a time; "" for what is none.
func stamp(s string) string {
	m := times.FindStringSubmatch(s)
	if m == nil {
		return ""
	}
	return fmt.Sprint(len(m[1]) > 0, m[2])
}

// same says that an id of the recording is one of ours. The users and organisations of both are born there.
func (c *comparison) same(at, recorded, mine string) {
	if strings.HasPrefix(recorded, "user-") || strings.HasPrefix(recorded, "org-") || strings.HasSuffix(at, ".otid") {
		return
	}
	if known, ok := c.ids[recorded]; ok && known != mine {
		c.add("%s is another row: %s, want %s (recorded as %s)", at, mine, known, recorded)
		return
	}
	c.ids[recorded] = mine
}

var (
	fieldPath = regexp.MustCompile(`'type': '(\w+)', 'loc': \(((?:[^()]|\(\))*)\)`)
	errorCode = regexp.MustCompile(`^[A-Z_]{4,}\b`)
)

// failure compares errors: their shape, their kind, and for a 422 which fields it names.
func (c *comparison) failure(want, got any) {
	w, okW := want.(object)
	g, okG := got.(object)
	if !okW || !okG {
		c.compare("", "", want, got)
		return
	}
	text, isText := w["detail"].(string)
	mine, _ := g["detail"].(string)
	c.compare("", "", want, got)
	if isText {
		if want, got := errorCode.FindString(text), errorCode.FindString(mine); want != got {
			c.add("error %q, want %q", got, want)
		}
		if want, got := fields(text), fields(mine); !slices.Equal(want, got) {
			c.add("names %q, want %q", got, want)
		}
	}
}

// fields are the kinds of problems that a 422 lists, each with the path of its field. Names of Python classes and functions are left out.
func fields(detail string) []string {
	var out []string
	for _, m := range fieldPath.FindAllStringSubmatch(detail, -1) {
		at := m[1]
		for part := range strings.SplitSeq(m[2], ", ") {
			if part = strings.Trim(part, "',"); part != "" && !strings.ContainsAny(part, "[]()ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
				at += " " + part
			}
		}
		out = append(out, at)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// frames compares streams. Of a stream that somebody cut, the number of frames of a kind does not count.
func (c *comparison) frames(want, got string, cut bool) {
	w, g := events(want), events(got)
	if cut {
		squeeze := func(all []event) []event {
			return slices.CompactFunc(all, func(a, b event) bool { return a.kind() == b.kind() })
		}
		w, g = squeeze(w), squeeze(g)
	}
	kinds := func(all []event) string {
		var out []string
		for _, e := range all {
			out = append(out, e.kind())
		}
		return strings.Join(out, " ")
	}
	if a, b := kinds(w), kinds(g); a != b {
		c.add("frames %s\n\t\twant %s", b, a)
	}
	for i := range min(len(w), len(g)) {
		if cut {
			delete(w[i].json, "content")
			delete(g[i].json, "content")
		}
		if w[i].json != nil && g[i].json != nil {
			c.compare(fmt.Sprint("frame ", i), "", w[i].json, g[i].json)
		}
	}
}

type event struct {
	name, data string
	json       object
}

func (e event) kind() string {
	if e.json == nil {
		return e.data
	}
	kind, _ := e.json["message_type"].(string)
	return e.name + kind
}

func events(text string) (out []event) {
	for block := range strings.SplitSeq(text, "\n\n") {
		var e event
		for line := range strings.SplitSeq(block, "\n") {
			if v, ok := strings.CutPrefix(line, "event: "); ok {
				e.name = v + ":"
			}
			if v, ok := strings.CutPrefix(line, "data: "); ok {
				e.data = v
			}
		}
		if e.data == "" {
			continue
		}
		_ = json.Unmarshal([]byte(e.data), &e.json)
		out = append(out, e)
	}
	return out
}
