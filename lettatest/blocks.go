package lettatest

import (
	"encoding/json"
	"maps"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// block is one stored block.
type block struct {
	id      string
	created time.Time
	fields  object
	tags    []string
}

var (
	blockFields = []field{
		{"value", opt(text)},
		{"limit", optInt},
		{"project_id", optText},
		{"template_name", optText},
		{"is_template", boolean},
		{"template_id", optText},
		{"base_template_id", optText},
		{"deployment_id", optText},
		{"entity_id", optText},
		{"preserve_on_migration", optBool},
		{"label", optText},
		{"read_only", boolean},
		{"description", optText},
		{"metadata", optDict},
		{"hidden", optBool},
		{"tags", optTexts},
	}
	createBlockFields = func() []field {
		out := slices.Clone(blockFields)
		for i := range out {
			switch out[i].name {
			case "limit":
				out[i].check = integer
			case "label":
				out[i] = field{"label*", text}
			}
		}
		return out
	}()
	blockDefaults = object{
		"value": "", "limit": 100000, "project_id": nil, "template_name": nil, "is_template": false, "template_id": nil, "base_template_id": nil,
		"deployment_id": nil, "entity_id": nil, "preserve_on_migration": false, "label": nil, "read_only": false, "description": nil, "hidden": nil,
	}
	labelForm   = regexp.MustCompile(`^[a-zA-Z0-9_/-]+$`)
	blockFilter = []field{
		{"label", pattern(labelForm, 1, 50)}, {"templates_only", boolean}, {"name", pattern(regexp.MustCompile(`^[a-zA-Z0-9 _-]+$`), 1, 100)},
	}
	blockFilterTags = []field{{"tags[]", list(text)}, {"match_all_tags", boolean}}
	listBlockFields = slices.Concat(blockFilter, []field{
		{"identity_id", id("identity")}, {"identifier_keys[]", list(text)}, {"project_id", text},
	}, blockFilterTags, pageFields[2:3], pageFields[:2], pageFields[3:], []field{
		{"label_search", pattern(labelForm, 1, 50)},
		{"description_search", pattern(nil, 1, 200)},
		{"value_search", pattern(nil, 1, 200)},
		{"connected_to_agents_count_gt", integer},
		{"connected_to_agents_count_lt", integer},
		{"connected_to_agents_count_eq[]", list(integer)},
		{"show_hidden_blocks", boolean},
	})
)

// state is the JSON form of a block.
func (b *block) state(tags any) map[string]any {
	m := maps.Clone(map[string]any(b.fields))
	m["id"], m["tags"], m["created_by_id"], m["last_updated_by_id"] = b.id, tags, nil, nil
	return m
}

// newBlock stores a block from a checked create body.
func (s *Server) newBlock(o object) (*block, *answer) {
	b := &block{id: newID("block"), created: s.now(), fields: maps.Clone(blockDefaults), tags: o.strs("tags")}
	b.fields["metadata"] = map[string]any{}
	switch o.str("label") {
	case "human":
		b.fields["description"] = "What is known about the person in the conversation."
	case "persona":
		b.fields["description"] = "Who the agent is and how it behaves."
	}
	return b, s.set(b, o)
}

// set stores what is set in o; null changes nothing.
func (s *Server) set(b *block, o object) *answer {
	if n := get[int](o, "limit"); n > math.MaxInt32 || n < math.MinInt32 {
		a := databaseError()
		return &a
	}
	for _, f := range blockFields {
		if f.name != "tags" && o.has(f.name) {
			b.fields[f.name] = o[f.name]
		}
	}
	b.fields["value"] = strings.ReplaceAll(b.fields.str("value"), "\x00", "")
	s.blocks[b.id] = b
	return nil
}

// shownTags are the tags an answer to a write repeats: as sent, duplicates and all.
func shownTags(o object, stored []string) any {
	if o.has("tags") {
		return o["tags"]
	}
	return append([]string{}, stored...)
}

func (s *Server) createBlock(c *call) answer {
	o := c.body(createBlockFields)
	// A missing value is an empty one, unless the whole object is empty.
	if in, ok := c.data.(map[string]any); ok && len(in) == 0 {
		c.errs.list = nil
		c.errs.add("missing", loc{"body", "value"}, "Field required", in, "")
		c.errs.add("missing", loc{"body", "label"}, "Field required", in, "")
	}
	if a, bad := c.failed(); bad {
		return a
	}
	b, problem := s.newBlock(o)
	if problem != nil {
		return *problem
	}
	return ok(b.state(shownTags(o, b.tags)))
}

func (s *Server) updateBlock(c *call) answer {
	c.needID("block")
	o := c.body(blockFields)
	if a, bad := c.failed(); bad {
		return a
	}
	b := s.blocks[c.id]
	if b == nil {
		return notFound("Block", c.id)
	}
	if problem := s.set(b, o); problem != nil {
		return *problem
	}
	if o.has("tags") {
		b.tags = replace(b.tags, o.strs("tags"))
	}
	s.recompile(b)
	return ok(b.state(shownTags(o, b.tags)))
}

// recompile renews the system prompts that show a block.
func (s *Server) recompile(b *block) {
	for _, a := range s.agents {
		if slices.Contains(a.blocks, b.id) && len(a.messages) > 0 {
			a.messages[0].text = s.compile(a, s.now())
		}
	}
}

func (s *Server) retrieveBlock(c *call) answer {
	c.needID("block")
	if a, bad := c.failed(); bad {
		return a
	}
	b := s.blocks[c.id]
	if b == nil {
		return fail(http.StatusNotFound, "Block with id '%s' not found", c.id)
	}
	return ok(b.state(shownTags(nil, b.tags)))
}

func (s *Server) deleteBlock(c *call) answer {
	c.needID("block")
	if a, bad := c.failed(); bad {
		return a
	}
	if s.blocks[c.id] == nil {
		return notFound("Block", c.id)
	}
	delete(s.blocks, c.id)
	for _, a := range s.agents {
		a.blocks = slices.DeleteFunc(a.blocks, func(id string) bool { return id == c.id })
	}
	return ok(json.RawMessage("null"))
}

// users is the number of agents that have a block.
func (s *Server) users(id string) int {
	n := 0
	for _, a := range s.agents {
		if slices.Contains(a.blocks, id) {
			n++
		}
	}
	return n
}

func (s *Server) filterBlocks(keep func(*block) bool) []*block {
	var out []*block
	for _, b := range s.blocks {
		if keep(b) {
			out = append(out, b)
		}
	}
	return out
}

// matchesBlock is the part of the filter that list and count share.
func matchesBlock(b *block, o object) bool {
	tags := o.strs("tags")
	if get[bool](o, "match_all_tags") && len(tags) != len(get[[]any](o, "tags")) {
		return false // a tag given twice is counted twice and found once
	}
	return (!o.has("label") || b.fields["label"] == o["label"]) &&
		get[bool](b.fields, "is_template") == get[bool](o, "templates_only") &&
		(!o.has("name") || b.fields["template_name"] == o["name"]) &&
		(o.str("project_id") == "" || b.fields["project_id"] == o["project_id"]) &&
		tagged(b.tags, tags, get[bool](o, "match_all_tags"))
}

func (s *Server) listBlocks(c *call) answer {
	o := c.params(listBlockFields)
	if a, bad := c.failed(); bad {
		return a
	}
	label := o.str("label_search")
	if o.has("label") {
		label = ""
	}
	byLabel, byValue, byDescription := ilike(label), ilike(o.str("value_search")), ilike(o.str("description_search"))
	exact := get[[]any](o, "connected_to_agents_count_eq")
	byID := o.has("connected_to_agents_count_gt") || o.has("connected_to_agents_count_lt") || exact != nil
	rows := s.filterBlocks(func(b *block) bool {
		n := s.users(b.id)
		// Without lt, or eq with 0, blocks of no agent do not take part in the counting.
		counted := !byID || n > 0 || o.has("connected_to_agents_count_lt") || slices.Contains(exact, any(0))
		return matchesBlock(b, o) && counted &&
			byLabel(b.fields.str("label")) && byValue(b.fields.str("value")) && byDescription(b.fields.str("description")) &&
			(get[bool](o, "show_hidden_blocks") || !get[bool](b.fields, "hidden")) &&
			!o.has("identity_id") && o.strs("identifier_keys") == nil &&
			(!o.has("connected_to_agents_count_gt") || n > get[int](o, "connected_to_agents_count_gt")) &&
			(!o.has("connected_to_agents_count_lt") || n < get[int](o, "connected_to_agents_count_lt")) &&
			(exact == nil || slices.Contains(exact, any(n)))
	})
	key := func(b *block) cursor { return cursor{b.created, b.id} }
	asc := o.str("order") != "desc"
	limit := o["limit"]
	if byID { // sorted by id, although the cursor still goes by time
		o["limit"] = 0
	}
	rows, bad := page(rows, key, func(id string) (*block, bool) { b := s.blocks[id]; return b, b != nil }, o, asc)
	if byID {
		delete(o, "after")
		delete(o, "before")
		o["limit"] = limit
		rows, bad = page(rows, func(b *block) cursor { return cursor{id: b.id} }, nil, o, asc)
	}
	if bad {
		return databaseError()
	}
	out := make([]any, len(rows))
	for i, b := range rows {
		out[i] = b.state(shownTags(nil, b.tags))
	}
	return ok(out)
}

func (s *Server) countBlocks(c *call) answer {
	o := c.params(slices.Concat(blockFilter, blockFilterTags, []field{{"project_id", text}}))
	if a, bad := c.failed(); bad {
		return a
	}
	unfiltered := !o.has("label") && !o.has("name") && !o.has("tags") && !o.has("project_id") && !get[bool](o, "templates_only")
	return ok(len(s.filterBlocks(func(b *block) bool { return unfiltered || matchesBlock(b, o) })))
}

func (s *Server) listBlockAgents(c *call) answer {
	c.needID("block")
	o := c.params(slices.Concat(pageFields, includeFields))
	if a, bad := c.failed(); bad {
		return a
	}
	var rows []*agent
	for _, a := range s.agents {
		if slices.Contains(a.blocks, c.id) {
			rows = append(rows, a)
		}
	}
	in := include{} // unlike elsewhere a legacy client gets no relations either
	for _, r := range o.strs("include") {
		in[r] = true
	}
	return s.showAgents(rows, func(a *agent) cursor { return cursor{a.created, a.id} }, o, o.str("order") == "asc", in)
}

// agentBlock answers for the blocks of an agent: with a block, or with what is wrong.
func (s *Server) agentBlock(c *call) (*agent, *block, answer) {
	c.needID("agent")
	if a, bad := c.failed(); bad {
		return nil, nil, a
	}
	a := s.agents[c.id]
	if a == nil {
		return nil, nil, notFound("Agent", c.id)
	}
	for _, id := range a.blocks {
		if b := s.blocks[id]; b.id == c.sub || b.fields["label"] == c.sub {
			return a, b, answer{}
		}
	}
	return a, nil, fail(http.StatusNotFound, "No block with label '%s' found for agent '%s'", c.sub, c.id)
}

func (s *Server) retrieveAgentBlock(c *call) answer {
	_, b, problem := s.agentBlock(c)
	if b == nil {
		return problem
	}
	return ok(b.state(shownTags(nil, b.tags)))
}

func (s *Server) updateAgentBlock(c *call) answer {
	o := c.body(blockFields)
	_, b, problem := s.agentBlock(c)
	if b == nil {
		return problem
	}
	if problem := s.set(b, o); problem != nil {
		return *problem
	}
	s.recompile(b)
	return ok(b.state(shownTags(o, b.tags)))
}

func (s *Server) listAgentBlocks(c *call) answer {
	o := c.params(pageFields)
	a, _, problem := s.agentBlock(c)
	if a == nil {
		return problem
	}
	var rows []*block
	for _, id := range a.blocks {
		rows = append(rows, s.blocks[id])
	}
	rows, bad := page(rows, func(b *block) cursor { return cursor{b.created, b.id} },
		func(id string) (*block, bool) { b := s.blocks[id]; return b, b != nil }, o, o.str("order") == "asc")
	if bad {
		return databaseError()
	}
	out := make([]any, len(rows))
	for i, b := range rows {
		out[i] = b.state(shownTags(nil, b.tags))
	}
	return ok(out)
}

func (s *Server) attachBlock(c *call) answer {
	a, attached, problem := s.agentBlock(c)
	b := s.blocks[c.sub]
	switch {
	case a == nil:
		return problem
	case b == nil:
		return notFound("Block", c.sub)
	case attached == nil || attached.id != b.id:
		if slices.ContainsFunc(a.blocks, s.labelled(b)) {
			return fail(http.StatusConflict, "A unique constraint was violated for Agent. Check your input for duplicates: "+
				"(sqlalchemy.dialects.postgresql.asyncpg.IntegrityError) <class 'asyncpg.exceptions.UniqueViolationError'>: "+
				"duplicate key value violates unique constraint \"unique_label_per_agent\"\n"+
				"DETAIL:  Key (agent_id, block_label)=(%s, %s) already exists.", a.id, b.fields.str("label"))
		}
		a.blocks, a.updated = append(a.blocks, b.id), s.now()
		s.recompile(b)
	}
	return ok(s.state(a, everything()))
}

func (s *Server) detachBlock(c *call) answer {
	a, b, problem := s.agentBlock(c)
	switch {
	case a == nil:
		return problem
	case b == nil || b.id != c.sub:
		return fail(http.StatusNotFound, "No block with id '%s' found for agent '%s' with actor id: '%s'", c.sub, c.id, userID)
	}
	a.blocks, a.updated = slices.DeleteFunc(a.blocks, func(id string) bool { return id == b.id }), s.now()
	if len(a.messages) > 0 {
		a.messages[0].text = s.compile(a, a.updated)
	}
	return ok(s.state(a, everything()))
}
