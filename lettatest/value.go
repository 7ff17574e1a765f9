package lettatest

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/letta-go/letta/internal/apispec"
)

// An object is a JSON object, or the parameters of a request after their check. Getters give the zero value for what is absent or null.
type object = map[string]any

func get[T any](o object, key string) T {
	v, _ := o[key].(T)
	return v
}

func text(o object, key string) string { return get[string](o, key) }

func flag(o object, key string) bool { return get[bool](o, key) }

// objects returns a list of objects; whatever else is in it does not count.
func objects(o object, key string) (out []object) {
	for _, v := range get[[]any](o, key) {
		if in, ok := v.(object); ok {
			out = append(out, in)
		}
	}
	return out
}

// texts returns a list of strings without its duplicates; nil when there is none.
func texts(o object, key string) []string {
	var out []string
	for _, v := range get[[]any](o, key) {
		if s, ok := v.(string); ok && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// with sets pairs of keys and values.
func with(o object, pairs ...any) object {
	for i := 0; i < len(pairs); i += 2 {
		o[pairs[i].(string)] = pairs[i+1]
	}
	return o
}

// nulls is an object whose members, named in one text, are null.
func nulls(names string) object {
	o := object{}
	for name := range strings.FieldsSeq(names) {
		o[name] = nil
	}
	return o
}

// overlay copies the members that are set and that the object has.
func overlay(o, from object) {
	for k, v := range from {
		if _, known := o[k]; known && v != nil {
			o[k] = v
		}
	}
}

func nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// or is a value, or another in place of null.
func or(v, other any) any {
	if v == nil {
		return other
	}
	return v
}

// list makes the list of a JSON answer: empty, not null.
func list[T any](in []T) []any { return shown(in, func(v T) any { return v }) }

// shown makes the list of what is to be shown of each.
func shown[T any](in []T, view func(T) any) []any {
	out := make([]any, len(in))
	for i, v := range in {
		out[i] = view(v)
	}
	return out
}

var null = json.RawMessage("null")

func readJSON(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	return dec.Decode(v)
}

func encode(v any) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimRight(buf.Bytes(), "\n")
}

var templates sync.Map // the bytes of those that were asked for

// sample is a fresh copy of an object that Letta 0.16.8 once answered: the template of rows and answers. See recorded.
func sample(exchange string, path ...any) object { return recorded(exchange, path...).(object) }

// recorded is a fresh copy of what Letta 0.16.8 once answered, or of a part of it: the path leads through names of members, indexes of lists, and
// "member=value" for the first row of a list that has it. It is nil when no row has it.
func recorded(exchange string, path ...any) any {
	key := fmt.Sprint(exchange, path)
	var v any
	if data, ok := templates.Load(key); ok {
		_ = readJSON(data.([]byte), &v)
		return v
	}
	x, found := apispec.Recording(apispec.ServerV1, exchange)
	if !found || readJSON(x.Body, &v) != nil {
		panic("lettatest: no recording " + exchange)
	}
	for _, step := range path {
		v = part(v, step)
	}
	templates.Store(key, encode(v))
	return v
}

func part(v, step any) any {
	if i, isIndex := step.(int); isIndex {
		return v.([]any)[i]
	}
	member, value, search := strings.Cut(step.(string), "=")
	if !search {
		return v.(object)[member]
	}
	for _, row := range v.([]any) {
		if row.(object)[member] == value {
			return row
		}
	}
	return nil
}

func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func newID(kind string) string { return kind + "-" + uuid() }

// timestamp shows whole seconds without a fraction and all else with six digits.
func timestamp(t time.Time) string {
	if t.Nanosecond() == 0 {
		return t.Format("2006-01-02T15:04:05Z")
	}
	return t.Format("2006-01-02T15:04:05.000000Z")
}

// pyTime is the form of times in agent files.
func pyTime(t time.Time) string { return strings.TrimSuffix(timestamp(t), "Z") + "+00:00" }

// moment is a time as an answer shows it; null for none.
func moment(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return timestamp(t)
}

// ilike is a case-insensitive substring filter with the wildcards of SQL; an empty text lets everything through.
func ilike(s string) func(string) bool {
	return regexp.MustCompile("(?is)" + strings.NewReplacer("%", ".*", "_", ".").Replace(regexp.QuoteMeta(s))).MatchString
}

// tagged is the tag filter: any tag, or all of them; no filter without tags.
func tagged(have, want []string, all bool) bool {
	lacks := func(t string) bool { return !slices.Contains(have, t) }
	found := slices.DeleteFunc(slices.Clone(want), lacks)
	return len(found) == len(want) || !all && len(found) > 0
}

// replace keeps the old values that stay and adds the new ones behind them.
func replace(old, want []string) []string {
	out := slices.DeleteFunc(slices.Clone(old), func(v string) bool { return !slices.Contains(want, v) })
	for _, v := range want {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

func without(values []string, v string) []string {
	return slices.DeleteFunc(values, func(have string) bool { return have == v })
}

// A report is what the model reads of an event.
type report struct {
	Type    string `json:"type,omitempty"`
	Status  string `json:"status,omitempty"`
	Message any    `json:"message"`
	Time    string `json:"time"`
}

func (r report) String() string {
	var out bytes.Buffer
	_ = json.Indent(&out, encode(r), "", "  ")
	return out.String()
}

// pick is a copy with some members only, named in one text.
func pick(o object, names string) object {
	keep := strings.Fields(names)
	out := maps.Clone(o)
	maps.DeleteFunc(out, func(k string, _ any) bool { return !slices.Contains(keep, k) })
	return out
}
