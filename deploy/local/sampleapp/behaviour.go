package sampleapp

import (
	"net/http"
	"time"
)

// Behaviour makes Harbour misbehave as real applications do. The zero value behaves.
type Behaviour struct {
	Down                bool          // every request is answered 503
	Hang                bool          // no request is ever answered
	NoSignInForm        bool          // the sign-in page has lost its form
	NoChangeForm        bool          // the change-password page has lost its form
	Captcha             bool          // the sign-in page asks for the letters of a picture
	RefuseEveryPassword bool          // no new password meets the policy
	HangAfterChange     bool          // a change is applied but never answered
	ApplyAfter          time.Duration // a change is applied this much later; the request hangs
	AnswerAtOnce        bool          // with ApplyAfter: the request is answered as if all was done
	Delay               time.Duration // before every answer
}

// Behave switches the behaviour, from the next request on.
func (a *App) Behave(b Behaviour) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.behaviour = b
}

// Behaviour is the behaviour now.
func (a *App) Behaviour() Behaviour {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return a.behaviour
}

// misbehave reports whether the request goes on to the pages.
func (a *App) misbehave(w http.ResponseWriter, r *http.Request) bool {
	b := a.Behaviour()
	if b.Hang {
		<-r.Context().Done()
		return false
	}
	if b.Delay > 0 {
		select {
		case <-time.After(b.Delay):
		case <-r.Context().Done():
			return false
		}
	}
	if b.Down {
		w.Header().Set("Retry-After", "60")
		http.Error(w, "Harbour is being maintained.", http.StatusServiceUnavailable)
		return false
	}
	return true
}
