// Package benchmarks compares letta-go with other clients. It is a module of its own, so that what it needs is
// nobody else's dependency.
package benchmarks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3/packages/ssestream"

	"github.com/letta-go/letta"
)

const tokens = 2000

// body is a turn of 2000 tokens, its frames as Letta 0.16.8 sends them.
func body() []byte {
	const common = `"date":"2026-11-22T08:16:14+00:00","name":null,"message_type":%q,"otid":"7012c860-e78e-4fd4-834c-6a1f7f9b5400","sender_id":null,"step_id":"step-9af8d7fd-9401-4266-8ffb-6ea6a4588ad7","is_err":null,"seq_id":%d,"run_id":"run-6e86808a-f859-4d62-8b54-b3ebd6b70043"`
	var b strings.Builder
	fmt.Fprintf(&b, `data: {"id":"ping-267bd601-32b4-44d4-9058-ead4066ad887",`+common+"}\n\n", "ping", 1)
	for i := range tokens {
		fmt.Fprintf(&b, `data: {"id":"message-7012c860-e78e-4fd4-834c-6a1f7f9b542f",`+common+`,"content":" word"}`+"\n\n", "assistant_message", i+2)
	}
	b.WriteString(`data: {"message_type":"stop_reason","stop_reason":"end_turn"}` + "\n\n")
	b.WriteString(`data: {"message_type":"usage_statistics","completion_tokens":5,"prompt_tokens":10,"total_tokens":15,"step_count":1,"run_ids":null,"context_tokens":15}` + "\n\n")
	b.WriteString("data: [DONE]\n\n")
	return []byte(b.String())
}

type inMemory []byte

func (m inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: 200, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r, ContentLength: -1,
		Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: io.NopCloser(bytes.NewReader(m)),
	}, nil
}

// message has the fields of all messages of a turn of text, for encoding/json: ssestream decodes an event once, into one
// type.
type message struct {
	ID         string    `json:"id"`
	Date       time.Time `json:"date"`
	Name       string    `json:"name"`
	Type       string    `json:"message_type"`
	Otid       string    `json:"otid"`
	SenderID   string    `json:"sender_id"`
	StepID     string    `json:"step_id"`
	IsErr      bool      `json:"is_err"`
	SeqID      int       `json:"seq_id"`
	RunID      string    `json:"run_id"`
	Content    string    `json:"content"`
	StopReason string    `json:"stop_reason"`
}

// variant decodes by message type, as a client with a type per kind of message does.
type variant struct{ value any }

type assistantMessage struct {
	ID       string    `json:"id"`
	Date     time.Time `json:"date"`
	Name     string    `json:"name"`
	Otid     string    `json:"otid"`
	SenderID string    `json:"sender_id"`
	StepID   string    `json:"step_id"`
	IsErr    bool      `json:"is_err"`
	SeqID    int       `json:"seq_id"`
	RunID    string    `json:"run_id"`
	Content  string    `json:"content"`
}

func (v *variant) UnmarshalJSON(data []byte) error {
	var kind struct {
		Type string `json:"message_type"`
	}
	if err := json.Unmarshal(data, &kind); err != nil {
		return err
	}
	switch kind.Type {
	case "assistant_message":
		v.value = new(assistantMessage)
	default:
		v.value = new(map[string]any)
	}
	return json.Unmarshal(data, v.value)
}

type way struct {
	name            string
	read            func() string
	time            time.Duration
	mallocs, memory uint64
}

// BenchmarkTokens reads the same events, by turns, with letta-go and with openai-go's ssestream.
func BenchmarkTokens(b *testing.B) {
	stream := body()
	client, err := letta.NewClient(letta.WithBaseURL("http://localhost:8283"), letta.WithHTTPClient(&http.Client{Transport: inMemory(stream)}))
	if err != nil {
		b.Fatal(err)
	}
	params := &letta.AgentMessageCreateParams{Messages: []letta.MessageInput{letta.UserText("hello")}, StreamTokens: true}
	answer := func() *http.Response {
		resp, _ := inMemory(stream).RoundTrip(nil)
		return resp
	}
	ways := []*way{
		{name: "letta", read: func() string {
			s, err := client.Agents.Messages.Stream(b.Context(), "agent-1", params)
			if err != nil {
				b.Fatal(err)
			}
			turn, err := s.Collect()
			if err != nil {
				b.Fatal(err)
			}
			return turn.Text()
		}},
		{name: "ssestream", read: func() string { // one flat type for all
			var text strings.Builder
			s := ssestream.NewStream[message](ssestream.NewDecoder(answer()), nil)
			for s.Next() {
				text.WriteString(s.Current().Content)
			}
			if s.Err() != nil {
				b.Fatal(s.Err())
			}
			_ = s.Close()
			return text.String()
		}},
		{name: "ssestream_typed", read: func() string {
			var text strings.Builder
			s := ssestream.NewStream[variant](ssestream.NewDecoder(answer()), nil)
			for s.Next() {
				if m, ok := s.Current().value.(*assistantMessage); ok {
					text.WriteString(m.Content)
				}
			}
			if s.Err() != nil {
				b.Fatal(s.Err())
			}
			_ = s.Close()
			return text.String()
		}},
	}
	for _, w := range ways {
		if got := w.read(); got != strings.Repeat(" word", tokens) {
			b.Fatalf("%s reads %d bytes", w.name, len(got))
		}
	}
	n := 0
	var before, after runtime.MemStats
	for b.Loop() {
		n++
		for i := range ways {
			w := ways[(i+n)%len(ways)]
			runtime.ReadMemStats(&before)
			start := time.Now()
			_ = w.read()
			w.time += time.Since(start)
			runtime.ReadMemStats(&after)
			w.mallocs += after.Mallocs - before.Mallocs
			w.memory += after.TotalAlloc - before.TotalAlloc
		}
	}
	frames := float64(n * tokens)
	for _, w := range ways {
		b.ReportMetric(frames/w.time.Seconds(), w.name+"_frames/s")
		b.ReportMetric(float64(w.mallocs)/frames, w.name+"_allocs/frame")
		if w != ways[0] {
			b.ReportMetric(float64(w.time)/float64(ways[0].time), "x_faster_than_"+w.name)
		}
	}
}
