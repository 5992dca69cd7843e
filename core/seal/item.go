package seal

import (
	"crypto/hpke"
	"errors"
	"fmt"

	"postern/core"
)

// Suite names how items are sealed: what a vault key's row says it is for.
const Suite = "x-wing/hkdf-sha256/aes-256-gcm"

// itemVersion begins every sealed item. HPKE's hybrid KEMs stand in a draft still, so a later
// version may seal differently while old blobs stay readable.
const itemVersion = 1

// GenerateVaultKey makes a vault's X-Wing key pair. The private key is a 32-byte seed.
func GenerateVaultKey() (public []byte, private Secret, err error) {
	key, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		return nil, Secret{}, core.Internal(err)
	}
	seed, err := key.Bytes()
	if err != nil {
		return nil, Secret{}, core.Internal(err)
	}
	return key.PublicKey().Bytes(), NewSecret(string(seed)), nil
}

// Seal encrypts a value to a vault's public key under a binding. Nobody can open it again without
// the private key, the caller included.
func Seal(public []byte, b Binding, value Secret) ([]byte, error) {
	key, err := hpke.MLKEM768X25519().NewPublicKey(public)
	if err != nil {
		return nil, core.Internal(fmt.Errorf("seal: the vault's public key: %w", err))
	}
	sealed, err := hpke.Seal(key, hpke.HKDFSHA256(), hpke.AES256GCM(), b.info(), []byte(value.Reveal()))
	if err != nil {
		return nil, core.Internal(err)
	}
	return append([]byte{itemVersion}, sealed...), nil
}

// Open decrypts what Seal made. A wrong key, another binding or a changed blob are one and the same
// fault (Internal, code "sealed_value_refused"): whoever can tell them apart learns something.
func Open(private Secret, b Binding, sealed []byte) (Secret, error) {
	if len(sealed) == 0 || sealed[0] != itemVersion {
		return Secret{}, refused(errors.New("seal: unknown version of a sealed value"))
	}
	key, err := hpke.MLKEM768X25519().NewPrivateKey([]byte(private.Reveal()))
	if err != nil {
		return Secret{}, refused(errors.New("seal: the vault's private key cannot be read"))
	}
	value, err := hpke.Open(key, hpke.HKDFSHA256(), hpke.AES256GCM(), b.info(), sealed[1:])
	if err != nil {
		return Secret{}, refused(err)
	}
	return NewSecret(string(value)), nil
}

func refused(cause error) error {
	return core.Internal(cause).WithCode("sealed_value_refused")
}
