package signin_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"postern/conformance/optest"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/seal"
	"postern/core/signals"
	"postern/oidc"
	"postern/webhooks/keys"
	"postern/webhooks/ssf"
)

// listening is another gateway process over the same database, with both doors at which a Keycloak says something: its
// back-channel logouts and its Shared Signals stream.
func (w *world) listening() (*coretest.Core, *ssf.Service, string) {
	w.t.Helper()
	engine := gin.New()
	server := httptest.NewServer(engine)
	w.t.Cleanup(server.Close)
	all := coretest.On(w.t, w.db, nil)
	all.Signals.PublicURL = server.URL
	outward := &http.Client{Timeout: 20 * time.Second}
	known := &keys.Cache{HTTP: outward}
	(&oidc.Service{DB: w.db, Directory: all.Directory, HTTP: outward, Keys: known, PublicURL: server.URL, Signals: all.Signals}).Mount(engine)
	streams := &ssf.Service{
		DB: w.db, Directory: all.Directory, Signals: all.Signals, Vault: all.Vault, Keys: known, HTTP: outward, PublicURL: server.URL, Log: slog.New(slog.DiscardHandler),
		OpenSecret: func(string) (seal.Secret, error) { return seal.NewSecret(clientSecret), nil },
	}
	streams.Mount(engine)
	coretest.Run(w.t, streams.Run)
	return all, streams, server.URL
}

// What an administrator of Keycloak does about a leaver: the account is disabled, and the sessions are signed out. The
// first says nothing to anybody: its transmitter (26.7) tells of sign-outs and of changed credentials alone, and its SCIM
// is that of a service provider, which is asked and does not tell. The second comes by both doors and is one incident.
func TestDisabledAtKeycloak(t *testing.T) {
	w := open(t)
	realm := optest.StartKeycloak(t).Realm(t)
	all, streams, at := w.listening()
	ana := realm.AddPerson(optest.Person{UserName: "ana@acme.example", Password: "a", Email: "ana@acme.example", GivenName: "Ana", FamilyName: "Lima"})
	client := w.client(w.acme, false)
	client.BackChannelLogoutURI = at + "/sso/" + w.acme.ID.String() + "/backchannel-logout"
	realm.AddClient(client)
	w.provision(w.acme, "ana", ana.ID)
	w.connect(&w.acme, realm.Issuer, directory.SignIn{Preset: directory.Keycloak})
	person, err := w.people.UserByName(t.Context(), w.db, w.acme.Workspace, w.acme.ID, "ana")
	check(t, err)
	shared := all.SharedAccounts(t, person)

	realm.Receiver("postern-signals", clientSecret, at+"/*")
	realm.Allow("postern-signals", ssf.DefaultScopes...)
	made, err := streams.Create(t.Context(), coretest.System(), w.acme.Workspace, ssf.NewStream{
		Connection: w.acme.ID, Profile: ssf.Keycloak, Delivery: ssf.Push, Issuer: realm.Issuer, Description: "Postern",
		Access: ssf.Access{Method: ssf.MethodClientSecretBasic, ClientID: "postern-signals", TokenEndpoint: realm.Issuer + "/protocol/openid-connect/token"},
		Secret: seal.NewSecret(clientSecret),
	})
	check(t, err)
	coretest.Until(t, "the stream is verified", func() bool {
		found, err := streams.Stream(t.Context(), w.db, w.acme.Workspace, made.Stream.ID)
		check(t, err)
		return found.Verified != nil
	})
	b, op := optest.NewBrowser(t), keycloak{realm, ana}
	if done := b.Get(op.signIn(b, w.begin(b, w.acme))); done.Status != http.StatusSeeOther || w.signedInAs(b) != "ana" {
		t.Fatalf("sign-in: %d\n%s", done.Status, done.Body)
	}

	realm.SetEnabled(ana.ID, false)
	if w.signedInAs(b) == "" {
		t.Fatal("Keycloak told of a disabled account: say so in the coverage matrix")
	}
	realm.LogOut(ana.ID)
	var told, pushed []signals.Kept
	coretest.Until(t, "the sign-out came by both doors", func() bool {
		told, pushed = all.Receipts(t, w.acme.Workspace), nil
		doors := map[signals.Door]bool{}
		for _, one := range told {
			doors[one.Door] = true
			if one.Door == signals.SSFPush {
				pushed = append(pushed, one)
			}
		}
		return doors[signals.SSFPush] && doors[signals.BackChannelLogout]
	})
	if w.signedInAs(b) != "" {
		t.Error("the session lives on")
	}
	if len(told) != 2 || len(pushed) != 1 || pushed[0].Kind != signals.SessionRevoked || len(pushed[0].Users) != 1 || pushed[0].Users[0] != person.ID {
		t.Fatalf("%+v", told)
	}
	if fresh := slices.Compact(slices.Sorted(slices.Values(kinds(told)))); !slices.Equal(fresh, []signals.Kind{signals.Logout, signals.SessionRevoked}) {
		t.Errorf("%v: say in the coverage matrix what else Keycloak tells of", fresh)
	}
	if queued := all.Count(t, w.acme.Workspace, `select count(*) from rotations where workspace_id = @workspace`, nil); queued != len(shared) || len(pushed[0].Rotations) != len(shared) {
		t.Errorf("%d of %d accounts are rotated", queued, len(shared))
	}
}

func kinds(told []signals.Kept) []signals.Kind {
	var all []signals.Kind
	for _, one := range told {
		all = append(all, one.Kind)
	}
	return all
}
