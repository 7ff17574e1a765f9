package lettatest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/letta-go/letta/internal/python"
)

// read is a result as the model reads it: packed, with value for its message.
func (r toolReturn) read(a *agent, at time.Time, value any) toolReturn {
	status := "OK"
	if r.failed {
		status = "Failed"
	}
	r.said = packed("status", status, "message", value, "time", clock(a, at))
	return r
}

func denied(a *agent, at time.Time, id, reason string) toolReturn {
	r := toolReturn{id: id, failed: true, text: "Error: request to call tool denied. User reason: " + reason}
	return r.read(a, at, r.text)
}

// clientReturn is a result that a client sent.
func clientReturn(a *agent, at time.Time, o object) toolReturn {
	r := toolReturn{id: text(o, "tool_call_id"), failed: o["status"] == "error", text: text(o, "tool_return"), stdout: o["stdout"], stderr: o["stderr"]}
	parts, isList := o["tool_return"].([]any)
	if !isList {
		return r.read(a, at, r.text)
	}
	r.shown, r.text = parts, textOf(parts, "\n")
	r.said = r.text
	return r
}

// execute runs tools of the server. What was approved may be any tool.
func (t *turn) execute(calls []ToolCall, approved bool) []toolReturn {
	out := make([]toolReturn, 0, len(calls))
	for _, c := range calls {
		out = append(out, t.executeOne(c, approved))
	}
	return out
}

func (t *turn) executeOne(c ToolCall, approved bool) toolReturn {
	r := toolReturn{id: c.ID, name: c.Name}
	var run func(string) (string, error)
	var value any
	var bad *python.Error
	t.locked(func(a *agent) {
		w := t.w
		var names []string
		var tool *row
		for _, have := range tools.of(w, a) {
			if names = append(names, text(have.fields, "name")); have.fields["name"] == c.Name {
				tool = have
			}
		}
		switch {
		case tool == nil && approved:
			r.failed, r.text = true, "Tool not found"
			return
		case tool == nil:
			r.failed = true
			r.text = fmt.Sprintf("[ToolConstraintError] Cannot call %s, valid tools include: [%s].", c.Name, printed(names))
			return
		case !slices.Contains(t.run.tools, tool.id):
			t.run.tools = append(t.run.tools, tool.id)
		}
		if run = w.functions[c.Name]; run == nil {
			run = w.serverFunction(tool)
		}
		var args object
		switch {
		case run != nil:
		case isLettaTool(tool):
			r.text, value, bad = w.builtin(a, c)
		case readJSON([]byte(c.Arguments), &args) == nil:
			r.text, bad = callTool(nil, text(tool.fields, "source_code"), args)
		}
	})
	if run != nil {
		out, err := run(c.Arguments)
		if r.text = out; err != nil {
			bad = &python.Error{Kind: "RuntimeError", Text: err.Error()}
		}
	}
	if bad != nil {
		r.failed, r.text, value = true, bad.Text, nil
		r.stderr = []any{bad.In(c.Name)}
	}
	if value == nil {
		value = r.text
	}
	t.locked(func(a *agent) { r = r.read(a, t.w.now(), value) })
	return r
}

// builtins are the built-in tools that run here.
var builtins = strings.Fields(
	"memory_insert memory_replace memory_rethink core_memory_append core_memory_replace send_message conversation_search")

// builtin runs a built-in tool. value is the result as JSON if it is no string.
func (w *world) builtin(a *agent, c ToolCall) (out string, value any, bad *python.Error) {
	failed := func(kind, format string, args ...any) (string, any, *python.Error) {
		return "", nil, &python.Error{Kind: kind, Text: fmt.Sprintf(format, args...)}
	}
	if !slices.Contains(builtins, c.Name) {
		return failed("NotImplementedError", "lettatest does not run %s; see Server.Tool", c.Name)
	}
	params := get[object](get[object](w.toolNamed(c.Name).fields, "json_schema"), "parameters")
	args := object{}
	_ = readJSON([]byte(c.Arguments), &args) // what is no object counts as an empty one
	missing := slices.DeleteFunc(texts(params, "required"), func(name string) bool { return args[name] != nil })
	for name := range args {
		if get[object](params, "properties")[name] == nil {
			return failed("TypeError", "LettaCoreToolExecutor.%s() got an unexpected keyword argument %s", c.Name, python.Repr(name))
		}
	}
	if len(missing) > 0 {
		return failed("TypeError", "LettaCoreToolExecutor.%s() missing %d required positional arguments: '%s'", c.Name, len(missing),
			strings.Join(missing, "' and '"))
	}
	if c.Name == "conversation_search" {
		out, value = w.recall(a, text(args, "query"))
		return out, value, nil
	}
	if c.Name == "send_message" {
		return "Sent message successfully.", nil, nil
	}
	var b *row
	var labels []string
	for _, id := range a.links["block"] {
		have := w.blocks.get(id)
		if labels = append(labels, text(have.fields, "label")); have.fields["label"] == args["label"] {
			b = have
		}
	}
	if b == nil {
		return failed("KeyError", "%s", python.Repr(fmt.Sprintf("Block field %s does not exist (available sections = %s)", text(args, "label"),
			strings.Join(labels, ", "))))
	}
	if flag(b.fields, "read_only") {
		return failed("ValueError", "This block is read-only and cannot be edited.")
	}
	old := text(b.fields, "value")
	switch c.Name {
	case "memory_insert":
		lines := strings.Split(old, "\n")
		at := len(lines)
		if n, ok := args["insert_line"].(json.Number); ok && n != "-1" {
			i, _ := n.Int64()
			at = int(i)
		}
		if at < 0 || at > len(lines) {
			return failed("ValueError", "Invalid `insert_line` parameter: %d. It should be within the range of lines of the memory block: [0, %d], or "+
				"-1 to append to the end of the memory block.", at, len(lines))
		}
		out = strings.Join(slices.Insert(lines, at, strings.Split(text(args, "new_string"), "\n")...), "\n")
	case "memory_rethink":
		out = text(args, "new_memory")
	case "core_memory_append":
		out = old + "\n" + text(args, "content")
	default:
		from, to := text(args, "old_string")+text(args, "old_content"), text(args, "new_string")+text(args, "new_content")
		if !strings.Contains(old, from) {
			return failed("ValueError", "Old content '%s' not found in memory block '%s'", from, text(args, "label"))
		}
		out = strings.Replace(old, from, to, 1)
	}
	b.fields["value"] = out
	w.changedBlock(b)
	return out, nil, nil
}

// recall is conversation_search: messages that contain a text, newest first. It is told in Python to clients and in JSON to the model.
func (w *world) recall(a *agent, query string) (string, any) {
	var told []string
	var value []string
	for i := len(a.history) - 1; i >= 0 && len(told) < 5; i-- {
		m := a.history[i]
		if m.role != "user" && m.role != "assistant" || m.text == "" || !strings.Contains(strings.ToLower(m.text), strings.ToLower(query)) {
			continue
		}
		ago := fmt.Sprintf("%ds ago", int(time.Since(m.created).Seconds()))
		told = append(told, fmt.Sprintf("{'timestamp': '%s', 'time_ago': '%s', 'role': '%s', 'relevance': {'search_mode': 'sql'}, 'content': %s}",
			pyTime(m.created), ago, m.role, python.Repr(m.text)))
		value = append(value, fmt.Sprintf(`{"timestamp":%q,"time_ago":%q,"role":%q,"relevance":{"search_mode":"sql"},"content":%s}`,
			pyTime(m.created), ago, m.role, encode(m.text)))
	}
	say := "No results found."
	if told != nil {
		say = fmt.Sprintf("Showing %d results:", len(told))
	}
	return fmt.Sprintf("{'message': '%s', 'results': [%s]}", say, strings.Join(told, ", ")),
		json.RawMessage(fmt.Sprintf(`{"message":%q,"results":[%s]}`, say, strings.Join(value, ",")))
}
