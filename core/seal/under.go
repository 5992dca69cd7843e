package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"

	"postern/core"
)

// underVersion begins every blob of SealUnder, wrapVersion every blob of a LocalKey.
const (
	underVersion = 1
	wrapVersion  = 2
)

// NewKey makes a random 32-byte key for SealUnder.
func NewKey() Secret {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails: it ends the process instead
	return NewSecret(string(key))
}

// SealUnder encrypts a value under a 32-byte key with AES-256-GCM, bound to a text that says what
// the value is.
func SealUnder(key Secret, binding string, value Secret) ([]byte, error) {
	return encrypt(underVersion, key, binding, value)
}

// OpenUnder decrypts what SealUnder made, and refuses anything else (code "sealed_value_refused").
func OpenUnder(key Secret, binding string, sealed []byte) (Secret, error) {
	return decrypt(underVersion, key, binding, sealed)
}

func encrypt(version byte, key Secret, binding string, value Secret) ([]byte, error) {
	gcm, err := newGCM(key)
	if err != nil {
		return nil, core.Internal(err)
	}
	return gcm.Seal([]byte{version}, nil, []byte(value.Reveal()), associated(version, binding)), nil
}

func decrypt(version byte, key Secret, binding string, sealed []byte) (Secret, error) {
	if len(sealed) == 0 || sealed[0] != version {
		return Secret{}, refused(errors.New("seal: unknown version of a sealed key"))
	}
	gcm, err := newGCM(key)
	if err != nil {
		return Secret{}, refused(err)
	}
	value, err := gcm.Open(nil, nil, sealed[1:], associated(version, binding))
	if err != nil {
		return Secret{}, refused(err)
	}
	return NewSecret(string(value)), nil
}

func newGCM(key Secret) (cipher.AEAD, error) {
	bytes := []byte(key.Reveal())
	if len(bytes) != 32 {
		return nil, errors.New("seal: a key has 32 bytes")
	}
	block, err := aes.NewCipher(bytes)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
