package console

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core/directory"
	"postern/oidc"
)

const (
	draftCookie = "__Host-postern-draft" // which no other site and no other host can set (RFC 6265bis §4.1.3.2)
	draftLife   = 15 * time.Minute
	draftSize   = 3600 // bytes: browsers keep cookies of 4096

	draftKey = "postern.console.draft"
)

// draft is what a form said before its sender had to prove that it is they. It has no secrets: a route names the
// fields it keeps.
type draft struct {
	Path   string     `json:"path"` // of the form
	Fields url.Values `json:"fields"`
}

// forAdministrators is what changes what belongs to others needs: a recent proof. Whoever has to give one comes back
// to an address, and finds in the form there what they had typed into the fields that are named. Never name one that
// holds a secret.
func (s *Service) forAdministrators(back string, keep ...string) gin.HandlerFunc {
	prove := s.OIDC.Recent(directory.ToAdminister, to(back))
	return func(c *gin.Context) {
		prove(c)
		if c.IsAborted() && len(keep) > 0 && strings.HasPrefix(c.Writer.Header().Get("Location"), oidc.StepUpPath) {
			keepDraft(c, to(back)(c), keep)
		}
	}
}

// keepDraft gives a browser what a form said, for the form to begin with when it comes back. What does not fit is
// typed again.
func keepDraft(c *gin.Context, back string, keep []string) {
	if c.Request.ParseForm() != nil {
		return
	}
	said := draft{Path: back, Fields: url.Values{}}
	for _, name := range keep {
		if values, there := c.Request.PostForm[name]; there {
			said.Fields[name] = values
		}
	}
	text, err := json.Marshal(said)
	if err != nil || base64.RawURLEncoding.EncodedLen(len(text)) > draftSize {
		return
	}
	setDraft(c, base64.RawURLEncoding.EncodeToString(text), int(draftLife/time.Second))
}

func setDraft(c *gin.Context, value string, age int) {
	http.SetCookie(c.Writer, &http.Cookie{Name: draftCookie, Value: value, Path: "/", MaxAge: age, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// resume fills the form of a page with what was typed there before, once.
func (s *Service) resume(c *gin.Context) {
	cookie, err := c.Request.Cookie(draftCookie)
	if err != nil || c.Request.Method != http.MethodGet {
		return
	}
	var said draft
	text, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err == nil {
		err = json.Unmarshal(text, &said)
	}
	if err == nil && said.Path != c.Request.URL.Path {
		return
	}
	setDraft(c, "", -1)
	if err == nil {
		c.Request.PostForm = said.Fields
		c.Set(draftKey, true)
	}
}

// resumed reports whether the page's form begins with what was typed before.
func resumed(c *gin.Context) bool { return c.GetBool(draftKey) }
