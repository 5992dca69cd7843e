package console

import (
	"context"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/gateway/problem"
)

// manager stands for the manager of whoever goes.
const manager = "@manager"

// successionPage is an account's list, or the workspace's.
type successionPage struct {
	Account *accounts.Account // nil: the workspace's
	Text    string            // a line for each
	Admin   bool              // the reader may see the workspace's
	Problem string
}

// succession is the account in the path, none for the workspace's list: its owners and administrators
// may see it.
func (s *Service) succession(c *gin.Context) (*accounts.Account, core.ID, error) {
	ctx, by := c.Request.Context(), s.reader(c)
	if c.Param("id") == "" {
		if !by.admin() {
			return nil, core.ID{}, core.Denied("only administrators see this")
		}
		return nil, core.ID{}, nil
	}
	id, err := pathID(c)
	if err != nil {
		return nil, core.ID{}, err
	}
	role, err := s.may(ctx, by, id)
	if err != nil {
		return nil, core.ID{}, err
	}
	if role != accounts.Owner && !by.admin() {
		return nil, core.ID{}, core.Denied("only an owner of the account or an administrator may do this")
	}
	found, err := s.Accounts.Account(ctx, s.DB, by.workspace(), id)
	return &found, id, err
}

// showSuccession shows who accounts pass to.
func (s *Service) showSuccession(c *gin.Context) {
	account, id, err := s.succession(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	list, err := s.Accounts.Succession(c.Request.Context(), s.DB, s.reader(c).workspace(), id)
	if err != nil {
		s.refuse(c, err)
		return
	}
	var lines []string
	for _, one := range list {
		line := one.Name
		switch {
		case one.Manager:
			line = manager
		case !one.User.IsZero():
			user, err := s.Directory.User(c.Request.Context(), s.DB, s.reader(c).workspace(), one.User)
			if core.KindOf(err) == core.KindNotFound {
				continue // deleted since: saving leaves them out
			}
			if err != nil {
				s.refuse(c, err)
				return
			}
			line = user.UserName
		}
		lines = append(lines, line)
	}
	s.show(c, http.StatusOK, "succession", "Succession", section(account), successionPage{Account: account, Text: strings.Join(lines, "\n"), Admin: s.reader(c).admin()})
}

func section(account *accounts.Account) string {
	if account == nil {
		return "users"
	}
	return "accounts"
}

// changeSuccession replaces the list.
func (s *Service) changeSuccession(c *gin.Context) {
	if !s.readForm(c) {
		return
	}
	account, id, err := s.succession(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	ctx, by := c.Request.Context(), s.reader(c)
	err = s.DB.Tx(ctx, func(tx pgx.Tx) error {
		list, err := s.successors(ctx, tx, by.workspace(), c.PostForm("successors"))
		if err != nil {
			return err
		}
		return s.Lifecycle.SetSuccession(ctx, tx, s.cause(c), by.workspace(), id, list)
	})
	if err == nil {
		s.wake()
		c.Redirect(http.StatusSeeOther, c.Request.URL.Path)
		return
	}
	classified := problem.Classify(err)
	if classified.Kind != core.KindInvalid {
		s.refuse(c, err)
		return
	}
	_ = c.Error(err)
	page := successionPage{Account: account, Text: c.PostForm("successors"), Admin: by.admin(), Problem: classified.Message}
	s.show(c, problem.Status(classified.Kind), "succession", "Succession", section(account), page)
}

// successors reads a list as a person writes it.
func (s *Service) successors(ctx context.Context, tx pgx.Tx, workspace core.ID, text string) ([]accounts.Successor, error) {
	var list []accounts.Successor
	for line := range strings.Lines(text) {
		name := strings.TrimSpace(line)
		switch {
		case len(list) > accounts.MaxSuccessors:
			return list, nil // refused for its length
		case name == "":
			continue
		case name == manager:
			list = append(list, accounts.Successor{Manager: true})
			continue
		}
		subject, err := s.named(ctx, tx, workspace, name)
		if err != nil {
			return nil, err
		}
		list = append(list, accounts.Successor{User: subject.User, Team: subject.Team})
	}
	return list, nil
}
