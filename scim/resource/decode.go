package resource

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"postern/core"
)

const (
	// MaxDepth bounds how deep objects and lists nest in a body.
	MaxDepth = 32
	// MaxMembers bounds the names of one object.
	MaxMembers = 1000
	// longestNumber bounds the digits of a number, its exponent spelled out as the database does.
	longestNumber = 64
)

// Decode reads a body: one JSON object (RFC 8259) and nothing after it. Everything else is Invalid
// with the code invalidSyntax; a number that would not come back from the database as it was, with
// invalidValue.
func Decode(data []byte) (*Object, error) {
	// Tokens are read from memory, so the decoder's own check for duplicates would come too late to
	// spare anything; ours ignores case, as SCIM does.
	d := decoder{jsontext.NewDecoder(bytes.NewBuffer(data), jsontext.AllowDuplicateNames(true)), string(data)}
	if d.PeekKind() != '{' {
		if _, err := d.ReadToken(); err != nil {
			return nil, d.fault(err)
		}
		return nil, invalidSyntax("the body should be one JSON object")
	}
	value, err := d.value(0)
	if err != nil {
		return nil, err
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, invalidSyntax("something follows the JSON object")
	}
	return value.(*Object), nil
}

// decoder reads values. Their texts are parts of the whole one, which is copied once.
type decoder struct {
	*jsontext.Decoder
	whole string
}

func (d decoder) value(depth int) (any, error) {
	if d.PeekKind() == '"' {
		return d.text()
	}
	token, err := d.ReadToken()
	if err != nil {
		return nil, d.fault(err)
	}
	switch token.Kind() {
	case '{', '[':
		if depth == MaxDepth {
			return nil, invalidSyntax("the body is nested deeper than %d", MaxDepth)
		}
		if token.Kind() == '{' {
			return d.object(depth + 1)
		}
		return d.list(depth + 1)
	case '0':
		return d.number(token)
	case 't', 'f':
		return token.Bool(), nil
	}
	return nil, nil
}

func (d decoder) object(depth int) (any, error) {
	o := &Object{members: make([]member, 0, 4)}
	if depth == 1 {
		o.members = make([]member, 0, 16)
	}
	var seen map[string]bool // only for objects too large to search
	for d.PeekKind() != '}' {
		name, err := d.text()
		if err != nil {
			return nil, err
		}
		if len(o.members) == MaxMembers {
			return nil, invalidSyntax("an object has more than %d attributes", MaxMembers)
		}
		if len(o.members) == 32 {
			seen = make(map[string]bool, 64)
			for _, m := range o.members {
				seen[strings.ToLower(m.name)] = true
			}
		}
		if seen == nil && o.find(name) >= 0 || seen[strings.ToLower(name)] {
			return nil, invalidSyntax("an attribute is given twice (names are the same whatever their case)")
		}
		if seen != nil {
			seen[strings.ToLower(name)] = true
		}
		value, err := d.value(depth)
		if err != nil {
			return nil, err
		}
		o.members = append(o.members, member{name, value})
	}
	_, err := d.ReadToken()
	return o, d.fault(err)
}

func (d decoder) list(depth int) (any, error) {
	list := []any{}
	for d.PeekKind() != ']' {
		value, err := d.value(depth)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	_, err := d.ReadToken()
	return list, d.fault(err)
}

func (d decoder) text() (string, error) {
	value, err := d.ReadValue()
	if err != nil {
		return "", d.fault(err)
	}
	end := int(d.InputOffset())
	text := d.whole[end-len(value)+1 : end-1]
	if strings.IndexByte(text, '\\') >= 0 {
		unquoted, err := jsontext.AppendUnquote(nil, value)
		if err != nil {
			return "", d.fault(err)
		}
		text = string(unquoted)
	}
	if strings.IndexByte(text, 0) >= 0 {
		return "", invalidSyntax("a string holds a zero character")
	}
	return text, nil
}

func (d decoder) number(token jsontext.Token) (Number, error) {
	text := token.String()
	if _, err := strconv.ParseFloat(text, 64); err != nil || spelledOut(text) > longestNumber {
		return "", invalidValue("", "a number is out of range, or has more than %d digits when it is written out", longestNumber)
	}
	return Number(text), nil
}

// spelledOut is how long a number is at most when its exponent is written as digits.
func spelledOut(text string) int {
	at := strings.IndexAny(text, "eE")
	if at < 0 {
		return len(text)
	}
	exponent, err := strconv.Atoi(text[at+1:])
	if err != nil {
		return longestNumber + 1
	}
	return at + 2 + max(exponent, -exponent)
}

// fault says where the JSON breaks, without a word of what stands there.
func (d decoder) fault(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return invalidSyntax("the JSON ends in the middle, or there is none")
	}
	offset := d.InputOffset()
	if syntactic, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		offset = syntactic.ByteOffset
	}
	return invalidSyntax("the body is not JSON in UTF-8: it breaks after byte %d", offset)
}

func invalidSyntax(format string, args ...any) *core.Error {
	return core.Invalid("", format, args...).WithCode("invalidSyntax")
}

func invalidValue(field, format string, args ...any) *core.Error {
	return core.Invalid(field, format, args...).WithCode("invalidValue")
}
