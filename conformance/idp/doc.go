// Package idp plays an identity provider against any SCIM server: a population, what becomes of it
// over some cycles, and the requests Okta or Entra ID would send for it, over a network that misbehaves.
//
//	seed ──► Plan: who is there, who joins, moves, leaves, returns ──► intended state after each cycle
//	               │                                                            │
//	               ▼                                                            ▼
//	     Okta or Entra ID ──► chaos: lost, late, twice, 503 ──► server ──► Verify: all of it, exactly
//	                                                               └─────► events: each effect once
//
// The requests are those the two really send (RFC 7643, RFC 7644, and where they depart from them):
// lookups before creates, GET before PUT, a group's name with every change of its members, references
// after the objects they name, text for booleans. Okta waits as long as Retry-After says and gives up
// after ten attempts; Entra ID leaves what failed to its next cycle, and forty minutes pass at once.
//
// It keeps to what an identity provider can do. Two changes of one object are never in flight together
// and never change places: the next one waits until every copy of the one before has been handled. What
// overlaps and overtakes is a retry and the request it repeats, the requests of different objects, and
// additions and removals of different members of one group. A copy behind a newer change is one its
// server can know (see overdue). Bursts are many requests at once, then none for a while.
//
// Everything follows from the seed but for time itself: which of two concurrent requests is handled
// first is the server's to say, and the end must be the same whatever it says.
package idp
