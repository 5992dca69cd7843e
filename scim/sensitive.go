package scim

import (
	"net/http"
	"slices"
	"strings"

	scimerrors "github.com/elimity-com/scim/errors"

	"postern/scim/filter"
)

// sensitive refuses a filter in the address that asks for a secret: an address is logged by whatever
// lies between (RFC 7644, section 7.5.2). Names and e-mail addresses of people may stand there, since
// Okta and Entra ID look everybody up that way; whoever would rather not sends POST /.search. The
// gateway itself logs no query.
func (r *request) sensitive() error {
	if r.reading() != http.MethodGet || !asksForSecret(r.parameters.Get("filter")) {
		return nil
	}
	return scimerrors.ScimError{
		Status: http.StatusForbidden, ScimType: scimerrors.ScimTypeSensitive,
		Detail: "an address is no place for a secret, and no secret is kept here that could be asked for",
	}
}

// asksForSecret reports whether a filter asks for an attribute whose name tells of a secret.
func asksForSecret(text string) bool {
	if !tellsOfSecret(text) {
		return false
	}
	names := strings.FieldsFunc(withoutLiterals(text), func(c rune) bool { return strings.ContainsRune(" ()[]", c) })
	if e, err := filter.Parse(text, filter.Options{BareValues: true}); err == nil {
		names = namesIn(e, nil)
	}
	return slices.ContainsFunc(names, tellsOfSecret)
}

// namesIn are the attributes a filter asks about.
func namesIn(e filter.Expression, names []string) []string {
	switch e := e.(type) {
	case filter.And:
		for _, part := range e {
			names = namesIn(part, names)
		}
	case filter.Or:
		for _, part := range e {
			names = namesIn(part, names)
		}
	case filter.Not:
		return namesIn(e.Inner, names)
	case filter.Has:
		return namesIn(e.Path.Filter, append(names, e.Path.Name, e.Path.Sub))
	case filter.Comparison:
		return append(names, e.Path.Name, e.Path.Sub)
	}
	return names
}
