package http_test

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"postern/conformance/partstest"
	"postern/connectors/connectortest"
	"postern/connectors/http"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/deploy/local/apps"
)

func TestContract(t *testing.T) {
	partstest.Long(t, "web application")
	site, err := apps.StartMediaWiki(t.Context(), t.TempDir(), apps.Options{Username: "Harbour", Password: seal.GeneratePassword(seal.PasswordPolicy{}).Reveal()})
	partstest.Need(t, "MediaWiki", err)
	t.Cleanup(func() {
		if err := site.Stop(); err != nil {
			t.Error(err)
		}
	})
	var number atomic.Int64
	connectortest.App{
		Connector: http.New(false), Address: strings.TrimPrefix(site.URL, "http://"), Disabled: rotation.Disabled,
		At: func(address string) rotation.Target {
			return rotation.Target{
				AppName: "wiki", Domains: []string{"127.0.0.1"}, SignInURL: "http://" + address, AllowPrivate: true,
				Settings: []byte(`{"definition": "mediawiki"}`),
			}
		},
		Account: func(t *testing.T) rotation.Credential {
			t.Helper()
			made := rotation.Credential{Username: fmt.Sprintf("Shared & a=%d", number.Add(1)), Password: seal.GeneratePassword(seal.PasswordPolicy{})}
			made.Username = strings.NewReplacer("&", "and", "=", " ").Replace(made.Username)
			if err := site.SetPassword(t.Context(), made.Username, made.Password.Reveal()); err != nil {
				t.Fatal(err)
			}
			return made
		},
		Set: func(t *testing.T, account rotation.Credential) {
			t.Helper()
			if err := site.SetPassword(t.Context(), account.Username, account.Password.Reveal()); err != nil {
				t.Fatal(err)
			}
		},
		Disable: func(t *testing.T, account rotation.Credential) {
			t.Helper()
			if err := site.Enable(t.Context(), account.Username, false); err != nil {
				t.Fatal(err)
			}
		},
	}.Run(t)
}

// What is wrong with a definition is told with its line.
func TestFaults(t *testing.T) {
	const fine = "name: App\nsign_in:\n  - method: GET\n    path: /me\n    headers: {Authorization: \"{password}\"}\n    success: {status: [200]}\n" +
		"change:\n  - method: PUT\n    path: /me\n    json: {password: \"{new}\"}\n    success: {status: [204]}\n"
	if _, err := http.Parse([]byte(fine)); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ old, new, want string }{
		{"method: GET", "method: FETCH", "line 3: sign_in[0].method: write GET, POST, PUT, PATCH or DELETE"},
		{"path: /me\n    headers", "path: /me?x=1\n    headers", "line 4: sign_in[0].path: write a path"},
		{"{password}", "{new}", "nothing gives {new}"},
		{"path: /me\n    json", "path: /me/{new}\n    json", "does not belong into an address"},
		{"{new}", "{username}", "the last request has to carry {new}"},
		{"status: [204]", "", "which statuses mean success"},
		{"name: App", "nam: App", `unknown field "nam"`},
		{"success: {status: [204]}", "success: {status: [204]}\n    failures: [{status: [400], outcome: fine}]", "line 12: change[0].failures[0].outcome: write one of"},
		{"change:", "changes:", `unknown field "changes"`},
		{"json: {password: \"{new}\"}", "json: {password: \"{new}\", a: &a [x], b: [*a, *a]}", "line 10: a definition has no anchors"},
		{"name: App", "name: " + strings.Repeat("[", 60_000), "line 1: more than 20 lists or brackets"},
		{"name: App", "name:\n  " + strings.Repeat("- ", 30_000), "line 2: more than 20 lists or brackets"},
	} {
		_, err := http.Parse([]byte(strings.Replace(fine, test.old, test.new, 1)))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v, want %q", test.new, err, test.want)
		}
	}
}

// What is wrong with how tokens are made is told too.
func TestFaultsOfTokens(t *testing.T) {
	const fine = "name: App\nsign_in:\n  - {method: GET, path: /me, headers: {Authorization: \"Basic {basic}\"}, success: {status: [200]}}\n" +
		"tokens:\n  create:\n    - {method: POST, path: /tokens, json: {name: \"{issued_name}\"}, success: {status: [201]}, keep: {issued: value, issued_id: id}}\n" +
		"  list: {method: GET, path: /tokens, success: {status: [200]}, id: id, named: name}\n" +
		"  end:\n    - {method: DELETE, path: \"/tokens/{issued_id}\", success: {status: [204]}}\n" +
		"  try:\n    - {method: GET, path: /me, headers: {Authorization: \"Bearer {password}\"}, success: {status: [200]}}\n"
	if _, err := http.Parse([]byte(fine)); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ old, new, want string }{
		{"issued: value, ", "", "line 6: tokens.create: some request has to keep issued"},
		{"{issued_name}", "x", "name the token {issued_name}"},
		{"/tokens/{issued_id}", "/tokens", "say by {issued_id} which token is ended"},
		{"Bearer {password}", "Bearer", "some request has to carry the token"},
		{"Bearer {password}", "Bearer {issued}", "nothing gives {issued}"},
		{", id: id, named: name", ", id: id", "where in each token its id and its name are"},
		{"  list: {method: GET, path: /tokens, success: {status: [200]}, id: id, named: name}\n", "", "write in list how the app tells"},
		{"  end:\n    - {method: DELETE, path: \"/tokens/{issued_id}\", success: {status: [204]}}\n", "", "write at least one request in end"},
		{"path: /me, headers: {Authorization: \"Bearer", "path: \"/me/{basic}\", headers: {Authorization: \"Bearer", "{basic} does not belong into an address"},
		{"tokens:\n  create", "values: {issued_id: \"\"}\ntokens:\n  create", "no name for a value"},
		{"issued_id: id}", "issued_id: value}", "are at one place"},
		{"GET, path: /tokens", "GET, path: \"/of/{account}/tokens\"", "create and list both say"},
		{"sign_in:", "change:\n  - {method: PUT, path: /me, json: {x: \"{new}\"}, success: {status: [200]}}\nsign_in:", ""},
	} {
		changed := strings.Replace(fine, test.old, test.new, 1)
		if _, err := http.Parse([]byte(changed)); changed == fine || (test.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v, want %q", test.new, err, test.want)
		}
	}
}

// The definition people start from is one.
func TestTheGuidesDefinition(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ = bytes.Cut(text, []byte("```yaml\n"))
	definition, _, found := bytes.Cut(text, []byte("```"))
	if parsed, err := http.Parse(definition); !found || err != nil || len(parsed.SignIn) != 1 || len(parsed.Change) != 1 {
		t.Errorf("%+v, %v", parsed, err)
	}
	_, text, _ = bytes.Cut(text, []byte("```yaml\nreset:"))
	reset, _, found := bytes.Cut(text, []byte("```"))
	if parsed, err := http.Parse(slices.Concat(definition, []byte("reset:"), reset)); !found || err != nil || len(parsed.Reset) != 2 {
		t.Errorf("%+v, %v", parsed, err)
	}
	_, text, _ = bytes.Cut(text, []byte("```yaml\ntokens:"))
	tokens, _, found := bytes.Cut(text, []byte("```"))
	if parsed, err := http.Parse(slices.Concat(definition, []byte("tokens:"), tokens)); !found || err != nil || parsed.Tokens == nil {
		t.Errorf("%+v, %v", parsed, err)
	}
}
