package scim

import (
	"postern/core/directory"
	"postern/scim/resource"
)

// listAll is GET on the endpoint itself: users and groups together, in one order (RFC 7644, section
// 3.4.2.1). What a filter asks of an attribute that only one of the two has, the other has not.
func (s *Service) listAll(r *request) (answer, error) {
	q, err := r.question()
	if err != nil {
		return answer{}, err
	}
	users, err := r.searchEither(userType, q)
	if err != nil {
		return answer{}, err
	}
	teams, err := r.searchEither(groupType, q)
	if err != nil {
		return answer{}, err
	}
	alike(&users.Order, &teams.Order)
	page, err := s.Directory.SearchAll(r.Context(), r.connection.Workspace, users, teams)
	if err != nil {
		return answer{}, err
	}
	people, groups := r.projection(userType), r.projection(groupType)
	shown, err := groupsShown(r, &page, q, groups, func(found directory.Found) *directory.Team { return found.Team })
	if err != nil {
		return answer{}, err
	}
	list := newPage(heads(r, q, page, counted(users.Where) && counted(teams.Where)))
	var found []directory.User
	for _, row := range page.Rows {
		if row.User != nil {
			found = append(found, *row.User)
		}
	}
	persons, err := r.usersShown(found, people)
	if err != nil {
		return answer{}, err
	}
	for i := range page.Rows {
		if o := shown[i]; o != nil {
			list.add(groups.Apply(o))
			continue
		}
		list.add(people.Apply(persons[0]))
		persons = persons[1:]
	}
	return list.answer(), nil
}

// searchEither is the question to one kind of resource among two: an attribute it does not have is
// absent, whatever the profile.
func (r *request) searchEither(kind *resource.Type, q *question) (directory.Search, error) {
	if r.profile.Strict && q.filter != nil {
		if _, err := r.condition(userType, q.filter, true); err != nil {
			if _, wrong := r.condition(groupType, q.filter, true); wrong != nil {
				return directory.Search{}, err
			}
		}
	}
	return r.searchAs(kind, q, false)
}

// alike makes two orders comparable: what one kind has as a column that the other has not, the other
// lacks in the same type.
func alike(a, b *directory.Order) {
	for _, pair := range [][2]*directory.Order{{a, b}, {b, a}} {
		switch one, other := pair[0], pair[1]; {
		case one.By == directory.FieldActive || one.By == directory.FieldUserName:
			*other = *one
		case one.Numeric:
			other.Numeric = true
		case other.By == "" && len(other.Path) == 0 && one.By != directory.FieldCreated:
			other.Path, other.Descending = one.Path, one.Descending
		}
	}
}
