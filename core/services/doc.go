// Package services looks after service accounts: identities that are not people.
//
//	owners: two people, or a team ──► service account ──► scopes in Postern · reaches elsewhere = blast radius
//	                                       │
//	                                       └─► credentials: password · key · token
//	                                             slot 1 ▓▓▓▓▓▓▓▓▓▓▓▓ old ▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓┤ revoked
//	                                             slot 2         new ▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓
//	planned ─► created ─► distributed ─► verified ─► done       the new one seen in use before the old one ends
//	   └──────────┴────────────┴─────────────┴─► rolled_back    the new one ends, the old one stays
//
//	token used ──► Observe: where, when, by what ──► findings: open ─► acknowledged ─► resolved
//
// It guarantees that nobody takes the owners away that a service account must have, of two removals at once one is refused; that who
// leaves is not kept from leaving, and that it is a finding then; that a credential has two good values at most, and at least the one it
// had until the new one is in use or a person says with a reason that it may be relied on; that each step of a rotation is one transaction,
// kept for ever, so that it goes on after a kill wherever it was; that there are no two findings for one cause; and that a
// service account gives nobody what it does not have itself, and decides nothing about itself.
//
// Where a value is held by an account, core/rotation changes it, and what it proved are the steps here. Where an app makes the values, it is
// asked outside of transactions for one at a time; a new one is given out once the app lets it in, an old one is revoked once the app
// lets it in no more, and one that was made when nobody heard is found by its name and ended. Of a token for Postern there is a
// hash alone. It never restores anything that was revoked, never tells a value twice but to the service account it belongs to, and never
// keeps a person from leaving.
package services
