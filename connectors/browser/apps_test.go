package browser

import (
	"context"
	"maps"
	"os"
	"testing"

	"postern/conformance/partstest"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/deploy/local/apps"
)

type starter = func(context.Context, string, apps.Options) (*apps.Site, error)

// started is an application with one account, as long as the test runs.
func started(t *testing.T, name string, start starter, username string) *apps.Site {
	t.Helper()
	site, err := start(t.Context(), t.TempDir(), apps.Options{Username: username, Password: first})
	partstest.Need(t, name, err)
	t.Cleanup(func() {
		if err := site.Stop(); err != nil {
			t.Error(err)
		}
	})
	return site
}

// detected are applications that somebody else wrote and a password is replaced in with no selector, no setting and no
// recipe, only two addresses. The detector was made with the first four of them at hand, and met the others later.
var detected = map[string]starter{
	"DokuWiki": apps.StartDokuWiki, "WordPress": apps.StartWordPress, "MediaWiki": apps.StartMediaWiki, "Redmine": apps.StartRedmine,
	"Fossil": apps.StartFossil, "Django": apps.StartDjango, "phpMyAdmin": apps.StartPHPMyAdmin, "PostfixAdmin": apps.StartPostfixAdmin, "Shaarli": apps.StartShaarli,
}

// TestRealApps rotates a password in each of them.
func TestRealApps(t *testing.T) {
	partstest.Long(t, "web application")
	all := maps.Clone(detected)
	if os.Getenv(apps.PgAdminPython) != "" {
		all["pgAdmin"] = apps.StartPgAdmin // a single-page application, too large for every run
	}
	for name, start := range all {
		t.Run(name, func(t *testing.T) {
			b := connector(t)
			site := started(t, name, start, "shared")
			rotates(t, b, site, rotation.Target{AppName: name, Domains: []string{"127.0.0.1"}, SignInURL: site.SignInURL, ChangeURL: site.ChangeURL})
		})
	}
}

// rotates replaces the password of a site's account twice, proves each, and tries with wrong ones.
func rotates(t *testing.T, b *Browser, site *apps.Site, target rotation.Target) {
	t.Helper()
	shared := site.Username
	expect(t, b.Verify(short(t), target, credential(shared, first)), rotation.Accepted, rotation.StageVerify)
	expect(t, b.Verify(short(t), target, credential(shared, "wrong")), rotation.Rejected, rotation.StageVerify)
	expect(t, b.Verify(short(t), target, credential("nobody", first)), rotation.Rejected, rotation.StageVerify)

	old, next := first, seal.GeneratePassword(seal.PasswordPolicy{}).Reveal()
	for range 2 {
		var count counter
		report := b.Change(short(t), target, credential(shared, old), seal.NewSecret(next), count.release)
		expect(t, report, rotation.Applied, rotation.StageSubmit)
		if !report.Released || count.calls != 1 {
			t.Errorf("released %v after %d calls", report.Released, count.calls)
		}
		expect(t, b.Verify(short(t), target, credential(shared, next)), rotation.Accepted, rotation.StageVerify)
		expect(t, b.Verify(short(t), target, credential(shared, old)), rotation.Rejected, rotation.StageVerify)
		// From outside, with no browser.
		if ok, err := site.Accepts(t.Context(), shared, next); err != nil || !ok {
			t.Errorf("the new password: %v, %v", ok, err)
		}
		if ok, err := site.Accepts(t.Context(), shared, old); err != nil || ok {
			t.Errorf("the old password: %v, %v", ok, err)
		}
		old, next = next, second
	}

	var count counter
	report := b.Change(short(t), target, credential(shared, first), seal.NewSecret("Canary-third-1"), count.release)
	expect(t, report, rotation.Rejected, rotation.StageSignIn)
	if count.calls != 0 {
		t.Error("released without being signed in")
	}
}

// TestRealAppsSayWhatIsWrong tells a disabled login and an expired password from a wrong one, and sets another password
// where the application asks for it.
func TestRealAppsSayWhatIsWrong(t *testing.T) {
	partstest.Long(t, "web application")
	for name, app := range map[string]struct {
		start    starter
		disabled rotation.Outcome
	}{
		"MediaWiki": {apps.StartMediaWiki, rotation.Disabled},
		"Redmine":   {apps.StartRedmine, rotation.Locked}, // which is its word for it
	} {
		t.Run(name, func(t *testing.T) {
			const username = "Shared"
			b := connector(t)
			site := started(t, name, app.start, username)
			target := rotation.Target{AppName: name, Domains: []string{"127.0.0.1"}, SignInURL: site.SignInURL, ChangeURL: site.ChangeURL}
			if err := site.Enable(t.Context(), username, false); err != nil {
				t.Fatal(err)
			}
			expect(t, b.Verify(short(t), target, credential(username, first)), app.disabled, rotation.StageVerify)
			if err := site.Enable(t.Context(), username, true); err != nil {
				t.Fatal(err)
			}
			expect(t, b.Verify(short(t), target, credential(username, first)), rotation.Accepted, rotation.StageVerify)
			if err := site.Expire(t.Context(), username); err != nil {
				t.Fatal(err)
			}
			expect(t, b.Verify(short(t), target, credential(username, first)), rotation.MustChange, rotation.StageVerify)
			var count counter
			next := seal.GeneratePassword(seal.PasswordPolicy{}).Reveal()
			b.Change(short(t), target, credential(username, first), seal.NewSecret(next), count.release)
			expect(t, b.Verify(short(t), target, credential(username, next)), rotation.Accepted, rotation.StageVerify)
			expect(t, b.Verify(short(t), target, credential(username, first)), rotation.Rejected, rotation.StageVerify)
		})
	}
}
