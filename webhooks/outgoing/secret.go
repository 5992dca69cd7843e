package outgoing

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"

	"postern/core"
	"postern/core/seal"
)

// The ways of signing (Standard Webhooks 1.0, "Signature scheme").
const (
	Symmetric  = seal.WebhookSymmetric
	Asymmetric = seal.WebhookAsymmetric
)

// newSecret makes one, and says what of it the endpoint is given: the secret itself, or the public key.
func newSecret(scheme string) (secret, told seal.Secret, err error) {
	if scheme == Asymmetric {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return seal.Secret{}, seal.Secret{}, core.Internal(err)
		}
		encode := base64.StdEncoding.EncodeToString
		return seal.NewSecret("whsk_" + encode(private)), seal.NewSecret("whpk_" + encode(public)), nil
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails: it ends the process instead
	secret = seal.NewSecret("whsec_" + base64.StdEncoding.EncodeToString(key))
	return secret, secret, nil
}
