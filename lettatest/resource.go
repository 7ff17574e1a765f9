package lettatest

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strings"
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

// A resource is a kind of rows that come and go over HTTP in the usual way. What it does otherwise than others stands in its fields.
type resource struct {
	kind   string // the prefix of its ids
	noun   string // in errors
	rows   func(*world) *table[*row]
	sample func() object // what Letta 0.16.8 answered to a create
	blank  string        // members of the sample that are null unless a create sets them

	list    listing
	filters map[string]filter // by parameter; others must equal the member of that name
	show    func(*world, *row) any
	making  func(*world, *call, *row) // before a new row is stored
	change  func(*world, *call, *row) // after an update
	gone    func(*world, *row)        // after a delete; agents have lost the row by then
	unknown int                       // the status of deleting what is not there; 404 if it is 0
	deleted any                       // the answer to a delete; nil: 204 without a body

	give func(*world, *agent, *row) // gives an agent a row; it is linked if nil
	take func(*world, *agent)       // after it was taken away
	told audience                   // who sees the agent after both; the others see null
}

// An audience are clients.
type audience int

const (
	nobody audience = iota
	legacy
	everybody
)

type (
	handler  = func(*world, *call) answer
	handlers = map[string]handler
)

// routes are operations of a service, in the order of the verbs: the usual ones, and the service's own.
func (k *resource) routes(service, verbs string, own handlers) (out []route) {
	usual := handlers{
		"list": k.index, "count": k.count, "retrieve": k.retrieve, "create": k.create, "update": k.update, "delete": k.remove,
		"attach": k.attach, "detach": k.detach, "agents.list": linkedAgents(k.kind),
	}
	for verb := range strings.FieldsSeq(verbs) {
		handle := own[verb]
		if handle == nil {
			handle = usual[verb]
		}
		out = append(out, route{op: service + "." + verb, handle: handle})
	}
	return out
}

// A filter tells whether a row passes.
type filter func(w *world, r *row, v any) bool

// shown is a row with what every row has, where the sample has it.
func (r *row) shown() object {
	o := maps.Clone(r.fields)
	for k, v := range map[string]any{"id": r.id, "created_at": timestamp(r.created), "updated_at": timestamp(r.updated)} {
		if _, ok := o[k]; ok {
			o[k] = v
		}
	}
	return o
}

func (r *row) json() any { return r.shown() }

func (k *resource) view(w *world, r *row) any {
	if k.show != nil {
		return k.show(w, r)
	}
	return r.shown()
}

func (k *resource) get(w *world, id string) *row { return k.rows(w).must(id, notFound(k.noun, id)) }

// with finds the row that a path begins with.
func (k *resource) with(f func(*world, *call, *row) answer) handler {
	return func(w *world, c *call) answer { return f(w, c, k.get(w, c.id)) }
}

// always gives the same answer about every row that exists.
func (k *resource) always(a answer) handler {
	return k.with(func(*world, *call, *row) answer { return a })
}

// of are the rows of the kind that an agent has.
func (k *resource) of(w *world, a *agent) []*row {
	return k.rows(w).where(func(r *row) bool { return a.linked(k.kind, r.id) })
}

// fresh is a new row that a body describes, not stored yet.
func (k *resource) fresh(w *world, in object) *row {
	r := w.newRow(k.kind)
	r.fields = k.sample()
	maps.Copy(r.fields, nulls(k.blank))
	overlay(r.fields, in)
	r.tags = texts(in, "tags")
	if at, ok := in["created_at"].(time.Time); ok {
		r.created = at
	}
	return &r
}

func (k *resource) create(w *world, c *call) answer {
	r := k.fresh(w, c.in)
	if k.making != nil {
		k.making(w, c, r)
	}
	return ok(k.view(w, k.rows(w).put(r)))
}

func (k *resource) retrieve(w *world, c *call) answer {
	return ok(k.view(w, k.get(w, c.id)))
}

func (k *resource) update(w *world, c *call) answer {
	r := k.get(w, c.id)
	overlay(r.fields, c.in)
	r.updated = w.now()
	if k.change != nil {
		k.change(w, c, r)
	}
	return ok(k.view(w, r))
}

func (k *resource) remove(w *world, c *call) answer {
	missing := notFound(k.noun, c.id)
	missing.status = cmp.Or(k.unknown, missing.status)
	r := k.rows(w).must(c.id, missing)
	k.drop(w, r)
	if k.deleted == nil {
		return noContent
	}
	return ok(k.deleted)
}

// drop deletes a row, from its agents too.
func (k *resource) drop(w *world, r *row) {
	k.rows(w).drop(r.id)
	for _, a := range w.agents.rows {
		a.unlink(k.kind, r.id)
	}
	if k.gone != nil {
		k.gone(w, r)
	}
}

func (k *resource) dropWhere(w *world, member string, value any) {
	for _, r := range whose(k.rows(w), member, value) {
		k.drop(w, r)
	}
}

var paging = []string{"after", "before", "limit", "order", "order_by", "ascending", "sort_by"}

// filtered returns the rows that a query asks for.
func filtered[T based](w *world, rows []T, filters map[string]filter, q object) []T {
	return slices.DeleteFunc(slices.Clone(rows), func(t T) bool {
		r := t.base()
		for name, v := range q {
			if v == nil || v == "" || slices.Contains(paging, name) {
				continue
			}
			have, isMember := r.fields[name]
			switch f := filters[name]; {
			case f != nil && !f(w, r, v), f == nil && isMember && have != v:
				return true
			}
		}
		return false
	})
}

func (k *resource) filtered(w *world, q object) []*row {
	return filtered(w, k.rows(w).rows, k.filters, q)
}

func (k *resource) index(w *world, c *call) answer { return k.page(w, c.q, k.list, k.filtered(w, c.q)) }

// page answers with a page of rows.
func (k *resource) page(w *world, q object, l listing, rows []*row) answer {
	return show(rows, k.rows(w).find, q, l, func(r *row) any { return k.view(w, r) })
}

// ofAgent lists the rows that an agent has.
func (k *resource) ofAgent(l listing) handler {
	return withAgent(func(w *world, c *call, a *agent) answer { return k.page(w, c.q, l, k.of(w, a)) })
}

// attach gives the agent of the path a row.
func (k *resource) attach(w *world, c *call) answer {
	a, r := w.agent(c.id), k.get(w, c.sub)
	if k.give != nil {
		k.give(w, a, r)
	} else {
		a.link(k.kind, r.id)
	}
	return k.told.see(w, c, a)
}

// detach takes it away. To detach what is not attached is no error.
func (k *resource) detach(w *world, c *call) answer {
	a := w.agent(c.id)
	a.unlink(k.kind, c.sub)
	if k.take != nil {
		k.take(w, a)
	}
	return k.told.see(w, c, a)
}

// see answers a change of an agent's relations.
func (who audience) see(w *world, c *call, a *agent) answer {
	if who == nobody || who == legacy && c.modern() {
		return ok(null)
	}
	return ok(w.state(a, everything()))
}

func (k *resource) count(w *world, c *call) answer { return ok(len(k.filtered(w, c.q))) }

// contains is the filter for a part of a member, ignoring case.
func contains(member string) filter {
	return func(_ *world, r *row, v any) bool { return ilike(v.(string))(text(r.fields, member)) }
}

// among is the filter for a list of values that a member may have.
func among(member string) filter {
	return func(_ *world, r *row, v any) bool { return slices.Contains(v.([]any), r.fields[member]) }
}

// no and yes are filters that let nothing, or everything, through.
func no(*world, *row, any) bool { return false }

func yes(*world, *row, any) bool { return true }
