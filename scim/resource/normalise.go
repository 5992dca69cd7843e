package resource

import (
	"strings"
)

// Normalise returns a resource as it will be kept, from one as it was sent: read-only attributes, the
// password and empty values are gone, known attributes have their schema's type, attributes of an
// extension stand under its proper URN. Unknown attributes stay as they are, unless the profile is
// strict.
func (t *Type) Normalise(sent *Object, profile Profile) (*Object, error) {
	n := normaliser{Type: t, profile: profile, kept: &Object{members: make([]member, 0, sent.Len())}}
	if err := t.schemas(sent, profile); err != nil {
		return n.kept, err
	}
	if err := n.merge(sent); err != nil {
		return n.kept, err
	}
	return n.kept, t.Patch(n.kept, n.later, profile)
}

type normaliser struct {
	*Type
	profile Profile
	kept    *Object
	later   []Change // what keys that are paths lead to
}

func (n *normaliser) merge(sent *Object) error {
	for name, value := range sent.All() {
		if err := n.keep(name, value); err != nil {
			return err
		}
	}
	return nil
}

func (n *normaliser) keep(name string, value any) error {
	if !isURN(name) {
		return n.keepPlain("", name, value)
	}
	proper, _, known := n.place(name)
	if known {
		if n.misspelt(name, proper) {
			if err := n.profile.Departs(RuleURNSpelling, proper); err != nil {
				return err
			}
		}
		return n.container(proper, value)
	}
	colon := strings.LastIndexByte(name, ':')
	urn := name[:colon]
	if proper, _, known = n.place(urn); !known {
		value, found, err := n.profile.pruned(value)
		if err != nil || !found {
			return err
		}
		n.kept.Set(name, value)
		return n.profile.Departs(RuleUnknownAttribute, "")
	}
	if err := n.profile.Departs(RuleURNKey, proper); err != nil {
		return err
	}
	if n.misspelt(urn, proper) {
		n.profile.Rules.Fire(RuleURNSpelling)
	}
	return n.keepPlain(proper, name[colon+1:], value)
}

// container takes the attributes that stand under the URN of a schema.
func (n *normaliser) container(urn string, value any) error {
	if value == nil {
		return nil
	}
	values, ok := value.(*Object)
	if !ok {
		return invalidValue(urn, "an object is expected")
	}
	if urn == "" {
		if err := n.profile.Departs(RuleCoreContainer, ""); err != nil {
			return err
		}
		return n.merge(values)
	}
	for name, value := range values.All() {
		var err error
		if namesSchemas(name) {
			err = n.profile.ownSchema(n.Type, urn, value)
		} else {
			err = n.keepPlain(urn, name, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// keepPlain takes one attribute of the schema the proper URN means.
func (n *normaliser) keepPlain(urn, name string, value any) error {
	if unkept(name) {
		return n.profile.Departs(RulePasswordDropped, "password")
	}
	proper, attribute := n.lookup(urn, name)
	if attribute == nil {
		return n.unknown(proper, name, value)
	}
	if attribute.ReadOnly {
		return nil // RFC 7644, sections 3.3 and 3.5.1: read-only attributes are ignored
	}
	if proper != urn {
		if err := n.profile.Departs(RuleExtensionBare, attribute.Name); err != nil {
			return err
		}
	}
	value, found, err := attribute.coerce(site{name: attribute.Name}, value, n.profile)
	if err != nil || !found {
		return err
	}
	container(n.kept, proper).Set(attribute.Name, value)
	return nil
}

// unknown takes an attribute no schema has: a path to one that a schema has, or the sender's own.
func (n *normaliser) unknown(urn, name string, value any) error {
	if strings.ContainsAny(name, ".[") && value != nil {
		if path, err := n.profile.parsePath(name); err == nil && path.URN == "" {
			if proper, attribute := n.lookup(urn, path.Name); attribute != nil && !attribute.ReadOnly && !unkept(path.Sub) {
				n.later = append(n.later, Change{Operation: Add, URN: proper, Path: path, Attribute: attribute, Value: value, HasValue: true})
				return n.profile.Departs(RuleDottedKey, attribute.Name)
			}
		}
	}
	value, found, err := n.profile.pruned(value)
	if err != nil || !found {
		return err
	}
	if err := n.profile.Departs(RuleUnknownAttribute, ""); err != nil {
		return err
	}
	container(n.kept, urn).Set(name, value)
	return nil
}

// unkept names what is taken and dropped wherever it comes: passwords.
func unkept(name string) bool { return len(name) == 8 && strings.EqualFold(name, "password") }

func isURN(name string) bool {
	return len(name) > 4 && strings.EqualFold(name[:4], "urn:")
}

// container is where the attributes of a schema stand: the resource itself for the core schema, else
// the object under the URN, which is made when missing.
func container(o *Object, urn string) *Object {
	if urn == "" {
		return o
	}
	if found, _ := o.Get(urn); found != nil {
		if inner, ok := found.(*Object); ok {
			return inner
		}
	}
	inner := &Object{}
	o.Set(urn, inner)
	return inner
}

// pruned drops nulls, which mean that there is no value, and passwords from a value no schema knows.
// What it returns shares nothing with the value.
func (p Profile) pruned(value any) (any, bool, error) {
	switch value := value.(type) {
	case nil:
		return nil, false, nil
	case *Object:
		kept := &Object{members: make([]member, 0, value.Len())}
		for name, inner := range value.All() {
			if unkept(name) {
				if err := p.Departs(RulePasswordDropped, "password"); err != nil {
					return nil, false, err
				}
				continue
			}
			inner, found, err := p.pruned(inner)
			if err != nil {
				return nil, false, err
			}
			if found {
				kept.members = append(kept.members, member{name, inner})
			}
		}
		return kept, true, nil
	case []any:
		kept := make([]any, 0, len(value))
		for _, inner := range value {
			inner, found, err := p.pruned(inner)
			if err != nil {
				return nil, false, err
			}
			if found {
				kept = append(kept, inner)
			}
		}
		return kept, len(kept) > 0, nil
	}
	return value, true, nil
}
