package filter

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Expression is a filter: And, Or, Not, Comparison or Has. Its String is a filter again.
type Expression interface {
	String() string
	write(b *strings.Builder)
}

// And holds when each of its two or more parts holds.
type And []Expression

// Or holds when one of its two or more parts holds.
type Or []Expression

// Not holds when Inner does not.
type Not struct{ Inner Expression }

// Has holds when some element of the multi-valued attribute satisfies the path's filter.
type Has struct{ Path Path }

// Comparison holds when some value at Path stands in the relation to Value. Present takes no value.
type Comparison struct {
	Path     Path
	Operator Operator
	Value    Value
}

// Operator is a relation between an attribute and a value, in lower case.
type Operator string

// The operators of RFC 7644, table 3.
const (
	Equal          Operator = "eq"
	NotEqual       Operator = "ne"
	Contains       Operator = "co"
	StartsWith     Operator = "sw"
	EndsWith       Operator = "ew"
	Greater        Operator = "gt"
	GreaterOrEqual Operator = "ge"
	Less           Operator = "lt"
	LessOrEqual    Operator = "le"
	Present        Operator = "pr"
)

// Ordering reports whether the operator asks which of two values is greater.
func (o Operator) Ordering() bool {
	return o == Greater || o == GreaterOrEqual || o == Less || o == LessOrEqual
}

// Kind is the JSON type of a Value.
type Kind uint8

// The kinds of a value. The zero kind is no value at all, as with Present.
const (
	None Kind = iota
	String
	Number
	Boolean
	Null
)

// Value is what an attribute is compared with. Text is the decoded string, the number as it was
// written, or "true", "false" and "null".
type Value struct {
	Kind Kind
	Text string
}

// Path names an attribute: URN and Sub may be empty, Filter nil. Names keep the spelling they came
// with; SCIM compares them without regard to case.
type Path struct {
	URN    string     // the schema's URN, without the colon that follows it
	Name   string     // the attribute
	Filter Expression // which elements of a multi-valued attribute
	Sub    string     // the attribute inside a complex one
}

// Is reports whether the path is exactly an attribute's name, without URN, filter or sub-attribute.
func (p Path) Is(name string) bool {
	return p.URN == "" && p.Filter == nil && p.Sub == "" && strings.EqualFold(p.Name, name)
}

func (e And) String() string        { return text(e) }
func (e Or) String() string         { return text(e) }
func (e Not) String() string        { return text(e) }
func (e Has) String() string        { return e.Path.String() }
func (e Comparison) String() string { return text(e) }

func text(e Expression) string {
	var b strings.Builder
	e.write(&b)
	return b.String()
}

func (e And) write(b *strings.Builder) {
	for i, part := range e {
		if i > 0 {
			b.WriteString(" and ")
		}
		switch part.(type) {
		case Or, And:
			writeGroup(b, part)
		default:
			part.write(b)
		}
	}
}

func (e Or) write(b *strings.Builder) {
	for i, part := range e {
		if i > 0 {
			b.WriteString(" or ")
		}
		if _, nested := part.(Or); nested {
			writeGroup(b, part)
		} else {
			part.write(b)
		}
	}
}

func (e Not) write(b *strings.Builder) {
	b.WriteString("not ")
	writeGroup(b, e.Inner)
}

func (e Has) write(b *strings.Builder) { e.Path.write(b) }

func (e Comparison) write(b *strings.Builder) {
	e.Path.write(b)
	b.WriteByte(' ')
	b.WriteString(string(e.Operator))
	if e.Operator != Present {
		b.WriteByte(' ')
		b.WriteString(e.Value.String())
	}
}

func writeGroup(b *strings.Builder, e Expression) {
	b.WriteByte('(')
	e.write(b)
	b.WriteByte(')')
}

// String is the path as PATCH writes it.
func (p Path) String() string {
	var b strings.Builder
	p.write(&b)
	return b.String()
}

func (p Path) write(b *strings.Builder) {
	if p.URN != "" {
		b.WriteString(p.URN)
		b.WriteByte(':')
	}
	b.WriteString(p.Name)
	if p.Filter != nil {
		b.WriteByte('[')
		p.Filter.write(b)
		b.WriteByte(']')
	}
	if p.Sub != "" {
		b.WriteByte('.')
		b.WriteString(p.Sub)
	}
}

// String is the value as JSON writes it.
func (v Value) String() string {
	if v.Kind != String {
		return v.Text
	}
	quoted, err := jsontext.AppendQuote(nil, v.Text)
	if err != nil {
		return `""` // only text that is no UTF-8, which the parser never lets in
	}
	return string(quoted)
}
