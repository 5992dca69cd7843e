package core

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Cut is at most size bytes of a text, as PostgreSQL can keep it: valid UTF-8 without NUL. What somebody
// else wrote goes through it on its way to a table, a log or an event.
func Cut(text string, size int) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "?"), "\x00", "?")
	if len(text) <= size {
		return text
	}
	for size > 0 && !utf8.RuneStart(text[size]) {
		size--
	}
	return text[:size]
}

// Count is a number with its noun, in the singular or the plural.
func Count(count int, one, many string) string {
	if count == 1 {
		return "1 " + one
	}
	return strconv.Itoa(count) + " " + many
}
