package lettaotel

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func all([]byte) bool { return true }

func TestObject(t *testing.T) {
	const text = ` {"a" : "x\"},{\\" , "long":"` + "%s" + `", "b":{"a":[1,{"c":"}"}]},"n": -1.5e3 ,"e\"":[],"t":true}`
	whole := fmt.Sprintf(text, strings.Repeat("z", maxValue))
	for size := 1; size < len(whole); size += 1 + size/2 {
		o := &object{wants: all}
		for rest := whole; rest != ""; rest = rest[min(size, len(rest)):] {
			o.write([]byte(rest[:min(size, len(rest))]))
		}
		got := map[string]string{}
		for name, value := range o.field {
			got[name] = string(value)
		}
		assert.Equal(t, map[string]string{"a": `"x\"},{\\"`, "b": `{"a":[1,{"c":"}"}]}`, "n": "-1.5e3", `e\"`: "[]", "t": "true"}, got)
		assert.LessOrEqual(t, cap(o.value), 2*maxValue)
	}
}

func TestEvents(t *testing.T) {
	const text = ": ping\n\nevent: message\ndata: {\"a\":\n" + "data: 1}\n\n" + "data:{\"a\":2}\r\n\r\nid: 7\n\ndata: [DONE]\n\ndata: {\"a\":3}\n"
	for size := 1; size <= len(text); size++ {
		var got []string
		e := &events{data: object{wants: all}}
		e.end = func(name, start string) {
			got = append(got, name+"|"+string(e.data.field["a"])+"|"+start[:2])
		}
		for rest := text; rest != ""; rest = rest[min(size, len(rest)):] {
			e.write([]byte(rest[:min(size, len(rest))]))
		}
		assert.Equal(t, []string{`message|1|{"`, `|2|{"`, `||[D`}, got, "%d", size)
	}
}

// Whatever comes, little is kept.
func FuzzEvents(f *testing.F) {
	f.Add([]byte("event: x\r\ndata: {\"message_type\":\"a\\u0041\",\"b\":[1,{}]}\r\n\r\ndata: [DONE]\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		e := &events{data: object{wants: func(name []byte) bool { return string(name) == "message_type" }}, end: func(string, string) {}}
		for range 3 {
			e.write(data)
		}
		assert.LessOrEqual(t, len(e.data.value), maxValue)
		assert.LessOrEqual(t, len(e.data.field), 1)
		assert.LessOrEqual(t, len(e.field)+len(e.name)+len(e.dataStart), 3*maxField)
	})
}

func TestPathValue(t *testing.T) {
	assert.Equal(t, "run-1", pathValue("/v1/runs/{run_id}/stream", "/prefix/v1/runs/run-1/stream", "{run_id}"))
	assert.Empty(t, pathValue("/v1/agents/", "/v1/agents/", "{run_id}"))
	assert.Empty(t, pathValue("/v1/runs/{run_id}/stream", "/x", "{run_id}"))
}

func TestWord(t *testing.T) {
	assert.Equal(t, "end_turn", word([]byte(`"end_turn"`)))
	for _, other := range []string{`"what the user said"`, `{}`, ``, `null`, `"` + strings.Repeat("x", 101) + `"`} {
		assert.Empty(t, word([]byte(other)), other)
	}
}
