package http_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"postern/conformance/partstest"
	"postern/connectors/http"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/deploy/local/apps"
)

// TestApplicationPasswords has a real WordPress make two tokens of one account and end them, beside its password.
func TestApplicationPasswords(t *testing.T) {
	partstest.Long(t, "web application")
	by := rotation.Credential{Username: "harbour", Password: seal.GeneratePassword(seal.PasswordPolicy{})}
	site, err := apps.StartWordPress(t.Context(), t.TempDir(), apps.Options{Username: by.Username, Password: by.Password.Reveal()})
	partstest.Need(t, "WordPress", err)
	t.Cleanup(func() {
		if err := site.Stop(); err != nil {
			t.Error(err)
		}
	})
	connector := http.New(false)
	target := rotation.Target{AppName: "blog", Domains: []string{"127.0.0.1"}, SignInURL: site.URL, AllowPrivate: true, Settings: []byte(`{"definition": "wordpress"}`)}
	if can := rotation.Capabilities(connector, target.Settings); !slices.Contains(can, rotation.CanIssue) || slices.Contains(can, rotation.CanReset) {
		t.Error(can)
	}
	ctx := t.Context()
	is := func(what string, report rotation.Report, want rotation.Outcome) {
		t.Helper()
		if report.Outcome != want {
			t.Fatalf("%s: %s, %s; want %s", what, report.Outcome, report.Detail, want)
		}
	}
	wrong := by
	wrong.Password = seal.NewSecret("something else")
	is("sign-in", connector.Verify(ctx, target, by), rotation.Accepted)
	is("wrong sign-in", connector.Verify(ctx, target, wrong), rotation.Rejected)

	ids, values := map[string]string{}, map[string]seal.Secret{}
	issue := func(by rotation.Credential, name string) rotation.Report {
		return connector.Issue(ctx, target, by, by.Username, name, func(_ context.Context, id string, value seal.Secret) error {
			ids[name], values[name] = id, value
			return nil
		})
	}
	known := func() []string {
		t.Helper()
		var names []string
		is("list", connector.Tokens(ctx, target, by, by.Username, func(token rotation.Token) error {
			if ids[token.Name] != token.ID {
				t.Errorf("%+v, not %s", token, ids[token.Name])
			}
			names = append(names, token.Name)
			return nil
		}), rotation.Applied)
		slices.Sort(names)
		return names
	}
	is("made by nobody", issue(wrong, "none"), rotation.AdminRejected)
	for _, name := range []string{"postern-1", "postern-2"} {
		is("made", issue(by, name), rotation.Applied)
		is("tried", connector.TryToken(ctx, target, by.Username, values[name]), rotation.Accepted)
	}
	is("by another", connector.Issue(ctx, target, by, "admin", "postern-3", func(context.Context, string, seal.Secret) error { return errors.New("made for who signs in") }), rotation.AdminDenied)
	if names := known(); !slices.Equal(names, []string{"postern-1", "postern-2"}) {
		t.Error(names)
	}
	// The password may change meanwhile: tokens are beside it.
	next := seal.GeneratePassword(seal.PasswordPolicy{})
	is("change", connector.Change(ctx, target, by, next, func(context.Context) error { return nil }), rotation.Applied)
	is("old password", connector.Verify(ctx, target, by), rotation.Rejected)
	by.Password = next
	is("new password", connector.Verify(ctx, target, by), rotation.Accepted)
	for range 2 { // the same again does no harm
		is("ended", connector.Withdraw(ctx, target, by, by.Username, ids["postern-1"]), rotation.Applied)
		is("tried once ended", connector.TryToken(ctx, target, by.Username, values["postern-1"]), rotation.Rejected)
	}
	is("the other", connector.TryToken(ctx, target, by.Username, values["postern-2"]), rotation.Accepted)
	is("of another", connector.TryToken(ctx, target, "nobody", values["postern-2"]), rotation.Rejected)
	if names := known(); !slices.Equal(names, []string{"postern-2"}) {
		t.Error(names)
	}
}
