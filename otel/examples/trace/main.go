// Trace shows what lettaotel records: a retried call, and a turn whose stream is cut and resumed. It runs on lettatest.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/lettatest"
	lettaotel "github.com/letta-go/letta/otel"
)

func main() {
	server := lettatest.Start()
	defer server.Close()
	memory := tracetest.NewInMemoryExporter()
	tracers := trace.NewTracerProvider(trace.WithSyncer(memory))
	client := server.Client(letta.WithHTTPClient(&http.Client{
		Transport: lettaotel.NewTransport(nil, lettaotel.WithTurns(), lettaotel.WithTracerProvider(tracers)),
	}))

	ctx, span := tracers.Tracer("shop").Start(context.Background(), "POST /chat")
	err := chat(ctx, server, client)
	span.End()
	if err != nil {
		log.Fatal(err)
	}
	print(memory.GetSpans(), span.SpanContext().SpanID().String(), 0)
}

func chat(ctx context.Context, server *lettatest.Server, client *letta.Client) error {
	agent, err := client.Agents.Create(ctx, &letta.AgentCreateParams{Model: "letta/letta-free", Embedding: "letta/letta-free", Tags: []string{"user_1"}})
	if err != nil {
		return err
	}
	server.Fail(lettatest.Fault{Method: "GET", Status: 503, Header: http.Header{"Retry-After": {"0"}}, Times: 1})
	if _, err := client.Agents.List(ctx, letta.Tags("user_1")); err != nil {
		return err
	}
	server.Fail(lettatest.Fault{Path: "/v1/agents/*/messages", Times: 1, Stream: &lettatest.StreamFault{After: 3, Half: true, Then: lettatest.StreamCut}})
	stream, err := client.Agents.Messages.Stream(ctx, agent.ID, &letta.AgentMessageCreateParams{
		Messages: []letta.MessageInput{letta.UserText("How are you today?")}, Background: true, StreamTokens: true,
	})
	if err != nil {
		return err
	}
	_, err = stream.Collect()
	return err
}

// print writes the tree of spans below and with one of them, in the order of their start.
func print(spans tracetest.SpanStubs, id string, depth int) {
	indent := strings.Repeat("    ", depth)
	for _, s := range spans {
		if s.SpanContext.SpanID().String() != id {
			continue
		}
		fmt.Printf("%s%s  [%s, %v, %s]\n", indent, s.Name, s.SpanKind, s.EndTime.Sub(s.StartTime).Round(10*time.Microsecond), s.Status.Code)
		for _, a := range s.Attributes {
			fmt.Printf("%s  %s = %s\n", indent, a.Key, a.Value.String())
		}
	}
	for {
		var next *tracetest.SpanStub
		for i, s := range spans {
			if s.Parent.SpanID().String() == id && s.Name != "" && (next == nil || s.StartTime.Before(next.StartTime)) {
				next = &spans[i]
			}
		}
		if next == nil {
			return
		}
		child := next.SpanContext.SpanID().String()
		print(spans, child, depth+1)
		next.Name = "" // printed
	}
}
