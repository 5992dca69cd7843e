package postgresql_test

import (
	"context"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/connectors/connectortest"
	"postern/connectors/postgresql"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/postgres/postgrestest"
	"postern/core/rotation"
	"postern/core/seal"
)

// A role is rotated by the engine as it is, whatever happens to it at the database.
func TestEngine(t *testing.T) {
	server := postgrestest.Server(t, map[string]string{"password_encryption": "scram-sha-256"})
	database, err := pgx.Connect(t.Context(), server.URL)
	coretest.Must(t, err)
	t.Cleanup(func() { _ = database.Close(context.Background()) })
	do := func(t *testing.T, statement string) {
		t.Helper()
		_, err := database.Exec(t.Context(), statement)
		coretest.Must(t, err)
	}
	do(t, "create role boss login createrole password 'Administrator-1'")
	do(t, "create role team login password 'What-Postern-knows-1'")
	do(t, "grant team to boss with admin option")
	address, err := url.Parse(server.URL)
	coretest.Must(t, err)
	connectortest.Engine{
		Connector: postgresql.New(true),
		App: accounts.NewApp{
			Name: "Ledger", Domains: []string{"127.0.0.1"}, SignInURL: "postgres://" + address.Host + "/postgres?sslmode=disable", Connector: "postgresql",
		},
		Account:       rotation.Credential{Username: "team", Password: seal.NewSecret("What-Postern-knows-1")},
		Administrator: rotation.Credential{Username: "boss", Password: seal.NewSecret("Administrator-1")},
		Set:           func(t *testing.T, password seal.Secret) { do(t, "alter role team password '"+password.Reveal()+"'") },
		Enable: func(t *testing.T, on bool) {
			do(t, map[bool]string{true: "alter role team login", false: "alter role team nologin"}[on])
		},
	}.Run(t)
}
