package letta

import (
	"fmt"
	"net/url"
	"reflect"
)

// Ids are types of their own, so that two of them cannot be swapped. They are opaque; Letta 0.16.8
// makes them of a prefix and a UUID.
type (
	AgentFileID        string
	AgentID            string
	ArchiveID          string
	BlockID            string
	ConnectionID       string
	ConversationID     string
	DeviceID           string
	FileID             string
	FolderID           string
	GroupID            string
	IdentityID         string
	JobID              string
	MCPServerID        string
	MessageID          string
	PassageID          string
	ProviderID         string
	RunID              string
	ScheduledMessageID string
	StepID             string
	TemplateID         string
	ToolCallID         string
	ToolID             string
)

// Opt is a field that can be left out (its zero value), null, or a value.
type Opt[T any] struct {
	value T
	state optState
}

type optState uint8

const (
	optNull optState = iota + 1
	optSome
)

// Some is a value that is sent, even if it is zero.
func Some[T any](value T) Opt[T] { return Opt[T]{value, optSome} }

// Null is sent as null.
func Null[T any]() Opt[T] { return Opt[T]{state: optNull} }

// Get returns the value, and whether there is one.
func (o Opt[T]) Get() (T, bool) { return o.value, o.state == optSome }

// IsZero reports whether the field is left out.
func (o Opt[T]) IsZero() bool { return o.state == 0 }

// IsNull reports whether the field is null.
func (o Opt[T]) IsNull() bool { return o.state == optNull }

// MarshalJSON writes the value or null.
func (o Opt[T]) MarshalJSON() ([]byte, error) {
	if o.state != optSome {
		return []byte("null"), nil
	}
	return marshal(o.value)
}

// UnmarshalJSON reads the value or null.
func (o *Opt[T]) UnmarshalJSON(data []byte) error { return unmarshal(data, o) }

// set makes it null, or some value to be decoded into.
func (o *Opt[T]) set(null bool) (value any) {
	*o = Opt[T]{state: optSome}
	if null {
		o.state = optNull
	}
	return &o.value
}

// EncodeValues writes the value into a query; null is left out.
func (o Opt[T]) EncodeValues(key string, values *url.Values) error {
	if o.state == optSome {
		values.Add(key, fmt.Sprint(o.value))
	}
	return nil
}

// Kind is the field that tells the variants of a union apart in JSON, such as "type" or "message_type". Leave it alone:
// its JSON follows from T, the variant that holds it.
type Kind[T any] struct{}

// String is the kind of T, such as "user_message".
func (Kind[T]) String() string { return kinds[reflect.TypeFor[T]()] }

// MarshalText writes the kind of T.
func (k Kind[T]) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText accepts every kind: whoever decodes into a T has chosen it already.
func (Kind[T]) UnmarshalText([]byte) error { return nil }

func (Kind[T]) isKind() {}

// Order is the direction of a list.
type Order string

// The two directions; a list's default is in its documentation.
const (
	OrderAsc  Order = "asc"
	OrderDesc Order = "desc"
)

// OrderBy is what a list is ordered by. Which of them a list takes is in its documentation.
type OrderBy string

// The values known today; others are kept as they come.
const (
	OrderByCreatedAt         OrderBy = "created_at"
	OrderByUpdatedAt         OrderBy = "updated_at"
	OrderByLastRunCompletion OrderBy = "last_run_completion"
	OrderByLastMessageAt     OrderBy = "last_message_at"
	OrderByName              OrderBy = "name"
)

// StopReason says why a turn ended.
type StopReason string

// The values known today; others are kept as they come.
const (
	StopReasonEndTurn                             StopReason = "end_turn"
	StopReasonError                               StopReason = "error"
	StopReasonLLMAPIError                         StopReason = "llm_api_error"
	StopReasonInvalidLLMResponse                  StopReason = "invalid_llm_response"
	StopReasonInvalidToolCall                     StopReason = "invalid_tool_call"
	StopReasonMaxSteps                            StopReason = "max_steps"
	StopReasonMaxTokensExceeded                   StopReason = "max_tokens_exceeded"
	StopReasonNoToolCall                          StopReason = "no_tool_call"
	StopReasonToolRule                            StopReason = "tool_rule"
	StopReasonCancelled                           StopReason = "cancelled"
	StopReasonInsufficientCredits                 StopReason = "insufficient_credits"
	StopReasonRequiresApproval                    StopReason = "requires_approval"
	StopReasonContextWindowOverflowInSystemPrompt StopReason = "context_window_overflow_in_system_prompt"
)
