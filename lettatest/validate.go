package lettatest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The real server reports bad input as a list of problems printed by Python; this file checks input and prints the same.

// object is a JSON object, or the parameters of a query, after checking. Getters give the zero value for what is absent or null.
type object map[string]any

func get[T any](o object, key string) T {
	v, _ := o[key].(T)
	return v
}

func (o object) has(key string) bool { return o[key] != nil }

func (o object) str(key string) string { return get[string](o, key) }

// strs returns a list of strings without its duplicates.
func (o object) strs(key string) []string {
	var out []string
	for _, v := range get[[]any](o, key) {
		if s, ok := v.(string); ok && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// problems collects what is wrong with a request. stop is an error that the real server raises in the middle of its checks.
type problems struct {
	list     []string
	examples []string
	stop     *answer
}

func (p *problems) add(kind string, at loc, msg string, input any, ctx string) {
	e := fmt.Sprintf("{'type': '%s', 'loc': %s, 'msg': %s, 'input': %s", kind, at, printed(msg), printed(input))
	if ctx != "" {
		e += ", 'ctx': {" + ctx + "}"
	}
	p.list = append(p.list, e+"}")
}

// failed tells whether the input is bad, and with which answer.
func (c *call) failed() (answer, bool) {
	switch {
	case c.errs.stop != nil:
		return *c.errs.stop, true
	case len(c.errs.list) == 0:
		return answer{}, false
	}
	body := map[string]any{"trace_id": "", "detail": "[" + strings.Join(c.errs.list, ", ") + "]"}
	if c.errs.examples != nil {
		body["examples"] = c.errs.examples
	}
	return answer{status: http.StatusUnprocessableEntity, body: body}, true
}

func invalid(format string, args ...any) answer {
	return fail(http.StatusBadRequest, "INVALID_ARGUMENT: "+format, args...)
}

// loc is where a problem sits, such as ('body', 'tags', 0).
type loc []any

func (l loc) in(key any) loc { return append(slices.Clip(l), key) }

func (l loc) String() string {
	parts := make([]string, len(l))
	for i, v := range l {
		parts[i] = printed(v)
	}
	if len(l) == 1 {
		return "(" + parts[0] + ",)"
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

// check looks at one value, reports what is wrong and returns the value that the server goes on with.
type check func(p *problems, at loc, v any) any

// field is one member of an object. A name ending in * is required; an absent other one stays absent.
type field struct {
	name  string
	check check
}

func checkFields(p *problems, at loc, in map[string]any, fields []field) object {
	out := object{}
	for _, f := range fields {
		name, required := strings.CutSuffix(f.name, "*")
		v, ok := in[name]
		switch {
		case ok:
			out[name] = f.check(p, at.in(name), v)
		case required:
			p.add("missing", at.in(name), "Field required", in, "")
		}
		if p.stop != nil {
			break
		}
	}
	return out
}

// structure is an object with known fields; others are dropped.
func structure(fields []field) check {
	return func(p *problems, at loc, v any) any {
		in, ok := v.(map[string]any)
		if !ok {
			p.add("model_attributes_type", at, "Input should be a valid dictionary or object to extract fields from", v, "")
			return object{}
		}
		return checkFields(p, at, in, fields)
	}
}

// opt allows null.
func opt(c check) check {
	return func(p *problems, at loc, v any) any {
		if v == nil {
			return nil
		}
		return c(p, at, v)
	}
}

func text(p *problems, at loc, v any) any {
	if _, ok := v.(string); !ok {
		p.add("string_type", at, "Input should be a valid string", v, "")
	}
	return v
}

func integer(p *problems, at loc, v any) any {
	switch n := v.(type) {
	case json.Number:
		if i, err := strconv.Atoi(n.String()); err == nil {
			return i
		}
		if f, err := n.Float64(); err == nil && f == math.Trunc(f) {
			return int(f)
		}
		p.add("int_from_float", at, "Input should be a valid integer, got a number with a fractional part", v, "")
	case string:
		if i, err := strconv.Atoi(strings.TrimSpace(n)); err == nil {
			return i
		}
		p.add("int_parsing", at, "Input should be a valid integer, unable to parse string as an integer", v, "")
	case bool:
		if n {
			return 1
		}
		return 0
	default:
		p.add("int_type", at, "Input should be a valid integer", v, "")
	}
	return 0
}

func number(p *problems, at loc, v any) any {
	if _, ok := v.(json.Number); !ok {
		p.add("float_type", at, "Input should be a valid number", v, "")
	}
	return v
}

func boolean(p *problems, at loc, v any) any {
	s := ""
	switch b := v.(type) {
	case bool:
		return b
	case string:
		s = strings.ToLower(b)
	case json.Number:
		s = b.String()
	default:
		p.add("bool_type", at, "Input should be a valid boolean", v, "")
		return false
	}
	switch s {
	case "true", "t", "yes", "y", "on", "1":
		return true
	case "false", "f", "no", "n", "off", "0":
	default:
		p.add("bool_parsing", at, "Input should be a valid boolean, unable to interpret input", v, "")
	}
	return false
}

func dict(of check) check {
	return func(p *problems, at loc, v any) any {
		in, ok := v.(map[string]any)
		if !ok {
			p.add("dict_type", at, "Input should be a valid dictionary", v, "")
			return map[string]any{}
		}
		if of != nil {
			for _, k := range slices.Sorted(maps.Keys(in)) {
				of(p, at.in(k), in[k])
			}
		}
		return in
	}
}

func list(of check) check {
	return func(p *problems, at loc, v any) any {
		in, ok := v.([]any)
		if !ok {
			p.add("list_type", at, "Input should be a valid list", v, "")
		}
		out := make([]any, len(in))
		for i, e := range in {
			out[i] = of(p, at.in(i), e)
		}
		return out
	}
}

// oneOf allows some strings. kind is enum or literal_error.
func oneOf(kind string, values ...string) check {
	return choice(kind, quoted("'%s'", values), values)
}

func choice(kind string, shown, values []string) check {
	expected := shown[len(shown)-1]
	if len(shown) > 1 {
		expected = strings.Join(shown[:len(shown)-1], ", ") + " or " + expected
	}
	return func(p *problems, at loc, v any) any {
		if s, ok := v.(string); !ok || !slices.Contains(values, s) {
			p.add(kind, at, "Input should be "+expected, v, "'expected': "+printed(expected))
		}
		return v
	}
}

func quoted(format string, values []string) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = strings.ReplaceAll(format, "%s", v)
	}
	return out
}

// union picks the check for an object by its member tag. class is the name that the real server prints.
func union(tag, class string, tags []string, pick func(string) check) check {
	expected := strings.Join(quoted("<"+class+".%s: '%s'>", tags), ", ")
	return func(p *problems, at loc, v any) any {
		in, isObject := v.(map[string]any)
		name, ok := in[tag].(string)
		switch {
		case !isObject:
			return structure(nil)(p, at, v)
		case !ok:
			p.add("union_tag_not_found", at, "Unable to extract tag using discriminator '"+tag+"'", v, `'discriminator': "'`+tag+`'"`)
			return object{}
		case !slices.Contains(tags, name):
			p.add("union_tag_invalid", at,
				"Input tag '"+name+"' found using '"+tag+"' does not match any of the expected tags: "+expected, v,
				`'discriminator': "'`+tag+`'", 'tag': `+printed(name)+", 'expected_tags': "+printed(expected))
			return object{}
		}
		return pick(name)(p, at.in(name), v)
	}
}

// pattern checks the length and the form of a string.
func pattern(re *regexp.Regexp, shortest, longest int) check {
	count := func(n int) string {
		if n == 1 {
			return "1 character"
		}
		return strconv.Itoa(n) + " characters"
	}
	return func(p *problems, at loc, v any) any {
		s, ok := text(p, at, v).(string)
		n := utf8.RuneCountInString(s)
		switch {
		case !ok:
		case n < shortest:
			p.add("string_too_short", at, "String should have at least "+count(shortest), v, "'min_length': "+strconv.Itoa(shortest))
		case n > longest:
			p.add("string_too_long", at, "String should have at most "+count(longest), v, "'max_length': "+strconv.Itoa(longest))
		case re != nil && !re.MatchString(s):
			p.add("string_pattern_mismatch", at, "String should match pattern '"+re.String()+"'", v, "'pattern': "+printed(re.String()))
		}
		return v
	}
}

func idPattern(kind string) *regexp.Regexp {
	return regexp.MustCompile("^" + kind + "-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
}

func id(kind string) check {
	n := len(kind) + 1 + 36
	return pattern(idPattern(kind), n, n)
}

// needID checks the id in the path.
func (c *call) needID(kind string) {
	if re := idPattern(kind); !re.MatchString(c.id) {
		c.errs.add("string_pattern_mismatch", loc{"path", kind + "_id"}, "String should match pattern '"+kind+"-{uuid4}'", c.id,
			"'pattern': "+printed(re.String()))
		c.errs.examples = []string{kind + "-123e4567-e89b-42d3-8456-426614174000"}
	}
}

// params checks the query. Names ending in [] are lists; of the others the last value counts.
func (c *call) params(fields []field) object {
	in := map[string]any{}
	known := slices.Clone(fields)
	for i := range known {
		name, isList := strings.CutSuffix(known[i].name, "[]")
		known[i].name = name
		values, ok := c.query[name]
		switch {
		case !ok:
		case isList:
			all := make([]any, len(values))
			for j, v := range values {
				all[j] = v
			}
			in[name] = all
		default:
			in[name] = values[len(values)-1]
		}
	}
	return checkFields(&c.errs, loc{"query"}, in, known)
}

// decode reads the JSON body. As in the real server only a JSON content type makes it JSON.
func (c *call) decode() *answer {
	media, _, _ := mime.ParseMediaType(c.Header.Get("Content-Type"))
	if main, sub, _ := strings.Cut(media, "/"); main != "application" || sub != "json" && !strings.HasSuffix(sub, "+json") {
		c.data = c.raw
		return nil
	}
	if len(c.raw) == 0 {
		return nil
	}
	if !utf8.Valid(c.raw) {
		a := fail(http.StatusBadRequest, "There was an error parsing the body")
		return &a
	}
	var syntax *json.SyntaxError
	if err := json.Unmarshal(c.raw, new(json.RawMessage)); errors.As(err, &syntax) {
		at := int(syntax.Offset) - 1
		if strings.HasPrefix(err.Error(), "unexpected end") {
			at++
		}
		c.errs.add("json_invalid", loc{"body", at}, "JSON decode error", map[string]any{}, "'error': "+printed(syntaxError(err.Error())))
		a, _ := c.failed()
		return &a
	}
	_ = readJSON(c.raw, &c.data) // cannot fail any more
	return nil
}

// syntaxError translates a syntax error of encoding/json into one of Python's json.
func syntaxError(msg string) string {
	for _, t := range [][2]string{
		{"object key string", "Expecting property name enclosed in double quotes"},
		{"after object key:value pair", "Expecting ',' delimiter"},
		{"after array element", "Expecting ',' delimiter"},
		{"after object key", "Expecting ':' delimiter"},
		{"after top-level value", "Extra data"},
	} {
		if strings.Contains(msg, t[0]) {
			return t[1]
		}
	}
	return "Expecting value"
}

// body checks the JSON body.
func (c *call) body(fields []field) object {
	if c.errs.stop != nil {
		return object{}
	}
	if c.data == nil || len(c.raw) == 0 {
		c.errs.add("missing", loc{"body"}, "Field required", nil, "")
		return object{}
	}
	out, _ := structure(fields)(&c.errs, loc{"body"}, c.data).(object)
	return out
}

// printed shows a value the way Python's repr does; keys of objects are sorted.
func printed(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		if v {
			return "True"
		}
		return "False"
	case json.Number:
		return printedNumber(v.String())
	case string:
		return printedString(v)
	case []byte:
		s := printedString(string(v))
		return "b" + s
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = printed(e)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		parts := make([]string, 0, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, printed(k)+": "+printed(v[k]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return fmt.Sprint(v)
}

func printedNumber(s string) string {
	if !strings.ContainsAny(s, ".eE") {
		return s
	}
	f, _ := strconv.ParseFloat(s, 64)
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s = strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

func printedString(s string) string {
	quote := "'"
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = `"`
	}
	var b strings.Builder
	b.WriteString(quote)
	for _, r := range s {
		switch {
		case r == '\\' || string(r) == quote:
			b.WriteString(`\` + string(r))
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String() + quote
}
