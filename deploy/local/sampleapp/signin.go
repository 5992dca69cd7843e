package sampleapp

import (
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"time"
)

const csrfCookie = "harbour_form"

func (a *App) session(r *http.Request) (string, session, bool) {
	cookie, err := r.Cookie(CookieName)
	if err != nil {
		return "", session{}, false
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	s, ok := a.sessions[cookie.Value]
	if !ok || a.Now().After(s.expires) {
		delete(a.sessions, cookie.Value)
		return "", session{}, false
	}
	return cookie.Value, s, true
}

func (a *App) signInPage(w http.ResponseWriter, r *http.Request) {
	if _, _, ok := a.session(r); ok {
		http.Redirect(w, r, "/berths", http.StatusSeeOther)
		return
	}
	notice := ""
	if r.URL.Query().Has("changed") {
		notice = "Your password has been changed. Please sign in again."
	}
	a.showSignIn(w, http.StatusOK, view{Notice: notice})
}

func (a *App) showSignIn(w http.ResponseWriter, status int, v view) {
	token := rand.Text()
	http.SetCookie(w, &http.Cookie{Name: csrfCookie, Value: token, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	behaviour := a.Behaviour()
	v.Title, v.CSRF, v.Captcha, v.NoForm = "Sign in", token, behaviour.Captcha, behaviour.NoSignInForm
	a.render(w, status, "sign-in.html", v)
}

func (a *App) signIn(w http.ResponseWriter, r *http.Request) {
	cookie, err := r.Cookie(csrfCookie)
	if err != nil || subtle.ConstantTimeCompare([]byte(cookie.Value), []byte(r.PostFormValue("csrf"))) != 1 {
		a.showSignIn(w, http.StatusForbidden, view{Error: "The form had expired. Please try again."})
		return
	}
	username, password := r.PostFormValue("username"), r.PostFormValue("password")
	if a.Behaviour().Captcha {
		a.showSignIn(w, http.StatusForbidden, view{Typed: username, Error: "Please type the letters of the picture."})
		return
	}
	switch a.check(username, password) {
	case unknownUser, wrongPassword:
		a.showSignIn(w, http.StatusUnauthorized, view{Typed: username, Error: "Invalid username or password."})
		return
	case lockedOut:
		a.showSignIn(w, http.StatusForbidden, view{Typed: username, Error: "Too many failed attempts: this account is locked for a while."})
		return
	case disabled:
		a.showSignIn(w, http.StatusForbidden, view{Typed: username, Error: "This account has been disabled. Ask the harbour office."})
		return
	}
	token := rand.Text()
	a.mutex.Lock()
	a.signIns++
	a.sessions[token] = session{username: username, csrf: rand.Text(), expires: a.Now().Add(sessionLife)}
	a.mutex.Unlock()
	http.SetCookie(w, &http.Cookie{Name: csrfCookie, Path: "/", MaxAge: -1})
	http.SetCookie(w, &http.Cookie{Name: CookieName, Value: token, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, Expires: a.Now().Add(sessionLife)})
	http.Redirect(w, r, "/berths", http.StatusSeeOther)
}

func (a *App) signOut(w http.ResponseWriter, r *http.Request) {
	token, s, ok := a.session(r)
	if ok && subtle.ConstantTimeCompare([]byte(s.csrf), []byte(r.PostFormValue("csrf"))) == 1 {
		a.mutex.Lock()
		delete(a.sessions, token)
		a.mutex.Unlock()
		http.SetCookie(w, &http.Cookie{Name: CookieName, Path: "/", MaxAge: -1})
	}
	http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
}

// SignIns counts the successful sign-ins since the start.
func (a *App) SignIns() int {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return a.signIns
}

// endSessions signs a user out everywhere. The mutex is held.
func (a *App) endSessions(username string) {
	for token, s := range a.sessions {
		if s.username == username {
			delete(a.sessions, token)
		}
	}
}

func (a *App) locked(u *user, now time.Time) bool {
	return u.Failures >= lockAfter && now.Before(u.LastFailure.Add(lockFor))
}
