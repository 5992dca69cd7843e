package passwordrules

import (
	"regexp"
	"strconv"
	"strings"
)

// Pattern reads the pattern attribute of a field, a regular expression of JavaScript, where it is one of the few shapes
// that password fields have: conditions in front, such as (?=.*\d), and then one class so many times. Of any other
// it says nothing: ok is false. It never runs the expression.
func Pattern(text string) (rules Rules, ok bool) {
	if len(text) > MaxText {
		return Rules{}, false
	}
	text = strings.TrimSuffix(strings.TrimPrefix(text, "^"), "$")
	for {
		found := condition.FindStringSubmatch(text)
		if found == nil {
			break
		}
		text = text[len(found[0]):]
		switch {
		case found[1] == "." && found[2] != "": // (?=.{8,})
			if rules, ok = counted(rules, found[2]); !ok {
				return Rules{}, false
			}
		case found[2] != "" || strings.HasPrefix(found[1], "[^") || found[1] == ".":
			return Rules{}, false
		default:
			set, ok := class(found[1])
			if !ok || len(rules.Required) == mostRequired {
				return Rules{}, false
			}
			rules.Required = append(rules.Required, set)
		}
	}
	found := body.FindStringSubmatch(text)
	if found == nil {
		return Rules{}, false
	}
	if found[1] != "." {
		set, ok := class(found[1])
		if !ok {
			return Rules{}, false
		}
		rules.Allowed = set
	}
	rules, ok = counted(rules, found[2])
	rules = rules.And(Rules{})
	if !ok || rules.MaxLength > 0 && rules.MinLength > rules.MaxLength {
		return Rules{}, false
	}
	return rules, true
}

// A class is a dot, an escape such as \d, or brackets without brackets in them.
const classPattern = `(\.|\\[dwWD]|\[(?:[^\[\]\\]|\\.)+\])`

var (
	condition = regexp.MustCompile(`^\(\?=(?:\^?\.\*\??)?` + classPattern + `(\{\d{1,4}(?:,\d{0,4})?\})?(?:\.\*\$?|\$)?\)`)
	body      = regexp.MustCompile(`^` + classPattern + `(\*|\+|\{\d{1,4}(?:,\d{0,4})?\})$`)
)

// counted adds what a quantifier says.
func counted(rules Rules, quantifier string) (Rules, bool) {
	switch quantifier {
	case "*":
		return rules, true
	case "+":
		return rules.And(Rules{MinLength: 1}), true
	}
	first, last, ranged := strings.Cut(strings.Trim(quantifier, "{}"), ",")
	least, err := strconv.Atoi(first)
	if err != nil || least > longest {
		return Rules{}, false
	}
	most := least
	if ranged {
		most = 0
		if last != "" {
			if most, err = strconv.Atoi(last); err != nil || most > longest || most < 1 {
				return Rules{}, false
			}
		}
	} else if most < 1 {
		return Rules{}, false
	}
	return rules.And(Rules{MinLength: least, MaxLength: most}), true
}

// class is the set of an escape or of brackets.
func class(text string) (Set, bool) {
	word := Lower.or(Upper).or(Digit).with('_')
	escaped := map[byte]Set{'d': Digit, 'w': word, 'D': Printable.without(Digit), 'W': Printable.without(word), 's': of(" "), 'S': Printable.without(of(" "))}
	if text[0] == '\\' {
		return escaped[text[1]], true
	}
	text = text[1 : len(text)-1]
	inverted := strings.HasPrefix(text, "^")
	text = strings.TrimPrefix(text, "^")
	set := Set{}
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '\\' {
			i++
			if i == len(text) {
				return Set{}, false
			}
			c = text[i]
			if some, known := escaped[c]; known {
				set = set.or(some)
				continue
			}
			if letter(c) {
				return Set{}, false // \u, \x, \p: something else
			}
		}
		if i+2 < len(text) && text[i+1] == '-' && text[i+2] != '\\' {
			if text[i+2] < c {
				return Set{}, false
			}
			set = set.or(between(c, text[i+2]))
			i += 2
			continue
		}
		set = set.with(c)
	}
	if inverted {
		set = Printable.without(set)
	}
	return set, !set.empty()
}
