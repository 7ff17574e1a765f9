package letta

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta/internal/apispec"
)

// unnamed are the enums that are plain strings, and why.
var unnamed = map[string]string{
	"LLMConfig.CompatibilityType":           "deprecated with all of LLMConfig",
	"LLMConfig.ModelEndpointType":           "deprecated with all of LLMConfig",
	"Model.CompatibilityType":               "deprecated",
	"Model.ModelEndpointType":               "deprecated",
	"EmbeddingConfig.EmbeddingEndpointType": "deprecated wherever it is held",
	"EmbeddingModel.EmbeddingEndpointType":  "deprecated",
	"LettaUsageStatistics.MessageType":      "has one value",
}

// TestEnums: a field whose values are documented has a named type with a constant for each of them.
func TestEnums(t *testing.T) {
	constants := stringConstants(t)
	variants := map[reflect.Type]map[string]reflect.Type{
		reflect.TypeFor[Message](): messages.variants, reflect.TypeFor[MessageInput](): messageInputs.variants, reflect.TypeFor[Approval](): approvals.variants,
		reflect.TypeFor[ContentPart](): contentParts.variants, reflect.TypeFor[ImageSource](): imageSources.variants,
		reflect.TypeFor[ModelSettings](): modelSettings.variants, reflect.TypeFor[ToolRule](): toolRules.variants,
	}
	checked, used := 0, map[string]bool{}
	check := func(where string, typ reflect.Type, values []string) {
		checked++
		for typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() == reflect.Struct && strings.HasPrefix(typ.Name(), "Kind[") {
			return // checkUnion
		}
		if typ == reflect.TypeFor[string]() {
			used[where] = true
			assert.Contains(t, unnamed, where, "the values of %s are known: %q", where, values)
			return
		}
		assert.Subset(t, constants[typ.Name()], values, "constants of %s, for %s", typ, where)
	}
	type pair struct {
		typ    reflect.Type
		schema string
	}
	seen := map[pair]bool{}
	var walk func(where string, typ reflect.Type, schema string)
	walk = func(where string, typ reflect.Type, schema string) {
		for {
			if strings.HasPrefix(typ.Name(), "Opt[") {
				value, _ := typ.FieldByName("value")
				typ = value.Type
			} else if typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice || typ.Kind() == reflect.Map {
				typ = typ.Elem()
			} else {
				break
			}
		}
		for _, wrapper := range []string{"nullable<", "array<", "map<", "nullable<", "array<"} {
			if inner, ok := strings.CutPrefix(schema, wrapper); ok {
				schema = strings.TrimSuffix(inner, ">")
			}
		}
		spec, known := apispec.Schemas()[schema]
		if !known || seen[pair{typ, schema}] {
			return
		}
		seen[pair{typ, schema}] = true
		switch {
		case spec.Kind == "alias":
			walk(where, typ, spec.Type)
		case spec.Kind == "enum":
			check(where, typ, spec.Values)
		case spec.Kind == "union" && typ.Kind() == reflect.Interface:
			for kind, variant := range spec.Mapping {
				if goType, ok := variants[typ][kind]; ok {
					walk(where, goType, variant)
				}
			}
		case spec.Kind == "union":
			for _, variant := range spec.Variants {
				walk(where, typ, variant)
			}
		case typ.Kind() == reflect.Struct:
			for _, field := range reflect.VisibleFields(typ) {
				for _, f := range spec.Fields {
					if name, _, _ := strings.Cut(field.Tag.Get(map[bool]string{true: "url", false: "json"}[f.In == "query"]), ","); name != f.Name || !field.IsExported() {
						continue
					}
					if where := typ.Name() + "." + field.Name; len(f.Enum) > 0 {
						elem := field.Type
						if strings.HasPrefix(elem.Name(), "Opt[") {
							value, _ := elem.FieldByName("value")
							elem = value.Type
						}
						check(where, elem, f.Enum)
					} else {
						walk(where, field.Type, f.Type)
					}
				}
			}
		}
	}
	for sdk, op := range operations(testClient(t)) {
		if !op.known {
			continue
		}
		method := op.call.Type()
		for i := range method.NumIn() {
			if in := method.In(i); in.Kind() == reflect.Pointer && strings.HasSuffix(in.Elem().Name(), "Params") {
				walk(sdk, in, op.Params)
			}
		}
		walk(sdk, method.Out(0), op.Response)
	}
	assert.Greater(t, checked, 100)
	for _, where := range keys(unnamed) {
		assert.True(t, used[where], "%s is no plain string with known values", where)
	}
}

// stringConstants are the values of the package's constants, by the names of their types.
func stringConstants(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	found := map[string][]string{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(file, func(node ast.Node) bool {
			spec, ok := node.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			typ, isName := spec.Type.(*ast.Ident)
			literal, isLiteral := spec.Values[0].(*ast.BasicLit)
			if isName && isLiteral && literal.Kind == token.STRING {
				value, err := strconv.Unquote(literal.Value)
				require.NoError(t, err)
				found[typ.Name] = append(found[typ.Name], value)
			}
			return true
		})
	}
	return found
}
