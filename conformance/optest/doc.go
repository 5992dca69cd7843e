// Package optest starts other people's identity providers for tests, and goes to them as a person does.
//
//	StartKeycloak ── Realm ── clients, people, SSF receivers ──┐
//	                                                           ├── Browser: sign in, refuse, sign out
//	StartCertified (npm's oidc-provider) ── accounts by name ──┘
//
// Both listen on loopback and end with the test process, however it ends. Keycloak takes a while to
// start, so one process starts it once; each Realm is the test's own. Where a machine lacks them the
// test is skipped by a line that names the part (see partstest); deploy/tools/install test brings them.
//
// It is for tests alone and never linked into the binary.
package optest
