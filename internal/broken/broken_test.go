package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestVariantsFit: whoever changes the code that a variant quotes, or the name of a test, hears of it before the run that
// takes minutes.
func TestVariantsFit(t *testing.T) {
	t.Chdir("../..")
	list, err := parse(variants)
	require.NoError(t, err)
	_, err = overlayOf(list, t.TempDir())
	require.NoError(t, err)
	tests := map[string]string{} // of a package: its test files
	for _, v := range list {
		for _, c := range v.tests {
			if tests[c.pkg] == "" {
				files, err := filepath.Glob(filepath.Join(c.pkg, "*_test.go"))
				require.NoError(t, err)
				for _, file := range files {
					text, err := os.ReadFile(file)
					require.NoError(t, err)
					tests[c.pkg] += string(text)
				}
			}
			assert.Contains(t, tests[c.pkg], "\nfunc "+c.name+"(t *testing.T)", "%s: there is no such test", v.name)
		}
	}
	if os.Getenv("LETTA_WRITE_PAGES") != "" {
		require.NoError(t, os.WriteFile(page, pageOf(list), 0o600))
	}
	have, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Equal(t, string(pageOf(list)), string(have), "LETTA_WRITE_PAGES=1 go test ./internal/broken")
}

// TestBreakable breaks functions of every kind, and runs them.
func TestBreakable(t *testing.T) {
	const source = `package main

import "fmt"

type box[T any] struct{ v T }

func (b *box[T]) get(_ int, more ...T) (T, int) { return b.v, len(more) }

func twice[T any](v T, f func(T)) {
	f(v)
	f(v)
}

func main() {
	fmt.Println((&box[string]{"a"}).get(0, "b", "c"))
	twice(1, func(n int) { fmt.Print(n) })
}
`
	places := []*place{
		{"no-more", ".", "box.get", []change{{"len(more)", "0"}}},
		{"more-more", ".", "box.get", []change{{"len(more)", "len(more)+1"}}},
		{"once", ".", "twice", []change{{"f(v)\n\tf(v)", "f(v)"}}},
	}
	pkg, changed, err := breakable("main.go", []byte(source), places, map[*place]bool{})
	require.NoError(t, err)
	require.Equal(t, "main", pkg)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), changed, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "which.go"), which(pkg), 0o600))
	program := filepath.Join(dir, "program")
	built, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, filepath.Join(dir, "main.go"), filepath.Join(dir, "which.go")).CombinedOutput()
	require.NoError(t, err, "%s", built)
	for variant, want := range map[string]string{"": "a 2\n11", "no-more": "a 0\n11", "more-more": "a 3\n11", "once": "a 2\n1"} {
		command := exec.CommandContext(t.Context(), program)
		command.Env = append(os.Environ(), "LETTA_BROKEN="+variant)
		got, err := command.CombinedOutput()
		require.NoError(t, err, "%s", got)
		require.Equal(t, want, string(got), variant)
	}
	for _, wrong := range []*place{
		{"absent", ".", "twice", []change{{"g(v)", ""}}},
		{"ambiguous", ".", "twice", []change{{"f(v)", ""}}},
	} {
		_, _, err := breakable("main.go", []byte(source), []*place{wrong}, map[*place]bool{})
		require.ErrorContains(t, err, wrong.variant)
	}
}

func TestParse(t *testing.T) {
	list, err := parse("for the reader\n\n== one\nbreaks A promise.\ncaught by TestA, peruser.TestB (panic)\nin f\n- x\n- \ty\n+ z\n- u\n+\nin peruser T.g\n- v\n+ w\n\n# a comment\n\n== two\nbreaks Another.\ncaught by TestC\nin f\n- x\n+ y\n")
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, &variant{
		name: "one", promise: "A promise.", tests: []caughtBy{{".", "TestA", ""}, {"peruser", "TestB", "panic"}},
		places: []*place{{"one", ".", "f", []change{{"x\n\ty", "z"}, {"u", ""}}}, {"one", "peruser", "T.g", []change{{"v", "w"}}}},
	}, list[0])
	for _, wrong := range []string{"== one\nbreaks x\n", "== one\nbreaks x\ncaught by T\nin f\n", "== one\nwhat\n"} {
		_, err := parse(wrong)
		require.Error(t, err, wrong)
	}
	require.Equal(t, "peruser.TestB (panic)", list[0].tests[1].String())
	require.True(t, strings.HasSuffix(string(pageOf(list)), "| f | TestC |\n"))
}
