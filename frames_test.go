package letta

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta/internal/apispec"
)

// recordedFrames are the events of all recorded streams, and some that servers do not send.
func recordedFrames() []string {
	frames := []string{
		`{"message_type":"ping"}`,
		`{"message_type":"assistant_message","content":null}`,
		`{"message_type":"assistant_message","content":[{"type":"text","text":"hi"}]}`,
		`{"message_type":"assistant_message","content":"a","content":"b"}`,
		`{"message_type":"assistant_message","message_type":"ping"}`,
		`{"message_type":"assistant_message","content":"\"\\\/\b\f\n\r\té😀","date":null}`,
		`{"message_type":"assistant_message","content":"\u00e9\ud83d\ude00\u0000\uD83D\uDE00"}`,
		`{"message_type":"assistant_message","content":"\ud83d","name":"\udc00\ud83d"}`,
		`{"message_type":"assistant_message","content":"` + "\xff\xc3\xa9" + `"}`,
		`{"message_type":"assistant_message","content":"` + "\xc3\xa9\x01" + `"}`,
		`{"message\u005ftype":"ping","id":"a"}`,
		`{"message_type":"p\u0069ng","\u0069d":"a"}`,
		` { "id" : "a" , "date" : "2026-11-22T08:16:14.5+02:00" , "message_type" : "ping" , "seq_id" : 12 , "is_err" : true } `,
		`{"id":"a","date":"2026-11-22T08:16:14","message_type":"ping","seq_id":1e2,"is_err":false}`,
		`{"seq_id":-1,"message_type":"ping"}`, `{"seq_id":01,"message_type":"ping"}`, `{"seq_id":1.0,"message_type":"ping"}`,
		`{"seq_id":12345678901234567890,"message_type":"ping"}`, `{"seq_id":"1","message_type":"ping"}`,
		`{"date":"","message_type":"ping"}`, `{"date":"soon","message_type":"ping"}`, `{"date":5,"message_type":"ping"}`,
		`{"message_type":"ping","new":{"a":[1,"]}"]}}`, `{"message_type":"ping"} x`, `{"message_type":"ping",}`, `{"message_type":"ping"`,
		`{"message_type":"reasoning_message","reasoning":"r","source":"reasoner_model","signature":"s","content":"c"}`,
		`{"message_type":null,"id":"a"}`, `{"message_type":5}`, `[{"message_type":"ping"}]`, `"message_type"`, `{}`, ``, `null`, `{"":1}`, `{"id":nul}`, `{"is_err":truex,"message_type":"ping"}`,
	}
	for _, x := range apispec.Recorded() {
		if !strings.HasPrefix(x.Header["content-type"], "text/event-stream") {
			continue
		}
		for line := range strings.Lines(x.Text) {
			if data, ok := strings.CutPrefix(line, "data: {"); ok {
				frames = append(frames, "{"+strings.TrimRight(data, "\r\n"))
			}
		}
	}
	return frames
}

// sameAsEngine decodes an event with d and with the engine.
func sameAsEngine(t *testing.T, d *frameDecoder, event []byte) {
	t.Helper()
	wantKind := stringField(event, "message_type")
	want, wantErr := messages.readAs(wantKind, event)
	kind, got, err := d.decode(event)
	if wantErr != nil {
		require.EqualError(t, err, wantErr.Error(), "%q", event)
	} else {
		require.NoError(t, err, "%q", event)
	}
	require.Equal(t, wantKind, kind, "%q", event)
	require.Equal(t, want, got, "%q", event)
	for i := range d.members {
		for j := range i {
			require.NotEqual(t, d.members[i].field, d.members[j].field)
		}
	}
}

// FuzzFrames: whatever came before, an event is what the engine makes of it.
func FuzzFrames(f *testing.F) {
	frames := recordedFrames()
	for i, frame := range frames {
		f.Add([]byte(frame), []byte(frames[(i+1)%len(frames)]))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		d := &frameDecoder{}
		for _, event := range [][]byte{first, second, first, first} {
			sameAsEngine(t, d, event)
		}
	})
}

// TestMutatedFrames decodes one stream of recorded frames, most of them changed a little.
func TestMutatedFrames(t *testing.T) {
	frames := recordedFrames()
	random := rand.New(rand.NewPCG(1, 2))
	d := &frameDecoder{}
	byHand := 0
	for range 20000 {
		event := []byte(frames[random.IntN(len(frames))])
		for range random.IntN(3) {
			other := frames[random.IntN(len(frames))]
			if len(event) == 0 || other == "" {
				continue
			}
			at, from := random.IntN(len(event)), random.IntN(len(other))
			switch random.IntN(5) {
			case 0: // another byte
				event[at] = other[from]
			case 1: // bytes less
				event = slices.Delete(event, at, min(at+1+random.IntN(5), len(event)))
			case 2: // bytes more
				event = slices.Insert(event, at, []byte(other[from:min(from+1+random.IntN(9), len(other))])...)
			case 3: // members in another order
				members := strings.Split(strings.Trim(string(event), "{}"), ",")
				random.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
				event = []byte("{" + strings.Join(members, ",") + "}")
			case 4: // other members
				members := strings.Split(strings.Trim(string(event), "{}"), ",")
				others := strings.Split(strings.Trim(other, "{}"), ",")
				members[random.IntN(len(members))] = others[random.IntN(len(others))]
				event = []byte("{" + strings.Join(members, ",") + "}")
			}
		}
		sameAsEngine(t, d, event)
		if (&frameDecoder{}).read(event) != nil {
			byHand++
		}
	}
	assert.Greater(t, byHand, 5000, "the engine decoded nearly all, so that this says little")
}

// TestFramesShare: of two frames of a stream, the second costs its own text only.
func TestFramesShare(t *testing.T) {
	x, ok := apispec.Recording(apispec.ServerV1, "agents.messages.create.stream_tokens")
	require.True(t, ok)
	frames := strings.Split(strings.TrimSpace(strings.ReplaceAll(x.Text, "data: ", "")), "\n\n")
	d := &frameDecoder{}
	for _, frame := range frames[:3] {
		require.NotNil(t, d.read([]byte(frame)), frame)
	}
	event := []byte(frames[3])
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { d.read(event) }), 2.0, "the message and its text")
	done := []byte(frames[len(frames)-1])
	assert.Equal(t, "[DONE]", string(done))
	assert.Nil(t, d.read(done))
}
