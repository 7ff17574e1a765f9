package peruser_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/lettatest"
	"github.com/letta-go/letta/peruser"
)

// server is one of several Letta servers, which have different users.
type server struct {
	name  string // never changes: it decides which users are there
	users *peruser.Users
}

// serverOf is the server of a user: the one for which the hash of both names is the highest.
func serverOf(servers []server, userID string) (best server) {
	var highest uint64
	for _, s := range servers {
		sum := sha256.Sum256([]byte(s.name + " " + userID))
		if score := binary.BigEndian.Uint64(sum[:]); best.name == "" || score > highest {
			best, highest = s, score
		}
	}
	return best
}

// move brings an agent to another server. Nothing may be said to it meanwhile.
func move(ctx context.Context, from, to *letta.Client, agent letta.AgentID) error {
	file, err := from.Agents.ExportFile(ctx, agent, nil)
	if err != nil {
		return err
	}
	_, err = to.Agents.ImportFile(ctx, &letta.AgentImportFileParams{File: bytes.NewReader(file), AppendCopySuffix: letta.Some(false)})
	if err != nil {
		return err // it may have arrived: look for its tags there before you try again
	}
	return from.Agents.Delete(ctx, agent)
}

// Several servers, with a client each. A server is added, and only its users move.
func Example_servers() {
	ctx := context.Background()
	var servers []server
	clients := map[string]*letta.Client{}
	for _, name := range []string{"letta-1", "letta-2", "letta-3"} {
		embedded := lettatest.Start()
		defer embedded.Close()
		clients[name] = embedded.Client()
		users, err := newUsers(clients[name])
		if err != nil {
			log.Fatal(err)
		}
		servers = append(servers, server{name, users})
	}

	for i := range 9 {
		userID := fmt.Sprintf("user_%d", i+1)
		before := serverOf(servers[:2], userID)
		agent, err := before.users.Agent(ctx, userID)
		if err != nil {
			log.Fatal(err)
		}
		after := serverOf(servers, userID)
		if after.name == before.name {
			continue
		}
		if err := move(ctx, clients[before.name], clients[after.name], agent); err != nil {
			log.Fatal(err)
		}
		before.users.Forget(userID)
		fmt.Println(userID, "moves from", before.name, "to", after.name)
	}
	for _, s := range servers {
		n, err := clients[s.name].Agents.Count(ctx, nil)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(s.name, "has", n)
	}
	// Output:
	// user_3 moves from letta-1 to letta-3
	// user_6 moves from letta-1 to letta-3
	// letta-1 has 5
	// letta-2 has 2
	// letta-3 has 2
}
