package letta_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestReadme holds every Go block of the README to code that is compiled: the examples of this package, and the
// programs in examples.
func TestReadme(t *testing.T) {
	files, err := filepath.Glob("examples/*/*.go")
	require.NoError(t, err)
	lettatestExamples, err := filepath.Glob("lettatest/example*_test.go")
	require.NoError(t, err)
	var compiled string
	for _, file := range append(append(files, lettatestExamples...), "example_test.go") {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		compiled += "\n" + flat(string(data))
	}
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	assert.NotEmpty(t, blocks)
	for _, block := range blocks {
		assert.Contains(t, compiled, "\n"+flat(block[1]), "not in a compiled file:\n%s", block[1])
	}
}

// flat drops indentation.
func flat(code string) string {
	lines := strings.Split(strings.TrimSpace(code), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return strings.Join(lines, "\n") + "\n"
}
