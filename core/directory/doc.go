// Package directory holds who there is: workspaces, connections, users, teams, service accounts and
// sessions.
//
//	workspace ─┬─ connection ── tokens (SHA-256 only) · sign-in flows · used signed tokens
//	           ├─ user ─┬─ identities (issuer, subject)
//	           │        └─ sessions ◄── dead when ended, idle, old, or begun before the user's epoch
//	           ├─ team ── members (suspended while the person has left)
//	           └─ service account ── tokens
//
// It guarantees that a read or write never leaves its workspace, that pages keep a stable order, that
// what collides names its field, that a token exists in clear only in the hand of whoever got it, and
// that a sign-in under way when its user is logged out does not become a session.
//
// It never decides what a change of a person means for accounts and rotations: that is lifecycle's.
// What takes a cause appends its event; what takes none leaves the event to its caller.
package directory
