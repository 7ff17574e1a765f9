package check

import (
	"fmt"
	"maps"
	"regexp"
)

// The tables of what Letta 0.16.8 checks otherwise than the schemas of the official client say.

// differs replaces the type of a field.
var differs = map[string]string{
	"BlockCreateParams.value":          "string|null",
	"CreateBlockParam.value":           "string|null",
	"AgentListParams.last_stop_reason": "StopReasonType",
	"AgentUpdateParams.name":           "string|null",
	"MessageSearchParams.query":        "string!",
	"agents.MessageCreateParams.MessageCreateParamsNonStreaming.enable_thinking": "any",
	"agents.MessageCreateParams.MessageCreateParamsStreaming.enable_thinking":    "any",
	"conversations.MessageCreateParams.enable_thinking":                          "any",
	"agents.MessageStreamParams.enable_thinking":                                 "any",
	"agents.MessageCreateAsyncParams.enable_thinking":                            "any",
	"steps.FeedbackCreateParams.feedback":                                        "enum|null enum=positive,negative",
	"agents.PassageCreateParams.created_at":                                      "datetime|null",
	"archives.PassageCreateParams.created_at":                                    "datetime|null",
	"archives.PassageCreateManyParams.Passage.created_at":                        "datetime|null",
	"agents.PassageSearchParams.start_datetime":                                  "datetime|null",
	"agents.PassageSearchParams.end_datetime":                                    "datetime|null",
}

// extra are fields that the schemas lack: older ones, and those of a self-hosted server alone.
var extra = map[string][]string{
	"AgentListParams":          {"show_hidden_agents boolean in=query"},
	"BlockListParams":          {"show_hidden_blocks boolean in=query"},
	"ConversationCreateParams": {"isolated_block_labels array<string>|null in=body"},
}

// tried are unions whose variants the server tries one after the other, although a member tells them apart; that member may be missing.
var tried = map[string]func(any) any{"agents.MessageCreateParams.Message": func(v any) any {
	in, ok := v.(map[string]any)
	if !ok || in["type"] != nil {
		return v
	}
	in = maps.Clone(in)
	in["type"] = "message"
	_, approve := in["approve"]
	if _, request := in["approval_request_id"]; approve || request {
		in["type"] = "approval"
	}
	return in
}}

// closed are the objects in which an unknown field is refused.
var closed = map[string]bool{
	"ChildToolRule": true, "InitToolRule": true, "TerminalToolRule": true, "ConditionalToolRule": true, "ContinueToolRule": true,
	"RequiredBeforeExitToolRule": true, "MaxCountPerStepToolRule": true, "ParentToolRule": true, "RequiresApprovalToolRule": true,
}

// ids are the fields whose text must be an id of a kind.
var ids = map[string]string{
	"block_ids": "block", "tool_ids": "tool", "source_ids": "source", "folder_ids": "source", "identity_ids": "identity", "message_ids": "message",
}

// rules are the fields whose values have bounds.
var rules = map[string]func(p *Problems, at Loc, v any){
	"label_search": text(50, `^[a-zA-Z0-9_/-]+$`), "value_search": text(200, ``), "description_search": text(200, ``),
	"embedding": func(p *Problems, at Loc, v any) {
		if h, ok := v.(string); ok && at[0] == "body" && !IsHandle(h) {
			p.Add("value_error", at, "Value error, The embedding handle should be in the format provider/model-name", v)
		}
	},
}

var handle = regexp.MustCompile(`^$|^[^/]+/.+`)

// IsHandle tells whether a text reads provider/model-name, or is empty.
func IsHandle(h string) bool { return handle.MatchString(h) }

func text(longest int, pattern string) func(*Problems, Loc, any) {
	re := regexp.MustCompile(pattern)
	return func(p *Problems, at Loc, v any) {
		s, _ := v.(string)
		switch {
		case s == "":
			p.Add("string_too_short", at, "String should have at least 1 character", v)
		case len([]rune(s)) > longest:
			p.Add("string_too_long", at, fmt.Sprintf("String should have at most %d characters", longest), v)
		case !re.MatchString(s):
			p.Add("string_pattern_mismatch", at, "String should match pattern '"+pattern+"'", v)
		}
	}
}

// Text checks the length and the form of a text in a query.
func (p *Problems) Text(name, value string, longest int, pattern string) {
	text(longest, pattern)(p, Loc{"query", name}, value)
}

// Between checks the bounds of a number in a query.
func (p *Problems) Between(name string, n, low, high int) {
	at := Loc{"query", name}
	switch {
	case n < low:
		p.Add("greater_than_equal", at, fmt.Sprintf("Input should be greater than or equal to %d", low), n)
	case n > high:
		p.Add("less_than_equal", at, fmt.Sprintf("Input should be less than or equal to %d", high), n)
	}
}
