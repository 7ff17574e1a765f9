// Package check checks requests the way a Letta server does, with the types of package apispec. What it finds it prints as the server does: as
// a list of Python dictionaries, each with the path of a field.
//
// What comes out is what the server goes on with: fields that are not known are gone, and numbers and booleans of a query are such.
package check

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/letta-go/letta/internal/apispec"
	"github.com/letta-go/letta/internal/python"
)

// Problems is what is wrong with a request.
type Problems struct {
	list     []string
	Examples []string // what an id looks like, when one in the path is wrong
}

// A Loc is the place of a problem, such as ('body', 'tags', 0).
type Loc []any

// In is the place of a member.
func (l Loc) In(key any) Loc { return append(slices.Clip(l), key) }

func (l Loc) String() string {
	var b strings.Builder
	for i, v := range l {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(python.Repr(v))
	}
	if len(l) == 1 {
		b.WriteString(",")
	}
	return "(" + b.String() + ")"
}

// Add notes a problem. kind is pydantic's name of it.
func (p *Problems) Add(kind string, at Loc, msg string, input any) {
	e := fmt.Sprintf("{'type': '%s', 'loc': %s, 'msg': %s, 'input': %s", kind, at, python.Repr(msg), python.Repr(input))
	if what, ok := strings.CutPrefix(msg, "Value error, "); ok {
		e += ", 'ctx': {'error': ValueError(" + python.Repr(what) + ")}"
	}
	p.list = append(p.list, e+"}")
}

// Any tells whether there are problems.
func (p *Problems) Any() bool { return len(p.list) > 0 }

// String is the list as the server prints it.
func (p *Problems) String() string { return "[" + strings.Join(p.list, ", ") + "]" }

var schemas = sync.OnceValue(apispec.Schemas)

// Fields are the parameters of a request in one place.
type Fields []apispec.Field

var cache sync.Map // of Of

// Of returns the fields of a schema that travel in a place ("body", "query"), with the differences of Letta 0.16.8. Of a union, those of all
// variants.
func Of(schema, in string) Fields {
	key := schema + " " + in
	if f, ok := cache.Load(key); ok {
		return f.(Fields)
	}
	var out Fields
	add := func(f apispec.Field) {
		i := slices.IndexFunc(out, func(o apispec.Field) bool { return o.Name == f.Name })
		if f.In != "" && f.In != in {
			return
		}
		if i < 0 {
			out = append(out, f)
			return
		}
		out[i].Enum, out[i].Required = nil, false // streaming is true in one variant, false in the other
	}
	s, ok := schemas()[schema]
	if !ok {
		panic("check: no schema " + schema)
	}
	times := map[string]int{}
	for _, v := range s.Variants {
		for _, f := range Of(v, in) {
			add(f)
			times[f.Name]++
		}
	}
	for i, f := range out { // what one variant lacks is required of none
		out[i].Required = f.Required && times[f.Name] == len(s.Variants)
	}
	for _, f := range s.Fields {
		if other, ok := differs[schema+"."+f.Name]; ok {
			at := f.In
			if f = apispec.ParseField(f.Name + " " + other); at != "" {
				f.In = at
			}
		}
		add(f)
	}
	for _, spec := range extra[schema] {
		add(apispec.ParseField(spec))
	}
	cache.Store(key, out)
	return out
}

// Parameters returns the fields of an operation's requests that travel in a place.
func Parameters(o apispec.Operation, in string) (out Fields) {
	if o.Params != "" {
		out = Of(o.Params, in)
	}
	for _, spec := range o.Fields {
		if f := apispec.ParseField(spec); f.In == in {
			out = append(out, f)
		}
	}
	return out
}

// Values checks the parameters of a query, or the texts of a form. Of one that is no list, the last value counts.
func (p *Problems) Values(place string, fields Fields, values url.Values) map[string]any {
	in := map[string]any{}
	for _, f := range fields {
		all, ok := values[f.Name]
		switch {
		case !ok:
		case strings.HasPrefix(f.Type, "array<"):
			list := make([]any, len(all))
			for i, v := range all {
				list[i] = v
			}
			in[f.Name] = list
		default:
			in[f.Name] = all[len(all)-1]
		}
	}
	return p.object(fields, Loc{place}, in, false)
}

// Body checks a body of JSON. In a closed one, a field that is not known is refused.
func (p *Problems) Body(fields Fields, body any, closed bool) map[string]any {
	in, ok := p.dict(Loc{"body"}, body)
	if !ok {
		return map[string]any{}
	}
	return p.object(fields, Loc{"body"}, in, closed)
}

func (p *Problems) dict(at Loc, v any) (map[string]any, bool) {
	in, ok := v.(map[string]any)
	if !ok {
		p.Add("model_attributes_type", at, "Input should be a valid dictionary or object to extract fields from", v)
	}
	return in, ok
}

func (p *Problems) object(fields Fields, at Loc, in map[string]any, closed bool) map[string]any {
	out := map[string]any{}
	for _, f := range fields {
		v, ok := in[f.Name]
		switch {
		case ok:
			out[f.Name] = p.field(f, at.In(f.Name), v)
		case f.Required:
			p.Add("missing", at.In(f.Name), "Field required", in)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(in)) {
		if closed && !slices.ContainsFunc(fields, func(f apispec.Field) bool { return f.Name == k }) {
			p.Add("extra_forbidden", at.In(k), "Extra inputs are not permitted", in[k])
		}
	}
	return out
}

func (p *Problems) field(f apispec.Field, at Loc, v any) any {
	if v == nil && f.Nullable {
		return nil
	}
	before := len(p.list)
	v = p.value(f.Type, f.Enum, at, v)
	if len(p.list) > before {
		return v
	}
	if kind, ok := ids[f.Name]; ok {
		list, isList := v.([]any)
		if !isList {
			list, at = []any{v}, at[:len(at)-1]
		}
		for i, id := range list {
			here := at.In(i)
			if !isList {
				here = at.In(f.Name)
			}
			p.id(kind, here, id.(string), len(f.In) > 0)
		}
	}
	if rule := rules[f.Name]; rule != nil && v != nil {
		rule(p, at, v)
	}
	return v
}

// value checks a value against a type of apispec.
func (p *Problems) value(typ string, enum []string, at Loc, v any) any {
	switch typ {
	case "any", "file":
		return v
	case "null":
		if v != nil {
			p.Add("none_required", at, "Input should be None", v)
		}
		return v
	case "enum":
		return p.oneOf("enum", enum, at, v)
	case "string":
		if _, ok := v.(string); !ok && enum == nil {
			p.Add("string_type", at, "Input should be a valid string", v)
		}
		return p.oneOf("literal_error", enum, at, v)
	case "integer":
		return p.integer(at, v)
	case "number":
		if _, ok := v.(json.Number); !ok {
			p.Add("float_type", at, "Input should be a valid number", v)
		}
		return v
	case "boolean":
		return p.boolean(at, v)
	case "datetime", "date":
		return p.datetime(at, v)
	}
	outer, inner, generic := strings.Cut(strings.TrimSuffix(typ, ">"), "<")
	if !generic {
		return p.named(typ, at, v)
	}
	switch outer {
	case "array":
		in, ok := v.([]any)
		if !ok {
			p.Add("list_type", at, "Input should be a valid list", v)
			return []any{}
		}
		out := make([]any, len(in))
		for i, e := range in {
			out[i] = p.value(inner, enum, at.In(i), e)
		}
		return out
	case "map":
		in, ok := v.(map[string]any)
		if !ok {
			p.Add("dict_type", at, "Input should be a valid dictionary", v)
			return map[string]any{}
		}
		out := make(map[string]any, len(in))
		for _, k := range slices.Sorted(maps.Keys(in)) {
			out[k] = p.value(inner, enum, at.In(k), in[k])
		}
		return out
	case "nullable":
		if v == nil {
			return nil
		}
		return p.value(inner, enum, at, v)
	}
	return p.anyOf(alternatives(inner), at, v) // a union
}

// alternatives cuts A|array<B|C> at its outer bars.
func alternatives(s string) (out []string) {
	depth, from := 0, 0
	for i, c := range s {
		switch c {
		case '<':
			depth++
		case '>':
			depth--
		case '|':
			if depth == 0 {
				out, from = append(out, s[from:i]), i+1
			}
		}
	}
	return append(out, s[from:])
}

// anyOf tries types one after the other. When none fits, the problems of all are reported.
func (p *Problems) anyOf(types []string, at Loc, v any) any {
	var all Problems
	for _, typ := range types {
		var tried Problems
		class := typ[strings.LastIndex(typ, ".")+1:]
		if typ == "string" {
			class = "str"
		}
		out := tried.value(typ, nil, at.In(class), v)
		if !tried.Any() {
			return out
		}
		all.list = append(all.list, tried.list...)
	}
	p.list = append(p.list, all.list...)
	return v
}

func (p *Problems) named(name string, at Loc, v any) any {
	s, ok := schemas()[name]
	if !ok {
		panic("check: no schema " + name)
	}
	switch s.Kind {
	case "alias":
		return p.value(s.Type, nil, at, v)
	case "enum":
		return p.oneOf("enum", s.Values, at, v)
	case "union":
		if tag := tried[name]; tag != nil {
			return p.anyOf(s.Variants, at, tag(v))
		}
		if s.Discriminator == "" {
			return p.anyOf(s.Variants, at, v)
		}
		return p.tagged(s, at, v)
	}
	in, ok := p.dict(at, v)
	if !ok {
		return map[string]any{}
	}
	out := p.object(Of(name, "body"), at, in, closed[name])
	if s.Open != "" {
		for k, v := range in {
			if _, ok := out[k]; !ok {
				out[k] = v
			}
		}
	}
	return out
}

// tagged checks an object whose variant a member tells.
func (p *Problems) tagged(s apispec.Schema, at Loc, v any) any {
	in, ok := p.dict(at, v)
	if !ok {
		return map[string]any{}
	}
	tag, isText := in[s.Discriminator].(string)
	variant, known := s.Mapping[tag]
	switch {
	case !isText:
		p.Add("union_tag_not_found", at, "Unable to extract tag using discriminator '"+s.Discriminator+"'", v)
		return map[string]any{}
	case !known:
		p.Add("union_tag_invalid", at, fmt.Sprintf("Input tag '%s' found using '%s' does not match any of the expected tags: %s", tag,
			s.Discriminator, strings.Join(slices.Sorted(maps.Keys(s.Mapping)), ", ")), v)
		return map[string]any{}
	}
	return p.named(variant, at.In(tag), v)
}

func (p *Problems) oneOf(kind string, values []string, at Loc, v any) any {
	if s, ok := v.(string); values != nil && (!ok || !slices.Contains(values, s)) {
		shown := make([]string, len(values))
		for i, v := range values {
			shown[i] = "'" + v + "'"
		}
		text := shown[len(shown)-1]
		if len(shown) > 1 {
			text = strings.Join(shown[:len(shown)-1], ", ") + " or " + text
		}
		p.Add(kind, at, "Input should be "+text, v)
	}
	return v
}

func (p *Problems) integer(at Loc, v any) any {
	switch n := v.(type) {
	case json.Number:
		if f, err := n.Float64(); err == nil && f == math.Trunc(f) {
			return int(f)
		}
		p.Add("int_from_float", at, "Input should be a valid integer, got a number with a fractional part", v)
	case string:
		if i, err := strconv.Atoi(strings.TrimSpace(n)); err == nil {
			return i
		}
		p.Add("int_parsing", at, "Input should be a valid integer, unable to parse string as an integer", v)
	default:
		p.Add("int_type", at, "Input should be a valid integer", v)
	}
	return 0
}

func (p *Problems) boolean(at Loc, v any) any {
	switch strings.ToLower(fmt.Sprint(v)) {
	case "true", "t", "yes", "y", "on", "1":
		return true
	case "false", "f", "no", "n", "off", "0":
		return false
	}
	if _, ok := v.(string); ok {
		p.Add("bool_parsing", at, "Input should be a valid boolean, unable to interpret input", v)
	} else {
		p.Add("bool_type", at, "Input should be a valid boolean", v)
	}
	return false
}

func (p *Problems) datetime(at Loc, v any) any {
	s, _ := v.(string)
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999", time.DateTime, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC()
		}
	}
	p.Add("datetime_from_date_parsing", at, "Input should be a valid datetime or date, input is too short", v)
	return nil
}

// IDPattern is the form of an id.
func IDPattern(kind string) string {
	return "^" + kind + "-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
}

var patterns sync.Map

// IsID tells whether a text is an id of a kind.
func IsID(kind, id string) bool {
	re, ok := patterns.Load(kind)
	if !ok {
		re, _ = patterns.LoadOrStore(kind, regexp.MustCompile(IDPattern(kind)))
	}
	return re.(*regexp.Regexp).MatchString(id)
}

func (p *Problems) id(kind string, at Loc, id string, length bool) {
	n := len(kind) + 1 + 36
	switch {
	case IsID(kind, id):
	case length && len(id) < n:
		p.Add("string_too_short", at, fmt.Sprintf("String should have at least %d characters", n), id)
	case length && len(id) > n:
		p.Add("string_too_long", at, fmt.Sprintf("String should have at most %d characters", n), id)
	default:
		p.Add("string_pattern_mismatch", at, "String should match pattern '"+kind+"-{uuid4}'", id)
	}
}

// Path checks an id in the path, and gives an example when it is wrong.
func (p *Problems) Path(name, kind, id string) {
	if !IsID(kind, id) {
		p.id(kind, Loc{"path", name}, id, false)
		p.Examples = []string{kind + "-123e4567-e89b-42d3-8456-426614174000"}
	}
}

// Length checks an id in the path of which the server looks at the length first.
func (p *Problems) Length(name, kind, id string) { p.id(kind, Loc{"path", name}, id, true) }
