package letta

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/h2non/gock.v1"

	"github.com/letta-go/letta/internal/apispec"
)

// helpers are the methods of ours that are no operation of the API.
var helpers = []string{
	"agents.list_all", "agents.update_all", "agents.usage", "agents.count", "agents.exists", "agents.ensure", "agents.find", "agents.add_tags", "agents.remove_tags", "agents.set_secrets", "agents.unset_secrets", "agents.delete_with_blocks", "agents.tools.attach_by_name",
	"agents.messages.list_all", "agents.messages.latest", "agents.messages.pending", "agents.messages.respond", "agents.messages.respond_stream", "agents.messages.deny_all", "agents.messages.run_tools", "agents.messages.respond_tools",
	"blocks.list_all", "blocks.agents.list_all", "tags.list_all", "messages.list_all",
	"conversations.list_all", "conversations.messages.list_all", "conversations.messages.latest",
	"conversations.messages.pending", "conversations.messages.respond", "conversations.messages.respond_stream", "conversations.messages.deny_all", "conversations.messages.run_tools", "conversations.messages.respond_tools",
	"access_tokens.list_all", "environments.list_all", "jobs.list_all", "providers.list_all", "tools.list_all", "tools.ensure", "tools.find",
	"agents.export_file_to", "agents.blocks.list_all", "agents.tools.list_all", "agents.folders.list_all", "agents.files.list_all",
	"agents.passages.list_all", "agents.schedule.list_all", "archives.list_all", "folders.list_all", "folders.find", "folders.ensure", "folders.files.list_all", "folders.files.wait", "folders.agents.list_all", "folders.passages.list_all",
	"identities.list_all", "identities.agents.list_all", "identities.blocks.list_all", "groups.list_all", "groups.messages.list_all",
	"runs.list_all", "runs.wait", "runs.messages.list_all", "runs.steps.list_all", "steps.list_all", "steps.messages.list_all",
}

// elsewhere are the methods that stand for an operation of another name, and why.
var elsewhere = map[string]string{
	"agents.messages.stream":        "agents.messages.create",        // with streaming: Letta deprecates the operation of that name
	"conversations.messages.stream": "conversations.messages.create", // with streaming, as for agents
	"conversations.messages.resume": "conversations.messages.stream", // which attaches to a turn that another call began
}

// beyond are fields that the pinned facts lack, and why.
var beyond = map[string][]string{
	"agents.create":          {"llm"},      // servers 0.6.5 to 0.6.12: recorded/seed, agents.create
	"agents.messages.create": {"agent_id"}, // of the conversation default: one type for agents and conversations
	"agents.messages.stream": {"agent_id"},
}

// unsent are the fields that a call cannot have together with the others, so that the filled params go without.
var unsent = map[string][]string{
	"agents.messages.create":        {"agent_id", "input", "background", "stream_tokens", "include_pings"}, // input is instead of messages; the others need a stream
	"agents.messages.stream":        {"agent_id", "input"},
	"agents.messages.create_async":  {"input"},
	"conversations.messages.create": {"input", "background", "stream_tokens", "include_pings"},
	"conversations.messages.stream": {"input"},
	"templates.create":              {"agent_file", "update_existing_tools"}, // an agent instead
}

// bodiless are the operations whose body is never sent: nobody says what it may hold.
var bodiless = []string{"access_tokens.delete"}

// inBody are query parameters that are never sent: the body has them too.
var inBody = map[string][]string{"agents.tools.update_approval": {"requires_approval"}}

// unrecorded are the operations that Letta 0.16.8 answers with an error whatever is sent, or does not have, or whose answer
// was not recorded, with an answer of our own.
var unrecorded = map[string]string{
	"messages.search": "[]", "runs.trace.retrieve": "[]", "steps.list": "[]",
	"agents.schedule.create":   `{"id":"s-1","next_scheduled_at":"1767322800000"}`,
	"agents.schedule.retrieve": `{"id":"s-1","agent_id":"agent-1","message":{"messages":[{"role":"user","content":"x"}]},"schedule":{"type":"recurring","cron_expression":"0 9 * * *"},"next_scheduled_time":null}`,
	"agents.schedule.list":     `{"has_next_page":false,"scheduled_messages":[{"id":"s-1","agent_id":"agent-1","message":{"messages":[]},"schedule":{"scheduled_at":1767322800000}}]}`,
	"agents.schedule.delete":   `{"success":true}`,
	"identities.update":        `{"id":"identity-1"}`, "identities.properties.upsert": "null", "identities.blocks.list": "[]",
	"groups.create": `{"id":"group-1"}`, "groups.retrieve": `{"id":"group-1"}`, "groups.update": `{"id":"group-1"}`, "groups.count": "0", "groups.delete": "null",
	"groups.messages.list": "[]", "groups.messages.reset": "null", "groups.blocks.attach": "null", "groups.blocks.detach": "null",
}

// operation is a method of a service, found by reflection: the operation of the API that it calls, if it calls one, and how to call it.
type operation struct {
	apispec.Operation
	known bool
	call  reflect.Value
}

func operations(c *Client) map[string]operation {
	found := map[string]operation{}
	health := reflect.ValueOf(c.Health)
	add := func(sdk string, method reflect.Value) {
		name := sdk
		if other, ok := elsewhere[sdk]; ok {
			name = other
		}
		spec, known := apispec.Lookup(name)
		found[sdk] = operation{spec, known, method}
	}
	add("health", health)
	var walk func(prefix string, service reflect.Value)
	walk = func(prefix string, service reflect.Value) {
		for i := range service.NumMethod() {
			add(prefix+"."+snake(service.Type().Method(i).Name), service.Method(i))
		}
		for i := range service.Elem().NumField() {
			if f := service.Elem().Type().Field(i); f.IsExported() {
				walk(prefix+"."+snake(f.Name), service.Elem().Field(i))
			}
		}
	}
	for i := range reflect.TypeOf(*c).NumField() {
		if f := reflect.TypeOf(*c).Field(i); f.IsExported() {
			walk(snake(f.Name), reflect.ValueOf(*c).Field(i))
		}
	}
	return found
}

func snake(name string) string {
	var b strings.Builder
	letters := []rune(name)
	for i, r := range letters {
		if unicode.IsUpper(r) && i > 0 && (unicode.IsLower(letters[i-1]) || i+1 < len(letters) && unicode.IsLower(letters[i+1])) {
			b.WriteByte('_') // MCPServers is mcp_servers
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

func testClient(t *testing.T) *Client {
	t.Helper()
	hc := &http.Client{}
	gock.InterceptClient(hc)
	c, err := NewClient(WithBaseURL("https://letta.test"), WithHTTPClient(hc), WithAPIKey("sk-test"), WithMaxRetries(0))
	require.NoError(t, err)
	return c
}

// notWrapped are the operations of the API that no method calls, and why.
var notWrapped = map[string]string{
	"agents.messages.stream": "deprecated: Stream sends agents.messages.create",
}

// TestEveryOperationHasAMethod fails when an operation of the API has no method, or a method is neither an operation nor
// listed in helpers.
func TestEveryOperationHasAMethod(t *testing.T) {
	methods := operations(testClient(t))
	called := map[string]bool{}
	for sdk, method := range methods {
		called[method.SDK] = true
		assert.True(t, method.known != slices.Contains(helpers, sdk), "%s is neither an operation of the API nor a helper", sdk)
	}
	official := 0
	for _, op := range apispec.Operations() {
		if !op.SelfHostedOnly {
			official++
		}
		assert.True(t, called[op.SDK] != (notWrapped[op.SDK] != ""), "%s has no method, or one and is in notWrapped", op.SDK)
	}
	assert.Equal(t, 129, official)
	for _, table := range [][]string{helpers, keys(elsewhere), keys(beyond), keys(unsent), keys(unrecorded), keys(inBody), bodiless} {
		for _, sdk := range table {
			assert.Contains(t, methods, sdk)
		}
	}
}

// TestWire calls every operation with all its params filled, and compares what is sent with the pinned facts:
// method, path with its slashes, names of the query and of the body. The recorded answer must decode.
func TestWire(t *testing.T) {
	defer gock.Off()
	c := testClient(t)
	for sdk, op := range operations(c) {
		if !op.known {
			continue
		}
		t.Run(sdk, func(t *testing.T) {
			defer gock.Off()
			var sent *http.Request
			var body []byte
			status, contentType, answer := answerOf(t, sdk, op)
			gock.New("https://letta.test").Reply(status).SetHeader("Content-Type", contentType).BodyString(answer)
			gock.Observe(func(r *http.Request, _ gock.Mock) {
				sent = r
				if r.Body != nil {
					body, _ = io.ReadAll(r.Body)
				}
			})
			defer gock.Observe(nil)

			args, ids := arguments(op.call.Type())
			for _, arg := range args {
				clearFields(arg, unsent[sdk])
			}
			out := op.call.Call(args)
			if err, failed := reflect.TypeAssert[error](out[len(out)-1]); failed {
				require.NoError(t, err)
			}
			if stream, ok := reflect.TypeAssert[*MessageStream](out[0]); ok {
				require.NoError(t, stream.Close())
			}
			require.NotNil(t, sent)
			assert.Equal(t, op.Method, sent.Method)
			assert.Equal(t, expandIDs(op.Path, ids), sent.URL.Path)
			assert.Equal(t, slices.DeleteFunc(sorted(op.Query), func(name string) bool { return slices.Contains(inBody[sdk], name) }), keys(sent.URL.Query()))
			assert.Equal(t, "Bearer sk-test", sent.Header.Get("Authorization"))
			assert.Equal(t, userAgent, sent.Header.Get("User-Agent"))
			assert.NotEmpty(t, sent.Header.Get(sdkVersionHeader))
			for _, name := range op.Headers {
				assert.NotEmpty(t, sent.Header.Get(name), name)
			}
			want := slices.DeleteFunc(sorted(append(slices.Clone(op.Body), beyond[sdk]...)), func(name string) bool { return slices.Contains(unsent[sdk], name) })
			switch {
			case op.BodyKind == "none" || slices.Contains(bodiless, sdk):
				assert.Empty(t, body)
			case op.BodyKind == "multipart":
				assert.Equal(t, want, formNames(t, sent, body))
			default:
				assert.Equal(t, "application/json", sent.Header.Get("Content-Type"))
				if op.Params == "" {
					assert.True(t, json.Valid(body)) // a list
					break
				}
				var object map[string]json.RawMessage
				require.NoError(t, json.Unmarshal(body, &object))
				assert.Equal(t, want, keys(object))
				if streaming, ok := object["streaming"]; ok {
					assert.Equal(t, fmt.Sprint(op.call.Type().Out(0) == reflect.TypeFor[*MessageStream]()), string(streaming))
				}
			}
		})
	}
}

// answerOf is a recorded answer of an operation, or an empty stream.
func answerOf(t *testing.T, sdk string, op operation) (status int, contentType, body string) {
	t.Helper()
	if op.call.Type().Out(0) == reflect.TypeFor[*MessageStream]() {
		return http.StatusOK, "text/event-stream", "data: [DONE]\n\n"
	}
	if body, ok := unrecorded[sdk]; ok {
		return http.StatusOK, "application/json", body
	}
	for _, name := range []string{sdk, sdk + ".json", sdk + ".asc.page1", "x." + sdk} {
		if x, ok := apispec.Recording(apispec.ServerV1, name); ok && x.Status < 300 && x.Text == "" {
			return x.Status, "application/json", string(x.Body)
		}
	}
	return http.StatusOK, "application/json", answerOfSpec(t, op.Operation) // Letta 0.16.8 lacks it
}

// clearFields empties fields of params, by their wire names.
func clearFields(params reflect.Value, names []string) {
	if params.Kind() != reflect.Pointer || params.Elem().Kind() != reflect.Struct {
		return
	}
	for i := range params.Elem().NumField() {
		tag := params.Elem().Type().Field(i).Tag
		if name, _, _ := strings.Cut(cmp.Or(tag.Get("json"), tag.Get("url")), ","); slices.Contains(names, name) {
			params.Elem().Field(i).SetZero()
		}
	}
}

// TestRefusedBeforeSending calls what must fail without a request.
func TestRefusedBeforeSending(t *testing.T) {
	c, err := NewClient(WithBaseURL("http://127.0.0.1:1"), WithMaxRetries(0)) // where nobody listens
	require.NoError(t, err)
	ctx := t.Context()
	hello := &AgentMessageCreateParams{Messages: []MessageInput{UserText("hello")}}
	for want, call := range map[string]func() error{
		"conversations.create: agent_id is empty":                                 func() error { _, err := c.Conversations.Create(ctx, &ConversationCreateParams{}); return err },
		"conversations.create: the params are nil":                                func() error { _, err := c.Conversations.Create(ctx, nil); return err },
		"conversations.update conv-1: the params are nil":                         func() error { _, err := c.Conversations.Update(ctx, "conv-1", nil); return err },
		"conversations.cancel: the conversation default needs agent_id":           func() error { _, err := c.Conversations.Cancel(ctx, "default", nil); return err },
		"conversations.fork: the conversation default needs agent_id":             func() error { _, err := c.Conversations.Fork(ctx, "default", nil); return err },
		"conversations.recompile: the conversation default needs agent_id":        func() error { _, err := c.Conversations.Recompile(ctx, "default", nil); return err },
		"conversations.messages.create: the conversation default needs agent_id":  func() error { _, err := c.Conversations.Messages.Create(ctx, "default", hello); return err },
		"conversations.messages.create: the params are nil":                       func() error { _, err := c.Conversations.Messages.Create(ctx, "conv-1", nil); return err },
		"conversations.messages.stream: the conversation default needs agent_id":  func() error { _, err := c.Conversations.Messages.Stream(ctx, "default", hello); return err },
		"conversations.messages.resume: the conversation default needs agent_id":  func() error { _, err := c.Conversations.Messages.Resume(ctx, "default", nil); return err },
		"conversations.messages.list: the conversation default needs agent_id":    func() error { _, err := c.Conversations.Messages.Latest(ctx, "default", 3); return err },
		"conversations.messages.compact: the conversation default needs agent_id": func() error { _, err := c.Conversations.Messages.Compact(ctx, "default", nil); return err },
		"conversations.messages.list conv-1: limit is -1": func() error {
			_, err := c.Conversations.Messages.List(ctx, "conv-1", &ConversationMessageListParams{Limit: -1})
			return err
		},
		"messages.search: the params are nil":                     func() error { _, err := c.Messages.Search(ctx, nil); return err },
		"steps.feedback.create step-1: the params are nil":        func() error { _, err := c.Steps.Feedback.Create(ctx, "step-1", nil); return err },
		"steps.list: invalid tags: tags[0] is blank":              func() error { _, err := c.Steps.List(ctx, &StepListParams{Tags: []string{" "}}); return err },
		"runs.messages.stream: run_id is empty":                   func() error { _, err := c.Runs.Messages.Stream(ctx, "", nil); return err },
		"conversations.messages.stream: conversation_id is empty": func() error { _, err := c.Conversations.Messages.Resume(ctx, "", nil); return err },
	} {
		err := call()
		require.EqualError(t, err, "letta: "+want)
		require.ErrorIs(t, err, ErrInvalidArgument)
	}
}

// TestTraceOfNothing: 0.16.8 says null instead of 404.
func TestTraceOfNothing(t *testing.T) {
	defer gock.Off()
	x, _ := apispec.Recording(apispec.ServerV1, "steps.trace.retrieve.unknown")
	gock.New("https://letta.test").Reply(x.Status).BodyString("null")
	trace, err := testClient(t).Steps.Trace.Retrieve(t.Context(), "step-1")
	assert.Nil(t, trace)
	assert.ErrorIs(t, err, ErrNotFound)
}

// TestQueryEncoding pins the forms a list of values and a filter take.
func TestQueryEncoding(t *testing.T) {
	values, err := queryValues(&AgentListParams{Tags: []string{"a", "b,c"}, MatchAllTags: true, Include: []AgentInclude{AgentIncludeTags, AgentIncludeTools}, Limit: 3, Order: OrderAsc})
	require.NoError(t, err)
	assert.Equal(t, "include=agent.tags&include=agent.tools&limit=3&match_all_tags=true&order=asc&tags=a&tags=b%2Cc", values.Encode())
	values, err = queryValues(&BlockListParams{ConnectedToAgentsCountGt: Some(0)})
	require.NoError(t, err)
	assert.Equal(t, "connected_to_agents_count_gt=0", values.Encode())
	values, err = queryValues(&StepListParams{HasFeedback: Some(false), StartDate: time.Date(2026, 1, 2, 3, 4, 5, 678900000, time.UTC)})
	require.NoError(t, err)
	assert.Equal(t, "has_feedback=false&start_date=2026-01-02T03%3A04%3A05.6789Z", values.Encode())
	values, err = queryValues((*AgentListParams)(nil))
	require.NoError(t, err)
	assert.Empty(t, values)
}

// TestUnionsAreComplete holds the variants of every sealed interface to the documented ones. TestTypes looks into them.
func TestUnionsAreComplete(t *testing.T) {
	checkUnion(t, toolRules, "AgentState.ToolRule")
	checkUnion(t, modelSettings, "AgentState.ModelSettings")
	formats := apispec.Schemas()["AgentState.ResponseFormat"]
	assert.Equal(t, sorted([]string{string(ResponseFormatText), string(ResponseFormatJSONSchema), string(ResponseFormatJSONObject)}), keys(formats.Mapping))
	for _, variant := range formats.Variants {
		missing := apispec.MissingFields(reflect.TypeFor[ResponseFormat](), variant)
		assert.Empty(t, missing, "ResponseFormat lacks fields of %s", variant)
	}
	checkUnion(t, contentParts, "agents.MessageCreateParams.InputUnionMember1") // those of messages, and one more
	checkUnion(t, imageSources, "agents.ImageContentParam.Source")
	checkUnion(t, approvals, "agents.ApprovalCreateParam.Approval")
	checkUnion(t, messageInputs, "agents.MessageCreateParams.Message")
	checkUnion(t, messages, "agents.Message", "ping")
	checkUnion(t, mcpServers, "McpServerCreateResponse")
	checkUnion(t, mcpServerConfigs, "McpServerCreateParams.Config")
	assert.Empty(t, apispec.MissingFields(reflect.TypeFor[Ping](), "agents.LettaStreamingResponse.LettaPing"))
}

func checkUnion[T any](t *testing.T, u *union[T], schema string, more ...string) {
	t.Helper()
	spec, ok := apispec.Schemas()[schema]
	require.True(t, ok, schema)
	assert.Equal(t, spec.Discriminator, u.field)
	assert.Equal(t, sorted(append(keys(spec.Mapping), more...)), keys(u.variants), schema)
	for kind, variant := range spec.Mapping {
		if goType, ok := u.variants[kind]; ok {
			assert.Empty(t, apispec.MissingFields(goType, variant), "%s lacks fields of %s", goType, variant)
			assert.Empty(t, apispec.ExtraFields(goType, variant), "%s has fields that %s lacks", goType, variant)
			assert.Equal(t, kind, kinds[goType])
		}
	}
}

// arguments fills every parameter of a method, and returns the ids it used.
func arguments(method reflect.Type) (args []reflect.Value, ids []string) {
	args = append(args, reflect.ValueOf(context.Background()))
	for i := 1; i < method.NumIn(); i++ {
		in := method.In(i)
		switch {
		case method.IsVariadic() && i == method.NumIn()-1:
		case in.Kind() == reflect.String:
			id := "id-" + string(rune('a'+len(ids)))
			ids = append(ids, id)
			args = append(args, reflect.ValueOf(id).Convert(in))
		default:
			args = append(args, filled(in))
		}
	}
	return args, ids
}

var exampleVariants = map[reflect.Type]any{
	reflect.TypeFor[ModelSettings]():      &OpenAIModelSettings{MaxOutputTokens: 5},
	reflect.TypeFor[ToolRule]():           &TerminalToolRule{ToolName: "x"},
	reflect.TypeFor[ContentPart]():        &TextContent{Text: "x"},
	reflect.TypeFor[any]():                "x",
	reflect.TypeFor[MessageInput]():       UserText("x"),
	reflect.TypeFor[Message]():            &AssistantMessage{},
	reflect.TypeFor[Approval]():           &ApprovalReturn{},
	reflect.TypeFor[MCPServerConfig]():    &StdioMCPServerConfig{},
	reflect.TypeFor[EnvironmentMessage](): &EnvironmentUserMessage{},
	reflect.TypeFor[io.Reader]():          strings.NewReader("{}"),
	reflect.TypeFor[io.Writer]():          io.Discard,
}

// filled is a value of a type with no field left at its zero value.
func filled(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	if strings.HasPrefix(t.Name(), "Opt[") {
		inner, _ := t.FieldByName("value")
		data, err := marshal(filled(inner.Type).Interface())
		if err == nil {
			err = v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(data)
		}
		if err != nil {
			panic(err)
		}
		return v
	}
	switch {
	case t == reflect.TypeFor[io.Reader]():
		v.Set(reflect.ValueOf(strings.NewReader("{}")))
	case t == reflect.TypeFor[io.Writer]():
		v.Set(reflect.ValueOf(io.Discard))
	case t == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)))
	case t == reflect.TypeFor[json.RawMessage]():
		v.SetBytes([]byte(`{}`))
	case t.Kind() == reflect.String:
		v.SetString("x")
	case t.Kind() == reflect.Int:
		v.SetInt(7)
	case t.Kind() == reflect.Float64:
		v.SetFloat(1.5)
	case t.Kind() == reflect.Bool:
		v.SetBool(true)
	case t.Kind() == reflect.Pointer:
		v.Set(filled(t.Elem()).Addr())
	case t.Kind() == reflect.Slice:
		v.Set(reflect.Append(v, filled(t.Elem())))
	case t.Kind() == reflect.Map:
		v.Set(reflect.MakeMap(t))
		v.SetMapIndex(filled(t.Key()), filled(t.Elem()))
	case t.Kind() == reflect.Interface:
		v.Set(reflect.ValueOf(exampleVariants[t]))
	case t.Kind() == reflect.Struct:
		for i := range t.NumField() {
			if t.Field(i).IsExported() {
				v.Field(i).Set(filled(t.Field(i).Type))
			}
		}
	}
	return v
}

func expandIDs(path string, ids []string) string {
	for _, id := range ids {
		start, end := strings.IndexByte(path, '{'), strings.IndexByte(path, '}')
		path = path[:start] + id + path[end+1:]
	}
	return path
}

func keys[V any, M ~map[string]V](m M) []string {
	names := []string{}
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func sorted(list []string) []string {
	list = append([]string{}, list...)
	slices.Sort(list)
	return list
}

func formNames(t *testing.T, r *http.Request, body []byte) []string {
	t.Helper()
	_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	require.NoError(t, err)
	reader := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	names := []string{}
	for {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			slices.Sort(names)
			return names
		}
		require.NoError(t, err)
		names = append(names, part.FormName())
	}
}
