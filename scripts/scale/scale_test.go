package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const results = "../../docs/scale"

// TestSimulation: what is published is what the program says.
func TestSimulation(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "simulated.json")
	require.NoError(t, simulate(t.Context(), []string{"-in", filepath.Join(results, "measured.json"), "-out", out}))
	want, err := os.ReadFile(filepath.Join(results, "simulated.json"))
	require.NoError(t, err)
	got, err := os.ReadFile(out)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got))
}

func TestPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/scale.md")
	require.NoError(t, err)
	tables, err := pageTables(results)
	require.NoError(t, err)
	for _, table := range tables {
		assert.Contains(t, string(page), table)
	}
}
