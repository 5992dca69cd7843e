package resource

import (
	"math"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"

	"postern/scim/filter"
)

// Matches reports whether a resource satisfies a filter (RFC 7644, section 3.4.2.2). Text compares
// without regard to case unless the schema says otherwise. A multi-valued attribute satisfies what one
// of its values satisfies; a complex value stands for the "value" in it. An attribute without any
// value equals null, differs from everything else and satisfies nothing more.
//
// The search of a list asks the database the same in its own language: change both together.
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

// Find gives the schema a path's attribute belongs to, "" for the core schema, and what the schema
// says about it: nil for an attribute no schema knows. known tells whether the schema itself is.
func (t *Type) Find(path filter.Path) (urn string, attribute *Attribute, known bool) {
	urn, attribute = t.lookup(path.URN, path.Name)
	_, _, known = t.place(urn)
	return urn, attribute, known
}

// Sub is what the schema says about a part of a complex attribute, nil if nothing.
func (a *Attribute) Sub(name string) *Attribute { return a.sub(name) }

// Ordered reports whether values of the attribute can be greater and less than others: booleans and
// binary values cannot (RFC 7644, table 3).
func (a *Attribute) Ordered() bool {
	return a == nil || a.Kind != "boolean" && a.Kind != "binary"
}

// Holds reports whether one value, a string, Number or bool, satisfies a comparison of the attribute.
func (a *Attribute) Holds(value any, operator filter.Operator, wanted filter.Value) bool {
	if operator == filter.Present {
		return present(value)
	}
	return compare(a, value, operator, wanted)
}

// matches reports whether an element of the attribute satisfies the filter of a value path.
func (a *Attribute) matches(e filter.Expression, element any) bool {
	return matches(e, func(path filter.Path) (*Attribute, any) {
		if path.URN != "" {
			return nil, nil
		}
		return a.ofElement(element, path.Name)
	})
}

// ofElement is a part of an element. A plain value is its own "value".
func (a *Attribute) ofElement(element any, name string) (*Attribute, any) {
	switch element := element.(type) {
	case *Object:
		value, _ := element.Get(name)
		return a.sub(name), value
	case []any, nil:
	default:
		if strings.EqualFold(name, "value") {
			return a, element
		}
	}
	return a.sub(name), nil
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
		for _, element := range elements(value) {
			if attribute.matches(e.Path.Filter, element) {
				return true
			}
		}
		return false
	case filter.Comparison:
		return matchesComparison(e, find)
	}
	return false
}

func matchesComparison(e filter.Comparison, find func(filter.Path) (*Attribute, any)) bool {
	attribute, value := find(e.Path)
	some := false
	for _, element := range elements(value) {
		if e.Path.Filter != nil && !attribute.matches(e.Path.Filter, element) {
			continue
		}
		of, parts := attribute, []any{element}
		if e.Path.Sub != "" {
			var inner any
			of, inner = attribute.ofElement(element, e.Path.Sub)
			parts = elements(inner)
		}
		for _, part := range parts {
			if e.Operator == filter.Present {
				if present(part) {
					return true
				}
				continue
			}
			of, scalar := of.scalar(part)
			if scalar == nil {
				continue
			}
			some = true
			if compare(of, scalar, e.Operator, e.Value) {
				return true
			}
		}
	}
	return !some && Absent(e.Operator, e.Value)
}

// Absent reports whether an attribute without any value satisfies a comparison.
func Absent(operator filter.Operator, wanted filter.Value) bool {
	null := wanted.Kind == filter.Null
	return operator == filter.Equal && null || operator == filter.NotEqual && !null
}

// elements is the values of a multi-valued attribute, or the one of any other.
func elements(value any) []any {
	switch value := value.(type) {
	case nil:
		return nil
	case []any:
		for _, element := range value {
			if element == nil {
				kept := make([]any, 0, len(value))
				for _, element := range value {
					if element != nil {
						kept = append(kept, element)
					}
				}
				return kept
			}
		}
		return value
	}
	return []any{value}
}

// scalar is what of a value is compared: itself, or the "value" in it; nil if neither is one.
func (a *Attribute) scalar(value any) (*Attribute, any) {
	if o, isObject := value.(*Object); isObject {
		if sub := a.sub("value"); sub != nil {
			a = sub
		}
		value, _ = o.Get("value")
	}
	switch value.(type) {
	case string, Number, bool:
		return a, value
	}
	return a, nil
}

func present(value any) bool {
	switch value := value.(type) {
	case nil:
		return false
	case string:
		return value != ""
	case *Object:
		return value.Len() > 0
	case []any:
		return len(value) > 0
	}
	return true
}

// compare decides for one string, number or boolean.
func compare(a *Attribute, value any, operator filter.Operator, wanted filter.Value) bool {
	if wanted.Kind == filter.Null {
		return operator == filter.NotEqual
	}
	switch value := value.(type) {
	case bool:
		return !operator.Ordering() && relate(strconv.FormatBool(value), strings.ToLower(wanted.Text), operator)
	case Number:
		return compareNumber(value, operator, wanted)
	case string:
		return compareString(a, value, operator, wanted)
	}
	return false
}

func compareNumber(value Number, operator filter.Operator, wanted filter.Value) bool {
	switch operator {
	case filter.Contains, filter.StartsWith, filter.EndsWith:
		return relate(string(value), wanted.Text, operator)
	}
	left, err := strconv.ParseFloat(string(value), 64)
	right, ok := Numeral(wanted)
	if err != nil || !ok {
		return operator == filter.NotEqual
	}
	if math.Abs(left) < leastNumber {
		left = 0
	}
	return ordered(left, right, operator)
}

// leastNumber is the number nearest to zero that is told from it: nearer ones the database cannot.
const leastNumber = 1e-300

// Numeral reads what an attribute is compared with as a number.
func Numeral(wanted filter.Value) (float64, bool) {
	if wanted.Kind != filter.Number && wanted.Kind != filter.String {
		return 0, false
	}
	number, err := strconv.ParseFloat(wanted.Text, 64)
	if math.Abs(number) < leastNumber {
		number = 0
	}
	return number, err == nil && !math.IsNaN(number) && !math.IsInf(number, 0)
}

func compareString(a *Attribute, value string, operator filter.Operator, wanted filter.Value) bool {
	if a != nil && a.Kind == "dateTime" && (operator.Ordering() || operator == filter.Equal || operator == filter.NotEqual) {
		first, err := time.Parse(time.RFC3339, value)
		second, wrong := time.Parse(time.RFC3339, wanted.Text)
		if err != nil || wrong != nil {
			return operator == filter.NotEqual
		}
		return ordered(int64(first.Compare(second)), 0, operator)
	}
	if a != nil && a.CaseExact {
		return relate(value, wanted.Text, operator)
	}
	return relate(Fold(value), Fold(wanted.Text), operator)
}

// Fold is a text with the difference between upper and lower case gone, in every script. The database
// folds in the same way.
func Fold(text string) string {
	for i := range len(text) {
		if text[i] >= 0x80 {
			return cases.Lower(language.Und, cases.HandleFinalSigma(true)).String(text)
		}
	}
	return strings.ToLower(text)
}

// relate compares texts by the numbers of their characters.
func relate(left, right string, operator filter.Operator) bool {
	switch operator {
	case filter.Contains:
		return strings.Contains(left, right)
	case filter.StartsWith:
		return strings.HasPrefix(left, right)
	case filter.EndsWith:
		return strings.HasSuffix(left, right)
	default:
		return ordered(left, right, operator)
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
