// Package journal keeps the provisioning requests of identity providers: what was asked, redacted,
// what was answered, and which rules were needed to understand it.
//
//	scim ── Entry ──► Queue, in the transaction of the effect ──► provisioning_requests
//	                                                                  │
//	console, API, replay ◄── List, oldest or newest first ◄───────────┘── Sweep, after retention
//
// It guarantees that a change and the entry that tells of it are kept together or not at all, that
// entries are read in the order in which they took effect, and that one workspace never sees another's.
// An entry outlives its connection's retention by an hour or so.
//
// What was refused, or only read, had no effect, and its entry stands alone: of many alike the caller
// keeps a sample, and of readings only what a rule was needed for.
// It never looks into a body: whoever queues an entry has taken the passwords out.
package journal
