package browser

import (
	"context"
	"errors"
	"net/url"
	"time"

	"postern/connectors/recipe"
	"postern/core/rotation"
)

// Some applications keep the way out and the way to a new password in a menu of the account's, and make neither before
// somebody opens it.

// menu is the button that opens such a menu and was not pressed yet. A page that asks for something has none.
func (j *job) menu(ctx context.Context, now view) int {
	if now.Ready != "complete" || now.Pending || now.Captcha || len(now.Forms) > 0 {
		return nowhere
	}
	ref, err := ask[int](ctx, j.tab, "menu", j.whose)
	if err != nil {
		return nowhere
	}
	return ref
}

// openMenu presses it.
func (j *job) openMenu(ctx context.Context, ref int) error {
	if document := j.tab.document(); document != j.menus.document {
		j.menus = menus{document: document}
	}
	j.menus.open = append(j.menus.open, ref)
	_, err := ask[bool](ctx, j.tab, "openMenu", j.whose)
	if errors.Is(err, errMoving) {
		return nil
	}
	return err
}

// closeMenu leaves the page as a recipe expects it, which opens the menu itself.
func (j *job) closeMenu(ctx context.Context) {
	if len(j.menus.open) > 0 {
		_, _ = ask[bool](ctx, j.tab, "closeMenu")
	}
}

// menus are those that were opened in a document.
type menus struct {
	document string
	open     []int
}

// lead follows what the page after the sign-in has to the change form: a link, or a button, if need be in the account's menu.
// Without any, the address the web has agreed on for this is where to go.
func (j *job) lead(ctx context.Context, options lookOptions, waypoint func(view) bool) (address string, outcome rotation.Outcome) {
	leads := func(now view) bool { return len(now.Links) > 0 || len(now.Reveal) > 0 || now.form("change") != nil }
	now, err := j.tab.await(ctx, j.patience, options, func(now view) bool { return now.loaded() && leads(now) || now.Ready == "complete" })
	if err != nil {
		return "", j.missing(err, "the page after signing in did not load")
	}
	if j.menus.document == j.tab.document() {
		for _, ref := range j.menus.open {
			j.note(ctx, ref, recipe.Step{Type: recipe.Click})
		}
	}
	for !leads(now) {
		ref := j.menu(ctx, now)
		if ref == nowhere {
			break
		}
		j.note(ctx, ref, recipe.Step{Type: recipe.Click})
		if err := j.openMenu(ctx, ref); err != nil {
			return "", j.missing(err, "the account's menu did not open")
		}
		if now, err = j.tab.await(ctx, min(j.patience, 3*time.Second), options, leads); err != nil && !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return "", j.missing(err, "the account's menu did not open")
		}
	}
	j.last = now
	switch {
	case len(now.Links) > 0:
		j.note(ctx, now.Links[0], recipe.Step{Type: recipe.Click})
		if _, err := ask[bool](ctx, j.tab, "follow", now.Links[0]); err != nil && !errors.Is(err, errMoving) {
			return "", j.missing(err, "the link to the change-password page did not work")
		}
		if now, err = j.tab.await(ctx, j.patience, options, func(now view) bool { return waypoint(now) || !now.Same && now.Ready == "complete" }); err != nil {
			return "", j.missing(err, "the change-password page did not come")
		}
		j.last = now
	case !leads(now):
		if parsed, err := url.Parse(j.target.SignInURL); err == nil {
			return j.agreed(ctx, options, parsed.Scheme+"://"+parsed.Host+"/.well-known/")
		}
	}
	return "", ""
}

// agreed is the address the web has agreed on for the change form (https://www.w3.org/TR/change-password-url/). An app that answers ok
// for what is nowhere says nothing by answering so there: what it shows may be any page of its own.
func (j *job) agreed(ctx context.Context, options lookOptions, wellKnown string) (string, rotation.Outcome) {
	limited, cancel := context.WithTimeout(ctx, j.patience)
	defer cancel()
	if _, err := j.tab.navigate(limited, wellKnown+"resource-that-should-not-exist-whose-status-code-should-not-be-200"); err != nil && !errors.Is(err, errMoving) {
		return "", j.failed(err, "an address that should not exist")
	}
	now, err := j.tab.await(limited, j.patience, options, func(now view) bool { return now.Ready == "complete" && now.Status != 0 })
	if err != nil && !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		return "", j.failed(err, "an address that should not exist")
	}
	if now.Status >= 200 && now.Status < 300 {
		return "", j.end(rotation.FormNotFound, "No way to the change-password form was found, and this app answers for addresses it does not have. Give the address of the form.")
	}
	return wellKnown + "change-password", ""
}
