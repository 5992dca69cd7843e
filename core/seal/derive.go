package seal

import (
	"crypto/hkdf"
	"crypto/sha256"

	"postern/core"
)

// KeyOfToken is a key for SealUnder that follows from a bearer token (HKDF, RFC 5869): who has the token
// opens what is sealed under it, and nobody else does, not even with HashToken of it. The use keeps the
// keys of one token apart.
func KeyOfToken(token Secret, use string) (Secret, error) {
	key, err := hkdf.Key(sha256.New, []byte(token.Reveal()), nil, "postern token key: "+use, 32)
	if err != nil {
		return Secret{}, core.Internal(err)
	}
	return NewSecret(string(key)), nil
}
