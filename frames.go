package letta

import (
	"bytes"
	"math/bits"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// frameDecoder decodes the events of one stream. In a stream of tokens nearly all of them are assistant messages,
// reasoning messages and pings, and each differs from the one before in a few bytes: its text and its number. So
// these three are read here, member by member. A member that has the same bytes as in the frame before has the same
// value, and is not decoded again.
//
// What is not simple goes to the engine: other kinds, unknown or repeated names, values of another type, invalid
// UTF-8. FuzzFrames holds both to the same results, errors included.
type frameDecoder struct {
	members []frameMember // of the frame before, in its order; no field twice
	// The values of the fields in members; the zero value for the others.
	text  [frameFields]string
	date  time.Time
	isErr bool
	seq   int
}

// frameMember is a member of a JSON object as it came.
type frameMember struct {
	field frameField
	raw   []byte // name, colon and value; no value where the next frame has another anyway
}

type frameField uint

const (
	frameID frameField = iota
	frameDate
	frameName
	frameType
	frameOtid
	frameSender
	frameStep
	frameIsErr
	frameRun
	frameSource
	frameSignature
	frameSeq // this and the following change with every frame
	frameContent
	frameReasoning
	frameFields
)

var frameNames = []string{"id", "date", "name", "message_type", "otid", "sender_id", "step_id", "is_err", "run_id", "source", "signature", "seq_id", "content", "reasoning"}

// decode returns the message_type of an event, "" if it has none, and the message. With an error the event is no
// message; it may still be something else that a stream sends.
func (d *frameDecoder) decode(event []byte) (kind string, m Message, err error) {
	if m := d.read(event); m != nil {
		return string(m.messageType()), m, nil
	}
	kind = stringField(event, "message_type")
	m, err = messages.readAs(kind, event)
	return kind, m, err
}

// read returns nil for what the engine has to decode.
func (d *frameDecoder) read(event []byte) Message {
	rest := skipSpace(event)
	if len(rest) == 0 || rest[0] != '{' {
		return nil
	}
	var seen uint // the fields of this frame, as bits
	for i, end := 0, byte(','); end == ','; i++ {
		rest = skipSpace(rest[1:])
		field, size := d.member(i, rest, seen)
		if size == 0 {
			return nil
		}
		seen |= 1 << field
		if rest = skipSpace(rest[size:]); len(rest) == 0 {
			return nil
		}
		if end = rest[0]; end == '}' {
			d.members = d.members[:i+1]
		} else if end != ',' {
			return nil
		}
	}
	if len(skipSpace(rest[1:])) > 0 {
		return nil
	}
	for missing := (uint(1)<<frameFields - 1) &^ seen; missing != 0; missing &= missing - 1 {
		d.clear(frameField(bits.TrailingZeros(missing)))
	}
	switch MessageType(d.text[frameType]) {
	case MessageTypeAssistantMessage:
		return &AssistantMessage{MessageCommon: d.common(), Content: Content{Text: d.text[frameContent]}}
	case MessageTypeReasoningMessage:
		return &ReasoningMessage{MessageCommon: d.common(), Reasoning: d.text[frameReasoning], Source: ReasoningSource(d.text[frameSource]), Signature: d.text[frameSignature]}
	case MessageTypePing:
		return &Ping{MessageCommon: d.common()}
	}
	return nil
}

func (d *frameDecoder) common() MessageCommon {
	return MessageCommon{
		ID: MessageID(d.text[frameID]), Date: d.date, Name: d.text[frameName], Otid: d.text[frameOtid],
		SenderID: d.text[frameSender], StepID: StepID(d.text[frameStep]), IsErr: d.isErr, SeqID: d.seq, RunID: RunID(d.text[frameRun]),
	}
}

func (d *frameDecoder) clear(field frameField) {
	switch field {
	case frameDate:
		d.date = time.Time{}
	case frameIsErr:
		d.isErr = false
	case frameSeq:
		d.seq = 0
	default:
		d.text[field] = ""
	}
}

// member reads the i-th member of a frame from the start of data, and returns its field and length, 0 if it cannot.
func (d *frameDecoder) member(i int, data []byte, seen uint) (frameField, int) {
	if i < len(d.members) {
		// The members before this one are those of this frame by now, so that none of them is the same field.
		if m := &d.members[i]; bytes.HasPrefix(data, m.raw) {
			if m.field < frameSeq {
				return m.field, len(m.raw)
			}
			if size := d.value(m.field, data[len(m.raw):]); size > 0 {
				return m.field, len(m.raw) + size
			}
			return 0, 0
		}
	}
	name, _, size := scanString(data)
	field := frameField(slices.Index(frameNames, string(name))) // -1 is a large number
	if size == 0 || field >= frameFields || seen&(1<<field) != 0 {
		return 0, 0
	}
	colon := skipSpace(data[size:])
	if len(colon) == 0 || colon[0] != ':' {
		return 0, 0
	}
	value := skipSpace(colon[1:])
	start := len(data) - len(value)
	if size = d.value(field, value); size == 0 {
		return 0, 0
	}
	raw := data[:start]
	if field < frameSeq {
		raw = data[:start+size]
	}
	if i < len(d.members) && d.members[i].field == field {
		d.members[i].raw = append(d.members[i].raw[:0], raw...)
	} else {
		d.members = append(d.members[:i], frameMember{field, bytes.Clone(raw)})
	}
	return field, start + size
}

// value reads the value of a field from the start of data, and returns its length; 0, changing nothing, if it cannot.
func (d *frameDecoder) value(field frameField, data []byte) int {
	switch {
	case bytes.HasPrefix(data, []byte("null")) && field != frameType:
		d.clear(field)
		return len("null")
	case field == frameIsErr && bytes.HasPrefix(data, []byte("true")):
		d.isErr = true
		return len("true")
	case field == frameIsErr:
		return 0 // servers send null instead of false
	case field == frameSeq:
		number, size := 0, 0
		for size < len(data) && '0' <= data[size] && data[size] <= '9' {
			number = number*10 + int(data[size]-'0')
			size++
		}
		if size > 9 || size > 1 && data[0] == '0' {
			return 0
		}
		d.seq = number
		return size
	}
	text, plain, size := scanString(data)
	if size == 0 {
		return 0
	}
	if !plain {
		var err error
		if text, err = jsontext.AppendUnquote(nil, data[:size]); err != nil {
			return 0
		}
	}
	switch field {
	case frameDate:
		date, err := parseTime(string(text))
		if err != nil {
			return 0
		}
		d.date = date
		return size
	case frameType:
		switch MessageType(text) {
		case MessageTypeAssistantMessage, MessageTypeReasoningMessage, MessageTypePing:
		default:
			return 0
		}
	}
	d.text[field] = string(text)
	return size
}

// scanString finds the string at the start of data: what is between its quotes, whether that is plain text or needs
// the engine to unescape it, and its length with the quotes, 0 if there is none.
func scanString(data []byte) (text []byte, plain bool, size int) {
	if len(data) == 0 || data[0] != '"' {
		return nil, false, 0
	}
	plain = true
	ascii := true
	for i := 1; i < len(data); i++ {
		switch c := data[i]; {
		case c == '"':
			text = data[1:i]
			return text, plain && (ascii || utf8.Valid(text)), i + 1
		case c == '\\':
			plain = false
			i++
		case c < ' ':
			return nil, false, 0
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return nil, false, 0
}

func skipSpace(data []byte) []byte {
	for len(data) > 0 && (data[0] == ' ' || data[0] == '\n' || data[0] == '\r' || data[0] == '\t') {
		data = data[1:]
	}
	return data
}
