package lettatest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/letta-go/letta/lettatest"
)

// differs lists the recorded exchanges that this server answers otherwise, or not at all, and why. An entry that became needless fails the test.
var differs = map[string]string{}

// replayOptions makes the server like the one that was recorded.
func replayOptions() []lettatest.Option {
	return []lettatest.Option{
		lettatest.WithCancelInterval(500 * time.Millisecond / hurry),
		lettatest.WithModels("letta/letta-free", "openai-proxy/gpt-4", "openai-proxy/gpt-4.1", "openai-proxy/gpt-4o", "openai-proxy/gpt-4o-mini",
			"openai-proxy/text-embedding-3-small", "openai-proxy/text-embedding-ada-002"),
	}
}

// replayTools gives it the MCP server that was there: two tools, and a third one with another argument.
func replayTools(s *lettatest.Server) {
	integers := map[string]any{"type": "object", "properties": map[string]any{"a": map[string]any{"type": "integer"}, "b": map[string]any{"type": "integer"}}}
	add := lettatest.MCPTool{Name: "add", Description: "Adds two whole numbers.", Parameters: integers, Run: func(arguments string) (string, error) {
		var in struct{ A, B *int }
		if err := json.Unmarshal([]byte(arguments), &in); err != nil {
			return "", err
		} else if in.A == nil || in.B == nil {
			return "", errors.New("a and b are required")
		}
		return fmt.Sprint(*in.A + *in.B), nil
	}}
	fail := lettatest.MCPTool{Name: "fail", Description: "Fails.", Run: func(arguments string) (string, error) {
		var in struct{ Reason string }
		_ = json.Unmarshal([]byte(arguments), &in)
		return "", errors.New("Error executing tool fail: " + in.Reason)
	}}
	echo := lettatest.MCPTool{Name: "echo", Description: "Repeats.", Run: func(arguments string) (string, error) { return arguments, nil }}
	s.MCP("<dir>", add, fail)
	s.MCP("<dir> <dir> extra", add, fail, echo)
}
