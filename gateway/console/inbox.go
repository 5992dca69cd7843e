package console

import (
	"context"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/mailbox"
	"postern/gateway/problem"
)

// inboxPage is what an account was sent.
type inboxPage struct {
	Account  accounts.Account
	Box      mailbox.Mailbox
	Reads    bool // may use the account, and so read its messages
	Manages  bool
	Admin    bool
	On       bool // this Postern receives mails
	Messages []mailbox.Message
	More     int
	Opened   *mailbox.Opened
	Subject  string
	Text     string
	Code     string
	Link     string
	Forget   bool // removing the address is to be confirmed
	Problem  string
}

const inboxPageSize = 50

// showInbox lists an account's messages for those who may use it, and its address and number for those who manage it.
func (s *Service) showInbox(c *gin.Context) { s.inbox(c, http.StatusOK, nil, "") }

func (s *Service) inbox(c *gin.Context, status int, opened *mailbox.Opened, refusal string) {
	ctx, by := c.Request.Context(), s.reader(c)
	id, err := pathID(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	role, err := s.may(ctx, by, id)
	if err != nil {
		s.refuse(c, err)
		return
	}
	page := inboxPage{
		Reads: role != "", Manages: by.admin() || role == accounts.Owner, Admin: by.admin(), On: s.Mailboxes.Ready() == nil, Opened: opened, Problem: refusal,
	}
	page.Forget = page.Manages && c.Query("address") == "remove"
	if page.Account, err = s.Accounts.Account(ctx, s.DB, by.workspace(), id); err == nil {
		page.Box, err = s.Mailboxes.Mailbox(ctx, s.DB, by.workspace(), id)
	}
	if err == nil && page.Reads {
		var before int
		if before, err = queryNumber(c, "before"); err == nil {
			page.Messages, err = s.Mailboxes.Messages(ctx, s.cause(c), by.workspace(), by.user.ID, id, before, inboxPageSize)
		}
	}
	if err != nil {
		s.refuse(c, err)
		return
	}
	if len(page.Messages) == inboxPageSize {
		page.More = page.Messages[inboxPageSize-1].Number
	}
	if opened != nil {
		page.Subject, page.Text, page.Code, page.Link = opened.Full.Reveal(), opened.Text.Reveal(), opened.Pin.Reveal(), opened.URL.Reveal()
		c.Header("Cache-Control", "no-store")
	}
	s.show(c, status, "inbox", "Inbox · "+page.Account.AppName+" · "+page.Account.Username, "accounts", page)
}

// queryNumber reads a number of the query: 0 if there is none.
func queryNumber(c *gin.Context, name string) (int, error) {
	text := c.Query(name)
	if text == "" {
		return 0, nil
	}
	number, err := strconv.ParseInt(text, 10, 32)
	if err != nil || number < 1 {
		return 0, core.Invalid(name, "this is not a number from 1")
	}
	return int(number), nil
}

// readMessage shows what a message says.
func (s *Service) readMessage(c *gin.Context) {
	by := s.reader(c)
	id, err := pathID(c)
	var message core.ID
	if err == nil {
		if message, err = core.ParseID(c.Param("message")); err != nil {
			err = core.NotFound("message").Because(err)
		}
	}
	if err == nil {
		_, err = s.may(c.Request.Context(), by, id)
	}
	if err == nil {
		_, err = s.Accounts.Account(c.Request.Context(), s.DB, by.workspace(), id)
	}
	if err != nil {
		s.refuse(c, err)
		return
	}
	opened, err := s.Mailboxes.Read(c.Request.Context(), s.cause(c), by.workspace(), by.user.ID, id, message)
	if err != nil {
		s.refuse(c, err)
		return
	}
	s.inbox(c, http.StatusOK, &opened, "")
}

// atInbox carries out a command about an account's address or number and goes back to the page.
func (s *Service) atInbox(command func(c *gin.Context, ctx context.Context, tx pgx.Tx, by reader, account core.ID) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		ctx, by := c.Request.Context(), s.reader(c)
		id, err := pathID(c)
		if err == nil {
			_, err = s.may(ctx, by, id)
		}
		if err != nil {
			s.refuse(c, err)
			return
		}
		err = s.DB.Tx(ctx, func(tx pgx.Tx) error { return command(c, ctx, tx, by, id) })
		if err == nil {
			s.wake()
			c.Redirect(http.StatusSeeOther, "/accounts/"+id.String()+"/inbox")
			return
		}
		classified := problem.Classify(err)
		switch classified.Kind {
		case core.KindInvalid, core.KindConflict, core.KindDenied, core.KindNotFound:
			_ = c.Error(err)
			s.inbox(c, problem.Status(classified.Kind), nil, classified.Message)
		default:
			s.refuse(c, err)
		}
	}
}

func (s *Service) mountInbox(inside *gin.RouterGroup) {
	managing := s.forAdministrators("/accounts/:id/inbox")
	inside.GET("/accounts/:id/inbox", s.showInbox)
	inside.POST("/accounts/:id/inbox/:message/show", s.toReveal("/accounts/:id/inbox"), s.readMessage)
	inside.POST("/accounts/:id/address", managing, s.atInbox(func(c *gin.Context, ctx context.Context, tx pgx.Tx, by reader, account core.ID) error {
		_, err := s.Mailboxes.CreateAddress(ctx, tx, s.cause(c), by.workspace(), account)
		return err
	}))
	inside.POST("/accounts/:id/address/remove", managing, s.atInbox(func(c *gin.Context, ctx context.Context, tx pgx.Tx, by reader, account core.ID) error {
		return s.Mailboxes.RemoveAddress(ctx, tx, s.cause(c), by.workspace(), account)
	}))
	inside.POST("/accounts/:id/phone", managing, func(c *gin.Context) {
		if !s.readForm(c) {
			c.Abort()
		}
	}, s.atInbox(func(c *gin.Context, ctx context.Context, tx pgx.Tx, by reader, account core.ID) error {
		if c.PostForm("phone") == "" {
			return s.Mailboxes.RemovePhone(ctx, tx, s.cause(c), by.workspace(), account)
		}
		_, err := s.Mailboxes.AssignPhone(ctx, tx, s.cause(c), by.workspace(), account, c.PostForm("phone"))
		return err
	}))
}
