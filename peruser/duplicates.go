package peruser

import (
	"context"
	"iter"

	"github.com/letta-go/letta"
)

// Duplicate is a user with several agents.
type Duplicate struct {
	UserID string
	Tag    string
	Agents []letta.AgentID // oldest first: the first is the one that Agent returns
}

// Duplicates walks over all agents, hidden ones too, and yields the users who have several, which happens where instances
// create without a shared lock. An error ends it. Memory grows with the number of users, not of agents.
//
// Which tags are users' tags is for Options.UserID to say. Without it, and without Tag, every tag counts as a user's: then
// labels that many agents have are yielded too. With Tag, UserID is needed.
func (u *Users) Duplicates(ctx context.Context) iter.Seq2[Duplicate, error] {
	return func(yield func(Duplicate, error) bool) {
		userIDOf := u.options.UserID
		switch {
		case userIDOf != nil:
		case u.options.Tag == nil:
			userIDOf = func(tag string) (string, bool) { return tag, true }
		default:
			yield(Duplicate{}, invalid("Duplicates needs Options.UserID beside Options.Tag"))
			return
		}
		first := map[string]letta.AgentID{}
		several := map[string]*Duplicate{}
		var order []*Duplicate
		params := &letta.AgentListParams{Include: []letta.AgentInclude{letta.AgentIncludeTags}, Order: letta.OrderAsc, OrderBy: letta.OrderByCreatedAt}
		for agent, err := range u.client.Agents.ListAll(ctx, params, u.requestOptions(letta.WithQuery("show_hidden_agents", "true"))...) {
			if err != nil {
				yield(Duplicate{}, lookup(err))
				return
			}
			for _, tag := range agent.Tags {
				userID, ok := userIDOf(tag)
				if !ok {
					continue
				}
				switch one, seen := first[tag]; {
				case !seen:
					first[tag] = agent.ID
				case one == agent.ID: // a tag twice
				case several[tag] == nil:
					several[tag] = &Duplicate{UserID: userID, Tag: tag, Agents: []letta.AgentID{one, agent.ID}}
					order = append(order, several[tag])
				default:
					several[tag].Agents = append(several[tag].Agents, agent.ID)
				}
			}
		}
		for _, duplicate := range order {
			if !yield(*duplicate, nil) {
				return
			}
		}
	}
}
