package lettaotel_test

import (
	"context"
	"fmt"
	"net/http"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/lettatest"
	lettaotel "github.com/letta-go/letta/otel"
)

func ExampleNewTransport() {
	ctx := context.Background()
	exporter := tracetest.NewInMemoryExporter() // in a service: otlptracehttp.New(ctx)
	tracers := trace.NewTracerProvider(trace.WithBatcher(exporter))
	defer func() { _ = tracers.Shutdown(ctx) }()
	meters := metric.NewMeterProvider() // with a reader for your metrics

	server := lettatest.Start()
	defer server.Close()
	client, err := letta.NewClient(
		letta.WithBaseURL(server.URL()),
		letta.WithHTTPClient(&http.Client{Transport: lettaotel.NewTransport(nil,
			lettaotel.WithTracerProvider(tracers), // not needed with otel.SetTracerProvider
			lettaotel.WithMeterProvider(meters),
			lettaotel.WithTurns(),
		)}),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := client.Agents.List(ctx, letta.Tags("user_1")); err != nil {
		fmt.Println(err)
	}
	_ = tracers.ForceFlush(ctx)
	for _, span := range exporter.GetSpans() {
		fmt.Println(span.Name)
	}
	// Output:
	// GET /v1/agents/
	// agents.list
}
