package browser

import (
	"context"
	"errors"
	"time"

	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// errClosed: the window that the sign-in opened is gone, and the page that opened it has the word.
var errClosed = errors.New("the window has closed")

// await is tab.await while somebody signs in. A window that the page opens meanwhile is where the sign-in goes on, until it closes.
func (j *job) await(ctx context.Context, patience time.Duration, options lookOptions, done func(view) bool) (view, error) {
	deadline := time.Now().Add(patience)
	for {
		satisfied := false
		now, err := j.tab.await(ctx, time.Until(deadline), options, func(now view) bool {
			if j.tab.strays(now) {
				return true
			}
			satisfied = done(now)
			return satisfied || j.tab.hasOpened()
		})
		switch {
		case errors.Is(err, errClosed), err == nil && j.tab.strays(now):
			j.tab = j.tab.opener
		case err != nil || satisfied:
			return now, err
		default:
			if err := j.enterWindow(ctx); err != nil {
				return now, err
			}
		}
	}
}

// enterWindow goes on in the window that the page has opened last, if it is still there.
func (j *job) enterWindow(ctx context.Context) error {
	t := j.tab
	t.mutex.Lock()
	t.opened = false
	t.mutex.Unlock()
	listed, err := command(ctx, chromedp.FromContext(t.ctx).Browser, target.GetTargets, target.GetTargetsParams{})
	if err != nil {
		return t.fault(ctx, err)
	}
	for _, info := range listed.TargetInfos {
		if info.Type != "page" || string(info.OpenerID) != string(t.frame) || info.BrowserContextID != t.context || t.entered[info.TargetID] {
			continue
		}
		t.entered[info.TargetID] = true
		root, cancel := chromedp.NewContext(t.ctx, chromedp.WithTargetID(info.TargetID))
		// The first command binds the window to its context, so the time limit comes from outside.
		limit := time.AfterFunc(answerTimeout, cancel)
		err := chromedp.Do(root)
		limit.Stop()
		if err != nil {
			cancel()
			continue // it has closed already
		}
		window, err := newTab(root, t.proxy, t)
		if err != nil {
			cancel()
			continue
		}
		j.tab = window
	}
	return nil
}

// hasOpened reports whether the page has opened a window that nobody has gone to.
func (t *tab) hasOpened() bool {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return t.opened
}

// strays reports whether a window shows a page that is not the app's: no sign-in goes on in it.
func (t *tab) strays(now view) bool {
	return t.opener != nil && now.Address != "" && now.Address != "about:blank" && !t.proxy.admits(now.Address)
}

// isClosed reports whether the window is gone that a page opened.
func (t *tab) isClosed() bool {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return t.opener != nil && (t.closed || t.ctx.Err() != nil)
}
