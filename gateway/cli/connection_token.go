package cli

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core/directory"
)

// connectionTokens are the commands for a connection's SCIM tokens. 'postern connection token NAME' is
// to make one.
type connectionTokens struct {
	Create createConnectionToken `cmd:"" default:"withargs" help:"Make one more token, shown once."`
	List   listConnectionTokens  `cmd:"" help:"List the tokens: when they were made, last used, expire."`
	Revoke revokeConnectionToken `cmd:"" help:"End a token at once and for good."`
}

// createConnectionToken fills a connection's second slot.
type createConnectionToken struct {
	ofConnection `embed:""`
	lifetime     `embed:""`
}

// Help is shown by 'postern connection token create --help'.
func (createConnectionToken) Help() string {
	return `A connection has two slots for live tokens, so that one can be replaced without a gap:

  1. postern connection token Okta --workspace acme            make the second one
  2. paste it at the identity provider, and have it tested there
  3. postern connection token list Okta --workspace acme       see which one is still used
  4. postern connection token revoke Okta TOKEN-ID --workspace acme`
}

func (c createConnectionToken) Run(ctx context.Context, terminal terminal) error {
	expires, err := c.expires()
	if err != nil {
		return err
	}
	return c.with(ctx, func(s *setup, connection directory.Connection) error {
		var made madeToken
		var rows []tokenRow
		err := s.db.Tx(ctx, func(tx pgx.Tx) error {
			made, rows, err = s.connectionSlots().fill(ctx, tx, connection.ID, expires)
			return err
		})
		if err != nil {
			return err
		}
		return c.show(terminal, made, func(sheet sheet) {
			sheet.say("Made a SCIM token for %s.\n", connection.Name)
			sheet.row("token id", made.ID.String())
			sheet.row("bearer token, shown once", made.Token)
			if len(rows) > 1 {
				sheet.say("\nThe other one still works. Once the identity provider uses this one, revoke it:")
				sheet.say("  postern connection token revoke %q %s --workspace %s", connection.Name, rows[0].ID, s.workspace.Slug)
			}
		})
	})
}

// listConnectionTokens shows everything about the tokens but themselves.
type listConnectionTokens struct {
	ofConnection `embed:""`
}

func (l listConnectionTokens) Run(ctx context.Context, terminal terminal) error {
	return l.with(ctx, func(s *setup, connection directory.Connection) error {
		rows, err := s.connectionSlots().list(ctx, s.db, connection.ID)
		if err != nil {
			return err
		}
		return l.show(terminal, map[string]any{"connection": connection.ID, "tokens": rows}, func(sheet sheet) { sheet.tokens(rows) })
	})
}

// revokeConnectionToken ends a token.
type revokeConnectionToken struct {
	ofConnection `embed:""`
	Token        string `arg:"" help:"Id of the token, as 'list' shows it."`
}

func (r revokeConnectionToken) Run(ctx context.Context, terminal terminal) error {
	id, err := parseTokenID(r.Token)
	if err != nil {
		return err
	}
	return r.with(ctx, func(s *setup, connection directory.Connection) error {
		if err := s.connectionSlots().revoke(ctx, connection.ID, id); err != nil {
			return err
		}
		return r.show(terminal, map[string]any{"connection": connection.ID, "revoked": id}, func(sheet sheet) {
			sheet.say("Revoked the token %s of %s.", id, connection.Name)
		})
	})
}
