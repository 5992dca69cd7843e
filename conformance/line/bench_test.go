package line

import (
	"context"
	"net/url"
	"slices"
	"testing"
	"time"

	"postern/conformance/partstest"
	"postern/connectors/browser"
	"postern/connectors/browser/browsertest"
	"postern/core"
	"postern/deploy/local"
	"postern/deploy/local/apps"
	"postern/deploy/local/demo"
	"postern/oidc/devidp/push"
)

// BenchmarkTimeToLockout has an IdP deactivate a person and takes the time to lockout from the
// receipt: from the request's arrival at postern to the app's refusal of the old password. Beside it,
// in turns, in the same run and on the same app, a bare script walks the same pages, which is all it
// does: nobody sends it anything, it stores nothing, holds no gate, and is told every selector.
// "ratio-to-bare" is our median time by the script's.
func BenchmarkTimeToLockout(b *testing.B) {
	executable, err := browser.Find("")
	partstest.Need(b, "browser", err)
	// A round is a failed sign-in, so the budget of them must bear many rounds; and a log for tests
	// costs what nobody pays.
	w := newWorld(b, worldOptions{Arguments: []string{"--rotation-failed-sign-ins", "1000", "--log-level", "info"}})
	w.serve()
	w.furnish(demo.Login{Username: "furnishing", Password: "First-voyage-1912"})
	s := &stage{world: w, secrets: &canaries{}}
	script := browsertest.Start(b, executable)

	b.Run("Harbour", func(b *testing.B) {
		r := race{stage: s, script: script, app: ask[listed[made]](b, w.API, "/apps").Items[0].ID, pages: browsertest.Harbour(w.AppURL)}
		r.set = func(_ context.Context, username, password string) error {
			return w.Harbour.SetPassword(username, password)
		}
		r.run(b)
	})
	b.Run("DokuWiki", func(b *testing.B) {
		site, err := apps.StartDokuWiki(b.Context(), b.TempDir(), apps.Options{})
		partstest.Need(b, "DokuWiki", err)
		defer func() {
			if err := site.Stop(); err != nil {
				b.Error(err)
			}
		}()
		address, err := url.Parse(site.URL)
		if err != nil {
			b.Fatal(err)
		}
		app := tell[made](b, w.API, "/apps", map[string]any{
			"name": core.NewID().String(), "domains": []string{address.Host}, "sign_in_url": site.SignInURL, "change_url": site.ChangeURL,
		})
		race{stage: s, script: script, app: app.ID, pages: browsertest.DokuWiki(site.SignInURL, site.ChangeURL), set: site.SetPassword}.run(b)
	})
}

type made struct {
	ID core.ID `json:"id"`
}

// race is one app that both work on, each with a login of its own.
type race struct {
	*stage
	script *browsertest.Script
	app    core.ID // as postern knows it
	pages  browsertest.App
	set    func(ctx context.Context, username, password string) error
}

func (r race) run(b *testing.B) {
	const first = "First-voyage-1912"
	for _, username := range []string{"ours", "bare"} {
		if err := r.set(b.Context(), username, first); err != nil {
			b.Fatal(err)
		}
	}
	account := tell[made](b, r.API, "/accounts", map[string]any{
		"app": r.app, "username": "ours", "password": first, "owner": r.user(b, "okta", local.OwnerName).ID,
	}).ID
	// Its first sign-in is here, so neither pays for starting its browser.
	r.eventually(time.Minute, "the account is validated", func() bool {
		return ask[demo.Account](b, r.API, "/accounts/"+account.String()).State == "validated"
	})
	old := first
	if err := r.script.SignIn(r.pages, "bare", old, true); err != nil {
		b.Fatal(err)
	}
	var lockouts, answers, scripts []time.Duration
	spoilt := 0
	for b.Loop() {
		lockout, answer := r.leave(b, account)
		lockouts, answers = append(lockouts, lockout), append(answers, answer)
		for {
			next := "Next-voyage-" + core.NewID().String()
			begun := time.Now()
			err := r.script.Rotate(r.pages, "bare", old, next)
			if err == nil {
				scripts, old = append(scripts, time.Since(begun)), next
				break
			}
			// It has no gate: now and then it sets a password nobody knows.
			if spoilt++; spoilt > 5 {
				b.Fatal(err)
			}
			if err := r.set(b.Context(), "bare", old); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(lockouts), "lockout-s")
	b.ReportMetric(median(scripts), "bare-s")
	b.ReportMetric(median(answers)*1000, "answer-ms")
	b.ReportMetric(float64(spoilt), "bare-failures")
	b.ReportMetric(median(lockouts)/median(scripts), "ratio-to-bare")
}

// leave has somebody hired, given the account and deactivated, and waits for the receipt. It returns
// the time to lockout and how long the IdP waited for its answer.
func (r race) leave(b *testing.B, account core.ID) (lockout, answer time.Duration) {
	b.Helper()
	name := "leaver-" + core.NewID().String()
	idp := r.scim("okta", push.Okta)
	pushed, err := idp.PushUser(b.Context(), push.User{
		ID: name, UserName: name + "@acme.example", GivenName: "Lee", FamilyName: "Ver", DisplayName: "Lee Ver", Email: name + "@acme.example",
	})
	id := answered(b, pushed, err).ID
	tell[struct{}](b, r.API, "/accounts/"+account.String()+"/grants", map[string]any{"user": id, "role": "collaborator"})
	left, err := idp.Deactivate(b.Context(), id)
	answer = answered(b, left, err).Exchanges[0].Duration
	r.eventually(time.Minute, "the rotation has its receipt", func() bool {
		newest := r.rotations(b, account)[0]
		if newest.Receipt == nil {
			return false
		}
		lockout = newest.Receipt.OldRefused.Sub(newest.Receipt.Received)
		return true
	})
	return lockout, answer
}

// median is the one in the middle, in seconds: one slow moment of the machine does not move it.
func median(times []time.Duration) float64 {
	slices.Sort(times)
	return (times[(len(times)-1)/2] + times[len(times)/2]).Seconds() / 2
}
