package lettatest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/letta-go/letta/lettatest"
)

// differs lists the recorded exchanges that this server answers otherwise, or not at all, and why. An entry that became needless fails the test.
var differs = func() map[string]string {
	out := map[string]string{
		"agents.messages.compact.settings":            "the recorded server failed: its scripted model gave a summary that it could not use",
		"agents.messages.list":                        "a turn in the background had not ended there yet",
		"agents.messages.list.after_compact":          "a turn in the background had ended late there",
		"agents.messages.list.types":                  "a turn in the background had not ended there yet",
		"agents.messages.create.stream_pings":         "the recorded model waited behind a word, this one waits before it",
		"folders.files.list":                          "files are done at once here",
		"folders.files.list.include_content":          "files are done at once here",
		"mcp_servers.create.error_stdio_disabled_400": "a setting of that server: nothing is started here",
		"messages.list.asc.page2_after":               "the recorded server held older messages of others",
		"x.agents.generate":                           "the official client has no such method, and nobody asked for it",
		"x.agents.preview_raw_payload":                "the official client has no such method, and nobody asked for it",
	}
	for reason, names := range map[string][]string{
		"there is no meaning here: a search goes by words": {"agents.passages.search", "agents.passages.search.tags", "passages.search"},
		"agents from before letta_v1_agent speak through a tool: not copied": {
			"agents.messages.create.memgpt_agent", "agents.messages.create.memgpt_agent_thinking", "agents.messages.create.memgpt_v2_agent",
			"agents.messages.create.memgpt_v2_agent_thinking",
		},
		"of the hosted service: served here by its documentation": {
			"access_tokens.create", "access_tokens.list", "agents.schedule.create", "agents.schedule.list", "environments.list",
			"environments.send_message", "templates.create", "templates.rollback", "templates.update",
		},
	} {
		for _, name := range names {
			out[name] = reason
		}
	}
	return out
}()

// byChance are the lists whose order is that of random ids, by the beginning of their names: of these only the members of a row are compared.
var byChance = map[string]string{
	"agents.blocks.list":  "blocks that were made at one time come by id",
	"agents.files.list":   "paged by id",
	"agents.folders.list": "cursors compare ids",
	"agents.tools.list":   "cursors compare ids",
}

// cutShort are streams that somebody cut, besides those whose name says so.
var cutShort = []string{"agents.messages.create.stream_background_cut", "conversations.messages.create.default_background"}

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
