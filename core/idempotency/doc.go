// Package idempotency makes a request that is sent twice happen once
// (draft-ietf-httpapi-idempotency-key-header).
//
//	Begin ──► begun ── Claim.Within: in the effect's own transaction ──► committed ── Finish ──► answered
//	            │                                                           │                      │
//	            └─ nothing happened: forgotten, or taken over               └─ Lost                └─ the same answer again
//
// It guarantees that of any number of requests with one key, at once or one after the other, over any
// number of processes and their deaths, one has an effect, as far as that is one transaction; that a key
// comes back with its first answer for a day; that another request under the same key is refused; and
// that an answer, which may hold a secret told only once, is kept so that none but the token it was
// given to opens it.
//
// It never runs a request, and never keeps what one asked: only its digest.
package idempotency
