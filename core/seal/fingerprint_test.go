package seal_test

import (
	"bytes"
	"testing"

	"postern/core/seal"
)

func TestFingerprint(t *testing.T) {
	key, value := seal.NewKey(), seal.NewSecret("first password")
	of := func(key seal.Secret, use string, value seal.Secret) []byte {
		t.Helper()
		made, err := seal.Fingerprint(key, use, value)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	first := of(key, "password", value)
	if len(first) != seal.FingerprintSize || !bytes.Equal(first, of(key, "password", seal.NewSecret("first password"))) {
		t.Fatalf("%x is not the same twice", first)
	}
	for what, other := range map[string][]byte{
		"another key":   of(seal.NewKey(), "password", value),
		"another use":   of(key, "note", value),
		"another value": of(key, "password", seal.NewSecret("First password")),
	} {
		if bytes.Equal(first, other) {
			t.Errorf("%s has the same fingerprint", what)
		}
	}
}
