package lettaotel_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/letta-go/letta"
	lettaotel "github.com/letta-go/letta/otel"
)

// canned answers every request from memory.
type canned struct{ kind, body string }

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: 200, Header: http.Header{"Content-Type": {c.kind}}, Request: r,
		ContentLength: int64(len(c.body)), Body: io.NopCloser(bytes.NewReader([]byte(c.body))),
	}, nil
}

// BenchmarkOverhead makes the same call by turns without and with the transport, and reports how many times as long it
// takes with it. There is no network in it, which makes the ratio the worst there is.
func BenchmarkOverhead(b *testing.B) {
	const agent = "agent-6e86808a-f859-4d62-8b54-b3ebd6b70043"
	var stream strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&stream, `data: {"id":"message-7012c860-e78e-4fd4-834c-6a1f7f9b542f","date":"2026-11-22T08:16:14+00:00","name":null,"message_type":"assistant_message","otid":"7012c860-e78e-4fd4-834c-6a1f7f9b5400","sender_id":null,"seq_id":%d,"run_id":"run-6e86808a-f859-4d62-8b54-b3ebd6b70043","content":" word"}`+"\n\n", i+1)
	}
	stream.WriteString(`data: {"message_type":"stop_reason","stop_reason":"end_turn"}` + "\n\n" +
		`data: {"message_type":"usage_statistics","completion_tokens":5,"prompt_tokens":10,"total_tokens":15,"step_count":1}` + "\n\ndata: [DONE]\n\n")
	for _, c := range []struct {
		name   string
		server canned
		call   func(*letta.Client) error
	}{
		{"call", canned{"application/json", "[]"}, func(c *letta.Client) error {
			_, err := c.Agents.List(b.Context(), nil)
			return err
		}},
		{"stream of 2000 pieces", canned{"text/event-stream", stream.String()}, func(c *letta.Client) error {
			s, err := c.Agents.Messages.Stream(b.Context(), agent, hello)
			if err == nil {
				_, err = s.Collect()
			}
			return err
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			client := func(transport http.RoundTripper) *letta.Client {
				client, err := letta.NewClient(letta.WithBaseURL(letta.LocalURL), letta.WithHTTPClient(&http.Client{Transport: transport}))
				if err != nil {
					b.Fatal(err)
				}
				return client
			}
			clients := [2]*letta.Client{client(c.server), client(lettaotel.NewTransport(c.server, lettaotel.WithTurns(),
				lettaotel.WithTracerProvider(trace.NewTracerProvider()), lettaotel.WithMeterProvider(metric.NewMeterProvider(metric.WithReader(metric.NewManualReader())))))}
			var took [2]time.Duration
			for b.Loop() {
				for i, client := range clients {
					began := time.Now()
					if err := c.call(client); err != nil {
						b.Fatal(err)
					}
					took[i] += time.Since(began)
				}
			}
			b.ReportMetric(float64(took[1])/float64(took[0]), "times")
			b.ReportMetric(float64(took[1]-took[0])/float64(b.N)/1000, "µs-more")
		})
	}
}
