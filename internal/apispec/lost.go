package apispec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A Loss is one difference between two JSON documents.
type Loss struct {
	Path string // "$.tools[0].name"
	Kind string // Gone, Changed, Zero or Added
}

// Kinds of Loss.
const (
	Gone    = "lost"    // a value that is absent afterwards
	Changed = "changed" // a value that is another one afterwards
	Zero    = "zero"    // "", false, 0, [] or {} that is absent or null afterwards, or was before
	Added   = "added"   // a value, none of these, that was not there before or was null
)

// Lost compares a document with what is left of it after a decode and an encode, and returns the differences by
// path. Numbers are equal by value, date-times as instants (UTC where there is no zone); null and absence are the
// same in an object.
//
// A value is passed over, with everything in it, when its path ends in one of ignore: a key ("organization_id")
// or more of a path, with [] for any index ("tools[].tags").
func Lost(before, after []byte, ignore ...string) []Loss {
	a, errA := decode(before)
	b, errB := decode(after)
	if errA != nil || errB != nil {
		if bytes.Equal(before, after) {
			return nil
		}
		return []Loss{{"$", Changed}}
	}
	c := comparison{ignore: ignore}
	c.compare("$", a, b)
	return c.losses
}

func decode(data []byte) (value any, err error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber() // large integers stay exact
	err = decoder.Decode(&value)
	return value, err
}

type comparison struct {
	ignore []string
	losses []Loss
}

func (c *comparison) compare(path string, before, after any) {
	if c.ignored(path) {
		return
	}
	if before == nil || after == nil {
		c.report(path, before, after)
		return
	}
	switch before := before.(type) {
	case map[string]any:
		if after, ok := after.(map[string]any); ok {
			keys := maps.Clone(before)
			maps.Copy(keys, after)
			for _, key := range slices.Sorted(maps.Keys(keys)) {
				c.compare(path+"."+key, before[key], after[key])
			}
			return
		}
	case []any:
		if after, ok := after.([]any); ok {
			for i := range max(len(before), len(after)) {
				at := fmt.Sprintf("%s[%d]", path, i)
				switch {
				case i >= len(after):
					c.element(at, Gone)
				case i >= len(before):
					c.element(at, Added)
				default:
					c.compare(at, before[i], after[i])
				}
			}
			return
		}
	}
	if !equal(before, after) {
		c.losses = append(c.losses, Loss{path, Changed})
	}
}

// report compares two values of which at least one is null or absent.
func (c *comparison) report(path string, before, after any) {
	kind := Gone
	switch {
	case before == nil && after == nil:
		return
	case isZero(before) && isZero(after):
		kind = Zero
	case before == nil:
		kind = Added
	}
	c.losses = append(c.losses, Loss{path, kind})
}

// element reports an element that only one of two arrays has; even a null counts there.
func (c *comparison) element(path, kind string) {
	if !c.ignored(path) {
		c.losses = append(c.losses, Loss{path, kind})
	}
}

var index = regexp.MustCompile(`\[\d+\]`)

func (c *comparison) ignored(path string) bool {
	path = index.ReplaceAllString(path, "[]")
	return slices.ContainsFunc(c.ignore, func(suffix string) bool {
		return path == suffix || strings.HasSuffix(path, "."+suffix)
	})
}

func isZero(value any) bool {
	switch value := value.(type) {
	case nil:
		return true
	case bool:
		return !value
	case string:
		return value == ""
	case json.Number:
		return equal(value, json.Number("0"))
	case []any:
		return len(value) == 0
	case map[string]any:
		return len(value) == 0
	}
	return false
}

func equal(before, after any) bool {
	switch before := before.(type) {
	case bool:
		return before == after
	case string:
		after, ok := after.(string)
		return ok && (before == after || sameInstant(before, after))
	case json.Number:
		after, ok := after.(json.Number)
		return ok && (before == after || sameNumber(before, after))
	}
	return false
}

func sameNumber(a, b json.Number) bool {
	x, okX := new(big.Rat).SetString(a.String())
	y, okY := new(big.Rat).SetString(b.String())
	return okX && okY && x.Cmp(y) == 0
}

func sameInstant(a, b string) bool {
	x, okX := instant(a)
	y, okY := instant(b)
	return okX && okY && x.Equal(y)
}

func instant(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05"} { // Parse takes fractions after both
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
