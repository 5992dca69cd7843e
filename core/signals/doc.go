// Package signals is what happens when an identity provider says something about a person, whatever door it
// said it through.
//
//	Universal Logout ─┐
//	logout token ─────┤           one transaction
//	event token ──────┼─► Signal ─► whom it means ─► policy ─► seen before? ─► too many? ─► effect, receipt, events
//	hook ─────────────┤     │                                                                    │
//	console ──────────┘     │                                                        commit ─► the door answers
//	                        └ a logout, and its policy only ends sessions and rotates (Later):
//	                          epochs raised, token used, rest noted ── commit ─► the door answers
//	                                                    └─► KeepSettled: the transaction above, for the rest
//
// The policy says what each kind of signal asks for; which accounts are rotated when one asks for that is said by the
// workspace's policies about logouts, in core/policies.
//
// It guarantees that sessions die with every signal that says so, that one incident told through several doors
// changes passwords once, that a crowd's passwords wait for an administrator while its sessions do not, that
// every signal has a receipt saying what it did and how long that took, and that nothing is answered before it
// is durable: what is left to be done then is done whatever happens to the process, once.
//
// It never looks outside the connection that was proven, never gives access back, and never waits for an app.
package signals
