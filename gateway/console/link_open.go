package console

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/accounts"
	"postern/core/links"
	"postern/core/seal"
	"postern/gateway/problem"
)

// deviceCookie keeps what a browser is known by that opened a link.
const deviceCookie = "__Host-postern-device"

// deviceLife is how long browsers keep it, in seconds: as long as they let a cookie be kept.
const deviceLife = 400 * 24 * 3600

// openPage is a link as its recipient sees it, step by step.
type openPage struct {
	Token     string
	Workspace string // that the link comes from
	Email     string
	Challenge string
	Shown     *links.Shown
	Password  string
	Pass      string         // what one-time codes are asked with; empty: there are none
	Given     *accounts.Code // one of them
	Code      string
	Problem   string
	Over      bool // there is nothing to open
}

// strangerForm is how large a form of somebody who is not signed in may be: what they are asked for is short.
const strangerForm = 16 << 10

// mountOutside adds the pages of people who are not signed in: recipients of links, and guests.
func (s *Service) mountOutside(router gin.IRouter) {
	outside := router.Group("", problem.Limit(strangerForm), s.OIDC.SameOrigin(), func(c *gin.Context) {
		c.Header("Referrer-Policy", "same-origin") // old browsers tell of a form's origin only like this
		c.Header("X-Robots-Tag", "noindex, nofollow")
	})
	outside.GET(links.Path+":token", s.showLinkDoor)
	outside.POST(links.Path+":token/code", s.askLinkCode)
	outside.POST(links.Path+":token/open", s.openLink)
	outside.POST(links.Path+":token/otp", s.linkTOTP)
	outside.GET("/guest", s.showGuestDoor)
	outside.POST("/guest", s.chooseGuestDoor)
	outside.GET(links.GuestPath+":slug", s.showGuestDoor)
	outside.POST(links.GuestPath+":slug/code", s.askGuestCode)
	outside.POST(links.GuestPath+":slug/enter", s.enterGuest)
}

// showLinkDoor asks whoever has the address of a link who they are. Looking changes nothing.
func (s *Service) showLinkDoor(c *gin.Context) {
	workspace, err := s.Links.Peek(c.Request.Context(), seal.NewSecret(c.Param("token")))
	s.linkDoor(c, openPage{Workspace: workspace}, err)
}

// linkDoor renders a step of opening a link, perhaps with what went wrong.
func (s *Service) linkDoor(c *gin.Context, page openPage, err error) {
	status := http.StatusOK
	page.Token = c.Param("token")
	if err != nil {
		_ = c.Error(err)
		fault := problem.Classify(err)
		switch fault.Kind {
		case core.KindInvalid, core.KindDenied, core.KindNotFound, core.KindRateLimited, core.KindConflict:
		default:
			s.refuse(c, err)
			return
		}
		status, page.Problem = problem.Status(fault.Kind), fault.Message
		if fault.Kind == core.KindRateLimited {
			c.Header("Retry-After", problem.RetryAfter(fault.RetryAfter))
		}
		page.Over = fault.Code == "no_link" || fault.Code == "other_device" || fault.Code == "not_now"
	}
	s.show(c, status, "link-open", "A sign-in for you", "", page)
}

// askLinkCode mails a code, if it is a recipient who asks.
func (s *Service) askLinkCode(c *gin.Context) {
	if !s.readForm(c) {
		return
	}
	ctx, token, email := c.Request.Context(), seal.NewSecret(c.Param("token")), core.Cut(c.PostForm("email"), 320)
	workspace, err := s.Links.Peek(ctx, token)
	if err != nil {
		s.linkDoor(c, openPage{}, err)
		return
	}
	challenge, err := s.Links.Ask(ctx, problem.Origin(c), token, email)
	s.linkDoor(c, openPage{Workspace: workspace, Email: email, Challenge: challenge.Reveal()}, err)
}

// openLink gives a recipient the password.
func (s *Service) openLink(c *gin.Context) {
	if !s.readForm(c) {
		return
	}
	ctx, token := c.Request.Context(), seal.NewSecret(c.Param("token"))
	var device seal.Secret
	if cookie, err := c.Request.Cookie(deviceCookie); err == nil {
		device = seal.NewSecret(cookie.Value)
	}
	shown, err := s.Links.Open(ctx, problem.Origin(c), token, seal.NewSecret(c.PostForm("challenge")), seal.NewSecret(c.PostForm("code")), device)
	if err != nil {
		workspace, _ := s.Links.Peek(ctx, token) // for the eye only
		s.linkDoor(c, openPage{Workspace: workspace, Email: core.Cut(c.PostForm("email"), 320), Challenge: core.Cut(c.PostForm("challenge"), 100)}, err)
		return
	}
	if !shown.Device.IsZero() {
		http.SetCookie(c.Writer, &http.Cookie{
			Name: deviceCookie, Value: shown.Device.Reveal(), Path: "/", MaxAge: deviceLife, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		})
	}
	s.linkDoor(c, openPage{Shown: &shown, Password: shown.Password.Reveal(), Pass: shown.Pass.Reveal()}, nil)
}

// linkTOTP gives whoever was given the password the account's one-time code: to our own script, or on a page.
func (s *Service) linkTOTP(c *gin.Context) {
	if !s.readForm(c) {
		return
	}
	pass := seal.NewSecret(c.PostForm("pass"))
	given, err := s.Links.Code(c.Request.Context(), problem.Origin(c), seal.NewSecret(c.Param("token")), pass)
	scripted := c.GetHeader(scriptHeader) != ""
	switch {
	case err == nil && scripted:
		s.answerCode(c, given)
	case err == nil:
		s.linkDoor(c, openPage{Pass: pass.Reveal(), Given: &given, Code: given.Code.Reveal()}, nil)
	case scripted:
		problem.Write(c, err)
	default:
		s.linkDoor(c, openPage{}, err)
	}
}
