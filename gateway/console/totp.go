package console

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/seal"
	"postern/gateway/problem"
)

// code gives the reader the account's one-time code: to our own script, or on the account's page.
func (s *Service) code(c *gin.Context) {
	scripted := c.GetHeader(scriptHeader) != ""
	id, err := pathID(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	by := s.reader(c)
	given, err := s.Accounts.Code(c.Request.Context(), s.cause(c), by.workspace(), by.user.ID, id)
	switch {
	case err == nil:
	case scripted:
		problem.Write(c, err)
		return
	default:
		if _, hidden := s.may(c.Request.Context(), by, id); hidden != nil {
			s.refuse(c, hidden)
			return
		}
		classified := problem.Classify(err)
		if classified.Kind != core.KindDenied && classified.Kind != core.KindNotFound {
			s.refuse(c, err)
			return
		}
		_ = c.Error(err)
		s.account(c, problem.Status(classified.Kind), classified.Message)
		return
	}
	s.wake()
	if scripted {
		s.answerCode(c, given)
		return
	}
	page, err := s.loadAccount(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	page.Given, page.Code = &given, given.Code.Reveal()
	s.show(c, http.StatusOK, "account", page.Account.AppName+" · "+page.Account.Username, "accounts", page)
}

// answerCode gives our own script a code.
func (s *Service) answerCode(c *gin.Context, given accounts.Code) {
	c.Header("Cache-Control", "no-store")
	c.JSON(http.StatusOK, gin.H{"code": given.Code.Reveal(), "left": given.Until.Sub(s.now()).Milliseconds(), "spent": given.Spent})
}

// setTOTP stores what the account's one-time codes are made from.
func (s *Service) setTOTP(c *gin.Context) {
	if !s.readForm(c) {
		return
	}
	secret := seal.NewSecret(c.PostForm("secret"))
	s.act(c, func(ctx context.Context, tx pgx.Tx, by reader, account core.ID) error {
		_, err := s.Accounts.SetTOTP(ctx, tx, s.cause(c), by.workspace(), account, secret)
		return err
	})
}

// enrolTOTP turns on the account's second factor in its app.
func (s *Service) enrolTOTP(c *gin.Context) {
	s.act(c, func(ctx context.Context, tx pgx.Tx, by reader, account core.ID) error {
		_, err := s.Rotations.Enrol(ctx, tx, s.cause(c), by.workspace(), account)
		return err
	})
}

// removeTOTP has no more one-time codes made for the account.
func (s *Service) removeTOTP(c *gin.Context) {
	s.act(c, func(ctx context.Context, tx pgx.Tx, by reader, account core.ID) error {
		return s.Accounts.RemoveTOTP(ctx, tx, s.cause(c), by.workspace(), account)
	})
}
