package doctor

import (
	"strings"

	"postern/core/directory"
	"postern/webhooks"
)

// The identity providers whose ways are known.
const (
	Okta     = "okta"
	Entra    = "entra"
	Keycloak = "keycloak"
	Google   = "google"
	Generic  = "generic"
)

// ProviderOf is whose ways a connection's identity provider has.
func ProviderOf(connection directory.Connection) string {
	switch {
	case connection.Kind == directory.Okta:
		return Okta
	case connection.Kind == directory.Entra:
		return Entra
	case connection.IsGoogle():
		return Google
	case connection.SignIn.Preset == directory.Keycloak || strings.Contains(connection.Issuer, "/realms/"):
		return Keycloak
	}
	return Generic
}

// paste is what is to be pasted where at the identity provider.
func (d *Doctor) paste(connection directory.Connection) []Paste {
	at := func(path string) string { return d.address("/sso/" + connection.ID.String() + path) }
	scim, logout := d.address("/scim/v2"), (&webhooks.Service{PublicURL: d.PublicURL}).LogoutURL(connection.ID)
	back := at("/backchannel-logout")
	switch ProviderOf(connection) {
	case Okta:
		return []Paste{
			{"your app › General › Login", "Sign-in redirect URI", at("/callback")},
			{"your app › General › Login", "Sign-out redirect URI", d.address("/sso/signed-out")},
			{"your app › General › Login", "Initiate login URI", at("/start")},
			{"your app › Provisioning › Integration", "SCIM connector base URL", scim},
			{"your app › Authentication › Logout", "Logout Endpoint URL", logout},
			{"your app › Authentication › Logout", "Subject format", "Email, or Issuer and Subject Identifier"},
		}
	case Entra:
		return []Paste{
			{"App registration › Authentication › Web", "Redirect URI", at("/callback")},
			{"App registration › Authentication › Web", "Front-channel logout URL (a convenience; it proves nothing)", at("/frontchannel-logout")},
			{"Enterprise application › Provisioning", "Tenant URL", scim + "?aadOptscim062020"},
		}
	case Keycloak:
		return []Paste{
			{"Clients › your client › Settings", "Valid redirect URIs", at("/callback")},
			{"Clients › your client › Settings", "Valid post logout redirect URIs", d.address("/sso/signed-out")},
			{"Clients › your client › Settings", "Home URL", at("/start")},
			{"Clients › your client › Settings › Logout", "Backchannel logout URL", back},
			{"Clients › your client › Settings › Logout", "Backchannel logout session required", "On"},
			{"the realm's SCIM client", "SCIM base URL", scim},
			{"kc.sh, for Shared Signals", "ssf.validPushUrls of the client", d.address("/webhooks/" + connection.ID.String() + "/ssf/*")},
		}
	case Google:
		return []Paste{{"Google Cloud › Credentials › OAuth client", "Authorized redirect URI", at("/callback")}}
	}
	return []Paste{
		{"OpenID Connect client", "redirect_uri", at("/callback")},
		{"OpenID Connect client", "post_logout_redirect_uri", d.address("/sso/signed-out")},
		{"OpenID Connect client", "initiate_login_uri", at("/start")},
		{"OpenID Connect client", "backchannel_logout_uri", back},
		{"OpenID Connect client", "frontchannel_logout_uri", at("/frontchannel-logout")},
		{"SCIM 2.0 provisioning", "base URL", scim},
		{"Global Token Revocation", "global_token_revocation_endpoint", logout},
	}
}
