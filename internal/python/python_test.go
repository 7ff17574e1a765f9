package python

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestRepr(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]any{
		"None": nil, "True": true, "False": false, `'a"b'`: `a"b`, `"it's"`: "it's", `'\n'`: "\n", "[1, 'x']": []any{json.Number("1"), "x"},
		"{'a': {}, 'b': b'y'}": map[string]any{"b": []byte("y"), "a": map[string]any{}},
	} {
		assert.Equal(t, want, Repr(v))
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"a":1,"b":[1,2]}`: `{"a": 1, "b": [1, 2]}`, `{ "a" : "x:y,\"z\"" }`: `{"a": "x:y,\"z\""}`, `[1]`: "{}", "": "{}",
	} {
		assert.Equal(t, want, JSON(in))
	}
}

func TestFunction(t *testing.T) {
	t.Parallel()
	f, ok := Parse("import os\n\ndef add(a: int, b = 2, c: str = \"x\"):\n    \"\"\"Adds.\n\n    Args:\n        a (int): the first\n    \"\"\"\n    return a\n")
	assert.True(t, ok)
	assert.Equal(t, map[string]any{"name": "add", "description": "Adds.", "parameters": map[string]any{
		"type": "object", "required": []any{"a"}, "properties": map[string]any{
			"a": map[string]any{"type": "integer", "description": "the first"},
			"b": map[string]any{"type": "string", "description": ""},
			"c": map[string]any{"type": "string", "description": ""},
		},
	}}, f.Schema())
	out, bad := f.Call(map[string]any{"a": json.Number("3")})
	assert.Nil(t, bad)
	assert.Equal(t, "3", out)
	_, bad = f.Call(nil)
	assert.Equal(t, "Error executing function add: TypeError: add() missing 1 required positional argument: 'a'", bad.In(f.Name))
	other, _ := Parse("def f():\n    return 1 + 1\n")
	assert.Empty(t, other.Doc)
	_, bad = other.Call(nil)
	assert.Equal(t, "NotImplementedError", bad.Kind)
	_, ok = Parse("x = 1")
	assert.False(t, ok)
}
