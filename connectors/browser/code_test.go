package browser

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"postern/conformance/partstest"
	"postern/core"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/deploy/local/apps"
)

const totpSecret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"

// codes gives the codes of one time step after the other, beginning a little in the past: MediaWiki allows for clocks
// that are two minutes off, and takes no step twice nor an earlier one after a later.
type codes struct {
	next time.Time
	last string
	asks int
}

func newCodes() *codes { return &codes{next: time.Now().Add(-90 * time.Second)} }

func (c *codes) code(context.Context) (seal.Secret, error) {
	c.asks++
	if earliest := time.Now().Add(-90 * time.Second); c.next.Before(earliest) {
		c.next = earliest // on a busy machine the sign-ins fall behind their steps
	}
	code, err := totp.GenerateCode(totpSecret, c.next)
	c.next, c.last = c.next.Add(30*time.Second), code
	return seal.NewSecret(code), err
}

func (c *codes) with(username, password string) rotation.Credential {
	given := credential(username, password)
	given.Code = c.code
	return given
}

func always(code string) func(context.Context) (seal.Secret, error) {
	return func(context.Context) (seal.Secret, error) { return seal.NewSecret(code), nil }
}

// TestARealAppAsksForCodes rotates a password where every sign-in wants a code that none has had before.
func TestARealAppAsksForCodes(t *testing.T) {
	partstest.Long(t, "web application")
	b := connector(t)
	site := started(t, "MediaWiki", apps.StartMediaWiki, "Shared")
	if err := site.Enrol(t.Context(), "Shared", totpSecret); err != nil {
		t.Fatal(err)
	}
	target := rotation.Target{AppName: "MediaWiki", Domains: []string{"127.0.0.1"}, SignInURL: site.SignInURL, ChangeURL: site.ChangeURL}
	phone := newCodes()

	report := b.Verify(short(t), target, credential("Shared", first))
	expect(t, report, rotation.Challenge, rotation.StageVerify)
	if !strings.Contains(report.Detail, "TOTP secret") {
		t.Errorf("nobody is told what to do: %q", report.Detail)
	}
	expect(t, b.Verify(short(t), target, phone.with("Shared", first)), rotation.Accepted, rotation.StageVerify)
	spent := credential("Shared", first)
	spent.Code = always(phone.last)
	report = b.Verify(short(t), target, spent)
	expect(t, report, rotation.Challenge, rotation.StageVerify)
	if !strings.Contains(report.Detail, "refuses the code") {
		t.Errorf("the code was used before, and what is said is %q", report.Detail)
	}
	asked := phone.asks
	expect(t, b.Verify(short(t), target, phone.with("Shared", "wrong")), rotation.Rejected, rotation.StageVerify)
	if phone.asks != asked {
		t.Error("a code was spent on a password that the app had refused")
	}

	var count counter
	expect(t, b.Change(short(t), target, phone.with("Shared", first), seal.NewSecret(second), count.release), rotation.Applied, rotation.StageSubmit)
	if count.calls != 1 {
		t.Errorf("released %d times", count.calls)
	}
	expect(t, b.Verify(short(t), target, phone.with("Shared", second)), rotation.Accepted, rotation.StageVerify)
	expect(t, b.Verify(short(t), target, phone.with("Shared", first)), rotation.Rejected, rotation.StageVerify)
}

// keypad is an app that asks for a code: in the sign-in form itself, or on a page of its own, whatever the password was.
type keypad struct {
	single bool
	code   string
	said   string // of a refusal; %s is replaced by the code
	send   func() // has the code sent to whoever gave the right password, if set
	wrong  atomic.Int64
}

func (k *keypad) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	page := func(text string) {
		_, _ = fmt.Fprintf(w, "<!doctype html><title>Keypad</title><h1>Keypad</h1>%s", text)
	}
	form := `<form method="post" action="/sign-in"><label>User name <input name="user"></label><label>Password <input type="password" name="password"></label>`
	if k.single {
		form += `<label>One-time code <input name="otp" inputmode="numeric"></label>`
	}
	form += `<button>Sign in</button></form>`
	second := `<form method="post" action="/code"><input type="hidden" name="password" value="%s"><label>Verification code <input name="otp"></label><button>Continue</button></form>`
	inside := `<p>Welcome</p><a href="/sign-out">Sign out</a>`
	refused := func() {
		k.wrong.Add(1)
		page(`<p role="alert">` + strings.ReplaceAll(k.said, "%s", r.FormValue("otp")) + `</p>` + form)
	}
	right := r.FormValue("password") == first
	switch {
	case r.Method != http.MethodPost:
		page(form)
	case r.URL.Path == "/sign-in" && !k.single:
		mark := "wrong"
		if right {
			mark = first
			if k.send != nil {
				k.send()
			}
		}
		page(fmt.Sprintf(second, mark))
	case !right || r.FormValue("otp") != k.code:
		refused()
	default:
		page(inside)
	}
}

// Where the app asks for code and password at once, or for the code whatever the password was, only what is certain is
// called a wrong password.
func TestWhatARefusedCodeProves(t *testing.T) {
	b := connector(t)
	for name, tell := range map[string]struct {
		app            *keypad
		password, code string
		want           rotation.Outcome
	}{
		"at once, both right":                       {&keypad{single: true}, first, "135790", rotation.Accepted},
		"at once, a wrong password":                 {&keypad{single: true, said: "Wrong user name or password."}, "wrong", "135790", rotation.Rejected},
		"at once, one of them":                      {&keypad{single: true, said: "Wrong user name, password or code."}, "wrong", "135790", rotation.Rejected},
		"at once, a wrong code":                     {&keypad{single: true, said: "The code %s is not valid."}, first, "135791", rotation.Challenge},
		"at once, no code to give":                  {&keypad{single: true, said: "Wrong user name or password."}, first, "", rotation.Challenge},
		"after it, both right":                      {&keypad{}, first, "135790", rotation.Accepted},
		"after it, a wrong password":                {&keypad{said: "Wrong user name or password."}, "wrong", "135790", rotation.Challenge},
		"after it, a wrong code, the password back": {&keypad{said: "Sign-in failed: %s."}, first, "135791", rotation.Challenge},
	} {
		t.Run(name, func(t *testing.T) {
			app := tell.app
			app.code = "135790"
			server := httptest.NewServer(app)
			t.Cleanup(server.Close)
			given := credential("quay", tell.password)
			if tell.code != "" {
				given.Code = always(tell.code)
			}
			target := rotation.Target{AppName: "Keypad", Domains: []string{"127.0.0.1"}, SignInURL: server.URL + "/sign-in"}
			report := b.Verify(short(t), target, given)
			expect(t, report, tell.want, rotation.StageVerify)
			if tell.code != "" && strings.Contains(report.Detail+string(report.Model), tell.code) {
				t.Errorf("the report shows the code: %s %s", report.Detail, report.Model)
			}
			if app.wrong.Load() > 1 {
				t.Errorf("it was tried %d times", app.wrong.Load())
			}
		})
	}
}

// A code that the app sends is there once it was asked for, and not before.
func TestACodeThatIsSent(t *testing.T) {
	b := connector(t)
	none := core.Unavailable(0, "no message with a code came").WithCode("no_message")
	for name, tell := range map[string]struct {
		app  *keypad
		sent string // what comes; empty: nothing
		want rotation.Outcome
		says string
	}{
		"it comes":                  {&keypad{}, "135790", rotation.Accepted, ""},
		"another one comes":         {&keypad{said: "Sign-in failed: %s."}, "135791", rotation.Challenge, "refuses the code"},
		"none comes":                {&keypad{}, "", rotation.Challenge, "no message with a code came"},
		"it is asked for too early": {&keypad{single: true, said: "Wrong user name or password."}, "135790", rotation.Challenge, "beside the password"},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Bool
			tell.app.code, tell.app.send = "135790", func() { asked.Store(true) }
			server := httptest.NewServer(tell.app)
			t.Cleanup(server.Close)
			given := credential("quay", first)
			given.Sent, given.Code = true, func(context.Context) (seal.Secret, error) {
				if !asked.Load() {
					t.Error("a code was waited for before the app sent one")
				}
				if tell.sent == "" {
					return seal.Secret{}, none
				}
				return seal.NewSecret(tell.sent), nil
			}
			target := rotation.Target{AppName: "Keypad", Domains: []string{"127.0.0.1"}, SignInURL: server.URL + "/sign-in"}
			report := b.Verify(short(t), target, given)
			expect(t, report, tell.want, rotation.StageVerify)
			if !strings.Contains(report.Detail, tell.says) {
				t.Errorf("a person is told %q", report.Detail)
			}
		})
	}
}
