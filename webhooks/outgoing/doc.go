// Package outgoing tells endpoints of a workspace what happened in it, by Standard Webhooks 1.0.
//
//	audit log ─► Follower ─► Hear: a delivery per endpoint and event ─► lanes ─► carry ─► POST {type, timestamp, data}
//	                                                                              │  webhook-id         the event's id
//	                                                                              │  webhook-timestamp  of this attempt
//	                                                                              └─ webhook-signature  v1 or v1a, two while the secret changes
//
// It guarantees that an event of a type an endpoint asked for reaches it at least once, always under the same
// webhook-id, whenever processes are killed; that the schedule of the specification is kept, Retry-After is
// honoured, and 410 or the end of the schedule disables the endpoint with an event that says so; that every
// attempt is kept with its status and how long it took.
//
// It never follows a redirect, never reaches a private address unless that is allowed, never sends an event of
// another workspace or a secret, and never more than 20 kB.
package outgoing
