package browser

import (
	"context"
	"errors"
	"slices"
	"time"

	"postern/core"
	"postern/core/rotation"
	"postern/core/seal"
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
	j.whose = credential.Username
	if steps := j.settings.Recipe.SignIn(); len(steps) > 0 {
		return j.followSignIn(ctx, steps, credential)
	}
	options := j.signInOptions()
	if outcome := j.arrive(ctx, options); outcome != "" {
		return outcome
	}
	if j.last.form("sign-in") == nil {
		if outcome := j.usernameFirst(ctx, credential, options); outcome != "" {
			return outcome
		}
	}
	return j.signInWith(ctx, credential, options)
}

// arrive opens the sign-in page. An empty outcome means that its form is there.
func (j *job) arrive(ctx context.Context, options lookOptions) rotation.Outcome {
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
		now, err := j.await(ctx, j.patience, options, usable)
		j.last = now
		if err != nil {
			return j.missing(err, "the page has no sign-in form")
		}
	}
	if j.last.Captcha {
		return j.end(rotation.Challenge, "The app asks for a captcha before it lets anybody sign in.")
	}
	return ""
}

// signInWith fills the form in and sends it.
func (j *job) signInWith(ctx context.Context, credential rotation.Credential, options lookOptions) rotation.Outcome {
	form := j.last.form("sign-in")
	if form == nil {
		form = j.last.form("password")
	}
	var fields entries
	fields.add(form.field("username"), credential.Username)
	fields.add(form.field("current"), credential.Password.Reveal())
	asked := form.field("code")
	if asked != nil && credential.Code != nil && !credential.Sent {
		code, outcome := j.code(ctx, credential)
		if outcome != "" {
			return outcome
		}
		fields.add(asked, code.Reveal())
	}
	j.remember()
	if err := j.enter(ctx, form, fields); err != nil {
		return j.missing(err, "the sign-in form could not be filled in")
	}
	outcome := j.admitted(ctx, options)
	switch {
	case outcome == rotation.Challenge && credential.Code != nil && j.last.form("code") != nil:
		return j.codeAfter(ctx, credential, options)
	case outcome == rotation.Rejected && asked != nil && (credential.Code == nil || credential.Sent):
		// It may have refused the code that was not given.
		return j.end(rotation.Challenge, "The app asks for a code beside the password. Store the account's TOTP secret, so that Postern can answer. %s", j.detail)
	}
	return outcome
}

// codeAfter serves the apps that ask for a one-time code on a page of its own.
func (j *job) codeAfter(ctx context.Context, credential rotation.Credential, options lookOptions) rotation.Outcome {
	code, outcome := j.code(ctx, credential)
	if outcome != "" {
		return outcome
	}
	form := j.last.form("code")
	var fields entries
	fields.add(form.field("code"), code.Reveal())
	j.coded = true
	j.remember()
	if err := j.enter(ctx, form, fields); err != nil {
		return j.missing(err, "the code could not be filled in")
	}
	outcome = j.admitted(ctx, options)
	if outcome == rotation.Rejected {
		// Whichever it means, it is no proof that the password is wrong.
		return j.end(rotation.Challenge, "The app refuses the code, or the password with it. %s", j.detail)
	}
	return outcome
}

// code is the account's one-time code, which no report shows.
func (j *job) code(ctx context.Context, credential rotation.Credential) (seal.Secret, rotation.Outcome) {
	code, err := credential.Code(ctx)
	if fault := core.AsError(err); fault != nil && fault.Code == "no_message" {
		return seal.Secret{}, j.end(rotation.Challenge, "The app asks for a code, and %s.", fault.Message)
	}
	if err != nil {
		return seal.Secret{}, j.failed(err, "it asks for a code, and none could be made")
	}
	j.conceal(code)
	return code, ""
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
	now, err := j.await(ctx, j.patience, options, func(now view) bool {
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
	var quiet rest
	options.Early = true
	came := false // to another document, before a menu was opened in it
	menu := nowhere
	read := func(now view) bool {
		outcome, detail, menu = "", "", nowhere
		if now.Pending || now.Ready == "loading" {
			quiet = rest{}
			return false
		}
		outcome, detail = j.verdict(now)
		if outcome != "" {
			return true
		}
		if menu = j.menu(ctx, now); menu != nowhere {
			return true
		}
		// A new document that has loaded and still tells nothing gets a little longer, for scripts.
		if now.Same && !came || now.Ready != "complete" {
			quiet = rest{}
			return false
		}
		grace := 3 * time.Second
		if now.Scripts == 0 {
			grace = 300 * time.Millisecond
		}
		return quiet.over(now, grace, j.patience)
	}
	now, err := j.await(ctx, j.patience, options, read)
	for err == nil && menu != nowhere {
		came, quiet = came || !now.Same, rest{}
		if err = j.openMenu(ctx, menu); err == nil {
			now, err = j.await(ctx, j.patience, options, read)
		}
	}
	for err == nil && outcome == "" && j.tab.opener != nil {
		// The window stays, and the page that opened it knows more.
		j.tab = j.tab.opener
		quiet = rest{}
		now, err = j.await(ctx, j.patience, options, read)
	}
	j.last = now
	if outcome != "" && err == nil {
		j.outcome, j.detail = outcome, detail
		return outcome
	}
	if outcome := j.half(ctx, now, options); outcome != "" {
		return outcome
	}
	if now.Status >= 500 && !now.Same {
		return j.end(rotation.Unreachable, "The app answered the sign-in with HTTP status %d.", now.Status)
	}
	if err != nil && !now.Pending && now.Ready != "" && errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil && !now.Same {
		err = nil
	}
	if err != nil {
		return j.quoting(now, j.failed(err, "it never answered the sign-in"))
	}
	return j.unclear(now, "the app let the sign-in through")
}

// half reads the beginning of an answer that waits for ever for something else of the app's, such as a script. It may
// say that the sign-in was refused; that it was not, only a whole page says.
func (j *job) half(ctx context.Context, now view, options lookOptions) rotation.Outcome {
	if now.Ready != "loading" || now.Same {
		return ""
	}
	options.Half = true
	now, err := j.tab.await(ctx, 2*time.Second, options, func(view) bool { return true })
	if err != nil {
		return ""
	}
	outcome, detail := j.verdict(now)
	switch outcome {
	case rotation.Rejected, rotation.Locked, rotation.Disabled:
		j.last, j.outcome, j.detail = now, outcome, detail
		return outcome
	}
	return ""
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
	if asks == nil && now.form("password") == nil && (now.Out || j.arrived(now) && now.form("code") == nil && now.form("username") == nil && !now.Captcha && len(complaints) == 0) {
		return rotation.Accepted, ""
	}
	if now.form("code") != nil && asks == nil {
		switch {
		case !j.coded:
			return rotation.Challenge, "The app asks for a code. Store the account's TOTP secret, or have the app send its codes to the account's address or number at Postern."
		case len(complaints) > 0:
			return rotation.Challenge, "The app refuses the code Postern has for it: " + complaints[0]
		case !now.Same && now.Ready == "complete":
			return rotation.Challenge, "The app refuses the code Postern has for it."
		}
		return "", ""
	}
	if now.Captcha {
		return rotation.Challenge, "The app asks for a captcha."
	}
	if now.Out && asks == nil {
		return "", ""
	}
	if said, ok := firstThat(saysExpired, fresh); ok && now.Ready == "complete" && !saysWrong.MatchString(said) {
		return rotation.MustChange, "The app wants the password changed first: " + said
	}
	if said, ok := firstThat(saysLocked, fresh); ok {
		return rotation.Locked, "The app says: " + said
	}
	if said, ok := firstThat(saysDisabled, fresh); ok {
		return rotation.Disabled, "The app says: " + said
	}
	if asks != nil || now.form("password") != nil || now.form("username") != nil {
		if said, ok := firstThat(saysChallenge, fresh); ok {
			return rotation.Challenge, "The app says: " + said
		}
		if said, ok := firstThat(saysCode, fresh); ok && asks.field("code") != nil && !saysPassword.MatchString(said) {
			return rotation.Challenge, "The app refuses the code: " + said
		}
		if said, ok := firstThat(saysCodeWrong, fresh); ok && !saysPassword.MatchString(said) {
			return rotation.Challenge, "The app refuses the code: " + said
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
	case errors.Is(err, errFields), errors.Is(err, errButton), errors.Is(err, errValid), errors.Is(err, errEmpty), errors.Is(err, errTyped):
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
