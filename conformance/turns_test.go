package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
)

// The turns below say what the model is to do, in the words of the scripted provider of scripts/letta-server and of
// lettatest's default script: CALL tool {json}, SLOW ms text, FAIL status; anything else is answered "You said: ...".

// say are the params of a message of the user.
func say(text string) *letta.AgentMessageCreateParams {
	return &letta.AgentMessageCreateParams{Messages: []letta.MessageInput{letta.UserText(text)}}
}

// tokens are the params of a stream of tokens.
func tokens(text string, background bool) *letta.AgentMessageCreateParams {
	params := say(text)
	params.StreamTokens, params.Background = true, background
	return params
}

// talker makes an agent for turns; memory_insert is a tool that it has.
func talker(t *testing.T, change ...func(*letta.AgentCreateParams)) *letta.AgentState {
	t.Helper()
	needs(t, "turns")
	params := basic(unique("talker"))
	params.IncludeBaseTools = letta.Opt[bool]{}
	params.MemoryBlocks = []letta.CreateBlock{{Label: "human", Value: "x"}}
	for _, f := range change {
		f(params)
	}
	return create(t.Context(), t, params)
}

func needsApproval(params *letta.AgentCreateParams) {
	params.ToolRules = []letta.ToolRule{&letta.RequiresApprovalToolRule{ToolName: "memory_insert"}}
	params.ModelSettings = &letta.OpenAIModelSettings{ParallelToolCalls: letta.Some(true)}
}

const insert = `CALL memory_insert {"label": "human", "new_string": "%s"}`

func kinds(messages []letta.Message) []string {
	out := []string{}
	for _, m := range messages {
		out = append(out, strings.TrimPrefix(fmt.Sprintf("%T", m), "*letta."))
	}
	return out
}

func TestTurn(t *testing.T) {
	ctx := begin(t)
	agent := talker(t)
	response, err := server.client.Agents.Messages.Create(ctx, agent.ID, say("one two three"))
	require.NoError(t, err)
	assert.Equal(t, "You said: one two three", response.Text())
	assert.Equal(t, letta.StopReasonEndTurn, response.StopReason)
	assert.True(t, response.Complete())
	assert.Equal(t, 15, response.Usage.TotalTokens)

	response, err = server.client.Agents.Messages.Create(ctx, agent.ID, say(fmt.Sprintf(insert, "likes tea")))
	require.NoError(t, err)
	assert.Equal(t, []string{"ToolCallMessage", "ToolReturnMessage", "AssistantMessage"}, kinds(response.Messages))
	require.Len(t, response.ToolCalls(), 1)
	assert.Equal(t, "memory_insert", response.ToolCalls()[0].Name)
	assert.JSONEq(t, `{"label": "human", "new_string": "likes tea"}`, response.ToolCalls()[0].Arguments)
	assert.Empty(t, response.PendingCalls())

	latest, err := server.client.Agents.Messages.Latest(ctx, agent.ID, 3)
	require.NoError(t, err)
	assert.Equal(t, []string{"ToolCallMessage", "ToolReturnMessage", "AssistantMessage"}, kinds(latest))
	all := collectMessages(t, server.client.Agents.Messages.ListAll(ctx, agent.ID, &letta.AgentMessageListParams{Limit: 2}))
	assert.Equal(t, []string{"SystemMessage", "UserMessage", "AssistantMessage", "UserMessage", "ToolCallMessage", "ToolReturnMessage", "AssistantMessage"}, kinds(all))
	backwards := collectMessages(t, server.client.Agents.Messages.ListAll(ctx, agent.ID, &letta.AgentMessageListParams{Limit: 3, Order: letta.OrderDesc}))
	slices.Reverse(backwards)
	assert.Equal(t, messageIDs(all), messageIDs(backwards))
	state, err := server.client.Agents.Messages.Reset(ctx, agent.ID, nil)
	require.NoError(t, err)
	assert.Len(t, state.MessageIDs, 1, "the context is the system message alone")
}

func collectMessages(t *testing.T, walk func(func(letta.Message, error) bool)) []letta.Message {
	t.Helper()
	var all []letta.Message
	for m, err := range walk {
		require.NoError(t, err)
		all = append(all, m)
	}
	return all
}

func messageIDs(messages []letta.Message) []letta.MessageID {
	var out []letta.MessageID
	for _, m := range messages {
		out = append(out, m.Common().ID)
	}
	return out
}

func TestStreams(t *testing.T) {
	for _, test := range []struct {
		name       string
		params     func(string) *letta.AgentMessageCreateParams
		background bool
	}{
		{"steps", say, false},
		{"tokens", func(text string) *letta.AgentMessageCreateParams { return tokens(text, false) }, false},
		{"background", func(text string) *letta.AgentMessageCreateParams { return tokens(text, true) }, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx := begin(t)
			agent := talker(t)
			for text, want := range map[string][]string{
				"one two three":                     {"AssistantMessage"},
				fmt.Sprintf(insert, "likes coffee"): {"ToolCallMessage", "ToolReturnMessage", "AssistantMessage"},
			} {
				stream, err := server.client.Agents.Messages.Stream(ctx, agent.ID, test.params(text))
				require.NoError(t, err)
				turn, err := stream.Collect()
				require.NoError(t, err)
				assert.Equal(t, want, kinds(turn.Messages))
				assert.Equal(t, letta.StopReasonEndTurn, turn.StopReason)
				assert.Positive(t, turn.Usage.TotalTokens)
				assert.Equal(t, []letta.RunID{stream.RunID()}, turn.RunIDs)
				assert.Equal(t, test.background, stream.LastSeq() > 0)
				if len(want) == 1 {
					assert.Equal(t, "You said: one two three", turn.Text())
				} else {
					assert.JSONEq(t, `{"label": "human", "new_string": "likes coffee"}`, turn.ToolCalls()[0].Arguments)
				}
				run, err := server.client.Runs.Wait(ctx, stream.RunID())
				require.NoError(t, err)
				assert.Equal(t, letta.RunStatusCompleted, run.Status)
			}
			stream, err := server.client.Agents.Messages.Stream(ctx, agent.ID, test.params("FAIL 429"))
			require.NoError(t, err)
			_, err = stream.Collect()
			var failure *letta.StreamError
			require.ErrorAs(t, err, &failure)
			assert.ErrorIs(t, err, letta.ErrProvider)
			assert.Equal(t, "llm_rate_limit", failure.Type)
			assert.Equal(t, stream.RunID(), failure.RunID)
		})
	}
}

// cutter is a transport that cuts the body of a stream after some frames, once per element of after.
type cutter struct {
	http.Transport
	mu    sync.Mutex
	after []int
	posts []string
}

func (c *cutter) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.Transport.RoundTrip(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.Method == http.MethodPost {
		c.posts = append(c.posts, r.URL.Path)
	}
	if err == nil && strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") && len(c.after) > 0 {
		resp.Body = &cutBody{resp.Body, c.after[0]}
		c.after = c.after[1:]
	}
	return resp, err
}

type cutBody struct {
	io.ReadCloser
	frames int
}

func (b *cutBody) Read(p []byte) (int, error) {
	if b.frames <= 0 {
		b.Close()
		return 0, errors.New("cut by the test")
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), 64)]) // less than a frame, so that a cut may fall into one
	b.frames -= bytes.Count(p[:n], []byte("\n\n"))
	return n, err
}

func TestResume(t *testing.T) {
	ctx := begin(t)
	agent := talker(t)
	transport := &cutter{after: []int{2, 1, 3}}
	client := newClient(t, letta.WithHTTPClient(&http.Client{Transport: transport}))
	text := "SLOW 60 a b c d e f g h i j"
	stream, err := client.Agents.Messages.Stream(ctx, agent.ID, tokens(text, true))
	require.NoError(t, err)
	var pieces []string
	for m, err := range stream.Messages() {
		require.NoError(t, err)
		pieces = append(pieces, m.(*letta.AssistantMessage).Content.String())
	}
	assert.Equal(t, strings.Split("a, b, c, d, e, f, g, h, i, j", ","), pieces)
	turn := stream.Result()
	assert.Equal(t, "a b c d e f g h i j", turn.Text())
	assert.Equal(t, letta.StopReasonEndTurn, turn.StopReason)
	require.Len(t, transport.posts, 4)
	for _, path := range transport.posts[1:] {
		assert.Equal(t, "/v1/runs/"+string(stream.RunID())+"/stream", path)
	}
	stored := collectMessages(t, client.Agents.Messages.ListAll(ctx, agent.ID, nil))
	assert.Equal(t, []string{"SystemMessage", "UserMessage", "AssistantMessage"}, kinds(stored), "one message of the user")

	// From another process, from any point, also after the end.
	again, err := server.client.Runs.Messages.Stream(ctx, stream.RunID(), &letta.RunMessageStreamParams{StartingAfter: 4})
	require.NoError(t, err)
	rest, err := again.Collect()
	require.NoError(t, err)
	assert.Equal(t, " d e f g h i j", rest.Text())
}

func TestCutForeground(t *testing.T) {
	ctx := begin(t)
	agent := talker(t)
	client := newClient(t, letta.WithHTTPClient(&http.Client{Transport: &cutter{after: []int{3}}}))
	stream, err := client.Agents.Messages.Stream(ctx, agent.ID, tokens("SLOW 30 a b c d e f", false))
	require.NoError(t, err)
	turn, err := stream.Collect()
	require.ErrorIs(t, err, letta.ErrStreamTruncated)
	assert.NotEqual(t, "a b c d e f", turn.Text())
	assert.NotEmpty(t, stream.RunID())
	_, err = client.Runs.Messages.Stream(ctx, stream.RunID(), &letta.RunMessageStreamParams{StartingAfter: 0})
	require.ErrorIs(t, err, letta.ErrBadRequest, "a run that was not in the background is not kept")
}

func TestCancel(t *testing.T) {
	ctx := begin(t)
	agent := talker(t)
	stream, err := server.client.Agents.Messages.Stream(ctx, agent.ID, tokens("SLOW 200 a b c d e f g h i j k l m n o p q r s t u v w x y z", false))
	require.NoError(t, err)
	for _, err := range stream.Messages() {
		require.NoError(t, err)
		_, err = server.client.Agents.Messages.Cancel(ctx, agent.ID, &letta.AgentMessageCancelParams{RunIDs: []letta.RunID{stream.RunID()}})
		require.NoError(t, err)
		break
	}
	run, err := server.client.Runs.Wait(ctx, stream.RunID())
	require.NoError(t, err)
	assert.Equal(t, letta.RunStatusCancelled, run.Status)

	// The end of the context: with WithCancelOnDone the run is stopped too.
	short, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err = server.client.Agents.Messages.Stream(short, agent.ID, tokens("SLOW 200 a b c d e f g h i j k l m n o p q r s t u v w x y z", false), letta.WithCancelOnDone())
	require.NoError(t, err)
	var last error
	for _, last = range stream.Messages() {
		cancel()
	}
	require.ErrorIs(t, last, context.Canceled)
	run, err = server.client.Runs.Wait(ctx, stream.RunID())
	require.NoError(t, err)
	assert.Equal(t, letta.RunStatusCancelled, run.Status)

	idle := talker(t)
	_, err = server.client.Agents.Messages.Cancel(ctx, idle.ID, nil)
	require.ErrorIs(t, err, letta.ErrNoActiveRun)
}

func TestProviderFailures(t *testing.T) {
	ctx := begin(t)
	agent := talker(t)
	for status, not := range map[int]error{401: letta.ErrUnauthorized, 429: letta.ErrRateLimited, 500: letta.ErrBusy} {
		var response letta.Response
		_, err := server.client.Agents.Messages.Create(ctx, agent.ID, say(fmt.Sprintf("FAIL %d", status)), letta.WithResponse(&response))
		require.ErrorIs(t, err, letta.ErrProvider)
		assert.NotErrorIs(t, err, not)
		assert.Equal(t, 1, response.Attempts)
	}
}

func TestApprovals(t *testing.T) {
	ctx := begin(t)
	agent := talker(t, needsApproval)
	client, transport := newRecorded(t)
	pending, err := client.Agents.Messages.Pending(ctx, agent.ID)
	require.NoError(t, err)
	require.Nil(t, pending)
	_, err = client.Agents.Messages.DenyAll(ctx, agent.ID, "no", nil)
	require.ErrorIs(t, err, letta.ErrNothingPending)

	two := fmt.Sprintf(insert, "one") + "\n" + fmt.Sprintf(insert, "two")
	response, err := client.Agents.Messages.Create(ctx, agent.ID, say(two))
	require.NoError(t, err)
	assert.Equal(t, letta.StopReasonRequiresApproval, response.StopReason)
	calls := response.PendingCalls()
	require.Len(t, calls, 2, "two parallel calls wait")
	pending, err = client.Agents.Messages.Pending(ctx, agent.ID)
	require.NoError(t, err)
	assert.Equal(t, calls, pending.Calls())

	_, err = client.Agents.Messages.Create(ctx, agent.ID, say("hello?"))
	require.ErrorIs(t, err, letta.ErrPendingApproval)
	stream, err := client.Agents.Messages.Stream(ctx, agent.ID, say("hello?"))
	require.NoError(t, err)
	_, err = stream.Collect()
	require.ErrorIs(t, err, letta.ErrPendingApproval)

	yes := func(c letta.ToolCall) letta.Approval {
		return &letta.ApprovalReturn{ToolCallID: c.ToolCallID, Approve: true}
	}
	before := len(posts(transport))
	_, err = client.Agents.Messages.Respond(ctx, agent.ID, []letta.Approval{yes(calls[0])}, nil)
	require.ErrorIs(t, err, letta.ErrInvalidApprovals)
	assert.Len(t, posts(transport), before, "a partial answer is not sent")

	response, err = client.Agents.Messages.Respond(ctx, agent.ID, []letta.Approval{
		yes(calls[1]), &letta.ApprovalReturn{ToolCallID: calls[0].ToolCallID, Reason: "not that one"},
	}, nil)
	require.NoError(t, err)
	assert.Len(t, posts(transport), before+1)
	assert.Equal(t, letta.StopReasonEndTurn, response.StopReason)

	_, err = client.Agents.Messages.Create(ctx, agent.ID, say(fmt.Sprintf(insert, "three")))
	require.NoError(t, err)
	response, err = client.Agents.Messages.DenyAll(ctx, agent.ID, "no more", nil)
	require.NoError(t, err)
	assert.Equal(t, letta.StopReasonEndTurn, response.StopReason)
	pending, err = client.Agents.Messages.Pending(ctx, agent.ID)
	require.NoError(t, err)
	require.Nil(t, pending)
}

func posts(r *recorder) []string {
	return slices.DeleteFunc(r.seen(), func(line string) bool { return !strings.HasPrefix(line, "POST ") })
}

func TestApprovalStream(t *testing.T) {
	ctx := begin(t)
	agent := talker(t, needsApproval)
	for _, background := range []bool{false, true} {
		stream, err := server.client.Agents.Messages.Stream(ctx, agent.ID, tokens(fmt.Sprintf(insert, "one")+"\n"+fmt.Sprintf(insert, "two"), background))
		require.NoError(t, err)
		turn, err := stream.Collect()
		require.NoError(t, err)
		require.Len(t, turn.PendingCalls(), 2)
		for i, word := range []string{"one", "two"} {
			assert.JSONEq(t, fmt.Sprintf(`{"label": "human", "new_string": "%s"}`, word), turn.PendingCalls()[i].Arguments)
		}
		_, err = server.client.Agents.Messages.DenyAll(ctx, agent.ID, "no", nil)
		require.NoError(t, err)
	}
}

type city struct {
	City string `json:"city" jsonschema:"the name of a city"`
}

func TestClientTools(t *testing.T) {
	ctx := begin(t)
	agent := talker(t, func(p *letta.AgentCreateParams) {
		p.ModelSettings = &letta.OpenAIModelSettings{ParallelToolCalls: letta.Some(true)}
	})
	weather, err := letta.NewTool("weather", "Tells the weather.", func(_ context.Context, in city) (map[string]any, error) {
		if in.City == "Atlantis" {
			return nil, errors.New("sunk")
		}
		return map[string]any{"city": in.City, "rain": true}, nil
	})
	require.NoError(t, err)
	response, err := server.client.Agents.Messages.RunTools(ctx, agent.ID, say("CALL weather {\"city\": \"Oslo\"}\nCALL weather {\"city\": \"Atlantis\"}"), &letta.ToolRun{Tools: []*letta.FuncTool{weather}})
	require.NoError(t, err)
	assert.Equal(t, letta.StopReasonEndTurn, response.StopReason)
	data, err := json.Marshal(response.Messages)
	require.NoError(t, err)
	assert.Contains(t, string(data), "Oslo")
	assert.Contains(t, string(data), "sunk")
	assert.Empty(t, response.PendingCalls())
}

func TestConversations(t *testing.T) {
	ctx := begin(t)
	agent := talker(t)
	one, err := server.client.Conversations.Create(ctx, &letta.ConversationCreateParams{AgentID: agent.ID})
	require.NoError(t, err)
	two, err := server.client.Conversations.Create(ctx, &letta.ConversationCreateParams{AgentID: agent.ID})
	require.NoError(t, err)
	response, err := server.client.Conversations.Messages.Create(ctx, one.ID, say("in one"))
	require.NoError(t, err)
	assert.Equal(t, "You said: in one", response.Text())
	stream, err := server.client.Conversations.Messages.Stream(ctx, two.ID, tokens("in two", true))
	require.NoError(t, err)
	turn, err := stream.Collect()
	require.NoError(t, err)
	assert.Equal(t, "You said: in two", turn.Text())

	for _, limit := range []int{1, 2, 50} {
		for _, order := range []letta.Order{letta.OrderAsc, letta.OrderDesc} {
			history := collectMessages(t, server.client.Conversations.Messages.ListAll(ctx, one.ID, &letta.ConversationMessageListParams{Limit: limit, Order: order}))
			if order == letta.OrderDesc {
				slices.Reverse(history)
			}
			assert.Equal(t, []string{"SystemMessage", "UserMessage", "AssistantMessage"}, kinds(history), "%d %s", limit, order)
		}
	}
	latest, err := server.client.Conversations.Messages.Latest(ctx, one.ID, 2)
	require.NoError(t, err)
	assert.Equal(t, []string{"UserMessage", "AssistantMessage"}, kinds(latest))

	// A second stream in the same conversation meets a turn that goes on.
	stream, err = server.client.Conversations.Messages.Stream(ctx, one.ID, tokens("SLOW 150 a b c d e f g h i j k l", false))
	require.NoError(t, err)
	for range stream.Messages() {
		_, err = server.client.Conversations.Messages.Stream(ctx, one.ID, tokens("me too", false))
		require.ErrorIs(t, err, letta.ErrBusy)
		var busy *letta.APIError
		require.ErrorAs(t, err, &busy)
		assert.Equal(t, stream.RunID(), busy.RunID)
		break
	}
	_, err = server.client.Conversations.Cancel(ctx, one.ID, nil)
	require.NoError(t, err)
	_, err = server.client.Runs.Wait(ctx, stream.RunID())
	require.NoError(t, err)

	require.NoError(t, server.client.Conversations.Delete(ctx, two.ID))
	_, err = server.client.Conversations.Retrieve(ctx, two.ID)
	require.ErrorIs(t, err, letta.ErrNotFound)
	left, err := server.client.Conversations.List(ctx, &letta.ConversationListParams{AgentID: agent.ID})
	require.NoError(t, err)
	require.Len(t, left, 1)
	assert.Equal(t, one.ID, left[0].ID)
}

func TestSameOtidJoins(t *testing.T) {
	ctx := begin(t)
	agent := talker(t)
	conversation, err := server.client.Conversations.Create(ctx, &letta.ConversationCreateParams{AgentID: agent.ID})
	require.NoError(t, err)
	params := tokens("SLOW 80 a b c d e f", true)
	params.Messages[0].(*letta.MessageCreate).Otid = unique("otid")
	first, err := server.client.Conversations.Messages.Stream(ctx, conversation.ID, params)
	require.NoError(t, err)
	var second *letta.Turn
	for range first.Messages() {
		if second == nil { // a webhook that is delivered twice
			stream, err := server.client.Conversations.Messages.Stream(ctx, conversation.ID, params)
			require.NoError(t, err)
			second, err = stream.Collect()
			require.NoError(t, err)
			assert.Equal(t, first.RunID(), stream.RunID())
		}
	}
	assert.Equal(t, "a b c d e f", second.Text())
	assert.Equal(t, "a b c d e f", first.Result().Text())
	stored := collectMessages(t, server.client.Conversations.Messages.ListAll(ctx, conversation.ID, nil))
	assert.Equal(t, []string{"SystemMessage", "UserMessage", "AssistantMessage"}, kinds(stored))
}

func TestAsyncAndRuns(t *testing.T) {
	ctx := begin(t)
	agent := talker(t)
	//lint:ignore SA1019 Letta 0.16.8 has it
	run, err := server.client.Agents.Messages.CreateAsync(ctx, agent.ID, &letta.AgentMessageCreateAsyncParams{Messages: []letta.MessageInput{letta.UserText("later")}})
	require.NoError(t, err)
	run, err = server.client.Runs.Wait(ctx, run.ID)
	require.NoError(t, err)
	assert.Equal(t, letta.RunStatusCompleted, run.Status)
	assert.WithinDuration(t, time.Now(), run.CompletedAt, time.Hour, "a time without a zone is UTC")
	messages := collectMessages(t, server.client.Runs.Messages.ListAll(ctx, run.ID, nil))
	assert.Contains(t, kinds(messages), "AssistantMessage")
	usage, err := server.client.Runs.Usage.Retrieve(ctx, run.ID)
	require.NoError(t, err)
	assert.Equal(t, 15, usage.TotalTokens)
	for range 3 {
		_, err := server.client.Agents.Messages.Create(ctx, agent.ID, say("again"))
		require.NoError(t, err)
	}
	for _, order := range []letta.Order{letta.OrderAsc, letta.OrderDesc} {
		seen := map[letta.RunID]bool{}
		for run, err := range server.client.Runs.ListAll(ctx, &letta.RunListParams{AgentID: agent.ID, Limit: 2, Order: order}) {
			require.NoError(t, err)
			seen[run.ID] = true
		}
		assert.Len(t, seen, 4, order)
	}
	steps, err := server.client.Runs.Steps.List(ctx, run.ID, nil)
	require.NoError(t, err)
	require.NotEmpty(t, steps)
	step, err := server.client.Steps.Retrieve(ctx, steps[0].ID)
	require.NoError(t, err)
	assert.Equal(t, run.ID, step.RunID)
}
