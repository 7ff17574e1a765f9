package lettatest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
)

const (
	logged = 1 << 20  // so much of an upload is kept in the log of requests
	kept   = 16 << 20 // so much of an uploaded file is kept
)

// A payload is the body of a request. A form is read as it comes: of a file, only the beginning is kept.
type payload struct {
	raw  []byte // of a form, the beginning
	form url.Values
	file *upload // the form's part of that name
}

// An upload is a file that was sent.
type upload struct {
	name, kind string
	size       int64
	digest     string
	head       []byte
}

// bounded keeps the beginning of what is written to it.
type bounded struct {
	data []byte
	max  int
}

func (b *bounded) Write(p []byte) (int, error) {
	b.data = append(b.data, p[:min(len(p), b.max-len(b.data))]...)
	return len(p), nil
}

func mediaType(h http.Header) (string, map[string]string) {
	media, params, _ := mime.ParseMediaType(h.Get("Content-Type"))
	return media, params
}

func readPayload(r *http.Request) (*payload, error) {
	media, params := mediaType(r.Header)
	if media != "multipart/form-data" {
		raw, err := io.ReadAll(r.Body)
		return &payload{raw: raw}, err
	}
	log := &bounded{max: logged}
	body := io.TeeReader(r.Body, log)
	p := &payload{form: url.Values{}}
	err := p.parts(multipart.NewReader(body, params["boundary"]))
	if err == nil || !errors.Is(err, io.ErrUnexpectedEOF) { // a form that is none is not an error of the connection
		_, err = io.Copy(io.Discard, body)
	}
	p.raw = log.data
	return p, err
}

func (p *payload) parts(form *multipart.Reader) error {
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if part.FileName() == "" {
			value, err := io.ReadAll(io.LimitReader(part, kept))
			if err != nil {
				return err
			}
			p.form.Set(part.FormName(), string(value))
			continue
		}
		head, sum := &bounded{max: kept}, sha256.New()
		n, err := io.Copy(io.MultiWriter(head, sum), part)
		if err != nil {
			return err
		}
		if part.FormName() == "file" {
			kind, _, _ := strings.Cut(part.Header.Get("Content-Type"), ";")
			p.file = &upload{part.FileName(), kind, n, hex.EncodeToString(sum.Sum(nil)), head.data}
		}
	}
}
