package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/letta-go/letta/internal/apispec"
)

// What the server answers with, all of it recorded from Letta 0.16.8: see internal/apispec/recorded/v1.jsonl.
const (
	recordedCreate   = "agents.create"
	recordedRetrieve = "agents.retrieve"
	recordedList     = "agents.list.by_tag"
	recordedStream   = "agents.messages.create.stream_tokens"
)

// What the clients ask for. Any other tag is a user's, who has one agent.
const (
	tagOfOne   = "bench-one"
	tagOfFifty = "bench-50"
	tagOfMany  = "bench-all-" // and the number of agents, for a walk over pages

	agentBurst   = "agent-00000000-0000-4000-8000-000000000001"
	agentFlushed = "agent-00000000-0000-4000-8000-000000000002"
	agentOpen    = "agent-00000000-0000-4000-8000-000000000003" // its stream stays open
)

const frames = 2000 // of text in a stream

// pace is what lies between two frames that are flushed one by one. Without it the kernel joins as many as a slow reader
// leaves unread, and a slow reader would have fewer of them to read.
const pace = 500 * time.Microsecond

// server answers with bytes that are made once.
type server struct {
	create, retrieve, one, fifty []byte
	row                          [3][]byte // a row of a list, around its id and its tags
	stream                       [][]byte  // a frame each
	text                         string    // that the frames add up to
}

func recording(name string) (apispec.Exchange, error) {
	x, ok := apispec.Recording(apispec.ServerV1, name)
	if !ok {
		return x, fmt.Errorf("there is no recording %s", name)
	}
	return x, nil
}

// compact is a body as it was on the wire, without the spaces of the file.
func compact(name string) ([]byte, error) {
	x, err := recording(name)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = json.Compact(&b, x.Body)
	return b.Bytes(), err
}

func newServer() (*server, error) {
	s := &server{}
	var err error
	if s.create, err = compact(recordedCreate); err != nil {
		return nil, err
	}
	if s.retrieve, err = compact(recordedRetrieve); err != nil {
		return nil, err
	}
	list, err := compact(recordedList)
	if err != nil {
		return nil, err
	}
	if err := s.readRow(list); err != nil {
		return nil, err
	}
	s.one = s.rows(0, 1, tagOfOne)
	s.fifty = s.rows(0, 50, tagOfFifty)
	return s, s.readStream()
}

// readRow takes the first agent of a recorded list as the pattern of all rows.
func (s *server) readRow(list []byte) error {
	var rows []json.RawMessage
	if err := json.Unmarshal(list, &rows); err != nil {
		return err
	}
	var agent struct {
		ID   string          `json:"id"`
		Tags json.RawMessage `json:"tags"`
	}
	if err := json.Unmarshal(rows[0], &agent); err != nil {
		return err
	}
	head, rest, ok := bytes.Cut(rows[0], []byte(`"id":"`+agent.ID+`"`))
	middle, tail, found := bytes.Cut(rest, append([]byte(`"tags":`), agent.Tags...))
	if !ok || !found {
		return fmt.Errorf("%s: no id and tags in this order", recordedList)
	}
	s.row = [3][]byte{head, middle, tail}
	return nil
}

// rows is a list of the agents from first on, each with the tag.
func (s *server) rows(first, n int, tag string) []byte {
	var b bytes.Buffer
	b.WriteByte('[')
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(s.row[0])
		fmt.Fprintf(&b, `"id":"agent-%08d-0000-4000-8000-000000000000"`, first+i)
		b.Write(s.row[1])
		fmt.Fprintf(&b, `"tags":[%q]`, tag)
		b.Write(s.row[2])
	}
	b.WriteByte(']')
	return b.Bytes()
}

// readStream repeats the recorded frames of text.
func (s *server) readStream() error {
	x, err := recording(recordedStream)
	if err != nil {
		return err
	}
	var text []string
	var around [2][]string
	for event := range strings.SplitSeq(strings.TrimSpace(x.Text), "\n\n") {
		switch {
		case strings.Contains(event, `"message_type":"assistant_message"`):
			text = append(text, event)
		case len(text) == 0:
			around[0] = append(around[0], event)
		default:
			around[1] = append(around[1], event)
		}
	}
	if len(text) == 0 {
		return fmt.Errorf("%s: no text", recordedStream)
	}
	events := around[0]
	var said strings.Builder
	for i := range frames {
		event := text[i%len(text)]
		var m struct {
			Content string `json:"content"`
		}
		if err := json.Unmarshal([]byte(strings.TrimPrefix(event, "data: ")), &m); err != nil {
			return err
		}
		said.WriteString(m.Content)
		events = append(events, event)
	}
	for _, event := range append(events, around[1]...) {
		s.stream = append(s.stream, []byte(event+"\n\n"))
	}
	s.text = said.String()
	return nil
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	switch path := strings.TrimSuffix(r.URL.Path, "/"); {
	case strings.HasSuffix(path, "/messages") || strings.HasSuffix(path, "/messages/stream"):
		s.answerStream(w, r, strings.Split(path, "/")[3])
	case path != "/v1/agents":
		answer(w, s.retrieve)
	case r.Method == http.MethodPost:
		answer(w, s.create)
	default:
		query := r.URL.Query()
		tag := query.Get("tags")
		total, many := strings.CutPrefix(tag, tagOfMany)
		switch {
		case tag == tagOfOne:
			answer(w, s.one)
		case tag == tagOfFifty:
			answer(w, s.fifty)
		case many:
			answer(w, s.page(tag, number(total), number(query.Get("limit")), query.Get("after")))
		default:
			answer(w, s.rows(0, 1, tag))
		}
	}
}

func number(text string) int {
	n, _ := strconv.Atoi(text)
	return n
}

func (s *server) page(tag string, total, limit int, after string) []byte {
	first := 0
	if after != "" {
		first = number(strings.Split(after, "-")[1]) + 1
	}
	if limit == 0 {
		limit = 50
	}
	return s.rows(first, max(0, min(limit, total-first)), tag)
}

func answer(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}

func (s *server) answerStream(w http.ResponseWriter, r *http.Request, agent string) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	control := http.NewResponseController(w)
	switch agent {
	case agentFlushed:
		for _, frame := range s.stream {
			if _, err := w.Write(frame); err != nil {
				return
			}
			_ = control.Flush()
			rest := syscall.NsecToTimespec(pace.Nanoseconds())
			_ = syscall.Nanosleep(&rest, nil) // time.Sleep is a millisecond at least
		}
	case agentOpen:
		_, _ = w.Write(bytes.Join(s.stream[:2], nil))
		_ = control.Flush()
		<-r.Context().Done()
	default:
		_, _ = w.Write(bytes.Join(s.stream, nil))
	}
}

// serve runs the server until its standard input ends, in a process of its own: what it costs is nobody's.
func serve() error {
	s, err := newServer()
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return http.Serve(listener, s)
}
