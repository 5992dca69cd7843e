// Package directory holds who there is: workspaces, connections, users, teams, service accounts and
// sessions.
//
//	workspace ─┬─ connection ─┬─ tokens · clients ── access tokens, of an hour (SHA-256 only)
//	           │              ├─ sign-in flows · used signed tokens
//	           │              └─ counts of users and teams, kept by the statements that change them
//	           ├─ user ─┬─ identities (issuer, subject)
//	           │        └─ sessions ◄── dead when ended, idle, old, or begun before the user's epoch
//	           ├─ team ── members (suspended while the person has left)
//	           └─ service account ── tokens
//
//	Search ── Condition, a tree ──► one query: what is compared with is a parameter, never its text
//
// It guarantees that a read or write never leaves its workspace, that pages keep a stable order, that
// what collides names its field, and that a secret exists in clear only in the hand of whoever got it.
// A token or client that was revoked opens nothing from that commit on, and a client takes its access
// tokens along. Of tokens and of clients two are live at most, so that one can be replaced without a
// gap. Counting costs the same however many there are. A sign-in under way when its user is logged out does not
// become a session. When a token or session was last used is written once a minute at most.
//
// It never decides what a change of a person means for accounts and rotations: that is lifecycle's.
// What takes a cause appends its event; what takes none leaves the event to its caller. It never keeps
// anything in memory that is believed without asking the database: what is remembered of a connection
// counts only while its row is the same.
package directory
