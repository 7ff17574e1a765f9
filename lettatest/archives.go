package lettatest

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

var (
	archiveRoutes = archives.routes("archives", "create list retrieve update delete agents.list passages.create passages.create_many passages.delete",
		handlers{
			"passages.create":      archives.with(func(w *world, c *call, v *row) answer { return ok(w.newPassage(v, c.in).shown()) }),
			"passages.create_many": archives.with(createPassages),
			"passages.delete":      deletePassage(noContent),
		})
	passageRoutes      = passages.routes("passages", "search", handlers{"search": searchPassages})
	agentArchiveRoutes = slices.Concat(
		archives.routes("agents.archives", "attach detach", nil),
		passages.routes("agents.passages", "create list search delete", handlers{
			"create": withAgent(remember), "list": withAgent(listPassages), "search": withAgent(searchAgentPassages),
			"delete": deletePassage(ok(object{"message": "Passage deleted"})),
		}),
		identities.routes("agents.identities", "attach detach", nil),
	)
)

var archives = &resource{
	kind: "archive", noun: "Archive",
	rows:   func(w *world) *table[*row] { return &w.archives },
	sample: func() object { return sample("archives.create.no_embedding") },
	blank:  "description metadata embedding_config",
	list:   listing{noun: "Archive"},
	filters: map[string]filter{"agent_id": func(w *world, r *row, v any) bool {
		a := w.agents.get(v.(string))
		return a != nil && a.linked("archive", r.id)
	}},
	making: embedded,
	gone:   func(w *world, r *row) { passages.dropWhere(w, "archive_id", r.id) },
}

// embedded gives a new row the embedding that its request names.
func embedded(w *world, c *call, r *row) {
	if e := w.embeddingOf(c.in); e != nil {
		r.fields["embedding_config"] = e
	}
}

var passages = &resource{
	kind: "passage", noun: "Passage",
	rows:   func(w *world) *table[*row] { return &w.passages },
	sample: func() object { return with(sample("archives.passages.create"), "metadata", object{}) },
	blank:  "archive_id source_id file_id file_name tags text embedding embedding_config",
	list:   listing{asc: true, limit: 100},
}

// newPassage stores a text in an archive.
func (w *world) newPassage(v *row, in object) *row {
	p := passages.fresh(w, in)
	p.fields["archive_id"], p.fields["embedding_config"] = v.id, v.fields["embedding_config"]
	if e := get[object](v.fields, "embedding_config"); e != nil {
		p.fields["embedding"] = vector(text(in, "text"))
	}
	return w.passages.put(p)
}

// vector stands for the embedding of a text. It is short: nobody here compares them.
func vector(s string) []any {
	out := make([]any, 8)
	for i := range out {
		out[i] = float64((len(s)*31+i*17)%64)/64 - 0.5
	}
	return out
}

func createPassages(w *world, c *call, v *row) answer {
	return ok(shown(get[[]any](c.in, "passages"), func(in any) any { return w.newPassage(v, in.(object)).shown() }))
}

func deletePassage(done answer) handler {
	return func(w *world, c *call) answer {
		passages.drop(w, passages.get(w, c.sub))
		return done
	}
}

// remember stores a text in the first archive of an agent, which is made if there is none.
func remember(w *world, c *call, a *agent) answer {
	v := first(archives.of(w, a))
	if v == nil {
		v = w.archives.put(archives.fresh(w, object{
			"name": text(a.fields, "name") + "'s Archive", "description": "Default archive created automatically",
			"embedding_config": a.fields["embedding_config"],
		}))
		a.link("archive", v.id)
	}
	return ok([]any{w.newPassage(v, c.in).shown()})
}

func (w *world) passagesOf(a *agent) []*row {
	return w.passages.where(func(p *row) bool { return a.linked("archive", text(p.fields, "archive_id")) })
}

func listPassages(w *world, c *call, a *agent) answer {
	like := ilike(text(c.q, "search"))
	rows := slices.DeleteFunc(w.passagesOf(a), func(p *row) bool { return !like(text(p.fields, "text")) })
	l := passages.list
	if asc, ok := c.q["ascending"].(bool); ok {
		l.asc = asc
	}
	return passages.page(w, c.q, l, rows)
}

// found are the passages that a search finds. There is no meaning here: those that have a word of the query come first, oldest first.
func found(rows []*row, q object, query string) []*row {
	words := strings.Fields(strings.ToLower(query))
	score := func(p *row) (n int) {
		for _, word := range words {
			if strings.Contains(strings.ToLower(text(p.fields, "text")), word) {
				n++
			}
		}
		return n
	}
	from := cmp.Or(get[time.Time](q, "start_datetime"), get[time.Time](q, "start_date"))
	to := cmp.Or(get[time.Time](q, "end_datetime"), get[time.Time](q, "end_date"))
	rows = slices.DeleteFunc(slices.Clone(rows), func(p *row) bool {
		return !tagged(texts(p.fields, "tags"), texts(q, "tags"), q["tag_match_mode"] == "all") ||
			!from.IsZero() && p.created.Before(from) || !to.IsZero() && p.created.After(to)
	})
	slices.SortStableFunc(rows, func(a, b *row) int { return cmp.Or(score(b)-score(a), a.created.Compare(b.created)) })
	return rows
}

func searchAgentPassages(w *world, c *call, a *agent) answer {
	rows := found(w.passagesOf(a), c.q, text(c.q, "query"))
	if n := get[int](c.q, "top_k"); n > 0 {
		rows = rows[:min(n, len(rows))]
	}
	out := shown(rows, func(p *row) any {
		return object{"id": p.id, "timestamp": pyTime(p.created), "content": p.fields["text"], "tags": list(texts(p.fields, "tags"))}
	})
	return ok(object{"results": out, "count": len(out)})
}

func searchPassages(w *world, c *call) answer {
	rows := w.passages.rows
	if id := text(c.in, "agent_id"); id != "" {
		rows = w.passagesOf(w.agents.must(id, noAgent(id)))
	} else if id := text(c.in, "archive_id"); id != "" {
		rows = whose(&w.passages, "archive_id", id)
	}
	rows = found(rows, c.in, text(c.in, "query"))
	limit := or(c.in["limit"], 5).(int)
	return ok(shown(rows[:min(max(0, limit), len(rows))], func(p *row) any {
		return object{"passage": p.shown(), "score": 0.0, "metadata": object{}}
	}))
}
