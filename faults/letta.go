package faults

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/letta-go/letta"
)

// The limits of the calls. A call that nothing hinders never meets them.
const (
	patience     = 20 * time.Second
	hangPatience = 1500 * time.Millisecond // of a call that only a limit ends
	cancelDelay  = 50 * time.Millisecond   // for the client to read what was sent before it is cancelled
)

// Patience is the limit of a call in a case.
func (c Case) Patience() time.Duration {
	if c.Fault.Hangs {
		return hangPatience
	}
	return patience
}

// transport is net/http's own, which speaks what the case needs.
func (r *Run) transport() *http.Transport {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(r.identity.Roots)
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if r.Case.Fault.Reach == HTTP2 {
		transport.Protocols = new(http.Protocols)
		transport.Protocols.SetUnencryptedHTTP2(true)
	}
	return transport
}

// caller is the context of the caller: it is cancelled when the case wants it, and bounds a stream.
func (r *Run) caller(stream bool) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	if stream {
		ctx, cancel = context.WithTimeout(ctx, 2*r.Case.Patience())
	}
	switch f := r.Case.Fault; {
	case f.Cancel && f.play == nil:
		cancel()
	case f.Cancel:
		go func() {
			select {
			case <-r.Stage():
				time.Sleep(cancelDelay)
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	return ctx, cancel
}

// Letta makes the call with this package's client.
func (r *Run) Letta() Heard {
	transport := r.transport()
	r.closeIdle = transport.CloseIdleConnections
	defer r.closeIdle()
	client, err := letta.NewClient(letta.WithBaseURL(r.URL()), letta.WithPassword(Password), letta.WithHTTPClient(&http.Client{Transport: transport}),
		letta.WithTimeout(r.Case.Patience()), letta.WithIdleTimeout(r.Case.Patience()))
	if err != nil {
		return Heard{Error: err.Error()}
	}
	ctx, cancel := r.caller(strings.Contains(r.Case.Operation.Name, "stream"))
	defer cancel()
	if r.Case.Fault.Reach <= HTTP2 {
		if _, err := client.Health(context.Background()); err != nil {
			return Heard{Error: "no connection: " + err.Error()}
		}
	}
	value, err := r.lettaCall(ctx, client)
	r.evidence(err)
	if err != nil {
		return Heard{Error: kind(err)}
	}
	return Heard{Value: value}
}

// evidence counts the faults that only a client sees.
func (r *Run) evidence(err error) {
	var dns *net.DNSError
	var untrusted *tls.CertificateVerificationError
	f := r.Case.Fault
	switch {
	case f.Reach == Closed && errors.Is(err, syscall.ECONNREFUSED), f.Reach == NoHost && errors.As(err, &dns) && dns.IsNotFound,
		f.Cancel && f.play == nil && errors.Is(err, context.Canceled):
		r.Saw()
	case f.Reach == Untrusted && !errors.As(err, &untrusted):
		r.handshake.Store(0)
	}
}

func (r *Run) lettaCall(ctx context.Context, client *letta.Client) (string, error) {
	params := &letta.AgentMessageCreateParams{Messages: []letta.MessageInput{letta.UserText(Text)}}
	switch name, _, _ := strings.Cut(r.Case.Operation.Name, ","); name {
	case "retrieve":
		agent, err := client.Agents.Retrieve(ctx, r.Agent, nil)
		return r.agentValue(agent, Name), err
	case "list":
		agents, err := client.Agents.List(ctx, nil)
		if err != nil || len(agents) != 1 {
			return fmt.Sprint(len(agents), " agents"), err
		}
		return r.agentValue(agents[0], Name), nil
	case "create":
		agent, err := client.Agents.Create(ctx, &letta.AgentCreateParams{Name: NewName, Model: Model})
		return r.agentValue(agent, NewName), err
	case "update":
		agent, err := client.Agents.Update(ctx, r.Agent, &letta.AgentUpdateParams{Description: letta.Some(Description)})
		if err == nil && agent.Description != Description {
			return "description " + agent.Description, nil
		}
		return r.agentValue(agent, Name), err
	case "delete":
		return whole, client.Agents.Delete(ctx, r.Agent)
	case "turn":
		turn, err := client.Agents.Messages.Create(ctx, r.Agent, params)
		if err != nil {
			return "", err
		}
		return turnValue(turn.Text(), string(turn.StopReason)), nil
	case "stream", "background stream":
		params.Background = name == "background stream"
		stream, err := client.Agents.Messages.Stream(ctx, r.Agent, params)
		if err != nil {
			return "", err
		}
		for _, err := range stream.Messages() {
			if err != nil {
				return "", err
			}
		}
		turn := stream.Result()
		return turnValue(turn.Text(), string(turn.StopReason)), nil
	case "upload":
		//lint:ignore SA1019 a self-hosted server has folders
		file, err := client.Folders.Files.Upload(ctx, r.Folder, &letta.FolderFileUploadParams{File: struct{ io.Reader }{bytes.NewReader(fileContent)}, FileName: FileName})
		if err == nil && file.OriginalFileName != FileName {
			return "file " + file.OriginalFileName, nil
		}
		return whole, err
	case "Ensure":
		ensured, err := client.Agents.Ensure(ctx, []string{UserTag}, &letta.AgentCreateParams{Name: NewName, Model: Model})
		if err != nil {
			return "", err
		}
		return r.agentValue(ensured.Agent, NewName), nil
	case "AddTags":
		agent, err := client.Agents.AddTags(ctx, r.Agent, []string{NewTag})
		if err == nil && (!slices.Contains(agent.Tags, Tag) || !slices.Contains(agent.Tags, NewTag)) {
			return fmt.Sprintf("tags %q", agent.Tags), nil
		}
		return r.agentValue(agent, Name), err
	}
	return "", errors.New("no such operation")
}

const whole = "whole"

var fileContent = bytes.Repeat([]byte("A line of a file. "), 64<<10/18)

func (r *Run) agentValue(agent *letta.AgentState, name string) string {
	switch {
	case agent == nil:
		return "no agent"
	case agent.Name != name, agent.ID == "", name == Name && agent.ID != r.Agent:
		return fmt.Sprintf("agent %q %q", agent.ID, agent.Name)
	}
	return whole
}

func turnValue(text, stop string) string {
	if text != Answer || stop != "end_turn" {
		return fmt.Sprintf("text %q, stop reason %q", text, stop)
	}
	return whole
}

// kinds are the sentinels of the package, and the ends of a context.
var kinds = []struct {
	name string
	err  error
}{
	{"ErrNotSent", letta.ErrNotSent},
	{"ErrBadRequest", letta.ErrBadRequest},
	{"ErrUnauthorized", letta.ErrUnauthorized},
	{"ErrForbidden", letta.ErrForbidden},
	{"ErrNotFound", letta.ErrNotFound},
	{"ErrConflict", letta.ErrConflict},
	{"ErrValidation", letta.ErrValidation},
	{"ErrRateLimited", letta.ErrRateLimited},
	{"ErrServer", letta.ErrServer},
	{"ErrQuota", letta.ErrQuota},
	{"ErrProvider", letta.ErrProvider},
	{"ErrBusy", letta.ErrBusy},
	{"ErrPendingApproval", letta.ErrPendingApproval},
	{"ErrNoActiveRun", letta.ErrNoActiveRun},
	{"ErrRetired", letta.ErrRetired},
	{"ErrInvalidArgument", letta.ErrInvalidArgument},
	{"ErrStreamTruncated", letta.ErrStreamTruncated},
	{"ErrStreamIdle", letta.ErrStreamIdle},
	{"ErrStreamGap", letta.ErrStreamGap},
	{"ErrStreamClosed", letta.ErrStreamClosed},
	{"ErrNotResumable", letta.ErrNotResumable},
	{"ErrEventTooLarge", letta.ErrEventTooLarge},
	{"Canceled", context.Canceled},
	{"DeadlineExceeded", context.DeadlineExceeded},
}

// kind says what kind of error it is: its sentinels and types, and whether its text says that the request may have arrived.
func kind(err error) string {
	var names []string
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			names = append(names, k.name)
		}
	}
	var (
		api      *letta.APIError
		decode   *letta.DecodeError
		redirect *letta.RedirectError
		stream   *letta.StreamError
	)
	if errors.As(err, &stream) {
		names = append(names, "StreamError")
	}
	switch {
	case errors.As(err, &api):
		names = append(names, fmt.Sprint("APIError ", api.StatusCode))
	case errors.As(err, &decode):
		names = append(names, "DecodeError")
	case errors.As(err, &redirect):
		names = append(names, fmt.Sprint("RedirectError ", redirect.StatusCode))
	case names == nil:
		names = append(names, "connection error")
	}
	if strings.Contains(err.Error(), "may have") {
		names = append(names, mayHave)
	}
	if strings.Contains(err.Error(), "was created") {
		names = append(names, "(created)")
	}
	return strings.Join(names, " ")
}

const mayHave = "(may have arrived)"
