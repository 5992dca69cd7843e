package resource

import (
	"bytes"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Object is a JSON object that keeps the order and spelling of its names and finds them without
// regard to case, as SCIM does. A value is nil, bool, string, Number, *Object or []any of these.
type Object struct {
	members []member
	text    []byte // not nil: the members are still written, and are read when somebody looks
}

type member struct {
	name  string
	value any
}

// Number is a JSON number as it was written.
type Number string

// Written is an object from its own JSON, which Append gives back untouched: nothing is read before
// somebody looks into the object. The text has to be what Append or the database wrote; an object that
// turns out not to be readable panics. Nobody may change the text afterwards.
func Written(text []byte) *Object { return &Object{text: text} }

// open reads what is still written.
func (o *Object) open() {
	if o.text == nil {
		return
	}
	read, err := Decode(o.text)
	if err != nil {
		panic(fmt.Errorf("resource: a stored object cannot be read: %w", err))
	}
	o.members, o.text = read.members, nil
}

// NewObject makes an object of alternating names and values.
func NewObject(pairs ...any) *Object {
	o := &Object{members: make([]member, 0, len(pairs)/2)}
	for i := 0; i+1 < len(pairs); i += 2 {
		o.members = append(o.members, member{pairs[i].(string), pairs[i+1]})
	}
	return o
}

func (o *Object) find(name string) int {
	o.open()
	for i := range o.members {
		if sameName(o.members[i].name, name) {
			return i
		}
	}
	return -1
}

// sameName compares without regard to case. Most names differ in length or at their end, which is
// quicker to see.
func sameName(a, b string) bool {
	if len(a) != len(b) || a == "" {
		return len(a) == len(b)
	}
	x, y := a[len(a)-1], b[len(b)-1]
	if x|0x20 != y|0x20 && x < 0x80 && y < 0x80 {
		return false
	}
	return strings.EqualFold(a, b)
}

// Len is how many members the object has.
func (o *Object) Len() int {
	o.open()
	return len(o.members)
}

// Get finds a member's value.
func (o *Object) Get(name string) (value any, found bool) {
	if i := o.find(name); i >= 0 {
		return o.members[i].value, true
	}
	return nil, false
}

// spelled is a member's name as it was written.
func (o *Object) spelled(name string) string {
	if i := o.find(name); i >= 0 {
		return o.members[i].name
	}
	return ""
}

// Text is a member's value when it is a string, and empty otherwise.
func (o *Object) Text(name string) string {
	value, _ := o.Get(name)
	text, _ := value.(string)
	return text
}

// Set replaces a member's value or adds the member at the end.
func (o *Object) Set(name string, value any) {
	if len(o.text) > 2 && !o.mentions(name) { // what is written stays so
		o.text = append(appendText(append(o.text[:len(o.text)-1], ','), name), ':')
		o.text = append(appendValue(o.text, value), '}')
		return
	}
	if i := o.find(name); i >= 0 {
		o.members[i].value = value
		return
	}
	o.members = append(o.members, member{name, value})
}

// mentions reports whether a name stands in quotes anywhere in an object that is still written.
func (o *Object) mentions(name string) bool {
	if strings.ContainsAny(name, `"\\`) || !ascii(name) {
		return true
	}
	for rest := o.text; ; {
		at := bytes.IndexByte(rest, '"')
		if at < 0 {
			return false
		}
		rest = rest[at+1:]
		if len(rest) > len(name) && rest[len(name)] == '"' && strings.EqualFold(string(rest[:len(name)]), name) {
			return true
		}
		if len(rest) > 0 && rest[0] == '\\' {
			return true // a name may be written with escapes; look at it properly
		}
	}
}

func ascii(text string) bool {
	for i := range len(text) {
		if text[i] >= 0x80 {
			return false
		}
	}
	return true
}

// Delete removes a member, if it is there.
func (o *Object) Delete(name string) {
	if i := o.find(name); i >= 0 {
		o.members = slices.Delete(o.members, i, i+1)
	}
}

// Take removes a member and returns what it was.
func (o *Object) Take(name string) (value any, found bool) {
	value, found = o.Get(name)
	if found {
		o.Delete(name)
	}
	return value, found
}

// All goes over the members in their order.
func (o *Object) All() iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		o.open()
		for _, m := range o.members {
			if !yield(m.name, m.value) {
				return
			}
		}
	}
}

// Clone is a deep copy.
func (o *Object) Clone() *Object {
	o.open()
	copied := &Object{members: make([]member, len(o.members))}
	for i, m := range o.members {
		copied.members[i] = member{m.name, clone(m.value)}
	}
	return copied
}

func clone(value any) any {
	switch value := value.(type) {
	case *Object:
		return value.Clone()
	case []any:
		copied := make([]any, len(value))
		for i := range value {
			copied[i] = clone(value[i])
		}
		return copied
	}
	return value
}

// Equal compares two values deeply: the order of members and the case of their names do not count,
// the order of lists does.
func Equal(a, b any) bool {
	switch a := a.(type) {
	case *Object:
		other, ok := b.(*Object)
		if !ok || a.Len() != other.Len() {
			return false
		}
		for _, m := range a.members {
			value, found := other.Get(m.name)
			if !found || !Equal(m.value, value) {
				return false
			}
		}
		return true
	case []any:
		other, ok := b.([]any)
		return ok && slices.EqualFunc(a, other, Equal)
	}
	switch b.(type) {
	case *Object, []any:
		return false
	}
	return a == b
}

// Check refuses an object that grew, by PATCH after PATCH, beyond what can be read back.
func (o *Object) Check() error { return check(o, 1) }

func check(value any, depth int) error {
	switch value := value.(type) {
	case *Object:
		if value.Len() > MaxMembers || depth > MaxDepth {
			return invalidValue("", "the resource would have more than %d attributes in one place, or nest deeper than %d", MaxMembers, MaxDepth)
		}
		for _, m := range value.members {
			if err := check(m.value, depth+1); err != nil {
				return err
			}
		}
	case []any:
		if depth > MaxDepth {
			return invalidValue("", "the resource would nest deeper than %d", MaxDepth)
		}
		for _, element := range value {
			if err := check(element, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}
