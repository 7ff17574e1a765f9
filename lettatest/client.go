package lettatest

import "github.com/letta-go/letta"

// Client makes a client of this server, with its password if it has one. It panics on an option that the client refuses.
func (s *Server) Client(opts ...letta.ClientOption) *letta.Client {
	all := []letta.ClientOption{letta.WithBaseURL(s.URL())}
	if s.password != "" {
		all = append(all, letta.WithPassword(s.password))
	}
	client, err := letta.NewClient(append(all, opts...)...)
	if err != nil {
		panic(err)
	}
	return client
}
