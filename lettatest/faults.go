package lettatest

import (
	"net/http"
	"path"
	"slices"
	"sync"
	"time"
)

// Drop says where a fault cuts the connection.
type Drop int

// The places to cut a connection.
const (
	DropNever      Drop = iota
	DropBeforeRead      // reset before the body is read; nothing is processed
	DropAfterRead       // processed, state changes included, then cut without a byte of answer
	DropMidBody         // processed, then the headers and half of the body are sent
)

// Fault makes the server misbehave. Of the faults given to Fail, the first that matches a request and is not used up acts on it.
type Fault struct {
	Method string // "" matches every method
	Path   string // a path.Match pattern for the URL path; "" matches every path

	Skip  int // this many matching requests pass first (later faults may act on them)
	Times int // then the fault acts this many times; 0 is always

	Delay time.Duration // the answer waits this long after processing; cut short when the client leaves or the server closes
	Drop  Drop

	Status  int         // answer with this status, Header and Body instead of processing the request
	Process bool        // with Status: process the request for real first, and lose its answer
	Header  http.Header // added to the answer, be it real or the fault's own
	Body    string      // a Body alone means Status 200

	Truncate int   // send only so many bytes of the body under the full Content-Length, then cut
	Pad      int64 // append so many spaces to the body

	Optional bool // with NewServer, it is no error that no request meets the fault

	Stream *StreamFault // for streams, on which DropMidBody, Truncate and Pad do not act
}

// Then says how a stream goes on after a StreamFault.
type Then int

// The ways to go on.
const (
	StreamGo    Then = iota // as if nothing had happened
	StreamCut               // the connection breaks
	StreamEnd               // the body ends in order, though early
	StreamStall             // silence until the client leaves
)

// StreamFault disturbs a stream once. The turn behind the stream goes on.
type StreamFault struct {
	After int    // behind so many frames, pings and [DONE] included; -1 is behind the last one
	Half  bool   // the next frame is sent only up to its middle
	Raw   string // these bytes are sent
	Then  Then
}

// faults are those that were asked for, in their order.
type faults struct {
	mu  sync.Mutex
	all []*pendingFault
}

type pendingFault struct {
	Fault
	acted, spent bool
}

func (f *faults) add(fault Fault) {
	if _, err := path.Match(fault.Path, ""); err != nil {
		panic("lettatest: Fault.Path " + fault.Path + ": " + err.Error())
	}
	if fault.Status == 0 && fault.Body != "" {
		fault.Status = http.StatusOK
	}
	fault.Header = fault.Header.Clone()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, &pendingFault{Fault: fault})
}

// pick returns the fault that acts on a request; the zero Fault for none.
func (f *faults) pick(r *http.Request) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.all {
		if p.spent || p.Method != "" && p.Method != r.Method {
			continue
		}
		if ok, _ := path.Match(p.Path, r.URL.Path); p.Path != "" && !ok {
			continue
		}
		if p.Skip > 0 {
			p.Skip--
			continue
		}
		p.acted, p.spent = true, p.Times == 1
		p.Times = max(0, p.Times-1)
		return p.Fault
	}
	return Fault{}
}

// unmet returns the faults that never acted.
func (f *faults) unmet() (out []Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.all {
		if !p.acted && !p.Optional {
			out = append(out, p.Fault)
		}
	}
	return slices.Clip(out)
}
