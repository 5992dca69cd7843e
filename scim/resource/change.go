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

// Profile is how a kind of identity provider departs from the RFC.
type Profile struct {
	// BareValues reads values in a filter without quotes.
	BareValues bool
	// ReplaceCreates makes a replace whose filter matches nothing add the element: Entra ID replaces
	// emails[type eq "work"].value of people without e-mail.
	ReplaceCreates bool
	// Strict takes what the RFCs allow and refuses everything else.
	Strict bool
	// Rules notes which departures occurred; nil notes none.
	Rules *Rules
}

// Changes reads the body of a PATCH. An operation without a path becomes one change for each
// attribute in its value. What may not be changed is refused when a path names it, and ignored when
// it only stands in a value: Okta repeats the id there.
func (t *Type) Changes(body *Object, profile Profile) ([]Change, error) {
	value, _ := body.Get("Operations")
	operations, ok := value.([]any)
	if !ok || len(operations) == 0 {
		return nil, invalidSyntax("a PATCH has a list of Operations with at least one in it")
	}
	if len(operations) > MaxOperations {
		return nil, tooManyOperations()
	}
	changes := make([]Change, 0, len(operations))
	for _, operation := range operations {
		o, ok := operation.(*Object)
		if !ok {
			return nil, invalidSyntax("an operation is an object with op, path and value")
		}
		var err error
		if changes, err = t.operation(changes, o, profile); err != nil {
			return nil, err
		}
		if len(changes) > MaxOperations {
			return nil, tooManyOperations()
		}
	}
	return changes, nil
}

func tooManyOperations() error {
	return core.TooLarge("a PATCH may have %d operations", MaxOperations)
}

func (t *Type) operation(changes []Change, o *Object, profile Profile) ([]Change, error) {
	op := strings.ToLower(o.Text("op")) // Entra ID sends Add, Replace and Remove
	if op != Add && op != Replace && op != Remove {
		return nil, invalidSyntax("op is add, replace or remove")
	}
	value, hasValue := o.Get("value")
	if !hasValue && op != Remove {
		return nil, invalidValue("value", "%s needs a value", op)
	}
	if path, found := o.Get("path"); found && path != nil && path != "" {
		text, ok := path.(string)
		if !ok {
			return nil, core.Invalid("path", "a path is a string").WithCode("invalidPath")
		}
		change, err := t.change(text, value, profile)
		if err != nil {
			return nil, err
		}
		if values, isObject := value.(*Object); change.Whole && change.URN == "" && isObject && op != Remove {
			return t.values(changes, op, values, profile)
		}
		if strings.EqualFold(change.Path.Name, "schemas") || change.unkept() {
			return changes, nil
		}
		if change.Attribute != nil && change.Attribute.ReadOnly {
			return nil, core.Invalid(change.Attribute.Name, "this cannot be changed").WithCode("mutability")
		}
		change.Operation, change.Value, change.HasValue = op, value, hasValue
		return append(changes, change), nil
	}
	if op == Remove {
		return nil, core.Invalid("path", "a remove needs a path").WithCode("noTarget")
	}
	values, ok := value.(*Object)
	if !ok {
		return nil, invalidValue("value", "an operation without a path has an object of attributes as its value")
	}
	return t.values(changes, op, values, profile)
}

// values makes a change of each attribute of an operation without a path. Its keys may be paths:
// name.givenName, emails[type eq "work"].value, urn:…:User:department.
func (t *Type) values(changes []Change, op string, values *Object, profile Profile) ([]Change, error) {
	for key, value := range values.All() {
		change, err := t.change(key, value, profile)
		if err != nil { // no path, so an attribute of the sender's own, whatever its name looks like
			change = Change{Path: filter.Path{Name: key}}
		}
		if inner, isObject := value.(*Object); change.Whole && change.URN == "" && isObject {
			if changes, err = t.values(changes, op, inner, profile); err != nil {
				return nil, err
			}
			continue
		}
		if change.unkept() || change.Attribute != nil && change.Attribute.ReadOnly {
			continue
		}
		change.Operation, change.Value, change.HasValue = op, value, true
		changes = append(changes, change)
	}
	return changes, nil
}

// change reads one path. The value helps to tell the URN of an unknown extension from an attribute
// in it.
func (t *Type) change(text string, value any, profile Profile) (Change, error) {
	if isURN(text) {
		if proper, _, known := t.place(text); known {
			return Change{URN: proper, Whole: true}, nil
		}
	}
	path, err := filter.ParsePath(text, filter.Options{BareValues: profile.BareValues})
	if err != nil {
		return Change{}, core.Invalid("path", "%s", err.Error()).WithCode("invalidPath")
	}
	urn, attribute := t.lookup(path.URN, path.Name)
	if _, isObject := value.(*Object); path.URN != "" && attribute == nil && path.Filter == nil && path.Sub == "" && isObject {
		if _, _, known := t.place(path.URN); !known && strings.EqualFold(path.Name, t.Name) {
			return Change{URN: text, Whole: true}, nil
		}
	}
	path.URN = ""
	return Change{URN: urn, Path: path, Attribute: attribute}, nil
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
