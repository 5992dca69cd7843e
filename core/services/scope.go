package services

import (
	"regexp"
	"slices"

	"postern/core"
)

// Scope is what a service account may do: one verb on one kind of resource, perhaps on a single one, or on what belongs to it:
// grants/ID:write with an account's id is about the grants of that account.
//
//	scope    = resource ":" verb
//	resource = "*" / kind [ "/" id ]        kind = word      id = a UUID, in lower case
//	verb     = "*" / word                   word = a-z *( [ "-" ] a-z )
type Scope struct {
	Kind string  // "*": every kind
	ID   core.ID // of any kind, as ids are unique; zero: every resource
	Verb string  // "*": every verb
}

// maxScope bounds the text of a scope.
const maxScope = 100

var scopeGrammar = regexp.MustCompile(`^(?:\*|([a-z]+(?:-[a-z]+)*)(?:/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}))?):(\*|[a-z]+(?:-[a-z]+)*)$`)

// ParseScope reads a scope in the one way it is written. Anything else is Invalid on "scopes".
func ParseScope(text string) (Scope, error) {
	parts := scopeGrammar.FindStringSubmatch(text)
	if parts == nil || len(text) > maxScope {
		return Scope{}, core.Invalid("scopes", "a scope is a resource and a verb, such as accounts:read, accounts/0198c7e2-…:read or *:read").WithCode("not_a_scope")
	}
	scope := Scope{Kind: parts[1], Verb: parts[3]}
	if scope.Kind == "" {
		scope.Kind = "*"
	}
	if parts[2] != "" {
		id, err := core.ParseID(parts[2])
		if err != nil || id.IsZero() {
			return Scope{}, core.Invalid("scopes", "a scope names a resource by its id").WithCode("not_a_scope")
		}
		scope.ID = id
	}
	return scope, nil
}

// String is the one way a scope is written.
func (s Scope) String() string {
	text := s.Kind
	if !s.ID.IsZero() {
		text += "/" + s.ID.String()
	}
	return text + ":" + s.Verb
}

// Covers reports whether whoever has the scope may do everything the other one allows.
func (s Scope) Covers(other Scope) bool {
	return (s.Kind == "*" || s.Kind == other.Kind) && (s.ID.IsZero() || s.ID == other.ID) && (s.Verb == "*" || s.Verb == other.Verb)
}

// Allow reports whether one of the scopes, as they are written, covers what is wanted. A text that is no scope
// allows nothing.
func Allow(scopes []string, wanted Scope) bool {
	return slices.ContainsFunc(scopes, func(text string) bool {
		scope, err := ParseScope(text)
		return err == nil && scope.Covers(wanted)
	})
}

// maxScopes is how many scopes one service account may have.
const maxScopes = 50

// checkScopes puts scopes in order, each once and none that another one covers.
func checkScopes(texts []string) ([]string, error) {
	if len(texts) > maxScopes {
		return nil, core.Invalid("scopes", "a service account has %d scopes at most", maxScopes)
	}
	var parsed []Scope
	for _, text := range texts {
		scope, err := ParseScope(text)
		if err != nil {
			return nil, err
		}
		parsed = append(parsed, scope)
	}
	kept := []string{}
	for i, scope := range parsed {
		covered := slices.ContainsFunc(parsed[:i], func(other Scope) bool { return other.Covers(scope) }) ||
			slices.ContainsFunc(parsed[i+1:], func(other Scope) bool { return other != scope && other.Covers(scope) })
		if !covered {
			kept = append(kept, scope.String())
		}
	}
	slices.Sort(kept)
	return kept, nil
}
