package faults

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// A table of records is a file: a few lines that begin with #, a line of column names, and a line for each case, in the
// order of Cases, with tabs between the columns. No column is empty.

const columns = 7

// Write writes a table. about is what stands above it.
func Write(file, about string, records []Record) error {
	var b strings.Builder
	for line := range strings.Lines(about) {
		b.WriteString("# " + line)
	}
	b.WriteString(strings.Join(Fields, "\t") + "\n")
	for _, r := range records {
		b.WriteString(strings.Join(r.fields(), "\t") + "\n")
	}
	return os.WriteFile(file, []byte(b.String()), 0o644) //nolint:gosec // a page for everyone
}

// Read reads a table. It wants exactly the cases that there are.
func Read(file string) ([]Record, error) {
	data, err := os.ReadFile(file) //nolint:gosec // a table of ours
	if err != nil {
		return nil, err
	}
	var records []Record
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") || line == strings.Join(Fields, "\t") {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != columns || slices.Contains(f, "") {
			return nil, fmt.Errorf("%s: a line has an empty cell, or not %d: %q", file, columns, line)
		}
		records = append(records, Record{f[0], f[1], f[2], f[3], f[4], f[5], f[6], 0})
	}
	cases := Cases()
	if len(records) != len(cases) {
		return nil, fmt.Errorf("%s has %d cases, there are %d", file, len(records), len(cases))
	}
	for i, c := range cases {
		if records[i].Case() != c.String() {
			return nil, fmt.Errorf("%s: case %d is %q, not %q", file, i, records[i].Case(), c)
		}
	}
	return records, nil
}

// Case names the case.
func (r Record) Case() string { return r.Fault + ", " + r.When + ": " + r.Operation }

// sum adds up the requests that arrived and that were carried out, of one method; of all, if it is empty. A POST that asks
// for the frames of a run is counted as a GET: it begins nothing.
func (r Record) sum(method string) (arrived, done int) {
	for part := range strings.SplitSeq(r.Requests, ", ") {
		f := strings.Fields(part)
		if len(f) == 3 && strings.HasPrefix(f[1], "/runs/") {
			f[0] = "GET"
		}
		if len(f) != 3 || method != "" && f[0] != method {
			continue
		}
		a, d, _ := strings.Cut(f[2], "/")
		m, _ := strconv.Atoi(a)
		n, _ := strconv.Atoi(d)
		arrived, done = arrived+m, done+n
	}
	return arrived, done
}

// Returned reports whether the call ended well.
func (r Record) Returned() bool { return r.Outcome == "ok" }

// goals are the states of the server after a call that did what was asked.
var goals = map[string]string{
	"create": "1 created", "update": "updated", "delete": "deleted", "turn": "1 turns", "stream": "1 turns", "background stream": "1 turns",
	"upload": "1 files", "Ensure": "1 created", "AddTags": "tag added", "retrieve": "unchanged", "list": "unchanged",
}

func (r Record) goal() string {
	does, _, _ := strings.Cut(r.Operation, ",")
	return goals[does]
}

// twice reports whether the server has more than one of what the call was to make.
func (r Record) twice() bool {
	n, err := strconv.Atoi(strings.Fields(r.State)[0])
	return err == nil && n > 1
}

// Promise is what a client may break, as far as a table can show it.
type Promise struct {
	Name   string // of the column that counts the cases
	Broken func(r Record, all []Record) bool
}

// Promises are those that the tables of all clients are held to.
var Promises = []Promise{
	{"done twice, or more often", func(r Record, _ []Record) bool { return r.twice() }},
	{"a wrong or partial result as success", func(r Record, _ []Record) bool {
		return strings.HasPrefix(r.Outcome, "WRONG") || r.Returned() && r.State != r.goal() && !r.twice()
	}},
	{"what was there is lost", func(r Record, _ []Record) bool { return strings.HasPrefix(r.State, "tags") }},
	{"still waiting after nine times its limit", func(r Record, _ []Record) bool { return r.Outcome == Never }},
	{"the key went to another origin", func(r Record, _ []Record) bool { return strings.Contains(r.Elsewhere, "key") }},
	{"the body went to another origin", func(r Record, _ []Record) bool { return strings.Contains(r.Elsewhere, "body") }},
	{"done, and the error is the one of a server that was not reached", func(r Record, all []Record) bool {
		_, posted := r.sum("POST")
		return posted > 0 && !r.Returned() && slices.ContainsFunc(all, func(other Record) bool {
			return other.Fault == "dial refused" && other.Operation == r.Operation && other.Outcome == r.Outcome
		})
	}},
	{"an error that is not of the client's documented kinds", func(r Record, _ []Record) bool { return strings.HasPrefix(r.Outcome, Untyped) }},
}

// Outcomes that no client chooses.
const (
	Never     = "still waiting" // long after every limit
	NotPlayed = "not played: "  // and why
	Untyped   = "untyped "      // and which error
)

// NotPlayedToo marks the records of a client in this process whose fault was not played.
func NotPlayedToo(records []Record) []Record {
	for i, r := range records {
		if r.played == 0 && r.Fault != "no fault" {
			records[i].Outcome = NotPlayed + notSent
		}
	}
	return records
}

const notSent = "the request that would meet the fault was not sent"
