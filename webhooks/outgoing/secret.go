package outgoing

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"postern/core"
	"postern/core/seal"
)

// The ways of signing (Standard Webhooks 1.0, "Signature scheme").
const (
	Symmetric  = "v1"  // HMAC-SHA256 with a shared secret, whsec_
	Asymmetric = "v1a" // Ed25519 with our own key, whsk_; the endpoint has whpk_
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

// sign is one signature of the list.
func sign(secret seal.Secret, id string, at time.Time, body []byte) (string, error) {
	signed := []byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "." + string(body))
	prefix, encoded, _ := strings.Cut(secret.Reveal(), "_")
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return "", core.Internal(err)
	}
	if prefix == "whsk" {
		return Asymmetric + "," + base64.StdEncoding.EncodeToString(ed25519.Sign(key, signed)), nil
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(signed)
	return Symmetric + "," + base64.StdEncoding.EncodeToString(mac.Sum(nil)), nil
}
