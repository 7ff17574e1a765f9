package lettatest

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/letta-go/letta/internal/apispec/check"
	"github.com/letta-go/letta/internal/python"
)

var (
	runRoutes = []route{
		{op: "runs.list", handle: listRuns},
		{op: "runs.active.list", handle: func(w *world, c *call) answer {
			return show(w.activeRuns(text(c.q, "agent_id"), ""), w.runs.find, nil, listing{}, (*run).listed)
		}},
		{op: "runs.retrieve", handle: withRun(func(_ *world, _ *call, r *run) answer { return ok(r.state()) })},
		{op: "runs.messages.list", handle: withRun(listRunMessages)},
		{op: "runs.usage.retrieve", handle: withRun(func(_ *world, _ *call, r *run) answer { return ok(r.usage()) })},
		{op: "runs.metrics.retrieve", handle: withRun(runMetrics)},
		{op: "runs.steps.list", handle: withRun(listRunSteps)},
		{op: "runs.trace.retrieve", handle: always(fail(http.StatusNotImplemented, "OTEL traces require ClickHouse."))},
		{op: "runs.delete", handle: always(crash())},
		{op: "runs.messages.stream", handle: streamRun},
	}
	stepRoutes = []route{
		{op: "steps.list", handle: listSteps},
		{op: "steps.retrieve", handle: withStep(func(_ *world, _ *call, st *step) answer { return ok(st.fields) })},
		{op: "steps.metrics.retrieve", handle: withStep(stepMetrics)},
		{op: "steps.trace.retrieve", handle: stepTrace},
		{op: "steps.feedback.create", handle: withStep(stepFeedback)},
		{op: "steps.messages.list", handle: listStepMessages},
	}
)

// run is the record of one turn; its fields are what answers show of it.
type run struct {
	row
	completed time.Time
	steps     []*step
	tools     []string // ids of those called
	feed      *feed
	stop      func() // ends its turn
}

// step is the record of one model call.
type step struct {
	row
	took  time.Duration
	trace func() object // what went to the model
}

var runStatuses = []string{"created", "running", "completed", "failed", "cancelled"}

func (r *run) active() bool { return slices.Contains(runStatuses[:2], text(r.fields, "status")) }

// state is the JSON form of a run.
func (r *run) state() object {
	o := with(r.shown(), "completed_at", nil)
	if !r.completed.IsZero() {
		o["completed_at"] = r.completed.Format("2006-01-02T15:04:05.000000") // without a zone, as there
	}
	return o
}

func (w *world) run(id string) *run {
	if !check.IsID("run", id) {
		panic(invalid("Invalid run ID format: %s. Expected format: 'run-<uuid4>'", id))
	}
	return w.runs.must(id, notFound("Run", id))
}

func withRun(f func(*world, *call, *run) answer) func(*world, *call) answer {
	return func(w *world, c *call) answer { return f(w, c, w.run(c.id)) }
}

// activeRuns are the runs of an agent or a conversation that go on, newest first.
func (w *world) activeRuns(agent, conversation string) []*run {
	out := w.runs.where(func(r *run) bool {
		return r.active() && (agent == "" || r.fields["agent_id"] == agent) && (conversation == "" || r.fields["conversation_id"] == conversation)
	})
	slices.Reverse(out)
	return out
}

var runFilters = map[string]filter{"statuses": among("status"), "agent_ids": among("agent_id"), "active": yes}

func listRuns(w *world, c *call) answer {
	q := c.q
	for _, st := range texts(q, "statuses") {
		if !slices.Contains(runStatuses, st) {
			return fail(http.StatusBadRequest, "%s is not a valid RunStatus", python.Repr(st))
		}
	}
	if texts(q, "statuses") == nil && flag(q, "active") {
		q["statuses"] = list(runStatuses[:2])
	}
	if text(q, "agent_id") != "" {
		delete(q, "agent_ids")
	}
	rows := filtered(w, w.runs.rows, runFilters, q)
	return show(rows, w.runs.find, q, listing{limit: 100, swapped: true, asc: flag(q, "ascending")}, (*run).listed)
}

// listed is the form of a run in lists, which alone tell how long it took.
func (r *run) listed() any {
	m := r.state()
	if !r.completed.IsZero() {
		m["total_duration_ns"] = r.completed.Sub(r.created).Nanoseconds()
	}
	return m
}

func listRunMessages(w *world, c *call, r *run) answer {
	var rows []*message
	if a := w.agents.get(text(r.fields, "agent_id")); a != nil {
		rows = slices.DeleteFunc(slices.Clone(a.history), func(m *message) bool { return m.run != r.id })
	}
	return w.showMessages(rows, c.q, listing{asc: true, noun: "message"}, true)
}

// usage adds the steps of a run up.
func (r *run) usage() object {
	m := object{"prompt_tokens_details": nil, "completion_tokens_details": nil}
	for _, k := range []string{"completion_tokens", "prompt_tokens", "total_tokens"} {
		n := 0
		for _, st := range r.steps {
			n += get[int](st.fields, k)
		}
		m[k] = n
	}
	return m
}

func runMetrics(_ *world, _ *call, r *run) answer {
	o := with(nulls("run_ns tools_used project_id template_id base_template_id"), "id", r.id, "organization_id", orgID, "agent_id", r.fields["agent_id"],
		"run_start_ns", r.created.UnixNano(), "num_steps", len(r.steps))
	if r.tools != nil {
		o["tools_used"] = r.tools
	}
	if !r.completed.IsZero() {
		o["run_ns"] = r.completed.Sub(r.created).Nanoseconds()
	}
	return ok(o)
}

func listRunSteps(w *world, c *call, r *run) answer {
	return show(r.steps, w.steps.find, c.q, listing{limit: 100, none: true, noun: "Step"}, func(st *step) any { return st.fields })
}

// newStep records a model call.
func (w *world) newStep(r *run, a *agent, llm object) *step {
	st := &step{row: w.newRow("step")}
	st.fields = with(sample("steps.retrieve"), "id", st.id, "run_id", r.id, "agent_id", a.id, "provider_name", llm["provider_name"],
		"model", llm["model"], "model_handle", llm["handle"], "model_endpoint", llm["model_endpoint"], "context_window_limit", llm["context_window"],
		"completion_tokens", 0, "prompt_tokens", 0, "total_tokens", 0, "tags", []any{}, "status", "pending")
	maps.Copy(st.fields, nulls("completion_tokens_details prompt_tokens_details stop_reason feedback error_type error_data cached_input_tokens "+
		"cache_write_tokens reasoning_tokens provider_id trace_id request_id"))
	w.steps.put(st)
	r.steps = append(r.steps, st)
	return st
}

// traced is what a model call would have sent and got.
func (w *world) traced(st *step, a *agent, llm object, in []*message) object {
	o := sample("steps.trace.retrieve")
	sent := shown(in, func(m *message) any { return object{"role": m.role, "content": m.text} })
	get[object](o, "request_json")["messages"], get[object](o, "request_json")["model"] = sent, llm["model"]
	return with(o, "id", newID("provider_trace"), "step_id", st.id, "agent_id", a.id, "run_id", st.fields["run_id"], "agent_tags", list(a.tags),
		"llm_config", llm, "created_at", timestamp(st.created), "updated_at", timestamp(st.created))
}

// succeed fills in what a model call cost.
func (st *step) succeed(tokens bool, now time.Time) {
	st.took = now.Sub(st.created)
	maps.Copy(st.fields, object{"completion_tokens": 5, "prompt_tokens": 10, "total_tokens": 15, "status": "success"})
	if !tokens {
		st.fields["completion_tokens_details"] = object{"reasoning_tokens": 0}
		st.fields["prompt_tokens_details"] = object{"cached_tokens": 0, "cache_read_tokens": 0, "cache_creation_tokens": 0}
	}
}

func withStep(f func(*world, *call, *step) answer) func(*world, *call) answer {
	return func(w *world, c *call) answer { return f(w, c, w.steps.must(c.id, notFound("Step", c.id))) }
}

// listSteps is broken there.
func listSteps(_ *world, c *call) answer {
	return fail(http.StatusBadRequest, "Argument order does not match type typing.Optional[str]; is %s of type <class 'bool'>",
		python.Repr(c.q["order"] == "asc"))
}

func stepMetrics(_ *world, _ *call, st *step) answer {
	return ok(with(sample("steps.metrics.retrieve"), "id", st.id, "run_id", st.fields["run_id"], "agent_id", st.fields["agent_id"],
		"llm_request_ns", st.took.Nanoseconds(), "step_ns", st.took.Nanoseconds()))
}

// stepTrace shows what went to the model, as far as there is one. An unknown step is null.
func stepTrace(w *world, c *call) answer {
	st := w.steps.get(c.id)
	if st == nil || st.trace == nil {
		return ok(null)
	}
	return ok(st.trace())
}

func stepFeedback(_ *world, c *call, st *step) answer {
	st.fields["feedback"] = c.in["feedback"]
	if c.in["tags"] != nil {
		st.fields["tags"] = c.in["tags"]
	}
	return ok(maps.Clone(st.fields))
}

func listStepMessages(w *world, c *call) answer {
	rows := w.messages.where(func(m *message) bool { return m.step == c.id })
	rows = page(rows, w.messages.find, c.q, listing{asc: true, limit: 100, none: true, noun: "Message"})
	return ok(viewsOf(rows, nil, false))
}

// cancel ends a run. One that has stopped already, other than to wait for an approval, stays as it is.
func (w *world) cancel(r *run) {
	if stop := r.fields["stop_reason"]; stop != nil && stop != "requires_approval" {
		return
	}
	with(r.fields, "status", "cancelled", "stop_reason", "cancelled")
	r.completed = w.now()
	maps.DeleteFunc(w.locks, func(_ string, holder *run) bool { return holder == r })
	a := w.agents.get(text(r.fields, "agent_id"))
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
		result.returns = append(result.returns, denied(a, w.now(), c.ID, reason))
	}
	w.keep(a, &a.thread, response, result)
}

func cancelAgent(w *world, c *call) answer {
	ids := texts(c.in, "run_ids")
	if a := w.agents.get(c.id); ids == nil && a != nil && a.last != "" {
		ids = []string{a.last}
	}
	if ids == nil {
		return fail(http.StatusConflict, "CONFLICT: No active runs to cancel for agent %s", c.id)
	}
	out := object{}
	for _, id := range ids {
		out[id] = "failed"
		if r := w.runs.get(id); r != nil {
			w.cancel(r)
			out[id] = "cancelled"
		}
	}
	return ok(out)
}
