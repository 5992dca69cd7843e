package http

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"postern/core/rotation"
	"postern/core/seal"
)

// okta is a double of an Okta organisation, as strict as its documentation: another method, path, header, member or type
// is a fault of the test.
type okta struct {
	t     *testing.T
	token string

	mutex    sync.Mutex
	password string
	status   string // of the user
	answer   string // of the Authentication API, once the password is right
	may      bool   // the token may write
	ended    int
	set      int
}

const oktaUser = "00ub0oNGTSWTBKOLGLNR"

func (o *okta) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	w.Header().Set("Content-Type", "application/json")
	say := func(status int, body map[string]any) {
		w.WriteHeader(status)
		if body != nil {
			_ = json.NewEncoder(w).Encode(body)
		}
	}
	refuse := func(status int, code string) {
		say(status, map[string]any{"errorCode": code, "errorSummary": "x", "errorLink": code, "errorId": "oae", "errorCauses": []any{}})
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		o.t.Error(err)
	}
	strict := func(into any) bool {
		decoder := json.NewDecoder(strings.NewReader(string(body)))
		decoder.DisallowUnknownFields()
		if kind := r.Header.Get("Content-Type"); !strings.HasPrefix(kind, "application/json") || decoder.Decode(into) != nil {
			o.t.Errorf("%s %s: %s of %s", r.Method, r.URL.Path, kind, body)
			return false
		}
		return true
	}
	if r.Method == http.MethodPost && r.URL.Path == "/api/v1/authn" {
		var given struct{ Username, Password string }
		if r.Header.Get("Authorization") != "" || !strict(&given) {
			o.t.Error("the Authentication API is public, and takes a user name and a password")
		}
		switch {
		case o.status == "LOCKED_OUT":
			say(200, map[string]any{"status": "LOCKED_OUT"})
		case given.Username != "shared@acme.example" || given.Password != o.password || o.status != "ACTIVE":
			refuse(401, "E0000004")
		default:
			say(200, map[string]any{"status": o.answer, "_embedded": map[string]any{"user": map[string]any{"id": oktaUser}}})
		}
		return
	}
	if r.Header.Get("Authorization") != "SSWS "+o.token {
		refuse(401, "E0000011")
		return
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /api/v1/users/me":
		say(200, map[string]any{"id": "00uadmin", "status": "ACTIVE"})
	case "GET /api/v1/users":
		if r.URL.Query().Get("limit") != "200" {
			o.t.Errorf("%s", r.URL)
		}
		page, self := []map[string]any{{"status": o.status, "profile": map[string]any{"login": "shared@acme.example", "displayName": "Shared"}}}, "http://"+r.Host+"/api/v1/users?limit=200"
		if r.URL.Query().Get("after") == "" {
			w.Header().Add("Link", "<"+self+`>; rel="self"`)
			w.Header().Add("Link", "<"+self+`&after=0oa1>; rel="next"`)
		} else {
			page[0]["profile"] = map[string]any{"login": "other@acme.example"}
		}
		w.WriteHeader(200)
		_ = json.NewEncoder(w).Encode(page)
	case "GET /api/v1/users/shared@acme.example":
		say(200, map[string]any{"id": oktaUser, "status": o.status, "profile": map[string]any{"login": "shared@acme.example"}})
	case "POST /api/v1/users/" + oktaUser:
		var given struct {
			Credentials struct{ Password struct{ Value string } }
		}
		o.set++
		switch {
		case !strict(&given):
			refuse(400, "E0000003")
		case !o.may:
			refuse(403, "E0000006")
		case len(given.Credentials.Password.Value) < 8:
			refuse(400, "E0000001")
		default:
			o.password = given.Credentials.Password.Value
			say(200, map[string]any{"id": oktaUser, "status": o.status})
		}
	case "POST /api/v1/users/" + oktaUser + "/lifecycle/suspend", "POST /api/v1/users/" + oktaUser + "/lifecycle/unsuspend":
		from, to := "ACTIVE", "SUSPENDED"
		if strings.HasSuffix(r.URL.Path, "/unsuspend") {
			from, to = to, from
		}
		switch {
		case len(body) > 0:
			o.t.Errorf("%s with %q", r.URL, body)
		case !o.may:
			refuse(403, "E0000006")
		case o.status != from:
			refuse(400, "E0000001")
		default:
			o.status = to
			say(200, map[string]any{})
		}
	case "DELETE /api/v1/users/" + oktaUser + "/sessions":
		if r.URL.RawQuery != "oauthTokens=true" || len(body) > 0 {
			o.t.Errorf("%s with %q", r.URL, body)
		}
		if !o.may {
			refuse(403, "E0000006")
			return
		}
		o.ended++
		w.WriteHeader(http.StatusNoContent)
	default:
		if !strings.HasPrefix(r.URL.Path, "/api/v1/users/nobody") {
			o.t.Errorf("%s %s", r.Method, r.URL.Path)
		}
		refuse(404, "E0000007")
	}
}

// An Okta user's password is proved by a sign-in, and set by the API token's account; what Okta says of each is told apart.
func TestOkta(t *testing.T) {
	o := &okta{t: t, token: "00canary-token", password: "First-password-1", status: "ACTIVE", answer: "SUCCESS", may: true}
	server := httptest.NewServer(o)
	t.Cleanup(server.Close)
	c := New(true)
	settings := json.RawMessage(`{"definition": "okta"}`)
	target := rotation.Target{AppName: "Okta", Domains: []string{"127.0.0.1"}, SignInURL: server.URL, Settings: settings, AllowPrivate: true}
	with := func(username, password string) rotation.Credential {
		return rotation.Credential{Username: username, Password: seal.NewSecret(password)}
	}
	user, admin := with("shared@acme.example", "First-password-1"), with("api-token", o.token)
	want := func(report rotation.Report, outcome rotation.Outcome) {
		t.Helper()
		if report.Outcome != outcome || strings.Contains(report.Detail, o.token) {
			t.Errorf("%s, expected %s: %s", report.Outcome, outcome, report.Detail)
		}
	}
	if can := rotation.Capabilities(c, settings); !slices.Equal(can, []rotation.Capability{rotation.CanVerify, rotation.CanReset, rotation.CanDisable, rotation.CanRevoke, rotation.CanList}) {
		t.Errorf("it can %v", can)
	}
	want(c.Verify(t.Context(), target, user), rotation.Accepted)
	want(c.Verify(t.Context(), target, with("shared@acme.example", "wrong")), rotation.Rejected)
	want(c.Verify(t.Context(), target, admin), rotation.Accepted)
	want(c.Verify(t.Context(), target, with("api-token", "stale")), rotation.Rejected)
	for answer, outcome := range map[string]rotation.Outcome{
		"MFA_REQUIRED": rotation.Accepted, "MFA_ENROLL": rotation.Accepted, "PASSWORD_WARN": rotation.Accepted, "PASSWORD_EXPIRED": rotation.MustChange, "SOMETHING_NEW": rotation.Unreachable,
	} {
		o.answer = answer
		want(c.Verify(t.Context(), target, user), outcome)
	}
	o.answer = "SUCCESS"

	next, released := seal.NewSecret("Second-password-2"), 0
	release := func(context.Context) error { released++; return nil }
	want(c.Reset(t.Context(), target, with("api-token", "stale"), user.Username, next, release), rotation.AdminRejected)
	want(c.Reset(t.Context(), target, user, user.Username, next, release), rotation.AdminDenied)
	want(c.Reset(t.Context(), target, admin, "nobody@acme.example", next, release), rotation.Rejected)
	for status, outcome := range map[string]rotation.Outcome{"SUSPENDED": rotation.Disabled, "DEPROVISIONED": rotation.Disabled, "LOCKED_OUT": rotation.Locked} {
		o.status = status
		want(c.Reset(t.Context(), target, admin, user.Username, next, release), outcome)
	}
	o.status = "ACTIVE"
	if released != 0 || o.set != 0 {
		t.Fatalf("released %d times, set %d times", released, o.set)
	}
	want(c.Reset(t.Context(), target, admin, user.Username, seal.NewSecret("short"), release), rotation.Refused)
	o.may = false
	want(c.Reset(t.Context(), target, admin, user.Username, next, release), rotation.AdminDenied)
	want(c.Revoke(t.Context(), target, admin, user.Username), rotation.AdminDenied)
	o.may = true
	want(c.Reset(t.Context(), target, admin, user.Username, next, release), rotation.Applied)
	want(c.Verify(t.Context(), target, with(user.Username, next.Reveal())), rotation.Accepted)
	want(c.Verify(t.Context(), target, user), rotation.Rejected)
	want(c.Revoke(t.Context(), target, admin, user.Username), rotation.Applied)
	if o.ended != 1 || released != 3 {
		t.Errorf("ended %d times, released %d times", o.ended, released)
	}
	var told []rotation.User
	list := func(user rotation.User) error { told = append(told, user); return nil }
	want(c.Users(t.Context(), target, admin, list), rotation.Applied)
	if !slices.Equal(told, []rotation.User{{Username: "shared@acme.example", Name: "Shared"}, {Username: "other@acme.example"}}) {
		t.Errorf("told %v", told)
	}
	want(c.Users(t.Context(), target, with(user.Username, next.Reveal()), list), rotation.AdminDenied)
	for range 2 {
		report := c.SetEnabled(t.Context(), target, admin, user.Username, false)
		if want(report, rotation.Applied); !report.Recorded {
			t.Error("its status was not read back")
		}
		want(c.Verify(t.Context(), target, with(user.Username, next.Reveal())), rotation.Rejected)
	}
	for range 2 {
		want(c.SetEnabled(t.Context(), target, admin, user.Username, true), rotation.Applied)
		want(c.Verify(t.Context(), target, with(user.Username, next.Reveal())), rotation.Accepted)
	}
	want(c.SetEnabled(t.Context(), target, admin, "nobody@acme.example", false), rotation.Rejected)
	o.status = "LOCKED_OUT" // is not suspended, and unlocks by itself
	want(c.SetEnabled(t.Context(), target, admin, user.Username, false), rotation.Unknown)
	o.status = "ACTIVE"
	o.may = false
	want(c.SetEnabled(t.Context(), target, admin, user.Username, false), rotation.AdminDenied)
	o.may = true
	want(c.Change(t.Context(), target, with(user.Username, next.Reveal()), seal.NewSecret("Third-password-3"), release), rotation.Refused)
}
