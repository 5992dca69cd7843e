package transmitter

import (
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"postern/core"
)

// The ways of delivery.
const (
	methodPush = "urn:ietf:rfc:8935"
	methodPoll = "urn:ietf:rfc:8936"
)

// known is the workspace of the address, if there is one.
func (s *Service) known(c *gin.Context) (core.ID, error) {
	id, err := core.ParseID(c.Param("workspace"))
	if err != nil {
		return core.ID{}, core.NotFound("transmitter")
	}
	var there bool
	if err := s.DB.QueryRow(c.Request.Context(), `select exists (select from workspaces where id = $1)`, id).Scan(&there); err != nil {
		return core.ID{}, core.AsError(err)
	}
	if !there {
		return core.ID{}, core.NotFound("transmitter")
	}
	return id, nil
}

// public answers with a document anybody may read.
func (s *Service) public(c *gin.Context, document func(workspace core.ID) gin.H) {
	workspace, err := s.known(c)
	if err != nil {
		answer(c, err)
		return
	}
	c.Header("Cache-Control", "public, max-age=300")
	c.JSON(http.StatusOK, document(workspace))
}

// metadata is the transmitter's configuration (Shared Signals Framework 1.0 §7).
func (s *Service) metadata(c *gin.Context) {
	s.public(c, func(workspace core.ID) gin.H {
		return gin.H{
			"spec_version":                "1_0",
			"issuer":                      s.Issuer(workspace),
			"jwks_uri":                    strings.TrimSuffix(s.PublicURL, "/") + "/jwks/" + workspace.String(),
			"delivery_methods_supported":  []string{methodPush, methodPoll},
			"configuration_endpoint":      s.at(workspace, "/stream"),
			"status_endpoint":             s.at(workspace, "/status"),
			"add_subject_endpoint":        s.at(workspace, "/subjects/add"),
			"remove_subject_endpoint":     s.at(workspace, "/subjects/remove"),
			"verification_endpoint":       s.at(workspace, "/verify"),
			"critical_subject_members":    []string{"user", "session"},
			"authorization_schemes":       []gin.H{{"spec_urn": "urn:ietf:rfc:6749"}},
			"default_subjects":            "ALL",
			"events_supported":            Supported(),
			"min_verification_interval":   int(MinVerification.Seconds()),
			"authorization_servers":       []string{s.Issuer(workspace)},
			"token_endpoint":              s.at(workspace, "/token"),
			"protected_resource_metadata": strings.Replace(s.Issuer(workspace), "/ssf/", "/.well-known/oauth-protected-resource/ssf/", 1),
		}
	})
}

// resource is RFC 9728's: who gives out tokens for the transmitter.
func (s *Service) resource(c *gin.Context) {
	s.public(c, func(workspace core.ID) gin.H {
		return gin.H{
			"resource":                 s.Issuer(workspace),
			"authorization_servers":    []string{s.Issuer(workspace)},
			"scopes_supported":         []string{ScopeManage, ScopeRead},
			"bearer_methods_supported": []string{"header"},
			"resource_name":            "Postern Shared Signals",
		}
	})
}

// authorizationServer is RFC 8414's: how it gives them out.
func (s *Service) authorizationServer(c *gin.Context) {
	s.public(c, func(workspace core.ID) gin.H {
		return gin.H{
			"issuer":                                s.Issuer(workspace),
			"token_endpoint":                        s.at(workspace, "/token"),
			"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},
			"grant_types_supported":                 []string{"client_credentials"},
			"response_types_supported":              []string{},
			"scopes_supported":                      []string{ScopeManage, ScopeRead},
		}
	})
}

// answer turns an error into a status. Nothing but the words for a client leaves.
func answer(c *gin.Context, err error) {
	_ = c.Error(err)
	classified := core.AsError(err)
	status, code := http.StatusInternalServerError, "server_error"
	switch classified.Kind {
	case core.KindInvalid:
		status, code = http.StatusBadRequest, "invalid_request"
	case core.KindUnauthenticated:
		status, code = http.StatusUnauthorized, "invalid_token"
		c.Header("WWW-Authenticate", `Bearer error="invalid_token"`)
	case core.KindDenied:
		status, code = http.StatusForbidden, "insufficient_scope"
	case core.KindNotFound:
		status, code = http.StatusNotFound, "not_found"
	case core.KindConflict, core.KindStale:
		status, code = http.StatusConflict, "conflict"
	case core.KindTooLarge:
		status, code = http.StatusRequestEntityTooLarge, "invalid_request"
	case core.KindRateLimited:
		status, code = http.StatusTooManyRequests, "too_many_requests"
	case core.KindUnavailable:
		status, code = http.StatusServiceUnavailable, "temporarily_unavailable"
	}
	if classified.Code != "" {
		code = classified.Code
	}
	if classified.RetryAfter > 0 {
		c.Header("Retry-After", seconds(classified.RetryAfter))
	}
	c.Header("Cache-Control", "no-store")
	c.AbortWithStatusJSON(status, gin.H{"error": code, "error_description": classified.Message})
}
