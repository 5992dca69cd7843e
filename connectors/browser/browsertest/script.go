package browsertest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// pageTimeout bounds the steps on one page of the script's.
const pageTimeout = 15 * time.Second

// Script is a browser of its own that walks an app's pages.
type Script struct{ browser context.Context }

// Start starts the browser, which ends with the test.
func Start(t testing.TB, executable string) *Script {
	t.Helper()
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(executable))...)
	t.Cleanup(cancel)
	browser, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	if err := chromedp.Do(browser); err != nil {
		t.Fatal(err)
	}
	return &Script{browser}
}

// page runs steps in a browser context of its own. It is closed in the background, as the connector's
// is.
func (s *Script) page(steps ...chromedp.Action[chromedp.Void]) error {
	page, cancel := chromedp.NewContext(s.browser, chromedp.WithNewBrowserContext())
	defer func() { go cancel() }()
	if err := chromedp.Do(page); err != nil {
		return err
	}
	limited, cancelLimit := context.WithTimeout(page, pageTimeout)
	defer cancelLimit()
	return chromedp.Do(limited, steps...)
}

func entering(app App, username, password string, admitted bool) []chromedp.Action[chromedp.Void] {
	shown := app.Refused
	if admitted {
		shown = app.In
	}
	return []chromedp.Action[chromedp.Void]{
		chromedp.Navigate(app.SignInURL), chromedp.SetValue(chromedp.CSS(app.Username), username), chromedp.SetValue(chromedp.CSS(app.Password), password),
		chromedp.Click(chromedp.CSS(app.Enter)), chromedp.WaitVisible(chromedp.CSS(shown)),
	}
}

// SignIn signs in afresh, and is an error unless the app lets the script in or turns it away as told.
func (s *Script) SignIn(app App, username, password string, admitted bool) error {
	return s.page(entering(app, username, password, admitted)...)
}

// Rotate replaces a password and proves it: the new one accepted and then the old one refused, each
// in a fresh sign-in.
func (s *Script) Rotate(app App, username, old, next string) error {
	steps := append(entering(app, username, old, true), chromedp.Navigate(app.ChangeURL))
	if app.Reveal != "" {
		steps = append(steps, chromedp.Click(chromedp.CSS(app.Reveal)), chromedp.WaitVisible(chromedp.CSS(app.New)))
	}
	if app.Current != "" {
		steps = append(steps, chromedp.SetValue(chromedp.CSS(app.Current), old))
	}
	if app.Confirm != "" {
		steps = append(steps, chromedp.SetValue(chromedp.CSS(app.New), next), chromedp.SetValue(chromedp.CSS(app.Confirm), next))
	} else {
		// The page copies the field by its scripts, which listen to events.
		steps = append(steps, chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`{const p=document.querySelector(%q);p.value=%q;p.dispatchEvent(new Event('input',{bubbles:true}))}`, app.New, next)))
	}
	steps = append(steps, chromedp.Click(chromedp.CSS(app.Set)), chromedp.WaitVisible(chromedp.CSS(app.Changed)))
	if err := s.page(steps...); err != nil {
		return fmt.Errorf("change: %w", err)
	}
	if err := s.SignIn(app, username, next, true); err != nil {
		return fmt.Errorf("the new password: %w", err)
	}
	if err := s.SignIn(app, username, old, false); err != nil {
		return fmt.Errorf("the old password: %w", err)
	}
	return nil
}
