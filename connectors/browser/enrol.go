package browser

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"image/png"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"postern/core/rotation"
	"postern/core/seal"
)

// factor is what ways.js finds of a second factor on a page.
type factor struct {
	Addresses []string  `json:"addresses"` // otpauth://
	Texts     []string  `json:"texts"`     // what may be a secret in base32
	Pictures  []picture `json:"pictures"`  // what may be a QR code
	Ways      []way     `json:"ways"`
}

type picture struct{ X, Y, Width, Height float64 }

type way struct {
	Ref     int    `json:"ref"`
	Label   string `json:"label"`
	Address string `json:"address"`
	Score   int    `json:"score"`
}

// hops is how many pages and buttons there may be between signing in and the secret.
const hops = 6

// keep is what the secret is handed to before a code leaves; see rotation.Enroller.
type keep = func(ctx context.Context, secret seal.Secret) (code seal.Secret, err error)

// Enrol implements rotation.Enroller.
func (b *Browser) Enrol(ctx context.Context, target rotation.Target, credential rotation.Credential, keep keep) rotation.Report {
	j := b.newJob(target, credential.Password)
	j.unseen = true // a picture would show the secret
	j.run(ctx, func(ctx context.Context) {
		j.stage = rotation.StageNavigate
		if outcome := j.signIn(ctx, credential); outcome != rotation.Accepted {
			j.outcome = outcome
			return
		}
		j.stage = rotation.StageEnrolForm
		if outcome := j.enrol(ctx, credential, keep); outcome != "" {
			j.outcome = outcome
		}
	})
	return j.report
}

func (j *job) enrol(ctx context.Context, credential rotation.Credential, keep keep) rotation.Outcome {
	secret, outcome := j.secret(ctx, credential)
	if outcome != "" {
		return outcome
	}
	form := j.last.form("code")
	code, err := keep(ctx, secret)
	if err != nil {
		return j.end(rotation.NotSent, "The second factor was called off before a code was sent.")
	}
	j.conceal(code)
	j.stage = rotation.StageSubmit
	var fields entries
	fields.add(form.field("code"), code.Reveal())
	fields.add(form.field("current"), credential.Password.Reveal())
	j.remember()
	j.sent = true
	if err := j.enter(ctx, form, fields); err != nil {
		if errors.Is(err, errFields) || errors.Is(err, errButton) || errors.Is(err, errValid) || errors.Is(err, errEmpty) {
			j.sent = false
			return j.end(rotation.NotSent, "The form for the code could not be used: %s.", err)
		}
		return j.failed(err, "the code could not be sent")
	}
	if outcome := j.enrolled(ctx); outcome != rotation.Applied {
		return outcome
	}
	j.report.BackupCodes = j.backupCodes(ctx, credential, keep)
	return j.outcome
}

// secret goes from page to page until one shows the secret and asks for a code, and reads it.
func (j *job) secret(ctx context.Context, credential rotation.Credential) (seal.Secret, rotation.Outcome) {
	options := lookOptions{Lines: true}
	if address := j.settings.Enrol.URL; address != "" {
		if outcome := j.open(ctx, address, "page of the second factor", options, view.loaded); outcome != "" {
			return seal.Secret{}, outcome
		}
	}
	if err := j.before(ctx, j.settings.Enrol.Before); err != nil {
		return seal.Secret{}, j.missing(err, "what the settings say to press before the second factor is not there")
	}
	var been []string
	asked := false // the password was given in the document that was shown then
	for range hops {
		var found factor
		now, err := j.tab.await(ctx, min(j.patience, 10*time.Second), options, func(now view) bool {
			if !now.loaded() || now.Pending || now.Same && now.Ready != "complete" {
				return false
			}
			if asked && now.Same && now.form("password") != nil && now.form("code") == nil {
				return false // it is on its way to the next one
			}
			var err error
			if found, err = ask[factor](ctx, j.tab, "factor"); err != nil {
				return false
			}
			return now.form("code") != nil || now.form("password") != nil || found.next(been) != nil
		})
		if now.Ready != "" {
			j.last = now
		}
		if err != nil && !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return seal.Secret{}, j.failed(cmp.Or(ctx.Err(), err), "the page of the second factor did not come")
		}
		if form := j.last.form("password"); form != nil && j.last.form("code") == nil && !(asked && j.last.Same) {
			var fields entries
			fields.add(form.field("current"), credential.Password.Reveal())
			if err := j.enter(ctx, form, fields); err != nil && !errors.Is(err, errMoving) {
				return seal.Secret{}, j.missing(err, "the app's question for the current password could not be answered")
			}
			asked = true
			continue
		}
		if j.last.form("code") != nil {
			if secret, outcome := j.read(ctx, found); outcome != "" || !secret.IsZero() {
				return secret, outcome
			}
		}
		on := found.next(been)
		if on == nil {
			break
		}
		been, asked = append(been, on.name()), false
		if _, err := ask[bool](ctx, j.tab, "follow", on.Ref); err != nil && !errors.Is(err, errMoving) {
			return seal.Secret{}, j.missing(err, "the way to the second factor did not work")
		}
	}
	return seal.Secret{}, j.end(rotation.FormNotFound, "Postern found no page that shows a secret for one-time codes and asks for one. Give its address in the app's settings (enrol.url).")
}

func (w way) name() string { return w.Label + " " + w.Address }

// next is the likeliest way that has not been gone.
func (f factor) next(been []string) *way {
	for i := range f.Ways {
		if !slices.Contains(been, f.Ways[i].name()) {
			return &f.Ways[i]
		}
	}
	return nil
}

// read takes the secret from a page: from an address in it, a QR code, or the secret spelt out. Where several of them
// are to be had they must be the same.
func (j *job) read(ctx context.Context, found factor) (seal.Secret, rotation.Outcome) {
	addresses := found.Addresses
	for _, one := range found.Pictures {
		text, err := j.scan(ctx, one)
		if err != nil {
			return seal.Secret{}, j.failed(err, "the QR code could not be looked at")
		}
		if strings.HasPrefix(strings.ToLower(text), "otpauth://totp/") {
			addresses = append(addresses, text)
		}
	}
	keys := map[string]bool{}
	for _, address := range addresses {
		keys[keyOf(address)] = true
	}
	delete(keys, "")
	for _, text := range append(slices.Clone(addresses), found.Texts...) {
		j.conceal(seal.NewSecret(text))
	}
	for key := range keys {
		j.conceal(seal.NewSecret(key))
	}
	switch {
	case len(keys) > 1:
		return seal.Secret{}, j.end(rotation.FormNotFound, "The page shows more than one secret for one-time codes.")
	case len(keys) == 1:
		return seal.NewSecret(addresses[slices.IndexFunc(addresses, func(address string) bool { return keyOf(address) != "" })]), ""
	}
	spelt := map[string]string{}
	for _, text := range found.Texts {
		spelt[compact(text)] = text
	}
	if len(spelt) != 1 {
		return seal.Secret{}, "" // another page may tell
	}
	for key := range spelt {
		j.conceal(seal.NewSecret(key))
		return seal.NewSecret(key), ""
	}
	return seal.Secret{}, ""
}

// keyOf is the secret of an otpauth:// address; empty if it has none.
func keyOf(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return compact(parsed.Query().Get("secret"))
}

func compact(secret string) string {
	return strings.ToUpper(strings.TrimRight(strings.NewReplacer(" ", "", "-", "").Replace(secret), "="))
}

// margin is left around a QR code, which needs a quiet zone that some pages do not give it.
const margin = 24

// scan reads a QR code off the page; empty if there is none.
func (j *job) scan(ctx context.Context, one picture) (string, error) {
	shot, err := cdp.Call(ctx, j.tab.target, page.CaptureScreenshot, page.CaptureScreenshotParams{
		Format: page.CaptureScreenshotFormatPng, CaptureBeyondViewport: new(true),
		Clip: &page.Viewport{X: max(0, one.X-margin), Y: max(0, one.Y-margin), Width: one.Width + 2*margin, Height: one.Height + 2*margin, Scale: 2},
	})
	if err != nil {
		return "", j.tab.fault(ctx, err)
	}
	return qrText(shot.Data), nil
}

// qrText is what the QR code of a picture says; empty if it shows none.
func qrText(picture []byte) string {
	drawn, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		return ""
	}
	bitmap, err := gozxing.NewBinaryBitmapFromImage(drawn)
	if err != nil {
		return ""
	}
	result, err := qrcode.NewQRCodeReader().Decode(bitmap, map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_TRY_HARDER: true})
	if err != nil {
		return ""
	}
	return result.GetText()
}

// enrolled waits for the app's answer to the first code. What it says is evidence; a sign-in with the next code is proof.
func (j *job) enrolled(ctx context.Context) rotation.Outcome {
	var outcome rotation.Outcome
	var detail string
	now, err := j.tab.await(ctx, j.patience, lookOptions{Lines: true, Early: true}, func(now view) bool {
		outcome, detail = "", ""
		if now.Pending || now.Ready == "loading" {
			return false
		}
		if complaints := j.complaints(now); len(complaints) > 0 {
			outcome, detail = rotation.Refused, "The app refuses the first code: "+complaints[0]
			return true
		}
		if now.Ready == "complete" && now.form("code") == nil {
			outcome, detail = rotation.Applied, "The app took the first code."
			return true
		}
		return false
	})
	if now.Ready != "" {
		j.last = now
	}
	switch {
	case err == nil:
		return j.end(outcome, "%s", detail)
	case now.Status >= 500 && !now.Same:
		return j.end(rotation.Unknown, "The app answered the code with HTTP status %d.", now.Status)
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		return j.end(rotation.Unknown, "Nothing on the page says whether the second factor is on.")
	}
	return j.failed(err, "it never answered the code")
}
