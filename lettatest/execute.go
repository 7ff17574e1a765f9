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
	r.said = report{Status: status, Message: value, Time: clock(a, at)}.String()
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
	var run tool
	t.locked(func(a *agent) {
		have := tools.of(t.w, a)
		i := slices.IndexFunc(have, func(have *row) bool { return have.fields["name"] == c.Name })
		switch {
		case i >= 0:
			run = t.w.runner(a, have[i], c.Arguments)
			if !slices.Contains(t.run.tools, have[i].id) {
				t.run.tools = append(t.run.tools, have[i].id)
			}
		case approved:
			r.text = "Tool not found"
		default:
			names := shown(have, func(have *row) any { return have.fields["name"] })
			r.text = fmt.Sprintf("[ToolConstraintError] Cannot call %s, valid tools include: %s.", c.Name, python.Repr(names))
		}
	})
	var value any
	if r.failed = run == nil; run != nil {
		var bad *python.Error
		if r.text, value, bad = run(); bad != nil {
			r.failed, r.text, value, r.stderr = true, bad.Text, nil, []any{bad.In(c.Name)}
		}
	}
	t.locked(func(a *agent) { r = r.read(a, t.w.now(), or(value, r.text)) })
	return r
}

// A tool is ready to run, outside of the lock. value is its result as JSON if that is no string.
type tool func() (out string, value any, bad *python.Error)

// runner makes a tool ready: what was given to Server.Tool or Server.MCP, a built-in one, or else its source.
func (w *world) runner(a *agent, r *row, arguments string) tool {
	run := w.functions[text(r.fields, "name")]
	if run == nil {
		run = w.serverFunction(r)
	}
	switch {
	case run != nil:
		return func() (string, any, *python.Error) {
			out, err := run(arguments)
			if err != nil {
				return "", nil, &python.Error{Kind: "RuntimeError", Text: err.Error()}
			}
			return out, nil, nil
		}
	case isLettaTool(r):
		out, value, bad := w.builtin(a, text(r.fields, "name"), arguments)
		return func() (string, any, *python.Error) { return out, value, bad }
	}
	def, parsed := python.Parse(text(r.fields, "source_code"))
	return func() (string, any, *python.Error) {
		if !parsed {
			return "", nil, &python.Error{Kind: "SyntaxError", Text: "invalid syntax"}
		}
		var args object
		_ = readJSON([]byte(arguments), &args) // what is no object counts as an empty one
		out, bad := def.Call(args)
		return out, nil, bad
	}
}

// builtins are the built-in tools that run here.
var builtins = strings.Fields(
	"memory_insert memory_replace memory_rethink core_memory_append core_memory_replace send_message conversation_search")

// builtin runs a built-in tool. value is the result as JSON if it is no string.
func (w *world) builtin(a *agent, name, arguments string) (out string, value any, bad *python.Error) {
	failed := func(kind, format string, args ...any) (string, any, *python.Error) {
		return "", nil, &python.Error{Kind: kind, Text: fmt.Sprintf(format, args...)}
	}
	if !slices.Contains(builtins, name) {
		return failed("NotImplementedError", "lettatest does not run %s; see Server.Tool", name)
	}
	params := get[object](get[object](w.toolNamed(name).fields, "json_schema"), "parameters")
	args := object{}
	_ = readJSON([]byte(arguments), &args) // what is no object counts as an empty one
	for arg := range args {
		if get[object](params, "properties")[arg] == nil {
			return failed("TypeError", "LettaCoreToolExecutor.%s() got an unexpected keyword argument %s", name, python.Repr(arg))
		}
	}
	missing := slices.DeleteFunc(texts(params, "required"), func(arg string) bool { return args[arg] != nil })
	if len(missing) > 0 {
		return failed("TypeError", "LettaCoreToolExecutor.%s() missing %d required positional arguments: '%s'", name, len(missing),
			strings.Join(missing, "' and '"))
	}
	switch name {
	case "conversation_search":
		out, value = w.recall(a, text(args, "query"))
		return out, value, nil
	case "send_message":
		return "Sent message successfully.", nil, nil
	}
	var labels []string
	for _, b := range blocks.of(w, a) {
		if labels = append(labels, text(b.fields, "label")); b.fields["label"] != args["label"] {
			continue
		}
		if flag(b.fields, "read_only") {
			return failed("ValueError", "This block is read-only and cannot be edited.")
		}
		if out, bad = edited(name, text(b.fields, "value"), args); bad == nil {
			b.fields["value"] = out
			w.changedBlock(b)
		}
		return out, nil, bad
	}
	return failed("KeyError", "'Block field %s does not exist (available sections = %s)'", text(args, "label"), strings.Join(labels, ", "))
}

// edited is the value of a block behind a tool that edits memory.
func edited(tool, old string, args object) (string, *python.Error) {
	added := text(args, "new_string") + text(args, "content") + text(args, "new_memory")
	switch tool {
	case "memory_insert":
		lines := strings.Split(old, "\n")
		at := len(lines)
		if n, ok := args["insert_line"].(json.Number); ok && n != "-1" {
			i, _ := n.Int64()
			at = int(i)
		}
		if at < 0 || at > len(lines) {
			return "", &python.Error{Kind: "ValueError", Text: fmt.Sprintf("Invalid `insert_line` parameter: %d. It should be within [0, %d], or -1 to "+
				"append to the end of the memory block.", at, len(lines))}
		}
		return strings.Join(slices.Insert(lines, at, added), "\n"), nil
	case "memory_rethink":
		return added, nil
	case "core_memory_append":
		return old + "\n" + added, nil
	}
	from := text(args, "old_string") + text(args, "old_content")
	if !strings.Contains(old, from) {
		return "", &python.Error{Kind: "ValueError", Text: fmt.Sprintf("Old content '%s' not found in memory block '%s'", from, text(args, "label"))}
	}
	return strings.Replace(old, from, added+text(args, "new_content"), 1), nil
}

// recall is conversation_search: messages that contain a text, newest first. It is told in Python to clients and in JSON to the model.
func (w *world) recall(a *agent, query string) (string, any) {
	results := []any{}
	for _, m := range slices.Backward(a.history) {
		if len(results) == 5 || m.role != "user" && m.role != "assistant" || m.text == "" ||
			!strings.Contains(strings.ToLower(m.text), strings.ToLower(query)) {
			continue
		}
		results = append(results, object{
			"timestamp": pyTime(m.created), "time_ago": fmt.Sprintf("%ds ago", int(time.Since(m.created).Seconds())), "role": m.role,
			"relevance": object{"search_mode": "sql"}, "content": m.text,
		})
	}
	o := object{"message": "No results found.", "results": results}
	if len(results) > 0 {
		o["message"] = fmt.Sprintf("Showing %d results:", len(results))
	}
	return python.Repr(o), o
}
