package oidc

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/core/seal"
)

const (
	// signOutPatience is how long a sign-out waits to learn where the IdP's own is.
	signOutPatience = 2 * time.Second
	// signOutCookie holds the state of a sign-out at the IdP, for signOutLife.
	signOutCookie = "__Host-postern-out"
	signOutLife   = 10 * time.Minute
	signedOutPath = "/sso/signed-out"
	// signedOutHere is signedOutPath when the IdP's own session goes on.
	signedOutHere = signedOutPath + "?here=only"
)

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
	c.Header("Referrer-Policy", "no-referrer")
	session, user, signedIn := Session(c)
	if !signedIn {
		dropCookie(c, SessionCookie)
		c.Redirect(http.StatusSeeOther, signedOutPath)
		return
	}
	ctx := c.Request.Context()
	hint := s.hint(c, session)
	err = s.DB.Tx(ctx, func(tx pgx.Tx) error {
		return s.Directory.EndSession(ctx, tx, s.cause(c, user.Actor()), session.Workspace, session.ID, "signed out")
	})
	if err != nil {
		// The cookie stays: the session is still alive and the person has to know.
		s.refuse(c, directory.Connection{}, "/", err)
		return
	}
	dropCookie(c, SessionCookie)
	state := rand.Text()
	if session.Connection.IsZero() { // a guest: there is no other session to end
		c.Redirect(http.StatusSeeOther, signedOutPath)
		return
	}
	address := s.endSessionURL(ctx, session, hint, state)
	if address == "" {
		c.Redirect(http.StatusSeeOther, signedOutHere)
		return
	}
	setCookie(c, signOutCookie, state, int(signOutLife.Seconds()))
	c.Redirect(http.StatusSeeOther, address)
}

// hint is the session's ID token. Signing out does not depend on it.
func (s *Service) hint(c *gin.Context, session directory.Session) seal.Secret {
	cookie, err := c.Request.Cookie(SessionCookie)
	if err != nil {
		return seal.Secret{}
	}
	token, err := s.Directory.IDToken(c.Request.Context(), s.DB, session, seal.NewSecret(cookie.Value))
	if err != nil {
		s.log().WarnContext(c.Request.Context(), "the ID token of a session cannot be read", "session", session.ID, "error", err)
	}
	return token
}

// endSessionURL is where the IdP ends its session with this browser (OpenID Connect RP-Initiated Logout
// 1.0 §2), or nothing when it has no such address or does not say it soon. The library would call the IdP
// from here, where the browser's cookies are not.
func (s *Service) endSessionURL(ctx context.Context, session directory.Session, hint seal.Secret, state string) string {
	ctx, cancel := context.WithTimeout(ctx, signOutPatience)
	defer cancel()
	connection, err := s.Directory.Connection(ctx, s.DB, session.Workspace, session.Connection)
	if err != nil || connection.Issuer == "" {
		return ""
	}
	provider, err := s.provider(ctx, connection)
	if err != nil || provider.endSession == "" {
		return ""
	}
	parameters := url.Values{"client_id": {connection.ClientID}, "post_logout_redirect_uri": {s.signedOutURI()}, "state": {state}}
	switch {
	case !hint.IsZero() && session.Issuer == connection.Issuer:
		parameters.Set("id_token_hint", hint.Reveal())
	case connection.Kind == directory.Okta:
		return "" // it answers nobody who comes without the hint, and the person would be stuck there
	}
	address, err := withQuery(provider.endSession, parameters)
	if err != nil {
		return ""
	}
	return address
}

// showSignedOut is where a sign-out ends. That the IdP did its part is said only to the browser that came
// back from there with the state it was sent with: anybody can make a link to here.
func (s *Service) showSignedOut(c *gin.Context) {
	shown := page{
		Title: "You are signed out",
		Text:  "This browser has no session with Postern any more.",
		Links: []link{{"Sign in again", "/sso?choose=1"}},
	}
	state := c.Query("state")
	cookie, err := c.Request.Cookie(signOutCookie)
	switch {
	case s.isSignedIn(c):
		shown = page{
			Title: "You are still signed in",
			Text:  "Nothing was signed out: this page only shows where a sign-out ends.",
			Links: []link{{"Go on to Postern", "/"}},
		}
	case err == nil && state != "" && subtle.ConstantTimeCompare([]byte(cookie.Value), []byte(state)) == 1:
		dropCookie(c, signOutCookie)
		shown.Text = "This browser has no session any more, neither with Postern nor with your identity provider."
	case c.Query("here") == "only":
		shown.Text = "This browser has no session with Postern any more. Your identity provider cannot be signed out from here: " +
			"whoever uses this browser next may get in again without a password. If others use it, sign out at your identity provider too."
	}
	s.show(c, http.StatusOK, shown)
}

// isSignedIn looks without keeping the session from falling idle.
func (s *Service) isSignedIn(c *gin.Context) bool {
	cookie, err := c.Request.Cookie(SessionCookie)
	if err != nil || cookie.Value == "" {
		return false
	}
	_, _, err = s.Directory.Recognise(c.Request.Context(), seal.NewSecret(cookie.Value))
	return err == nil
}
