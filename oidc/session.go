package oidc

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/directory"
	"postern/core/seal"
)

// SessionCookie is the cookie that holds a session's token.
const SessionCookie = "__Host-postern"

// BackgroundHeader is what a page sends with what it asks by itself: an open page does not keep its
// session alive, and neither does a stream of events.
const BackgroundHeader = "X-Postern-Background"

const sessionKey = "postern.session"

// current is what is known of a request's session.
type current struct {
	session directory.Session
	user    directory.User
}

// Session is the session and user of a request that passed Require, or that Current looked at.
func Session(c *gin.Context) (directory.Session, directory.User, bool) {
	found, ok := c.Get(sessionKey)
	if !ok {
		return directory.Session{}, directory.User{}, false
	}
	known, ok := found.(current)
	return known.session, known.user, ok
}

// Current is the session and user of any request: false when nobody is signed in, or when that
// cannot be found out now.
func (s *Service) Current(c *gin.Context) (directory.Session, directory.User, bool) {
	err := s.authenticate(c)
	if err != nil && core.KindOf(err) != core.KindUnauthenticated {
		s.log().WarnContext(c.Request.Context(), "a session could not be looked up", "error", err)
	}
	return Session(c)
}

func (s *Service) authenticate(c *gin.Context) error {
	if _, _, known := Session(c); known {
		return nil
	}
	cookie, err := c.Request.Cookie(SessionCookie)
	if err != nil || cookie.Value == "" {
		return signInFirst()
	}
	find := s.Directory.Authenticate
	if c.GetHeader(BackgroundHeader) != "" || c.GetHeader("Accept") == "text/event-stream" {
		find = s.Directory.Recognise
	}
	session, user, err := find(c.Request.Context(), seal.NewSecret(cookie.Value))
	if err != nil {
		return err
	}
	c.Set(sessionKey, current{session, user})
	return nil
}

// Require lets a request pass only with a live session. Without one a browser is sent to sign in and
// comes back; anything else gets 401. A changing request that another site's page made is refused,
// because the browser would add the cookie to it.
func (s *Service) Require() gin.HandlerFunc {
	crossOrigin := s.crossOrigin()
	return func(c *gin.Context) {
		if err := crossOrigin.Check(c.Request); err != nil {
			s.stop(c, core.Denied("this request was made by another site's page").WithCode("cross_origin").Because(err))
			return
		}
		err := s.authenticate(c)
		switch {
		case err == nil:
			c.Next()
		case core.KindOf(err) == core.KindUnauthenticated && wantsPage(c):
			c.Header("Cache-Control", "no-store")
			c.Redirect(http.StatusSeeOther, signInPath(ReturnTo(c.Request.URL.RequestURI())))
			c.Abort()
		default:
			s.stop(c, err)
		}
	}
}

func signInFirst() error { return core.Unauthenticated("sign in first") }

// signInPath is where somebody signs in and comes back from.
func signInPath(returnTo string) string { return "/sso?return_to=" + url.QueryEscape(returnTo) }

// wantsPage tells a person's browser opening a page from a script's or program's request.
func wantsPage(c *gin.Context) bool {
	if method := c.Request.Method; method != http.MethodGet && method != http.MethodHead {
		return false
	}
	mode := c.GetHeader("Sec-Fetch-Mode")
	return mode == "navigate" || mode == "" && strings.Contains(c.GetHeader("Accept"), "text/html")
}

// stop answers a request that may not pass, as a page or as problem+json.
func (s *Service) stop(c *gin.Context, err error) {
	if wantsPage(c) {
		s.refuse(c, directory.Connection{}, "/", err)
		c.Abort()
		return
	}
	fault := core.AsError(err)
	status := statusOf(fault)
	if status == http.StatusUnauthorized {
		c.Header("WWW-Authenticate", "Session")
	}
	if fault.RetryAfter > 0 {
		c.Header("Retry-After", strconv.Itoa(int(fault.RetryAfter.Seconds())))
	}
	c.Header("Content-Type", "application/problem+json")
	c.Header("Cache-Control", "no-store")
	c.AbortWithStatusJSON(status, gin.H{"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": fault.Message})
}

// crossOrigin recognises requests of other sites' pages, also behind a proxy that changes Host.
func (s *Service) crossOrigin() *http.CrossOriginProtection {
	protection := http.NewCrossOriginProtection()
	if parsed, err := url.Parse(s.PublicURL); err == nil && parsed.Host != "" {
		// A PublicURL that is no origin is refused where the configuration is read.
		_ = protection.AddTrustedOrigin(parsed.Scheme + "://" + parsed.Host)
	}
	return protection
}
