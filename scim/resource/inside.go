package resource

import (
	"strings"

	"postern/core"
)

// inside changes a sub-attribute: of the one value, or of every element.
func (p *patcher) inside(o *Object, c Change) error {
	if c.Attribute != nil && c.Attribute.Kind != "complex" {
		return core.Invalid("path", "%s has no sub-attributes", c.Attribute.Name).WithCode("invalidPath")
	}
	value, found, err := p.subValue(c)
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
		return checkMembers(existing)
	case []any:
		if err := p.look(len(existing)); err != nil {
			return err
		}
		for _, element := range existing {
			if inner, ok := element.(*Object); ok {
				c.setSub(inner, value, found)
				if err := p.refold(c, inner); err != nil {
					return err
				}
				if err := checkMembers(inner); err != nil {
					return err
				}
			}
		}
		return p.settle(o, c, existing, 0)
	case nil:
		if !found {
			return nil
		}
		made := NewObject(c.subName(), value)
		if err := p.refold(c, made); err != nil {
			return err
		}
		if c.Attribute != nil && c.Attribute.Multi {
			o.Set(c.name(), []any{made})
		} else if !c.Attribute.pointless(made) {
			o.Set(c.name(), made)
		}
		return nil
	}
	return core.Invalid("path", "%s has no sub-attributes", c.name()).WithCode("invalidPath")
}

// subValue is the sub-attribute's value in its own type; found is false when it is to be removed.
func (p *patcher) subValue(c Change) (value any, found bool, err error) {
	if c.Operation == Remove {
		return nil, false, nil
	}
	if sub := c.Attribute.sub(c.Path.Sub); sub != nil {
		return sub.coerce(site{c.Attribute.Name, sub.Name}, c.Value, p.profile)
	}
	return p.profile.pruned(c.Value)
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
	return a != nil && a.about() && o.Text("value") == ""
}
