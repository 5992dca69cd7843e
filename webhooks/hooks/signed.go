package hooks

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/gin-gonic/gin"

	"postern/core"
)

// signed takes a message of any other sender that signs.
func (s *Service) signed(c *gin.Context, in *arrival) error {
	ctx := c.Request.Context()
	if err := in.read(c); err != nil {
		return err
	}
	scheme := in.hook.Settings.Scheme.filled()
	tokenID := ""
	if scheme.JWT != nil {
		var err error
		if tokenID, err = s.token(ctx, *scheme.JWT, in); err != nil {
			return err
		}
	} else {
		secrets, err := s.secrets(ctx, in.hook)
		if err != nil {
			return err
		}
		var keys [][]byte
		for _, secret := range secrets {
			key, err := scheme.key(secret)
			if err != nil {
				return core.Internal(err)
			}
			keys = append(keys, key)
		}
		if err := scheme.HMAC.verify(in.header, in.body, keys, in.received); err != nil {
			return err
		}
	}
	in.known = true
	mapping := *in.hook.Settings.Mapping
	switch scheme.Preset {
	case "github":
		mapping.Type, mapping.ID = cmp.Or(mapping.Type, "header:X-GitHub-Event"), cmp.Or(mapping.ID, "header:X-GitHub-Delivery")
	case "clerk":
		mapping.ID = cmp.Or(mapping.ID, "header:svix-id")
	case "workos":
		mapping.Type, mapping.ID = cmp.Or(mapping.Type, "/event"), cmp.Or(mapping.ID, "/id")
	case "polis":
		mapping.Type = cmp.Or(mapping.Type, "/event")
	}
	// An id that nobody signed is the sender's word no more than the caller's: with another one the same body
	// would count again. The body is then its own id.
	if name, ok := strings.CutPrefix(mapping.ID, "header:"); ok && (scheme.HMAC == nil || !strings.Contains(strings.ToLower(scheme.HMAC.Signed), "{header:"+strings.ToLower(name)+"}")) {
		mapping.ID = ""
	}
	one, err := mapping.read(in.connection, in.header, in.body, in.received)
	if err != nil {
		return err
	}
	if tokenID != "" && mapping.ID == "" {
		one.id = tokenID
	}
	return s.tell(ctx, in, one)
}

// token checks a JWT, and that it is about this body if it says so. It returns the token's id.
func (s *Service) token(ctx context.Context, scheme JWT, in *arrival) (string, error) {
	values := in.header.Values(scheme.Header)
	if len(values) != 1 {
		return "", core.Unauthenticated("a token is needed in %s", scheme.Header).WithCode(stageSigned)
	}
	compact := values[0]
	if kind, rest, found := strings.Cut(compact, " "); found && strings.EqualFold(kind, "Bearer") {
		compact = strings.TrimSpace(rest)
	}
	token, err := s.judge().Verify(ctx, compact, scheme.expected())
	if err != nil {
		return "", err
	}
	if scheme.BodyHash == "" {
		return token.ID, nil
	}
	var claims map[string]any
	if err := decode(token.Claims, &claims); err != nil {
		return "", err
	}
	said, _ := claims[scheme.BodyHash].(string)
	sum := sha256.Sum256(in.body)
	matched := 0
	for _, spelled := range []string{hex.EncodeToString(sum[:]), base64.StdEncoding.EncodeToString(sum[:]), base64.RawURLEncoding.EncodeToString(sum[:])} {
		matched |= subtle.ConstantTimeCompare([]byte(said), []byte(spelled))
	}
	if matched != 1 {
		return "", core.Unauthenticated("the token is about another body").WithCode(stageBody)
	}
	return token.ID, nil
}
