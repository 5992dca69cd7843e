package directory

import (
	"time"

	"postern/core"
)

// Condition is what a user or a team has to satisfy to be found. Conditions make a tree; what they
// compare with becomes parameters of a query, never its text. A condition holds or does not: what is
// absent satisfies none but Not.
//
// Some conditions are about what an enclosing one chose: inside In and Each, Scalar is about that
// value and their paths begin there; inside Linked, the fields are those of the other side.
type Condition interface{ write(w *writer) }

type (
	// Always holds, or never does.
	Always bool
	// All holds when every condition does.
	All []Condition
	// Any holds when one of the conditions does.
	Any []Condition
	// Not holds when the condition does not.
	Not struct{ Condition Condition }

	// Text compares a field as text. Before and After stand around it. Without Exact, case does not
	// count. A field that is empty is absent.
	Text struct {
		Of            Field
		Is            Relation
		With          string
		Exact         bool
		Before, After string
	}
	// Identity holds for one id.
	Identity struct {
		Of Field
		ID core.ID
	}
	// Active holds for those who are, or are not.
	Active bool
	// Time compares when somebody was created or changed.
	Time struct {
		Of   Field
		Is   Relation
		With time.Time
	}
	// Address holds for users among whose e-mail addresses may be this one, whatever its case: it finds
	// them by an index, and a condition beside it has to decide.
	Address string

	// In holds when there is a value at the path and the condition holds for it.
	In struct {
		Path  []Name
		Holds Condition
	}
	// Each holds when an element of the list at the path satisfies the condition. What is no list
	// counts as one of one element.
	Each struct {
		Path  []Name
		Holds Condition
	}
	// Extension holds when the name of an extension the attributes have satisfies the condition.
	Extension struct{ Holds Condition }
	// Scalar compares the string, number or boolean chosen by the condition around it.
	Scalar struct {
		Is          Relation
		With        string
		Exact       bool
		Number      *float64 // With as a number; nil: no number stands in a relation to it but NotEqual
		True, False bool     // whether true, and false, satisfy it
	}
	// Linked holds when a team the user is in, of the same connection, or a member of the team
	// satisfies the condition.
	Linked struct{ Holds Condition }
)

// Name is a name in the attributes. A loose one is found whatever its case.
type Name struct {
	Text  string
	Loose bool
	// From is where the first value of a path comes from instead of the attributes: an expression in
	// SQL, of type jsonb, about the row of users, that names @workspace. It is part of the query's
	// text, so it has to be a constant.
	From string
}

// Relation is how two values stand to each other.
type Relation string

// The relations. Present holds for what is not empty, Exists for any string, number or boolean.
const (
	Equal          Relation = "="
	NotEqual       Relation = "<>"
	Greater        Relation = ">"
	GreaterOrEqual Relation = ">="
	Less           Relation = "<"
	LessOrEqual    Relation = "<="
	Contains       Relation = "contains"
	StartsWith     Relation = "starts with"
	EndsWith       Relation = "ends with"
	Present        Relation = "present"
	Exists         Relation = "exists"
)

// Field is a column that conditions and orders know.
type Field string

// The fields of users and teams, and those of the other side of a Linked.
const (
	FieldID          Field = "id"
	FieldUserName    Field = "user_name" // of users alone
	FieldDisplayName Field = "display_name"
	FieldExternalID  Field = "external_id"
	FieldActive      Field = "active" // of users alone, and for orders alone
	FieldCreated     Field = "created"
	FieldUpdated     Field = "updated"
	FieldVersion     Field = "version"
	LinkedID         Field = "linked.id"
	LinkedName       Field = "linked.name"
)

// narrow reports whether a condition leads to few rows by an index, whatever else is asked: the query
// then looks there first.
func narrow(c Condition) bool {
	switch c := c.(type) {
	case Always:
		return !bool(c)
	case Identity, Address:
		return true
	case Text:
		return c.Is == Equal && c.Before == "" && c.After == "" &&
			(c.Of == FieldUserName || c.Of == FieldExternalID && c.Exact || c.Of == FieldDisplayName && !c.Exact)
	case Linked:
		return narrow(c.Holds)
	case All:
		for _, part := range c {
			if narrow(part) {
				return true
			}
		}
	case Any:
		for _, part := range c {
			if !narrow(part) {
				return false
			}
		}
		return len(c) > 0
	}
	return false
}
