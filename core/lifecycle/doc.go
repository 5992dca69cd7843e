// Package lifecycle is what happens to people: they join, change, leave, come back, are logged out,
// and move between teams.
//
//	SCIM, signal, console ──► one command ──► one transaction ──► commit ──► the answer, and Wake
//	                                            │
//	                        a leaver: grants revoked · memberships suspended · sessions ended
//	                                  · revocation epoch raised · user off
//	                                  · a rotation for every account they saw or could have seen
//	                                  · events and jobs
//
// It guarantees that a command happens whole or not at all, and is durable before it returns; that
// doing it again changes nothing and records nothing; that every account a leaver was exposed to has
// a rotation under way, those whose password they saw first; that two commands about one person or one
// team happen one after the other; and that a connection cannot take a workspace's last owner away.
//
// It never gives access back: who returns has no grant, and no membership counts until they are added
// anew. It never waits for an app.
package lifecycle
