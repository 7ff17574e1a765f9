package letta

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	gojson "github.com/go-json-experiment/json"
)

const benchTokens = 2000

// benchStream is a turn of 2000 tokens, its frames as recorded.
func benchStream() []byte {
	const common = `"date":"2026-11-22T08:16:14+00:00","name":null,"message_type":%q,"otid":"7012c860-e78e-4fd4-834c-6a1f7f9b5400","sender_id":null,"step_id":"step-9af8d7fd-9401-4266-8ffb-6ea6a4588ad7","is_err":null,"seq_id":%d,"run_id":"run-6e86808a-f859-4d62-8b54-b3ebd6b70043"`
	var b strings.Builder
	fmt.Fprintf(&b, `data: {"id":"ping-267bd601-32b4-44d4-9058-ead4066ad887",`+common+"}\n\n", "ping", 1)
	for i := range benchTokens {
		fmt.Fprintf(&b, `data: {"id":"message-7012c860-e78e-4fd4-834c-6a1f7f9b542f",`+common+`,"content":" word"}`+"\n\n", "assistant_message", i+2)
	}
	b.WriteString(`data: {"message_type":"stop_reason","stop_reason":"end_turn"}` + "\n\n")
	b.WriteString(`data: {"message_type":"usage_statistics","completion_tokens":5,"prompt_tokens":10,"total_tokens":15,"step_count":1,"run_ids":null,"cached_input_tokens":null,"cache_write_tokens":null,"reasoning_tokens":null,"context_tokens":15}` + "\n\n")
	b.WriteString("data: [DONE]\n\n")
	return []byte(b.String())
}

// inMemory answers each request with the same events.
type inMemory []byte

func (m inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: 200, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r, ContentLength: -1,
		Header: http.Header{"Content-Type": {"text/event-stream; charset=utf-8"}}, Body: io.NopCloser(bytes.NewReader(m)),
	}, nil
}

// BenchmarkStream reads the same events in five ways, taking turns: the whole path of a stream (request, sse, decode,
// accumulate); a bare bufio.Scanner with the same decoder and nothing else; a scanner with go-json-experiment into one flat
// struct; and a scanner with encoding/json, once into a struct by message type, as most clients do, and once into the flat
// struct. It reports medians: x_floor above 1 is what the rest of the path costs, x_flat below 1 what the decoder saves.
func BenchmarkStream(b *testing.B) {
	stream := benchStream()
	client, err := NewClient(WithBaseURL("http://localhost:8283"), WithHTTPClient(&http.Client{Transport: inMemory(stream)}))
	if err != nil {
		b.Fatal(err)
	}
	params := &AgentMessageCreateParams{Messages: []MessageInput{UserText("hello")}, StreamTokens: true}
	text := strings.Repeat(" word", benchTokens)
	whole := func() string {
		s, err := client.Agents.Messages.Stream(b.Context(), "agent-1", params)
		if err != nil {
			b.Fatal(err)
		}
		turn, err := s.Collect()
		if err != nil {
			b.Fatal(err)
		}
		return turn.Text()
	}
	scan := func(decode func([]byte) string) func() string {
		return func() string {
			var joined strings.Builder
			for s := bufio.NewScanner(bytes.NewReader(stream)); s.Scan(); {
				if data, ok := bytes.CutPrefix(s.Bytes(), []byte("data: ")); ok && string(data) != "[DONE]" {
					joined.WriteString(decode(data))
				}
			}
			return joined.String()
		}
	}
	type anyMessage struct {
		MessageCommon
		Type       string          `json:"message_type"`
		Content    string          `json:"content"`
		Reasoning  string          `json:"reasoning"`
		ToolCalls  json.RawMessage `json:"tool_calls"`
		StopReason string          `json:"stop_reason"`
		Total      int             `json:"total_tokens"`
	}
	type textMessage struct {
		MessageCommon
		Content string `json:"content"`
	}
	var frames frameDecoder
	ways := []struct {
		name  string
		read  func() string
		times []float64
	}{
		{name: "ours", read: whole},
		{name: "floor", read: scan(func(data []byte) string {
			_, message, err := frames.decode(data)
			if err != nil {
				b.Fatal(err)
			}
			if m, ok := message.(*AssistantMessage); ok {
				return m.Content.Text
			}
			return ""
		})},
		{name: "flat", read: scan(func(data []byte) string {
			m := new(anyMessage)
			if err := gojson.Unmarshal(data, m); err != nil {
				b.Fatal(err)
			}
			return m.Content
		})},
		{name: "typed", read: scan(func(data []byte) string {
			var kind struct {
				Type string `json:"message_type"`
			}
			if json.Unmarshal(data, &kind) != nil || kind.Type != "assistant_message" {
				return ""
			}
			m := new(textMessage)
			if err := json.Unmarshal(data, m); err != nil {
				b.Fatal(err)
			}
			return m.Content
		})},
		{name: "blind", read: scan(func(data []byte) string {
			m := new(anyMessage)
			if err := json.Unmarshal(data, m); err != nil {
				b.Fatal(err)
			}
			return m.Content
		})},
	}
	for _, way := range ways {
		if got := way.read(); got != text {
			b.Fatalf("%s reads %d bytes, not %d", way.name, len(got), len(text))
		}
	}
	var before, after runtime.MemStats
	var mallocs, allocated uint64
	b.SetBytes(int64(len(stream)))
	n := 0
	for b.Loop() {
		n++
		for i := range ways {
			way := &ways[(i+n)%len(ways)]
			if way.name == "ours" {
				runtime.ReadMemStats(&before)
			}
			start := time.Now()
			_ = way.read()
			way.times = append(way.times, float64(time.Since(start)))
			if way.name == "ours" {
				runtime.ReadMemStats(&after)
				mallocs, allocated = mallocs+after.Mallocs-before.Mallocs, allocated+after.TotalAlloc-before.TotalAlloc
			}
		}
	}
	ratio := func(over, under int) float64 { return median(ways[over].times) / median(ways[under].times) }
	b.ReportMetric(ratio(0, 1), "x_floor")
	b.ReportMetric(ratio(0, 2), "x_flat")
	b.ReportMetric(ratio(1, 2), "decoder_x_flat")
	b.ReportMetric(ratio(3, 0), "x_faster_than_json")
	b.ReportMetric(ratio(4, 0), "x_faster_than_blind_json")
	b.ReportMetric(median(ways[0].times)/benchTokens, "ns/frame")
	b.ReportMetric(float64(mallocs)/float64(n*benchTokens), "allocs/frame")
	b.ReportMetric(float64(allocated)/float64(n*benchTokens), "B/frame")
}

// median is sturdier than a mean where other programs run.
func median(times []float64) float64 {
	slices.Sort(times)
	return times[len(times)/2]
}

// BenchmarkStreamOnly is for a profile of our path alone.
func BenchmarkStreamOnly(b *testing.B) {
	client, err := NewClient(WithBaseURL("http://localhost:8283"), WithHTTPClient(&http.Client{Transport: inMemory(benchStream())}))
	if err != nil {
		b.Fatal(err)
	}
	params := &AgentMessageCreateParams{Messages: []MessageInput{UserText("hello")}, StreamTokens: true}
	b.ReportAllocs()
	for b.Loop() {
		s, err := client.Agents.Messages.Stream(b.Context(), "agent-1", params)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Collect(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchTokens, "ns/frame")
}
