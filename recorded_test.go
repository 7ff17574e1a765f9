package letta

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta/internal/apispec"
)

// undocumented are the fields that servers send and the API's documents lack (recorded/README of the facts).
var undocumented = map[string][]string{
	apispec.ServerV1: {"organization_id", "isolated_block_ids", "user_id"},
	// 0.6.12 has names of its own.
	apispec.ServerSeed: {"organization_id", "metadata_", "tool_exec_environment_variables[].metadata_", "created_at_", "embedding_model_", "module", "source_type", "jinja"},
}

// messageList is a list of messages that encoding/json can decode, as the structs that hold one can.
type messageList []Message

func (v *messageList) UnmarshalJSON(data []byte) error { return unmarshal(data, (*[]Message)(v)) }

// TestRecordedAnswers decodes every recorded 2xx answer of the operations there are, with our engine and with the
// standard library, and encodes it again: no known field may be lost.
func TestRecordedAnswers(t *testing.T) {
	methods := operations(testClient(t))
	decoded := 0
	for _, x := range apispec.Recorded() {
		method, wrapped := methods[x.Operation]
		if !wrapped || x.Status < 200 || x.Status > 299 || x.Text != "" || method.call.Type().NumOut() < 2 {
			continue // x.Text: TestRecordedStreams
		}
		result := method.call.Type().Out(0)
		if result.Kind() == reflect.String || result == reflect.TypeFor[[]byte]() {
			continue // text: ExportFile, Recompile
		}
		if result == reflect.TypeFor[[]Message]() {
			result = reflect.TypeFor[messageList]()
		}
		decoded++
		t.Run(x.Server+"/"+x.Name, func(t *testing.T) {
			ours := reflect.New(result)
			require.NoError(t, unmarshal(x.Body, ours.Interface()))
			standard := reflect.New(result)
			require.NoError(t, json.Unmarshal(x.Body, standard.Interface()), "encoding/json")
			assert.Equal(t, ours.Interface(), standard.Interface())
			for _, engine := range []func(any) ([]byte, error){marshal, json.Marshal} {
				after, err := engine(ours.Interface())
				require.NoError(t, err)
				for _, loss := range apispec.Lost(x.Body, after, undocumented[x.Server]...) {
					assert.True(t, loss.Kind == apispec.Zero, "%s: %s", loss.Kind, loss.Path)
				}
			}
		})
	}
	assert.Greater(t, decoded, 200)
}

// TestRecordedStreams reads every recorded event stream from a server that sends it again. How it ends is in the
// text: by an error event, a stop reason, or not at all.
func TestRecordedStreams(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x, _ := apispec.Recording(apispec.ServerV1, r.URL.Path[1:])
		w.Header().Set("Content-Type", x.Header["content-type"])
		_, _ = io.WriteString(w, x.Text)
	}))
	defer server.Close()
	c, err := NewClient(WithBaseURL(server.URL))
	require.NoError(t, err)
	last := func(field, text string) string {
		found := regexp.MustCompile(`"`+field+`": ?"(\w+)"`).FindAllStringSubmatch(text, -1)
		if found == nil {
			return ""
		}
		return found[len(found)-1][1]
	}
	streams := 0
	for _, x := range apispec.Recorded() {
		if !strings.HasPrefix(x.Header["content-type"], "text/event-stream") {
			continue
		}
		streams++
		t.Run(x.Name, func(t *testing.T) {
			stream, err := (&MessageStream{core: c.core}).start(t.Context(), call{method: http.MethodPost, path: "/" + x.Name})
			require.NoError(t, err)
			for m, err := range stream.Events() {
				if err == nil {
					assert.Contains(t, messages.variants, m.messageType())
					assert.Equal(t, stream.RunID(), m.Common().RunID)
				}
			}
			_, err = stream.Collect() // read already: how it ended
			var failure *StreamError
			turn, reason, kind := stream.Result(), last("stop_reason", x.Text), last("error_type", x.Text)
			switch {
			case kind != "":
				require.ErrorAs(t, err, &failure)
				assert.Equal(t, kind, failure.Type)
				assert.NotEmpty(t, failure.Message)
				assert.NotEmpty(t, failure.RunID)
				assert.False(t, turn.Complete())
				assert.Equal(t, strings.Contains(x.Name, "provider_"), errors.Is(err, ErrProvider))
				assert.Equal(t, strings.Contains(x.Name, "pending_approval"), errors.Is(err, ErrPendingApproval))
			case reason == "":
				assert.ErrorIs(t, err, ErrStreamTruncated)
				assert.Contains(t, x.Name, "_cut")
			default:
				require.NoError(t, err)
				assert.True(t, turn.Complete())
				assert.Equal(t, strings.Contains(x.Text, "usage_statistics"), turn.Usage.TotalTokens > 0)
				assert.Equal(t, reason == "requires_approval", len(turn.PendingCalls()) > 0)
			}
			assert.Equal(t, reason, string(turn.StopReason.StopReason))
			assert.Len(t, turn.RunIDs, 1)
			for _, m := range turn.Messages {
				assert.Contains(t, messages.variants, m.messageType())
			}
			for _, call := range turn.ToolCalls() {
				assert.True(t, json.Valid([]byte(call.Arguments)), call.Arguments)
			}
		})
	}
	assert.Greater(t, streams, 40)
}

// TestRecordedErrors makes an error of every recorded answer that is one, of any operation.
func TestRecordedErrors(t *testing.T) {
	repr := regexp.MustCompile(`^\[\{'`)
	seen := map[int]int{}
	for _, x := range apispec.Recorded() {
		if x.Status < 400 {
			continue
		}
		seen[x.Status]++
		t.Run(x.Server+"/"+x.Name, func(t *testing.T) {
			header := http.Header{}
			for name, value := range x.Header {
				header.Set(name, value)
			}
			resp := &http.Response{StatusCode: x.Status, Header: header}
			ex := &exchange{core: &core{}, config: &config{}, method: x.Method, path: x.Path, attempts: 1}
			err := newAPIError(ex, resp, x.Body)
			assert.True(t, err.Message != "" || len(err.Fields) > 0, "no words of the server in %s", x.Body)
			assert.False(t, repr.MatchString(err.Message), "a printed list in %s", err.Message)
			assert.NotContains(t, err.Error(), "\n")
			assert.Less(t, len(err.Error()), 1500)
			if x.Status == http.StatusUnprocessableEntity && strings.Contains(string(x.Body), "loc") {
				assert.NotEmpty(t, err.Fields)
				for _, f := range err.Fields {
					assert.NotEmpty(t, f.Message)
				}
			}
			assert.Equal(t, strings.Contains(x.Name, "error_provider_") || x.Name == "agents.messages.compact.settings", err.Is(ErrProvider), err)
			assert.Equal(t, strings.Contains(x.Name, "busy") && x.Status == 409, err.Is(ErrBusy), err)
			assert.Equal(t, strings.Contains(x.Name, "pending_approval"), err.Is(ErrPendingApproval), err)
		})
	}
	for _, status := range []int{400, 401, 402, 404, 405, 409, 415, 422, 429, 500, 501} {
		assert.Positive(t, seen[status], "no recorded %d", status)
	}
}

// TestStandardJSON finds types that encoding/json cannot decode alone: a field that is a union or a time needs an
// UnmarshalJSON of the struct that holds it.
func TestStandardJSON(t *testing.T) {
	seen := map[reflect.Type]bool{}
	unions := map[reflect.Type]bool{}
	for union := range exampleVariants {
		unions[union] = true
	}
	delete(unions, reflect.TypeFor[any]())
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice || typ.Kind() == reflect.Map {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || seen[typ] || typ == reflect.TypeFor[time.Time]() || strings.HasPrefix(typ.Name(), "Opt[") {
			return
		}
		seen[typ] = true
		for i := range typ.NumField() {
			f := typ.Field(i).Type
			for f.Kind() == reflect.Slice {
				f = f.Elem()
			}
			if typ.Field(i).Tag.Get("json") != "-" && typ.Field(i).Tag.Get("url") == "" && (unions[f] || f == reflect.TypeFor[time.Time]()) {
				_, ok := reflect.New(typ).Interface().(json.Unmarshaler)
				assert.True(t, ok || typ == reflect.TypeFor[MessageCommon](), "%s.%s needs %s.UnmarshalJSON", typ, typ.Field(i).Name, typ) // embedded in types that have one
			}
			walk(f)
		}
	}
	for _, method := range operations(testClient(t)) {
		for i := range method.call.Type().NumIn() {
			walk(method.call.Type().In(i))
		}
		for i := range method.call.Type().NumOut() {
			walk(method.call.Type().Out(i))
		}
	}
	for _, variants := range []map[string]reflect.Type{toolRules.variants, modelSettings.variants, responseFormats.variants, contentParts.variants, imageSources.variants, messages.variants, approvals.variants, messageInputs.variants} {
		for _, variant := range variants {
			walk(variant)
		}
	}
	assert.Greater(t, len(seen), 40)
}
