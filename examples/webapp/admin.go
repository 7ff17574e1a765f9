package main

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/letta-go/letta"
)

type adminPage struct {
	Users      []userView
	Duplicates int
}

type userView struct {
	Name   string
	Agents []*letta.AgentState // oldest first
	Usage  *letta.AgentUsage
}

var errNotAdmin = &failure{http.StatusForbidden, "This page is for the administrator."}

func (a *app) showAdmin(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	if a.user(r) != admin {
		return errNotAdmin
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
			users[name].Agents = append(users[name].Agents, agent)
		}
	}
	var page adminPage
	for _, user := range users {
		slices.SortFunc(user.Agents, func(x, y *letta.AgentState) int { return x.CreatedAt.Compare(y.CreatedAt) })
		page.Users = append(page.Users, *user)
	}
	slices.SortFunc(page.Users, func(x, y userView) int {
		return cmp.Or(cmp.Compare(len(x.Name), len(y.Name)), cmp.Compare(x.Name, y.Name))
	})
	for _, err := range a.agents.Duplicates(ctx) {
		if err != nil {
			return err
		}
		page.Duplicates++
	}
	a.render(w, r, http.StatusOK, "admin", "Users", page)
	return nil
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
