package console

import (
	"context"
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/certificates"
	"postern/core/directory"
	"postern/gateway/problem"
)

// recent is how many events a person's page shows.
const recent = 10

// userPage is one person.
type userPage struct {
	directory.User
	Through    string // the connection's name
	Teams      []directory.Team
	Sessions   []shownSession
	Usable     []accounts.Usable // a page of what they can use
	MoreUsable string
	Standing   directory.Standing // what signals left with them
	// Certificates are of their departures and logouts, latest first; Proposals what they had before the last.
	Certificates []certificates.Summary
	Proposals    []accounts.Proposal
	Suspended    []accounts.TeamProposal // teams that count for them no more since then
	Lines        []line
	Self         bool             // the reader's own page
	Confirm      bool             // deprovisioning was asked for, and is to be confirmed
	Roles        []directory.Role // the reader may give them
	Give         directory.Role   // was asked for, and is to be confirmed
	Problem      string           // of the deprovision that was refused
}

// showUser shows administrators one person.
func (s *Service) showUser(c *gin.Context) { s.user(c, http.StatusOK, "") }

func (s *Service) user(c *gin.Context, status int, refusal string) {
	s.about(c, status, "user", "users", func() (string, any, error) {
		page, err := s.loadUser(c)
		page.Problem = refusal
		return page.User.Name(), page, err
	})
}

func (s *Service) loadUser(c *gin.Context) (userPage, error) {
	ctx, by := c.Request.Context(), s.reader(c)
	id, err := pathID(c)
	if err != nil {
		return userPage{}, err
	}
	page := userPage{Self: id == by.user.ID}
	if page.User, err = s.Directory.User(ctx, s.DB, by.workspace(), id); err != nil {
		return userPage{}, err
	}
	page.Confirm = c.Query("deprovision") != "" && !page.Self
	page.Roles = rolesFor(by.user.Role, page.User)
	if role := directory.Role(c.Query("role")); role != page.Role && slices.Contains(page.Roles, role) {
		page.Give = role
	}
	if !page.Connection.IsZero() {
		connection, err := s.Directory.Connection(ctx, s.DB, by.workspace(), page.Connection)
		if err != nil {
			return userPage{}, err
		}
		page.Through = connection.Name
	}
	if page.Teams, err = s.Directory.TeamsOf(ctx, s.DB, by.workspace(), id); err != nil {
		return userPage{}, err
	}
	after, err := queryID(c, "accounts")
	if err != nil {
		return userPage{}, err
	}
	if page.Usable, err = s.Accounts.Usable(ctx, s.DB, by.workspace(), id, accounts.UsableQuery{Limit: pageSize, After: after}); err != nil {
		return userPage{}, err
	}
	if len(page.Usable) == pageSize {
		page.MoreUsable = page.Usable[pageSize-1].ID.String()
	}
	if page.Standing, err = s.Directory.Standing(ctx, s.DB, by.workspace(), id); err != nil {
		return userPage{}, err
	}
	if page.Sessions, err = s.sessionsOf(ctx, by, id); err != nil {
		return userPage{}, err
	}
	if page.Certificates, err = s.Certificates.List(ctx, s.DB, by.workspace(), certificates.Query{User: id, Limit: recent}); err != nil {
		return userPage{}, err
	}
	if page.Proposals, err = s.Accounts.Proposals(ctx, s.DB, by.workspace(), id); err != nil {
		return userPage{}, err
	}
	if page.Suspended, err = s.Accounts.TeamProposals(ctx, s.DB, by.workspace(), id); err != nil {
		return userPage{}, err
	}
	records, err := audit.List(ctx, s.DB, by.workspace(), audit.Query{Target: id, Limit: recent, Descending: true})
	page.Lines = linesOf(records)
	return page, err
}

// rolesFor are what a reader may give somebody; none: nothing. lifecycle.GiveRole decides.
func rolesFor(reader directory.Role, to directory.User) []directory.Role {
	if to.Connection.IsZero() && to.Role == directory.RoleGuest || to.Role.Above(reader) {
		return nil
	}
	all := []directory.Role{directory.RoleOwner, directory.RoleSuperAdmin, directory.RoleAdmin, directory.RoleUser, directory.RoleLoginOnly}
	return slices.DeleteFunc(all, func(role directory.Role) bool { return role.Above(reader) })
}

// giveRole gives a person a role in the workspace.
func (s *Service) giveRole(c *gin.Context) {
	if !s.administrator(c) || !s.readForm(c) {
		return
	}
	id, err := pathID(c)
	if err == nil {
		_, err = s.Lifecycle.GiveRole(c.Request.Context(), s.cause(c), s.reader(c).workspace(), id, directory.Role(c.PostForm("role")))
	}
	s.decided(c, id, err)
}

// deprovision takes everything from a person, whatever the identity provider says.
func (s *Service) deprovision(c *gin.Context) {
	if !s.administrator(c) {
		return
	}
	id, err := pathID(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	_, err = s.Lifecycle.Dismiss(c.Request.Context(), s.cause(c), s.reader(c).workspace(), id)
	s.decided(c, id, err)
}

// reactivate lets a person in again, whatever the identity provider says.
func (s *Service) reactivate(c *gin.Context) {
	if !s.administrator(c) {
		return
	}
	id, err := pathID(c)
	if err == nil {
		_, err = s.Lifecycle.Readmit(c.Request.Context(), s.cause(c), s.reader(c).workspace(), id)
	}
	s.decided(c, id, err)
}

// acceptTeam lets a team count again for a person who is back.
func (s *Service) acceptTeam(c *gin.Context) {
	s.decideTeam(c, s.Lifecycle.AcceptTeam)
}

// declineTeam has a team proposed to somebody no longer.
func (s *Service) declineTeam(c *gin.Context) {
	s.decideTeam(c, func(ctx context.Context, cause core.Cause, workspace, user, team core.ID) error {
		return s.DB.Tx(ctx, func(tx pgx.Tx) error {
			return s.Accounts.DeclineTeamProposal(ctx, tx, cause, workspace, user, team)
		})
	})
}

func (s *Service) decideTeam(c *gin.Context, decide func(ctx context.Context, cause core.Cause, workspace, user, team core.ID) error) {
	if !s.administrator(c) {
		return
	}
	id, err := pathID(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	team, err := core.ParseID(c.Param("team"))
	if err != nil {
		s.refuse(c, core.NotFound("proposal"))
		return
	}
	s.decided(c, id, decide(c.Request.Context(), s.cause(c), s.reader(c).workspace(), id, team))
}

// decided shows the page of the person something was decided about, with why it was refused.
func (s *Service) decided(c *gin.Context, user core.ID, err error) {
	if err == nil {
		s.wake()
		c.Redirect(http.StatusSeeOther, "/users/"+user.String())
		return
	}
	if classified := problem.Classify(err); classified.Kind == core.KindDenied {
		_ = c.Error(err)
		s.user(c, http.StatusForbidden, classified.Message)
		return
	}
	s.refuse(c, err)
}

// lift lets a person have passwords again whom signals restricted.
func (s *Service) lift(c *gin.Context) {
	if !s.administrator(c) {
		return
	}
	id, err := pathID(c)
	if err == nil {
		err = s.Signals.LiftRestriction(c.Request.Context(), s.cause(c), s.reader(c).workspace(), id)
	}
	if err != nil {
		s.refuse(c, err)
		return
	}
	s.wake()
	c.Redirect(http.StatusSeeOther, "/users/"+id.String())
}
