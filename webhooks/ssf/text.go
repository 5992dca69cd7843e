package ssf

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// cut shortens a text to at most size bytes of valid UTF-8, and keeps control characters out of it.
func cut(text string, size int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) <= size {
		return text
	}
	for size > 0 && !utf8.RuneStart(text[size]) {
		size--
	}
	return text[:size]
}
