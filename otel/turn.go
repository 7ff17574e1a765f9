package lettaotel

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	genai "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/letta-go/letta"
)

// What the GenAI conventions have no attribute for.
const (
	outcomeKey = attribute.Key("letta.turn.outcome") // complete, failed, cut, cancelled or left
	stepsKey   = attribute.Key("letta.turn.steps")
	runKey     = attribute.Key("letta.run.id")
)

// turns are the turns of a transport.
type turns struct {
	tracer    trace.Tracer
	durations metric.Float64Histogram
	firsts    metric.Float64Histogram
	tokens    metric.Int64Histogram

	mu   sync.Mutex
	runs map[string]*turn // open turns by host and run
}

func newTurns(o options) *turns {
	meter := o.meters.Meter(ScopeName, metric.WithInstrumentationVersion(letta.Version), metric.WithSchemaURL(genai.SchemaURL))
	seconds := []float64{0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68, 655.36}
	t := &turns{
		tracer:    o.tracers.Tracer(ScopeName, trace.WithInstrumentationVersion(letta.Version), trace.WithSchemaURL(genai.SchemaURL)),
		durations: histogram(meter, "gen_ai.client.operation.duration", "GenAI operation duration.", seconds),
		firsts:    histogram(meter, "gen_ai.client.operation.time_to_first_chunk", "Time to receive the first chunk.", seconds),
		runs:      map[string]*turn{},
	}
	t.tokens, _ = meter.Int64Histogram("gen_ai.client.token.usage", metric.WithUnit("{token}"), metric.WithDescription("Number of input and output tokens used."),
		metric.WithExplicitBucketBoundaries(1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864))
	return t
}

// starts reports whether an operation is a turn that is answered with what happens in it.
func starts(op letta.Operation) bool {
	return op.Method == http.MethodPost && (op.PathTemplate == "/v1/agents/{agent_id}/messages" || op.PathTemplate == "/v1/conversations/{conversation_id}/messages")
}

// turn is one turn of an agent. It may be read by several requests, each of which is a part.
type turn struct {
	turns *turns
	call  *call
	ctx   context.Context
	span  trace.Span
	began time.Time
	attrs []attribute.KeyValue // of the metrics

	mu      sync.Mutex
	host    string
	parts   int  // that are being read
	waiting bool // the call that starts it has not returned
	ended   bool

	stream  bool
	first   time.Duration // 0: none came
	run     string
	stop    string
	failure string // the server's error_type
	usage   *usage
}

type usage struct {
	Input     *int64 `json:"prompt_tokens"`
	Output    *int64 `json:"completion_tokens"`
	Steps     *int64 `json:"step_count"`
	Cached    *int64 `json:"cached_input_tokens"`
	CacheMade *int64 `json:"cache_write_tokens"`
	Reasoning *int64 `json:"reasoning_tokens"`
}

func (ts *turns) start(c *call, r *http.Request) *turn {
	t := &turn{turns: ts, call: c, began: c.began, waiting: true, host: r.URL.Host}
	t.attrs = append(slices.Clip(c.where), genai.GenAIOperationNameInvokeAgent, genai.GenAIProviderNameKey.String("letta"), operationKey.String(c.op.Name))
	attrs := slices.Clone(t.attrs)
	if id := pathValue(c.op.PathTemplate, r.URL.Path, "{agent_id}"); id != "" {
		attrs = append(attrs, genai.GenAIAgentID(id))
	}
	if id := pathValue(c.op.PathTemplate, r.URL.Path, "{conversation_id}"); id != "" {
		attrs = append(attrs, genai.GenAIConversationID(id))
	}
	t.ctx, t.span = ts.tracer.Start(r.Context(), "invoke_agent", trace.WithTimestamp(t.began), trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attrs...))
	return t
}

// of returns the open turn that an operation goes on with.
func (ts *turns) of(op letta.Operation, r *http.Request) *turn {
	run := pathValue(op.PathTemplate, r.URL.Path, "{run_id}")
	if run == "" || !strings.HasSuffix(op.PathTemplate, "/stream") {
		return nil
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return ts.runs[r.URL.Host+" "+run]
}

func (ts *turns) resumed(c *call, r *http.Request, resp *http.Response) *part {
	if t := ts.of(c.op, r); t != nil {
		return t.read(r.Context(), resp)
	}
	return nil
}

// pathValue is what a path has in the place of a name in its template. A base URL may add to the front of the path.
func pathValue(template, path, name string) string {
	names, values := strings.Split(template, "/"), strings.Split(path, "/")
	if i := slices.Index(names, name); i >= 0 && len(values) >= len(names) {
		return values[len(values)-len(names)+i]
	}
	return ""
}

// part is one answer of a turn, while it is read.
type part struct {
	turn   *turn
	ctx    context.Context
	doc    *object // of an answer as a whole
	events *events // of a stream
	once   sync.Once
	end    error // of the reading
}

// read returns nil for an answer that is none of a turn.
func (t *turn) read(ctx context.Context, resp *http.Response) *part {
	p := &part{turn: t, ctx: ctx}
	kind := strings.ToLower(resp.Header.Get("Content-Type"))
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case strings.HasPrefix(kind, "text/event-stream"):
		t.stream = true
		p.events = &events{end: p.event, data: object{wants: func(name []byte) bool {
			switch string(name) {
			case "message_type", "run_id", "stop_reason", "error_type", "error",
				"prompt_tokens", "completion_tokens", "step_count", "cached_input_tokens", "cache_write_tokens", "reasoning_tokens":
				return true
			}
			return false
		}}}
	case strings.Contains(kind, "json"):
		p.doc = &object{wants: func(name []byte) bool { return string(name) == "stop_reason" || string(name) == "usage" }}
	default:
		return nil
	}
	t.parts++
	return p
}

func (p *part) wrote(data []byte, err error) {
	t := p.turn
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil && p.end == nil {
		p.end = p.why(err) // now: later the client closes what was cut
	}
	switch {
	case t.ended:
	case p.events != nil:
		p.events.write(data)
	default:
		p.doc.write(data)
	}
}

// event takes an event of the stream; the turn is locked.
func (p *part) event(name, start string) {
	t, field := p.turn, p.events.data.field
	if start == "[DONE]" {
		t.end(nil)
		return
	}
	if t.run == "" {
		if t.run = word(field["run_id"]); t.run != "" {
			t.turns.mu.Lock()
			t.turns.runs[t.host+" "+t.run] = t
			t.turns.mu.Unlock()
		}
	}
	switch kind := word(field["message_type"]); {
	case kind == "stop_reason":
		t.stop = word(field["stop_reason"])
	case kind == "usage_statistics":
		whole := make(map[string]json.RawMessage, len(field))
		for name, value := range field {
			whole[name] = value
		}
		if data, err := json.Marshal(whole); err == nil {
			t.count(data)
		}
	case kind == "error_message", name == "error", kind == "" && field["error"] != nil:
		if t.failure == "" && !complete(t.stop) {
			var inner struct {
				Type json.RawMessage `json:"type"`
			}
			_ = json.Unmarshal(field["error"], &inner)
			t.failure = cmp.Or(word(field["error_type"]), word(inner.Type), "_OTHER")
		}
	case kind == "" || kind == "ping":
	case t.first == 0:
		t.first = time.Since(t.began)
	}
}

func (t *turn) count(data []byte) {
	var u usage
	if json.Unmarshal(data, &u) == nil {
		t.usage = &u
	}
}

func (p *part) closed() {
	p.once.Do(func() {
		t := p.turn
		t.mu.Lock()
		defer t.mu.Unlock()
		if p.doc != nil && !t.ended {
			var reason struct {
				StopReason json.RawMessage `json:"stop_reason"`
			}
			_ = json.Unmarshal(p.doc.field["stop_reason"], &reason)
			t.stop = word(reason.StopReason)
			if data := p.doc.field["usage"]; data != nil {
				t.count(data)
			}
		}
		// The connection that goes on with a background run is open before the one that was cut is closed. So the turn
		// is over when nobody reads it any more.
		if p.end == nil {
			p.end = p.why(nil)
		}
		if t.parts--; t.parts == 0 && !t.waiting {
			t.end(p.end)
		}
	})
}

var (
	errLeft = errors.New("left") // by a caller who stopped reading
	errCut  = errors.New("cut")
)

// why is why the reading of a part ended, by the read error or, without one, by Close.
func (p *part) why(err error) error {
	cause := context.Cause(p.ctx)
	switch {
	case p.doc != nil, errors.Is(err, io.EOF):
		return errCut
	case errors.Is(cause, letta.ErrStreamClosed):
		return errLeft
	case errors.Is(cause, letta.ErrStreamIdle), errors.Is(cause, context.Canceled), errors.Is(cause, context.DeadlineExceeded):
		return cause
	case err != nil:
		return errCut
	}
	return errLeft
}

// sent is called when the call that starts the turn has returned.
func (t *turn) sent(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting = false
	if err != nil || t.parts == 0 {
		t.end(err)
	}
}

// end ends the turn once; it is locked. err is why it was not read to its end, if it was not.
func (t *turn) end(err error) {
	if t.ended {
		return
	}
	t.ended = true
	if t.run != "" {
		t.turns.mu.Lock()
		delete(t.turns.runs, t.host+" "+t.run)
		t.turns.mu.Unlock()
	}
	now := time.Now()
	outcome, kind := t.outcome(err)
	attrs := append(slices.Clip(t.attrs), outcomeKey.String(outcome))
	if kind != "" {
		attrs = append(attrs, genai.ErrorTypeKey.String(kind))
		t.span.SetStatus(codes.Error, "")
	}
	t.span.SetAttributes(attrs[len(t.attrs):]...)
	if t.stop != "" {
		t.span.SetAttributes(genai.GenAIResponseFinishReasons(t.stop))
	}
	if t.run != "" {
		t.span.SetAttributes(runKey.String(t.run))
	}
	if t.stream {
		t.span.SetAttributes(genai.GenAIRequestStream(true))
	}
	if t.first > 0 {
		t.span.SetAttributes(genai.GenAIResponseTimeToFirstChunk(t.first.Seconds()))
		t.turns.firsts.Record(t.ctx, t.first.Seconds(), metric.WithAttributes(t.attrs...))
	}
	if u := t.usage; u != nil {
		for _, n := range []struct {
			key   attribute.Key
			value *int64
		}{
			{genai.GenAIUsageInputTokensKey, u.Input},
			{genai.GenAIUsageOutputTokensKey, u.Output},
			{stepsKey, u.Steps},
			{genai.GenAIUsageCacheReadInputTokensKey, u.Cached},
			{genai.GenAIUsageCacheCreationInputTokensKey, u.CacheMade},
			{genai.GenAIUsageReasoningOutputTokensKey, u.Reasoning},
		} {
			if n.value != nil {
				t.span.SetAttributes(n.key.Int64(*n.value))
			}
		}
		t.record(u.Input, genai.GenAITokenTypeInput)
		t.record(u.Output, genai.GenAITokenTypeOutput)
	}
	t.span.End(trace.WithTimestamp(now))
	t.turns.durations.Record(t.ctx, now.Sub(t.began).Seconds(), metric.WithAttributes(attrs...))
}

func (t *turn) record(tokens *int64, kind attribute.KeyValue) {
	if tokens != nil {
		t.turns.tokens.Record(t.ctx, *tokens, metric.WithAttributes(append(slices.Clip(t.attrs), kind)...))
	}
}

// outcome says how the turn ended, and what its error.type is. What the server said of it counts more than how the
// reading ended.
func (t *turn) outcome(err error) (outcome, kind string) {
	switch {
	case t.failure != "":
		return "failed", t.failure
	case t.stop == string(letta.StopReasonCancelled): // by somebody who asked for it: no failure
		return "cancelled", ""
	case complete(t.stop):
		return "complete", ""
	case t.stop != "":
		return "failed", t.stop
	case err == nil || errors.Is(err, errCut):
		return "cut", "stream_truncated"
	case errors.Is(err, errLeft):
		return "left", ""
	case errors.Is(err, letta.ErrStreamIdle):
		return "cut", errorWord(err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "cancelled", errorWord(err)
	}
	return "failed", errorWord(err)
}

// complete reports whether a stop reason is a good one, which the client knows.
func complete(reason string) bool {
	var turn letta.Turn
	data := fmt.Sprintf(`{"messages":[],"stop_reason":{"message_type":"stop_reason","stop_reason":%q}}`, reason)
	return reason != "" && json.Unmarshal([]byte(data), &turn) == nil && turn.Complete()
}

// word reads a JSON string that is a name or an id. Anything else a server sends in its place is dropped.
func word(data []byte) string {
	if len(data) < 3 || len(data) > 102 || data[0] != '"' || data[len(data)-1] != '"' {
		return ""
	}
	data = data[1 : len(data)-1]
	for _, c := range data {
		if c != '_' && c != '-' && c != '.' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return ""
		}
	}
	return string(data)
}
