// Package devidp is an identity provider for development: it signs people in by OpenID Connect and
// does to Postern what an administrator of Okta or Entra ID would make theirs do.
//
//	/                      an administrator's page: push, deactivate, delete, clear sessions
//	/authorize ─► /login   the sign-in page ─► redirect with code, state and iss (RFC 9207)
//	/oauth/token, /keys    the rest of the protocol, by zitadel's OpenID provider
//
//	Deactivate ──► SCIM (oidc/devidp/push) ──► every target that knows the person
//	ClearSessions ──► signed Universal Logout request ──► every target with a logout endpoint
//
// People, teams, clients and the signing key stay in its folder and survive a restart; sign-ins under
// way and its own sessions do not. Every request it sends is shown with its answer, without tokens.
//
// It is for one machine and for tests. Passwords are shown on the sign-in page; never let it guard
// anything.
package devidp
