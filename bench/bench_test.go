package main

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// TestPage holds the page and the picture to the results.
func TestPage(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "docs"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := render(resultsFile, dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{pageFile, chartFile} {
		want, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join("..", name)); err != nil || string(got) != string(want) {
			t.Errorf("%s is not what %s renders (%v): go -C bench run . render", name, resultsFile, err)
		}
	}
}

// TestResults holds the results to what is measured today: no cell, client or part is missing.
func TestResults(t *testing.T) {
	r, err := readResults(resultsFile)
	if err != nil {
		t.Fatal(err)
	}
	if r.Command != "go -C bench run ." {
		t.Errorf("made by %s, which is not the whole", r.Command)
	}
	p := fullPlan()
	for _, w := range workloads {
		for _, workers := range p.workers {
			c := r.cell(w.name, workers)
			if c == nil {
				t.Errorf("%s with %d workers is missing", w.name, workers)
				continue
			}
			for _, client := range clients {
				if x := c.client(client); x == nil || len(x.CPU) != p.rounds*r.Runs || x.Peak == 0 {
					t.Errorf("%s with %d workers: %s is missing, or a round of it", w.name, workers, client)
				}
			}
		}
	}
	for name, n := range map[string][2]int{
		"first": {len(r.First), 4}, "walks": {len(r.Walks), 6}, "streams": {len(r.Streams), 4}, "lookups": {len(r.Lookups), 2},
		"builds": {len(r.Builds), len(consumers)}, "profiles": {len(r.Profiles), 2 * len(profiled)},
	} {
		if n[0] != n[1] {
			t.Errorf("%s: %d rows, not %d", name, n[0], n[1])
		}
	}
}

// TestGoClients makes every call once: what they come to is the same.
func TestGoClients(t *testing.T) {
	s, err := newServer()
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s)
	defer srv.Close()
	for _, w := range workloads {
		for _, client := range []string{ours, undecoded, sameEngine, standard} {
			want, err := s.wants(w.name, client)
			if err != nil {
				t.Fatal(err)
			}
			round, err := rounds(client, srv.URL, w.name, 2)
			if err != nil {
				t.Fatal(err)
			}
			got, err := round(2)
			if err != nil || want != anything && got.Result != want {
				t.Errorf("%s by %s comes to %d, not %d: %v", w.name, client, got.Result, want, err)
			}
		}
	}
	for name, want := range map[string]int{walk: 500, cachedLookup: 0, missedLookup: 500} {
		round, err := rounds(ours, srv.URL, name, 1)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := round(500); err != nil || got.Result != want {
			t.Errorf("%s comes to %d, not %d: %v", name, got.Result, want, err)
		}
	}
}

func TestRatio(t *testing.T) {
	got := ratioOf([]int64{2, 30, 4, 8}, []int64{1, 10, 1})
	if got != (ratio{median: 3, low: 2, high: 4}) {
		t.Errorf("%+v", got)
	}
	if got := median([]int64{4, 1, 3, 2}); got != 2 {
		t.Errorf("the median is %d", got)
	}
}
