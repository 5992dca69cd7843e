package sampleapp

import (
	"embed"
	"html/template"
	"net/http"
	"sync"
	"time"
)

// CookieName is the name of Harbour's session cookie.
const CookieName = "harbour_session"

const (
	lockAfter   = 8               // failed sign-ins in a row
	lockFor     = 2 * time.Minute // and how long the account then stays locked
	sessionLife = 12 * time.Hour
)

//go:embed pages
var pageFiles embed.FS

// App is Harbour: an http.Handler.
type App struct {
	// Now is the clock. Default: time.Now.
	Now func() time.Time

	file  string
	pages *template.Template
	mux   *http.ServeMux

	mutex     sync.Mutex
	users     map[string]*user
	sessions  map[string]session
	behaviour Behaviour
	signIns   int
	changes   int
}

type session struct {
	username string
	csrf     string
	expires  time.Time
}

// New opens Harbour in a folder; the users of an earlier run are still there.
func New(folder string) (*App, error) {
	pages, err := template.ParseFS(pageFiles, "pages/*.html")
	if err != nil {
		return nil, err
	}
	app := &App{Now: time.Now, pages: pages, mux: http.NewServeMux(), sessions: map[string]session{}}
	if err := app.load(folder); err != nil {
		return nil, err
	}
	app.mux.HandleFunc("GET /{$}", app.home)
	app.mux.HandleFunc("GET /sign-in", app.signInPage)
	app.mux.HandleFunc("POST /sign-in", app.signIn)
	app.mux.HandleFunc("POST /sign-out", app.signOut)
	app.mux.HandleFunc("GET /berths", app.berths)
	app.mux.HandleFunc("GET /account/password", app.passwordPage)
	app.mux.HandleFunc("POST /account/password", app.changePassword)
	app.mux.HandleFunc("GET /harbour.css", app.style)
	return app, nil
}

// ServeHTTP implements http.Handler.
func (a *App) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !a.misbehave(w, r) {
		return
	}
	header := w.Header()
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "same-origin")
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	a.mux.ServeHTTP(w, r)
}

func (a *App) style(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "max-age=3600")
	http.ServeFileFS(w, r, pageFiles, "pages/harbour.css")
}

func (a *App) home(w http.ResponseWriter, r *http.Request) {
	target := "/sign-in"
	if _, _, ok := a.session(r); ok {
		target = "/berths"
	}
	http.Redirect(w, r, target, http.StatusSeeOther)
}

// view is what the pages show.
type view struct {
	Title    string
	Username string
	CSRF     string
	Error    string
	Notice   string
	Typed    string
	Policy   string
	Ships    []ship
	Captcha  bool
	NoForm   bool
}

func (a *App) render(w http.ResponseWriter, status int, page string, v view) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = a.pages.ExecuteTemplate(w, page, v)
}

type ship struct{ Name, Berth, Cargo, Due string }

var ships = []ship{
	{"Maren Lund", "B2", "Citrus, 214 containers", "today, 18:40"},
	{"Ocean Petrel", "B4", "Machine parts, 88 containers", "today, 23:15"},
	{"Star of Setúbal", "A1", "Cork and paper", "tomorrow, 05:30"},
	{"Hakone Breeze", "C3", "Cars, 1,120 units", "tomorrow, 11:00"},
}

func (a *App) berths(w http.ResponseWriter, r *http.Request) {
	_, s, ok := a.session(r)
	if !ok {
		http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
		return
	}
	a.render(w, http.StatusOK, "berths.html", view{Title: "Berths", Username: s.username, CSRF: s.csrf, Ships: ships})
}
