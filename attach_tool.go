package letta

import "context"

// AttachByName gives the agent the tool of a name and returns the tool. If the server has no tool of that name, the error is
// ErrNotFound. For a built-in tool it is enough to name it in AgentCreateParams.Tools.
func (s *AgentToolService) AttachByName(ctx context.Context, id AgentID, name string, opts ...RequestOption) (*Tool, error) {
	const operation = "agents.tools.attach_by_name"
	subject := about(operation, id)
	cfg, err := s.core.resolveFor(operation, accepts{}, opts, id)
	switch {
	case err != nil:
		return nil, err
	case ctx == nil:
		return nil, invalid(subject, "the context is nil")
	case name == "":
		return nil, invalid(subject, "the name is empty")
	}
	if _, err := expand("{agent_id}", []any{id}); err != nil {
		return nil, invalid(operation, "%w", err)
	}
	ctx, cancel := cfg.boundAll(ctx)
	defer cancel()
	tools := ToolService{s.core}
	tool, err := tools.find(ctx, subject, name, []RequestOption{cfg})
	if err != nil {
		return nil, err
	}
	if err := s.Attach(ctx, id, tool.ID, cfg); err != nil {
		return nil, later(err)
	}
	return tool, nil
}
