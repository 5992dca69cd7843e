package scim

import (
	"strings"

	"postern/core"
	"postern/core/directory"
	"postern/scim/filter"
	"postern/scim/resource"
)

// parseFilter reads the filter parameter; nil when there is none.
func (r *request) parseFilter() (filter.Expression, error) {
	text := r.parameters.Get("filter")
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	e, err := filter.Parse(text, filter.Options{BareValues: r.profile.BareValues})
	if err != nil {
		return nil, core.Invalid("filter", "%s", err.Error()).WithCode("invalidFilter")
	}
	return e, nil
}

// conditions are the parts of a filter that all have to hold.
func conditions(e filter.Expression) []filter.Expression {
	switch e := e.(type) {
	case nil:
		return nil
	case filter.And:
		var parts []filter.Expression
		for _, part := range e {
			parts = append(parts, conditions(part)...)
		}
		return parts
	}
	return []filter.Expression{e}
}

// equality is a condition of the form attribute eq value, with the attribute by its proper name.
func equality(kind *resource.Type, e filter.Expression) (attribute, value string, ok bool) {
	c, isComparison := e.(filter.Comparison)
	if !isComparison || c.Operator != filter.Equal || c.Value.Kind == filter.Null {
		return "", "", false
	}
	attribute, sub, ok := kind.Locate(c.Path)
	if !ok {
		return "", "", false
	}
	if sub != "" && sub != "value" {
		return "", "", false
	}
	return attribute, c.Value.Text, true
}

// userSearch is a filter as the directory can answer it. narrow says that the query finds a handful
// at most, among which the whole filter is then decided; impossible, that nobody can match.
type userSearch struct {
	query      directory.UserQuery
	id         string
	whole      filter.Expression
	narrow     bool
	impossible bool
}

// userSearch compiles the filter. An attribute that leads to few users carries any other condition
// with it; without one, only active can be asked for.
func (r *request) userSearch() (userSearch, error) {
	e, err := r.parseFilter()
	if err != nil {
		return userSearch{}, err
	}
	search := userSearch{query: directory.UserQuery{Connection: r.connection.ID}, whole: e}
	others := false
	for _, part := range conditions(e) {
		attribute, value, ok := equality(userType, part)
		if has, isPath := part.(filter.Has); isPath {
			attribute, value, ok = equalityInside(has)
		}
		switch {
		case !ok:
			others = true
		case attribute == "id":
			search.id, search.narrow = value, true
		case attribute == "userName":
			search.query.UserName, search.narrow = value, true
		case attribute == "externalId":
			search.query.ExternalID, search.narrow = value, true
		case attribute == "emails":
			search.query.Email, search.narrow = value, true
		case attribute == "active" && search.query.Active == nil && truth(value) != nil:
			search.query.Active = truth(value)
			continue
		default:
			others = true
			continue
		}
		if ok && value == "" { // an empty value would not narrow the query
			search.impossible = true
		}
	}
	if others && !search.narrow {
		return userSearch{}, core.Invalid("filter",
			"one of id, userName, externalId, emails.value and active has to be compared with eq, on the outermost level or beside and").WithCode("invalidFilter")
	}
	if search.narrow {
		search.query.Active = nil // decided with the whole filter
	}
	return search, nil
}

// equalityInside finds the value an element of emails has to have: emails[type eq "work" and value eq "x"].
func equalityInside(e filter.Has) (attribute, value string, ok bool) {
	attribute, _, ok = userType.Locate(filter.Path{URN: e.Path.URN, Name: e.Path.Name})
	if !ok || attribute != "emails" {
		return "", "", false
	}
	for _, part := range conditions(e.Path.Filter) {
		c, isComparison := part.(filter.Comparison)
		if isComparison && c.Operator == filter.Equal && c.Path.Is("value") && c.Value.Kind != filter.Null {
			return attribute, c.Value.Text, true
		}
	}
	return "", "", false
}

func truth(text string) *bool {
	switch strings.ToLower(text) {
	case "true":
		return new(true)
	case "false":
		return new(false)
	}
	return nil
}

// searchUsers finds a page of the users that match, and how many match in all.
func (r *request) searchUsers(search userSearch, p page) ([]directory.User, int, error) {
	workspace := r.connection.Workspace
	if search.impossible {
		return nil, 0, nil
	}
	if !search.narrow {
		search.query.Offset, search.query.Limit = p.offset(), p.limit()
		return r.Directory.Users(r.Context(), r.DB, workspace, search.query)
	}
	candidates, err := r.candidates(search)
	if err != nil {
		return nil, 0, err
	}
	matched := candidates[:0]
	for _, user := range candidates {
		o, err := r.userResource(user)
		if err != nil {
			return nil, 0, err
		}
		if userType.Matches(search.whole, o) {
			matched = append(matched, user)
		}
	}
	return window(matched, p), len(matched), nil
}

func (r *request) candidates(search userSearch) ([]directory.User, error) {
	workspace := r.connection.Workspace
	if search.id != "" {
		id, err := core.ParseID(search.id)
		var user directory.User
		if err == nil {
			user, err = r.Directory.User(r.Context(), r.DB, workspace, id)
		}
		if err == nil {
			err = r.own(user)
		}
		if kind := core.KindOf(err); err != nil && (kind == core.KindNotFound || kind == core.KindInvalid) {
			return nil, nil //nolint:nilerr // an id that is nobody's, or none at all, matches nothing
		}
		return []directory.User{user}, err
	}
	search.query.Limit = maxResults
	users, total, err := r.Directory.Users(r.Context(), r.DB, workspace, search.query)
	if err == nil && total > len(users) {
		return nil, core.Invalid("filter", "more than %d match; ask more narrowly", maxResults).WithCode("tooMany")
	}
	return users, err
}
