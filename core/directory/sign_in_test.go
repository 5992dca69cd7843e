package directory_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

const tenant = "11111111-2222-3333-4444-555555555555"

func TestSignInSettings(t *testing.T) {
	w := open(t)
	tests := map[string]struct {
		kind   directory.ConnectionKind
		issuer string
		signIn directory.SignIn
		field  string // empty: accepted
	}{
		"Okta's org server":               {directory.Okta, "https://acme.okta.com", directory.SignIn{}, ""},
		"Okta's custom server":            {directory.Okta, "https://acme.okta.com/oauth2/default", directory.SignIn{Scopes: []string{"openid", "groups"}}, ""},
		"Entra by tenant":                 {directory.Entra, "https://login.microsoftonline.com/" + tenant + "/v2.0", directory.SignIn{}, ""},
		"Entra by a domain":               {directory.Entra, "https://login.microsoftonline.com/acme.onmicrosoft.com/v2.0", directory.SignIn{}, "issuer"},
		"Entra's common":                  {directory.Entra, "https://login.microsoftonline.com/common/v2.0", directory.SignIn{}, "issuer"},
		"Entra's organizations":           {directory.Entra, "https://login.microsoftonline.com/organizations/v2.0", directory.SignIn{Tenant: tenant}, "issuer"},
		"Entra's template":                {directory.Entra, "https://login.microsoftonline.com/{tenantid}/v2.0", directory.SignIn{}, "issuer"},
		"Entra with another tenant":       {directory.Entra, "https://login.microsoftonline.com/" + tenant + "/v2.0", directory.SignIn{Tenant: strings.Replace(tenant, "1", "9", 1)}, "sign_in.tenant"},
		"Entra with max_age":              {directory.Entra, "", directory.SignIn{MaxAge: new(60)}, "sign_in.max_age"},
		"a tenant elsewhere":              {directory.Okta, "", directory.SignIn{Tenant: tenant}, "sign_in.tenant"},
		"Google without a domain":         {directory.Generic, directory.GoogleIssuer, directory.SignIn{}, "sign_in.hosted_domains"},
		"Google":                          {directory.Generic, directory.GoogleIssuer, directory.SignIn{HostedDomains: []string{"Acme.example"}}, ""},
		"hosted domains elsewhere":        {directory.Generic, "https://idp.example", directory.SignIn{HostedDomains: []string{"acme.example"}}, "sign_in.hosted_domains"},
		"Keycloak":                        {directory.Generic, "https://sso.example/realms/acme", directory.SignIn{Preset: directory.Keycloak}, ""},
		"Keycloak without a realm":        {directory.Generic, "https://sso.example", directory.SignIn{Preset: directory.Keycloak}, "issuer"},
		"a preset of Okta":                {directory.Okta, "", directory.SignIn{Preset: directory.Keycloak}, "sign_in.preset"},
		"none as an algorithm":            {directory.Generic, "", directory.SignIn{Algorithms: []string{"none"}}, "sign_in.algorithms"},
		"HS256 as an algorithm":           {directory.Generic, "", directory.SignIn{Algorithms: []string{"RS256", "HS256"}}, "sign_in.algorithms"},
		"an algorithm":                    {directory.Generic, "", directory.SignIn{Algorithms: []string{"EdDSA"}}, ""},
		"an unknown authentication":       {directory.Generic, "", directory.SignIn{Authentication: "client_secret_jwt"}, "sign_in.authentication"},
		"an unknown prompt":               {directory.Generic, "", directory.SignIn{Prompt: "none"}, "sign_in.prompt"},
		"a scope with a blank":            {directory.Generic, "", directory.SignIn{Scopes: []string{"openid email"}}, "sign_in.scopes"},
		"an age before time":              {directory.Generic, "", directory.SignIn{MaxAge: new(-1)}, "sign_in.max_age"},
		"an address in place of a domain": {directory.Generic, "", directory.SignIn{Domains: []string{"ana@acme.example"}}, "sign_in.domains"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := w.DB.Tx(t.Context(), func(tx pgx.Tx) error {
				made, err := w.CreateConnection(t.Context(), tx, w.acme.cause, w.acme.workspace.ID, directory.NewConnection{Name: name, Kind: test.kind, Issuer: test.issuer, SignIn: test.signIn})
				if err != nil {
					return err
				}
				read, err := w.Connection(t.Context(), tx, w.acme.workspace.ID, made.ID)
				if err == nil && !cmp.Equal(read.SignIn, made.SignIn) {
					t.Error(cmp.Diff(made.SignIn, read.SignIn))
				}
				return err
			})
			if test.field == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if core.KindOf(err) != core.KindInvalid || core.AsError(err).Field != test.field {
				t.Errorf("%v, want Invalid on %s", err, test.field)
			}
		})
	}
}
