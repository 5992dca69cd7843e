package browser

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
)

var (
	errFields = errors.New("the page does not keep what is typed into its fields")
	errButton = errors.New("the form's button cannot be pressed")
	errValid  = errors.New("the page's own rules refuse what is in its fields")
	errTyped  = errors.New("the page's own rules refuse what was typed")
	errEmpty  = errors.New("the form has another field for a password")
)

// entries are fields with what goes into them, as page.js takes them.
type entries [][2]any

func (e *entries) add(f *field, text string) {
	if f != nil {
		*e = append(*e, [2]any{f.Ref, text})
	}
}

// cover reports whether something goes into each of a form's password fields.
func (e entries) cover(f *form) bool {
	for _, one := range f.Fields {
		if one.Type == "password" && !slices.ContainsFunc(e, func(entry [2]any) bool { return entry[0] == one.Ref }) {
			return false
		}
	}
	return true
}

// fill types into every field, and waits until the page has left them alone for a while where
// scripts run, since they may replace what was typed.
func (j *job) fill(ctx context.Context, fields entries, quiet time.Duration) error {
	if j.last.Scripts == 0 {
		quiet = 0
	}
	kept, err := ask[bool](ctx, j.tab, "type", fields, quiet.Milliseconds(), (3 * time.Second).Milliseconds())
	if err == nil && !kept {
		err = errFields
	}
	return err
}

// enter fills a sign-in form in and sends it. There is no gate for that, and no harm in filling it in
// again when a script has spoilt a field in between.
//
// A form with a password field that nothing goes into is not the form it was taken for: an app may take an empty new password.
func (j *job) enter(ctx context.Context, f *form, fields entries) error {
	if !fields.cover(f) {
		return errEmpty
	}
	for attempt := 1; ; attempt++ {
		err := j.fill(ctx, fields, 0)
		if err == nil {
			j.noteForm(ctx, f, fields)
			err = j.send(ctx, f, fields)
		}
		if !errors.Is(err, errFields) || attempt == attempts {
			return err
		}
	}
}

// send presses a form's button, after reading all its fields back in the same instant.
func (j *job) send(ctx context.Context, f *form, fields entries) error {
	ctx, cancel := context.WithTimeout(ctx, min(j.patience, 15*time.Second))
	defer cancel()
	j.tab.forgetDialogs()
	if f.Submit == nil {
		kept, err := ask[bool](ctx, j.tab, "send", fields[len(fields)-1][0], fields)
		if err == nil && !kept {
			err = errFields
		}
		return err
	}
	covered := time.Time{}
	for {
		aim, err := ask[struct {
			X, Y                                       float64
			Gone, Disabled, Covered, Kept, Valid, Ours bool
		}](ctx, j.tab, "aim", f.Submit.Ref, fields)
		switch {
		case err != nil:
			return err
		case aim.Gone:
			return errButton
		case aim.Disabled: // while it checks what was typed
		case !aim.Kept:
			return errFields
		case aim.Ours:
			return errTyped
		case !aim.Valid:
			return errValid
		case aim.Covered:
			// A banner may lie over the button for good; then the button is pressed from within.
			if covered.IsZero() {
				covered = time.Now()
			}
			if time.Since(covered) > 2*time.Second {
				kept, err := ask[bool](ctx, j.tab, "press", f.Submit.Ref, fields)
				if err == nil && !kept {
					err = errFields
				}
				return err
			}
		default:
			if f.Submit.Ref >= 1<<frameShift {
				if aim.X, aim.Y, err = j.tab.middle(ctx, f.Submit.Ref); err != nil {
					return err
				}
			}
			if err := j.click(ctx, aim.X, aim.Y); err != nil {
				return err
			}
			// A page that cannot be asked any more is on its way to the next one.
			if missed, err := ask[bool](ctx, j.tab, "missed", f.Submit.Ref); err != nil || !missed {
				return nil
			}
			continue
		}
		select {
		case <-ctx.Done():
			return errButton
		case <-time.After(tick):
		}
	}
}

func (j *job) click(ctx context.Context, x, y float64) error {
	for _, kind := range []input.DispatchMouseEventType{input.DispatchMouseEventTypeMousePressed, input.DispatchMouseEventTypeMouseReleased} {
		_, err := cdp.Call(ctx, j.tab.target, input.DispatchMouseEvent, input.DispatchMouseEventParams{Type: kind, X: x, Y: y, Button: input.MouseButtonLeft, ClickCount: 1})
		if err != nil {
			// The press itself may take the page away, and with it the answer.
			if fault := j.tab.fault(ctx, err); !errors.Is(fault, errMoving) {
				return fault
			}
		}
	}
	return nil
}
