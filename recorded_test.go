package letta

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta/internal/apispec"
	"github.com/letta-go/letta/internal/attempt"
)

// undocumented are the fields that servers send and our types lack, and why.
var undocumented = map[string]map[string]string{
	apispec.ServerV1: {
		"organization_id":    "in no document of the API; the same for everything that a key sees",
		"isolated_block_ids": "of Letta 0.16.8 alone: the official client lacks it",
		"user_id":            "of a trace, in no document of the API",
	},
	apispec.ServerSeed: {"organization_id": "as on Letta 0.16.8"},
}

// TestRecordedAnswers decodes every recorded 2xx answer of the operations there are, and encodes it with our engine and
// with the standard library: no known field may be lost, and the standard library reads the same value back.
func TestRecordedAnswers(t *testing.T) {
	methods := operations(testClient(t))
	decoded := 0
	lost := map[string]map[string]bool{apispec.ServerV1: {}, apispec.ServerSeed: {}}
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
			result = reflect.TypeFor[Messages]()
		}
		if result == reflect.TypeFor[MCPServer]() { // encoding/json decodes a list of them
			result, x.Body = reflect.TypeFor[MCPServers](), fmt.Appendf(nil, "[%s]", x.Body)
		}
		decoded++
		t.Run(x.Server+"/"+x.Name, func(t *testing.T) {
			ours, body := reflect.New(result), slices.Clone(x.Body)
			require.NoError(t, unmarshal(body, ours.Interface()))
			before, err := marshal(ours.Interface())
			require.NoError(t, err)
			for i := range body {
				body[i] = '?'
			}
			kept, err := marshal(ours.Interface())
			require.NoError(t, err)
			require.Equal(t, string(before), string(kept), "what was decoded keeps nothing of the body, whose memory is used again")
			for _, engine := range []func(any) ([]byte, error){marshal, json.Marshal} {
				after, err := engine(ours.Interface())
				require.NoError(t, err)
				for _, loss := range apispec.Lost(x.Body, after) {
					field := loss.Path[strings.LastIndex(loss.Path, ".")+1:]
					if undocumented[x.Server][field] != "" && loss.Kind == apispec.Gone {
						lost[x.Server][field] = true
						continue
					}
					assert.True(t, loss.Kind == apispec.Zero, "%s: %s", loss.Kind, loss.Path)
				}
				standard := reflect.New(result)
				require.NoError(t, json.Unmarshal(after, standard.Interface()))
				again := reflect.New(result)
				require.NoError(t, unmarshal(after, again.Interface()))
				assert.Equal(t, again.Interface(), standard.Interface())
			}
		})
	}
	assert.Greater(t, decoded, 200)
	for server, fields := range undocumented {
		assert.Equal(t, keys(fields), keys(lost[server]), "fields that Letta %s sends and we lack", server)
	}
}

// TestRecordedPages walks over recorded lists by ListAll: the second page is that of the cursor which goes on there.
func TestRecordedPages(t *testing.T) {
	type walk struct {
		recording, next string // next is the variant that goes on, in ascending and in descending order
		oldestFirst     bool   // a page in descending order
		all             func(*Client, Order) ([]string, error)
	}
	message := func(m Message) string { return string(m.Common().ID) }
	step := func(s *Step) string { return string(s.ID) }
	for name, w := range map[string]walk{
		"runs": {"runs.list", "before before", false, func(c *Client, order Order) ([]string, error) {
			return walked(c.Runs.ListAll(t.Context(), &RunListParams{Limit: 2, Order: order}), func(r *Run) string { return string(r.ID) })
		}},
		"runs.messages": {"runs.messages.list", "after before", false, func(c *Client, order Order) ([]string, error) {
			return walked(c.Runs.Messages.ListAll(t.Context(), "run-1", &RunMessageListParams{Limit: 2, Order: order}), message)
		}},
		"runs.steps": {"runs.steps.list", "after after", false, func(c *Client, order Order) ([]string, error) {
			return walked(c.Runs.Steps.ListAll(t.Context(), "run-1", &RunStepListParams{Limit: 2, Order: order}), step)
		}},
		"steps.messages": {"steps.messages.list", "after after", false, func(c *Client, order Order) ([]string, error) {
			return walked(c.Steps.Messages.ListAll(t.Context(), "step-1", &StepMessageListParams{Limit: 2, Order: order}), message)
		}},
		"conversations": {"conversations.list", "after after", false, func(c *Client, order Order) ([]string, error) {
			return walked(c.Conversations.ListAll(t.Context(), &ConversationListParams{Limit: 2, Order: order}), func(c *Conversation) string { return string(c.ID) })
		}},
		"conversations.messages": {"conversations.messages.list", "after before", false, func(c *Client, order Order) ([]string, error) {
			return walked(c.Conversations.Messages.ListAll(t.Context(), "conv-1", &ConversationMessageListParams{Limit: 2, Order: order}), message)
		}},
		"archives": {"archives.list", "after after", false, func(c *Client, order Order) ([]string, error) {
			return walked(c.Archives.ListAll(t.Context(), &ArchiveListParams{Limit: 2, Order: order}), func(a *Archive) string { return string(a.ID) })
		}},
		"folders": {"folders.list", "after after", false, func(c *Client, order Order) ([]string, error) {
			return walked(c.Folders.ListAll(t.Context(), &FolderListParams{Limit: 2, Order: order}), func(f *Folder) string { return string(f.ID) })
		}},
		"folders.files": {"folders.files.list", "after after", false, func(c *Client, order Order) ([]string, error) {
			return walked(c.Folders.Files.ListAll(t.Context(), "source-1", &FolderFileListParams{Limit: 2, Order: order}), func(f *FolderFile) string { return string(f.ID) })
		}},
		"agents.blocks": {"agents.blocks.list", "after after", false, func(c *Client, order Order) ([]string, error) {
			return walked(c.Agents.Blocks.ListAll(t.Context(), "agent-1", &AgentBlockListParams{Limit: 2, Order: order}), func(b *Block) string { return string(b.ID) })
		}},
		// That conversation answers as the agent's messages do, as on Letta 0.16.8.
		"conversations.messages of default": {"agents.messages.list", "after before", true, func(c *Client, order Order) ([]string, error) {
			return walked(c.Conversations.Messages.ListAll(t.Context(), "default", &ConversationMessageListParams{AgentID: "agent-1", Limit: 2, Order: order}), message)
		}},
		"agents.messages": {"agents.messages.list", "after before", true, func(c *Client, order Order) ([]string, error) {
			return walked(c.Agents.Messages.ListAll(t.Context(), "agent-1", &AgentMessageListParams{Limit: 2, Order: order}), message)
		}},
		"messages": {"messages.list", "after before", true, func(c *Client, order Order) ([]string, error) {
			return walked(c.Messages.ListAll(t.Context(), &MessageListParams{Limit: 2, Order: order}), message)
		}},
	} {
		for i, order := range []Order{OrderAsc, OrderDesc} {
			t.Run(name+" "+string(order), func(t *testing.T) {
				recorded := func(variant string) ([]string, apispec.Exchange) {
					x, ok := apispec.Recording(apispec.ServerV1, w.recording+"."+variant)
					require.True(t, ok, variant)
					var rows []struct{ ID string }
					require.NoError(t, json.Unmarshal(x.Body, &rows))
					ids := []string{}
					for _, row := range rows {
						ids = append(ids, row.ID)
					}
					return ids, x
				}
				want, page1 := recorded(string(order) + ".page1")
				next := strings.Fields(w.next)[i]
				more, page2 := recorded(string(order) + ".page2_" + next)
				cursor := want[len(want)-1]
				if order == OrderDesc && w.oldestFirst { // recorded with the wrong cursor: let the oldest messages come next
					cursor = want[0]
					more, page2 = recorded("asc.page1")
					slices.Reverse(want)
					slices.Reverse(more)
				}
				want = append(want, more...)
				server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					switch q := r.URL.Query(); {
					case !q.Has("after") && !q.Has("before"):
						_, _ = rw.Write(page1.Body)
					case q.Get(next) == cursor && !(q.Has("after") && q.Has("before")):
						_, _ = rw.Write(page2.Body)
					default:
						_, _ = io.WriteString(rw, "[]")
					}
				}))
				defer server.Close()
				c, err := NewClient(WithBaseURL(server.URL))
				require.NoError(t, err)
				got, err := w.all(c, order)
				require.NoError(t, err)
				assert.Equal(t, want, got)
			})
		}
	}
}

func walked[T any](all iter.Seq2[T, error], id func(T) string) (ids []string, err error) {
	for row, err := range all {
		if err != nil {
			return ids, err
		}
		ids = append(ids, id(row))
	}
	return ids, nil
}

// TestTypesOfListAll: a server cuts pages before it drops types, so the client drops them.
func TestTypesOfListAll(t *testing.T) {
	x, _ := apispec.Recording(apispec.ServerV1, "conversations.messages.list.asc.page1")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.NotContains(t, r.URL.Query(), "include_return_message_types")
		if x.Body == nil || r.URL.Query().Has("after") {
			_, _ = io.WriteString(w, "[]")
			return
		}
		_, _ = w.Write(x.Body)
	}))
	defer server.Close()
	c, err := NewClient(WithBaseURL(server.URL))
	require.NoError(t, err)
	types := []MessageType{"user_message"}
	for _, all := range []iter.Seq2[Message, error]{
		c.Messages.ListAll(t.Context(), &MessageListParams{IncludeReturnMessageTypes: types}),
		c.Conversations.Messages.ListAll(t.Context(), "conv-1", &ConversationMessageListParams{IncludeReturnMessageTypes: types}),
	} {
		kinds, err := walked(all, func(m Message) string { return string(m.messageType()) })
		require.NoError(t, err)
		assert.Equal(t, []string{"user_message"}, kinds)
	}
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
			reader := &turnReader{core: c.core, cfg: &c.core.defaults}
			if first := regexp.MustCompile(`"seq_id":(\d+)`).FindStringSubmatch(x.Text); first != nil { // some were asked for from the middle
				n, err := strconv.Atoi(first[1])
				require.NoError(t, err)
				reader.sequence.last = n - 1
			}
			stream, err := reader.open(t.Context(), request{op: Operation{x.Name, http.MethodPost, "/" + x.Name}, body: struct{}{}})
			require.NoError(t, err)
			for m, err := range stream.Messages() {
				if err == nil {
					assert.Contains(t, messages.variants, string(m.messageType()))
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
			assert.Equal(t, reason, string(turn.StopReason))
			assert.Len(t, turn.RunIDs, 1)
			for _, m := range turn.Messages {
				assert.Contains(t, messages.variants, string(m.messageType()))
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
			err := (&call{
				core: &core{}, op: Operation{Method: x.Method}, path: x.Path, attempts: 1, problem: parseProblem(x.Status, x.Body),
				attempt: &attempt.Attempt{Response: &http.Response{StatusCode: x.Status, Header: header}, Body: x.Body},
			}).apiError()
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

// TestStandardJSON finds types that encoding/json cannot decode: a union needs an UnmarshalJSON of the struct that holds
// it, a list of a union one of its own.
func TestStandardJSON(t *testing.T) {
	seen := map[reflect.Type]bool{}
	unions := unionVariants()
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice || typ.Kind() == reflect.Map {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || seen[typ] || typ == reflect.TypeFor[time.Time]() || strings.HasPrefix(typ.Name(), "Opt[") {
			return
		}
		seen[typ] = true
		for field := range typ.Fields() {
			f := field.Type
			if !field.IsExported() {
				continue // such as all of a MessageStream
			}
			holder := typ
			for f.Kind() == reflect.Slice {
				if f.Name() != "" {
					holder = f
				}
				f = f.Elem()
			}
			if field.Tag.Get("json") != "-" && field.Tag.Get("url") == "" && unions[f] != nil {
				_, ok := reflect.TypeAssert[json.Unmarshaler](reflect.New(holder))
				assert.True(t, ok, "%s.%s needs %s.UnmarshalJSON", typ, field.Name, holder)
			}
			walk(f)
		}
	}
	for _, method := range operations(testClient(t)) {
		for in := range method.call.Type().Ins() {
			walk(in)
		}
		for out := range method.call.Type().Outs() {
			walk(out)
		}
	}
	for _, variants := range unions {
		for _, variant := range variants {
			walk(variant)
		}
	}
	assert.Greater(t, len(seen), 40)
}
