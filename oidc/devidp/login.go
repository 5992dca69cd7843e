package devidp

import (
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/op"
)

const (
	cookieName  = "devidp_session"
	sessionLife = 12 * time.Hour
)

// session is a person signed in here, whom the next client need not ask again.
type session struct {
	person        string
	authenticated time.Time
	sid           string
}

// loginPage is what the sign-in page shows.
type loginPage struct {
	Request string
	Client  string
	Hint    string
	Problem string
	People  []Person
}

func (s *Server) showLogin(w http.ResponseWriter, r *http.Request) {
	request, err := s.request(r.URL.Query().Get("request"))
	if err != nil {
		s.render(w, http.StatusBadRequest, "over.html", nil)
		return
	}
	if found, ok := s.signedIn(r); ok && request.wants(found.authenticated, s.now()) {
		s.finish(w, r, request, found)
		return
	}
	if request.silent() {
		s.refuse(w, r, request, "login_required", "nobody is signed in")
		return
	}
	s.renderLogin(w, http.StatusOK, request, request.asked.LoginHint, "")
}

func (s *Server) renderLogin(w http.ResponseWriter, status int, request authRequest, hint, problem string) {
	s.render(w, status, "login.html", loginPage{
		Request: request.id, Client: request.asked.ClientID, Hint: hint, Problem: problem, People: s.People(),
	})
}

func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	request, err := s.request(r.PostFormValue("request"))
	if err != nil {
		s.render(w, http.StatusBadRequest, "over.html", nil)
		return
	}
	if r.PostFormValue("cancel") != "" {
		s.refuse(w, r, request, "access_denied", "the person cancelled")
		return
	}
	name := strings.TrimSpace(r.PostFormValue("username"))
	person, err := s.Person(name)
	if err != nil || subtle.ConstantTimeCompare([]byte(person.Password), []byte(r.PostFormValue("password"))) != 1 {
		s.renderLogin(w, http.StatusUnauthorized, request, name, "That name and password do not belong together.")
		return
	}
	if !person.Active {
		s.renderLogin(w, http.StatusForbidden, request, name, person.DisplayName+" is deactivated and cannot sign in.")
		return
	}
	begun := session{person: person.ID, authenticated: s.now(), sid: rand.Text()}
	token := rand.Text()
	s.lock.Lock()
	s.sessions[token] = begun
	s.lock.Unlock()
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: token, Path: "/", HttpOnly: true, Secure: s.secure(), SameSite: http.SameSiteLaxMode,
	})
	s.finish(w, r, request, begun)
}

// finish sends the browser back to the client with a code.
func (s *Server) finish(w http.ResponseWriter, r *http.Request, request authRequest, by session) {
	person, err := s.personByID(by.person)
	if err == nil && !person.Active {
		err = errGone
	}
	client, clientErr := s.client(request.asked.ClientID)
	if err != nil || clientErr != nil {
		s.render(w, http.StatusBadRequest, "over.html", nil)
		return
	}
	request.done, request.person, request.subject = true, person.ID, subject(person, client)
	request.authenticated, request.sid = by.authenticated, by.sid
	s.lock.Lock()
	s.requests[request.id] = request
	s.lock.Unlock()
	ctx := op.ContextWithIssuer(r.Context(), s.options.Issuer)
	code, err := op.CreateAuthRequestCode(ctx, &request, storage{s}, s.provider.Crypto())
	if err != nil {
		s.refuse(w, r, request, "server_error", "no code could be made")
		return
	}
	s.back(w, r, request, url.Values{"code": {code}})
}

// refuse sends the browser back to the client with an error.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, request authRequest, code, description string) {
	s.lock.Lock()
	delete(s.requests, request.id)
	s.lock.Unlock()
	s.back(w, r, request, url.Values{"error": {code}, "error_description": {description}})
}

func (s *Server) back(w http.ResponseWriter, r *http.Request, request authRequest, parameters url.Values) {
	address, err := s.answer(request, parameters)
	if err != nil {
		s.render(w, http.StatusBadRequest, "over.html", nil)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, address, http.StatusSeeOther)
}

// signedIn finds the session of a browser.
func (s *Server) signedIn(r *http.Request) (session, bool) {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return session{}, false
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	found, ok := s.sessions[cookie.Value]
	if ok && s.now().Sub(found.authenticated) > sessionLife {
		delete(s.sessions, cookie.Value)
		return session{}, false
	}
	return found, ok
}

// forget ends the session of a browser.
func (s *Server) forget(w http.ResponseWriter, r *http.Request) {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return
	}
	s.lock.Lock()
	delete(s.sessions, cookie.Value)
	s.lock.Unlock()
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", MaxAge: -1, HttpOnly: true, Secure: s.secure(), SameSite: http.SameSiteLaxMode})
}

// endSessions ends every session of a person here, and every sign-in of theirs under way.
func (s *Server) endSessions(person string) {
	s.lock.Lock()
	defer s.lock.Unlock()
	for token, found := range s.sessions {
		if found.person == person {
			delete(s.sessions, token)
		}
	}
	for id, request := range s.requests {
		if request.person == person {
			delete(s.requests, id)
		}
	}
	for id, token := range s.tokens {
		if token.person == person {
			delete(s.tokens, id)
		}
	}
}

func (s *Server) showSignedOut(w http.ResponseWriter, r *http.Request) {
	s.render(w, http.StatusOK, "signed-out.html", nil)
}
