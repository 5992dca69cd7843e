package console

import (
	"context"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/rotation"
)

// reconcile is what an account's page says of who sets the app's lost passwords.
type reconcile struct {
	Can        []string         // what the connector can do in the app
	Resets     bool             // setting others' passwords among it
	This       bool             // this account does
	Other      string           // the username of the one that does instead
	Administer bool             // the reader may say who does
	Address    string           // that the app can mail a link to; empty: none, or the connector follows none
	Recovers   bool             // the connector does
	Disables   bool             // whoever sets the app's lost passwords can disable this account too
	Switch     *rotation.Switch // the latest
	Lists      bool             // it can tell which accounts the app has
	Listing    *rotation.Listing
	Unmanaged  []rotation.Login // that Postern does not keep, the first of them
	Leavers    bool             // such an account is disabled with its person
}

func (s *Service) loadReconcile(ctx context.Context, by reader, page *accountPage) error {
	page.Reconcile.Administer = by.admin()
	for _, one := range rotation.Capabilities(s.Connectors[page.App.Connector], page.App.Settings) {
		page.Reconcile.Can = append(page.Reconcile.Can, string(one))
		page.Reconcile.Resets = page.Reconcile.Resets || one == rotation.CanReset
		page.Reconcile.Recovers = page.Reconcile.Recovers || one == rotation.CanRecover
		page.Reconcile.Disables = page.Reconcile.Disables || one == rotation.CanDisable
		page.Reconcile.Lists = page.Reconcile.Lists || one == rotation.CanList
	}
	if page.Reconcile.Recovers && s.Mailboxes != nil {
		box, err := s.Mailboxes.Mailbox(ctx, s.DB, by.workspace(), page.Account.ID)
		if err != nil {
			return err
		}
		page.Reconcile.Address = box.Address
	}
	if switches, err := s.Rotations.Switches(ctx, s.DB, by.workspace(), page.Account.ID, 1); err != nil {
		return err
	} else if len(switches) > 0 {
		page.Reconcile.Switch = &switches[0]
	}
	page.Reconcile.Leavers = page.App.DisableOnLeave
	if by.admin() {
		if err := s.loadLogins(ctx, by, page); err != nil {
			return err
		}
	}
	switch page.App.ReconcileAccount {
	case core.ID{}:
	case page.Account.ID:
		page.Reconcile.This = true
	default:
		other, err := s.Accounts.Account(ctx, s.DB, by.workspace(), page.App.ReconcileAccount)
		if err != nil {
			return err
		}
		page.Reconcile.Other = other.Username
	}
	return nil
}

// shownLogins is how many of an app's accounts an account's page shows.
const shownLogins = 50

func (s *Service) loadLogins(ctx context.Context, by reader, page *accountPage) error {
	found, err := s.Rotations.Listing(ctx, s.DB, by.workspace(), page.App.ID)
	if core.KindOf(err) == core.KindNotFound {
		return nil
	} else if err != nil {
		return err
	}
	page.Reconcile.Listing = &found
	page.Reconcile.Unmanaged, err = s.Rotations.Logins(ctx, s.DB, by.workspace(), page.App.ID, true, "", shownLogins)
	return err
}

// lists has the app tell which accounts it has.
func (s *Service) lists(c *gin.Context) {
	s.act(c, func(ctx context.Context, tx pgx.Tx, by reader, account core.ID) error {
		found, err := s.Accounts.Account(ctx, tx, by.workspace(), account)
		if err != nil {
			return err
		}
		_, err = s.Rotations.ListLogins(ctx, tx, s.cause(c), by.workspace(), found.App)
		return err
	})
}

// reconciles has the account set the passwords of the app's others from now on, or no more.
func (s *Service) reconciles(c *gin.Context) {
	if !s.readForm(c) {
		return
	}
	s.act(c, func(ctx context.Context, tx pgx.Tx, by reader, account core.ID) error {
		found, err := s.Accounts.Account(ctx, tx, by.workspace(), account)
		if err != nil {
			return err
		}
		wanted := account
		if c.PostForm("none") != "" {
			wanted = core.ID{}
		}
		_, err = s.Accounts.SetReconcileAccount(ctx, tx, s.cause(c), by.workspace(), found.App, wanted)
		return err
	})
}

// disables has the app let the account in no more, or again.
func (s *Service) disables(enabled bool) gin.HandlerFunc {
	return func(c *gin.Context) {
		s.act(c, func(ctx context.Context, tx pgx.Tx, by reader, account core.ID) error {
			_, err := s.Health.SetEnabled(ctx, tx, s.cause(c), by.workspace(), account, enabled)
			return err
		})
	}
}

// leavers has the app's accounts disabled with the one person who has them from now on, or no more.
func (s *Service) leavers(c *gin.Context) {
	if !s.readForm(c) {
		return
	}
	s.act(c, func(ctx context.Context, tx pgx.Tx, by reader, account core.ID) error {
		found, err := s.Accounts.Account(ctx, tx, by.workspace(), account)
		if err != nil {
			return err
		}
		_, err = s.Accounts.SetDisableOnLeave(ctx, tx, s.cause(c), by.workspace(), found.App, c.PostForm("disable") != "")
		return err
	})
}
