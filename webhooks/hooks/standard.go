package hooks

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
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

// standard takes a message of Standard Webhooks 1.0.
func (s *Service) standard(c *gin.Context, in *arrival) error {
	ctx := c.Request.Context()
	id, stamp, list := in.header.Get("Webhook-Id"), in.header.Get("Webhook-Timestamp"), in.header.Get("Webhook-Signature")
	if id == "" || len(id) > 256 || stamp == "" || list == "" || len(list) > 4096 {
		return core.Unauthenticated("webhook-id, webhook-timestamp and webhook-signature are needed").WithCode(stageSigned)
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return core.Unauthenticated("webhook-timestamp is in seconds").WithCode(stageTime)
	}
	if err := in.read(c); err != nil {
		return err
	}
	secrets, err := s.secrets(ctx, in.hook)
	if err != nil {
		return err
	}
	signed := []byte(id + "." + stamp + "." + string(in.body))
	for _, secret := range secrets {
		key, err := standardKey(secret)
		if err != nil {
			return core.Internal(err)
		}
		for _, one := range strings.Fields(list) {
			version, encoded, _ := strings.Cut(one, ",")
			signature, err := base64.StdEncoding.DecodeString(encoded)
			if err == nil && version == key.version && key.check(signed, signature) {
				in.known = true
			}
		}
	}
	if !in.known {
		return core.Unauthenticated("no signature is of this hook's secret").WithCode(stageSigned)
	}
	if at := time.Unix(seconds, 0); at.Before(in.received.Add(-Tolerance)) || at.After(in.received.Add(Tolerance)) {
		return core.Unauthenticated("webhook-timestamp is more than five minutes away from now").WithCode(stageTime)
	}
	mapping := *in.hook.Settings.Mapping
	if mapping.Occurred == "" {
		mapping.Occurred = "/timestamp"
	}
	one, err := mapping.read(in.connection, in.header, in.body, in.received)
	if err != nil {
		return err
	}
	one.id = id
	return s.tell(ctx, in, one)
}
