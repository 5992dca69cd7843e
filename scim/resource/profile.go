package resource

import (
	"postern/core"
	"postern/scim/filter"
)

// The names of the profiles.
const (
	Okta    = "okta"
	Entra   = "entra"
	Generic = "generic"
	Strict  = "strict"
)

// Profile is how the sender of a request may depart from the RFCs. Everything else that real identity
// providers send cannot be mistaken for anything else, and needs no profile unless it is Strict.
type Profile struct {
	// Name is the profile's, for whoever asks later how a request was read. See Named.
	Name string
	// Guessed says that nobody chose the profile: what stands in a body may still tell whose it is.
	Guessed bool
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

// Named is the profile's name, given what the body of the request told of its sender by now.
func (p Profile) Named() string {
	if p.Guessed && p.Rules != nil && p.Rules.maker != "" {
		return p.Rules.maker
	}
	return p.Name
}

func (p Profile) replaceCreates() bool {
	return p.ReplaceCreates || p.Guessed && p.Rules != nil && p.Rules.maker == Entra
}

// Departs notes that a rule was needed to read the field, or refuses it when the profile is strict.
func (p Profile) Departs(rule Rule, field string) error { return p.departs(rule, field, "") }

// departs refuses with another scimType than the rule's own, unless code is empty.
func (p Profile) departs(rule Rule, field, code string) error {
	if p.Strict {
		return refusal(rule, field, code)
	}
	p.Rules.Fire(rule)
	return nil
}

// ParseFilter reads a filter, with the liberties the profile takes.
func (p Profile) ParseFilter(text string) (filter.Expression, error) {
	e, err := filter.Parse(text, filter.Options{})
	if err != nil && p.BareValues {
		if e, err = filter.Parse(text, filter.Options{BareValues: true}); err == nil {
			p.Rules.Fire(RuleBareValue)
		}
	}
	if err != nil {
		return nil, core.Invalid("filter", "%s", err.Error()).WithCode("invalidFilter")
	}
	return e, nil
}

// parsePath reads a path in the same way.
func (p Profile) parsePath(text string) (filter.Path, error) {
	path, err := filter.ParsePath(text, filter.Options{})
	if err != nil && p.BareValues {
		if path, err = filter.ParsePath(text, filter.Options{BareValues: true}); err == nil {
			p.Rules.Fire(RuleBareValue)
		}
	}
	if err != nil {
		return filter.Path{}, core.Invalid("path", "%s", err.Error()).WithCode("invalidPath")
	}
	return path, nil
}
