package directory

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
)

// LogoutQuirk is a departure from OpenID Connect Back-Channel Logout that a connection's IdP is allowed.
type LogoutQuirk string

// The quirks.
const (
	LogoutUntyped  LogoutQuirk = "untyped"   // typ may be absent or JWT; the specification only recommends logout+jwt
	LogoutNoExpiry LogoutQuirk = "no_expiry" // exp may be absent, as in some versions of Keycloak
)

const selectLogoutQuirks = `select logout_quirks from connections where workspace_id = @workspace and id = @connection`

// LogoutQuirks are what a connection's IdP is allowed in its logout tokens.
func (d *Directory) LogoutQuirks(ctx context.Context, q postgres.Querier, workspace, connection core.ID) ([]LogoutQuirk, error) {
	var quirks []LogoutQuirk
	err := q.QueryRow(ctx, selectLogoutQuirks, pgx.StrictNamedArgs{"workspace": workspace, "connection": connection}).Scan(&quirks)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, core.NotFound("connection")
	}
	return quirks, postgres.Classify(err)
}

const updateLogoutQuirks = `
update connections set logout_quirks = @quirks where workspace_id = @workspace and id = @connection and logout_quirks <> @quirks
returning name`

// AllowLogoutQuirks sets what a connection's IdP is allowed in its logout tokens.
func (d *Directory) AllowLogoutQuirks(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, connection core.ID, quirks []LogoutQuirk) error {
	kept := []string{}
	for _, quirk := range quirks {
		if quirk != LogoutUntyped && quirk != LogoutNoExpiry {
			return core.Invalid("quirks", "a quirk is untyped or no_expiry")
		}
		kept = append(kept, string(quirk))
	}
	slices.Sort(kept)
	kept = slices.Compact(kept)
	var name string
	err := tx.QueryRow(ctx, updateLogoutQuirks, pgx.StrictNamedArgs{"workspace": workspace, "connection": connection, "quirks": kept}).Scan(&name)
	if errors.Is(err, pgx.ErrNoRows) {
		_, err := d.LogoutQuirks(ctx, tx, workspace, connection)
		return err
	}
	if err != nil {
		return err
	}
	return audit.Append(ctx, tx, core.NewEvent(core.ConnectionUpdated, workspace, cause, d.now(),
		core.Target{Kind: "connection", ID: connection, Name: name}).With("changed", "logout_quirks").With("logout_quirks", strings.Join(kept, ",")))
}
