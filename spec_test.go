package letta

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

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
		object[f.Name] = example(parseSpecType(f.Type), f.Enum, variant, depth+1)
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
