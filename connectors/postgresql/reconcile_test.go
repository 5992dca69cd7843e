package postgresql_test

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/connectors/postgresql"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/postgres/postgrestest"
	"postern/core/rotation"
	"postern/core/seal"
)

// A role whose password somebody set by hand is reset by the app's administrator, through the engine as it is.
func TestReconcile(t *testing.T) {
	server := postgrestest.Server(t, map[string]string{"password_encryption": "scram-sha-256"})
	database, err := pgx.Connect(t.Context(), server.URL)
	coretest.Must(t, err)
	t.Cleanup(func() { _ = database.Close(context.Background()) })
	for _, statement := range []string{
		"create role boss login createrole password 'Administrator-1'", "create role team login password 'Set-by-hand-1'",
		"grant team to boss with admin option",
	} {
		_, err := database.Exec(t.Context(), statement)
		coretest.Must(t, err)
	}
	address, err := url.Parse(server.URL)
	coretest.Must(t, err)

	clock := coretest.NewClock(time.Now())
	c := coretest.Open(t, clock.Now)
	c.Rotations.AllowPrivate = true
	c.Rotations.Connectors = rotation.Connectors{"postgresql": postgresql.New(true)}
	workspace, connection := c.Workspace(t, "acme", directory.NewConnection{Name: "Okta", Kind: directory.Okta, Issuer: "https://acme.okta.example"})
	owner := c.Person(t, connection, directory.User{UserName: "dana", DisplayName: "Dana"})
	var team, boss accounts.Account
	var planned rotation.Rotation
	c.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		app, err := c.Accounts.CreateApp(ctx, tx, coretest.System(), workspace.ID, accounts.NewApp{
			Name: "Ledger", Domains: []string{"127.0.0.1"}, SignInURL: "postgres://" + address.Host + "/postgres?sslmode=disable", Connector: "postgresql",
		})
		if err != nil {
			return err
		}
		for username, password := range map[string]string{"team": "What-Postern-knows-1", "boss": "Administrator-1"} {
			made, err := c.Accounts.CreateAccount(ctx, tx, coretest.System(), workspace.ID, accounts.NewAccount{
				App: app.ID, Username: username, Password: seal.NewSecret(password), Owner: owner.ID,
			})
			if err != nil {
				return err
			}
			if username == "team" {
				team = made
			} else {
				boss = made
			}
		}
		if _, err := c.Accounts.SetReconcileAccount(ctx, tx, coretest.System(), workspace.ID, app.ID, boss.ID); err != nil {
			return err
		}
		planned, err = c.Rotations.Plan(ctx, tx, coretest.System(), workspace.ID, team.ID, rotation.ReasonDeprovision, 0)
		return err
	})
	for range 50 {
		after, waits := jobs.SnoozeOf(c.Rotations.Advance(t.Context(), workspace.ID, planned.ID))
		if !waits {
			break
		}
		clock.Pass(after)
	}
	end, err := c.Rotations.Rotation(t.Context(), c.DB, workspace.ID, planned.ID)
	if err != nil || end.Receipt == nil || end.Receipt.Administrator != boss.ID {
		t.Fatalf("%+v, %v", end, err)
	}
	password, err := c.Accounts.Password(t.Context(), c.DB, workspace.ID, team.ID, end.Receipt.Candidate)
	coretest.Must(t, err)
	target := rotation.Target{Domains: []string{"127.0.0.1"}, SignInURL: "postgres://" + address.Host + "/postgres?sslmode=disable"}
	for text, want := range map[string]rotation.Outcome{password.Reveal(): rotation.Accepted, "Set-by-hand-1": rotation.Rejected} {
		report := postgresql.New(true).Verify(t.Context(), target, rotation.Credential{Username: "team", Password: seal.NewSecret(text)})
		if report.Outcome != want {
			t.Errorf("%s, want %s", report.Outcome, want)
		}
	}
}
