package letta

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func clientOf(t *testing.T, handler http.HandlerFunc, opts ...ClientOption) *Client {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	c, err := NewClient(append([]ClientOption{WithBaseURL(srv.URL)}, opts...)...)
	require.NoError(t, err)
	return c
}

// onlyReader hides what else a reader can do, such as its length.
type onlyReader struct{ io.Reader }

func TestUpload(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("All work and no play.\n", 10000)
	onDisk := filepath.Join(t.TempDir(), "notes.md")
	require.NoError(t, os.WriteFile(onDisk, []byte(content), 0o600))
	opened, err := os.Open(onDisk)
	require.NoError(t, err)
	defer opened.Close()
	for name, test := range map[string]struct {
		params         FolderFileUploadParams
		file, mimeType string
		query          string
	}{
		"a name":         {FolderFileUploadParams{File: onlyReader{strings.NewReader(content)}, FileName: `a "b".json`}, `a "b".json`, "application/json", ""},
		"an open file":   {FolderFileUploadParams{File: opened, DuplicateHandling: DuplicateFileReplace}, "notes.md", "", "duplicate_handling=replace"},
		"another name":   {FolderFileUploadParams{File: onlyReader{strings.NewReader(content)}, Name: "x.unheard-of"}, "x.unheard-of", "application/octet-stream", "name=x.unheard-of"},
		"a content type": {FolderFileUploadParams{File: onlyReader{strings.NewReader(content)}, FileName: "x", ContentType: "text/x-go"}, "x", "text/x-go", ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
				assert.Equal(t, test.query, r.URL.RawQuery)
				if name == "an open file" {
					assert.Greater(t, r.ContentLength, int64(len(content)), "its size is known")
				} else {
					assert.Equal(t, []string{"chunked"}, r.TransferEncoding)
				}
				reader, err := r.MultipartReader()
				if !assert.NoError(t, err) {
					return
				}
				part, err := reader.NextPart()
				if !assert.NoError(t, err) {
					return
				}
				assert.Equal(t, "file", part.FormName())
				_, disposition, _ := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
				assert.Equal(t, test.file, disposition["filename"])
				if test.mimeType != "" { // of .md, machines think differently
					assert.Equal(t, test.mimeType, part.Header.Get("Content-Type"))
				}
				data, err := io.ReadAll(part)
				assert.NoError(t, err)
				assert.Equal(t, content, string(data))
				_, err = reader.NextPart()
				assert.ErrorIs(t, err, io.EOF)
				_, _ = io.WriteString(w, `{"id":"file-1","source_id":"source-1"}`)
			})
			var last int64
			test.params.Progress = func(sent int64) {
				assert.Greater(t, sent, last)
				last = sent
			}
			file, err := c.Folders.Files.Upload(t.Context(), "source-1", &test.params)
			require.NoError(t, err)
			assert.Equal(t, FileID("file-1"), file.ID)
			assert.Equal(t, int64(len(content)), last)
		})
	}
	c, requests := countingClient(t)
	for want, params := range map[string]*FolderFileUploadParams{
		"folders.files.upload source-1: the params are nil":   nil,
		"folders.files.upload source-1: file is empty":        {FileName: "x"},
		"folders.files.upload source-1: the file has no name": {File: onlyReader{strings.NewReader("x")}},
	} {
		_, err := c.Folders.Files.Upload(t.Context(), "source-1", params)
		require.EqualError(t, err, "letta: "+want)
		assert.ErrorIs(t, err, ErrInvalidArgument)
	}
	assert.Zero(t, requests.Load())
}

// TestUploadSize: the server learns the size of what can tell it, from where the reader stands.
func TestUploadSize(t *testing.T) {
	t.Parallel()
	opened, err := os.Create(filepath.Join(t.TempDir(), "x"))
	require.NoError(t, err)
	defer opened.Close()
	_, err = opened.WriteString("0123456789")
	require.NoError(t, err)
	_, err = opened.Seek(4, io.SeekStart)
	require.NoError(t, err)
	half := strings.NewReader("0123456789")
	_, _ = half.ReadByte()
	pipe, w := io.Pipe()
	go func() {
		_, _ = w.Write([]byte("piped"))
		_ = w.Close()
	}()
	for _, test := range []struct {
		body io.Reader
		size int64
		want string
	}{
		{opened, 6, "456789"},
		{opened, -1, ""}, // at its end
		{half, 9, "123456789"},
		{bytes.NewReader([]byte("x")), 1, "x"},
		{bytes.NewBufferString("xy"), 2, "xy"},
		{strings.NewReader(""), -1, ""},
		{pipe, -1, "piped"},
		{onlyReader{strings.NewReader("x")}, -1, "x"},
	} {
		c := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
			assert.Equal(t, test.size, r.ContentLength, "%T", test.body)
			data, _ := io.ReadAll(r.Body)
			_, _ = w.Write(data)
		})
		var got []byte
		require.NoError(t, c.Do(t.Context(), "PUT", "/v1/x", test.body, &got))
		assert.Equal(t, test.want, string(got))
	}
	shrunk, err := os.Create(filepath.Join(t.TempDir(), "y"))
	require.NoError(t, err)
	defer shrunk.Close()
	require.NoError(t, shrunk.Truncate(1<<20))
	c := clientOf(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	_, err = c.Folders.Files.Upload(t.Context(), "source-1", &FolderFileUploadParams{File: shrunk, Progress: func(int64) { _ = shrunk.Truncate(0) }})
	assert.Error(t, err, "it became shorter while it was sent")
}

// TestUploadIsSentOnce: whatever the method and the answer, a reader that was touched is not sent again.
func TestUploadIsSentOnce(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodPost, http.MethodPut} {
		for _, status := range []int{408, 429, 500, 503} {
			var requests atomic.Int32
			c := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Retry-After", "0")
				w.WriteHeader(status)
			})
			err := c.Do(t.Context(), method, "/v1/x", onlyReader{strings.NewReader("x")}, nil)
			assert.Equal(t, status, apiStatus(err))
			assert.Equal(t, int32(1), requests.Load(), "%s %d", method, status)
		}
	}
	for _, touched := range []bool{false, true} {
		var attempts int
		transport := roundTrip(func(r *http.Request) (*http.Response, error) {
			if attempts++; attempts > 1 {
				data, err := io.ReadAll(r.Body)
				assert.Contains(t, string(data), "hello")
				return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(`{"id":"file-1"}`)), Request: r}, err
			}
			if touched {
				_, _ = r.Body.Read(make([]byte, 1))
			}
			return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
		})
		c := clientOf(t, nil, WithHTTPClient(&http.Client{Transport: transport}))
		_, err := c.Folders.Files.Upload(t.Context(), "source-1", &FolderFileUploadParams{File: strings.NewReader("hello"), FileName: "a.txt"})
		if touched {
			require.Error(t, err)
			assert.Equal(t, 1, attempts)
		} else {
			require.NoError(t, err)
			assert.Equal(t, 2, attempts, "nothing was sent")
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func apiStatus(err error) int {
	if apiErr, ok := errors.AsType[*APIError](err); ok {
		return apiErr.StatusCode
	}
	return 0
}

func TestUploadEnds(t *testing.T) {
	t.Parallel()
	upload := func(c *Client, ctx context.Context, body io.Reader, opts ...RequestOption) error {
		_, err := c.Agents.ImportFile(ctx, &AgentImportFileParams{File: body, Name: "x", Secrets: map[string]string{"a": "b"}}, opts...)
		return err
	}
	drain := func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }
	t.Run("a reader that fails", func(t *testing.T) {
		broken := errors.New("the disk is gone")
		err := upload(clientOf(t, drain), t.Context(), io.MultiReader(strings.NewReader("{"), failingReader{broken}))
		assert.ErrorIs(t, err, broken)
	})
	t.Run("a reader that is silent", func(t *testing.T) {
		pipe, w := io.Pipe()
		defer w.Close()
		err := upload(clientOf(t, drain), t.Context(), pipe, WithIdleTimeout(20*time.Millisecond))
		assert.ErrorIs(t, err, ErrStreamIdle)
	})
	t.Run("no answer", func(t *testing.T) {
		err := upload(clientOf(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}), t.Context(), strings.NewReader("{}"), WithTimeout(50*time.Millisecond))
		assert.ErrorIs(t, err, context.DeadlineExceeded)
	})
	t.Run("a context that ends", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		pipe, w := io.Pipe()
		defer w.Close()
		go func() {
			_, _ = w.Write([]byte("{"))
			cancel()
		}()
		assert.ErrorIs(t, upload(clientOf(t, drain), ctx, pipe), context.Canceled)
	})
	t.Run("an early answer", func(t *testing.T) {
		body := &countingReader{left: 1 << 30}
		err := upload(clientOf(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnsupportedMediaType)
			_, _ = io.WriteString(w, `{"detail":"no"}`)
		}), t.Context(), body)
		require.Error(t, err) // net/http may see the answer, or the connection closed under the request
		assert.Positive(t, body.left, "the rest was not read")
	})
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

// countingReader gives zeros.
type countingReader struct{ left int64 }

func (r *countingReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), r.left)
	clear(p[:n])
	r.left -= n
	return int(n), nil
}

func TestDownload(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("x", 1<<20)
	whole := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, content) }
	export := func(c *Client, w io.Writer, opts ...RequestOption) error {
		return c.Agents.ExportFileTo(t.Context(), "agent-1", w, nil, opts...)
	}
	var b bytes.Buffer
	require.NoError(t, export(clientOf(t, whole), &b))
	assert.Equal(t, content, b.String())
	b.Reset()
	require.NoError(t, clientOf(t, whole).Do(t.Context(), "GET", "/v1/x", nil, &b), "Do writes to an io.Writer")
	assert.Equal(t, content, b.String())

	t.Run("cut", func(t *testing.T) {
		for name, cut := range map[string]http.HandlerFunc{
			"length": func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "100")
				_, _ = io.WriteString(w, "half")
			},
			"chunks": func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, "half")
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			},
		} {
			var b bytes.Buffer
			err := export(clientOf(t, cut), &b)
			require.ErrorIs(t, err, ErrStreamTruncated, name)
			require.ErrorContains(t, err, "agents.export_file agent-1", name)
			assert.Equal(t, "half", b.String(), name)
		}
	})
	t.Run("silent", func(t *testing.T) {
		var b bytes.Buffer
		err := export(clientOf(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}), &b, WithIdleTimeout(20*time.Millisecond))
		assert.ErrorIs(t, err, ErrStreamIdle)
	})
	t.Run("a writer that fails", func(t *testing.T) {
		full := errors.New("the disk is full")
		err := export(clientOf(t, whole), failingWriter{full})
		assert.ErrorIs(t, err, full)
		assert.NotErrorIs(t, err, ErrStreamTruncated)
	})
	t.Run("an error of the server", func(t *testing.T) {
		var b bytes.Buffer
		err := export(clientOf(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{"detail":"no"}`, http.StatusNotFound) }), &b)
		assert.ErrorIs(t, err, ErrNotFound)
		assert.Empty(t, b.String())
	})
	t.Run("sent again before the first byte", func(t *testing.T) {
		var b bytes.Buffer
		var requests atomic.Int32
		require.NoError(t, export(clientOf(t, func(w http.ResponseWriter, r *http.Request) {
			if requests.Add(1) == 1 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			whole(w, r)
		}), &b))
		assert.Equal(t, content, b.String())
	})
	assert.ErrorIs(t, export(clientOf(t, whole), nil), ErrInvalidArgument)
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// TestTransfersInConstantMemory: what is allocated does not grow with what is transferred.
func TestTransfersInConstantMemory(t *testing.T) {
	const size, most = 64 << 20, 4 << 20
	large, err := os.Create(filepath.Join(t.TempDir(), "large"))
	require.NoError(t, err)
	defer large.Close()
	require.NoError(t, large.Truncate(size))
	received := make(chan int64, 1)
	c := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = io.Copy(w, &countingReader{left: size})
			return
		}
		n, _ := io.Copy(io.Discard, r.Body)
		received <- n
		_, _ = fmt.Fprint(w, `{"id":"file-1"}`)
	})
	allocated := func(f func()) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	up := allocated(func() {
		_, err := c.Folders.Files.Upload(t.Context(), "source-1", &FolderFileUploadParams{File: &countingReader{left: size}, FileName: "a.txt"})
		require.NoError(t, err)
		assert.Greater(t, <-received, int64(size))
	})
	upFile := allocated(func() {
		_, err := c.Folders.Files.Upload(t.Context(), "source-1", &FolderFileUploadParams{File: large})
		require.NoError(t, err)
		assert.Greater(t, <-received, int64(size))
	})
	down := allocated(func() { require.NoError(t, c.Agents.ExportFileTo(t.Context(), "agent-1", io.Discard, nil)) })
	t.Logf("allocated for %d MiB: %d KiB up, %d KiB from a file, %d KiB down", size>>20, up>>10, upFile>>10, down>>10)
	assert.Less(t, up, uint64(most))
	assert.Less(t, upFile, uint64(most))
	assert.Less(t, down, uint64(most))
}
