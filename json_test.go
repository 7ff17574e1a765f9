package letta

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	gojson "github.com/go-json-experiment/json"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta/internal/apispec"
)

func TestOpt(t *testing.T) {
	for _, test := range []struct {
		params AgentUpdateParams
		want   string
	}{
		{AgentUpdateParams{}, `{}`},
		{AgentUpdateParams{Name: Some("")}, `{"name":""}`},
		{AgentUpdateParams{Description: Null[string]()}, `{"description":null}`},
		{AgentUpdateParams{Hidden: Some(false), MaxFilesOpen: Some(0)}, `{"hidden":false,"max_files_open":0}`},
		{AgentUpdateParams{Tags: []string{}}, `{"tags":[]}`},
		{AgentUpdateParams{Tags: []string{"a"}, Metadata: map[string]any{}}, `{"metadata":{},"tags":["a"]}`},
		{AgentUpdateParams{ModelSettings: Some[ModelSettings](&OpenAIModelSettings{Temperature: Some(0.0)})}, `{"model_settings":{"provider_type":"openai","temperature":0}}`},
	} {
		for _, engine := range []func(any) ([]byte, error){marshal, json.Marshal} {
			data, err := engine(&test.params)
			require.NoError(t, err)
			assert.JSONEq(t, test.want, string(data))
		}
		var back AgentUpdateParams
		require.NoError(t, json.Unmarshal([]byte(test.want), &back))
		assert.Equal(t, test.params, back)
	}
}

func TestTimes(t *testing.T) {
	want := time.Date(2026, 11, 22, 8, 7, 28, 979341000, time.UTC)
	for text, want := range map[string]time.Time{
		`"2026-11-22T08:07:28.979341Z"`:      want,
		`"2026-11-22T08:07:28.979341+00:00"`: want,
		`"2026-11-22T10:07:28.979341+02:00"`: want,
		`"2026-11-22T08:07:28.979341"`:       want,
		`"2026-11-22T08:07:28"`:              want.Truncate(time.Second),
		`"2026-11-22T08:07:28Z"`:             want.Truncate(time.Second),
		`null`:                               {},
	} {
		var run Run
		require.NoError(t, unmarshal([]byte(`{"created_at":`+text+`}`), &run))
		assert.True(t, want.Equal(run.CreatedAt), text)
		data, err := marshal(run)
		require.NoError(t, err)
		var again Run
		require.NoError(t, json.Unmarshal(data, &again), "encoding/json reads what this package writes")
		assert.True(t, want.Equal(again.CreatedAt), text)
	}
	assert.Error(t, unmarshal([]byte(`{"created_at":"yesterday"}`), new(Run)))
	assert.Error(t, unmarshal([]byte(`{"created_at":5}`), new(Run)))
}

func TestUnions(t *testing.T) {
	const rules = `[{"type":"exit_loop","tool_name":"a"},{"type":"new_kind","tool_name":"b","deep":{"x":[1,2]}},{"type":"max_count_per_step","tool_name":"c","max_count_limit":"not a number"},7,{"tool_name":"d","type":"run_first"},null]`
	var agent AgentState
	require.NoError(t, json.Unmarshal([]byte(`{"tool_rules":`+rules+`,"model_settings":{"provider_type":"tomorrow","x":1},"response_format":{"type":"json_schema","json_schema":{"a":1}}}`), &agent))
	require.Len(t, agent.ToolRules, 6)
	assert.Equal(t, &TerminalToolRule{ToolName: "a"}, agent.ToolRules[0])
	assert.Equal(t, "new_kind", agent.ToolRules[1].(*UnknownToolRule).Kind)
	assert.IsType(t, &UnknownToolRule{}, agent.ToolRules[2], "one bad element does not lose its neighbours")
	assert.IsType(t, &UnknownToolRule{}, agent.ToolRules[3])
	assert.Equal(t, &InitToolRule{ToolName: "d"}, agent.ToolRules[4])
	assert.Equal(t, "tomorrow", agent.ModelSettings.(*UnknownModelSettings).Kind)
	assert.Equal(t, ResponseFormat{Type: ResponseFormatJSONSchema, JSONSchema: map[string]any{"a": 1.0}}, agent.ResponseFormat)
	for _, engine := range []func(any) ([]byte, error){marshal, json.Marshal} {
		data, err := engine(agent.ToolRules)
		require.NoError(t, err)
		assert.JSONEq(t, rules, string(data))
		data, err = engine(agent.ModelSettings)
		require.NoError(t, err)
		assert.JSONEq(t, `{"provider_type":"tomorrow","x":1}`, string(data))
	}
	_, err := marshal(&AgentCreateParams{ToolRules: []ToolRule{&UnknownToolRule{}}})
	assert.ErrorContains(t, err, "UnknownToolRule")
}

// TestKinds: a variant alone, in a list and in a struct has its discriminator, by whichever engine.
func TestKinds(t *testing.T) {
	for _, test := range []struct {
		value any
		want  string
	}{
		{InitToolRule{ToolName: "a"}, `{"type":"run_first","tool_name":"a"}`},
		{&InitToolRule{ToolName: "a"}, `{"type":"run_first","tool_name":"a"}`},
		{ToolRules{&InitToolRule{ToolName: "a"}, nil}, `[{"type":"run_first","tool_name":"a"},null]`},
		{AgentUpdateParams{ToolRules: []ToolRule{&InitToolRule{ToolName: "a"}}}, `{"tool_rules":[{"type":"run_first","tool_name":"a"}]}`},
		{Ping{MessageCommon: MessageCommon{ID: "m"}}, `{"message_type":"ping","id":"m","date":"0001-01-01T00:00:00Z"}`},
		{&ImageContent{Source: &URLImage{URL: "u"}}, `{"type":"image","source":{"type":"url","url":"u"}}`},
		{&ApprovalCreate{Approvals: []Approval{&ToolReturn{ToolCallID: "c", Status: "success"}}}, `{"type":"approval","approvals":[{"type":"tool","tool_call_id":"c","status":"success","tool_return":""}]}`},
		{UserText("hi"), `{"type":"message","role":"user","content":"hi"}`},
		{MessageInputs{UserText("hi")}, `[{"type":"message","role":"user","content":"hi"}]`},
		{&BasetenModelSettings{}, `{"provider_type":"baseten"}`},
		{CompactionSettings{ModelSettings: &BasetenModelSettings{}}, `{"model_settings":{"provider_type":"baseten"}}`},
	} {
		for name, engine := range map[string]struct {
			read  func([]byte, any) error
			write func(any) ([]byte, error)
		}{"ours": {unmarshal, marshal}, "standard": {json.Unmarshal, json.Marshal}} {
			data, err := engine.write(test.value)
			require.NoError(t, err)
			assert.JSONEq(t, test.want, string(data), name)
			typ := reflect.TypeOf(test.value)
			back := reflect.New(typ)
			require.NoError(t, engine.read(data, back.Interface()))
			assert.Equal(t, test.value, back.Elem().Interface(), name)
		}
	}
	assert.Equal(t, "user_message", UserMessage{}.MessageType.String())
	var rule InitToolRule
	for _, odd := range []string{`{"type":null,"tool_name":"a"}`, `{"type":"exit_loop","tool_name":"a"}`, `{"type":5,"tool_name":"a"}`, `{"tool_name":"a","type":{"x":[]}}`} {
		require.NoError(t, unmarshal([]byte(odd), &rule))
		assert.Equal(t, InitToolRule{ToolName: "a"}, rule, odd)
	}
}

func TestResponseFormat(t *testing.T) {
	for _, text := range []string{`{"type":"text"}`, `{"type":"json_schema","json_schema":{"a":1}}`, `{"type":"grammar","grammar":{"root":[1]},"n":1.0}`, `{}`} {
		var format ResponseFormat
		require.NoError(t, unmarshal([]byte(text), &format))
		var standard ResponseFormat
		require.NoError(t, json.Unmarshal([]byte(text), &standard))
		assert.Equal(t, format, standard)
		for _, engine := range []func(any) ([]byte, error){marshal, json.Marshal} {
			data, err := engine(format)
			require.NoError(t, err)
			assert.JSONEq(t, text, string(data))
		}
	}
	var model Model
	require.NoError(t, unmarshal([]byte(`{"response_format":null}`), &model))
	assert.Equal(t, Model{}, model)
	_, err := marshal(ResponseFormat{Type: "text", Extra: map[string]json.RawMessage{"type": json.RawMessage(`"x"`)}})
	assert.Error(t, err, "a name twice")
}

func TestOddJSON(t *testing.T) {
	var agent AgentState
	require.NoError(t, unmarshal([]byte(`{"id":"a","id":"b","ID":"c","name":null,"tags":null,"llm_config":null,"max_files_open":null,"new":{"deep":[{}]}}`), &agent))
	assert.Equal(t, AgentState{ID: "b"}, agent, "the last of two names counts, case counts, null is the zero value, unknown fields are ignored")
	assert.Error(t, unmarshal([]byte(`{"id":5}`), &agent))
	_, err := marshal(&AgentCreateParams{Name: "\xff"})
	assert.Error(t, err, "invalid UTF-8 must not be replaced in silence")

	var message MessageCreate
	require.NoError(t, json.Unmarshal([]byte(`{"role":"user","content":"hi"}`), &message))
	assert.Equal(t, *UserText("hi"), message)
	require.NoError(t, json.Unmarshal([]byte(`{"role":"user","content":[{"type":"text","text":"hi"},{"type":"image","source":{"type":"url","url":"u"}}]}`), &message))
	assert.Equal(t, &ImageContent{Source: &URLImage{URL: "u"}}, message.Content.Parts[1])

	var request ApprovalRequestMessage
	require.NoError(t, unmarshal([]byte(`{"tool_calls":{"name":"a","arguments":"{}","tool_call_id":"1"}}`), &request))
	assert.Equal(t, []ToolCall{{Name: "a", Arguments: "{}", ToolCallID: "1"}}, request.ToolCalls)
}

// TestUnionsInPlace: what cannot be read keeps its JSON, wherever in it the reading stopped, and its neighbours are read.
func TestUnionsInPlace(t *testing.T) {
	const good = `{"message_type":"user_message","id":"good","content":"x"}`
	for odd, kind := range map[string]string{
		`{"id":"no kind"}`: "",
		`{ "content":{"text":[5,{"deep":[{}]}]} , "message_type":"user_message"}`:              "user_message",
		`{"message_type":"approval_request_message","tool_call":{"name":{"a":[1,2]}}, "b":[]}`: "approval_request_message",
		`{"message_type":"assistant_message","date":"yesterday","content":"x"}`:                "assistant_message",
		`{"message_type":"assistant_message","date":[],"content":"x"}`:                         "assistant_message",
		`{"message_type":"new","message_type":"newer"}`:                                        "new",
		`{"message_type":7}`:                "",
		`[{"message_type":"user_message"}]`: "",
		`"message_type"`:                    "",
		`17`:                                "",
	} {
		var list Messages
		require.NoError(t, unmarshal([]byte("[ "+good+" , "+odd+" , null, "+good+"]"), &list), odd)
		require.Len(t, list, 4)
		unknown, ok := list[1].(*UnknownMessage)
		require.True(t, ok, odd)
		assert.Equal(t, MessageType(kind), unknown.Kind, odd)
		assert.Equal(t, odd, string(unknown.Raw))
		assert.Nil(t, list[2])
		for _, m := range []Message{list[0], list[3]} {
			assert.Equal(t, MessageID("good"), m.(*UserMessage).ID, odd)
		}
		assert.Error(t, unmarshal([]byte("["+odd+",{"), &list))
	}
	for _, broken := range []string{`{"message_type":"user_message","content":}`, `{"message_type":"user_message","content":[}`, `{"message_type":"new",}`, `{`} {
		assert.Error(t, unmarshal([]byte("["+good+","+broken+"]"), new(Messages)), broken)
	}
}

// TestPlainTypes: what the engine reads without our functions holds nothing that needs one.
func TestPlainTypes(t *testing.T) {
	var check func(reflect.Type, string)
	check = func(typ reflect.Type, where string) {
		p := reflect.PointerTo(typ)
		for _, special := range []reflect.Type{reflect.TypeFor[isKind](), reflect.TypeFor[optional](), reflect.TypeFor[methodless](), reflect.TypeFor[json.Unmarshaler]()} {
			assert.False(t, p.Implements(special) && typ != reflect.TypeFor[json.RawMessage](), "%s is %s", where, special)
		}
		switch typ.Kind() {
		case reflect.Interface:
			assert.Equal(t, reflect.TypeFor[any](), typ, where)
		case reflect.Slice, reflect.Map, reflect.Pointer:
			check(typ.Elem(), where)
		case reflect.Struct:
			for f := range typ.Fields() {
				check(f.Type, where+"."+f.Name)
			}
		default:
		}
	}
	for _, typ := range []reflect.Type{reflect.TypeFor[[]Tool](), reflect.TypeFor[[]Block](), reflect.TypeFor[EmbeddingConfig]()} {
		check(typ, typ.String())
	}
}

func FuzzAgentState(f *testing.F) {
	for _, x := range apispec.Recorded() {
		if x.Status == 200 && (x.Operation == "agents.create" || x.Operation == "agents.retrieve") {
			f.Add([]byte(x.Body))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var agent AgentState
		if unmarshal(data, &agent) != nil {
			return
		}
		once, err := marshal(&agent)
		if err != nil {
			return // invalid UTF-8 is read, but not written
		}
		var again AgentState
		require.NoError(t, unmarshal(once, &again))
		twice, err := marshal(&again)
		require.NoError(t, err)
		assert.Equal(t, string(once), string(twice))
	})
}

func FuzzErrorBody(f *testing.F) {
	for _, x := range apispec.Recorded() {
		if x.Status >= 400 {
			f.Add([]byte(x.Body))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) { parseProblem(422, data) })
}

// agentList is a list of 50 agents of about 1 MB: the recorded answer of agents.create, 50 times.
func agentList(tb testing.TB) []byte {
	tb.Helper()
	x, ok := apispec.Recording(apispec.ServerV1, "agents.create")
	require.True(tb, ok)
	return []byte("[" + strings.Repeat(string(x.Body)+",", 49) + string(x.Body) + "]")
}

// twin is a type of the same shape without our methods, unions as raw JSON: what encoding/json alone would decode.
// raw says whether a json.RawMessage stays one or becomes any.
func twin(t reflect.Type, raw bool) reflect.Type {
	switch {
	case strings.HasPrefix(t.Name(), "Opt["):
		inner, _ := t.FieldByName("value")
		return reflect.PointerTo(twin(inner.Type, raw))
	case t == reflect.TypeFor[json.RawMessage]():
		if raw {
			return t
		}
		return reflect.TypeFor[any]()
	case t == reflect.TypeFor[time.Time](), t == reflect.TypeFor[any]():
		return t
	case t.Kind() == reflect.Interface:
		return reflect.TypeFor[json.RawMessage]()
	case t.Kind() == reflect.Pointer:
		return reflect.PointerTo(twin(t.Elem(), raw))
	case t.Kind() == reflect.Slice:
		return reflect.SliceOf(twin(t.Elem(), raw))
	case t.Kind() == reflect.Struct:
		var fields []reflect.StructField
		for f := range t.Fields() {
			fields = append(fields, reflect.StructField{Name: f.Name, Tag: f.Tag, Type: twin(f.Type, raw)})
		}
		return reflect.StructOf(fields)
	}
	return t
}

// median is sturdier than a mean where other programs run.
func median(times []float64) float64 {
	slices.Sort(times)
	return times[len(times)/2]
}

// BenchmarkDecodeAgents decodes the list with our engine and with others, taking turns, and reports the ratios of
// their median times. vs_std is ours against encoding/json into the same structs.
func BenchmarkDecodeAgents(b *testing.B) {
	data := agentList(b)
	same, mapped := twin(reflect.TypeFor[[]*AgentState](), true), twin(reflect.TypeFor[[]*AgentState](), false)
	runs := []struct {
		name string
		run  func() error
	}{
		{"ours", func() error { var v []*AgentState; return unmarshal(data, &v) }},
		{"std", func() error { return json.Unmarshal(data, reflect.New(same).Interface()) }},
		{"std_schemas_decoded", func() error { return json.Unmarshal(data, reflect.New(mapped).Interface()) }},
		{"gojson_plain", func() error { return gojson.Unmarshal(data, reflect.New(same).Interface()) }},
		{"std_through_our_methods", func() error { var v []*AgentState; return json.Unmarshal(data, &v) }},
	}
	times := make([][]float64, len(runs))
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		for i, r := range runs {
			start := time.Now()
			if err := r.run(); err != nil {
				b.Fatal(r.name, err)
			}
			times[i] = append(times[i], float64(time.Since(start)))
		}
	}
	for i, r := range runs[1:] {
		b.ReportMetric(median(times[0])/median(times[i+1]), "vs_"+r.name)
	}
	b.ReportMetric(median(times[0])/1e6, "ours_ms/op")
}

// TestResultsKeepNothingOfABody: the memory of an answer is used for the next one.
func TestResultsKeepNothingOfABody(t *testing.T) {
	t.Parallel()
	body := ""
	c := clientOf(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
	read := func(out any) any { require.NoError(t, c.Do(t.Context(), "GET", "/v1/x", nil, out)); return out }
	overwrite := func() {
		body = `{"id":"` + strings.Repeat("x", 500) + `"}`
		for range 10 {
			_, err := c.Agents.Retrieve(t.Context(), "agent-1", nil)
			require.NoError(t, err)
		}
	}
	const answer = `{"id":"agent-1","name":"a name","model_settings":{"provider_type":"new","deep":[1,2]},"metadata":{"a":["b"]},"tool_rules":[{"type":"new"}],` +
		`"tools":[{"id":"t","json_schema":{"a":[true]},"tags":["c"]}],"response_format":{"type":"text","extra":{"d":"e"}}}`
	for _, call := range []func() any{
		func() any {
			v, err := c.Agents.Retrieve(t.Context(), "agent-1", nil)
			require.NoError(t, err)
			return v
		},
		func() any { return read(new(json.RawMessage)) },
		func() any { return read(new([]byte)) },
		func() any { return read(new(any)) },
		func() any { body = "plain"; return read(new(string)) },
		func() any { body = `"quoted"`; return read(new(string)) },
		func() any { err := c.Do(t.Context(), "GET", "/v1/x", nil, new(int)); require.Error(t, err); return err },
		func() any {
			body = `{"id":"agent-1","tags":["a",{"wrong":"type"}]}`
			_, err := c.Agents.Retrieve(t.Context(), "agent-1", nil)
			require.Error(t, err)
			return []any{err.Error(), err}
		},
	} {
		body = answer
		got := call()
		before := fmt.Sprintf("%#v %v", reflect.Indirect(reflect.ValueOf(got)), got)
		data, err := json.Marshal(got)
		require.NoError(t, err)
		overwrite()
		after, err := json.Marshal(got)
		require.NoError(t, err)
		assert.Equal(t, string(data), string(after))
		assert.Equal(t, before, fmt.Sprintf("%#v %v", reflect.Indirect(reflect.ValueOf(got)), got))
	}
}
