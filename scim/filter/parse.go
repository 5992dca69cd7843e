package filter

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	// MaxLength bounds the bytes of a filter or path.
	MaxLength = 16 << 10
	// MaxDepth bounds how deep parentheses and brackets nest.
	MaxDepth = 32
)

// SyntaxError says where a text leaves the grammar and what was expected there.
type SyntaxError struct {
	Offset  int    // bytes before the fault
	Message string // never repeats the text
}

// Error implements error.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("at character %d: %s", e.Offset+1, e.Message)
}

// Options choose what is tolerated beyond the grammar.
type Options struct {
	// BareValues lets a string go without quotes or in single quotes: externalId eq jyoung.
	BareValues bool
}

// Parse reads a filter. Its error is a *SyntaxError.
func Parse(text string, options Options) (Expression, error) {
	p := parser{text: text, options: options}
	if err := p.check(); err != nil {
		return nil, err
	}
	p.spaces()
	expression, err := p.or(0, false)
	if err != nil {
		return nil, err
	}
	p.spaces()
	if p.at < len(p.text) {
		return nil, p.fault("the filter should end here, or go on with and, or")
	}
	return expression, nil
}

// ParsePath reads the path of a PATCH operation. Its error is a *SyntaxError.
func ParsePath(text string, options Options) (Path, error) {
	p := parser{text: text, options: options}
	if err := p.check(); err != nil {
		return Path{}, err
	}
	path, err := p.path(0, false)
	if err != nil {
		return Path{}, err
	}
	if p.at < len(p.text) {
		return Path{}, p.fault("the path should end here")
	}
	return path, nil
}

type parser struct {
	text    string
	at      int
	options Options
}

func (p *parser) check() error {
	switch {
	case len(p.text) > MaxLength:
		return &SyntaxError{Offset: MaxLength, Message: fmt.Sprintf("longer than %d bytes", MaxLength)}
	case !utf8.ValidString(p.text):
		return &SyntaxError{Message: "not UTF-8"}
	}
	return nil
}

func (p *parser) fault(format string, args ...any) error {
	return &SyntaxError{Offset: p.at, Message: fmt.Sprintf(format, args...)}
}

func (p *parser) spaces() bool {
	start := p.at
	for p.at < len(p.text) && p.text[p.at] == ' ' {
		p.at++
	}
	return p.at > start
}

func (p *parser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

// keyword consumes " word " before the next part of an and or or; the position stays when the text
// goes on differently.
func (p *parser) keyword(word string) bool {
	start := p.at
	if !p.spaces() || len(p.text)-p.at <= len(word) || !strings.EqualFold(p.text[p.at:p.at+len(word)], word) || p.text[p.at+len(word)] != ' ' {
		p.at = start
		return false
	}
	p.at += len(word)
	p.spaces()
	return true
}

// or reads parts joined by "or"; bracketed says that they stand in a value path's brackets, where
// no further brackets may be opened.
func (p *parser) or(depth int, bracketed bool) (Expression, error) {
	first, err := p.and(depth, bracketed)
	if err != nil || !p.keyword("or") {
		return first, err
	}
	parts := Or{first}
	for {
		part, err := p.and(depth, bracketed)
		if err != nil {
			return nil, err
		}
		if parts = append(parts, part); !p.keyword("or") {
			return parts, nil
		}
	}
}

func (p *parser) and(depth int, bracketed bool) (Expression, error) {
	first, err := p.term(depth, bracketed)
	if err != nil || !p.keyword("and") {
		return first, err
	}
	parts := And{first}
	for {
		part, err := p.term(depth, bracketed)
		if err != nil {
			return nil, err
		}
		if parts = append(parts, part); !p.keyword("and") {
			return parts, nil
		}
	}
}

func (p *parser) term(depth int, bracketed bool) (Expression, error) {
	if p.peek() == '(' {
		return p.group(depth, bracketed)
	}
	if p.not() {
		inner, err := p.group(depth, bracketed)
		if err != nil {
			return nil, err
		}
		return Not{inner}, nil
	}
	path, err := p.path(depth, bracketed)
	if err != nil {
		return nil, err
	}
	return p.comparison(path)
}

// not consumes "not" when a parenthesis follows it.
func (p *parser) not() bool {
	if len(p.text)-p.at < 4 || !strings.EqualFold(p.text[p.at:p.at+3], "not") {
		return false
	}
	start := p.at
	p.at += 3
	p.spaces()
	if p.peek() == '(' {
		return true
	}
	p.at = start
	return false
}

func (p *parser) group(depth int, bracketed bool) (Expression, error) {
	if depth == MaxDepth {
		return nil, p.fault("nested deeper than %d", MaxDepth)
	}
	p.at++
	p.spaces()
	inner, err := p.or(depth+1, bracketed)
	if err != nil {
		return nil, err
	}
	p.spaces()
	if p.peek() != ')' {
		return nil, p.fault("a closing parenthesis is missing")
	}
	p.at++
	return inner, nil
}

func (p *parser) comparison(path Path) (Expression, error) {
	end := p.at
	spaced := p.spaces()
	start := p.at
	for p.at < len(p.text) && letter(p.text[p.at]) {
		p.at++
	}
	operator, known := operators[strings.ToLower(p.text[start:min(p.at, start+3)])]
	if !spaced || !known {
		if path.Filter != nil && path.Sub == "" {
			p.at = end
			return Has{path}, nil
		}
		p.at = start
		return nil, p.fault("an operator is expected: eq, ne, co, sw, ew, gt, ge, lt, le or pr")
	}
	if operator == Present {
		if next := p.peek(); next != 0 && next != ' ' && next != ')' && next != ']' {
			return nil, p.fault("a space is expected")
		}
		return Comparison{Path: path, Operator: Present}, nil
	}
	if !p.spaces() {
		return nil, p.fault("a space and a value are expected")
	}
	value, err := p.value()
	if err != nil {
		return nil, err
	}
	return Comparison{Path: path, Operator: operator, Value: value}, nil
}

var operators = map[string]Operator{
	"eq": Equal, "ne": NotEqual, "co": Contains, "sw": StartsWith, "ew": EndsWith,
	"gt": Greater, "ge": GreaterOrEqual, "lt": Less, "le": LessOrEqual, "pr": Present,
}
