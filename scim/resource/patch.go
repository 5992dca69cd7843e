package resource

import (
	"slices"
	"strings"

	"postern/core"
	"postern/scim/filter"
)

// Patch applies changes to a resource in the form Normalise gives, one after the other. After an
// error the resource is half changed and must be thrown away. The changes themselves are not touched
// and can be applied again.
func (t *Type) Patch(o *Object, changes []Change, profile Profile) error {
	for _, change := range changes {
		if err := t.apply(o, change, profile); err != nil {
			return err
		}
	}
	return nil
}

func (t *Type) apply(o *Object, c Change, profile Profile) error {
	c.Value = clone(c.Value)
	if c.Value == nil && c.HasValue && c.Operation != Remove {
		c.Operation, c.HasValue = Remove, false // null means that there is no value
	}
	if c.Whole {
		return t.whole(o, c, profile)
	}
	target := o
	if c.URN != "" {
		if c.Operation == Remove {
			found, _ := o.Get(c.URN)
			inner, ok := found.(*Object)
			if !ok {
				return nil
			}
			target = inner
		} else {
			target = container(o, c.URN)
		}
	}
	err := c.applyTo(target, profile)
	if c.URN != "" && target.Len() == 0 {
		o.Delete(c.URN)
	}
	return err
}

// whole changes an extension by an object of its attributes, or removes it.
func (t *Type) whole(o *Object, c Change, profile Profile) error {
	if c.Operation == Remove {
		if c.URN == "" {
			return core.Invalid("path", "name the attribute to remove").WithCode("noTarget")
		}
		o.Delete(c.URN)
		return nil
	}
	values, ok := c.Value.(*Object)
	if !ok {
		return invalidValue(c.URN, "an object is expected")
	}
	for name, value := range values.All() {
		urn, attribute := t.lookup(c.URN, name)
		inner := Change{Operation: c.Operation, URN: urn, Path: filter.Path{Name: name}, Attribute: attribute, Value: value, HasValue: true}
		if inner.unkept() || attribute != nil && attribute.ReadOnly {
			continue
		}
		if err := t.apply(o, inner, profile); err != nil {
			return err
		}
	}
	return nil
}

func (c Change) applyTo(o *Object, profile Profile) error {
	switch {
	case c.Path.Filter != nil:
		return c.elements(o, profile)
	case c.Path.Sub != "":
		return c.inside(o)
	case c.Attribute == nil:
		return c.unknown(o)
	case c.Operation == Remove:
		return c.remove(o)
	}
	value, found, err := c.Attribute.coerce(c.place(), c.Value)
	if err != nil {
		return err
	}
	name := c.Attribute.Name
	existing, _ := o.Get(name)
	switch {
	case !found && c.Operation == Add && c.Attribute.Multi:
	case !found:
		c.HasValue = false // no value takes the place of every value
		return c.remove(o)
	case c.Attribute.Multi && c.Operation == Add:
		list, _ := existing.([]any)
		return c.store(o, appendValues(list, value.([]any), c.Attribute))
	case c.Attribute.Kind == "complex" && !c.Attribute.Multi && c.Attribute.sub("value") == nil:
		if inner, ok := existing.(*Object); ok {
			overlay(inner, value.(*Object))
			return nil
		}
		o.Set(name, value)
	default:
		o.Set(name, value)
	}
	return nil
}

// remove takes an attribute away, or the values of it that the operation names.
func (c Change) remove(o *Object) error {
	if c.Attribute.Required {
		return core.Invalid(c.Attribute.Name, "this is required and cannot be removed").WithCode("mutability")
	}
	existing, _ := o.Get(c.Attribute.Name)
	list, ok := existing.([]any)
	named, isList := c.Value.([]any)
	if !ok || !c.HasValue || !isList {
		o.Delete(c.Attribute.Name)
		return nil
	}
	list = slices.DeleteFunc(slices.Clone(list), func(element any) bool {
		return slices.ContainsFunc(named, func(name any) bool { return sameValue(element, name, c.Attribute) })
	})
	return c.store(o, list)
}

// store keeps a list, or nothing when it is empty.
func (c Change) store(o *Object, list []any) error {
	switch {
	case len(list) > MaxValues:
		return invalidValue(c.place(), "at most %d values are kept", MaxValues)
	case len(list) == 0:
		o.Delete(c.name())
	default:
		o.Set(c.name(), list)
	}
	return nil
}

func (c Change) name() string {
	if c.Attribute != nil {
		return c.Attribute.Name
	}
	return c.Path.Name
}

// unknown changes an attribute no schema describes.
func (c Change) unknown(o *Object) error {
	existing, found := o.Get(c.Path.Name)
	list, isList := existing.([]any)
	if c.Operation == Remove {
		named, several := c.Value.([]any)
		if !isList || !several {
			o.Delete(c.Path.Name)
			return nil
		}
		return c.store(o, slices.DeleteFunc(slices.Clone(list), func(element any) bool {
			return slices.ContainsFunc(named, func(name any) bool { return sameValue(element, name, nil) })
		}))
	}
	value, some := pruned(c.Value)
	if !some {
		o.Delete(c.Path.Name)
		return nil
	}
	if c.Operation == Add && found {
		if isList {
			added, several := value.([]any)
			if !several {
				added = []any{value}
			}
			if len(added) > MaxValues {
				return invalidValue(c.place(), "at most %d values are kept", MaxValues)
			}
			return c.store(o, appendValues(list, added, nil))
		}
		inner, isObject := existing.(*Object)
		if values, ok := value.(*Object); ok && isObject {
			overlay(inner, values)
			return nil
		}
	}
	o.Set(c.Path.Name, value)
	return nil
}

// inside changes a sub-attribute: of the one value, or of every element.
func (c Change) inside(o *Object) error {
	if c.Attribute != nil && c.Attribute.Kind != "complex" {
		return core.Invalid("path", "%s has no sub-attributes", c.Attribute.Name).WithCode("invalidPath")
	}
	value, found, err := c.subValue()
	if err != nil {
		return err
	}
	existing, _ := o.Get(c.name())
	switch existing := existing.(type) {
	case *Object:
		if strings.EqualFold(c.Path.Sub, "value") && !Equal(value, existing.Text("value")) {
			existing.Delete("$ref") // these told of the value that was
			existing.Delete("displayName")
		}
		c.setSub(existing, value, found)
		if existing.Len() == 0 || c.Attribute.pointless(existing) {
			o.Delete(c.name())
		}
		return nil
	case []any:
		for _, element := range existing {
			if inner, ok := element.(*Object); ok {
				c.setSub(inner, value, found)
			}
		}
		return c.settle(o, existing, 0)
	case nil:
		if !found {
			return nil
		}
		made := NewObject(c.subName(), value)
		if c.Attribute != nil && c.Attribute.Multi {
			o.Set(c.name(), []any{made})
		} else {
			o.Set(c.name(), made)
		}
		return nil
	}
	return core.Invalid("path", "%s has no sub-attributes", c.name()).WithCode("invalidPath")
}

// subValue is the sub-attribute's value in its own type; found is false when it is to be removed.
func (c Change) subValue() (value any, found bool, err error) {
	if c.Operation == Remove {
		return nil, false, nil
	}
	if sub := c.Attribute.sub(c.Path.Sub); sub != nil {
		return sub.coerce(c.place(), c.Value)
	}
	value, found = pruned(c.Value)
	return value, found, nil
}

func (c Change) subName() string {
	if sub := c.Attribute.sub(c.Path.Sub); sub != nil {
		return sub.Name
	}
	return c.Path.Sub
}

func (c Change) setSub(element *Object, value any, found bool) {
	if found {
		element.Set(c.subName(), clone(value))
	} else {
		element.Delete(c.Path.Sub)
	}
}

// pointless reports whether a value has lost what it is about: a manager without a value.
func (a *Attribute) pointless(o *Object) bool {
	return a != nil && !a.Multi && a.sub("value") != nil && o.Text("value") == ""
}
