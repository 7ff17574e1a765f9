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

// Message is what an agent's history and its turns consist of. Switch on its type: [*UserMessage], [*AssistantMessage],
// [*ReasoningMessage], [*HiddenReasoningMessage], [*ToolCallMessage], [*ToolReturnMessage], [*ApprovalRequestMessage],
// [*ApprovalResponseMessage], [*SystemMessage], [*SummaryMessage], [*EventMessage], [*Ping] (in a stream that was asked for
// pings), and [*UnknownMessage] for what this version does not know.
//
// One stored message may come as several with the same ID: reasoning, tool call, assistant message.
type Message interface {
	// Common gives the fields that all messages have.
	Common() *MessageCommon
	messageType() MessageType
}

// MessageType names a kind of message.
type MessageType string

// The values known today; others are kept as they come.
const (
	MessageTypeSystemMessage           MessageType = "system_message"
	MessageTypeUserMessage             MessageType = "user_message"
	MessageTypeAssistantMessage        MessageType = "assistant_message"
	MessageTypeReasoningMessage        MessageType = "reasoning_message"
	MessageTypeHiddenReasoningMessage  MessageType = "hidden_reasoning_message"
	MessageTypeToolCallMessage         MessageType = "tool_call_message"
	MessageTypeToolReturnMessage       MessageType = "tool_return_message"
	MessageTypeApprovalRequestMessage  MessageType = "approval_request_message"
	MessageTypeApprovalResponseMessage MessageType = "approval_response_message"
	MessageTypeSummaryMessage          MessageType = "summary_message"
	MessageTypeEventMessage            MessageType = "event_message"
	MessageTypePing                    MessageType = "ping"
)

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

// Messages is a []Message that encoding/json can decode. Either can be assigned to the other.
type Messages []Message

// UnmarshalJSON reads messages of all kinds.
func (l *Messages) UnmarshalJSON(data []byte) error { return unmarshal(data, l) }

var messages = newUnion[Message]("message_type", Message.messageType,
	func(kind string, raw json.RawMessage) Message {
		m := &UnknownMessage{Kind: MessageType(kind), Raw: raw}
		_ = unmarshal(raw, &m.MessageCommon)
		return m
	},
	&SystemMessage{}, &UserMessage{}, &AssistantMessage{}, &ReasoningMessage{}, &HiddenReasoningMessage{}, &ToolCallMessage{}, &ToolReturnMessage{}, &ApprovalRequestMessage{}, &ApprovalResponseMessage{}, &SummaryMessage{}, &EventMessage{}, &Ping{},
)

// SystemMessage is a message of the system.
type SystemMessage struct {
	MessageType Kind[SystemMessage] `json:"message_type"`
	MessageCommon
	Content Content `json:"content"`
}

// UserMessage is a message of the user. A turn does not send it back.
type UserMessage struct {
	MessageType Kind[UserMessage] `json:"message_type"`
	MessageCommon
	Content Content `json:"content"`
}

// AssistantMessage is what the agent says. In a stream of tokens it is a piece of it.
type AssistantMessage struct {
	MessageType Kind[AssistantMessage] `json:"message_type"`
	MessageCommon
	Content Content `json:"content"`
}

// ReasoningSource says whether the reasoning is that of a model made for it.
type ReasoningSource string

// The values known today; others are kept as they come.
const (
	ReasoningSourceReasonerModel    ReasoningSource = "reasoner_model"
	ReasoningSourceNonReasonerModel ReasoningSource = "non_reasoner_model"
)

// ReasoningMessage is what the model thought. In a stream of tokens it is a piece of it.
type ReasoningMessage struct {
	MessageType Kind[ReasoningMessage] `json:"message_type"`
	MessageCommon
	Reasoning string          `json:"reasoning"`
	Source    ReasoningSource `json:"source,omitzero"`
	Signature string          `json:"signature,omitzero"`
}

// HiddenReasoningState says why reasoning is not shown.
type HiddenReasoningState string

// The values known today; others are kept as they come.
const (
	HiddenReasoningRedacted HiddenReasoningState = "redacted"
	HiddenReasoningOmitted  HiddenReasoningState = "omitted"
)

// HiddenReasoningMessage is reasoning that the provider does not show.
type HiddenReasoningMessage struct {
	MessageType Kind[HiddenReasoningMessage] `json:"message_type"`
	MessageCommon
	State           HiddenReasoningState `json:"state"`
	HiddenReasoning string               `json:"hidden_reasoning,omitzero"`
}

// ToolCallMessage is a call of tools. In a stream of tokens it is a piece of one call.
type ToolCallMessage struct {
	MessageType Kind[ToolCallMessage] `json:"message_type"`
	MessageCommon
	// Deprecated: use ToolCalls.
	ToolCall  *ToolCall  `json:"tool_call,omitzero"`
	ToolCalls []ToolCall `json:"tool_calls,omitzero"`
}

// ToolReturnMessage is what tools gave back.
type ToolReturnMessage struct {
	MessageType Kind[ToolReturnMessage] `json:"message_type"`
	MessageCommon
	// Deprecated: use ToolReturns.
	Status ToolStatus `json:"status"`
	// Deprecated: use ToolReturns.
	ToolCallID ToolCallID `json:"tool_call_id"`
	// Deprecated: use ToolReturns.
	ToolReturn string `json:"tool_return"`
	// Deprecated: use ToolReturns.
	Stdout []string `json:"stdout,omitzero"`
	// Deprecated: use ToolReturns.
	Stderr      []string     `json:"stderr,omitzero"`
	ToolReturns []ToolReturn `json:"tool_returns,omitzero"`
}

// ApprovalRequestMessage asks for approval of tool calls, or for the returns of client tools.
type ApprovalRequestMessage struct {
	MessageType Kind[ApprovalRequestMessage] `json:"message_type"`
	MessageCommon
	// Deprecated: use ToolCalls.
	ToolCall  *ToolCall  `json:"tool_call,omitzero"`
	ToolCalls []ToolCall `json:"tool_calls,omitzero"`
}

// Calls are the calls that the message asks about.
func (m *ApprovalRequestMessage) Calls() []ToolCall { return callsOf(m.ToolCalls, m.ToolCall) }

// ApprovalResponseMessage answers an ApprovalRequestMessage.
type ApprovalResponseMessage struct {
	MessageType Kind[ApprovalResponseMessage] `json:"message_type"`
	MessageCommon
	Approvals Approvals `json:"approvals,omitzero"`
	// Deprecated: use Approvals.
	Approve bool `json:"approve,omitzero"`
	// Deprecated: use Approvals.
	ApprovalRequestID MessageID `json:"approval_request_id,omitzero"`
	// Deprecated: use Approvals.
	Reason string `json:"reason,omitzero"`
}

// SummaryMessage stands for older messages that were summarised.
type SummaryMessage struct {
	MessageType Kind[SummaryMessage] `json:"message_type"`
	MessageCommon
	Summary         string           `json:"summary"`
	CompactionStats *CompactionStats `json:"compaction_stats,omitzero"`
}

// EventType is what happened.
type EventType string

// The values known today; others are kept as they come.
const (
	EventTypeCompaction EventType = "compaction"
)

// EventMessage marks something that happened, such as a compaction.
type EventMessage struct {
	MessageType Kind[EventMessage] `json:"message_type"`
	MessageCommon
	EventType EventType      `json:"event_type"`
	EventData map[string]any `json:"event_data"`
}

// Ping is a sign of life in a stream; shown only if asked for.
type Ping struct {
	MessageType Kind[Ping] `json:"message_type"`
	MessageCommon
}

// UnknownMessage is a kind that this version does not know; its JSON is kept and written back.
type UnknownMessage struct {
	MessageCommon
	Kind MessageType
	Raw  json.RawMessage
}

func (*SystemMessage) messageType() MessageType          { return MessageTypeSystemMessage }
func (*UserMessage) messageType() MessageType            { return MessageTypeUserMessage }
func (*AssistantMessage) messageType() MessageType       { return MessageTypeAssistantMessage }
func (*ReasoningMessage) messageType() MessageType       { return MessageTypeReasoningMessage }
func (*HiddenReasoningMessage) messageType() MessageType { return MessageTypeHiddenReasoningMessage }
func (*ToolCallMessage) messageType() MessageType        { return MessageTypeToolCallMessage }
func (*ToolReturnMessage) messageType() MessageType      { return MessageTypeToolReturnMessage }
func (*ApprovalRequestMessage) messageType() MessageType { return MessageTypeApprovalRequestMessage }

func (*ApprovalResponseMessage) messageType() MessageType { return MessageTypeApprovalResponseMessage }
func (*SummaryMessage) messageType() MessageType          { return MessageTypeSummaryMessage }
func (*EventMessage) messageType() MessageType            { return MessageTypeEventMessage }
func (*Ping) messageType() MessageType                    { return MessageTypePing }
func (m *UnknownMessage) messageType() MessageType        { return m.Kind }

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

// Approval is the answer to one tool call that waits: [*ApprovalReturn], a decision; [*ToolReturn], what a client tool gave
// back; or [*UnknownApproval], which this version does not know.
type Approval interface{ approval() string }

// Approvals is a []Approval that encoding/json can decode. Either can be assigned to the other.
type Approvals []Approval

// UnmarshalJSON reads approvals of all kinds.
func (l *Approvals) UnmarshalJSON(data []byte) error { return unmarshal(data, l) }

var approvals = newUnion[Approval]("type", Approval.approval,
	func(kind string, raw json.RawMessage) Approval { return &UnknownApproval{Kind: kind, Raw: raw} },
	&ApprovalReturn{}, &ToolReturn{},
)

// ApprovalReturn approves a call, or denies it with a reason that the model reads.
type ApprovalReturn struct {
	Type       Kind[ApprovalReturn] `json:"type"`
	ToolCallID ToolCallID           `json:"tool_call_id"`
	Approve    bool                 `json:"approve"`
	Reason     string               `json:"reason,omitzero"`
}

// ToolStatus says whether a tool did what it was called for.
type ToolStatus string

// The values known today; others are kept as they come.
const (
	ToolStatusSuccess ToolStatus = "success"
	ToolStatusError   ToolStatus = "error"
)

// ToolReturn is what a tool gave back, in answer to a call.
type ToolReturn struct {
	Type       Kind[ToolReturn] `json:"type"`
	ToolCallID ToolCallID       `json:"tool_call_id"`
	Status     ToolStatus       `json:"status"`
	ToolReturn Content          `json:"tool_return"`
	Stdout     []string         `json:"stdout,omitzero"`
	Stderr     []string         `json:"stderr,omitzero"`
}

// UnknownApproval is a variant that this version does not know; its JSON is kept and written back.
type UnknownApproval struct {
	Kind string // of "type"
	Raw  json.RawMessage
}

func (*ApprovalReturn) approval() string    { return "approval" }
func (*ToolReturn) approval() string        { return "tool" }
func (v *UnknownApproval) approval() string { return v.Kind }

// MarshalJSON gives Raw back.
func (v UnknownApproval) MarshalJSON() ([]byte, error) { return rawOr(v.Raw, "UnknownApproval") }

// MessageInput is a message to send: [*MessageCreate], which [UserText] and [UserImage] make; [*ApprovalCreate] and
// [*ToolReturnCreate], which answer tool calls; or [*UnknownMessageInput], which this version does not know.
type MessageInput interface{ messageInput() string }

// MessageInputs is a []MessageInput that encoding/json can decode. Either can be assigned to the other.
type MessageInputs []MessageInput

// UnmarshalJSON reads messages of all kinds.
func (l *MessageInputs) UnmarshalJSON(data []byte) error { return unmarshal(data, l) }

var messageInputs = newUnion[MessageInput]("type", MessageInput.messageInput,
	func(kind string, raw json.RawMessage) MessageInput { return &UnknownMessageInput{Kind: kind, Raw: raw} },
	&MessageCreate{}, &ApprovalCreate{}, &ToolReturnCreate{},
)

// Role is who speaks.
type Role string

// The values known today; others are kept as they come.
const (
	RoleUser      Role = "user"
	RoleSystem    Role = "system"
	RoleAssistant Role = "assistant"
	RoleTool      Role = "tool"
)

// MessageCreate is a message of a user, or of the system.
type MessageCreate struct {
	Type    Kind[MessageCreate] `json:"type"`
	Role    Role                `json:"role"`
	Content Content             `json:"content"`
	Name    string              `json:"name,omitzero"`
	// Otid tells a message from its copies; filled when it is sent, if empty.
	Otid        string  `json:"otid,omitzero"`
	SenderID    string  `json:"sender_id,omitzero"`
	GroupID     GroupID `json:"group_id,omitzero"`
	BatchItemID string  `json:"batch_item_id,omitzero"`
}

// ApprovalCreate answers tool calls that wait for approval; it must name all of them.
type ApprovalCreate struct {
	Type      Kind[ApprovalCreate] `json:"type"`
	Approvals Approvals            `json:"approvals,omitzero"`
	Otid      string               `json:"otid,omitzero"`
	GroupID   GroupID              `json:"group_id,omitzero"`
	// Deprecated: use Approvals.
	Approve Opt[bool] `json:"approve,omitzero"`
	// Deprecated: use Approvals.
	ApprovalRequestID MessageID `json:"approval_request_id,omitzero"`
	// Deprecated: use Approvals.
	Reason string `json:"reason,omitzero"`
}

// ToolReturnCreate sends what client tools gave back.
type ToolReturnCreate struct {
	Type        Kind[ToolReturnCreate] `json:"type"`
	ToolReturns []ToolReturn           `json:"tool_returns"`
	Otid        string                 `json:"otid,omitzero"`
	GroupID     GroupID                `json:"group_id,omitzero"`
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

// MarshalJSON gives Raw back.
func (v UnknownMessageInput) MarshalJSON() ([]byte, error) {
	return rawOr(v.Raw, "UnknownMessageInput")
}

// UserText is a message of the user.
func UserText(text string) *MessageCreate {
	return &MessageCreate{Role: RoleUser, Content: Content{Text: text}}
}

// UserImage is a message of the user with a picture: text may be empty, data is the picture's bytes and mediaType such as image/png.
func UserImage(text string, data []byte, mediaType string) *MessageCreate {
	var parts []ContentPart
	if text != "" {
		parts = append(parts, &TextContent{Text: text})
	}
	image := &Base64Image{Data: base64.StdEncoding.EncodeToString(data), MediaType: mediaType}
	return &MessageCreate{Role: RoleUser, Content: Content{Parts: append(parts, &ImageContent{Source: image})}}
}

// ContentPart is one part of a message's content: [*TextContent], [*ImageContent], [*ToolCallContent],
// [*ToolReturnContent], [*ReasoningContent], [*RedactedReasoningContent], [*OmittedReasoningContent],
// [*SummarizedReasoningContent], or [*UnknownContent], which this version does not know.
type ContentPart interface{ contentPart() string }

var contentParts = newUnion[ContentPart]("type", ContentPart.contentPart,
	func(kind string, raw json.RawMessage) ContentPart { return &UnknownContent{Kind: kind, Raw: raw} },
	&TextContent{}, &ImageContent{}, &ToolCallContent{}, &ToolReturnContent{}, &ReasoningContent{}, &RedactedReasoningContent{}, &OmittedReasoningContent{},
	&SummarizedReasoningContent{},
)

// TextContent is text.
type TextContent struct {
	Type      Kind[TextContent] `json:"type"`
	Text      string            `json:"text"`
	Signature string            `json:"signature,omitzero"`
}

// ImageContent is a picture.
type ImageContent struct {
	Type   Kind[ImageContent] `json:"type"`
	Source ImageSource        `json:"source"`
}

// ToolCallContent is a call the model made.
type ToolCallContent struct {
	Type      Kind[ToolCallContent] `json:"type"`
	ID        ToolCallID            `json:"id"`
	Name      string                `json:"name"`
	Input     map[string]any        `json:"input"`
	Signature string                `json:"signature,omitzero"`
}

// ToolReturnContent is what a tool gave back.
type ToolReturnContent struct {
	Type       Kind[ToolReturnContent] `json:"type"`
	ToolCallID ToolCallID              `json:"tool_call_id"`
	Content    string                  `json:"content"`
	IsError    bool                    `json:"is_error"`
}

// ReasoningContent is the model's reasoning.
type ReasoningContent struct {
	Type      Kind[ReasoningContent] `json:"type"`
	IsNative  bool                   `json:"is_native"`
	Reasoning string                 `json:"reasoning"`
	Signature string                 `json:"signature,omitzero"`
}

// RedactedReasoningContent is reasoning that the provider hides.
type RedactedReasoningContent struct {
	Type Kind[RedactedReasoningContent] `json:"type"`
	Data string                         `json:"data"`
}

// SummarizedReasoningContent is reasoning that the provider has summarised.
type SummarizedReasoningContent struct {
	Type             Kind[SummarizedReasoningContent] `json:"type"`
	ID               string                           `json:"id"`
	Summary          []ReasoningSummary               `json:"summary"`
	EncryptedContent string                           `json:"encrypted_content,omitzero"`
}

// ReasoningSummary is one part of a summary of reasoning.
type ReasoningSummary struct {
	Index int    `json:"index"`
	Text  string `json:"text"`
}

// OmittedReasoningContent marks reasoning that was left out.
type OmittedReasoningContent struct {
	Type      Kind[OmittedReasoningContent] `json:"type"`
	Signature string                        `json:"signature,omitzero"`
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

// MarshalJSON gives Raw back.
func (v UnknownContent) MarshalJSON() ([]byte, error) { return rawOr(v.Raw, "UnknownContent") }

// ImageSource is where a picture comes from: [*URLImage], [*Base64Image], [*LettaImage], or [*UnknownImageSource], which this
// version does not know.
type ImageSource interface{ imageSource() string }

var imageSources = newUnion[ImageSource]("type", ImageSource.imageSource,
	func(kind string, raw json.RawMessage) ImageSource { return &UnknownImageSource{Kind: kind, Raw: raw} },
	&URLImage{}, &Base64Image{}, &LettaImage{},
)

// ImageDetail is how closely the model looks at a picture.
type ImageDetail string

// The values known today; others are kept as they come.
const (
	ImageDetailLow  ImageDetail = "low"
	ImageDetailHigh ImageDetail = "high"
	ImageDetailAuto ImageDetail = "auto"
)

// URLImage is a picture at an address.
type URLImage struct {
	Type Kind[URLImage] `json:"type"`
	URL  string         `json:"url"`
}

// Base64Image is a picture in the message.
type Base64Image struct {
	Type      Kind[Base64Image] `json:"type"`
	Data      string            `json:"data"`
	MediaType string            `json:"media_type"`
	Detail    ImageDetail       `json:"detail,omitzero"`
}

// LettaImage is a picture stored on the server.
type LettaImage struct {
	Type      Kind[LettaImage] `json:"type"`
	FileID    FileID           `json:"file_id"`
	Data      string           `json:"data,omitzero"`
	Detail    ImageDetail      `json:"detail,omitzero"`
	MediaType string           `json:"media_type,omitzero"`
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

// MarshalJSON gives Raw back.
func (v UnknownImageSource) MarshalJSON() ([]byte, error) { return rawOr(v.Raw, "UnknownImageSource") }

// UnmarshalJSON reads a source of any kind.
func (v *ImageContent) UnmarshalJSON(data []byte) error { return unmarshal(data, v) }

func (v *ImageContent) withoutMethods() any {
	type fields ImageContent
	return (*fields)(v)
}
