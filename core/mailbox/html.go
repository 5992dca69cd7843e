package mailbox

import (
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"postern/core"
)

// shown is what an HTML message shows.
type shown struct {
	text  string
	links []anchor
}

// anchor is a link with the words it is shown by.
type anchor struct{ address, words string }

// unseen are the elements whose text is never shown.
var unseen = map[atom.Atom]bool{atom.Script: true, atom.Style: true, atom.Head: true, atom.Template: true, atom.Noscript: true, atom.Iframe: true, atom.Object: true}

// inline are the elements that do not begin a line of their own.
var inline = map[atom.Atom]bool{
	atom.A: true, atom.Abbr: true, atom.B: true, atom.Bdi: true, atom.Bdo: true, atom.Big: true, atom.Cite: true, atom.Code: true, atom.Em: true, atom.Font: true,
	atom.I: true, atom.Kbd: true, atom.Label: true, atom.Mark: true, atom.Q: true, atom.S: true, atom.Samp: true, atom.Small: true, atom.Span: true,
	atom.Strong: true, atom.Sub: true, atom.Sup: true, atom.Td: true, atom.Th: true, atom.Time: true, atom.Tt: true, atom.U: true, atom.Var: true, atom.Wbr: true,
}

const (
	maxAnchors = 200
	maxLabel   = 500 // bytes of an anchor's words that matter
)

// show reads an HTML message as far as it can be read.
func show(source string) shown {
	var out shown
	var text strings.Builder
	var hidden int   // how deep in what is not shown
	var open *anchor // the link whose words are being read
	tokens := html.NewTokenizer(strings.NewReader(source))
	tokens.SetMaxBuf(maxRead)
	for {
		kind := tokens.Next()
		switch kind {
		case html.ErrorToken:
			out.text = lines(text.String())
			return out
		case html.TextToken:
			if hidden == 0 {
				words := strings.Join(strings.Fields(string(tokens.Text())), " ")
				padded(&text, tokens.Raw(), words)
				if open != nil && len(open.words) < maxLabel {
					open.words += " " + core.Cut(words, maxLabel)
				}
			}
		case html.StartTagToken, html.SelfClosingTagToken, html.EndTagToken:
			name, attributes := tokens.TagName()
			tag := atom.Lookup(name)
			switch {
			case unseen[tag] && kind == html.StartTagToken:
				hidden++
			case unseen[tag] && kind == html.EndTagToken:
				hidden = max(0, hidden-1)
			case tag == atom.Body:
				hidden = 0
			case tag == atom.A && kind == html.StartTagToken && len(out.links) < maxAnchors:
				for attributes {
					var key, value []byte
					key, value, attributes = tokens.TagAttr()
					if string(key) == "href" {
						out.links = append(out.links, anchor{address: strings.TrimSpace(string(value))})
						open = &out.links[len(out.links)-1]
					}
				}
			case tag == atom.A && kind == html.EndTagToken:
				open = nil
			}
			switch {
			case tag == atom.Td || tag == atom.Th:
				text.WriteByte(' ')
			case !inline[tag]:
				text.WriteByte('\n')
			}
		case html.CommentToken, html.DoctypeToken:
		}
	}
}

// padded writes words with the blanks that stood around them.
func padded(out *strings.Builder, raw []byte, words string) {
	blank := func(b byte) bool { return b == ' ' || b == '\n' || b == '\t' || b == '\r' }
	if len(raw) > 0 && blank(raw[0]) {
		out.WriteByte(' ')
	}
	out.WriteString(words)
	if len(raw) > 0 && words != "" && blank(raw[len(raw)-1]) {
		out.WriteByte(' ')
	}
}

// lines leaves out what is empty.
func lines(text string) string {
	var kept []string
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}
