// Package letta is a client for Letta, the server of AI agents with memory that lasts: https://docs.letta.com.
//
//	client, err := letta.NewClient()                                           // Letta Cloud, key from LETTA_API_KEY
//	client, err := letta.NewClient(letta.WithBaseURL("http://localhost:8283")) // a server of your own
//
// # One agent per user
//
// At sign-up, create an agent that carries the user's id as a tag. In a web handler, find it by that tag:
//
//	ensured, err := client.Agents.Ensure(ctx, []string{"user_1"}, &letta.AgentCreateParams{Model: "openai/gpt-4o-mini"})
//	agent, err := client.Agents.Find(ctx, []string{"user_1"})
//	agents, err := client.Agents.List(ctx, letta.Tags("user_1"))
//
// # Turns
//
// Agents.Messages.Create sends messages and waits for the whole turn. Agents.Messages.Stream gives the turn as it happens:
//
//	stream, err := client.Agents.Messages.Stream(ctx, agent.ID, &letta.AgentMessageCreateParams{Messages: []letta.MessageInput{letta.UserText("hi")}})
//	for message, err := range stream.Messages() { ... }
//	turn := stream.Result()
//
// A turn is sent at most once. A stream that was cut ends with an error, never as a shorter answer.
//
// # Names
//
// Names of methods, types and fields are those of Letta's own documentation. What the API lacks and this package adds, such
// as Ensure, AddTags and RunTools, says so by its own documentation.
//
// # Params and results
//
// A field of params that is not set is not sent. Where null or a zero value means something else than that, the field is
// an [Opt]. What a call did not ask the server to load is nil, not empty: see [AgentInclude].
//
// # Errors
//
// An answer that is not 2xx is an [*APIError]; compare with errors.Is and [ErrNotFound], [ErrBusy] and their neighbours.
// [ErrInvalidArgument] is a mistake in the call, found before anything was sent. [HTTPStatus] says what a web handler should
// answer.
//
// # Retries
//
// GET, HEAD, PUT and DELETE are sent again after a lost connection, 408, 429 and 5xx. POST and PATCH are sent again only
// if nothing had reached the server, or if the server itself says when to come back. A turn of an agent is never sent twice.
package letta
