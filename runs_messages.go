package letta

import (
	"context"
	"iter"
	"net/http"
)

// RunMessageService is client.Runs.Messages: the messages of a run.
type RunMessageService struct{ core *core }

// List gets one page of the run's messages, oldest first.
func (s *RunMessageService) List(ctx context.Context, id RunID, params *RunMessageListParams, opts ...RequestOption) ([]Message, error) {
	return do[[]Message](ctx, s.core, request{op: Operation{"runs.messages.list", http.MethodGet, "/v1/runs/{run_id}/messages"}, ids: []any{id}, query: params}, opts)
}

// ListAll walks over all messages of the run, page by page: oldest first, or newest first if Order is OrderDesc.
func (s *RunMessageService) ListAll(ctx context.Context, id RunID, params *RunMessageListParams, opts ...RequestOption) iter.Seq2[Message, error] {
	return history("runs.messages.list_all", params, (*RunMessageListParams).cursors, false,
		func(p *RunMessageListParams) ([]Message, error) { return s.List(ctx, id, p, opts...) })
}

func (p *RunMessageListParams) cursors() (order *Order, after, before *MessageID) {
	return &p.Order, &p.After, &p.Before
}

// Stream gives the events of a background run, which may have ended. It resumes by itself. A server keeps the events for
// some hours; a run that was not in the background is ErrBadRequest.
func (s *RunMessageService) Stream(ctx context.Context, id RunID, params *RunMessageStreamParams, opts ...RequestOption) (*MessageStream, error) {
	return thread{core: s.core}.attach(ctx, runStream(id), params, id, opts)
}

func runStream(id RunID) request {
	return request{op: Operation{"runs.messages.stream", http.MethodPost, "/v1/runs/{run_id}/stream"}, ids: []any{id}, turn: true, stream: true}
}

// streamRun is the request for the events of a background run after one of them; 0 for all.
func streamRun(id RunID, after int) request {
	r := runStream(id)
	r.body = (&RunMessageStreamParams{StartingAfter: after}).body()
	return r
}

// attach sends r, whose answer is the stream of a turn that has begun before. It takes no lock: whoever sent the turn has it.
func (t thread) attach(ctx context.Context, r request, params *RunMessageStreamParams, run RunID, opts []RequestOption) (*MessageStream, error) {
	p := copyOf(params)
	r.body, r.turn, r.stream = p.body(), true, true
	cfg, err := t.core.resolveFor(r.op.Name, accepts{streams: true}, opts, r.ids...)
	if err != nil {
		return nil, err
	}
	reader := t.reader(r, cfg)
	reader.resumable, reader.attached = true, true
	reader.sequence = sequence{last: p.StartingAfter, begin: p.StartingAfter}
	reader.seq.Store(int64(p.StartingAfter))
	reader.named(run)
	return reader.open(ctx, r)
}

// RunMessageStreamParams say where to begin, and for Conversations.Messages.Resume of which turn.
type RunMessageStreamParams struct {
	// AgentID is for the conversation "default".
	AgentID AgentID `json:"agent_id,omitzero"`
	// BatchSize is how many events the server reads at a time; its default is 100.
	BatchSize int `json:"batch_size,omitzero"`
	// Otid is that of a message of the turn.
	Otid string `json:"otid,omitzero"`
	// PollInterval is how long the server waits for new events, in seconds; its default is 0.1.
	PollInterval float64 `json:"poll_interval,omitzero"`
	RunID        RunID   `json:"run_id,omitzero"`
	// StartingAfter is the sequence number of the last event that is known; 0 for none.
	StartingAfter int `json:"starting_after,omitzero"`
}

// body asks for the known event once more, which the stream drops: to a request for what comes after the end of a run,
// Letta 0.16.8 answers nothing at all, not even headers, as a server does that is merely slow.
func (p *RunMessageStreamParams) body() any {
	type fields RunMessageStreamParams
	sent := fields(*p)
	sent.StartingAfter = max(0, p.StartingAfter-1)
	return &struct {
		*fields
		IncludePings bool `json:"include_pings"`
	}{&sent, true}
}

// RunMessageListParams page the messages of a run.
type RunMessageListParams struct {
	// After gets newer messages, Before older ones, whatever the order. ListAll does that by itself.
	After  MessageID `url:"after,omitempty"`
	Before MessageID `url:"before,omitempty"`
	// Limit is the length of a page; the server's default is 100.
	Limit   int     `url:"limit,omitempty"`
	Order   Order   `url:"order,omitempty"`
	OrderBy OrderBy `url:"order_by,omitempty"`
}
