// Package lettaotel records what a letta.Client does as OpenTelemetry spans and metrics: calls, the attempts they take and,
// with [WithTurns], turns of agents.
//
// Nothing is recorded of keys, tags, queries, headers, bodies or messages, and there is no option for it.
package lettaotel

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/letta-go/letta"
)

// ScopeName is the name of the instrumentation scope of all spans and metrics.
const ScopeName = "github.com/letta-go/letta/otel"

// operationKey is the operation of the API, such as agents.create. The conventions have no attribute for it.
const operationKey = attribute.Key("letta.operation")

// Option changes what a [Transport] records, and where to.
type Option func(*options)

type options struct {
	tracers    trace.TracerProvider
	meters     metric.MeterProvider
	propagator propagation.TextMapPropagator
	turns      bool
}

// WithTracerProvider sets where spans go; by default to the global provider.
func WithTracerProvider(p trace.TracerProvider) Option { return func(o *options) { o.tracers = p } }

// WithMeterProvider sets where metrics go; by default to the global provider.
func WithMeterProvider(p metric.MeterProvider) Option { return func(o *options) { o.meters = p } }

// WithPropagator sets how the trace is named in the headers of requests; by default the global propagator does it, which
// by itself writes none.
func WithPropagator(p propagation.TextMapPropagator) Option {
	return func(o *options) { o.propagator = p }
}

// WithTurns records turns too, by version 1.41.0 of the GenAI semantic conventions. These are still in development:
// names may change with a new version of this module.
func WithTurns() Option { return func(o *options) { o.turns = true } }

// Transport is an http.RoundTripper that records the requests of letta.Client, and leaves any other request alone. It is
// safe for concurrent use.
type Transport struct {
	next       http.RoundTripper
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
	requests   metric.Float64Histogram
	calls      metric.Float64Histogram
	turns      *turns // nil without WithTurns

	open sync.Map // *letta.Call to *call
}

// NewTransport returns a Transport that sends requests by next. With nil it has a connection pool of its own, as a
// letta.Client has.
func NewTransport(next http.RoundTripper, opts ...Option) *Transport {
	o := options{tracers: otel.GetTracerProvider(), meters: otel.GetMeterProvider(), propagator: otel.GetTextMapPropagator()}
	for _, opt := range opts {
		opt(&o)
	}
	if next == nil {
		next = http.DefaultTransport
		if pool, ok := next.(*http.Transport); ok {
			pool = pool.Clone()
			pool.MaxIdleConnsPerHost = 100
			next = pool
		}
	}
	t := &Transport{
		next: next, propagator: o.propagator,
		tracer: o.tracers.Tracer(ScopeName, trace.WithInstrumentationVersion(letta.Version), trace.WithSchemaURL(semconv.SchemaURL)),
	}
	meter := o.meters.Meter(ScopeName, metric.WithInstrumentationVersion(letta.Version), metric.WithSchemaURL(semconv.SchemaURL))
	t.requests = histogram(meter, "http.client.request.duration", "Duration of HTTP client requests.", httpBuckets)
	t.calls = histogram(meter, "letta.client.call.duration", "Duration of calls, with all their attempts.", httpBuckets)
	if o.turns {
		t.turns = newTurns(o)
	}
	return t
}

// httpBuckets are those of the HTTP conventions, and go on for the turns of agents.
var httpBuckets = []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60, 120, 300, 600}

func histogram(meter metric.Meter, name, description string, buckets []float64) metric.Float64Histogram {
	h, err := meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description), metric.WithExplicitBucketBoundaries(buckets...))
	if err != nil {
		otel.Handle(err) // h does nothing then, or as much as it can
	}
	return h
}

// CloseIdleConnections closes those of the transport below.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// RoundTrip sends a request, and records it if it is letta.Client's.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	seen, ok := letta.CallFromContext(r.Context())
	if !ok {
		return t.next.RoundTrip(r)
	}
	c := t.call(seen, r)
	a := c.attempt(r)
	r = r.Clone(a.ctx)
	t.propagator.Inject(a.ctx, propagation.HeaderCarrier(r.Header))
	resp, err := t.next.RoundTrip(r)
	if err != nil || resp == nil {
		a.end(err)
		return resp, err
	}
	a.answered(resp)
	if resp.Body == nil {
		a.end(nil)
		return resp, nil
	}
	b := &body{ReadCloser: resp.Body, attempt: a}
	if c.turn != nil && resp.StatusCode >= 200 && resp.StatusCode < 300 {
		b.part = c.turn.read(a.ctx, resp)
	} else if t.turns != nil && resp.StatusCode == http.StatusOK {
		b.part = t.turns.resumed(c, r, resp)
	}
	resp.Body = b
	return resp, nil
}

// call is one call over all its attempts.
type call struct {
	t     *Transport
	op    letta.Operation
	where []attribute.KeyValue // the server
	began time.Time
	ctx   context.Context // of its span
	span  trace.Span
	turn  *turn // that it starts

	attempts int // of which the last may still be read

	mu     sync.Mutex
	ended  bool // its method has returned
	open   bool // the body of an attempt is to be read
	failed error
	done   bool
}

func (t *Transport) call(seen *letta.Call, r *http.Request) *call {
	if c, ok := t.open.Load(seen); ok {
		return c.(*call)
	}
	op, _ := letta.OperationFromContext(r.Context())
	if strings.HasPrefix(op.Name, op.Method+" ") {
		op.Name, op.PathTemplate = "do", "" // Client.Do's is no template: it may hold ids
	}
	c := &call{t: t, op: op, where: server(r), began: time.Now(), ctx: r.Context()}
	if t.turns != nil {
		if starts(op) {
			c.turn = t.turns.start(c, r)
			c.ctx = c.turn.ctx
		} else if turn := t.turns.of(op, r); turn != nil {
			c.ctx = trace.ContextWithSpan(c.ctx, turn.span)
		}
	}
	c.ctx, c.span = t.tracer.Start(c.ctx, op.Name, trace.WithTimestamp(c.began), trace.WithAttributes(append(c.where, operationKey.String(op.Name))...))
	t.open.Store(seen, c)
	seen.OnEnd(func(err error) {
		t.open.Delete(seen)
		c.mu.Lock()
		c.ended, c.failed = true, err
		c.mu.Unlock()
		c.endIfDone()
		if c.turn != nil {
			c.turn.sent(err)
		}
	})
	return c
}

// endIfDone ends the span when the method has returned and the answer has been read, which of a stream comes later.
func (c *call) endIfDone() {
	c.mu.Lock()
	done := c.ended && !c.open && !c.done
	c.done = c.done || done
	c.mu.Unlock()
	if !done {
		return
	}
	now := time.Now()
	attrs := append(slices.Clip(c.where), operationKey.String(c.op.Name))
	if c.failed != nil {
		kind := errorType(c.failed)
		attrs = append(attrs, kind)
		c.span.SetAttributes(kind)
		c.span.SetStatus(codes.Error, "")
	}
	c.span.End(trace.WithTimestamp(now))
	c.t.calls.Record(c.ctx, now.Sub(c.began).Seconds(), metric.WithAttributes(attrs...))
}

// attempt is one request of a call.
type attempt struct {
	call  *call
	ctx   context.Context
	span  trace.Span
	began time.Time
	attrs []attribute.KeyValue // of span and metric
	once  sync.Once
	bad   bool // by its status
}

func (c *call) attempt(r *http.Request) *attempt {
	a := &attempt{call: c, began: time.Now()}
	method := semconv.HTTPRequestMethodKey.String(r.Method)
	switch r.Method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT":
	default:
		method = semconv.HTTPRequestMethodOther
	}
	name := method.Value.AsString()
	if name == "_OTHER" {
		name = "HTTP"
	}
	a.attrs = append(slices.Clip(c.where), method)
	if c.op.PathTemplate != "" {
		name += " " + c.op.PathTemplate
		a.attrs = append(a.attrs, semconv.URLTemplate(c.op.PathTemplate))
	}
	only := []attribute.KeyValue{operationKey.String(c.op.Name)}
	if c.attempts > 0 {
		only = append(only, semconv.HTTPRequestResendCount(c.attempts))
	}
	c.attempts++
	c.mu.Lock()
	c.open = true
	c.mu.Unlock()
	a.ctx, a.span = c.t.tracer.Start(trace.ContextWithSpan(r.Context(), c.span), name, trace.WithTimestamp(a.began),
		trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(append(only, a.attrs...)...))
	return a
}

func (a *attempt) answered(resp *http.Response) {
	a.set(semconv.HTTPResponseStatusCode(resp.StatusCode))
	if resp.ProtoMajor > 0 {
		version := strconv.Itoa(resp.ProtoMajor)
		if resp.ProtoMajor == 1 {
			version += "." + strconv.Itoa(resp.ProtoMinor)
		}
		a.set(semconv.NetworkProtocolVersion(version))
	}
	if resp.StatusCode >= 400 {
		a.fail(semconv.ErrorTypeKey.String(strconv.Itoa(resp.StatusCode)))
	}
}

func (a *attempt) set(attr attribute.KeyValue) {
	a.attrs = append(a.attrs, attr)
	a.span.SetAttributes(attr)
}

func (a *attempt) fail(kind attribute.KeyValue) {
	a.bad = true
	a.set(kind)
	a.span.SetStatus(codes.Error, "")
}

// end is called when the last byte was read, or when nobody reads on.
func (a *attempt) end(err error) {
	a.once.Do(func() {
		now := time.Now()
		if err != nil && !a.bad {
			a.fail(errorType(endOf(a.ctx, err)))
		}
		a.span.End(trace.WithTimestamp(now))
		a.call.t.requests.Record(a.ctx, now.Sub(a.began).Seconds(), metric.WithAttributes(a.attrs...))
		a.call.mu.Lock()
		a.call.open = false
		a.call.mu.Unlock()
		a.call.endIfDone()
	})
}

// body watches an answer while it is read.
type body struct {
	io.ReadCloser
	attempt *attempt
	part    *part // nil if it is not part of a turn
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.part != nil {
		b.part.wrote(p[:n], err)
	}
	switch {
	case errors.Is(err, io.EOF):
		b.attempt.end(nil)
	case err != nil:
		b.attempt.end(err)
	}
	return n, err
}

func (b *body) Close() error {
	err := b.ReadCloser.Close()
	if b.part != nil {
		b.part.closed()
	}
	b.attempt.end(endOf(b.attempt.ctx, nil))
	return err
}

// endOf is why the reading of an answer ended: the end of its context, if the caller did not just leave, or err.
func endOf(ctx context.Context, err error) error {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, letta.ErrStreamClosed):
		return nil
	case cause != nil && (err == nil || !errors.Is(err, io.EOF)):
		return cause
	}
	return err
}

func server(r *http.Request) []attribute.KeyValue {
	port, err := strconv.Atoi(r.URL.Port())
	if err != nil {
		port = 80
		if r.URL.Scheme == "https" {
			port = 443
		}
	}
	return []attribute.KeyValue{semconv.ServerAddress(r.URL.Hostname()), semconv.ServerPort(port)}
}
