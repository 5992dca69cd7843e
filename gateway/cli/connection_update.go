package cli

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/gateway"
)

// client is how people sign in through a connection.
type client struct {
	Issuer        *string  `help:"OpenID Connect issuer, exactly as its discovery document has it." placeholder:"URL"`
	ClientID      *string  `help:"Client id of the OpenID Connect app at the identity provider." name:"client-id" placeholder:"ID"`
	ClientSecret  *string  `help:"Reference to its client secret (file:PATH or env:NAME), resolved where 'postern serve' runs." placeholder:"REF"`
	LogoutIssuers []string `help:"Further issuers whose logout tokens are accepted, such as Okta's custom domain." placeholder:"URL"`
	JWKSURI       *string  `help:"Address of the signing keys, where the discovery document does not tell it." name:"jwks-uri" placeholder:"URL"`
}

// apply sets what was given and checks the whole.
func (c client) apply(to *directory.Connection) error {
	for _, one := range []struct {
		given *string
		field *string
	}{{c.Issuer, &to.Issuer}, {c.ClientID, &to.ClientID}, {c.ClientSecret, &to.ClientSecret}, {c.JWKSURI, &to.JWKSURI}} {
		if one.given != nil {
			*one.field = *one.given
		}
	}
	if len(c.LogoutIssuers) > 0 {
		to.LogoutIssuers = c.LogoutIssuers
	}
	for name, address := range map[string]string{"--issuer": to.Issuer, "--jwks-uri": to.JWKSURI} {
		if address != "" && !core.SecureAddress(address) {
			return core.Invalid(name, "a https address is needed, such as https://acme.okta.com")
		}
	}
	for _, address := range to.LogoutIssuers {
		if !core.SecureAddress(address) {
			return core.Invalid("--logout-issuers", "%q is no https address", address)
		}
	}
	switch {
	case to.Issuer != "" && to.ClientID == "":
		return core.Invalid("--client-id", "sign-in needs the client id of the app at %s as well", to.Issuer)
	case to.Issuer == "" && to.ClientID != "":
		return core.Invalid("--issuer", "sign-in needs the issuer as well, such as https://acme.okta.com")
	case to.ClientSecret != "" && !gateway.IsReference(to.ClientSecret):
		return core.Invalid("--client-secret", "put the secret in a file and give file:PATH, or in a variable and give env:NAME")
	}
	return nil
}

// updateConnection changes what was given and nothing else.
type updateConnection struct {
	inWorkspace  `embed:""`
	client       `embed:""`
	provisioning `embed:""`
	signIn       `embed:""`
	Connection   string  `arg:"" help:"Name or id of the connection."`
	Name         *string `help:"Another name." placeholder:"NAME"`
}

// Help is shown by 'postern connection update --help'.
func (updateConnection) Help() string {
	return `What is not given stays as it is; an empty text ("") takes a value away. The change holds at once: the next sign-in, the next logout token and the next SCIM request go by it.

  postern connection update Okta --workspace acme --issuer https://acme.okta.com --client-id 0oa… --client-secret file:okta-secret
  postern connection update Okta --workspace acme --guard-share 10 --guard-floor 5 --journal-days 90
  postern connection update Okta --workspace acme --entitlements
  postern connection update Lab --workspace acme --profile strict --no-guard

How people sign in (oidc/README.md tells every field):

  postern connection update Okta --workspace acme --authentication private_key_jwt --client-secret ""
  postern connection update Lab --workspace acme --preset keycloak --just-in-time --just-in-time-domains acme.example
  postern connection update Google --workspace acme --issuer https://accounts.google.com --hosted-domains acme.example

Entra ID needs no secret when it signs in with an assertion of its own (workload identity federation):

  postern connection update "Entra ID" --workspace acme --assertion-issuer https://login.microsoftonline.com/TENANT-ID/v2.0 --assertion-subject OBJECT-ID --assertion-audience api://postern`
}

func (u updateConnection) Run(ctx context.Context, terminal terminal) error {
	s, err := u.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	before, err := s.connection(ctx, u.Connection)
	if err != nil {
		return err
	}
	var after directory.Connection
	err = s.db.Tx(ctx, func(tx pgx.Tx) error {
		var fault error
		after, err = s.people.ChangeConnection(ctx, tx, s.cause, s.workspace.ID, before.ID, func(c *directory.Connection) {
			if u.Name != nil {
				c.Name = *u.Name
			}
			if fault = u.client.apply(c); fault == nil {
				fault = u.provisioning.apply(&c.Provisioning)
			}
			u.signIn.apply(&c.SignIn)
		})
		if fault != nil {
			return fault
		}
		return signInFlag(asFlag(err))
	})
	if err != nil {
		return err
	}
	return u.show(terminal, struct {
		ID            core.ID  `json:"id"`
		Name          string   `json:"name"`
		Issuer        string   `json:"issuer,omitempty"`
		ClientID      string   `json:"client_id,omitempty"`
		ClientSecret  string   `json:"client_secret,omitempty"` // a reference
		LogoutIssuers []string `json:"logout_issuers,omitempty"`
		JWKSURI       string   `json:"jwks_uri,omitempty"`

		Provisioning directory.Provisioning `json:"provisioning"`
		SignIn       directory.SignIn       `json:"sign_in_settings"`
	}{after.ID, after.Name, after.Issuer, after.ClientID, after.ClientSecret, after.LogoutIssuers, after.JWKSURI, after.Provisioning, after.SignIn}, func(sheet sheet) {
		sheet.say("The connection %s is now:\n", after.Name)
		for _, one := range [][2]string{
			{"connection id", after.ID.String()}, {"issuer", after.Issuer}, {"client id", after.ClientID}, {"client secret", after.ClientSecret},
			{"logout issuers", strings.Join(after.LogoutIssuers, ", ")}, {"JWKS URI", after.JWKSURI},
		} {
			sheet.row(one[0], one[1])
		}
		sheet.signIn(after)
		sheet.provisioning(after.Kind, after.Provisioning)
		sheet.secretNote(after.ClientSecret)
	})
}
