package letta_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/internal/apispec"
)

// --- a server that replays recorded streams ------------------------------------------------------------------

// recordedFrames are the events of a recorded stream, each with the blank line that ends it.
func recordedFrames(tb testing.TB, name string) []string {
	tb.Helper()
	x, ok := apispec.Recording(apispec.ServerV1, name)
	require.True(tb, ok, name)
	frames := strings.SplitAfter(x.Text, "\n\n")
	return slices.DeleteFunc(frames, func(f string) bool { return strings.TrimSpace(f) == "" })
}

// numbered gives the frames of a foreground run the sequence numbers of a background one.
func numbered(frames []string) []string {
	frames = slices.Clone(frames)
	n := 0
	for i, f := range frames {
		if strings.Contains(f, `"seq_id":null`) && !strings.HasPrefix(f, "event:") {
			n++
			frames[i] = strings.Replace(f, `"seq_id":null`, fmt.Sprintf(`"seq_id":%d`, n), 1)
		}
	}
	return frames
}

// backgroundFrames are recorded streams of background runs, and others made into such.
func backgroundFrames(tb testing.TB) map[string][]string {
	all := map[string][]string{}
	for _, name := range []string{"stream_background", "stream_background_steps", "stream_background_cancelled"} {
		all[name] = recordedFrames(tb, "agents.messages.create."+name)
	}
	for _, name := range []string{"stream_tool_call_tokens", "stream_parallel_tool_calls_tokens", "stream_approval_request_two_tokens"} {
		all[name] = numbered(recordedFrames(tb, "agents.messages.create."+name))
	}
	return all
}

var (
	seqField = regexp.MustCompile(`"seq_id":(\d+)`)
	runField = regexp.MustCompile(`"run_id":"(run-[^"]+)"`)
)

// seqOf is 0 for a frame without a sequence number, which a server sends whatever is asked for.
func seqOf(frame string) int {
	if m := seqField.FindStringSubmatch(frame); m != nil {
		n, _ := strconv.Atoi(m[1])
		return n
	}
	return 0
}

func lastSeq(frames []string) (last int) {
	for _, f := range frames {
		last = max(last, seqOf(f))
	}
	return last
}

func runOf(frames []string) letta.RunID {
	for _, f := range frames {
		if m := runField.FindStringSubmatch(f); m != nil {
			return letta.RunID(m[1])
		}
	}
	return ""
}

// framesAfter are the frames that a server sends to a resume.
func framesAfter(frames []string, seq int) []string {
	return slices.DeleteFunc(slices.Clone(frames), func(f string) bool { n := seqOf(f); return n > 0 && n <= seq })
}

// sse sends events now.
func sse(w http.ResponseWriter, frames ...string) {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	}
	_, _ = io.WriteString(w, strings.Join(frames, ""))
	_ = http.NewResponseController(w).Flush()
}

// sendStream answers with events, and ends the answer as it should be ended.
func sendStream(frames ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { sse(w, frames...) }
}

// stallStream sends events and then nothing more.
func stallStream(frames ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { sse(w, frames...); hang(w, r) }
}

// resumeOf is starting_after if the request resumes a run, -1 if it begins a turn.
func resumeOf(r *http.Request) int {
	if !strings.HasPrefix(r.URL.Path, "/v1/runs/") {
		return -1
	}
	var body struct {
		StartingAfter int  `json:"starting_after"` // absent means 0
		IncludePings  bool `json:"include_pings"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || !body.IncludePings || !strings.HasSuffix(r.URL.Path, "/stream") || r.Method != "POST" {
		return 1e6 // no resume that a server would take
	}
	return body.StartingAfter
}

// How the first connection of a replay ends, as headers of the request, so that one server serves many cases. A
// resume has the same headers, and is answered whole.
type streamEnding struct {
	frames int  // sent before the end
	tail   int  // and so many bytes of the next
	abort  bool // a reset instead of an orderly end of the body
	replay bool // a resume sends everything again
}

func (e streamEnding) option() letta.RequestOption {
	data, _ := json.Marshal([]any{e.frames, e.tail, e.abort, e.replay})
	return letta.WithHeader("X-Ending", string(data))
}

func replayStream(frames []string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var e streamEnding
		_ = json.Unmarshal([]byte(r.Header.Get("X-Ending")), &[]any{&e.frames, &e.tail, &e.abort, &e.replay})
		if seq := resumeOf(r); seq >= 0 {
			if e.replay {
				seq = 0
			}
			sse(w, framesAfter(frames, seq)...)
			return
		}
		sse(w, frames[:e.frames]...)
		if e.tail > 0 && e.frames < len(frames) {
			sse(w, frames[e.frames][:min(e.tail, len(frames[e.frames]))])
		}
		if e.abort {
			panic(http.ErrAbortHandler)
		}
	}
}

// --- helpers -------------------------------------------------------------------------------------------------

const streamAgent = letta.AgentID("agent-1")

func helloParams() *letta.AgentMessageCreateParams {
	return &letta.AgentMessageCreateParams{Messages: []letta.MessageInput{letta.UserText("hello")}}
}

func helloBackground() *letta.AgentMessageCreateParams {
	params := helloParams()
	params.Background, params.StreamTokens = true, true
	return params
}

// watchStream reads a stream to its end: what the loop saw, as JSON, and its error.
func watchStream(t *testing.T, stream *letta.MessageStream) (shown []string, err error) {
	t.Helper()
	for m, e := range stream.Messages() {
		require.NoError(t, err, "the loop went on after an error")
		if e != nil {
			require.Nil(t, m)
			err = e
			continue
		}
		shown = append(shown, toJSON(t, m))
	}
	return shown, err
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	require.NoError(t, err)
	return string(data)
}

// streamContext fails a test that hangs instead of waiting for the timeout of all.
func streamContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func streamError(t *testing.T, err error) *letta.StreamError {
	t.Helper()
	var e *letta.StreamError
	require.ErrorAs(t, err, &e)
	require.NotEmpty(t, e.Error())
	require.NotContains(t, e.Error(), "\n")
	return e
}

func isMessage(frame string) bool {
	return strings.Contains(frame, `_message","otid"`) || strings.Contains(frame, `"message_type":"tool_return_message"`)
}

// --- 1. cuts and resumes -------------------------------------------------------------------------------------

func TestForegroundCuts(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"stream_tokens", "stream_steps", "stream_tool_call_tokens", "stream_approval_request_two_tokens", "stream_cancelled", "stream_no_pings"} {
		frames := recordedFrames(t, "agents.messages.create."+name)
		s := serve(t, replayStream(frames))
		client := s.client(t)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stops := slices.IndexFunc(frames, func(f string) bool { return strings.Contains(f, `"stop_reason"`) })
			requests := 0
			for k := range len(frames) + 1 {
				tails := []int{0}
				if k < len(frames) {
					tails = append(tails, 3, len("data: "), len(frames[k])/2, len(frames[k])-len("\"}\n\n"), len(frames[k])-len("\n\n"), len(frames[k])-1)
				}
				for _, tail := range tails {
					for _, abort := range []bool{false, true} {
						e := streamEnding{frames: k, tail: tail, abort: abort}
						sent := k // frames that count
						if k < len(frames) && tail >= len(frames[k])-len("\n\n") && !abort {
							sent++ // all but the blank line, at an orderly end
						}
						stream, err := client.Agents.Messages.Stream(streamContext(t), streamAgent, helloParams(), e.option())
						requests++
						require.NoError(t, err)
						shown, err := watchStream(t, stream)
						messages := 0
						for _, f := range frames[:sent] {
							if isMessage(f) {
								messages++
							}
						}
						require.Len(t, shown, messages, "%+v", e)
						require.Equal(t, runOf(frames[:sent]), stream.RunID(), "%+v", e)
						if sent > stops {
							require.NoError(t, err, "%+v", e)
							require.True(t, stream.Result().Complete())
							continue
						}
						require.ErrorIs(t, err, letta.ErrStreamTruncated, "%+v", e)
						failure := streamError(t, err)
						require.Equal(t, runOf(frames[:sent]), failure.RunID, "%+v", e)
						require.Zero(t, failure.LastSeq)
						require.Empty(t, failure.Type)
						require.False(t, stream.Result().Complete())
					}
				}
			}
			require.Len(t, s.seen("POST"), requests, "a turn was sent twice, or resumed in the foreground")
		})
	}
}

func TestBackgroundCuts(t *testing.T) {
	t.Parallel()
	for name, frames := range backgroundFrames(t) {
		s := serve(t, replayStream(frames))
		client := s.client(t)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			uncut, err := client.Agents.Messages.Stream(streamContext(t), streamAgent, helloBackground(), streamEnding{frames: len(frames)}.option())
			require.NoError(t, err)
			want, err := watchStream(t, uncut)
			require.NoError(t, err)
			stops := slices.IndexFunc(frames, func(f string) bool { return strings.Contains(f, `"stop_reason"`) })
			for k := range len(frames) + 1 {
				var tails []int
				if k > 0 {
					tails = []int{0}
				}
				if k < len(frames) {
					tails = append(tails, 7, len(frames[k])/2, len(frames[k])-4, len(frames[k])-2)
				}
				for i, tail := range tails {
					e := streamEnding{frames: k, tail: tail, abort: (i+k)%2 == 0, replay: i%2 == 1}
					stream, err := client.Agents.Messages.Stream(streamContext(t), streamAgent, helloBackground(), e.option())
					require.NoError(t, err)
					shown, err := watchStream(t, stream)
					if k == 0 && !(tail == len(frames[0])-2 && !e.abort) { // nothing of the run is known
						require.ErrorIs(t, err, letta.ErrStreamTruncated, "%+v", e)
						require.Empty(t, streamError(t, err).RunID)
						continue
					}
					require.NoError(t, err, "%+v", e)
					require.Equal(t, want, shown, "%+v", e)
					require.Equal(t, uncut.RunID(), stream.RunID())
					require.Equal(t, uncut.LastSeq(), stream.LastSeq())
					wantTurn, turn := uncut.Result(), stream.Result()
					if k > stops || k == stops && tail == len(frames[k])-2 {
						turn.Usage = wantTurn.Usage
					}
					require.Equal(t, toJSON(t, wantTurn), toJSON(t, turn), "%+v", e)
				}
			}
		})
	}
}

// TestUsageIsFetched: a cut after the stop reason loses nothing but the usage, which a background run still has.
func TestUsageIsFetched(t *testing.T) {
	t.Parallel()
	frames := recordedFrames(t, "agents.messages.create.stream_background")
	stop := slices.IndexFunc(frames, func(f string) bool { return strings.Contains(f, `"stop_reason"`) }) + 1
	for k := stop; k <= len(frames); k++ {
		s := serve(t, replayStream(frames))
		stream, err := s.client(t).Agents.Messages.Stream(streamContext(t), streamAgent, helloBackground(), streamEnding{frames: k, abort: true}.option())
		require.NoError(t, err)
		_, err = watchStream(t, stream)
		require.NoError(t, err)
		require.Equal(t, 15, stream.Result().Usage.TotalTokens)
		require.Empty(t, stream.Result().Warnings)
		want := 1
		if k == stop {
			want = 2
		}
		require.Len(t, s.seen(""), want)
	}
}

func TestJoinedAcrossTheSeam(t *testing.T) {
	t.Parallel()
	const piece = `data: {"id":"message-1","message_type":%q,"otid":"o","seq_id":%d,"run_id":"run-1","tool_calls":{"name":%s,"arguments":%q,"tool_call_id":"call_1"}}` + "\n\n"
	for _, kind := range []string{"tool_call_message", "approval_request_message"} {
		frames := []string{fmt.Sprintf(piece, kind, 1, `"add"`, "")}
		arguments := `{"text":"a \"long\" one, ü, \\ and 日本"}`
		for i, r := range []rune(arguments) {
			frames = append(frames, fmt.Sprintf(piece, kind, i+2, "null", string(r)))
		}
		frames = append(frames, `data: {"message_type":"stop_reason","stop_reason":"requires_approval"}`+"\n\n", "data: [DONE]\n\n")
		cuts := 0
		s := serve(t, func(w http.ResponseWriter, r *http.Request) { // one more piece per connection
			cuts++
			sse(w, framesAfter(frames[:min(cuts, len(frames))], resumeOf(r))...)
		})
		stream, err := s.client(t).Agents.Messages.Stream(streamContext(t), streamAgent, helloBackground())
		require.NoError(t, err)
		turn, err := stream.Collect()
		require.NoError(t, err)
		require.Equal(t, []letta.ToolCall{{Name: "add", Arguments: arguments, ToolCallID: "call_1"}}, turn.ToolCalls())
		require.Len(t, turn.Messages, 1)
		require.Equal(t, len(frames), cuts, "the last one looks for the usage")
	}
}

func TestResumeRefused(t *testing.T) {
	t.Parallel()
	frames := recordedFrames(t, "agents.messages.create.stream_background")
	for _, status := range []int{400, 401, 404, 409, 410, 422} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if resumeOf(r) < 0 {
				sse(w, frames[:3]...)
				return
			}
			reply(status, `{"detail":"INVALID_ARGUMENT: Run was not created in background mode, so it cannot be retrieved."}`)(w, r)
		})
		stream, err := s.client(t).Agents.Messages.Stream(streamContext(t), streamAgent, helloBackground())
		require.NoError(t, err)
		shown, err := watchStream(t, stream)
		require.Len(t, shown, 2)
		require.ErrorIs(t, err, letta.ErrNotResumable)
		require.ErrorIs(t, err, letta.ErrStreamTruncated)
		var apiErr *letta.APIError
		require.ErrorAs(t, err, &apiErr)
		require.Equal(t, status, apiErr.StatusCode)
		require.Equal(t, runOf(frames), streamError(t, err).RunID)
		require.Equal(t, 3, streamError(t, err).LastSeq)
		require.Equal(t, http.StatusBadGateway, letta.HTTPStatus(err), "the 404 is not that of the user's own question")
		require.Len(t, s.seen("POST"), 2, "a refusal is final")
		require.Equal(t, "You said:", stream.Result().Text())
	}
}

func TestResumeAfterTrouble(t *testing.T) {
	t.Parallel()
	frames := recordedFrames(t, "agents.messages.create.stream_background")
	for name, trouble := range map[string]http.HandlerFunc{
		"503":             reply(503, `{"detail":"no Redis"}`),
		"500":             reply(500, "{}"),
		"429":             reply(429, "{}"),
		"reset":           cut(""),
		"garbage":         cut("nonsense\r\n\r\n"),
		"page":            reply(200, "<html>", "Content-Type", "text/html"),
		"nothing":         sendStream(),
		"a comment":       sendStream(": hello\n\n"),
		"a ping":          sendStream(strings.Replace(frames[0], `"seq_id":1`, `"seq_id":null`, 1)),
		"half a frame":    sendStream(frames[3][:60]),
		"only replayed":   sendStream(frames[:2]...),
		"half a header":   cut("HTTP/1.1 200 OK\r\nContent-Ty"),
		"half a chunk":    cut("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\nff\r\ndata"),
		"a stall":         stallStream(frames[0]),
		"silence":         hang,
		"another message": sendStream("event: retry\ndata: {}\n\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var times atomic.Int32
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				switch seq := resumeOf(r); {
				case r.Method == "GET":
					reply(200, `{"id":"run-1","agent_id":"agent-1","status":"running"}`)(w, r)
				case seq < 0:
					sse(w, frames[:3]...)
				case times.Add(1) == 1:
					trouble(w, r)
				default:
					assert.Contains(t, []int{2, 3}, seq)
					sse(w, framesAfter(frames, seq)...)
				}
			})
			stream, err := s.client(t).Agents.Messages.Stream(streamContext(t), streamAgent, helloBackground(), letta.WithIdleTimeout(2*time.Second), letta.WithTimeout(2*time.Second))
			require.NoError(t, err)
			turn, err := stream.Collect()
			require.NoError(t, err)
			require.Equal(t, "You said: one two three", turn.Text())
			require.Equal(t, 15, turn.Usage.TotalTokens)
		})
	}
}

func TestResumesAreBounded(t *testing.T) {
	t.Parallel()
	frames := recordedFrames(t, "agents.messages.create.stream_background")
	for name, trouble := range map[string]http.HandlerFunc{"cut": sendStream(frames[:3]...), "503": reply(503, "{}")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if resumeOf(r) < 0 {
					sse(w, frames[:3]...)
					return
				}
				trouble(w, r)
			})
			stream, err := s.client(t).Agents.Messages.Stream(streamContext(t), streamAgent, helloBackground())
			require.NoError(t, err)
			shown, err := watchStream(t, stream)
			require.Len(t, shown, 2)
			require.ErrorIs(t, err, letta.ErrNotResumable)
			require.ErrorIs(t, err, letta.ErrStreamTruncated)
			require.Equal(t, 3, streamError(t, err).LastSeq)
			n := len(s.seen("POST"))
			require.Greater(t, n, 3)
			require.LessOrEqual(t, n, 8)
		})
	}
}

// TestSilenceAfterTheEnd: 0.16.8 does not even send headers to a resume past the end of a run. WithTimeout shortens
// the wait for them, which is 15 s at most.
func TestSilenceAfterTheEnd(t *testing.T) {
	t.Parallel()
	frames := recordedFrames(t, "agents.messages.create.stream_background")
	for _, tt := range []struct {
		name, status, reason string
		check                func(t *testing.T, turn *letta.Turn, err error)
	}{
		{"completed", "completed", `"end_turn"`, func(t *testing.T, turn *letta.Turn, err error) {
			require.NoError(t, err)
			require.Equal(t, letta.StopReasonEndTurn, turn.StopReason)
		}},
		{"cancelled", "cancelled", `"cancelled"`, func(t *testing.T, turn *letta.Turn, err error) {
			require.NoError(t, err)
			require.Equal(t, letta.StopReasonCancelled, turn.StopReason)
		}},
		{"failed", "failed", `"llm_api_error"`, func(t *testing.T, _ *letta.Turn, err error) {
			require.ErrorIs(t, err, letta.ErrProvider)
			require.Equal(t, "llm_api_error", streamError(t, err).Type)
		}},
		{"failed without a reason", "failed", "null", func(t *testing.T, _ *letta.Turn, err error) { streamError(t, err) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				switch seq := resumeOf(r); {
				case r.Method == "GET":
					assert.Equal(t, "/v1/runs/"+string(runOf(frames)), r.URL.Path)
					reply(200, `{"id":"run-1","agent_id":"agent-1","status":"`+tt.status+`","stop_reason":`+tt.reason+`}`)(w, r)
				case seq < 0:
					sse(w, frames[:6]...)
				case seq >= lastSeq(frames):
					hang(w, r)
				default:
					reason := tt.reason
					if reason == "null" {
						reason = `"error"`
					}
					sse(w, append(framesAfter(frames[:6], seq), `data: {"message_type":"stop_reason","stop_reason":`+reason+"}\n\n", doneFrame)...)
				}
			})
			stream, err := s.client(t).Agents.Messages.Stream(streamContext(t), streamAgent, helloBackground(), letta.WithTimeout(1500*time.Millisecond))
			require.NoError(t, err)
			turn, err := stream.Collect()
			tt.check(t, turn, err)
			require.Equal(t, "You said: one two three", turn.Text())
		})
	}
}

func TestSlowResumeLosesNothing(t *testing.T) {
	t.Parallel()
	frames := recordedFrames(t, "agents.messages.create.stream_background")
	var resumes atomic.Int32
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch seq := resumeOf(r); {
		case r.Method == "GET":
			reply(200, `{"id":"run-1","agent_id":"agent-1","status":"completed","stop_reason":"end_turn"}`)(w, r)
		case seq < 0:
			sse(w, frames[:3]...)
		case resumes.Add(1) == 1:
			hang(w, r)
		default:
			sse(w, framesAfter(frames, seq)...)
		}
	})
	stream, err := s.client(t).Agents.Messages.Stream(streamContext(t), streamAgent, helloBackground(), letta.WithTimeout(1500*time.Millisecond))
	require.NoError(t, err)
	turn, err := stream.Collect()
	require.NoError(t, err)
	require.Equal(t, "You said: one two three", turn.Text())
}

func TestBodyFieldsAreForTheTurnOnly(t *testing.T) {
	t.Parallel()
	frames := recordedFrames(t, "agents.messages.create.stream_background")
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if seq := resumeOf(r); seq >= 0 {
			sse(w, framesAfter(frames, seq)...)
			return
		}
		sse(w, frames[:4]...)
	})
	stream, err := s.client(t).Agents.Messages.Stream(streamContext(t), streamAgent, helloBackground(), letta.WithBodyField("new_field", 1))
	require.NoError(t, err)
	_, err = stream.Collect()
	require.NoError(t, err)
	require.Contains(t, s.seen("POST")[0].Body, "new_field")
	require.NotContains(t, s.seen("POST")[1].Body, "new_field")
}

// --- 2. what a stream can bring --------------------------------------------------------------------------------

const (
	pingFrame  = `data: {"id":"ping-1","message_type":"ping","run_id":"run-1"}` + "\n\n"
	textFrame  = `data: {"id":"message-1","message_type":"assistant_message","otid":"o1","run_id":"run-1","content":"hi"}` + "\n\n"
	stopFrame  = `data: {"message_type":"stop_reason","stop_reason":"end_turn"}` + "\n\n"
	usageFrame = `data: {"message_type":"usage_statistics","completion_tokens":5,"prompt_tokens":10,"total_tokens":15,"step_count":1}` + "\n\n"
	doneFrame  = "data: [DONE]\n\n"
	errorFrame = `data: {"message_type":"error_message","run_id":"run-1","error_type":"llm_rate_limit","message":"too many","detail":"429"}` + "\n\n"
)

func TestStreamBodies(t *testing.T) {
	t.Parallel()
	ok := func(messages int) func(*testing.T, []string, *letta.Turn, error) {
		return func(t *testing.T, shown []string, turn *letta.Turn, err error) {
			require.NoError(t, err)
			require.Len(t, shown, messages)
			require.Equal(t, strings.Repeat("hi", messages), turn.Text())
			require.Equal(t, letta.StopReasonEndTurn, turn.StopReason)
			require.Equal(t, []letta.RunID{"run-1"}, turn.RunIDs)
			require.Empty(t, turn.Warnings)
		}
	}
	fails := func(target error, messages int, words ...string) func(*testing.T, []string, *letta.Turn, error) {
		return func(t *testing.T, shown []string, _ *letta.Turn, err error) {
			require.Len(t, shown, messages)
			e := streamError(t, err)
			require.Equal(t, letta.RunID("run-1"), e.RunID)
			if target != nil {
				require.ErrorIs(t, err, target)
			}
			for _, word := range words {
				require.ErrorContains(t, err, word)
			}
		}
	}
	fault := func(kind, message, detail string, targets ...error) func(*testing.T, []string, *letta.Turn, error) {
		return func(t *testing.T, _ []string, turn *letta.Turn, err error) {
			e := streamError(t, err)
			require.Equal(t, []string{kind, message, detail, "run-1", "agents.messages.stream"}, []string{e.Type, e.Message, e.Detail, string(e.RunID), e.Operation})
			require.NoError(t, e.Err)
			require.ErrorContains(t, err, "letta: agents.messages.stream agent-1: run run-1: "+kind)
			for _, target := range []error{letta.ErrProvider, letta.ErrPendingApproval, letta.ErrStreamTruncated} {
				require.Equal(t, slices.Contains(targets, target), errors.Is(err, target), target)
			}
			require.Empty(t, turn.Warnings)
		}
	}
	warning := func(kind, message string) func(*testing.T, []string, *letta.Turn, error) {
		return func(t *testing.T, _ []string, turn *letta.Turn, err error) {
			require.NoError(t, err)
			require.True(t, turn.Complete())
			require.Len(t, turn.Warnings, 1)
			require.Equal(t, kind, turn.Warnings[0].Type)
			require.Equal(t, message, turn.Warnings[0].Message)
		}
	}
	good := pingFrame + textFrame + stopFrame + usageFrame + doneFrame
	unnamed := `data: {"error":"it broke","code":"INTERNAL_SERVER_ERROR"}` + "\n\n"
	for _, tt := range []struct {
		name, body string
		opts       []letta.RequestOption
		check      func(*testing.T, []string, *letta.Turn, error)
	}{
		{"good", good, nil, ok(1)},
		{"pings shown", pingFrame + textFrame + pingFrame + stopFrame + doneFrame, []letta.RequestOption{letta.WithPings()}, func(t *testing.T, shown []string, turn *letta.Turn, err error) {
			require.NoError(t, err)
			require.Len(t, shown, 3)
			require.Contains(t, shown[0], `"message_type":"ping"`)
			require.Len(t, turn.Messages, 1, "a ping is no part of the turn")
		}},
		{"CRLF", strings.ReplaceAll(good, "\n", "\r\n"), nil, ok(1)},
		{"CR", strings.ReplaceAll(good, "\n", "\r"), nil, ok(1)},
		{"byte order mark", "\uFEFF" + good, nil, ok(1)},
		{"comments", ": one\n\n:\n" + strings.ReplaceAll(good, "\n\n", "\n: more\nretry: 5\n\n: x\n\n"), nil, ok(1)},
		{"no space after the colon", strings.ReplaceAll(good, "data: ", "data:"), nil, ok(1)},
		{"data over several lines", strings.ReplaceAll(good, `,"`, ",\ndata: \""), nil, ok(1)},
		{"named events", strings.ReplaceAll(good, "data: {", "event: message\nid: 7\ndata: {"), nil, ok(1)},
		{"named cancelled", pingFrame + textFrame + "event: cancelled\ndata: {\"run_id\":\"run-1\"}\n\n" + strings.Replace(stopFrame, "end_turn", "cancelled", 1), nil, func(t *testing.T, _ []string, turn *letta.Turn, err error) {
			require.NoError(t, err)
			require.Empty(t, turn.Warnings) // a cancelled turn ends without usage
		}},
		{"second DONE", good + doneFrame, nil, ok(1)},
		{"DONE with spaces", strings.ReplaceAll(good, "[DONE]", " [DONE] "), nil, ok(1)},
		{"DONE without a blank line", strings.TrimSuffix(good, "\n\n"), nil, ok(1)},
		{"events after DONE", good + textFrame + errorFrame, nil, ok(1)},
		{"end without DONE", pingFrame + textFrame + stopFrame + usageFrame, nil, ok(1)},
		{"end without usage", pingFrame + textFrame + stopFrame, nil, warning("", "the usage of the turn is missing")},
		{"half usage", pingFrame + textFrame + stopFrame + usageFrame[:60], nil, warning("", "the usage of the turn is missing")},
		{"early DONE", pingFrame + textFrame + doneFrame, nil, fails(letta.ErrStreamTruncated, 1, "without a stop reason")},
		{"nothing", "", nil, func(t *testing.T, _ []string, _ *letta.Turn, err error) {
			require.ErrorIs(t, err, letta.ErrStreamTruncated)
			streamError(t, err)
		}},
		{"garbage", pingFrame + textFrame + "data: {broken\n\n" + stopFrame + doneFrame, nil, fails(nil, 1, "{broken")},
		{"no JSON", pingFrame + textFrame + "data: hello\n\n" + stopFrame + doneFrame, nil, fails(nil, 1, "hello")},
		{"long garbage", pingFrame + "data: {" + strings.Repeat("x", 1e6) + "\n\n" + doneFrame, nil, func(t *testing.T, _ []string, _ *letta.Turn, err error) {
			require.Less(t, len(streamError(t, err).Error()), 1000)
		}},
		{"wrong type of a field", pingFrame + strings.Replace(textFrame, `"hi"`, "42", 1) + stopFrame + doneFrame, nil, fails(nil, 0, "42")},
		{"wrong type of the stop reason", pingFrame + textFrame + strings.Replace(stopFrame, `"end_turn"`, "[]", 1) + doneFrame, nil, fails(nil, 1, "stop_reason")},
		{"garbage after the stop reason", pingFrame + textFrame + stopFrame + "data: {broken\n\n" + doneFrame, nil, fails(nil, 1, "{broken")},
		{"half a frame", pingFrame + textFrame + textFrame[:50], nil, fails(letta.ErrStreamTruncated, 1)},
		{"null", pingFrame + "data: null\n\n" + textFrame + stopFrame + doneFrame, nil, func(t *testing.T, _ []string, turn *letta.Turn, err error) {
			require.NoError(t, err)
			require.Equal(t, "hi", turn.Text())
		}},
		{"null content", pingFrame + strings.Replace(textFrame, `"hi"`, "null", 1) + textFrame + stopFrame + doneFrame, nil, func(t *testing.T, shown []string, turn *letta.Turn, err error) {
			require.NoError(t, err)
			require.Len(t, shown, 2)
			require.Equal(t, "hi", turn.Text())
		}},
		{"unknown kind", pingFrame + `data: {"id":"m","message_type":"telepathy_message","run_id":"run-1","strength":7}` + "\n\n" + textFrame + stopFrame + doneFrame, nil, func(t *testing.T, shown []string, turn *letta.Turn, err error) {
			require.NoError(t, err)
			require.Len(t, shown, 2)
			require.JSONEq(t, `{"id":"m","message_type":"telepathy_message","run_id":"run-1","strength":7}`, shown[0])
			require.IsType(t, &letta.UnknownMessage{}, turn.Messages[0])
			require.EqualValues(t, "telepathy_message", turn.Messages[0].(*letta.UnknownMessage).Kind)
		}},
		{"unknown stop reason", pingFrame + textFrame + strings.Replace(stopFrame, "end_turn", "bored", 1) + doneFrame, nil, func(t *testing.T, _ []string, turn *letta.Turn, err error) {
			require.NoError(t, err)
			require.Equal(t, letta.StopReason("bored"), turn.StopReason)
		}},
		{"line too long", pingFrame + textFrame + "data: " + strings.Repeat("x", 5000) + "\n\n" + stopFrame + doneFrame, []letta.RequestOption{letta.WithMaxEvent(4096)}, fails(nil, 1, "4096")},
		{"line of 1 MB", pingFrame + strings.Replace(textFrame, `"hi"`, `"`+strings.Repeat("x", 1<<20)+`"`, 1) + stopFrame + doneFrame, nil, func(t *testing.T, _ []string, turn *letta.Turn, err error) {
			require.NoError(t, err)
			require.Len(t, turn.Text(), 1<<20)
		}},

		{"error event", pingFrame + "event: error\n" + errorFrame + doneFrame, nil, fault("llm_rate_limit", "too many", "429", letta.ErrProvider)},
		{"error as a message", pingFrame + errorFrame + doneFrame, nil, fault("llm_rate_limit", "too many", "429", letta.ErrProvider)},
		{"unnamed error", pingFrame + unnamed + doneFrame, nil, fault("INTERNAL_SERVER_ERROR", "it broke", "")},
		{"unnamed error event", pingFrame + "event: error\n" + unnamed + doneFrame, nil, fault("INTERNAL_SERVER_ERROR", "it broke", "")},
		{"error and cut", pingFrame + errorFrame, nil, fault("llm_rate_limit", "too many", "429", letta.ErrProvider)},
		{"error after a bad stop reason", pingFrame + strings.Replace(stopFrame, "end_turn", "llm_api_error", 1) + "event: error\n" + errorFrame + doneFrame, nil, fault("llm_rate_limit", "too many", "429", letta.ErrProvider)},
		{"error and DONE twice", pingFrame + errorFrame + doneFrame + doneFrame, nil, fault("llm_rate_limit", "too many", "429", letta.ErrProvider)},
		{"stop reason error alone", pingFrame + textFrame + strings.Replace(stopFrame, "end_turn", "error", 1) + usageFrame + doneFrame, nil, fails(nil, 1, "error")},
		{"stop reason of the provider alone", pingFrame + strings.Replace(stopFrame, "end_turn", "llm_api_error", 1), nil, fails(letta.ErrProvider, 0, "llm_api_error")},
		{"error event after a good end", pingFrame + textFrame + stopFrame + "event: error\n" + errorFrame + doneFrame, nil, warning("llm_rate_limit", "too many")},
		{"error message after a good end", pingFrame + textFrame + stopFrame + usageFrame + errorFrame + doneFrame, nil, warning("llm_rate_limit", "too many")},
		{"unnamed error after a good end", pingFrame + textFrame + stopFrame + usageFrame + unnamed, nil, warning("INTERNAL_SERVER_ERROR", "it broke")},
		{"error in plain text", pingFrame + "event: error\ndata: upstream timed out\n\n" + doneFrame, nil, fails(nil, 0, "upstream timed out")},
		{"two errors", pingFrame + errorFrame + unnamed + doneFrame, nil, fails(letta.ErrProvider, 0, "too many")},
		{"half an error", pingFrame + textFrame + "event: error\n" + errorFrame[:60], nil, fails(letta.ErrStreamTruncated, 1)},
		{"half a stop reason", pingFrame + textFrame + stopFrame[:len(stopFrame)-len("}\n\n")], nil, fails(letta.ErrStreamTruncated, 1)},
		{"half a number", pingFrame + textFrame + stopFrame + usageFrame[:strings.Index(usageFrame, "10")+1], nil, func(t *testing.T, _ []string, turn *letta.Turn, err error) {
			require.NoError(t, err)
			require.Zero(t, turn.Usage.PromptTokens)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, sendStream(tt.body))
			stream, err := s.client(t).Agents.Messages.Stream(streamContext(t), streamAgent, helloParams(), tt.opts...)
			require.NoError(t, err)
			shown, err := watchStream(t, stream)
			tt.check(t, shown, stream.Result(), err)
			require.NoError(t, stream.Close())
			for range 2 { // once ended, a stream stays as it is
				again, errAgain := watchStream(t, stream)
				require.Empty(t, again)
				require.Equal(t, err, errAgain)
			}
			require.Len(t, s.seen(""), 1)
		})
	}
}

func TestHalfAnErrorInTheBackground(t *testing.T) {
	t.Parallel()
	frames := recordedFrames(t, "agents.messages.create.stream_background")
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if seq := resumeOf(r); seq >= 0 {
			sse(w, framesAfter(frames, seq)...)
			return
		}
		sse(w, frames[0], frames[1], "event: error\n"+errorFrame[:60])
	})
	stream, err := s.client(t).Agents.Messages.Stream(streamContext(t), streamAgent, helloBackground())
	require.NoError(t, err)
	turn, err := stream.Collect()
	require.NoError(t, err)
	require.Equal(t, "You said: one two three", turn.Text())
}

func TestRecordedFailures(t *testing.T) {
	t.Parallel()
	for name, target := range map[string]error{
		"stream_provider_400": letta.ErrProvider, "stream_provider_401": letta.ErrProvider, "stream_provider_429": letta.ErrProvider,
		"stream_provider_429_tokens": letta.ErrProvider, "stream_provider_500": letta.ErrProvider, "stream_error_pending_approval": letta.ErrPendingApproval,
	} {
		frames := recordedFrames(t, "agents.messages.create."+name)
		stream, err := serve(t, sendStream(frames...)).client(t).Agents.Messages.Stream(streamContext(t), streamAgent, helloParams())
		require.NoError(t, err)
		turn, err := stream.Collect()
		require.ErrorIs(t, err, target, name)
		require.Equal(t, target == letta.ErrProvider, errors.Is(err, letta.ErrProvider))
		require.NotErrorIs(t, err, letta.ErrStreamTruncated)
		e := streamError(t, err)
		require.Equal(t, runOf(frames), e.RunID)
		require.NotEmpty(t, e.Type)
		require.NotEmpty(t, e.Message)
		require.NotEmpty(t, e.Detail)
		require.Nil(t, e.Err)
		require.False(t, turn.Complete())
	}
}

func TestStalledStream(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{
		"after a message":   stallStream(pingFrame, textFrame),
		"in a frame":        stallStream(pingFrame, textFrame, stopFrame[:20]),
		"in the blank line": stallStream(pingFrame, textFrame, textFrame[:len(textFrame)-1]),
		"with a late header": func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(20 * time.Millisecond)
			stallStream(pingFrame, textFrame)(w, r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, handler)
			stream, err := s.client(t).Agents.Messages.Stream(streamContext(t), streamAgent, helloParams(), letta.WithIdleTimeout(60*time.Millisecond))
			require.NoError(t, err)
			shown, err := watchStream(t, stream)
			require.Len(t, shown, 1)
			require.ErrorIs(t, err, letta.ErrStreamIdle)
			require.NotErrorIs(t, err, context.Canceled)
			require.Equal(t, letta.RunID("run-1"), streamError(t, err).RunID)
			require.ErrorContains(t, err, "60ms")
			require.Len(t, s.seen(""), 1)
		})
	}
}

func TestStallAfterTheStopReason(t *testing.T) {
	t.Parallel()
	stream, err := serve(t, stallStream(pingFrame, textFrame, stopFrame)).client(t).Agents.Messages.Stream(streamContext(t), streamAgent, helloParams(), letta.WithIdleTimeout(30*time.Millisecond))
	require.NoError(t, err)
	turn, err := stream.Collect()
	require.NoError(t, err)
	require.True(t, turn.Complete())
}

// dripStream sends events with a pause between them.
func dripStream(pause time.Duration, frames ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for _, f := range frames {
			sse(w, f)
			select {
			case <-time.After(pause):
			case <-r.Context().Done():
				return
			}
		}
	}
}

// drip is a transport that sends a frame every pause, on the clock of a synctest bubble: a busy machine must not look like
// a silent server.
func drip(pause time.Duration, frames ...string) *http.Client {
	return &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		body, out := io.Pipe()
		context.AfterFunc(r.Context(), func() { body.CloseWithError(r.Context().Err()) })
		go func() {
			for _, f := range frames {
				if _, err := io.WriteString(out, f); err != nil {
					return
				}
				select {
				case <-time.After(pause):
				case <-r.Context().Done():
					return
				}
			}
			out.Close()
		}()
		resp := eventStream(r, nil)
		resp.Body = body
		return resp, nil
	})}
}

func dripped(t *testing.T, idle, pause time.Duration, frames ...string) *letta.MessageStream {
	t.Helper()
	client, err := letta.NewClient(letta.WithBaseURL("http://localhost:8283"), letta.WithHTTPClient(drip(pause, frames...)))
	require.NoError(t, err)
	stream, err := client.Agents.Messages.Stream(t.Context(), streamAgent, helloParams(), letta.WithIdleTimeout(idle))
	require.NoError(t, err)
	return stream
}

func TestSignsOfLife(t *testing.T) {
	t.Parallel()
	for name, alive := range map[string]string{"pings": pingFrame, "comments": ": keepalive\n\n", "bytes": ":"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				frames := append(slices.Repeat([]string{alive}, 60), "\n\n", textFrame, stopFrame, doneFrame)
				turn, err := dripped(t, 90*time.Second, 80*time.Second, frames...).Collect()
				require.NoError(t, err)
				require.Equal(t, "hi", turn.Text())

				_, err = dripped(t, 90*time.Second, 100*time.Second, frames...).Collect()
				require.ErrorIs(t, err, letta.ErrStreamIdle)
			})
		})
	}
}

func TestSlowConsumer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := 0
		for _, err := range dripped(t, 90*time.Second, time.Second, append(slices.Repeat([]string{textFrame}, 30), stopFrame, doneFrame)...).Messages() {
			require.NoError(t, err, "after %d messages", n)
			if n++; n%10 == 1 {
				time.Sleep(time.Hour)
			}
		}
		require.Equal(t, 30, n)
	})
}

func TestNoIdleTimeout(t *testing.T) {
	t.Parallel()
	stream, err := serve(t, dripStream(40*time.Millisecond, textFrame, stopFrame, doneFrame)).client(t, letta.WithIdleTimeout(1)).Agents.Messages.Stream(streamContext(t), streamAgent, helloParams(), letta.WithIdleTimeout(0))
	require.NoError(t, err)
	_, err = stream.Collect()
	require.NoError(t, err)
}

func TestBodyThatNeverEnds(t *testing.T) {
	t.Parallel()
	stream, err := serve(t, stallStream(pingFrame, textFrame, stopFrame, usageFrame, doneFrame)).client(t).Agents.Messages.Stream(streamContext(t), streamAgent, helloParams())
	require.NoError(t, err)
	turn, err := stream.Collect()
	require.NoError(t, err)
	require.Equal(t, "hi", turn.Text())
	require.Equal(t, 15, turn.Usage.TotalTokens)
}

func TestNoStream(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
		check   func(*testing.T, error)
	}{
		{"page", reply(200, "<html><title>Sign in</title></html>", "Content-Type", "text/html"), func(t *testing.T, err error) {
			var e *letta.DecodeError
			require.ErrorAs(t, err, &e)
			require.ErrorContains(t, err, "text/html")
		}},
		{"JSON", reply(200, `{"messages":[]}`), func(t *testing.T, err error) {
			var e *letta.DecodeError
			require.ErrorAs(t, err, &e)
			require.Equal(t, "/v1/agents/agent-1/messages", e.Path)
		}},
		{"no content", reply(204, ""), func(t *testing.T, err error) {
			var e *letta.DecodeError
			require.ErrorAs(t, err, &e)
		}},
		{"404", reply(404, `{"detail":"NOT_FOUND: Agent not found with id='agent-1'"}`), func(t *testing.T, err error) {
			require.ErrorIs(t, err, letta.ErrNotFound)
			require.ErrorContains(t, err, "Agent not found")
		}},
		{"409", reply(409, `{"detail":"CONFLICT: busy","run_id":"run-7"}`), func(t *testing.T, err error) {
			require.ErrorIs(t, err, letta.ErrBusy)
			var e *letta.APIError
			require.ErrorAs(t, err, &e)
			require.Equal(t, letta.RunID("run-7"), e.RunID)
		}},
		{"422", reply(422, `{"detail":"bad"}`), func(t *testing.T, err error) { require.ErrorIs(t, err, letta.ErrValidation) }},
		{"500", reply(500, `{"detail":"An unknown error occurred"}`), func(t *testing.T, err error) { require.ErrorIs(t, err, letta.ErrServer) }},
		{"error as an event stream", reply(503, errorFrame, "Content-Type", "text/event-stream"), func(t *testing.T, err error) { require.ErrorIs(t, err, letta.ErrServer) }},
		{"redirect", reply(307, "", "Location", "https://elsewhere.example/v1/?key=secret"), func(t *testing.T, err error) {
			var e *letta.RedirectError
			require.ErrorAs(t, err, &e)
			require.Equal(t, "https://elsewhere.example/v1/", e.To)
		}},
		{"silence", hang, func(t *testing.T, err error) {
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorContains(t, err, "WithTimeout")
		}},
		{"reset", cut(""), func(t *testing.T, err error) { require.Error(t, err) }},
		{"half a header", cut("HTTP/1.1 200 OK\r\nContent-"), func(t *testing.T, err error) { require.Error(t, err) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, tt.handler)
			timeout := 10 * time.Second
			if tt.name == "silence" {
				timeout = 300 * time.Millisecond
			}
			var response letta.Response
			stream, err := s.client(t).Agents.Messages.Stream(streamContext(t), streamAgent, helloParams(), letta.WithTimeout(timeout), letta.WithResponse(&response))
			require.Nil(t, stream)
			tt.check(t, err)
			var streamErr *letta.StreamError
			require.NotErrorAs(t, err, &streamErr, "no stream had begun")
			require.Len(t, s.seen(""), 1)
			require.Equal(t, 1, response.Attempts)
		})
	}
}

func TestContentTypeOfAStream(t *testing.T) {
	t.Parallel()
	s := serve(t, reply(200, textFrame+stopFrame+doneFrame, "Content-Type", "Text/Event-Stream"))
	_, err := s.client(t).Agents.Messages.Stream(streamContext(t), streamAgent, helloParams())
	require.NoError(t, err)
}

func TestRequestOfAStream(t *testing.T) {
	t.Parallel()
	s := serve(t, sendStream(textFrame, stopFrame, doneFrame))
	params := helloBackground()
	params.MaxSteps = 3
	var response letta.Response
	stream, err := s.client(t).Agents.Messages.Stream(streamContext(t), streamAgent, params, letta.WithResponse(&response))
	require.NoError(t, err)
	_, err = stream.Collect()
	require.NoError(t, err)
	r := s.seen("POST")[0]
	require.Equal(t, "text/event-stream", r.Header.Get("Accept"))
	require.Equal(t, "1.12.1", r.Header.Get("X-Stainless-Package-Version"))
	require.Equal(t, 200, response.StatusCode)
	var body map[string]any
	require.NoError(t, json.Unmarshal([]byte(r.Body), &body))
	require.Len(t, body["messages"], 1)
	delete(body, "messages")
	require.Equal(t, map[string]any{"streaming": true, "include_pings": true, "stream_tokens": true, "background": true, "max_steps": 3.0}, body)
}

// --- timeouts, cancelling, closing ---------------------------------------------------------------------------

func TestStreamOutlivesTimeouts(t *testing.T) {
	t.Parallel()
	frames := append(slices.Repeat([]string{textFrame}, 12), stopFrame, doneFrame)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	client := serve(t, dripStream(250*time.Millisecond, frames...)).client(t, letta.WithHTTPClient(&http.Client{Transport: transport, Timeout: 2 * time.Second}), letta.WithTimeout(2*time.Second))
	stream, err := client.Agents.Messages.Stream(streamContext(t), streamAgent, helloParams())
	require.NoError(t, err)
	turn, err := stream.Collect()
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("hi", 12), turn.Text())
}

func TestContextOfAStream(t *testing.T) {
	t.Parallel()
	cause := errors.New("shutting down")
	for _, background := range []bool{false, true} {
		for _, tt := range []struct {
			name    string
			context func(context.Context) (context.Context, func())
			want    []error
		}{
			{"cancel", func(ctx context.Context) (context.Context, func()) { c, f := context.WithCancel(ctx); return c, f }, []error{context.Canceled}},
			{"cause", func(ctx context.Context) (context.Context, func()) {
				c, f := context.WithCancelCause(ctx)
				return c, func() { f(cause) }
			}, []error{context.Canceled, cause}},
			{"deadline", func(ctx context.Context) (context.Context, func()) {
				c, f := context.WithTimeout(ctx, 150*time.Millisecond)
				t.Cleanup(f)
				return c, func() {}
			}, []error{context.DeadlineExceeded}},
		} {
			for _, when := range []string{"before headers", "in the stream"} {
				t.Run(fmt.Sprint(tt.name, " ", when, " ", background), func(t *testing.T) {
					t.Parallel()
					ctx, end := tt.context(streamContext(t))
					gone := make(chan struct{})
					s := serve(t, func(w http.ResponseWriter, r *http.Request) {
						defer close(gone)
						if when == "in the stream" {
							sse(w, pingFrame, textFrame)
						} else {
							time.AfterFunc(10*time.Millisecond, end)
						}
						hang(w, r)
					})
					params := helloParams()
					params.Background = background
					stream, err := s.client(t).Agents.Messages.Stream(ctx, streamAgent, params)
					if when == "in the stream" {
						require.NoError(t, err)
						n := 0
						for _, e := range stream.Messages() {
							n++
							err = e
							end()
						}
						require.Equal(t, 2, n)
						require.Equal(t, letta.RunID("run-1"), streamError(t, err).RunID)
						require.NotErrorIs(t, err, letta.ErrStreamTruncated)
					}
					for _, want := range tt.want {
						require.ErrorIs(t, err, want)
					}
					<-gone
					require.Len(t, s.seen(""), 1, "no resume, no cancel")
				})
			}
		}
	}
}

func TestCancelledWhileResuming(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if resumeOf(r) < 0 {
			sse(w, strings.Replace(textFrame, "{", `{"seq_id":1,`, 1))
			return
		}
		reply(503, "{}")(w, r)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	stream, err := s.client(t).Agents.Messages.Stream(ctx, streamAgent, helloBackground())
	require.NoError(t, err)
	_, err = stream.Collect()
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, 1, streamError(t, err).LastSeq)
}

func TestCancelOnDone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		frames  []string
		cancels int
	}{
		{"in the turn", []string{pingFrame, textFrame}, 1},
		{"before the run is known", []string{strings.Replace(textFrame, `"run_id":"run-1",`, "", 1)}, 0},
		// A turn that has ended needs no cancel: the next turn of the agent must not be disturbed.
		{"after the end", []string{pingFrame, textFrame, stopFrame}, 0},
		{"after a bad end", []string{pingFrame, textFrame, strings.Replace(stopFrame, "end_turn", "error", 1)}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/cancel") {
					reply(200, `{"run-1":"cancelled"}`)(w, r)
					return
				}
				stallStream(tt.frames...)(w, r)
			})
			ctx, cancel := context.WithCancel(streamContext(t))
			defer cancel()
			stream, err := s.client(t).Agents.Messages.Stream(ctx, streamAgent, helloParams(), letta.WithCancelOnDone())
			require.NoError(t, err)
			for range stream.Messages() {
				time.AfterFunc(150*time.Millisecond, cancel) // the frames after the text have come by then
			}
			requests := slices.DeleteFunc(s.seen("POST"), func(r seen) bool { return !strings.HasSuffix(r.Path, "/cancel") })
			require.Len(t, requests, tt.cancels)
			for _, r := range requests {
				require.Equal(t, "/v1/agents/agent-1/messages/cancel", r.Path)
				require.JSONEq(t, `{"run_ids":["run-1"]}`, r.Body)
			}
		})
	}
}

func TestCancelOnDoneWhenTheLoopIsLeft(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/cancel") {
			reply(200, `{}`)(w, r)
			return
		}
		stallStream(pingFrame, textFrame)(w, r)
	})
	ctx, cancel := context.WithCancel(streamContext(t))
	defer cancel()
	stream, err := s.client(t).Agents.Messages.Stream(ctx, streamAgent, helloParams(), letta.WithCancelOnDone())
	require.NoError(t, err)
	for range stream.Messages() {
		if cancel(); ctx.Err() != nil {
			break
		}
	}
	require.Len(t, s.seen("POST"), 2)
}

func TestCancelHasNoFieldsOfTheTurn(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/cancel") {
			reply(200, `{}`)(w, r)
			return
		}
		stallStream(pingFrame, textFrame)(w, r)
	})
	ctx, cancel := context.WithCancel(streamContext(t))
	defer cancel()
	stream, err := s.client(t).Agents.Messages.Stream(ctx, streamAgent, helloParams(), letta.WithCancelOnDone(), letta.WithBodyField("new_field", 1))
	require.NoError(t, err)
	for range stream.Messages() {
		cancel()
	}
	require.JSONEq(t, `{"run_ids":["run-1"]}`, s.seen("POST")[1].Body)
}

func TestCloseFromAnotherGoroutine(t *testing.T) {
	t.Parallel()
	for _, background := range []bool{false, true} {
		gone := make(chan struct{})
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			defer close(gone)
			stallStream(pingFrame, textFrame)(w, r)
		})
		params := helloParams()
		params.Background = background
		stream, err := s.client(t).Agents.Messages.Stream(streamContext(t), streamAgent, params)
		require.NoError(t, err)
		var closed sync.WaitGroup
		n := 0
		for _, e := range stream.Messages() {
			n++
			err = e
			if e == nil {
				for range 2 {
					closed.Go(func() { time.Sleep(10 * time.Millisecond); assert.NoError(t, stream.Close()) })
				}
			}
		}
		closed.Wait()
		require.Equal(t, 2, n)
		require.ErrorIs(t, err, letta.ErrStreamClosed)
		require.NotErrorIs(t, err, letta.ErrStreamTruncated)
		streamError(t, err)
		<-gone
		require.Len(t, s.seen(""), 1)
	}
}

func TestCloseWhileResuming(t *testing.T) {
	t.Parallel()
	resumed := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if resumeOf(r) < 0 {
			sse(w, strings.Replace(textFrame, "{", `{"seq_id":1,`, 1))
			return
		}
		close(resumed)
		hang(w, r)
	})
	stream, err := s.client(t).Agents.Messages.Stream(streamContext(t), streamAgent, helloBackground())
	require.NoError(t, err)
	go func() { <-resumed; _ = stream.Close() }()
	_, err = stream.Collect()
	require.ErrorIs(t, err, letta.ErrStreamClosed)
}

func TestClosedStreamShowsNothingMore(t *testing.T) {
	t.Parallel()
	stream, err := serve(t, sendStream(strings.Repeat(textFrame, 20), stopFrame, doneFrame)).client(t).Agents.Messages.Stream(streamContext(t), streamAgent, helloParams())
	require.NoError(t, err)
	n := 0
	for _, e := range stream.Messages() {
		if err = e; e == nil {
			n++
			require.NoError(t, stream.Close())
		}
	}
	require.Equal(t, 1, n)
	require.ErrorIs(t, err, letta.ErrStreamClosed)
}

func TestClosedBeforeRead(t *testing.T) {
	t.Parallel()
	stream, err := serve(t, stallStream(pingFrame)).client(t).Agents.Messages.Stream(streamContext(t), streamAgent, helloParams())
	require.NoError(t, err)
	require.NoError(t, stream.Close())
	require.NoError(t, stream.Close())
	turn, err := stream.Collect()
	require.ErrorIs(t, err, letta.ErrStreamClosed)
	require.NotNil(t, turn)
}

func TestLeavingTheLoopClosesTheConnection(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		stallStream(pingFrame, textFrame, textFrame)(w, r)
	})
	stream, err := s.client(t).Agents.Messages.Stream(streamContext(t), streamAgent, helloParams())
	require.NoError(t, err)
	for m, err := range stream.Messages() {
		require.NoError(t, err)
		require.NotNil(t, m)
		break
	}
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		t.Fatal("the server still has the connection")
	}
	require.Equal(t, "hi", stream.Result().Text())
	require.Len(t, s.seen(""), 1)
}

func TestConnectionIsReused(t *testing.T) {
	t.Parallel()
	for name, frames := range map[string][]string{
		"to DONE":      {pingFrame, textFrame, stopFrame, usageFrame, doneFrame},
		"without DONE": {pingFrame, textFrame, stopFrame},
		"with error":   {pingFrame, strings.Replace(stopFrame, "end_turn", "error", 1), errorFrame, doneFrame},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, sendStream(frames...))
			client := s.client(t)
			const streams = 10
			for range streams {
				stream, err := client.Agents.Messages.Stream(streamContext(t), streamAgent, helloParams())
				require.NoError(t, err)
				_, _ = stream.Collect()
			}
			connections := map[string]bool{}
			for _, r := range s.seen("") {
				connections[r.Remote] = true
			}
			require.LessOrEqual(t, len(connections), 2, "%d streams; one connection is the rule, one more a busy machine", streams)
		})
	}
}

func TestStreamsOverHTTP2(t *testing.T) {
	t.Parallel()
	frames := recordedFrames(t, "agents.messages.create.stream_background")
	var protocol atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protocol.Store(int32(r.ProtoMajor))
		replayStream(frames)(w, r)
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	hc := s.Client()
	t.Cleanup(hc.CloseIdleConnections)
	client, err := letta.NewClient(letta.WithBaseURL(s.URL), letta.WithHTTPClient(hc))
	require.NoError(t, err)
	for k := 1; k <= len(frames); k++ {
		e := streamEnding{frames: k, abort: k%2 == 0, tail: 9 * (k % 3)}
		stream, err := client.Agents.Messages.Stream(streamContext(t), streamAgent, helloBackground(), e.option())
		require.NoError(t, err)
		turn, err := stream.Collect()
		require.NoError(t, err)
		require.Equal(t, "You said: one two three", turn.Text())
		if k < 6 {
			stream, err = client.Agents.Messages.Stream(streamContext(t), streamAgent, helloParams(), e.option())
			require.NoError(t, err)
			_, err = stream.Collect()
			require.ErrorIs(t, err, letta.ErrStreamTruncated)
		}
	}
	require.EqualValues(t, 2, protocol.Load())
}

// --- 5. accumulation -----------------------------------------------------------------------------------------

// TestResultsAgree: a streamed turn gives what the same turn gives when it is answered as a whole.
func TestResultsAgree(t *testing.T) {
	t.Parallel()
	memory := regexp.MustCompile(`"message": "[^,]*",|"time": "[^"]*"`) // what depends on the turns before
	shape := func(r *letta.Turn) string {
		var b strings.Builder
		for _, m := range r.Messages {
			fmt.Fprintf(&b, "%T\n", m)
			if m, ok := m.(*letta.AssistantMessage); ok {
				fmt.Fprintln(&b, memory.ReplaceAllString(m.Content.String(), ""))
			}
		}
		for _, c := range append(r.ToolCalls(), r.PendingCalls()...) {
			fmt.Fprintln(&b, c.Name, c.Arguments, c.ToolCallID != "")
		}
		usage := r.Usage
		usage.MessageType = ""
		fmt.Fprintf(&b, "%+v %v", usage, r.StopReason)
		return b.String()
	}
	for whole, streams := range map[string][]string{
		"tool_call":            {"stream_tool_call", "stream_tool_call_tokens"},
		"parallel_tool_calls":  {"stream_parallel_tool_calls", "stream_parallel_tool_calls_tokens"},
		"approval_request":     {"stream_approval_request", "stream_approval_request_tokens"},
		"approval_request_two": {"stream_approval_request_two", "stream_approval_request_two_tokens"},
		"client_tool_call":     {"stream_client_tool_call"},
		"max_steps":            {"stream_max_steps"},
	} {
		x, ok := apispec.Recording(apispec.ServerV1, "agents.messages.create."+whole)
		require.True(t, ok, whole)
		response, err := serve(t, reply(200, string(x.Body))).client(t).Agents.Messages.Create(t.Context(), streamAgent, helloParams())
		require.NoError(t, err)
		for _, name := range streams {
			stream, err := serve(t, sendStream(recordedFrames(t, "agents.messages.create."+name)...)).client(t).Agents.Messages.Stream(streamContext(t), streamAgent, helloParams())
			require.NoError(t, err)
			turn, err := stream.Collect()
			require.NoError(t, err)
			if whole != "max_steps" { // two recordings with other arguments
				assert.Equal(t, shape(response), shape(turn), name)
			}
			assert.Equal(t, response.StopReason, turn.StopReason, name)
			assert.Len(t, turn.RunIDs, 1)
		}
	}
	texts := map[string]bool{}
	for _, name := range []string{"stream_tokens", "stream_steps", "stream_background", "stream_background_steps"} {
		stream, err := serve(t, sendStream(recordedFrames(t, "agents.messages.create."+name)...)).client(t).Agents.Messages.Stream(streamContext(t), streamAgent, helloParams())
		require.NoError(t, err)
		turn, err := stream.Collect()
		require.NoError(t, err)
		texts[shape(turn)] = true
	}
	require.Len(t, texts, 1)
}

func TestResultInTheMiddle(t *testing.T) {
	t.Parallel()
	frames := recordedFrames(t, "agents.messages.create.stream_parallel_tool_calls_tokens")
	client := serve(t, sendStream(frames...)).client(t)
	read := func(look bool) (*letta.Turn, int) {
		stream, err := client.Agents.Messages.Stream(streamContext(t), streamAgent, helloParams())
		require.NoError(t, err)
		n := 0
		for m, err := range stream.Messages() {
			require.NoError(t, err)
			n++
			if look {
				first, second := stream.Result(), stream.Result()
				require.Equal(t, first, second)
				require.False(t, first.Complete())
				before := toJSON(t, m)
				for _, whole := range first.Messages { // what is given out is the caller's
					switch whole := whole.(type) {
					case *letta.AssistantMessage:
						whole.Content.Text = "changed"
					case *letta.ToolCallMessage:
						whole.ToolCalls[0].Arguments, whole.ToolCall.Name = "changed", "changed"
					}
				}
				require.Equal(t, before, toJSON(t, m))
			}
		}
		return stream.Result(), n
	}
	plain, n := read(false)
	looked, m := read(true)
	require.Equal(t, n, m)
	require.Equal(t, plain, looked)
}

func TestTurnAsJSON(t *testing.T) {
	t.Parallel()
	stream, err := serve(t, sendStream(pingFrame, textFrame, stopFrame, errorFrame, doneFrame)).client(t).Agents.Messages.Stream(streamContext(t), streamAgent, helloParams())
	require.NoError(t, err)
	turn, err := stream.Collect()
	require.NoError(t, err)
	var again letta.Turn
	require.NoError(t, json.Unmarshal([]byte(toJSON(t, turn)), &again))
	require.Equal(t, turn.Messages, again.Messages)
	require.Equal(t, turn.RunIDs, again.RunIDs)
	require.Equal(t, toJSON(t, turn.Warnings), toJSON(t, again.Warnings))
	require.ErrorIs(t, again.Warnings[0], letta.ErrProvider)
}

// --- 8. cuts at random places ----------------------------------------------------------------------------------

func TestStreamsCutAtRandom(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	var all [][]string
	for _, frames := range backgroundFrames(t) {
		all = append(all, frames)
	}
	// One connection sends some frames, perhaps a part of the next, and ends somehow. Each makes progress, so that
	// no resume has to wait.
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.ParseUint(r.Header.Get("X-Seed"), 10, 64)
		frames := all[n%uint64(len(all))]
		seq := resumeOf(r)
		random := rand.New(rand.NewPCG(seed^n, uint64(seq+1)))
		rest := framesAfter(frames, seq)
		if seq > 0 && random.IntN(4) == 0 {
			rest = append(slices.Clone(frames[:random.IntN(3)]), rest...) // replayed
		}
		size, whole := len(strings.Join(rest[:min(len(rest), 4)], "")), strings.Join(rest, "")
		sse(w, whole[:min(len(whole), size+random.IntN(len(whole)+size))])
		if random.IntN(2) == 0 {
			panic(http.ErrAbortHandler)
		}
	})
	client := s.client(t)
	want := make([][]string, len(all))
	for i, frames := range all {
		stream, err := serve(t, sendStream(frames...)).client(t).Agents.Messages.Stream(streamContext(t), streamAgent, helloBackground())
		require.NoError(t, err)
		want[i], err = watchStream(t, stream)
		require.NoError(t, err)
	}
	for range 5 {
		var batch sync.WaitGroup
		for range 40 {
			n := rand.Uint64()
			batch.Go(func() {
				stream, err := client.Agents.Messages.Stream(streamContext(t), streamAgent, helloBackground(), letta.WithHeader("X-Seed", strconv.FormatUint(n, 10)), letta.WithIdleTimeout(10*time.Second))
				if !assert.NoError(t, err) {
					return
				}
				var shown []string
				for m, err := range stream.Messages() {
					if !assert.NoError(t, err, "seed %d, stream %d", seed, n) {
						return
					}
					data, _ := json.Marshal(m)
					shown = append(shown, string(data))
				}
				assert.Equal(t, want[n%uint64(len(all))], shown, "seed %d, stream %d", seed, n)
			})
		}
		batch.Wait()
	}
}

// --- 9. fuzzing ------------------------------------------------------------------------------------------------

func FuzzStream(f *testing.F) {
	for _, name := range []string{"stream_tokens", "stream_tool_call_tokens", "stream_approval_request_two_tokens", "stream_provider_429", "stream_cancelled", "stream_background"} {
		text := strings.Join(recordedFrames(f, "agents.messages.create."+name), "")
		f.Add([]byte(text))
		f.Add([]byte(text[:len(text)*2/3]))
		f.Add([]byte(strings.ReplaceAll(text, "\n", "\r\n")))
	}
	for _, text := range []string{"", "data: null\n\n", "data: 1\n\ndata:\n\n", "data: [DONE]", "event: error\ndata: {\"error\":[]}\n\n", `data: {"message_type":"tool_call_message","tool_calls":[{}]}` + "\n\n", `data: {"message_type":"usage_statistics","completion_tokens":1e400}` + "\n\n", "data: \"\\ud800\"\n\n"} {
		f.Add([]byte(text))
	}
	var body []byte
	client, err := letta.NewClient(letta.WithBaseURL("http://localhost:8283"), letta.WithMaxEvent(1<<16), letta.WithHTTPClient(&http.Client{
		Transport: roundTrip(func(r *http.Request) (*http.Response, error) { return eventStream(r, body), nil }),
	}))
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, data []byte) {
		body = data
		stream, err := client.Agents.Messages.Stream(t.Context(), streamAgent, helloParams())
		require.NoError(t, err)
		n := 0
		for m, e := range stream.Messages() {
			require.NoError(t, err)
			if err = e; e == nil {
				require.NotNil(t, m)
				require.NotNil(t, m.Common())
				n++
			}
		}
		turn := stream.Result()
		require.LessOrEqual(t, len(turn.Messages), n)
		if err != nil {
			require.NotEmpty(t, streamError(t, err).Error())
			return
		}
		require.True(t, turn.Complete() || strings.Contains(string(data), "[DONE]"), "%+v", turn.StopReason)
	})
}

// eventStream is an answer from memory.
func eventStream(r *http.Request, body []byte) *http.Response {
	resp, _ := answer(r, 200, string(body))
	resp.Header.Set("Content-Type", "text/event-stream")
	return resp
}
