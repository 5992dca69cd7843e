package seal

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"postern/core"
)

// KeyProvider guards the root key: a KMS, or a key file on a small installation. Implementations are
// safe for concurrent use and answer Unavailable while their service is down.
type KeyProvider interface {
	// Name is stored beside what the provider wrapped, and tells providers apart: "local:3f2a…".
	Name() string
	// Wrap encrypts a key under the root key, bound to a text that says which key it is.
	Wrap(ctx context.Context, key Secret, binding string) ([]byte, error)
	// Unwrap decrypts what Wrap made under the same binding.
	Unwrap(ctx context.Context, wrapped []byte, binding string) (Secret, error)
}

// LocalKey is a KeyProvider over a key file's 32 bytes.
type LocalKey struct {
	name string
	key  Secret
}

// GenerateLocalKey makes the content of a new key file: 64 hex digits and a line end.
func GenerateLocalKey() Secret {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails: it ends the process instead
	return NewSecret(hex.EncodeToString(key) + "\n")
}

// ParseKey reads a key file's content: 32 bytes as hex, as base64 (either alphabet), or raw.
// Anything else is Invalid, and the message shows nothing of the content.
func ParseKey(material []byte) (Secret, error) {
	key, ok := parseKey(material)
	if !ok {
		return Secret{}, core.Invalid("key", "a key file holds 32 random bytes as 64 hex digits, as base64 or raw; make one with: openssl rand -hex 32")
	}
	same := true
	for _, b := range key {
		same = same && b == key[0]
	}
	if same {
		return Secret{}, core.Invalid("key", "the key file's bytes are all the same; make a random one with: openssl rand -hex 32")
	}
	return NewSecret(string(key)), nil
}

// NewLocalKey makes a provider of a key file's content, as ParseKey reads it.
func NewLocalKey(material []byte) (*LocalKey, error) {
	key, err := ParseKey(material)
	if err != nil {
		return nil, err
	}
	root := []byte(key.Reveal())
	// The name and the wrapping key are derived apart, so that the name says nothing about the key.
	name, err := hkdf.Key(sha256.New, root, nil, "postern local key: name", 8)
	if err != nil {
		return nil, core.Internal(err)
	}
	wrapping, err := hkdf.Key(sha256.New, root, nil, "postern local key: wrap", 32)
	if err != nil {
		return nil, core.Internal(err)
	}
	return &LocalKey{name: "local:" + hex.EncodeToString(name), key: NewSecret(string(wrapping))}, nil
}

func parseKey(material []byte) ([]byte, bool) {
	if len(material) == 32 && !printable(material) {
		return material, true
	}
	text := strings.TrimSpace(string(material))
	if key, err := hex.DecodeString(text); err == nil && len(key) == 32 {
		return key, true
	}
	text = strings.TrimRight(text, "=")
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if key, err := encoding.DecodeString(text); err == nil && len(key) == 32 {
			return key, true
		}
	}
	return nil, false
}

// printable reports whether all bytes are ASCII text: 32 letters are a passphrase or half a key in
// hex, not 32 random bytes.
func printable(material []byte) bool {
	for _, b := range material {
		if (b < 0x20 || b > 0x7e) && b != '\n' && b != '\r' && b != '\t' {
			return false
		}
	}
	return true
}

// Name is "local:" and a fingerprint.
func (k *LocalKey) Name() string { return k.name }

// Wrap implements KeyProvider.
func (k *LocalKey) Wrap(_ context.Context, key Secret, binding string) ([]byte, error) {
	return encrypt(wrapVersion, k.key, binding, key)
}

// Unwrap implements KeyProvider.
func (k *LocalKey) Unwrap(_ context.Context, wrapped []byte, binding string) (Secret, error) {
	return decrypt(wrapVersion, k.key, binding, wrapped)
}
