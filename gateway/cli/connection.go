package cli

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core/directory"
	"postern/core/seal"
	"postern/gateway"
)

type connectionCommands struct {
	Create      createConnection      `cmd:"" help:"Connect an identity provider. Prints what to paste where, and a SCIM token, shown once."`
	Update      updateConnection      `cmd:"" help:"Change a connection: its sign-in client, its name, how its SCIM endpoint behaves."`
	Show        showConnection        `cmd:"" help:"Print what to paste where, how it behaves, and its tokens and clients without their secrets."`
	Certificate connectionCertificate `cmd:"" help:"Print the certificate that Entra ID takes in place of a client secret."`
	Token       connectionTokens      `cmd:"" help:"Make a second SCIM token, list them, revoke one."`

	Client connectionClients `cmd:"" help:"OAuth clients instead of tokens: make one, list them, revoke one."`
}

// createConnection connects an identity provider.
type createConnection struct {
	inWorkspace `embed:""`
	reached     `embed:""`
	client      `embed:""`
	lifetime    `embed:""`
	Kind        directory.ConnectionKind `arg:"" help:"okta, entra or generic." enum:"okta,entra,generic"`
	Name        string                   `help:"What people call it, at sign-in too." required:"" placeholder:"NAME"`
}

// Help is shown by 'postern connection create --help'.
func (createConnection) Help() string {
	return `A connection is one identity provider of a workspace: what it pushes by SCIM, how people sign in through it, and whom it logs out. The command prints its addresses and its SCIM token. The token is shown this once; only its hash is kept.

  postern connection create okta --workspace acme --name Okta --public-url https://postern.example.com

Sign-in needs an OpenID Connect app at the identity provider, which in turn asks for the redirect URI printed here. So create the connection first, then the app, then say:

  postern connection update Okta --workspace acme --issuer https://acme.okta.com --client-id 0oa… --client-secret file:okta-secret

Entra ID's issuer is https://login.microsoftonline.com/TENANT-ID/v2.0.`
}

func (c createConnection) Run(ctx context.Context, terminal terminal) error {
	if err := gateway.CheckPublicURL(c.PublicURL); err != nil {
		return flag("--public-url", err)
	}
	var wanted directory.Connection
	if err := c.apply(&wanted); err != nil {
		return err
	}
	expires, err := c.expires()
	if err != nil {
		return err
	}
	s, err := c.inWorkspace.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	var made directory.Connection
	var token seal.Secret
	var tokens []directory.Token
	err = s.db.Tx(ctx, func(tx pgx.Tx) error {
		if made, err = s.people.CreateConnection(ctx, tx, s.cause, s.workspace.ID, directory.NewConnection{
			Name: c.Name, Kind: c.Kind, Issuer: wanted.Issuer, ClientID: wanted.ClientID, ClientSecret: wanted.ClientSecret,
			LogoutIssuers: wanted.LogoutIssuers, JWKSURI: wanted.JWKSURI,
		}); err != nil {
			return err
		}
		if token, err = s.people.CreateConnectionToken(ctx, tx, s.cause, s.workspace.ID, made.ID, expires); err != nil {
			return err
		}
		tokens, err = s.people.ConnectionTokens(ctx, tx, s.workspace.ID, made.ID)
		return err
	})
	if err != nil {
		return err
	}
	page := c.page(s, made)
	page.TokenID, page.Token = &tokens[0].ID, token.Reveal()
	return c.show(terminal, page, func(sheet sheet) {
		sheet.say("Created the connection %s (%s) in %s.\n", made.Name, made.Kind, s.workspace.Slug)
		sheet.connection(page)
		sheet.secretNote(made.ClientSecret)
	})
}
