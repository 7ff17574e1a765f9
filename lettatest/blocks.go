package lettatest

import (
	"cmp"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/letta-go/letta/internal/python"
)

var (
	blockRoutes = blocks.routes("blocks", "list count create update delete retrieve agents.list", handlers{"list": listBlocks, "count": countBlocks})

	agentBlockRoutes = blocks.routes("agents.blocks", "retrieve list update attach detach", handlers{
		"retrieve": withBlock(func(w *world, _ *call, b *row) answer { return ok(blocks.view(w, b)) }),
		"list":     blocks.ofAgent(listing{}),
		"update":   withBlock(updateAgentBlock),
		"detach":   withBlock(func(w *world, c *call, _ *row) answer { return blocks.detach(w, c) }),
	})
)

var blocks = &resource{
	kind: "block", noun: "Block",
	rows: func(w *world) *table[*row] { return &w.blocks },
	sample: func() object {
		return with(sample("blocks.create"), "value", "", "limit", 100000, "metadata", object{}, "label", nil)
	},
	blank:  "description hidden tags", // the tags of a row are shown
	list:   listing{asc: true},
	making: makeBlock,
	change: func(w *world, c *call, b *row) {
		if c.in["tags"] != nil {
			b.tags = replace(b.tags, texts(c.in, "tags"))
		}
		makeBlock(w, c, b)
		w.changedBlock(b)
	},
	show: func(_ *world, b *row) any {
		o := with(b.shown(), "tags", list(b.tags))
		if said, ok := b.fields["tags"].([]any); ok { // the answer to a write repeats them as sent, duplicates and all
			o["tags"], b.fields["tags"] = said, nil
		}
		return o
	},
	deleted: null,
	give: func(w *world, a *agent, b *row) {
		switch {
		case a.linked("block", b.id):
			return
		case w.sameLabel(a.links["block"], b):
			refuse(http.StatusConflict, "(sqlalchemy.dialects.postgresql.asyncpg.IntegrityError) duplicate key value violates unique constraint "+
				"\"unique_label_per_agent\": label %s", python.Repr(b.fields["label"]))
		}
		a.link("block", b.id)
		w.changedAgent(a)
	},
	take: (*world).changedAgent,
	told: everybody,
	filters: map[string]filter{
		"templates_only": yes, "match_all_tags": yes, "tags": yes, "show_hidden_blocks": yes, "identity_id": no, "identifier_keys": no,
		"name":         func(_ *world, b *row, v any) bool { return b.fields["template_name"] == v },
		"label_search": contains("label"), "value_search": contains("value"), "description_search": contains("description"),
		"connected_to_agents_count_gt": func(w *world, b *row, v any) bool { return w.users(b.id) > v.(int) },
		"connected_to_agents_count_lt": func(w *world, b *row, v any) bool { return w.users(b.id) < v.(int) },
		"connected_to_agents_count_eq": func(w *world, b *row, v any) bool { return slices.Contains(v.([]any), any(w.users(b.id))) },
	},
}

// makeBlock is what the server does to the fields of every block that is written.
func makeBlock(_ *world, _ *call, b *row) {
	if n := get[int](b.fields, "limit"); n > math.MaxInt32 || n < math.MinInt32 {
		refuse(http.StatusInternalServerError, "A database error occurred.")
	}
	if b.fields["description"] == nil {
		switch text(b.fields, "label") {
		case "human":
			b.fields["description"] = "What is known about the person in the conversation."
		case "persona":
			b.fields["description"] = "Who the agent is and how it behaves."
		}
	}
	b.fields["value"] = strings.ReplaceAll(text(b.fields, "value"), "\x00", "")
}

// users is the number of agents that have a block.
func (w *world) users(id string) int {
	return len(w.agents.where(func(a *agent) bool { return a.linked("block", id) }))
}

// changedBlock renews the system prompts that show a block.
func (w *world) changedBlock(b *row) {
	for _, a := range w.agents.rows {
		if a.linked("block", b.id) {
			w.renew(a, &a.thread)
		}
	}
}

// matchingBlocks are those that list and count agree on.
func (w *world) matchingBlocks(q object) []*row {
	tags, all := texts(q, "tags"), flag(q, "match_all_tags")
	if all && len(tags) != len(get[[]any](q, "tags")) {
		return nil // a tag given twice is counted twice and found once
	}
	return slices.DeleteFunc(blocks.filtered(w, q), func(b *row) bool {
		return flag(b.fields, "is_template") != flag(q, "templates_only") || !tagged(b.tags, tags, all)
	})
}

func listBlocks(w *world, c *call) answer {
	q := c.q
	if q["label"] != nil {
		delete(q, "label_search")
	}
	rows := slices.DeleteFunc(w.matchingBlocks(q), func(b *row) bool { return flag(b.fields, "hidden") && !flag(q, "show_hidden_blocks") })
	l := blocks.list
	for _, count := range []string{"gt", "lt", "eq"} {
		if q["connected_to_agents_count_"+count] != nil { // counting sorts by id
			l = listing{asc: true, by: func(*row) time.Time { return time.Time{} }, byID: true, fixed: true}
		}
	}
	return blocks.page(w, q, l, rows)
}

func countBlocks(w *world, c *call) answer {
	for _, name := range []string{"label", "name", "tags", "project_id", "templates_only"} {
		if c.q[name] != nil && c.q[name] != false {
			return ok(len(w.matchingBlocks(c.q)))
		}
	}
	return ok(len(w.blocks.rows))
}

// withBlock finds the block of an agent that the path names by its label or its id.
func withBlock(f func(*world, *call, *row) answer) handler {
	return withAgent(func(w *world, c *call, a *agent) answer {
		for _, b := range blocks.of(w, a) {
			if b.id == c.sub || b.fields["label"] == c.sub && c.params["block_id"] == "" {
				return f(w, c, b)
			}
		}
		return fail(http.StatusNotFound, "No block with label '%s' found for agent '%s'", c.sub, c.id)
	})
}

func updateAgentBlock(w *world, c *call, b *row) answer {
	tags := b.tags
	overlay(b.fields, c.in)
	makeBlock(w, c, b)
	b.tags = tags
	w.changedBlock(b)
	return ok(blocks.view(w, b))
}

// sameLabel finds the block of an agent that has the label of another: an agent has one block per label.
func (w *world) sameLabel(ids []string, b *row) bool {
	return slices.ContainsFunc(ids, func(id string) bool { return w.blocks.get(id).fields["label"] == b.fields["label"] })
}

// joined adds blocks to those of an agent. One that does not exist, or whose label is taken, is lost.
func (w *world) joined(rows, more []string) []string {
	for _, id := range more {
		if b := w.blocks.get(id); b != nil && !w.sameLabel(rows, b) {
			rows = append(rows, id)
		}
	}
	return rows
}

// replaceBlocks inserts before it deletes, as the real server does: a new block is lost to an old one of the same label, even to one that goes.
func (w *world) replaceBlocks(a *agent, want []string) {
	rows := w.joined(slices.Clone(a.links["block"]), want)
	a.setLinks("block", slices.DeleteFunc(rows, func(id string) bool { return !slices.Contains(want, id) }))
}

// changedAgent is what a new or a lost block does to an agent.
func (w *world) changedAgent(a *agent) {
	a.updated = w.now()
	w.renew(a, &a.thread)
}

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
