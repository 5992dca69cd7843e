package resource

import (
	"strings"
)

// Normalise returns a resource as it will be kept, from one as it was sent: read-only attributes, the
// password and empty values are gone, known attributes have their schema's type, attributes of an
// extension stand under its proper URN. Unknown attributes stay as they are.
func (t *Type) Normalise(sent *Object, profile Profile) (*Object, error) {
	kept := &Object{members: make([]member, 0, sent.Len())}
	return kept, t.merge(kept, sent)
}

func (t *Type) merge(kept, sent *Object) error {
	for name, value := range sent.All() {
		if err := t.keep(kept, name, value); err != nil {
			return err
		}
	}
	return nil
}

func (t *Type) keep(kept *Object, name string, value any) error {
	urn, local := "", name
	if isURN(name) {
		proper, _, known := t.place(name)
		container, isObject := value.(*Object)
		switch {
		case known && proper == "" && isObject:
			return t.merge(kept, container)
		case known && isObject:
			for sub, value := range container.All() {
				if err := t.keepAt(kept, proper, sub, value); err != nil {
					return err
				}
			}
			return nil
		case known && value == nil:
			return nil
		case known:
			return invalidValue(proper, "an object is expected")
		}
		colon := strings.LastIndexByte(name, ':')
		if _, _, known := t.place(name[:colon]); !known {
			if value, found := pruned(value); found {
				kept.Set(name, value)
			}
			return nil
		}
		urn, local = name[:colon], name[colon+1:]
	}
	return t.keepAt(kept, urn, local, value)
}

func (t *Type) keepAt(kept *Object, urn, name string, value any) error {
	if unkept(name) {
		return nil
	}
	proper, attribute := t.lookup(urn, name)
	switch {
	case attribute == nil:
		value, found := pruned(value)
		if !found {
			return nil
		}
		container(kept, proper).Set(name, value)
		return nil
	case attribute.ReadOnly:
		return nil
	}
	value, found, err := attribute.coerce(attribute.Name, value)
	if err != nil || !found {
		return err
	}
	container(kept, proper).Set(attribute.Name, value)
	return nil
}

// unkept names what is taken and dropped wherever it comes: passwords.
func unkept(name string) bool { return strings.EqualFold(name, "password") }

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

// pruned drops nulls, which mean that there is no value, from a value no schema knows.
func pruned(value any) (any, bool) {
	switch value := value.(type) {
	case nil:
		return nil, false
	case *Object:
		kept := &Object{members: make([]member, 0, value.Len())}
		for name, inner := range value.All() {
			if unkept(name) {
				continue
			}
			if inner, found := pruned(inner); found {
				kept.Set(name, inner)
			}
		}
		return kept, true
	case []any:
		kept := make([]any, 0, len(value))
		for _, inner := range value {
			if inner, found := pruned(inner); found {
				kept = append(kept, inner)
			}
		}
		return kept, len(kept) > 0
	}
	return value, true
}

// MaxValues bounds the elements of one multi-valued attribute, the members of a group apart.
const MaxValues = 500

// coerce gives a value its attribute's type; found is false when the value means that there is none.
func (a *Attribute) coerce(path string, value any) (coerced any, found bool, err error) {
	if !a.Multi {
		if list, ok := value.([]any); ok {
			switch len(list) {
			case 0:
				return nil, false, nil
			case 1:
				value = list[0] // Entra ID sends a manager as a list of one
			default:
				return nil, false, invalidValue(path, "one value is expected, not a list")
			}
		}
		return a.single(path, value)
	}
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	if len(list) > MaxValues && a.Name != "members" {
		return nil, false, invalidValue(path, "at most %d values are kept", MaxValues)
	}
	kept := make([]any, 0, len(list))
	for _, element := range list {
		element, found, err := a.single(path, element)
		if err != nil {
			return nil, false, err
		}
		if found {
			kept = append(kept, element)
		}
	}
	onePrimary(kept, 0)
	return kept, len(kept) > 0, nil
}

func (a *Attribute) single(path string, value any) (any, bool, error) {
	if value == nil {
		return nil, false, nil
	}
	switch a.Kind {
	case "complex":
		return a.complex(path, value)
	case "boolean":
		switch value := value.(type) {
		case bool:
			return value, true, nil
		case string: // Entra ID sends "True" and "False"
			switch strings.ToLower(value) {
			case "true":
				return true, true, nil
			case "false":
				return false, true, nil
			}
		}
		return nil, false, invalidValue(path, "true or false is expected")
	case "integer", "decimal":
		if number, ok := value.(Number); ok {
			return number, true, nil
		}
		return nil, false, invalidValue(path, "a number is expected")
	}
	switch value := value.(type) {
	case string:
		return value, true, nil
	case Number: // Okta's own sample user has numbers for externalId and employeeNumber
		return string(value), true, nil
	}
	return nil, false, invalidValue(path, "a string is expected")
}

func (a *Attribute) complex(path string, value any) (any, bool, error) {
	if text, ok := value.(string); ok && a.sub("value") != nil {
		if text == "" && !a.Multi {
			return nil, false, nil // a manager replaced by "" is a manager removed
		}
		value = NewObject("value", text)
	}
	sent, ok := value.(*Object)
	if !ok {
		return nil, false, invalidValue(path, "an object is expected")
	}
	kept := &Object{members: make([]member, 0, sent.Len())}
	for name, inner := range sent.All() {
		sub := a.sub(name)
		if sub == nil {
			if inner, found := pruned(inner); found && !unkept(name) {
				kept.Set(name, inner)
			}
			continue
		}
		inner, found, err := sub.coerce(path+"."+sub.Name, inner)
		if err != nil {
			return nil, false, err
		}
		if found {
			kept.Set(sub.Name, inner)
		}
	}
	if !a.Multi && a.sub("value") != nil && kept.Text("value") == "" {
		return nil, false, nil
	}
	return kept, kept.Len() > 0, nil
}

// onePrimary leaves primary on one element alone: the first that has it at or after from, where the
// newest elements begin, else the first of all.
func onePrimary(list []any, from int) {
	chosen := -1
	for i := range list {
		at := (from + i) % len(list)
		if primary(list[at]) {
			chosen = at
			break
		}
	}
	for i, element := range list {
		if i != chosen && primary(element) {
			element.(*Object).Set("primary", false)
		}
	}
}

func primary(element any) bool {
	o, ok := element.(*Object)
	if !ok {
		return false
	}
	value, _ := o.Get("primary")
	return value == true
}
