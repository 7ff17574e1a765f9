package letta

import (
	"encoding/json"
	"time"
)

// ApprovalRequestMessage asks for approval of tool calls.
type ApprovalRequestMessage struct {
	ID   MessageID `json:"id"`
	Date time.Time `json:"date"`
	// Deprecated: by Letta, in favour of ToolCalls.
	ToolCall    *ToolCall  `json:"tool_call"`
	IsErr       bool       `json:"is_err,omitzero"`
	MessageType string     `json:"message_type"`
	Name        string     `json:"name,omitzero"`
	Otid        string     `json:"otid,omitzero"`
	RunID       RunID      `json:"run_id,omitzero"`
	SenderID    string     `json:"sender_id,omitzero"`
	SeqID       int        `json:"seq_id,omitzero"`
	StepID      StepID     `json:"step_id,omitzero"`
	ToolCalls   []ToolCall `json:"tool_calls,omitzero"`
}

// UnmarshalJSON reads every form of time that a server was seen to send.
func (v *ApprovalRequestMessage) UnmarshalJSON(data []byte) error {
	type fields ApprovalRequestMessage
	return unmarshal(data, (*fields)(v))
}

// MessageCreate is a message to store or to send.
type MessageCreate struct {
	Content     []ContentPart `json:"content"`
	Role        string        `json:"role"`
	BatchItemID string        `json:"batch_item_id,omitzero"`
	GroupID     string        `json:"group_id,omitzero"`
	Name        string        `json:"name,omitzero"`
	Otid        string        `json:"otid,omitzero"`
	SenderID    string        `json:"sender_id,omitzero"`
	Type        string        `json:"type,omitzero"`
}

// UserText is a message of the user.
func UserText(text string) *MessageCreate {
	return &MessageCreate{Role: "user", Content: []ContentPart{&TextContent{Text: text}}}
}

// UnmarshalJSON reads content in both of its forms, text and parts.
func (v *MessageCreate) UnmarshalJSON(data []byte) error {
	type fields MessageCreate
	return unmarshal(data, (*fields)(v))
}

// ContentPart is one part of a message's content.
type ContentPart interface{ contentPart() string }

var contentParts = newUnion[ContentPart]("type", ContentPart.contentPart,
	func(kind string, raw json.RawMessage) ContentPart { return &UnknownContent{Kind: kind, Raw: raw} },
	&TextContent{}, &ImageContent{}, &ToolCallContent{}, &ToolReturnContent{}, &ReasoningContent{}, &RedactedReasoningContent{}, &OmittedReasoningContent{},
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

// OmittedReasoningContent marks reasoning that was left out.
type OmittedReasoningContent struct {
	Signature string `json:"signature,omitzero"`
}

// UnknownContent is a variant that this version does not know; its JSON is kept and written back.
type UnknownContent struct {
	Kind string // of "type"
	Raw  json.RawMessage
}

func (*TextContent) contentPart() string              { return "text" }
func (*ImageContent) contentPart() string             { return "image" }
func (*ToolCallContent) contentPart() string          { return "tool_call" }
func (*ToolReturnContent) contentPart() string        { return "tool_return" }
func (*ReasoningContent) contentPart() string         { return "reasoning" }
func (*RedactedReasoningContent) contentPart() string { return "redacted_reasoning" }
func (*OmittedReasoningContent) contentPart() string  { return "omitted_reasoning" }
func (v *UnknownContent) contentPart() string         { return v.Kind }

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
func (v *ImageContent) UnmarshalJSON(data []byte) error {
	type fields ImageContent
	return unmarshal(data, (*fields)(v))
}

// ToolCall is a call of a tool: Arguments is JSON, as the model wrote it.
type ToolCall struct {
	Arguments  string     `json:"arguments"`
	Name       string     `json:"name"`
	ToolCallID ToolCallID `json:"tool_call_id"`
}
