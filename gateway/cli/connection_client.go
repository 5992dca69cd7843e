package cli

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/core/seal"
	"postern/gateway"
)

// connectionClients are the commands for a connection's OAuth clients. 'postern connection client NAME'
// is to make one.
type connectionClients struct {
	Create createConnectionClient `cmd:"" default:"withargs" help:"Make one more client; its secret is shown once."`
	List   listConnectionClients  `cmd:"" help:"List the clients: when they were made, last used, expire."`
	Revoke revokeConnectionClient `cmd:"" help:"End a client and its access tokens at once and for good."`
}

// createConnectionClient gives an identity provider a client instead of a token.
type createConnectionClient struct {
	ofConnection `embed:""`
	reached      `embed:""`
	lifetime     `embed:""`
}

// Help is shown by 'postern connection client create --help'.
func (createConnectionClient) Help() string {
	return `Instead of a token that lives for years, an identity provider can be given a client id and a secret, which it exchanges for access tokens of an hour (OAuth 2.0 client credentials). The secret is shown this once; only its hash is kept.

  postern connection client create Okta --workspace acme --public-url https://postern.example.com

A connection has two slots for live clients, so that one can be replaced without a gap: make the second, paste it at the identity provider, see with 'list' which one is used, revoke the other. Entra ID can do without any secret: see --assertion-issuer of 'postern connection update'.`
}

// clientRow is a client in a list.
type clientRow struct {
	tokenRow
	ClientID string `json:"client_id"`
}

func clientRows(clients []directory.Client) []clientRow {
	rows := make([]clientRow, 0, len(clients))
	for _, one := range clients {
		row := tokenRows([]directory.Token{{ID: one.ID, Created: one.Created, Expires: one.Expires, LastUsed: one.LastUsed}})[0]
		rows = append(rows, clientRow{row, one.ClientID})
	}
	return rows
}

// clients prints a list of clients.
func (s sheet) clients(rows []clientRow) {
	if len(rows) == 0 {
		s.say("no clients")
		return
	}
	width := len("CLIENT ID")
	for _, one := range rows {
		width = max(width, len(one.ClientID))
	}
	s.say("%-36s  %-*s  %-16s  %-16s  %s", "CLIENT", width, "CLIENT ID", "CREATED", "LAST USED", "EXPIRES")
	for _, one := range rows {
		s.say("%s  %-*s  %s", one.ID, width, one.ClientID, one.times())
	}
}

// madeClient is a client just made.
type madeClient struct {
	clientRow
	Secret        string `json:"client_secret"`
	TokenEndpoint string `json:"token_endpoint"`
}

func (c createConnectionClient) Run(ctx context.Context, terminal terminal) error {
	if err := gateway.CheckPublicURL(c.PublicURL); err != nil {
		return flag("--public-url", err)
	}
	expires, err := c.expires()
	if err != nil {
		return err
	}
	return c.with(ctx, func(s *setup, connection directory.Connection) error {
		var client directory.Client
		var secret seal.Secret
		err := s.db.Tx(ctx, func(tx pgx.Tx) error {
			client, secret, err = s.people.CreateConnectionClient(ctx, tx, s.cause, s.workspace.ID, connection.ID, expires)
			return err
		})
		if err != nil {
			return slotsFull(err, "client", "postern connection client list")
		}
		made := madeClient{clientRows([]directory.Client{client})[0], secret.Reveal(), gateway.AddressesOf(c.PublicURL, connection.ID).Token}
		return c.show(terminal, made, func(sheet sheet) {
			sheet.say("Made an OAuth client for %s.\n", connection.Name)
			sheet.row("token endpoint URL", made.TokenEndpoint)
			sheet.row("client id", made.ClientID)
			sheet.row("client secret, shown once", made.Secret)
		})
	})
}

// listConnectionClients shows everything about the clients but their secrets.
type listConnectionClients struct {
	ofConnection `embed:""`
}

func (l listConnectionClients) Run(ctx context.Context, terminal terminal) error {
	return l.with(ctx, func(s *setup, connection directory.Connection) error {
		clients, err := s.people.ConnectionClients(ctx, s.db, s.workspace.ID, connection.ID)
		if err != nil {
			return err
		}
		rows := clientRows(clients)
		return l.show(terminal, map[string]any{"connection": connection.ID, "clients": rows}, func(sheet sheet) { sheet.clients(rows) })
	})
}

// revokeConnectionClient ends a client.
type revokeConnectionClient struct {
	ofConnection `embed:""`
	Client       string `arg:"" help:"Id of the client or its client id, as 'list' shows them."`
}

func (r revokeConnectionClient) Run(ctx context.Context, terminal terminal) error {
	return r.with(ctx, func(s *setup, connection directory.Connection) error {
		clients, err := s.people.ConnectionClients(ctx, s.db, s.workspace.ID, connection.ID)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(clients, func(one directory.Client) bool { return one.ID.String() == r.Client || one.ClientID == r.Client })
		if at < 0 {
			return core.NotFound("client")
		}
		one := clients[at]
		err = s.db.Tx(ctx, func(tx pgx.Tx) error {
			return s.people.RevokeConnectionClient(ctx, tx, s.cause, s.workspace.ID, connection.ID, one.ID)
		})
		if err != nil {
			return err
		}
		return r.show(terminal, map[string]any{"connection": connection.ID, "revoked": one.ID}, func(sheet sheet) {
			sheet.say("Revoked the client %s of %s.", one.ClientID, connection.Name)
		})
	})
}
