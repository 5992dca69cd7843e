package scim

import (
	"strings"
	"time"

	"postern/core"
	"postern/core/directory"
	"postern/scim/filter"
	"postern/scim/resource"
)

func equalFold(a, b string) bool { return strings.EqualFold(a, b) }

// whole is the resource itself.
type whole struct{ *compiler }

func (w whole) find(path filter.Path) source {
	urn, known, schemaKnown := w.kind.Find(path)
	if urn != "" || known == nil {
		names := []directory.Name{}
		if urn != "" {
			names = append(names, directory.Name{Text: urn, Loose: !schemaKnown})
		}
		return inside{path: append(names, nameOf(known, path.Name)), of: known}
	}
	location := w.base() + w.kind.Endpoint + "/"
	switch known.Name {
	case "id":
		return column{field: directory.FieldID, of: known}
	case "externalId":
		return column{field: directory.FieldExternalID, of: known, optional: true}
	case "userName":
		return column{field: directory.FieldUserName, of: known}
	case "displayName":
		return column{field: directory.FieldDisplayName, of: known, optional: w.kind == userType}
	case "active":
		return flag{known}
	case "meta":
		return meta{known, w.kind.Name, location}
	case "schemas":
		return schemas{known, w.kind.Core.ID}
	case "groups":
		return link{known, "direct", w.base() + groupType.Endpoint + "/"}
	case "members":
		return link{known, userType.Name, w.base() + userType.Endpoint + "/"}
	}
	if w.grants {
		for _, g := range grantables {
			if g.attribute == known.Name {
				return inside{path: []directory.Name{g.held()}, of: known}
			}
		}
	}
	return inside{path: []directory.Name{nameOf(known, path.Name)}, of: known, emails: w.kind == userType && known.Name == "emails"}
}

func (whole) schema() *resource.Attribute { return nil }
func (whole) compare(filter.Operator, filter.Value) directory.Condition {
	return directory.Always(false)
}
func (whole) comparable() directory.Condition { return directory.Always(false) }
func (whole) present() directory.Condition    { return directory.Always(true) }

func nameOf(known *resource.Attribute, text string) directory.Name {
	if known == nil {
		return directory.Name{Text: text, Loose: true}
	}
	return directory.Name{Text: known.Name}
}

// absent is an attribute nobody has.
type absent struct{}

func (absent) some(test) (directory.Condition, error) { return directory.Always(false), nil }
func (absent) unknown() bool                          { return true }

// itself is a plain value as the "value" in it.
func itself(path filter.Path, of source) source {
	if path.URN == "" && equalFold(path.Name, "value") {
		return of
	}
	return absent{}
}

// column is a field of the directory that is text, as an attribute and as its only value.
type column struct {
	field         directory.Field
	of            *resource.Attribute
	optional      bool
	before, after string // stand around it
}

func (c column) some(holds test) (directory.Condition, error) {
	inner, err := holds(c)
	return all(c.comparable(), inner), err
}

func (c column) find(path filter.Path) source { return itself(path, c) }
func (c column) schema() *resource.Attribute  { return c.of }

func (c column) comparable() directory.Condition {
	if c.optional {
		return directory.Text{Of: c.field, Is: directory.Present}
	}
	return directory.Always(true)
}

func (c column) present() directory.Condition { return c.comparable() }

func (c column) compare(operator filter.Operator, wanted filter.Value) directory.Condition {
	isID := c.field == directory.FieldID || c.field == directory.LinkedID
	if isID && (operator == filter.Equal || operator == filter.NotEqual) {
		return identity(c.field, strings.TrimPrefix(wanted.Text, c.before), strings.HasPrefix(wanted.Text, c.before), operator)
	}
	return directory.Text{
		Of: c.field, Is: relations[operator], With: wanted.Text, Exact: c.of != nil && c.of.CaseExact, Before: c.before, After: c.after,
	}
}

// identity is the condition that an id is the one, or is not.
func identity(field directory.Field, text string, possible bool, operator filter.Operator) directory.Condition {
	found := directory.Condition(directory.Always(false))
	if id, err := core.ParseID(text); possible && err == nil && id.String() == text {
		found = directory.Identity{Of: field, ID: id}
	}
	if operator == filter.NotEqual {
		return not(found)
	}
	return found
}

var relations = map[filter.Operator]directory.Relation{
	filter.Equal: directory.Equal, filter.NotEqual: directory.NotEqual, filter.Contains: directory.Contains,
	filter.StartsWith: directory.StartsWith, filter.EndsWith: directory.EndsWith, filter.Greater: directory.Greater,
	filter.GreaterOrEqual: directory.GreaterOrEqual, filter.Less: directory.Less, filter.LessOrEqual: directory.LessOrEqual,
}

// flag is whether somebody is active.
type flag struct{ of *resource.Attribute }

func (f flag) some(holds test) (directory.Condition, error) { return holds(f) }
func (f flag) find(path filter.Path) source                 { return itself(path, f) }
func (f flag) schema() *resource.Attribute                  { return f.of }
func (f flag) comparable() directory.Condition              { return directory.Always(true) }
func (f flag) present() directory.Condition                 { return directory.Always(true) }

func (f flag) compare(operator filter.Operator, wanted filter.Value) directory.Condition {
	yes, no := f.of.Holds(true, operator, wanted), f.of.Holds(false, operator, wanted)
	if yes == no {
		return directory.Always(yes)
	}
	return directory.Active(yes)
}

// moment is when somebody was created or changed.
type moment struct {
	field directory.Field
	of    *resource.Attribute
}

func (m moment) some(holds test) (directory.Condition, error) { return holds(m) }
func (m moment) find(path filter.Path) source                 { return itself(path, m) }
func (m moment) schema() *resource.Attribute                  { return m.of }
func (m moment) comparable() directory.Condition              { return directory.Always(true) }
func (m moment) present() directory.Condition                 { return directory.Always(true) }

// The database keeps microseconds. A time between two of them equals neither, and is less and greater
// than what it lies between.
func (m moment) compare(operator filter.Operator, wanted filter.Value) directory.Condition {
	relation := relations[operator]
	switch operator {
	case filter.Contains, filter.StartsWith, filter.EndsWith:
		return directory.Text{Of: m.field, Is: relation, With: wanted.Text}
	}
	at, err := time.Parse(time.RFC3339, wanted.Text)
	if err != nil {
		return directory.Always(operator == filter.NotEqual)
	}
	whole := at.Truncate(time.Microsecond)
	if !whole.Equal(at) {
		switch operator {
		case filter.Equal, filter.NotEqual:
			return directory.Always(operator == filter.NotEqual)
		case filter.Greater, filter.GreaterOrEqual:
			relation = directory.Greater
		case filter.Less, filter.LessOrEqual:
			relation = directory.LessOrEqual
		}
	}
	return directory.Time{Of: m.field, Is: relation, With: whole}
}

// fixed is a value every resource has.
type fixed struct {
	value string
	of    *resource.Attribute
}

func (f fixed) some(holds test) (directory.Condition, error) { return holds(f) }
func (f fixed) find(path filter.Path) source                 { return itself(path, f) }
func (f fixed) schema() *resource.Attribute                  { return f.of }
func (f fixed) comparable() directory.Condition              { return directory.Always(true) }
func (f fixed) present() directory.Condition                 { return directory.Always(f.value != "") }

func (f fixed) compare(operator filter.Operator, wanted filter.Value) directory.Condition {
	return directory.Always(f.of.Holds(f.value, operator, wanted))
}
