// Package sampleapp is Harbour, a small web application with shared accounts: what Postern rotates
// on a machine that has nothing else.
//
//	browser ─► GET /sign-in ─► POST ─► session cookie ─► /berths
//	                                                  └► /account/password ─► POST ─► users.json
//
// It behaves as such applications do: server-rendered pages, a login form with a CSRF token, a
// change-password page that asks for the current password and has a policy, a lockout after failed
// sign-ins. Users are kept in one file with bcrypt hashes and survive a restart; every session ends
// when a password changes. Tests can make it misbehave.
//
// It knows nothing of Postern and has no interface but its pages.
package sampleapp
