package letta

// sequence follows the numbers of a run's frames. Letta 0.16.8 counts every frame of a background run from 1, but writes no
// number into a stop reason, usage, an error and [DONE]. So a number may be greater than the one before it by one, and by
// one more for each frame without a number in between.
type sequence struct {
	last       int // the greatest number so far
	begin      int // last when the connection began: what is not above it was seen before
	current    int // the last number of this connection
	unnumbered int // frames since then
}

type seqVerdict int

const (
	seqNew seqVerdict = iota // or without a number
	seqKnown
	seqRepeated // has the number of the frame before it
	seqMissing  // there is a gap before it
)

// connected begins another connection, which may send again what was seen before.
func (s *sequence) connected() { *s = sequence{last: s.last, begin: s.last} }

func (s *sequence) take(n int) seqVerdict {
	switch {
	case n <= 0:
		s.unnumbered++
		return seqNew
	case n == s.current:
		if n <= s.begin {
			return seqKnown
		}
		return seqRepeated
	case n <= s.last:
		s.current = n
		return seqKnown
	case n > s.last+1+s.unnumbered:
		return seqMissing
	}
	s.last, s.current, s.unnumbered = n, n, 0
	return seqNew
}
