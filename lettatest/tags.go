package lettatest

import "cmp"

var otherRoutes = []route{{op: "tags.list", handle: listTags}}

func health(*world, *call) answer { return ok(object{"version": version, "status": "ok"}) }

// listTags lists the tags of agents and blocks. The cursor is a tag, be it known or not.
func listTags(w *world, c *call) answer {
	set := map[string]bool{}
	for _, a := range w.agents.rows {
		for _, t := range a.tags {
			set[t] = set[t] || c.q["limit"] != 0 // limit=0 hides the tags of agents, though not those of blocks
		}
	}
	for _, b := range w.blocks.rows {
		for _, t := range b.tags {
			set[t] = true
		}
	}
	like := ilike(cmp.Or(text(c.q, "name"), text(c.q, "query_text")))
	var rows []*row
	for t, shown := range set {
		if shown && like(t) {
			rows = append(rows, &row{id: t})
		}
	}
	cursor := func(tag string) *row { return &row{id: tag} }
	return show(rows, cursor, c.q, listing{asc: true}, func(r *row) any { return r.id })
}
