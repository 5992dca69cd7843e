package oidc

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/directory"
	"postern/core/signals"
)

// frontchannelLogout answers GET /sso/:connection/frontchannel-logout, which an IdP loads in a frame of
// its own logout page (OpenID Connect Front-Channel Logout 1.0 §2). No cookie comes along and nothing is
// signed, so all it does is end the one session the IdP calls by this id. It is a convenience: nothing that
// matters may rest on it.
func (s *Service) frontchannelLogout(c *gin.Context) {
	c.Header("Cache-Control", "no-store")
	c.Header("Pragma", "no-cache")
	connection, err := s.connection(c)
	if err != nil {
		s.refuse(c, directory.Connection{}, "/", err)
		return
	}
	query := c.Request.URL.Query()
	issuer, said := query.Get("iss"), query.Get("sid")
	if err := framed(connection, query); err != nil {
		s.refuse(c, directory.Connection{}, "/", err)
		return
	}
	if err := s.endFramed(c, connection, issuer, said); err != nil {
		s.refuse(c, directory.Connection{}, "/", err)
		return
	}
	frameable(c, connection)
	c.Data(http.StatusOK, "text/html; charset=utf-8", []byte("<!doctype html><title>Signed out</title>"))
}

// endFramed ends the session, if there is one: what nobody has proven leaves no other trace.
func (s *Service) endFramed(c *gin.Context, connection directory.Connection, issuer, said string) error {
	ctx := c.Request.Context()
	// Whichever of the connection's issuers says it: an organisation with two domains has one set of sessions.
	there, err := s.Directory.HasIdPSession(ctx, s.DB, directory.IdPSession{Workspace: connection.Workspace, Connection: connection.ID, SID: said})
	if err != nil || !there {
		return err
	}
	_, err = s.Signals.Receive(ctx, s.cause(c, connection.Actor()), signals.Signal{
		Workspace: connection.Workspace, Connection: connection.ID, ConnectionName: connection.Name, Door: signals.FrontChannelLogout,
		Kind: signals.Logout, Subject: signals.NoSubject(), SID: said, Received: s.now(), Evidence: signals.Evidence{Issuer: issuer},
	}, nil)
	if core.KindOf(err) == core.KindNotFound {
		return nil
	}
	return err
}

// framed checks what a front-channel logout names. Entra sends sid without iss.
func framed(connection directory.Connection, query url.Values) error {
	issuer, said := query.Get("iss"), query.Get("sid")
	switch {
	case len(query["iss"]) > 1 || len(query["sid"]) > 1:
		return core.Invalid("", "iss and sid are there once: what can be read in two ways is not read").WithCode(codeNoNeed)
	case said == "" || len(said) > 255:
		return core.Invalid("sid", "the session is needed: have the identity provider send iss and sid").WithCode(codeNoNeed)
	case issuer == "" && connection.Kind == directory.Entra:
		return nil
	case issuer != connection.Issuer && !slices.Contains(connection.LogoutIssuers, issuer) || issuer == "":
		return core.Denied("this logout is not from this connection's identity provider").WithCode(codeWrongIssuer)
	}
	return nil
}

// frameable lets the pages of the connection's IdP show this answer in a frame, and nobody else's.
func frameable(c *gin.Context, connection directory.Connection) {
	var ancestors []string
	for _, issuer := range append([]string{connection.Issuer}, connection.LogoutIssuers...) {
		parsed, err := url.Parse(issuer)
		if err != nil || parsed.Host == "" || strings.ContainsAny(parsed.Host, " ;,'\"") {
			continue
		}
		if origin := parsed.Scheme + "://" + parsed.Host; !slices.Contains(ancestors, origin) {
			ancestors = append(ancestors, origin)
		}
	}
	c.Writer.Header().Del("X-Frame-Options")
	c.Header("Cross-Origin-Resource-Policy", "cross-origin")
	c.Header("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors "+strings.Join(ancestors, " "))
}
