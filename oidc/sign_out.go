package oidc

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

// signOutPatience is how long a sign-out waits to learn where the IdP's own is.
const signOutPatience = 2 * time.Second

// signOut ends the session of this browser, then sends it to the IdP to end the one there. A browser
// without a session gets to the same end.
func (s *Service) signOut(c *gin.Context) {
	if err := s.crossOrigin().Check(c.Request); err != nil {
		s.refuse(c, directory.Connection{}, "/", core.Denied("this sign-out was asked for by another site's page").WithCode(codeCrossOrigin).Because(err))
		return
	}
	err := s.authenticate(c)
	if err != nil && core.KindOf(err) != core.KindUnauthenticated {
		s.refuse(c, directory.Connection{}, "/", err)
		return
	}
	c.Header("Cache-Control", "no-store")
	session, user, signedIn := Session(c)
	if !signedIn {
		dropCookie(c, SessionCookie)
		c.Redirect(http.StatusSeeOther, "/sso/signed-out")
		return
	}
	ctx := c.Request.Context()
	err = s.DB.Tx(ctx, func(tx pgx.Tx) error {
		return s.Directory.EndSession(ctx, tx, s.cause(c, user.Actor()), session.Workspace, session.ID, "signed out")
	})
	if err != nil {
		// The cookie stays: the session is still alive and the person has to know.
		s.refuse(c, directory.Connection{}, "/", err)
		return
	}
	dropCookie(c, SessionCookie)
	c.Redirect(http.StatusSeeOther, s.endSessionURL(ctx, session))
}

// endSessionURL is where the IdP ends its session with this browser, or our own page when it cannot
// be had soon. The library would call the IdP from here, where the browser's cookies are not.
func (s *Service) endSessionURL(ctx context.Context, session directory.Session) string {
	const own = "/sso/signed-out"
	ctx, cancel := context.WithTimeout(ctx, signOutPatience)
	defer cancel()
	connection, err := s.Directory.Connection(ctx, s.DB, session.Workspace, session.Connection)
	if err != nil || connection.Issuer == "" {
		return own
	}
	provider, err := s.provider(ctx, connection)
	if err != nil || provider.endSession == "" {
		return own
	}
	address, err := url.Parse(provider.endSession)
	if err != nil {
		return own
	}
	query := address.Query()
	query.Set("client_id", connection.ClientID)
	query.Set("post_logout_redirect_uri", s.signedOutURI())
	address.RawQuery = query.Encode()
	return address.String()
}

func (s *Service) showSignedOut(c *gin.Context) {
	s.show(c, http.StatusOK, page{
		Title: "You are signed out",
		Text:  "This browser has no session with Postern any more.",
		Links: []link{{"Sign in again", "/sso?choose=1"}},
	})
}
