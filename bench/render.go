package main

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
)

const (
	pageFile  = "docs/benchmarks.md"
	chartFile = "docs/benchmarks.svg"
)

//go:embed benchmarks.md.tmpl
var pageText string

// render writes the page and the picture of a file of results.
func render(file, root string) error {
	r, err := readResults(file)
	if err != nil {
		return err
	}
	page, err := r.page()
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(root, pageFile), page, 0o644),
		os.WriteFile(filepath.Join(root, chartFile), r.chart(), 0o644),
	)
}

func (r *results) page() ([]byte, error) {
	t, err := template.New(pageFile).Funcs(template.FuncMap{
		"table": func(name string) (string, error) {
			make, ok := tables[name]
			if !ok {
				return "", fmt.Errorf("there is no table %s", name)
			}
			return make(r), nil
		},
		"workloads": func() []workload { return workloads },
		"says":      func(w workload) string { return w.says },
		"name":      func(w workload) string { return w.name },
		"ratio": func(workload string, workers int, over, under string) (string, error) {
			c := r.cell(workload, workers)
			if c == nil {
				return "", fmt.Errorf("no cell %s/%d", workload, workers)
			}
			ratio, ok := c.ratio(over, under)
			if !ok {
				return "", fmt.Errorf("no %s and %s in %s/%d", over, under, workload, workers)
			}
			return ratio.text(), nil
		},
		"us":       r.micros,
		"missed":   r.missed,
		"versions": r.versions,
		"growth":   r.growth,
	}).Parse(pageText)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, r)
	return b.Bytes(), err
}

// tables by their name in the template.
var tables = map[string]func(*results) string{
	"cpu": (*results).cpuTable, "goals": (*results).goalTable, "memory": (*results).memoryTable, "first": (*results).firstTable,
	"walks": (*results).walkTable, "streams": (*results).streamTable, "lookups": (*results).lookupTable, "builds": (*results).buildTable,
	"profiles": (*results).profileTable,
}

// markdown is a table. Numbers stand at the right.
func markdown(head []string, rows [][]string) string {
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(head)
	b.WriteString("|---|" + strings.Repeat("---:|", len(head)-1) + "\n")
	for _, row := range rows {
		line(row)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// figure has as many digits as are worth reading.
func figure(x float64) string {
	switch {
	case x == 0:
		return "0"
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

func (r ratio) text() string {
	return fmt.Sprintf("%s (%s to %s)", figure(r.median), figure(r.low), figure(r.high))
}

// micro is a time in µs, or in ms from 10 ms on.
func micro(ns int64) string {
	if ns >= 10_000_000 {
		return figure(float64(ns)/1e6) + " ms"
	}
	return figure(float64(ns)/1e3) + " µs"
}

func mega(b int64) string { return figure(float64(b) / 1e6) }

func count(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func (c cell) title() string {
	if c.Workers == 1 {
		return c.Workload + ", 1 worker"
	}
	return fmt.Sprintf("%s, %d workers", c.Workload, c.Workers)
}

func (r *results) cpuTable() string {
	head := append([]string{"workload"}, clients...)
	var rows [][]string
	for _, c := range r.Cells {
		row := []string{c.title(), micro(median(c.client(ours).CPU))}
		for _, client := range clients[1:] {
			text := "–"
			if ratio, ok := c.ratio(client, ours); ok {
				text = ratio.text()
			}
			row = append(row, text)
		}
		rows = append(rows, row)
	}
	return markdown(head, rows)
}

// goalTable has a row for a goal and a workload, and a column for each number of workers.
func (r *results) goalTable() string {
	head := []string{"CPU time of", "workload", "goal"}
	for _, workers := range workerCounts {
		head = append(head, cell{Workers: workers}.title()[2:])
	}
	var rows [][]string
	for _, g := range goals {
		for _, v := range r.verdicts(g) {
			text := v.ratio.text()
			if !v.met() {
				text = "**missed** " + text
			}
			if v.open() {
				text += " ±"
			}
			if last := len(rows) - 1; last >= 0 && rows[last][0] == g.says && rows[last][1] == v.cell.Workload {
				rows[last] = append(rows[last], text)
			} else {
				rows = append(rows, []string{g.says, v.cell.Workload, g.want(), text})
			}
		}
	}
	return markdown(head, rows)
}

// missed counts the cells in which a goal is missed.
func (r *results) missed() string {
	all, bad := 0, 0
	for _, g := range goals {
		for _, v := range r.verdicts(g) {
			all++
			if !v.met() {
				bad++
			}
		}
	}
	return fmt.Sprintf("%d of %d", bad, all)
}

func (r *results) memoryTable() string {
	goClients := []string{ours, undecoded, sameEngine, standard}
	head := append([]string{"workload"}, goClients...)
	for _, client := range clients {
		if client != undecoded {
			head = append(head, client+", peak")
		}
	}
	var rows [][]string
	for _, c := range r.Cells {
		row := []string{c.title()}
		for _, client := range goClients {
			x := c.client(client)
			row = append(row, fmt.Sprintf("%.0f, %.1f kB", x.Allocs, x.Bytes/1e3))
		}
		for _, client := range clients {
			if client != undecoded {
				row = append(row, mega(c.client(client).Peak)+" MB")
			}
		}
		rows = append(rows, row)
	}
	return markdown(head, rows)
}

// spreadOf is a median with the least and the largest.
func spreadOf(values []int64, unit float64) string {
	scaled := make([]float64, len(values))
	for i, v := range values {
		scaled[i] = float64(v) / unit
	}
	return ratio{median(scaled), slices.Min(scaled), slices.Max(scaled)}.text()
}

func (r *results) firstTable() string {
	var rows [][]string
	for _, x := range r.First {
		row := []string{x.Client, spreadOf(x.CPU, 1e6), spreadOf(x.Wall, 1e6), "1"}
		if x.Client != ours {
			row[3] = ratioOf(x.CPU, r.First[0].CPU).text()
		}
		rows = append(rows, row)
	}
	return markdown([]string{"client", "CPU time, ms", "clock, ms", "CPU time, of ours"}, rows)
}

func (r *results) walkTable() string {
	var rows [][]string
	for _, x := range r.Walks {
		rows = append(rows, []string{x.Client, count(x.N), spreadOf(x.CPU, 1e3), spreadOf(x.Peak, 1e6), fmt.Sprint(len(x.CPU))})
	}
	return markdown([]string{"client", "agents", "CPU time of an agent, µs", "peak memory, MB", "rounds"}, rows)
}

func (r *results) streamTable() string {
	per := func(b int64, n int) string {
		if b == 0 {
			return "–"
		}
		return figure(float64(b) / 1e3 / float64(n))
	}
	var rows [][]string
	for _, x := range r.Streams {
		rows = append(rows, []string{x.Client, count(x.N), per(x.RSS, x.N), per(x.Heap, x.N), per(x.Stack, x.N), micro(x.CPU[0])})
	}
	return markdown([]string{"client", "open streams", "memory of one, kB", "heap, kB", "stacks, kB", "CPU time to open one"}, rows)
}

func (r *results) lookupTable() string {
	var rows [][]string
	for _, x := range r.Lookups {
		rows = append(rows, []string{strings.ReplaceAll(x.Kind, "-", ", "), spreadOf(x.CPU, 1e3), fmt.Sprintf("%.0f", x.Allocs), figure(x.Requests)})
	}
	return markdown([]string{"lookup", "CPU time, ns", "allocations", "requests"}, rows)
}

func (r *results) buildTable() string {
	var rows [][]string
	for _, x := range r.Builds {
		row := []string{strings.TrimSuffix(strings.TrimSpace(titles[x.Name]+" "+x.Version), " v0.0.0"), mega(x.Size), "–", spreadOf(x.CPU, 1e9), "–", "–"}
		if x.Name != r.Builds[0].Name {
			row[2] = mega(x.Size - r.Builds[0].Size)
			row[4], row[5] = figure(float64(x.Code)/1e3), figure(float64(x.Unused)/1e3)
		}
		rows = append(rows, row)
	}
	return markdown([]string{"program", "size, MB", "more than net/http, MB", "CPU time of a first build, s", "library's functions in it, kB", "of services that it does not use, kB"}, rows)
}

var titles = map[string]string{"nethttp": "net/http, encoding/json", "letta": "letta-go", "gogithub": "go-github", "openai": "openai-go", "anthropic": "anthropic-sdk-go"}

// growth is what a program has of services that it does not use, in kB.
func (r *results) growth(name string) (string, error) {
	i := slices.IndexFunc(r.Builds, func(x build) bool { return x.Name == name })
	if i < 0 {
		return "", fmt.Errorf("no build %s", name)
	}
	return figure(float64(r.Builds[i].Unused)/1e3) + " kB", nil
}

func (r *results) profileTable() string {
	head := append(append([]string{"µs of a call, 1 worker", "all"}, spentKinds...), "samples")
	var rows [][]string
	for _, x := range r.Profiles {
		row := []string{x.Workload + ", " + x.Client, figure(float64(x.CPU) / 1e3)}
		for _, kind := range spentKinds {
			row = append(row, figure(x.Shares[kind]*float64(x.CPU)/1e3))
		}
		row = append(row, fmt.Sprint(x.Samples))
		rows = append(rows, row)
	}
	return markdown(head, rows)
}

// micros is what a call spends on something.
func (r *results) micros(workload, client, kind string) (string, error) {
	for _, x := range r.Profiles {
		if x.Workload == workload && x.Client == client {
			if kind == "all" {
				return micro(x.CPU), nil
			}
			return micro(int64(x.Shares[kind] * float64(x.CPU))), nil
		}
	}
	return "", fmt.Errorf("no profile of %s by %s", workload, client)
}

func (r *results) versions() string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		list = append(list, name+" "+r.Versions[name])
	}
	return strings.Join(list, ", ")
}

// compare says where two runs disagree: where the median of neither lies within the other's spread.
func compare(a, b string) error {
	x, err := readResults(a)
	if err != nil {
		return err
	}
	y, err := readResults(b)
	if err != nil {
		return err
	}
	within := func(a, b ratio) bool { return b.low <= a.median && a.median <= b.high }
	all, bad := 0, 0
	for _, c := range x.Cells {
		d := y.cell(c.Workload, c.Workers)
		for _, client := range clients[1:] {
			one, ok := c.ratio(client, ours)
			if d == nil || !ok {
				continue
			}
			two, ok := d.ratio(client, ours)
			if !ok {
				continue
			}
			all++
			if !within(one, two) && !within(two, one) {
				bad++
				fmt.Printf("%s, %s: %s and %s\n", c.title(), client, one.text(), two.text())
			}
		}
	}
	fmt.Printf("%d of %d ratios agree within their spread\n", all-bad, all)
	return nil
}
