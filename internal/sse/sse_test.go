package sse

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// got is an event that outlives the next one.
type got struct {
	Name, ID, Data string
	Partial        bool
}

func keep(e Event) got { return got{e.Name, e.ID, string(e.Data), e.Partial} }

// all reads r to its end: its events and its error, io.EOF at best.
func all(t testing.TB, r *Reader) ([]got, error) {
	t.Helper()
	var events []got
	for {
		e, err := r.Next()
		if err != nil {
			again, err2 := r.Next()
			assert.Zero(t, again)
			assert.Equal(t, err, err2, "an error stays")
			return events, err
		}
		require.NotNil(t, e.Data)
		require.Equal(t, len(e.Data), cap(e.Data), "append must not reach the buffer")
		events = append(events, keep(e))
	}
}

// frames are streams and their events; want is what follows.
var frames = []struct {
	name, in string
	want     []got
}{
	{"nothing", "", nil},
	{"blank lines", "\n\r\n\r\r\n\n", nil},
	{"one", "data: a\n\n", []got{{Data: "a"}}},
	{"CRLF", "data: a\r\n\r\ndata: b\r\n\r\n", []got{{Data: "a"}, {Data: "b"}}},
	{"CR", "data: a\r\rdata: b\rdata: c\r\r", []got{{Data: "a"}, {Data: "b\nc"}}},
	{"all line ends", "data: a\rdata: b\ndata: c\r\n\rdata: d\n\r\ndata: e\r\n\n", []got{{Data: "a\nb\nc"}, {Data: "d"}, {Data: "e"}}},
	{"LF CR is two ends", "data: a\n\rdata: b\n\n", []got{{Data: "a"}, {Data: "b"}}},
	{"blank line before CR LF", "data: a\n\r\n\ndata: b\n\n", []got{{Data: "a"}, {Data: "b"}}},
	{"several lines", "data: a\ndata: b\ndata: c\n\n", []got{{Data: "a\nb\nc"}}},
	{"empty lines of data", "data\ndata:\ndata: \n\n", []got{{Data: "\n\n"}}},
	{"a lone data", "data\n\n", []got{{Data: ""}}},
	{"data, then empty data", "data: a\ndata\n\n", []got{{Data: "a\n"}}},
	{"one space is taken", "data:a\n\ndata: b\n\ndata:  c \n\ndata:\td\n\n", []got{{Data: "a"}, {Data: "b"}, {Data: " c "}, {Data: "\td"}}},
	{"colons", "data: a: b:c\n\ndata::\n\n", []got{{Data: "a: b:c"}, {Data: ":"}}},
	{"event before and after data", "event: x\ndata: a\n\ndata: b\nevent: y\n\ndata: c\n\n", []got{{Name: "x", Data: "a"}, {Name: "y", Data: "b"}, {Data: "c"}}},
	{"the last event counts", "event: x\nevent: y\ndata: a\n\nevent: x\nevent\ndata: b\n\n", []got{{Name: "y", Data: "a"}, {Data: "b"}}},
	{"no data, no event", "event: x\n\ndata: a\n\nid: 1\n\ndata: b\n\n", []got{{Data: "a"}, {ID: "1", Data: "b"}}},
	{"data between lines of others", "data: a\n: c\nevent: x\ndata: b\nfoo: d\nid: 7\ndata: c\n\n", []got{{Name: "x", ID: "7", Data: "a\nb\nc"}}},
	{"ids", "id: 1\ndata: a\n\ndata: b\n\nid: 2\x00\ndata: c\n\nid\ndata: d\n\n", []got{{ID: "1", Data: "a"}, {ID: "1", Data: "b"}, {ID: "1", Data: "c"}, {Data: "d"}}},
	{"comments", ": hi\n:\n\n:data: x\ndata: a\n: ping\n\n", []got{{Data: "a"}}},
	{"unknown fields", "retry: 10\nfoo\n data: x\nDATA: x\ndata : x\ndatax: x\ndat: x\ndata: a\n\n", []got{{Data: "a"}}},
	{"byte order mark", "\uFEFFdata: a\n\n\uFEFFdata: b\n\n", []got{{Data: "a"}}},
	{"byte order mark and blank line", "\uFEFF\ndata: a\n\n", []got{{Data: "a"}}},
	{"late byte order mark", "\n\uFEFFdata: a\n\n", nil},
	{"half a byte order mark", "\uFEFF"[:2] + "data: a\n\ndata: b\n\n", []got{{Data: "b"}}},
	{"only a byte order mark", "\uFEFF", nil},
	{"not UTF-8", "data: \xff\x00\n\n", []got{{Data: "\xff\x00"}}},
	{"partial: no blank line", "data: a\n\ndata: b\n", []got{{Data: "a"}, {Data: "b", Partial: true}}},
	{"partial: one line", "data: a", []got{{Data: "a", Partial: true}}},
	{"partial: half a line", "event: x\ndata: a\ndata: {\"b", []got{{Name: "x", Data: "a\n{\"b", Partial: true}}},
	{"partial: CR", "data: a\r", []got{{Data: "a", Partial: true}}},
	{"partial: CRLF", "data: a\r\n", []got{{Data: "a", Partial: true}}},
	{"partial: half a field name", "data: a\ndat", []got{{Data: "a", Partial: true}}},
	{"partial: only a name", "event: x\nid: 3", nil},
	{"whole: CRLF CR", "data: a\r\n\r", []got{{Data: "a"}}},
	{"long", "data: " + strings.Repeat("a", 3*minBuffer) + "\n\ndata: b\n\n", []got{{Data: strings.Repeat("a", 3*minBuffer)}, {Data: "b"}}},
	{"many lines", strings.Repeat("data: a\n: c\n", minBuffer/4) + "\ndata: b\n\n", []got{{Data: strings.Repeat("a\n", minBuffer/4-1) + "a"}, {Data: "b"}}},
	{"a turn", turn, []got{
		{Data: `{"id":"ping-1","message_type":"ping","name":null,"run_id":"run-9"}`},
		{Data: `{"id":"message-2","message_type":"assistant_message","content":"Grüße:\n\u0041"}`},
		{Name: "error", Data: `{"message_type":"stop_reason","stop_reason":"end_turn"}`},
		{Data: "[DONE]"},
	}},
}

const turn = `data: {"id":"ping-1","message_type":"ping","name":null,"run_id":"run-9"}

: keepalive

data: {"id":"message-2","message_type":"assistant_message","content":"Grüße:\n\u0041"}

event: error
data: {"message_type":"stop_reason","stop_reason":"end_turn"}

data: [DONE]

`

func TestFrames(t *testing.T) {
	for _, f := range frames {
		t.Run(f.name, func(t *testing.T) {
			for name, src := range sources(f.in, 1) {
				events, err := all(t, NewReader(src, 0))
				assert.Same(t, io.EOF, err, name)
				assert.Equal(t, f.want, events, name)
			}
			want, _, err := reference(f.in, defaultMax)
			assert.Same(t, io.EOF, err)
			assert.Equal(t, f.want, want, "the reference")
		})
	}
}

// sources are readers of in that hand it out in different ways.
func sources(in string, seed uint64) map[string]io.Reader {
	whole := func() io.Reader { return strings.NewReader(in) }
	random := func() io.Reader { return &chunks{in, rand.New(rand.NewPCG(seed, 1))} }
	return map[string]io.Reader{
		"whole":           whole(),
		"byte by byte":    iotest.OneByteReader(whole()),
		"random":          random(),
		"random again":    &chunks{in, rand.New(rand.NewPCG(seed, 2))},
		"half":            iotest.HalfReader(whole()),
		"EOF with data":   iotest.DataErrReader(whole()),
		"EOF with a byte": iotest.DataErrReader(iotest.OneByteReader(whole())),
		"EOF, random":     iotest.DataErrReader(random()),
	}
}

// chunks reads pieces of random length, nothing at times.
type chunks struct {
	in   string
	rand *rand.Rand
}

func (c *chunks) Read(p []byte) (int, error) {
	if c.in == "" {
		return 0, io.EOF
	}
	n := copy(p, c.in[:min(len(c.in), c.rand.IntN(1<<c.rand.IntN(12)))])
	c.in = c.in[n:]
	return n, nil
}

// reference is a naive reader: the events, how many bytes of in each needs to be known, and the error
// at the end.
func reference(in string, limit int) (events []got, ends []int, err error) {
	var name, id string
	var data []string
	for pos, first := 0, true; pos < len(in); first = false {
		line, ended := in[pos:], false
		if i := strings.IndexAny(line, "\r\n"); i >= 0 {
			line, ended = line[:i], true
			pos++
		}
		pos += len(line)
		end := pos
		if ended && in[pos-1] == '\r' && pos < len(in) && in[pos] == '\n' {
			pos++
		}
		if len(line) > limit {
			return events, ends, &TooLargeError{limit}
		}
		if first {
			line = strings.TrimPrefix(line, "\uFEFF")
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case field == "data":
			data = append(data, value)
			if len(strings.Join(data, "\n")) > limit {
				return events, ends, &TooLargeError{limit}
			}
		case field == "event":
			name = value
		case field == "id" && !strings.Contains(value, "\x00"):
			id = value
		}
		if partial := line != "" || !ended; !partial || pos == len(in) {
			if partial {
				end = pos
			}
			if data != nil {
				events = append(events, got{name, id, strings.Join(data, "\n"), partial})
				ends = append(ends, end)
			}
			name, data = "", nil
		}
	}
	return events, ends, io.EOF
}

func FuzzReader(f *testing.F) {
	for _, c := range frames {
		if len(c.in) < 1000 {
			f.Add(c.in, uint64(len(c.in)), uint16(1000))
			f.Add(c.in, uint64(len(c.in)), uint16(12))
		}
	}
	f.Fuzz(func(t *testing.T, in string, seed uint64, bound uint16) {
		if len(in) > 1<<14 {
			t.Skip("the reference is slow")
		}
		limit := int(bound) + 1
		want, ends, wantErr := reference(in, limit)
		for name, src := range sources(in, seed) {
			events, err := all(t, NewReader(src, limit))
			require.Equal(t, wantErr, err, name)
			require.Equal(t, want, events, name)
		}
		// No event waits for a byte after its last.
		src := strings.NewReader(in)
		r := NewReader(iotest.OneByteReader(src), limit)
		for i, w := range want {
			e, err := r.Next()
			require.NoError(t, err)
			require.Equal(t, w, keep(e))
			require.Equal(t, ends[i], len(in)-src.Len(), "bytes read for event %d", i)
		}
	})
}

// live is a connection that stays open: a Read after the last byte would block for ever.
type live struct {
	t  *testing.T
	in io.Reader
}

func (l live) Read(p []byte) (int, error) {
	n, err := l.in.Read(p)
	if err == io.EOF {
		l.t.Error("Read would block")
	}
	return n, err
}

func TestNoReadAhead(t *testing.T) {
	for _, in := range []string{
		"data: a\n\n", "data: a\r\n\r\n", "data: a\r\r", "data: a\r\n\r", "data: a\n\r", "\uFEFFdata: a\n\n",
		"data: a\n\ndata: b\n\n", "data: a\r\n\r\ndata: b\r\n\r\n: ping", "data: a\r\rdata: b\r\rda", turn,
	} {
		want, _, err := reference(in, defaultMax)
		require.Same(t, io.EOF, err)
		for _, src := range []io.Reader{strings.NewReader(in), iotest.OneByteReader(strings.NewReader(in))} {
			r := NewReader(live{t, src}, 0)
			for _, w := range want {
				if w.Partial {
					break
				}
				e, err := r.Next()
				require.NoError(t, err)
				assert.Equal(t, w, keep(e), "%q", in)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	broken := errors.New("connection reset")
	for name, err := range map[string]error{
		"own": broken, "unexpected EOF": io.ErrUnexpectedEOF, "not quite EOF": fmt.Errorf("oh: %w", io.EOF),
	} {
		t.Run(name, func(t *testing.T) {
			src := io.MultiReader(strings.NewReader("data: a\n\ndata: b\n\ndata: c\n"), iotest.ErrReader(err))
			for _, src := range []io.Reader{src, withLast{"data: a\n\ndata: b\n\ndata: c\n", err}} {
				events, got := all(t, NewReader(src, 0))
				assert.Equal(t, []string{"a", "b"}, []string{events[0].Data, events[1].Data})
				assert.Len(t, events, 2, "half an event is dropped")
				assert.Same(t, err, got)
			}
		})
	}
	t.Run("no progress", func(t *testing.T) {
		_, err := all(t, NewReader(iotest.ErrReader(nil), 0))
		assert.Same(t, io.ErrNoProgress, err)
	})
}

// withLast returns its bytes and its error in one Read.
type withLast struct {
	in  string
	err error
}

func (w withLast) Read(p []byte) (int, error) { return copy(p, w.in), w.err }

func TestBound(t *testing.T) {
	const limit = 100
	a := func(n int) string { return strings.Repeat("a", n) }
	for _, c := range []struct {
		name, in string
		events   int
		tooLarge bool
	}{
		{"a line that just fits", "data:" + a(95) + "\n\n", 1, false},
		{"a line too long", "data: x\n\ndata:" + a(96) + "\n\n", 1, true},
		{"without end", "data: x\n\n" + a(101), 1, true},
		{"a comment", ":" + a(100) + "\ndata: x\n\n", 0, true},
		{"data that just fits", "data:" + a(50) + "\ndata:" + a(49) + "\n\n", 1, false},
		{"too much data", "data:" + a(50) + "\ndata:" + a(50) + "\n\n", 0, true},
		{"too many lines", strings.Repeat("data\n", 102) + "\n", 0, true},
		{"as many lines as fit", strings.Repeat("data\n", 101) + "\n", 1, false},
		{"comments inside do not count", "data: x\n" + strings.Repeat(": ping\n", 5000) + "\n", 1, false},
		{"small events", strings.Repeat("data: "+a(90)+"\n\n", 500), 500, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, src := range sources(c.in, 3) {
				events, err := all(t, NewReader(src, limit))
				assert.Len(t, events, c.events, name)
				if !c.tooLarge {
					assert.Same(t, io.EOF, err, name)
					continue
				}
				assert.ErrorIs(t, err, ErrTooLarge, name)
				var large *TooLargeError
				if assert.ErrorAs(t, err, &large, name) {
					assert.Equal(t, limit, large.Limit)
				}
			}
		})
	}
	t.Run("endless", func(t *testing.T) { // the bound is on memory too
		src := &repeated{frame: "aaaa"}
		_, err := all(t, NewReader(src, 1<<20))
		assert.ErrorIs(t, err, ErrTooLarge)
		assert.Less(t, src.read, 4<<20)
	})
	t.Run("default", func(t *testing.T) {
		for _, n := range []int{0, -1} {
			assert.Equal(t, 32<<20, NewReader(nil, n).max)
		}
	})
}

// repeated is an endless stream of a frame.
type repeated struct {
	frame     string
	read, pos int
}

func (r *repeated) Read(p []byte) (n int, _ error) {
	for n < len(p) {
		m := copy(p[n:], r.frame[r.pos:])
		n, r.pos = n+m, (r.pos+m)%len(r.frame)
	}
	r.read += n
	return n, nil
}

func TestLargeEvents(t *testing.T) {
	const size = 20 << 20
	big := strings.Repeat("0123456789abcde\r", size/16) // lone CRs: lines of a field that is ignored
	line := strings.Repeat("x", size)
	for name, in := range map[string]string{
		"line": "data: " + line + "\n\n", "lines": "data: a\n" + strings.Repeat("data: "+line[:999]+"\r\n", size/1000) + "\n",
		"CR": "data: a\r" + big + "\r",
	} {
		t.Run(name, func(t *testing.T) {
			small := &repeated{frame: "data: b\n\n"}
			r := NewReader(io.MultiReader(strings.NewReader(in), iotest.OneByteReader(small)), 0)
			first, err := r.Next()
			require.NoError(t, err)
			if name != "CR" {
				assert.Greater(t, len(first.Data), size-size/100)
				assert.Greater(t, len(r.buf), size/2)
			}
			next, err := r.Next()
			require.NoError(t, err)
			assert.Equal(t, "b", string(next.Data))
			assert.LessOrEqual(t, len(r.buf), keepBuffer, "the large buffer is given up")
		})
	}
}

// TestRandomStreams has lines of all lengths, so that the buffer grows and shrinks in the middle of everything.
func TestRandomStreams(t *testing.T) {
	pick := rand.New(rand.NewPCG(7, 7))
	starts := []string{"data: ", "data:", "data: ", ":", "event: ", "id: ", "foo"}
	ends := []string{"\n", "\r\n", "\r", "\n\n", "\r\n\r\n", "\r\r", "\n\r\n"}
	for range 5 {
		var in strings.Builder
		for range 100 {
			in.WriteString(starts[pick.IntN(len(starts))])
			for range pick.IntN(1 << pick.IntN(16)) {
				in.WriteByte('a' + byte(in.Len()%23))
			}
			in.WriteString(ends[pick.IntN(len(ends))])
		}
		want, _, wantErr := reference(in.String(), defaultMax)
		for name, src := range sources(in.String(), pick.Uint64()) {
			events, err := all(t, NewReader(src, 0))
			require.Same(t, wantErr, err, name)
			require.True(t, slices.Equal(want, events), name)
		}
	}
}

func TestErrorLetsGo(t *testing.T) {
	r := NewReader(strings.NewReader("data: a\n\n"), 0)
	_, err := all(t, r)
	assert.Same(t, io.EOF, err)
	assert.Equal(t, &Reader{err: io.EOF}, r)
}

func TestNames(t *testing.T) {
	var in strings.Builder
	var want []string
	for i := range 3 * keepNames {
		name := fmt.Sprint(strings.Repeat("n", i*3), i)
		want = append(want, name, name)
		for range 2 {
			fmt.Fprintf(&in, "event: %s\ndata: a\n\n", name)
		}
	}
	r := NewReader(strings.NewReader(in.String()), 0)
	for _, w := range want {
		e, err := r.Next()
		require.NoError(t, err)
		assert.Equal(t, w, e.Name)
	}
	assert.Len(t, r.names, keepNames)
}

func TestAllocations(t *testing.T) {
	for name, frame := range map[string]string{
		"a turn": turn, "token": token, "CRLF": "event: delta\r\nid: 1700000000-7\r\ndata: {}\r\n\r\n", "lines": "data: a\ndata: b\n\n",
	} {
		r := NewReader(&repeated{frame: frame}, 0)
		next := func() {
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
		}
		for range 1000 { // the names, the buffer
			next()
		}
		assert.Zero(t, testing.AllocsPerRun(1000, next), name)
	}
}

// token is a frame of a stream of tokens, of about 300 bytes.
const token = `data: {"id":"message-0a1b2c3d-1111-4222-8333-444455556666","date":"2026-01-02T03:04:05+00:00","name":null,` +
	`"message_type":"assistant_message","otid":"0a1b2c3d-1111-4222-8333-444455556680","sender_id":null,"step_id":null,` +
	`"is_err":null,"seq_id":null,"run_id":"run-77778888-9999-4aaa-8bbb-ccccddddeeee","content":" word"}` + "\n\n"

// BenchmarkReader reads the same frames with Reader and with a bare bufio.Scanner that only strips "data: ", taking
// turns, and reports the ratio of their times.
func BenchmarkReader(b *testing.B) {
	const frames = 10_000
	stream := strings.Repeat(token, frames)
	var ours, scanner time.Duration
	sum, scanned := 0, 0
	b.SetBytes(2 * int64(len(stream)))
	for b.Loop() {
		start := time.Now()
		r := NewReader(strings.NewReader(stream), 0)
		for {
			e, err := r.Next()
			if err != nil {
				break
			}
			sum += len(e.Data)
		}
		ours += time.Since(start)

		start = time.Now()
		s := bufio.NewScanner(strings.NewReader(stream))
		for s.Scan() {
			if data, ok := bytes.CutPrefix(s.Bytes(), []byte("data: ")); ok {
				scanned += len(data)
			}
		}
		scanner += time.Since(start)
	}
	if sum != scanned || sum != b.N*frames*(len(token)-len("data: \n\n")) {
		b.Fatal(sum, scanned)
	}
	b.ReportMetric(float64(ours)/float64(scanner), "vs_scanner")
	b.ReportMetric(float64(ours.Nanoseconds())/float64(b.N)/frames, "ns/event")
}
