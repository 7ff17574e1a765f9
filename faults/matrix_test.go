package faults

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

func TestSlice(t *testing.T) {
	id, err := NewIdentity()
	if err != nil { t.Fatal(err) }
	cases := Cases()
	recs := make([]Record, len(cases))
	var all sync.WaitGroup
	sem := make(chan bool, 48)
	for i, c := range cases {
		sem <- true
		all.Go(func() {
			defer func() { <-sem }()
			r, err := Start(c, id)
			if err != nil { t.Error(c, err); return }
			began := time.Now()
			h := r.Letta()
			took := time.Since(began)
			recs[i], err = r.Finish(h)
			if err != nil { t.Error(c, err) }
			if took > 10*time.Second { t.Log(c, took) }
			if recs[i].played == 0 && c.Fault.Name != "no fault" { t.Error("not played", recs[i].fields()) }
		})
	}
	all.Wait()
	for _, r := range recs { fmt.Println(r.fields()) }
}
