package main

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/letta-go/letta"
)

type agentPage struct {
	Agent  *letta.AgentState
	Tags   []tagView
	Blocks []*letta.Block
	Usage  *letta.AgentUsage // of the last 24 hours; nil if the server does not tell
	Saved  string            // label of the block that was saved just now
}

type tagView struct {
	Name  string
	Fixed bool // says whose agent it is
}

func (a *app) showAgent(w http.ResponseWriter, r *http.Request, id letta.AgentID) error {
	ctx := r.Context()
	agent, err := a.client.Agents.Retrieve(ctx, id, &letta.AgentRetrieveParams{Include: []letta.AgentInclude{letta.AgentIncludeTags}})
	if err != nil {
		return err
	}
	page := agentPage{Agent: agent, Saved: r.URL.Query().Get("saved")}
	for _, tag := range slices.Sorted(slices.Values(agent.Tags)) {
		_, fixed := a.userOf(tag)
		page.Tags = append(page.Tags, tagView{tag, fixed})
	}
	if page.Blocks, err = a.client.Agents.Blocks.List(ctx, id, nil); err != nil {
		return err
	}
	if page.Usage, err = a.client.Agents.Usage(ctx, id, &letta.UsageParams{StartDate: time.Now().Add(-24 * time.Hour)}); err != nil {
		a.log.Warn("no usage", "agent", id, "error", err)
	}
	a.render(w, r, http.StatusOK, "agent", "Agent", page)
	return nil
}

// tag reads a tag that a user may add or remove. The tags of users are not among them: with another user's tag, the agent
// would be that user's too, with all that it knows.
func (a *app) tag(r *http.Request) (string, error) {
	tag := strings.TrimSpace(r.PostFormValue("tag"))
	if tag == "" || len(tag) > 100 {
		return "", &failure{http.StatusBadRequest, "A tag has 1 to 100 characters."}
	}
	if _, ofUser := a.userOf(tag); ofUser {
		return "", &failure{http.StatusForbidden, "The tag " + tag + " says whose agent this is, so it stays as it is."}
	}
	return tag, nil
}

func (a *app) addTag(w http.ResponseWriter, r *http.Request, id letta.AgentID) error {
	tag, err := a.tag(r)
	if err != nil {
		return err
	}
	if _, err := a.client.Agents.AddTags(r.Context(), id, []string{tag}); err != nil {
		return err
	}
	http.Redirect(w, r, "/agent", http.StatusSeeOther)
	return nil
}

func (a *app) removeTag(w http.ResponseWriter, r *http.Request, id letta.AgentID) error {
	tag, err := a.tag(r)
	if err != nil {
		return err
	}
	if _, err := a.client.Agents.RemoveTags(r.Context(), id, []string{tag}); err != nil {
		return err
	}
	http.Redirect(w, r, "/agent", http.StatusSeeOther)
	return nil
}

// saveBlock changes a memory block by its label: no id of a block comes from outside.
func (a *app) saveBlock(w http.ResponseWriter, r *http.Request, id letta.AgentID) error {
	label := r.PathValue("label")
	value := strings.ReplaceAll(r.PostFormValue("value"), "\r\n", "\n") // as forms write line ends
	block, err := a.client.Agents.Blocks.Retrieve(r.Context(), id, label)
	switch {
	case err != nil:
		return err
	case block.Limit > 0 && len([]rune(value)) > block.Limit:
		return &failure{http.StatusBadRequest, "That is more than this block can hold."}
	}
	if _, err := a.client.Agents.Blocks.Update(r.Context(), id, label, &letta.BlockUpdateParams{Value: letta.Some(value)}); err != nil {
		return err
	}
	http.Redirect(w, r, "/agent?saved="+block.Label+"#block-"+block.Label, http.StatusSeeOther)
	return nil
}
