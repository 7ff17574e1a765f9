package lettatest

import (
	"maps"
	"net/http"
	"slices"
	"time"
)

// run is the record of one turn.
type run struct {
	id, agent, conversation, status string

	created, completed time.Time
	background         bool
	metadata           map[string]any
	types              any
	stopReason         any
	callback           any

	steps []*step
	tools []string // ids of those called
	feed  *feed
	stop  func() // ends its turn
}

type step struct {
	id      string
	created time.Time
	fields  object
	took    time.Duration
}

var runStatuses = []string{"created", "running", "completed", "failed", "cancelled"}

func (r *run) active() bool { return r.status == "created" || r.status == "running" }

// state is the JSON form of a run. Only lists tell how long it took.
func (r *run) state(listed bool) map[string]any {
	m := map[string]any{
		"id": r.id, "status": r.status, "created_at": timestamp(r.created), "completed_at": nil, "agent_id": r.agent,
		"conversation_id": nullable(r.conversation), "base_template_id": nil, "background": r.background, "metadata": r.metadata,
		"request_config": map[string]any{
			"use_assistant_message": true, "assistant_message_tool_name": "send_message", "assistant_message_tool_kwarg": "message",
			"include_return_message_types": r.types,
		},
		"stop_reason": r.stopReason, "callback_url": r.callback, "callback_sent_at": nil, "callback_status_code": nil, "callback_error": nil,
		"ttft_ns": nil, "total_duration_ns": nil,
	}
	if !r.completed.IsZero() {
		m["completed_at"] = r.completed.Format("2006-01-02T15:04:05.000000") // without a zone, as there
		if listed {
			m["total_duration_ns"] = r.completed.Sub(r.created).Nanoseconds()
		}
	}
	return m
}

// run finds a run; without one the answer says why.
func (s *Server) run(id string) (*run, answer) {
	if !idPattern("run").MatchString(id) {
		return nil, invalid("Invalid run ID format: %s. Expected format: 'run-<uuid4>'", id)
	}
	r := s.runs[id]
	return r, notFound("Run", id)
}

// activeRuns are the runs of an agent or a conversation that go on, newest first.
func (s *Server) activeRuns(agent, conversation string) []*run {
	var out []*run
	for _, r := range s.runs {
		if r.active() && (agent == "" || r.agent == agent) && (conversation == "" || r.conversation == conversation) {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b *run) int { return b.created.Compare(a.created) })
	return out
}

// within is an integer between two bounds.
func within(low, high int) check {
	return func(p *problems, at loc, v any) any {
		before := len(p.list)
		n := integer(p, at, v)
		i, _ := n.(int)
		switch {
		case len(p.list) > before:
		case i < low:
			p.add("greater_than_equal", at, "Input should be greater than or equal to "+printed(low), v, "'ge': "+printed(low))
		case i > high:
			p.add("less_than_equal", at, "Input should be less than or equal to "+printed(high), v, "'le': "+printed(high))
		}
		return n
	}
}

var runFields = []field{
	{"agent_id", text},
	{"agent_ids[]", list(text)},
	{"statuses[]", list(text)},
	{"background", boolean},
	{"stop_reason", oneOf("enum", stopReasons...)},
	{"conversation_id", text},
	pageFields[0],
	pageFields[1],
	{"limit", within(1, 1000)},
	pageFields[3],
	pageFields[4],
	{"active", boolean},
	{"ascending", boolean},
}

func (s *Server) listRuns(c *call) answer {
	o := c.params(runFields)
	if a, bad := c.failed(); bad {
		return a
	}
	statuses := o.strs("statuses")
	for _, st := range statuses {
		if !slices.Contains(runStatuses, st) {
			return fail(http.StatusBadRequest, "%s is not a valid RunStatus", printed(st))
		}
	}
	if statuses == nil && get[bool](o, "active") {
		statuses = runStatuses[:2]
	}
	agents := o.strs("agent_ids")
	if o.str("agent_id") != "" {
		agents = []string{o.str("agent_id")}
	}
	var rows []*run
	for _, r := range s.runs {
		if (agents == nil || slices.Contains(agents, r.agent)) &&
			(statuses == nil || slices.Contains(statuses, r.status)) &&
			(!o.has("background") || r.background == get[bool](o, "background")) &&
			(!o.has("stop_reason") || r.stopReason == o["stop_reason"]) &&
			(!o.has("conversation_id") || r.conversation == o["conversation_id"]) {
			rows = append(rows, r)
		}
	}
	o["after"], o["before"] = o["before"], o["after"] // mixed up there
	if !o.has("limit") {
		o["limit"] = 100
	}
	find := func(id string) (*run, bool) { r := s.runs[id]; return r, r != nil }
	rows, _ = page(rows, func(r *run) cursor { return cursor{r.created, r.id} }, find, o, o.str("order") == "asc" || get[bool](o, "ascending"))
	return ok(runStates(rows))
}

func runStates(rows []*run) []any {
	out := make([]any, len(rows))
	for i, r := range rows {
		out[i] = r.state(true)
	}
	return out
}

func (s *Server) listActiveRuns(c *call) answer {
	o := c.params([]field{{"agent_id", text}, {"background", boolean}})
	if a, bad := c.failed(); bad {
		return a
	}
	return ok(runStates(s.activeRuns(o.str("agent_id"), "")))
}

func (s *Server) retrieveRun(c *call) answer {
	r, problem := s.run(c.id)
	if r == nil {
		return problem
	}
	return ok(r.state(false))
}

func (s *Server) deleteRun(*call) answer { return crash() }

func (s *Server) runTrace(*call) answer {
	return fail(http.StatusNotImplemented, "OTEL traces require ClickHouse. Set LETTA_CLICKHOUSE_ENDPOINT and configure ClickHouse connection.")
}

func (s *Server) listRunMessages(c *call) answer {
	o := c.params(messagePageFields)
	if a, bad := c.failed(); bad {
		return a
	}
	r, problem := s.run(c.id)
	if r == nil {
		return problem
	}
	var rows []*message
	if a := s.agents[r.agent]; a != nil {
		rows = slices.DeleteFunc(slices.Clone(a.history), func(m *message) bool { return m.run != r.id })
	}
	return s.showMessages(rows, o, o.str("order") != "desc", true, noCursor("None"))
}

// usage adds the steps of a run up.
func (r *run) usage() map[string]any {
	m := map[string]any{"prompt_tokens_details": nil, "completion_tokens_details": nil}
	for _, k := range []string{"completion_tokens", "prompt_tokens", "total_tokens"} {
		n := 0
		for _, st := range r.steps {
			n += get[int](st.fields, k)
		}
		m[k] = n
	}
	return m
}

func (s *Server) retrieveUsage(c *call) answer {
	r, problem := s.run(c.id)
	if r == nil {
		return problem
	}
	return ok(r.usage())
}

func (s *Server) runMetrics(c *call) answer {
	r, problem := s.run(c.id)
	if r == nil {
		if idPattern("run").MatchString(c.id) {
			return notFound("RunMetrics", c.id)
		}
		return problem
	}
	var tools any
	if r.tools != nil {
		tools = r.tools
	}
	var took any
	if !r.completed.IsZero() {
		took = r.completed.Sub(r.created).Nanoseconds()
	}
	return ok(map[string]any{
		"id": r.id, "organization_id": orgID, "agent_id": r.agent, "project_id": nil, "run_start_ns": r.created.UnixNano(), "run_ns": took,
		"num_steps": len(r.steps), "tools_used": tools, "template_id": nil, "base_template_id": nil,
	})
}

// pageRows is the paging of steps, and of the messages of a step.
func pageRows[T any](rows []T, key func(T) cursor, find func(string) (T, bool), kind string, o object, asc bool) ([]T, *answer) {
	var at [2]time.Time
	for i, side := range []string{"after", "before"} {
		if id := o.str(side); id != "" {
			row, known := find(id)
			if !known {
				a := fail(http.StatusNotFound, "No %s found with id %s", kind, id)
				return nil, &a
			}
			at[i] = key(row).at
		}
	}
	if !at[0].IsZero() && at[1].Before(at[0]) && !at[1].IsZero() {
		a := fail(http.StatusBadRequest, "'before' reference must be later than 'after' reference")
		return nil, &a
	}
	switch limit := get[int](o, "limit"); {
	case !o.has("limit"):
		o["limit"] = 100
	case limit == 0:
		return nil, nil
	case limit < 0:
		a := databaseError()
		return nil, &a
	}
	rows, _ = page(rows, key, find, o, asc)
	return rows, nil
}

func (s *Server) listRunSteps(c *call) answer {
	o := c.params(messagePageFields)
	if a, bad := c.failed(); bad {
		return a
	}
	r, problem := s.run(c.id)
	if r == nil {
		return problem
	}
	find := func(id string) (*step, bool) { st := s.steps[id]; return st, st != nil }
	rows, bad := pageRows(slices.Clone(r.steps), func(st *step) cursor { return cursor{st.created, st.id} }, find, "Step", o, o.str("order") == "asc")
	if bad != nil {
		return *bad
	}
	out := make([]any, len(rows))
	for i, st := range rows {
		out[i] = st.fields
	}
	return ok(out)
}

// newStep records a model call.
func (s *Server) newStep(r *run, a *agent, llm map[string]any) *step {
	st := &step{id: newID("step"), created: s.now()}
	st.fields = object{
		"id": st.id, "organization_id": orgID, "run_id": r.id, "agent_id": a.id, "provider_name": llm["provider_name"], "provider_category": "base",
		"model": llm["model"], "model_handle": llm["handle"], "model_endpoint": llm["model_endpoint"], "context_window_limit": llm["context_window"],
		"completion_tokens": 0, "prompt_tokens": 0, "total_tokens": 0, "tags": []any{}, "messages": []any{}, "status": "pending",
	}
	for _, k := range []string{
		"origin", "provider_id", "cached_input_tokens", "cache_write_tokens", "reasoning_tokens", "completion_tokens_details",
		"prompt_tokens_details", "stop_reason", "tid", "trace_id", "request_id", "feedback", "project_id", "error_type", "error_data",
	} {
		st.fields[k] = nil
	}
	s.steps[st.id] = st
	r.steps = append(r.steps, st)
	return st
}

// succeed fills in what a model call cost.
func (st *step) succeed(tokens bool, now time.Time) {
	st.took = now.Sub(st.created)
	maps.Copy(st.fields, object{"completion_tokens": 5, "prompt_tokens": 10, "total_tokens": 15, "status": "success"})
	if !tokens {
		st.fields["completion_tokens_details"] = map[string]any{"reasoning_tokens": 0}
		st.fields["prompt_tokens_details"] = map[string]any{"cached_tokens": 0, "cache_read_tokens": 0, "cache_creation_tokens": 0}
	}
}

func (s *Server) listSteps(c *call) answer {
	o := c.params([]field{pageFields[3]})
	if a, bad := c.failed(); bad {
		return a
	}
	return fail(http.StatusBadRequest, "Argument order does not match type typing.Optional[str]; is %s of type <class 'bool'>",
		printed(o.str("order") == "asc")) // a bug there
}

func (s *Server) retrieveStep(c *call) answer {
	c.needID("step")
	if a, bad := c.failed(); bad {
		return a
	}
	st := s.steps[c.id]
	if st == nil {
		return notFound("Step", c.id)
	}
	return ok(st.fields)
}

func (s *Server) stepMetrics(c *call) answer {
	c.needID("step")
	if a, bad := c.failed(); bad {
		return a
	}
	st := s.steps[c.id]
	if st == nil {
		return notFound("StepMetrics", c.id)
	}
	m := map[string]any{
		"id": st.id, "organization_id": orgID, "run_id": st.fields["run_id"], "agent_id": st.fields["agent_id"],
		"llm_request_ns": st.took.Nanoseconds(), "step_ns": st.took.Nanoseconds(),
	}
	for _, k := range []string{
		"provider_id", "step_start_ns", "llm_request_start_ns", "tool_execution_ns", "base_template_id", "template_id", "project_id",
	} {
		m[k] = nil
	}
	return ok(m)
}

// stepTrace has nothing to show: there is no provider.
func (s *Server) stepTrace(c *call) answer {
	c.needID("step")
	if a, bad := c.failed(); bad {
		return a
	}
	return ok(null)
}

func (s *Server) stepFeedback(c *call) answer {
	c.needID("step")
	o := c.body([]field{{"feedback", opt(oneOf("enum", "positive", "negative"))}, {"tags", optTexts}})
	if a, bad := c.failed(); bad {
		return a
	}
	st := s.steps[c.id]
	if st == nil {
		return notFound("Step", c.id)
	}
	st.fields["feedback"] = o["feedback"]
	if o.has("tags") {
		st.fields["tags"] = o["tags"]
	}
	return ok(maps.Clone(st.fields))
}

func (s *Server) listStepMessages(c *call) answer {
	c.needID("step")
	o := c.params(messagePageFields)
	if a, bad := c.failed(); bad {
		return a
	}
	var rows []*message
	if st := s.steps[c.id]; st != nil && s.agents[st.fields.str("agent_id")] != nil {
		rows = slices.DeleteFunc(slices.Clone(s.agents[st.fields.str("agent_id")].history), func(m *message) bool { return m.step != c.id })
	}
	find := func(id string) (*message, bool) { m := s.messages[id]; return m, m != nil }
	rows, bad := pageRows(rows, func(m *message) cursor { return cursor{m.created, m.id} }, find, "Message", o, o.str("order") != "desc")
	if bad != nil {
		return *bad
	}
	out := []any{}
	for _, m := range rows {
		for _, v := range m.views(false) {
			out = append(out, v)
		}
	}
	return ok(out)
}

// cancel ends a run. One that has stopped already, other than to wait for an approval, stays as it is.
func (s *Server) cancel(r *run) {
	if r.stopReason != nil && r.stopReason != "requires_approval" {
		return
	}
	r.status, r.stopReason, r.completed = "cancelled", "cancelled", s.now()
	r.stop()
	for key, holder := range s.locks {
		if holder == r {
			delete(s.locks, key)
		}
	}
	a := s.agents[r.agent]
	if a == nil {
		return
	}
	a.fields["last_stop_reason"] = "cancelled"
	request := pending(a.messages)
	if request == nil {
		return
	}
	const reason = "The user cancelled the request, so the tool call was denied."
	calls := slices.Clone(request.calls)
	if n := len(a.messages); n > 1 && a.messages[n-2].role == "assistant" {
		calls = append(calls, a.messages[n-2].calls...)
	}
	response := &message{role: "approval", run: r.id}
	for _, c := range request.calls {
		response.approvals = append(response.approvals, object{"type": "approval", "tool_call_id": c.ID, "approve": false, "reason": reason})
	}
	result := &message{role: "tool", run: r.id, step: request.step}
	for _, c := range calls {
		result.returns = append(result.returns, denied(a, s.now(), c.ID, reason))
	}
	s.keep(a, &a.messages, response, result)
}

func (s *Server) cancelAll(runs []*run) answer {
	out := map[string]any{}
	for _, r := range runs {
		s.cancel(r)
		out[r.id] = "cancelled"
	}
	return ok(out)
}

func (s *Server) cancelAgent(c *call) answer {
	c.needID("agent")
	var ids []string
	if len(c.raw) > 0 {
		ids = c.body([]field{{"run_ids", optTexts}}).strs("run_ids")
	}
	if a, bad := c.failed(); bad {
		return a
	}
	if a := s.agents[c.id]; ids == nil && a != nil && a.last != "" {
		ids = []string{a.last}
	}
	if ids == nil {
		return fail(http.StatusConflict, "CONFLICT: No active runs to cancel for agent %s", c.id)
	}
	out := map[string]any{}
	for _, id := range ids {
		out[id] = "failed"
		if r := s.runs[id]; r != nil {
			s.cancel(r)
			out[id] = "cancelled"
		}
	}
	return ok(out)
}
