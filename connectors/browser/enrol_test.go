package browser

import (
	"bytes"
	"context"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"postern/conformance/partstest"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/deploy/local/apps"
)

// authenticator keeps a secret, and makes the codes of one time step after the other.
type authenticator struct {
	secret  seal.Secret
	next    time.Time
	calls   int
	further int // codes it was asked for besides
	err     error
}

func (a *authenticator) keep(ctx context.Context, secret seal.Secret) (seal.Secret, error) {
	if secret.IsZero() {
		a.further++
		select {
		case <-ctx.Done():
		case <-time.After(time.Until(a.next)):
		}
		return a.code(ctx)
	}
	a.calls++
	a.secret, a.next = secret, time.Now().Add(-30*time.Second)
	if a.err != nil {
		return seal.Secret{}, a.err
	}
	return a.code(ctx)
}

func (a *authenticator) code(context.Context) (seal.Secret, error) {
	text := a.secret.Reveal()
	if key, err := otp.NewKeyFromURL(text); err == nil && strings.HasPrefix(text, "otpauth:") {
		text = key.Secret()
	}
	code, err := totp.GenerateCode(text, a.next)
	a.next = a.next.Add(30 * time.Second)
	return seal.NewSecret(code), err
}

// TestARealAppTurnsItsSecondFactorOn goes all the way: from an account with a password alone to one that wants codes, with
// no setting but the address of the account's page, and then rotates the password.
func TestARealAppTurnsItsSecondFactorOn(t *testing.T) {
	partstest.Long(t, "web application")
	t.Parallel() // it waits for the next codes
	b := connector(t)
	site := started(t, "Redmine", apps.StartRedmine, "shared")
	target := rotation.Target{AppName: "Redmine", Domains: []string{"127.0.0.1"}, SignInURL: site.SignInURL, ChangeURL: site.ChangeURL}

	var called authenticator
	called.err = errors.New("called off")
	expect(t, b.Enrol(short(t), target, credential("shared", first), called.keep), rotation.NotSent, rotation.StageEnrolForm)
	if called.calls != 1 {
		t.Errorf("asked %d times", called.calls)
	}
	expect(t, b.Verify(short(t), target, credential("shared", first)), rotation.Accepted, rotation.StageVerify)
	var wrong authenticator
	expect(t, b.Enrol(short(t), target, credential("shared", "wrong"), wrong.keep), rotation.Rejected, rotation.StageSignIn)

	var phone authenticator
	report := b.Enrol(short(t), target, credential("shared", first), phone.keep)
	expect(t, report, rotation.Applied, rotation.StageSubmit)
	if !report.Released || phone.calls != 1 || report.Screenshot != nil {
		t.Errorf("released %v after %d calls, %d bytes of picture", report.Released, phone.calls, len(report.Screenshot))
	}
	if len(report.BackupCodes) != 10 || phone.further != 1 {
		t.Errorf("%d backup codes, for %d codes", len(report.BackupCodes), phone.further)
	}
	for _, one := range report.BackupCodes {
		if strings.Contains(report.Detail+string(report.Model), one.Reveal()) || len(one.Reveal()) != 14 {
			t.Errorf("a backup code of %d characters, or in the report", len(one.Reveal()))
		}
	}
	if len(report.BackupCodes) > 0 {
		rescued := credential("shared", first)
		rescued.Code = always(report.BackupCodes[0].Reveal())
		expect(t, b.Verify(short(t), target, rescued), rotation.Accepted, rotation.StageVerify)
	}
	if strings.Contains(report.Detail+string(report.Model), keyOf(phone.secret.Reveal())) {
		t.Error("the report shows the secret")
	}
	expect(t, b.Verify(short(t), target, credential("shared", first)), rotation.Challenge, rotation.StageVerify)

	// Redmine takes no step twice; the next ones are a while away.
	waited := func(password string) rotation.Credential {
		one := credential("shared", password)
		one.Code = func(ctx context.Context) (seal.Secret, error) {
			select {
			case <-ctx.Done():
			case <-time.After(time.Until(phone.next)):
			}
			return phone.code(ctx)
		}
		return one
	}
	long, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var count counter
	expect(t, b.Verify(long, target, waited(first)), rotation.Accepted, rotation.StageVerify)
	expect(t, b.Change(long, target, waited(first), seal.NewSecret(second), count.release), rotation.Applied, rotation.StageSubmit)
	expect(t, b.Verify(long, target, waited(second)), rotation.Accepted, rotation.StageVerify)
	expect(t, b.Verify(long, target, waited(first)), rotation.Rejected, rotation.StageVerify)
}

// desk is an app whose second factor is shown in one of several ways.
type desk struct {
	shown string // what the page of the secret shows, beside the form
	asks  bool   // for the password before it shows anything
	late  bool   // sends that a while after the button was pressed
	deaf  bool   // takes no code
	took  atomic.Int64
	sure  atomic.Int64 // how often the password was given again
}

const deskSecret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"

func (d *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	page := func(text string) {
		_, _ = fmt.Fprintf(w, "<!doctype html><title>Desk</title><h1>Desk</h1>%s", text)
	}
	inside := `<a href="/sign-out">Sign out</a> <a href="/elsewhere">News</a> <a href="/security">Security</a>`
	code := `<form method="post" action="/on"><label>Verification code <input name="otp"></label><button>Activate</button></form>`
	switch r.Method + " " + r.URL.Path {
	case "GET /":
		page(`<form method="post" action="/"><label>User name <input name="user"></label><label>Password <input type="password" name="password"></label><button>Sign in</button></form>`)
	case "POST /":
		page(`<p>Welcome</p>` + inside)
	case "GET /security":
		page(inside + `<p><a href="/remove">Remove my two-factor authentication</a></p><section><h2>Two-factor authentication</h2><p>Off</p><form method="post" action="/begin"><button>Enable</button></form></section>`)
	case "POST /begin":
		if d.asks {
			script := ""
			if d.late {
				script = `<script>document.forms[0].addEventListener('submit', (e) => { e.preventDefault(); setTimeout(() => e.target.submit(), 1000) })</script>`
			}
			page(inside + `<form method="post" action="/sure"><label>Current password <input type="password" name="password"></label><button>Continue</button></form>` + script)
			return
		}
		page(inside + d.shown + code)
	case "POST /sure":
		d.sure.Add(1)
		page(inside + d.shown + code)
	case "POST /on":
		valid := totp.Validate(r.FormValue("otp"), deskSecret)
		if d.deaf || !valid {
			page(inside + `<p role="alert">The code is not valid.</p>` + d.shown + code)
			return
		}
		d.took.Add(1)
		page(inside + `<p>Two-factor authentication is on.</p>`)
	default:
		w.WriteHeader(http.StatusNotFound)
		page(`<p>Nothing here</p>` + inside)
	}
}

func TestEnrol(t *testing.T) {
	const address = "otpauth://totp/Desk:quay?secret=" + deskSecret + "&issuer=localhost_3000"
	picture := func(text string) string { return `<p><img alt="" src="` + qrCode(t, text) + `"></p>` }
	b := connector(t)
	for name, tell := range map[string]struct {
		app   *desk
		want  rotation.Outcome
		calls int
	}{
		"an address in a link":         {&desk{shown: `<a href="` + address + `">Open your app</a>`}, rotation.Applied, 1},
		"an address in the text":       {&desk{shown: `<p>Copy this: ` + strings.ReplaceAll(address, "&", "&amp;") + ` into your app.</p>`}, rotation.Applied, 1},
		"a picture":                    {&desk{shown: picture(address)}, rotation.Applied, 1},
		"a picture and the same text":  {&desk{shown: picture(address) + `<code>JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP</code>`}, rotation.Applied, 1},
		"text in groups":               {&desk{shown: `<p>Enter <b>jbsw y3dp ehpk 3pxp jbsw y3dp ehpk 3pxp</b></p>`}, rotation.Applied, 1},
		"a field that cannot be typed": {&desk{shown: `<input readonly value="` + deskSecret + `">`}, rotation.Applied, 1},
		"after the password again":     {&desk{shown: picture(address), asks: true}, rotation.Applied, 1},
		"after the password, late":     {&desk{shown: picture(address), asks: true, late: true}, rotation.Applied, 1},
		"an app that takes no code":    {&desk{shown: picture(address), deaf: true}, rotation.Refused, 1},
		"two secrets":                  {&desk{shown: picture(address) + `<a href="otpauth://totp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ">Open</a>`}, rotation.FormNotFound, 0},
		"a picture of something else":  {&desk{shown: picture("https://example.com/app")}, rotation.FormNotFound, 0},
		"something as long beside it":  {&desk{shown: `<p>` + strings.Repeat("pilot", 30) + `!</p>` + picture(address)}, rotation.Applied, 1},
		"a page full of secrets":       {&desk{shown: "<ul>" + spelt(20000) + "</ul>"}, rotation.FormNotFound, 0},
		"no secret":                    {&desk{shown: `<p>We have sent you a text message.</p>`}, rotation.FormNotFound, 0},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(tell.app)
			t.Cleanup(server.Close)
			target := rotation.Target{AppName: "Desk", Domains: []string{"127.0.0.1"}, SignInURL: server.URL + "/"}
			if tell.want == rotation.FormNotFound {
				target.Settings = []byte(`{"timeout_seconds": 5}`) // what never comes is waited for
			}
			calls := 0
			report := b.Enrol(short(t), target, credential("quay", first), func(_ context.Context, secret seal.Secret) (seal.Secret, error) {
				calls++
				if got := secret.Reveal(); got != deskSecret && keyOf(got) != deskSecret {
					t.Errorf("the secret is read as %q", got)
				}
				code, err := totp.GenerateCode(deskSecret, time.Now())
				return seal.NewSecret(code), err
			})
			if report.Outcome != tell.want || calls != tell.calls {
				t.Errorf("%s after %d calls: %s", report.Outcome, calls, report.Detail)
			}
			if sure := tell.app.sure.Load(); sure > 1 {
				t.Errorf("the password was given %d times", sure)
			}
			if on := tell.app.took.Load() > 0; on != (tell.want == rotation.Applied) {
				t.Errorf("the second factor is on: %v", on)
			}
			if text := report.Detail + string(report.Model); strings.Contains(strings.ToUpper(strings.ReplaceAll(text, " ", "")), deskSecret) || report.Screenshot != nil {
				t.Errorf("the report shows the secret: %s", text)
			}
		})
	}
}

// spelt is a list of texts that all look like a secret.
func spelt(count int) string {
	var list strings.Builder
	for number := range count {
		fmt.Fprintf(&list, "<li>%s", base32.StdEncoding.EncodeToString(fmt.Appendf(nil, "Secret-number-%06d", number)))
	}
	return list.String()
}

// qrCode is a picture of a text, with nothing around it.
func qrCode(t *testing.T, text string) string {
	t.Helper()
	matrix, err := qrcode.NewQRCodeWriter().Encode(text, gozxing.BarcodeFormat_QR_CODE, 0, 0, map[gozxing.EncodeHintType]any{gozxing.EncodeHintType_MARGIN: 0})
	if err != nil {
		t.Fatal(err)
	}
	const scale = 4
	drawn := image.NewGray(image.Rect(0, 0, matrix.GetWidth()*scale, matrix.GetHeight()*scale))
	for y := range drawn.Rect.Dy() {
		for x := range drawn.Rect.Dx() {
			if !matrix.Get(x/scale, y/scale) {
				drawn.SetGray(x, y, color.Gray{Y: 255})
			}
		}
	}
	var encoded bytes.Buffer
	if err := png.Encode(&encoded, drawn); err != nil {
		t.Fatal(err)
	}
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(encoded.Bytes())
}
