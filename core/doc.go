// Package core holds the nouns every other package shares: identifiers, actors, causes, events, the one
// error type, and the bell that wakes who waits.
//
//	wings (scim, oidc, webhooks …) ──► core/lifecycle ──► slices ──► core
//	                                                               ID · Actor · Cause · Event · Error
//
// It guarantees that ids sort by creation time, that an event names who did what to whom, and that
// an error carries a text a client may read apart from the cause an operator may read.
//
// It imports nothing of Postern, does no I/O and knows no protocol.
package core
