package console

import (
	"context"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/seal"
	"postern/gateway/problem"
)

// backupCode gives the reader the account's next backup code, on the account's page.
func (s *Service) backupCode(c *gin.Context) {
	id, err := pathID(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	by := s.reader(c)
	given, err := s.Accounts.UseBackupCode(c.Request.Context(), s.cause(c), by.workspace(), by.user.ID, id)
	if err != nil {
		if _, hidden := s.may(c.Request.Context(), by, id); hidden != nil {
			s.refuse(c, hidden)
			return
		}
		classified := problem.Classify(err)
		switch classified.Kind {
		case core.KindDenied, core.KindNotFound, core.KindConflict:
			_ = c.Error(err)
			s.account(c, problem.Status(classified.Kind), classified.Message)
		default:
			s.refuse(c, err)
		}
		return
	}
	s.wake()
	page, err := s.loadAccount(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	page.BackupCode = given.Code.Reveal()
	c.Header("Cache-Control", "no-store")
	s.show(c, http.StatusOK, "account", page.Account.AppName+" · "+page.Account.Username, "accounts", page)
}

// setBackupCodes stores the codes an app gave out.
func (s *Service) setBackupCodes(c *gin.Context) {
	if !s.readForm(c) {
		return
	}
	var codes []seal.Secret
	for _, line := range strings.FieldsFunc(c.PostForm("codes"), func(r rune) bool { return r == '\n' || r == '\r' || r == ',' }) {
		codes = append(codes, seal.NewSecret(line))
	}
	s.act(c, func(ctx context.Context, tx pgx.Tx, by reader, account core.ID) error {
		_, err := s.Accounts.SetBackupCodes(ctx, tx, s.cause(c), by.workspace(), account, codes)
		return err
	})
}
