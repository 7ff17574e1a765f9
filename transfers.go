package letta

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/textproto"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// A transfer is an operation with a body too large for memory: an upload reads its request body while it is sent, a
// download writes the answer while it arrives. Neither has a total timeout. WithTimeout bounds the wait for the first byte
// and, after an upload, for the answer; WithIdleTimeout bounds each silence between.

// transfers reports whether r is a transfer. The answer of a download goes to an io.Writer.
func (r request) transfers(out any) bool {
	body, raw := r.body.(*rawBody)
	_, download := out.(io.Writer)
	return download || raw && body.reader != nil
}

// transfer is send for a transfer.
func (c *core) transfer(ctx context.Context, r request, cfg *settings, out any) error {
	w, download := out.(io.Writer)
	call, err := c.newCall(ctx, r, cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	limit := &deadline{cancel: cancel}
	defer limit.stop()
	noAnswer := timeoutError{"no answer", cfg.timeout}
	silent := fmt.Errorf("%w: nothing for %v (WithIdleTimeout)", ErrStreamIdle, cfg.idleTimeout)
	limit.set(cfg.timeout, noAnswer)
	call.download = download
	if call.upload != nil {
		defer call.upload.end()
		defer context.AfterFunc(ctx, call.upload.interrupt)()
		call.upload.before = func() { limit.set(cfg.idleTimeout, silent) }
		call.upload.after = func() { limit.set(cfg.timeout, noAnswer) }
	}
	if !download {
		call.out = out
	}
	if err := call.run(ctx); err != nil || !call.streaming() {
		return err
	}
	body := call.attempt.Response.Body
	defer body.Close()
	received, written := &watchedReader{Reader: body, before: func() { limit.set(cfg.idleTimeout, silent) }, after: limit.stop}, &watchedWriter{Writer: w}
	n, err := io.Copy(written, received)
	switch {
	case err == nil:
		return nil
	case written.err != nil:
		return fail(call.subject(), "the answer cannot be written after %d bytes: %w", n, written.err)
	case ctx.Err() != nil:
		err = contextError(ctx)
	}
	return fail(call.subject(), "%w, after %d bytes: %w", ErrStreamTruncated, n, err)
}

// deadline cancels a context unless it is set anew in time. It may be set from several goroutines.
type deadline struct {
	cancel context.CancelCauseFunc
	mu     sync.Mutex
	timer  *time.Timer
}

// set moves the deadline; 0 is never.
func (d *deadline) set(after time.Duration, cause error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
	if d.timer = nil; after > 0 { // a timer that nobody stops would keep the call for ever
		d.timer = time.AfterFunc(after, func() { d.cancel(cause) })
	}
}

func (d *deadline) stop() { d.set(0, nil) }

// watchedReader runs before and after around each Read: the time that the writer takes is not the server's.
type watchedReader struct {
	io.Reader
	before, after func()
}

func (r *watchedReader) Read(p []byte) (int, error) {
	r.before()
	defer r.after()
	return r.Reader.Read(p)
}

// watchedWriter remembers its error, to tell it from the reader's.
type watchedWriter struct {
	io.Writer
	err error
}

func (w *watchedWriter) Write(p []byte) (n int, err error) {
	n, err = w.Writer.Write(p)
	if w.err = err; err == nil && n < len(p) {
		w.err = io.ErrShortWrite
	}
	return n, err
}

// upload is a request body that can be read once. net/http may read it from another goroutine, and after the call has
// returned; end stops that.
type upload struct {
	body          io.Reader
	source        io.Reader // the caller's, in body
	size          int64     // 0 if it is not known
	before, after func()    // around the sending

	mu      sync.Mutex
	touched bool
	reading chan struct{} // closed at the end of the Read under way; nil if there is none
	over    bool
}

// interrupt ends a Read that waits for more of the caller's, such as a pipe's: net/http does not return before it does. Only
// closing the reader can end it.
func (u *upload) interrupt() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if closer, ok := u.source.(io.Closer); ok && u.reading != nil {
		_ = closer.Close()
	}
}

const readGrace = 500 * time.Millisecond // for a Read of the caller's reader to end

var errUploadOver = errors.New("the upload is over")

func (u *upload) Read(p []byte) (int, error) {
	if !u.begin() {
		return 0, errUploadOver
	}
	n, err := u.body.Read(p)
	u.mu.Lock()
	defer u.mu.Unlock()
	close(u.reading)
	if u.reading = nil; err != nil && !u.over {
		u.after()
	}
	return n, err
}

// begin reports whether a Read may begin.
func (u *upload) begin() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.over {
		return false
	}
	u.touched, u.reading = true, make(chan struct{})
	u.before()
	return true
}

func (u *upload) spent() bool {
	if u == nil {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.touched
}

// end gives the reader back to the caller. The answer may have come while a Read is under way, which ends first. One that
// waits for more is ended as by interrupt; where that cannot be, it is left behind.
func (u *upload) end() {
	u.mu.Lock()
	u.over = true
	reading := u.reading
	u.mu.Unlock()
	if reading == nil {
		return
	}
	for range 2 {
		select {
		case <-reading:
			return
		case <-time.After(readGrace):
			u.interrupt()
		}
	}
}

// file is a file to upload in a form.
type file struct {
	name        string
	contentType string // by the name, if empty
	reader      io.Reader
	progress    func(sent int64)
}

// form is a multipart form of some fields and a file, which is read while it is sent.
func (f file) form(fields map[string]string) (*rawBody, error) {
	contentType := f.contentType
	if contentType == "" {
		contentType = mime.TypeByExtension(path.Ext(f.name))
	}
	if contentType == "" {
		contentType = "application/octet-stream" // Letta 0.16.8 then goes by the name
	}
	var buffer bytes.Buffer
	w := multipart.NewWriter(&buffer)
	var err error
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		err = errors.Join(err, w.WriteField(name, fields[name]))
	}
	_, partErr := w.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {multipart.FileContentDisposition("file", f.name)},
		"Content-Type":        {contentType},
	})
	head := bytes.Clone(buffer.Bytes())
	buffer.Reset()
	if err := errors.Join(err, partErr, w.Close()); err != nil {
		return nil, err
	}
	body := f.reader
	if f.progress != nil {
		body = &progressReader{body, f.progress, 0}
	}
	size := sizeOf(f.reader)
	if size > 0 {
		size += int64(len(head) + buffer.Len())
	}
	return &rawBody{contentType: w.FormDataContentType(), reader: io.MultiReader(bytes.NewReader(head), body, &buffer), source: f.reader, size: size}, nil
}

// sizeOf is how much is left in a reader that can tell, for the Content-Length. It is 0 for one that cannot: that is sent in
// chunks, which some proxies refuse.
func sizeOf(r io.Reader) int64 {
	switch r := r.(type) {
	case *bytes.Reader:
		return int64(r.Len())
	case *bytes.Buffer:
		return int64(r.Len())
	case *strings.Reader:
		return int64(r.Len())
	case *os.File:
		info, err := r.Stat()
		if err != nil || !info.Mode().IsRegular() {
			return 0
		}
		if at, err := r.Seek(0, io.SeekCurrent); err == nil {
			return max(0, info.Size()-at)
		}
	}
	return 0
}

// progressReader tells how much of it has been read.
type progressReader struct {
	io.Reader
	progress func(int64)
	sent     int64
}

func (r *progressReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if r.sent += int64(n); n > 0 {
		r.progress(r.sent)
	}
	return n, err
}
