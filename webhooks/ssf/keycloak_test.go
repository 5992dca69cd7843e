package ssf_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/conformance/optest"
	"postern/core/coretest"
	"postern/core/seal"
	"postern/core/signals"
	"postern/webhooks/ssf"
)

// A real transmitter: streams made, verified and heard by push and by poll, each for another workspace.
func TestKeycloak(t *testing.T) {
	keycloak := optest.StartKeycloak(t)
	realm := keycloak.Realm(t)
	w := newWorld(t)
	realm.Receiver("pushed", clientSecret, w.gateway.URL+"/*")
	realm.Receiver("polled", clientSecret)
	realm.Allow("pushed", ssf.DefaultScopes...)
	realm.Allow("polled", ssf.DefaultScopes...)
	running(t, w.service)
	for _, test := range []struct {
		house    *house
		client   string
		delivery ssf.Delivery
	}{{&w.acme, "pushed", ssf.Push}, {&w.globex, "polled", ssf.Poll}} {
		t.Run(string(test.delivery), func(t *testing.T) {
			h := test.house
			name := "dana-" + string(test.delivery)
			person := realm.AddPerson(optest.Person{UserName: name, Email: name + "@example.com", GivenName: "Dana", FamilyName: "Doe", Password: "first-Passw0rd"})
			user := w.person(t, h, name, name+"@example.com")
			w.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
				return w.Directory.LinkIdentity(ctx, tx, h.workspace.ID, h.connection.ID, realm.Issuer, person.ID, user.ID)
			})
			made, err := w.service.Create(t.Context(), cause(), h.workspace.ID, ssf.NewStream{
				Connection: h.connection.ID, Profile: ssf.Keycloak, Delivery: test.delivery, Issuer: realm.Issuer, Description: "Postern",
				Access: ssf.Access{Method: ssf.MethodClientSecretBasic, ClientID: test.client, TokenEndpoint: realm.Issuer + "/protocol/openid-connect/token"},
				Secret: seal.NewSecret(clientSecret),
			})
			must(t, err)
			stream := made.Stream
			t.Logf("%s: %s, events %d, %q at %q", stream.RemoteID, stream.Status, len(stream.Delivered), stream.LastError, stream.LastErrorStage)
			coretest.Until(t, "the stream is verified", func() bool { return w.stream(t, *h, stream.ID).Verified != nil })
			realm.SetPassword(person.ID, "second-Passw0rd")
			heard := func(kind signals.Kind) func() bool {
				return func() bool {
					for _, one := range w.Receipts(t, h.workspace.ID) {
						if one.Kind == kind && len(one.Users) == 1 && one.Users[0] == user.ID {
							return true
						}
					}
					return false
				}
			}
			coretest.Until(t, "the changed password is told", heard(signals.CredentialChanged))
			for _, one := range w.Receipts(t, h.workspace.ID) {
				t.Logf("%s %s %s %v %v", one.Kind, one.Outcome, one.Subject, one.Evidence.Quirks, one.Evidence.Facts)
			}
			paused, err := w.service.SetStatus(t.Context(), cause(), h.workspace.ID, stream.ID, ssf.Paused, "a test")
			if err != nil || paused.Status != ssf.Paused {
				t.Fatal(paused.Status, err)
			}
			if _, err = w.service.SetStatus(t.Context(), cause(), h.workspace.ID, stream.ID, ssf.Enabled, ""); err != nil {
				t.Fatal(err)
			}
			if read, err := w.service.Refresh(t.Context(), cause(), h.workspace.ID, stream.ID); err != nil || read.Status != ssf.Enabled {
				t.Fatal(read.Status, err)
			}
			if _, err := w.service.Update(t.Context(), cause(), h.workspace.ID, stream.ID, ssf.Change{Events: []string{revoked, changed}, Authorization: true}); err != nil {
				t.Fatal(err)
			}
			// There is one stream per client: another is adopted.
			wanted := ssf.NewStream{
				Connection: h.connection.ID, Profile: ssf.Keycloak, Delivery: test.delivery, Issuer: realm.Issuer, Access: stream.Access, Secret: seal.NewSecret(clientSecret),
			}
			if _, err := w.service.Create(t.Context(), cause(), h.workspace.ID, wanted); err == nil || !strings.Contains(err.Error(), "409") {
				t.Errorf("a second stream: %v", err)
			}
			wanted.Adopt = true
			adopted, err := w.service.Create(t.Context(), cause(), h.workspace.ID, wanted)
			if err != nil || adopted.Stream.RemoteID != stream.RemoteID {
				t.Fatalf("%+v %v", adopted.Stream, err)
			}
			must(t, w.service.Delete(t.Context(), cause(), h.workspace.ID, adopted.Stream.ID, false))
		})
	}
	if len(w.events(t, w.acme, "stream.created")) != 2 || w.signedIn(t, w.globex, w.globex.ben) == false {
		t.Error("one workspace's stream did something in the other")
	}
}
