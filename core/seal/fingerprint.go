package seal

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"

	"postern/core"
)

// FingerprintSize is the length of a fingerprint, in bytes.
const FingerprintSize = 16

// Fingerprint is the same for the same value under one key and use, and another one otherwise (HMAC-SHA256,
// RFC 2104, under a key derived by HKDF, RFC 5869). Who has no key learns from two fingerprints whether their
// values are equal, and nothing else; who has it can try values, so keep it where the values' own key is.
func Fingerprint(key Secret, use string, value Secret) ([]byte, error) {
	derived, err := hkdf.Key(sha256.New, []byte(key.Reveal()), nil, "postern fingerprint: "+use, sha256.Size)
	if err != nil {
		return nil, core.Internal(err)
	}
	mac := hmac.New(sha256.New, derived)
	mac.Write([]byte(value.Reveal()))
	return mac.Sum(nil)[:FingerprintSize], nil
}
