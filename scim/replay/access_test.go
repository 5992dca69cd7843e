package replay_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/seal"
	"postern/scim/replay"
)

// bank is an app whose accounts a house's connection may grant, and an owner no identity provider knows.
type bank struct {
	*house
	app   core.ID
	owner core.ID
}

func (h *house) bank(t testing.TB) bank {
	t.Helper()
	b := bank{house: h}
	b.by(t, func(tx pgx.Tx, cause core.Cause) error {
		_, err := h.people.ChangeConnection(t.Context(), tx, cause, h.workspace, h.connection.ID, func(c *directory.Connection) {
			c.Provisioning.Entitlements = true
		})
		if err != nil {
			return err
		}
		if _, err := h.logins.Vault.Prepare(t.Context(), tx, h.workspace); err != nil {
			return err
		}
		owner, err := h.people.InsertUser(t.Context(), tx, directory.User{Workspace: h.workspace, UserName: "owner", Active: true, Role: directory.RoleUser})
		if err != nil {
			return err
		}
		b.owner = owner.ID
		app, err := h.logins.CreateApp(t.Context(), tx, cause, h.workspace, accounts.NewApp{
			Name: "Bank", Domains: []string{"bank.example.com"}, SignInURL: "https://bank.example.com/", Connector: "browser",
		})
		b.app = app.ID
		return err
	})
	return b
}

// by does something no request asks for.
func (b *bank) by(t testing.TB, act func(tx pgx.Tx, cause core.Cause) error) {
	t.Helper()
	must(t, b.db.Tx(t.Context(), func(tx pgx.Tx) error { return act(tx, core.NewCause(core.System, time.Now())) }))
}

func (b *bank) account(t testing.TB, name string, owner core.ID) (account core.ID) {
	t.Helper()
	b.by(t, func(tx pgx.Tx, cause core.Cause) error {
		made, err := b.logins.CreateAccount(t.Context(), tx, cause, b.workspace, accounts.NewAccount{
			App: b.app, Username: name, Password: seal.NewSecret("first password of " + name), Owner: owner,
		})
		account = made.ID
		return err
	})
	return account
}

func (b *bank) share(t testing.TB, account core.ID, user string, role accounts.Role) (grant core.ID) {
	t.Helper()
	b.by(t, func(tx pgx.Tx, cause core.Cause) error {
		given, err := b.logins.Share(t.Context(), tx, cause, b.workspace, account, accounts.Sharing{Subject: accounts.Subject{User: id(t, user)}, Role: role})
		grant = given.ID
		return err
	})
	return grant
}

// wants sends a request that is to be answered so.
func (b *bank) wants(t testing.TB, want int, method, path, body string) (made string) {
	t.Helper()
	status, made := b.send(t, method, path, body)
	if status != want {
		t.Fatalf("%s %s %s answers %d", method, path, body, status)
	}
	return made
}

func id(t testing.TB, text string) core.ID {
	t.Helper()
	id, err := core.ParseID(text)
	must(t, err)
	return id
}

func operations(list string) string { return `{"Operations":[` + list + `]}` }

func uses(account core.ID) string { return fmt.Sprintf(`{"value":"%s-collaborator"}`, account) }
func owns(account core.ID) string { return fmt.Sprintf(`{"value":"%s-owner"}`, account) }

// What a connection grants comes out as it did, on accounts that came to be when they did, whatever
// others gave and took in between.
func TestEntitlementsComeOutAgain(t *testing.T) {
	w := open(t)
	w.other.bank(t)
	b := w.acme.bank(t)
	payments, payroll := b.account(t, "payments", b.owner), b.account(t, "payroll", b.owner)

	// Older than the journal: somebody with an entitlement, and somebody with what an administrator gave.
	ana := b.wants(t, 201, "POST", "/Users", `{"userName":"ana","entitlements":[`+uses(payments)+`]}`)
	eve := b.wants(t, 201, "POST", "/Users", `{"userName":"eve"}`)
	b.share(t, payroll, eve, accounts.Collaborator)
	w.execute(t, `delete from provisioning_requests where workspace_id = $1`, b.workspace)

	b.wants(t, 200, "PATCH", "/Users/"+ana, operations(`{"op":"add","path":"entitlements","value":[`+uses(payroll)+`]}`))
	b.wants(t, 200, "PATCH", "/Users/"+ana, operations(`{"op":"remove","path":"entitlements[display eq \"Use Bank (payments)\"]"}`))
	b.wants(t, 200, "PATCH", "/Users/"+eve, operations(`{"op":"remove","path":"entitlements[value eq \"`+payroll.String()+`-collaborator\"]"}`))
	ben := b.wants(t, 201, "POST", "/Users", `{"userName":"ben","entitlements":[`+uses(payments)+`],"roles":[`+owns(payroll)+`]}`)
	b.wants(t, 400, "POST", "/Users", `{"userName":"zoe","entitlements":[`+uses(core.NewID())+`]}`)
	b.wants(t, 400, "PATCH", "/Users/"+ben, operations(`{"op":"add","path":"roles","value":[`+owns(payments)+`]}`))
	b.wants(t, 200, "PUT", "/Users/"+ben, `{"userName":"ben","roles":[],"entitlements":[`+uses(payments)+`,`+uses(payroll)+`]}`)

	// Made and given by others meanwhile: a request builds on it, one takes it back, an administrator another.
	taxes := b.account(t, "taxes", id(t, ana))
	b.wants(t, 200, "PATCH", "/Users/"+ben, operations(`{"op":"add","path":"roles","value":[`+owns(taxes)+`]}`))
	b.share(t, payments, eve, accounts.Owner)
	b.wants(t, 200, "PATCH", "/Users/"+eve, operations(`{"op":"remove","path":"roles[value eq \"`+payments.String()+`-owner\"]"}`))
	b.share(t, payroll, eve, accounts.Collaborator)
	given := b.share(t, payments, eve, accounts.Collaborator)
	b.by(t, func(tx pgx.Tx, cause core.Cause) error {
		return b.logins.Unshare(t.Context(), tx, cause, b.workspace, given)
	})
	b.wants(t, 200, "POST", "/Bulk", `{"Operations":[{"method":"POST","path":"/Users","bulkId":"a","data":{"userName":"max","entitlements":[`+uses(taxes)+`]}}]}`)

	// Somebody leaves, what they alone owned passes on, and they come back to nothing.
	alone := b.account(t, "alone", id(t, ana))
	b.by(t, func(tx pgx.Tx, cause core.Cause) error {
		return b.logins.SetSuccession(t.Context(), tx, cause, b.workspace, alone, []accounts.Successor{{User: id(t, eve)}})
	})
	b.wants(t, 200, "PATCH", "/Users/"+ana, operations(`{"op":"replace","value":{"active":false,"entitlements":[]}}`))
	b.wants(t, 200, "PATCH", "/Users/"+ana, operations(`{"op":"replace","value":{"active":true}}`))
	b.wants(t, 200, "PATCH", "/Users/"+ana, operations(`{"op":"add","path":"entitlements","value":[`+uses(payments)+`]}`))
	if held, err := b.logins.Held(t.Context(), b.db, b.workspace, id(t, ana), id(t, ben), id(t, eve)); err != nil || len(held) != 6 {
		t.Fatalf("they hold %+v, %v", held, err)
	}

	before := w.count(t)
	report := b.replay(t)
	if !report.Same() || report.Played != 13 || report.Statuses["400"] != 2 {
		t.Errorf("%s", text(t, report))
	}
	var made []string
	for _, one := range report.Seeded {
		if one.Reason != "" {
			t.Errorf("not taken: %+v", one)
		}
		if one.Kind == "account" {
			made = append(made, one.Name)
		}
	}
	if want := []string{"Bank (payments)", "Bank (payroll)", "Bank (taxes)", "Bank (alone)"}; !slices.Equal(made, want) {
		t.Errorf("made %q, want %q", made, want)
	}
	if after := w.count(t); after != before {
		t.Errorf("the live tables had %s rows and have %s", before, after)
	}

	// What was altered by hand shows.
	w.execute(t, `update grants set revoked = now() where account_id = $1 and user_id = $2 and revoked is null`, payments, ben)
	w.execute(t, `update grants set role = 'owner' where account_id = $1 and user_id = $2 and revoked is null`, payments, ana)
	report = b.replay(t)
	want := []replay.Difference{
		{Kind: "entitlement", ID: id(t, ana), Name: "ana", Field: payments.String() + "-collaborator", Live: "missing", Replayed: "there"},
		{Kind: "entitlement", ID: id(t, ana), Name: "ana", Field: payments.String() + "-owner", Live: "there", Replayed: "missing"},
		{Kind: "entitlement", ID: id(t, ben), Name: "ben", Field: payments.String() + "-collaborator", Live: "missing", Replayed: "there"},
	}
	if diff := cmp.Diff(want, report.Differences); diff != "" || len(report.Answers) != 0 {
		t.Errorf("%s\n%s", diff, text(t, report))
	}

	// Whoever does not grant keeps what the identity provider says as it is.
	w.execute(t, `update connections set provisioning = '{}' where id = $1`, b.connection.ID)
	for _, one := range b.replay(t).Differences {
		if one.Kind == "entitlement" {
			t.Errorf("%+v", one)
		}
	}
}
