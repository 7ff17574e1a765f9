package main

import (
	"bytes"
	"encoding/json"
	"html/template"
	"strings"

	"github.com/microcosm-cc/bluemonday"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"

	"github.com/letta-go/letta"
)

// item is what a chat shows of a message.
type item struct {
	ID     string // in the page
	Kind   string // user, agent, thought, call, return, answer
	Title  string
	Text   string
	Note   string
	CallID letta.ToolCallID
}

// HTML is the text of an agent, which is Markdown.
func (i item) HTML() template.HTML { return markdown(i.Text) }

// items are the messages of a conversation, or of a turn so far.
func items(messages []letta.Message) (all []item) {
	names := map[letta.ToolCallID]string{}
	for _, message := range messages {
		id, before := string(message.Common().ID), len(all)
		switch m := message.(type) {
		case *letta.UserMessage:
			all = append(all, item{ID: "user-" + id, Kind: "user", Text: m.Content.String()})
		case *letta.AssistantMessage:
			all = append(all, item{ID: "agent-" + id, Kind: "agent", Text: m.Content.String()})
		case *letta.ReasoningMessage:
			all = append(all, item{ID: "thought-" + id, Kind: "thought", Title: "Thought", Text: m.Reasoning})
		case *letta.ToolCallMessage:
			all = append(all, callItems(m.ToolCalls)...)
		case *letta.ApprovalRequestMessage:
			all = append(all, callItems(m.Calls())...)
		case *letta.ApprovalResponseMessage:
			all = append(all, answerItem(id, m.Approvals))
		case *letta.ToolReturnMessage:
			for _, r := range m.ToolReturns {
				it := item{ID: "return-" + string(r.ToolCallID), Kind: "return", Title: "Result", Text: pretty(r.ToolReturn.String())}
				if name := names[r.ToolCallID]; name != "" {
					it.Title += " of " + name
				}
				if r.Status == letta.ToolStatusError {
					it.Note = "failed"
				}
				all = append(all, it)
			}
		}
		for _, it := range all[before:] {
			names[it.CallID] = it.Note
		}
	}
	return all
}

func callItems(calls []letta.ToolCall) (all []item) {
	for _, c := range calls {
		all = append(all, item{ID: "call-" + string(c.ToolCallID), Kind: "call", Title: "Tool call", Note: c.Name, Text: pretty(c.Arguments), CallID: c.ToolCallID})
	}
	return all
}

func answerItem(id string, answers letta.Approvals) item {
	it := item{ID: "answer-" + id, Kind: "answer", Text: "You said no"}
	for _, answer := range answers {
		if a, ok := answer.(*letta.ApprovalReturn); ok && a.Approve {
			it.Text = "You allowed it"
		}
	}
	return it
}

// pretty indents JSON, and leaves anything else, such as half of it, as it is.
func pretty(text string) string {
	var out bytes.Buffer
	if json.Indent(&out, []byte(text), "", "  ") != nil {
		return text
	}
	return out.String()
}

var (
	toHTML   = goldmark.New(goldmark.WithExtensions(extension.GFM))
	harmless = func() *bluemonday.Policy {
		p := bluemonday.NewPolicy()
		p.AllowElements("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "em", "strong", "del", "code", "pre", "blockquote",
			"table", "thead", "tbody", "tr", "th", "td")
		p.AllowLists()
		p.AllowStandardURLs()
		p.AllowAttrs("href").OnElements("a")
		p.RequireNoFollowOnLinks(true)
		p.RequireNoReferrerOnLinks(true)
		p.AddTargetBlankToFullyQualifiedLinks(true)
		return p // no pictures: the address of one could carry away what the agent knows
	}()
)

// markdown renders what a model wrote, which is as untrustworthy as what it read.
func markdown(text string) template.HTML {
	var out strings.Builder
	if err := toHTML.Convert([]byte(text), &out); err != nil {
		return template.HTML(template.HTMLEscapeString(text)) //nolint:gosec // escaped
	}
	return template.HTML(harmless.Sanitize(out.String())) //nolint:gosec // sanitised
}
