package lettaotel_test

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	api "go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/lettatest"
	lettaotel "github.com/letta-go/letta/otel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a server, a client whose transport is recorded, and what was recorded.
type world struct {
	t       *testing.T
	server  *lettatest.Server
	client  *letta.Client
	spans   *tracetest.InMemoryExporter
	metrics *metric.ManualReader
	tracer  api.Tracer
}

func newWorld(t *testing.T, opts ...lettaotel.Option) *world {
	w := &world{t: t, server: lettatest.NewServer(t), spans: tracetest.NewInMemoryExporter(), metrics: metric.NewManualReader()}
	tracers := trace.NewTracerProvider(trace.WithSyncer(w.spans))
	w.tracer = tracers.Tracer("test")
	opts = append([]lettaotel.Option{
		lettaotel.WithTurns(), lettaotel.WithTracerProvider(tracers),
		lettaotel.WithMeterProvider(metric.NewMeterProvider(metric.WithReader(w.metrics))), lettaotel.WithPropagator(propagation.TraceContext{}),
	}, opts...)
	transport := lettaotel.NewTransport(nil, opts...)
	t.Cleanup(transport.CloseIdleConnections)
	w.client = w.server.Client(letta.WithHTTPClient(&http.Client{Transport: transport}), letta.WithAPIKey("sk-secret"))
	return w
}

func (w *world) agent() letta.AgentID {
	w.t.Helper()
	agent, err := w.client.Agents.Create(w.t.Context(), &letta.AgentCreateParams{Name: "a", Model: "letta/letta-free", Embedding: "letta/letta-free", Tags: []string{"secret_tag"}})
	require.NoError(w.t, err)
	w.spans.Reset()
	return agent.ID
}

func (w *world) named(name string) []tracetest.SpanStub {
	var found []tracetest.SpanStub
	for _, s := range w.spans.GetSpans() {
		if s.Name == name {
			found = append(found, s)
		}
	}
	return found
}

func (w *world) one(name string) tracetest.SpanStub {
	w.t.Helper()
	found := w.named(name)
	require.Len(w.t, found, 1, name)
	return found[0]
}

// attrs checks all attributes of a span but those of the server's address, which must be there, and of its other varying.
func attrs(t *testing.T, span tracetest.SpanStub, want map[string]any, varying ...string) {
	t.Helper()
	got := map[string]any{}
	for _, a := range span.Attributes {
		got[string(a.Key)] = a.Value.AsInterface()
	}
	assert.Equal(t, "127.0.0.1", got["server.address"])
	for _, name := range append(varying, "server.address", "server.port") {
		assert.NotEmpty(t, got[name], name)
		delete(got, name)
	}
	assert.Equal(t, want, got, span.Name)
}

// points are the count and the attributes of each point of a histogram.
func (w *world) points(name string) (counts []uint64, sets []map[string]any) {
	w.t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(w.t, w.metrics.Collect(w.t.Context(), &all))
	add := func(count uint64, set attribute.Set) {
		attrs := map[string]any{}
		for _, a := range set.ToSlice() {
			if a.Key != "server.port" {
				attrs[string(a.Key)] = a.Value.AsInterface()
			}
		}
		counts, sets = append(counts, count), append(sets, attrs)
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != name {
				continue
			}
			switch data := m.Data.(type) {
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					add(p.Count, p.Attributes)
				}
			case metricdata.Histogram[int64]:
				for _, p := range data.DataPoints {
					add(uint64(p.Sum), p.Attributes) // of tokens the sum says more
				}
			}
		}
	}
	return counts, sets
}

const list = "GET /v1/agents/"

func TestCallAndAttempt(t *testing.T) {
	w := newWorld(t)
	ctx, parent := w.tracer.Start(t.Context(), "mine")
	_, err := w.client.Agents.List(ctx, letta.Tags("secret_tag"))
	require.NoError(t, err)
	parent.End()

	mine, call, attempt := w.one("mine"), w.one("agents.list"), w.one(list)
	assert.Equal(t, mine.SpanContext.SpanID(), call.Parent.SpanID())
	assert.Equal(t, call.SpanContext.SpanID(), attempt.Parent.SpanID())
	assert.Equal(t, api.SpanKindInternal, call.SpanKind)
	assert.Equal(t, api.SpanKindClient, attempt.SpanKind)
	assert.Equal(t, "https://opentelemetry.io/schemas/1.43.0", attempt.InstrumentationScope.SchemaURL)
	attrs(t, call, map[string]any{"letta.operation": "agents.list"})
	attrs(t, attempt, map[string]any{
		"letta.operation": "agents.list", "http.request.method": "GET", "url.template": "/v1/agents/",
		"http.response.status_code": int64(200), "network.protocol.version": "1.1",
	})
	assert.Contains(t, w.server.Requests()[0].Header.Get("Traceparent"), attempt.SpanContext.SpanID().String())
	counts, sets := w.points("http.client.request.duration")
	assert.Equal(t, []uint64{1}, counts)
	assert.Equal(t, []map[string]any{{
		"http.request.method": "GET", "url.template": "/v1/agents/", "http.response.status_code": int64(200),
		"network.protocol.version": "1.1", "server.address": "127.0.0.1",
	}}, sets)
	counts, sets = w.points("letta.client.call.duration")
	assert.Equal(t, []uint64{1}, counts)
	assert.Equal(t, []map[string]any{{"letta.operation": "agents.list", "server.address": "127.0.0.1"}}, sets)
}

func TestRetries(t *testing.T) {
	w := newWorld(t)
	// On a new connection: what is cut on a used one, net/http sends again by itself.
	w.server.Fail(lettatest.Fault{Method: "GET", Drop: lettatest.DropAfterRead, Times: 1})
	w.server.Fail(lettatest.Fault{Method: "GET", Status: 503, Header: http.Header{"Retry-After": {"0"}}, Times: 1})
	_, err := w.client.Agents.List(t.Context(), nil)
	require.NoError(t, err)

	call, attempts := w.one("agents.list"), w.named(list)
	require.Len(t, attempts, 3)
	attrs(t, call, map[string]any{"letta.operation": "agents.list"})
	assert.Equal(t, codes.Unset, call.Status.Code)
	common := func(more map[string]any) map[string]any {
		maps.Copy(more, map[string]any{"letta.operation": "agents.list", "http.request.method": "GET", "url.template": "/v1/agents/"})
		return more
	}
	attrs(t, attempts[0], common(map[string]any{"error.type": "connection_lost"}))
	attrs(t, attempts[1], common(map[string]any{"http.request.resend_count": int64(1), "http.response.status_code": int64(503), "network.protocol.version": "1.1", "error.type": "503"}))
	attrs(t, attempts[2], common(map[string]any{"http.request.resend_count": int64(2), "http.response.status_code": int64(200), "network.protocol.version": "1.1"}))
	for i, a := range attempts {
		assert.Equal(t, call.SpanContext.SpanID(), a.Parent.SpanID())
		assert.Equal(t, i < 2, a.Status.Code == codes.Error)
		assert.Empty(t, a.Status.Description)
	}
	assert.False(t, call.EndTime.Before(attempts[2].EndTime))
}

func TestErrors(t *testing.T) {
	cancelled, cancel := context.WithCancel(context.Background())
	defer cancel()
	for _, c := range []struct {
		name          string
		fault         lettatest.Fault
		ctx           context.Context
		opts          []letta.RequestOption
		call, attempt any
	}{
		{"not found", lettatest.Fault{Status: 404}, t.Context(), nil, "404", "404"},
		{"redirect", lettatest.Fault{Status: 307, Header: http.Header{"Location": {"http://elsewhere.test/"}}}, t.Context(), nil, "redirect", nil},
		{"no JSON", lettatest.Fault{Body: "<html>"}, t.Context(), nil, "decode", nil},
		{"timeout", lettatest.Fault{Delay: time.Minute}, t.Context(), []letta.RequestOption{letta.WithTimeout(50 * time.Millisecond)}, "timeout", "timeout"},
		{"cancelled", lettatest.Fault{Delay: time.Minute}, cancelled, nil, "cancelled", "cancelled"},
		{"cut body", lettatest.Fault{Drop: lettatest.DropMidBody}, t.Context(), nil, "connection_lost", "connection_lost"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.server.Fail(c.fault)
			if c.ctx == cancelled {
				time.AfterFunc(20*time.Millisecond, cancel)
			}
			_, err := w.client.Agents.List(c.ctx, nil, append(c.opts, letta.WithMaxRetries(0))...)
			require.Error(t, err)
			errorOf := func(s tracetest.SpanStub) any {
				for _, a := range s.Attributes {
					if a.Key == "error.type" {
						assert.Equal(t, codes.Error, s.Status.Code)
						return a.Value.AsString()
					}
				}
				return nil
			}
			assert.Equal(t, c.call, errorOf(w.one("agents.list")))
			assert.Equal(t, c.attempt, errorOf(w.one(list)))
			_, sets := w.points("letta.client.call.duration")
			assert.Equal(t, c.call, sets[0]["error.type"])
		})
	}
}

func TestDo(t *testing.T) {
	w := newWorld(t)
	id := w.agent()
	require.NoError(t, w.client.Do(t.Context(), "GET", "/v1/agents/"+string(id), nil, nil))
	attrs(t, w.one("do"), map[string]any{"letta.operation": "do"})
	attrs(t, w.one("GET"), map[string]any{"letta.operation": "do", "http.request.method": "GET", "http.response.status_code": int64(200), "network.protocol.version": "1.1"})
}

func TestOtherRequestsAreLeftAlone(t *testing.T) {
	w := newWorld(t)
	transport := lettaotel.NewTransport(nil, lettaotel.WithTracerProvider(trace.NewTracerProvider(trace.WithSyncer(w.spans))))
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get(w.server.URL() + "/v1/health/")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Empty(t, w.spans.GetSpans())
}

// Whatever is recorded, over all kinds of calls, holds nothing of what was sent or answered.
func TestNothingSecretIsRecorded(t *testing.T) {
	w := newWorld(t)
	id := w.agent()
	w.server.Script(func(lettatest.Turn) lettatest.Reply {
		return lettatest.Reply{Text: "secret answer", Reasoning: "secret thought"}
	})
	send := &letta.AgentMessageCreateParams{Messages: []letta.MessageInput{letta.UserText("secret question")}}
	_, err := w.client.Agents.List(t.Context(), letta.Tags("secret_tag"), letta.WithQuery("q", "secret"))
	require.NoError(t, err)
	_, err = w.client.Agents.Messages.Create(t.Context(), id, send)
	require.NoError(t, err)
	stream, err := w.client.Agents.Messages.Stream(t.Context(), id, send)
	require.NoError(t, err)
	_, err = stream.Collect()
	require.NoError(t, err)
	require.NotEmpty(t, w.spans.GetSpans())
	for _, s := range w.spans.GetSpans() {
		assert.Empty(t, s.Events)
		for _, a := range s.Attributes {
			assert.NotContains(t, a.Value.String(), "secret", a.Key)
		}
		assert.False(t, strings.Contains(s.Name, "secret"))
	}
}

func TestConcurrency(t *testing.T) {
	w := newWorld(t)
	ids := []letta.AgentID{w.agent(), w.agent(), w.agent(), w.agent()}
	w.spans.Reset()
	var wg sync.WaitGroup
	for _, id := range ids {
		wg.Go(func() {
			for range 5 {
				stream, err := w.client.Agents.Messages.Stream(t.Context(), id, hello)
				if assert.NoError(t, err) {
					_, err = stream.Collect()
					assert.NoError(t, err)
				}
				_, err = w.client.Agents.Retrieve(t.Context(), id, nil)
				assert.NoError(t, err)
			}
		})
	}
	wg.Wait()
	assert.Len(t, w.named("invoke_agent"), 20)
	assert.Len(t, w.named("agents.messages.stream"), 20)
	assert.Len(t, w.named("agents.retrieve"), 20)
	byID := map[api.SpanID]tracetest.SpanStub{}
	for _, s := range w.spans.GetSpans() {
		byID[s.SpanContext.SpanID()] = s
	}
	for _, s := range w.named("POST /v1/agents/{agent_id}/messages") {
		call := byID[s.Parent.SpanID()]
		assert.Equal(t, "agents.messages.stream", call.Name)
		assert.Equal(t, "invoke_agent", byID[call.Parent.SpanID()].Name)
	}
}
