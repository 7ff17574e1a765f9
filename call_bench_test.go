package letta

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/letta-go/letta/internal/apispec"
)

// BenchmarkCall compares Agents.Retrieve and Agents.Update with what a program of net/http and the same JSON engine does,
// in turns on one connection to one server, and reports the medians' ratio in CPU time, that of the server included.
func BenchmarkCall(b *testing.B) {
	recorded, ok := apispec.Recording(apispec.ServerV1, "agents.create")
	if !ok {
		b.Fatal("no recording")
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(recorded.Body)
	}))
	defer srv.Close()
	client, err := NewClient(WithBaseURL(srv.URL), WithAPIKey("sk-test"))
	if err != nil {
		b.Fatal(err)
	}
	params := &AgentUpdateParams{Tags: []string{"user_1", "plan:pro"}}
	bare := func(method string, body []byte) error {
		r, err := http.NewRequestWithContext(b.Context(), method, srv.URL+"/v1/agents/agent-1", bytes.NewReader(body))
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", "Bearer sk-test")
		r.Header.Set("Content-Type", "application/json")
		resp, err := client.core.http.Do(r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		return unmarshal(data, new(AgentState))
	}
	const batch = 50 // calls between two turns: on a busy machine many short ones give the steadier median
	for _, tt := range []struct {
		name        string
		ours, plain func() error
	}{
		{"read", func() error { _, err := client.Agents.Retrieve(b.Context(), "agent-1", nil); return err }, func() error { return bare("GET", nil) }},
		{"write", func() error { _, err := client.Agents.Update(b.Context(), "agent-1", params); return err }, func() error {
			data, err := marshal(params)
			if err != nil {
				return err
			}
			return bare("PATCH", data)
		}},
	} {
		b.Run(tt.name, func(b *testing.B) {
			var ours, plain []float64
			for b.Loop() {
				for _, way := range []struct {
					call  func() error
					times *[]float64
				}{{tt.ours, &ours}, {tt.plain, &plain}} {
					began := cpuTime(b)
					for range batch {
						if err := way.call(); err != nil {
							b.Fatal(err)
						}
					}
					*way.times = append(*way.times, (cpuTime(b) - began).Seconds())
				}
			}
			slices.Sort(ours)
			slices.Sort(plain)
			b.ReportMetric(ours[len(ours)/2]/plain[len(plain)/2], "of-net/http")
			b.ReportMetric(ours[len(ours)/2]/batch*1e6, "cpu-µs/call")
		})
	}
}

// cpuTime is what this process has used.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
