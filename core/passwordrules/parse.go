package passwordrules

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"postern/core"
)

// MaxText is how long a text of rules may be, in bytes. longest and mostRequired bound what it may ask for.
const (
	MaxText      = 1024
	longest      = 1 << 10
	mostRequired = 16
)

// Parse reads rules in Apple's language. An empty text says nothing. What is no such text is Invalid with the field
// password_rules: an unknown word too, which may forbid what nobody here knows of.
//
// As there, the classes of one required are alternatives, and without allowed nothing but what is required is allowed.
func Parse(text string) (Rules, error) {
	if len(text) > MaxText {
		return Rules{}, invalid("at most %d bytes are read", MaxText)
	}
	var rules Rules
	required, allowed := Set{}, Set{}
	seen := false
	for _, property := range split(text, ';') {
		if strings.TrimSpace(property) == "" {
			continue
		}
		name, value, ok := strings.Cut(property, ":")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		if !ok || value == "" {
			return Rules{}, invalid("write %s as name: value", quoted(property))
		}
		switch name {
		case "minlength", "maxlength", "max-consecutive":
			number, err := strconv.Atoi(value)
			if err != nil || number < 1 || number > longest {
				return Rules{}, invalid("%s is a number from 1 to %d", name, longest)
			}
			switch name {
			case "minlength":
				rules.MinLength = max(rules.MinLength, number)
			case "maxlength":
				rules = rules.And(Rules{MaxLength: number})
			default:
				rules = rules.And(Rules{MaxConsecutive: number})
			}
		case "required", "allowed":
			set, err := parseSet(value)
			if err != nil {
				return Rules{}, err
			}
			if name == "allowed" {
				allowed, seen = allowed.or(set), true
				continue
			}
			if !slices.Contains(rules.Required, set) {
				rules.Required = append(rules.Required, set)
			}
			required = required.or(set)
		default:
			return Rules{}, invalid("there is no rule %s; there are minlength, maxlength, max-consecutive, required and allowed", quoted(name))
		}
	}
	if len(rules.Required) > mostRequired {
		return Rules{}, invalid("at most %d times required", mostRequired)
	}
	if rules.MaxLength > 0 && rules.MinLength > rules.MaxLength {
		return Rules{}, invalid("minlength %d is more than maxlength %d", rules.MinLength, rules.MaxLength)
	}
	if seen || len(rules.Required) > 0 {
		if rules.Allowed = required.or(allowed); rules.Allowed == Printable {
			rules.Allowed = Set{}
		}
	}
	return rules, nil
}

func invalid(format string, args ...any) error {
	return core.Invalid("password_rules", format, args...)
}

func quoted(text string) string {
	text = strings.TrimSpace(text)
	if len(text) > 40 {
		text = strings.ToValidUTF8(text[:40], "") + "…"
	}
	return strconv.Quote(text)
}

// split cuts at a sign, but not within brackets. The bracket that closes is the last of two.
func split(text string, at byte) (parts []string) {
	begin, within := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '[' && !within:
			within = true
		case c == ']' && within && (i+1 == len(text) || text[i+1] != ']'):
			within = false
		case c == at && !within:
			parts, begin = append(parts, text[begin:i]), i+1
		}
	}
	return append(parts, text[begin:])
}

// parseSet reads classes, of which a character is one.
func parseSet(text string) (Set, error) {
	all := Set{}
	for _, part := range split(text, ',') {
		part = strings.TrimSpace(part)
		inner, custom := strings.CutPrefix(part, "[")
		if custom {
			inner, custom = strings.CutSuffix(inner, "]")
			if !custom || !utf8.ValidString(inner) {
				return Set{}, invalid("close the bracket of %s", quoted(part))
			}
			all = all.or(of(inner))
			continue
		}
		switch name := strings.ToLower(part); name {
		case "ascii-printable", "unicode":
			all = all.or(Printable)
		default:
			at := slices.IndexFunc(classes, func(class struct {
				name string
				set  Set
			}) bool {
				return class.name == name
			})
			if at < 0 {
				return Set{}, invalid("there is no class %s; there are lower, upper, digit, special, ascii-printable, unicode, and characters in brackets, such as [-_]", quoted(part))
			}
			all = all.or(classes[at].set)
		}
	}
	if all.empty() {
		return Set{}, invalid("%s holds no character of ASCII", quoted(text))
	}
	return all, nil
}
