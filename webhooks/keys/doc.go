// Package keys fetches and remembers the public keys identity providers sign with.
//
//	Find(source, kid) ──► set in memory, fresh? ──► keys
//	                           │ old, or the kid is new
//	                           ▼
//	                      one fetch at a time, at most one per cooldown ──► issuer's JWKS
//
// It implements jwt.Keys for every door of the process. It guarantees that a storm of forged tokens costs at most one fetch per issuer and cooldown, that
// a kid the issuer does not have is remembered as such, that only public asymmetric keys of
// sufficient strength are ever returned, and that keys once fetched outlive a short outage of the
// issuer.
//
// It never follows a redirect, never reads more than a bounded answer, and never verifies anything.
package keys
