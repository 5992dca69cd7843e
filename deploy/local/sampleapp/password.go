package sampleapp

import (
	"crypto/subtle"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"
)

const (
	minimum = 10
	maximum = 64
	// Policy is what Harbour asks of a password, as its page says it.
	Policy = "10 to 64 characters, with a letter and a digit, and not the one you have now."
)

func (a *App) passwordPage(w http.ResponseWriter, r *http.Request) {
	_, s, ok := a.session(r)
	if !ok {
		http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
		return
	}
	a.showPassword(w, http.StatusOK, s, "")
}

func (a *App) showPassword(w http.ResponseWriter, status int, s session, failure string) {
	a.render(w, status, "password.html", view{
		Title: "Change password", Username: s.username, CSRF: s.csrf, Policy: Policy, Error: failure, NoForm: a.Behaviour().NoChangeForm,
	})
}

func (a *App) changePassword(w http.ResponseWriter, r *http.Request) {
	_, s, ok := a.session(r)
	if !ok {
		http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
		return
	}
	if subtle.ConstantTimeCompare([]byte(s.csrf), []byte(r.PostFormValue("csrf"))) != 1 {
		a.showPassword(w, http.StatusForbidden, s, "The form had expired. Please try again.")
		return
	}
	behaviour := a.Behaviour()
	current, next := r.PostFormValue("current_password"), r.PostFormValue("new_password")
	failure := ""
	switch {
	case a.check(s.username, current) != welcome:
		failure = "The current password is wrong."
	case next != r.PostFormValue("confirm_password"):
		failure = "The two new passwords are not the same."
	case next == current:
		failure = "The new password must differ from the current password."
	case behaviour.RefuseEveryPassword:
		failure = "The new password does not meet the policy: " + Policy
	default:
		failure = violation(next)
	}
	if failure != "" {
		a.showPassword(w, http.StatusUnprocessableEntity, s, failure)
		return
	}
	apply := func() error {
		a.mutex.Lock()
		a.changes++
		a.mutex.Unlock()
		return a.SetPassword(s.username, next)
	}
	if behaviour.ApplyAfter > 0 {
		// As an overloaded application does: it answers first, or never, and does the work later.
		time.AfterFunc(behaviour.ApplyAfter, func() { _ = apply() })
		if !behaviour.AnswerAtOnce {
			<-r.Context().Done()
			return
		}
	} else if err := apply(); err != nil {
		http.Error(w, "Harbour could not save the change.", http.StatusInternalServerError)
		return
	}
	if behaviour.HangAfterChange {
		<-r.Context().Done()
		return
	}
	http.Redirect(w, r, "/sign-in?changed", http.StatusSeeOther)
}

func violation(password string) string {
	switch {
	case len(password) < minimum:
		return fmt.Sprintf("The new password is too short: it needs at least %d characters.", minimum)
	case len(password) > maximum:
		return fmt.Sprintf("The new password is too long: at most %d characters fit.", maximum)
	case !strings.ContainsFunc(password, unicode.IsLetter) || !strings.ContainsFunc(password, unicode.IsDigit):
		return "The new password needs a letter and a digit."
	}
	return ""
}

// Changes counts the password changes Harbour has accepted from its page since the start.
func (a *App) Changes() int {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return a.changes
}
