package scim_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/conformance/posterntest"
	"postern/conformance/scim"
	"postern/core/directory"
)

// run runs a profile against a server.
func run(t *testing.T, options scim.Options) scim.Report {
	t.Helper()
	if options.Client == nil {
		options.Client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		t.Cleanup(options.Client.CloseIdleConnections)
	}
	report, err := scim.Run(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// spoken are the warnings and what is skipped on purpose. An unknown schema is borne for identity providers that send none or a wrong
// one, where the connection does not ask for strictness; the rest is not to be had here, or the other profile's.
var spoken = []string{
	"rfc/create/schemas", "rfc/patch/schemas", "rfc/error/tls", "rfc/create/password", "rfc/error/password-filter", "rfc/patch/replace-no-target",
	"okta/entitlements/list", "okta/entitlements/type", "okta/entitlements/present",
	"rfc/cursor/expired",                           // TestPosternsCursorsExpire
	"rfc/immutable/replace", "rfc/immutable/patch", // TestImmutableAttributesAreTried
}

// everything is what the suite asks only when it is given what for.
func everything(t *testing.T, server *posterntest.Server, token string) scim.Options {
	t.Helper()
	options := scim.Options{URL: server.URL, Token: token, OtherToken: server.Connect(t, directory.Generic, directory.Provisioning{}), TokenURL: server.TokenURL}
	options.ClientID, options.ClientSecret = server.Client(t, token)
	return options
}

func TestPosternConforms(t *testing.T) {
	server := posterntest.Start(t)
	for _, one := range []struct {
		name    string
		profile scim.Profile
		kind    directory.ConnectionKind
		reading directory.Provisioning
	}{
		{"okta", scim.Okta, directory.Okta, directory.Provisioning{Entitlements: true}},
		{"entra", scim.Entra, directory.Entra, directory.Provisioning{}},
		{"rfc", scim.RFC, directory.Generic, directory.Provisioning{}},
		{"rfc, strict", scim.RFC, directory.Generic, directory.Provisioning{Profile: directory.ProfileStrict}},
		{"all", scim.All, directory.Entra, directory.Provisioning{}},
	} {
		t.Run(one.name, func(t *testing.T) {
			options := everything(t, server, server.Connect(t, one.kind, one.reading))
			options.Profile = one.profile
			report := run(t, options)
			t.Logf("%s %d requests in %.1f s", report.Verdict(), report.Requests, report.Seconds)
			if !report.Passed() {
				var text strings.Builder
				_ = report.WriteText(&text)
				t.Error(text.String())
			}
			for _, result := range report.Results {
				strict := one.reading.Profile == directory.ProfileStrict || one.reading.Entitlements
				if result.Outcome == scim.Warned && (strict || !slices.Contains(spoken, result.Name)) {
					t.Errorf("warning: %s: expected %s, came %s", result.Name, result.Failure.Expected, result.Failure.Got)
				}
				if result.Outcome == scim.Skipped && (one.reading.Entitlements || !slices.Contains(spoken, result.Name)) {
					t.Errorf("skipped: %s: %s", result.Name, result.Reason)
				}
			}
		})
	}
}

// A cursor is refused when its time is over. The clock is moved on for that, so nothing else is asked meanwhile.
func TestPosternsCursorsExpire(t *testing.T) {
	server := posterntest.Start(t)
	report := run(t, scim.Options{
		URL: server.URL, Token: server.Connect(t, directory.Generic, directory.Provisioning{}), Only: "rfc/cursor/expired", Patience: 24 * time.Hour, Sleep: sleep(server),
	})
	if !report.Passed() || report.Count(scim.Passed) != 1 {
		t.Errorf("%s: %+v", report.Verdict(), report.Results)
	}
}

// sleep passes time at the server alone.
func sleep(server *posterntest.Server) func(context.Context, time.Duration) error {
	return func(_ context.Context, wait time.Duration) error {
		server.Pass(wait)
		return nil
	}
}
