package ssf_test

import (
	"testing"
	"time"

	"postern/core"
	"postern/core/seal"
	"postern/core/signing"
	"postern/webhooks/ssf"
)

// A transmitter that holds Postern to RFC 7523 takes the workspace's own key for a secret, before and after
// that key is replaced, and takes no other workspace's.
func TestAStreamByPrivateKey(t *testing.T) {
	w := newWorld(t)
	keys := &signing.Signing{DB: w.DB, Vault: w.service.Vault, Now: w.service.Now}
	wanted := w.wanted(w.acme, ssf.Poll)
	wanted.Access.Method, wanted.Secret = ssf.MethodPrivateKeyJWT, seal.Secret{}
	if _, err := w.service.Create(t.Context(), cause(), w.acme.workspace.ID, wanted); core.KindOf(err) != core.KindConflict {
		t.Errorf("without a signer: %v", err)
	}
	w.service.Sign = keys.Sign
	publish := func(workspace core.ID, client string) {
		t.Helper()
		set, err := keys.PublicKeys(t.Context(), workspace)
		must(t, err)
		w.tx.locked(func() { w.tx.clientKeys[client] = set })
	}
	must(t, keys.Prepare(t.Context(), cause(), w.acme.workspace.ID))
	must(t, keys.Prepare(t.Context(), cause(), w.globex.workspace.ID))
	publish(w.acme.workspace.ID, "acme")
	stream := w.create(t, w.acme, wanted)
	theirs := w.wanted(w.globex, ssf.Poll)
	theirs.Access.Method, theirs.Access.ClientID, theirs.Secret = ssf.MethodPrivateKeyJWT, "acme", seal.Secret{}
	if _, err := w.service.Create(t.Context(), cause(), w.globex.workspace.ID, theirs); core.AsError(err).Code != "token" {
		t.Errorf("another workspace's key got in: %v", err)
	}

	w.ahead.Store(int64(2 * time.Hour)) // the access token has expired
	must(t, w.service.Verify(t.Context(), w.acme.workspace.ID, stream.ID))
	must(t, keys.RotateNow(t.Context(), cause(), w.acme.workspace.ID))
	w.ahead.Store(int64(4 * time.Hour))
	publish(w.acme.workspace.ID, "acme")
	must(t, w.service.Verify(t.Context(), w.acme.workspace.ID, stream.ID))
	if used := len(w.tx.assertions); used < 3 {
		t.Errorf("%d assertions", used)
	}
}
