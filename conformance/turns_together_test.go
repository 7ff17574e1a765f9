package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
)

// Tests of turns with several requests: of several people, processes or connections.

// place is an agent's own messages, or a conversation of it. The agent of the conversation "default" has to be named.
type place struct {
	agent        letta.AgentID
	conversation letta.ConversationID
}

// places have an agent each, made when it is asked for.
var places = map[string]func(ctx context.Context, t *testing.T) place{
	"agent":   func(_ context.Context, t *testing.T) place { return place{agent: talker(t, needsApproval).ID} },
	"default": func(_ context.Context, t *testing.T) place { return place{talker(t, needsApproval).ID, "default"} },
	"conversation": func(ctx context.Context, t *testing.T) place {
		agent := talker(t, needsApproval)
		conversation, err := server.client.Conversations.Create(ctx, &letta.ConversationCreateParams{AgentID: agent.ID})
		require.NoError(t, err)
		return place{agent.ID, conversation.ID}
	},
}

// params of a turn; of an answer without a text.
func (p place) params(text string) *letta.AgentMessageCreateParams {
	params := &letta.AgentMessageCreateParams{}
	if text != "" {
		params = say(text)
	}
	if p.conversation == "default" {
		params.AgentID = p.agent
	}
	return params
}

func (p place) runTools(ctx context.Context, c *letta.Client, text string, run *letta.ToolRun) (*letta.Turn, error) {
	params := p.params(text)
	params.StreamTokens = run.OnMessage != nil
	if p.conversation == "" {
		return c.Agents.Messages.RunTools(ctx, p.agent, params, run)
	}
	return c.Conversations.Messages.RunTools(ctx, p.conversation, params, run)
}

func (p place) respondTools(ctx context.Context, c *letta.Client, answers []letta.Approval, run *letta.ToolRun) (*letta.Turn, error) {
	if p.conversation == "" {
		return c.Agents.Messages.RespondTools(ctx, p.agent, answers, p.params(""), run)
	}
	return c.Conversations.Messages.RespondTools(ctx, p.conversation, answers, p.params(""), run)
}

func (p place) respond(ctx context.Context, c *letta.Client, answers []letta.Approval) (*letta.Turn, error) {
	if p.conversation == "" {
		return c.Agents.Messages.Respond(ctx, p.agent, answers, p.params(""))
	}
	return c.Conversations.Messages.Respond(ctx, p.conversation, answers, p.params(""))
}

func (p place) respondStream(ctx context.Context, c *letta.Client, answers []letta.Approval) (*letta.Turn, error) {
	var stream *letta.MessageStream
	var err error
	if p.conversation == "" {
		stream, err = c.Agents.Messages.RespondStream(ctx, p.agent, answers, p.params(""))
	} else {
		stream, err = c.Conversations.Messages.RespondStream(ctx, p.conversation, answers, p.params(""))
	}
	if err != nil {
		return nil, err
	}
	return stream.Collect()
}

func (p place) denyAll(ctx context.Context, c *letta.Client, _ []letta.Approval) (*letta.Turn, error) {
	if p.conversation == "" {
		return c.Agents.Messages.DenyAll(ctx, p.agent, "no", p.params(""))
	}
	return c.Conversations.Messages.DenyAll(ctx, p.conversation, "no", p.params(""))
}

func (p place) pending(ctx context.Context) (*letta.ApprovalRequestMessage, error) {
	if p.conversation == "" || p.conversation == "default" {
		return server.client.Agents.Messages.Pending(ctx, p.agent)
	}
	return server.client.Conversations.Messages.Pending(ctx, p.conversation)
}

// said is what users said, as far as it is in the context: what the model reads.
func (p place) said(ctx context.Context, t *testing.T) []string {
	t.Helper()
	if p.conversation == "" {
		return userTexts(ctx, t, retrieve(ctx, t, p.agent).MessageIDs)
	}
	state, err := server.client.Conversations.Retrieve(ctx, p.conversation)
	require.NoError(t, err)
	return userTexts(ctx, t, state.InContextMessageIDs)
}

func weatherTool(t *testing.T, f func(context.Context)) *letta.FuncTool {
	t.Helper()
	tool, err := letta.NewTool("weather", "Tells the weather.", func(ctx context.Context, in city) (string, error) {
		f(ctx)
		return "rain in " + in.City, nil
	})
	require.NoError(t, err)
	return tool
}

// TestRespondTools: a person approves in a later request, and the agent then asks for a tool of the client.
func TestRespondTools(t *testing.T) {
	ctx := slow(t)
	for _, name := range []string{"agent", "conversation"} {
		p := places[name](ctx, t)
		for _, beside := range []string{"", "\nCALL weather {\"city\": \"Rome\"}"} { // it may wait beside the call of the person too
			var ran atomic.Int32
			var shown []letta.Message
			run := &letta.ToolRun{
				Tools:     []*letta.FuncTool{weatherTool(t, func(context.Context) { ran.Add(1) })},
				OnMessage: func(m letta.Message) { shown = append(shown, m) },
			}
			text, want := fmt.Sprintf(insert, "x")+"\nTHEN CALL weather {\"city\": \"Oslo\"}", "rain in Oslo"
			if beside != "" {
				text, want = fmt.Sprintf(insert, "x")+beside, "rain in Rome"
			}
			turn, err := p.runTools(ctx, server.client, text, run)
			require.ErrorIs(t, err, letta.ErrPendingApproval, name)
			require.Zero(t, ran.Load(), "no tool runs before the person has decided")
			calls := turn.PendingCalls()
			require.NotEmpty(t, calls)
			answers := []letta.Approval{&letta.ApprovalReturn{ToolCallID: calls[0].ToolCallID, Approve: true}}

			later := newClient(t, letta.WithTurnLock(), letta.WithCancelOnDone()) // another process
			shown = nil
			turn, err = p.respondTools(ctx, later, answers, run)
			require.NoError(t, err, name)
			assert.Equal(t, letta.StopReasonEndTurn, turn.StopReason)
			data, err := json.Marshal(turn.Messages)
			require.NoError(t, err)
			assert.Contains(t, string(data), want, name)
			assert.EqualValues(t, 1, ran.Load(), "%s: or a scripted provider that does not know THEN CALL", name)
			assert.NotEmpty(t, shown)
			_, err = p.respondTools(ctx, later, answers, run)
			require.ErrorIs(t, err, letta.ErrNothingPending, "a second click")
			assert.EqualValues(t, 1, ran.Load(), name)
		}
	}
}

// TestTurnAfterRunTools: RunTools ends in the middle, and the next turn under the same lock begins at once.
func TestTurnAfterRunTools(t *testing.T) {
	const call = `CALL weather {"city": "Oslo"}`
	for where, end := range map[string]func(t *testing.T, run *letta.ToolRun, end func()) (text string){
		"in a tool": func(t *testing.T, run *letta.ToolRun, end func()) string {
			run.Tools = []*letta.FuncTool{weatherTool(t, func(context.Context) { end() })}
			return call
		},
		"at the call": func(_ *testing.T, run *letta.ToolRun, end func()) string {
			run.OnMessage = func(letta.Message) { end() }
			return call
		},
		"after a tool": func(t *testing.T, run *letta.ToolRun, end func()) string {
			var ran atomic.Bool
			run.Tools = []*letta.FuncTool{weatherTool(t, func(context.Context) { ran.Store(true) })}
			run.OnMessage = func(letta.Message) {
				if ran.Load() {
					end()
				}
			}
			return call
		},
		"while it speaks": func(_ *testing.T, run *letta.ToolRun, end func()) string {
			run.OnMessage = func(letta.Message) { end() }
			return "SLOW 100 " + strings.Repeat("word ", 100)
		},
		"in Approve": func(_ *testing.T, run *letta.ToolRun, end func()) string {
			run.Approve = func(_ context.Context, c letta.ToolCall) *letta.ApprovalReturn {
				end()
				return &letta.ApprovalReturn{Approve: true}
			}
			return fmt.Sprintf(insert, "x")
		},
	} {
		for _, how := range []string{"context", "panic"} {
			if how == "panic" && where == "in a tool" {
				continue // the model is told of it, and the turn goes on
			}
			t.Run(where+" "+how, func(t *testing.T) {
				ctx := slow(t)
				used := map[string]place{}
				for _, name := range []string{"agent", "conversation"} {
					p := places[name](ctx, t)
					used[name] = p
					client := newClient(t, letta.WithTurnLock(), letta.WithCancelOnDone())
					short, cancel := context.WithCancel(ctx)
					defer cancel()
					run := &letta.ToolRun{Tools: []*letta.FuncTool{weatherTool(t, func(context.Context) {})}}
					text := end(t, run, func() {
						if cancel(); how == "panic" {
							panic("mine")
						}
					})
					if how == "panic" {
						require.PanicsWithValue(t, "mine", func() { _, _ = p.runTools(ctx, client, text, run) })
					} else if _, err := p.runTools(short, client, text, run); err != nil || where != "after a tool" { // whose only message may end the turn
						require.ErrorIs(t, err, context.Canceled, name)
					}
					turn, err := p.runTools(ctx, client, "remember me", &letta.ToolRun{})
					require.NoError(t, err, name)
					assert.Equal(t, "You said: remember me", turn.Text(), name)
					waits, err := p.pending(ctx)
					require.NoError(t, err)
					assert.Nil(t, waits, name)
				}
				time.Sleep(2 * time.Second) // for the cancelled turns to do what they may still do
				for name, p := range used {
					assert.Contains(t, p.said(ctx, t), "remember me", name)
				}
			})
		}
	}
}

// TestTwoClicks: two processes answer the same call at once. A server runs both where it does not lock: in the agent's own
// messages, and in a conversation unless the answer is a stream. The conversation "default" is the agent's own messages with a lock.
func TestTwoClicks(t *testing.T) {
	type answer = func(p place, ctx context.Context, c *letta.Client, answers []letta.Approval) (*letta.Turn, error)
	for _, test := range []struct {
		name, place string
		answer      answer
		locked      bool
	}{
		{"Respond", "agent", place.respond, false},
		{"RespondStream", "agent", place.respondStream, false},
		{"DenyAll", "agent", place.denyAll, false},
		{"Respond", "conversation", place.respond, false},
		{"RespondStream", "conversation", place.respondStream, true},
		{"DenyAll", "conversation", place.denyAll, false},
		{"Respond", "default", place.respond, true},
		{"RespondStream", "default", place.respondStream, true},
		{"DenyAll", "default", place.denyAll, true},
	} {
		t.Run(test.name+" "+test.place, func(t *testing.T) {
			ctx := slow(t)
			p := places[test.place](ctx, t)
			_, err := p.runTools(ctx, server.client, fmt.Sprintf(insert, "x"), &letta.ToolRun{})
			require.ErrorIs(t, err, letta.ErrPendingApproval)
			waits, err := p.pending(ctx)
			require.NoError(t, err)
			answers := []letta.Approval{&letta.ApprovalReturn{ToolCallID: waits.Calls()[0].ToolCallID, Approve: true}}
			clients := []*letta.Client{newClient(t), newClient(t)}
			turns, errs := make([]*letta.Turn, 2), make([]error, 2)
			together(2, func(i int) { turns[i], errs[i] = test.answer(p, ctx, clients[i], answers) })
			answered := 0
			for i, err := range errs {
				switch {
				case err == nil && slices.Contains(kinds(turns[i].Messages), "ToolReturnMessage"):
					answered++
				case err == nil: // it came when the first had ended: the server takes it as a message that says to go on
					assert.Contains(t, turns[i].Text(), "keep-alive")
				case !errors.Is(err, letta.ErrBusy) && !errors.Is(err, letta.ErrNothingPending):
					assert.NoError(t, err)
				}
			}
			if test.locked {
				assert.Equal(t, 1, answered, "%v", errs)
			}
			assert.Positive(t, answered)
			waits, err = p.pending(ctx)
			require.NoError(t, err)
			assert.Nil(t, waits)
			turn, err := p.runTools(ctx, server.client, "and now?", &letta.ToolRun{})
			require.NoError(t, err)
			assert.Equal(t, "You said: and now?", turn.Text())
		})
	}
}

// proxy passes connections on to the server, and cuts each when so many bytes have come back.
type proxy struct {
	url   string
	bytes atomic.Int64
	cuts  atomic.Int32
	turns atomic.Int32 // that were sent
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	to, err := url.Parse(server.url)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{url: "http://" + l.Addr().String()}
	var all sync.WaitGroup
	t.Cleanup(all.Wait)
	t.Cleanup(func() { l.Close() })
	all.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer from.Close()
				back, err := net.Dial("tcp", to.Host)
				if err != nil {
					return
				}
				defer back.Close()
				all.Go(func() {
					defer back.Close()
					_, _ = io.Copy(back, io.TeeReader(from, p))
				})
				if n, _ := io.CopyN(from, back, p.bytes.Load()); n == p.bytes.Load() {
					p.cuts.Add(1)
				}
			})
		}
	})
	return p
}

// Write counts the turns in what is sent: the headers of a request come in one piece.
func (p *proxy) Write(sent []byte) (int, error) {
	p.turns.Add(int32(bytes.Count(sent, []byte("POST /v1/agents/"))))
	return len(sent), nil
}

// TestCutByBytes: a background stream over connections that end after some bytes, wherever that is.
func TestCutByBytes(t *testing.T) {
	ctx := slow(t)
	words := []string{"a"}
	for i := range 60 {
		words = append(words, fmt.Sprintf(" w%d", i))
	}
	for _, n := range []int64{1400, 2000, 3333, 5001} {
		agent := talker(t)
		p := newProxy(t)
		p.bytes.Store(n)
		own := transport.(*http.Transport).Clone()
		own.DisableKeepAlives = true
		opts := []letta.ClientOption{letta.WithBaseURL(p.url), letta.WithHTTPClient(&http.Client{Transport: noting{own}})}
		if server.password != "" { // that of the environment is for its address
			opts = append(opts, letta.WithAPIKey(server.password))
		}
		client := newClient(t, opts...)
		stream, err := client.Agents.Messages.Stream(ctx, agent.ID, tokens("SLOW 20 "+strings.Join(words, ""), true))
		require.NoError(t, err)
		var pieces []string
		for m, err := range stream.Messages() {
			require.NoError(t, err, n)
			pieces = append(pieces, m.(*letta.AssistantMessage).Content.String())
		}
		assert.Equal(t, words, pieces, n)
		assert.Equal(t, letta.StopReasonEndTurn, stream.Result().StopReason)
		assert.Positive(t, stream.Result().Usage.TotalTokens)
		assert.EqualValues(t, 1, p.turns.Load(), n)
		assert.Positive(t, p.cuts.Load(), n)
		stored := collectMessages(t, server.client.Agents.Messages.ListAll(ctx, agent.ID, nil))
		assert.Equal(t, []string{"SystemMessage", "UserMessage", "AssistantMessage"}, kinds(stored))
	}
}
