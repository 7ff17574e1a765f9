package letta

//lint:file-ignore SA1019 self-hosted servers have folders

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEnsureFolder(t *testing.T) {
	const ours = `{"id":"source-1","name":"manuals"}`
	for name, tt := range map[string]struct {
		lists   []string // the answers, the last one again and again; "" is a 500
		status  int      // of the create
		created string
		sent    string // methods
		want    error
	}{
		"there is none":         {[]string{"[]"}, 200, ours, "GET POST", nil},
		"there is one":          {[]string{"[" + ours + "]"}, 0, "", "GET", nil},
		"a neighbour":           {[]string{`[{"id":"source-2","name":"manuals2"}]`}, 200, ours, "GET POST", nil},
		"somebody was faster":   {[]string{"[]", "[" + ours + "]"}, 409, "{}", "GET POST GET", nil},
		"a conflict for ever":   {[]string{"[]"}, 409, "{}", "GET POST GET", ErrConflict},
		"the list fails":        {[]string{""}, 0, "", "GET", ErrServer},
		"the create is refused": {[]string{"[]"}, 400, `{"detail":"no embedding"}`, "GET POST", ErrBadRequest},
		"the create fails":      {[]string{"[]"}, 500, "{}", "GET POST", ErrServer},
	} {
		t.Run(name, func(t *testing.T) {
			lists := tt.lists
			c, sent := script(t, func(r *http.Request) (int, string) {
				if r.Method == http.MethodPost {
					return tt.status, tt.created
				}
				list := lists[0]
				lists = lists[min(1, len(lists)-1):]
				if list == "" {
					return 500, "{}"
				}
				return 200, list
			})
			folder, err := c.Folders.Ensure(t.Context(), &FolderCreateParams{Name: "manuals"})
			require.ErrorIs(t, err, tt.want)
			if tt.want == nil {
				assert.Equal(t, FolderID("source-1"), folder.ID)
			}
			var methods []string
			for _, line := range sent() {
				methods = append(methods, strings.Fields(line)[0])
			}
			assert.Equal(t, tt.sent, strings.Join(methods, " "))
		})
	}
	c, sent := script(t, func(*http.Request) (int, string) { return 404, `{"detail":"Not Found"}` })
	_, err := c.Folders.Ensure(t.Context(), &FolderCreateParams{Name: "manuals"})
	require.ErrorIs(t, err, ErrNotFound)
	assert.Len(t, sent(), 1, "a server without folders is no empty list")
	for name, params := range map[string]*FolderCreateParams{"nil": nil, "no name": {}, "not UTF-8": {Name: "a\xff"}} {
		_, err := c.Folders.Ensure(t.Context(), params)
		require.ErrorIs(t, err, ErrInvalidArgument, name)
	}
	_, err = c.Folders.Find(t.Context(), "")
	require.ErrorIs(t, err, ErrInvalidArgument)
	assert.Len(t, sent(), 1)
}

func TestWaitForFile(t *testing.T) {
	answers := func(states ...string) (*Client, func() []string) {
		return script(t, func(*http.Request) (int, string) {
			state := states[0]
			states = states[min(1, len(states)-1):]
			if state == "" {
				return 500, "{}"
			}
			return 200, `{"id":"file-1","source_id":"source-1",` + state + `}`
		})
	}
	const parsing = `"processing_status":"parsing"`
	c, sent := answers(parsing, `"processing_status":"brewing"`, `"processing_status":"completed"`)
	file, err := c.Folders.Files.Wait(t.Context(), "source-1", "file-1")
	require.NoError(t, err)
	assert.Equal(t, FileProcessingCompleted, file.ProcessingStatus)
	assert.Len(t, sent(), 3)

	c, _ = answers(parsing, `"processing_status":"error","error_message":"No text\nextracted"`)
	file, err = c.Folders.Files.Wait(t.Context(), "source-1", "file-1")
	require.EqualError(t, err, "letta: folders.files.wait source-1 file-1: the server could not work on the file: No text extracted")
	require.NotErrorIs(t, err, ErrNotSent)
	assert.Equal(t, FileProcessingError, file.ProcessingStatus)

	c, _ = answers(parsing, "")
	_, err = c.Folders.Files.Wait(t.Context(), "source-1", "file-1")
	require.ErrorIs(t, err, ErrServer)

	ctx, cancel := context.WithCancel(t.Context())
	c, _ = script(t, func(*http.Request) (int, string) {
		defer cancel()
		return 200, `{"id":"file-1",` + parsing + `}`
	})
	_, err = c.Folders.Files.Wait(ctx, "source-1", "file-1")
	require.ErrorIs(t, err, context.Canceled)
}
