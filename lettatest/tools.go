package lettatest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Tool gives the server a tool that it can run; agents get it by tools: [name]. f is handed the arguments as JSON, perhaps by several turns at
// a time. For the name of a built-in tool it takes that one's place.
func (s *Server) Tool(name string, f func(arguments string) (string, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.functions[name] = f
	s.upsertTool(tool{"name": name, "json_schema": map[string]any{
		"name": name, "description": "", "parameters": map[string]any{"type": "object", "properties": map[string]any{}, "required": []string{}},
	}})
}

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
	r := toolReturn{id: o.str("tool_call_id"), failed: o["status"] == "error", text: o.str("tool_return"), stdout: o["stdout"], stderr: o["stderr"]}
	parts, isList := o["tool_return"].([]any)
	if !isList {
		return r.read(a, at, r.text)
	}
	r.shown, r.text = parts, textOf(parts, "\n")
	r.said = r.text
	return r
}

// pyError is an exception of a built-in tool.
type pyError struct{ kind, text string }

// execute runs tools of the server. What was approved may be any tool.
func (t *turn) execute(calls []ToolCall, approved bool) []toolReturn {
	out := make([]toolReturn, 0, len(calls))
	for _, c := range calls {
		out = append(out, t.executeOne(c, approved))
	}
	return out
}

func (t *turn) executeOne(c ToolCall, approved bool) toolReturn {
	s := t.s
	s.mu.Lock()
	a, _ := t.place()
	if a == nil {
		s.mu.Unlock()
		return toolReturn{id: c.ID, name: c.Name, failed: true}
	}
	var names []string
	id := ""
	for _, tl := range s.tools {
		if slices.Contains(a.tools, tl.id()) {
			name, _ := tl["name"].(string)
			if names = append(names, name); name == c.Name {
				id = tl.id()
			}
		}
	}
	if id != "" && !slices.Contains(t.run.tools, id) {
		t.run.tools = append(t.run.tools, id)
	}
	f := s.functions[c.Name]
	r := toolReturn{id: c.ID, name: c.Name}
	var value any
	var bad *pyError
	switch {
	case id == "" && approved:
		r.failed, r.text = true, "Tool not found"
	case id == "":
		r.failed = true
		r.text = fmt.Sprintf("[ToolConstraintError] Cannot call %s, valid tools include: [%s].", c.Name, printedSet(names))
	case f == nil:
		r.text, value, bad = s.builtin(a, c)
	}
	s.mu.Unlock()
	if id != "" && f != nil {
		text, err := f(c.Arguments)
		if r.text = text; err != nil {
			bad = &pyError{"RuntimeError", err.Error()}
		}
	}
	if bad != nil {
		r.failed, r.text, value = true, bad.text, nil
		r.stderr = []string{fmt.Sprintf("Error executing function %s: %s: %s", c.Name, bad.kind, bad.text)}
	}
	if value == nil {
		value = r.text
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return r.read(a, s.now(), value)
}

// builtins are the built-in tools that run here: their parameters, with * at the required ones.
var builtins = map[string][]string{
	"memory_insert":       {"label*", "new_string*", "insert_line"},
	"memory_replace":      {"label*", "old_string*", "new_string*"},
	"memory_rethink":      {"label*", "new_memory*"},
	"core_memory_append":  {"label*", "content*"},
	"core_memory_replace": {"label*", "old_content*", "new_content*"},
	"conversation_search": {"query", "roles", "limit", "start_date", "end_date"},
}

// builtin runs a built-in tool. value is the result as JSON if it is no string.
func (s *Server) builtin(a *agent, c ToolCall) (text string, value any, bad *pyError) {
	params, known := builtins[c.Name]
	if !known {
		return "", nil, &pyError{"NotImplementedError", "lettatest does not run " + c.Name + "; see Server.Tool"}
	}
	args := map[string]any{}
	_ = readJSON([]byte(c.Arguments), &args) // what is no object counts as an empty one
	var missing []string
	for _, p := range params {
		if name, must := strings.CutSuffix(p, "*"); must && args[name] == nil {
			missing = append(missing, printed(name))
		}
	}
	for name := range args {
		if !slices.Contains(params, name) && !slices.Contains(params, name+"*") {
			return "", nil, &pyError{"TypeError", fmt.Sprintf("LettaCoreToolExecutor.%s() got an unexpected keyword argument %s", c.Name, printed(name))}
		}
	}
	if len(missing) > 0 {
		names := strings.Join(missing, " and ")
		plural := ""
		if len(missing) > 1 {
			plural = "s"
		}
		return "", nil, &pyError{"TypeError", fmt.Sprintf("LettaCoreToolExecutor.%s() missing %d required positional argument%s: %s",
			c.Name, len(missing), plural, names)}
	}
	o := object(args)
	if c.Name == "conversation_search" {
		text, value = s.recall(a, o.str("query"))
		return text, value, nil
	}
	var b *block
	var labels []string
	for _, id := range a.blocks {
		if labels = append(labels, s.blocks[id].fields.str("label")); labels[len(labels)-1] == o.str("label") {
			b = s.blocks[id]
		}
	}
	if b == nil {
		return "", nil, &pyError{"KeyError", printed(fmt.Sprintf("Block field %s does not exist (available sections = %s)", o.str("label"),
			strings.Join(labels, ", ")))}
	}
	if get[bool](b.fields, "read_only") {
		return "", nil, &pyError{"ValueError", "This block is read-only and cannot be edited."}
	}
	old := b.fields.str("value")
	switch c.Name {
	case "memory_insert":
		lines := strings.Split(old, "\n")
		at := len(lines)
		if o.has("insert_line") {
			if at = integer(new(problems), nil, o["insert_line"]).(int); at == -1 {
				at = len(lines)
			}
		}
		if at < 0 || at > len(lines) {
			return "", nil, &pyError{"ValueError", fmt.Sprintf("Invalid `insert_line` parameter: %d. It should be within the range of lines of the "+
				"memory block: [0, %d], or -1 to append to the end of the memory block.", at, len(lines))}
		}
		text = strings.Join(slices.Insert(lines, at, strings.Split(o.str("new_string"), "\n")...), "\n")
	case "memory_rethink":
		text = o.str("new_memory")
	case "core_memory_append":
		text = old + "\n" + o.str("content")
	default:
		from, to := o.str("old_string")+o.str("old_content"), o.str("new_string")+o.str("new_content")
		if !strings.Contains(old, from) {
			return "", nil, &pyError{"ValueError", "Old content '" + from + "' not found in memory block '" + o.str("label") + "'"}
		}
		text = strings.Replace(old, from, to, 1)
	}
	b.fields["value"] = text
	s.recompile(b)
	return text, nil, nil
}

// recall is conversation_search: messages that contain a text, newest first. It is told in Python to clients and in JSON to the model.
func (s *Server) recall(a *agent, query string) (string, any) {
	var told []string
	var value []string
	for i := len(a.history) - 1; i >= 0 && len(told) < 5; i-- {
		m := a.history[i]
		if m.role != "user" && m.role != "assistant" || m.text == "" || !strings.Contains(strings.ToLower(m.text), strings.ToLower(query)) {
			continue
		}
		ago := fmt.Sprintf("%ds ago", int(time.Since(m.created).Seconds()))
		told = append(told, fmt.Sprintf("{'timestamp': '%s', 'time_ago': '%s', 'role': '%s', 'relevance': {'search_mode': 'sql'}, 'content': %s}",
			pyTime(m.created), ago, m.role, printed(m.text)))
		content, _ := encode(m.text)
		value = append(value, fmt.Sprintf(`{"timestamp":%q,"time_ago":%q,"role":%q,"relevance":{"search_mode":"sql"},"content":%s}`,
			pyTime(m.created), ago, m.role, content))
	}
	say := "No results found."
	if told != nil {
		say = fmt.Sprintf("Showing %d results:", len(told))
	}
	return fmt.Sprintf("{'message': '%s', 'results': [%s]}", say, strings.Join(told, ", ")),
		json.RawMessage(fmt.Sprintf(`{"message":%q,"results":[%s]}`, say, strings.Join(value, ",")))
}

// spaced writes a JSON object the way Python does. Anything else counts as an empty one.
func spaced(args string) string {
	var o map[string]any
	var b bytes.Buffer
	if json.Unmarshal([]byte(args), &o) != nil || json.Compact(&b, []byte(args)) != nil {
		return "{}"
	}
	var out strings.Builder
	inside, escaped := false, false
	for _, c := range b.Bytes() {
		out.WriteByte(c)
		switch {
		case escaped:
			escaped = false
		case c == '\\':
			escaped = true
		case c == '"':
			inside = !inside
		case !inside && (c == ':' || c == ','):
			out.WriteByte(' ')
		}
	}
	return out.String()
}
