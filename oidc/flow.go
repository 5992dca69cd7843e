package oidc

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
	"golang.org/x/oauth2"

	"postern/core/directory"
)

const (
	flowCookie = "__Host-postern-flow-"
	// flowsKept is how many sign-ins one browser may have under way: each is a cookie, and a header
	// has an end.
	flowsKept = 10
)

// start sends a browser to the IdP. With fresh=1 the person has to prove themselves there anew.
func (s *Service) start(c *gin.Context) {
	connection, err := s.connection(c)
	if err != nil {
		s.refuse(c, directory.Connection{}, ReturnTo(c.Query("return_to")), err)
		return
	}
	returnTo := ReturnTo(c.Query("return_to"))
	provider, err := s.provider(c.Request.Context(), connection)
	if err != nil {
		s.refuse(c, connection, returnTo, err)
		return
	}
	state, nonce, verifier := rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	err = s.Directory.SaveFlow(c.Request.Context(), s.DB, state, directory.Flow{
		Workspace: connection.Workspace, Connection: connection.ID, Nonce: nonce, Verifier: verifier, ReturnTo: returnTo,
	})
	if err != nil {
		s.refuse(c, connection, returnTo, err)
		return
	}
	s.makeRoom(c)
	setCookie(c, flowCookieName(state), state, int(directory.DefaultFlowLife.Seconds()))
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("nonce", nonce)}
	if c.Query("fresh") != "" {
		options = append(options, oauth2.SetAuthURLParam("prompt", "login"))
	}
	c.Header("Cache-Control", "no-store")
	c.Header("Referrer-Policy", "no-referrer")
	c.Redirect(http.StatusSeeOther, provider.oauth.AuthCodeURL(state, options...))
}

// flowCookieName keeps the cookies of several sign-ins apart.
func flowCookieName(state string) string {
	sum := sha256.Sum256([]byte(state))
	return flowCookie + hex.EncodeToString(sum[:8])
}

// begunHere reports whether this browser began the sign-in of a state, and takes its cookie back.
// Without it somebody could sign a victim's browser in as themselves.
func begunHere(c *gin.Context, state string) bool {
	name := flowCookieName(state)
	value, err := c.Request.Cookie(name)
	if state == "" || err != nil {
		return false
	}
	dropCookie(c, name)
	return subtle.ConstantTimeCompare([]byte(value.Value), []byte(state)) == 1
}

// makeRoom takes back the oldest cookies of sign-ins nobody finished. Browsers send the oldest first.
func (s *Service) makeRoom(c *gin.Context) {
	var flows []string
	for _, cookie := range c.Request.Cookies() {
		if strings.HasPrefix(cookie.Name, flowCookie) {
			flows = append(flows, cookie.Name)
		}
	}
	for _, name := range flows[:max(0, len(flows)-flowsKept+1)] {
		dropCookie(c, name)
	}
}

// setCookie sets a cookie that only this site's requests over a secure channel carry. A zero life
// lasts until the browser closes.
func setCookie(c *gin.Context, name, value string, life int) {
	http.SetCookie(c.Writer, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: life, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

func dropCookie(c *gin.Context, name string) { setCookie(c, name, "", -1) }
