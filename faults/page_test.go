package faults

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const pageFile = "../docs/reliability.md"

// tables are those of the page, in its order.
var tables = []struct{ client, file string }{
	{"this package", "results/letta-go.tsv"},
	{"Python 1.12.1", "results/python.tsv"},
	{"TypeScript 1.12.1", "results/typescript.tsv"},
	{"net/http", "results/net-http.tsv"},
}

// TestReliabilityPage holds docs/reliability.md to the tables. -write writes it anew.
func TestReliabilityPage(t *testing.T) {
	data, err := os.ReadFile(pageFile)
	require.NoError(t, err)
	var all [][]Record
	for _, table := range tables {
		records, err := Read(table.file)
		require.NoError(t, err)
		all = append(all, records)
	}
	for name, want := range map[string]string{"matrix": matrixTable(all[0]), "clients": clientsTable(all)} {
		start, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->"
		section := regexp.MustCompile("(?s)" + start + "(.*)" + end)
		found := section.FindSubmatch(data)
		require.NotNil(t, found, name)
		if *write {
			data = section.ReplaceAllLiteral(data, []byte(start+want+end))
			continue
		}
		assert.Equal(t, strings.Split(want, "\n"), strings.Split(string(found[1]), "\n"))
	}
	if *write {
		require.NoError(t, os.WriteFile(pageFile, data, 0o644)) //nolint:gosec // a page for everyone
	}
}

// TestPromisesHaveTests finds every test that the page names.
func TestPromisesHaveTests(t *testing.T) {
	data, err := os.ReadFile(pageFile)
	require.NoError(t, err)
	var code strings.Builder
	require.NoError(t, filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path) //nolint:gosec // of this repository
		code.Write(text)
		return err
	}))
	promises, _, _ := strings.Cut(string(data), "\n## ")
	names := regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(promises, -1)
	require.Greater(t, len(names), 8)
	for _, name := range names {
		assert.True(t, strings.Contains(code.String(), "\nfunc "+name[1]+"(t *testing.T)"), name[1]) // Contains would print all tests
	}
	assert.Equal(t, 8, strings.Count(promises, "\n| **"), "promises")
}

// matrixTable is what one fault does: a row for each fault, a column for each operation.
func matrixTable(records []Record) string {
	shown := []string{"retrieve", "create", "update", "delete", "turn", "stream", "background stream", "upload", "Ensure, create", "AddTags, write"}
	var b strings.Builder
	b.WriteString("| fault | " + strings.Join(shown, " | ") + " |\n|" + strings.Repeat("---|", len(shown)+1) + "\n")
	var rows []string
	for _, fault := range Faults {
		row := "| " + fault.Name
		for _, name := range shown {
			i := slices.IndexFunc(records, func(r Record) bool {
				first, _, _ := strings.Cut(name, ",")
				return r.Fault == fault.Name && (r.When == "once" || fault.constant()) && (r.Operation == name || fault.connects() && strings.HasPrefix(r.Operation, first+","))
			})
			r := records[i]
			cell := strings.ReplaceAll(r.Outcome, mayHave, "(may have arrived)")
			for part := range strings.SplitSeq(r.Requests, ", ") {
				if f := strings.Fields(part); len(f) == 3 && f[0] == operation(name).method && matches(operation(name).path, "/v1"+strings.ReplaceAll(f[1], "{id}", "x")+slash(f[1])) && !strings.HasPrefix(f[2], "1/") {
					cell += " ×" + strings.Split(f[2], "/")[0]
				}
			}
			row += " | " + cell
		}
		// The redirects are alike, and so are the failures of a server.
		row = regexp.MustCompile(`\b([35])\d\d\b`).ReplaceAllString(row, "${1}xx")
		if !slices.Contains(rows, row) {
			rows = append(rows, row)
		}
	}
	return b.String() + strings.Join(rows, " |\n") + " |\n"
}

func slash(path string) string {
	if path == "/agents" {
		return "/"
	}
	return ""
}

func operation(name string) Operation {
	return Operations[slices.IndexFunc(Operations, func(o Operation) bool { return o.Name == name })]
}

// severity is smallest for what hurts most.
func severity(r Record) int {
	if i := slices.Index([]string{"turn", "stream", "background stream", "create", "update", "retrieve"}, r.Operation); i >= 0 {
		return i
	}
	return len(Operations)
}

// clientsTable counts the cases in which each client breaks a promise.
func clientsTable(all [][]Record) string {
	var b strings.Builder
	b.WriteString("|")
	for _, table := range tables {
		b.WriteString(" | " + table.client)
	}
	b.WriteString(" |\n|" + strings.Repeat("---|", len(tables)+1) + "\n| cases played")
	for _, records := range all {
		n := 0
		for _, r := range records {
			if !strings.HasPrefix(r.Outcome, NotPlayed) {
				n++
			}
		}
		fmt.Fprintf(&b, " | %d", n)
	}
	b.WriteString(" |\n")
	for _, promise := range Promises {
		b.WriteString("| " + promise.Name)
		for _, records := range all {
			var broken []Record
			for _, r := range records {
				if !strings.HasPrefix(r.Outcome, NotPlayed) && promise.Broken(r, records) {
					broken = append(broken, r)
				}
			}
			fmt.Fprintf(&b, " | %d", len(broken))
			if len(broken) > 0 {
				r := slices.MinFunc(broken, func(a, b Record) int { return severity(a) - severity(b) })
				fmt.Fprintf(&b, ": %s, %s, %s: %s", r.Operation, r.Fault, r.When, r.State)
			}
		}
		b.WriteString(" |\n")
	}
	return b.String()
}
