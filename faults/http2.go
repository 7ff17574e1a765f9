package faults

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	protocolError = http2.ErrCodeProtocol
	internalError = http2.ErrCodeInternal
	refusedStream = http2.ErrCodeRefusedStream
)

func (p *Proxy) serveHTTP2(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() {
			defer conn.Close()
			c := &conn2{p: p, conn: conn, framer: http2.NewFramer(conn, bufio.NewReader(conn))}
			c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
			c.serve()
		})
	}
}

// conn2 is an HTTP/2 connection, spoken as far as a test needs it: bodies that fit into the first window, one request at a
// time.
type conn2 struct {
	p      *Proxy
	conn   net.Conn
	mu     sync.Mutex // around writes
	framer *http2.Framer
}

// stream2 is one request on it.
type stream2 struct {
	conn *conn2
	id   uint32
	head *http2.MetaHeadersFrame
	body bytes.Buffer
}

func (c *conn2) serve() {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c.conn, preface); err != nil || string(preface) != http2.ClientPreface {
		return
	}
	c.write(func(f *http2.Framer) error {
		return f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	})
	streams := map[uint32]*stream2{}
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			return
		}
		var s *stream2
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				c.write(func(f *http2.Framer) error { return f.WriteSettingsAck() })
			}
		case *http2.PingFrame:
			if !frame.IsAck() {
				c.write(func(f *http2.Framer) error { return f.WritePing(true, frame.Data) })
			}
		case *http2.MetaHeadersFrame:
			s = &stream2{conn: c, id: frame.StreamID, head: frame}
			streams[s.id] = s
			if !frame.StreamEnded() {
				s = nil
			}
		case *http2.DataFrame:
			if len(frame.Data()) > 0 {
				c.write(func(f *http2.Framer) error { return f.WriteWindowUpdate(0, uint32(len(frame.Data()))) })
			}
			if open := streams[frame.StreamID]; open != nil {
				open.body.Write(frame.Data())
				if frame.StreamEnded() {
					s = open
				}
			}
		}
		if s != nil {
			s.serve()
		}
	}
}

func (c *conn2) write(f func(*http2.Framer) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = f(c.framer)
}

func (s *stream2) serve() {
	target, err := url.ParseRequestURI(s.head.PseudoValue("path"))
	if err != nil {
		return
	}
	r := &http.Request{Method: s.head.PseudoValue("method"), URL: target, Header: http.Header{}, Body: io.NopCloser(&s.body)}
	for _, field := range s.head.RegularFields() {
		r.Header.Add(field.Name, field.Value)
	}
	entry, play := s.conn.p.arrive(r.Method, target.Path)
	play(&exchange{p: s.conn.p, r: r, entry: entry, h2: s})
}

// send sends the headers and so much of the body, and, if it is the whole, the end.
func (s *stream2) send(a *answer, body []byte, end bool) {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	encoder.SetMaxDynamicTableSize(0)
	fields := []hpack.HeaderField{{Name: ":status", Value: fmt.Sprint(a.status)}}
	for key, values := range a.header {
		fields = append(fields, hpack.HeaderField{Name: strings.ToLower(key), Value: values[0]})
	}
	for _, field := range fields {
		_ = encoder.WriteField(field)
	}
	s.conn.write(func(f *http2.Framer) error {
		return f.WriteHeaders(http2.HeadersFrameParam{StreamID: s.id, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: end && len(body) == 0})
	})
	const most = 16 << 10
	for ; len(body) > 0; body = body[min(most, len(body)):] {
		s.conn.write(func(f *http2.Framer) error {
			return f.WriteData(s.id, end && len(body) <= most, body[:min(most, len(body))])
		})
	}
}

func (x *exchange) resetStream(code http2.ErrCode) {
	x.h2.conn.write(func(f *http2.Framer) error { return f.WriteRSTStream(x.h2.id, code) })
}

// goAway says that this request and later ones were not processed, and closes the connection.
func (x *exchange) goAway() {
	c := x.h2.conn
	c.write(func(f *http2.Framer) error { return f.WriteGoAway(max(x.h2.id, 2)-2, http2.ErrCodeNo, nil) })
	_ = c.conn.Close()
}
