package browser

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"postern/conformance/partstest"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/deploy/local/apps"
)

// flow is an app as a person who writes a script for it alone would know it.
type flow struct {
	target                            rotation.Target
	username, password, enter         string // selectors of the sign-in page
	in, refused                       string // shown when signed in, shown when not
	reveal, current, new, repeat, set string // selectors of the change page
	changed                           string // shown when changed

	reset func(ctx context.Context, username, password string) error
}

// BenchmarkRotation compares a whole rotation (sign in, change, prove the new password, prove the old
// one dead) with a bare script that walks the same pages of the same app in the same run: no proxy,
// no gate, no detection, no evidence, only the selectors it needs. "ratio" is ours by the script's;
// a rotation the script fails is not counted, but told.
func BenchmarkRotation(b *testing.B) {
	b.Run("Harbour", func(b *testing.B) {
		_, target := harbour(b)
		benchmark(b, "quay", flow{
			target: target, username: "#username", password: "#password", enter: "main button", in: "button.quiet", refused: ".error",
			current: "#current", new: "#new", repeat: "#confirm", set: "main form button", changed: ".notice",
		})
	})
	for name, start := range map[string]func(context.Context, string, apps.Options) (*apps.Site, error){"DokuWiki": apps.StartDokuWiki, "WordPress": apps.StartWordPress} {
		b.Run(name, func(b *testing.B) {
			connector(b)
			site, err := start(b.Context(), b.TempDir(), apps.Options{Username: "shared", Password: first})
			partstest.Need(b, name, err)
			defer func() {
				if err := site.Stop(); err != nil {
					b.Error(err)
				}
			}()
			known := map[string]flow{
				"DokuWiki": {
					username: "input[name=u]", password: "input[name=p]", enter: "#dw__login button[type=submit]", in: ".action.logout", refused: "div.error",
					current: "#dw__register input[name=oldpass]", new: "input[name=newpass]", repeat: "input[name=passchk]", set: "#dw__register button[type=submit]", changed: "div.success",
				},
				"WordPress": {
					username: "#user_login", password: "#user_pass", enter: "#wp-submit", in: "#wpadminbar", refused: "#login_error",
					reveal: "button.wp-generate-pw", new: "#pass1", set: "#submit", changed: "#message.updated",
				},
			}[name]
			known.target = rotation.Target{AppName: name, Domains: []string{"127.0.0.1"}, SignInURL: site.SignInURL, ChangeURL: site.ChangeURL}
			known.reset = site.SetPassword
			benchmark(b, "shared", known)
		})
	}
}

func benchmark(b *testing.B, username string, f flow) {
	ours := connector(b)
	script := startScript(b, ours.executable)
	old := first
	var oursTook, scriptTook time.Duration
	// Neither pays for starting its browser.
	must(b, ours.Verify(short(b), f.target, credential(username, old)), rotation.Accepted)
	if err := script.signIn(b.Context(), f, username, old, true); err != nil {
		b.Fatal(err)
	}
	number, spoilt := 0, 0
	for b.Loop() {
		number++
		next := fmt.Sprintf("Canary-next-number-%05d-a", number)
		begun := time.Now()
		must(b, ours.Change(short(b), f.target, credential(username, old), seal.NewSecret(next), new(counter).release), rotation.Applied)
		must(b, ours.Verify(short(b), f.target, credential(username, next)), rotation.Accepted)
		must(b, ours.Verify(short(b), f.target, credential(username, old)), rotation.Rejected)
		oursTook += time.Since(begun)

		old, next = next, fmt.Sprintf("Canary-next-number-%05d-b", number)
		for {
			begun = time.Now()
			err := script.rotate(b.Context(), f, username, old, next)
			if err == nil {
				break
			}
			// Without a gate and a read-back it now and then sets a password nobody knows.
			if spoilt++; f.reset == nil || spoilt > 5 {
				b.Fatal(err)
			}
			if err := f.reset(b.Context(), username, old); err != nil {
				b.Fatal(err)
			}
		}
		scriptTook += time.Since(begun)
		old = next
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(oursTook.Seconds()/float64(number), "ours-s/op")
	b.ReportMetric(scriptTook.Seconds()/float64(number), "script-s/op")
	b.ReportMetric(float64(spoilt), "script-failures")
	b.ReportMetric(oursTook.Seconds()/scriptTook.Seconds(), "ratio")
}

func must(b *testing.B, report rotation.Report, outcome rotation.Outcome) {
	b.Helper()
	if report.Outcome != outcome {
		b.Fatalf("%s, expected %s: %s", report.Outcome, outcome, report.Detail)
	}
}

// script is the floor: chromedp as its documentation shows it, with values set at once instead of
// key by key.
type script struct{ browser context.Context }

func startScript(b *testing.B, executable string) *script {
	b.Helper()
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(executable))...)
	b.Cleanup(cancel)
	browser, cancel := chromedp.NewContext(allocator)
	b.Cleanup(cancel)
	if err := chromedp.Do(browser); err != nil {
		b.Fatal(err)
	}
	return &script{browser}
}

// page runs steps in a browser context of its own. It is closed in the background, as ours is.
func (s *script) page(steps ...chromedp.Action[chromedp.Void]) error {
	page, cancel := chromedp.NewContext(s.browser, chromedp.WithNewBrowserContext())
	defer func() { go cancel() }()
	if err := chromedp.Do(page); err != nil {
		return err
	}
	limited, cancelLimit := context.WithTimeout(page, 15*time.Second)
	defer cancelLimit()
	return chromedp.Do(limited, steps...)
}

func entering(f flow, username, password string, admitted bool) []chromedp.Action[chromedp.Void] {
	shown := f.refused
	if admitted {
		shown = f.in
	}
	return []chromedp.Action[chromedp.Void]{
		chromedp.Navigate(f.target.SignInURL), chromedp.SetValue(chromedp.CSS(f.username), username), chromedp.SetValue(chromedp.CSS(f.password), password),
		chromedp.Click(chromedp.CSS(f.enter)), chromedp.WaitVisible(chromedp.CSS(shown)),
	}
}

func (s *script) signIn(_ context.Context, f flow, username, password string, admitted bool) error {
	return s.page(entering(f, username, password, admitted)...)
}

func (s *script) rotate(ctx context.Context, f flow, username, old, next string) error {
	steps := append(entering(f, username, old, true), chromedp.Navigate(f.target.ChangeURL))
	if f.reveal != "" {
		steps = append(steps, chromedp.Click(chromedp.CSS(f.reveal)), chromedp.WaitVisible(chromedp.CSS(f.new)))
	}
	if f.current != "" {
		steps = append(steps, chromedp.SetValue(chromedp.CSS(f.current), old))
	}
	if f.repeat != "" {
		steps = append(steps, chromedp.SetValue(chromedp.CSS(f.new), next), chromedp.SetValue(chromedp.CSS(f.repeat), next))
	} else {
		// WordPress copies the field by its scripts, which listen to events.
		steps = append(steps, chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`{const p=document.querySelector(%q);p.value=%q;p.dispatchEvent(new Event('input',{bubbles:true}))}`, f.new, next)))
	}
	steps = append(steps, chromedp.Click(chromedp.CSS(f.set)), chromedp.WaitVisible(chromedp.CSS(f.changed)))
	if err := s.page(steps...); err != nil {
		return fmt.Errorf("change: %w", err)
	}
	if err := s.signIn(ctx, f, username, next, true); err != nil {
		return fmt.Errorf("the new password: %w", err)
	}
	if err := s.signIn(ctx, f, username, old, false); err != nil {
		return fmt.Errorf("the old password: %w", err)
	}
	return nil
}
