// Package signin signs people in to Postern at identity providers that others wrote.
//
//	Browser ──► Postern's oidc ──► Keycloak, npm's oidc-provider (conformance/optest) ──► Postern
//
// It holds tests alone: PKCE, nonce, RFC 9207, pushed requests, private_key_jwt, two tabs at once, the
// errors a person may meet, and users made just in time. It never looks inside: what it sees is what a
// browser sees.
package signin
