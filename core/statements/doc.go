// Package statements is what a workspace says for good: a file that people can read and that anybody with the
// workspace's public keys can verify, offline, for ever.
//
//	what is said ── Sign ──► canonical JSON (RFC 8785) · JWS of it, payload detached (RFC 7515 appendix F) · key
//	a file ── Read ──► nothing believed yet ── Verify(keys) ──► what was said, to the byte, and by which key
//
// It guarantees that how a file is laid out changes nothing, that everything it says is signed, that a file
// which could be read in two ways is refused, and that a statement of one kind is taken for none of another.
//
// It never decides whose a key is, and never keeps anything.
package statements
