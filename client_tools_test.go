package letta_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/internal/apispec"
)

// callsJSON is an answer that asks for calls, each given as "id name arguments".
func callsJSON(calls ...string) string {
	var list []letta.ToolCall
	for _, c := range calls {
		words := strings.SplitN(c, " ", 3)
		list = append(list, letta.ToolCall{ToolCallID: letta.ToolCallID(words[0]), Name: words[1], Arguments: words[2]})
	}
	data, _ := json.Marshal(list)
	return fmt.Sprintf(`{"messages":[{"id":"message-1","message_type":"approval_request_message","run_id":"run-1","tool_call":null,"tool_calls":%s}],`+
		`"stop_reason":{"message_type":"stop_reason","stop_reason":"requires_approval"},"usage":{"completion_tokens":5,"prompt_tokens":10,"total_tokens":15,"step_count":1,"context_tokens":15}}`, data)
}

// rounds answers the n-th POST with the n-th body, and all later ones with the last.
func rounds(t *testing.T, bodies ...string) (*server, *letta.AgentMessageService) {
	var n atomic.Int32
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		reply(200, bodies[min(int(n.Add(1)), len(bodies))-1])(w, r)
	})
	return s, s.client(t).Agents.Messages
}

// answered are the approvals of the n-th request.
func answered(t *testing.T, s *server, n int) []map[string]any {
	t.Helper()
	require.Greater(t, len(s.seen("POST")), n)
	var body struct {
		Messages []struct {
			Type      string           `json:"type"`
			Approvals []map[string]any `json:"approvals"`
		} `json:"messages"`
	}
	require.NoError(t, json.Unmarshal([]byte(s.seen("POST")[n].Body), &body))
	require.Len(t, body.Messages, 1)
	require.Equal(t, "approval", body.Messages[0].Type)
	return body.Messages[0].Approvals
}

func tool[In, Out any](t *testing.T, name string, f func(context.Context, In) (Out, error)) *letta.FuncTool {
	t.Helper()
	tool, err := letta.NewTool(name, "does "+name, f)
	require.NoError(t, err)
	return tool
}

type weatherInput struct {
	City string   `json:"city" jsonschema:"where to look"`
	Days int      `json:"days,omitempty" jsonschema:"how many"`
	Tags []string `json:"tags,omitzero"`
	At   struct {
		Lat float64 `json:"lat"`
	} `json:"at"`
	hidden int
	Also   string `json:"-"`
}

func TestNewToolSchema(t *testing.T) {
	t.Parallel()
	weather := tool(t, "weather", func(_ context.Context, in weatherInput) (int, error) { return in.hidden, nil })
	require.Equal(t, "weather", weather.Name)
	require.Equal(t, "does weather", weather.Description)
	var schema struct {
		Type       string `json:"type"`
		Properties map[string]struct {
			Type        any    `json:"type"`
			Description string `json:"description"`
			Properties  map[string]any
		} `json:"properties"`
		Required []string `json:"required"`
	}
	require.NoError(t, json.Unmarshal(weather.Parameters, &schema))
	require.Equal(t, "object", schema.Type)
	require.ElementsMatch(t, []string{"city", "at"}, schema.Required)
	require.Len(t, schema.Properties, 4)
	require.Equal(t, "string", schema.Properties["city"].Type)
	require.Equal(t, "where to look", schema.Properties["city"].Description)
	require.Equal(t, "integer", schema.Properties["days"].Type)
	require.Contains(t, schema.Properties["at"].Properties, "lat")

	type none struct{}
	empty := tool(t, "empty", func(context.Context, none) (string, error) { return "", nil })
	require.Contains(t, string(empty.Parameters), `"object"`)
	tool(t, "map", func(context.Context, map[string]any) (string, error) { return "", nil })

	for name, err := range map[string]error{
		"no name":     second(letta.NewTool("", "", func(context.Context, none) (string, error) { return "", nil })),
		"no function": second(letta.NewTool[none, string]("x", "", nil)),
		"a string":    second(letta.NewTool("x", "", func(context.Context, string) (string, error) { return "", nil })),
		"a pointer":   second(letta.NewTool("x", "", func(context.Context, *none) (string, error) { return "", nil })),
		"a slice":     second(letta.NewTool("x", "", func(context.Context, []int) (string, error) { return "", nil })),
		"an any":      second(letta.NewTool("x", "", func(context.Context, any) (string, error) { return "", nil })),
		"a channel":   second(letta.NewTool("x", "", func(context.Context, struct{ C chan int }) (string, error) { return "", nil })),
	} {
		require.ErrorContains(t, err, "letta: NewTool", name)
	}
}

func second[T any](_ T, err error) error { return err }

func TestRunToolsRounds(t *testing.T) {
	t.Parallel()
	type city struct {
		City string `json:"city"`
	}
	type report struct {
		Sky  string `json:"sky"`
		Temp int    `json:"temp"`
	}
	s, m := rounds(t, callsJSON(`call_1 text {"city":"Rome"}`, `call_2 report {"city":"Oslo"}`), callsJSON(`call_3 nothing {}`, `call_4 list {}`), turnJSON)
	params := helloParams()
	params.ClientTools = append(make([]letta.ClientTool, 0, 8), letta.ClientTool{Name: "own"})
	params.MaxSteps = 7
	before := toJSON(t, params)
	response, err := m.RunTools(t.Context(), streamAgent, params, &letta.ToolRun{Tools: []*letta.FuncTool{
		tool(t, "text", func(_ context.Context, in city) (string, error) { return "sunny in " + in.City, nil }),
		tool(t, "report", func(_ context.Context, in city) (report, error) { return report{in.City, -3}, nil }),
		tool(t, "nothing", func(context.Context, map[string]any) (*report, error) { return nil, nil }),
		tool(t, "list", func(context.Context, struct{}) ([]string, error) { return []string{"<a>"}, nil }),
	}})
	require.NoError(t, err)
	require.Equal(t, before, toJSON(t, params))
	require.Empty(t, params.ClientTools[:2][1].Name, "the caller's slice has room, which is the caller's")
	require.Equal(t, []map[string]any{
		{"type": "tool", "tool_call_id": "call_1", "status": "success", "tool_return": "sunny in Rome"},
		{"type": "tool", "tool_call_id": "call_2", "status": "success", "tool_return": `{"sky":"Oslo","temp":-3}`},
	}, answered(t, s, 1))
	require.Equal(t, "null", answered(t, s, 2)[0]["tool_return"])
	var list []string
	require.NoError(t, json.Unmarshal([]byte(answered(t, s, 2)[1]["tool_return"].(string)), &list))
	require.Equal(t, []string{"<a>"}, list)
	for _, r := range s.seen("POST") { // each round offers the tools
		var body struct {
			ClientTools []letta.ClientTool `json:"client_tools"`
			MaxSteps    int                `json:"max_steps"`
		}
		require.NoError(t, json.Unmarshal([]byte(r.Body), &body))
		require.Len(t, body.ClientTools, 5)
		require.Equal(t, 7, body.MaxSteps)
	}
	require.Len(t, response.Messages, 3)
	require.Len(t, response.ToolCalls(), 4)
	require.Equal(t, "hi", response.Text())
	require.Equal(t, letta.StopReasonEndTurn, response.StopReason)
	require.Equal(t, 45, response.Usage.TotalTokens)
	require.Equal(t, 3, response.Usage.StepCount)
}

func TestRunToolsOnRecordedAnswers(t *testing.T) {
	t.Parallel()
	call, ok := apispec.Recording(apispec.ServerV1, "agents.messages.create.client_tool_call")
	require.True(t, ok)
	result, ok := apispec.Recording(apispec.ServerV1, "agents.messages.create.client_tool_return")
	require.True(t, ok)
	s, m := rounds(t, string(call.Body), string(result.Body))
	type in struct {
		Q string `json:"q"`
	}
	response, err := m.RunTools(t.Context(), streamAgent, helloParams(), &letta.ToolRun{Tools: []*letta.FuncTool{
		tool(t, "rec_client_tool", func(_ context.Context, in in) (int, error) { return len(in.Q) * 42, nil }),
	}})
	require.NoError(t, err)
	require.Equal(t, []map[string]any{{"type": "tool", "tool_call_id": "call_2cfdf646576a402b98a6", "status": "success", "tool_return": "42"}}, answered(t, s, 1))
	require.Contains(t, response.Text(), "Tool said")
	require.Empty(t, response.PendingCalls(), "the call was answered")
}

func TestToolsRunSideBySide(t *testing.T) {
	t.Parallel()
	_, m := rounds(t, callsJSON("call_1 left {}", "call_2 right {}"), turnJSON)
	left, right := make(chan struct{}), make(chan struct{})
	meet := func(mine, other chan struct{}) func(context.Context, struct{}) (string, error) {
		return func(ctx context.Context, _ struct{}) (string, error) {
			close(mine)
			select {
			case <-other:
				return "met", nil
			case <-ctx.Done():
				return "", ctx.Err()
			}
		}
	}
	_, err := m.RunTools(streamContext(t), streamAgent, helloParams(), &letta.ToolRun{Tools: []*letta.FuncTool{tool(t, "left", meet(left, right)), tool(t, "right", meet(right, left))}})
	require.NoError(t, err)
}

func TestFailingTools(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	deaf := tool(t, "deaf", func(context.Context, struct{}) (string, error) { <-release; return "late", nil })
	deaf.Timeout = 20 * time.Millisecond
	heedful := tool(t, "heedful", func(ctx context.Context, _ struct{}) (string, error) { <-ctx.Done(); return "", ctx.Err() })
	heedful.Timeout = 20 * time.Millisecond
	for _, tt := range []struct {
		tool  *letta.FuncTool
		args  string
		words string
	}{
		{tool(t, "fails", func(context.Context, struct{}) (string, error) { return "half", errors.New("no such city") }), "{}", "no such city"},
		{tool(t, "panics", func(context.Context, struct{}) (string, error) { panic("index out of range") }), "{}", "index out of range"},
		{tool(t, "panics_nil", func(context.Context, struct{}) (string, error) { var p *int; return fmt.Sprint(*p), nil }), "{}", "nil pointer"},
		{tool(t, "unencodable", func(context.Context, struct{}) (chan int, error) { return make(chan int), nil }), "{}", "unsupported type"},
		{tool(t, "strict", func(context.Context, struct{ N int }) (string, error) { return "ran", nil }), `{"N":"x"}`, "do not fit"},
		{tool(t, "strict", func(context.Context, struct{ N int }) (string, error) { return "ran", nil }), `{"N":`, "do not fit"},
		{tool(t, "strict", func(context.Context, struct{ N int }) (string, error) { return "ran", nil }), `[]`, "do not fit"},
		{deaf, "{}", "20ms"},
		{heedful, "{}", "deadline exceeded"},
	} {
		t.Run(tt.tool.Name+tt.args, func(t *testing.T) {
			t.Parallel()
			s, m := rounds(t, callsJSON("call_1 "+tt.tool.Name+" "+tt.args, "call_2 good {}"), turnJSON)
			good := tool(t, "good", func(context.Context, struct{}) (string, error) { return "fine", nil })
			response, err := m.RunTools(streamContext(t), streamAgent, helloParams(), &letta.ToolRun{Tools: []*letta.FuncTool{tt.tool, good}})
			require.NoError(t, err)
			require.Equal(t, "hi", response.Text())
			answers := answered(t, s, 1)
			require.Equal(t, "error", answers[0]["status"])
			require.Contains(t, answers[0]["tool_return"], tt.words)
			require.NotContains(t, answers[0]["tool_return"], "goroutine ", "a stack is not for the model")
			require.Equal(t, "fine", answers[1]["tool_return"])
		})
	}
}

func TestToolWithoutArguments(t *testing.T) {
	t.Parallel()
	s, m := rounds(t, callsJSON("call_1 now "), turnJSON)
	_, err := m.RunTools(t.Context(), streamAgent, helloParams(), &letta.ToolRun{Tools: []*letta.FuncTool{tool(t, "now", func(context.Context, struct{}) (string, error) { return "noon", nil })}})
	require.NoError(t, err)
	require.Equal(t, "noon", answered(t, s, 1)[0]["tool_return"])
}

func TestToolThatExitsItsGoroutine(t *testing.T) {
	t.Parallel()
	s, m := rounds(t, callsJSON("call_1 exits {}"), turnJSON)
	exits := tool(t, "exits", func(context.Context, struct{}) (string, error) { runtime.Goexit(); return "", nil })
	exits.Timeout = 300 * time.Millisecond
	_, err := m.RunTools(streamContext(t), streamAgent, helloParams(), &letta.ToolRun{Tools: []*letta.FuncTool{exits}})
	require.NoError(t, err)
	require.Equal(t, "error", answered(t, s, 1)[0]["status"])
	require.NotContains(t, answered(t, s, 1)[0]["tool_return"], "300ms")
}

func TestTooManyRounds(t *testing.T) {
	t.Parallel()
	for most, want := range map[int]int{0: 11, 1: 2, 3: 4} {
		s, m := rounds(t, callsJSON("call_1 again {}"))
		var runs atomic.Int32
		response, err := m.RunTools(t.Context(), streamAgent, helloParams(), &letta.ToolRun{MaxRounds: most, Tools: []*letta.FuncTool{
			tool(t, "again", func(context.Context, struct{}) (string, error) { runs.Add(1); return "", nil }),
		}})
		require.ErrorIs(t, err, letta.ErrTooManyRounds)
		require.Len(t, s.seen("POST"), want)
		require.EqualValues(t, want-1, runs.Load())
		require.Len(t, response.Messages, want)
		require.Equal(t, letta.StopReasonRequiresApproval, response.StopReason)
	}
}

func TestForeignCalls(t *testing.T) {
	t.Parallel()
	var mine atomic.Int32
	own := tool(t, "own", func(context.Context, struct{}) (string, error) { mine.Add(1); return "ok", nil })
	calls := callsJSON("call_1 own {}", "call_2 delete_all {}", "call_3 pay {}")

	s, m := rounds(t, calls, turnJSON)
	response, err := m.RunTools(t.Context(), streamAgent, helloParams(), &letta.ToolRun{Tools: []*letta.FuncTool{own}})
	require.ErrorIs(t, err, letta.ErrPendingApproval)
	require.ErrorContains(t, err, "delete_all")
	require.Len(t, response.PendingCalls(), 3)
	require.Len(t, s.seen("POST"), 1)
	require.Zero(t, mine.Load(), "its return could not be sent")

	var asked []string
	decide := func(_ context.Context, c letta.ToolCall) *letta.ApprovalReturn {
		asked = append(asked, c.Name)
		return &letta.ApprovalReturn{Approve: c.Name == "pay", Reason: "because", ToolCallID: "wrong"}
	}
	s, m = rounds(t, calls, turnJSON)
	_, err = m.RunTools(t.Context(), streamAgent, helloParams(), &letta.ToolRun{Tools: []*letta.FuncTool{own}, Approve: decide})
	require.NoError(t, err)
	require.Equal(t, []string{"delete_all", "pay"}, asked)
	require.Equal(t, []map[string]any{
		{"type": "tool", "tool_call_id": "call_1", "status": "success", "tool_return": "ok"},
		{"type": "approval", "tool_call_id": "call_2", "approve": false, "reason": "because"},
		{"type": "approval", "tool_call_id": "call_3", "approve": true, "reason": "because"},
	}, answered(t, s, 1))

	s, m = rounds(t, calls, turnJSON)
	_, err = m.RunTools(t.Context(), streamAgent, helloParams(), &letta.ToolRun{Tools: []*letta.FuncTool{own}, Approve: func(context.Context, letta.ToolCall) *letta.ApprovalReturn { return nil }})
	require.ErrorIs(t, err, letta.ErrPendingApproval)
	require.Len(t, s.seen("POST"), 1)
}

func TestOneDecisionForAll(t *testing.T) {
	t.Parallel()
	s, m := rounds(t, callsJSON("call_1 pay {}", "call_2 pay {}"), turnJSON)
	deny := &letta.ApprovalReturn{Reason: "never"}
	_, err := m.RunTools(t.Context(), streamAgent, helloParams(), &letta.ToolRun{Approve: func(context.Context, letta.ToolCall) *letta.ApprovalReturn { return deny }})
	require.NoError(t, err)
	answers := answered(t, s, 1)
	require.Equal(t, []any{"call_1", "call_2"}, []any{answers[0]["tool_call_id"], answers[1]["tool_call_id"]})
	require.Empty(t, deny.ToolCallID, "the caller's")
}

func TestHiddenCalls(t *testing.T) {
	t.Parallel()
	s, m := rounds(t, `{"messages":[],"stop_reason":{"stop_reason":"requires_approval"},"usage":{}}`)
	params := helloParams()
	params.IncludeReturnMessageTypes = []letta.MessageType{"assistant_message"}
	_, err := m.RunTools(t.Context(), streamAgent, params, &letta.ToolRun{Tools: []*letta.FuncTool{tool(t, "own", func(context.Context, struct{}) (string, error) { return "", nil })}})
	require.ErrorIs(t, err, letta.ErrPendingApproval)
	require.NotEmpty(t, s.seen("POST"))
}

func TestRunToolsBadTools(t *testing.T) {
	t.Parallel()
	s, m := rounds(t, turnJSON)
	good := tool(t, "good", func(context.Context, struct{}) (string, error) { return "", nil })
	for name, tools := range map[string][]*letta.FuncTool{
		"nil": {good, nil}, "twice": {good, good}, "homemade": {good, {ClientTool: letta.ClientTool{Name: "x"}}},
	} {
		_, err := m.RunTools(t.Context(), streamAgent, helloParams(), &letta.ToolRun{Tools: tools})
		require.ErrorContains(t, err, "tools[1]", name)
	}
	require.Empty(t, s.seen(""))
}

func TestRunToolsCancelled(t *testing.T) {
	t.Parallel()
	cause := errors.New("shutting down")
	for _, heeds := range []bool{true, false} {
		s, m := rounds(t, callsJSON("call_1 waits {}"), turnJSON)
		ctx, cancel := context.WithCancelCause(t.Context())
		release := make(chan struct{})
		waits := tool(t, "waits", func(ctx context.Context, _ struct{}) (string, error) {
			cancel(cause)
			if heeds {
				<-ctx.Done()
				return "", ctx.Err()
			}
			<-release
			return "", nil
		})
		response, err := m.RunTools(ctx, streamAgent, helloParams(), &letta.ToolRun{Tools: []*letta.FuncTool{waits}})
		close(release)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, cause)
		require.Len(t, response.PendingCalls(), 1, "what came so far")
		require.Len(t, s.seen("POST"), 1)
	}
}

func TestRunToolsRequestFails(t *testing.T) {
	t.Parallel()
	var n atomic.Int32
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 1 {
			reply(200, callsJSON("call_1 own {}"))(w, r)
			return
		}
		reply(500, "{}")(w, r)
	})
	own := tool(t, "own", func(context.Context, struct{}) (string, error) { return "", nil })
	response, err := s.client(t).Agents.Messages.RunTools(t.Context(), streamAgent, helloParams(), &letta.ToolRun{Tools: []*letta.FuncTool{own}})
	require.ErrorIs(t, err, letta.ErrServer)
	require.Len(t, response.Messages, 1)
	require.Len(t, s.seen("POST"), 2)
}

func TestOneToolRunForMany(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Messages []struct {
				Approvals []any `json:"approvals"`
			} `json:"messages"`
		}
		_ = json.NewDecoder(r.Body).Decode(&body)
		if body.Messages[0].Approvals == nil {
			reply(200, callsJSON("call_1 own {}", "call_2 own {}", "call_3 pay {}"))(w, r)
			return
		}
		reply(200, turnJSON)(w, r)
	})
	client := s.client(t)
	var runs atomic.Int32
	run := &letta.ToolRun{
		Tools: []*letta.FuncTool{tool(t, "own", func(context.Context, struct{}) (string, error) { runs.Add(1); return "ok", nil })},
		Approve: func(context.Context, letta.ToolCall) *letta.ApprovalReturn {
			return &letta.ApprovalReturn{Approve: true}
		},
	}
	params := helloParams()
	params.ClientTools = make([]letta.ClientTool, 1, 4)
	var callers sync.WaitGroup
	for range 20 {
		callers.Go(func() {
			_, err := client.Agents.Messages.RunTools(t.Context(), streamAgent, params, run)
			assert.NoError(t, err)
		})
	}
	callers.Wait()
	require.EqualValues(t, 40, runs.Load())
}
