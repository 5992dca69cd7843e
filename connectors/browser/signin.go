package browser

import (
	"context"
	"errors"
	"slices"
	"time"

	"postern/core/rotation"
)

func (j *job) signInOptions() lookOptions {
	given := j.settings.SignIn
	selectors := map[string]string{}
	for part, selector := range map[string]string{"username": given.Username, "current": given.Password, "submit": given.Submit} {
		if selector != "" {
			selectors[part] = selector
		}
	}
	return lookOptions{SignIn: selectors, Texts: append(append([]string{}, given.Success...), given.Failure...), Lines: true}
}

// signIn opens the sign-in page, signs in and says what the app made of it.
func (j *job) signIn(ctx context.Context, credential rotation.Credential) rotation.Outcome {
	options := j.signInOptions()
	usable := func(now view) bool {
		return now.loaded() && (now.form("sign-in") != nil || now.form("username") != nil)
	}
	ready := usable
	if len(j.settings.SignIn.Before) > 0 {
		ready = view.loaded
	}
	if outcome := j.open(ctx, j.target.SignInURL, "sign-in form", options, ready); outcome != "" {
		if outcome == rotation.FormNotFound && j.last.Out {
			return j.end(rotation.Unknown, "The app let the browser in without asking for a password.")
		}
		return outcome
	}
	j.stage = rotation.StageSignIn
	if len(j.settings.SignIn.Before) > 0 {
		if err := j.before(ctx, j.settings.SignIn.Before); err != nil {
			return j.missing(err, "what the settings say to press before signing in is not there")
		}
		now, err := j.tab.await(ctx, j.patience, options, usable)
		j.last = now
		if err != nil {
			return j.missing(err, "the page has no sign-in form")
		}
	}
	if j.last.Captcha {
		return j.end(rotation.Challenge, "The app asks for a captcha before it lets anybody sign in.")
	}
	if j.last.form("sign-in") == nil {
		if outcome := j.usernameFirst(ctx, credential, options); outcome != "" {
			return outcome
		}
	}
	form := j.last.form("sign-in")
	if form == nil {
		form = j.last.form("password")
	}
	var fields entries
	fields.add(form.field("username"), credential.Username)
	fields.add(form.field("current"), credential.Password.Reveal())
	j.remember()
	if err := j.enter(ctx, form, fields); err != nil {
		return j.missing(err, "the sign-in form could not be filled in")
	}
	return j.admitted(ctx, options)
}

// usernameFirst serves the apps that ask for the password on a second page.
func (j *job) usernameFirst(ctx context.Context, credential rotation.Credential, options lookOptions) rotation.Outcome {
	form := j.last.form("username")
	var fields entries
	fields.add(form.field("username"), credential.Username)
	j.remember()
	if err := j.enter(ctx, form, fields); err != nil {
		return j.missing(err, "the username could not be filled in")
	}
	var said rotation.Outcome
	now, err := j.tab.await(ctx, j.patience, options, func(now view) bool {
		if now.loaded() && (now.form("password") != nil || now.form("sign-in") != nil) {
			return true
		}
		if !now.Pending && now.Ready == "complete" {
			said, _ = j.verdict(now)
		}
		return said != "" && said != rotation.Accepted
	})
	j.last = now
	if err != nil {
		return j.missing(err, "the page that asks for the password did not come")
	}
	if said != "" {
		_, j.detail = j.verdict(now)
		j.outcome = said
		return said
	}
	return ""
}

// admitted waits for the app's answer to a sign-in.
func (j *job) admitted(ctx context.Context, options lookOptions) rotation.Outcome {
	var outcome rotation.Outcome
	var detail string
	var quiet time.Time
	options.Early = true
	now, err := j.tab.await(ctx, j.patience, options, func(now view) bool {
		outcome, detail = "", ""
		if now.Pending || now.Ready == "loading" {
			quiet = time.Time{}
			return false
		}
		outcome, detail = j.verdict(now)
		if outcome != "" {
			return true
		}
		// A new document that has loaded and still tells nothing gets a little longer, for scripts.
		if now.Same || now.Ready != "complete" {
			quiet = time.Time{}
			return false
		}
		if quiet.IsZero() {
			quiet = time.Now()
		}
		grace := 3 * time.Second
		if now.Scripts == 0 {
			grace = 300 * time.Millisecond
		}
		return time.Since(quiet) > min(grace, j.patience/2)
	})
	j.last = now
	if outcome != "" && err == nil {
		j.outcome, j.detail = outcome, detail
		return outcome
	}
	if now.Status >= 500 && !now.Same {
		return j.end(rotation.Unreachable, "The app answered the sign-in with HTTP status %d.", now.Status)
	}
	if err != nil && !now.Pending && now.Ready != "" && errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil && !now.Same {
		err = nil
	}
	if err != nil {
		return j.failed(err, "it never answered the sign-in")
	}
	return j.end(rotation.Unknown, "Nothing on the page says whether the app let the sign-in through.")
}

// verdict reads a page that answers a sign-in. An empty outcome means that it tells nothing yet.
func (j *job) verdict(now view) (rotation.Outcome, string) {
	asks := now.form("sign-in")
	complaints := j.complaints(now)
	fresh := append(append([]string{}, complaints...), j.fresh(now)...)
	for _, text := range j.settings.SignIn.Success {
		if slices.Contains(now.Present, text) && asks == nil {
			return rotation.Accepted, ""
		}
	}
	for _, text := range j.settings.SignIn.Failure {
		if slices.Contains(now.Present, text) {
			return rotation.Rejected, "The app says: " + text
		}
	}
	if now.form("change") != nil && asks == nil {
		if said, ok := firstThat(saysMustChange, fresh); ok {
			return rotation.MustChange, "The app wants the password changed first: " + said
		}
	}
	if asks == nil && now.form("password") == nil && now.Out {
		return rotation.Accepted, ""
	}
	if now.form("code") != nil && asks == nil {
		return rotation.Challenge, "The app asks for a code."
	}
	if now.Captcha {
		return rotation.Challenge, "The app asks for a captcha."
	}
	if now.Out && asks == nil {
		return "", ""
	}
	if said, ok := firstThat(saysLocked, fresh); ok {
		return rotation.Locked, "The app says: " + said
	}
	if asks != nil || now.form("password") != nil || now.form("username") != nil {
		if said, ok := firstThat(saysChallenge, fresh); ok {
			return rotation.Challenge, "The app says: " + said
		}
		if said, ok := firstThat(saysWrong, fresh); ok {
			return rotation.Rejected, "The app says: " + said
		}
		if !now.Same && now.Ready == "complete" && len(complaints) > 0 {
			return rotation.Unknown, "The app asks to sign in again and says: " + complaints[0]
		}
	}
	return "", ""
}

// missing is the outcome when a page lacks what it needs, or does not keep what is typed in.
func (j *job) missing(err error, what string) rotation.Outcome {
	switch {
	case errors.Is(err, errFields), errors.Is(err, errButton), errors.Is(err, errValid):
		return j.end(j.unusable(), "The form could not be used: %s (%s).", err, what)
	case errors.Is(err, context.DeadlineExceeded) && !j.last.Pending && j.last.Ready != "":
		return j.end(rotation.FormNotFound, "The form could not be found: %s.", what)
	}
	return j.failed(err, what)
}

// unusable is the outcome for a form that is there and cannot be sent: for a change it is certain
// that nothing left.
func (j *job) unusable() rotation.Outcome {
	if j.gate != nil && j.stage == rotation.StageSubmit {
		return j.undecided()
	}
	return rotation.FormNotFound
}
