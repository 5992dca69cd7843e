package webhooks

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"postern/core"
)

// metadataPath is where an issuer's path is appended to find its metadata (RFC 8414 §3.1).
const metadataPath = "/.well-known/oauth-authorization-server"

// LogoutTokenType is the typ of a logout token, and the name of the method it authenticates by.
const LogoutTokenType = "global-token-revocation+jwt"

// metadata says where logouts are sent and how they are authenticated (draft-parecki-oauth-global-token-revocation
// §5). It is made of the address alone, so it does not tell which connections there are.
func (s *Service) metadata(c *gin.Context) {
	connection, err := core.ParseID(c.Param("connection"))
	if err != nil || connection.IsZero() {
		answer(c, http.StatusNotFound, core.NotFound("address"))
		return
	}
	c.Header("Cache-Control", "public, max-age=3600")
	c.JSON(http.StatusOK, struct {
		Issuer        string   `json:"issuer"`
		ResponseTypes []string `json:"response_types_supported"` // required, and there are none
		Endpoint      string   `json:"global_token_revocation_endpoint"`
		Methods       []string `json:"global_token_revocation_endpoint_auth_methods_supported"`
	}{s.issuer(connection), []string{}, s.LogoutURL(connection), []string{LogoutTokenType}})
}
