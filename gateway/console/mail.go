package console

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/mail"
)

// mailPage lists the mails that development keeps instead of sending them.
type mailPage struct {
	Mails  []mail.Kept
	Opened *mail.Kept
	Text   string
}

// listMails shows administrators the mails that were kept. Where mails are sent there is no such page.
func (s *Service) listMails(c *gin.Context) {
	if !s.Mail.Keep {
		s.refuse(c, core.NotFound("page"))
		return
	}
	if !s.administrator(c) {
		return
	}
	ctx, workspace := c.Request.Context(), s.reader(c).workspace()
	open, err := queryID(c, "open")
	var page mailPage
	if err == nil {
		page.Mails, err = s.Mail.Kept(ctx, s.DB, workspace, 100)
	}
	for i := range page.Mails {
		if page.Mails[i].ID != open || err != nil {
			continue
		}
		page.Opened = &page.Mails[i]
		text, failed := s.Mail.Text(ctx, s.DB, workspace, open)
		page.Text, err = text.Reveal(), failed
	}
	if err != nil {
		s.refuse(c, err)
		return
	}
	s.show(c, http.StatusOK, "mail", "Mail", "mail", page)
}
