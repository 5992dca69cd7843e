// Package signing is the keys a workspace signs with when Postern speaks to others: security events, logout
// tokens, client assertions.
//
//	Sign ──► current key (≤ 1 min in memory) ──► JWT          PublicKeys ──► next · current · previous
//	Rotate: new key published ── a day ──► it signs ── the old one stays published for a week
//
// It guarantees that whoever fetched the public keys within a day can verify what is signed next, that two first
// uses at once make one key, that a private key is stored nowhere but in the workspace's vault, and that every
// new key leaves an event.
//
// It never signs for another workspace, never verifies anything (that is core/jwt), and never deletes a key.
package signing
