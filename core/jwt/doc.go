// Package jwt reads and judges signed tokens, for every door one may come through.
//
//	compact ─► size, header ─► typ ─► alg ─► claims ─► iss, aud, times, jti ─► key ─► signature ─► sub ─► Token
//	           └──────────────── nothing is asked of anybody ────────────────┘    │
//	                                                                           Keys (one cache for the process)
//
// It guarantees that a token is what the door expects in every respect before it is believed, that no key
// is looked for on behalf of a token that cannot be right, that nothing which could be read in two ways is
// read at all (a member twice, a name in another case, an encoding with a line break), and that an error's
// Code names the check that failed.
//
// It never fetches anything itself, never accepts a shared secret or "none" as an algorithm, never trusts a
// key the token brings along, and never decides about single use, which belongs into the effect's transaction.
package jwt
