package lettatest

import (
	"cmp"
	"net/http"
	"slices"
	"time"
)

// A row is what the server stores of a resource: an id, two times, the fields that answers show, and links to other rows.
type row struct {
	id               string
	created, updated time.Time
	fields           object
	tags             []string
	links            map[string][]string // ids of other rows, by their kind
}

func (r *row) base() *row { return r }

func (r *row) linked(kind, id string) bool { return slices.Contains(r.links[kind], id) }

func (r *row) link(kind, id string) {
	if !r.linked(kind, id) {
		r.setLinks(kind, append(r.links[kind], id))
	}
}

func (r *row) setLinks(kind string, ids []string) {
	if r.links == nil {
		r.links = map[string][]string{}
	}
	r.links[kind] = ids
}

func (r *row) unlink(kind, id string) {
	r.links[kind] = without(r.links[kind], id)
}

type based interface {
	base() *row
	comparable
}

// A table holds the rows of one kind, in the order in which they were made.
type table[T based] struct {
	rows []T
	byID map[string]T
}

func (t *table[T]) get(id string) (found T) { return t.byID[id] }

// must ends a request about a row that does not exist.
func (t *table[T]) must(id string, missing answer) T {
	if _, ok := t.byID[id]; !ok {
		panic(missing)
	}
	return t.byID[id]
}

func (t *table[T]) put(r T) T {
	if t.byID == nil {
		t.byID = map[string]T{}
	}
	t.rows, t.byID[r.base().id] = append(t.rows, r), r
	return r
}

func (t *table[T]) drop(id string) {
	delete(t.byID, id)
	t.rows = slices.DeleteFunc(t.rows, func(r T) bool { return r.base().id == id })
}

func (t *table[T]) where(keep func(T) bool) (out []T) {
	for _, r := range t.rows {
		if keep(r) {
			out = append(out, r)
		}
	}
	return out
}

// whose are the rows that have a value in a member.
func whose(t *table[*row], member string, value any) []*row {
	return t.where(func(r *row) bool { return r.fields[member] == value })
}

func first(rows []*row) *row {
	if len(rows) == 0 {
		return nil
	}
	return rows[0]
}

// find gives the row for a cursor.
func (t *table[T]) find(id string) *row {
	if r, ok := t.byID[id]; ok {
		return r.base()
	}
	return nil
}

// A listing is how the server cuts a list into pages. The usual rule: after continues in the sort order; before gives the first rows of those
// ahead of the cursor, not the adjacent ones; an unknown cursor is ignored.
type listing struct {
	asc     bool                 // the order without order=
	limit   int                  // without limit=; 0 means 50
	none    bool                 // limit=0 gives nothing; otherwise everything
	noun    string               // an unknown cursor is a 404 that says so
	by      func(*row) time.Time // the sort key; the time of birth if nil. The zero time is a NULL
	swapped bool                 // after and before are mixed up
	byID    bool                 // cursors compare ids, whatever the rows are sorted by
	fixed   bool                 // order= has no effect
}

// A place is where a row stands in a list.
type place struct {
	at time.Time
	id string
}

func (l listing) place(r *row) place {
	if l.by != nil {
		return place{l.by(r), r.id}
	}
	return place{r.created, r.id}
}

func (p place) compare(q place) int { return cmp.Or(p.at.Compare(q.at), cmp.Compare(p.id, q.id)) }

// null is 1 for a place that comes last in both orders.
func (p place) null() int {
	if p.at.IsZero() {
		return 1
	}
	return 0
}

// beyond tells whether p lies on one side of q, with the real server's odd treatment of NULLs.
func (p place) beyond(q place, forward bool) bool {
	if p.null() != q.null() {
		return forward == q.at.IsZero()
	}
	return p.compare(q) != 0 && p.compare(q) > 0 == forward
}

// show answers with a page of rows.
func show[T based](rows []T, find func(string) *row, q object, l listing, view func(T) any) answer {
	return ok(shown(page(rows, find, q, l), view))
}

// page sorts rows and cuts a page out of them.
func page[T based](rows []T, find func(string) *row, q object, l listing) []T {
	asc := l.asc
	if order, ok := q["order"]; ok && !l.fixed {
		asc = order == "asc"
	}
	limit := or(q["limit"], cmp.Or(l.limit, 50)).(int)
	if limit < 0 {
		refuse(http.StatusInternalServerError, "A database error occurred.")
	}
	if limit == 0 && l.none {
		return nil
	}
	rows = slices.Clone(rows)
	slices.SortFunc(rows, func(a, b T) int {
		x, y := l.place(a.base()), l.place(b.base())
		if asc {
			return cmp.Or(x.null()-y.null(), x.compare(y))
		}
		return cmp.Or(x.null()-y.null(), y.compare(x))
	})
	for _, side := range []string{"after", "before"} {
		id := text(q, side)
		cursor, forward := find(id), (side == "after") == asc != l.swapped
		switch {
		case id == "":
		case cursor != nil && l.byID:
			rows = slices.DeleteFunc(rows, func(r T) bool { return !place{id: r.base().id}.beyond(place{id: id}, forward) })
		case cursor != nil:
			rows = slices.DeleteFunc(rows, func(r T) bool { return !l.place(r.base()).beyond(l.place(cursor), forward) })
		case l.noun != "":
			refuse(http.StatusNotFound, "No %s found with id %s", l.noun, id)
		}
	}
	if limit > 0 && len(rows) > limit {
		rows = rows[:limit]
	}
	return rows
}
