package letta

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

// Content is what a message says: Text, or Parts if it is more than text. String gives the text of both.
type Content struct {
	Text  string
	Parts []ContentPart
}

// String is the text, without pictures and other parts.
func (c Content) String() string {
	if c.Parts == nil {
		return c.Text
	}
	var b strings.Builder
	for _, part := range c.Parts {
		if text, ok := part.(*TextContent); ok {
			b.WriteString(text.Text)
		}
	}
	return b.String()
}

// MarshalJSON writes a string, or the list of parts.
func (c Content) MarshalJSON() ([]byte, error) {
	if c.Parts != nil {
		return marshal(c.Parts)
	}
	return marshal(c.Text)
}

// UnmarshalJSON reads a string, or a list of parts.
func (c *Content) UnmarshalJSON(data []byte) error { return unmarshal(data, c) }

// Message is what an agent's history and its turns consist of; switch on its type.
//
// One stored message may come as several, with the same ID: reasoning, tool call, assistant message.
type Message interface {
	// Common gives the fields that all messages have.
	Common() *MessageCommon
	messageType() string
}

// MessageCommon are the fields that all messages have.
type MessageCommon struct {
	ID       MessageID `json:"id"`
	Date     time.Time `json:"date"`
	Name     string    `json:"name,omitzero"`
	Otid     string    `json:"otid,omitzero"`
	SenderID string    `json:"sender_id,omitzero"`
	StepID   StepID    `json:"step_id,omitzero"`
	IsErr    bool      `json:"is_err,omitzero"`
	SeqID    int       `json:"seq_id,omitzero"` // of a frame of a background run, from 1
	RunID    RunID     `json:"run_id,omitzero"`
}

// Common gives the fields that all messages have.
func (m *MessageCommon) Common() *MessageCommon { return m }

var messages = newUnion[Message]("message_type", Message.messageType,
	func(kind string, raw json.RawMessage) Message {
		m := &UnknownMessage{Kind: kind, Raw: raw}
		_ = unmarshal(raw, &m.MessageCommon)
		return m
	},
	&SystemMessage{}, &UserMessage{}, &AssistantMessage{}, &ReasoningMessage{}, &HiddenReasoningMessage{}, &ToolCallMessage{}, &ToolReturnMessage{}, &ApprovalRequestMessage{}, &ApprovalResponseMessage{}, &SummaryMessage{}, &EventMessage{}, &Ping{},
)

// SystemMessage is a message of the system.
type SystemMessage struct {
	MessageCommon
	Content Content `json:"content"`
}

// UserMessage is a message of the user. A turn does not send it back.
type UserMessage struct {
	MessageCommon
	Content Content `json:"content"`
}

// AssistantMessage is what the agent says. In a stream of tokens it is a piece of it.
type AssistantMessage struct {
	MessageCommon
	Content Content `json:"content"`
}

// ReasoningMessage is what the model thought. In a stream of tokens it is a piece of it.
type ReasoningMessage struct {
	MessageCommon
	Reasoning string `json:"reasoning"`
	Source    string `json:"source,omitzero"` // reasoner_model, non_reasoner_model
	Signature string `json:"signature,omitzero"`
}

// HiddenReasoningMessage is reasoning that the provider does not show.
type HiddenReasoningMessage struct {
	MessageCommon
	State           string `json:"state"` // redacted, omitted
	HiddenReasoning string `json:"hidden_reasoning,omitzero"`
}

// ToolCallMessage is a call of tools. In a stream of tokens it is a piece of one call.
type ToolCallMessage struct {
	MessageCommon
	// Deprecated: by Letta, in favour of ToolCalls.
	ToolCall  *ToolCall  `json:"tool_call,omitzero"`
	ToolCalls []ToolCall `json:"tool_calls,omitzero"`
}

// ToolReturnMessage is what tools gave back.
type ToolReturnMessage struct {
	MessageCommon
	// Deprecated: by Letta, in favour of ToolReturns.
	Status string `json:"status"`
	// Deprecated: by Letta, in favour of ToolReturns.
	ToolCallID ToolCallID `json:"tool_call_id"`
	// Deprecated: by Letta, in favour of ToolReturns.
	ToolReturn string `json:"tool_return"`
	// Deprecated: by Letta, in favour of ToolReturns.
	Stdout []string `json:"stdout,omitzero"`
	// Deprecated: by Letta, in favour of ToolReturns.
	Stderr      []string     `json:"stderr,omitzero"`
	ToolReturns []ToolReturn `json:"tool_returns,omitzero"`
}

// ApprovalRequestMessage asks for approval of tool calls, or for the returns of client tools.
type ApprovalRequestMessage struct {
	MessageCommon
	// Deprecated: by Letta, in favour of ToolCalls.
	ToolCall  *ToolCall  `json:"tool_call,omitzero"`
	ToolCalls []ToolCall `json:"tool_calls,omitzero"`
}

// Calls are the calls that the message asks about.
func (m *ApprovalRequestMessage) Calls() []ToolCall { return callsOf(m.ToolCalls, m.ToolCall) }

// ApprovalResponseMessage answers an ApprovalRequestMessage.
type ApprovalResponseMessage struct {
	MessageCommon
	Approvals []Approval `json:"approvals,omitzero"`
	// Deprecated: by Letta, in favour of Approvals.
	Approve bool `json:"approve,omitzero"`
	// Deprecated: by Letta, in favour of Approvals.
	ApprovalRequestID MessageID `json:"approval_request_id,omitzero"`
	// Deprecated: by Letta, in favour of Approvals.
	Reason string `json:"reason,omitzero"`
}

// SummaryMessage stands for older messages that were summarised.
type SummaryMessage struct {
	MessageCommon
	Summary         string           `json:"summary"`
	CompactionStats *CompactionStats `json:"compaction_stats,omitzero"`
}

// EventMessage marks something that happened, such as a compaction.
type EventMessage struct {
	MessageCommon
	EventType string         `json:"event_type"`
	EventData map[string]any `json:"event_data"`
}

// Ping is a sign of life in a stream; shown only if asked for.
type Ping struct {
	MessageCommon
}

// UnknownMessage is a kind that this version does not know; its JSON is kept and written back.
type UnknownMessage struct {
	MessageCommon
	Kind string // message_type
	Raw  json.RawMessage
}

func (*SystemMessage) messageType() string           { return "system_message" }
func (*UserMessage) messageType() string             { return "user_message" }
func (*AssistantMessage) messageType() string        { return "assistant_message" }
func (*ReasoningMessage) messageType() string        { return "reasoning_message" }
func (*HiddenReasoningMessage) messageType() string  { return "hidden_reasoning_message" }
func (*ToolCallMessage) messageType() string         { return "tool_call_message" }
func (*ToolReturnMessage) messageType() string       { return "tool_return_message" }
func (*ApprovalRequestMessage) messageType() string  { return "approval_request_message" }
func (*ApprovalResponseMessage) messageType() string { return "approval_response_message" }
func (*SummaryMessage) messageType() string          { return "summary_message" }
func (*EventMessage) messageType() string            { return "event_message" }
func (*Ping) messageType() string                    { return "ping" }
func (m *UnknownMessage) messageType() string        { return m.Kind }

// MarshalJSON adds "message_type".
func (m SystemMessage) MarshalJSON() ([]byte, error) {
	type fields SystemMessage
	return tagged("message_type", m.messageType(), fields(m))
}

// UnmarshalJSON reads every form of time that a server was seen to send.
func (m *SystemMessage) UnmarshalJSON(data []byte) error { return unmarshal(data, m) }

func (m *SystemMessage) plain() any {
	type fields SystemMessage
	return (*fields)(m)
}

// MarshalJSON adds "message_type".
func (m UserMessage) MarshalJSON() ([]byte, error) {
	type fields UserMessage
	return tagged("message_type", m.messageType(), fields(m))
}

// UnmarshalJSON reads every form of time that a server was seen to send.
func (m *UserMessage) UnmarshalJSON(data []byte) error { return unmarshal(data, m) }

func (m *UserMessage) plain() any {
	type fields UserMessage
	return (*fields)(m)
}

// MarshalJSON adds "message_type".
func (m AssistantMessage) MarshalJSON() ([]byte, error) {
	type fields AssistantMessage
	return tagged("message_type", m.messageType(), fields(m))
}

// UnmarshalJSON reads every form of time that a server was seen to send.
func (m *AssistantMessage) UnmarshalJSON(data []byte) error { return unmarshal(data, m) }

func (m *AssistantMessage) plain() any {
	type fields AssistantMessage
	return (*fields)(m)
}

// MarshalJSON adds "message_type".
func (m ReasoningMessage) MarshalJSON() ([]byte, error) {
	type fields ReasoningMessage
	return tagged("message_type", m.messageType(), fields(m))
}

// UnmarshalJSON reads every form of time that a server was seen to send.
func (m *ReasoningMessage) UnmarshalJSON(data []byte) error { return unmarshal(data, m) }

func (m *ReasoningMessage) plain() any {
	type fields ReasoningMessage
	return (*fields)(m)
}

// MarshalJSON adds "message_type".
func (m HiddenReasoningMessage) MarshalJSON() ([]byte, error) {
	type fields HiddenReasoningMessage
	return tagged("message_type", m.messageType(), fields(m))
}

// UnmarshalJSON reads every form of time that a server was seen to send.
func (m *HiddenReasoningMessage) UnmarshalJSON(data []byte) error { return unmarshal(data, m) }

func (m *HiddenReasoningMessage) plain() any {
	type fields HiddenReasoningMessage
	return (*fields)(m)
}

// MarshalJSON adds "message_type".
func (m ToolCallMessage) MarshalJSON() ([]byte, error) {
	type fields ToolCallMessage
	return tagged("message_type", m.messageType(), fields(m))
}

// UnmarshalJSON reads every form of time that a server was seen to send.
func (m *ToolCallMessage) UnmarshalJSON(data []byte) error { return unmarshal(data, m) }

func (m *ToolCallMessage) plain() any {
	type fields ToolCallMessage
	return (*fields)(m)
}

// MarshalJSON adds "message_type".
func (m ToolReturnMessage) MarshalJSON() ([]byte, error) {
	type fields ToolReturnMessage
	return tagged("message_type", m.messageType(), fields(m))
}

// UnmarshalJSON reads every form of time that a server was seen to send.
func (m *ToolReturnMessage) UnmarshalJSON(data []byte) error { return unmarshal(data, m) }

func (m *ToolReturnMessage) plain() any {
	type fields ToolReturnMessage
	return (*fields)(m)
}

// MarshalJSON adds "message_type".
func (m ApprovalRequestMessage) MarshalJSON() ([]byte, error) {
	type fields ApprovalRequestMessage
	return tagged("message_type", m.messageType(), fields(m))
}

// UnmarshalJSON reads every form of time that a server was seen to send.
func (m *ApprovalRequestMessage) UnmarshalJSON(data []byte) error { return unmarshal(data, m) }

func (m *ApprovalRequestMessage) plain() any {
	type fields ApprovalRequestMessage
	return (*fields)(m)
}

// MarshalJSON adds "message_type".
func (m ApprovalResponseMessage) MarshalJSON() ([]byte, error) {
	type fields ApprovalResponseMessage
	return tagged("message_type", m.messageType(), fields(m))
}

// UnmarshalJSON reads every form of time that a server was seen to send.
func (m *ApprovalResponseMessage) UnmarshalJSON(data []byte) error { return unmarshal(data, m) }

func (m *ApprovalResponseMessage) plain() any {
	type fields ApprovalResponseMessage
	return (*fields)(m)
}

// MarshalJSON adds "message_type".
func (m SummaryMessage) MarshalJSON() ([]byte, error) {
	type fields SummaryMessage
	return tagged("message_type", m.messageType(), fields(m))
}

// UnmarshalJSON reads every form of time that a server was seen to send.
func (m *SummaryMessage) UnmarshalJSON(data []byte) error { return unmarshal(data, m) }

func (m *SummaryMessage) plain() any {
	type fields SummaryMessage
	return (*fields)(m)
}

// MarshalJSON adds "message_type".
func (m EventMessage) MarshalJSON() ([]byte, error) {
	type fields EventMessage
	return tagged("message_type", m.messageType(), fields(m))
}

// UnmarshalJSON reads every form of time that a server was seen to send.
func (m *EventMessage) UnmarshalJSON(data []byte) error { return unmarshal(data, m) }

func (m *EventMessage) plain() any {
	type fields EventMessage
	return (*fields)(m)
}

// MarshalJSON adds "message_type".
func (m Ping) MarshalJSON() ([]byte, error) {
	type fields Ping
	return tagged("message_type", m.messageType(), fields(m))
}

// UnmarshalJSON reads every form of time that a server was seen to send.
func (m *Ping) UnmarshalJSON(data []byte) error { return unmarshal(data, m) }

func (m *Ping) plain() any {
	type fields Ping
	return (*fields)(m)
}

// MarshalJSON gives Raw back.
func (m UnknownMessage) MarshalJSON() ([]byte, error) { return rawOr(m.Raw, "UnknownMessage") }

// CompactionStats say what a compaction did.
type CompactionStats struct {
	Trigger             string `json:"trigger"`
	ContextWindow       int    `json:"context_window"` // tokens
	ContextTokensBefore int    `json:"context_tokens_before,omitzero"`
	ContextTokensAfter  int    `json:"context_tokens_after,omitzero"`
	MessagesCountBefore int    `json:"messages_count_before"`
	MessagesCountAfter  int    `json:"messages_count_after"`
}

// ToolCall is a call of a tool: Arguments is JSON, as the model wrote it. In a stream of tokens it is a piece.
type ToolCall struct {
	Name       string     `json:"name"`
	Arguments  string     `json:"arguments"`
	ToolCallID ToolCallID `json:"tool_call_id"`
}

// Approval is *ApprovalReturn or *ToolReturn: the answer to one tool call that waits: a decision, or the return of a client tool.
type Approval interface{ approval() string }

var approvals = newUnion[Approval]("type", Approval.approval,
	func(kind string, raw json.RawMessage) Approval { return &UnknownApproval{Kind: kind, Raw: raw} },
	&ApprovalReturn{}, &ToolReturn{},
)

// ApprovalReturn approves a call, or denies it with a reason that the model reads.
type ApprovalReturn struct {
	ToolCallID ToolCallID `json:"tool_call_id"`
	Approve    bool       `json:"approve"`
	Reason     string     `json:"reason,omitzero"`
}

// ToolReturn is what a tool gave back, in answer to a call.
type ToolReturn struct {
	ToolCallID ToolCallID `json:"tool_call_id"`
	Status     string     `json:"status"` // success, error
	ToolReturn Content    `json:"tool_return"`
	Stdout     []string   `json:"stdout,omitzero"`
	Stderr     []string   `json:"stderr,omitzero"`
}

// UnknownApproval is a variant that this version does not know; its JSON is kept and written back.
type UnknownApproval struct {
	Kind string // of "type"
	Raw  json.RawMessage
}

func (*ApprovalReturn) approval() string    { return "approval" }
func (*ToolReturn) approval() string        { return "tool" }
func (v *UnknownApproval) approval() string { return v.Kind }

// MarshalJSON adds "type".
func (v ApprovalReturn) MarshalJSON() ([]byte, error) {
	type fields ApprovalReturn
	return tagged("type", v.approval(), fields(v))
}

// MarshalJSON adds "type".
func (v ToolReturn) MarshalJSON() ([]byte, error) {
	type fields ToolReturn
	return tagged("type", v.approval(), fields(v))
}

// MarshalJSON gives Raw back.
func (v UnknownApproval) MarshalJSON() ([]byte, error) { return rawOr(v.Raw, "UnknownApproval") }

// MessageInput is *MessageCreate, *ApprovalCreate or *ToolReturnCreate: a message to send. UserText makes the usual one.
type MessageInput interface{ messageInput() string }

var messageInputs = newUnion[MessageInput]("type", MessageInput.messageInput,
	func(kind string, raw json.RawMessage) MessageInput { return &UnknownMessageInput{Kind: kind, Raw: raw} },
	&MessageCreate{}, &ApprovalCreate{}, &ToolReturnCreate{},
)

// MessageCreate is a message of a user, or of the system.
type MessageCreate struct {
	Role    string  `json:"role"` // user, system, assistant
	Content Content `json:"content"`
	Name    string  `json:"name,omitzero"`
	// Otid tells a message from its copies; filled when it is sent, if empty.
	Otid        string  `json:"otid,omitzero"`
	SenderID    string  `json:"sender_id,omitzero"`
	GroupID     GroupID `json:"group_id,omitzero"`
	BatchItemID string  `json:"batch_item_id,omitzero"`
}

// ApprovalCreate answers tool calls that wait for approval; it must name all of them.
type ApprovalCreate struct {
	Approvals []Approval `json:"approvals,omitzero"`
	Otid      string     `json:"otid,omitzero"`
	GroupID   GroupID    `json:"group_id,omitzero"`
	// Deprecated: by Letta, in favour of Approvals.
	Approve Opt[bool] `json:"approve,omitzero"`
	// Deprecated: by Letta, in favour of Approvals.
	ApprovalRequestID MessageID `json:"approval_request_id,omitzero"`
	// Deprecated: by Letta, in favour of Approvals.
	Reason string `json:"reason,omitzero"`
}

// ToolReturnCreate sends what client tools gave back.
type ToolReturnCreate struct {
	ToolReturns []ToolReturn `json:"tool_returns"`
	Otid        string       `json:"otid,omitzero"`
	GroupID     GroupID      `json:"group_id,omitzero"`
}

// UnknownMessageInput is a variant that this version does not know; its JSON is kept and written back.
type UnknownMessageInput struct {
	Kind string // of "type"
	Raw  json.RawMessage
}

func (*MessageCreate) messageInput() string         { return "message" }
func (*ApprovalCreate) messageInput() string        { return "approval" }
func (*ToolReturnCreate) messageInput() string      { return "tool_return" }
func (v *UnknownMessageInput) messageInput() string { return v.Kind }

// MarshalJSON adds "type".
func (v MessageCreate) MarshalJSON() ([]byte, error) {
	type fields MessageCreate
	return tagged("type", v.messageInput(), fields(v))
}

// MarshalJSON adds "type".
func (v ApprovalCreate) MarshalJSON() ([]byte, error) {
	type fields ApprovalCreate
	return tagged("type", v.messageInput(), fields(v))
}

// MarshalJSON adds "type".
func (v ToolReturnCreate) MarshalJSON() ([]byte, error) {
	type fields ToolReturnCreate
	return tagged("type", v.messageInput(), fields(v))
}

// MarshalJSON gives Raw back.
func (v UnknownMessageInput) MarshalJSON() ([]byte, error) {
	return rawOr(v.Raw, "UnknownMessageInput")
}

// UserText is a message of the user.
func UserText(text string) *MessageCreate {
	return &MessageCreate{Role: "user", Content: Content{Text: text}}
}

// UserImage is a message of the user with a picture: text may be empty, data is the picture's bytes and mediaType such as image/png.
func UserImage(text string, data []byte, mediaType string) *MessageCreate {
	var parts []ContentPart
	if text != "" {
		parts = append(parts, &TextContent{Text: text})
	}
	image := &Base64Image{Data: base64.StdEncoding.EncodeToString(data), MediaType: mediaType}
	return &MessageCreate{Role: "user", Content: Content{Parts: append(parts, &ImageContent{Source: image})}}
}

// UnmarshalJSON reads approvals of all kinds.
func (v *ApprovalCreate) UnmarshalJSON(data []byte) error { return unmarshal(data, v) }

func (v *ApprovalCreate) plain() any {
	type fields ApprovalCreate
	return (*fields)(v)
}

// ContentPart is one part of a message's content.
type ContentPart interface{ contentPart() string }

var contentParts = newUnion[ContentPart]("type", ContentPart.contentPart,
	func(kind string, raw json.RawMessage) ContentPart { return &UnknownContent{Kind: kind, Raw: raw} },
	&TextContent{}, &ImageContent{}, &ToolCallContent{}, &ToolReturnContent{}, &ReasoningContent{}, &RedactedReasoningContent{}, &OmittedReasoningContent{},
	&SummarizedReasoningContent{},
)

// TextContent is text.
type TextContent struct {
	Text      string `json:"text"`
	Signature string `json:"signature,omitzero"`
}

// ImageContent is a picture.
type ImageContent struct {
	Source ImageSource `json:"source"`
}

// ToolCallContent is a call the model made.
type ToolCallContent struct {
	ID        ToolCallID     `json:"id"`
	Name      string         `json:"name"`
	Input     map[string]any `json:"input"`
	Signature string         `json:"signature,omitzero"`
}

// ToolReturnContent is what a tool gave back.
type ToolReturnContent struct {
	ToolCallID ToolCallID `json:"tool_call_id"`
	Content    string     `json:"content"`
	IsError    bool       `json:"is_error"`
}

// ReasoningContent is the model's reasoning.
type ReasoningContent struct {
	IsNative  bool   `json:"is_native"`
	Reasoning string `json:"reasoning"`
	Signature string `json:"signature,omitzero"`
}

// RedactedReasoningContent is reasoning that the provider hides.
type RedactedReasoningContent struct {
	Data string `json:"data"`
}

// SummarizedReasoningContent is reasoning that the provider has summarised.
type SummarizedReasoningContent struct {
	ID               string             `json:"id"`
	Summary          []ReasoningSummary `json:"summary"`
	EncryptedContent string             `json:"encrypted_content,omitzero"`
}

// ReasoningSummary is one part of a summary of reasoning.
type ReasoningSummary struct {
	Index int    `json:"index"`
	Text  string `json:"text"`
}

// OmittedReasoningContent marks reasoning that was left out.
type OmittedReasoningContent struct {
	Signature string `json:"signature,omitzero"`
}

// UnknownContent is a variant that this version does not know; its JSON is kept and written back.
type UnknownContent struct {
	Kind string // of "type"
	Raw  json.RawMessage
}

func (*TextContent) contentPart() string                { return "text" }
func (*ImageContent) contentPart() string               { return "image" }
func (*ToolCallContent) contentPart() string            { return "tool_call" }
func (*ToolReturnContent) contentPart() string          { return "tool_return" }
func (*ReasoningContent) contentPart() string           { return "reasoning" }
func (*RedactedReasoningContent) contentPart() string   { return "redacted_reasoning" }
func (*SummarizedReasoningContent) contentPart() string { return "summarized_reasoning" }
func (*OmittedReasoningContent) contentPart() string    { return "omitted_reasoning" }
func (v *UnknownContent) contentPart() string           { return v.Kind }

// MarshalJSON adds "type".
func (v TextContent) MarshalJSON() ([]byte, error) {
	type fields TextContent
	return tagged("type", v.contentPart(), fields(v))
}

// MarshalJSON adds "type".
func (v ImageContent) MarshalJSON() ([]byte, error) {
	type fields ImageContent
	return tagged("type", v.contentPart(), fields(v))
}

// MarshalJSON adds "type".
func (v ToolCallContent) MarshalJSON() ([]byte, error) {
	type fields ToolCallContent
	return tagged("type", v.contentPart(), fields(v))
}

// MarshalJSON adds "type".
func (v ToolReturnContent) MarshalJSON() ([]byte, error) {
	type fields ToolReturnContent
	return tagged("type", v.contentPart(), fields(v))
}

// MarshalJSON adds "type".
func (v ReasoningContent) MarshalJSON() ([]byte, error) {
	type fields ReasoningContent
	return tagged("type", v.contentPart(), fields(v))
}

// MarshalJSON adds "type".
func (v RedactedReasoningContent) MarshalJSON() ([]byte, error) {
	type fields RedactedReasoningContent
	return tagged("type", v.contentPart(), fields(v))
}

// MarshalJSON adds "type".
func (v SummarizedReasoningContent) MarshalJSON() ([]byte, error) {
	type fields SummarizedReasoningContent
	return tagged("type", v.contentPart(), fields(v))
}

// MarshalJSON adds "type".
func (v OmittedReasoningContent) MarshalJSON() ([]byte, error) {
	type fields OmittedReasoningContent
	return tagged("type", v.contentPart(), fields(v))
}

// MarshalJSON gives Raw back.
func (v UnknownContent) MarshalJSON() ([]byte, error) { return rawOr(v.Raw, "UnknownContent") }

// ImageSource is where a picture comes from.
type ImageSource interface{ imageSource() string }

var imageSources = newUnion[ImageSource]("type", ImageSource.imageSource,
	func(kind string, raw json.RawMessage) ImageSource { return &UnknownImageSource{Kind: kind, Raw: raw} },
	&URLImage{}, &Base64Image{}, &LettaImage{},
)

// URLImage is a picture at an address.
type URLImage struct {
	URL string `json:"url"`
}

// Base64Image is a picture in the message.
type Base64Image struct {
	Data      string `json:"data"`
	MediaType string `json:"media_type"`
	Detail    string `json:"detail,omitzero"`
}

// LettaImage is a picture stored on the server.
type LettaImage struct {
	FileID    FileID `json:"file_id"`
	Data      string `json:"data,omitzero"`
	Detail    string `json:"detail,omitzero"`
	MediaType string `json:"media_type,omitzero"`
}

// UnknownImageSource is a variant that this version does not know; its JSON is kept and written back.
type UnknownImageSource struct {
	Kind string // of "type"
	Raw  json.RawMessage
}

func (*URLImage) imageSource() string             { return "url" }
func (*Base64Image) imageSource() string          { return "base64" }
func (*LettaImage) imageSource() string           { return "letta" }
func (v *UnknownImageSource) imageSource() string { return v.Kind }

// MarshalJSON adds "type".
func (v URLImage) MarshalJSON() ([]byte, error) {
	type fields URLImage
	return tagged("type", v.imageSource(), fields(v))
}

// MarshalJSON adds "type".
func (v Base64Image) MarshalJSON() ([]byte, error) {
	type fields Base64Image
	return tagged("type", v.imageSource(), fields(v))
}

// MarshalJSON adds "type".
func (v LettaImage) MarshalJSON() ([]byte, error) {
	type fields LettaImage
	return tagged("type", v.imageSource(), fields(v))
}

// MarshalJSON gives Raw back.
func (v UnknownImageSource) MarshalJSON() ([]byte, error) { return rawOr(v.Raw, "UnknownImageSource") }

// UnmarshalJSON reads the source.
func (v *ImageContent) UnmarshalJSON(data []byte) error { return unmarshal(data, v) }

func (v *ImageContent) plain() any {
	type fields ImageContent
	return (*fields)(v)
}
