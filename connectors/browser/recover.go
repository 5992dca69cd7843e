package browser

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"postern/core"
	"postern/core/rotation"
	"postern/core/seal"
)

// forgotten is what ways.js finds of a way to a forgotten-password mail.
type forgotten struct {
	Forms []forgottenForm `json:"forms"` // that ask whose password it is, the likeliest first
	Ways  []way           `json:"ways"`
}

type forgottenForm struct {
	Fields []struct {
		Ref  int  `json:"ref"`
		Mail bool `json:"mail"` // an address and nothing else goes into it
	} `json:"fields"`
	Submit  *button `json:"submit"`
	Captcha bool    `json:"captcha"`
}

const (
	// forgottenHops is how many pages there may be between the sign-in page and the form.
	forgottenHops = 3
	// links is how many mails' links are followed: an older mail may come late.
	links = 3
)

// Recover implements rotation.Recoverer.
func (b *Browser) Recover(ctx context.Context, target rotation.Target, whose rotation.Forgotten, next seal.Secret, release func(ctx context.Context) error) rotation.Report {
	j := b.newJob(target, next)
	j.gate = &gate{candidate: next, release: release, verdicts: make(chan verdict, 16)}
	j.run(ctx, func(ctx context.Context) {
		j.stage = rotation.StageNavigate
		if outcome := j.recover(ctx, whose, next); outcome != "" {
			j.outcome = outcome
		}
	})
	return j.report
}

func (j *job) recover(ctx context.Context, whose rotation.Forgotten, next seal.Secret) rotation.Outcome {
	form, outcome := j.forgottenForm(ctx)
	if outcome != "" {
		return outcome
	}
	j.stage = rotation.StageSignIn
	if outcome := j.askForMail(ctx, form, whose); outcome != "" {
		return outcome
	}
	said := ""
	for range links {
		link, err := whose.Link(ctx)
		if fault := core.AsError(err); fault != nil && fault.Code == "no_message" {
			return j.end(rotation.NoMessage, "%s", said)
		}
		if err != nil {
			return j.failed(err, "the app's mail could not be waited for")
		}
		j.stage = rotation.StageChangeForm
		outcome := j.followLink(ctx, link)
		if outcome == "" {
			form := j.last.form("change")
			rules := form.rules(j.target.PasswordRules != "")
			j.say(rules)
			if !rules.Allows(next.Reveal()) {
				return j.end(rotation.Refused, "The app's form takes other passwords: %s.", rules)
			}
			return j.submit(ctx, form, rotation.Credential{}, next)
		}
		if outcome != rotation.FormNotFound {
			return outcome
		}
		said = "A link came that is not good: " + j.detail
	}
	return j.end(rotation.NoMessage, "%s", said)
}

// forgottenForm goes from the sign-in page, or where the settings say, to the form that asks whose password was forgotten.
func (j *job) forgottenForm(ctx context.Context) (*forgottenForm, rotation.Outcome) {
	address := cmp.Or(j.settings.Forgotten.URL, j.target.SignInURL)
	given := j.settings.Forgotten.URL != ""
	if outcome := j.open(ctx, address, "forgotten-password form", lookOptions{Lines: true}, view.loaded); outcome != "" {
		return nil, outcome
	}
	if err := j.before(ctx, j.settings.Forgotten.Before); err != nil {
		return nil, j.missing(err, "what the settings say to press before the forgotten-password form is not there")
	}
	var been []string
	for range forgottenHops {
		var found forgotten
		now, err := j.tab.await(ctx, min(j.patience, 10*time.Second), lookOptions{Lines: true}, func(now view) bool {
			if !now.loaded() || now.Pending || now.Same && now.Ready != "complete" {
				return false
			}
			var err error
			if found, err = ask[forgotten](ctx, j.tab, "forgotten", given || len(been) > 0); err != nil {
				return false
			}
			return len(found.Forms) > 0 || found.next(been) != nil
		})
		if now.Ready != "" {
			j.last = now
		}
		if err != nil && !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return nil, j.failed(cmp.Or(ctx.Err(), err), "the forgotten-password page did not come")
		}
		if len(found.Forms) > 0 {
			form := &found.Forms[0]
			if form.Captcha || j.last.Captcha {
				return nil, j.end(rotation.Challenge, "The app asks for a captcha before it mails anything.")
			}
			return form, ""
		}
		on := found.next(been)
		if on == nil {
			break
		}
		been = append(been, on.name())
		if _, err := ask[bool](ctx, j.tab, "follow", on.Ref); err != nil && !errors.Is(err, errMoving) {
			return nil, j.missing(err, "the way to the forgotten-password form did not work")
		}
	}
	return nil, j.end(rotation.FormNotFound, "Postern found no form that asks whose password was forgotten. Give its address in the app's settings (forgotten.url).")
}

func (f forgotten) next(been []string) *way { return factor{Ways: f.Ways}.next(been) }

// askForMail says whose password was forgotten, and reads what the app makes of that. Most apps say the same whoever it is.
func (j *job) askForMail(ctx context.Context, one *forgottenForm, whose rotation.Forgotten) rotation.Outcome {
	form := &form{Kind: "username", Submit: one.Submit}
	var fields entries
	for _, asked := range one.Fields {
		text := whose.Username
		if asked.Mail {
			text = whose.Address
		}
		fields = append(fields, [2]any{asked.Ref, text})
	}
	j.remember()
	if err := j.enter(ctx, form, fields); err != nil {
		return j.missing(err, "the forgotten-password form could not be sent")
	}
	var quiet time.Time
	now, err := j.tab.await(ctx, j.patience, lookOptions{Lines: true, Early: true}, func(now view) bool {
		if now.Pending || now.Ready == "loading" {
			quiet = time.Time{}
			return false
		}
		if len(j.complaints(now)) > 0 || !now.Same && now.Ready == "complete" {
			return true
		}
		if quiet.IsZero() {
			quiet = time.Now()
		}
		return time.Since(quiet) > min(3*time.Second, j.patience/2)
	})
	if now.Ready != "" {
		j.last = now
	}
	complaint, complained := firstThat(saysUnknown, j.complaints(now))
	switch {
	case err != nil && !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil:
		return j.failed(cmp.Or(ctx.Err(), err), "it never answered the forgotten-password form")
	case now.Status >= 500 && !now.Same:
		return j.end(rotation.Unreachable, "The app answered the forgotten-password form with HTTP status %d.", now.Status)
	case now.Captcha:
		return j.end(rotation.Challenge, "The app asks for a captcha before it mails anything.")
	case complained:
		return j.end(rotation.Rejected, "The app says: %s", complaint)
	}
	return ""
}

// followLink opens a mailed link, if it leads to the app and nowhere else, and goes to the form for a new password behind it.
func (j *job) followLink(ctx context.Context, link seal.Secret) rotation.Outcome {
	address, err := url.Parse(link.Reveal())
	j.conceal(link)
	if err != nil || !j.ours(address) {
		return j.end(rotation.FormNotFound, "It leads somewhere else than the app.")
	}
	// An app repeats what makes its link good, on pages and in addresses.
	for _, values := range address.Query() {
		for _, value := range values {
			j.concealLong(value)
		}
	}
	for _, part := range strings.Split(address.Path, "/") {
		j.concealLong(part)
	}
	options := j.changeOptions()
	options.Ways = false
	usable := func(now view) bool { return now.loaded() && now.form("change") != nil }
	if outcome := j.open(ctx, link.Reveal(), "form for a new password", options, usable); outcome != "" {
		if outcome == rotation.FormNotFound {
			if complaints := j.hide.texts(append(slices.Clone(j.last.Errors), j.last.Notices...)); len(complaints) > 0 {
				j.detail += " It says: " + complaints[0]
			}
		}
		return outcome
	}
	return ""
}

func (j *job) concealLong(text string) {
	if len(text) >= 12 {
		j.conceal(seal.NewSecret(text))
	}
}

// ours reports whether an address leads to the app, and not less safely than its sign-in page does.
func (j *job) ours(address *url.URL) bool {
	from, err := url.Parse(j.target.SignInURL)
	if err != nil || address.User != nil || address.Scheme != "https" && address.Scheme != from.Scheme {
		return false
	}
	port := map[string]string{"http": "80", "https": "443"}[address.Scheme]
	return port != "" && j.tab.proxy.allows(address.Hostname(), cmp.Or(address.Port(), port))
}
