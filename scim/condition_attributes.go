package scim

import (
	"postern/core/directory"
	"postern/scim/filter"
	"postern/scim/resource"
)

// meta is what is known about the resource itself.
type meta struct {
	of       *resource.Attribute
	kind     string // resourceType
	location string // where resources of the kind are
}

func (m meta) some(holds test) (directory.Condition, error) { return holds(m) }
func (meta) schema() *resource.Attribute                    { return nil }
func (meta) compare(filter.Operator, filter.Value) directory.Condition {
	return directory.Always(false)
}
func (meta) comparable() directory.Condition { return directory.Always(false) }
func (meta) present() directory.Condition    { return directory.Always(true) }

func (m meta) find(path filter.Path) source {
	part := m.of.Sub(path.Name)
	if path.URN != "" || part == nil {
		return absent{}
	}
	switch part.Name {
	case "resourceType":
		return fixed{m.kind, part}
	case "created":
		return moment{directory.FieldCreated, part}
	case "lastModified":
		return moment{directory.FieldUpdated, part}
	case "location":
		return column{field: directory.FieldID, of: part, before: m.location}
	case "version":
		return column{field: directory.FieldVersion, of: part, before: `W/"`, after: `"`}
	}
	return absent{}
}

// schemas are the URNs of a resource: its own and those of the extensions it has.
type schemas struct {
	of  *resource.Attribute
	own string
}

func (s schemas) some(holds test) (directory.Condition, error) {
	own, err := holds(fixed{s.own, s.of})
	if err != nil {
		return nil, err
	}
	extensions, err := holds(value{s.of})
	return either(own, extension(extensions)), err
}

func extension(holds directory.Condition) directory.Condition {
	if decided, is := holds.(directory.Always); is && !bool(decided) {
		return decided
	}
	return directory.Extension{Holds: holds}
}

// link is the groups of a user, or the members of a group.
type link struct {
	of       *resource.Attribute
	kind     string // the type each of them has
	location string // where they are
}

func (l link) some(holds test) (directory.Condition, error) {
	inner, err := holds(linked(l))
	if decided, is := inner.(directory.Always); is && !bool(decided) {
		return decided, err
	}
	return directory.Linked{Holds: inner}, err
}

// linked is one group or member.
type linked link

func (l linked) id() column                      { return column{field: directory.LinkedID, of: l.of.Sub("value")} }
func (l linked) schema() *resource.Attribute     { return l.of.Sub("value") }
func (l linked) comparable() directory.Condition { return directory.Always(true) }
func (l linked) present() directory.Condition    { return directory.Always(true) }

func (l linked) compare(operator filter.Operator, wanted filter.Value) directory.Condition {
	return l.id().compare(operator, wanted)
}

func (l linked) find(path filter.Path) source {
	part := l.of.Sub(path.Name)
	if path.URN != "" || part == nil {
		return absent{}
	}
	switch part.Name {
	case "value":
		return l.id()
	case "display":
		return column{field: directory.LinkedName, of: part}
	case "type":
		return fixed{l.kind, part}
	case "$ref":
		return column{field: directory.LinkedID, of: part, before: l.location}
	}
	return absent{}
}

// inside is what stands under a name in the attributes, or in a value of them.
type inside struct {
	path   []directory.Name
	of     *resource.Attribute // nil: no schema knows it
	emails bool
}

func (i inside) unknown() bool { return i.of == nil }

func (i inside) some(holds test) (directory.Condition, error) {
	inner, err := holds(value{i.of})
	if decided, is := inner.(directory.Always); err != nil || is && !bool(decided) {
		return inner, err
	}
	if i.of != nil && !i.of.Multi {
		return directory.In{Path: i.path, Holds: inner}, nil
	}
	return directory.Each{Path: i.path, Holds: inner}, nil
}

// value is one value in the attributes. What a schema does not know may be plain or complex.
type value struct{ of *resource.Attribute }

func (v value) complex() bool { return v.of != nil && v.of.Kind == "complex" }

func (v value) schema() *resource.Attribute {
	if inner := v.of.Sub("value"); v.complex() && inner != nil {
		return inner
	}
	return v.of
}

func (v value) find(path filter.Path) source {
	isValue := equalFold(path.Name, "value")
	switch {
	case path.URN != "":
		return absent{}
	case v.of == nil && isValue:
		return plainOrInside{}
	case v.of != nil && !v.complex() && isValue:
		return plain(v)
	case v.of != nil && !v.complex():
		return absent{}
	}
	known := v.of.Sub(path.Name)
	return inside{path: []directory.Name{nameOf(known, path.Name)}, of: known}
}

func (v value) compare(operator filter.Operator, wanted filter.Value) directory.Condition {
	of := v.schema()
	scalar := directory.Scalar{
		Is: relations[operator], With: wanted.Text, Exact: of != nil && of.CaseExact,
		True: of.Holds(true, operator, wanted), False: of.Holds(false, operator, wanted),
	}
	if number, is := resource.Numeral(wanted); is {
		scalar.Number = &number
	}
	return v.scalar(scalar)
}

func (v value) comparable() directory.Condition {
	return v.scalar(directory.Scalar{Is: directory.Exists})
}

func (v value) present() directory.Condition { return directory.Scalar{Is: directory.Present} }

// scalar is a condition on the value, or on the "value" in it.
func (v value) scalar(scalar directory.Scalar) directory.Condition {
	in := directory.In{Path: []directory.Name{nameOf(v.of.Sub("value"), "value")}, Holds: scalar}
	switch {
	case v.of == nil:
		return directory.Any{scalar, in}
	case v.complex():
		return in
	}
	return scalar
}

// plain is a plain value as the "value" in it.
type plain value

func (p plain) some(holds test) (directory.Condition, error) {
	inner, err := holds(value(p))
	return all(directory.Scalar{Is: directory.Exists}, inner), err
}

// plainOrInside is the "value" of something no schema knows.
type plainOrInside struct{}

func (plainOrInside) unknown() bool { return true }

func (plainOrInside) some(holds test) (directory.Condition, error) {
	self, err := plain{}.some(holds)
	if err != nil {
		return nil, err
	}
	inner, err := inside{path: []directory.Name{{Text: "value", Loose: true}}}.some(holds)
	return either(self, inner), err
}
