package lettatest

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"
)

// send is a checked request for a turn.
type send struct {
	agent        *agent
	conversation *conversation // nil outside of conversations
	route        string        // the real server's name for the kind of request
	plain        bool          // errors as on the routes of conversations
	silent       bool          // the run is never heard of again
	async        bool
	lock         string // what to keep busy meanwhile

	input       []object
	maxSteps    int
	types       []string
	clientTools []string
	model       string

	streaming, tokens, pings, background bool
}

// migrated puts an approval in an older form into the newest one.
func migrated(o object) object {
	if o["tool_returns"] != nil {
		o["approvals"] = o["tool_returns"]
		for _, r := range objects(o, "tool_returns") {
			r["type"] = "tool"
		}
	}
	if o["approve"] != nil && o["approval_request_id"] != nil && len(get[[]any](o, "approvals")) == 0 {
		o["approvals"] = []any{object{"type": "approval", "tool_call_id": o["approval_request_id"], "approve": o["approve"], "reason": o["reason"]}}
	}
	for _, a := range objects(o, "approvals") {
		for _, k := range map[string][]string{"approval": {"reason"}, "tool": {"stdout", "stderr"}}[text(a, "type")] {
			if _, ok := a[k]; !ok {
				a[k] = nil
			}
		}
	}
	return o
}

// send reads the body of a request for a turn, and refuses what no schema tells.
func (c *call) send(streams bool) *send {
	o := c.in
	switch {
	case o["messages"] != nil && o["input"] != nil:
		c.bad("Cannot specify both 'input' and 'messages'. Use one or the other.", "body")
	case o["messages"] == nil && o["input"] == nil:
		c.bad("Must specify either 'input' or 'messages'.", "body")
	}
	sd := &send{
		maxSteps: or(o["max_steps"], 50).(int), types: texts(o, "include_return_message_types"), model: text(o, "override_model"),
		streaming: or(o["streaming"], streams).(bool), pings: or(o["include_pings"], true).(bool),
		tokens: flag(o, "stream_tokens"), background: flag(o, "background"),
	}
	for _, m := range objects(o, "messages") {
		sd.input = append(sd.input, migrated(m))
	}
	if o["input"] != nil {
		sd.input = []object{{"role": "user", "content": o["input"]}}
	}
	for _, t := range objects(o, "client_tools") {
		sd.clientTools = append(sd.clientTools, text(t, "name"))
	}
	return sd
}

func sendMessage(w *world, c *call) answer {
	sd := c.send(false)
	sd.some()
	given := map[string]bool{"stream_tokens": sd.tokens, "include_pings": !sd.pings, "background": sd.background}
	wrong := slices.DeleteFunc([]string{
		"stream_tokens can only be true when streaming=true", "include_pings can only be set to false when streaming=true",
		"background can only be true when streaming=true",
	}, func(rule string) bool { return sd.streaming || !given[strings.Fields(rule)[0]] })
	if len(wrong) > 0 {
		refuse(http.StatusUnprocessableEntity, "Streaming options set without streaming enabled. %s. Either set streaming=true or use default "+
			"values for streaming options.", strings.Join(wrong, "; "))
	}
	if sd.streaming && !c.modern() {
		refuse(http.StatusUnprocessableEntity, "streaming=true is only supported for SDK v1.0+ clients.")
	}
	return w.beginFor(c, sd, "send_message")
}

// some refuses a send without messages.
func (sd *send) some() {
	if len(sd.input) == 0 {
		refuse(http.StatusUnprocessableEntity, "Messages must not be empty")
	}
}

func (w *world) beginFor(c *call, sd *send, route string) answer {
	sd.agent, sd.route = w.agent(c.id), route
	return w.begin(sd)
}

func streamMessage(w *world, c *call) answer {
	sd := c.send(true)
	sd.streaming = true
	return w.beginFor(c, sd, "send_message_streaming")
}

func sendAsync(w *world, c *call) answer {
	sd := c.send(false)
	sd.async, sd.streaming, sd.background = true, false, true
	w.beginFor(c, sd, "send_message_async")
	r := w.runs.get(sd.agent.last)
	get[object](r.fields, "metadata")["lettuce"], r.fields["callback_url"] = nil, c.in["callback_url"]
	return ok(r.state())
}

func sendToConversation(w *world, c *call) answer {
	sd := c.send(true)
	sd.some()
	sd.plain, sd.silent = true, !sd.streaming
	sd.tokens, sd.background = sd.tokens && sd.streaming, sd.background && sd.streaming
	if id := c.direct(text(c.in, "agent_id")); id != "" {
		sd.lock = id
		sd.agent, sd.route = w.agent(id), "send_message"
		return w.begin(sd)
	}
	v := w.talk(c.id)
	v.lastMessage = w.now()
	sd.agent, sd.conversation, sd.route = w.agents.get(v.agent), v, "send_conversation_message"
	if sd.streaming {
		sd.lock = v.id
	}
	return w.begin(sd)
}

// begin starts a turn and answers the request for it.
func (w *world) begin(sd *send) answer {
	a := sd.agent
	if sd.model != "" {
		w.modelFor(sd.model)
	}
	var otids []string
	for _, m := range sd.input {
		m["otid"] = cmp.Or(text(m, "otid"), uuid())
		otids = append(otids, text(m, "otid"))
	}
	token := "\x00" + strings.Join(otids, "\x00")
	if sd.lock != "" {
		if r := w.runs.get(w.otids[token]); r != nil && sd.streaming && sd.background {
			return r.replay(object{"include_pings": sd.pings})
		}
		if holder := w.locks[sd.lock]; holder != nil {
			b := fail(http.StatusConflict, "CONFLICT: Cannot send a new message: Another request (run_id=%s) is currently being processed for "+
				"this conversation. Please wait for it to complete.", holder.id)
			b.body.(object)["run_id"] = holder.id
			return b
		}
	}
	r := &run{row: w.newRow("run"), feed: w.newFeed(true)}
	r.fields = with(sample("runs.retrieve"), "agent_id", a.id, "conversation_id", nil, "status", "created", "stop_reason", nil,
		"background", sd.background, "metadata", object{"run_type": sd.route}, "callback_url", nil)
	if sd.conversation != nil && sd.streaming {
		r.fields["conversation_id"] = sd.conversation.id
	}
	get[object](r.fields, "request_config")["include_return_message_types"] = sd.types
	w.runs.put(r)
	a.last = r.id
	if sd.lock != "" {
		w.locks[sd.lock] = r
	}
	for _, id := range append(otids, token) {
		w.otids[id] = r.id
	}
	t := &turn{send: sd, w: w, run: r, feed: w.newFeed(sd.background), done: make(chan struct{}), checked: time.Now()}
	if sd.background && sd.streaming {
		r.feed = t.feed // otherwise there is nothing to replay: whoever asks waits in vain, as there
	}
	var ctx context.Context
	ctx, r.stop = context.WithCancel(w.ctx)
	if sd.streaming {
		r.fields["status"] = "running"
		if sd.pings {
			t.feed.add("", ping(r.id, nil))
		}
	}
	w.running.Go(func() { t.play(ctx) })
	if sd.streaming {
		return answer{stream: &stream{feed: t.feed, run: r.id, pings: sd.pings}}
	}
	return answer{later: func(ctx context.Context) answer {
		select {
		case <-t.done:
		case <-ctx.Done():
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		return t.result
	}}
}
