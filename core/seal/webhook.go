package seal

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"
)

// The ways of signing a message (Standard Webhooks 1.0, "Signature scheme").
const (
	WebhookSymmetric  = "v1"  // HMAC-SHA256 with a shared secret, whsec_
	WebhookAsymmetric = "v1a" // Ed25519 with our own key, whsk_; the receiver has whpk_
)

// SignWebhook is one signature of a message's list, such as "v1,K5oZ…", by a secret that begins with whsec_ (v1) or
// whsk_ (v1a). The id and the time go into the headers webhook-id and webhook-timestamp.
func SignWebhook(secret Secret, id string, at time.Time, body []byte) (string, error) {
	signed := append([]byte(id+"."+strconv.FormatInt(at.Unix(), 10)+"."), body...)
	prefix, encoded, _ := strings.Cut(secret.Reveal(), "_")
	key, err := base64.StdEncoding.DecodeString(encoded)
	switch {
	case err != nil || prefix != "whsec" && prefix != "whsk":
		return "", errors.New("seal: the secret is not one of Standard Webhooks, which begin with whsec_ or whsk_")
	case prefix == "whsk" && len(key) != ed25519.PrivateKeySize:
		return "", errors.New("seal: whsk_ is followed by the base64 of an Ed25519 private key")
	case prefix == "whsk":
		return WebhookAsymmetric + "," + base64.StdEncoding.EncodeToString(ed25519.Sign(key, signed)), nil
	case len(key) < 16 || len(key) > 128:
		return "", errors.New("seal: whsec_ is followed by the base64 of 24 to 64 bytes")
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(signed)
	return WebhookSymmetric + "," + base64.StdEncoding.EncodeToString(mac.Sum(nil)), nil
}
