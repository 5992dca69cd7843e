package http_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	connector "postern/connectors/http"
	"postern/core"
	"postern/core/rotation"
	"postern/core/seal"
)

// harbour is a definition with a value in every place there is.
const harbour = `
name: Harbour
sign_in:
  - method: POST
    path: /people/{username}/session
    json: {password: "{password}", client: [{name: postern}]}
    failures:
      - {status: [401], at: error, is: [locked], outcome: locked, detail: Too many wrong passwords.}
      - {status: [401], outcome: rejected, detail: The password is wrong.}
    success: {status: [200]}
    keep: {token: session.token}
change:
  - method: PUT
    path: /people/{username}/password
    query: {reason: "rotated for {username}"}
    headers: {Authorization: "Bearer {token}"}
    form: {new: "{new}"}
    failures:
      - {status: [422], outcome: refused, detail: The new password is too simple.}
    success: {status: [204]}
`

// target is an app whose API is a handler.
func target(t *testing.T, handler http.HandlerFunc) rotation.Target {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	settings, err := json.Marshal(connector.Settings{Definition: harbour})
	if err != nil {
		t.Fatal(err)
	}
	return rotation.Target{AppName: "Harbour", Domains: []string{"127.0.0.1"}, SignInURL: server.URL + "/api", AllowPrivate: true, Settings: settings}
}

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func credential(username, password string) rotation.Credential {
	return rotation.Credential{Username: username, Password: seal.NewSecret(password)}
}

// Whatever an API answers to a sign-in, only what the definition says is taken for something.
func TestAnswersToASignIn(t *testing.T) {
	elsewhere := httptest.NewServer(answer(200, `{"session":{"token":"stolen"}}`))
	t.Cleanup(elsewhere.Close)
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   rotation.Outcome
	}{
		"right":                   {answer(200, `{"session":{"token":"t-1"}}`), rotation.Accepted},
		"wrong":                   {answer(401, `{"error":"wrong"}`), rotation.Rejected},
		"wrong, in no JSON":       {answer(401, `<html>`), rotation.Rejected},
		"locked":                  {answer(401, `{"error":"locked"}`), rotation.Locked},
		"nothing to keep":         {answer(200, `{"session":{"token":""}}`), rotation.Unreachable},
		"no JSON":                 {answer(200, `<html>Welcome`), rotation.Unreachable},
		"another shape":           {answer(200, `{"session":[1,2]}`), rotation.Unreachable},
		"deep":                    {answer(200, strings.Repeat("[", 100_000)), rotation.Unreachable},
		"endless":                 {answer(200, `{"session":{"token":"t`+strings.Repeat("x", 2<<20)+`"}}`), rotation.Unreachable},
		"down":                    {answer(503, ``), rotation.Unreachable},
		"asked too often":         {answer(429, ``), rotation.Unreachable},
		"somewhere else":          {http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect).ServeHTTP, rotation.Unreachable},
		"cut off in the middle":   {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, rotation.Unreachable},
		"a header without an end": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Long", strings.Repeat("x", 1<<20)) }, rotation.Unreachable},
	} {
		t.Run(name, func(t *testing.T) {
			report := connector.New(false).Verify(t.Context(), target(t, test.answer), credential("ana", "Canary-1"))
			if report.Outcome != test.want || report.Detail == "" || strings.Contains(fmt.Sprintf("%+v", report), "Canary") {
				t.Errorf("%s (%s), want %s", report.Outcome, report.Detail, test.want)
			}
		})
	}
}

// What stands in a username or a password changes no request, and a new password goes out once, behind the gate.
func TestValuesStayValues(t *testing.T) {
	for _, hostile := range []string{`a"b\c}`, "a&new=b", "{new}{token}", "a/b?c#d%2e", "ünïcode €", "a\nb"} {
		t.Run(hostile, func(t *testing.T) {
			var seen []string
			at := target(t, func(w http.ResponseWriter, r *http.Request) {
				text, _ := io.ReadAll(r.Body)
				r.Body = io.NopCloser(strings.NewReader(string(text)))
				switch r.Method {
				case http.MethodPost:
					var body struct{ Password string }
					_ = json.Unmarshal(text, &body)
					seen = append(seen, r.URL.Path, body.Password)
					_, _ = io.WriteString(w, `{"session":{"token":"t-1"}}`)
				default:
					_ = r.ParseForm()
					seen = append(seen, r.URL.Path, r.URL.Query().Get("reason"), r.Header.Get("Authorization"), r.PostForm.Get("new"))
					w.WriteHeader(http.StatusNoContent)
				}
			})
			released := 0
			report := connector.New(false).Change(t.Context(), at, credential(hostile, hostile), seal.NewSecret(hostile+"2"), func(context.Context) error {
				if released++; len(seen) != 2 {
					t.Errorf("released after %v", seen)
				}
				return nil
			})
			want := []string{
				"/api/people/" + hostile + "/session", hostile,
				"/api/people/" + hostile + "/password", "rotated for " + hostile, "Bearer t-1", hostile + "2",
			}
			if report.Outcome != rotation.Applied || released != 1 || fmt.Sprint(seen) != fmt.Sprint(want) {
				t.Errorf("%s (%s), released %d times\n%q\n%q", report.Outcome, report.Detail, released, seen, want)
			}
		})
	}
	up := target(t, func(http.ResponseWriter, *http.Request) { t.Error("asked") })
	if report := connector.New(false).Verify(t.Context(), up, credential("..", "p")); report.Outcome != rotation.Rejected {
		t.Errorf("%s (%s)", report.Outcome, report.Detail)
	}
}

// Settings are refused when the app is set up, with what is wrong and where.
func TestSettings(t *testing.T) {
	for settings, want := range map[string]string{
		`{"definition": "mediawiki"}`:   "",
		``:                              "name of a definition",
		`{"definition": "nobody's"}`:    "there are",
		`{"definitions": "mediawiki"}`:  "the app's settings are",
		`[]`:                            "the app's settings are",
		`{"definition": "name: App\n"}`: "line 1: sign_in: write at least one request",
	} {
		_, err := connector.ParseSettings([]byte(settings))
		if want == "" && err != nil || want != "" && (core.KindOf(err) != core.KindInvalid || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", settings, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(harbour)
	f.Add("name: {a\nsign_in: [[]]")
	f.Add("name: x\nsign_in: &a [*a]\nchange: *a")
	f.Fuzz(func(_ *testing.T, text string) { _, _ = connector.Parse([]byte(text)) })
}
