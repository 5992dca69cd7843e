package console

import (
	"bytes"
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/directory"
	"postern/core/lifecycle"
	"postern/core/signals"
	"postern/gateway/problem"
	"postern/oidc"
)

// shell is what surrounds every page.
type shell struct {
	Title     string
	Section   string // which entry of the menu is the current one
	Nonce     string
	Resumed   bool // the form says what was typed before a proof was asked for
	SignedIn  bool
	User      directory.User
	Admin     bool
	Workspace string
	Holds     []lifecycle.Hold // that wait for this administrator
	Crowds    []signals.Hold   // of signals, likewise
	Mails     bool             // there are mails to read, in development
	Page      any
}

// reader is the person a page is for.
type reader struct {
	session directory.Session
	user    directory.User
}

func (r reader) workspace() core.ID { return r.session.Workspace }
func (r reader) admin() bool        { return r.user.Role.Administers() }

// reader is who is signed in: oidc.Require let the request pass.
func (s *Service) reader(c *gin.Context) reader {
	session, user, _ := oidc.Session(c)
	return reader{session, user}
}

func (s *Service) cause(c *gin.Context) core.Cause {
	cause := core.NewCause(s.reader(c).user.Actor(), s.now())
	cause.Origin, cause.Authenticated = problem.Origin(c), s.reader(c).session.Authenticated
	return cause
}

// show renders a page. Nothing is sent before it is whole.
func (s *Service) show(c *gin.Context, status int, name, title, section string, page any) {
	around := shell{Title: title, Section: section, Nonce: rand.Text(), Resumed: resumed(c), Page: page}
	session, user, signedIn := oidc.Session(c)
	if signedIn {
		around.SignedIn, around.User, around.Admin = true, user, user.Role.Administers()
		around.Mails = around.Admin && s.Mail.Keep
		around.Workspace = s.workspaceName(c, session.Workspace)
		if around.Admin && name != "hold" {
			around.Holds, around.Crowds = s.openHolds(c, session.Workspace), s.openCrowds(c, session.Workspace)
		}
	}
	var written bytes.Buffer
	if err := s.pages[name].ExecuteTemplate(&written, "base.html", around); err != nil {
		problem.Write(c, core.Internal(err))
		return
	}
	c.Header("Content-Security-Policy", policy(around.Nonce, session.Issuer))
	c.Header("Cache-Control", "no-store")
	c.Data(status, "text/html; charset=utf-8", written.Bytes())
}

// policy lets a page load its own files and run its one script. A form may only lead here, or, at
// signing out, on to the person's identity provider.
func policy(nonce, issuer string) string {
	forms := "'self'"
	if parsed, err := url.Parse(issuer); err == nil && parsed.Host != "" && !strings.ContainsAny(parsed.Host, " ;,'\"") {
		forms += " " + parsed.Scheme + "://" + parsed.Host
	}
	return "default-src 'none'; script-src 'nonce-" + nonce + "'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"form-action " + forms + "; base-uri 'none'; frame-ancestors 'none'"
}

// workspaceName is for the eye only; a page without it is better than none. Names never change, so
// each is looked up once.
func (s *Service) workspaceName(c *gin.Context, id core.ID) string {
	if name, ok := s.names.Load(id); ok {
		return name.(string)
	}
	all, err := s.Directory.Workspaces(c.Request.Context(), s.DB)
	if err != nil {
		return ""
	}
	found := ""
	for _, workspace := range all {
		s.names.Store(workspace.ID, workspace.Name)
		if workspace.ID == id {
			found = workspace.Name
		}
	}
	return found
}

// about shows administrators the page about what the path names: afresh, or with why something was refused.
func (s *Service) about(c *gin.Context, status int, name, section string, load func() (title string, page any, err error)) {
	if !s.administrator(c) {
		return
	}
	title, page, err := load()
	if err != nil {
		s.refuse(c, err)
		return
	}
	s.show(c, status, name, title, section, page)
}

// problemPage is what went wrong, for a person.
type problemPage struct {
	Status    int
	Detail    string
	RequestID string
}

// refuse shows an error as a page.
func (s *Service) refuse(c *gin.Context, err error) {
	_ = c.Error(err)
	rendered := problem.From(c, err)
	for name, values := range rendered.GetHeaders() {
		c.Writer.Header()[name] = values
	}
	title := map[int]string{
		http.StatusNotFound: "Not here", http.StatusForbidden: "Not for you", http.StatusBadRequest: "That did not make sense",
		http.StatusConflict: "That collides with something", http.StatusServiceUnavailable: "One moment, please",
	}[rendered.Status]
	if title == "" {
		title = "Something went wrong"
	}
	c.Abort()
	s.show(c, rendered.Status, "problem", title, "", problemPage{rendered.Status, rendered.Detail, rendered.RequestID})
}

// signIn greets who is not signed in yet.
func (s *Service) signIn(c *gin.Context) {
	if _, _, ok := s.OIDC.Current(c); ok {
		c.Redirect(http.StatusSeeOther, "/")
		return
	}
	s.show(c, http.StatusOK, "sign-in", "Sign in", "", struct{ ReturnTo string }{oidc.ReturnTo(c.Query("return_to"))})
}

// pathID reads the id in the path. Anything else is NotFound: an address that was typed wrong.
func pathID(c *gin.Context) (core.ID, error) {
	id, err := core.ParseID(c.Param("id"))
	if err != nil || id.IsZero() {
		return core.ID{}, core.NotFound("page")
	}
	return id, nil
}

// queryID reads an optional id in the query.
func queryID(c *gin.Context, name string) (core.ID, error) {
	text := c.Query(name)
	if text == "" {
		return core.ID{}, nil
	}
	id, err := core.ParseID(text)
	if err != nil {
		return core.ID{}, core.Invalid(name, "this is not an id")
	}
	return id, nil
}
