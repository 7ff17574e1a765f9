package letta

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta/internal/apispec"
)

// specType is a type in the grammar of the pinned facts, taken apart.
type specType struct {
	name     string     // string, array, union, or the name of a schema
	args     []specType // of array, map and union
	nullable bool
}

func parseSpecType(text string) specType {
	head, rest, found := strings.Cut(text, "<")
	if !found {
		return specType{name: text}
	}
	t := specType{name: head}
	for depth, start, i := 0, 0, 0; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == '<':
			depth++
		case c == '>' && depth > 0:
			depth--
		case (c == '|' || c == '>') && depth == 0:
			t.args = append(t.args, parseSpecType(rest[start:i]))
			start = i + 1
		}
	}
	if t.name == "nullable" {
		t = t.args[0]
		t.nullable = true
	}
	return t
}

// example is a JSON value of a type of the facts with every field filled; of a union, the variant with this number, as far
// as it has so many.
func example(t specType, enum []string, variant, depth int) any {
	if depth > 12 {
		return nil // types that hold themselves
	}
	pick := func(list []specType) any {
		chosen := list[variant%len(list)]
		if chosen.name == "null" {
			chosen = list[0]
		}
		return example(chosen, enum, variant, depth+1)
	}
	if enum != nil && t.name == "string" {
		return enum[variant%len(enum)]
	}
	switch t.name {
	case "string":
		return "text"
	case "integer":
		return 7
	case "number":
		return 1.5
	case "boolean":
		return true
	case "datetime":
		return "2026-01-02T03:04:05.678900Z"
	case "date":
		return "2026-01-02"
	case "any":
		return map[string]any{"x": 1.0}
	case "null":
		return nil
	case "array":
		return []any{example(t.args[0], enum, variant, depth+1)}
	case "map":
		return map[string]any{"key": example(t.args[0], enum, variant, depth+1)}
	case "union":
		return pick(t.args)
	}
	schema, ok := apispec.Schemas()[t.name]
	if !ok {
		panic("no schema " + t.name)
	}
	switch schema.Kind {
	case "enum":
		return schema.Values[variant%len(schema.Values)]
	case "alias":
		return example(parseSpecType(schema.Type), nil, variant, depth+1)
	case "union":
		variants := make([]specType, len(schema.Variants))
		for i, v := range schema.Variants {
			variants[i] = parseSpecType(v)
		}
		return pick(variants)
	}
	object := map[string]any{}
	for _, f := range schema.Fields {
		if f.In == "path" || f.In == "query" || f.In == "header" {
			continue
		}
		typ := parseSpecType(f.Type)
		if f.Name == "timestamp" {
			typ.name = "datetime" // though a string in the facts
		}
		object[f.Name] = example(typ, f.Enum, variant, depth+1)
	}
	return object
}

func exampleJSON(t *testing.T, typ string, variant int) []byte {
	t.Helper()
	data, err := json.Marshal(example(parseSpecType(typ), nil, variant, 0))
	require.NoError(t, err)
	return data
}

// answerOfSpec is an answer for an operation that has no recording.
func answerOfSpec(t *testing.T, op apispec.Operation) string {
	t.Helper()
	typ := op.Response
	if op.Page == "ArrayPage" {
		typ = fmt.Sprintf("array<%s>", typ)
	}
	return string(exampleJSON(t, typ, 0))
}

// otherwise are fields whose Go type is not that of the facts, and why.
var otherwise = map[string]string{
	// Whole numbers and times that the facts have as looser types.
	"AccessTokenListParams.limit": "whole", "AccessTokenListParams.offset": "whole", "AgentScheduleCreateParams.max_steps": "whole",
	"AgentScheduleListParams.limit": "a number as text", "EnvironmentListParams.limit": "a number as text", "EnvironmentListParams.onlineOnly": "a bool as text",
	"ArchivePassageCreateParams.created_at": "a time as text", "PassageHit.timestamp": "a time as text", "StepListParams.start_date": "a time as text", "StepListParams.end_date": "a time as text",
	// What the methods send by themselves.
	"AgentMessageCreateParams.streaming": "Create and Stream set it", "AgentMessageCreateParams.include_pings": "WithPings", "RunMessageStreamParams.include_pings": "WithPings",
	"AgentImportFileParams.secrets": "a part that is encoded by hand", "AgentImportFileParams.x-override-embedding-model": "a header that is set by hand",
	"AgentToolUpdateApprovalParams.requires_approval": "the body has it too", "TemplateCreateParams.type": "follows from what is set",
	// Fields of ours.
	"AgentCreateParams.llm": "of servers 0.6.5 to 0.6.12", "Turn.run_ids": "of the messages", "Turn.warnings": "of the stream", "Turn.stop_reason": "the one field of an object",
	// Unions without a field that tells the variants apart.
	"IdentityProperty.value": "any JSON value", "EnvironmentSendMessageParams.messages": "TestUnions",
	// Loose ends.
	"Step.messages": "deprecated", "mcp_servers.refresh": "what Letta 0.16.8 answers",
}

// comparison walks over Go types and the types of the facts at the same time.
type comparison struct {
	variants map[reflect.Type]map[string]reflect.Type // of the sealed interfaces
	seen     map[string]bool
	problems map[string]string                // by "Type.Field"
	known    map[reflect.Type]map[string]bool // the fields that any schema of a type has
}

func newComparison() *comparison {
	return &comparison{
		variants: unionVariants(), seen: map[string]bool{}, problems: map[string]string{}, known: map[reflect.Type]map[string]bool{},
	}
}

func (c *comparison) problem(where, format string, args ...any) {
	c.problems[where] = fmt.Sprintf(format, args...)
}

// bare takes off what a Go type is wrapped in, but not slices and maps.
func bare(t reflect.Type) reflect.Type {
	for {
		switch {
		case strings.HasPrefix(t.Name(), "Opt["):
			value, _ := t.FieldByName("value")
			t = value.Type
		case t.Kind() == reflect.Pointer:
			t = t.Elem()
		default:
			return t
		}
	}
}

// match compares a Go type with a type of the facts. where is "Type.Field", or the operation.
func (c *comparison) match(where string, t reflect.Type, spec specType, enum []string) {
	t = bare(t)
	for {
		schema := apispec.Schemas()[spec.name]
		if schema.Kind != "alias" {
			break
		}
		spec = parseSpecType(schema.Type)
	}
	wrong := func() { c.problem(where, "%s is no %s", t, spec.text()) }
	kind := func(kinds ...reflect.Kind) {
		if !slices.Contains(kinds, t.Kind()) {
			wrong()
		}
	}
	switch {
	case t == reflect.TypeFor[json.RawMessage]():
		if !spec.open() {
			wrong()
		}
		return
	case t == reflect.TypeFor[any]():
		if spec.name != "any" {
			wrong()
		}
		return
	case strings.HasPrefix(t.Name(), "Kind["):
		return // the union's test
	case t == reflect.TypeFor[Content]():
		t = reflect.TypeFor[[]ContentPart]()
		if spec.name == "string" {
			return
		}
		if spec.name != "union" {
			break
		}
		spec = spec.args[slices.IndexFunc(spec.args, func(a specType) bool { return a.name != "string" })]
		c.match(where, t, spec, nil)
		return
	}
	switch spec.name {
	case "string":
		kind(reflect.String)
	case "integer":
		kind(reflect.Int, reflect.Int64)
	case "number":
		kind(reflect.Float64)
	case "boolean":
		kind(reflect.Bool)
	case "datetime", "date":
		if t != reflect.TypeFor[time.Time]() {
			wrong()
		}
	case "file":
		if t != reflect.TypeFor[io.Reader]() {
			wrong()
		}
	case "any":
		wrong() // RawMessage and any have passed
	case "array":
		if kind(reflect.Slice); t.Kind() == reflect.Slice {
			c.match(where, t.Elem(), spec.args[0], enum)
		}
	case "map":
		if kind(reflect.Map); t.Kind() == reflect.Map {
			c.match(where, t.Elem(), spec.args[0], enum)
		}
	case "union":
		c.matchUnion(where, t, spec.args, nil)
	default:
		c.matchSchema(where, t, spec.name)
	}
}

func (c *comparison) matchSchema(where string, t reflect.Type, name string) {
	schema, ok := apispec.Schemas()[name]
	if !ok {
		c.problem(where, "no schema %s", name)
		return
	}
	if key := fmt.Sprint(t, " ", schema.Name); c.seen[key] {
		return
	} else {
		c.seen[key] = true
	}
	switch schema.Kind {
	case "enum":
		if t.Kind() != reflect.String || t.Name() == "string" {
			c.problem(where, "%s is not the enum %s", t, name)
		}
	case "union":
		var list []specType
		for _, v := range schema.Variants {
			list = append(list, parseSpecType(v))
		}
		c.matchUnion(where, t, list, schema.Mapping)
	case "object":
		for _, f := range schema.Fields { // one variant of a sealed interface
			if v, ok := c.variants[t][strings.Join(f.Enum, " ")]; ok {
				t = v
			}
		}
		if t.Kind() != reflect.Struct {
			c.problem(where, "%s is not the object %s", t, name)
			return
		}
		c.matchObject(t, schema)
	}
}

func (c *comparison) matchUnion(where string, t reflect.Type, list []specType, mapping map[string]string) {
	list = slices.DeleteFunc(slices.Clone(list), func(s specType) bool { return s.name == "null" })
	variants, sealed := c.variants[t]
	switch {
	case sealed && mapping != nil:
		for kind, schema := range mapping {
			if v, ok := variants[kind]; ok {
				c.match(where, v, parseSpecType(schema), nil)
			} else {
				c.problem(where, "%s has no variant %q", t, kind)
			}
		}
	case len(list) == 1:
		c.match(where, t, list[0], nil)
	case t.Kind() == reflect.Struct && !sealed: // one type for all variants
		for _, v := range list {
			c.match(where, t, v, nil)
		}
	case t.Kind() == reflect.String: // of enums
		for _, v := range list {
			c.match(where, t, v, nil)
		}
	case t.Kind() == reflect.Slice: // of an array and its only element
		for _, v := range list {
			if v.name == "array" {
				v = v.args[0]
			}
			c.match(where, t.Elem(), v, nil)
		}
	default:
		c.problem(where, "%s is not the union %v", t, list)
	}
}

// wireFields are the fields of a struct by place and name: body.limit, query.limit.
func wireFields(t reflect.Type) map[string]reflect.StructField {
	found := map[string]reflect.StructField{}
	for _, f := range reflect.VisibleFields(t) {
		for tag, places := range map[string][]string{"json": {"body"}, "form": {"body"}, "url": {"query"}, "header": {"header"}} {
			if name, _, _ := strings.Cut(f.Tag.Get(tag), ","); name != "" && name != "-" && f.IsExported() {
				found[places[0]+"."+name] = f
			}
		}
	}
	return found
}

func (c *comparison) matchObject(t reflect.Type, schema apispec.Schema) {
	if c.known[t] == nil {
		c.known[t] = map[string]bool{}
	}
	fields := wireFields(t)
	for _, f := range schema.Fields {
		place := cmp.Or(f.In, "body")
		key := place + "." + f.Name
		c.known[t][key] = true
		field, ok := fields[key]
		switch {
		case place == "path":
		case place == "raw_body":
		case !ok && len(f.Enum) == 1 && c.variant(t):
			// the union's test
		case !ok:
			c.problem(t.Name()+"."+f.Name, "%s lacks %s of %s", t, key, schema.Name)
		default:
			c.match(t.Name()+"."+f.Name, field.Type, parseSpecType(f.Type), f.Enum)
		}
	}
}

func (c *comparison) variant(t reflect.Type) bool {
	for _, variants := range c.variants {
		if slices.Contains(slices.Collect(maps.Values(variants)), t) {
			return true
		}
	}
	return false
}

// open reports whether a type says nothing of its values.
func (s specType) open() bool {
	return s.name == "any" || (s.name == "map" || s.name == "array") && s.args[0].open()
}

func (s specType) text() string {
	if len(s.args) == 0 {
		return s.name
	}
	var args []string
	for _, a := range s.args {
		args = append(args, a.text())
	}
	return s.name + "<" + strings.Join(args, "|") + ">"
}

// TestTypes holds every type that a method takes or gives to the facts: each documented field has a Go field of a type that
// fits, whatever is inside it, and each Go field is documented.
func TestTypes(t *testing.T) {
	c := newComparison()
	methods := operations(testClient(t))
	for _, sdk := range keys(methods) {
		op := methods[sdk]
		if !op.known {
			continue
		}
		method := op.call.Type()
		for in := range method.Ins() {
			if in.Kind() == reflect.Pointer && strings.HasSuffix(in.Elem().Name(), "Params") {
				c.matchSchema(sdk, in.Elem(), op.Params)
			}
		}
		if out := method.Out(0); method.NumOut() > 1 && out != reflect.TypeFor[*MessageStream]() && op.ResponseKind != "text" {
			typ := op.Response
			switch {
			case op.PageItems != "":
				items, ok := wireFields(bare(out))["body."+op.PageItems]
				require.True(t, ok, sdk)
				out, typ = items.Type, "array<"+typ+">"
			case op.Page != "":
				typ = "array<" + typ + ">"
			}
			c.match(sdk, out, parseSpecType(typ), nil)
		}
	}
	for typ, known := range c.known {
		for key, field := range wireFields(typ) {
			if name := key[strings.Index(key, ".")+1:]; !known[key] {
				c.problem(typ.Name()+"."+name, "%s.%s is in no schema", typ, field.Name)
			}
		}
	}
	for where, what := range c.problems {
		assert.Contains(t, otherwise, where, where+": "+what)
	}
	for where := range otherwise {
		assert.Contains(t, c.problems, where, where+" is as in the facts")
	}
	assert.Greater(t, len(c.known), 100)
}

// mayBeEmpty are required parameters whose zero value is sent, and why.
var mayBeEmpty = map[string]string{"blocks.create.value": "a block may begin empty"}

// TestRequired empties one required parameter at a time: nothing is sent, and the error names it.
func TestRequired(t *testing.T) {
	t.Parallel()
	c, requests := countingClient(t)
	checked := 0
	methods := operations(c)
	for _, sdk := range keys(methods) {
		op := methods[sdk]
		if !op.known {
			continue
		}
		for _, f := range requiredOf(op.Params) {
			args, _ := arguments(op.call.Type())
			for _, arg := range args {
				clearFields(arg, unsent[sdk])
			}
			params := args[len(args)-1]
			if params.Kind() != reflect.Pointer {
				t.Errorf("%s has no params for %s", sdk, f.Name)
				continue
			}
			field, ok := wireFields(params.Elem().Type())[cmp.Or(f.In, "body")+"."+f.Name]
			if !ok || field.Type.Kind() == reflect.Bool || field.Type.Kind() == reflect.Int || strings.HasPrefix(field.Type.Name(), "Kind[") {
				continue // sent by the method, or a value like any other
			}
			if mayBeEmpty[sdk+"."+f.Name] != "" {
				continue
			}
			checked++
			params.Elem().FieldByIndex(field.Index).SetZero()
			err := errorOf(op.call.Call(args))
			if assert.ErrorIs(t, err, ErrInvalidArgument, "%s without %s", sdk, f.Name) {
				assert.Contains(t, err.Error(), f.Name, sdk)
			}
			assert.Zero(t, requests.Swap(0), "%s without %s", sdk, f.Name)
		}
	}
	assert.Greater(t, checked, 15)
}

// requiredOf are the required parameters of a params type; of alternatives, those that all of them require.
func requiredOf(schema string) (required []apispec.Field) {
	spec := apispec.Schemas()[schema]
	if spec.Kind == "union" {
		for i, v := range spec.Variants {
			of := requiredOf(v)
			if i == 0 {
				required = of
				continue
			}
			required = slices.DeleteFunc(required, func(f apispec.Field) bool {
				return !slices.ContainsFunc(of, func(g apispec.Field) bool { return g.Name == f.Name })
			})
		}
		return required
	}
	for _, f := range spec.Fields {
		if f.Required && f.In != "path" {
			required = append(required, f)
		}
	}
	return required
}

// places calls visit at every place of a JSON value: change replaces what is there, and returns it to undo that.
func places(value any, visit func(old any, change func(any))) {
	switch value := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			old := value[key]
			visit(old, func(v any) { value[key] = v })
			places(old, visit)
		}
	case []any:
		for i, old := range value {
			visit(old, func(v any) { value[i] = v })
			places(old, visit)
		}
	}
}

// TestOddAnswers changes recorded answers as a later or a sloppy server might: null anywhere, a field that nobody knows in any
// object, another word for any text that is not a time. All of them decode. Of long answers, evenly spread places are taken.
func TestOddAnswers(t *testing.T) {
	t.Parallel()
	const most = 60 // places of one answer
	methods := operations(testClient(t))
	shapes, decoded := map[string]bool{}, 0
	for _, x := range apispec.Recorded() {
		method, wrapped := methods[x.Operation]
		if !wrapped || x.Status < 200 || x.Status > 299 || x.Body == nil || method.call.Type().NumOut() < 2 {
			continue
		}
		result := method.call.Type().Out(0)
		if result.Kind() == reflect.String || result == reflect.TypeFor[[]byte]() || result == reflect.TypeFor[*MessageStream]() || result.Kind() == reflect.Int {
			continue
		}
		if shape := x.Server + x.Operation + fmt.Sprint(len(x.Body)/200); shapes[shape] {
			continue // much like another
		} else {
			shapes[shape] = true
		}
		var value any
		require.NoError(t, json.Unmarshal(x.Body, &value))
		total := 0
		places(value, func(any, func(any)) { total++ })
		check := func(what string) {
			data, err := json.Marshal(value)
			require.NoError(t, err)
			decoded++
			if err := unmarshal(data, reflect.New(result).Interface()); err != nil {
				t.Errorf("%s with %s: %v", x.Name, what, err)
			}
		}
		n, stride := 0, total/most+1
		places(value, func(old any, change func(any)) {
			if n++; n%stride != 0 {
				return
			}
			change(nil)
			check(fmt.Sprintf("null for %.60v", old))
			switch old := old.(type) {
			case string:
				if _, err := time.Parse("2006-01-02", old[:min(10, len(old))]); err != nil {
					change("never-seen")
					check("another word for " + old)
				}
			case map[string]any:
				old["never_seen"] = map[string]any{"x": []any{1.0}}
				change(old)
				check("another field")
				delete(old, "never_seen")
			}
			change(old)
		})
	}
	assert.Greater(t, decoded, 5000)
}

// TestSpecAnswers decodes an answer of every operation with every field filled, once for each variant of its unions and for
// each value of its enums, and encodes it again: nothing is lost.
func TestSpecAnswers(t *testing.T) {
	t.Parallel()
	methods := operations(testClient(t))
	for _, sdk := range keys(methods) {
		op := methods[sdk]
		result := op.call.Type().Out(0)
		if !op.known || op.call.Type().NumOut() < 2 || op.ResponseKind == "text" || result == reflect.TypeFor[*MessageStream]() || result == reflect.TypeFor[[]byte]() || otherwise[sdk] != "" {
			continue
		}
		typ := op.Response
		if op.Page != "" {
			typ = "array<" + typ + ">"
		}
		for variant := range 20 {
			data := exampleJSON(t, typ, variant)
			if op.PageItems != "" {
				data = fmt.Appendf(nil, `{%q:%s}`, op.PageItems, data)
			}
			value := reflect.New(result)
			if !assert.NoError(t, unmarshal(data, value.Interface()), sdk) {
				break
			}
			after, err := marshal(value.Interface())
			require.NoError(t, err, sdk)
			for _, loss := range apispec.Lost(data, after) {
				if loss.Kind == apispec.Changed && strings.HasSuffix(loss.Path, ".tool_calls") {
					continue // a stream sends one object, which is a list here
				}
				assert.Equal(t, apispec.Zero, loss.Kind, "%s: %s", sdk, loss.Path)
			}
		}
	}
}
