package letta

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// wholeQuery is what a list is asked for.
type wholeQuery struct {
	limit      int
	asc, ended bool // ended: before or after is given
	after      string
}

// wholeServers are the habits of servers. rows are the list in descending order, which is the usual one.
var wholeServers = map[string]func(rows []string, q wholeQuery) []string{
	"the cursor is ignored": func(rows []string, q wholeQuery) []string { return cutAt(inOrder(rows, q), q.limit) },
	"the cursor skips rows": func(rows []string, q wholeQuery) []string {
		rows = inOrder(rows, q)
		if q.ended {
			rows = rows[len(rows)/2:]
		}
		return cutAt(rows, q.limit)
	},
	"pages are cut at 60, and the cursor works": func(rows []string, q wholeQuery) []string {
		rows = inOrder(rows, q)
		return cutAt(rows[1+slices.Index(rows, q.after):], min(q.limit, 60))
	},
	"everything is ignored": func(rows []string, _ wholeQuery) []string { return rows },
	"pages are cut at 60, and the cursor is ignored": func(rows []string, q wholeQuery) []string {
		return cutAt(inOrder(rows, q), min(q.limit, 60))
	},
	"pages are cut at 60, and the cursor skips rows": func(rows []string, q wholeQuery) []string {
		rows = inOrder(rows, q)
		if q.ended {
			rows = rows[len(rows)/2:]
		}
		return cutAt(rows, min(q.limit, 60))
	},
	"pages are cut at 60, and cursor and order are ignored": func(rows []string, q wholeQuery) []string { return cutAt(rows, min(q.limit, 60)) },
}

func cutAt(rows []string, n int) []string { return rows[:min(n, len(rows))] }

func inOrder(rows []string, q wholeQuery) []string {
	rows = slices.Clone(rows)
	if q.asc {
		slices.Reverse(rows)
	}
	return rows
}

// TestWholeIsNeverShort: a list whose cursor is broken comes whole and without repeats, or ends with an error.
func TestWholeIsNeverShort(t *testing.T) {
	t.Parallel()
	for name, server := range wholeServers {
		for _, size := range []int{0, 49, 50, 60, 61, 100, 1100} {
			for _, limit := range []int{0, 7, 60} {
				for _, order := range []Order{"", OrderAsc} {
					all, requests := make([]string, size), 0
					for i := range all {
						all[i] = fmt.Sprintf("tool-%d", i)
					}
					c := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
						requests++
						query := r.URL.Query()
						q := wholeQuery{asc: query.Get("order") == "asc", ended: query.Has("after") || query.Has("before"), after: query.Get("after")}
						q.limit, _ = strconv.Atoi(query.Get("limit"))
						rows := []string{}
						for _, id := range server(all, q) {
							rows = append(rows, fmt.Sprintf(`{"id":%q}`, id))
						}
						_, _ = fmt.Fprintf(w, "[%s]", strings.Join(rows, ","))
					})
					got, err := walked(c.Agents.Tools.ListAll(t.Context(), "agent-1", &AgentToolListParams{Limit: limit, Order: order}), func(tool *Tool) string { return string(tool.ID) })
					what := fmt.Sprintf("%s: %d rows, limit %d", name, size, limit)
					assert.Equal(t, len(got), len(slices.Compact(slices.Sorted(slices.Values(got)))), what)
					switch {
					case err == nil:
						assert.ElementsMatch(t, all, got, what)
					case !strings.HasPrefix(name, "pages are cut") || strings.HasSuffix(name, "works") || size < 50:
						assert.NoError(t, err, what)
					default:
						assert.ErrorIs(t, err, ErrPageLoop, what)
					}
					if size < 50 && limit == 0 {
						assert.Equal(t, 1, requests)
					}
				}
			}
		}
	}
}

// TestWholeBelievesTheServer: files come with a word on whether more follow.
func TestWholeBelievesTheServer(t *testing.T) {
	t.Parallel()
	for _, more := range []bool{false, true} {
		c := clientOf(t, func(w http.ResponseWriter, _ *http.Request) {
			rows := []string{}
			for i := range 60 {
				rows = append(rows, fmt.Sprintf(`{"id":"file-%d"}`, i))
			}
			_, _ = fmt.Fprintf(w, `{"files":[%s],"has_more":%v}`, strings.Join(rows, ","), more)
		})
		got, err := walked(c.Agents.Files.ListAll(t.Context(), "agent-1", nil), func(f *AgentFile) string { return string(f.ID) })
		require.Len(t, got, 60)
		require.Equal(t, more, errors.Is(err, ErrPageLoop))
	}
}
