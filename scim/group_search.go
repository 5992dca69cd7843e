package scim

import (
	"slices"
	"strings"

	"postern/core"
	"postern/core/directory"
	"postern/scim/filter"
)

// groupSearch is a filter as the directory can answer it.
type groupSearch struct {
	query      directory.TeamQuery
	id         core.ID
	impossible bool
}

// groupSearch compiles the filter: id, displayName, externalId and a member, each once, joined by and.
func (r *request) groupSearch() (groupSearch, error) {
	e, err := r.parseFilter()
	if err != nil {
		return groupSearch{}, err
	}
	search := groupSearch{query: directory.TeamQuery{Connection: r.connection.ID}}
	for _, part := range conditions(e) {
		attribute, value, ok := equality(groupType, part)
		if has, isPath := part.(filter.Has); isPath {
			attribute, value, ok = memberInside(has)
		}
		search.impossible = search.impossible || value == ""
		switch {
		case ok && attribute == "id" && search.id.IsZero():
			if search.id, err = core.ParseID(value); err != nil {
				search.impossible = true
			}
		case ok && attribute == "displayName" && search.query.DisplayName == "":
			search.query.DisplayName = value
		case ok && attribute == "externalId" && search.query.ExternalID == "":
			search.query.ExternalID = value
		case ok && attribute == "members" && search.query.Member.IsZero():
			if search.query.Member, err = core.ParseID(value); err != nil {
				search.impossible = true
			}
		default:
			return groupSearch{}, core.Invalid("filter",
				"id, displayName, externalId and members can be compared with eq, each once, joined by and").WithCode("invalidFilter")
		}
	}
	return search, nil
}

func memberInside(e filter.Has) (attribute, value string, ok bool) {
	attribute, _, ok = groupType.Locate(filter.Path{URN: e.Path.URN, Name: e.Path.Name})
	c, isComparison := e.Path.Filter.(filter.Comparison)
	if !ok || attribute != "members" || !isComparison || c.Operator != filter.Equal || !c.Path.Is("value") {
		return "", "", false
	}
	return attribute, c.Value.Text, true
}

// searchGroups finds a page of the groups that match, and how many match in all.
func (r *request) searchGroups(search groupSearch, p page) ([]directory.Team, int, error) {
	if search.impossible {
		return nil, 0, nil
	}
	if search.id.IsZero() {
		search.query.Offset, search.query.Limit = p.offset(), p.limit()
		return r.Directory.Teams(r.Context(), r.DB, r.connection.Workspace, search.query)
	}
	team, err := r.ownTeam(search.id)
	if core.KindOf(err) == core.KindNotFound {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	if !search.query.Member.IsZero() {
		teams, err := r.Directory.TeamsOf(r.Context(), r.DB, r.connection.Workspace, search.query.Member)
		if err != nil || !slices.ContainsFunc(teams, func(one directory.Team) bool { return one.ID == team.ID }) {
			return nil, 0, err
		}
	}
	name, external := search.query.DisplayName, search.query.ExternalID
	if name != "" && !strings.EqualFold(name, team.DisplayName) || external != "" && external != team.ExternalID {
		return nil, 0, nil
	}
	return window([]directory.Team{team}, p), 1, nil
}
