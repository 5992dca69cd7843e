package resource

import (
	"slices"
	"strings"
)

// overlay puts the members of values over those of o.
func overlay(o, values *Object) {
	for name, value := range values.All() {
		o.Set(name, value)
	}
}

// appendValues adds values to a list. One that is there already changes nothing; one with the value
// and type of another is laid over it.
func appendValues(list, values []any, a *Attribute) []any {
	from := len(list)
	for _, value := range values {
		at := slices.IndexFunc(list, func(element any) bool {
			return Equal(element, value) || sameValue(element, value, a) && sameType(element, value)
		})
		if at < 0 {
			list = append(list, value)
			continue
		}
		from = min(from, at)
		inner, ok := list[at].(*Object)
		if values, isObject := value.(*Object); ok && isObject {
			overlay(inner, values)
		}
	}
	if len(list) > 0 {
		onePrimary(list, min(from, len(list)-1))
	}
	return list
}

// sameValue reports whether name means element: by its value, or as a whole.
func sameValue(element, name any, a *Attribute) bool {
	left, right := plain(element), plain(name)
	if left == "" || right == "" {
		return Equal(element, name)
	}
	if sub := a.sub("value"); sub != nil && sub.CaseExact {
		return left == right
	}
	return strings.EqualFold(left, right)
}

func plain(value any) string {
	switch value := value.(type) {
	case *Object:
		inner, _ := value.Get("value")
		if _, nested := inner.(*Object); nested {
			return ""
		}
		return plain(inner)
	case string:
		return value
	case Number:
		return string(value)
	}
	return ""
}

func sameType(a, b any) bool {
	left, ok := a.(*Object)
	right, both := b.(*Object)
	return ok && both && strings.EqualFold(left.Text("type"), right.Text("type"))
}
