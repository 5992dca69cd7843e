package scim

import (
	"net/http"
	"strings"
	"unicode/utf8"

	"postern/core"
	"postern/core/directory"
)

// longestLookup bounds what is looked up, in bytes. What is longer is a search like any other.
const longestLookup = 1000

// sought is the user a request is about, if its address says so: GET of one user, or of those with one
// userName, externalId or id. Such a user is read on the way, with the token. A filter that says the
// same in other words, or more, is left to those who read filters.
func (r *request) sought(method string) (directory.Sought, bool) {
	if method != http.MethodGet {
		return directory.Sought{}, false
	}
	sought, found := directory.Sought{}, false
	switch r.address {
	case "/Users/{id}":
		id, err := core.ParseID(r.id)
		sought.ID, found = id, err == nil
	case "/Users":
		sought, found = r.lookup()
	}
	if found {
		sought.Teams = r.projection(userType).Wants("groups")
	}
	return sought, found
}

// lookup reads a list's parameters, if they ask for the first page of those with one name.
func (r *request) lookup() (directory.Sought, bool) {
	for name, values := range r.parameters {
		switch name {
		case "filter", "attributes", "excludedAttributes":
		case "startIndex":
			if values[0] != "1" {
				return directory.Sought{}, false
			}
		case "count":
			if text := values[0]; len(text) == 0 || len(text) > 4 || text[0] < '1' || text[0] > '9' || strings.Trim(text, "0123456789") != "" {
				return directory.Sought{}, false
			}
		case "sortBy", "sortOrder", "cursor":
			return directory.Sought{}, false
		}
	}
	name, value, found := equality(r.parameters.Get("filter"))
	if !found {
		return directory.Sought{}, false
	}
	switch {
	case strings.EqualFold(name, "userName"):
		return directory.Sought{UserName: value}, true
	case strings.EqualFold(name, "externalId"):
		return directory.Sought{ExternalID: value}, true
	case strings.EqualFold(name, "id"):
		id, err := core.ParseID(value)
		return directory.Sought{ID: id}, err == nil && !id.IsZero() && id.String() == value
	}
	return directory.Sought{}, false
}

// equality takes a filter of the form name eq "value" apart, where the value holds nothing that would
// have to be read otherwise than as it stands.
func equality(text string) (name, value string, found bool) {
	name, rest, found := strings.Cut(text, " ")
	if !found || len(text) > longestLookup || len(rest) < 6 || !strings.EqualFold(rest[:3], "eq ") || rest[3] != '"' || rest[len(rest)-1] != '"' {
		return "", "", false
	}
	value = rest[4 : len(rest)-1]
	plain := func(one rune) bool { return one >= ' ' && one != '"' && one != '\\' && one != utf8.RuneError }
	return name, value, strings.IndexFunc(value, func(one rune) bool { return !plain(one) }) < 0
}

// listSeen is GET /Users for somebody who was looked up with the token.
func (r *request) listSeen() (answer, error) {
	var users []directory.User
	if r.sight.User != nil {
		users = append(users, *r.sight.User)
	}
	projection := r.projection(userType)
	shown, err := r.usersShown(users, projection)
	if err != nil {
		return answer{}, err
	}
	list := newPage(heading{total: len(users), start: 1, shown: len(users)})
	for _, o := range shown {
		list.add(projection.Apply(o))
	}
	return list.answer(), nil
}
