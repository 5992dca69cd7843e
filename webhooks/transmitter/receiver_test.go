package transmitter_test

import (
	"net/http"
	"testing"

	"postern/core"
	"postern/core/coretest"
	"postern/core/seal"
	"postern/core/signals"
	"postern/webhooks/ssf"
	"postern/webhooks/transmitter"
)

// Our own receiver, which takes nothing that is not to the standard, hears our transmitter: what happens to a
// person of one workspace ends their sessions in another.
func TestOurReceiverHearsOurTransmitter(t *testing.T) {
	for _, way := range []ssf.Delivery{ssf.Push, ssf.Poll} {
		t.Run(string(way), func(t *testing.T) {
			w := newWorld(t)
			w.run(t)
			w.run(t, w.receiver.Run)
			known, secret, err := w.service.AddReceiver(t.Context(), cause(), w.acme.workspace.ID, transmitter.NewReceiver{Name: "Globex", Sessions: true})
			must(t, err)
			made, err := w.receiver.Create(t.Context(), cause(), w.globex.workspace.ID, ssf.NewStream{
				Connection: w.globex.connection.ID, Profile: "caep_interop", Delivery: way, Issuer: w.service.Issuer(w.acme.workspace.ID), Description: "Acme",
				Access: ssf.Access{Method: ssf.MethodClientSecretBasic, ClientID: known.Account.String(), TokenEndpoint: w.service.Issuer(w.acme.workspace.ID) + "/token"},
				Secret: secret,
			})
			must(t, err)
			theirs := func() ssf.Stream {
				found, err := w.receiver.Stream(t.Context(), w.DB, w.globex.workspace.ID, made.Stream.ID)
				must(t, err)
				return found
			}
			coretest.Until(t, "the stream is verified", func() bool { return theirs().Verified != nil })

			if !w.SignedIn(t, w.globex.session) {
				t.Fatal("nobody is signed in")
			}
			_, err = w.Signals.LogOut(t.Context(), cause(), w.acme.workspace.ID, w.acme.ana.ID)
			must(t, err)
			coretest.Until(t, "the session at the other end is dead", func() bool { return !w.SignedIn(t, w.globex.session) })
			coretest.Until(t, "everything is acknowledged", func() bool { return w.backlog(t, known) == 0 })
			if got := w.receipts(t, w.globex); len(got) != 1 || got[0].Kind != signals.SessionRevoked {
				t.Fatalf("receipts %+v", got)
			}

			// A stream that is paused keeps what happens, and sends it later.
			_, err = w.receiver.SetStatus(t.Context(), cause(), w.globex.workspace.ID, made.Stream.ID, ssf.Paused, "maintenance")
			must(t, err)
			_, err = w.Lifecycle.Deprovision(t.Context(), cause(), w.acme.workspace.ID, w.acme.ben.ID)
			must(t, err)
			coretest.Until(t, "it waits", func() bool { return w.backlog(t, known) >= 1 })
			if got := w.receipts(t, w.globex); len(got) != 1 {
				t.Fatalf("a paused stream told %d things", len(got)-1)
			}
			_, err = w.receiver.SetStatus(t.Context(), cause(), w.globex.workspace.ID, made.Stream.ID, ssf.Enabled, "")
			must(t, err)
			coretest.Until(t, "it is told", func() bool { return len(w.receipts(t, w.globex)) >= 2 && w.backlog(t, known) == 0 })

			// An update, by the transmitter's own status too, reaches the other end.
			_, err = w.receiver.Update(t.Context(), cause(), w.globex.workspace.ID, made.Stream.ID, ssf.Change{Events: ssf.Events()[:2], Authorization: way == ssf.Push})
			must(t, err)
			_, err = w.service.SetStatus(t.Context(), cause(), w.acme.workspace.ID, known.ID, "disabled", "end of contract")
			must(t, err)
			coretest.Until(t, "the other end knows that it is disabled", func() bool { return theirs().Status == ssf.Disabled })

			must(t, w.receiver.Delete(t.Context(), cause(), w.globex.workspace.ID, made.Stream.ID, false))
			if _, err := w.service.StreamOf(t.Context(), w.DB, w.acme.workspace.ID, known.ID); core.KindOf(err) != core.KindNotFound {
				t.Fatal(err)
			}
		})
	}
}

func (w *world) backlog(t testing.TB, receiver transmitter.Receiver) int {
	t.Helper()
	stream, err := w.service.StreamOf(t.Context(), w.DB, receiver.Workspace, receiver.ID)
	must(t, err)
	found, err := w.deliveries.Backlog(t.Context(), w.DB, receiver.Workspace, stream.ID)
	must(t, err)
	if found.Dead > 0 {
		letters, _ := w.deliveries.DeadLetters(t.Context(), w.DB, receiver.Workspace, stream.ID, 10)
		t.Fatalf("dead letters: %+v", letters)
	}
	return found.Waiting
}

func (w *world) receipts(t testing.TB, h house) []signals.Kept {
	t.Helper()
	found, err := w.receiver.Signals.List(t.Context(), w.DB, h.workspace.ID, signals.Query{Limit: 500})
	must(t, err)
	return found
}

// A receiver that an administrator removed opens nothing any more.
func TestADeletedReceiverIsShutOut(t *testing.T) {
	w := newWorld(t)
	c := w.client(t, w.acme, transmitter.NewReceiver{})
	other := w.client(t, w.globex, transmitter.NewReceiver{})
	if status, _ := c.call(t, "POST", "/stream", map[string]any{}); status != http.StatusCreated {
		t.Fatal(status)
	}
	if err := w.service.DeleteReceiver(t.Context(), cause(), w.globex.workspace.ID, c.receiver.ID); core.KindOf(err) != core.KindNotFound {
		t.Fatal(err)
	}
	must(t, w.service.DeleteReceiver(t.Context(), cause(), w.acme.workspace.ID, c.receiver.ID))
	if status, _ := c.call(t, "GET", "/stream", nil); status != http.StatusUnauthorized {
		t.Fatal(status)
	}
	if _, err := w.Directory.AuthenticateServiceAccount(t.Context(), seal.NewSecret(c.secret.Reveal())); core.KindOf(err) != core.KindUnauthenticated {
		t.Fatal(err)
	}
	if status, _ := other.call(t, "GET", "/stream", nil); status != http.StatusOK {
		t.Fatal(status)
	}
	w.client(t, w.acme, transmitter.NewReceiver{}) // the name is free again
}
