package core_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"postern/core"
)

func TestCut(t *testing.T) {
	for text, want := range map[string]string{"": "", "short": "short", "just": "just", "longer": "longe", "fünf": "fünf", "über": "über", "fifü": "fifü", "fifaü": "fifa", "\x00": "?", "\xff": "?"} {
		if got := core.Cut(text, 5); got != want {
			t.Errorf("%q is cut to %q, want %q", text, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(0, 20).Draw(t, "size")
		got := core.Cut(string(rapid.SliceOf(rapid.Byte()).Draw(t, "text")), size)
		if len(got) > size || !utf8.ValidString(got) || strings.Contains(got, "\x00") {
			t.Fatalf("%q", got)
		}
	})
}
