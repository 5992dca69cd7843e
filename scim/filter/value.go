package filter

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// value reads what an attribute is compared with.
func (p *parser) value() (Value, error) {
	if p.peek() == '"' {
		return p.quoted()
	}
	if p.peek() == '\'' && p.options.BareValues {
		length := strings.IndexByte(p.text[p.at+1:], '\'')
		if length < 0 {
			return Value{}, p.fault("the closing quote is missing")
		}
		start := p.at + 1
		p.at = start + length + 1
		return Value{String, p.text[start : start+length]}, nil
	}
	start := p.at
	for p.at < len(p.text) && !strings.ContainsRune(` ()[]"`, rune(p.text[p.at])) {
		p.at++
	}
	word := p.text[start:p.at]
	switch {
	case word == "":
		return Value{}, p.fault("a value is expected")
	case strings.EqualFold(word, "true"):
		return Value{Boolean, "true"}, nil
	case strings.EqualFold(word, "false"):
		return Value{Boolean, "false"}, nil
	case strings.EqualFold(word, "null"):
		return Value{Null, "null"}, nil
	case number(word):
		return Value{Number, word}, nil
	case p.options.BareValues:
		return Value{String, word}, nil
	}
	p.at = start
	return Value{}, p.fault(`a value is a string in double quotes, a number, true, false or null`)
}

// quoted reads a JSON string.
func (p *parser) quoted() (Value, error) {
	start := p.at
	escaped := false
	for p.at++; p.at < len(p.text); p.at++ {
		switch p.text[p.at] {
		case '\\':
			escaped = true
			p.at++
		case '"':
			p.at++
			literal := p.text[start:p.at]
			if !escaped && !control(literal) {
				return Value{String, literal[1 : len(literal)-1]}, nil
			}
			decoded, err := jsontext.AppendUnquote(nil, literal)
			if err != nil {
				p.at = start
				return Value{}, p.fault("the string is not a JSON string")
			}
			return Value{String, string(decoded)}, nil
		}
	}
	p.at = start
	return Value{}, p.fault("the closing quote is missing")
}

func control(text string) bool {
	for i := range len(text) {
		if text[i] < 0x20 {
			return true
		}
	}
	return false
}

// number reports whether a word is a number as JSON writes one.
func number(word string) bool {
	if c := word[0]; c != '-' && (c < '0' || c > '9') {
		return false
	}
	value := jsontext.Value(word)
	return value.Kind() == '0' && value.IsValid()
}
