package console_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"postern/conformance/partstest"
)

// chromium is a real browser in a window as wide as a phone's. It ends with the test.
func chromium(t *testing.T) context.Context {
	t.Helper()
	path := os.Getenv("POSTERN_BROWSER")
	if path == "" {
		found, err := exec.LookPath("chromium")
		partstest.Need(t, "a browser", err)
		path = found
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(390, 844))
	if os.Geteuid() == 0 || os.Getenv("POSTERN_BROWSER_SANDBOX") == "off" {
		options = append(options, chromedp.NoSandbox)
	}
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	browser, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	if err := chromedp.Do(browser, chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile)); err != nil {
		t.Fatal(err)
	}
	limited, cancel := context.WithTimeout(browser, 90*time.Second)
	t.Cleanup(cancel)
	return limited
}

func steps(t *testing.T, browser context.Context, what string, all ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(browser, all...); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if folder := os.Getenv("POSTERN_SCREENSHOTS"); folder != "" {
		picture, err := chromedp.Run(browser, chromedp.CaptureScreenshot())
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, strings.ReplaceAll(what, " ", "-")+".png"), picture, 0o600)
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// wide tells whether the page is wider than the phone.
const wide = `document.documentElement.scrollWidth > document.documentElement.clientWidth`

func TestARecipientsWayOnAPhone(t *testing.T) {
	w := newWorld(t)
	w.post(t, "ana", "/accounts/"+w.wiki.ID.String()+"/totp", map[string][]string{"secret": {totpSeed}}, 303)
	path, page := w.makeLink(t, map[string][]string{"device": {"1"}, "level": {"filled"}})
	browser := chromium(t)
	css := func(selector string) chromedp.CSS { return chromedp.CSS(selector) }
	ask := func(email string) {
		t.Helper()
		steps(t, browser, "link asks who", chromedp.Navigate(w.server.URL+path), chromedp.WaitVisible(css("input[name=email]")))
		steps(t, browser, "link asks for a code", chromedp.SendKeys(css("input[name=email]"), email), chromedp.Click(css("button.main")), chromedp.WaitVisible(css("input[name=code]")))
	}
	open := func(code, shows, what string) {
		t.Helper()
		steps(t, browser, what, chromedp.SendKeys(css("input[name=code]"), code), chromedp.Click(css("button.main")), chromedp.WaitVisible(css(shows)))
	}
	ask("ada@example.com")
	code := w.lastCode(t, "ada@example.com")
	open("11112222", ".banner.bad", "link refuses a code")
	open(code, "#username", "link is open")
	text, err := chromedp.Run(browser, chromedp.Text(css(".door")))
	if err != nil || !strings.Contains(text, "team-wiki") || strings.Contains(text, canary) {
		t.Errorf("it shows %q, %v", text, err)
	}
	held, err := chromedp.Run(browser, chromedp.TextContent(css("#password")))
	if err != nil || held != canary {
		t.Errorf("it holds %q, %v", held, err)
	}
	copies, err := chromedp.Run(browser, chromedp.Evaluate[bool](`!document.querySelector("[data-clip=password]").hidden`))
	if err != nil || !copies {
		t.Errorf("the password can be copied: %v, %v", copies, err)
	}
	steps(t, browser, "link has a code", chromedp.Click(css("[data-code] button")), chromedp.WaitVisible(css("#one-time")))
	shown, err := chromedp.Run(browser, chromedp.Text(css("#one-time")))
	if err != nil || !regexp.MustCompile(`\d{6}.*good for \d+ s`).MatchString(strings.Join(strings.Fields(shown), " ")) {
		t.Errorf("the code: %q, %v", shown, err)
	}
	if over, err := chromedp.Run(browser, chromedp.Evaluate[bool](wide)); err != nil || over {
		t.Errorf("wider than the phone: %v, %v", over, err)
	}
	// The same device again; then one that knows the code, and not the device.
	ask("ada@example.com")
	open(w.lastCode(t, "ada@example.com"), "#username", "link is open again")
	stranger := chromium(t)
	browser = stranger
	ask("ada@example.com")
	open(w.lastCode(t, "ada@example.com"), "[role=alert]", "link on another device")
	w.expect(t, "ana", page, 200, []string{"Active", "Headless"}, nil)
}

func TestAGuestsWayOnAPhone(t *testing.T) {
	w := newWorld(t)
	if answer, text := w.ask(t, "zoe", "POST", "/guests", map[string][]string{"email": {"hal@example.com"}, "name": {"Hal"}, "days": {"7"}}); answer.StatusCode != 303 {
		t.Fatal(answer.StatusCode, text)
	}
	browser := chromium(t)
	css := func(selector string) chromedp.CSS { return chromedp.CSS(selector) }
	steps(t, browser, "guest asks", chromedp.Navigate(w.server.URL+"/guest/acme"), chromedp.WaitVisible(css("input[name=email]")))
	steps(t, browser, "guest has a code", chromedp.SendKeys(css("input[name=email]"), "hal@example.com"), chromedp.Click(css("button.main")), chromedp.WaitVisible(css("input[name=code]")))
	steps(t, browser, "guest is in", chromedp.SendKeys(css("input[name=code]"), w.lastCode(t, "hal@example.com")), chromedp.Click(css("button.main")), chromedp.WaitVisible(css("header.top")))
	text, err := chromedp.Run(browser, chromedp.Text(css("main")))
	if err != nil || strings.Contains(text, "team-wiki") {
		t.Errorf("a guest sees %q, %v", text, err)
	}
}
