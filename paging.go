package letta

import (
	"iter"
	"reflect"
	"slices"
)

const defaultPage = 50 // rows in a page when no limit is set, of the lists with the shortest default of Letta 0.16.8

// pages walks over a list by its cursor, on a copy of the params for each walk. page fetches; at moves the cursor to a row
// and gives the row's key, which no other row of the list has.
func pages[T, P any](operation string, params *P, page func(*P) ([]T, error), at func(*P, T) string) iter.Seq2[T, error] {
	return walk(operation, params, page, at, true)
}

// walk is pages, for a list where a short page may not be the last too.
func walk[T, P any](operation string, params *P, page func(*P) ([]T, error), at func(*P, T) string, shortIsLast bool) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		p := copyOf(params)
		if order, stable := stableOrder(&p); !stable {
			yield(*new(T), invalid(operation, "ordered by %s, rows move between pages while you walk: use created_at, or List", order))
			return
		}
		limit := 0 // the server's
		if f := reflect.ValueOf(&p).Elem().FieldByName("Limit"); f.IsValid() {
			limit = int(f.Int())
		}
		var past pastPages
		for n := 1; ; n++ {
			rows, err := page(&p)
			if err != nil && n > 1 {
				err = later(err)
			}
			if err != nil {
				yield(*new(T), err)
				return
			}
			fresh, keys := 0, make(map[string]bool, len(rows))
			for _, row := range rows {
				key := at(&p, row)
				if keys[key] || past.have(key) {
					continue
				}
				keys[key] = true
				fresh++
				if !yield(row, nil) {
					return
				}
			}
			switch {
			case len(rows) == 0:
				return
			case fresh == 0:
				yield(*new(T), fail(operation, "%w: all %d rows had come before", ErrPageLoop, len(rows)))
				return
			case shortIsLast && n == 1 && len(rows) < defaultPage && (limit == 0 || len(rows) < limit):
				return // shorter than any page that has a next one
			}
			past.add(n, keys)
		}
	}
}

// flagged is pages, for a list whose pages say themselves whether another follows.
func flagged[T, P any](operation string, params *P, page func(*P) (rows []T, more bool, err error), at func(*P, T) string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		more := true // of this walk: a sequence may be walked again
		walk(operation, params, func(p *P) (rows []T, err error) {
			if more {
				rows, more, err = page(p)
			}
			return rows, err
		}, at, false)(yield)
	}
}

// whole lists what Letta 0.16.8 cannot page: it orders the list by one thing and compares the cursor with another, so that
// pages repeat rows and skip others. It asks for a page that holds everything, a larger one when it is full. A server that
// cuts a page shorter than asked for is followed by its cursor, and then has to prove that nothing is missing.
//
// limit is the field of the params. page also says whether more follow, nil if the server does not tell.
func whole[T, P any](operation string, params *P, page func(*P) (rows []T, more *bool, err error), at func(*P, T) string, limit func(*P) *int) iter.Seq2[T, error] {
	const first, most = 1000, 1 << 20
	return func(yield func(T, error) bool) {
		p := copyOf(params)
		asked := limit(&p)
		if *asked == 0 {
			*asked = first
		}
		seen, byCursor, start := map[string]bool{}, false, ""
		for {
			rows, more, err := page(&p)
			if err != nil && len(seen) > 0 {
				err = later(err)
			}
			if err != nil {
				yield(*new(T), err)
				return
			}
			q, fresh := p, 0
			for _, row := range rows {
				key := at(&q, row)
				if seen[key] {
					continue
				}
				if len(seen) == 0 {
					start = key
				}
				seen[key] = true
				fresh++
				if !yield(row, nil) {
					return
				}
			}
			switch {
			case more != nil && !*more, more == nil && !byCursor && len(rows) < min(*asked, defaultPage):
				return
			case !byCursor && len(rows) >= *asked:
				if *asked >= most {
					yield(*new(T), fail(operation, "%w: a page of %d rows is not the last", ErrPageLoop, len(rows)))
					return
				}
				*asked *= 2
			case byCursor && (fresh == 0 || more == nil && len(rows) < defaultPage):
				end := false
				if more == nil {
					end, err = reached(params, page, limit, func(row T) bool { key := at(&q, row); return seen[key] && key != start })
				}
				switch {
				case err != nil:
					yield(*new(T), later(err))
				case !end:
					yield(*new(T), fail(operation, "%w: pages are shorter than asked for, and the cursor does not lead to the end", ErrPageLoop))
				}
				return
			default:
				p, byCursor = q, true
				asked = limit(&p)
			}
		}
	}
}

// reached reports whether a walk has seen the last row of a list: it asks for the list from its other end. passed tells the rows
// that the walk has come to after its first. A server that ignores the limit sends everything, always.
func reached[T, P any](params *P, page func(*P) ([]T, *bool, error), limit func(*P) *int, passed func(T) bool) (bool, error) {
	p := copyOf(params)
	v := reflect.ValueOf(&p).Elem()
	order, after, before := v.FieldByName("Order"), v.FieldByName("After"), v.FieldByName("Before")
	after.Set(before)
	before.Set(reflect.ValueOf(copyOf(params)).FieldByName("After"))
	if order.String() == string(OrderAsc) {
		order.SetString(string(OrderDesc))
	} else {
		order.SetString(string(OrderAsc))
	}
	*limit(&p) = 1
	rows, _, err := page(&p)
	return len(rows) > 1 || len(rows) == 1 && passed(rows[0]), err
}

// pastPages remembers some of the pages of a walk, so that the memory of a walk does not grow with the list: the one before
// and the first, where a server starts again that does not know the cursor's row, and one that moves on at each power of
// two, so that no circle goes unnoticed.
type pastPages struct{ first, before, milestone map[string]bool }

func (p *pastPages) have(key string) bool { return p.first[key] || p.before[key] || p.milestone[key] }

func (p *pastPages) add(n int, keys map[string]bool) {
	if n == 1 {
		p.first = keys
	}
	if n&(n-1) == 0 {
		p.milestone = keys
	}
	p.before = keys
}

// stableOrder reports whether rows keep their place in a list while it is walked.
func stableOrder(params any) (order string, stable bool) {
	v := reflect.ValueOf(params).Elem()
	for _, name := range []string{"OrderBy", "SortBy"} {
		if f := v.FieldByName(name); f.IsValid() && f.Kind() == reflect.String {
			switch OrderBy(f.String()) {
			case "", OrderByCreatedAt, OrderByName:
			default:
				return f.String(), false
			}
		}
	}
	return "", true
}

// history walks over messages. Several rows may have one id: what is stored as one message. Oldest first, all servers
// mean the same by after. Newest first, Letta 0.16.8 means older messages by before, and Letta Cloud was seen to mean them
// by after: what brings nothing new is tried the other way once.
//
// oldestFirst is how the route sends a page in descending order.
func history[P any](operation string, params *P, cursors func(*P) (order *Order, after, before *MessageID), oldestFirst bool, page func(*P) ([]Message, error)) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		p := copyOf(params)
		order, after, before := cursors(&p)
		if *order == "" {
			*order = OrderAsc
		}
		cursor, other := after, before
		if *order == OrderDesc {
			cursor, other = before, after
		}
		seen := map[MessageID]bool{}
		turned := false
		for {
			rows, err := page(&p)
			if err != nil && len(seen) > 0 {
				err = later(err)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if *order == OrderDesc && ascending(rows, oldestFirst) {
				slices.Reverse(rows)
			}
			var fresh []MessageID
			for _, row := range rows {
				if id := row.Common().ID; !seen[id] {
					fresh = append(fresh, id)
					if !yield(row, nil) {
						return
					}
				}
			}
			for _, id := range fresh {
				seen[id] = true
			}
			switch {
			case len(rows) == 0:
				return
			case len(fresh) > 0:
				*cursor = fresh[len(fresh)-1]
			case *order == OrderDesc && !turned && len(seen) > 0:
				turned = true
				*other, *cursor = *cursor, ""
				cursor, other = other, cursor
			default:
				yield(nil, fail(operation, "%w: all %d messages had come before", ErrPageLoop, len(rows)))
				return
			}
		}
	}
}

// ascending reports whether a page is sent oldest first, by its dates, which are whole seconds; if they do not tell, by
// the habit of its route.
func ascending(rows []Message, habit bool) bool {
	if len(rows) == 0 {
		return habit
	}
	if c := rows[0].Common().Date.Compare(rows[len(rows)-1].Common().Date); c != 0 {
		return c < 0
	}
	return habit
}

// latest gets the newest n messages, oldest first, whichever way the route sends them.
func latest(operation string, n int, oldestFirst bool, page func() ([]Message, error)) ([]Message, error) {
	if n < 1 {
		return nil, invalid(operation, "n is %d", n)
	}
	rows, err := page()
	if !ascending(rows, oldestFirst) {
		slices.Reverse(rows)
		turnParts(rows)
	}
	return rows, err
}

// turnParts turns the order of rows that are stored as one message, and have one id. Letta 0.16.8 sends a page of a conversation
// newest first, but the parts of each message oldest first.
func turnParts(rows []Message) {
	for i, j := 0, 0; i < len(rows); i = j {
		for j = i + 1; j < len(rows) && sameMessage(rows[i], rows[j]); j++ {
		}
		slices.Reverse(rows[i:j])
	}
}

func copyOf[T any](p *T) T {
	if p == nil {
		return *new(T)
	}
	return *p
}

// Page takes the first n rows of a walk, for a web handler that shows a list page by page, and reports whether more follow:
//
//	messages, more, err := letta.Page(client.Agents.Messages.ListAll(ctx, id, &letta.AgentMessageListParams{After: last}), 20)
//
// To go on, set After of the params to the id of the last row, or Before for messages that come newest first. Rows that
// are stored as one message have one id and stay together, so a page of messages may be a little longer than n. A filter of
// message types holds for the rows of the page: no page is empty in the middle, as those of List can be.
func Page[T any](all iter.Seq2[T, error], n int) (rows []T, more bool, err error) {
	if n < 1 {
		return nil, false, invalid("page", "n is %d", n)
	}
	for row, err := range all {
		if err != nil {
			return rows, false, err
		}
		if len(rows) >= n && !sameMessage(rows[len(rows)-1], row) {
			return rows, true, nil
		}
		rows = append(rows, row)
	}
	return rows, false, nil
}

func sameMessage(a, b any) bool {
	x, isMessage := a.(Message)
	y, _ := b.(Message)
	return isMessage && y != nil && x.Common().ID == y.Common().ID
}
