package http

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"postern/core/rotation"
	"postern/core/seal"
)

// entra is a double of an Entra tenant's token endpoint and of Microsoft Graph, as strict as their documentation: another method,
// path, header, parameter, member or type is a fault of the test. A password holds a sign-in later than it was set.
type entra struct {
	t      *testing.T
	secret string

	mutex     sync.Mutex
	password  string
	coming    string // set, and not yet everywhere
	enabled   bool
	synced    bool
	says      int // by the token endpoint, once the password is right
	may       bool
	throttled bool
	tokens    int
	stale     bool // the token is good no more
	set       int
	ended     int
}

const (
	entraUser   = "87d349ed-44d7-43e1-9a83-5f2406dee5bd"
	entraTenant = "72f988bf-86f1-41af-91ab-2d7cd011db47"
	entraClient = "14d82eec-204b-4c2f-b7e8-296a70dab67e"
)

func (e *entra) answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	if body != nil {
		_ = json.NewEncoder(w).Encode(body)
	}
}

// login is login.microsoftonline.com.
func (e *entra) login(w http.ResponseWriter, r *http.Request) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	body, _ := io.ReadAll(r.Body)
	form, err := url.ParseQuery(string(body))
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/"+entraTenant+"/oauth2/v2.0/token" || r.URL.RawQuery != "" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || form.Get("client_id") != entraClient {
		e.t.Errorf("%s %s: %s, %v", r.Method, r.URL, body, err)
	}
	refuse := func(status, code int, short string) {
		e.answer(w, status, map[string]any{
			"error": short, "error_description": "AADSTS: Trace ID: x", "error_codes": []int{code}, "timestamp": "2026-11-22 10:00:00Z", "trace_id": "x", "correlation_id": "x",
		})
	}
	takes := func(names ...string) {
		for name := range form {
			if !slices.Contains(names, name) {
				e.t.Errorf("the token endpoint is given %s", name)
			}
		}
	}
	switch form.Get("grant_type") {
	case "client_credentials":
		takes("client_id", "client_secret", "scope", "grant_type")
		switch {
		case form.Get("scope") != "https://graph.microsoft.com/.default":
			refuse(400, 70011, "invalid_scope")
		case form.Get("client_secret") != e.secret:
			refuse(401, 7000215, "invalid_client")
		default:
			e.tokens, e.stale = e.tokens+1, false
			e.answer(w, 200, map[string]any{"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": "canary-token"})
		}
	case "password":
		takes("client_id", "scope", "grant_type", "username", "password")
		right := form.Get("password") == e.password
		if e.coming != "" {
			e.password, e.coming = e.coming, ""
		}
		switch {
		case form.Get("scope") != "openid":
			refuse(400, 70011, "invalid_scope")
		case form.Get("username") != "shared@acme.example":
			refuse(400, 50034, "invalid_grant")
		case !right:
			refuse(400, 50126, "invalid_grant")
		case !e.enabled:
			refuse(400, 50057, "invalid_grant")
		case e.says != 0:
			refuse(400, e.says, "invalid_grant")
		default:
			e.answer(w, 200, map[string]any{"token_type": "Bearer", "scope": "openid", "expires_in": 3599, "access_token": "x", "id_token": "x"})
		}
	default:
		refuse(400, 70003, "unsupported_grant_type")
	}
}

// graph is graph.microsoft.com.
func (e *entra) graph(w http.ResponseWriter, r *http.Request) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	body, _ := io.ReadAll(r.Body)
	refuse := func(status int, code string) {
		e.answer(w, status, map[string]any{"error": map[string]any{"code": code, "message": "x", "innerError": map[string]any{"request-id": "x"}}})
	}
	switch {
	case e.throttled:
		w.Header().Set("Retry-After", "17")
		refuse(429, "TooManyRequests")
		return
	case r.Header.Get("Authorization") != "Bearer canary-token" || e.stale:
		refuse(401, "InvalidAuthenticationToken")
		return
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /v1.0/users":
		if query := r.URL.Query(); query.Get("$select") != "userPrincipalName,displayName,accountEnabled" || query.Get("$top") != "999" {
			e.t.Errorf("%s", r.URL)
		}
		page := map[string]any{"@odata.context": "x", "value": []any{map[string]any{"userPrincipalName": "shared@acme.example", "displayName": "Shared", "accountEnabled": e.enabled}}}
		if r.URL.Query().Get("$skiptoken") == "" {
			page["@odata.nextLink"] = "http://" + r.Host + r.URL.RequestURI() + "&$skiptoken=x"
		} else {
			page["value"] = []any{map[string]any{"userPrincipalName": "gone@acme.example", "displayName": nil, "accountEnabled": false}}
		}
		e.answer(w, 200, page)
	case "GET /v1.0/users/shared@acme.example":
		if r.URL.Query().Get("$select") != "id,accountEnabled,onPremisesSyncEnabled" {
			e.t.Errorf("selects %s", r.URL.RawQuery)
		}
		synced := any(nil)
		if e.synced {
			synced = true
		}
		e.answer(w, 200, map[string]any{"@odata.context": "x", "id": entraUser, "accountEnabled": e.enabled, "onPremisesSyncEnabled": synced})
	case "PATCH /v1.0/users/" + entraUser:
		var given struct {
			AccountEnabled  *bool
			PasswordProfile *struct {
				Password                      string
				ForceChangePasswordNextSignIn *bool
			}
		}
		decoder := json.NewDecoder(strings.NewReader(string(body)))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&given); err != nil || r.Header.Get("Content-Type") != "application/json" {
			e.t.Errorf("%s: %v", body, err)
		}
		switch {
		case !e.may:
			refuse(403, "Authorization_RequestDenied")
		case given.AccountEnabled != nil:
			e.enabled = *given.AccountEnabled
			w.WriteHeader(204)
		case given.PasswordProfile == nil || given.PasswordProfile.ForceChangePasswordNextSignIn == nil || *given.PasswordProfile.ForceChangePasswordNextSignIn:
			e.t.Errorf("the password is to be changed at once: %s", body)
			refuse(400, "Request_BadRequest")
		case len(given.PasswordProfile.Password) < 8:
			e.set++
			refuse(400, "Request_BadRequest")
		default:
			e.set++
			e.coming = given.PasswordProfile.Password
			w.WriteHeader(204)
		}
	case "POST /v1.0/users/" + entraUser + "/revokeSignInSessions":
		if !e.may {
			refuse(403, "Authorization_RequestDenied")
			return
		}
		e.ended++
		e.answer(w, 200, map[string]any{"@odata.context": "x", "value": true})
	default:
		if !strings.HasPrefix(r.URL.Path, "/v1.0/users/nobody") {
			e.t.Errorf("%s %s", r.Method, r.URL.Path)
		}
		refuse(404, "Request_ResourceNotFound")
	}
}

// An Entra user's password is proved at the token endpoint and set by Graph, at two hosts of which neither is reached unless it is one
// of the app's domains; a token is kept until it expires, and what either says is told apart.
func TestEntra(t *testing.T) {
	e := &entra{t: t, secret: "canary-secret", password: "First-password-1", enabled: true, may: true}
	login, graph := httptest.NewServer(http.HandlerFunc(e.login)), httptest.NewServer(http.HandlerFunc(e.graph))
	t.Cleanup(login.Close)
	t.Cleanup(graph.Close)
	c := New(true)
	settings := json.RawMessage(`{"definition": "entra", "values": {"tenant": "` + entraTenant + `", "client": "` + entraClient + `", "login": "` + login.URL + `"}}`)
	target := rotation.Target{
		AppName: "Entra", Domains: []string{strings.TrimPrefix(login.URL, "http://"), strings.TrimPrefix(graph.URL, "http://")},
		SignInURL: graph.URL + "/v1.0", Settings: settings, AllowPrivate: true,
	}
	with := func(username, password string) rotation.Credential {
		return rotation.Credential{Username: username, Password: seal.NewSecret(password)}
	}
	user, admin := with("shared@acme.example", "First-password-1"), with("client-secret", e.secret)
	want := func(report rotation.Report, outcome rotation.Outcome) {
		t.Helper()
		text, _ := json.Marshal(report)
		if report.Outcome != outcome || strings.Contains(string(text), "canary") {
			t.Errorf("%s, expected %s: %s", report.Outcome, outcome, text)
		}
	}
	capabilities := []rotation.Capability{rotation.CanVerify, rotation.CanReset, rotation.CanDisable, rotation.CanRevoke, rotation.CanList}
	if can := rotation.Capabilities(c, settings); !slices.Equal(can, capabilities) {
		t.Errorf("it can %v", can)
	}
	want(c.Verify(t.Context(), target, user), rotation.Accepted)
	want(c.Verify(t.Context(), target, with(user.Username, "wrong")), rotation.Rejected)
	want(c.Verify(t.Context(), target, with("nobody@acme.example", "wrong")), rotation.Rejected)
	for code, outcome := range map[int]rotation.Outcome{
		50076: rotation.Accepted, 50079: rotation.Accepted, 50055: rotation.MustChange, 50053: rotation.Locked, 7000218: rotation.Unreachable, 99999: rotation.Unreachable,
	} {
		e.says = code
		want(c.Verify(t.Context(), target, user), outcome)
	}
	e.says = 50076
	want(c.Verify(t.Context(), target, with(user.Username, "wrong")), rotation.Rejected)
	e.says = 0
	want(c.Verify(t.Context(), target, admin), rotation.Accepted)
	want(c.Verify(t.Context(), target, with("client-secret", "stale")), rotation.Rejected)

	next, released := seal.NewSecret("Second-password-2"), 0
	release := func(context.Context) error { released++; return nil }
	reset := func() rotation.Report { return c.Reset(t.Context(), target, admin, user.Username, next, release) }
	want(c.Reset(t.Context(), target, with("client-secret", "stale"), user.Username, next, release), rotation.AdminRejected)
	want(c.Reset(t.Context(), target, user, user.Username, next, release), rotation.AdminDenied)
	want(c.Reset(t.Context(), target, admin, "nobody@acme.example", next, release), rotation.Rejected)
	e.synced = true
	want(reset(), rotation.AdminDenied)
	e.synced, e.enabled = false, false
	want(reset(), rotation.Disabled)
	e.enabled, e.throttled = true, true
	if report := reset(); report.Outcome != rotation.Unreachable || !strings.Contains(report.Detail, "17 seconds") {
		t.Errorf("%+v", report)
	}
	e.throttled = false
	if released != 0 || e.set != 0 {
		t.Fatalf("released %d times, set %d times", released, e.set)
	}
	want(c.Reset(t.Context(), target, admin, user.Username, seal.NewSecret("short"), release), rotation.Refused)
	e.may = false
	want(reset(), rotation.AdminDenied)
	want(c.SetEnabled(t.Context(), target, admin, user.Username, false), rotation.AdminDenied)
	want(c.Revoke(t.Context(), target, admin, user.Username), rotation.AdminDenied)
	e.may = true
	before := e.tokens
	want(reset(), rotation.Applied)
	if e.tokens != before {
		t.Error("the token was not kept")
	}
	want(c.Verify(t.Context(), target, with(user.Username, next.Reveal())), rotation.Rejected) // it is not everywhere yet
	want(c.Verify(t.Context(), target, with(user.Username, next.Reveal())), rotation.Accepted)
	want(c.Verify(t.Context(), target, user), rotation.Rejected)
	user = with(user.Username, next.Reveal())

	e.stale = true // the token was taken back before its time: the next one is asked for
	want(c.SetEnabled(t.Context(), target, admin, user.Username, false), rotation.AdminDenied)
	for range 2 {
		report := c.SetEnabled(t.Context(), target, admin, user.Username, false)
		if want(report, rotation.Applied); !report.Recorded {
			t.Error("accountEnabled was not read back")
		}
		want(c.Verify(t.Context(), target, user), rotation.Disabled)
	}
	want(c.SetEnabled(t.Context(), target, admin, user.Username, true), rotation.Applied)
	want(c.Verify(t.Context(), target, user), rotation.Accepted)
	want(c.Revoke(t.Context(), target, admin, user.Username), rotation.Applied)
	if e.ended != 1 || e.tokens != before+1 {
		t.Errorf("ended %d times, %d tokens", e.ended, e.tokens)
	}
	var told []rotation.User
	want(c.Users(t.Context(), target, admin, func(user rotation.User) error { told = append(told, user); return nil }), rotation.Applied)
	if !slices.Equal(told, []rotation.User{{Username: "shared@acme.example", Name: "Shared"}, {Username: "gone@acme.example", Disabled: true}}) {
		t.Errorf("told %v", told)
	}
	// A secret that is wrong by now proves nothing, whatever token is kept.
	e.secret = "another"
	want(c.Verify(t.Context(), target, admin), rotation.Rejected)

	target.Domains = target.Domains[1:]
	if report := c.Verify(t.Context(), target, user); report.Outcome != rotation.Unreachable || !strings.Contains(report.Detail, "not one of the app's domains") {
		t.Errorf("%+v", report)
	}
	for _, faulty := range []string{
		`{"definition": "entra"}`, `{"definition": "entra", "values": {"tenant": "x"}}`, `{"definition": "entra", "values": {"tenant": "x", "client": "y", "other": "z"}}`,
	} {
		if _, err := ParseSettings(json.RawMessage(faulty)); err == nil {
			t.Errorf("%s passes", faulty)
		}
	}
	target.Settings = json.RawMessage(`{"definition": "entra", "values": {"tenant": "x", "client": "y", "login": "http://login.example.com"}}`)
	if report := c.Verify(t.Context(), target, user); report.Outcome != rotation.Unreachable || !strings.Contains(report.Detail, "without TLS") {
		t.Errorf("%+v", report)
	}
}
