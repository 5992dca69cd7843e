package resource

import "postern/core"

// anyImmutable reports whether an attribute, or a part of one that has a single value, can be given
// once only. The elements of a list are told apart by what they hold: another value is another element.
func anyImmutable(attributes []*Attribute) bool {
	for _, a := range attributes {
		if a.Immutable || !a.Multi && anyImmutable(a.SubAttributes) {
			return true
		}
	}
	return false
}

// CheckImmutable refuses what would change an immutable attribute (RFC 7643, section 2.2; RFC 7644,
// sections 3.5.1 and 3.5.2): what it was before has to be what is wanted, unless it had no value.
func (t *Type) CheckImmutable(before, wanted *Object) error {
	if !t.immutable {
		return nil
	}
	if err := same(t.attributes, before, wanted); err != nil {
		return err
	}
	for _, e := range t.extensions {
		was, _ := before.Get(e.urn)
		is, _ := wanted.Get(e.urn)
		inner, ok := was.(*Object)
		if !ok {
			continue
		}
		other, ok := is.(*Object)
		if !ok {
			other = &Object{}
		}
		if err := same(e.attributes, inner, other); err != nil {
			return err
		}
	}
	return nil
}

func same(attributes []*Attribute, before, wanted *Object) error {
	for _, a := range attributes {
		was, found := before.Get(a.Name)
		if !found {
			continue
		}
		is, _ := wanted.Get(a.Name)
		if a.Immutable && !Equal(was, is) {
			return core.Invalid(a.Name, "this was given once and cannot be changed").WithCode("mutability")
		}
		inner, ok := was.(*Object)
		other, still := is.(*Object)
		if ok && still {
			if err := same(a.SubAttributes, inner, other); err != nil {
				return err
			}
		}
	}
	return nil
}
