// Package rotation replaces an account's password and proves that it did.
//
//	planned ─► stored ─► armed ─► submitted ─► probing ─► new_proven ─► old_dead ─► done
//	             ▲         │                     ├─► unchanged  the old one still works: wait, retry the same candidate
//	             │         └─► not_sent          ├─► drifted    one from history works: adopt it, then rotate
//	             └───────────────┘               └─► unknown    none works ─► reconciling: an administrator of the app sets the
//	                                                            candidate, or the link of the app's forgotten-password mail
//	                                                            does ─► armed; without both ─► blocked: a person is asked
//
// A password that an app may have is never lost: a candidate is sealed and committed before the app
// is even visited, no version is ever removed, and the request that carries it leaves only after the
// row saying so has committed. So a worker may die between any two instructions; the next one reads
// the row and knows what may have happened. What the app's page says is evidence. The outcome is two
// fresh sign-ins: the new password accepted, and right after it the old one refused.
//
// The same row and its worker turn on an account's second factor, where that is wanted: the secret the app shows is stored
// before the first code leaves, and a fresh sign-in that was asked for a code proves it. The password stays as it is.
//
// Beside rotations an app's administrator disables accounts there and enables them again (Switch), and tells which there are
// (Listing): each has a row, a lease and retries of its own.
//
// One worker at a time drives a rotation, under a lease with a fencing number that is checked in
// every transaction and last of all when the change request is held at the connector's gate.
// Sign-ins that may fail keep within a budget per account that is written down before each of them.
//
// Nobody waits for ever behind a crowd: an app has so many rotations under way at most and the others are parked, and a free
// place goes to the workspace, and then the app, that has the least under way (see turn.go).
//
// It never retries a released request, never waits inside a worker, and never restores access.
package rotation
