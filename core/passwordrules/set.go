package passwordrules

import (
	"math/bits"
	"strings"
)

// Set is a set of the printable characters of ASCII.
type Set struct{ low, high uint64 }

// The classes of the language. Special is as Apple has it: not every sign, and a space.
var (
	Lower     = of("abcdefghijklmnopqrstuvwxyz")
	Upper     = of("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	Digit     = of("0123456789")
	Special   = of("-~!@#$%^&*_+=`|(){}[:;\"'<>,.?] ")
	Printable = between(' ', '~')
)

var classes = []struct {
	name string
	set  Set
}{{"lower", Lower}, {"upper", Upper}, {"digit", Digit}, {"special", Special}}

// of is the set of the characters of a text, as far as they are printable ASCII.
func of(text string) (s Set) {
	for _, c := range []byte(text) {
		s = s.with(c)
	}
	return s
}

func between(first, last byte) (s Set) {
	for c := first; c <= last; c++ {
		s = s.with(c)
	}
	return s
}

func (s Set) with(c byte) Set {
	switch {
	case c < ' ' || c > '~':
	case c < 64:
		s.low |= 1 << c
	default:
		s.high |= 1 << (c - 64)
	}
	return s
}

func (s Set) has(c byte) bool {
	if c < 64 {
		return s.low&(1<<c) != 0
	}
	return c < 128 && s.high&(1<<(c-64)) != 0
}

func (s Set) and(o Set) Set     { return Set{s.low & o.low, s.high & o.high} }
func (s Set) or(o Set) Set      { return Set{s.low | o.low, s.high | o.high} }
func (s Set) without(o Set) Set { return Set{s.low &^ o.low, s.high &^ o.high} }
func (s Set) empty() bool       { return s == Set{} }
func (s Set) size() int         { return bits.OnesCount64(s.low) + bits.OnesCount64(s.high) }

// characters are those of the set, in the order of ASCII.
func (s Set) characters() string {
	var text strings.Builder
	for c := byte(' '); c <= '~'; c++ {
		if s.has(c) {
			text.WriteByte(c)
		}
	}
	return text.String()
}

// count is how many characters of the text are in the set.
func (s Set) count(text string) (held int) {
	for i := range len(text) {
		if s.has(text[i]) {
			held++
		}
	}
	return held
}

// String is the set in the language: the classes it holds whole by name, the others one by one.
func (s Set) String() string {
	if s == Printable {
		return "ascii-printable"
	}
	var parts []string
	for _, class := range classes {
		if s.and(class.set) == class.set {
			parts = append(parts, class.name)
			s = s.without(class.set)
		}
	}
	if !s.empty() {
		// In brackets a hyphen comes first and a closing bracket last.
		text := s.without(of("-]")).characters()
		if s.has('-') {
			text = "-" + text
		}
		if s.has(']') {
			text += "]"
		}
		parts = append(parts, "["+text+"]")
	}
	return strings.Join(parts, ", ")
}
