package console_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"postern/conformance/partstest"
	"postern/core"
	"postern/oidc"
)

// browser starts a real one, which ends with the test.
func browser(t testing.TB) context.Context {
	t.Helper()
	partstest.Long(t, "a browser")
	executable := os.Getenv("POSTERN_BROWSER")
	if executable == "" {
		partstest.Need(t, "a browser", &core.Error{Kind: core.KindNotFound, Message: "$POSTERN_BROWSER names none: run 'make tools'"})
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(executable))
	if os.Geteuid() == 0 || os.Getenv("POSTERN_BROWSER_SANDBOX") == "off" {
		options = append(options, chromedp.NoSandbox)
	}
	limited, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	t.Cleanup(cancel)
	allocator, cancel := chromedp.NewExecAllocator(limited, options...)
	t.Cleanup(cancel)
	root, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	if err := chromedp.Do(root); err != nil {
		t.Fatal(err)
	}
	return root
}

// tab is a page of a browser in which somebody is signed in.
type tab struct {
	context.Context
	t testing.TB
	w *world
}

// open opens a tab of a profile of its own, with a script that every page begins with.
func (w *world) open(t testing.TB, browser context.Context, who, script string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1280, 900)); err != nil {
		t.Fatal(err)
	}
	if cookie := strings.TrimPrefix(w.cookies[who], oidc.SessionCookie+"="); cookie != "" {
		if _, err := chromedp.Call(ctx, network.SetCookie, network.SetCookieParams{Name: oidc.SessionCookie, Value: cookie, URL: w.server.URL + "/", Path: "/", Secure: new(true), HTTPOnly: new(true)}); err != nil {
			t.Fatal(err)
		}
	}
	if script != "" {
		if _, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script}); err != nil {
			t.Fatal(err)
		}
	}
	one := &tab{ctx, t, w}
	one.scheme("light")
	return one
}

// scheme has pages drawn light or dark, without anything moving.
func (b *tab) scheme(name string) {
	b.t.Helper()
	_, err := chromedp.Call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: name}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	limited, cancel := context.WithTimeout(b, 20*time.Second)
	defer cancel()
	if err := chromedp.Do(limited, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// goTo opens a page of the console.
func (b *tab) goTo(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.w.server.URL + path))
}

// evaluated is what a script in the page comes to.
func evaluated[T any](b *tab, script string) T {
	b.t.Helper()
	limited, cancel := context.WithTimeout(b, 20*time.Second)
	defer cancel()
	value, err := chromedp.Run(limited, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", script, err)
	}
	return value
}

// axe is the source of axe-core.
func axe(t testing.TB) string {
	t.Helper()
	part := "node_modules/axe-core/axe.min.js"
	source, err := os.ReadFile(filepath.Join(partstest.Suites(t, part), part))
	if err != nil {
		t.Fatal(err)
	}
	return string(source)
}
