package console

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/gateway/problem"
)

// scriptHeader is what our own script sends with a request for a password. No form and no other
// site's page can send it without being asked first, on top of what oidc.Require refuses.
const scriptHeader = "X-Postern-Console"

// fill hands the reader the account's password to be typed into the app.
func (s *Service) fill(c *gin.Context) { s.expose(c, s.Accounts.Fill) }

// reveal shows an owner the password.
func (s *Service) reveal(c *gin.Context) { s.expose(c, s.Accounts.Reveal) }

func (s *Service) expose(c *gin.Context, how func(context.Context, core.Cause, core.ID, core.ID, core.ID) (string, seal.Secret, error)) {
	if c.GetHeader(scriptHeader) == "" {
		problem.Write(c, core.Denied("passwords are handed out by the console's own page only"))
		return
	}
	id, err := pathID(c)
	if err != nil {
		problem.Write(c, err)
		return
	}
	by := s.reader(c)
	username, password, err := how(c.Request.Context(), s.cause(c), by.workspace(), by.user.ID, id)
	if err != nil {
		problem.Write(c, err)
		return
	}
	s.wake()
	c.Header("Cache-Control", "no-store")
	c.JSON(http.StatusOK, gin.H{"username": username, "password": password.Reveal()})
}

// rotate asks for a new password now.
func (s *Service) rotate(c *gin.Context) {
	s.act(c, func(ctx context.Context, tx pgx.Tx, by reader, account core.ID) error {
		if !by.admin() {
			role, err := s.Accounts.MayUse(ctx, tx, by.workspace(), by.user.ID, account)
			if err != nil {
				return err
			}
			if role != accounts.Owner {
				return core.Denied("only an owner of the account or an administrator may do this")
			}
		}
		_, err := s.Rotations.Plan(ctx, tx, s.cause(c), by.workspace(), account, rotation.ReasonManual, 0)
		return err
	})
}

// share gives a user or team, named by a person, a role on the account.
func (s *Service) share(c *gin.Context) {
	if !s.readForm(c) {
		return
	}
	s.act(c, func(ctx context.Context, tx pgx.Tx, by reader, account core.ID) error {
		subject, err := s.named(ctx, tx, by.workspace(), strings.TrimSpace(c.PostForm("subject")))
		if err != nil {
			return err
		}
		var expires *time.Time
		if days := c.PostForm("days"); days != "" {
			lasting, ok := map[string]time.Duration{"1": 24 * time.Hour, "7": 7 * 24 * time.Hour, "30": 30 * 24 * time.Hour}[days]
			if !ok {
				return core.Invalid("days", "access lasts for good, or 1, 7 or 30 days")
			}
			expires = new(s.now().Add(lasting))
		}
		_, err = s.Lifecycle.Share(ctx, tx, s.cause(c), by.workspace(), account, accounts.Sharing{
			Subject: subject, Role: accounts.Role(c.PostForm("role")), Expires: expires, Purpose: c.PostForm("purpose"),
		})
		return err
	})
}

// named finds the user or team of a name: a user name or a team's, which may exist once per identity
// provider, or an e-mail address. What several have is refused: access is not given to whom it may not
// be meant.
func (s *Service) named(ctx context.Context, tx pgx.Tx, workspace core.ID, name string) (accounts.Subject, error) {
	if name == "" {
		return accounts.Subject{}, core.Invalid("subject", "name a user or a team")
	}
	for _, query := range []directory.UserQuery{{UserName: name, Limit: 2}, {Email: name, Limit: 2}} {
		users, _, err := s.Directory.Users(ctx, tx, workspace, query)
		if err != nil {
			return accounts.Subject{}, err
		}
		if len(users) == 1 {
			return accounts.Subject{User: users[0].ID}, nil
		}
		if len(users) > 1 {
			return accounts.Subject{}, core.Invalid("subject", "several users are called %q; name this one by something only they have", name)
		}
	}
	teams, _, err := s.Directory.Teams(ctx, tx, workspace, directory.TeamQuery{DisplayName: name, Limit: 2})
	if err != nil {
		return accounts.Subject{}, err
	}
	switch len(teams) {
	case 1:
		return accounts.Subject{Team: teams[0].ID}, nil
	case 2:
		return accounts.Subject{}, core.Invalid("subject", "several teams are called %q; share it through the API, by the team's id", name)
	}
	return accounts.Subject{}, core.Invalid("subject", "there is no user or team named %q", name)
}

// unshare takes a grant of the account back.
func (s *Service) unshare(c *gin.Context) {
	if !s.readForm(c) {
		return
	}
	s.act(c, func(ctx context.Context, tx pgx.Tx, by reader, _ core.ID) error {
		grant, err := core.ParseID(c.PostForm("grant"))
		if err != nil {
			return err
		}
		return s.Lifecycle.Unshare(ctx, tx, s.cause(c), by.workspace(), grant)
	})
}

// act runs a command on the account in the path and shows the account again: afresh when it worked,
// with the reason when it was refused.
func (s *Service) act(c *gin.Context, command func(ctx context.Context, tx pgx.Tx, by reader, account core.ID) error) {
	ctx, by := c.Request.Context(), s.reader(c)
	id, err := pathID(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	if _, err := s.may(ctx, by, id); err != nil {
		s.refuse(c, err)
		return
	}
	err = s.DB.Tx(ctx, func(tx pgx.Tx) error { return command(ctx, tx, by, id) })
	if err == nil {
		s.wake()
		c.Redirect(http.StatusSeeOther, "/accounts/"+id.String())
		return
	}
	classified := problem.Classify(err)
	switch classified.Kind {
	case core.KindInvalid, core.KindConflict, core.KindDenied, core.KindNotFound, core.KindStale:
		_ = c.Error(err)
		s.account(c, problem.Status(classified.Kind), classified.Message)
	default:
		s.refuse(c, err)
	}
}

// readForm reads the form, before a transaction is held open for it, or refuses the request. One that
// is too large is told as such, not taken for an empty one.
func (s *Service) readForm(c *gin.Context) bool {
	err := c.Request.ParseForm()
	if err == nil {
		return true
	}
	if _, over := errors.AsType[*http.MaxBytesError](err); !over {
		err = core.Invalid("", "the form cannot be read").Because(err)
	}
	s.refuse(c, err)
	return false
}
