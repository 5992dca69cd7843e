package http

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"postern/core/rotation"
	"postern/core/seal"
)

// registered is a double of an Entra tenant with applications, as strict as its documentation: another method, path, header, parameter,
// member or type is a fault of the test.
type registered struct {
	t       *testing.T
	secrets map[string]map[string]string // client secrets by their key ids, of the applications
	names   map[string]string            // of the secrets, by key id
	may     bool
	made    int
}

func (e *registered) answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if body != nil {
		_ = json.NewEncoder(w).Encode(body)
	}
}

// login is login.microsoftonline.com.
func (e *registered) login(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	form, err := url.ParseQuery(string(body))
	client := form.Get("client_id")
	expected := url.Values{"client_id": {client}, "client_secret": {form.Get("client_secret")}, "scope": {"https://graph.microsoft.com/.default"}, "grant_type": {"client_credentials"}}
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/"+entraTenant+"/oauth2/v2.0/token" || !reflect.DeepEqual(form, expected) {
		e.t.Errorf("%s %s: %v, %v", r.Method, r.URL, form, err)
	}
	refuse := func(code int) {
		e.answer(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client", "error_description": "AADSTS: x", "error_codes": []int{code}})
	}
	secrets, known := e.secrets[client]
	switch {
	case !known:
		refuse(700016)
	case !slices.Contains(slices.Collect(maps.Values(secrets)), form.Get("client_secret")):
		refuse(7000215)
	default:
		e.answer(w, http.StatusOK, map[string]any{"token_type": "Bearer", "expires_in": 3599, "access_token": "canary-token"})
	}
}

// graph is graph.microsoft.com.
func (e *registered) graph(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, code, message string) {
		e.answer(w, status, map[string]any{"error": map[string]any{"code": code, "message": message}})
	}
	body, _ := io.ReadAll(r.Body)
	takes := func(want string) {
		if string(body) != want || r.Header.Get("Content-Type") != "application/json" {
			e.t.Errorf("%s %s is given %s (%s), not %s", r.Method, r.URL, body, r.Header.Get("Content-Type"), want)
		}
	}
	path, below := strings.CutPrefix(r.URL.Path, "/v1.0/applications(appId='")
	application, action, closed := strings.Cut(path, "')")
	secrets, known := e.secrets[application]
	switch {
	case r.Header.Get("Authorization") != "Bearer canary-token":
		refuse(http.StatusUnauthorized, "InvalidAuthenticationToken", "x")
	case !below || !closed:
		e.t.Errorf("%s %s", r.Method, r.URL)
		refuse(http.StatusBadRequest, "BadRequest", "x")
	case !e.may:
		refuse(http.StatusForbidden, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
	case !known:
		refuse(http.StatusNotFound, "Request_ResourceNotFound", "x")
	case r.Method == http.MethodGet && action == "" && r.URL.RawQuery == "%24select=passwordCredentials":
		listed := []map[string]any{}
		for id, secret := range secrets {
			listed = append(listed, map[string]any{"keyId": id, "displayName": e.names[id], "hint": secret[:3], "secretText": nil, "customKeyIdentifier": nil})
		}
		e.answer(w, http.StatusOK, map[string]any{"passwordCredentials": listed})
	case r.Method == http.MethodPost && action == "/addPassword":
		var given struct{ PasswordCredential struct{ DisplayName string } }
		_ = json.Unmarshal(body, &given)
		takes(`{"passwordCredential":{"displayName":"` + given.PasswordCredential.DisplayName + `"}}`)
		e.made++
		id, secret := fmt.Sprintf("f0b0b335-1d71-4883-8f98-567911bfd%03d", e.made), fmt.Sprintf("canary-secret-%d", e.made)
		secrets[id], e.names[id] = secret, given.PasswordCredential.DisplayName
		e.answer(w, http.StatusOK, map[string]any{"keyId": id, "displayName": e.names[id], "secretText": secret, "hint": "can"})
	case r.Method == http.MethodPost && action == "/removePassword":
		var given struct{ KeyID string }
		_ = json.Unmarshal(body, &given)
		takes(`{"keyId":"` + given.KeyID + `"}`)
		if secrets[given.KeyID] == "" {
			refuse(http.StatusBadRequest, "Request_BadRequest", "No password credential found with keyId '"+given.KeyID+"'.")
			return
		}
		delete(secrets, given.KeyID)
		e.answer(w, http.StatusNoContent, nil)
	default:
		e.t.Errorf("%s %s", r.Method, r.URL)
		refuse(http.StatusBadRequest, "Request_BadRequest", "x")
	}
}

// The client secrets of an Entra application are made and ended as tokens, by itself or another that may, also one that is gone.
func TestEntraApplication(t *testing.T) {
	const program, admin = "3f2c1b7a-0c55-4a5e-9c7e-0a1b2c3d4e5f", entraClient
	e := &registered{
		t: t, may: true, names: map[string]string{"0": "by hand", "1": "by hand"},
		secrets: map[string]map[string]string{program: {"0": "canary-first"}, admin: {"1": "canary-admin"}},
	}
	login, graph := httptest.NewServer(http.HandlerFunc(e.login)), httptest.NewServer(http.HandlerFunc(e.graph))
	t.Cleanup(login.Close)
	t.Cleanup(graph.Close)
	c := New(true)
	settings := json.RawMessage(`{"definition": "entra-application", "values": {"tenant": "` + entraTenant + `", "login": "` + login.URL + `"}}`)
	target := rotation.Target{
		AppName: "Programs", Domains: []string{strings.TrimPrefix(login.URL, "http://"), strings.TrimPrefix(graph.URL, "http://")},
		SignInURL: graph.URL + "/v1.0", Settings: settings, AllowPrivate: true,
	}
	if can := rotation.Capabilities(c, settings); !slices.Equal(can, []rotation.Capability{rotation.CanVerify, rotation.CanIssue}) {
		t.Errorf("it can %v", can)
	}
	with := func(username, password string) rotation.Credential {
		return rotation.Credential{Username: username, Password: seal.NewSecret(password)}
	}
	want := func(what string, report rotation.Report, outcome rotation.Outcome) {
		t.Helper()
		text, _ := json.Marshal(report)
		if report.Outcome != outcome || strings.Contains(string(text), "canary") {
			t.Fatalf("%s: %s, expected %s: %s", what, report.Outcome, outcome, text)
		}
	}
	ctx := t.Context()
	want("sign-in", c.Verify(ctx, target, with(program, "canary-first")), rotation.Accepted)
	want("another's secret", c.Verify(ctx, target, with(program, "canary-admin")), rotation.Rejected)
	want("nobody", c.Verify(ctx, target, with("nobody", "canary-first")), rotation.Rejected)

	ids, values := map[string]string{}, map[string]seal.Secret{}
	issue := func(by rotation.Credential, of, name string) rotation.Report {
		return c.Issue(ctx, target, by, of, name, func(_ context.Context, id string, value seal.Secret) error {
			ids[name], values[name] = id, value
			return nil
		})
	}
	itself, other := with(program, "canary-first"), with(admin, "canary-admin")
	want("made by nobody", issue(with(admin, "wrong"), program, "none"), rotation.AdminRejected)
	want("made of nobody", issue(other, "nobody", "none"), rotation.Rejected)
	for name, by := range map[string]rotation.Credential{"postern-1": itself, "postern-2": other} {
		want("made", issue(by, program, name), rotation.Applied)
		want("tried", c.TryToken(ctx, target, program, values[name]), rotation.Accepted)
	}
	known := func() (names []string) {
		t.Helper()
		want("listed", c.Tokens(ctx, target, other, program, func(token rotation.Token) error {
			names = append(names, token.Name)
			return nil
		}), rotation.Applied)
		slices.Sort(names)
		return names
	}
	if names := known(); !slices.Equal(names, []string{"by hand", "postern-1", "postern-2"}) {
		t.Error(names)
	}
	for range 2 { // the same again does no harm
		want("ended", c.Withdraw(ctx, target, other, program, ids["postern-1"]), rotation.Applied)
		want("tried once ended", c.TryToken(ctx, target, program, values["postern-1"]), rotation.Rejected)
	}
	want("the other", c.TryToken(ctx, target, program, values["postern-2"]), rotation.Accepted)
	if names := known(); !slices.Equal(names, []string{"by hand", "postern-2"}) {
		t.Error(names)
	}
	e.may = false
	want("made without leave", issue(other, program, "none"), rotation.AdminDenied)
	want("ended without leave", c.Withdraw(ctx, target, other, program, ids["postern-2"]), rotation.AdminDenied)
}

// What an answer has to say is told whole, or in part.
func TestARuleFitsAPartOfAText(t *testing.T) {
	says := func(text string) any {
		return map[string]any{"error": map[string]any{"message": text}}
	}
	rule := Rule{Status: []int{400}, At: "error.message", Is: []string{"gone"}, Contains: []string{"No key", "no secret"}}
	for text, want := range map[string]bool{"gone": true, "it is gone": false, "There is no secret 7.": true, "no key": false, "": false} {
		if rule.fits(400, says(text)) != want || rule.fits(403, says(text)) {
			t.Errorf("%q fits: %t", text, !want)
		}
	}
	for _, faulty := range []string{"{status: [400], contains: [gone]}", `{status: [400], at: error, contains: [""]}`} {
		text := "name: X\nsign_in:\n  - {method: GET, path: /me, success: {status: [200]}, also: [" + faulty + "]}\nchange:\n  - {method: PUT, path: /p, json: {p: \"{new}\"}, success: {status: [200]}}\n"
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), "line 3") {
			t.Errorf("%s: %v", faulty, err)
		}
	}
}
