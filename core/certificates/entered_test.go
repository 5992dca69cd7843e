package certificates_test

import (
	"context"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/certificates"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/seal"
)

// administrator adds somebody who may add accounts for others.
func (h house) administrator(t coretest.T, name string) directory.User {
	t.Helper()
	made := h.join(t, name)
	_, err := h.DB.Exec(context.Background(), `update users set role = 'admin' where workspace_id = @workspace and id = @user`,
		pgx.StrictNamedArgs{"workspace": h.workspace, "user": made.ID})
	coretest.Must(t, err)
	return made
}

// Whoever adds an account for somebody else has no grant on it, and knows its password all the same.
func TestWhoTypedAPasswordKnowsIt(t *testing.T) {
	h := open(t).house(t)
	eve := h.administrator(t, "eve")
	var added accounts.Account
	h.tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		added, err = h.logins.CreateAccount(ctx, tx, core.NewCause(eve.Actor(), h.clock.Now()), h.workspace, accounts.NewAccount{
			App: h.app, Username: "typed", Password: seal.NewSecret("Typed-1"), Owner: h.ana.ID,
		})
		return err
	})
	h.apps.Set(added.ID, "Typed-1", "")
	h.account(t, h.app) // which somebody else entered

	if effect := h.leave(t, eve); len(effect.Rotations) != 1 {
		t.Fatalf("%d passwords are changed", len(effect.Rotations))
	}
	h.work(t)
	h.settle(t)
	said := h.verified(t, h.only(t, eve))
	if said.State != certificates.Complete || len(said.Credentials) != 1 || fates(said) != "dead(seen)" {
		t.Fatalf("got %+v", said)
	}
	if one := said.Credentials[0]; one.Account != added.ID || one.Seen.Times != 1 || !slices.Equal(one.Seen.How, []string{"entered"}) {
		t.Errorf("got %+v, %+v", one, one.Seen)
	}
}
