package browser

import (
	"fmt"
	"strings"

	"postern/core/rotation"
)

// quoteLength bounds a quotation, in characters.
const quoteLength = 120

// quote is what the page newly says to whoever sent a form, on one line and without secrets: in what looks like a complaint,
// else like news, else in lines of its own. A page without a form and of many lines is not quoted: it is another page, and
// what it shows may be anybody's.
func (j *job) quote(now view) string {
	lines := since(j.lines, now.Lines)
	if len(now.Forms) == 0 && len(lines) > 3 {
		lines = nil
	}
	for _, texts := range [][]string{since(j.errors, now.Errors), since(j.notices, now.Notices), {strings.Join(lines, " ")}} {
		for _, text := range texts {
			text = strings.TrimSpace(j.hide.text(text))
			if runes := []rune(text); len(runes) > quoteLength {
				text = string(runes[:quoteLength-1]) + "…"
			}
			if text != "" {
				return strings.ReplaceAll(text, `"`, "'")
			}
		}
	}
	return ""
}

// quoting adds to the detail of an outcome what the page says.
func (j *job) quoting(now view, outcome rotation.Outcome) rotation.Outcome {
	if said := j.quote(now); said != "" {
		j.detail += fmt.Sprintf(` The page says "%s", which Postern does not understand.`, said)
	}
	return outcome
}

// unclear is the outcome of a page that answers and is not understood.
func (j *job) unclear(now view, whether string) rotation.Outcome {
	if said := j.quote(now); said != "" {
		return j.end(rotation.Unknown, `The page says "%s", which Postern does not understand.`, said)
	}
	return j.end(rotation.Unknown, "Nothing on the page says whether %s.", whether)
}
