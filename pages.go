package letta

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
)

const defaultPage = 50 // rows in a page of agents, blocks or tags when no limit is set, on 0.16.8

// pages walks over a list by its cursor, on a copy of the params for each walk. page fetches; at moves the cursor to a
// row and gives the row's key, which no other row of the list has. limit is that of the params, 0 for the server's.
func pages[T, P any](params *P, limit int, page func(*P) ([]T, error), at func(*P, T) string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		p, seen := copyOf(params), map[string]bool{}
		for first := true; ; first = false {
			rows, err := page(&p)
			if err != nil {
				yield(*new(T), err)
				return
			}
			fresh := 0
			for _, row := range rows {
				if key := at(&p, row); !seen[key] {
					seen[key] = true
					fresh++
					if !yield(row, nil) {
						return
					}
				}
			}
			switch {
			case len(rows) == 0:
				return
			case fresh == 0:
				// It ignores the cursor (0.6.12), or the cursor's row is gone and it started again: there may be more.
				yield(*new(T), fmt.Errorf("letta: %w: %d rows, all of them had come before", ErrPageLoop, len(rows)))
				return
			case first && len(rows) < defaultPage && (limit == 0 || len(rows) < limit):
				return // shorter than any page that has a next one
			}
		}
	}
}

// history walks over messages. Several rows may have one id: what is stored as one message. Oldest first, all servers
// mean the same by after. Newest first, 0.16.8 means older messages by before, and Letta Cloud was seen to mean them
// by after: what brings nothing new is tried the other way once.
//
// oldestFirst is how the route sends a page in descending order.
func history[P any](params *P, cursors func(*P) (order *Order, after, before *MessageID), oldestFirst bool, page func(*P) ([]Message, error)) iter.Seq2[Message, error] {
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
				yield(nil, fmt.Errorf("letta: %w: %d messages, all of them had come before", ErrPageLoop, len(rows)))
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
func latest(n int, oldestFirst bool, page func() ([]Message, error)) ([]Message, error) {
	if n < 1 {
		return nil, invalid("messages.latest", "n is %d", n)
	}
	rows, err := page()
	if !ascending(rows, oldestFirst) {
		slices.Reverse(rows)
	}
	return rows, err
}

func copyOf[T any](p *T) T {
	if p == nil {
		return *new(T)
	}
	return *p
}

func missing(operation string) error { return invalid(operation, "the params are nil") }

// invalid words an error of an operation. Unless it wraps another, or one of the refusals, it is a refusal.
func invalid(operation, format string, args ...any) error {
	err := fmt.Errorf("letta: "+operation+": "+format, args...)
	if !strings.Contains(format, "%w") || errors.Is(err, ErrInvalidTags) {
		return refusal{err}
	}
	return err
}

// checkList refuses what a server would misread.
func checkList(operation string, limit int, tags []string) error {
	if limit < 0 {
		return invalid(operation, "limit is %d", limit)
	}
	if tags != nil {
		return checkTags(operation, tags)
	}
	return nil
}

// checkTags refuses a list that a server would take for no filter, and blank tags, which mostly are a user id that
// somebody forgot to set.
func checkTags(operation string, tags []string) error {
	if len(tags) == 0 {
		return invalid(operation, "%w: tags is empty", ErrInvalidTags)
	}
	for i, tag := range tags {
		if strings.TrimSpace(tag) == "" {
			return invalid(operation, "%w: tags[%d] is blank", ErrInvalidTags, i)
		}
	}
	return nil
}
