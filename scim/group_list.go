package scim

import (
	"postern/core"
	"postern/core/directory"
	"postern/scim/resource"
)

// maxMembersListed bounds the members of all groups on one page together. A page of larger groups is
// shorter than was asked for, but always has a group; its itemsPerPage says how many it has.
const maxMembersListed = 20_000

// listGroups is GET /Groups: a page of the connection's groups, without their members if the client
// leaves those out.
func (s *Service) listGroups(r *request) (answer, error) {
	q, err := r.question()
	if err != nil {
		return answer{}, err
	}
	search, err := r.search(groupType, q)
	if err != nil {
		return answer{}, err
	}
	page, err := s.Directory.SearchTeams(r.Context(), r.connection.Workspace, search)
	if err != nil {
		return answer{}, err
	}
	projection := r.projection(groupType)
	shown, err := groupsShown(r, &page, q, projection, func(team directory.Team) *directory.Team { return &team })
	if err != nil {
		return answer{}, err
	}
	list := newPage(heads(r, q, page, counted(search.Where)))
	for _, o := range shown {
		list.add(projection.Apply(o))
	}
	return list.answer(), nil
}

// groupsShown are the groups among the rows of a page, by their place in it, with their members, if
// those are wanted: of all of them in one query. It shortens a page whose groups have too many.
func groupsShown[Row any](r *request, page *directory.Page[Row], q *question, projection resource.Projection, team func(Row) *directory.Team) ([]*resource.Object, error) {
	members := map[core.ID][]any{}
	if projection.Wants("members") {
		if err := membersListed(r, page, q, projection, members, team); err != nil {
			return nil, err
		}
	}
	shown := make([]*resource.Object, len(page.Rows))
	for i, row := range page.Rows {
		one := team(row)
		if one == nil {
			continue
		}
		o, err := r.groupResource(*one)
		if err != nil {
			return nil, err
		}
		if projection.Wants("members") {
			o.Set("members", members[one.ID])
		}
		shown[i] = o
	}
	return shown, nil
}

func membersListed[Row any](r *request, page *directory.Page[Row], q *question, projection resource.Projection, members map[core.ID][]any, team func(Row) *directory.Team) error {
	backward := q.cursor != nil && q.cursor.backward
	var teams []core.ID
	var rows []int // of the page
	for i, row := range page.Rows {
		if one := team(row); one != nil {
			teams, rows = append(teams, one.ID), append(rows, i)
		}
	}
	listed, last, named := 0, 0, projection.Names("members", "display")
	read := func(teams []core.ID, limit int) error {
		return r.Directory.EachMember(r.Context(), r.DB, r.connection.Workspace, teams, limit, func(number int, member directory.Member) error {
			listed, last = listed+1, number
			members[teams[number]] = append(members[teams[number]], r.memberShown(member, named))
			return nil
		})
	}
	if backward { // the rows nearest to the cursor are the ones to keep
		for i, j := 0, len(teams)-1; i < j; i, j = i+1, j-1 {
			teams[i], teams[j], rows[i], rows[j] = teams[j], teams[i], rows[j], rows[i]
		}
	}
	if err := read(teams, maxMembersListed+1); err != nil || listed <= maxMembersListed {
		return err
	}
	// The last group read may have members that were not.
	if last == 0 {
		clear(members)
		if err := read(teams[:1], 0); err != nil {
			return err
		}
		last = 1
	}
	if last >= len(rows) {
		return nil
	}
	cut := rows[last]
	page.More = true
	if backward {
		page.Rows, page.At = page.Rows[cut+1:], page.At[cut+1:]
	} else {
		page.Rows, page.At = page.Rows[:cut], page.At[:cut]
	}
	return nil
}

// memberShown is a member as a group shows it: with their name only if that was asked for. RFC 7643,
// section 8.7.1, gives a member none, and clients compare what they sent with what they get.
func (r *request) memberShown(member directory.Member, named bool) *resource.Object {
	o := resource.NewObject("value", member.User.String(), "$ref", r.location(userType, member.User), "type", userType.Name)
	if named {
		o.Set("display", member.Target().Name)
	}
	return o
}
