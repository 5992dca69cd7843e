package browser

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/conformance/partstest"
	"postern/connectors/browser/browsertest"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/deploy/local/apps"
)

// BenchmarkRotation compares a whole rotation (sign in, change, prove the new password, prove the old
// one dead) with a bare script that walks the same pages of the same app in the same run, in turns.
// "ratio" is our median time by the script's; a rotation the script fails is not counted, but told.
func BenchmarkRotation(b *testing.B) {
	b.Run("Harbour", func(b *testing.B) {
		_, target := harbour(b)
		address, _ := strings.CutSuffix(target.SignInURL, "/sign-in")
		benchmark(b, "quay", target, browsertest.Harbour(address), nil)
	})
	for name, one := range map[string]struct {
		start func(context.Context, string, apps.Options) (*apps.Site, error)
		known func(signIn, change string) browsertest.App
	}{"DokuWiki": {apps.StartDokuWiki, browsertest.DokuWiki}, "WordPress": {apps.StartWordPress, browsertest.WordPress}} {
		b.Run(name, func(b *testing.B) {
			connector(b)
			site, err := one.start(b.Context(), b.TempDir(), apps.Options{Username: "shared", Password: first})
			partstest.Need(b, name, err)
			defer func() {
				if err := site.Stop(); err != nil {
					b.Error(err)
				}
			}()
			target := rotation.Target{AppName: name, Domains: []string{"127.0.0.1"}, SignInURL: site.SignInURL, ChangeURL: site.ChangeURL}
			benchmark(b, "shared", target, one.known(site.SignInURL, site.ChangeURL), site.SetPassword)
		})
	}
}

// benchmark takes turns. reset sets a password the script spoilt; nil if it never does.
func benchmark(b *testing.B, username string, target rotation.Target, app browsertest.App, reset func(ctx context.Context, username, password string) error) {
	ours := connector(b)
	script := browsertest.Start(b, ours.executable)
	old := first
	var oursTook, scriptTook []time.Duration
	// Neither pays for starting its browser.
	must(b, ours.Verify(short(b), target, credential(username, old)), rotation.Accepted)
	if err := script.SignIn(app, username, old, true); err != nil {
		b.Fatal(err)
	}
	number, spoilt := 0, 0
	for b.Loop() {
		number++
		next := fmt.Sprintf("Canary-next-number-%05d-a", number)
		begun := time.Now()
		must(b, ours.Change(short(b), target, credential(username, old), seal.NewSecret(next), new(counter).release), rotation.Applied)
		must(b, ours.Verify(short(b), target, credential(username, next)), rotation.Accepted)
		must(b, ours.Verify(short(b), target, credential(username, old)), rotation.Rejected)
		oursTook = append(oursTook, time.Since(begun))

		old, next = next, fmt.Sprintf("Canary-next-number-%05d-b", number)
		for {
			begun = time.Now()
			err := script.Rotate(app, username, old, next)
			if err == nil {
				break
			}
			// Without a gate and a read-back it now and then sets a password nobody knows.
			if spoilt++; reset == nil || spoilt > 5 {
				b.Fatal(err)
			}
			if err := reset(b.Context(), username, old); err != nil {
				b.Fatal(err)
			}
		}
		scriptTook = append(scriptTook, time.Since(begun))
		old = next
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(oursTook), "ours-s/op")
	b.ReportMetric(median(scriptTook), "script-s/op")
	b.ReportMetric(float64(spoilt), "script-failures")
	b.ReportMetric(median(oursTook)/median(scriptTook), "ratio")
}

// median is the one in the middle, in seconds: one slow moment of the machine does not move it.
func median(times []time.Duration) float64 {
	slices.Sort(times)
	return (times[(len(times)-1)/2] + times[len(times)/2]).Seconds() / 2
}

func must(b *testing.B, report rotation.Report, outcome rotation.Outcome) {
	b.Helper()
	if report.Outcome != outcome {
		b.Fatalf("%s, expected %s: %s", report.Outcome, outcome, report.Detail)
	}
}
