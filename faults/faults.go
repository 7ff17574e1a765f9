// Package faults plays faults between a client and an embedded Letta server, and says what became of each call: which
// requests arrived, what the caller heard, what the server has now. The table of all of it is the fault matrix, in
// results; docs/reliability.md says what it proves.
//
// A case is an operation under a fault. It has a server and a proxy of its own. The proxy reads each request, asks the
// server, or not, and answers as the fault wants. It notes every request that arrived, and how often it played the fault.
package faults

import (
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"time"
)

// Fault is one way in which a server, or the network in front of it, fails.
type Fault struct {
	Name string
	// Reach is what stands at the address of the server.
	Reach Reach
	// Hangs says that the client has to end the call by a limit of its own.
	Hangs bool
	// Cancel says that the caller cancels the call when Proxy.Stage is closed; before the call, if the fault is not played.
	Cancel bool
	// Single says that the fault is played once only, or, of an address, always.
	Single bool

	play func(*exchange) // nil if the proxy only relays
}

// Reach is what a client meets at the address of the server.
type Reach int

// The addresses of a server.
const (
	HTTP         Reach = iota
	HTTP2              // without TLS
	Closed             // nobody listens
	NoHost             // the name is not known
	Untrusted          // TLS with a certificate that the client does not trust
	TLSHandshake       // TLS whose handshake is cut
)

// connects reports whether the fault is that of an address, which the first request of a call meets.
func (f Fault) connects() bool {
	return f.Reach > HTTP2 || f.Cancel && f.play == nil
}

// Faults are all faults, in the order of a call: the address, the request, the answer.
var Faults = func() []Fault {
	all := []Fault{
		{Name: "no fault", Single: true, play: func(x *exchange) { x.answer(x.carryOut()) }},
		{Name: "dial refused", Reach: Closed, Single: true},
		{Name: "DNS failure", Reach: NoHost, Single: true},
		{Name: "TLS, untrusted certificate", Reach: Untrusted, Single: true},
		{Name: "TLS, handshake cut", Reach: TLSHandshake},
		{Name: "reset before the request was read", play: func(x *exchange) { x.reset() }},
		{Name: "reset after the request was read", play: func(x *exchange) { x.carryOut(); x.reset() }},
		{Name: "body truncated", play: func(x *exchange) { x.truncate(x.carryOut()) }},
		{Name: "body ends early, in order", play: func(x *exchange) { x.endEarly(x.carryOut()) }},
		{Name: "oversized body", Single: true, play: func(x *exchange) { x.flood(x.carryOut()) }},
		{Name: "body that never ends", Hangs: true, play: func(x *exchange) { x.endless(x.carryOut()) }},
		{Name: "HTML with 200", play: func(x *exchange) {
			x.read()
			x.answer(page(http.StatusOK, "<!doctype html><title>Sign in</title><p>Please sign in to the network."))
		}},
		{Name: "wrong content type", play: func(x *exchange) {
			a := x.carryOut()
			a.header.Set("Content-Type", "text/plain")
			x.answer(a)
		}},
	}
	for _, status := range []int{301, 302, 303, 307, 308} {
		all = append(all,
			Fault{Name: fmt.Sprint(status, " to the same origin"), play: func(x *exchange) { x.read(); x.redirect(status, x.p.URL()) }},
			Fault{Name: fmt.Sprint(status, " to another host"), play: func(x *exchange) { x.read(); x.redirect(status, x.p.other.host()) }})
	}
	all = append(all, Fault{Name: "307 to another port", play: func(x *exchange) { x.read(); x.redirect(307, x.p.other.URL) }})
	all = append(all,
		refuse("408", 408, nil), refuse("409", 409, nil), refuse("429", 429, nil),
		refuse("429 with Retry-After", 429, http.Header{"Retry-After": {"1"}}),
		refuse("503 with Retry-After", 503, http.Header{"Retry-After": {"1"}}))
	for _, status := range []int{500, 502, 503, 504} {
		all = append(all,
			Fault{Name: fmt.Sprint(status, " before the body was read"), play: func(x *exchange) { x.early(failure(status)) }},
			Fault{Name: fmt.Sprint(status, " after the body was read"), play: func(x *exchange) { x.carryOut(); x.answer(failure(status)) }})
	}
	return append(all,
		Fault{Name: "slow headers", Hangs: true, play: func(x *exchange) { x.carryOut(); x.hold() }},
		Fault{Name: "slow body", Hangs: true, play: func(x *exchange) { x.drip(x.carryOut()) }},
		Fault{Name: "body stalls", Hangs: true, play: func(x *exchange) { x.part(x.carryOut(), 0.5); x.hold() }},
		Fault{Name: "HTTP/2 GOAWAY", Reach: HTTP2, play: func(x *exchange) { x.goAway() }},
		Fault{Name: "HTTP/2 REFUSED_STREAM", Reach: HTTP2, play: func(x *exchange) { x.resetStream(refusedStream) }},
		Fault{Name: "HTTP/2 RST_STREAM PROTOCOL_ERROR", Reach: HTTP2, play: func(x *exchange) { x.carryOut(); x.resetStream(protocolError) }},
		Fault{Name: "HTTP/2 RST_STREAM INTERNAL_ERROR", Reach: HTTP2, play: func(x *exchange) { x.carryOut(); x.resetStream(internalError) }},
		Fault{Name: "cancelled before the dial", Cancel: true, Single: true},
		Fault{Name: "cancelled after the request was written", Cancel: true, Single: true, play: func(x *exchange) {
			x.carryOut()
			x.p.reachStage()
			x.hold()
		}},
		Fault{Name: "cancelled after the headers", Cancel: true, Single: true, play: func(x *exchange) {
			x.part(x.carryOut(), 0)
			x.p.reachStage()
			x.hold()
		}},
		Fault{Name: "cancelled in the body", Cancel: true, Single: true, play: func(x *exchange) {
			x.part(x.carryOut(), 0.5)
			x.p.reachStage()
			x.hold()
		}},
		Fault{Name: "server killed, back after 100 ms", play: func(x *exchange) { x.carryOut(); x.p.restart(100 * time.Millisecond) }},
	)
}()

// refuse answers without asking the server.
func refuse(name string, status int, header http.Header) Fault {
	return Fault{Name: name, play: func(x *exchange) {
		x.read()
		a := failure(status)
		maps.Copy(a.header, header)
		x.answer(a)
	}}
}

func failure(status int) *answer {
	return &answer{status, http.Header{"Content-Type": {"application/json"}}, []byte(`{"detail":"fault ` + strconv.Itoa(status) + `"}`)}
}

func page(status int, html string) *answer {
	return &answer{status, http.Header{"Content-Type": {"text/html; charset=utf-8"}}, []byte(html)}
}

// Operation is what a caller does. A call of several requests stands here once for each of them.
type Operation struct {
	Name  string
	Does  string // the name of the operation without the request that meets the fault
	Later bool   // that request is not the first of the call

	// The request that meets the fault: the first of these, but for so many.
	method, path string // patterns for path.Match, with | between
	skip         int
	// cutFirst is a request that is cut in its middle, so that the one that meets the fault comes at all.
	cutFirst string
}

// Writes reports whether the request changes something.
func (o Operation) Writes() bool {
	return o.method != http.MethodGet && o.Name != "background stream, resume"
}

// turnStreams are the paths of a turn that is streamed: this package's client asks for a stream at that of a turn.
const turnStreams = "/v1/agents/*/messages|/v1/agents/*/messages/stream"

// Operations are all operations.
var Operations = []Operation{
	{Name: "retrieve", method: http.MethodGet, path: "/v1/agents/*"},
	{Name: "list", method: http.MethodGet, path: "/v1/agents/"},
	{Name: "create", method: http.MethodPost, path: "/v1/agents/"},
	{Name: "update", method: http.MethodPatch, path: "/v1/agents/*"},
	{Name: "delete", method: http.MethodDelete, path: "/v1/agents/*"},
	{Name: "turn", method: http.MethodPost, path: "/v1/agents/*/messages"},
	{Name: "stream", method: http.MethodPost, path: turnStreams},
	{Name: "background stream", method: http.MethodPost, path: turnStreams},
	{Name: "background stream, resume", Later: true, method: http.MethodPost, path: "/v1/runs/*/stream", cutFirst: turnStreams},
	{Name: "upload", method: http.MethodPost, path: "/v1/folders/*/upload"},
	{Name: "Ensure, lookup", method: http.MethodGet, path: "/v1/agents/"},
	{Name: "Ensure, create", Later: true, method: http.MethodPost, path: "/v1/agents/"},
	{Name: "Ensure, second lookup", Later: true, method: http.MethodGet, path: "/v1/agents/", skip: 1},
	{Name: "AddTags, read", method: http.MethodGet, path: "/v1/agents/*"},
	{Name: "AddTags, write", Later: true, method: http.MethodPatch, path: "/v1/agents/*"},
	{Name: "AddTags, verify", Later: true, method: http.MethodGet, path: "/v1/agents/*", skip: 1},
}

// Case is an operation under a fault.
type Case struct {
	Fault     Fault
	Operation Operation
	Always    bool // every such request meets the fault; otherwise the first does
}

// Cases are all cases. An address fails the first request of a call, so the later ones have no such case.
func Cases() (cases []Case) {
	for _, fault := range Faults {
		for _, always := range []bool{false, true} {
			if fault.Single && always != fault.constant() {
				continue
			}
			for _, operation := range Operations {
				if !operation.Later || !fault.connects() {
					cases = append(cases, Case{fault, operation, always})
				}
			}
		}
	}
	return cases
}

// constant reports whether the fault does not pass.
func (f Fault) constant() bool { return f.Reach == Closed || f.Reach == NoHost || f.Reach == Untrusted }

// When says how often the fault is played.
func (c Case) When() string {
	if c.Always {
		return "always"
	}
	return "once"
}

func (c Case) String() string { return c.Fault.Name + ", " + c.When() + ": " + c.Operation.Name }
