package scim

import (
	"postern/core"
	"postern/core/directory"
	"postern/scim/resource"
)

// fullGroup is a team with its members, if those are wanted: however many they are, in one query.
func (r *request) fullGroup(team directory.Team, projection resource.Projection) (*resource.Object, error) {
	o, err := r.groupResource(team)
	if err != nil || !projection.Wants("members") {
		return o, err
	}
	members, named := []any{}, projection.Names("members", "display")
	err = r.Directory.EachMember(r.Context(), r.DB, team.Workspace, []core.ID{team.ID}, 0, func(_ int, member directory.Member) error {
		members = append(members, r.memberShown(member, named))
		return nil
	})
	o.Set("members", members)
	return o, err
}

// listMembers is GET /Groups/{id}/members: the members of one group as a list of their own, for groups
// too large to be read as one resource. It takes startIndex, count and cursor like any list. Each
// resource has what a member has in the group: value, $ref, display and type. It goes beyond the RFCs;
// a client finds it here.
func (s *Service) listMembers(r *request) (answer, error) {
	team, err := r.team()
	if err != nil {
		return answer{}, err
	}
	q, err := r.question()
	if err != nil {
		return answer{}, err
	}
	if q.filter != nil || q.sortBy != nil {
		return answer{}, invalidFilter(`the members of a group are listed in the order they came; ask /Users for those that match, with groups.value eq "…"`)
	}
	search, err := r.search(userType, q)
	if err != nil {
		return answer{}, err
	}
	page, err := s.Directory.SearchMembers(r.Context(), s.DB, r.connection.Workspace, team.ID, search)
	if err != nil {
		return answer{}, err
	}
	list := newPage(heads(r, q, page, false))
	for _, member := range page.Rows {
		list.add(r.memberShown(member, true))
	}
	return list.answer(), nil
}
