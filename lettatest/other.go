package lettatest

import (
	"cmp"
	"net/http"
	"slices"
)

var otherRoutes = []route{{op: "tags.list", handle: listTags}}

func health(*world, *call) answer { return ok(object{"version": version, "status": "ok"}) }

// listTags lists the tags of agents and blocks. The cursor is a tag.
func listTags(w *world, c *call) answer {
	q := c.q
	limit, given := q["limit"].(int)
	if !given {
		limit = 50
	}
	if limit < 0 {
		return fail(http.StatusInternalServerError, "A database error occurred.")
	}
	set := map[string]bool{}
	for _, a := range w.agents.rows {
		for _, t := range a.tags {
			set[t] = limit > 0 || set[t] // limit=0 hides the tags of agents, though not those of blocks
		}
	}
	for _, b := range w.blocks.rows {
		for _, t := range b.tags {
			set[t] = true
		}
	}
	like := ilike(cmp.Or(text(q, "name"), text(q, "query_text")))
	order := 1
	if q["order"] == "desc" {
		order = -1
	}
	after, before := text(q, "after"), text(q, "before")
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
