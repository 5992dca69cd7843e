package devidp

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"postern/core"
	"postern/oidc/devidp/push"
)

//go:embed pages
var pageFiles embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"indent": indent,
	"path":   pathOf,
	"ms":     func(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) },
	"clock":  func(t time.Time) string { return t.Format("15:04:05") },
	"title":  styleTitle,
}).ParseFS(pageFiles, "pages/*.html"))

// Record is one thing an administrator did and what was sent for it.
type Record struct {
	Title     string
	At        time.Time
	Exchanges []push.Exchange
	Problem   string // empty: it worked
}

// kept is how many records the administrator's page goes back.
const kept = 50

func (s *Server) record(title string, result push.Result, err error) {
	made := Record{Title: title, At: s.now(), Exchanges: result.Exchanges}
	if err != nil {
		made.Problem = core.AsError(err).Message
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	s.exchanges = append([]Record{made}, s.exchanges[:min(len(s.exchanges), kept-1)]...)
}

// Records are the last things sent, newest first.
func (s *Server) Records() []Record {
	s.lock.Lock()
	defer s.lock.Unlock()
	return append([]Record(nil), s.exchanges...)
}

type adminPage struct {
	Issuer   string
	People   []Person
	Teams    []Team
	Targets  []Target
	Records  []Record
	Problem  string
	Sessions map[string]int // by person
}

// CanLogOut reports whether some target takes logout requests.
func (p adminPage) CanLogOut() bool {
	for _, target := range p.Targets {
		if target.LogoutEndpoint != "" {
			return true
		}
	}
	return false
}

// Names lists the members of a team.
func (p adminPage) Names(team Team) string {
	var names []string
	for _, person := range p.People {
		if team.Has(person) {
			names = append(names, person.DisplayName)
		}
	}
	return strings.Join(names, ", ")
}

func (s *Server) showAdmin(w http.ResponseWriter, r *http.Request) {
	page := adminPage{
		Issuer: s.options.Issuer, People: s.People(), Teams: s.Teams(), Targets: s.Targets(), Records: s.Records(),
		Problem: r.URL.Query().Get("problem"), Sessions: map[string]int{},
	}
	s.lock.Lock()
	for _, found := range s.sessions {
		page.Sessions[found.person]++
	}
	s.lock.Unlock()
	s.render(w, http.StatusOK, "admin.html", page)
}

// runAction presses one of the administrator's buttons.
func (s *Server) runAction(w http.ResponseWriter, r *http.Request) {
	ctx, target, name := r.Context(), r.PostFormValue("target"), r.PostFormValue("name")
	var err error
	switch r.PathValue("action") {
	case "push":
		_, err = s.Push(ctx, target, name)
	case "push-team":
		_, err = s.PushTeam(ctx, target, name)
	case "deactivate":
		_, err = s.Deactivate(ctx, name)
	case "reactivate":
		_, err = s.Reactivate(ctx, name)
	case "delete":
		_, err = s.Delete(ctx, name)
	case "clear-sessions":
		_, err = s.ClearSessions(ctx, name)
	case "add":
		_, err = s.AddPerson(r.PostFormValue("given"), r.PostFormValue("family"), r.PostFormValue("email"))
	default:
		http.NotFound(w, r)
		return
	}
	address := "/"
	if err != nil {
		s.log.InfoContext(ctx, "an administrator's action failed", "action", r.PathValue("action"), "error", err)
		address += "?problem=" + url.QueryEscape(core.AsError(err).Message)
	}
	http.Redirect(w, r, address, http.StatusSeeOther)
}

// contentPolicy lets a page load its own style and nothing else. Forms may lead to any client.
const contentPolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"

func (s *Server) render(w http.ResponseWriter, status int, page string, data any) {
	var written bytes.Buffer
	if err := pages.ExecuteTemplate(&written, page, data); err != nil {
		s.log.Error("a page could not be made", "page", page, "error", err)
		http.Error(w, "this page could not be made", http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", contentPolicy)
	header.Set("Referrer-Policy", "same-origin")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = written.WriteTo(w)
}

// indent makes JSON readable and leaves the rest as it is.
func indent(text string) string {
	var readable bytes.Buffer
	if json.Indent(&readable, []byte(text), "", "  ") != nil {
		return text
	}
	return readable.String()
}

func pathOf(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return address
	}
	readable, err := url.QueryUnescape(parsed.RequestURI())
	if err != nil {
		return parsed.RequestURI()
	}
	return readable
}

func styleTitle(style push.Style) string {
	switch style {
	case push.Okta:
		return "as an Okta catalogue app"
	case push.OktaWizard:
		return "as an Okta wizard app"
	case push.EntraCompliant:
		return "as Entra ID with aadOptscim062020"
	}
	return "as Entra ID"
}
