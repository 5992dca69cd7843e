package http_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	connector "postern/connectors/http"
	"postern/core/rotation"
	"postern/core/seal"
)

// busy is an app with two accounts on two pages, that says no to the requests for one path a few times first.
type busy struct {
	at    string // the path
	left  int    // how often it still says no
	with  int    // the status
	after string // Retry-After
	asked map[string]int
}

func (b *busy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.asked[r.Method+" "+r.URL.RequestURI()]++
	if r.URL.RequestURI() == b.at && b.left > 0 {
		b.left--
		w.Header().Set("Retry-After", b.after)
		w.WriteHeader(b.with)
		return
	}
	switch r.URL.RequestURI() {
	case "/me":
		w.WriteHeader(http.StatusOK)
	case "/users":
		fmt.Fprint(w, `{"all":[{"name":"ana"}],"next":"/users?page=2"}`)
	case "/users?page=2":
		fmt.Fprint(w, `{"all":[{"name":"bob"}]}`)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

const busyDefinition = `name: Busy
sign_in:
  - {method: GET, path: /me, headers: {Authorization: "Basic {basic}"}, success: {status: [200]}}
change:
  - {method: PUT, path: /me, json: {password: "{new}"}, success: {status: [204]}}
users: {method: %s, path: /users, success: {status: [200]}, each: all, username: name, next: next}
`

// An app that wants to be left alone for a moment, or is away, is asked for the same page again; nothing else is asked twice.
func TestAPageIsAskedForAgain(t *testing.T) {
	for name, test := range map[string]struct {
		app     busy
		method  string
		want    rotation.Outcome
		asked   string
		times   int
		listed  string
		because string
	}{
		"too many":         {busy{at: "/users?page=2", left: 2, with: 429, after: "0"}, "GET", rotation.Applied, "GET /users?page=2", 3, "ana bob", ""},
		"away":             {busy{at: "/users", left: 1, with: 503}, "GET", rotation.Applied, "GET /users", 2, "ana bob", ""},
		"for good":         {busy{at: "/users", left: 100, with: 429, after: "0"}, "GET", rotation.Unreachable, "GET /users", 5, "", "left alone"},
		"for too long":     {busy{at: "/users", left: 100, with: 429, after: "3600"}, "GET", rotation.Unreachable, "GET /users", 1, "", "3600 seconds"},
		"broken":           {busy{at: "/users", left: 1, with: 500}, "GET", rotation.Unknown, "GET /users", 1, "", ""},
		"a page by POST":   {busy{at: "/users", left: 1, with: 503}, "POST", rotation.Unknown, "POST /users", 1, "", ""},
		"a sign-in counts": {busy{at: "/me", left: 1, with: 503}, "GET", rotation.Unreachable, "GET /me", 1, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			app := &test.app
			app.asked = map[string]int{}
			server := httptest.NewServer(app)
			defer server.Close()
			settings := `{"definition":` + strconv.Quote(fmt.Sprintf(busyDefinition, test.method)) + `}`
			target := rotation.Target{AppName: "Busy", Domains: []string{"127.0.0.1"}, SignInURL: server.URL, Settings: []byte(settings), AllowPrivate: true}
			var listed []string
			report := connector.New(true).Users(t.Context(), target, rotation.Credential{Username: "ana", Password: seal.NewSecret("Canary-1")}, func(user rotation.User) error {
				listed = append(listed, user.Username)
				return nil
			})
			if report.Outcome != test.want || !strings.Contains(report.Detail, test.because) || app.asked[test.asked] != test.times {
				t.Errorf("%s (%s) after %v", report.Outcome, report.Detail, app.asked)
			}
			if got := strings.Join(listed, " "); got != test.listed {
				t.Errorf("listed %q", got)
			}
		})
	}
}
