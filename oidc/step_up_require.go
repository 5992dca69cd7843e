package oidc

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core/directory"
)

// insufficient is the error of RFC 9470 §3.
const insufficient = "insufficient_user_authentication"

// Recent lets a request pass, behind Require, only if the person has proven themselves recently and well
// enough for a need. A browser that sent a form is led through the IdP and comes back to the address back
// gives, where the person finds the action again: it is never repeated by itself. Anything else gets 401
// with what is wanted (RFC 9470) and the address where a person can prove themselves.
func (s *Service) Recent(need directory.Need, back func(c *gin.Context) string) gin.HandlerFunc {
	return func(c *gin.Context) {
		session, _, signedIn := Session(c)
		if !signedIn {
			s.stop(c, signInFirst())
			return
		}
		lacks, err := s.Directory.StepUpFor(c.Request.Context(), s.DB, session, need)
		if err != nil {
			s.stop(c, err)
			return
		}
		if lacks == nil {
			c.Next()
			return
		}
		c.Header("Cache-Control", "no-store")
		address := StepUpPath + "?" + url.Values{"for": {string(need)}, "return_to": {ReturnTo(back(c))}}.Encode()
		if sentByPage(c) {
			c.Redirect(http.StatusSeeOther, address)
			c.Abort()
			return
		}
		const detail = "prove once more that it is you: sign in again, as your workspace wants it for this"
		c.Header("WWW-Authenticate", challenge(lacks, detail))
		c.Header("Content-Type", "application/problem+json")
		c.AbortWithStatusJSON(http.StatusUnauthorized, gin.H{
			"type": "about:blank", "title": http.StatusText(http.StatusUnauthorized), "status": http.StatusUnauthorized,
			"code": insufficient, "detail": detail, "step_up": address,
		})
	}
}

// challenge says what proof is wanted (RFC 9470 §3).
func challenge(lacks *directory.StepUp, detail string) string {
	parts := []string{`error="` + insufficient + `"`, `error_description="` + detail + `"`}
	if len(lacks.ACRValues) > 0 {
		parts = append(parts, `acr_values="`+strings.Join(lacks.ACRValues, " ")+`"`)
	}
	if lacks.MaxAge != nil {
		parts = append(parts, "max_age="+strconv.Itoa(int(*lacks.MaxAge/time.Second)))
	}
	return "Session " + strings.Join(parts, ", ")
}

// sentByPage tells a form a person sent, or a page they opened, from a script's or program's request.
func sentByPage(c *gin.Context) bool {
	mode := c.GetHeader("Sec-Fetch-Mode")
	return mode == "navigate" || mode == "" && strings.Contains(c.GetHeader("Accept"), "text/html")
}
