package browser

import (
	"context"
	"time"

	"postern/connectors/recipe"
	"postern/core/rotation"
	"postern/core/seal"
)

// followSignIn signs in as the app's recipe says.
func (j *job) followSignIn(ctx context.Context, steps []recipe.Step, credential rotation.Credential) rotation.Outcome {
	options := j.signInOptions()
	w := j.walk(steps, 1, credential, seal.Secret{}, options)
	begin := 0
	if steps[0].Type == recipe.Navigate {
		if outcome := w.take(ctx, 0); outcome != "" {
			return outcome
		}
		begin = 1
	} else if outcome := j.open(ctx, j.target.SignInURL, "sign-in page", options, view.loaded); outcome != "" {
		return outcome
	}
	j.stage = rotation.StageSignIn
	last := len(steps) - 1
	outcome := w.upTo(ctx, begin, last)
	if outcome == "" {
		outcome = w.enter(ctx, last)
	}
	if outcome == "" {
		j.expectArrival(w, last)
		outcome = j.admitted(ctx, options)
		j.closeMenu(ctx)
	}
	switch {
	case outcome == rotation.Challenge && credential.Code != nil && !j.coded && j.last.form("code") != nil:
		return j.codeAfter(ctx, credential, options) // which was not asked when it was recorded
	case outcome == rotation.Rejected && j.coded:
		// Whichever it means, it is no proof that the password is wrong.
		return j.end(rotation.Challenge, "The app refuses the code, or the password with it. %s", j.detail)
	case outcome == rotation.Unknown && j.arrival != "" && !samePlace(j.last.Address, j.arrival):
		return j.end(rotation.Unknown, "%s The last step of the sign-in led to %s, and to %s when it was recorded.", j.detail, j.last.Address, j.arrival)
	}
	return outcome
}

// enter sends a sign-in. There is no gate for that, and no harm in typing again what a script has spoilt.
func (w *walk) enter(ctx context.Context, last int) rotation.Outcome {
	for attempt := 1; ; attempt++ {
		w.spoilt = false
		outcome := w.press(ctx, last, w.fields)
		if outcome == "" || !w.spoilt || attempt == attempts || w.j.fill(ctx, w.fields, 150*time.Millisecond) != nil {
			return outcome
		}
	}
}

// expectArrival makes where the last step of a part led to evidence: it is none if the app shows its refusals there too.
func (j *job) expectArrival(w *walk, last int) {
	j.arrival = w.filled(w.steps[last].Leads())
	if samePlace(j.last.Address, j.arrival) {
		j.arrival = ""
	}
}

// arrived reports whether the app has gone where it went when it was recorded.
func (j *job) arrived(now view) bool {
	return j.arrival != "" && now.Ready == "complete" && !now.Pending && now.Status < 400 && samePlace(now.Address, j.arrival)
}

// followChange sets the next password as the app's recipe says, by one who is signed in.
func (j *job) followChange(ctx context.Context, steps []recipe.Step, first int, current rotation.Credential, next seal.Secret) rotation.Outcome {
	options := j.changeOptions()
	options.Ways = false
	j.arrival = ""
	j.tab.watch(next)
	w := j.walk(steps, first, current, next, options)
	outcome := j.followAndSend(ctx, w)
	if j.tab.wentRound() && !j.gate.isReleased() {
		return j.end(rotation.Unknown, "The page sent the new password through a WebSocket, which cannot be held back.")
	}
	return outcome
}

func (j *job) followAndSend(ctx context.Context, w *walk) rotation.Outcome {
	from, last := 0, len(w.steps)-1
	spoilt := "the page did not send it"
	for range attempts {
		w.spoilt = false
		outcome := w.upTo(ctx, from, last)
		if outcome == "" {
			outcome = w.release(ctx, last)
		}
		if outcome == "" {
			verdict, outcome := j.passed(ctx, w.options)
			switch {
			case outcome != "":
				return outcome
			case verdict.released:
				j.expectArrival(w, last)
				return j.answered(ctx, w.options)
			case verdict.refusedByCaller:
				return j.end(rotation.NotSent, "The change was called off before it was sent.")
			}
			spoilt = verdict.reason
		} else if j.gate.isReleased() {
			break // the page sent it before its last step
		} else if !w.spoilt {
			return outcome
		} else {
			spoilt = errFields.Error()
		}
		// The form is filled in again, from its first field on.
		from, w.fields, w.form = w.formStart(), entries{}, form{}
	}
	if j.gate.isReleased() {
		return j.answered(ctx, w.options)
	}
	return j.end(rotation.NotSent, "The change was not sent: %s.", spoilt)
}

// release presses what sends the change, once the page has left all fields alone.
func (w *walk) release(ctx context.Context, last int) rotation.Outcome {
	if err := w.j.fill(ctx, w.fields, 150*time.Millisecond); err != nil {
		return w.unsent(err, last)
	}
	return w.press(ctx, last, w.fields)
}

// formStart is the first field of the form that holds the new password.
func (w *walk) formStart() int {
	start := 0
	for i, step := range w.steps {
		if step.Value == recipe.NewPassword {
			break
		}
		if step.Type != recipe.Change {
			start = i + 1
		}
	}
	return start
}
