package resource

import (
	"slices"
	"strings"

	"postern/core"
	"postern/scim/filter"
)

// elements changes those elements of a multi-valued attribute that the path's filter matches.
func (c Change) elements(o *Object, profile Profile) error {
	if c.Attribute != nil && !c.Attribute.Multi {
		return core.Invalid("path", "%s has one value, so nothing can be chosen by a filter", c.Attribute.Name).WithCode("invalidPath")
	}
	existing, _ := o.Get(c.name())
	list, ok := existing.([]any)
	if !ok && existing != nil {
		list = []any{existing}
	}
	matched := make([]int, 0, 1)
	for i, element := range list {
		if c.Attribute.matches(c.Path.Filter, element) {
			matched = append(matched, i)
		}
	}
	switch {
	case c.Operation == Remove && c.Path.Sub == "":
		kept := make([]any, 0, len(list))
		for i, element := range list {
			if !slices.Contains(matched, i) {
				kept = append(kept, element)
			}
		}
		return c.store(o, kept)
	case len(matched) == 0 && c.Operation == Remove:
		return nil
	case len(matched) == 0:
		if c.Operation == Replace && !profile.ReplaceCreates {
			return core.Invalid("path", "no value of %s matches the filter", c.name()).WithCode("noTarget")
		}
		made, err := c.made()
		if err != nil || made == nil {
			return err
		}
		return c.settle(o, append(list, made), len(list))
	}
	for _, i := range matched {
		changed, err := c.changed(list[i])
		if err != nil {
			return err
		}
		list[i] = changed
	}
	return c.settle(o, list, matched[0])
}

// settle stores a list after a change of the elements at and after from.
func (c Change) settle(o *Object, list []any, from int) error {
	onePrimary(list, from)
	if c.Operation == Remove {
		list = slices.DeleteFunc(list, func(element any) bool {
			inner, ok := element.(*Object)
			return ok && hollow(inner)
		})
	}
	return c.store(o, list)
}

// hollow reports whether nothing but labels is left of an element.
func hollow(element *Object) bool {
	for name := range element.All() {
		if !strings.EqualFold(name, "type") && !strings.EqualFold(name, "primary") && !strings.EqualFold(name, "display") {
			return false
		}
	}
	return true
}

func (c Change) changed(element any) (any, error) {
	inner, ok := element.(*Object)
	if c.Path.Sub != "" {
		if !ok {
			return nil, core.Invalid("path", "%s has no sub-attributes", c.name()).WithCode("invalidPath")
		}
		value, found, err := c.subValue()
		if err == nil {
			c.setSub(inner, value, found)
		}
		return inner, err
	}
	if c.Operation == Add && ok {
		value, err := c.elementValue()
		if values, isObject := value.(*Object); err == nil && isObject {
			overlay(inner, values)
			return inner, nil
		}
		return value, err
	}
	made, err := c.made()
	if err != nil || made == nil {
		return element, err
	}
	return made, nil
}

// elementValue is the operation's value as one element.
func (c Change) elementValue() (any, error) {
	value := c.Value
	if list, ok := value.([]any); ok && len(list) == 1 {
		value = list[0]
	}
	if c.Attribute == nil {
		value, _ = pruned(value)
		return value, nil
	}
	value, _, err := c.Attribute.single(c.place(), value)
	return value, err
}

// made is a new element: what the filter asks to be equal, and the value. It is nil when there is
// nothing to put into it.
func (c Change) made() (any, error) {
	element := &Object{}
	if err := c.fromFilter(element, c.Path.Filter); err != nil {
		return nil, err
	}
	if c.Path.Sub != "" {
		value, found, err := c.subValue()
		if err != nil || !found {
			return nil, err
		}
		element.Set(c.subName(), value)
		return element, nil
	}
	value, err := c.elementValue()
	if err != nil || value == nil {
		return nil, err
	}
	values, ok := value.(*Object)
	if !ok {
		return value, nil
	}
	overlay(element, values)
	return element, nil
}

func (c Change) fromFilter(element *Object, e filter.Expression) error {
	switch e := e.(type) {
	case filter.And:
		for _, part := range e {
			if err := c.fromFilter(element, part); err != nil {
				return err
			}
		}
		return nil
	case filter.Comparison:
		if e.Operator == filter.Equal && e.Path.URN == "" && e.Path.Sub == "" && e.Path.Filter == nil && e.Value.Kind != filter.Null {
			return c.fromComparison(element, e)
		}
	}
	return core.Invalid("path", "no value of %s matches the filter, and none can be made from it", c.name()).WithCode("noTarget")
}

func (c Change) fromComparison(element *Object, e filter.Comparison) error {
	var value any
	switch e.Value.Kind {
	case filter.Boolean:
		value = e.Value.Text == "true"
	case filter.Number:
		value = Number(e.Value.Text)
	default:
		value = e.Value.Text
	}
	sub := c.Attribute.sub(e.Path.Name)
	if sub == nil {
		element.Set(e.Path.Name, value)
		return nil
	}
	value, found, err := sub.coerce(c.name()+"."+sub.Name, value)
	if err == nil && found {
		element.Set(sub.Name, value)
	}
	return err
}
