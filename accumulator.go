package letta

import (
	"slices"
	"strings"
)

// accumulator joins the pieces of a stream of tokens, in time linear in their length. It is pure: the same frames give the
// same turn. What it was given stays as it is.
type accumulator struct {
	turn   Turn // but for its messages
	pieces []*pieces
	index  map[pieceKey]*pieces
	ran    map[RunID]bool // those of the turn
}

// add takes the next frame of the turn.
func (a *accumulator) add(f frame) {
	switch {
	case f.message != nil:
		a.ranAs(f.message.Common().RunID)
		if _, ping := f.message.(*Ping); !ping {
			a.addMessage(f.message)
		}
	case f.usage != nil:
		a.turn.Usage = *f.usage
	case f.stopReason != "":
		a.turn.StopReason = f.stopReason
	}
}

// ranAs adds a run to those of the turn.
func (a *accumulator) ranAs(id RunID) {
	if n := len(a.turn.RunIDs); id == "" || n > 0 && a.turn.RunIDs[n-1] == id || a.ran[id] {
		return
	}
	if a.ran == nil {
		a.ran = map[RunID]bool{}
	}
	a.ran[id] = true
	a.turn.RunIDs = append(a.turn.RunIDs, id)
}

func (a *accumulator) warn(warnings []*StreamError) {
	a.turn.Warnings = append(a.turn.Warnings, warnings...)
}

type pieceKey struct {
	kind MessageType
	otid string
	id   MessageID
}

// pieces are the pieces of one message: the first, and what the others add to it.
type pieces struct {
	first Message
	text  strings.Builder
	calls []*callPieces
	index map[ToolCallID]*callPieces
}

type callPieces struct {
	call      ToolCall
	arguments strings.Builder
}

func (a *accumulator) addMessage(m Message) {
	common := m.Common()
	key := pieceKey{kind: m.messageType(), id: common.ID}
	switch m := m.(type) {
	case *AssistantMessage:
		if key.otid = common.Otid; m.Content.Parts == nil {
			a.find(key, m).text.WriteString(m.Content.Text)
			return
		}
	case *ReasoningMessage:
		key.otid = common.Otid
		p := a.find(key, m)
		p.text.WriteString(m.Reasoning)
		if first := p.first.(*ReasoningMessage); m.Signature != "" && first != m {
			whole := *first
			whole.Signature = m.Signature
			p.first = &whole
		}
		return
	case *ToolCallMessage:
		a.find(key, m).addCalls(m.ToolCalls, m.ToolCall)
		return
	case *ApprovalRequestMessage:
		a.find(key, m).addCalls(m.ToolCalls, m.ToolCall)
		return
	}
	a.pieces = append(a.pieces, &pieces{first: m})
}

func (a *accumulator) find(key pieceKey, m Message) *pieces {
	if p := a.index[key]; p != nil && key.id != "" {
		return p
	}
	p := &pieces{first: m}
	if a.index == nil {
		a.index = map[pieceKey]*pieces{}
	}
	a.pieces, a.index[key] = append(a.pieces, p), p
	return p
}

// addCalls joins arguments per call. A piece without an id belongs to the last call.
func (p *pieces) addCalls(calls []ToolCall, older *ToolCall) {
	if calls == nil && older != nil {
		calls = []ToolCall{*older}
	}
	for _, call := range calls {
		found := p.index[call.ToolCallID]
		if n := len(p.calls); call.ToolCallID == "" && n > 0 {
			found = p.calls[n-1]
		}
		if found == nil {
			found = &callPieces{call: ToolCall{ToolCallID: call.ToolCallID}}
			p.calls = append(p.calls, found)
			if p.index == nil {
				p.index = map[ToolCallID]*callPieces{}
			}
			p.index[call.ToolCallID] = found
		}
		if call.Name != "" {
			found.call.Name = call.Name
		}
		found.arguments.WriteString(call.Arguments)
	}
}

// message is the whole message; the pieces stay as they are.
func (p *pieces) message() Message {
	switch first := p.first.(type) {
	case *AssistantMessage:
		if first.Content.Parts == nil {
			whole := *first
			whole.Content.Text = p.text.String()
			return &whole
		}
	case *ReasoningMessage:
		whole := *first
		whole.Reasoning = p.text.String()
		return &whole
	case *ToolCallMessage:
		whole := *first
		whole.ToolCalls = p.toolCalls()
		whole.ToolCall = firstOf(whole.ToolCalls)
		return &whole
	case *ApprovalRequestMessage:
		whole := *first
		whole.ToolCalls = p.toolCalls()
		whole.ToolCall = firstOf(whole.ToolCalls)
		return &whole
	}
	return p.first
}

func (p *pieces) toolCalls() []ToolCall {
	calls := make([]ToolCall, len(p.calls))
	for i, c := range p.calls {
		calls[i] = c.call
		calls[i].Arguments = c.arguments.String()
	}
	return calls
}

func firstOf(calls []ToolCall) *ToolCall {
	if len(calls) == 0 {
		return nil
	}
	call := calls[0]
	return &call
}

// result is the turn so far. It may be asked for at any time, and shares no list with later ones.
func (a *accumulator) result() *Turn {
	turn := a.turn
	turn.RunIDs, turn.Warnings = slices.Clone(a.turn.RunIDs), slices.Clone(a.turn.Warnings)
	turn.Messages = make([]Message, len(a.pieces))
	for i, p := range a.pieces {
		turn.Messages[i] = p.message()
	}
	return &turn
}
