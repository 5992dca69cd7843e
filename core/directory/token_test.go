package directory_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/seal"
)

// owner is one of the two kinds of things that have tokens.
type owner struct {
	id               core.ID
	create           func(context.Context, pgx.Tx, core.Cause, core.ID, core.ID, *time.Time) (seal.Secret, error)
	revoke           func(context.Context, pgx.Tx, core.Cause, core.ID, core.ID, core.ID) error
	list             func(workspace, id core.ID) ([]directory.Token, error)
	authenticate     func(token seal.Secret) error
	created, revoked core.EventType
}

func (w *world) owners(t *testing.T) map[string]owner {
	t.Helper()
	ctx := t.Context()
	var account directory.ServiceAccount
	w.tx(t, func(tx pgx.Tx) (err error) {
		account, err = w.CreateServiceAccount(ctx, tx, w.acme.cause, w.acme.workspace.ID, "ci", []string{"apps:read"})
		return err
	})
	return map[string]owner{
		"connection": {
			w.acme.connection.ID, w.CreateConnectionToken, w.RevokeConnectionToken,
			func(workspace, id core.ID) ([]directory.Token, error) {
				return w.ConnectionTokens(ctx, w.DB, workspace, id)
			},
			func(token seal.Secret) error { _, err := w.AuthenticateConnection(ctx, token); return err },
			core.ConnectionTokenCreated, core.ConnectionTokenRevoked,
		},
		"service account": {
			account.ID, w.CreateServiceAccountToken, w.RevokeServiceAccountToken,
			func(workspace, id core.ID) ([]directory.Token, error) {
				return w.ServiceAccountTokens(ctx, w.DB, workspace, id)
			},
			func(token seal.Secret) error { _, err := w.AuthenticateServiceAccount(ctx, token); return err },
			core.ServiceAccountTokenCreated, core.ServiceAccountTokenRevoked,
		},
	}
}

func TestTokensAreListedAndRevoked(t *testing.T) {
	w := open(t)
	ctx, acme := t.Context(), w.acme.workspace.ID
	for name, of := range w.owners(t) {
		t.Run(name, func(t *testing.T) {
			hour := w.clock.Now().Add(time.Hour)
			var first, second seal.Secret
			create := func(expires *time.Time, into *seal.Secret) func(tx pgx.Tx) error {
				return func(tx pgx.Tx) (err error) {
					*into, err = of.create(ctx, tx, w.acme.cause, acme, of.id, expires)
					return err
				}
			}
			w.tx(t, create(&hour, &first))
			w.clock.Pass(time.Second)
			w.tx(t, create(nil, &second))
			if err := of.authenticate(second); err != nil {
				t.Fatal(err)
			}
			list, err := of.list(acme, of.id)
			if err != nil || len(list) != 2 {
				t.Fatalf("%v, %v", list, err)
			}
			now := w.clock.Now()
			if old, new := list[0], list[1]; old.Expires == nil || !old.Expires.Equal(hour) || old.LastUsed != nil || !old.Live(now) || old.Live(hour) ||
				new.Expires != nil || new.LastUsed == nil || !new.Live(hour) || !old.Created.Before(new.Created) {
				t.Errorf("listed %+v", list)
			}
			if theirs, err := of.list(w.other.workspace.ID, of.id); err != nil || len(theirs) != 0 {
				t.Errorf("seen from another workspace: %v, %v", theirs, err)
			}
			for _, wrong := range [][3]core.ID{
				{w.other.workspace.ID, of.id, list[0].ID}, {acme, w.other.connection.ID, list[0].ID}, {acme, of.id, core.NewID()},
			} {
				w.refused(t, core.KindNotFound, "", func(tx pgx.Tx) error {
					return of.revoke(ctx, tx, w.acme.cause, wrong[0], wrong[1], wrong[2])
				})
			}
			take := func(tx pgx.Tx) error { return of.revoke(ctx, tx, w.acme.cause, acme, of.id, list[0].ID) }
			w.tx(t, take)
			coretest.Wants(t, of.authenticate(first), core.KindUnauthenticated, "")
			if err := of.authenticate(second); err != nil {
				t.Errorf("the other token is dead too: %v", err)
			}
			w.refused(t, core.KindNotFound, "", take)
			var third seal.Secret
			w.tx(t, create(nil, &third)) // the revoked one has made room
			if list, err := of.list(acme, of.id); err != nil || len(list) != 2 {
				t.Errorf("listed %v, %v", list, err)
			}
			if made, taken := w.events(t, acme, of.created), w.events(t, acme, of.revoked); made != 3 || taken != 1 {
				t.Errorf("%d created, %d revoked", made, taken)
			}
		})
	}
}
