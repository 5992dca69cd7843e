package directory

import (
	"context"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

const selectConnectionForUpdate = selectConnection + ` for no key update`

const updateConnection = `
update connections set name = @name, issuer = @issuer, client_id = @client_id, client_secret = @client_secret,
	logout_issuers = @logout_issuers, jwks_uri = @jwks_uri, provisioning = @provisioning, sign_in = @sign_in
where workspace_id = @workspace and id = @id`

// ChangeConnection edits a connection and returns it as stored. What edit writes to ID, Workspace, Kind
// and Created is ignored. Access tokens given out for an assertion die when another one is asked for.
// Without a difference nothing happens, not even an event. A taken name is a
// Conflict on "name".
func (d *Directory) ChangeConnection(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, id core.ID, edit func(*Connection)) (Connection, error) {
	before, err := postgres.One[Connection](ctx, tx, "connection", selectConnectionForUpdate, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
	if err != nil {
		return Connection{}, err
	}
	wanted := before
	wanted.LogoutIssuers, wanted.SignIn = slices.Clone(before.LogoutIssuers), before.SignIn.clone()
	edit(&wanted)
	wanted.ID, wanted.Workspace, wanted.Kind, wanted.Created = before.ID, before.Workspace, before.Kind, before.Created
	wanted.LogoutIssuers = append([]string{}, wanted.LogoutIssuers...)
	if err := present("name", wanted.Name); err != nil {
		return Connection{}, err
	}
	wanted.Provisioning = wanted.Provisioning.normalised()
	if err := wanted.Provisioning.check(); err != nil {
		return Connection{}, err
	}
	wanted.SignIn = wanted.SignIn.normalised()
	if err := wanted.checkSignIn(); err != nil {
		return Connection{}, err
	}
	changed := connectionDifference(before, wanted)
	if len(changed) == 0 {
		return before, nil
	}
	_, err = tx.Exec(ctx, updateConnection, pgx.StrictNamedArgs{
		"workspace": workspace, "id": id, "name": wanted.Name, "issuer": wanted.Issuer, "client_id": wanted.ClientID,
		"client_secret": wanted.ClientSecret, "logout_issuers": wanted.LogoutIssuers, "jwks_uri": wanted.JWKSURI,
		"provisioning": wanted.Provisioning, "sign_in": wanted.SignIn,
	})
	if err != nil {
		return Connection{}, collision(err)
	}
	if before.Provisioning.Assertion != wanted.Provisioning.Assertion {
		if _, err := tx.Exec(ctx, deleteAssertionTokens, pgx.StrictNamedArgs{"workspace": workspace, "connection": id}); err != nil {
			return Connection{}, err
		}
	}
	return wanted, audit.Append(ctx, tx, core.NewEvent(core.ConnectionUpdated, workspace, cause, d.now(),
		core.Target{Kind: "connection", ID: id, Name: wanted.Name}).With("changed", strings.Join(changed, ",")))
}

func connectionDifference(before, after Connection) []string {
	var fields []string
	for _, one := range []struct {
		field     string
		different bool
	}{
		{"name", before.Name != after.Name},
		{"issuer", before.Issuer != after.Issuer},
		{"client_id", before.ClientID != after.ClientID},
		{"client_secret", before.ClientSecret != after.ClientSecret},
		{"logout_issuers", !slices.Equal(before.LogoutIssuers, after.LogoutIssuers)},
		{"jwks_uri", before.JWKSURI != after.JWKSURI},
		{"provisioning", before.Provisioning != after.Provisioning},
		{"sign_in", !before.SignIn.equal(after.SignIn)},
	} {
		if one.different {
			fields = append(fields, one.field)
		}
	}
	return fields
}
