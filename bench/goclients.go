package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"time"

	gojson "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/letta-go/letta"
)

// callFunc makes one call, and returns what it comes to: agents, or letters of text.
type callFunc func(context.Context) (int, error)

func agentParams() *letta.AgentCreateParams {
	return &letta.AgentCreateParams{
		Name: "user_1", Model: "openai-proxy/gpt-4o-mini", Embedding: "openai/text-embedding-3-small", Tags: []string{"user_1", "plan:pro"},
		MemoryBlocks: []letta.CreateBlock{{Label: "human", Value: "Likes tea."}, {Label: "persona", Value: "Terse."}},
	}
}

func turnParams() *letta.AgentMessageCreateParams {
	return &letta.AgentMessageCreateParams{Messages: []letta.MessageInput{letta.UserText("hello")}, StreamTokens: true}
}

// lettaCall is a call of this client.
func lettaCall(base, work string) (callFunc, error) {
	client, err := letta.NewClient(letta.WithBaseURL(base), letta.WithAPIKey("sk-test"))
	if err != nil {
		return nil, err
	}
	create, turn := agentParams(), turnParams()
	list := func(tag string) callFunc {
		return func(ctx context.Context) (int, error) {
			agents, err := client.Agents.List(ctx, letta.Tags(tag))
			return len(agents), err
		}
	}
	stream := func(agent letta.AgentID) callFunc {
		return func(ctx context.Context) (int, error) {
			s, err := client.Agents.Messages.Stream(ctx, agent, turn)
			if err != nil {
				return 0, err
			}
			defer s.Close()
			result, err := s.Collect()
			if err != nil {
				return 0, err
			}
			return len(result.Text()), nil
		}
	}
	switch work {
	case "create":
		return func(ctx context.Context) (int, error) {
			_, err := client.Agents.Create(ctx, create)
			return 1, err
		}, nil
	case "retrieve":
		return func(ctx context.Context) (int, error) {
			_, err := client.Agents.Retrieve(ctx, agentBurst, nil)
			return 1, err
		}, nil
	case "list-1":
		return list(tagOfOne), nil
	case "list-50":
		return list(tagOfFifty), nil
	case "stream-flushed":
		return stream(agentFlushed), nil
	case "stream-burst":
		return stream(agentBurst), nil
	}
	return nil, fmt.Errorf("no workload %s", work)
}

// bare is a program without a client library, written for speed: the connections are kept, the body is read whole, and
// decoded into structs with the fields of ours but without a line of ours.
type bare struct {
	base      string
	http      *http.Client
	marshal   func(any) ([]byte, error)
	unmarshal func([]byte, any) error
	floor     bool         // nothing is decoded
	agent     reflect.Type // set by like
}

func newBare(base, kind string) *bare {
	b := &bare{
		base: base, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}},
		marshal: json.Marshal, unmarshal: json.Unmarshal, floor: kind == undecoded,
	}
	if kind == sameEngine {
		b.marshal = func(v any) ([]byte, error) { return gojson.Marshal(v) }
		// As ours: what a server sends is not refused for a name that comes twice or an odd character.
		lax := gojson.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
		b.unmarshal = func(data []byte, v any) error { return gojson.Unmarshal(data, v, lax) }
	}
	return b
}

// like makes the struct for agents after one that our client has decoded.
func (b *bare) like(agent *letta.AgentState) { b.agent = plain(reflect.ValueOf(agent).Elem()) }

// plain is a type with the fields of v and no methods. A union is the struct of the variant that v has, so that the program
// gets what ours gets; one that v lacks is raw JSON.
func plain(v reflect.Value) reflect.Type {
	t := v.Type()
	switch {
	case strings.HasPrefix(t.Name(), "Opt["):
		return reflect.PointerTo(plain(v.FieldByName("value")))
	case strings.HasPrefix(t.Name(), "Kind["):
		return reflect.TypeFor[string]()
	case t == reflect.TypeFor[json.RawMessage](), t == reflect.TypeFor[time.Time](), t == reflect.TypeFor[any]():
		return t
	}
	inner := func(none bool, some func() reflect.Value) reflect.Type {
		if none {
			return plain(reflect.Zero(t.Elem()))
		}
		return plain(some())
	}
	switch t.Kind() {
	case reflect.Interface:
		if v.IsNil() {
			return reflect.TypeFor[json.RawMessage]()
		}
		return plain(v.Elem())
	case reflect.Pointer:
		return reflect.PointerTo(inner(v.IsNil(), v.Elem))
	case reflect.Slice:
		return reflect.SliceOf(inner(v.Len() == 0, func() reflect.Value { return v.Index(0) }))
	case reflect.Struct:
		var fields []reflect.StructField
		for f, value := range v.Fields() {
			fields = append(fields, reflect.StructField{Name: f.Name, Tag: f.Tag, Type: plain(value)})
		}
		return reflect.StructOf(fields)
	default:
		return t
	}
}

func (b *bare) send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var reader io.Reader
	if body != nil {
		data, err := b.marshal(body)
		if err != nil {
			return nil, err
		}
		reader = bytes.NewReader(data)
	}
	r, err := http.NewRequestWithContext(ctx, method, b.base+path, reader)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer sk-test")
	r.Header.Set("Content-Type", "application/json")
	resp, err := b.http.Do(r)
	if err == nil && resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	return resp, err
}

func (b *bare) call(ctx context.Context, method, path string, body, out any) error {
	resp, err := b.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || b.floor {
		return err
	}
	return b.unmarshal(data, out)
}

// flatMessage has the fields of all frames of a turn of text, the fastest that a decoder by reflection can do.
type flatMessage struct {
	ID         string    `json:"id"`
	Date       time.Time `json:"date"`
	Name       string    `json:"name"`
	Type       string    `json:"message_type"`
	Otid       string    `json:"otid"`
	SenderID   string    `json:"sender_id"`
	StepID     string    `json:"step_id"`
	IsErr      bool      `json:"is_err"`
	SeqID      int       `json:"seq_id"`
	RunID      string    `json:"run_id"`
	Content    string    `json:"content"`
	StopReason string    `json:"stop_reason"`
	Total      int       `json:"total_tokens"`
}

func (b *bare) stream(ctx context.Context, agent string) (int, error) {
	resp, err := b.send(ctx, http.MethodPost, "/v1/agents/"+agent+"/messages", map[string]any{
		"messages": []map[string]any{{"role": "user", "content": "hello"}}, "streaming": true, "stream_tokens": true,
	})
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var text strings.Builder
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !ok || b.floor || string(data) == "[DONE]" {
			continue
		}
		m := new(flatMessage)
		if err := b.unmarshal(data, m); err != nil {
			return 0, err
		}
		text.WriteString(m.Content)
	}
	return text.Len(), lines.Err()
}

// bareCall is a call of a program without a client library.
func bareCall(base, kind, work string) (callFunc, error) {
	b := newBare(base, kind)
	client, err := letta.NewClient(letta.WithBaseURL(base), letta.WithAPIKey("sk-test"))
	if err != nil {
		return nil, err
	}
	agent, err := client.Agents.Retrieve(context.Background(), agentBurst, nil)
	if work == "create" {
		agent, err = client.Agents.Create(context.Background(), agentParams())
	}
	if err != nil {
		return nil, err
	}
	b.like(agent)
	create := map[string]any{ // what our params come to
		"name": "user_1", "model": "openai-proxy/gpt-4o-mini", "embedding": "openai/text-embedding-3-small", "tags": []string{"user_1", "plan:pro"},
		"memory_blocks": []map[string]string{{"label": "human", "value": "Likes tea."}, {"label": "persona", "value": "Terse."}},
	}
	list := func(tag string) callFunc {
		return func(ctx context.Context) (int, error) {
			agents := reflect.New(reflect.SliceOf(reflect.PointerTo(b.agent)))
			err := b.call(ctx, http.MethodGet, "/v1/agents/?"+url.Values{"tags": {tag}, "include": {"agent.tags"}}.Encode(), nil, agents.Interface())
			return agents.Elem().Len(), err
		}
	}
	switch work {
	case "create":
		return func(ctx context.Context) (int, error) {
			return 1, b.call(ctx, http.MethodPost, "/v1/agents/", create, reflect.New(b.agent).Interface())
		}, nil
	case "retrieve":
		return func(ctx context.Context) (int, error) {
			return 1, b.call(ctx, http.MethodGet, "/v1/agents/"+agentBurst, nil, reflect.New(b.agent).Interface())
		}, nil
	case "list-1":
		return list(tagOfOne), nil
	case "list-50":
		return list(tagOfFifty), nil
	case "stream-flushed":
		return func(ctx context.Context) (int, error) { return b.stream(ctx, agentFlushed) }, nil
	case "stream-burst":
		return func(ctx context.Context) (int, error) { return b.stream(ctx, agentBurst) }, nil
	}
	return nil, fmt.Errorf("no workload %s", work)
}
