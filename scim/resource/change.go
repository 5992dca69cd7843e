package resource

import (
	"strings"

	"postern/core"
	"postern/scim/filter"
)

// MaxOperations bounds the operations of one PATCH, its values without a path counted one by one.
const MaxOperations = 10_000

// The operations of PATCH.
const (
	Add     = "add"
	Replace = "replace"
	Remove  = "remove"
)

// Change is one operation of a PATCH on one attribute.
type Change struct {
	Operation string // Add, Replace or Remove
	URN       string // the schema's proper URN; empty: the core schema
	Path      filter.Path
	Attribute *Attribute // nil: no schema knows it
	Whole     bool       // the path is the URN of an extension, the value an object of its attributes
	Value     any
	HasValue  bool // a Remove may name the values to remove
}

// Changes reads the body of a PATCH. An operation without a path becomes one change for each
// attribute in its value. What may not be changed is refused when a path names it, and ignored when
// it only stands in a value: Okta repeats the id there.
func (t *Type) Changes(body *Object, profile Profile) ([]Change, error) {
	if err := message(body, profile); err != nil {
		return nil, err
	}
	value, found := body.Get("Operations")
	if found && body.spelled("Operations") != "Operations" {
		if err := profile.Departs(RuleMessageCase, "Operations"); err != nil {
			return nil, err
		}
	}
	operations, ok := value.([]any)
	if !ok || len(operations) == 0 {
		return nil, invalidSyntax("a PATCH has a list of Operations with at least one in it")
	}
	if len(operations) > MaxOperations {
		return nil, tooManyOperations()
	}
	r := reader{Type: t, profile: profile, changes: make([]Change, 0, len(operations))}
	for _, operation := range operations {
		o, ok := operation.(*Object)
		if !ok {
			return nil, invalidSyntax("an operation is an object with op, path and value")
		}
		if err := r.operation(o); err != nil {
			return nil, err
		}
	}
	return r.changes, nil
}

func tooManyOperations() error {
	return core.TooLarge("a PATCH may have %d operations", MaxOperations)
}

// reader makes changes of operations. A path is read once, however many operations have it in a row.
type reader struct {
	*Type
	profile Profile
	changes []Change
	text    string // the last path that was read
	last    Change // and what it leads to
}

// spoken is one operation taken apart.
type spoken struct {
	op       string
	path     any
	value    any
	hasPath  bool
	hasValue bool
}

func (r *reader) operation(o *Object) error {
	s, err := r.listen(o)
	if err != nil {
		return err
	}
	if s.hasPath && (s.path == nil || s.path == "") {
		s.hasPath = false
		if err := r.profile.Departs(RuleEmptyPath, "path"); err != nil {
			return err
		}
	}
	if s.hasPath {
		return r.targeted(s)
	}
	if !s.hasValue && s.op != Remove {
		return invalidValue("value", "%s needs a value", s.op)
	}
	if s.op == Remove {
		return core.Invalid("path", "a remove needs a path").WithCode("noTarget")
	}
	values, ok := s.value.(*Object)
	if !ok {
		return invalidValue("value", "an operation without a path has an object of attributes as its value")
	}
	return r.values(s.op, values)
}

// listen takes the operation apart.
func (r *reader) listen(o *Object) (spoken, error) {
	var s spoken
	for name, value := range o.All() {
		proper := ""
		switch {
		case strings.EqualFold(name, "op"):
			proper = "op"
			text, _ := value.(string)
			s.op = strings.ToLower(text) // Entra ID sends Add, Replace and Remove
			if s.op != text {
				r.profile.Rules.suspect(Entra)
				if err := r.profile.Departs(RuleOperationCase, "op"); err != nil {
					return s, err
				}
			}
		case strings.EqualFold(name, "path"):
			proper, s.path, s.hasPath = "path", value, true
		case strings.EqualFold(name, "value"):
			proper, s.value, s.hasValue = "value", value, true
		default:
			if err := r.profile.Departs(RuleOperationExtra, "Operations"); err != nil {
				return s, err
			}
			continue
		}
		if name != proper {
			if err := r.profile.Departs(RuleMessageCase, proper); err != nil {
				return s, err
			}
		}
	}
	if s.op != Add && s.op != Replace && s.op != Remove {
		return s, invalidSyntax("op is add, replace or remove")
	}
	return s, nil
}

// targeted reads an operation with a path.
func (r *reader) targeted(s spoken) error {
	text, ok := s.path.(string)
	if !ok {
		return core.Invalid("path", "a path is a string").WithCode("invalidPath")
	}
	change, err := r.change(text, s.value)
	if err != nil {
		return err
	}
	change.Operation, change.Value, change.HasValue = s.op, s.value, s.hasValue
	if !s.hasValue && s.op != Remove {
		if !change.namesMember(s.op) {
			return invalidValue("value", "%s needs a value", s.op)
		}
		if err := r.profile.Departs(RuleMemberByFilter, "members"); err != nil {
			return err
		}
	}
	if values, isObject := s.value.(*Object); change.Whole && change.URN == "" && isObject && s.op != Remove {
		if err := r.profile.Departs(RuleCoreContainer, ""); err != nil {
			return err
		}
		return r.values(s.op, values)
	}
	if !change.Whole && strings.EqualFold(change.Path.Name, "schemas") {
		return r.profile.Departs(RuleReadOnlyIgnored, "schemas")
	}
	if change.unkept() {
		return r.profile.Departs(RulePasswordDropped, "password")
	}
	if change.readOnly() {
		return core.Invalid(change.Attribute.Name, "this cannot be changed").WithCode("mutability")
	}
	return r.take(change, "invalidPath")
}

// values makes a change of each attribute of an operation without a path. Its keys may be paths:
// name.givenName, emails[type eq "work"].value, urn:…:User:department.
func (r *reader) values(op string, values *Object) error {
	for key, value := range values.All() {
		change, err := r.key(key, value)
		if err != nil {
			return err
		}
		if inner, isObject := value.(*Object); change.Whole && change.URN == "" && isObject {
			if err := r.profile.Departs(RuleCoreContainer, ""); err != nil {
				return err
			}
			if err := r.values(op, inner); err != nil {
				return err
			}
			continue
		}
		rule := Rule("")
		switch {
		case change.unkept():
			rule = RulePasswordDropped
		case change.readOnly():
			rule = RuleReadOnlyIgnored
		}
		if rule != "" {
			if err := r.profile.Departs(rule, change.place()); err != nil {
				return err
			}
			continue
		}
		change.Operation, change.Value, change.HasValue = op, value, true
		if err := r.take(change, "invalidSyntax"); err != nil {
			return err
		}
	}
	return nil
}

// key reads a key of an operation without a path. What is no path is an attribute of the sender's own,
// whatever its name looks like.
func (r *reader) key(key string, value any) (Change, error) {
	change, err := r.change(key, value)
	if err != nil {
		change = Change{Path: filter.Path{Name: key}}
		if colon := strings.LastIndexByte(key, ':'); colon > 0 && isURN(key[:colon]) {
			if proper, _, known := r.place(key[:colon]); known {
				change = Change{URN: proper, Path: filter.Path{Name: key[colon+1:]}}
				return change, r.profile.Departs(RuleURNKey, proper)
			}
		}
		return change, nil
	}
	if change.Attribute == nil || change.Whole {
		return change, nil
	}
	if isURN(key) {
		err = r.profile.Departs(RuleURNKey, change.Attribute.Name)
	}
	if err == nil && (change.Path.Sub != "" || change.Path.Filter != nil) {
		err = r.profile.Departs(RuleDottedKey, change.Attribute.Name)
	}
	return change, err
}

// take keeps a change, once it is noted what is unusual about it. code is what the strict profile calls
// an attribute it does not know.
func (r *reader) take(c Change, code string) error {
	if c.Value == nil && c.HasValue && c.Operation != Remove {
		if err := r.profile.Departs(RuleNullRemoves, c.place()); err != nil {
			return err
		}
	}
	unknown := c.Attribute == nil && !c.Whole || c.Path.Sub != "" && c.Attribute.sub(c.Path.Sub) == nil
	if c.Whole && c.URN != "" {
		_, _, known := r.place(c.URN)
		unknown = !known
	}
	if unknown && c.Operation != Remove {
		if err := r.profile.departs(RuleUnknownAttribute, "", code); err != nil {
			return err
		}
	}
	if unknown && r.profile.Strict {
		return refusal(RuleUnknownAttribute, "", code)
	}
	r.changes = append(r.changes, c)
	if len(r.changes) > MaxOperations {
		return tooManyOperations()
	}
	return nil
}

// unkept reports whether the change is about a password.
func (c Change) unkept() bool {
	return unkept(c.Path.Name) || unkept(c.Path.Sub)
}

// place names the change's target in an error.
func (c Change) place() string {
	name := c.Path.Name
	if c.Attribute != nil {
		name = c.Attribute.Name
	}
	if c.Path.Sub != "" {
		name += "." + c.Path.Sub
	}
	return name
}
