package lettatest

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	version = "0.16.8"
	userID  = "user-00000000-0000-4000-8000-000000000000"
	orgID   = "org-00000000-0000-4000-8000-000000000000"

	defaultSystem = "You are a helpful agent with a memory that you keep up to date."
)

var (
	adjectives = []string{"Amber", "Brisk", "Calm", "Daring", "Gentle", "Lively", "Mellow", "Quiet", "Sunny", "Witty"}
	nouns      = []string{"Badger", "Comet", "Falcon", "Harbor", "Maple", "Meadow", "Otter", "Pebble", "River", "Willow"}
)

func (s *Server) health(*call) answer { return ok(map[string]any{"version": version, "status": "ok"}) }

// listTags lists the tags of agents and blocks. The cursor is a tag.
func (s *Server) listTags(c *call) answer {
	o := c.params([]field{
		pageFields[0], pageFields[1], pageFields[2], pageFields[3],
		{"order_by", oneOf("literal_error", "name")},
		{"query_text", text},
		{"name", text},
	})
	if a, bad := c.failed(); bad {
		return a
	}
	limit := limitOf(o)
	if limit < 0 {
		return databaseError()
	}
	set := map[string]bool{}
	for _, a := range s.agents {
		for _, t := range a.tags {
			set[t] = limit > 0 || set[t] // limit=0 hides the tags of agents, though not those of blocks
		}
	}
	for _, b := range s.blocks {
		for _, t := range b.tags {
			set[t] = true
		}
	}
	like := ilike(cmp.Or(o.str("name"), o.str("query_text")))
	order := 1
	if o.str("order") == "desc" {
		order = -1
	}
	after, before := o.str("after"), o.str("before")
	out := []string{}
	for t, shown := range set {
		if shown && like(t) && (after == "" || order*cmp.Compare(t, after) > 0) && (before == "" || order*cmp.Compare(t, before) < 0) {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(a, b string) int { return order * cmp.Compare(a, b) })
	if limit > 0 && len(out) > limit {
		out = out[:limit]
	}
	return ok(out)
}

// pageFields are the parameters of every list.
var pageFields = []field{
	{"before", text},
	{"after", text},
	{"limit", integer},
	{"order", oneOf("literal_error", "asc", "desc")},
	{"order_by", oneOf("literal_error", "created_at")},
}

func limitOf(o object) int {
	if !o.has("limit") {
		return 50
	}
	return get[int](o, "limit")
}

// cursor is the place of a row in a list. A zero time is a NULL: it sorts last in both orders.
type cursor struct {
	at time.Time
	id string
}

func (c cursor) compare(d cursor) int { return cmp.Or(c.at.Compare(d.at), cmp.Compare(c.id, d.id)) }

// beyond tells whether c lies on one side of d, with the real server's odd treatment of NULLs.
func (c cursor) beyond(d cursor, forward bool) bool {
	if c.at.IsZero() != d.at.IsZero() {
		return forward == d.at.IsZero()
	}
	if forward {
		return c.compare(d) > 0
	}
	return c.compare(d) < 0
}

// page sorts rows and cuts a page out of them: after continues in the sort order; before gives the first rows of those ahead of the cursor,
// not the adjacent ones. An unknown cursor is ignored. bad says that the limit is negative.
func page[T any](rows []T, key func(T) cursor, find func(string) (T, bool), o object, asc bool) (out []T, bad bool) {
	limit := limitOf(o)
	if limit < 0 {
		return nil, true
	}
	for name, forward := range map[string]bool{"after": asc, "before": !asc} {
		id := o.str(name)
		if id == "" {
			continue
		}
		if ref, ok := find(id); ok {
			rows = slices.DeleteFunc(rows, func(r T) bool { return !key(r).beyond(key(ref), forward) })
		}
	}
	slices.SortFunc(rows, func(a, b T) int {
		x, y := key(a), key(b)
		if x.at.IsZero() != y.at.IsZero() {
			if x.at.IsZero() {
				return 1
			}
			return -1
		}
		if asc {
			return x.compare(y)
		}
		return y.compare(x)
	})
	if limit > 0 && len(rows) > limit {
		rows = rows[:limit]
	}
	return rows, false
}

func databaseError() answer {
	return fail(http.StatusInternalServerError, "A database error occurred.")
}

func notFound(kind, id string) answer {
	const born = "datetime.datetime(2026, 1, 1, 0, 0, tzinfo=TzInfo(0))"
	return fail(http.StatusNotFound, "%s not found with id='[%s]', access level in ['read'] for actor='id='%s' organization_id='%s' "+
		"name='default_user' created_at=%s updated_at=%s is_deleted=False'", kind, printed(id), userID, orgID, born, born)
}

// ilike is a case-insensitive substring filter with the wildcards of SQL; an empty text lets everything through.
func ilike(s string) func(string) bool {
	if s == "" {
		return func(string) bool { return true }
	}
	var b strings.Builder
	b.WriteString("(?is)")
	for _, r := range s {
		switch r {
		case '%':
			b.WriteString(".*")
		case '_':
			b.WriteString(".")
		default:
			b.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	return regexp.MustCompile(b.String()).MatchString
}

// now is the time in microseconds. No two calls give the same, so that lists have one order.
func (s *Server) now() time.Time {
	t := time.Now().UTC().Truncate(time.Microsecond)
	if !t.After(s.clock) {
		t = s.clock.Add(time.Microsecond)
	}
	s.clock = t
	return t
}

// timestamp shows whole seconds without a fraction and all else with six digits.
func timestamp(t time.Time) string {
	if t.Nanosecond() == 0 {
		return t.Format("2006-01-02T15:04:05Z")
	}
	return t.Format("2006-01-02T15:04:05.000000Z")
}

// pyTime is the form of times in agent files.
func pyTime(t time.Time) string { return strings.TrimSuffix(timestamp(t), "Z") + "+00:00" }

func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func newID(kind string) string { return kind + "-" + uuid() }

func readJSON(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	return dec.Decode(v)
}
