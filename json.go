package letta

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// All encoding and decoding goes through marshal and unmarshal, so that the engine can be changed in this file
// alone. docs/design.md says why it is go-json-experiment.

// marshal encodes a request body or a public type. Invalid UTF-8 is an error, not a silent replacement.
func marshal(v any) ([]byte, error) { return json.Marshal(v, json.Deterministic(true)) }

// isJSON reports whether data is one whole JSON value.
func isJSON(data []byte) bool {
	return jsontext.Value(data).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// marshalStandard encodes a type of the caller as encoding/json does, except that invalid UTF-8 is an error.
func marshalStandard(v any) ([]byte, error) {
	return json.Marshal(v, jsonv1.DefaultOptionsV1(), jsontext.AllowInvalidUTF8(false))
}

// unmarshal decodes what a server sent. Unknown fields are ignored, null gives the zero value, the last of two equal names
// counts, and times are read in every form that servers send.
func unmarshal(data []byte, v any) error { return json.Unmarshal(data, v, decoding) }

// The unions and fields named here refer to types whose methods call unmarshal, hence a func and not an initialiser.
var decoding json.Options

func init() {
	decoding = json.JoinOptions(
		jsontext.AllowDuplicateNames(true),
		jsontext.AllowInvalidUTF8(true),
		json.WithUnmarshalers(json.JoinUnmarshalers(
			json.UnmarshalFromFunc(decodeTime),
			json.UnmarshalFromFunc(decodeToolCalls),
			json.UnmarshalFromFunc(decodeContent),
			json.UnmarshalFromFunc(toolRules.decode),
			json.UnmarshalFromFunc(decodeList[ToolRules]),
			json.UnmarshalFromFunc(modelSettings.decode),
			json.UnmarshalFromFunc(contentParts.decode),
			json.UnmarshalFromFunc(imageSources.decode),
			json.UnmarshalFromFunc(messages.decode),
			json.UnmarshalFromFunc(decodeList[Messages]),
			json.UnmarshalFromFunc(approvals.decode),
			json.UnmarshalFromFunc(decodeList[Approvals]),
			json.UnmarshalFromFunc(messageInputs.decode),
			json.UnmarshalFromFunc(mcpServers.decode),
			json.UnmarshalFromFunc(decodeList[MCPServers]),
			json.UnmarshalFromFunc(mcpServerConfigs.decode),
			json.UnmarshalFromFunc(environmentMessages.decode),
			json.UnmarshalFromFunc(decodeList[EnvironmentMessages]),
			json.UnmarshalFromFunc(decodeList[MessageInputs]),
			json.UnmarshalFromFunc(func(dec *jsontext.Decoder, _ isKind) error { return dec.SkipValue() }),
			json.UnmarshalFromFunc(decodePlain[[]Tool]),
			json.UnmarshalFromFunc(decodePlain[[]Block]),
			json.UnmarshalFromFunc(decodePlain[EmbeddingConfig]),
			// The frequent ones by name: the engine takes longer to see that a type has a method.
			json.UnmarshalFromFunc(decodeOpt[*Opt[bool]]),
			json.UnmarshalFromFunc(decodeOpt[*Opt[float64]]),
			json.UnmarshalFromFunc(decodeOpt[optional]),
			json.UnmarshalFromFunc(decodeMethodless[*ResponseFormat]),
			json.UnmarshalFromFunc(decodeMethodless[methodless]),
		)),
	)
}

// decodePlain reads a type in which no value is of a type above: the engine need not look.
func decodePlain[T any](dec *jsontext.Decoder, v *T) error {
	return json.UnmarshalDecode(dec, v, plain)
}

var plain = json.WithUnmarshalers(nil)

// isKind is a Kind of any type.
type isKind interface{ isKind() }

// optional is an Opt of any type.
type optional interface{ set(null bool) (value any) }

// decodeOpt reads an Opt on the way; its UnmarshalJSON would start anew.
func decodeOpt[O optional](dec *jsontext.Decoder, v O) error {
	null := dec.PeekKind() == 'n'
	if value := v.set(null); !null {
		return json.UnmarshalDecode(dec, value)
	}
	return dec.SkipValue()
}

// methodless is a type that has an UnmarshalJSON for the sake of encoding/json. Our engine would scan such a value
// twice, so it decodes withoutMethods, which is the same value as a type without them.
type methodless interface{ withoutMethods() any }

func decodeMethodless[M methodless](dec *jsontext.Decoder, v M) error {
	return json.UnmarshalDecode(dec, v.withoutMethods())
}

// decodeList reads the named list of a union as the plain slice that it is, for the same reason.
func decodeList[L ~[]T, T any](dec *jsontext.Decoder, v *L) error {
	list := []T(*v)
	err := json.UnmarshalDecode(dec, &list)
	*v = list
	return err
}

// timeForms are tried in turn. The third, without a zone, means UTC: Letta 0.16.8 sends Run.completed_at
// like that, Letta 0.6.12 every time.
var timeForms = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", time.DateOnly}

func decodeTime(dec *jsontext.Decoder, v *time.Time) error {
	token, err := dec.ReadToken()
	if err != nil {
		return err
	}
	*v = time.Time{}
	if token.Kind() != '"' {
		if token.Kind() == 'n' {
			return nil
		}
		return fmt.Errorf("a time must be a string, not %s", token.Kind())
	}
	*v, err = parseTime(token.String())
	return err
}

func parseTime(text string) (time.Time, error) {
	for _, form := range timeForms {
		if t, err := time.Parse(form, text); err == nil {
			if _, offset := t.Zone(); offset == 0 {
				t = t.UTC() // +00:00 is Z, whatever the zone of this machine
			}
			return t, nil
		}
	}
	if text == "" {
		return time.Time{}, nil
	}
	return time.Time{}, fmt.Errorf("unknown form of time %q", text)
}

// decodeToolCalls reads a list, or the single object that streams send.
func decodeToolCalls(dec *jsontext.Decoder, v *[]ToolCall) error {
	if dec.PeekKind() != '{' {
		return errors.ErrUnsupported
	}
	*v = make([]ToolCall, 1)
	return json.UnmarshalDecode(dec, &(*v)[0])
}

// decodeContent reads a text, or a list of parts.
func decodeContent(dec *jsontext.Decoder, v *Content) error {
	*v = Content{}
	if dec.PeekKind() == '[' {
		return json.UnmarshalDecode(dec, &v.Parts)
	}
	return json.UnmarshalDecode(dec, &v.Text)
}

// A union maps the values of a discriminator field to the variants of a sealed interface T.
type union[T any] struct {
	field    string
	variants map[string]reflect.Type
	unknown  func(kind string, raw stdjson.RawMessage) T
}

// kinds holds the kind of every variant, for Kind.
var kinds = map[reflect.Type]string{}

// newUnion takes one pointer of each variant; kind is the method of T that names a variant.
func newUnion[T any, K ~string](field string, kind func(T) K, unknown func(string, stdjson.RawMessage) T, variants ...T) *union[T] {
	u := &union[T]{field: field, variants: map[string]reflect.Type{}, unknown: unknown}
	for _, v := range variants {
		t := reflect.TypeOf(v).Elem()
		u.variants[string(kind(v))] = t
		if kind(v) != "" {
			kinds[t] = string(kind(v))
		}
	}
	return u
}

// decode reads one variant where it stands. What it does not know, or cannot read, becomes the unknown variant with its
// JSON, so that one odd element does not lose its neighbours.
func (u *union[T]) decode(dec *jsontext.Decoder, v *T) error {
	*v = *new(T)
	kind := ""
	first, rest, start, depth := dec.PeekKind(), dec.UnreadBuffer(), dec.InputOffset(), dec.StackDepth()
	switch first {
	case 'n':
		return dec.SkipValue()
	case '{':
		kind = stringField(rest, u.field)
	}
	if value, target := u.variant(kind); target != nil && json.UnmarshalDecode(dec, target) == nil {
		*v = value
		return nil
	}
	for dec.StackDepth() > depth || dec.InputOffset() == start {
		if _, err := dec.ReadToken(); err != nil {
			return err // of the syntax
		}
	}
	raw := rest[:dec.InputOffset()-start]
	*v = u.unknown(kind, bytes.Clone(bytes.TrimLeft(raw, ",: \t\r\n")))
	return nil
}

// variant is a new variant of a kind and what to decode it into; nil if the kind is not known.
func (u *union[T]) variant(kind string) (value T, target any) {
	t, ok := u.variants[kind]
	if !ok {
		return value, nil
	}
	target = reflect.New(t).Interface()
	value = target.(T)
	if v, ok := target.(methodless); ok {
		target = v.withoutMethods() // as the engine does, but without looking for it
	}
	return value, target
}

// readAs is decode for an object that stands alone and whose kind is known already. With an error it still returns the
// unknown variant.
func (u *union[T]) readAs(kind string, raw []byte) (T, error) {
	var err error
	if value, target := u.variant(kind); target != nil {
		if err = unmarshal(raw, target); err == nil {
			return value, nil
		}
	} else if !isJSON(raw) {
		err = errors.New("it is no JSON")
	}
	return u.unknown(kind, bytes.Clone(raw)), err
}

// stringField is the string value of a field of the JSON object that data begins with, "" if there is none. It reads no
// further than that field, and does not check what it skips: what is found is decoded afterwards.
func stringField(data []byte, name string) string {
	depth := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return ""
			}
		case '"':
			start := i
			if i = endOfString(data, i); i < 0 {
				return ""
			}
			if depth != 1 || string(data[start+1:i]) != name {
				continue
			}
			rest := bytes.TrimLeft(data[i+1:], " \t\r\n")
			if len(rest) == 0 || rest[0] != ':' {
				continue // it is a value
			}
			rest = bytes.TrimLeft(rest[1:], " \t\r\n")
			if len(rest) == 0 || rest[0] != '"' {
				return ""
			}
			var value string
			if end := endOfString(rest, 0); end < 0 {
				return ""
			} else if value = string(rest[1:end]); strings.Contains(value, "\\") {
				_ = unmarshal(rest[:end+1], &value)
			}
			return value
		}
	}
	return ""
}

// endOfString is the index of the quote that closes the one at start, -1 if there is none.
func endOfString(data []byte, start int) int {
	for i := start + 1; ; i++ {
		n := bytes.IndexByte(data[i:], '"')
		if n < 0 {
			return -1
		}
		i += n
		backslashes := 0
		for data[i-1-backslashes] == '\\' {
			backslashes++
		}
		if backslashes%2 == 0 {
			return i
		}
	}
}

// rawOr is what an unknown variant writes back.
func rawOr(raw stdjson.RawMessage, what string) ([]byte, error) {
	if len(raw) == 0 {
		return nil, errors.New("letta: an " + what + " without JSON cannot be sent")
	}
	return raw, nil
}

// cloneAgent makes a copy that shares nothing with a.
func cloneAgent(a *AgentState) *AgentState {
	data, err := json.Marshal(a, jsontext.AllowInvalidUTF8(true))
	clone := new(AgentState)
	if err == nil {
		err = unmarshal(data, clone)
	}
	if err != nil {
		*clone = *a // what came from a server can be written again, so this does not happen
	}
	return clone
}
