package oidc_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"postern/conformance/signals/vectors"
	"postern/core"
	"postern/core/directory"
)

// vector is one logout token and what becomes of it. See conformance/signals/vectors.
type vector struct {
	Name        string                  `json:"name"`
	Description string                  `json:"description"`
	Quirks      []directory.LogoutQuirk `json:"quirks"`   // that the connection allows
	SignsIn     bool                    `json:"signs_in"` // everybody signs in again before it
	Same        bool                    `json:"same"`     // the token of the request before
	Signing     string                  `json:"signing"`  // rs256 (default), es256, none, hs256-public, other-key
	Header      map[string]any          `json:"header"`   // over {"typ": "logout+jwt", "kid": …}; null takes out
	Claims      json.RawMessage         `json:"claims"`
	Payload     string                  `json:"payload"` // instead of claims
	Form        map[string]*string      `json:"form"`    // over {"logout_token": …}; null takes out
	Expect      struct {
		Status int      `json:"status"`
		Error  string   `json:"error"`
		Stage  string   `json:"stage"` // the check that fails
		Ends   []string `json:"ends"`  // the sessions that are dead after it
	} `json:"expect"`
	Then []vector `json:"then"`
}

func TestBackChannelLogoutVectors(t *testing.T) {
	var all []vector
	if err := json.Unmarshal(vectors.BackChannelLogout, &all); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	for i, one := range all {
		t.Run(one.Name, func(t *testing.T) {
			w.signIn(t)
			w.tx(t, func(tx pgx.Tx) error {
				return w.directory.AllowLogoutQuirks(t.Context(), tx, core.NewCause(core.System, time.Now()), w.acme.Workspace, w.acme.ID, one.Quirks)
			})
			token := ""
			for _, step := range append([]vector{one}, one.Then...) {
				if step.SignsIn {
					w.signIn(t)
				}
				token = w.play(t, step, token, fmt.Sprint("jti-", i))
			}
		})
	}
}

func (w *world) play(t *testing.T, step vector, before, unique string) string {
	t.Helper()
	token := before
	if !step.Same {
		claims := step.Claims
		if step.Payload != "" {
			claims = []byte(step.Payload)
		}
		token = w.op.sign(t, step.Signing, step.Header, w.fill(claims, unique))
	}
	form := url.Values{"logout_token": {token}}
	for name, value := range step.Form {
		if form.Del(name); value != nil {
			form.Set(name, *value)
		}
	}
	w.refusals.stage = ""
	answer := w.post(w.engine, w.acme.ID, form)
	if stage := w.refusals.stage; stage != step.Expect.Stage {
		t.Errorf("refused at the stage %q, want %q", stage, step.Expect.Stage)
	}
	if answer.Code != step.Expect.Status || answer.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %q %s, want %d", answer.Code, answer.Header().Get("Cache-Control"), answer.Body, step.Expect.Status)
	}
	if step.Expect.Status != http.StatusOK {
		var said struct {
			Error string `json:"error"`
			Text  string `json:"error_description"`
		}
		if err := json.Unmarshal(answer.Body.Bytes(), &said); err != nil || said.Error != step.Expect.Error || said.Text == "" {
			t.Errorf("refused with %s (%v), want %s", answer.Body, err, step.Expect.Error)
		}
	}
	if diff := cmp.Diff(step.Expect.Ends, w.dead(t)); diff != "" {
		t.Errorf("sessions that died (-want +got):\n%s", diff)
	}
	return token
}

// Whoever does not sign for a connection cannot tell whether it exists.
func TestAnUnknownConnectionIsABadToken(t *testing.T) {
	w := newWorld(t)
	good := url.Values{"logout_token": {w.op.sign(t, "", nil, w.claims(nil))}}
	for name, id := range map[string]core.ID{"unknown": core.NewID(), "zero": {}} {
		if answer := w.post(w.engine, id, good); answer.Code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, answer.Code, answer.Body)
		}
	}
}

// A logout token is signed as an ID token is: with what the connection accepts and nothing else.
func TestALogoutTokenIsSignedAsItsConnectionAccepts(t *testing.T) {
	w := newWorld(t)
	pinned := w.acme
	pinned.SignIn.Algorithms = []string{"ES256"}
	for signing, stage := range map[string]string{"rs256": "algorithm", "es256": ""} {
		token := w.op.sign(t, signing, nil, w.claims(nil))
		if _, _, _, err := w.service.VerifyLogout(t.Context(), token, w.acme, nil); err != nil {
			t.Errorf("%s by default: %v", signing, err)
		}
		_, _, _, err := w.service.VerifyLogout(t.Context(), token, pinned, nil)
		if (err == nil) != (stage == "") || err != nil && core.AsError(err).Code != stage {
			t.Errorf("%s at a connection pinned to ES256: %v, want %q", signing, err, stage)
		}
	}
}

// A sign-in that was under way when the IdP ended its session, or everything of its person, does not
// become a session, whichever of the two commits first. One that begins after it does.
func TestASignInUnderWayDoesNotSurviveABackChannelLogout(t *testing.T) {
	for name, over := range map[string]map[string]any{
		"sid": {"sid": "sid-9", "sub": nil}, "sid and sub": {"sid": "sid-9"}, "sub": {"sid": nil},
		"sub of nobody known": {"sid": nil, "sub": "sub-stranger"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			began := time.Now()
			if answer := w.post(w.engine, w.acme.ID, url.Values{"logout_token": {w.op.sign(t, "", nil, w.claims(over))}}); answer.Code != http.StatusOK {
				t.Fatalf("%d %s", answer.Code, answer.Body)
			}
			person, session := "ana", "sid-9"
			if name == "sub of nobody known" {
				w.tx(t, func(tx pgx.Tx) error {
					return w.directory.LinkIdentity(t.Context(), tx, w.acme.Workspace, w.acme.ID, w.op.URL, "sub-stranger", w.people["ben"].ID)
				})
				w.people["stranger"] = w.people["ben"]
				person = "stranger"
			}
			if _, err := w.start(t, person, session, began); core.AsError(err) == nil || core.AsError(err).Code != "signed_out_meanwhile" {
				t.Fatalf("the sign-in under way: %v", err)
			}
			if _, err := w.start(t, "their-ana", session, began); err != nil {
				t.Fatalf("in the other workspace: %v", err)
			}
			if _, err := w.start(t, person, session, time.Now()); err != nil {
				t.Fatalf("a sign-in after the logout: %v", err)
			}
		})
	}
}

// A logout that one gateway process receives ends the session at every other one at once: nothing of a
// session is remembered outside the database.
func TestALogoutAtOneProcessEndsTheSessionAtTheOther(t *testing.T) {
	w := newWorld(t)
	second, engine := w.process(t)
	if _, _, err := second.Directory.Authenticate(t.Context(), w.sessions["ana-1"]); err != nil {
		t.Fatal(err)
	}
	if answer := w.post(engine, w.acme.ID, url.Values{"logout_token": {w.op.sign(t, "", nil, w.claims(nil))}}); answer.Code != http.StatusOK {
		t.Fatalf("%d %s", answer.Code, answer.Body)
	}
	for name, people := range map[string]*directory.Directory{"that received it": second.Directory, "beside it": w.directory} {
		if _, _, err := people.Authenticate(t.Context(), w.sessions["ana-1"]); core.KindOf(err) != core.KindUnauthenticated {
			t.Errorf("the session lives at the process %s: %v", name, err)
		}
	}
	if diff := cmp.Diff([]string{"ana-1"}, w.dead(t)); diff != "" {
		t.Error(diff)
	}
}

// A form without an end is refused for its size, whether it says so beforehand or comes in chunks.
func TestALogoutFormThatIsTooLarge(t *testing.T) {
	w := newWorld(t)
	for _, length := range []int64{70 << 10, -1} {
		request := httptest.NewRequest(http.MethodPost, "/sso/"+w.acme.ID.String()+"/backchannel-logout", strings.NewReader("logout_token="+strings.Repeat("a", 70<<10)))
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.ContentLength = length
		recorder := httptest.NewRecorder()
		w.engine.ServeHTTP(recorder, request)
		if recorder.Code != http.StatusRequestEntityTooLarge || !strings.Contains(recorder.Body.String(), "invalid_request") {
			t.Errorf("%d bytes: %d %s", length, recorder.Code, recorder.Body)
		}
	}
}
