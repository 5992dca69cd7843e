package mailbox

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"postern/core"
)

// prefixed is how Google writes its codes.
var prefixed = regexp.MustCompile(`(?:^|[^\pL\pN-])g-(\d{4,8})(?:$|[^\pL\pN-])`)

// number is four to eight digits: in a row, in groups, or each on its own.
var number = regexp.MustCompile(`\d{4,8}|\d{3}[ -]\d{3}|\d{4}[ -]\d{4}|\d{2}([ -]\d{2}){1,3}|\d([ -]\d){3,7}`)

// address is a link or a mail address, none of whose digits are a code, and a colour of CSS.
var address = regexp.MustCompile(`(?:https?://|www\.)\S+|\S+@\S+|#[0-9a-f]{6}\b`)

// span is a piece of a sentence, in bytes.
type span struct{ from, to int }

// sentence is what keywords and numbers are looked for in together.
type sentence struct {
	text    string // in lower case
	open    bool   // it does not end as a sentence does: the next line goes on
	keys    []span
	numbers []span
}

// alone reports whether a sentence is a number and nothing else.
func (s sentence) alone() bool {
	return len(s.numbers) == 1 && strings.ContainsFunc(s.text, unicode.IsDigit) &&
		strings.TrimFunc(s.text[:s.numbers[0].from]+s.text[s.numbers[0].to:], func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) == ""
}

// These bound how much of a text is looked through.
const (
	maxSentences = 2000
	maxSentence  = 1000 // bytes
	maxInOne     = 100  // keywords, and numbers, of one sentence
)

// findCode finds the number that a tidy text most likely calls a code; empty if none.
func findCode(text string) string {
	text = address.ReplaceAllStringFunc(strings.ToLower(text), func(found string) string { return strings.Repeat(" ", len(found)) })
	if match := prefixed.FindStringSubmatch(text); match != nil {
		return match[1]
	}
	sentences := split(text)
	best, least := "", 1<<30
	for i := range sentences {
		for _, at := range sentences[i].numbers {
			if far, ok := distance(sentences, i, at); ok && far < least {
				best, least = digits(sentences[i].text[at.from:at.to]), far
			}
		}
	}
	return best
}

// distance is how far a number is from a word for a code.
func distance(sentences []sentence, i int, at span) (far int, ok bool) {
	own := sentences[i]
	far = nearest(own, at)
	if len(own.keys) > 0 {
		return far, true
	}
	const line = 40 // what a line between them counts
	alone := own.alone()
	for back := 1; back <= 3 && i-back >= 0; back++ {
		before := sentences[i-back]
		if len(before.keys) > 0 && (alone || back == 1 && before.open) {
			return line * back, true
		}
		if len(before.numbers) > 0 || !alone {
			break
		}
	}
	if i+1 < len(sentences) && len(sentences[i+1].keys) > 0 && len(sentences[i+1].numbers) == 0 && (alone || own.open) {
		return 2 * line, true
	}
	return 0, false
}

// nearest is the distance of a number from the nearest keyword of its sentence, in characters. Most write the number
// behind the word.
func nearest(in sentence, at span) int {
	least := 1 << 30
	for _, key := range in.keys {
		if key.to <= at.from {
			least = min(least, utf8.RuneCountInString(in.text[key.to:at.from]))
		} else {
			least = min(least, utf8.RuneCountInString(in.text[at.to:key.from])+8)
		}
	}
	return least
}

// split cuts a text in lower case into sentences and finds in each what matters.
func split(text string) []sentence {
	var found []sentence
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		for line != "" && len(found) < maxSentences {
			end, next := ending(core.Cut(line, maxSentence))
			one := sentence{text: line[:end], open: next == len(line) && !strings.ContainsAny(line[end:], ".!?。!?")}
			one.read()
			found = append(found, one)
			line = strings.TrimSpace(line[next:])
		}
	}
	return found
}

// ending is where the first sentence of a line ends, and where the next begins.
func ending(line string) (end, next int) {
	for i, r := range line {
		after := i + utf8.RuneLen(r)
		switch r {
		case '。':
			return i, after
		case '.', '!', '?':
			if after == len(line) || line[after] == ' ' && !abbreviated(line[:i]) {
				return i, after
			}
		}
	}
	return len(line), len(line)
}

// abbreviated reports whether what a full stop follows is an abbreviation before a number.
func abbreviated(before string) bool {
	for _, one := range []string{"nr", "no", "tel", "ref", "núm", "nº"} {
		if strings.HasSuffix(before, one) && (len(before) == len(one) || before[len(before)-len(one)-1] == ' ') {
			return true
		}
	}
	return false
}

// read finds the keywords of a sentence and its numbers that may be codes.
func (s *sentence) read() {
	wrong := misnomers.FindAllStringIndex(s.text, maxInOne)
	for _, key := range keywords.FindAllStringIndex(s.text, maxInOne) {
		at := span{key[0], key[1]}
		if !overlaps(at, wrong) {
			s.keys = append(s.keys, at)
		}
	}
	for from := 0; from < len(s.text) && len(s.numbers) < maxInOne; {
		match := number.FindStringIndex(s.text[from:])
		if match == nil {
			return
		}
		at := span{from + match[0], from + match[1]}
		from = at.to
		if count := len(digits(s.text[at.from:at.to])); count >= 4 && count <= 8 && s.free(at) && !s.another(at, wrong) {
			s.numbers = append(s.numbers, at)
		} else {
			// A longer number is none at all, and neither is its rest.
			for from < len(s.text) && (s.text[from] >= '0' && s.text[from] <= '9') {
				from++
			}
		}
	}
}

func overlaps(at span, others [][]int) bool {
	for _, other := range others {
		if at.from < other[1] && other[0] < at.to {
			return true
		}
	}
	return false
}

// free reports whether a number stands on its own: no part of a longer number, a telephone number, a date, an amount or a
// word.
func (s *sentence) free(at span) bool {
	before, after := s.text[:at.from], s.text[at.to:]
	last, _ := utf8.DecodeLastRuneInString(before)
	first, size := utf8.DecodeRuneInString(after)
	if asciiWord(last) || asciiWord(first) || strings.ContainsRune("+*•/$€£¥%~&=_\\)", last) && last != 0 {
		return false
	}
	if strings.HasSuffix(before, ") ") || units.MatchString(after) {
		return false
	}
	if strings.ContainsRune(" -.,:/'", last) && len(before) >= 2 {
		if c := before[len(before)-2]; c >= '0' && c <= '9' && last != ':' && last != ',' {
			return false
		}
		if c := before[len(before)-2]; strings.ContainsRune("$€£¥", rune(c)) {
			return false
		}
	}
	if strings.ContainsRune(" -.,:/'", first) && len(after) > size {
		if c := after[size]; c >= '0' && c <= '9' {
			return false
		}
	}
	return true
}

// asciiWord reports whether a number next to a character is part of a word. Japanese is written without blanks.
func asciiWord(r rune) bool {
	return unicode.IsDigit(r) || unicode.IsLetter(r) && !unicode.In(r, unicode.Hiragana, unicode.Katakana, unicode.Han)
}

// reach is how far before a number a word for something else says what the number is, in characters.
const reach = 24

// another reports whether a number is called something else than a code, or is a year.
func (s *sentence) another(at span, wrong [][]int) bool {
	from := at.from
	for n := 0; n < reach && from > 0; n++ {
		_, size := utf8.DecodeLastRuneInString(s.text[:from])
		from -= size
	}
	// What names a number names the next one only.
	from = max(from, strings.LastIndexAny(s.text[:at.from], "0123456789")+1)
	before := s.text[from:at.from]
	named := -1 // where the last such word ends
	for _, word := range others.FindAllStringIndex(before, -1) {
		named = max(named, from+word[1])
	}
	for _, word := range wrong {
		if word[1] <= at.from && word[1] > from {
			named = max(named, word[1])
		}
	}
	key := -1
	for _, word := range s.keys {
		if word.to <= at.from {
			key = max(key, word.to)
		}
	}
	if named > key {
		return true
	}
	text := s.text[at.from:at.to]
	if len(text) == 4 && (strings.HasPrefix(text, "19") || strings.HasPrefix(text, "20")) {
		return key < 0 || utf8.RuneCountInString(s.text[key:at.from]) > 8
	}
	return false
}

func digits(text string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, text)
}
