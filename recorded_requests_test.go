package letta

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta/internal/apispec"
)

// oddRequests are the recorded requests that our params cannot be, or lose something of, and why.
var oddRequests = map[string]string{
	"agents.create.error_bad_agent_type_422":    "a value that there is not, to see the 422",
	"agents.create.error_bad_tags_422":          "a string for a list, to see the 422",
	"agents.create.error_bad_tool_rule_422":     "a field that no tool rule has, to see the 422",
	"agents.create.error_body_is_array_422":     "a list for an object, to see the 422",
	"agents.create.error_content_type_422":      "text for JSON, to see the 422",
	"agents.create.error_malformed_json_422":    "text for JSON, to see the 422",
	"agents.create.error_model_object_422":      "an object for a string, to see the 422",
	"agents.create.unknown_field":               "a field that there is not, to see that it is ignored",
	"agents.import_file.error_no_file_422":      "JSON for a form, to see the 422",
	"agents.messages.create.error_bad_role_422": "a role that there is not, to see the 422",
	"agents.update.error_bad_tags_422":          "a string for a list, to see the 422",
	"agents.update.unknown_field":               "a field that there is not, to see that it is ignored",
	"blocks.create.error_value_number_422":      "a number for a string, to see the 422",
	"conversations.create.isolated":             "isolated_block_labels, which Letta 0.16.8 has and the official client does not: WithBodyField",
	"folders.files.upload.error_no_file_422":    "JSON for a form, to see the 422",
	"mcp_servers.create.error_bad_type_422":     "a variant that there is not, to see the 422",
	"steps.feedback.create.error_bad_422":       "a value that there is not, to see the 422",
	"tools.create.error_unknown_field":          "a field that there is not, to see the 422",
	"tools.search.error_bad_mode_422":           "a value that there is not, to see the 422",
	"tools.update.unknown_field":                "a field that there is not, to see that it is ignored",
}

// notParams are fields of a body that a method or an option sets, not the params.
var notParams = []string{
	"streaming",     // Create or Stream
	"include_pings", // WithPings
	// A message without a type is one of the type message. We write the type.
	"initial_message_sequence[].type",
}

// TestRecordedRequests decodes the body of every recorded request into the params of its method, and encodes it again: no
// field may be lost, every value of an enum has its constant, and every variant its type.
func TestRecordedRequests(t *testing.T) {
	params := map[string]reflect.Type{} // by operation
	for _, method := range operations(testClient(t)) {
		for in := range method.call.Type().Ins() {
			if in.Kind() == reflect.Pointer && strings.HasSuffix(in.Elem().Name(), "Params") || in.Kind() == reflect.Slice && in != reflect.TypeFor[[]RequestOption]() {
				params[method.SDK] = in
			}
		}
	}
	constants := stringConstants(t)
	odd, decoded := map[string]bool{}, 0
	for _, x := range apispec.Recorded() {
		typ := params[x.Operation]
		if x.Operation == "" || typ == nil || len(x.RequestBody) == 0 || strings.HasPrefix(string(x.RequestBody), `{"multipart":`) {
			continue // a form: TestWire compares its parts
		}
		decoded++
		wrong := wrongInRequest(x, typ, constants)
		if oddRequests[x.Name] != "" {
			odd[x.Name] = odd[x.Name] || len(wrong) > 0
			continue
		}
		assert.Empty(t, wrong, "%s %s: %s", x.Server, x.Name, x.RequestBody)
	}
	assert.Greater(t, decoded, 300)
	for name := range oddRequests {
		assert.True(t, odd[name], "%s is not odd", name)
	}
}

func wrongInRequest(x apispec.Exchange, typ reflect.Type, constants map[string][]string) (wrong []string) {
	v := reflect.New(typ)
	if err := unmarshal(x.RequestBody, v.Interface()); err != nil {
		return []string{err.Error()}
	}
	after, err := marshal(v.Interface())
	if err != nil {
		return []string{err.Error()}
	}
	for _, loss := range apispec.Lost(x.RequestBody, after, notParams...) {
		if loss.Kind != apispec.Zero {
			wrong = append(wrong, loss.Kind+": "+loss.Path)
		}
	}
	return append(wrong, unknownValues(v, constants)...)
}

// TestRecordedValues: every value of an enum in a recorded answer has its constant, and every variant its type.
func TestRecordedValues(t *testing.T) {
	methods := operations(testClient(t))
	constants := stringConstants(t)
	checked := 0
	for _, x := range apispec.Recorded() {
		method, wrapped := methods[x.Operation]
		if !wrapped || x.Status < 200 || x.Status > 299 || x.Text != "" || method.call.Type().NumOut() < 2 {
			continue
		}
		v := reflect.New(method.call.Type().Out(0))
		if _, bytes := reflect.TypeAssert[*[]byte](v); bytes || method.call.Type().Out(0) == reflect.TypeFor[*MessageStream]() {
			continue
		}
		require.NoError(t, unmarshal(x.Body, v.Interface()), x.Name)
		checked++
		assert.Empty(t, unknownValues(v, constants), "%s %s", x.Server, x.Name)
	}
	assert.Greater(t, checked, 200)
}

// unknownValues walks over a value and names what is no constant of its type, and what is of a variant that is not known.
func unknownValues(v reflect.Value, constants map[string][]string) (unknown []string) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			return unknownValues(v.Elem(), constants)
		}
	case reflect.Slice:
		for i := range v.Len() {
			unknown = append(unknown, unknownValues(v.Index(i), constants)...)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			unknown = append(unknown, unknownValues(v.MapIndex(key), constants)...)
		}
	case reflect.Struct:
		if strings.HasPrefix(v.Type().Name(), "Unknown") {
			if strings.HasSuffix(v.Type().Name(), "MessageInput") && plainMessage(v) {
				return nil
			}
			return []string{fmt.Sprintf("%s %v", v.Type().Name(), v.Field(0))}
		}
		for _, field := range v.Fields() {
			unknown = append(unknown, unknownValues(field, constants)...)
		}
	case reflect.String:
		if known := constants[v.Type().Name()]; known != nil && !strings.HasSuffix(v.Type().Name(), "ID") && v.String() != "" && !slices.Contains(known, v.String()) {
			return []string{v.Type().Name() + " " + v.String()}
		}
	}
	return unknown
}

// plainMessage reports whether an unknown message of a request is one without a type, whose JSON is kept: a server takes it
// for the type message.
func plainMessage(v reflect.Value) bool {
	var m struct{ Type, Role string }
	raw := v.FieldByName("Raw").Bytes()
	return json.Unmarshal(raw, &m) == nil && m.Type == "" && slices.Contains([]string{"user", "system", "assistant"}, m.Role)
}
