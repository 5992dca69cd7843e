package posterntest

import (
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/lifecycle"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/core/vault"
	"postern/scim"
)

// Server is Postern's SCIM endpoint.
type Server struct {
	URL      string // its base, with /scim/v2
	TokenURL string // its token endpoint

	db          *postgres.DB
	people      *directory.Directory
	logins      *accounts.Accounts
	connections map[string]directory.Connection // by their tokens
	passed      atomic.Int64
}

// Start serves until the test ends. Another workspace with a user of its own is there as well.
func Start(t testing.TB) *Server {
	t.Helper()
	db := postgrestest.Open(t, jobs.Migrate)
	key, err := seal.NewLocalKey([]byte(seal.GenerateLocalKey().Reveal()))
	check(t, err)
	queue, err := jobs.NewQueue(db, nil)
	check(t, err)
	s := &Server{db: db, people: &directory.Directory{DB: db}, connections: map[string]directory.Connection{}}
	s.logins = &accounts.Accounts{DB: db, Vault: &vault.Vault{DB: db, Keys: key}, Directory: s.people}
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	server := httptest.NewUnstartedServer(engine)
	base := "http://" + server.Listener.Addr().String()
	service := &scim.Service{
		DB: db, Directory: s.people, Accounts: s.logins, PublicURL: base, Now: s.now,
		Lifecycle: &lifecycle.Lifecycle{DB: db, Directory: s.people, Accounts: s.logins, Rotations: &rotation.Rotations{DB: db, Accounts: s.logins, Queue: queue}},
	}
	service.Mount(engine)
	server.Start()
	t.Cleanup(server.Close)
	s.URL, s.TokenURL = base+"/scim/v2", base+"/scim/oauth/token"
	return s
}

func (s *Server) now() time.Time { return time.Now().Add(time.Duration(s.passed.Load())) }

// Pass moves the endpoint's clock on.
func (s *Server) Pass(time time.Duration) { s.passed.Add(int64(time)) }

// Connect gives the token of a new connection in a workspace of its own. Its guard against mass
// departures is off: a suite deletes all it creates. Where entitlements are on, there is an account to be granted.
func (s *Server) Connect(t testing.TB, kind directory.ConnectionKind, provisioning directory.Provisioning) string {
	t.Helper()
	slug := "suite-" + strconv.Itoa(len(s.connections)+1)
	provisioning.GuardFloor = -1
	var token seal.Secret
	var connection directory.Connection
	check(t, s.db.Tx(t.Context(), func(tx pgx.Tx) error {
		cause := core.NewCause(core.System, time.Now())
		workspace, err := s.people.CreateWorkspace(t.Context(), tx, cause, slug, slug)
		if err != nil {
			return err
		}
		connection, err = s.people.CreateConnection(t.Context(), tx, cause, workspace.ID, directory.NewConnection{
			Name: "IdP", Kind: kind, Provisioning: provisioning,
		})
		if err != nil {
			return err
		}
		if provisioning.Entitlements {
			if err := s.share(t, tx, cause, workspace.ID); err != nil {
				return err
			}
		}
		token, err = s.people.CreateConnectionToken(t.Context(), tx, cause, workspace.ID, connection.ID, nil)
		return err
	}))
	s.connections[token.Reveal()] = connection
	return token.Reveal()
}

// Client gives the connection of a token an OAuth client.
func (s *Server) Client(t testing.TB, token string) (id, secret string) {
	t.Helper()
	connection := s.connections[token]
	check(t, s.db.Tx(t.Context(), func(tx pgx.Tx) error {
		made, shown, err := s.people.CreateConnectionClient(t.Context(), tx, core.NewCause(core.System, time.Now()), connection.Workspace, connection.ID, nil)
		id, secret = made.ClientID, shown.Reveal()
		return err
	}))
	return id, secret
}

// share makes an account that can be granted, of somebody the connection does not have.
func (s *Server) share(t testing.TB, tx pgx.Tx, cause core.Cause, workspace core.ID) error {
	t.Helper()
	owner, err := s.people.InsertUser(t.Context(), tx, directory.User{
		ID: core.NewID(), Workspace: workspace, UserName: "owner@example.com", Active: true, Role: directory.RoleUser,
	})
	if err != nil {
		return err
	}
	app, err := s.logins.CreateApp(t.Context(), tx, cause, workspace, accounts.NewApp{
		Name: "Wiki", Domains: []string{"wiki.example.com"}, SignInURL: "https://wiki.example.com/", Connector: "browser",
	})
	if err != nil {
		return err
	}
	_, err = s.logins.CreateAccount(t.Context(), tx, cause, workspace, accounts.NewAccount{
		App: app.ID, Username: "team", Password: seal.GeneratePassword(seal.PasswordPolicy{}), Owner: owner.ID,
	})
	return err
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
