// Package reviews asks those who answer for access whether it is still needed, and does what they say.
//
//	campaign: a scope, every N months ──┐
//	somebody became an owner ───────────┤
//	a service account may do more ──────┼──► review: a frozen list of items ──► each has one reviewer:
//	unused for 90 days ─────────────────┘         │                              an owner of the account,
//	   (the audit log, followed)                  │                              else the person's manager,
//	                        mail at the start,    │                              else an administrator
//	                        before and on the last day                                  │
//	                                              │      keep · revoke · narrow ◄───────┘
//	       the last day is over: the default ─────┤             │
//	                                              ▼             └─► core/lifecycle: rotated as policies say
//	                        closed ──► evidence, signed, once what follows is done
//
// It guarantees that every item of a review that was not cancelled gets exactly one decision, by whoever was
// first or by the default, however many people and processes are at it and whoever is killed when; that
// nobody decides on access they have themselves, directly or through a team, whatever their role; that a
// decision to take access and the taking of it are one transaction; that a reviewer who leaves is followed by
// the next in the chain; that nobody gets the same mail twice; that a decision only ever narrows access; and
// that the evidence says of each item who decided what, when, why and what came of it, failures included.
//
// Where nobody decides until the end of the last day, a campaign's default is to revoke: what nobody vouches for
// ends. Of small reviews, a new owner's and that of more scopes is to keep: what was done on purpose a moment ago
// is not undone in silence; that of unused access is to revoke, and they begin only where an administrator switches
// them on.
//
// Of a service account its scopes are asked about, of whoever answers for it: all are kept, or all are taken, and
// its tokens open nothing any more.
//
// It never gives access, and never takes an account's last owner: that decision fails, and the evidence says so.
package reviews
