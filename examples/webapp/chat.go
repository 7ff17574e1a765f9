package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/letta-go/letta"
)

// A chat is one of the agent's conversations. The first line of its summary is the key of peruser, the second our title.
type chat struct {
	*letta.Conversation
}

func (c chat) Title() string {
	_, title, _ := strings.Cut(c.Summary, "\n")
	if title = strings.TrimSpace(title); title != "" {
		return title
	}
	return "New chat"
}

// chat gets the chat that a request names, if it is the user's. Anything else is not found, so that nobody learns which ids exist.
func (a *app) chat(r *http.Request) (chat, error) {
	ctx := r.Context()
	c, err := a.client.Conversations.Retrieve(ctx, letta.ConversationID(r.PathValue("chat")))
	if err != nil {
		return chat{}, err
	}
	owns, err := a.agents.Owns(ctx, a.user(r), c.AgentID)
	if err == nil && !owns {
		err = letta.ErrNotFound
	}
	return chat{c}, err
}

// run gets the run that a request names, if it belongs to the user's chat.
func (a *app) run(r *http.Request) (chat, *letta.Run, error) {
	c, err := a.chat(r)
	if err != nil {
		return c, nil, err
	}
	run, err := a.client.Runs.Retrieve(r.Context(), letta.RunID(r.PathValue("run")))
	if err == nil && run.ConversationID != c.ID {
		err = letta.ErrNotFound
	}
	return c, run, err
}

func (a *app) chats(r *http.Request, agent letta.AgentID) (chats []chat, _ error) {
	for c, err := range a.client.Conversations.ListAll(r.Context(), &letta.ConversationListParams{AgentID: agent}) {
		if err != nil {
			return nil, err
		}
		chats = append(chats, chat{c})
	}
	slices.SortStableFunc(chats, func(x, y chat) int { return y.CreatedAt.Compare(x.CreatedAt) })
	return chats, nil
}

type chatPage struct {
	Chats   []chat
	Current chat
	Items   []item
	Pending *approval
	Live    *live
}

// live is a turn that is under way; Asked is what it answers, which Letta stores only when the turn ends.
type live struct {
	Chat  letta.ConversationID
	Run   letta.RunID
	Asked *item
}

type approval struct {
	Chat  letta.ConversationID
	Calls []item
}

func (a *app) showChats(w http.ResponseWriter, r *http.Request, agent letta.AgentID) error {
	chats, err := a.chats(r, agent)
	if err != nil {
		return err
	}
	a.render(w, r, http.StatusOK, "chat", "Chats", chatPage{Chats: chats})
	return nil
}

func (a *app) showChat(w http.ResponseWriter, r *http.Request, _ letta.AgentID) error {
	ctx := r.Context()
	c, err := a.chat(r)
	if err != nil {
		return err
	}
	page := chatPage{Current: c}
	if page.Chats, err = a.chats(r, c.AgentID); err != nil {
		return err
	}
	// The run first: if it ends in between, its messages come twice, and the page shows them once.
	active, err := a.client.Runs.List(ctx, &letta.RunListParams{ConversationID: c.ID, Active: true, Limit: 1})
	if err != nil {
		return err
	}
	messages, err := a.client.Conversations.Messages.Latest(ctx, c.ID, 200)
	if err != nil {
		return err
	}
	switch {
	case len(active) > 0:
		run := active[0].ID
		page.Live = &live{Chat: c.ID, Run: run}
		if text := a.sessions.GetString(ctx, "asked "+string(run)); text != "" {
			page.Live.Asked = &item{Kind: "user", Text: text}
		}
		messages = slices.DeleteFunc(messages, func(m letta.Message) bool { return m.Common().RunID == run })
	case len(messages) > 0:
		if request, asks := messages[len(messages)-1].(*letta.ApprovalRequestMessage); asks {
			page.Pending = &approval{c.ID, callItems(request.Calls())}
		}
	}
	page.Items = items(messages)
	a.render(w, r, http.StatusOK, "chat", c.Title(), page)
	return nil
}

func (a *app) newChat(w http.ResponseWriter, r *http.Request, _ letta.AgentID) error {
	id, err := a.agents.Conversation(r.Context(), a.user(r), rand.Text())
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/chats/"+string(id), http.StatusSeeOther)
	return nil
}

func (a *app) deleteChat(w http.ResponseWriter, r *http.Request, _ letta.AgentID) error {
	c, err := a.chat(r)
	if err != nil {
		return err
	}
	if err := a.client.Conversations.Delete(r.Context(), c.ID); err != nil {
		return err
	}
	http.Redirect(w, r, "/chats", http.StatusSeeOther)
	return nil
}

// send starts a turn. It runs in the background at the server, so that it goes on whatever becomes of the browser.
func (a *app) send(w http.ResponseWriter, r *http.Request, _ letta.AgentID) error {
	ctx := r.Context()
	c, err := a.chat(r)
	if err != nil {
		return err
	}
	text := strings.TrimSpace(r.PostFormValue("text"))
	if text == "" {
		return errEmpty
	}
	if !a.limits[a.user(r)].Allow() {
		return errTooFast
	}
	stream, err := a.client.Conversations.Messages.Stream(ctx, c.ID, &letta.ConversationMessageCreateParams{
		Messages: []letta.MessageInput{letta.UserText(text)}, Background: true, StreamTokens: true,
	}, letta.WithPings())
	if err != nil {
		return err
	}
	run, err := began(stream)
	if err != nil {
		return err
	}
	a.sessions.Put(ctx, "asked "+string(run), text)
	if _, title, _ := strings.Cut(c.Summary, "\n"); title == "" {
		summary := c.Summary + "\n" + short(text)
		if _, err := a.client.Conversations.Update(ctx, c.ID, &letta.ConversationUpdateParams{Summary: letta.Some(summary)}); err != nil {
			a.log.Warn("a chat got no title", "error", err)
		}
	}
	a.showTurn(w, r, &live{Chat: c.ID, Run: run, Asked: &item{Kind: "user", Text: text}})
	return nil
}

// began waits for the first event of a background turn, which names its run, and leaves the turn alone then.
func began(stream *letta.MessageStream) (letta.RunID, error) {
	defer stream.Close()
	for _, err := range stream.Messages() {
		if err != nil {
			return "", err
		}
		break
	}
	if stream.RunID() == "" {
		return "", errors.New("the turn has no run")
	}
	return stream.RunID(), nil
}

// showTurn gives the script of the page what follows the turn. Without a script, the page itself does.
func (a *app) showTurn(w http.ResponseWriter, r *http.Request, turn *live) {
	if r.Header.Get("Sec-Fetch-Mode") == "navigate" {
		http.Redirect(w, r, "/chats/"+string(turn.Chat), http.StatusSeeOther)
		return
	}
	a.write(w, http.StatusOK, "live", turn)
}

// answerApproval answers all calls that the user was shown. If others wait by now, the client sends nothing.
func (a *app) answerApproval(w http.ResponseWriter, r *http.Request, _ letta.AgentID) error {
	c, err := a.chat(r)
	if err != nil {
		return err
	}
	var answers []letta.Approval
	for _, call := range r.PostForm["call"] {
		answer := &letta.ApprovalReturn{ToolCallID: letta.ToolCallID(call), Approve: r.PostForm.Get("answer") == "allow"}
		if !answer.Approve {
			answer.Reason = "The user said no."
		}
		answers = append(answers, answer)
	}
	stream, err := a.client.Conversations.Messages.RespondStream(r.Context(), c.ID, answers,
		&letta.ConversationMessageCreateParams{Background: true, StreamTokens: true}, letta.WithPings())
	if err != nil {
		return err
	}
	run, err := began(stream)
	if err != nil {
		return err
	}
	a.showTurn(w, r, &live{Chat: c.ID, Run: run})
	return nil
}

// stop cancels a run. The stream of it then ends by itself.
func (a *app) stop(w http.ResponseWriter, r *http.Request, _ letta.AgentID) error {
	c, run, err := a.run(r)
	if err != nil {
		return err
	}
	_, err = a.client.Agents.Messages.Cancel(r.Context(), c.AgentID, &letta.AgentMessageCancelParams{RunIDs: []letta.RunID{run.ID}})
	if err != nil && !errors.Is(err, letta.ErrNoActiveRun) { // it has just ended
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

const frame = 50 * time.Millisecond // more often is not seen

// follow shows a run as it happens, as server-sent events: "item" is one item of the chat, whole and rendered, which replaces the
// one with its id; "end" is the last. It always begins at the start of the run, so that a browser that comes back needs no memory.
func (a *app) follow(w http.ResponseWriter, r *http.Request, _ letta.AgentID) error {
	c, run, err := a.run(r)
	if err != nil {
		return err
	}
	stream, err := a.client.Runs.Messages.Stream(r.Context(), run.ID, nil, letta.WithPings())
	if err != nil {
		return err
	}
	defer stream.Close()
	w.Header().Set("Content-Type", "text/event-stream")
	out := &events{app: a, w: w, control: http.NewResponseController(w), shown: map[string]string{}}
	last := time.Time{}
	for message, failed := range stream.Messages() {
		if failed != nil {
			err = failed
			break
		}
		if _, ping := message.(*letta.Ping); ping || time.Since(last) >= frame {
			out.show(stream.Result())
			last = time.Now()
		}
	}
	if r.Context().Err() != nil {
		return nil
	}
	turn := stream.Result()
	out.show(turn)
	end := struct {
		Note    string
		Failed  bool
		Pending *approval
	}{}
	switch {
	case turn.StopReason == letta.StopReasonCancelled:
		end.Note = "You stopped this answer. The agent may not remember it."
	case err != nil:
		_, end.Note = explain(err)
		end.Failed = true
		a.log.Warn("a turn failed", "run", run.ID, "error", err)
	case turn.StopReason == letta.StopReasonMaxSteps:
		end.Note = "The agent stopped after many steps."
	}
	if calls := turn.PendingCalls(); len(calls) > 0 && turn.StopReason == letta.StopReasonRequiresApproval {
		end.Pending = &approval{c.ID, callItems(calls)}
	}
	out.send("end", "end", end)
	return nil
}

// events writes server-sent events.
type events struct {
	*app
	w       http.ResponseWriter
	control *http.ResponseController
	shown   map[string]string // what was sent last, by the id of the item
}

// show sends the items that have changed; without any, a sign of life.
func (e *events) show(turn *letta.Turn) {
	for _, it := range items(turn.Messages) {
		if key := it.Text + it.Note; e.shown[it.ID] != key {
			e.shown[it.ID] = key
			e.send("item", "item", it)
		}
	}
	e.write(": alive\n\n")
}

func (e *events) send(event, name string, data any) {
	var html bytes.Buffer
	if err := e.pages.ExecuteTemplate(&html, name+".html", data); err != nil {
		e.log.Error("template", "name", name, "error", err)
		return
	}
	var out strings.Builder
	out.WriteString("event: " + event + "\n")
	for line := range strings.Lines(html.String()) {
		out.WriteString("data: " + strings.TrimRight(line, "\r\n") + "\n")
	}
	e.write(out.String() + "\n")
}

// write ignores errors: when the reader has gone, the context of the request ends, and with it the stream.
func (e *events) write(text string) {
	_ = e.control.SetWriteDeadline(time.Now().Add(30 * time.Second)) // a reader that reads nothing is gone, too
	_, _ = io.WriteString(e.w, text)
	_ = e.control.Flush()
}

func short(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if r := []rune(text); len(r) > 40 {
		return strings.TrimSpace(string(r[:39])) + "…"
	}
	return text
}
