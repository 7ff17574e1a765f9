package main

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/letta-go/letta"
)

type adminPage struct {
	Users      []userView
	Duplicates int
	Days       int // the usage is that of so many days
	Periods    []int
	Total      letta.AgentUsage
}

type userView struct {
	Name   string
	Agents []*agentView // oldest first
}

type agentView struct {
	*letta.AgentState
	Usage *letta.AgentUsage // nil if the server does not tell
}

var periods = []int{1, 7, 30} // days

var errNotAdmin = &failure{http.StatusForbidden, "This page is for the administrator."}

func (a *app) showAdmin(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	if a.user(r) != admin {
		return errNotAdmin
	}
	page := adminPage{Days: periods[1], Periods: periods}
	if days, err := strconv.Atoi(r.FormValue("days")); err == nil && slices.Contains(periods, days) {
		page.Days = days
	}
	users := map[string]*userView{}
	for agent, err := range a.client.Agents.ListAll(ctx, &letta.AgentListParams{Include: []letta.AgentInclude{letta.AgentIncludeTags}}) {
		if err != nil {
			return err
		}
		for _, tag := range agent.Tags {
			name, ok := a.userOf(tag)
			if !ok {
				continue
			}
			if users[name] == nil {
				users[name] = &userView{Name: name}
			}
			users[name].Agents = append(users[name].Agents, &agentView{AgentState: agent})
		}
	}
	for _, user := range users {
		slices.SortFunc(user.Agents, func(x, y *agentView) int { return x.CreatedAt.Compare(y.CreatedAt) })
		page.Users = append(page.Users, *user)
	}
	slices.SortFunc(page.Users, func(x, y userView) int {
		return cmp.Or(cmp.Compare(len(x.Name), len(y.Name)), cmp.Compare(x.Name, y.Name))
	})
	if err := a.addUsage(ctx, &page); err != nil {
		return err
	}
	for _, err := range a.agents.Duplicates(ctx) {
		if err != nil {
			return err
		}
		page.Duplicates++
	}
	a.render(w, r, http.StatusOK, "admin", "Users", page)
	return nil
}

// addUsage asks for the usage of each agent, a few at a time. An agent whose usage the server does not tell is shown without it.
func (a *app) addUsage(ctx context.Context, page *adminPage) error {
	period := &letta.UsageParams{StartDate: time.Now().AddDate(0, 0, -page.Days), Concurrency: 2}
	var agents []*agentView
	for _, user := range page.Users {
		agents = append(agents, user.Agents...)
	}
	each := func(yield func(*agentView, error) bool) {
		for _, agent := range agents {
			if !yield(agent, nil) {
				return
			}
		}
	}
	_, _ = letta.ForEach(ctx, each, letta.ForEachOptions{Concurrency: 4}, func(ctx context.Context, agent *agentView) error {
		usage, err := a.client.Agents.Usage(ctx, agent.ID, period)
		if err != nil {
			a.log.Warn("no usage", "agent", agent.ID, "error", err)
		}
		agent.Usage = usage
		return err
	})
	for _, agent := range agents {
		if u := agent.Usage; u != nil {
			page.Total.TotalTokens += u.TotalTokens
			page.Total.PromptTokens += u.PromptTokens
			page.Total.CompletionTokens += u.CompletionTokens
			page.Total.Runs += u.Runs
			page.Total.Steps += u.Steps
		}
	}
	return ctx.Err()
}

func (a *app) deleteUser(w http.ResponseWriter, r *http.Request) error {
	if a.user(r) != admin {
		return errNotAdmin
	}
	user := r.PostFormValue("user")
	if !userName.MatchString(user) {
		return &failure{http.StatusBadRequest, "There is no such user."}
	}
	if err := a.agents.Delete(r.Context(), user); err != nil {
		return err
	}
	http.Redirect(w, r, "/admin", http.StatusSeeOther)
	return nil
}
