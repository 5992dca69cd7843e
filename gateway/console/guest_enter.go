package console

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/directory"
	"postern/core/links"
	"postern/core/seal"
	"postern/gateway/problem"
	"postern/oidc"
)

// enterPage is signing in as a guest, step by step.
type enterPage struct {
	Slug      string // of the workspace; empty: it is asked for
	Email     string
	Challenge string
	ReturnTo  string
	Problem   string
}

// showGuestDoor asks a guest who they are.
func (s *Service) showGuestDoor(c *gin.Context) {
	s.guestDoor(c, enterPage{ReturnTo: oidc.ReturnTo(c.Query("return_to"))}, nil)
}

// chooseGuestDoor leads to the page of the workspace somebody names.
func (s *Service) chooseGuestDoor(c *gin.Context) {
	if !s.readForm(c) {
		return
	}
	page := enterPage{ReturnTo: oidc.ReturnTo(c.PostForm("return_to"))}
	found, err := s.Directory.WorkspaceBySlug(c.Request.Context(), s.DB, core.Cut(c.PostForm("workspace"), 100))
	if err != nil {
		s.guestDoor(c, page, err)
		return
	}
	address := links.GuestPath + found.Slug
	if page.ReturnTo != "/" {
		address += "?return_to=" + page.ReturnTo
	}
	c.Redirect(http.StatusSeeOther, address)
}

// guestDoor renders a step of signing in, perhaps with what went wrong.
func (s *Service) guestDoor(c *gin.Context, page enterPage, err error) {
	status := http.StatusOK
	page.Slug = c.Param("slug")
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
	}
	s.show(c, status, "guest-enter", "Sign in as a guest", "", page)
}

// guestWorkspace reads the form and finds the workspace in the path.
func (s *Service) guestWorkspace(c *gin.Context) (enterPage, directory.Workspace, bool) {
	if !s.readForm(c) {
		return enterPage{}, directory.Workspace{}, false
	}
	page := enterPage{
		Email: core.Cut(c.PostForm("email"), 320), Challenge: core.Cut(c.PostForm("challenge"), 100), ReturnTo: oidc.ReturnTo(c.PostForm("return_to")),
	}
	found, err := s.Directory.WorkspaceBySlug(c.Request.Context(), s.DB, c.Param("slug"))
	if err != nil {
		s.guestDoor(c, page, err)
		return page, directory.Workspace{}, false
	}
	return page, found, true
}

// askGuestCode mails a code, if it is a guest who asks.
func (s *Service) askGuestCode(c *gin.Context) {
	page, workspace, ok := s.guestWorkspace(c)
	if !ok {
		return
	}
	challenge, err := s.Links.AskGuest(c.Request.Context(), problem.Origin(c), workspace.ID, page.Email)
	page.Challenge = challenge.Reveal()
	s.guestDoor(c, page, err)
}

// enterGuest signs a guest in.
func (s *Service) enterGuest(c *gin.Context) {
	page, workspace, ok := s.guestWorkspace(c)
	if !ok {
		return
	}
	_, token, err := s.Links.Enter(c.Request.Context(), problem.Origin(c), workspace.ID, seal.NewSecret(page.Challenge), seal.NewSecret(c.PostForm("code")))
	if err == nil {
		err = s.OIDC.Begin(c, token)
	}
	if err != nil {
		s.guestDoor(c, page, err)
		return
	}
	c.Redirect(http.StatusSeeOther, page.ReturnTo)
}
