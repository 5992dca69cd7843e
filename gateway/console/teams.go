package console

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
)

// team is one of the list.
type team struct {
	directory.Team
	Through string // the connection's name
}

// teamsPage is a part of the workspace's teams.
type teamsPage struct {
	Teams []team
	Query string
	Next  string
}

// listTeams shows administrators the teams, in the order of their names.
func (s *Service) listTeams(c *gin.Context) {
	if !s.administrator(c) {
		return
	}
	ctx, workspace := c.Request.Context(), s.reader(c).workspace()
	after, err := queryID(c, "after")
	if err != nil {
		s.refuse(c, err)
		return
	}
	page := teamsPage{Query: strings.TrimSpace(c.Query("q"))}
	found, err := s.Directory.NamedTeams(ctx, s.DB, workspace, directory.NamedQuery{Search: page.Query, After: after, Limit: pageSize})
	if err != nil {
		s.refuse(c, err)
		return
	}
	names, err := s.connectionNames(ctx, workspace)
	if err != nil {
		s.refuse(c, err)
		return
	}
	for _, one := range found {
		page.Teams = append(page.Teams, team{one, names[one.Connection]})
	}
	if len(found) == pageSize {
		next := url.Values{"after": {found[pageSize-1].ID.String()}}
		if page.Query != "" {
			next.Set("q", page.Query)
		}
		page.Next = "/teams?" + next.Encode()
	}
	s.show(c, http.StatusOK, "teams", "Teams", "users", page)
}

// teamPage is one team: who is in it, and what it is given.
type teamPage struct {
	team
	Members      []directory.Member
	MoreMembers  core.ID
	Accounts     []accounts.Account
	MoreAccounts core.ID
}

// showTeam shows administrators one team.
func (s *Service) showTeam(c *gin.Context) {
	if !s.administrator(c) {
		return
	}
	page, err := s.loadTeam(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	s.show(c, http.StatusOK, "team", page.DisplayName, "users", page)
}

func (s *Service) loadTeam(c *gin.Context) (teamPage, error) {
	ctx, workspace := c.Request.Context(), s.reader(c).workspace()
	id, err := pathID(c)
	if err != nil {
		return teamPage{}, err
	}
	members, err := queryID(c, "members")
	if err != nil {
		return teamPage{}, err
	}
	given, err := queryID(c, "accounts")
	if err != nil {
		return teamPage{}, err
	}
	var page teamPage
	if page.Team, err = s.Directory.Team(ctx, s.DB, workspace, id); err != nil {
		return page, err
	}
	names, err := s.connectionNames(ctx, workspace)
	if err != nil {
		return page, err
	}
	page.Through = names[page.Connection]
	if page.Members, err = s.Directory.MembersBehind(ctx, s.DB, workspace, id, members, pageSize); err != nil {
		return page, err
	}
	if len(page.Members) == pageSize {
		page.MoreMembers = page.Members[pageSize-1].User
	}
	if page.Accounts, err = s.Accounts.GivenTo(ctx, s.DB, workspace, id, given, pageSize); err != nil {
		return page, err
	}
	if len(page.Accounts) == pageSize {
		page.MoreAccounts = page.Accounts[pageSize-1].ID
	}
	return page, nil
}
