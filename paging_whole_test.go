package letta

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestWhole: a list whose cursor is broken comes whole and without repeats, from servers of several habits.
func TestWhole(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]func(rows []string, limit int, after string) []string{
		"the cursor is ignored": func(rows []string, limit int, _ string) []string { return rows[:min(limit, len(rows))] },
		"the cursor skips rows": func(rows []string, limit int, after string) []string {
			if after != "" {
				rows = rows[len(rows)/2:]
			}
			return rows[:min(limit, len(rows))]
		},
		"pages are cut at 60, and the cursor works": func(rows []string, limit int, after string) []string {
			for i, row := range rows {
				if row == after {
					rows = rows[i+1:]
					break
				}
			}
			return rows[:min(limit, len(rows), 60)]
		},
	} {
		for _, size := range []int{0, 1, 49, 50, 60, 61, 1000, 2500} {
			for _, limit := range []int{0, 1, 7, 60} {
				if strings.HasPrefix(name, "pages are cut") && limit == 60 {
					continue // a full page and one that was cut look alike, then
				}
				all, requests := make([]string, size), 0
				for i := range all {
					all[i] = fmt.Sprintf("tool-%d", i)
				}
				c := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
					requests++
					asked, _ := strconv.Atoi(r.URL.Query().Get("limit"))
					rows := []string{}
					for _, id := range server(all, asked, r.URL.Query().Get("after")) {
						rows = append(rows, fmt.Sprintf(`{"id":%q}`, id))
					}
					_, _ = fmt.Fprintf(w, "[%s]", strings.Join(rows, ","))
				})
				got, err := walked(c.Agents.Tools.ListAll(t.Context(), "agent-1", &AgentToolListParams{Limit: limit}), func(tool *Tool) string { return string(tool.ID) })
				require.NoError(t, err)
				assert.ElementsMatch(t, all, got, "%s: %d rows, limit %d", name, size, limit)
				if size < 50 && limit == 0 {
					assert.Equal(t, 1, requests)
				}
			}
		}
	}
}
