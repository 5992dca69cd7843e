package browser

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"

	"postern/connectors/recipe"
	"postern/core/rotation"
	"postern/core/seal"
)

// walk follows one part of a recipe, up to the step that sends what was typed.
type walk struct {
	j       *job
	steps   []recipe.Step
	first   int // number of the first of them in the recipe
	current rotation.Credential
	next    seal.Secret // zero in a sign-in
	options lookOptions

	document string  // the fields are in
	form     form    // what was typed into
	fields   entries // and what
	pressed  bool    // something was pressed whose answer may be read
	spoilt   bool    // the page changed what was typed; it may be typed again
	strayed  string  // where a step led to instead
}

func (j *job) walk(steps []recipe.Step, first int, current rotation.Credential, next seal.Secret, options lookOptions) *walk {
	return &walk{j: j, steps: steps, first: first, current: current, next: next, options: options, fields: entries{}}
}

// described is what page.js says of an element.
type described struct {
	Name   string   `json:"name"`
	Type   string   `json:"type"`
	Label  string   `json:"label"`
	Limit  int      `json:"limit"`
	Ready  bool     `json:"ready"`
	Danger bool     `json:"danger"`
	Hidden []string `json:"hidden"`
}

// upTo takes the steps from one to before another. An empty outcome means that all were taken.
func (w *walk) upTo(ctx context.Context, from, to int) rotation.Outcome {
	for i := from; i < to; i++ {
		if outcome := w.take(ctx, i); outcome != "" {
			return outcome
		}
	}
	return ""
}

func (w *walk) take(ctx context.Context, i int) rotation.Outcome {
	step := w.steps[i]
	switch step.Type {
	case recipe.Navigate:
		return w.j.open(ctx, w.filled(step.URL), fmt.Sprintf("page of step %d of the recipe", w.first+i), w.options, view.loaded)
	case recipe.Click, recipe.KeyDown:
		if outcome := w.press(ctx, i, entries{}); outcome != "" {
			return outcome
		}
		return w.arrive(ctx, i)
	}
	ref, about, outcome := w.find(ctx, i)
	if outcome != "" {
		return outcome
	}
	switch step.Type {
	case recipe.Change:
		return w.change(ctx, i, ref, about)
	case recipe.Hover:
		return w.hover(ctx, i, ref)
	}
	return ""
}

// filled puts the username where a recipe's address has it.
func (w *walk) filled(address string) string {
	path, query, found := strings.Cut(address, "?")
	path = strings.ReplaceAll(path, recipe.Username, url.PathEscape(w.current.Username))
	if found {
		path += "?" + strings.ReplaceAll(query, recipe.Username, url.QueryEscape(w.current.Username))
	}
	return path
}

// find waits for the element of a step. The alternatives are tried in their order, each time.
func (w *walk) find(ctx context.Context, i int) (int, described, rotation.Outcome) {
	j, step := w.j, w.steps[i]
	limited, cancel := context.WithTimeout(ctx, j.patience)
	defer cancel()
	var idle rest
	for {
		now, err := j.tab.await(limited, j.patience, w.options, func(view) bool { return true })
		if now.Ready != "" {
			j.last = now
		}
		if err != nil {
			return nowhere, described{}, j.failed(err, w.what(i))
		}
		if now.loaded() {
			document := j.tab.document()
			ref, about, err := w.among(limited, step)
			if err != nil && !errors.Is(err, errMoving) {
				return nowhere, described{}, j.failed(err, w.what(i))
			}
			if ref != nowhere && about.Ready && document == j.tab.document() {
				if document != w.document {
					// What was typed into another document is gone, and so are its fields' numbers.
					w.document, w.form, w.fields = document, form{}, entries{}
				}
				return ref, about, ""
			}
			if ref == nowhere && j.tab.search(limited, now) {
				continue
			}
		}
		if outcome := w.says(now); outcome != "" {
			return nowhere, described{}, outcome
		}
		// As long as a page gets that has loaded and has no form.
		grace := 5 * time.Second
		if now.Scripts == 0 || now.Status >= 400 {
			grace = 300 * time.Millisecond
		}
		if now.Ready != "complete" || now.Pending {
			idle = rest{}
		} else if idle.over(now, grace, j.patience) {
			return nowhere, described{}, w.lost(i, now)
		}
		select {
		case <-limited.Done():
			return nowhere, described{}, j.failed(limited.Err(), w.what(i))
		case <-j.tab.wake:
		case <-time.After(tick):
		}
	}
}

func (w *walk) among(ctx context.Context, step recipe.Step) (int, described, error) {
	for _, selector := range step.Selectors {
		ref, err := w.j.tab.locate(ctx, step.Frame, selector)
		if err != nil {
			return nowhere, described{}, err
		}
		if ref != nowhere {
			about, err := ask[described](ctx, w.j.tab, "describe", ref)
			return ref, about, err
		}
	}
	return nowhere, described{}, nil
}

func (w *walk) what(i int) string {
	return fmt.Sprintf("step %d of the recipe (%s)", w.first+i, w.steps[i])
}

// says reads what the app answers instead of showing the next step of a sign-in.
func (w *walk) says(now view) rotation.Outcome {
	if !w.pressed || !w.next.IsZero() || now.Pending || now.Ready != "complete" {
		return ""
	}
	outcome, detail := w.j.verdict(now)
	if outcome == "" || outcome == rotation.Accepted {
		return ""
	}
	return w.j.end(outcome, "%s", detail)
}

// lost is the outcome when a page that has loaded lacks the element of a step.
func (w *walk) lost(i int, now view) rotation.Outcome {
	switch {
	case now.Status >= 500 || now.Status == 429:
		return w.j.end(rotation.Unreachable, "The app answered with HTTP status %d.", now.Status)
	case now.Captcha:
		return w.j.end(rotation.Challenge, "The app asks for a captcha.")
	}
	return w.j.end(rotation.FormNotFound, "The page has nothing that %s is about.%s", w.what(i), w.strayed)
}

// change types what a step says.
func (w *walk) change(ctx context.Context, i, ref int, about described) rotation.Outcome {
	j, step := w.j, w.steps[i]
	one := field{Ref: ref, Name: about.Name, Type: about.Type, Limit: about.Limit, Evidence: "recipe"}
	text := step.Value
	switch step.Value {
	case recipe.Username:
		one.Kind, text = "username", w.current.Username
	case recipe.CurrentPassword:
		one.Kind, text = "current", w.current.Password.Reveal()
	case recipe.NewPassword:
		one.Kind, text = "new", w.next.Reveal()
		if w.form.field("new") != nil {
			one.Kind = "confirm"
		}
	case recipe.Code:
		if w.current.Code == nil {
			return j.end(rotation.Challenge, "The app asks for a code. Store the account's TOTP secret, so that Postern can answer.")
		}
		code, outcome := j.code(ctx, w.current)
		if outcome != "" {
			return outcome
		}
		// After a press, the page before took the password.
		j.coded = j.coded || w.pressed
		one.Kind, text = "code", code.Reveal()
	default:
		if about.Type == "textarea" || about.Type == "select" {
			if written, err := ask[bool](ctx, j.tab, "write", ref, text); err != nil || !written {
				return j.missing(orFields(err), w.what(i))
			}
			return ""
		}
		one.Kind = "text"
	}
	if step.Value == recipe.NewPassword {
		if length := len([]rune(text)); about.Limit > 0 && length > about.Limit {
			return j.end(rotation.Refused, "The new password has %d characters and the app's field takes %d at most.", length, about.Limit)
		}
		j.stage = rotation.StageSubmit
	}
	w.form.Fields, w.form.Hidden = append(w.form.Fields, one), append(w.form.Hidden, about.Hidden...)
	if w.form.field("new") != nil {
		// Before anything is in the field: the page may send it at once.
		j.gate.expect(&w.form)
	}
	w.fields = append(w.fields, [2]any{ref, text})
	if err := j.fill(ctx, w.fields, 0); err != nil {
		return w.unsent(err, i)
	}
	return ""
}

func orFields(err error) error {
	if err == nil {
		return errFields
	}
	return err
}

func (w *walk) hover(ctx context.Context, i, ref int) rotation.Outcome {
	at, err := ask[struct{ X, Y float64 }](ctx, w.j.tab, "point", ref)
	if err == nil {
		_, err = cdp.Call(ctx, w.j.tab.target, input.DispatchMouseEvent, input.DispatchMouseEventParams{Type: input.DispatchMouseEventTypeMouseMoved, X: at.X, Y: at.Y})
	}
	if err != nil {
		return w.j.missing(err, w.what(i))
	}
	return ""
}

// press takes a step that may send a form, after a last look at the fields given.
func (w *walk) press(ctx context.Context, i int, fields entries) rotation.Outcome {
	j, step := w.j, w.steps[i]
	if step.Type == recipe.KeyDown {
		return w.key(ctx, i)
	}
	ref, about, outcome := w.find(ctx, i)
	if outcome != "" {
		return outcome
	}
	if about.Danger {
		return j.end(rotation.FormNotFound, "The button that %s is about says %q now, and Postern presses nothing that deletes.", w.what(i), about.Label)
	}
	w.form.Submit = &button{Ref: ref, Label: about.Label}
	if len(fields) > 0 && len(w.fields) == 0 {
		fields = entries{} // the page has changed since
	}
	j.remember()
	w.pressed = true
	if err := j.send(ctx, &form{Submit: w.form.Submit}, fields); err != nil {
		return w.unsent(err, i)
	}
	return ""
}

// key presses Enter in the field that was typed into last.
func (w *walk) key(ctx context.Context, i int) rotation.Outcome {
	j := w.j
	if len(w.fields) == 0 || w.document != j.tab.document() {
		return j.end(rotation.FormNotFound, "Nothing was typed where %s.", w.what(i))
	}
	now, err := j.tab.await(ctx, j.patience, w.options, func(view) bool { return true })
	if err != nil {
		return j.failed(err, w.what(i))
	}
	j.last = now
	j.remember()
	j.tab.forgetDialogs()
	w.pressed = true
	kept, err := ask[bool](ctx, j.tab, "ready", w.fields[len(w.fields)-1][0], w.fields)
	if err == nil && !kept {
		err = errFields
	}
	if err != nil {
		return w.unsent(err, i)
	}
	for _, kind := range []input.DispatchKeyEventType{input.DispatchKeyEventTypeRawKeyDown, input.DispatchKeyEventTypeChar, input.DispatchKeyEventTypeKeyUp} {
		parameters := input.DispatchKeyEventParams{Type: kind, Key: "Enter", Code: "Enter", WindowsVirtualKeyCode: 13, NativeVirtualKeyCode: 13}
		if kind == input.DispatchKeyEventTypeChar {
			parameters.Text, parameters.UnmodifiedText = "\r", "\r"
		}
		if _, err := cdp.Call(ctx, j.tab.target, input.DispatchKeyEvent, parameters); err != nil {
			// The key itself may take the page away, and with it the answer.
			if fault := j.tab.fault(ctx, err); !errors.Is(fault, errMoving) {
				return w.unsent(fault, i)
			}
		}
	}
	return ""
}

// unsent is the outcome of a press that did not come about.
func (w *walk) unsent(err error, i int) rotation.Outcome {
	w.spoilt = errors.Is(err, errFields) || errors.Is(err, errMoving)
	return w.j.missing(err, w.what(i))
}

// arrive waits for the page a press led to when it was recorded.
func (w *walk) arrive(ctx context.Context, i int) rotation.Outcome {
	j, leads := w.j, w.steps[i].Leads()
	if leads == "" {
		return ""
	}
	from := j.last.Address
	var idle rest
	now, err := j.tab.await(ctx, j.patience, w.options, func(now view) bool {
		if now.Pending || now.Ready == "loading" {
			idle = rest{}
			return false
		}
		if !now.Same || now.Address != from {
			return now.loaded()
		}
		return idle.over(now, 5*time.Second, j.patience)
	})
	if now.Ready != "" {
		j.last = now
	}
	if err != nil {
		return j.failed(err, w.what(i))
	}
	if wanted := w.filled(leads); !samePlace(now.Address, wanted) {
		w.strayed = fmt.Sprintf(" Step %d led to %s, and to %s when it was recorded.", w.first+i, now.Address, wanted)
	}
	return ""
}

// samePlace compares two addresses without their parameters.
func samePlace(address, other string) bool {
	a, errA := url.Parse(address)
	b, errB := url.Parse(other)
	return errA == nil && errB == nil && strings.EqualFold(a.Host, b.Host) && strings.TrimSuffix(a.Path, "/") == strings.TrimSuffix(b.Path, "/")
}
