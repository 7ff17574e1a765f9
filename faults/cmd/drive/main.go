// Command drive runs the cases of the fault matrix with another client, and writes what became of them.
//
//	go run ./cmd/drive -about "..." -out results/net-http.tsv net/http
//	go run ./cmd/drive -about "..." -out results/python.tsv python clients/drive.py
//
// The program that it starts finds the control port in FAULTS_URL, and the authority to trust in SSL_CERT_FILE and
// NODE_EXTRA_CA_CERTS.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"time"

	"github.com/letta-go/letta/faults"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	out := flag.String("out", "", "the table to write")
	about := flag.String("about", "", "what stands above it")
	flag.Parse()
	if err := run(ctx, *out, *about, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out, about string, command []string) error {
	if out == "" || len(command) == 0 {
		return fmt.Errorf("usage: drive -about TEXT -out FILE net/http | COMMAND")
	}
	identity, err := faults.NewIdentity()
	if err != nil {
		return err
	}
	var records []faults.Record
	if command[0] == "net/http" {
		records, err = netHTTP(identity)
	} else {
		records, err = foreign(ctx, identity, command)
	}
	if err != nil {
		return err
	}
	return faults.Write(out, about+"\n", records)
}

func netHTTP(identity *faults.Identity) ([]faults.Record, error) {
	cases := faults.Cases()
	records, errs := make([]faults.Record, len(cases)), make([]error, len(cases))
	var all sync.WaitGroup
	free := make(chan bool, 64)
	for i, c := range cases {
		free <- true
		all.Go(func() {
			defer func() { <-free }()
			r, err := faults.Start(c, identity)
			if err != nil {
				errs[i] = err
				return
			}
			heard := make(chan faults.Heard, 1)
			go func() { heard <- r.NetHTTP() }()
			select {
			case h := <-heard:
				records[i], errs[i] = r.Finish(h)
			case <-time.After(time.Minute):
				records[i], errs[i] = r.Finish(faults.Heard{Error: faults.Never})
			}
		})
	}
	all.Wait()
	for i, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("%v: %w", cases[i], err)
		}
	}
	return faults.NotPlayedToo(records), nil
}

func foreign(ctx context.Context, identity *faults.Identity, command []string) ([]faults.Record, error) {
	dir, err := os.MkdirTemp("", "faults")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	roots := filepath.Join(dir, "roots.pem")
	if err := os.WriteFile(roots, identity.Roots, 0o600); err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	control := faults.NewControl(identity)
	server := &http.Server{Handler: control, ReadHeaderTimeout: time.Minute}
	defer func() { _ = server.Close() }()
	go func() { _ = server.Serve(listener) }()
	child := exec.CommandContext(ctx, command[0], command[1:]...)
	child.Env = append(os.Environ(), "FAULTS_URL=http://"+listener.Addr().String(), "SSL_CERT_FILE="+roots, "NODE_EXTRA_CA_CERTS="+roots)
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	if err := child.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w", command[0], err)
	}
	return control.Records()
}
