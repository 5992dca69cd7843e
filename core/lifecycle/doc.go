// Package lifecycle is what happens to people: they join, change, leave, come back, and move between
// teams.
//
//	SCIM, signal, console ──► one command ──► one transaction ──► commit ──► the answer, and Wake
//	                                            │                   │
//	                        a leaver: user off · epoch raised       └─► Takers, one transaction per person:
//	                                  · among the leavers                 sessions ended · grants revoked
//	                                  · user.deprovisioned                · memberships suspended
//	                        too many: held for an administrator           · a rotation for every account they
//	                                                                        saw or could have seen
//
// It guarantees that a command happens whole or not at all, and is durable before it returns; that
// doing it again changes nothing and records nothing; that whoever leaves can do nothing from that
// commit on, and loses everything, exactly once, whatever happens to them or to the process before; that
// every account they were exposed to when they left has a rotation under way, those whose password they
// saw first; that one person with whom that fails keeps nobody else waiting, and is tried again; that two
// commands about one person or one team happen one after the other; and that a connection cannot take a
// workspace's last owner away.
//
// More departures by one connection within an hour than its guard lets through are held: those people
// are shut out, and nothing else is taken until an administrator approves. Who is back before that, or
// after it was rejected, has what they had.
//
// But for that it never gives access back: who returns has no grant, and no membership counts until they
// are added anew, or an administrator accepts that it does. It never waits for an app.
package lifecycle
