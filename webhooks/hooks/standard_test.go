package hooks_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"postern/core/seal"
	"postern/core/signals"
	"postern/webhooks/hooks"
)

func mapping() *hooks.Mapping {
	return &hooks.Mapping{
		Kinds:    map[string]signals.Kind{"user.disabled": signals.AccountDisabled, "session.revoked": signals.SessionRevoked},
		Subjects: []hooks.Pointer{{Format: signals.FormatEmail, Pointer: "/data/email"}, {Format: signals.FormatOpaque, Pointer: "/data/people/0/id"}},
	}
}

func TestStandardWebhook(t *testing.T) {
	w := newWorld(t)
	made := w.create(t, w.acme, hooks.NewHook{Kind: hooks.Standard, Settings: hooks.Settings{Mapping: mapping()}})
	other := w.create(t, w.globex, hooks.NewHook{Kind: hooks.Standard, Settings: hooks.Settings{Mapping: mapping()}})
	address := w.service.URL(made.Hook)
	signed := func(secret seal.Secret, id string, at time.Time, body string) map[string]string {
		t.Helper()
		signer, err := standardwebhooks.NewWebhook(secret.Reveal())
		must(t, err)
		signature, err := signer.Sign(id, at, []byte(body))
		must(t, err)
		return map[string]string{"webhook-id": id, "webhook-timestamp": strconv.FormatInt(at.Unix(), 10), "webhook-signature": "v1,AAAA v9,x " + signature}
	}
	now := time.Now()
	body := `{"type":"session.revoked","timestamp":"` + now.UTC().Format(time.RFC3339) + `","data":{"email":"ANA@example.com"}}`
	for name, header := range map[string]map[string]string{
		"unsigned":               {},
		"of the other hook":      signed(other.Secret, "m1", now, body),
		"too old":                signed(made.Secret, "m1", now.Add(-6*time.Minute), body),
		"too new":                signed(made.Secret, "m1", now.Add(6*time.Minute), body),
		"of another body":        signed(made.Secret, "m1", now, body+" "),
		"a time that is no time": {"webhook-id": "m1", "webhook-timestamp": "soon", "webhook-signature": "v1,AAAA"},
	} {
		if status := w.post(t, address, body, header); status != 401 {
			t.Errorf("%s: %d", name, status)
		}
	}
	if !w.signedIn(t, w.acme, w.acme.ana) {
		t.Fatal("a stranger ended a session")
	}
	if status := w.post(t, strings.Replace(address, made.ID.String(), other.ID.String(), 1), body, signed(other.Secret, "m1", now, body)); status != 401 {
		t.Error("a hook of another connection:", status)
	}
	if status := w.post(t, address, body, signed(made.Secret, "m1", now, body)); status != 204 || w.signedIn(t, w.acme, w.acme.ana) || !w.signedIn(t, w.globex, w.globex.ana) {
		t.Fatal(status)
	}
	// Again is as once, even if it is sent later; the same id for something else is refused.
	w.ahead.Store(int64(10 * time.Minute))
	if status := w.post(t, address, body, signed(made.Secret, "m1", now.Add(10*time.Minute), body)); status != 204 {
		t.Fatal(status)
	}
	changed := strings.Replace(body, "ANA", "ben", 1)
	if status := w.post(t, address, changed, signed(made.Secret, "m1", now.Add(10*time.Minute), changed)); status != 401 || !w.signedIn(t, w.acme, w.acme.ben) {
		t.Fatal(status)
	}
	if got := w.Receipts(t, w.acme.workspace.ID); len(got) != 1 || got[0].Evidence.TokenID != "m1" {
		t.Fatalf("%+v", got)
	}
	for name, bad := range map[string]string{"not JSON": "x", "nobody": `{"type":"user.disabled","data":{}}`} {
		if status := w.post(t, address, bad, signed(made.Secret, "m-"+name, now.Add(10*time.Minute), bad)); status != 400 {
			t.Errorf("%s: %d", name, status)
		}
	}

	// v1a: the sender signs with its own key.
	public, private, err := ed25519.GenerateKey(nil)
	must(t, err)
	own := w.create(t, w.globex, hooks.NewHook{Name: "v1a", Kind: hooks.Standard, Settings: hooks.Settings{Mapping: mapping()}, Secret: seal.NewSecret("whpk_" + base64.StdEncoding.EncodeToString(public))})
	if !own.Secret.IsZero() {
		t.Fatal("the sender's own key is told back")
	}
	stamp := strconv.FormatInt(now.Add(10*time.Minute).Unix(), 10)
	header := map[string]string{"webhook-id": "a1", "webhook-timestamp": stamp, "webhook-signature": "v1a," + base64.StdEncoding.EncodeToString(ed25519.Sign(private, []byte("a1."+stamp+"."+body)))}
	if status := w.post(t, w.service.URL(own.Hook), body, header); status != 204 || w.signedIn(t, w.globex, w.globex.ana) {
		t.Fatal(status)
	}
}
