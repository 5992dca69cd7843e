package cli

import (
	"context"
	"fmt"

	"postern/core"
	"postern/core/directory"
	"postern/gateway"
)

// reached is part of every command that prints addresses.
type reached struct {
	PublicURL string `help:"Address people and IdPs reach Postern at: the one 'postern serve' gets." name:"public-url" env:"POSTERN_PUBLIC_URL" required:"" placeholder:"URL"`
}

// connectionPage is a connection with what is pasted into the identity provider's forms.
type connectionPage struct {
	ID        core.ID                  `json:"id"`
	Workspace string                   `json:"workspace"`
	Name      string                   `json:"name"`
	Kind      directory.ConnectionKind `json:"kind"`
	Issuer    string                   `json:"issuer,omitempty"`
	ClientID  string                   `json:"client_id,omitempty"`
	gateway.Addresses
	TokenID *core.ID `json:"token_id,omitempty"`
	Token   string   `json:"token,omitempty"` // only where it was just made

	Provisioning directory.Provisioning `json:"provisioning"`
	Settings     directory.SignIn       `json:"sign_in_settings"`
	Users        int                    `json:"users"`
	ActiveUsers  int                    `json:"active_users"`
	Tokens       []tokenRow             `json:"tokens,omitempty"`
	Clients      []clientRow            `json:"clients,omitempty"`
}

func (r reached) page(s *setup, connection directory.Connection) connectionPage {
	return connectionPage{
		ID: connection.ID, Workspace: s.workspace.Slug, Name: connection.Name, Kind: connection.Kind, Issuer: connection.Issuer,
		ClientID: connection.ClientID, Addresses: gateway.AddressesOf(r.PublicURL, connection.ID), Provisioning: connection.Provisioning, Settings: connection.SignIn,
	}
}

// connection prints what to paste where.
func (s sheet) connection(page connectionPage) {
	s.row("connection id", page.ID.String())
	switch page.Kind {
	case directory.Okta:
		s.say("\nProvisioning by SCIM: your app › Provisioning › Integration (scim/README.md, Connect Okta)")
		s.row("SCIM base URL", page.SCIM)
	case directory.Entra:
		s.say("\nProvisioning by SCIM: Enterprise application › Provisioning (scim/README.md, Connect Entra ID)")
		s.row("Tenant URL", page.SCIM+"?aadOptscim062020")
	case directory.Generic:
		s.say("\nProvisioning by SCIM: where the identity provider takes a SCIM 2.0 endpoint (scim/README.md)")
		s.row("SCIM base URL", page.SCIM)
	}
	if page.Token != "" {
		s.row("bearer token, shown once", page.Token)
	}
	s.row("or OAuth token endpoint", page.Addresses.Token)
	if page.Kind == directory.Entra && page.Provisioning.Assertion.Issuer != "" {
		s.say("\nWorkload Identity Federation, in place of a token: Provisioning › Connectivity")
		s.row("Client ID", page.ID.String())
		s.row("Token URL", page.Addresses.Token)
		s.row("SCIM URL", page.SCIM+"?aadOptscim062020")
	}
	s.say("\nSign-in by OpenID Connect: an app of type Web, authorization code")
	s.row("redirect URI", page.Redirect)
	s.row("sign-out redirect URI", page.SignedOut)
	s.row("initiate login URI", page.SignIn)
	if page.Issuer == "" {
		s.say("  Nobody can sign in until the app's issuer and client id are known here:")
		s.say("  postern connection update %q --workspace %s --issuer URL --client-id ID --client-secret file:PATH", page.Name, page.Workspace)
	}
	if page.Kind != directory.Entra {
		s.say("\nUniversal Logout: your app › Authentication › Logout (webhooks/README.md)")
		s.row("Logout Endpoint URL", page.UniversalLogout)
	}
}

// secretNote says that a reference leads nowhere here, which it need not.
func (s sheet) secretNote(reference string) {
	if reference == "" {
		return
	}
	if _, err := gateway.OpenReference(reference); err != nil {
		s.say("\nNote: %s. That is fine as long as it can be read where 'postern serve' runs.", core.AsError(err).Message)
	}
}

// showConnection prints the addresses again, and everything else there is to know.
type showConnection struct {
	ofConnection `embed:""`
	reached      `embed:""`
}

func (c showConnection) Run(ctx context.Context, terminal terminal) error {
	if err := gateway.CheckPublicURL(c.PublicURL); err != nil {
		return flag("--public-url", err)
	}
	return c.with(ctx, func(s *setup, found directory.Connection) error {
		page := c.page(s, found)
		tokens, err := s.connectionSlots().list(ctx, s.db, found.ID)
		if err != nil {
			return err
		}
		clients, err := s.people.ConnectionClients(ctx, s.db, s.workspace.ID, found.ID)
		if err != nil {
			return err
		}
		if page.Users, page.ActiveUsers, err = s.people.CountUsers(ctx, s.db, s.workspace.ID, found.ID); err != nil {
			return err
		}
		page.Tokens, page.Clients = tokens, clientRows(clients)
		return c.show(terminal, page, func(sheet sheet) {
			sheet.say("The connection %s (%s) in %s.\n", found.Name, found.Kind, s.workspace.Slug)
			sheet.connection(page)
			sheet.say("\nHow it behaves (postern connection update %q --workspace %s)", found.Name, s.workspace.Slug)
			sheet.row("users", fmt.Sprintf("%d, %d active", page.Users, page.ActiveUsers))
			sheet.provisioning(found.Kind, found.Provisioning)
			sheet.say("\nHow people sign in (oidc/README.md)")
			sheet.signIn(found)
			sheet.say("\nHow it gets in")
			sheet.tokens(page.Tokens)
			sheet.clients(page.Clients)
		})
	})
}
