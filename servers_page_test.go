package letta_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta/internal/apispec"
	"github.com/letta-go/letta/lettatest"
)

// on0612 are the operations that the OpenAPI document of Letta 0.6.12 has by method and path. True: with the fields of
// today, as the conformance suite sees. False: with other fields, which the typed methods do not speak.
var on0612 = map[string]bool{
	"health": true, "agents.create": true, "agents.retrieve": true, "agents.update": true, "agents.list": true, "agents.delete": true,
	"blocks.create": true, "blocks.retrieve": true, "blocks.update": true, "blocks.list": true, "blocks.delete": true,
	"models.list": true, "models.embeddings.list": true, "tags.list": true,

	"agents.messages.create": false, "agents.messages.list": false, "agents.messages.create_async": false, "agents.messages.reset": false,
	"agents.messages.stream": false, "agents.tools.list": false, "tools.create": false, "tools.retrieve": false, "tools.update": false,
	"tools.list": false, "tools.delete": false, "tools.upsert": false, "runs.retrieve": false, "runs.list": false, "runs.messages.list": false,
	"runs.usage.retrieve": false, "jobs.retrieve": false, "jobs.list": false, "jobs.list_active": false, "jobs.delete": false,
	"providers.create": false, "providers.list": false,
}

// needsMore are operations that Letta 0.16.8 has, and cannot carry out as it comes: its answer was recorded.
var needsMore = map[string]string{
	"tools.search":        "needs an index of tools (400)",
	"messages.search":     "needs Turbopuffer and OpenAI (400)",
	"runs.trace.retrieve": "needs ClickHouse (501)",
	"steps.list":          "always answers 400",
}

// TestServersTable holds the table in docs/servers.md to the facts. LETTA_WRITE_PAGES=1 writes it anew.
func TestServersTable(t *testing.T) {
	server := lettatest.NewServer(t)
	var want strings.Builder
	want.WriteString("| operation | Letta Cloud | Letta 0.16.8 | Letta 0.6.12 | lettatest |\n|---|---|---|---|---|\n")
	for _, op := range apispec.Operations() {
		cloud := "yes"
		switch {
		case op.SelfHostedOnly:
			cloud = "-"
		case strings.HasPrefix(op.SDK, "folders.") || strings.HasPrefix(op.SDK, "agents.folders."):
			cloud = "retired"
		case op.Deprecated, op.SDK == "agents.messages.create_async": // by its documentation
			cloud = "deprecated"
		}
		v1 := "yes"
		switch {
		case op.HostedOnly:
			v1 = "-"
		case needsMore[op.SDK] != "":
			v1 = needsMore[op.SDK]
		}
		seed := "-"
		if same, has := on0612[op.SDK]; has {
			seed = "other fields"
			if same {
				seed = "yes"
			}
		}
		embedded := "-"
		if serves(t, server, op) {
			embedded = "yes"
			if op.HostedOnly {
				embedded = "as documented"
			}
		}
		fmt.Fprintf(&want, "| `%s` | %s | %s | %s | %s |\n", op.SDK, cloud, v1, seed, embedded)
	}
	for name := range on0612 {
		_, known := apispec.Lookup(name)
		assert.True(t, known, name)
	}
	page := pages(t)["docs/servers.md"]
	const start, end = "<!-- table of operations -->\n", "<!-- end of table -->"
	table := regexp.MustCompile("(?s)" + start + "(.*)" + end)
	require.Regexp(t, table, page)
	if os.Getenv("LETTA_WRITE_PAGES") != "" {
		page = table.ReplaceAllLiteralString(page, start+want.String()+end)
		require.NoError(t, os.WriteFile("docs/servers.md", []byte(page), 0o600))
	}
	assert.Equal(t, strings.Split(want.String(), "\n"), strings.Split(table.FindStringSubmatch(page)[1], "\n"))
}

// serves reports whether lettatest has a route for an operation.
func serves(t *testing.T, server *lettatest.Server, op apispec.Operation) bool {
	t.Helper()
	path := regexp.MustCompile(`\{.*?\}`).ReplaceAllString(op.Path, "none")
	request, err := http.NewRequestWithContext(t.Context(), op.Method, server.URL()+path, http.NoBody)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	none := response.StatusCode == http.StatusNotFound && string(body) == `{"detail":"Not Found"}`
	return !none && !slices.Contains([]int{http.StatusMethodNotAllowed, http.StatusNotImplemented}, response.StatusCode)
}
