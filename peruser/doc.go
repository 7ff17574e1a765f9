// Package peruser gives each user of a web service an agent: found by a tag, created once, remembered.
//
//	users, err := peruser.New(client, peruser.Options{
//		Create: func(ctx context.Context, userID string) (*letta.AgentCreateParams, error) {
//			return &letta.AgentCreateParams{Model: "openai/gpt-4o-mini"}, nil
//		},
//	})
//	agent, err := users.Agent(ctx, "user_1")
//
// # A user's agent
//
// [Users.Agent] finds the agent that has the user's tag, and creates it for a new user. A remembered agent costs no request, any
// other one request. Only a complete, empty list leads to a new agent; an error never does. [Users.Do] survives that an agent
// was deleted since. [Users.Middleware] puts the agent into the context of a web handler.
//
// # Several instances
//
// The server does not enforce that a user has one agent. Instances of a program that create at the same time need a shared
// [Locker]: peruser/pglock or peruser/redislock. Without one, all instances use the older of two agents, the client's logger
// gets a warning, and [Users.Duplicates] finds them.
//
// # Isolation
//
// A tag is a label, no boundary: whoever has the server's key can use every agent. So an agent id that comes in a request is
// used only after [Users.Owns] said yes.
//
// # Chats and the end
//
// [Users.Conversation] gives each chat or channel of a user a conversation of its own, which shares the agent's memory.
// [Users.Delete] removes a user's agents with what only they had, and says what stays.
package peruser
