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
	"AccessTokenPolicies.Version":           "has one value",
}

// TestEnums: a field whose values are documented has a named type with a constant for each of them.
func TestEnums(t *testing.T) {
	constants := stringConstants(t)
	variants := unionVariants()
	checked, used := 0, map[string]bool{}
	check := func(where string, typ reflect.Type, values []string) {
		checked++
		for typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() == reflect.Struct && strings.HasPrefix(typ.Name(), "Kind[") {
			return // checkUnion
		}
		if typ.Kind() == reflect.Bool {
			return // always true
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
		for in := range method.Ins() {
			if in.Kind() == reflect.Pointer && strings.HasSuffix(in.Elem().Name(), "Params") {
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

// TestUnionsNameTheirVariants: the comment of a sealed interface links every type that it can be.
func TestUnionsNameTheirVariants(t *testing.T) {
	docs := map[string]string{}
	for _, file := range sources(t) {
		for _, decl := range file.Decls {
			if decl, ok := decl.(*ast.GenDecl); ok && len(decl.Specs) == 1 {
				if spec, ok := decl.Specs[0].(*ast.TypeSpec); ok {
					docs[spec.Name.Name] = decl.Doc.Text()
				}
			}
		}
	}
	for union, variants := range unionVariants() {
		for _, variant := range variants {
			assert.Contains(t, docs[union.Name()], "[*"+variant.Name()+"]", "the comment of %s", union)
		}
		assert.Contains(t, docs[union.Name()], "[*Unknown", "the comment of %s", union)
	}
}

// TestJSONMethods: a union that decodes itself, and a struct that holds a bare one, need a method; nothing else does. They
// are noise in the documentation.
func TestJSONMethods(t *testing.T) {
	var methods []string
	for _, file := range sources(t) {
		for _, decl := range file.Decls {
			if decl, ok := decl.(*ast.FuncDecl); ok && (decl.Name.Name == "MarshalJSON" || decl.Name.Name == "UnmarshalJSON") {
				methods = append(methods, decl.Name.Name)
			}
		}
	}
	assert.LessOrEqual(t, len(methods), 40)
}

// unionVariants are the variants of every sealed interface, by kind.
func unionVariants() map[reflect.Type]map[string]reflect.Type {
	return map[reflect.Type]map[string]reflect.Type{
		reflect.TypeFor[Message](): messages.variants, reflect.TypeFor[MessageInput](): messageInputs.variants, reflect.TypeFor[Approval](): approvals.variants,
		reflect.TypeFor[ContentPart](): contentParts.variants, reflect.TypeFor[ImageSource](): imageSources.variants,
		reflect.TypeFor[ModelSettings](): modelSettings.variants, reflect.TypeFor[ToolRule](): toolRules.variants,
		reflect.TypeFor[MCPServer](): mcpServers.variants, reflect.TypeFor[MCPServerConfig](): mcpServerConfigs.variants, reflect.TypeFor[EnvironmentMessage](): environmentMessages.variants,
	}
}

// sources are the files of this package.
func sources(t *testing.T) (files []*ast.File) {
	t.Helper()
	names, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution|parser.ParseComments)
		require.NoError(t, err)
		files = append(files, file)
	}
	return files
}

// stringConstants are the values of the package's constants, by the names of their types.
func stringConstants(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for _, file := range sources(t) {
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
