package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const results = "../../docs/scale"

// TestSimulation: what is published is what the program says. A million users take too long for a test.
func TestSimulation(t *testing.T) {
	t.Parallel()
	var m Measured
	var published Simulated
	require.NoError(t, load(filepath.Join(results, "measured.json"), &m))
	require.NoError(t, load(filepath.Join(results, "simulated.json"), &published))
	again := simulation(&m, 1_000, 10_000)
	published.Loads, published.Caches = published.Loads[:len(again.Loads)], published.Caches[:len(again.Caches)]
	assert.Equal(t, published, again)
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
