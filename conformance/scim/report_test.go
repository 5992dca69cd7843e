package scim_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"postern/conformance/scim"
)

// What is never shown: the tokens and the secret a run is given, and the token it is given at the token endpoint.
const (
	canary       = "canary-token-8d1f"
	otherCanary  = "canary-other-77a0"
	secretCanary = "canary-secret/5b+c"
	accessCanary = "canary-access-e3d9"
)

var canaries = []string{canary, otherCanary, secretCanary, "canary-secret%2F5b%2Bc", base64.StdEncoding.EncodeToString([]byte("client:canary-secret%2F5b%2Bc")), accessCanary}

// echo refuses everything and repeats what it was sent, the token as well.
func echo(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Echo", r.Header.Get("Authorization"))
		if strings.HasSuffix(r.URL.Path, "/oauth/token") {
			_, encoded, _ := r.BasicAuth()
			secret, _ := url.QueryUnescape(encoded)
			w.Header().Set("X-Token", accessCanary)
			_, _ = fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":1,"scope":%q}`, accessCanary, r.Header.Get("Authorization")+" "+encoded+" "+secret)
			return
		}
		w.WriteHeader(http.StatusTeapot)
		_ = json.NewEncoder(w).Encode(map[string]string{"detail": "you sent <b>" + r.Header.Get("Authorization") + "</b>"})
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestReportsNeverHoldASecret(t *testing.T) {
	address := echo(t)
	report := run(t, scim.Options{
		URL: address, Token: canary, OtherToken: otherCanary, TokenURL: address + "/oauth/token", ClientID: "client", ClientSecret: secretCanary, Profile: scim.All,
	})
	if report.Passed() || report.Count(scim.Failed) == 0 {
		t.Fatalf("a teapot conforms: %s", report.Verdict())
	}
	var text, object, junit, page bytes.Buffer
	for _, err := range []error{report.WriteText(&text), report.WriteJSON(&object), report.WriteJUnit(&junit), report.WriteHTML(&page)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, written := range map[string]string{"text": text.String(), "JSON": object.String(), "JUnit": junit.String(), "HTML": page.String()} {
		for _, secret := range canaries {
			if strings.Contains(written, secret) {
				t.Errorf("%s is in the %s report", secret, name)
			}
		}
		for _, part := range []string{"rfc/create/status", "RFC 7644 §3.3", "418", "redacted", "oauth/token", "rfc/access/token"} {
			if !strings.Contains(written, part) && (name != "JUnit" || part != "RFC 7644 §3.3") {
				t.Errorf("the %s report has no %q", name, part)
			}
		}
	}
	var decoded struct {
		Passed  bool
		Counts  map[string]int
		Results []scim.Result
	}
	if err := json.Unmarshal(object.Bytes(), &decoded); err != nil || decoded.Passed || decoded.Counts["failed"] != report.Count(scim.Failed) || len(decoded.Results) != len(report.Results) {
		t.Errorf("the JSON report says passed %v, %v, %d results: %v", decoded.Passed, decoded.Counts, len(decoded.Results), err)
	}
	var suites struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
	}
	if err := xml.Unmarshal(junit.Bytes(), &suites); err != nil || suites.Tests != len(report.Results) || suites.Failures != report.Count(scim.Failed) {
		t.Errorf("the JUnit report says %+v: %v", suites, err)
	}
	for _, outside := range []string{"<script", "src=", "<link", "url(", "<b>Bearer"} {
		if strings.Contains(page.String(), outside) {
			t.Errorf("the page has %q", outside)
		}
	}
}

func TestChecksAreNamedOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, check := range scim.Checks(scim.All) {
		if seen[check.Name] || check.Title == "" || check.Section == "" || check.Source == "" || check.Level == "" {
			t.Errorf("%+v is not whole, or not alone of its name", check)
		}
		seen[check.Name] = true
	}
	for profile, least := range map[scim.Profile]int{scim.RFC: 215, scim.Okta: 30, scim.Entra: 75} {
		checks := scim.Checks(profile)
		if len(checks) < least {
			t.Errorf("%d checks of profile %s, want at least %d", len(checks), profile, least)
		}
		for _, check := range checks {
			if check.Profile() != profile {
				t.Errorf("%s is in profile %s", check.Name, profile)
			}
		}
	}
}

func TestOnlySomeChecks(t *testing.T) {
	address := echo(t)
	for only, want := range map[string]string{"rfc/me*,okta/spec/create": "rfc/members/ okta/spec/create", "ENTRA/manager": "entra/manager/", "*/cursor/*": "rfc/cursor/"} {
		for _, result := range run(t, scim.Options{URL: address, Only: only}).Results {
			found := false
			for prefix := range strings.FieldsSeq(want) {
				found = found || strings.HasPrefix(result.Name, prefix)
			}
			if !found {
				t.Errorf("%q ran %s", only, result.Name)
			}
		}
	}
	if _, err := scim.Run(t.Context(), scim.Options{URL: address, Only: "no-such-check"}); err == nil {
		t.Error("a pattern without a match is no error")
	}
	for _, wrong := range []scim.Options{
		{URL: "example.com"}, {URL: address, Token: "one", OtherToken: "one"}, {URL: address, TokenURL: address, ClientID: "client"}, {URL: address, ClientSecret: "secret"},
		{URL: address, TokenURL: "example.com/token", ClientID: "client", ClientSecret: "secret"},
	} {
		if _, err := scim.Run(t.Context(), wrong); err == nil {
			t.Errorf("%+v is no error", wrong)
		}
	}
}

// TestStoppedRunReports ends the context in the middle: what was done is reported, and what was
// created is deleted.
func TestStoppedRunReports(t *testing.T) {
	made := make(chan string, 1000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodPost:
			made <- "made"
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte(`{"id":"7"}`))
		case http.MethodDelete:
			made <- "deleted"
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	t.Cleanup(server.Close)
	ctx, stop := context.WithCancel(t.Context())
	report, err := scim.Run(ctx, scim.Options{URL: server.URL, Profile: scim.Okta, Concurrency: 1, Progress: func(done, _ int, _ scim.Result) {
		if done == 3 {
			stop()
		}
	}})
	if err != nil || !report.Interrupted || report.Passed() || len(report.Results) < 3 || len(report.Results) >= report.Planned {
		t.Errorf("%d of %d results, interrupted %v: %v", len(report.Results), report.Planned, report.Interrupted, err)
	}
	if !strings.HasPrefix(report.Verdict(), "Stopped after") {
		t.Error(report.Verdict())
	}
	close(made)
	counts := map[string]int{}
	for one := range made {
		counts[one]++
	}
	if counts["deleted"] < counts["made"] {
		t.Errorf("%d made, %d deleted", counts["made"], counts["deleted"])
	}
}
