package signin_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-jose/go-jose/v4"
	"github.com/jackc/pgx/v5"

	"postern/conformance/optest"
	"postern/core"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
	"postern/core/seal"
	"postern/core/signing"
	"postern/core/vault"
	"postern/oidc"
	"postern/webhooks/keys"
)

const clientSecret = "a-secret-of-the-client"

// world is Postern's sign-in with two workspaces, each with a connection to the same provider.
type world struct {
	t      *testing.T
	db     *postgres.DB
	people *directory.Directory
	url    string
	acme   directory.Connection
	globex directory.Connection
}

// open serves; the connections lead nowhere until connect says where.
func open(t *testing.T) *world {
	t.Helper()
	gin.SetMode(gin.TestMode)
	w := &world{t: t, db: postgrestest.Open(t, jobs.Migrate)}
	w.people = &directory.Directory{DB: w.db}
	key, err := seal.NewLocalKey([]byte(seal.GenerateLocalKey().Reveal()))
	check(t, err)
	signer := &signing.Signing{DB: w.db, Vault: &vault.Vault{DB: w.db, Keys: key}}
	engine := gin.New()
	server := httptest.NewServer(engine)
	t.Cleanup(server.Close)
	w.url = server.URL
	outward := &http.Client{Timeout: 20 * time.Second}
	service := &oidc.Service{
		DB: w.db, Directory: w.people, HTTP: outward, Keys: &keys.Cache{HTTP: outward}, PublicURL: w.url, Signer: signer,
		OpenSecret: func(string) (seal.Secret, error) { return seal.NewSecret(clientSecret), nil },
	}
	service.Mount(engine)
	engine.Group("/private", service.Require()).GET("", func(c *gin.Context) {
		_, user, _ := oidc.Session(c)
		c.String(http.StatusOK, user.UserName)
	})
	engine.GET("/jwks/:workspace", func(c *gin.Context) {
		id, err := core.ParseID(c.Param("workspace"))
		check(t, err)
		set, err := signer.PublicKeys(c.Request.Context(), id)
		check(t, err)
		c.JSON(http.StatusOK, jose.JSONWebKeySet{Keys: set})
	})
	check(t, w.db.Tx(t.Context(), func(tx pgx.Tx) error {
		cause := core.NewCause(core.System, time.Now())
		for slug, connection := range map[string]*directory.Connection{"acme": &w.acme, "globex": &w.globex} {
			workspace, err := w.people.CreateWorkspace(t.Context(), tx, cause, slug, slug)
			if err != nil {
				return err
			}
			made, err := w.people.CreateConnection(t.Context(), tx, cause, workspace.ID, directory.NewConnection{Name: slug, Kind: directory.Generic})
			if err != nil {
				return err
			}
			*connection = made
		}
		return nil
	}))
	return w
}

func (w *world) callback(connection directory.Connection) string {
	return w.url + "/sso/" + connection.ID.String() + "/callback"
}

// client is how the provider knows a connection.
func (w *world) client(connection directory.Connection, byKey bool) optest.Client {
	client := optest.Client{
		ID: "postern-" + connection.Name, Secret: clientSecret, RedirectURIs: []string{w.callback(connection)},
		SignedOutURIs: []string{w.url + "/sso/signed-out"},
	}
	if byKey {
		client.Secret, client.JWKSURI = "", w.url+"/jwks/"+connection.Workspace.String()
	}
	return client
}

// connect says where a connection leads and how people sign in through it.
func (w *world) connect(connection *directory.Connection, issuer string, signIn directory.SignIn) {
	w.t.Helper()
	check(w.t, w.db.Tx(w.t.Context(), func(tx pgx.Tx) (err error) {
		*connection, err = w.people.ChangeConnection(w.t.Context(), tx, core.NewCause(core.System, time.Now()), connection.Workspace, connection.ID, func(c *directory.Connection) {
			c.Issuer, c.ClientID, c.ClientSecret, c.SignIn = issuer, "postern-"+c.Name, "env:SECRET", signIn
		})
		return err
	}))
}

func (w *world) provision(connection directory.Connection, name, external string) {
	w.t.Helper()
	check(w.t, w.db.Tx(w.t.Context(), func(tx pgx.Tx) error {
		_, err := w.people.InsertUser(w.t.Context(), tx, directory.User{
			Workspace: connection.Workspace, Connection: connection.ID, UserName: name, ExternalID: external, Active: true, Role: directory.RoleUser,
		})
		return err
	}))
}

// begin gives the address of the provider that a sign-in leads to.
func (w *world) begin(b *optest.Browser, connection directory.Connection) string {
	w.t.Helper()
	started := b.Get(w.url + "/sso/" + connection.ID.String() + "/start")
	if started.Status != http.StatusSeeOther || started.Location == "" {
		w.t.Fatalf("start: %d\n%s", started.Status, started.Body)
	}
	return started.Location
}

// signedInAs is who a browser is in Postern.
func (w *world) signedInAs(b *optest.Browser) string {
	w.t.Helper()
	answer := b.Get(w.url + "/private")
	if answer.Status != http.StatusOK {
		return ""
	}
	return answer.Body
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
