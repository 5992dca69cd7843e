package scim

import (
	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/scim/resource"
)

// listUsers is GET /Users: a page of the connection's users.
func (s *Service) listUsers(r *request) (answer, error) {
	if r.sight != nil {
		return r.listSeen()
	}
	q, err := r.question()
	if err != nil {
		return answer{}, err
	}
	search, err := r.search(userType, q)
	if err != nil {
		return answer{}, err
	}
	page, err := s.Directory.SearchUsers(r.Context(), r.connection.Workspace, search)
	if err != nil {
		return answer{}, err
	}
	projection := r.projection(userType)
	shown, err := r.usersShown(page.Rows, projection)
	if err != nil {
		return answer{}, err
	}
	list := newPage(heads(r, q, page, counted(search.Where)))
	for _, o := range shown {
		list.add(projection.Apply(o))
	}
	return list.answer(), nil
}

// usersShown are users with the groups they are in, if those are wanted: of all of them in one query.
func (r *request) usersShown(users []directory.User, projection resource.Projection) ([]*resource.Object, error) {
	var groups map[core.ID][]directory.TeamName
	if r.sight != nil && len(users) > 0 {
		groups = map[core.ID][]directory.TeamName{users[0].ID: r.sight.Teams}
	} else if projection.Wants("groups") && len(users) > 0 {
		ids := make([]core.ID, len(users))
		for i, user := range users {
			ids[i] = user.ID
		}
		var err error
		groups, err = r.Directory.TeamNames(r.Context(), r.DB, r.connection.Workspace, r.connection.ID, ids)
		if err != nil {
			return nil, err
		}
	}
	held, err := r.heldByEach(users)
	if err != nil {
		return nil, err
	}
	shown := make([]*resource.Object, len(users))
	for i, user := range users {
		o, err := r.userResource(user)
		if err != nil {
			return nil, err
		}
		if projection.Wants("groups") {
			r.showGroups(o, groups[user.ID])
		}
		if held != nil {
			showHeld(o, held[user.ID])
		}
		shown[i] = o
	}
	return shown, nil
}

// heldByEach is what each of several users holds, in one query; nil if the connection does not grant.
func (r *request) heldByEach(users []directory.User) (map[core.ID][]accounts.Held, error) {
	if !r.grants() {
		return nil, nil
	}
	ids := make([]core.ID, len(users))
	for i, user := range users {
		ids[i] = user.ID
	}
	all, err := r.Accounts.Held(r.Context(), r.DB, r.connection.Workspace, ids...)
	held := make(map[core.ID][]accounts.Held, len(users))
	for _, one := range all {
		held[one.User] = append(held[one.User], one)
	}
	return held, err
}

// showGroups puts the groups a user is in into the resource.
func (r *request) showGroups(o *resource.Object, teams []directory.TeamName) {
	groups := make([]any, 0, len(teams))
	for _, team := range teams {
		if team.Connection == r.connection.ID {
			groups = append(groups, resource.NewObject("value", team.ID.String(), "$ref", r.location(groupType, team.ID), "display", team.DisplayName, "type", "direct"))
		}
	}
	o.Set("groups", groups)
}
