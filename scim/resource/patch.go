package resource

import (
	"postern/core"
	"postern/scim/filter"
)

// maxWork bounds how many values one PATCH may look at, all its operations together: ten thousand
// operations on lists of a hundred, or two thousand on the longest there may be.
const maxWork = 1_000_000

// Patch applies changes to a resource in the form Normalise gives, one after the other (RFC 7644,
// section 3.5.2). After an error the resource is half changed and must be thrown away. The changes
// themselves are not touched and can be applied again.
func (t *Type) Patch(o *Object, changes []Change, profile Profile) error {
	p := patcher{Type: t, profile: profile}
	var before *Object
	if t.immutable {
		before = o.Clone()
	}
	for i := range changes {
		if err := p.apply(o, &changes[i]); err != nil {
			return err
		}
	}
	if t.immutable {
		return t.CheckImmutable(before, o)
	}
	return nil
}

// patcher is one PATCH under way.
type patcher struct {
	*Type
	profile Profile
	work    int // values looked at
}

// look counts what an operation has to look at.
func (p *patcher) look(values int) error {
	if p.work += values; p.work > maxWork {
		return core.TooLarge("the operations of this PATCH look at too many values; send them in several requests")
	}
	return nil
}

func (p *patcher) apply(o *Object, change *Change) error {
	c := *change
	if c.Value == nil && c.HasValue && c.Operation != Remove {
		if c.Operation == Add && c.Attribute != nil && c.Attribute.Multi {
			return nil // nothing is added
		}
		c.Operation, c.HasValue = Remove, false // null means that there is no value
	}
	if c.Whole {
		return p.whole(o, c)
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
	err := p.applyTo(target, c)
	if err == nil {
		err = checkMembers(target)
	}
	if err == nil && c.URN != "" {
		err = checkMembers(o)
	}
	if c.URN != "" && target.Len() == 0 {
		o.Delete(c.URN)
	}
	return err
}

// whole changes an extension by an object of its attributes, or removes it.
func (p *patcher) whole(o *Object, c Change) error {
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
	_, _, ofOurs := p.place(c.URN)
	for name, value := range values.All() {
		urn, attribute := p.lookup(c.URN, name)
		inner := Change{Operation: c.Operation, URN: urn, Path: filter.Path{Name: name}, Attribute: attribute, Value: value, HasValue: true}
		var err error
		switch {
		case ofOurs && namesSchemas(name):
			err = p.profile.ownSchema(p.Type, c.URN, value)
		case inner.unkept():
			err = p.profile.Departs(RulePasswordDropped, "password")
		case inner.readOnly():
			err = p.profile.Departs(RuleReadOnlyIgnored, name)
		default:
			if attribute == nil {
				err = p.profile.Departs(RuleUnknownAttribute, "")
			}
			if err == nil && value == nil {
				err = p.profile.Departs(RuleNullRemoves, inner.place())
			}
			if err == nil {
				err = p.apply(o, &inner)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *patcher) applyTo(o *Object, c Change) error {
	switch {
	case c.Path.Filter != nil:
		return p.elements(o, c)
	case c.Path.Sub != "":
		return p.inside(o, c)
	case c.Attribute == nil:
		return p.unknown(o, c)
	case c.Operation == Remove:
		return p.remove(o, c)
	}
	value, found, err := c.Attribute.coerce(site{name: c.Attribute.Name}, c.Value, p.profile)
	if err != nil {
		return err
	}
	name := c.Attribute.Name
	existing, _ := o.Get(name)
	switch {
	case !found && c.Operation == Add && c.Attribute.Multi:
	case !found:
		c.HasValue = false // no value takes the place of every value
		return p.remove(o, c)
	case c.Attribute.Multi && c.Operation == Add:
		list, _ := existing.([]any)
		return p.add(o, c, list, value.([]any))
	case c.Attribute.Kind == "complex" && !c.Attribute.Multi && !c.Attribute.about():
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
func (p *patcher) remove(o *Object, c Change) error {
	if c.Attribute.Required {
		return core.Invalid(c.Attribute.Name, "this is required and cannot be removed").WithCode("mutability")
	}
	if c.HasValue && c.Value != nil {
		if err := p.profile.Departs(RuleRemoveNamesValues, c.Attribute.Name); err != nil {
			return err
		}
	}
	existing, _ := o.Get(c.Attribute.Name)
	list, ok := existing.([]any)
	if !ok || !c.Attribute.Multi || !c.HasValue || c.Value == nil {
		o.Delete(c.Attribute.Name)
		return nil
	}
	names := make([]any, 0, 1)
	for _, name := range several(c.Value) {
		if name, found, err := c.Attribute.single(site{name: c.Attribute.Name}, name, p.profile); err == nil && found {
			names = append(names, name) // what could not be a value is nobody's
		}
	}
	return p.without(o, c, list, names)
}

// several is a value as a list: itself, or alone.
func several(value any) []any {
	if list, ok := value.([]any); ok {
		return list
	}
	return []any{value}
}

// without stores a list without the values that are named.
func (p *patcher) without(o *Object, c Change, list, names []any) error {
	if err := p.look(len(list) * len(names)); err != nil {
		return err
	}
	kept := make([]any, 0, len(list))
	for _, element := range list {
		gone := false
		for _, name := range names {
			gone = gone || sameValue(element, name, c.Attribute)
		}
		if !gone {
			kept = append(kept, element)
		}
	}
	return c.store(o, kept)
}

// add stores a list with further values.
func (p *patcher) add(o *Object, c Change, list, values []any) error {
	if len(values) > MaxValues {
		return invalidValue(c.place(), "at most %d values are kept", MaxValues)
	}
	if err := p.look((len(list) + len(values)) * len(values)); err != nil {
		return err
	}
	return c.store(o, appendValues(list, values, c.Attribute))
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
func (p *patcher) unknown(o *Object, c Change) error {
	existing, found := o.Get(c.Path.Name)
	list, isList := existing.([]any)
	if c.Operation == Remove {
		if !isList || !c.HasValue || c.Value == nil {
			o.Delete(c.Path.Name)
			return nil
		}
		if err := p.profile.Departs(RuleRemoveNamesValues, ""); err != nil {
			return err
		}
		return p.without(o, c, list, several(c.Value))
	}
	value, some, err := p.profile.pruned(c.Value)
	if err != nil {
		return err
	}
	if !some {
		o.Delete(c.Path.Name)
		return nil
	}
	if c.Operation == Add && found {
		if isList {
			return p.add(o, c, list, several(value))
		}
		inner, isObject := existing.(*Object)
		if values, ok := value.(*Object); ok && isObject {
			overlay(inner, values)
			return checkMembers(inner)
		}
	}
	o.Set(c.Path.Name, value)
	return nil
}

// checkMembers stops an object that grows operation by operation.
func checkMembers(o *Object) error {
	if o.Len() > MaxMembers {
		return invalidValue("", "a resource may have %d attributes in one place", MaxMembers)
	}
	return nil
}
