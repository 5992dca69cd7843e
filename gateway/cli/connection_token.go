package cli

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/core/seal"
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
	inWorkspace `embed:""`
	lifetime    `embed:""`
	Connection  string `arg:"" help:"Name or id of the connection."`
}

// Help is shown by 'postern connection token create --help'.
func (createConnectionToken) Help() string {
	return `A connection has two slots for live tokens, so that one can be replaced without a gap:

  1. postern connection token Okta --workspace acme            make the second one
  2. paste it at the identity provider, and have it tested there
  3. postern connection token list Okta --workspace acme       see which one is still used
  4. postern connection token revoke Okta TOKEN-ID --workspace acme`
}

// madeToken is a token just made.
type madeToken struct {
	tokenRow
	Token string `json:"token"`
}

func (c createConnectionToken) Run(ctx context.Context, terminal terminal) error {
	expires, err := c.expires()
	if err != nil {
		return err
	}
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	connection, err := s.connection(ctx, c.Connection)
	if err != nil {
		return err
	}
	var token seal.Secret
	var tokens []directory.Token
	err = s.db.Tx(ctx, func(tx pgx.Tx) error {
		if token, err = s.people.CreateConnectionToken(ctx, tx, s.cause, s.workspace.ID, connection.ID, expires); err != nil {
			return err
		}
		tokens, err = s.people.ConnectionTokens(ctx, tx, s.workspace.ID, connection.ID)
		return err
	})
	if core.AsError(err) != nil && core.AsError(err).Code == "too_many_tokens" {
		return &core.Error{Kind: core.KindConflict, Code: "too_many_tokens", Message: "both slots hold a live token: revoke one first ('postern connection token list' shows which is used)"}
	}
	if err != nil {
		return err
	}
	rows := tokenRows(tokens)
	made := madeToken{rows[len(rows)-1], token.Reveal()}
	return c.show(terminal, made, func(sheet sheet) {
		sheet.say("Made a SCIM token for %s.\n", connection.Name)
		sheet.row("token id", made.ID.String())
		sheet.row("bearer token, shown once", made.Token)
		if len(rows) > 1 {
			sheet.say("\nThe other one still works. Once the identity provider uses this one, revoke it:")
			sheet.say("  postern connection token revoke %q %s --workspace %s", connection.Name, rows[0].ID, s.workspace.Slug)
		}
	})
}

// listConnectionTokens shows everything about the tokens but themselves.
type listConnectionTokens struct {
	inWorkspace `embed:""`
	Connection  string `arg:"" help:"Name or id of the connection."`
}

func (l listConnectionTokens) Run(ctx context.Context, terminal terminal) error {
	s, err := l.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	connection, err := s.connection(ctx, l.Connection)
	if err != nil {
		return err
	}
	tokens, err := s.people.ConnectionTokens(ctx, s.db, s.workspace.ID, connection.ID)
	if err != nil {
		return err
	}
	rows := tokenRows(tokens)
	return l.show(terminal, map[string]any{"connection": connection.ID, "tokens": rows}, func(sheet sheet) { sheet.tokens(rows) })
}

// revokeConnectionToken ends a token.
type revokeConnectionToken struct {
	inWorkspace `embed:""`
	Connection  string `arg:"" help:"Name or id of the connection."`
	Token       string `arg:"" help:"Id of the token, as 'list' shows it."`
}

func (r revokeConnectionToken) Run(ctx context.Context, terminal terminal) error {
	id, err := parseTokenID(r.Token)
	if err != nil {
		return err
	}
	s, err := r.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	connection, err := s.connection(ctx, r.Connection)
	if err != nil {
		return err
	}
	err = s.db.Tx(ctx, func(tx pgx.Tx) error {
		return s.people.RevokeConnectionToken(ctx, tx, s.cause, s.workspace.ID, connection.ID, id)
	})
	if err != nil {
		return err
	}
	return r.show(terminal, map[string]any{"connection": connection.ID, "revoked": id}, func(sheet sheet) {
		sheet.say("Revoked the token %s of %s.", id, connection.Name)
	})
}

// parseTokenID refuses what is no id. Somebody may paste the token itself: it is not told again.
func parseTokenID(text string) (core.ID, error) {
	id, err := core.ParseID(text)
	if err != nil {
		return core.ID{}, core.Invalid("token", "give the token's id, not the token: 'list' shows it")
	}
	return id, nil
}
