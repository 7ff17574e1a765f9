package faults

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// plain is what people write who use no client: one function for JSON and one for streams, over net/http. It is here to be
// compared with.
type plain struct {
	base, key string
	http      *http.Client
}

func (p *plain) send(ctx context.Context, method, path, contentType string, body io.Reader) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, p.base+path, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+p.key)
	r.Header.Set("Content-Type", contentType)
	response, err := p.http.Do(r)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= 400 {
		text, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		return nil, fmt.Errorf("status %d: %s", response.StatusCode, text)
	}
	return response, nil
}

func (p *plain) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(data)
	}
	response, err := p.send(ctx, method, path, "application/json", body)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if out == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(out)
}

func (p *plain) stream(ctx context.Context, path string, in any, event func(data []byte) error) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	response, err := p.send(ctx, http.MethodPost, path, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && data != "[DONE]" {
			if err := event([]byte(data)); err != nil {
				return err
			}
		}
	}
	return lines.Err()
}
