package resource

import (
	"strconv"
	"strings"
	"time"

	"postern/scim/filter"
)

// Matches reports whether a resource satisfies a filter. Text compares without regard to case unless
// the schema says otherwise; an attribute that is absent equals null and differs from everything else.
func (t *Type) Matches(e filter.Expression, o *Object) bool {
	return matches(e, func(path filter.Path) (*Attribute, any) {
		urn, attribute := t.lookup(path.URN, path.Name)
		holder := o
		if urn != "" {
			found, _ := o.Get(urn)
			inner, ok := found.(*Object)
			if !ok {
				return attribute, nil
			}
			holder = inner
		}
		value, _ := holder.Get(path.Name)
		return attribute, value
	})
}

// matches reports whether an element of the attribute satisfies the filter of a value path.
func (a *Attribute) matches(e filter.Expression, element any) bool {
	return matches(e, func(path filter.Path) (*Attribute, any) {
		if path.URN != "" {
			return nil, nil
		}
		o, ok := element.(*Object)
		if !ok { // a plain value is its own "value"
			if strings.EqualFold(path.Name, "value") {
				return a, element
			}
			return nil, nil
		}
		value, _ := o.Get(path.Name)
		return a.sub(path.Name), value
	})
}

// matches evaluates an expression; find gives the attribute and value of a path's URN and name.
func matches(e filter.Expression, find func(filter.Path) (*Attribute, any)) bool {
	switch e := e.(type) {
	case filter.And:
		for _, part := range e {
			if !matches(part, find) {
				return false
			}
		}
		return true
	case filter.Or:
		for _, part := range e {
			if matches(part, find) {
				return true
			}
		}
		return false
	case filter.Not:
		return !matches(e.Inner, find)
	case filter.Has:
		attribute, value := find(e.Path)
		return len(chosen(attribute, value, e.Path.Filter)) > 0
	case filter.Comparison:
		attribute, value := find(e.Path)
		if e.Path.Filter != nil {
			value = chosen(attribute, value, e.Path.Filter)
		}
		if e.Path.Sub == "" {
			return compare(attribute, value, e.Operator, e.Value)
		}
		return compare(attribute.sub(e.Path.Sub), inside(value, e.Path.Sub), e.Operator, e.Value)
	}
	return false
}

// chosen is the elements of a value that satisfy a value path's filter.
func chosen(a *Attribute, value any, e filter.Expression) []any {
	list, ok := value.([]any)
	if !ok && value != nil {
		list = []any{value}
	}
	var found []any
	for _, element := range list {
		if a.matches(e, element) {
			found = append(found, element)
		}
	}
	return found
}

// inside is the sub-attribute of a value, or the list of them of its elements.
func inside(value any, sub string) any {
	switch value := value.(type) {
	case *Object:
		found, _ := value.Get(sub)
		return found
	case []any:
		var found []any
		for _, element := range value {
			if inner := inside(element, sub); inner != nil {
				found = append(found, inner)
			}
		}
		return found
	}
	return nil
}

func compare(a *Attribute, value any, operator filter.Operator, wanted filter.Value) bool {
	switch value := value.(type) {
	case []any:
		if len(value) == 0 {
			return compare(a, nil, operator, wanted)
		}
		for _, element := range value {
			if compare(a, element, operator, wanted) {
				return true
			}
		}
		return false
	case *Object: // a complex attribute stands for its value
		if operator == filter.Present {
			return value.Len() > 0
		}
		inner, _ := value.Get("value")
		if _, nested := inner.(*Object); nested {
			return false
		}
		if sub := a.sub("value"); sub != nil {
			a = sub
		}
		return compare(a, inner, operator, wanted)
	case nil:
		absent := wanted.Kind == filter.Null
		return operator == filter.Equal && absent || operator == filter.NotEqual && !absent
	case bool:
		return compareText(strconv.FormatBool(value), strings.ToLower(wanted.Text), operator, wanted.Kind, false)
	case Number:
		return compareNumber(value, operator, wanted)
	case string:
		return compareString(a, value, operator, wanted)
	}
	return false
}

func compareNumber(value Number, operator filter.Operator, wanted filter.Value) bool {
	left, err := strconv.ParseFloat(string(value), 64)
	right, wrong := strconv.ParseFloat(wanted.Text, 64)
	if err != nil || wrong != nil || wanted.Kind == filter.Boolean || wanted.Kind == filter.Null {
		return operator == filter.Present || operator == filter.NotEqual
	}
	return ordered(left, right, operator) || compareText(string(value), wanted.Text, operator, wanted.Kind, false)
}

func compareString(a *Attribute, value string, operator filter.Operator, wanted filter.Value) bool {
	if operator == filter.Present {
		return value != ""
	}
	left, right := value, wanted.Text
	exact := a != nil && a.CaseExact
	if !exact {
		left, right = strings.ToLower(left), strings.ToLower(right)
	}
	if a != nil && a.Kind == "dateTime" {
		first, err := time.Parse(time.RFC3339, value)
		second, wrong := time.Parse(time.RFC3339, wanted.Text)
		if err == nil && wrong == nil {
			return ordered(first.UnixNano(), second.UnixNano(), operator)
		}
	}
	return compareText(left, right, operator, wanted.Kind, true)
}

func compareText(left, right string, operator filter.Operator, kind filter.Kind, orderable bool) bool {
	if kind == filter.Null {
		return operator == filter.NotEqual
	}
	switch operator {
	case filter.Present:
		return true
	case filter.Equal:
		return left == right
	case filter.NotEqual:
		return left != right
	case filter.Contains:
		return strings.Contains(left, right)
	case filter.StartsWith:
		return strings.HasPrefix(left, right)
	case filter.EndsWith:
		return strings.HasSuffix(left, right)
	default:
		return orderable && ordered(left, right, operator)
	}
}

func ordered[Value int64 | float64 | string](left, right Value, operator filter.Operator) bool {
	switch operator {
	case filter.Equal:
		return left == right
	case filter.NotEqual:
		return left != right
	case filter.Greater:
		return left > right
	case filter.GreaterOrEqual:
		return left >= right
	case filter.Less:
		return left < right
	case filter.LessOrEqual:
		return left <= right
	default:
		return false
	}
}
