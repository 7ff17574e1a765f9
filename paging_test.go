package letta_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
)

// dialect is a server's way to page a list.
type dialect struct {
	rows         int
	page         int  // the default length of a page
	most         int  // a cap on limit, 0 for none
	ignoreCursor bool // 0.6.12
	nullAt       int  // every n-th row of a page is null
	broken       int  // this request, counted from 1, fails
	onRequest    func(n int)
	gone         map[string]bool // rows that were deleted; as a cursor they are ignored
	row          func(id string) any
}

func rowID(i int) string { return fmt.Sprintf("agent-%03d", i) }

func (d *dialect) serve(t *testing.T) *server {
	t.Helper()
	var n atomic.Int32
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		count := int(n.Add(1))
		if d.onRequest != nil {
			d.onRequest(count)
		}
		if count == d.broken {
			reply(403, `{"detail":"not this page"}`)(w, r)
			return
		}
		query := r.URL.Query()
		length := d.page
		if limit, err := strconv.Atoi(query.Get("limit")); err == nil {
			length = limit
		}
		if d.most > 0 {
			length = min(length, d.most)
		}
		var ids []string
		for i := range d.rows {
			if !d.gone[rowID(i)] {
				ids = append(ids, rowID(i))
			}
		}
		if i := slices.Index(ids, query.Get("after")); i >= 0 && !d.ignoreCursor {
			ids = ids[i+1:]
		}
		page := []any{}
		for i, id := range ids[:min(length, len(ids))] {
			switch {
			case d.nullAt > 0 && i%d.nullAt == d.nullAt-1:
				page = append(page, nil)
			case d.row != nil:
				page = append(page, d.row(id))
			default:
				page = append(page, map[string]any{"id": id, "tags": []string{}})
			}
		}
		body, _ := json.Marshal(page)
		reply(200, string(body))(w, r)
	})
}

func collect[T any](seq iter.Seq2[T, error]) (rows []T, errs []error) {
	for row, err := range seq {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		rows = append(rows, row)
	}
	return rows, errs
}

func TestListAll(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		dialect  dialect
		limit    int
		rows     int
		requests int
		err      error
	}{
		{"empty", dialect{page: 50}, 0, 0, 1, nil},
		{"short of the default", dialect{page: 50, rows: 49}, 0, 49, 1, nil},
		{"short of both", dialect{page: 50, rows: 30}, 40, 30, 1, nil},
		{"short of the limit, not of the default", dialect{page: 50, rows: 60}, 100, 60, 2, nil},
		{"a page", dialect{page: 50, rows: 50}, 0, 50, 2, nil},
		{"pages", dialect{page: 50, rows: 120}, 0, 120, 4, nil},
		{"exact multiple", dialect{page: 50, rows: 100}, 0, 100, 3, nil},
		{"limit", dialect{page: 50, rows: 25}, 10, 25, 4, nil},
		{"limit, exact multiple", dialect{page: 50, rows: 30}, 10, 30, 4, nil},
		{"limit 1", dialect{page: 50, rows: 3}, 1, 3, 4, nil},
		{"larger default", dialect{page: 100, rows: 150}, 0, 150, 3, nil},
		{"capped", dialect{page: 50, rows: 330, most: 100}, 200, 330, 5, nil},
		{"ignores the cursor", dialect{page: 50, rows: 120, ignoreCursor: true}, 0, 50, 2, letta.ErrPageLoop},
		{"ignores the cursor, exactly a page", dialect{page: 50, rows: 50, ignoreCursor: true}, 0, 50, 2, letta.ErrPageLoop},
		{"ignores the cursor, few rows", dialect{page: 50, rows: 20, ignoreCursor: true}, 0, 20, 1, nil},
		{"ignores the cursor, few rows with limit", dialect{page: 50, rows: 20, ignoreCursor: true}, 30, 20, 1, nil},
		{"ignores the cursor, small limit", dialect{page: 50, rows: 20, ignoreCursor: true}, 10, 10, 2, letta.ErrPageLoop},
		{"sends all at once", dialect{page: 1000, rows: 700, ignoreCursor: true}, 0, 700, 2, letta.ErrPageLoop},
		{"error at once", dialect{page: 50, rows: 120, broken: 1}, 0, 0, 1, letta.ErrForbidden},
		{"error on the way", dialect{page: 50, rows: 120, broken: 2}, 0, 50, 2, letta.ErrForbidden},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := tt.dialect.serve(t)
			params := &letta.AgentListParams{Limit: tt.limit, Name: "n", Include: []letta.AgentInclude{letta.AgentIncludeTags}}
			agents, errs := collect(srv.client(t).Agents.ListAll(t.Context(), params))
			require.Len(t, agents, tt.rows)
			seenIDs := map[letta.AgentID]bool{}
			for _, agent := range agents {
				require.False(t, seenIDs[agent.ID], agent.ID)
				seenIDs[agent.ID] = true
			}
			requests := srv.seen("GET")
			require.Len(t, requests, tt.requests)
			require.Empty(t, requests[0].Query["after"])
			for i, r := range requests {
				require.Equal(t, "n", r.Query.Get("name"))
				require.Equal(t, []string{"agent.tags"}, r.Query["include"])
				if i > 0 && tt.dialect.nullAt == 0 {
					require.NotEmpty(t, r.Query.Get("after"))
				}
			}
			if tt.err == nil {
				require.Empty(t, errs)
			} else {
				require.Len(t, errs, 1, "an error comes once, and last")
				require.ErrorIs(t, errs[0], tt.err)
			}
			require.Equal(t, &letta.AgentListParams{Limit: tt.limit, Name: "n", Include: []letta.AgentInclude{letta.AgentIncludeTags}}, params)
		})
	}
}

func TestListAllWithNullInAFullPage(t *testing.T) {
	t.Parallel()
	srv := (&dialect{page: 50, rows: 120, nullAt: 50}).serve(t)
	agents, errs := collect(srv.client(t).Agents.ListAll(t.Context(), nil))
	require.Empty(t, agents)
	require.Len(t, errs, 1, "a null row is an error: dropped, it would make the page look short, and the walk end in silence")
	require.ErrorContains(t, errs[0], "row 49 is null")
}

func TestListAllWhenTheCursorIsDeleted(t *testing.T) {
	t.Parallel()
	d := &dialect{page: 50, rows: 170, gone: map[string]bool{}}
	d.onRequest = func(n int) {
		if n == 3 {
			d.gone[rowID(99)] = true // the last row of page 2: the server starts again
		}
	}
	srv := d.serve(t)
	agents, errs := collect(srv.client(t).Agents.ListAll(t.Context(), nil))
	require.Len(t, agents, 100)
	require.Len(t, errs, 1)
	require.ErrorIs(t, errs[0], letta.ErrPageLoop)
	require.Len(t, srv.seen(""), 3)
}

func TestListAllCancelled(t *testing.T) {
	t.Parallel()
	srv := (&dialect{page: 50, rows: 170}).serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	rows, errs := 0, []error(nil)
	for agent, err := range srv.client(t).Agents.ListAll(ctx, nil) {
		if err != nil {
			require.Nil(t, agent)
			errs = append(errs, err)
			continue
		}
		if rows++; rows == 60 {
			cancel()
		}
	}
	require.Len(t, errs, 1)
	require.ErrorIs(t, errs[0], context.Canceled)
	require.Equal(t, 100, rows, "the page that is here is given out")
	require.Len(t, srv.seen(""), 2)
}

func TestListAllBreak(t *testing.T) {
	t.Parallel()
	srv := (&dialect{page: 50, rows: 170}).serve(t)
	client := srv.client(t)
	for _, stop := range []int{1, 50, 51} {
		before, rows := len(srv.seen("")), 0
		for _, err := range client.Agents.ListAll(t.Context(), nil) {
			require.NoError(t, err)
			if rows++; rows == stop {
				break
			}
		}
		require.Len(t, srv.seen(""), before+(stop+49)/50, "no page is fetched ahead")
	}
	next, stop := iter.Pull2(client.Agents.ListAll(t.Context(), nil))
	_, err, ok := next()
	require.True(t, ok)
	require.NoError(t, err)
	stop()
}

func TestListAllSendsNothingBeforeTheLoop(t *testing.T) {
	t.Parallel()
	srv := (&dialect{page: 50, rows: 1}).serve(t)
	_ = srv.client(t).Agents.ListAll(t.Context(), nil)
	require.Empty(t, srv.seen(""))
}

func TestListAllConcurrently(t *testing.T) {
	t.Parallel()
	srv := (&dialect{page: 50, rows: 120}).serve(t)
	client := srv.client(t)
	params := &letta.AgentListParams{After: letta.AgentID(rowID(9)), Limit: 20}
	var wg sync.WaitGroup
	counts := make([]int, 8)
	for i := range counts {
		wg.Go(func() {
			rows, errs := collect(client.Agents.ListAll(t.Context(), params))
			if len(errs) == 0 {
				counts[i] = len(rows)
			}
		})
	}
	wg.Wait()
	require.Equal(t, slices.Repeat([]int{110}, 8), counts)
	require.Equal(t, &letta.AgentListParams{After: letta.AgentID(rowID(9)), Limit: 20}, params)
}

func TestListAllTwice(t *testing.T) {
	t.Parallel()
	srv := (&dialect{page: 50, rows: 120}).serve(t)
	walk := srv.client(t).Agents.ListAll(t.Context(), nil)
	first, errs := collect(walk)
	require.Empty(t, errs)
	require.Len(t, first, 120)
	second, errs := collect(walk)
	require.Empty(t, errs)
	require.Len(t, second, 120)
}

func TestListAllOfOtherServices(t *testing.T) {
	t.Parallel()
	requireWalk := func(t *testing.T, srv *server, rows int, errs []error) {
		t.Helper()
		require.Empty(t, errs)
		require.Equal(t, 120, rows)
		require.Len(t, srv.seen("GET"), 4)
		require.Equal(t, rowID(49), srv.seen("GET")[1].Query.Get("after"))
	}
	srv := (&dialect{page: 50, rows: 120}).serve(t)
	blocks, errs := collect(srv.client(t).Blocks.ListAll(t.Context(), nil))
	requireWalk(t, srv, len(blocks), errs)
	srv = (&dialect{page: 50, rows: 120}).serve(t)
	agents, errs := collect(srv.client(t).Blocks.Agents.ListAll(t.Context(), "block-1", nil))
	requireWalk(t, srv, len(agents), errs)
	srv = (&dialect{page: 50, rows: 120, row: func(id string) any { return id }}).serve(t)
	tags, errs := collect(srv.client(t).Tags.ListAll(t.Context(), nil))
	requireWalk(t, srv, len(tags), errs)
	_, errs = collect(srv.client(t).Blocks.Agents.ListAll(t.Context(), "", nil))
	require.Len(t, errs, 1)
	require.ErrorContains(t, errs[0], "block_id")
	require.False(t, errors.Is(errs[0], letta.ErrPageLoop))
}
