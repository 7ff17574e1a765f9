package faults

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var write = flag.Bool("write", false, "write results/letta-go.tsv and the page anew")

const (
	table    = "results/letta-go.tsv"
	atOnce   = 64
	watchdog = 2 * time.Minute
)

// TestMatrix runs every operation under every fault, and holds what happens to the table, and the table to the promises.
func TestMatrix(t *testing.T) {
	t.Parallel()
	identity, err := NewIdentity()
	require.NoError(t, err)
	cases := Cases()
	got := make([]Record, len(cases))
	var all sync.WaitGroup
	free := make(chan bool, atOnce)
	for i, c := range cases {
		free <- true
		all.Go(func() {
			defer func() { <-free }()
			r, err := Start(c, identity)
			if err != nil {
				t.Errorf("%v: %v", c, err)
				return
			}
			heard := labelled(t, r, fmt.Sprint("case ", i))
			if got[i], err = r.Finish(heard); err != nil {
				t.Errorf("%v: %v", c, err)
			}
			if got[i].played == 0 && c.Fault.Name != "no fault" {
				t.Errorf("%v: the fault was not played", c)
			}
		})
	}
	all.Wait()
	for i, r := range got {
		for _, broken := range breaks(cases[i], r, got) {
			t.Errorf("%v: %s: %q", cases[i], broken, r.fields())
		}
	}
	if *write {
		require.NoError(t, Write(table, "The fault matrix: this package's client. docs/reliability.md says how to read it.\n"+
			"To write it anew: go -C faults test -run TestMatrix -write .\n", got))
	}
	want, err := Read(table)
	require.NoError(t, err)
	for i, r := range got {
		if fields := r.fields(); strings.Join(fields, "\t") != strings.Join(want[i].fields(), "\t") {
			t.Errorf("%v:\n got  %q\n want %q", cases[i], fields[3:], want[i].fields()[3:])
		}
	}
}

// labelled makes the call, and waits until every goroutine that it began has ended.
func labelled(t *testing.T, r *Run, label string) (heard Heard) {
	done := make(chan Heard, 1)
	go pprof.Do(context.Background(), pprof.Labels("case", label), func(context.Context) { done <- r.Letta() })
	select {
	case heard = <-done:
	case <-time.After(watchdog):
		return Heard{Error: Never}
	}
	profile := func() string {
		var b bytes.Buffer
		_ = pprof.Lookup("goroutine").WriteTo(&b, 1)
		return b.String()
	}
	mark := fmt.Sprintf(`"case":%q`, label)
	for i := range 100 {
		if !strings.Contains(profile(), mark) {
			return heard
		}
		time.Sleep(min(time.Duration(i+1)*5, 50) * time.Millisecond)
		r.closeIdle() // a connection may have been made for a repeat that was not sent
	}
	for stack := range strings.SplitSeq(profile(), "\n\n") {
		if strings.Contains(stack, mark) {
			t.Errorf("%v: a goroutine outlives the call:\n%s", r.Case, stack)
		}
	}
	return heard
}

// breaks says which promises a case breaks.
func breaks(c Case, r Record, all []Record) (broken []string) {
	for _, p := range Promises {
		if p.Broken(r, all) {
			broken = append(broken, p.Name)
		}
	}
	check := func(ok bool, promise string) {
		if !ok {
			broken = append(broken, promise)
		}
	}
	has := func(text string) bool { return strings.Contains(r.Outcome, text) }
	arrived, done := r.sum("")
	posts, posted := r.sum("POST")
	patches, _ := r.sum("PATCH")
	toldWhen := strings.HasSuffix(c.Fault.Name, "with Retry-After")
	turn := r.goal() == "1 turns"

	check(r.Elsewhere == "nothing", "nothing goes to another origin")
	check(posts <= 1 || toldWhen && !turn, "a POST arrives once, unless the server says when to send it again")
	check(patches <= 1 || toldWhen, "a PATCH arrives once, unless the server says when to send it again")
	check(!r.Returned() || r.State == r.goal(), "success means that it is done")
	check(!has("ErrNotSent") || arrived == 0, "ErrNotSent means that nothing arrived")
	check(arrived > 0 || has("ErrNotSent"), "if nothing arrived, the error is ErrNotSent")
	check(posted == 0 || r.Returned() || has(mayHave) || has("APIError 5") || has("DecodeError") || has("StreamError") || has("(created)"),
		"an error after a POST that was carried out says that it may have been")
	check(done == 0 || !has("RedirectError") || c.Operation.Later || !c.Operation.Writes(), "a redirect is not followed")
	check(!c.Fault.Cancel || has("Canceled"), "the end of the context is visible")
	check(!c.Fault.Hangs || r.Returned() || has("DeadlineExceeded") || has("ErrStreamIdle"), "a wait ends by a limit that has a name")
	return broken
}
