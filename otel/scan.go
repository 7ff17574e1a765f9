package lettaotel

import "bytes"

const (
	maxKey   = 64
	maxValue = 8 << 10 // the usage of a turn has some hundred bytes
)

// object reads a JSON object as it passes by, in any pieces, and keeps what it wants of its fields. The rest is neither
// kept nor checked, so that its memory does not grow with the object.
type object struct {
	wants func(name []byte) bool
	field map[string][]byte // the JSON of the wanted fields of the object itself, not of inner ones

	depth      int
	inString   bool
	escaped    bool
	beforeName bool // what comes next in the object itself is a name
	inName     bool
	keeping    bool
	tooLong    bool
	name       []byte
	value      []byte
}

func (o *object) reset() {
	clear(o.field)
	*o = object{wants: o.wants, field: o.field, name: o.name[:0], value: o.value[:0]}
}

func (o *object) write(p []byte) {
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case o.inString && !o.escaped: // most of an answer: go to what ends the string or escapes
			rest := p[i:]
			if quote := bytes.IndexByte(rest, '"'); quote >= 0 {
				rest = rest[:quote]
			}
			if slash := bytes.IndexByte(rest, '\\'); slash >= 0 {
				rest = rest[:slash]
			}
			if o.inName {
				o.name = keep(o.name, rest, maxKey+1)
			} else {
				o.keep(rest)
			}
			if i += len(rest); i == len(p) {
				return
			}
		case !o.inString && !o.keeping && (c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c == ' '):
			continue
		}
		o.next(p[i : i+1])
	}
}

// next takes one byte.
func (o *object) next(b []byte) {
	c := b[0]
	if o.inString {
		switch {
		case o.escaped:
			o.escaped = false
		case c == '\\':
			o.escaped = true
		case c == '"':
			if o.inString = false; o.inName {
				o.inName = false
				return
			}
		}
		if o.inName {
			o.name = keep(o.name, b, maxKey+1)
		} else {
			o.keep(b)
		}
		return
	}
	switch c {
	case '"':
		if o.inString = true; o.beforeName {
			o.beforeName, o.inName, o.name = false, true, o.name[:0]
			return
		}
	case '{', '[':
		if o.depth++; o.depth == 1 {
			o.beforeName = c == '{'
			return
		}
	case '}', ']':
		if o.depth--; o.depth == 0 {
			o.endValue()
			return
		}
	case ':':
		if o.depth == 1 {
			o.keeping, o.tooLong, o.value = len(o.name) <= maxKey && o.wants(o.name), false, o.value[:0]
			return
		}
	case ',':
		if o.depth == 1 {
			o.endValue()
			o.beforeName = true
			return
		}
	}
	o.keep(b)
}

func (o *object) keep(b []byte) {
	if o.keeping {
		o.tooLong = o.tooLong || len(o.value)+len(b) > maxValue
		o.value = keep(o.value, b, maxValue)
	}
}

func (o *object) endValue() {
	if o.keeping && !o.tooLong {
		if o.field == nil {
			o.field = map[string][]byte{}
		}
		o.field[string(o.name)] = bytes.Clone(bytes.TrimSpace(o.value))
	}
	o.keeping = false
}

func keep(to, b []byte, limit int) []byte {
	return append(to, b[:min(len(b), limit-len(to))]...)
}

// events reads a stream of server-sent events as it passes by. The data of each goes to the object, of which it is one.
type events struct {
	data object
	end  func(name, start string) // of an event with data: its name, and how its data starts

	line      int // bytes so far
	inValue   bool
	sawCR     bool
	hasData   bool
	field     []byte
	name      []byte
	dataStart []byte
}

const maxField = 32 // of the name of a field or an event, and of the start of the data

func (e *events) write(p []byte) {
	for len(p) > 0 {
		if c := p[0]; c == '\n' || c == '\r' {
			if c == '\r' || !e.sawCR {
				e.endLine()
			}
			e.sawCR, p = c == '\r', p[1:]
			continue
		}
		e.sawCR = false
		stop := bytes.IndexByte(p, '\n')
		if stop < 0 {
			stop = len(p)
		}
		if cr := bytes.IndexByte(p[:stop], '\r'); cr >= 0 {
			stop = cr
		}
		e.inLine(p[:stop])
		p = p[stop:]
	}
}

// inLine takes a part of a line, without its end.
func (e *events) inLine(part []byte) {
	for !e.inValue && len(part) > 0 {
		c := part[:1]
		part = part[1:]
		e.line++
		if c[0] == ':' {
			e.inValue = true
			if string(e.field) == "event" {
				e.name = e.name[:0]
			}
		} else {
			e.field = keep(e.field, c, maxField)
		}
	}
	switch {
	case !e.inValue:
	case string(e.field) == "data":
		e.hasData = true
		e.dataStart = keep(e.dataStart, part, maxField)
		e.data.write(part)
	case string(e.field) == "event":
		e.name = keep(e.name, part, maxField)
	}
}

func (e *events) endLine() {
	blank := e.line == 0 && len(e.field) == 0
	if blank && e.hasData {
		e.end(string(bytes.TrimSpace(e.name)), string(bytes.TrimSpace(e.dataStart)))
		e.data.reset()
	}
	if blank {
		e.hasData, e.name, e.dataStart = false, e.name[:0], e.dataStart[:0]
	}
	e.line, e.inValue, e.field = 0, false, e.field[:0]
}
