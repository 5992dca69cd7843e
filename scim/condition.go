package scim

import (
	"errors"

	"postern/core"
	"postern/core/directory"
	"postern/scim/filter"
	"postern/scim/resource"
)

// maxComparisons bounds the comparisons of one filter.
const maxComparisons = 500

// compiler turns a filter into a condition the database can be asked about. It holds for exactly the
// resources that resource.Type.Matches says match.
type compiler struct {
	*Service
	kind   *resource.Type
	strict bool // an attribute no schema knows is refused, not absent
	grants bool // what people hold is granted by the connection
	budget int  // comparisons left
}

// condition compiles a filter (RFC 7644, section 3.4.2.2); nil when there is none.
func (r *request) condition(kind *resource.Type, e filter.Expression, strict bool) (directory.Condition, error) {
	if e == nil {
		return nil, nil
	}
	c := &compiler{r.Service, kind, strict, kind == userType && r.grants(), maxComparisons}
	return c.expression(e, whole{c})
}

func invalidFilter(format string, args ...any) error {
	return core.Invalid("filter", format, args...).WithCode("invalidFilter")
}

// element is what attributes are looked for in: a resource, or one value of an attribute.
type element interface {
	// find is the element's attribute, or part, that the path names.
	find(path filter.Path) source
	// schema is what the schema says about the element where it is compared; nil if nothing.
	schema() *resource.Attribute
	// compare is the condition that the element stands in a relation to a value other than null.
	compare(operator filter.Operator, wanted filter.Value) directory.Condition
	// comparable is the condition that there is something to compare.
	comparable() directory.Condition
	// present is the condition that the element is not empty.
	present() directory.Condition
}

// source is an attribute: what elements come from.
type source interface {
	// some is the condition that one of the elements satisfies another.
	some(holds test) (directory.Condition, error)
}

type test func(element) (directory.Condition, error)

func (c *compiler) expression(e filter.Expression, in element) (directory.Condition, error) {
	switch e := e.(type) {
	case filter.And:
		parts, err := c.expressions(e, in)
		return all(parts...), err
	case filter.Or:
		parts, err := c.expressions(e, in)
		return either(parts...), err
	case filter.Not:
		inner, err := c.expression(e.Inner, in)
		return not(inner), err
	case filter.Has:
		from, err := c.find(in, filter.Path{URN: e.Path.URN, Name: e.Path.Name})
		if err != nil {
			return nil, err
		}
		found, err := from.some(func(one element) (directory.Condition, error) { return c.expression(e.Path.Filter, one) })
		return addressed(from, e.Path, nil, found), err
	case filter.Comparison:
		return c.comparison(e, in)
	}
	return nil, core.Internal(errors.New("scim: an unknown kind of filter"))
}

func (c *compiler) expressions(list []filter.Expression, in element) ([]directory.Condition, error) {
	parts := make([]directory.Condition, 0, len(list))
	for _, e := range list {
		part, err := c.expression(e, in)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	return parts, nil
}

// find is an attribute by its name. One that no schema knows is absent, unless the profile is strict.
func (c *compiler) find(in element, path filter.Path) (source, error) {
	from := in.find(path)
	if c.strict {
		if unknown, is := from.(interface{ unknown() bool }); is && unknown.unknown() {
			return nil, invalidFilter("%s is no attribute of a %s", path, c.kind.Name)
		}
	}
	return from, nil
}

func (c *compiler) comparison(e filter.Comparison, in element) (directory.Condition, error) {
	if c.budget--; c.budget < 0 {
		return nil, invalidFilter("a filter may make %d comparisons", maxComparisons)
	}
	from, err := c.find(in, filter.Path{URN: e.Path.URN, Name: e.Path.Name})
	if err != nil {
		return nil, err
	}
	some := func(holds test) (directory.Condition, error) {
		return from.some(func(one element) (directory.Condition, error) {
			chosen, inner := directory.Condition(directory.Always(true)), directory.Condition(nil)
			var err error
			if e.Path.Filter != nil {
				if chosen, err = c.expression(e.Path.Filter, one); err != nil {
					return nil, err
				}
			}
			if e.Path.Sub == "" {
				inner, err = holds(one)
			} else {
				var part source
				if part, err = c.find(one, filter.Path{Name: e.Path.Sub}); err == nil {
					inner, err = part.some(holds)
				}
			}
			return all(chosen, inner), err
		})
	}
	if e.Operator == filter.Present {
		return some(func(one element) (directory.Condition, error) { return one.present(), nil })
	}
	found, err := some(func(one element) (directory.Condition, error) {
		switch {
		case e.Operator.Ordering() && !one.schema().Ordered():
			return nil, invalidFilter("%s cannot be greater or less than anything", e.Path.Name)
		case e.Value.Kind != filter.Null:
			return one.compare(e.Operator, e.Value), nil
		case e.Operator == filter.NotEqual:
			return one.comparable(), nil
		}
		return directory.Always(false), nil
	})
	if err != nil {
		return nil, err
	}
	if resource.Absent(e.Operator, e.Value) {
		there, err := some(func(one element) (directory.Condition, error) { return one.comparable(), nil })
		return either(found, not(there)), err
	}
	return addressed(from, e.Path, &e, found), nil
}

// addressed adds to a condition on e-mail addresses what leads to them by an index: an address that
// one of them must be.
func addressed(from source, path filter.Path, e *filter.Comparison, found directory.Condition) directory.Condition {
	if at, is := from.(inside); !is || !at.emails {
		return found
	}
	if e != nil && e.Operator == filter.Equal && (path.Sub == "" || equalFold(path.Sub, "value")) && e.Value.Text != "" {
		return all(directory.Address(e.Value.Text), found)
	}
	if address := required(path.Filter); address != "" {
		return all(directory.Address(address), found)
	}
	return found
}

// required is the value a filter on elements asks for beside everything else.
func required(e filter.Expression) string {
	switch e := e.(type) {
	case filter.And:
		for _, part := range e {
			if value := required(part); value != "" {
				return value
			}
		}
	case filter.Comparison:
		if e.Operator == filter.Equal && e.Value.Kind != filter.Null && e.Path.Is("value") {
			return e.Value.Text
		}
	}
	return ""
}

// all, either and not join conditions, and leave out what is decided already.

func all(parts ...directory.Condition) directory.Condition {
	kept := make(directory.All, 0, len(parts))
	for _, part := range parts {
		if decided, is := part.(directory.Always); is {
			if !decided {
				return decided
			}
			continue
		}
		kept = append(kept, part)
	}
	switch len(kept) {
	case 0:
		return directory.Always(true)
	case 1:
		return kept[0]
	}
	return kept
}

func either(parts ...directory.Condition) directory.Condition {
	kept := make(directory.Any, 0, len(parts))
	for _, part := range parts {
		if decided, is := part.(directory.Always); is {
			if decided {
				return decided
			}
			continue
		}
		kept = append(kept, part)
	}
	switch len(kept) {
	case 0:
		return directory.Always(false)
	case 1:
		return kept[0]
	}
	return kept
}

func not(part directory.Condition) directory.Condition {
	if decided, is := part.(directory.Always); is {
		return !decided
	}
	return directory.Not{Condition: part}
}
