package oidc

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/url"
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
	flow := directory.Flow{
		Workspace: connection.Workspace, Connection: connection.ID, ReturnTo: returnTo,
		ACRValues: connection.SignIn.ACRValues, MaxAge: connection.SignIn.MaxAge,
	}
	s.lead(c, connection, flow, c.Query("fresh") != "")
}

// lead sends a browser to the IdP for a flow, of which the nonce and the verifier are made here. With
// prompt the person is asked for their proof even if the IdP has a session of theirs.
func (s *Service) lead(c *gin.Context, connection directory.Connection, flow directory.Flow, prompt bool) {
	provider, err := s.provider(c.Request.Context(), connection)
	if err != nil {
		s.refuse(c, connection, flow.ReturnTo, err)
		return
	}
	state := rand.Text()
	flow.Prompted = prompt || connection.SignIn.Prompt == "login"
	flow.Nonce, flow.Verifier = rand.Text(), oauth2.GenerateVerifier()
	if err := s.Directory.SaveFlow(c.Request.Context(), s.DB, state, flow); err != nil {
		s.refuse(c, connection, flow.ReturnTo, err)
		return
	}
	address, err := s.authorization(c.Request.Context(), provider, provider.parameters(state, flow, prompt))
	if err != nil {
		s.fail(c, connection, flow.ReturnTo, identity{}, err)
		return
	}
	s.makeRoom(c)
	setCookie(c, flowCookieName(state), state, int(directory.DefaultFlowLife.Seconds()))
	c.Header("Cache-Control", "no-store")
	c.Header("Referrer-Policy", "no-referrer")
	c.Redirect(http.StatusSeeOther, address)
}

// parameters are those of the authorization request of a flow (OpenID Connect Core 1.0 §3.1.2.1).
func (p *provider) parameters(state string, flow directory.Flow, prompt bool) url.Values {
	settings := p.connection.SignIn
	parameters := url.Values{
		"response_type": {"code"}, "client_id": {p.connection.ClientID}, "redirect_uri": {p.redirect}, "state": {state}, "nonce": {flow.Nonce},
		"scope": {strings.Join(settings.AskedScopes(), " ")}, "code_challenge": {oauth2.S256ChallengeFromVerifier(flow.Verifier)}, "code_challenge_method": {"S256"},
	}
	if settings.Prompt != "" {
		parameters.Set("prompt", settings.Prompt)
	}
	if p.connection.IsGoogle() {
		// Only a hint, which anybody can take out of the address: the hd of the ID token is what counts.
		parameters.Set("hd", "*")
		if len(settings.HostedDomains) == 1 {
			parameters.Set("hd", settings.HostedDomains[0])
		}
	}
	for name, value := range asks(flow, prompt) {
		parameters.Set(name, value)
	}
	return parameters
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
