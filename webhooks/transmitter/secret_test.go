package transmitter_test

import (
	"net/url"
	"testing"

	"postern/core"
	"postern/core/seal"
	"postern/webhooks/transmitter"
)

// A receiver's secret is replaced without a gap: both are good until the old one is revoked, and that ends what it
// opened, at once, and nothing else.
func TestAReceiversSecretIsReplaced(t *testing.T) {
	w := newWorld(t)
	c, other := w.client(t, w.acme, transmitter.NewReceiver{}), w.client(t, w.globex, transmitter.NewReceiver{})
	workspace, id := w.acme.workspace.ID, c.receiver.ID
	grant := func(secret seal.Secret) (int, string) {
		t.Helper()
		status, got, _ := c.form(t, url.Values{"grant_type": {"client_credentials"}}, c.receiver.Account.String(), secret.Reveal())
		token, _ := got["access_token"].(string)
		return status, token
	}
	opens := func(of *client, token string) bool {
		t.Helper()
		asks := *of
		asks.token = token
		status, _ := asks.call(t, "GET", "/stream", nil)
		if status != 200 && status != 401 {
			t.Fatal(status)
		}
		return status == 200
	}
	made, second, err := w.service.AddSecret(t.Context(), cause(), workspace, id, nil)
	must(t, err)
	if _, _, err := w.service.AddSecret(t.Context(), cause(), workspace, id, nil); core.KindOf(err) != core.KindConflict || core.AsError(err).Code != "too_many_secrets" {
		t.Errorf("a third: %v", err)
	}
	_, old := grant(c.secret)
	status, fresh := grant(second)
	if status != 200 || old == "" || !opens(c, old) || !opens(c, fresh) {
		t.Fatalf("both are to be good: %d", status)
	}
	all, err := w.service.Secrets(t.Context(), w.DB, workspace, id)
	must(t, err)
	if len(all) != 2 || all[1].ID != made.ID || all[0].LastUsed == nil || all[1].LastUsed == nil {
		t.Fatalf("%+v", all)
	}
	for name, err := range map[string]error{
		"of another workspace": w.service.RevokeSecret(t.Context(), cause(), w.globex.workspace.ID, id, all[0].ID),
		"of another receiver":  w.service.RevokeSecret(t.Context(), cause(), w.globex.workspace.ID, other.receiver.ID, all[0].ID),
		"nobody's":             w.service.RevokeSecret(t.Context(), cause(), workspace, id, core.NewID()),
	} {
		if core.KindOf(err) != core.KindNotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, w.service.RevokeSecret(t.Context(), cause(), workspace, id, all[0].ID))
	if status, _ := grant(c.secret); status != 401 {
		t.Errorf("the old secret is answered %d", status)
	}
	if opens(c, c.token) || opens(c, old) {
		t.Error("a token of the revoked secret is still good")
	}
	if status, _ := grant(second); status != 200 || !opens(c, fresh) {
		t.Errorf("the new secret, or its token, is not good any more: %d", status)
	}
	if !opens(other, other.token) {
		t.Error("a token of another workspace is not good any more")
	}
	if err := w.service.RevokeSecret(t.Context(), cause(), workspace, id, all[0].ID); core.KindOf(err) != core.KindNotFound {
		t.Errorf("again: %v", err)
	}
	if _, _, err := w.service.AddSecret(t.Context(), cause(), workspace, id, nil); err != nil {
		t.Errorf("into the slot that is free: %v", err)
	}
}
