// Package python knows as much of Python as a Letta server lets its clients see: how values are printed, and what the source of a function says
// about its parameters. It runs nothing.
package python

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Repr shows a value of JSON the way Python's repr does; keys of objects are sorted.
func Repr(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		if v {
			return "True"
		}
		return "False"
	case string:
		quote := "'"
		if strings.Contains(v, "'") && !strings.Contains(v, `"`) {
			quote = `"`
		}
		return quote + strings.NewReplacer(`\`, `\\`, quote, `\`+quote, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(v) + quote
	case []byte:
		return "b" + Repr(string(v))
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = Repr(e)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		parts := make([]string, 0, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, Repr(k)+": "+Repr(v[k]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return fmt.Sprint(v)
}

// JSON writes a JSON object with the spaces that Python's json module puts in. Anything else counts as an empty one.
func JSON(text string) string {
	var o map[string]any
	var b bytes.Buffer
	if json.Unmarshal([]byte(text), &o) != nil || json.Compact(&b, []byte(text)) != nil {
		return "{}"
	}
	var out strings.Builder
	inside, escaped := false, false
	for _, c := range b.Bytes() {
		out.WriteByte(c)
		switch {
		case escaped:
			escaped = false
		case c == '\\':
			escaped = true
		case c == '"':
			inside = !inside
		case !inside && (c == ':' || c == ','):
			out.WriteByte(' ')
		}
	}
	return out.String()
}

// An Error is an exception.
type Error struct{ Kind, Text string }

// In is what a server says about an exception in a function.
func (e *Error) In(function string) string {
	return fmt.Sprintf("Error executing function %s: %s: %s", function, e.Kind, e.Text)
}

// A Function is what its source tells at a glance.
type Function struct {
	Name string
	Doc  string // the first line of the docstring; "" for a function without one

	params []param
	body   string
}

type param struct {
	name, kind, about string
	optional          bool
}

var (
	definition = regexp.MustCompile(`(?ms)^(?:async )?def (\w+)\((.*?)\).*?:\s*\n(.*)`)
	docstring  = regexp.MustCompile(`(?s)^\s*(?:"""|''')(.*?)(?:"""|''')`)
	docParam   = regexp.MustCompile(`(?m)^[ \t]*(\w+)[ \t]*(?:\([^)]*\))?:[ \t]*(\S.*)$`)
	returned   = regexp.MustCompile(`(?m)^\s*return (\w+)\s*$`)
)

var schemaTypes = map[string]string{"int": "integer", "float": "number", "bool": "boolean", "list": "array", "dict": "object"}

// Parse reads the first function of a source.
func Parse(source string) (f Function, ok bool) {
	def := definition.FindStringSubmatch(source)
	if def == nil {
		return f, false
	}
	f.Name, f.body = def[1], def[3]
	about := map[string]string{}
	if doc := docstring.FindStringSubmatch(f.body); doc != nil {
		f.Doc, _, _ = strings.Cut(strings.TrimSpace(doc[1]), "\n")
		for _, m := range docParam.FindAllStringSubmatch(doc[1], -1) {
			about[m[1]] = m[2]
		}
	}
	for arg := range strings.SplitSeq(def[2], ",") {
		name, typ, _ := strings.Cut(arg, ":")
		name = strings.TrimSpace(strings.Split(name, "=")[0])
		typ, _, _ = strings.Cut(typ, "=")
		kind, known := schemaTypes[strings.TrimSpace(typ)]
		if !known {
			kind = "string"
		}
		if name != "" {
			f.params = append(f.params, param{name, kind, about[name], strings.Contains(arg, "=")})
		}
	}
	return f, true
}

// Schema is the JSON schema of a call.
func (f Function) Schema() map[string]any {
	props, required := map[string]any{}, []any{}
	for _, p := range f.params {
		props[p.name] = map[string]any{"type": p.kind, "description": p.about}
		if !p.optional {
			required = append(required, p.name)
		}
	}
	return map[string]any{
		"name": f.Name, "description": f.Doc, "parameters": map[string]any{"type": "object", "properties": props, "required": required},
	}
}

// Call gives the result of a function that returns one of its arguments; of others it is an error.
func (f Function) Call(args map[string]any) (string, *Error) {
	for _, p := range f.params {
		if args[p.name] == nil && !p.optional {
			return "", &Error{"TypeError", f.Name + "() missing 1 required positional argument: " + Repr(p.name)}
		}
	}
	if m := returned.FindStringSubmatch(f.body); m != nil && args[m[1]] != nil {
		return fmt.Sprint(args[m[1]]), nil
	}
	return "", &Error{"NotImplementedError", "no Python runs here: " + strconv.Quote(f.Name) + " is not known"}
}
