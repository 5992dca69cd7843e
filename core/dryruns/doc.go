// Package dryruns finds out that an app's pages have changed before somebody leaves, and not after.
//
//	every night, each app with a recipe ─┐             one account that works       ┌ passed: the pages are remembered
//	a person asks ───────────────────────┴─► a job ─► a change, up to the gate ───► │
//	                                                   └ the request is dropped      └ failed: what has gone, what is new
//
// It guarantees that no password is changed: the request that would do it is dropped at the connector's gate; that what
// was typed as the new password is in the vault before the page has it, should a page go round the gate; that one
// sign-in is made, out of the account's own lockout budget; and that a failure is told once, and so is its end.
//
// It never tries an account whose password is not proved, nor one that a rotation works on.
package dryruns
