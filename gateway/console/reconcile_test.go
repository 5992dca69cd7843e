package console_test

import (
	"context"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/seal"
)

// beside makes another account of an account's app.
func (w *world) beside(t testing.TB, one accounts.Account, username, owner string) (made accounts.Account) {
	t.Helper()
	w.tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		made, err = w.accounts.CreateAccount(ctx, tx, core.NewCause(w.people["zoe"].Actor(), w.people["zoe"].Created), one.Workspace, accounts.NewAccount{
			App: one.App, Username: username, Password: seal.NewSecret(canary), Owner: w.people[owner].ID,
		})
		return err
	})
	return made
}

// PopulateReconcile has an app whose lost password its administrator can set.
func (w *world) PopulateReconcile(t testing.TB) {
	lost := w.account(t, w.acme, "Ledger", "ledger-team", "zoe")
	admin := w.beside(t, lost, "ledger-admin", "zoe")
	w.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		cause := core.NewCause(w.people["zoe"].Actor(), w.people["zoe"].Created)
		if _, err := w.accounts.SetReconcileAccount(ctx, tx, cause, w.acme.ID, lost.App, admin.ID); err != nil {
			return err
		}
		_, err := w.accounts.Learn(ctx, tx, cause, w.acme.ID, lost.ID, accounts.NoneAccepted, "The app accepts no stored password.")
		return err
	})
}

func TestReconcileInTheConsole(t *testing.T) {
	w := newWorld(t)
	boss := w.beside(t, w.wiki, "wiki-admin", "ana")
	w.sequence(t)
	wiki, admin := "/accounts/"+w.wiki.ID.String(), "/accounts/"+boss.ID.String()
	act := `action="` + admin + `/reconciles"`
	w.expect(t, "zoe", admin, 200, []string{"When nobody knows the password", "verify, change, reset, disable", act}, nil)
	w.expect(t, "ana", admin, 200, []string{"None is named"}, []string{act})
	for who, status := range map[string]int{"ana": 403, "ben": 404, "gus": 404, "": 401} {
		w.post(t, who, admin+"/reconciles", nil, status)
	}
	w.post(t, "zoe", wiki+"/reset", nil, 409, "names no account")
	w.post(t, "zoe", admin+"/reconciles", nil, 303)
	w.expect(t, "zoe", admin, 200, []string{"Nobody sets its own"}, nil)
	w.expect(t, "ana", wiki, 200, []string{"wiki-admin"}, []string{wiki + `/reset"`, admin})
	w.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := w.accounts.Learn(ctx, tx, core.NewCause(core.System, boss.Created), w.acme.ID, w.wiki.ID, accounts.NoneAccepted, "The app accepts no stored password.")
		return err
	})
	w.expect(t, "ana", wiki, 200, []string{`action="` + wiki + `/reset"`}, nil)
	for who, status := range map[string]int{"ben": 403, "gus": 404, "": 401} {
		w.post(t, who, wiki+"/reset", nil, status)
	}
	w.post(t, "ana", wiki+"/reset", nil, 303)
	for _, part := range []string{"/disable", "/enable", "/leavers", "/logins"} {
		for who, status := range map[string]int{"ana": 403, "ben": 403, "gus": 404, "": 401} {
			w.post(t, who, wiki+part, nil, status)
		}
	}
	w.expect(t, "zoe", wiki, 200, []string{"Disable it in the app"}, []string{wiki + `/disable"`})
	w.expect(t, "ana", wiki, 200, nil, []string{"Disable at the app"})
	w.expect(t, "zoe", wiki+"?switch=disable", 200, []string{`action="` + wiki + `/disable"`}, nil)
	w.post(t, "zoe", wiki+"/disable", nil, 303)
	w.expect(t, "ana", wiki, 200, []string{"It was to be disabled", "under way"}, nil)
	w.post(t, "zoe", wiki+"/enable", nil, 303)
	w.expect(t, "zoe", wiki, 200, []string{"It was to be enabled"}, nil)
	w.expect(t, "zoe", wiki, 200, []string{"that Postern does not manage", "has not been asked"}, nil)
	w.expect(t, "ana", wiki, 200, nil, []string{"that Postern does not manage"})
	w.post(t, "zoe", wiki+"/logins", nil, 303)
	w.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `insert into app_logins (workspace_id, app_id, username, name, disabled, first_seen, seen)
			values ($1, $2, 'backdoor', '<b>Nobody</b>', false, now(), now()), ($1, $2, $3, '', false, now(), now())`, w.acme.ID, w.wiki.App, w.wiki.Username)
		return err
	})
	w.expect(t, "zoe", wiki, 200, []string{"backdoor", "&lt;b&gt;Nobody", "has told nothing yet"}, nil)
	w.post(t, "zoe", wiki+"/leavers", url.Values{"disable": {"1"}}, 303)
	w.expect(t, "zoe", wiki, 200, []string{"are disabled when that person leaves"}, nil)
	w.post(t, "zoe", admin+"/reconciles", url.Values{"none": {"1"}}, 303)
	w.expect(t, "zoe", admin, 200, []string{"None is named"}, nil)
}
