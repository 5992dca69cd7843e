package browser

import (
	"context"
	"testing"

	"postern/conformance/partstest"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/deploy/local/apps"
)

// TestRealApps rotates a password in applications somebody else wrote, with no setting at all.
func TestRealApps(t *testing.T) {
	partstest.Long(t, "web application")
	for name, start := range map[string]func(context.Context, string, apps.Options) (*apps.Site, error){"DokuWiki": apps.StartDokuWiki, "WordPress": apps.StartWordPress} {
		t.Run(name, func(t *testing.T) {
			b := connector(t)
			site, err := start(t.Context(), t.TempDir(), apps.Options{Username: "shared", Password: first})
			partstest.Need(t, name, err)
			defer func() {
				if err := site.Stop(); err != nil {
					t.Error(err)
				}
			}()
			target := rotation.Target{AppName: name, Domains: []string{"127.0.0.1"}, SignInURL: site.SignInURL, ChangeURL: site.ChangeURL}
			expect(t, b.Verify(short(t), target, credential("shared", first)), rotation.Accepted, rotation.StageVerify)
			expect(t, b.Verify(short(t), target, credential("shared", "wrong")), rotation.Rejected, rotation.StageVerify)
			expect(t, b.Verify(short(t), target, credential("nobody", first)), rotation.Rejected, rotation.StageVerify)

			old, next := first, seal.GeneratePassword(seal.PasswordPolicy{}).Reveal()
			for range 2 {
				var count counter
				report := b.Change(short(t), target, credential("shared", old), seal.NewSecret(next), count.release)
				expect(t, report, rotation.Applied, rotation.StageSubmit)
				if !report.Released || count.calls != 1 {
					t.Errorf("released %v after %d calls", report.Released, count.calls)
				}
				expect(t, b.Verify(short(t), target, credential("shared", next)), rotation.Accepted, rotation.StageVerify)
				expect(t, b.Verify(short(t), target, credential("shared", old)), rotation.Rejected, rotation.StageVerify)
				// From outside, with no browser.
				if ok, err := site.Accepts(t.Context(), "shared", next); err != nil || !ok {
					t.Errorf("the new password: %v, %v", ok, err)
				}
				if ok, err := site.Accepts(t.Context(), "shared", old); err != nil || ok {
					t.Errorf("the old password: %v, %v", ok, err)
				}
				old, next = next, second
			}

			var count counter
			report := b.Change(short(t), target, credential("shared", first), seal.NewSecret("Canary-third-1"), count.release)
			expect(t, report, rotation.Rejected, rotation.StageSignIn)
			if count.calls != 0 {
				t.Error("released without being signed in")
			}
		})
	}
}
