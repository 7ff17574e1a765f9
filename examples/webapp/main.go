// Webapp is a small chat for many users: each has an agent of their own, made by package peruser, and several chats with it.
//
//	cd examples/webapp && go run .      # lettatest, in this process, with a scripted agent that shows everything
//	LETTA_BASE_URL=http://localhost:8283 go run .
//
// Then open http://localhost:8080. Signing in asks for no password: put your own sign-in into signIn. At the end it removes
// the users whose agents it made, unless -keep is given.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/letta-go/letta/examples/internal/example"
)

var (
	addr   = flag.String("addr", "localhost:8080", "the address to listen on")
	users  = flag.Int("users", 5, "how many users can sign in: user_1 and so on")
	secure = flag.Bool("secure", false, "send the session cookie over HTTPS only: for use behind a TLS proxy")
)

func main() { example.Main(run) }

func run(ctx context.Context, session *example.Session) error {
	model, err := session.Model(ctx)
	if err != nil {
		return err
	}
	cfg := config{client: session.Client, model: model, users: *users, secure: *secure, log: slog.Default()}
	if server := session.Embedded(); server != nil {
		cfg.tools = demo(server)
	}
	a, err := newApp(cfg)
	if err != nil {
		return err
	}
	if !example.Keep() {
		defer a.removeNew()
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *addr)
	if err != nil {
		return err
	}
	fmt.Printf("Open http://%s (^C ends it)\n", listener.Addr())
	return serve(ctx, listener, a.handler())
}

// serve serves until ctx ends. Then it takes no new requests, and lets the answers that are being shown end.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	fmt.Println("Ending: answers have 30 s to end")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return errors.Join(err, server.Close())
	}
	return nil
}
