package hostile

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"html"
	"net/http"
	"regexp"
	"sync"
	"time"
)

const (
	lockAfter   = 3
	lockFor     = 10 * time.Minute
	lateBy      = 4 * time.Minute
	kept        = 12 // characters, of one that truncates
	cookie      = "hostile"
	signInPath  = "/sign-in"
	changePath  = "/account/password"
	framePath   = "/frame"
	outsidePath = "/outside"
	windowPath  = "/window"
	agreedPath  = "/.well-known/change-password"
	done        = `<p role="status">Your password has been changed.</p><a href="/sign-out">Sign out</a>`
	contentType = "text/html; charset=utf-8"
)

var policy = regexp.MustCompile(`^[A-Za-z0-9]{8,16}$`)

// App is the application: an http.Handler.
type App struct {
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Elsewhere is where Redirects redirects to: an address of another host.
	Elsewhere string
	// Frames is the application's own address by the name of another host, which HidesElsewhere has its frames from.
	Frames string

	mutex    sync.Mutex
	behaves  Behaviour
	users    map[string]*user
	sessions map[string]*session
	pages    int // shown so far
}

type user struct {
	password string
	late     string // to be applied
	due      time.Time
	failures []time.Time
	worst    int  // failed sign-ins within lockFor, at most
	asked    bool // for the change page
	disabled bool
}

type session struct{ username string }

// Behave switches the behaviour, from the next request on.
func (a *App) Behave(b Behaviour) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.behaves = b
}

// cut is what is kept of a password.
func (a *App) cut(password string) string {
	if a.behaves == Truncates {
		return password[:min(kept, len(password))]
	}
	return password
}

// Add makes an account, or sets its password as an administrator would.
func (a *App) Add(username, password string) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if a.users == nil {
		a.users, a.sessions = map[string]*user{}, map[string]*session{}
	}
	a.users[username] = &user{password: password}
}

// Disable lets an account in no more.
func (a *App) Disable(username string) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.users[username].disabled = true
}

// Password is the one that opens an account now.
func (a *App) Password(username string) string {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.settle(a.users[username])
	return a.users[username].password
}

// Failures is how many sign-ins failed within 10 minutes, at most.
func (a *App) Failures(username string) int {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return a.users[username].worst
}

func (a *App) now() time.Time {
	if a.Now != nil {
		return a.Now()
	}
	return time.Now()
}

// settle applies what is due.
func (a *App) settle(u *user) {
	if u.late != "" && !a.now().Before(u.due) {
		u.password, u.late = u.late, ""
	}
}

// ServeHTTP implements http.Handler.
func (a *App) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.pages++
	switch r.Method + " " + r.URL.Path {
	case "GET " + signInPath, "GET " + windowPath:
		a.signInPage(w, r, "")
	case "POST " + signInPath:
		a.signIn(w, r)
	case "GET " + outsidePath:
		a.outside(w, r)
	case "GET " + changePath, "GET " + framePath:
		a.changePage(w, r, "")
	case "POST " + changePath:
		a.change(w, r)
	default:
		a.nowhere(w, r)
	}
}

// nowhere is what is at an address that the application does not have.
func (a *App) nowhere(w http.ResponseWriter, r *http.Request) {
	switch {
	case a.behaves == HidesTheWay && r.URL.Path == agreedPath:
		http.Redirect(w, r, changePath, http.StatusSeeOther)
	case a.behaves == AnswersForAll && r.Method == http.MethodPost:
		show(w, done)
	case a.behaves == AnswersForAll:
		show(w, a.changeForm("", fmt.Sprintf(`action="%s"`, html.EscapeString(r.URL.Path))))
	default:
		http.NotFound(w, r)
	}
}

// hang answers nothing, and lets others be answered meanwhile.
func (a *App) hang(r *http.Request) {
	a.mutex.Unlock()
	<-r.Context().Done()
	a.mutex.Lock()
}

func show(w http.ResponseWriter, body string) {
	_, _ = fmt.Fprintf(w, "<!doctype html><title>Pier</title><h1>Pier</h1>%s", body)
}

func complaint(text string) string {
	if text == "" {
		return ""
	}
	return `<p role="alert">` + html.EscapeString(text) + `</p>`
}

func (a *App) session(r *http.Request) *session {
	given, err := r.Cookie(cookie)
	if err != nil {
		return nil
	}
	return a.sessions[given.Value]
}

func (a *App) signInPage(w http.ResponseWriter, r *http.Request, said string) {
	if a.behaves == Redirects {
		http.Redirect(w, r, a.Elsewhere, http.StatusSeeOther)
		return
	}
	captcha := ""
	if a.behaves == DemandsCaptcha {
		captcha = `<label>Type the letters of the picture <input name="letters" required></label>`
	}
	switch {
	case a.behaves == HidesElsewhere:
		show(w, complaint(said)+a.frame(r, "sign-in"))
		return
	case a.behaves == OpensWindow && r.Method == http.MethodGet && r.URL.Path == signInPath:
		show(w, `<button onclick="window.open('`+windowPath+`','w','width=500,height=400')">Sign in</button>`)
		return
	}
	show(w, a.hidden(a.signInForm(said, fmt.Sprintf(`action="%s"`, signInPath), captcha), true))
}

func (a *App) signInForm(said, how, captcha string) string {
	return fmt.Sprintf(`%s<form method="post" %s>%s%s%s<button>Sign in</button></form>`, complaint(said), how,
		a.field("text", "username", "User name", "Account name"), a.field("password", "password", "Password", "Passphrase"), captcha)
}

// frame is one of another site, which has a form of ours.
func (a *App) frame(r *http.Request, part string) string {
	return fmt.Sprintf(`<iframe src="%s%s?part=%s&amp;of=%s" width="800" height="500"></iframe>`, a.Frames, outsidePath, part, r.Host)
}

// outside is the form in such a frame. It is sent to the application itself, in the whole window.
func (a *App) outside(w http.ResponseWriter, r *http.Request) {
	how := `target="_top" action="http://` + html.EscapeString(r.URL.Query().Get("of"))
	if r.URL.Query().Get("part") == "sign-in" {
		show(w, a.signInForm("", how+signInPath+`"`, ""))
		return
	}
	show(w, a.changeForm("", how+changePath+`"`))
}

func (a *App) signIn(w http.ResponseWriter, r *http.Request) {
	username, password := a.given(r, "username"), a.given(r, "password")
	if a.behaves == DemandsCaptcha {
		a.signInPage(w, r, "The letters of the picture are not right.")
		return
	}
	u := a.users[username]
	if u == nil {
		a.signInPage(w, r, "The user name or password is wrong.")
		return
	}
	a.settle(u)
	recent := u.failures[:0]
	for _, at := range u.failures {
		if a.now().Sub(at) < lockFor {
			recent = append(recent, at)
		}
	}
	u.failures = recent
	if a.behaves == LocksAfter && len(recent) >= lockAfter {
		a.signInPage(w, r, "Your account is temporarily locked after too many failed attempts.")
		return
	}
	if subtle.ConstantTimeCompare([]byte(a.cut(password)), []byte(a.cut(u.password))) != 1 {
		u.failures = append(u.failures, a.now())
		u.worst = max(u.worst, len(u.failures))
		a.signInPage(w, r, "The user name or password is wrong.")
		return
	}
	if u.disabled {
		a.signInPage(w, r, "Your account has been disabled.")
		return
	}
	id := rand.Text()
	a.sessions[id] = &session{username: username}
	http.SetCookie(w, &http.Cookie{Name: cookie, Value: id, Path: "/", HttpOnly: true})
	if a.behaves == OpensWindow {
		show(w, `<script>opener.location="`+changePath+`";close()</script>`)
		return
	}
	way := `<a href="` + changePath + `">Change password</a> `
	if a.behaves == HidesTheWay || a.behaves == AnswersForAll {
		way = ""
	}
	show(w, `<p>Welcome</p>`+way+`<a href="/sign-out">Sign out</a>`)
}
