package lettatest_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta/lettatest"
)

// frame is one server-sent event.
type frame struct {
	event, data string
	json        object // nil for [DONE] and what is no JSON
}

// open is a stream that is being read.
type open struct {
	t    testing.TB
	resp *http.Response
	r    *bufio.Reader
	stop context.CancelFunc
}

func (c *caller) open(path string, body object) *open {
	c.t.Helper()
	data, err := json.Marshal(body)
	require.NoError(c.t, err)
	ctx, stop := context.WithCancel(context.Background())
	c.t.Cleanup(stop)
	req, err := http.NewRequestWithContext(ctx, "POST", c.url+path, bytes.NewReader(data))
	require.NoError(c.t, err)
	req.Header.Set("X-Stainless-Package-Version", "1.0.0")
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.hc.Do(req)
	require.NoError(c.t, err)
	require.Equal(c.t, 200, resp.StatusCode)
	c.t.Cleanup(func() { _ = resp.Body.Close() })
	return &open{c.t, resp, bufio.NewReader(resp.Body), stop}
}

// next reads a frame. It fails at the end, or on half a frame.
func (o *open) next() (frame, error) {
	var f frame
	for {
		line, err := o.r.ReadString('\n')
		switch {
		case err != nil:
			return f, err
		case line == "\n":
			_ = json.Unmarshal([]byte(f.data), &f.json)
			return f, nil
		case strings.HasPrefix(line, "event: "):
			f.event = strings.TrimSpace(line[7:])
		case strings.HasPrefix(line, "data: "):
			f.data = strings.TrimSuffix(line[6:], "\n")
		}
	}
}

func (o *open) rest() ([]frame, error) {
	var all []frame
	for {
		f, err := o.next()
		if err != nil {
			return all, err
		}
		all = append(all, f)
	}
}

// stream reads a stream to its end.
func (c *caller) stream(path string, body object) []frame {
	c.t.Helper()
	o := c.open(path, body)
	assert.Equal(c.t, "text/event-stream; charset=utf-8", o.resp.Header.Get("Content-Type"))
	all, err := o.rest()
	require.ErrorIs(c.t, err, io.EOF)
	return all
}

// kinds tells what frames there are: a type without _message, then = and the text or stop reason.
func kinds(all []frame) string {
	var out []string
	for _, f := range all {
		switch {
		case f.json == nil:
			out = append(out, f.data)
			continue
		case f.event != "":
			out = append(out, f.event+":"+f.json["error_type"].(string))
			continue
		}
		kind := strings.TrimSuffix(f.json["message_type"].(string), "_message")
		for _, k := range []string{"stop_reason", "content", "reasoning", "tool_return"} {
			if v, ok := f.json[k].(string); ok {
				kind += "=" + v
			}
		}
		out = append(out, kind)
	}
	return strings.Join(out, "|")
}

func said(text string, pairs ...any) object {
	body := object{"messages": []object{{"role": "user", "content": text}}}
	for i := 0; i < len(pairs); i += 2 {
		body[pairs[i].(string)] = pairs[i+1]
	}
	return body
}

const insert = `CALL memory_insert {"label": "human", "new_string": "tea"}`

var human = []object{{"label": "human", "value": "x"}}

// talker is an agent with a memory block and tools, and the path of its messages.
func (c *caller) talker(pairs ...any) (id, path string) {
	c.t.Helper()
	a := c.create(append([]any{"memory_blocks", human, "tools", []string{"memory_insert", "conversation_search"}}, pairs...)...)
	id = a["id"].(string)
	return id, "/v1/agents/" + id + "/messages"
}

// views tells what messages there are, like kinds.
func views(list any) string {
	var all []frame
	for _, v := range list.([]any) {
		all = append(all, frame{json: v.(object)})
	}
	return kinds(all)
}

func (c *caller) list(path string) string {
	c.t.Helper()
	out := views(c.do(200, "GET", path, nil))
	if i := strings.Index(out, "|"); strings.HasPrefix(out, "system=") {
		if i < 0 {
			return "system"
		}
		return "system" + out[i:]
	}
	return out
}

func TestTurn(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	id, path := c.talker()
	got := c.do(200, "POST", path, said("hello")).(object)
	assert.Equal(t, "logprobs messages stop_reason turns usage", keys(got))
	assert.Equal(t, "assistant=You said: hello", views(got["messages"]))
	assert.Equal(t, object{"message_type": "stop_reason", "stop_reason": "end_turn"}, got["stop_reason"])
	assert.Equal(t, object{
		"message_type": "usage_statistics", "prompt_tokens": 10., "completion_tokens": 5., "total_tokens": 15., "step_count": 1., "run_ids": nil,
		"cached_input_tokens": 0., "cache_write_tokens": 0., "reasoning_tokens": 0., "context_tokens": 15.,
	}, got["usage"])
	m := got["messages"].([]any)[0].(object)
	assert.Equal(t, "content date id is_err message_type name otid run_id sender_id seq_id step_id", keys(m))

	run := c.do(200, "GET", "/v1/runs/"+m["run_id"].(string), nil).(object)
	assert.Equal(t, []any{"completed", "end_turn", false, nil}, []any{run["status"], run["stop_reason"], run["background"], run["total_duration_ns"]})
	assert.NotContains(t, run["completed_at"], "Z")
	listed := c.do(200, "GET", "/v1/runs/?agent_id="+id, nil).([]any)[0].(object)
	assert.NotNil(t, listed["total_duration_ns"])
	step := c.do(200, "GET", "/v1/steps/"+m["step_id"].(string), nil).(object)
	assert.Equal(t, []any{"success", "end_turn", 15.}, []any{step["status"], step["stop_reason"], step["total_tokens"]})
	assert.Equal(t, "user=hello|reasoning=You said: hello", c.list("/v1/steps/"+m["step_id"].(string)+"/messages"))
	assert.Equal(t, "user=hello|assistant=You said: hello", c.list("/v1/runs/"+m["run_id"].(string)+"/messages"))
	assert.Equal(t, "system|user=hello|assistant=You said: hello", c.list(path))
	assert.Equal(t, "assistant=You said: hello", c.list("/v1/messages/"+m["id"].(string)))
	assert.Equal(t, "end_turn", c.do(200, "GET", "/v1/agents/"+id, nil).(object)["last_stop_reason"])

	got = c.do(200, "POST", path, said(insert)).(object)
	assert.Contains(t, views(got["messages"]), "tool_call|tool_return=x\ntea|assistant=Tool said: {\n  \"status\": \"OK\",\n")
	assert.Equal(t, 2., got["usage"].(object)["step_count"])
	assert.Equal(t, "x\ntea", c.do(200, "GET", "/v1/agents/"+id+"/core-memory/blocks/human", nil).(object)["value"])
	got = c.do(200, "POST", path, said(insert, "max_steps", 1, "include_return_message_types", []string{"tool_return_message"})).(object)
	assert.Equal(t, "tool_return=x\ntea\ntea", views(got["messages"]))
	assert.Equal(t, "max_steps", got["stop_reason"].(object)["stop_reason"])
	got = c.do(200, "POST", path, said(`CALL nothing {}`)).(object)
	assert.Contains(t, views(got["messages"]), "tool_return=[ToolConstraintError] Cannot call nothing, valid tools include: [")
	got = c.do(200, "POST", path, said(`CALL memory_insert {"label":"none","new_string":"x"}`)).(object)
	call := got["messages"].([]any)[0].(object)["tool_call"].(object)
	assert.Equal(t, `{"label": "none", "new_string": "x"}`, call["arguments"], "as Python writes it")
	result := got["messages"].([]any)[1].(object)
	assert.Equal(t, "error", result["status"])
	assert.Contains(t, fmt.Sprint(result["stderr"]), "KeyError: 'Block field none does not exist (available sections = human)'")
	assert.Equal(t, "error", c.do(200, "PATCH", "/v1/agents/"+id, object{"last_stop_reason": "error"}).(object)["last_stop_reason"])
	c.do(200, "PATCH", "/v1/agents/"+id+"/reset-messages", object{})
	assert.Len(t, c.do(200, "GET", "/v1/agents/"+id, nil).(object)["message_ids"], 1)
}

func TestStreams(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	_, path := c.talker("model_settings", object{"provider_type": "openai", "parallel_tool_calls": true}, "include_base_tool_rules", false)
	const end = "|stop_reason=end_turn|usage_statistics|[DONE]"
	for _, tt := range []struct {
		name, want string
		body       object
	}{
		{"steps", "ping|assistant=You said: one two" + end, said("one two")},
		{"tokens", "ping|assistant=You|assistant= said:|assistant= one|assistant= two" + end, said("one two", "stream_tokens", true)},
		{"no pings", "assistant=You said: x" + end, said("x", "include_pings", false)},
		{"filter", "ping" + end, said("x", "include_return_message_types", []string{"user_message"})},
		{"filtered tokens", "ping|tool_return=x\n1|stop_reason=max_steps|usage_statistics|[DONE]", said(
			`CALL memory_insert {"label": "human", "new_string": "1"}`, "stream_tokens", true, "max_steps", 1,
			"include_return_message_types", []string{"tool_return_message"})},
		{
			"two calls", "ping|tool_call|tool_call|tool_call|tool_call|tool_return=[ToolConstraintError] Cannot call a, valid tools include: " +
				"['conversation_search', 'memory_insert'].|stop_reason=max_steps|usage_statistics|[DONE]",
			said("CALL a {}\nCALL b {}", "stream_tokens", true, "max_steps", 1),
		},
		{"fails", "ping|stop_reason=llm_api_error|error:llm_rate_limit|[DONE]", said("FAIL 429")},
		{"fails on a token", "ping|stop_reason=llm_api_error|error:llm_error|[DONE]", said("FAIL 400", "stream_tokens", true)},
		{"fails behind", "ping|stop_reason=llm_api_error|error:llm_error", said("FAIL 500", "background", true)},
	} {
		tt.body["streaming"] = true
		assert.Equal(t, tt.want, kinds(c.stream(path, tt.body)), tt.name)
	}
	assert.Equal(t, "ping|assistant=You|assistant= said:|assistant= x"+end, kinds(c.stream(path+"/stream", said("x", "stream_tokens", true))))

	all := c.stream(path, said(insert, "streaming", true, "stream_tokens", true, "max_steps", 1))
	assert.Equal(t, "name tool_call_id", keys(all[1].json["tool_call"]))
	assert.Equal(t, "arguments tool_call_id", keys(all[2].json["tool_calls"]), "an object, and no array")
	assert.Equal(t, all[1].json["id"], all[2].json["id"])
	assert.Equal(t, "memory_insert", all[3].json["name"])
	assert.IsType(t, []any{}, all[3].json["tool_returns"])
	usage := all[5].json
	assert.Equal(t, []any{nil, 15.}, []any{usage["cached_input_tokens"], usage["context_tokens"]})
	assert.NotContains(t, usage, "id")
	assert.NotContains(t, all[4].json, "run_id")
	assert.Equal(t, all[0].json["run_id"], all[1].json["run_id"])

	for status, kind := range map[int]string{400: "llm_bad_request", 401: "llm_authentication", 402: "llm_insufficient_credits", 429: "llm_rate_limit"} {
		got := c.do(status, "POST", path, said(fmt.Sprintf("FAIL %d", status))).(object)["error"].(object)
		assert.Equal(t, kind, got["type"])
		assert.Equal(t, "detail message type", keys(got))
	}
	c.do(500, "POST", path, said("FAIL 404"))
}

func TestSendErrors(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	_, path := c.talker()
	user := []object{{"role": "user", "content": "x"}}
	for _, tt := range []struct {
		body   object
		status int
		want   string
	}{
		{object{}, 422, "Must specify either 'input' or 'messages'."},
		{object{"messages": user, "input": "y"}, 422, "Cannot specify both 'input' and 'messages'."},
		{object{"messages": []any{}}, 422, "Messages must not be empty"},
		{object{"messages": []object{{"role": "none", "content": "x"}}}, 422, "'MessageCreateParam', 'role'"},
		{object{"messages": user, "stream_tokens": true}, 422, "stream_tokens can only be true when streaming=true. Either"},
		{object{"messages": user, "background": true, "include_pings": false}, 422, "include_pings can only be set to false when streaming=true; background"},
		{object{"messages": user, "override_model": "openai/none"}, 404, "NOT_FOUND: Handle openai/none not found"},
		{object{"messages": user, "include_return_message_types": []string{"x"}}, 422, "'enum'"},
		{object{"input": ""}, 400, "Message content is empty or invalid"},
		{object{"messages": []object{{"type": "approval", "approvals": []any{}}}}, 400, "No tool call is currently awaiting approval"},
	} {
		got := c.do(tt.status, "POST", path, tt.body).(object)
		assert.Contains(t, got["detail"], tt.want)
	}
	c.do(422, "POST", path, said("x", "streaming", true), "X-Stainless-Package-Version", "", "User-Agent", "none")
	c.do(422, "POST", path, nil)
	for _, p := range []string{"/messages", "/messages/stream", "/messages/async", "/summarize"} {
		c.do(404, "POST", "/v1/agents/agent"+unknown+p, said("x"))
	}
	c.do(404, "GET", "/v1/agents/agent"+unknown+"/messages", nil)
	c.do(400, "POST", "/v1/messages/search", object{"query": "x"})
	c.do(400, "GET", "/v1/steps/", nil)
	c.do(400, "GET", "/v1/runs/nope", nil)
	c.do(404, "GET", "/v1/runs/run"+unknown+"/usage", nil)
	c.do(501, "GET", "/v1/runs/run"+unknown+"/trace", nil)
	c.do(400, "GET", "/v1/runs/?statuses=none", nil)
	c.do(422, "GET", "/v1/runs/?limit=0", nil)
	assert.Nil(t, c.do(200, "GET", "/v1/steps/step"+unknown+"/trace", nil))
}

func TestScript(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	id, path := c.talker()
	var asked []lettatest.Turn
	s.Tool("add", func(arguments string) (string, error) {
		if arguments == "{}" {
			return "", errors.New("nothing to add")
		}
		return arguments, nil
	})
	tools := c.create("tools", []string{"add"}, "include_base_tool_rules", false)["id"].(string)
	s.Script(func(turn lettatest.Turn) lettatest.Reply {
		asked = append(asked, turn)
		if turn.Step == 0 {
			return lettatest.Reply{Text: "let me see", ToolCalls: []lettatest.ToolCall{{Name: "add", Arguments: turn.Text, ID: "call_1"}}}
		}
		return lettatest.Reply{Reasoning: "easy", Text: turn.ToolReturns[0].Text, Chunks: []string{"do", "ne"}, StopReason: "max_tokens_exceeded"}
	})
	got := c.do(200, "POST", "/v1/agents/"+tools+"/messages", said(`{"a": 1}`)).(object)
	assert.Equal(t, `assistant=let me see|tool_call|tool_return={"a": 1}|reasoning=easy|assistant={"a": 1}`, views(got["messages"]))
	assert.Equal(t, "max_tokens_exceeded", got["stop_reason"].(object)["stop_reason"])
	require.Len(t, asked, 2)
	assert.Equal(t, []lettatest.ToolReturn{{Name: "add", ToolCallID: "call_1", Text: `{"a": 1}`}}, asked[1].ToolReturns)
	assert.Equal(t, []any{tools, "", `{"a": 1}`, 1}, []any{asked[1].AgentID, asked[1].ConversationID, asked[1].Text, asked[1].Step})
	all := c.stream("/v1/agents/"+tools+"/messages", said("{}", "streaming", true, "stream_tokens", true))
	assert.Equal(t, "ping|assistant=let|assistant= me|assistant= see|tool_call|tool_call|tool_return=nothing to add|reasoning=easy|assistant=do|"+
		"assistant=ne|stop_reason=max_tokens_exceeded|usage_statistics|[DONE]", kinds(all))
	assert.True(t, asked[3].ToolReturns[0].Error)
	s.Script(func(lettatest.Turn) lettatest.Reply { return lettatest.Reply{Fail: 529} })
	c.do(500, "POST", path, said("x"))
	s.Script(nil)
	assert.Equal(t, "assistant=You said: x", views(c.do(200, "POST", path, said("x")).(object)["messages"]))
	assert.NotEqual(t, id, tools)
}

func TestBackground(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	id, path := c.talker()
	all := c.stream(path, said("one two", "streaming", true, "stream_tokens", true, "background", true))
	for i, f := range all[:5] {
		assert.Equal(t, float64(i+1), f.json["seq_id"], "the ping counts")
	}
	assert.NotContains(t, all[5].json, "seq_id")
	run := all[0].json["run_id"].(string)
	for after := range all {
		assert.Equal(t, all[after:], c.stream("/v1/runs/"+run+"/stream", object{"starting_after": after}))
	}
	assert.Equal(t, all, c.stream("/v1/runs/"+run+"/stream", object{}))
	newCaller(t, s).do(500, "POST", "/v1/runs/"+run+"/stream", nil) // and the connection is closed

	// Nothing comes beyond the end, not even headers.
	ctx, stop := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, "POST", c.url+"/v1/runs/"+run+"/stream", strings.NewReader(`{"starting_after": 1000}`))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.hc.Do(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	require.ErrorIs(t, err, context.DeadlineExceeded)

	fg := c.stream(path, said("x", "streaming", true))[0].json["run_id"].(string)
	assert.Contains(t, c.do(400, "POST", "/v1/runs/"+fg+"/stream", object{}).(object)["detail"], "not created in background mode")

	// A client that leaves does not end the run, and another one picks it up.
	o := c.open(path, said("SLOW 20 one two three four five", "streaming", true, "stream_tokens", true, "background", true))
	for range 3 {
		_, err := o.next()
		require.NoError(t, err)
	}
	run = c.do(200, "GET", "/v1/runs/?active=true&agent_id="+id, nil).([]any)[0].(object)["id"].(string)
	o.stop()
	rest := c.stream("/v1/runs/"+run+"/stream", object{"starting_after": 3})
	assert.Equal(t, "assistant= three|assistant= four|assistant= five|stop_reason=end_turn|usage_statistics|[DONE]", kinds(rest))

	async := c.do(200, "POST", path+"/async", said("later", "callback_url", "http://127.0.0.1:1/x")).(object)
	assert.Equal(t, []any{"created", "http://127.0.0.1:1/x"}, []any{async["status"], async["callback_url"]})
	done := func(status string) func() bool {
		return func() bool {
			return c.do(200, "GET", "/v1/runs/"+async["id"].(string), nil).(object)["status"] == status
		}
	}
	require.Eventually(t, done("completed"), time.Second, time.Millisecond)
	assert.Equal(t, "user=later|assistant=You said: later", c.list("/v1/runs/"+async["id"].(string)+"/messages"))
	async = c.do(200, "POST", path+"/async", said("FAIL 429")).(object)
	require.Eventually(t, done("failed"), time.Second, time.Millisecond)
}

func TestClientLeaves(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	_, path := c.talker()
	for _, tokens := range []bool{true, false} {
		o := c.open(path, said("SLOW 10 a b c", "streaming", true, "stream_tokens", tokens))
		f, err := o.next()
		require.NoError(t, err)
		o.stop()
		run := f.json["run_id"].(string)
		require.Eventually(t, func() bool {
			return c.do(200, "GET", "/v1/runs/"+run, nil).(object)["status"] == "completed"
		}, time.Second, time.Millisecond, "the turn goes on")
		assert.Equal(t, "user=SLOW 10 a b c|assistant=a b c", c.list("/v1/runs/"+run+"/messages"))
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	_, c := start(t, lettatest.WithCancelInterval(20*time.Millisecond))
	id, path := c.talker()
	c.do(409, "POST", path+"/cancel", nil)
	for _, background := range []bool{false, true} {
		o := c.open(path, said("SLOW 30 a b c d e f g h i j k l m n o p", "streaming", true, "stream_tokens", true, "background", background))
		f, err := o.next()
		require.NoError(t, err)
		run := f.json["run_id"].(string)
		_, err = o.next()
		require.NoError(t, err)
		assert.Equal(t, object{run: "cancelled"}, c.do(200, "POST", path+"/cancel", nil))
		rest, err := o.rest()
		require.ErrorIs(t, err, io.EOF)
		if background {
			require.Equal(t, "[DONE]", rest[len(rest)-1].data)
			rest = rest[:len(rest)-1]
		}
		assert.Equal(t, `{"message_type": "stop_reason", "stop_reason": "cancelled"}`, rest[len(rest)-1].data)
		got := c.do(200, "GET", "/v1/runs/"+run, nil).(object)
		assert.Equal(t, []any{"cancelled", "cancelled"}, []any{got["status"], got["stop_reason"]})
		assert.Equal(t, "system", c.list(path), "no messages are left behind")
	}
	o := c.open(path, said("SLOW 100 a b", "streaming", true))
	_, err := o.next()
	require.NoError(t, err)
	c.do(200, "POST", path+"/cancel", object{"run_ids": []string{}})
	rest, err := o.rest()
	require.ErrorIs(t, err, io.EOF)
	assert.Contains(t, kinds(rest), "stop_reason=cancelled", "before its first step, or behind it")

	run := c.do(200, "POST", path, said("x")).(object)["messages"].([]any)[0].(object)["run_id"].(string)
	assert.Equal(t, object{run: "cancelled"}, c.do(200, "POST", path+"/cancel", nil), "it says so")
	assert.Equal(t, "completed", c.do(200, "GET", "/v1/runs/"+run, nil).(object)["status"])
	assert.Equal(t, object{"run" + unknown: "failed"}, c.do(200, "POST", path+"/cancel", object{"run_ids": []string{"run" + unknown}}))

	// An agent that goes takes its turn along.
	o = c.open(path, said("SLOW 10000 a b", "streaming", true, "stream_tokens", true))
	_, err = o.next()
	require.NoError(t, err)
	c.do(200, "DELETE", "/v1/agents/"+id, nil)
	rest, _ = o.rest()
	assert.Equal(t, "stop_reason=error|error:internal_error|[DONE]", kinds(rest))
	c.do(404, "GET", "/v1/runs/"+run, nil)
}

// A cancel is answered at once, but the turn looks for it only now and then. A turn that another sends meanwhile starts from the same context, and
// the one that stores last wins: seen on Letta 0.16.8.
func TestCancelIsSlow(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	id, path := c.talker()
	gate, called := make(chan struct{}), make(chan struct{})
	s.Script(func(turn lettatest.Turn) lettatest.Reply {
		if turn.Text == "first" {
			close(called)
			<-gate
		}
		return lettatest.Reply{Text: "said " + turn.Text}
	})
	o := c.open(path, said("first", "streaming", true))
	f, err := o.next()
	require.NoError(t, err)
	<-called
	run := f.json["run_id"].(string)
	assert.Equal(t, object{run: "cancelled"}, c.do(200, "POST", path+"/cancel", nil))
	assert.Equal(t, "cancelled", c.do(200, "GET", "/v1/runs/"+run, nil).(object)["status"], "at once")
	second := c.do(200, "POST", path, said("second")).(object)["messages"].([]any)[0].(object)["id"]
	context := func() any { return c.do(200, "GET", "/v1/agents/"+id, nil).(object)["message_ids"] }
	assert.Contains(t, context(), second)
	close(gate)
	_, err = o.rest()
	require.ErrorIs(t, err, io.EOF)
	assert.NotContains(t, context(), second, "lost from the context")
	assert.Equal(t, "system|user=second|assistant=said second|user=first|assistant=said first", c.list(path), "though it is stored")
	assert.Equal(t, "cancelled", c.do(200, "GET", "/v1/runs/"+run, nil).(object)["status"])
}

func TestEventLimit(t *testing.T) {
	t.Parallel()
	_, c := start(t, lettatest.WithEventLimit(4))
	_, path := c.talker()
	all := c.stream(path, said("one two three four five six", "streaming", true, "stream_tokens", true, "background", true))
	run := all[len(all)-4].json["run_id"].(string)
	late := c.stream("/v1/runs/"+run+"/stream", object{"starting_after": 1})
	assert.Equal(t, "assistant= six|stop_reason=end_turn|usage_statistics|[DONE]", kinds(late))
	assert.Equal(t, 9., late[0].json["seq_id"], "a gap behind 1")
}

func approvals(all ...object) object {
	return object{"messages": []object{{"type": "approval", "approvals": all}}}
}

func approve(id any, yes bool, reason string) object {
	return object{"type": "approval", "tool_call_id": id, "approve": yes, "reason": reason}
}

func calls(message any) []any {
	var ids []any
	for _, v := range message.(object)["tool_calls"].([]any) {
		ids = append(ids, v.(object)["tool_call_id"])
	}
	return ids
}

func TestApprovals(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	id, path := c.talker("tool_rules", []object{{"type": "requires_approval", "tool_name": "memory_insert"}})
	got := c.do(200, "POST", path, said(insert)).(object)
	assert.Equal(t, "approval_request", views(got["messages"]))
	assert.Equal(t, "requires_approval", got["stop_reason"].(object)["stop_reason"])
	request := got["messages"].([]any)[0].(object)
	assert.Equal(t, request["id"], request["otid"])
	state := func(include string) any {
		return c.do(200, "GET", "/v1/agents/"+id+"?include="+include, nil).(object)["pending_approval"]
	}
	assert.Equal(t, request, state("agent.pending_approval"))
	assert.Nil(t, state("agent.tags"))

	refused := c.do(409, "POST", path, said("x")).(object)["detail"].(object)
	assert.Equal(t, []any{"PENDING_APPROVAL", request["id"]}, []any{refused["code"], refused["pending_request_id"]})
	assert.Equal(t, "ping|stop_reason=error|error:internal_error|[DONE]", kinds(c.stream(path, said("x", "streaming", true))))
	direct := "/v1/conversations/" + id + "/messages"
	assert.IsType(t, "", c.do(409, "POST", direct, said("x", "streaming", false)).(object)["detail"])

	call := calls(request)[0]
	wrong := c.do(400, "POST", path, approvals(approve("call_x", true, ""))).(object)["detail"]
	assert.Equal(t, fmt.Sprintf("Invalid tool call IDs. Expected '['%s']', but received '['call_x']'.", call), wrong)
	yes := approvals(approve(call, true, ""))
	got = c.do(200, "POST", path, yes).(object)
	assert.Contains(t, views(got["messages"]), "tool_return=x\ntea|assistant=Tool said:")
	assert.Equal(t, 1., got["usage"].(object)["step_count"])
	assert.Equal(t, request["step_id"], got["messages"].([]any)[0].(object)["step_id"])
	assert.Nil(t, state("agent.pending_approval"))
	got = c.do(200, "POST", path, yes).(object)
	assert.Contains(t, views(got["messages"]), "You said: <system-alert>", "once more costs a turn")
	yes["messages"] = append(yes["messages"].([]object), object{"role": "user", "content": "well?"})
	assert.Equal(t, "assistant=You said: well?", views(c.do(200, "POST", path, yes).(object)["messages"]))

	ask := func(tokens bool) any {
		all := c.stream(path, said(insert, "streaming", true, "stream_tokens", tokens))
		if !tokens {
			return calls(all[1].json)[0]
		}
		assert.Equal(t, object{"name": "memory_insert", "arguments": nil, "tool_call_id": all[1].json["tool_call"].(object)["tool_call_id"]},
			all[1].json["tool_calls"])
		assert.Nil(t, all[2].json["tool_call"].(object)["name"])
		return all[1].json["tool_call"].(object)["tool_call_id"]
	}
	got = c.do(200, "POST", path, approvals(approve(ask(true), false, "not now"))).(object)
	assert.Contains(t, views(got["messages"]), "tool_return=Error: request to call tool denied. User reason: not now|")
	deny := approvals(approve(ask(false), false, "no"))
	deny["streaming"], deny["stream_tokens"] = true, true
	assert.True(t, strings.HasPrefix(kinds(c.stream(path, deny)), "ping|assistant=Tool|"), "tokens leave the denial out")
	old := state("agent.pending_approval")
	assert.Nil(t, old)
	ask(false)
	old = state("agent.pending_approval").(object)["id"]
	got = c.do(200, "POST", path, object{"messages": []object{{"type": "approval", "approve": true, "approval_request_id": old}}}).(object)
	assert.Contains(t, views(got["messages"]), "tool_return=x\ntea\ntea|")

	ask(false)
	run := state("agent.pending_approval").(object)["run_id"].(string)
	assert.Equal(t, object{run: "cancelled"}, c.do(200, "POST", path+"/cancel", nil))
	assert.Nil(t, state("agent.pending_approval"))
	assert.Contains(t, c.list(path+"?limit=1"), "The user cancelled the request")
	c.do(200, "POST", path, said("x"))
}

func TestApprovalsOfTwo(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	_, path := c.talker("tool_rules", []object{{"type": "requires_approval", "tool_name": "memory_insert"}}, "include_base_tool_rules", false,
		"model_settings", object{"provider_type": "openai", "parallel_tool_calls": true})
	two := strings.ReplaceAll(insert, "tea", "1") + "\n" + strings.ReplaceAll(insert, "tea", "2")
	ids := calls(c.do(200, "POST", path, said(two)).(object)["messages"].([]any)[0])
	require.Len(t, ids, 2)
	partial := c.do(400, "POST", path, approvals(approve(ids[0], true, ""))).(object)["detail"]
	assert.Equal(t, fmt.Sprintf("Invalid tool call IDs. Expected '['%s', '%s']', but received '['%s']'.", ids[0], ids[1], ids[0]), partial)
	got := c.do(200, "POST", path, approvals(approve(ids[0], true, ""), approve(ids[1], false, "no"))).(object)
	result := got["messages"].([]any)[0].(object)
	var all []string
	for _, r := range result["tool_returns"].([]any) {
		all = append(all, r.(object)["tool_return"].(string))
	}
	assert.Equal(t, []string{"Error: request to call tool denied. User reason: no", "x\n1"}, all, "denials come first")
	assert.Equal(t, "memory_insert", result["name"])

	mixed := `CALL conversation_search {"query": "zz"}` + "\n" + insert
	got = c.do(200, "POST", path, said(mixed)).(object)
	assert.Equal(t, "tool_call|approval_request", views(got["messages"]))
	ids = calls(got["messages"].([]any)[1])
	got = c.do(200, "POST", path, approvals(object{"type": "tool", "tool_call_id": ids[0], "tool_return": "mine", "status": "success"})).(object)
	assert.Len(t, got["messages"].([]any)[0].(object)["tool_returns"], 2, "the call that needed none comes along")
}

func TestClientTools(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	_, path := c.talker()
	tools := []object{{"name": "mine", "parameters": object{"type": "object"}}}
	got := c.do(200, "POST", path, said(`CALL mine {"q": 1}`, "client_tools", tools)).(object)
	assert.Equal(t, "approval_request", views(got["messages"]))
	id := calls(got["messages"].([]any)[0])[0]
	c.do(409, "POST", path, said("x"))
	var seen lettatest.Turn
	s.Script(func(turn lettatest.Turn) lettatest.Reply { seen = turn; return lettatest.Reply{Text: "ok"} })
	back := object{"messages": []object{{"type": "tool_return", "tool_returns": []object{
		{"type": "tool", "tool_call_id": id, "tool_return": "boom", "status": "error", "stderr": []string{"trace"}},
	}}}}
	got = c.do(200, "POST", path, back).(object)
	assert.Equal(t, "tool_return=boom|assistant=ok", views(got["messages"]))
	assert.Equal(t, []any{"trace"}, got["messages"].([]any)[0].(object)["stderr"])
	assert.Equal(t, []lettatest.ToolReturn{{Name: "mine", ToolCallID: id.(string), Text: "boom", Error: true}}, seen.ToolReturns)
}

func (c *caller) conversation(agent string) string {
	c.t.Helper()
	return "/v1/conversations/" + c.do(200, "POST", "/v1/conversations/?agent_id="+agent, object{}).(object)["id"].(string)
}

func TestConversations(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	id, path := c.talker()
	one := c.conversation(id)
	assert.Equal(t, "ping|assistant=You said: a|stop_reason=end_turn|usage_statistics|[DONE]", kinds(c.stream(one+"/messages", said("a"))), "streams unasked")
	c.do(200, "POST", one+"/messages", said("b", "streaming", false))
	assert.Equal(t, "system|user=a|assistant=You said: a|user=b|assistant=You said: b", c.list(one+"/messages?order=asc"))
	assert.Equal(t, "assistant=You said: b|user=b", c.list(one+"/messages?limit=2"))
	assert.Equal(t, "system", c.list(path+"?conversation_id=default"))
	assert.Len(t, c.do(200, "GET", one, nil).(object)["in_context_message_ids"], 5)
	c.stream("/v1/conversations/default/messages", said("d", "agent_id", id))
	assert.Equal(t, "system|user=d|assistant=You said: d", c.list("/v1/conversations/default/messages?agent_id="+id))
	c.do(404, "POST", "/v1/conversations/default/messages", said("d"))
	c.do(404, "POST", "/v1/conversations/conv"+unknown+"/messages", said("d"))
	c.do(422, "GET", "/v1/conversations/default", nil)
	c.do(422, "POST", "/v1/conversations/", object{})
	assert.Equal(t, []any{}, c.do(200, "GET", "/v1/conversations/conv"+unknown+"/messages", nil))

	fork := "/v1/conversations/" + c.do(200, "POST", one+"/fork", nil).(object)["id"].(string)
	assert.Equal(t, "system|user=a|assistant=You said: a|user=b|assistant=You said: b", c.list(fork+"/messages?order=asc"))
	got := c.do(200, "PATCH", one, object{"summary": "tea talk", "last_message_at": "2026-01-02T03:04:05Z"}).(object)
	assert.Equal(t, []any{"tea talk", "2026-01-02T03:04:05Z"}, []any{got["summary"], got["last_message_at"]})
	assert.Len(t, c.do(200, "GET", "/v1/conversations/?agent_id="+id, nil), 2)
	assert.Len(t, c.do(200, "GET", "/v1/conversations/?summary_search=TEA", nil), 1)
	assert.IsType(t, "", c.do(200, "POST", one+"/recompile", object{}))
	c.do(400, "POST", one+"/compact", nil)
	c.do(200, "POST", one+"/messages", said("c", "streaming", false))
	c.do(200, "POST", one+"/messages", said("d", "streaming", false))
	small := c.do(200, "POST", one+"/compact", object{}).(object)
	assert.Equal(t, []any{9., 7.}, []any{small["num_messages_before"], small["num_messages_after"]})
	c.do(200, "DELETE", one, nil)
	c.do(404, "GET", one, nil)
	assert.Equal(t, []any{}, c.do(200, "GET", one+"/messages", nil))
}

func TestBusy(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	id, path := c.talker()
	conv := c.conversation(id)
	gate := make(chan struct{})
	s.Script(func(turn lettatest.Turn) lettatest.Reply {
		if turn.Text == "wait" {
			<-gate
		}
		return lettatest.Reply{Text: "ok"}
	})
	body := object{"messages": []object{{"role": "user", "content": "wait", "otid": "otid-1"}}, "background": true}
	o := c.open(conv+"/messages", body)
	f, err := o.next()
	require.NoError(t, err)
	run := f.json["run_id"]
	busy := c.do(409, "POST", conv+"/messages", said("x")).(object)
	assert.Equal(t, run, busy["run_id"])
	assert.Contains(t, busy["detail"], fmt.Sprintf("CONFLICT: Cannot send a new message: Another request (run_id=%s)", run))
	assert.Equal(t, "assistant=ok", views(c.do(200, "POST", conv+"/messages", said("x", "streaming", false)).(object)["messages"]))
	c.do(200, "POST", path, said("x"))
	c.stream("/v1/conversations/default/messages", said("x", "agent_id", id))

	joined := []*open{c.open(conv+"/messages", body), c.open(conv+"/stream", object{}), c.open(conv+"/stream", object{"otid": "otid-1"})}
	close(gate)
	rest, err := o.rest()
	require.ErrorIs(t, err, io.EOF)
	all := append([]frame{f}, rest...)
	for _, j := range joined {
		got, _ := j.rest()
		assert.Equal(t, all, got)
	}
	assert.Equal(t, all, c.stream(conv+"/messages", body), "even after its end")
	assert.Equal(t, all[1:], c.stream(conv+"/stream", object{"run_id": run, "starting_after": 1}))
	c.stream(conv+"/messages", said("x"))
	c.do(400, "POST", conv+"/stream", object{})
	c.do(404, "POST", conv+"/stream", object{"otid": "none"})
	c.do(409, "POST", conv+"/cancel", nil)
	c.do(404, "POST", "/v1/conversations/conv"+unknown+"/cancel", nil)

	s.Script(nil)
	o = c.open(conv+"/messages", said("SLOW 10000 a"))
	_, err = o.next()
	require.NoError(t, err)
	c.do(400, "POST", conv+"/stream", object{})
	c.do(200, "POST", conv+"/cancel", nil)
	c.stream(conv+"/messages", said("x"))
}

func TestMessagePaging(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	id, path := c.talker()
	conv := c.conversation(id) + "/messages"
	for i := range 4 {
		c.do(200, "POST", path, said(fmt.Sprint(i)))
		c.stream(conv, said(fmt.Sprint(i)))
	}
	places := func(path string, ids []string, query string) []int {
		out := []int{}
		for _, v := range c.do(200, "GET", path+query, nil).([]any) {
			out = append(out, slices.Index(ids, v.(object)["id"].(string)))
		}
		return out
	}
	for _, tt := range []struct {
		path, sep string
		n         int
		want      map[string][]int // page 1, after and before the item in the middle, after and before the last one
	}{
		{path + "?conversation_id=default", "&", 9, map[string][]int{
			"asc": {0, 1, -9, 5, 6, -9, 0, 1, -9, -9, 0, 1}, "desc": {7, 8, -9, 7, 8, -9, 2, 3, -9, -9, 6, 7},
		}},
		{conv, "?", 9, map[string][]int{
			"asc": {0, 1, -9, 5, 6, -9, 0, 1, -9, -9, 0, 1}, "desc": {8, 7, -9, 8, 7, -9, 3, 2, -9, -9, 7, 6},
		}},
		{"/v1/runs/?agent_id=" + id, "&", 8, map[string][]int{
			"asc": {0, 1, -9, 0, 1, -9, 5, 6, -9, 0, 1, -9}, "desc": {7, 6, -9, 7, 6, -9, 3, 2, -9, -9, 6, 5},
		}},
	} {
		var ids []string
		for _, v := range c.do(200, "GET", tt.path+tt.sep+"order=asc", nil).([]any) {
			ids = append(ids, v.(object)["id"].(string))
		}
		require.Len(t, ids, tt.n)
		for order, want := range tt.want {
			got := []int{}
			for i, cursor := range []string{"", "&after=" + ids[4], "&before=" + ids[4], "&after=" + ids[tt.n-1], "&before=" + ids[tt.n-1]} {
				if i > 0 {
					got = append(got, -9)
				}
				got = append(got, places(tt.path, ids, tt.sep+"limit=2&order="+order+cursor)...)
			}
			assert.Equal(t, want, got, "%s %s", tt.path, order)
		}
	}
	c.do(404, "GET", path+"?after=message"+unknown, nil)
	c.do(404, "GET", "/v1/messages/?before=message"+unknown, nil)
	assert.Len(t, c.do(200, "GET", conv+"?after=message"+unknown, nil), 9, "ignored")
	assert.Len(t, c.do(200, "GET", "/v1/runs/?agent_id="+id+"&after=run"+unknown, nil), 8)
	assert.Len(t, c.do(200, "GET", "/v1/messages/", nil), 18)
	assert.Equal(t, []any{}, c.do(200, "GET", path+"?limit=0", nil))
	c.do(500, "GET", path+"?limit=-1", nil)
}

func TestStreamFaults(t *testing.T) {
	t.Parallel()
	const whole = "ping|assistant=You|assistant= said:|assistant= x|stop_reason=end_turn|usage_statistics|[DONE]"
	for _, tt := range []struct {
		name  string
		fault lettatest.StreamFault
		want  string
		err   error // nil: silence
	}{
		{"cut at once", lettatest.StreamFault{Then: lettatest.StreamCut}, "", io.ErrUnexpectedEOF},
		{"cut", lettatest.StreamFault{After: 2, Then: lettatest.StreamCut}, "ping|assistant=You", io.ErrUnexpectedEOF},
		{"half", lettatest.StreamFault{After: 2, Half: true, Then: lettatest.StreamCut}, "ping|assistant=You", io.ErrUnexpectedEOF},
		{"end", lettatest.StreamFault{After: 3, Then: lettatest.StreamEnd}, "ping|assistant=You|assistant= said:", io.EOF},
		{"half end", lettatest.StreamFault{After: 3, Half: true, Then: lettatest.StreamEnd}, "ping|assistant=You|assistant= said:", io.EOF},
		{"stall", lettatest.StreamFault{After: 1, Then: lettatest.StreamStall}, "ping", nil},
		{"raw", lettatest.StreamFault{After: 1, Raw: "data: {nonsense\n\n"}, "ping|{nonsense" + whole[4:], io.EOF},
		{"early done", lettatest.StreamFault{After: 1, Raw: "data: [DONE]\n\n", Then: lettatest.StreamEnd}, "ping|[DONE]", io.EOF},
		{"kept open", lettatest.StreamFault{After: -1, Then: lettatest.StreamStall}, whole, nil},
		{"more behind", lettatest.StreamFault{After: -1, Raw: "data: more\n\n"}, whole + "|more", io.EOF},
		{"too late", lettatest.StreamFault{After: 100, Then: lettatest.StreamCut}, whole, io.EOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, c := start(t)
			_, path := c.talker()
			s.Fail(lettatest.Fault{Method: "POST", Path: "/v1/agents/*/messages", Times: 1, Stream: &tt.fault, Header: http.Header{"X-A": {"b"}}})
			o := c.open(path, said("x", "streaming", true, "stream_tokens", true, "background", true))
			assert.Equal(t, "b", o.resp.Header.Get("X-A"))
			if tt.err == nil {
				time.AfterFunc(100*time.Millisecond, o.stop)
				tt.err = context.Canceled
			}
			all, err := o.rest()
			require.ErrorIs(t, err, tt.err)
			assert.Equal(t, tt.want, kinds(all))
			run := c.do(200, "GET", "/v1/runs/?background=true", nil).([]any)[0].(object)["id"].(string)
			assert.Equal(t, whole, kinds(c.stream("/v1/runs/"+run+"/stream", object{})), "the run is whole")
		})
	}
}

func TestPings(t *testing.T) {
	t.Parallel()
	_, c := start(t, lettatest.WithPingInterval(20*time.Millisecond))
	_, path := c.talker()
	all := c.stream(path, said("SLOW 200 a", "streaming", true, "background", true))
	require.GreaterOrEqual(t, strings.Count(kinds(all), "ping|"), 3)
	assert.Equal(t, all[0].json["run_id"], all[1].json["run_id"])
	assert.Equal(t, 1., all[1].json["seq_id"], "the last one seen")
	assert.NotContains(t, kinds(c.stream(path, said("SLOW 200 a", "streaming", true, "include_pings", false))), "ping")
}

func TestCloseEndsTurns(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	_, path := c.talker()
	first := make(chan struct{})
	var once sync.Once
	s.Script(func(lettatest.Turn) lettatest.Reply {
		once.Do(func() { close(first) })
		return lettatest.Reply{Text: "x", Delay: time.Hour}
	})
	s.Fail(lettatest.Fault{Skip: 3, Stream: &lettatest.StreamFault{Then: lettatest.StreamStall}})
	for i, body := range []object{{"streaming": true, "stream_tokens": true}, {"streaming": true, "background": true}, {"streaming": true}} {
		body["input"] = fmt.Sprint(i)
		_, err := c.open(path, body).next()
		require.NoError(t, err)
	}
	c.open(path, said("x", "streaming", true))
	failed := make(chan error)
	go func() {
		_, _, err := newCaller(t, s).send("POST", path, said("json"))
		failed <- err
	}()
	<-first
	s.Close()
	require.Error(t, <-failed)
}

func TestManyTurns(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			c := newCaller(t, s)
			id, path := c.talker()
			conv := c.conversation(id) + "/messages"
			for i := range 40 {
				c.do(200, "POST", path, said(insert))
				c.stream(conv, said("x", "stream_tokens", i%2 == 0, "background", i%3 == 0))
				c.do(200, "GET", path+"?limit=5", nil)
				c.do(200, "GET", "/v1/runs/?limit=5", nil)
				c.do(200, "GET", "/v1/agents/"+id+"?include=agent.pending_approval", nil)
			}
			c.do(200, "DELETE", "/v1/agents/"+id, nil)
		})
	}
	wg.Wait()
	assert.Equal(t, []any{}, newCaller(t, s).do(200, "GET", "/v1/runs/", nil))
	assert.Equal(t, []any{}, newCaller(t, s).do(200, "GET", "/v1/messages/", nil))
}

func TestAgentBlocks(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	id, _ := c.talker()
	path := "/v1/agents/" + id + "/core-memory/blocks"
	b := c.do(200, "POST", "/v1/blocks/", object{"label": "other", "value": "v"}).(object)["id"].(string)
	for range 2 {
		assert.Len(t, c.do(200, "PATCH", path+"/attach/"+b, nil).(object)["blocks"], 2)
	}
	same := c.do(200, "POST", "/v1/blocks/", object{"label": "other", "value": "w"}).(object)["id"].(string)
	c.do(409, "PATCH", path+"/attach/"+same, nil)
	c.do(404, "PATCH", path+"/attach/block"+unknown, nil)
	assert.Equal(t, "z", c.do(200, "PATCH", path+"/other", object{"value": "z"}).(object)["value"])
	assert.Equal(t, "z", c.do(200, "GET", path+"/other", nil).(object)["value"])
	assert.Len(t, c.do(200, "GET", path, nil), 2)
	assert.Len(t, c.do(200, "PATCH", path+"/detach/"+b, nil).(object)["blocks"], 1)
	c.do(404, "PATCH", path+"/detach/"+b, nil)
	c.do(404, "GET", path+"/other", nil)
	c.do(404, "GET", "/v1/agents/agent"+unknown+"/core-memory/blocks", nil)
}
