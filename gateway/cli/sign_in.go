package cli

import (
	"cmp"
	"context"
	"encoding/pem"
	"fmt"
	"strings"

	"postern/core"
	"postern/core/directory"
	"postern/core/signing"
	"postern/core/vault"
	"postern/gateway"
)

// signIn is how people sign in through a connection.
type signIn struct {
	Preset            *string  `help:"What a generic connection leads to: keycloak or google; none takes it away." placeholder:"PRESET" group:"sign-in"`
	Algorithms        []string `help:"What an ID token may be signed with (default RS256, ES256, PS256, which none brings back); never HS256." placeholder:"ALG" group:"sign-in"`
	Authentication    *string  `help:"How Postern proves it is the client: client_secret_basic, client_secret_post, private_key_jwt (its own key, no secret), none; detected chooses by what the provider offers." placeholder:"METHOD" group:"sign-in"`
	AssertionToToken  *bool    `help:"Name the token endpoint, not the issuer, as aud of private_key_jwt assertions (Okta and Entra ID get that anyway)." name:"assertion-to-token-endpoint" negatable:"" group:"sign-in"`
	PushedRequests    *string  `help:"Push authorization requests (RFC 9126): always, never, or detected (where the provider offers it)." placeholder:"WHEN" group:"sign-in"`
	Scopes            []string `help:"What is asked for (default openid, profile, email, which none brings back)." placeholder:"SCOPE" group:"sign-in"`
	ACRValues         []string `help:"Proofs asked for, one of which the ID token must name as acr; none: any." name:"acr-values" placeholder:"ACR" group:"sign-in"`
	MaxAge            *int     `help:"Seconds ago the provider may have seen the person; --max-age=-1 takes the limit away." placeholder:"SECONDS" group:"sign-in"`
	Prompt            *string  `help:"login, consent or select_account at every sign-in; none takes it away." placeholder:"PROMPT" group:"sign-in"`
	JustInTime        *bool    `help:"Make a user for somebody who signs in and was not provisioned (default: no)." negatable:"" group:"sign-in"`
	JustInTimeDomains []string `help:"Whose addresses such users are made for (default, and with none: any)." placeholder:"DOMAIN" group:"sign-in"`
	HostedDomains     []string `help:"Google Workspace domains whose people may sign in: needed with Google." placeholder:"DOMAIN" group:"sign-in"`
	Tenant            *string  `help:"Entra ID's tenant id, where the issuer does not name it." placeholder:"GUID" group:"sign-in"`
}

// apply sets what was given; "none" and "detected" take a value, or all of a list, away.
func (s signIn) apply(to *directory.SignIn) {
	text := func(given *string) string {
		if *given == "detected" || *given == "none" {
			return ""
		}
		return *given
	}
	if s.Preset != nil {
		to.Preset = directory.Preset(text(s.Preset))
	}
	if s.Authentication != nil {
		to.Authentication = directory.ClientAuthentication(*s.Authentication)
		if *s.Authentication == "detected" {
			to.Authentication = directory.AuthenticateDetected
		}
	}
	if s.PushedRequests != nil {
		to.Pushing = directory.Pushing(text(s.PushedRequests))
	}
	if s.Prompt != nil {
		to.Prompt = text(s.Prompt)
	}
	if s.Tenant != nil {
		to.Tenant = *s.Tenant
	}
	for _, one := range []struct {
		given []string
		field *[]string
	}{
		{s.Algorithms, &to.Algorithms}, {s.Scopes, &to.Scopes}, {s.ACRValues, &to.ACRValues}, {s.JustInTimeDomains, &to.Domains}, {s.HostedDomains, &to.HostedDomains},
	} {
		if len(one.given) == 1 && one.given[0] == "none" {
			*one.field = nil
		} else if len(one.given) > 0 {
			*one.field = one.given
		}
	}
	if s.JustInTime != nil {
		to.JustInTime = *s.JustInTime
	}
	if s.AssertionToToken != nil {
		to.AssertionToTokenEndpoint = *s.AssertionToToken
	}
	if s.MaxAge != nil {
		if to.MaxAge = s.MaxAge; *s.MaxAge == -1 {
			to.MaxAge = nil
		}
	}
}

// signInFlag names the flag of a refused setting.
func signInFlag(err error) error {
	known := core.AsError(err)
	if known == nil {
		return err
	}
	field, ours := strings.CutPrefix(known.Field, "sign_in.")
	if !ours && field != "issuer" {
		return err
	}
	switch field {
	case "pushing":
		field = "pushed-requests"
	case "domains":
		field = "just-in-time-domains"
	}
	return flag("--"+strings.ReplaceAll(field, "_", "-"), err)
}

// signIn prints the settings with their defaults.
func (s sheet) signIn(connection directory.Connection) {
	settings := connection.SignIn
	s.row("ID tokens signed with", strings.Join(settings.AcceptedAlgorithms(), ", "))
	s.row("client authentication", cmp.Or(string(settings.Authentication), "as the provider offers"))
	s.row("requests are pushed", cmp.Or(string(settings.Pushing), "where the provider offers it"))
	s.row("scopes", strings.Join(settings.AskedScopes(), ", "))
	newcomers := "only whom the identity provider provisions"
	if settings.JustInTime {
		newcomers = "made at sign-in, of " + cmp.Or(strings.Join(settings.Domains, ", "), "any domain")
	}
	s.row("users", newcomers)
	age := ""
	if settings.MaxAge != nil {
		age = fmt.Sprintf("%d seconds", *settings.MaxAge)
	}
	for _, one := range [][2]string{
		{"preset", string(settings.Preset)}, {"acr", strings.Join(settings.ACRValues, ", ")}, {"seen at most ago", age}, {"prompt", settings.Prompt},
		{"hosted domains", strings.Join(settings.HostedDomains, ", ")}, {"tenant", connection.Tenant()},
	} {
		if one[1] != "" {
			s.row(one[0], one[1])
		}
	}
}

// connectionCertificate prints what Entra ID wants in place of a client secret.
type connectionCertificate struct {
	inWorkspace `embed:""`
	Connection  string `arg:"" help:"Name or id of the connection."`
	Key         string `help:"Reference to the key that wraps every workspace key, as 'postern serve' has it." env:"POSTERN_KEY" required:"" placeholder:"REF"`
}

// Help is shown by 'postern connection certificate --help'.
func (connectionCertificate) Help() string {
	return `Prints, as PEM, the certificates of the workspace's signing keys: upload them in Entra ID under App registrations › your app › Certificates & secrets › Certificates, then say

  postern connection update "Entra ID" --workspace acme --authentication private_key_jwt

Usually there is one. After a key rotation there are several for a while: upload them all, before the new key signs.`
}

func (c connectionCertificate) Run(ctx context.Context, terminal terminal) error {
	keys, err := gateway.OpenKeys(c.Key)
	if err != nil {
		return flag("--key", err)
	}
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if _, err := s.connection(ctx, c.Connection); err != nil {
		return err
	}
	signs := &signing.Signing{DB: s.db, Vault: &vault.Vault{DB: s.db, Keys: keys}}
	found, err := signs.Certificates(ctx, s.workspace.ID)
	if err != nil {
		return err
	}
	type row struct {
		KeyID      string `json:"key_id"`
		Thumbprint string `json:"x5t_s256"`
		Signs      bool   `json:"signs"`
		PEM        string `json:"pem"`
	}
	rows := make([]row, 0, len(found))
	for _, one := range found {
		rows = append(rows, row{one.KeyID.String(), one.Thumbprint(), one.Signs, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: one.DER}))})
	}
	return c.show(terminal, rows, func(sheet sheet) {
		for _, one := range rows {
			_, _ = fmt.Fprint(sheet.out, one.PEM)
		}
	})
}
