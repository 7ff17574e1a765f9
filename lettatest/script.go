package lettatest

import (
	"regexp"
	"slices"
	"strconv"
	"time"
)

// Turn is what the model is asked.
type Turn struct {
	AgentID        string
	ConversationID string // "" outside of conversations
	RunID          string

	Text string // the last message of a user
	// Step is 0 for the first model call of the run, then 1 and so on. Every answer to calls that waited, of approvals or of client
	// tools, begins a run, and Step is 0 again: look at ToolReturns to tell it from a new message.
	Step        int
	ToolReturns []ToolReturn // what tools returned since the last model call, be they the server's or the client's

	said string // the same as the model reads it: the last one
}

// ToolReturn is what a tool returned.
type ToolReturn struct {
	Name, ToolCallID, Text string
	Error                  bool
}

// ToolCall is a call that the model makes.
type ToolCall struct {
	Name, Arguments string
	ID              string // made up if it is empty
}

// Reply is what the model says.
type Reply struct {
	Reasoning string // comes first, as a reasoning_message
	Text      string
	Chunks    []string      // how a stream of tokens cuts Text; by words if nil
	Delay     time.Duration // before each chunk; without tokens, the same time at once
	ToolCalls []ToolCall

	Fail       int    // the provider fails with this status instead
	StopReason string // ends the turn after this step, with this reason
}

var (
	callLine = regexp.MustCompile(`(?m)^(THEN )?CALL (\S+) (\{.*\})\s*$`)
	failLine = regexp.MustCompile(`(?m)^FAIL (\d+)`)
	slowLine = regexp.MustCompile(`(?ms)^SLOW (\d+) (.*)`)
)

// DefaultScript is what the model says unless Script says otherwise:
//
//	CALL tool {"some": "arguments"}   calls the tool; several lines make several calls
//	THEN CALL tool {"some": "args"}   calls the tool when others have returned
//	FAIL 429                          the provider fails with that status
//	SLOW 100 some text                says the text, a word each 100 ms
//
// To anything else it says "You said: ...", and to the result of a tool else "Tool said: ...".
func DefaultScript(t Turn) Reply {
	var calls []ToolCall
	for _, c := range callLine.FindAllStringSubmatch(t.Text, -1) {
		returned := slices.ContainsFunc(t.ToolReturns, func(r ToolReturn) bool { return r.Name == c[2] })
		if then := c[1] != ""; then == (t.said != "") && !returned {
			calls = append(calls, ToolCall{Name: c[2], Arguments: c[3]})
		}
	}
	number := func(digits string) int { n, _ := strconv.Atoi(digits); return n }
	fail, slow := failLine.FindStringSubmatch(t.Text), slowLine.FindStringSubmatch(t.Text)
	switch {
	case calls != nil:
		return Reply{ToolCalls: calls}
	case t.said != "":
		said := []rune(t.said)
		return Reply{Text: "Tool said: " + string(said[:min(len(said), 400)])}
	case fail != nil:
		return Reply{Fail: number(fail[1])}
	case slow != nil:
		return Reply{Text: slow[2], Delay: time.Duration(number(slow[1])) * time.Millisecond}
	}
	return Reply{Text: "You said: " + t.Text}
}
