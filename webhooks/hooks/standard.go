package hooks

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/seal"
)

// Tolerance is how far a Standard Webhook's timestamp may be from now.
const Tolerance = 5 * time.Minute

// standardVerifier checks one signature of a list.
type standardVerifier struct {
	version string
	check   func(signed, signature []byte) bool
}

// standardKey reads a secret of Standard Webhooks 1.0: whsec_ for v1, whpk_ for v1a. A sender's private key
// (whsk_) has no business here.
func standardKey(secret seal.Secret) (standardVerifier, error) {
	text := secret.Reveal()
	switch {
	case strings.HasPrefix(text, "whpk_"):
		key, err := base64.StdEncoding.DecodeString(text[len("whpk_"):])
		if err != nil || len(key) != ed25519.PublicKeySize {
			return standardVerifier{}, core.Invalid("secret", "whpk_ is followed by the base64 of an Ed25519 public key")
		}
		return standardVerifier{"v1a", func(signed, signature []byte) bool {
			return len(signature) == ed25519.SignatureSize && ed25519.Verify(key, signed, signature)
		}}, nil
	case strings.HasPrefix(text, "whsk_"):
		return standardVerifier{}, core.Invalid("secret", "that is the sender's private key: ask for the public one, whpk_")
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "whsec_"))
	if err != nil || len(key) < 16 || len(key) > 128 {
		return standardVerifier{}, core.Invalid("secret", "whsec_ is followed by the base64 of 24 to 64 bytes")
	}
	return standardVerifier{"v1", func(signed, signature []byte) bool {
		mac := hmac.New(sha256.New, key)
		mac.Write(signed)
		return hmac.Equal(mac.Sum(nil), signature)
	}}, nil
}

// standardHead is what the headers of a message say.
type standardHead struct {
	id, stamp string
	at        time.Time
	list      []string // of signatures
}

func readStandard(header http.Header) (standardHead, error) {
	list := header.Get("Webhook-Signature")
	head := standardHead{id: header.Get("Webhook-Id"), stamp: header.Get("Webhook-Timestamp"), list: strings.Fields(list)}
	if head.id == "" || len(head.id) > 256 || head.stamp == "" || list == "" || len(list) > 4096 {
		return standardHead{}, core.Unauthenticated("webhook-id, webhook-timestamp and webhook-signature are needed").WithCode(stageSigned)
	}
	seconds, err := strconv.ParseInt(head.stamp, 10, 64)
	if err != nil {
		return standardHead{}, core.Unauthenticated("webhook-timestamp is in seconds").WithCode(stageTime)
	}
	head.at = time.Unix(seconds, 0)
	return head, nil
}

// signs reports whether one of the signatures is the secret's over a body.
func (h standardHead) signs(secret seal.Secret, body []byte) (bool, error) {
	key, err := standardKey(secret)
	if err != nil {
		return false, core.Internal(err)
	}
	signed := []byte(h.id + "." + h.stamp + "." + string(body))
	for _, one := range h.list {
		version, encoded, _ := strings.Cut(one, ",")
		signature, err := base64.StdEncoding.Strict().DecodeString(encoded)
		if err == nil && version == key.version && key.check(signed, signature) {
			return true, nil
		}
	}
	return false, nil
}

// verify reports whether one of the secrets signed a message, which is an error if none did, or not lately.
func (h standardHead) verify(secrets []seal.Secret, body []byte, now time.Time) (known bool, err error) {
	for _, secret := range secrets {
		signed, err := h.signs(secret, body)
		if err != nil {
			return known, err
		}
		known = known || signed
	}
	if !known {
		return false, core.Unauthenticated("no signature is of this hook's secret").WithCode(stageSigned)
	}
	if h.at.Before(now.Add(-Tolerance)) || h.at.After(now.Add(Tolerance)) {
		return true, core.Unauthenticated("webhook-timestamp is more than five minutes away from now").WithCode(stageTime)
	}
	return true, nil
}

// VerifyStandard returns the id of a message of Standard Webhooks 1.0 that a secret signed within Tolerance of now.
// Unauthenticated if it did not. That an id comes once is the caller's to see to.
func VerifyStandard(header http.Header, body []byte, secret seal.Secret, now time.Time) (id string, err error) {
	head, err := readStandard(header)
	if err != nil {
		return "", err
	}
	_, err = head.verify([]seal.Secret{secret}, body, now)
	return head.id, err
}

// standard takes a message of Standard Webhooks 1.0.
func (s *Service) standard(c *gin.Context, in *arrival) error {
	ctx := c.Request.Context()
	head, err := readStandard(in.header)
	if err != nil {
		return err
	}
	if err := in.read(c); err != nil {
		return err
	}
	secrets, err := s.secrets(ctx, in.hook)
	if err != nil {
		return err
	}
	if in.known, err = head.verify(secrets, in.body, in.received); err != nil {
		return err
	}
	mapping := *in.hook.Settings.Mapping
	if mapping.Occurred == "" {
		mapping.Occurred = "/timestamp"
	}
	one, err := mapping.read(in.connection, in.header, in.body, in.received)
	if err != nil {
		return err
	}
	one.id = head.id
	return s.tell(ctx, in, one)
}
