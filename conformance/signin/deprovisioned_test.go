package signin_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/conformance/optest"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/seal"
	"postern/scim"
)

// Whoever signs in at Keycloak and is deactivated by its SCIM client (an extension: Keycloak has none of its own) is shut out
// by the time that is answered, for good and without Keycloak's doing: it would let them in still.
func TestDeprovisionedAtKeycloak(t *testing.T) {
	w := open(t)
	realm := optest.StartKeycloak(t).Realm(t)
	all := coretest.On(t, w.db, nil)
	engine := gin.New()
	server := httptest.NewServer(engine)
	t.Cleanup(server.Close)
	(&scim.Service{DB: w.db, Directory: all.Directory, Lifecycle: all.Lifecycle, PublicURL: server.URL}).Mount(engine)
	ana := realm.AddPerson(optest.Person{UserName: "ana@acme.example", Password: "a", Email: "ana@acme.example", GivenName: "Ana", FamilyName: "Lima"})
	realm.AddClient(w.client(w.acme, false))
	w.connect(&w.acme, realm.Issuer, directory.SignIn{Preset: directory.Keycloak})
	var token seal.Secret
	check(t, w.db.Tx(t.Context(), func(tx pgx.Tx) (err error) {
		token, err = all.Directory.CreateConnectionToken(t.Context(), tx, coretest.System(), w.acme.Workspace, w.acme.ID, nil)
		return err
	}))
	provision := func(method, path, body string, status int) {
		t.Helper()
		request, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, server.URL+"/scim/v2"+path, strings.NewReader(body))
		check(t, err)
		request.Header.Set("Authorization", "Bearer "+token.Reveal())
		request.Header.Set("Content-Type", "application/scim+json")
		answer, err := http.DefaultClient.Do(request)
		check(t, err)
		check(t, answer.Body.Close())
		if answer.StatusCode != status {
			t.Fatalf("%s %s: %d", method, path, answer.StatusCode)
		}
	}
	provision("POST", "/Users", fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"ana","externalId":%q,"active":true}`, ana.ID), http.StatusCreated)
	person, err := w.people.UserByName(t.Context(), w.db, w.acme.Workspace, w.acme.ID, "ana")
	check(t, err)
	shared := all.SharedAccounts(t, person)
	b, op := optest.NewBrowser(t), keycloak{realm, ana}
	if done := b.Get(op.signIn(b, w.begin(b, w.acme))); done.Status != http.StatusSeeOther || w.signedInAs(b) != "ana" {
		t.Fatalf("sign-in: %d\n%s", done.Status, done.Body)
	}

	provision("PATCH", "/Users/"+person.ID.String(),
		`{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"active","value":false}]}`, http.StatusOK)
	if w.signedInAs(b) != "" {
		t.Error("the session outlives the answer")
	}
	again := optest.NewBrowser(t)
	if done := again.Get(op.signIn(again, w.begin(again, w.acme))); done.Status != http.StatusForbidden || w.signedInAs(again) != "" {
		t.Errorf("Keycloak lets them in still, and so does Postern: %d\n%s", done.Status, done.Body)
	}
	_, err = all.Lifecycle.Take(t.Context())
	check(t, err)
	if queued := all.Count(t, w.acme.Workspace, `select count(*) from rotations where workspace_id = @workspace`, nil); queued != len(shared) {
		t.Errorf("%d of %d accounts are rotated", queued, len(shared))
	}
}
