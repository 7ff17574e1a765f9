package apispec

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestOperations(t *testing.T) {
	t.Parallel()
	seen, official := map[string]bool{}, 0
	for _, o := range Operations() {
		if !o.SelfHostedOnly {
			official++
		}
		if seen[o.SDK] {
			t.Errorf("%s is there twice", o.SDK)
		}
		seen[o.SDK] = true
		if o.Method == "" || !strings.HasPrefix(o.Path, "/v1/") || o.BodyKind == "" || o.ResponseKind == "" || o.Status == 0 {
			t.Errorf("%s is incomplete: %+v", o.SDK, o)
		}
		checkType(t, o.SDK, o.Response)
		checkType(t, o.SDK, o.StreamEvent)
		if o.Params == "" {
			if len(o.Query)+len(o.Body)+len(o.Headers) > 0 {
				t.Errorf("%s has parameters and no schema for them", o.SDK)
			}
			continue
		}
		for in, names := range map[string][]string{"query": o.Query, "body": o.Body, "header": o.Headers} {
			// A struct without fields lacks them all.
			got := MissingFields(reflect.TypeFor[struct{}](), o.Params, in)
			if want := slices.Sorted(slices.Values(names)); !slices.Equal(got, want) {
				t.Errorf("%s %s: schema has %q, operation %q", o.SDK, in, got, want)
			}
		}
	}
	if official != 129 {
		t.Errorf("%d operations of the official client, want 129", official)
	}
}

func TestLookup(t *testing.T) {
	t.Parallel()
	o, ok := Lookup("agents.messages.create")
	if !ok || o.Method != "POST" || o.Path != "/v1/agents/{agent_id}/messages" || o.ResponseKind != "json_or_sse" {
		t.Errorf("got %+v", o)
	}
	if _, ok := Lookup("agents.nope"); ok {
		t.Error("found agents.nope")
	}
}

func TestSchemas(t *testing.T) {
	t.Parallel()
	if n := len(Schemas()); n != 688 {
		t.Errorf("%d schemas, want 688", n)
	}
	for name, s := range Schemas() {
		if Schemas()[s.Name].Name != s.Name {
			t.Errorf("%s: its definition %q is missing", name, s.Name)
		}
		for _, f := range s.Fields {
			checkType(t, name+"."+f.Name, f.Type)
			if f.Default != nil && !json.Valid(f.Default) {
				t.Errorf("%s.%s: default %s", name, f.Name, f.Default)
			}
		}
		for _, variant := range s.Variants {
			checkType(t, name, variant)
		}
		for value, variant := range s.Mapping {
			if !slices.Contains(s.Variants, variant) {
				t.Errorf("%s: %s maps to %s, which is not a variant", name, value, variant)
			}
		}
		checkType(t, name, s.Type)
		checkType(t, name, s.Open)
	}
}

var typeName = regexp.MustCompile(`[\w.]+`)

// checkType reports names in a type that are neither built in nor schemas.
func checkType(t *testing.T, where, typ string) {
	t.Helper()
	for _, name := range typeName.FindAllString(typ, -1) {
		if _, ok := schemas()[name]; !ok && !slices.Contains(strings.Fields(
			"string integer number boolean datetime date file any null array map union nullable"), name) {
			t.Errorf("%s: unknown type %q", where, name)
		}
	}
}

func TestParseField(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]Field{
		"id string!":              {Name: "id", Type: "string", Required: true},
		"tags array<string>|null": {Name: "tags", Type: "array<string>", Nullable: true},
		`order string|null! in=query enum=asc,desc deprecated default="a b"`: {
			Name: "order", Type: "string", In: "query", Required: true, Nullable: true, Deprecated: true,
			Enum: []string{"asc", "desc"}, Default: json.RawMessage(`"a b"`),
		},
	} {
		if got := parseField(s); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v", s, got)
		}
	}
}

func TestRecorded(t *testing.T) {
	t.Parallel()
	count := map[string]int{}
	for _, x := range Recorded() {
		count[x.Server]++
		if _, ok := Lookup(x.Operation); !ok && x.Operation != "" {
			t.Errorf("%s: unknown operation %q", x.Name, x.Operation)
		}
		if x.Name == "" || x.Method == "" || !strings.HasPrefix(x.Path, "/") {
			t.Errorf("%s is incomplete", x.Name)
		}
		if x.Body != nil && x.Text != "" {
			t.Errorf("%s has a body and a text", x.Name)
		}
		for line := range strings.Lines(x.Text) {
			data, ok := strings.CutPrefix(strings.TrimSpace(line), "data: ")
			if ok && data != "[DONE]" && !json.Valid([]byte(data)) {
				t.Errorf("%s: not JSON: %s", x.Name, data)
			}
		}
	}
	if count[ServerV1] != 769 || count[ServerSeed] != 17 {
		t.Errorf("got %v exchanges, want 769 and 17", count)
	}
}

func TestRecording(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		server, name string
		status       int
		body         string // how it starts; "" for none
	}{
		{ServerV1, "agents.tools.attach", 200, "null"},
		{ServerV1, "archives.delete", 204, ""},
		{ServerV1, "agents.list.redirect_307", 307, ""},
		{ServerV1, "runs.messages.stream.past_end", 0, ""},
		{ServerSeed, "agents.list.by_tag", 200, "[{"},
	} {
		x, ok := Recording(test.server, test.name)
		if !ok || x.Status != test.status || !strings.HasPrefix(string(x.Body), test.body) || (x.Body == nil) != (test.body == "") {
			t.Errorf("%s: %v %d %.40s", test.name, ok, x.Status, x.Body)
		}
	}
	if _, ok := Recording(ServerSeed, "nope"); ok {
		t.Error("found nope")
	}
}

func TestNoForeignText(t *testing.T) {
	t.Parallel()
	var bad []string
	for _, dir := range []string{"work", "root", "home", "Users"} {
		bad = append(bad, "/"+dir+"/", "/"+dir+`"`, "/"+dir+" ")
	}
	bad = append(bad, " ~/", `"~/`, "pypi"+".org", "pythonhosted", "npmjs", "crates"+".io", "proxy"+".golang", "sum"+".golang", "pkg.go"+".dev")
	for name, data := range map[string][]byte{
		"operations.json": operationsJSON, "schemas.json": schemasJSON, "v1.jsonl": recordedV1, "seed.jsonl": recordedSeed,
	} {
		for _, text := range bad {
			if bytes.Contains(data, []byte(text)) {
				t.Errorf("%s holds %q", name, text)
			}
		}
	}
	// The beginnings of the default prompts.
	for _, x := range Recorded() {
		for _, prose := range []string{"You are Letta", "<base_instructions>"} {
			if strings.Contains(string(x.Body)+x.Text, prose) {
				t.Errorf("%s holds %q", x.Name, prose)
			}
		}
	}
}

type base struct {
	Name string `json:"name"`
	Tags []string
}

func TestFields(t *testing.T) {
	t.Parallel()
	type health struct {
		Version string `json:"version,omitempty"`
		Status  string `json:"status"`
	}
	type list struct {
		Limit int    `url:"limit,omitempty" json:"-"`
		Order string `json:"order"` // in the wrong place
		After string `url:"nope"`
	}
	type approval struct {
		Approval bool `json:"requires_approval"`
	}
	type upload struct {
		File io.Reader `form:"file"`
	}
	type embedding struct {
		*base
		io.Reader `json:"-"`
		private   string
	}
	_ = embedding{}.private
	for _, test := range []struct {
		typ            reflect.Type
		schema         string
		in             []string
		missing, extra []string // missing must be among the missing; nil for none at all
	}{
		{reflect.TypeFor[*health](), "HealthResponse", nil, nil, nil},
		{reflect.TypeFor[struct{}](), "HealthResponse", nil, []string{"status", "version"}, nil},
		{reflect.TypeFor[list](), "agents.BlockListParams", nil, []string{"after", "before", "order", "order_by"}, []string{"nope", "order"}},
		{reflect.TypeFor[list](), "agents.BlockListParams", []string{"query"}, []string{"after", "before", "order", "order_by"}, []string{"nope"}},
		{reflect.TypeFor[approval](), "agents.ToolUpdateApprovalParams", nil, []string{"requires_approval"}, nil},
		{reflect.TypeFor[approval](), "agents.ToolUpdateApprovalParams", []string{"body"}, nil, nil},
		{reflect.TypeFor[upload](), "folders.FileUploadParams", []string{"body"}, nil, nil},
		{reflect.TypeFor[embedding](), "HealthResponse", nil, []string{"status", "version"}, []string{"Tags", "name"}},
		{reflect.TypeFor[upload](), "TemplateCreateParams", []string{"body"}, []string{"agent_file", "agent_id", "name", "type", "update_existing_tools"}, []string{"file"}},
	} {
		if got := MissingFields(test.typ, test.schema, test.in...); !slices.Equal(got, test.missing) {
			t.Errorf("%v, %s: missing %q, want %q", test.typ, test.schema, got, test.missing)
		}
		if got := ExtraFields(test.typ, test.schema, test.in...); !slices.Equal(got, test.extra) {
			t.Errorf("%v, %s: extra %q, want %q", test.typ, test.schema, got, test.extra)
		}
	}
	for _, schema := range []string{"Nope", "AgentType"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", schema)
				}
			}()
			MissingFields(reflect.TypeFor[health](), schema)
		}()
	}
}

func TestLost(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		before, after string
		ignore        []string
		want          []Loss
	}{
		{`{"a":1,"b":[true,"x"]}`, `{"b":[true,"x"],"a":1.0}`, nil, nil},
		{`{"a":null}`, `{}`, nil, nil},
		{`{}`, `{"a":null}`, nil, nil},
		{`{"a":"x","b":{"c":2}}`, `{}`, nil, []Loss{{"$.a", Gone}, {"$.b", Gone}}},
		{`{"a":"","b":false,"c":0,"d":[],"e":{},"f":0.0}`, `{"d":null}`, nil, []Loss{
			{"$.a", Zero}, {"$.b", Zero}, {"$.c", Zero}, {"$.d", Zero}, {"$.e", Zero}, {"$.f", Zero},
		}},
		{`{"a":null}`, `{"a":"","b":0,"c":"x"}`, nil, []Loss{{"$.a", Zero}, {"$.b", Zero}, {"$.c", Added}}},
		{`{"a":[{"b":1},{"b":2}]}`, `{"a":[{"b":1},{"b":3}]}`, nil, []Loss{{"$.a[1].b", Changed}}},
		{`[1,null]`, `[1]`, nil, []Loss{{"$[1]", Gone}}},
		{`[]`, `[0]`, nil, []Loss{{"$[0]", Added}}},
		{`{"a":"1"}`, `{"a":1}`, nil, []Loss{{"$.a", Changed}}},
		{`{"a":[]}`, `{"a":{}}`, nil, []Loss{{"$.a", Changed}}},
		{`12345678901234567891`, `12345678901234567890`, nil, []Loss{{"$", Changed}}},
		{`[0.1,1e3,-0]`, `[1e-1,1000,0]`, nil, nil},
		{
			`["2026-11-22T08:07:28.979341","2026-11-22T08:07:28Z","2026-11-22T08:07:28+00:00"]`,
			`["2026-11-22T08:07:28.979341Z","2026-11-22T08:07:28.000Z","2026-11-22T09:07:28+01:00"]`, nil, nil,
		},
		{`"2026-11-22T08:07:28Z"`, `"2026-11-22T08:07:28.5Z"`, nil, []Loss{{"$", Changed}}},
		{
			`{"organization_id":"o","tools":[{"tags":[1],"x":1}],"tags":["a"]}`, `{"tools":[{}],"tags":[]}`,
			[]string{"organization_id", "tools[].tags"},
			[]Loss{{"$.tags[0]", Gone}, {"$.tools[0].x", Gone}},
		},
		{`{"ids":1}`, `{}`, []string{"s"}, []Loss{{"$.ids", Gone}}},
		{`{`, `{}`, nil, []Loss{{"$", Changed}}},
		{``, ``, nil, nil},
	} {
		if got := Lost([]byte(test.before), []byte(test.after), test.ignore...); !slices.Equal(got, test.want) {
			t.Errorf("%s -> %s: got %v, want %v", test.before, test.after, got, test.want)
		}
	}
}

// Every recorded body survives a decode and an encode into plain values.
func TestLostRecorded(t *testing.T) {
	t.Parallel()
	for _, x := range Recorded() {
		if x.Body == nil {
			continue
		}
		value, err := decode(x.Body)
		if err != nil {
			t.Fatalf("%s: %v", x.Name, err)
		}
		again, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		if losses := Lost(x.Body, again); losses != nil {
			t.Errorf("%s: %v", x.Name, losses)
		}
	}
}
