// Package journal keeps the provisioning requests of identity providers: what was asked, redacted,
// what was answered, and which rules were needed to understand it.
//
//	scim ── Entry ──► Queue, in the transaction of the effect ──► provisioning_requests
//	                                                                  │
//	console, API, replay ◄── List, oldest or newest first ◄───────────┘── Sweep, after retention
//
// It guarantees that an entry exists exactly when the effect it tells of does, that no entry holds a
// password, and that one workspace never sees another's. It never looks into a body.
package journal
