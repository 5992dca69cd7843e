package ssf

import (
	"strings"
	"unicode"

	"postern/core"
)

// cut is core.Cut without control characters.
func cut(text string, size int) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, core.Cut(text, size))
}
