package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/go-jose/go-jose/v4"

	"postern/core"
	"postern/gateway/problem"
)

// jwksRoute is where a workspace's public keys are (RFC 7517 §5).
const jwksRoute = "/jwks/:workspace"

// everyJWKSRoute has those too that sign no more: by them one verifies what was signed to be kept.
const everyJWKSRoute = jwksRoute + "/all"

// publishKeys answers with the keys a workspace's tokens are verified with. A workspace that does not exist looks
// like one that never signed anything.
func (g *Gateway) publishKeys(c *gin.Context) { publish(c, g.signing.PublicKeys) }

// publishEveryKey is publishKeys of every key the workspace ever had.
func (g *Gateway) publishEveryKey(c *gin.Context) { publish(c, g.signing.EveryPublicKey) }

func publish(c *gin.Context, keys func(context.Context, core.ID) ([]jose.JSONWebKey, error)) {
	set := []jose.JSONWebKey{}
	if workspace, err := core.ParseID(c.Param("workspace")); err == nil {
		if set, err = keys(c.Request.Context(), workspace); err != nil {
			problem.Write(c, err)
			return
		}
	}
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: set})
	if err != nil {
		problem.Write(c, core.Internal(err))
		return
	}
	sum := sha256.Sum256(text)
	tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	// A new key is published a day before it signs, so a quarter of an hour is soon enough.
	c.Header("Cache-Control", "public, max-age=900")
	c.Header("ETag", tag)
	if c.GetHeader("If-None-Match") == tag {
		c.Status(http.StatusNotModified)
		return
	}
	c.Data(http.StatusOK, "application/jwk-set+json", text)
}
