package browser

import (
	"context"
	"errors"
	"slices"
	"time"

	"postern/connectors/recipe"
	"postern/core/rotation"
	"postern/core/seal"
)

// attempts is how often a form is filled in again when the page spoilt it before anything was sent.
const attempts = 3

func (j *job) changeOptions() lookOptions {
	given := j.settings.Change
	selectors := map[string]string{}
	for part, selector := range map[string]string{"current": given.Current, "new": given.New, "confirm": given.Confirm, "submit": given.Submit} {
		if selector != "" {
			selectors[part] = selector
		}
	}
	return lookOptions{Change: selectors, Texts: append(append([]string{}, given.Success...), given.Failure...), Lines: true, Ways: true}
}

// change signs in and sets the next password.
func (j *job) change(ctx context.Context, current rotation.Credential, next seal.Secret) rotation.Outcome {
	outcome := j.signIn(ctx, current)
	if outcome != rotation.Accepted && outcome != rotation.MustChange {
		return outcome
	}
	j.stage, j.record.changeFrom = rotation.StageChangeForm, len(j.record.steps)+1
	if steps := j.settings.Recipe.Change(); len(steps) > 0 && outcome == rotation.Accepted {
		return j.followChange(ctx, steps, j.settings.Recipe.ChangeFrom, current, next)
	}
	switch {
	case outcome == rotation.Accepted:
		if outcome := j.reach(ctx, current); outcome != "" {
			return outcome
		}
	case j.last.form("change") == nil:
		return outcome // it asks for a change, and shows no form for it
	}
	form := j.last.form("change")
	rules := form.rules(j.target.PasswordRules != "")
	j.say(rules)
	if !rules.Allows(next.Reveal()) {
		return j.end(rotation.Refused, "The app's form takes other passwords: %s.", rules)
	}
	return j.submit(ctx, form, current, next)
}

// reach opens the page with the change form: at its address, or by the app's own links.
func (j *job) reach(ctx context.Context, current rotation.Credential) rotation.Outcome {
	options := j.changeOptions()
	usable := func(now view) bool { return now.loaded() && now.form("change") != nil }
	// What a page may show before its change form: a button or a link that leads to it, or the
	// question for the current password.
	waypoint := func(now view) bool {
		return usable(now) || now.loaded() && (len(now.Reveal) > 0 || now.form("password") != nil || len(j.settings.Change.Before) > 0)
	}
	address := j.target.ChangeURL
	if address == "" {
		var outcome rotation.Outcome
		if address, outcome = j.lead(ctx, options, waypoint); outcome != "" {
			return outcome
		}
	}
	if address != "" {
		if outcome := j.openChange(ctx, address, current, options, waypoint); outcome != "" {
			return outcome
		}
	}
	if len(j.settings.Change.Before) > 0 {
		if err := j.before(ctx, j.settings.Change.Before); err != nil {
			return j.missing(err, "what the settings say to press before changing the password is not there")
		}
	}
	for range 3 {
		if usable(j.last) {
			return ""
		}
		if form := j.last.form("password"); form != nil {
			if outcome := j.again(ctx, form, current); outcome != "" {
				return outcome
			}
		} else if len(j.last.Reveal) > 0 {
			j.note(ctx, j.last.Reveal[0], recipe.Step{Type: recipe.Click})
			if _, err := ask[bool](ctx, j.tab, "follow", j.last.Reveal[0]); err != nil && !errors.Is(err, errMoving) {
				return j.missing(err, "the button that shows the new-password field did not work")
			}
		}
		now, err := j.tab.await(ctx, min(j.patience, 10*time.Second), options, func(now view) bool { return usable(now) || !now.Same && waypoint(now) })
		if now.Ready != "" {
			j.last = now
		}
		if err != nil {
			return j.missing(err, "the page has no form with a new password")
		}
	}
	if !usable(j.last) {
		return j.end(rotation.FormNotFound, "The app's page has no form with a new password.")
	}
	return ""
}

// openChange opens the page of the change form. An app whose session did not last until there is signed in to once more.
func (j *job) openChange(ctx context.Context, address string, current rotation.Credential, options lookOptions, waypoint func(view) bool) rotation.Outcome {
	turnedOut := func(now view) bool {
		return now.loaded() && now.form("sign-in") != nil && now.form("change") == nil
	}
	outcome := j.open(ctx, address, "change-password form", options, func(now view) bool { return waypoint(now) || turnedOut(now) })
	if outcome != "" || !turnedOut(j.last) {
		return outcome
	}
	form := j.last.form("sign-in")
	var fields entries
	fields.add(form.field("username"), current.Username)
	fields.add(form.field("current"), current.Password.Reveal())
	j.remember()
	if err := j.enter(ctx, form, fields); err != nil {
		return j.missing(err, "the app asks to sign in again, and its form could not be filled in")
	}
	if outcome := j.admitted(ctx, j.signInOptions()); outcome != rotation.Accepted {
		return outcome
	}
	return j.open(ctx, address, "change-password form", options, waypoint)
}

// again answers the question for the current password that some apps ask before the change form.
func (j *job) again(ctx context.Context, form *form, current rotation.Credential) rotation.Outcome {
	var fields entries
	fields.add(form.field("current"), current.Password.Reveal())
	if err := j.enter(ctx, form, fields); err != nil {
		return j.missing(err, "the app's question for the current password could not be answered")
	}
	return ""
}

// submit fills the change form in and sends it through the gate. Whatever the page says after it went
// round the gate, only the proofs can tell.
func (j *job) submit(ctx context.Context, form *form, current rotation.Credential, next seal.Secret) rotation.Outcome {
	j.stage = rotation.StageSubmit
	j.tab.watch(next)
	outcome := j.fillAndSend(ctx, form, current, next)
	if j.tab.wentRound() && !j.gate.isReleased() {
		return j.end(rotation.Unknown, "The page sent the new password through a WebSocket, which cannot be held back.")
	}
	return outcome
}

func (j *job) fillAndSend(ctx context.Context, form *form, current rotation.Credential, next seal.Secret) rotation.Outcome {
	options := j.changeOptions()
	spoilt := "the page did not send it"
	for range attempts {
		var fields entries
		fields.add(form.field("current"), current.Password.Reveal())
		fields.add(form.field("new"), next.Reveal())
		fields.add(form.field("confirm"), next.Reveal())
		j.gate.expect(form)
		j.remember()
		err := j.fill(ctx, fields, 150*time.Millisecond)
		if err == nil {
			j.noteForm(ctx, form, fields)
			err = j.send(ctx, form, fields)
		}
		if err != nil && !j.gate.isReleased() {
			if errors.Is(err, errTyped) {
				return j.end(rotation.Refused, "The form's own rules refuse the new password.")
			}
			if errors.Is(err, errFields) || errors.Is(err, errMoving) {
				spoilt = errFields.Error()
			} else {
				return j.missing(err, "the change form could not be sent")
			}
		} else {
			verdict, outcome := j.passed(ctx, options)
			if outcome != "" {
				return outcome
			}
			if verdict.released {
				return j.answered(ctx, options)
			}
			spoilt = verdict.reason
			if verdict.refusedByCaller {
				return j.end(rotation.NotSent, "The change was called off before it was sent.")
			}
		}
		now, err := j.tab.await(ctx, min(j.patience, 10*time.Second), options, func(now view) bool { return now.loaded() && now.form("change") != nil })
		if err != nil {
			break
		}
		j.last, form = now, now.form("change")
	}
	if j.gate.isReleased() {
		return j.answered(ctx, options)
	}
	return j.end(rotation.NotSent, "The change was not sent: %s.", spoilt)
}

// passed waits for the gate's verdict on the change request. A page that shows its own complaint, or
// does nothing, sends none.
func (j *job) passed(ctx context.Context, options lookOptions) (verdict, rotation.Outcome) {
	patience := time.NewTimer(min(j.patience, 12*time.Second))
	defer patience.Stop()
	var complained time.Time
	var seen view
	for {
		select {
		case v := <-j.gate.verdicts:
			return v, ""
		case <-ctx.Done():
			if j.gate.isReleased() {
				return verdict{released: true}, ""
			}
			return verdict{}, j.failed(ctx.Err(), "the change was not sent")
		case <-patience.C:
			if j.gate.isReleased() {
				return verdict{released: true}, ""
			}
			if j.tab.socketMessages() > 0 {
				// What goes through a WebSocket passes no gate, so nothing is certain.
				return verdict{}, j.end(rotation.Unknown, "The page sent no form, and talks to the app in a way that cannot be watched.")
			}
			return verdict{}, j.quoting(seen, j.end(rotation.NotSent, "The page sent no change request when its button was pressed."))
		case <-j.tab.wake:
		case <-time.After(tick):
		}
		if j.tab.ctx.Err() != nil {
			return verdict{}, j.failed(errLost, "")
		}
		if j.gate.holding() {
			continue
		}
		// A page whose request is on its way answers nothing until the app does; the verdict does not
		// wait for that.
		looking, stop := context.WithTimeout(ctx, 2*time.Second)
		now, err := j.tab.look(looking, options)
		stop()
		if err != nil || j.gate.holding() {
			continue
		}
		now.Errors = append(now.Errors, j.tab.spoken()...)
		seen = now
		texts := append(j.complaints(now), j.fresh(now)...)
		if said, ok := firstThat(saysRefused, texts); ok && now.Same {
			if complained.IsZero() {
				complained = time.Now()
			}
			// Its own complaint, if nothing is on its way after it.
			if time.Since(complained) > 1500*time.Millisecond && !j.gate.isReleased() {
				now.Status, _, _ = j.tab.network()
				j.last = now
				j.heard(texts)
				return verdict{}, j.end(rotation.Refused, "The page refuses the new password without asking the app: %s", said)
			}
		}
	}
}

// answered waits for the app's answer to a change. What it says is evidence; proof is for Verify.
func (j *job) answered(ctx context.Context, options lookOptions) rotation.Outcome {
	var outcome rotation.Outcome
	var detail string
	var quiet time.Time
	options.Early, options.Ways = true, false
	now, err := j.tab.await(ctx, j.patience, options, func(now view) bool {
		outcome, detail = "", ""
		if now.Pending || now.Ready == "loading" {
			quiet = time.Time{}
			return false
		}
		if outcome, detail = j.answer(now); outcome != "" {
			return true
		}
		if now.Same || now.Ready != "complete" {
			quiet = time.Time{}
			return false
		}
		if quiet.IsZero() {
			quiet = time.Now()
		}
		return time.Since(quiet) > min(time.Second, j.patience/2)
	})
	if now.Ready != "" {
		j.last = now
	}
	if err == nil && outcome != "" {
		if outcome == rotation.Refused {
			j.heard(append(j.complaints(now), j.fresh(now)...))
		}
		return j.end(outcome, "%s", detail)
	}
	if now.Status >= 500 && !now.Same {
		return j.end(rotation.Unknown, "The app answered the change with HTTP status %d.", now.Status)
	}
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil && now.Ready != "" && !now.Pending && !now.Same {
			return j.unclear(now, "the password was changed")
		}
		return j.quoting(now, j.failed(err, "it never answered the change"))
	}
	return j.unclear(now, "the password was changed")
}

// answer reads a page that answers a change.
func (j *job) answer(now view) (rotation.Outcome, string) {
	fresh, complaints := j.fresh(now), j.complaints(now)
	for _, text := range j.settings.Change.Success {
		if slices.Contains(now.Present, text) {
			return rotation.Applied, "The app says: " + text
		}
	}
	for _, text := range j.settings.Change.Failure {
		if slices.Contains(now.Present, text) {
			return rotation.Refused, "The app says: " + text
		}
	}
	if said, ok := firstThat(saysRefused, complaints); ok {
		return rotation.Refused, "The app says: " + said
	}
	if said, ok := firstThat(saysChanged, append(append([]string{}, now.Notices...), fresh...)); ok && len(complaints) == 0 {
		return rotation.Applied, "The app says: " + said
	}
	if said, ok := firstThat(saysRefused, fresh); ok && now.form("change") != nil {
		return rotation.Refused, "The app says: " + said
	}
	if !now.Same && now.Ready == "complete" && now.form("change") == nil && len(complaints) == 0 && (now.Out || now.form("sign-in") != nil || j.arrived(now)) {
		return rotation.Applied, "The app went on to another page without a complaint."
	}
	return "", ""
}
