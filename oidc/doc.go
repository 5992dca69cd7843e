// Package oidc signs people in through the identity provider of their connection (OpenID Connect, code
// flow with PKCE) and keeps them signed in with a session Postern can end at once.
//
//	/sso/:connection/start ──► the IdP ──► /sso/:connection/callback ──► __Host-postern, return_to
//	  state · nonce · PKCE                   state · iss · code · ID token
//	  one row and one cookie per state       ──► the user SCIM provisioned ──► directory.StartSession
//
//	Require() ── no live session ──► browser: /sso?return_to=…     anything else: 401
//
// It guarantees that several sign-ins in one browser do not disturb each other, that each works once
// and for ten minutes, that an answer of another issuer never reaches a token endpoint, that an ID
// token is accepted only with its nonce, its audience and a pinned algorithm, and that forged key ids
// cannot make it hammer an IdP. A failed sign-in is a page that says why and an event.
//
// It creates a user only where the connection says so, never links one across connections, never sends
// a browser to another site but the IdP, and keeps no token of the IdP but the ID token to sign out with,
// which only the session's own token opens.
package oidc
