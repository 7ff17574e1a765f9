package letta_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/lettatest"
)

var goBlock = regexp.MustCompile("(?s)```go\n(.*?)```")

// pages are README.md and everything in docs.
func pages(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	texts := map[string]string{}
	for _, file := range append(files, "README.md") {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		texts[file] = string(data)
	}
	return texts
}

// program is the first block of README.md, a whole program.
func program(t *testing.T) string {
	t.Helper()
	block := goBlock.FindStringSubmatch(pages(t)["README.md"])
	require.NotNil(t, block)
	require.True(t, strings.HasPrefix(block[1], "package main\n"), "README.md begins with a program")
	return block[1]
}

// TestPages holds every Go block of README.md and of docs to code that is compiled: the examples of the packages, and the
// programs in examples.
func TestPages(t *testing.T) {
	compiled := "\n" + flat(program(t)) // TestReadmeProgram compiles it
	for _, pattern := range []string{"example*_test.go", "*/example*_test.go", "*/*/example*_test.go", "examples/*/*.go"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, file := range files {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			compiled += "\n" + flat(string(data))
		}
	}
	for file, text := range pages(t) {
		if file == "docs/migration.md" {
			continue // its lines are held to the methods by a test of their own
		}
		for _, block := range goBlock.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(compiled, "\n"+flat(block[1])) {
				t.Errorf("%s: not in a compiled file:\n%s", file, block[1])
			}
		}
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

// TestReadmeProgram builds the program of README.md and uses it as its users would.
func TestReadmeProgram(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	code := strings.Replace(program(t), "localhost:8080", address, 1)
	require.Contains(t, code, address)

	dir := t.TempDir()
	source, overlay, binary := filepath.Join(dir, "main.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "program")
	require.NoError(t, os.WriteFile(source, []byte(code), 0o600))
	here, err := os.Getwd()
	require.NoError(t, err)
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(here, "examples", "readme", "main.go"): source}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(overlay, replace, 0o600))
	out, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlay, "-o", binary, "./examples/readme").CombinedOutput()
	require.NoError(t, err, "%s", out)

	server := lettatest.NewServer(t)
	ctx, stop := context.WithCancel(t.Context())
	command := exec.CommandContext(ctx, binary)
	command.Env = append(os.Environ(), "LETTA_BASE_URL="+server.URL())
	require.NoError(t, command.Start())
	defer func() {
		stop()
		_ = command.Wait()
	}()
	say := "hello"
	ask := func(path, user string) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+path, strings.NewReader(say))
		require.NoError(t, err)
		request.Header.Set("X-User", user)
		for {
			response, err := http.DefaultClient.Do(request.Clone(t.Context()))
			if err != nil { // not yet there
				require.NoError(t, t.Context().Err())
				time.Sleep(20 * time.Millisecond)
				request.Body = io.NopCloser(strings.NewReader(say))
				continue
			}
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			return response.StatusCode, string(body)
		}
	}
	status, _ := ask("/chat", "user_1")
	assert.Equal(t, http.StatusNotFound, status)
	for range 2 {
		status, _ = ask("/signup", "user_1")
		assert.Equal(t, http.StatusOK, status)
	}
	status, answer := ask("/chat", "user_1")
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, "You said: hello", answer)
	say = "FAIL 429" // after the server has answered 200
	status, answer = ask("/chat", "user_1")
	assert.Equal(t, http.StatusBadGateway, status)
	assert.Equal(t, "no answer\n", answer)
	count, err := server.Client().Agents.Count(t.Context(), letta.Tags("user_1"))
	require.NoError(t, err)
	assert.Equal(t, 1, count)
}

// TestReadmeLength keeps README.md short enough to be read.
func TestReadmeLength(t *testing.T) {
	prose := regexp.MustCompile("(?ms)^```.*?^```").ReplaceAllString(pages(t)["README.md"], "")
	assert.LessOrEqual(t, len(strings.Fields(prose)), 900)
}

// TestLinks finds links between the pages that lead nowhere.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^):]+?)(#[^)]*)?\)`)
	texts := pages(t)
	contributing, err := os.ReadFile("CONTRIBUTING.md")
	require.NoError(t, err)
	texts["CONTRIBUTING.md"] = string(contributing)
	for file, text := range texts {
		for _, to := range link.FindAllStringSubmatch(text, -1) {
			_, err := os.Stat(filepath.Join(filepath.Dir(file), to[1]))
			assert.NoError(t, err, "%s links to %s", file, to[1])
		}
	}
}

// TestErrorTable holds the table in docs/errors-and-retries.md to the package: it has every kind of error, with the status
// that HTTPStatus gives.
func TestErrorTable(t *testing.T) {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	declared := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, name := range regexp.MustCompile(`(?m)^(?:var |\t)(Err[A-Z]\w*) +=`).FindAllStringSubmatch(string(source), -1) {
			declared[name[1]] = true
		}
	}
	require.Greater(t, len(declared), 20)
	as := map[string]error{
		"ErrInvalidArgument": letta.ErrInvalidArgument, "ErrInvalidTags": letta.ErrInvalidTags, "ErrInvalidApprovals": letta.ErrInvalidApprovals,
		"ErrNotSent":         letta.ErrNotSent,
		"ErrBadRequest":      &letta.APIError{StatusCode: 400},
		"ErrValidation":      &letta.APIError{StatusCode: 422},
		"ErrUnauthorized":    &letta.APIError{StatusCode: 401},
		"ErrForbidden":       &letta.APIError{StatusCode: 403},
		"ErrNotFound":        &letta.APIError{StatusCode: 404},
		"ErrConflict":        &letta.APIError{StatusCode: 409},
		"ErrRateLimited":     &letta.APIError{StatusCode: 429},
		"ErrServer":          &letta.APIError{StatusCode: 500},
		"ErrRetired":         &letta.APIError{StatusCode: 410},
		"ErrQuota":           &letta.APIError{StatusCode: 402},
		"ErrProvider":        &letta.APIError{StatusCode: 401, Type: "llm_authentication"},
		"ErrBusy":            &letta.APIError{StatusCode: 409, RunID: "run-1"},
		"ErrPendingApproval": &letta.APIError{StatusCode: 409, Code: "PENDING_APPROVAL"},
		"ErrNothingPending":  letta.ErrNothingPending,
		"ErrNoActiveRun":     &letta.APIError{StatusCode: 409, Code: "NO_ACTIVE_RUNS_TO_CANCEL"},
		"ErrStreamTruncated": &letta.StreamError{Err: letta.ErrStreamTruncated},
		"ErrStreamIdle":      &letta.StreamError{Err: letta.ErrStreamIdle},
		"ErrStreamGap":       &letta.StreamError{Err: letta.ErrStreamGap},
		"ErrStreamClosed":    &letta.StreamError{Err: letta.ErrStreamClosed},
		"ErrNotResumable":    &letta.StreamError{Err: errors.Join(letta.ErrStreamTruncated, letta.ErrNotResumable)},
		"ErrEventTooLarge":   &letta.StreamError{Err: letta.ErrEventTooLarge},
		"ErrTooManyRounds":   letta.ErrTooManyRounds,
		"ErrPageLoop":        letta.ErrPageLoop,
	}
	page := pages(t)["docs/errors-and-retries.md"]
	rows := regexp.MustCompile("(?m)^\\| `(Err\\w+)` \\|.*\\| (\\d+)(;[^|\n]*)? \\|$").FindAllStringSubmatch(page, -1)
	for _, row := range rows {
		name := row[1]
		assert.True(t, declared[name], name)
		delete(declared, name)
		require.Error(t, as[name], name)
		assert.Equal(t, row[2], fmt.Sprint(letta.HTTPStatus(as[name])), name)
	}
	assert.Empty(t, declared, "not in the table")
}
