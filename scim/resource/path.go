package resource

import (
	"strings"

	"postern/scim/filter"
)

// change reads one path. The value helps to tell the URN of an unknown extension from an attribute
// in it.
func (r *reader) change(text string, value any) (Change, error) {
	if text == r.text && text != "" && !isURN(text) {
		return r.last, nil
	}
	c, err := r.read(text, value)
	if err == nil {
		r.text, r.last = text, c
	}
	return c, err
}

func (r *reader) read(text string, value any) (Change, error) {
	if isURN(text) {
		if proper, _, known := r.place(text); known {
			return Change{URN: proper, Whole: true}, r.spelling(text, proper)
		}
	} else if attribute := named(r.attributes, text); attribute != nil {
		return Change{Path: filter.Path{Name: attribute.Name}, Attribute: attribute}, nil
	}
	path, err := r.profile.parsePath(text)
	if err != nil {
		return Change{}, err
	}
	urn, attribute := r.lookup(path.URN, path.Name)
	if _, isObject := value.(*Object); path.URN != "" && attribute == nil && path.Filter == nil && path.Sub == "" && isObject {
		if _, _, known := r.place(path.URN); !known && strings.EqualFold(path.Name, r.Name) {
			return Change{URN: text, Whole: true}, nil
		}
	}
	switch {
	case attribute == nil:
	case path.URN == "" && urn != "":
		err = r.profile.Departs(RuleExtensionBare, attribute.Name)
	case path.URN != "":
		err = r.spelling(path.URN, urn)
	}
	if err == nil && path.Filter != nil && (attribute == nil || attribute.Multi) {
		err = r.compares(attribute, path.Filter)
	}
	path.URN = ""
	return Change{URN: urn, Path: path, Attribute: attribute}, err
}

func (r *reader) spelling(urn, proper string) error {
	if r.misspelt(urn, proper) {
		return r.profile.Departs(RuleURNSpelling, proper)
	}
	return nil
}

// compares looks for text where a boolean is compared, and for sub-attributes that do not exist.
func (r *reader) compares(a *Attribute, e filter.Expression) error {
	switch e := e.(type) {
	case filter.And:
		return r.each(a, e)
	case filter.Or:
		return r.each(a, e)
	case filter.Not:
		return r.compares(a, e.Inner)
	case filter.Comparison:
		sub := a.sub(e.Path.Name)
		if sub == nil && a != nil && (a.Kind == "complex" || !e.Path.Is("value")) {
			return r.profile.departs(RuleUnknownAttribute, a.Name, "invalidFilter")
		}
		if sub != nil && sub.Kind == "boolean" && e.Value.Kind == filter.String {
			return r.profile.Departs(RuleStringInFilter, a.Name)
		}
	}
	return nil
}

func (r *reader) each(a *Attribute, parts []filter.Expression) error {
	for _, part := range parts {
		if err := r.compares(a, part); err != nil {
			return err
		}
	}
	return nil
}

// namesMember reports whether the path alone says what to add: OneLogin adds members[value eq "id"].
func (c Change) namesMember(op string) bool {
	return op == Add && c.Path.Filter != nil && c.Path.Sub == "" && c.Attribute != nil && c.Attribute.Name == "members"
}

// readOnly reports whether nobody may change the target.
func (c Change) readOnly() bool {
	if c.Attribute == nil {
		return false
	}
	if sub := c.Attribute.sub(c.Path.Sub); sub != nil && sub.ReadOnly {
		return true
	}
	return c.Attribute.ReadOnly
}
