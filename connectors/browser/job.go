package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"

	"postern/connectors/recipe"
	"postern/core"
	"postern/core/rotation"
	"postern/core/seal"
)

// job is one attempt: one sign-in, and for a change what follows it.
type job struct {
	browser  *Browser
	target   rotation.Target
	settings Settings
	patience time.Duration
	secrets  []seal.Secret
	hide     redactor
	gate     *gate // of a change

	tab     *tab
	last    view
	unseen  bool // no picture is taken of what it comes to
	sent    bool // the first code of a second factor left
	record  record
	arrival string   // where the recipe's last step led when it was recorded
	whose   string   // username of the account
	menus   menus    // of the account's that are open
	coded   bool     // a one-time code was given on a page of its own: the app took the password before
	lines   []string // the page's text before a form was sent
	trail   []pageModel
	errors  []string // and what looked like an error on it already
	notices []string // or like news
	stage   string
	outcome rotation.Outcome
	detail  string
	changed string // what has become of the pages; the end of the detail
	report  rotation.Report
}

func (b *Browser) newJob(target rotation.Target, secrets ...seal.Secret) *job {
	return &job{browser: b, target: target, secrets: secrets, hide: newRedactor(secrets), stage: rotation.StageNavigate}
}

// conceal keeps another secret out of all that is said.
func (j *job) conceal(secret seal.Secret) {
	j.secrets = append(j.secrets, secret)
	j.hide = newRedactor(j.secrets)
}

// run gives the work a tab, and turns what came of it into the report.
func (j *job) run(ctx context.Context, work func(ctx context.Context)) {
	j.report = rotation.Report{Started: j.browser.options.Now()}
	broken := j.within(ctx, work)
	if j.outcome == rotation.Accepted && j.detail == "" {
		j.detail = "The app let the account in."
	}
	j.report.Outcome, j.report.Stage, j.report.Detail = j.outcome, j.stage, j.hide.text(j.detail)+j.changed
	j.report.Released = j.sent || j.gate.isReleased()
	j.report.Finished = j.browser.options.Now()
	j.browser.options.Log.Debug("browser job", "app", j.target.AppName, "outcome", j.report.Outcome, "stage", j.report.Stage, "released", j.report.Released,
		"broken", broken, "took", j.report.Finished.Sub(j.report.Started))
}

func (j *job) within(ctx context.Context, work func(ctx context.Context)) (broken bool) {
	settings, err := ParseSettings(j.target.Settings)
	if err != nil {
		j.end(rotation.FormNotFound, "%s", core.AsError(err).Message)
		return false
	}
	j.settings, j.patience = settings, settings.timeout(j.browser.options.Timeout)
	process, err := j.browser.acquire(ctx)
	if err != nil {
		// Nothing is known of the app, and nothing is wrong with the account: as if the app were down,
		// it is to be tried until the browser starts.
		j.end(rotation.Unreachable, "%s.", capital(core.AsError(err).Message))
		return false
	}
	j.report.Agent = process.agent
	// The tab outlives the caller's deadline by a moment, in which the report is made.
	tabContext, endTabContext := context.WithCancel(context.WithoutCancel(ctx))
	defer endTabContext()
	if j.gate != nil {
		if err := process.gates.begin(); err != nil {
			process.alive() // or is killed, so that nobody else waits for it
			j.browser.release(process, true)
			j.end(rotation.NotSent, "The browser stopped.")
			return true
		}
		defer process.gates.finish()
	}
	t, endTab, err := j.page(tabContext, process)
	if err != nil && !errors.Is(err, errLost) {
		j.browser.release(process, false)
		j.end(j.undecided(), "Postern could not make a way out for the browser.")
		return false
	}
	if err != nil {
		process.alive()
		j.browser.release(process, true)
		j.end(j.undecided(), "The browser stopped.")
		return true
	}
	j.browser.spares.prepare(process)
	j.tab = t
	if j.gate != nil {
		j.gate.tab, j.gate.ctx, j.gate.unread = t, ctx, settings.Change.Gate == GateSent
		process.gates.arm(j.gate)
	}
	work(ctx)
	if j.gate != nil {
		j.gate.shut()
	}
	if broken = !process.alive(); broken && j.outcome == rotation.TimedOut {
		j.end(j.undecided(), "The browser stopped answering.") // not the app
	}
	// Who has given the attempt up waits for no picture.
	if !broken && !j.unseen && !errors.Is(ctx.Err(), context.Canceled) {
		j.picture(tabContext)
	}
	j.report.Hosts = t.proxy.hosts()
	j.report.Model = j.model(ctx, t.proxy.refusedHosts())
	endTab()
	if j.gate != nil {
		// A page that lives on for a moment must still meet its gate.
		gate := j.gate
		process.tabs.Go(func() { process.gates.disarm(gate) })
	}
	j.browser.release(process, broken)
	return broken
}

// model is what the last page was like. An attempt at a change, and a sign-in that was let in, also tell of the pages
// before it; one that may have failed because of its pages, how they differ from what they were.
func (j *job) model(ctx context.Context, refused []string) json.RawMessage {
	page := j.last.model(j.hide)
	page.Refused = refused
	if j.gate != nil || j.outcome == rotation.Accepted {
		page.Before = j.trail
	}
	page.Recipe = j.recorded()
	if way := j.way(page); way.Address != "" && j.target.Known != nil {
		if known := j.target.Known(ctx); len(known) > 0 {
			if difference := recipe.Compare(known, way.encoded()); difference.String() != "" {
				page.Difference, j.changed = &difference, difference.String()
			}
		}
	}
	return page.encoded()
}

// way are the pages an attempt came past, if it may have failed because they are others than they were. What an app answers
// is none of them.
func (j *job) way(page pageModel) pageModel {
	way := pageModel{Address: page.Address, Forms: page.Forms, Before: j.trail}
	switch {
	case j.outcome == rotation.FormNotFound, j.outcome == rotation.NotSent && j.last.Ready != "" && !j.gate.isCalledOff():
		return way
	case (j.outcome == rotation.Refused || j.outcome == rotation.Unknown) && len(j.trail) > 0:
		last := len(j.trail) - 1
		way = j.trail[last]
		way.Before = j.trail[:last]
		return way
	}
	return pageModel{}
}

// page is an isolated page that reaches the app. That of a change is made only once its gate is
// there, see gates.begin.
func (j *job) page(ctx context.Context, p *process) (*tab, func(), error) {
	domains, allowPrivate := j.domains(), j.browser.options.AllowPrivate || j.target.AllowPrivate
	if j.gate == nil {
		if t, end, found := j.browser.spares.take(ctx, p, domains, allowPrivate); found {
			return t, end, nil
		}
	}
	way, err := newProxy(domains, allowPrivate)
	if err != nil {
		return nil, nil, err
	}
	t, end, err := openTab(ctx, p, way)
	if err != nil {
		way.close()
	}
	return t, end, err
}

// domains are the hosts the app may be reached at. Without any, those of its two addresses.
func (j *job) domains() []string {
	if len(j.target.Domains) > 0 {
		return j.target.Domains
	}
	var list []string
	for _, address := range []string{j.target.SignInURL, j.target.ChangeURL} {
		if parsed, err := url.Parse(address); err == nil && parsed.Host != "" {
			list = append(list, parsed.Host)
		}
	}
	return list
}

func (j *job) end(outcome rotation.Outcome, format string, arguments ...any) rotation.Outcome {
	j.outcome, j.detail = outcome, fmt.Sprintf(format, arguments...)
	return outcome
}

// undecided is the outcome when the fault is ours: certain for a change that was not released.
func (j *job) undecided() rotation.Outcome {
	if j.gate != nil && !j.gate.isReleased() {
		return rotation.NotSent
	}
	return rotation.Unknown
}

// failed is the outcome of a wait that ended without what it waited for.
func (j *job) failed(err error, what string) rotation.Outcome {
	switch {
	case errors.Is(err, errLost):
		return j.end(j.undecided(), "The browser stopped.")
	case errors.Is(err, context.DeadlineExceeded):
		return j.end(rotation.TimedOut, "The app did not answer in time: %s.", what)
	case errors.Is(err, context.Canceled):
		return j.end(j.undecided(), "The attempt was given up.")
	}
	return j.end(j.undecided(), "The page could not be read: %s.", what)
}

// open goes to an address and waits until ready is satisfied with what is there. An empty outcome
// means that it is.
func (j *job) open(ctx context.Context, address, what string, options lookOptions, ready func(view) bool) rotation.Outcome {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" {
		return j.end(rotation.Unreachable, "The app's address of its %s is not a web address.", what)
	}
	j.noteAddress(address)
	limited, cancel := context.WithTimeout(ctx, j.patience)
	defer cancel()
	reason, err := j.tab.navigate(limited, address)
	if err != nil && !errors.Is(err, errMoving) {
		return j.failed(err, "its "+what+" did not come")
	}
	if refused := j.tab.proxy.refusedHosts(); reason != "" && reason != "net::ERR_ABORTED" && len(refused) > 0 {
		return j.unreachable(refused[0]) // where the app sends everybody
	}
	if reason != "" && reason != "net::ERR_ABORTED" || j.tab.proxy.failure(parsed.Hostname()) != "" {
		return j.unreachable(parsed.Hostname())
	}
	// A page that has loaded and shows nothing of use gets a little longer, for scripts that build it.
	var idle rest
	view, err := j.tab.await(limited, j.patience, options, func(now view) bool {
		if ready(now) {
			return true
		}
		if now.Ready != "complete" || now.Pending {
			idle = rest{}
			return false
		}
		grace := 5 * time.Second
		if now.Scripts == 0 || now.Status >= 400 {
			grace = 300 * time.Millisecond
		}
		return idle.over(now, grace, j.patience)
	})
	j.last = view
	switch {
	case err == nil && ready(view):
		return ""
	case j.tab.proxy.failure(hostOf(view.Address)) != "":
		return j.unreachable(hostOf(view.Address))
	case view.Status >= 500 || view.Status == 429:
		return j.end(rotation.Unreachable, "The app answered with HTTP status %d.", view.Status)
	case err != nil:
		return j.failed(err, "its "+what+" did not load")
	case view.Captcha:
		return j.end(rotation.Challenge, "The app asks for a captcha.")
	}
	if view.Status >= 400 {
		return j.end(rotation.FormNotFound, "The app has no %s there (HTTP status %d).", what, view.Status)
	}
	if refused := j.tab.proxy.refusedHosts(); len(refused) > 0 {
		return j.end(rotation.FormNotFound, "The app's page has no %s. It asked for %s, which is not one of the app's domains.", what, strings.Join(refused[:min(len(refused), 3)], ", "))
	}
	return j.end(rotation.FormNotFound, "The app's page has no %s.", what)
}

// hostOf is the host of a page's address.
func hostOf(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return parsed.Hostname()
}

func (j *job) unreachable(host string) rotation.Outcome {
	switch j.tab.proxy.failure(host) {
	case "not_allowed":
		return j.end(rotation.Unreachable, "%s is not one of the app's domains.", host)
	case "private_address":
		return j.end(rotation.Unreachable, "%s is at a private address, which is not allowed.", host)
	case "timeout":
		return j.end(rotation.TimedOut, "%s did not answer in time.", host)
	}
	return j.end(rotation.Unreachable, "%s cannot be reached.", host)
}

// remember keeps what the page says before a form is sent, to know afterwards what is new.
func (j *job) remember() {
	j.lines, j.errors, j.notices = j.last.Lines, j.last.Errors, j.last.Notices
	if len(j.trail) < maxTrail {
		j.trail = append(j.trail, j.last.model(j.hide))
	}
}

// maxTrail bounds the pages a report tells of.
const maxTrail = 12

// complaints are the errors a page shows that it did not show before, and fresh all its new lines.
func (j *job) complaints(now view) []string { return j.hide.both(since(j.errors, now.Errors)) }
func (j *job) fresh(now view) []string      { return j.hide.both(since(j.lines, now.Lines)) }

// before presses what the settings want pressed first.
func (j *job) before(ctx context.Context, selectors []string) error {
	for _, selector := range selectors {
		limited, cancel := context.WithTimeout(ctx, min(j.patience, 10*time.Second))
		err := func() error {
			for {
				ref, err := ask[int](limited, j.tab, "show", selector)
				if err == nil && ref >= 0 {
					j.note(ctx, ref, recipe.Step{Type: recipe.Click})
					_, err = ask[bool](limited, j.tab, "follow", ref)
					return err
				}
				if err != nil && !errors.Is(err, errMoving) {
					return err
				}
				select {
				case <-limited.Done():
					return limited.Err()
				case <-j.tab.wake:
				case <-time.After(tick):
				}
			}
		}()
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

// picture takes a masked screenshot of a failed attempt's last page.
func (j *job) picture(ctx context.Context) {
	switch j.outcome {
	case rotation.Accepted, rotation.Rejected, rotation.Applied:
		if !j.settings.Screenshot {
			return
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	texts := []string{}
	for _, secret := range j.secrets {
		if !secret.IsZero() {
			texts = append(texts, secret.Reveal())
		}
	}
	if _, err := j.tab.disclose(ctx); err != nil {
		return
	}
	if covered, err := ask[bool](ctx, j.tab, "cover", texts); err != nil || !covered {
		return
	}
	shot, err := cdp.Call(ctx, j.tab.target, page.CaptureScreenshot, page.CaptureScreenshotParams{Format: page.CaptureScreenshotFormatPng})
	if err == nil {
		j.report.Screenshot = shot.Data
	}
}

// capital begins a sentence with a message.
func capital(message string) string {
	first, size := utf8.DecodeRuneInString(message)
	return string(unicode.ToUpper(first)) + message[size:]
}
