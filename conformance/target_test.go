package conformance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
	"postern/core/seal"
	"postern/gateway"
	"postern/gateway/api"
)

// target is the whole gateway behind a listener that counts, and what opens its doors.
type target struct {
	address    string
	routes     gin.RoutesInfo
	accepted   chan *counted
	connection string
	credential map[string]string // by the beginning of the path
	key        *ecdsa.PrivateKey // of the identity provider
}

// counted is a server's end of a connection.
type counted struct {
	net.Conn
	read atomic.Int64
}

// Read implements net.Conn.
func (c *counted) Read(into []byte) (int, error) {
	n, err := c.Conn.Read(into)
	c.read.Add(int64(n))
	return n, err
}

type counting struct {
	net.Listener
	accepted chan *counted
}

// Accept implements net.Listener.
func (l counting) Accept() (net.Conn, error) {
	inner, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &counted{Conn: inner}
	l.accepted <- c
	return c, nil
}

const public = "https://postern.example.com"

func aim(t *testing.T) *target {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "secret")
		must(os.WriteFile(path, []byte(text), 0o600))
		return "file:" + path
	}
	address := postgrestest.URL(t, jobs.Migrate)
	config := gateway.Config{
		Roles: []string{gateway.RoleGateway}, Database: file(address), Listen: "127.0.0.1:0", PublicURL: public,
		Key: file(seal.GenerateLocalKey().Reveal()), AuditKey: file(seal.GenerateLocalKey().Reveal()), Concurrency: 1, Grace: time.Second,
		AllowPrivate: true,
	}
	built, err := gateway.New(t.Context(), config, slog.New(slog.DiscardHandler))
	must(err)
	handler, err := built.Handler()
	must(err)
	a := &target{routes: handler.(*gin.Engine).Routes(), accepted: make(chan *counted, 1)}
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	published, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: a.key.Public(), KeyID: "1", Algorithm: "ES256", Use: "sig"}}})
	must(err)
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(published) }))
	t.Cleanup(keys.Close)
	server := httptest.NewUnstartedServer(handler)
	server.Listener = counting{server.Listener, a.accepted}
	server.Start()
	t.Cleanup(server.Close)
	a.address = server.Listener.Addr().String()

	db, err := postgres.Open(t.Context(), address, postgres.Options{MaxConnections: 2})
	must(err)
	t.Cleanup(db.Close)
	people, cause := &directory.Directory{DB: db}, core.NewCause(core.System, time.Now())
	must(db.Tx(t.Context(), func(tx pgx.Tx) error {
		workspace, err := people.CreateWorkspace(t.Context(), tx, cause, "acme", "Acme")
		must(err)
		connection, err := people.CreateConnection(t.Context(), tx, cause, workspace.ID, directory.NewConnection{
			Name: "Okta", Kind: directory.Okta, Issuer: issuer, ClientID: client, JWKSURI: keys.URL,
		})
		must(err)
		provisioning, err := people.CreateConnectionToken(t.Context(), tx, cause, workspace.ID, connection.ID, nil)
		must(err)
		account, err := people.CreateServiceAccount(t.Context(), tx, cause, workspace.ID, "scripts", api.Scopes())
		must(err)
		token, err := people.CreateServiceAccountToken(t.Context(), tx, cause, workspace.ID, account.ID, nil)
		must(err)
		user, err := people.InsertUser(t.Context(), tx, directory.User{
			Workspace: workspace.ID, Connection: connection.ID, UserName: "ana", Active: true, Role: directory.RoleOwner,
		})
		must(err)
		_, session, err := people.StartSession(t.Context(), tx, cause, directory.NewSession{
			Workspace: workspace.ID, User: user.ID, Connection: connection.ID, Authenticated: time.Now(),
		})
		must(err)
		a.connection = connection.ID.String()
		a.credential = map[string]string{
			"/scim/": "Authorization: Bearer " + provisioning.Reveal(), "/api/": "Authorization: Bearer " + token.Reveal(),
			"/": "Cookie: __Host-postern=" + session.Reveal(),
		}
		return nil
	}))
	return a
}

// credentialOf is the header that opens a path. The session is not risked at the door that ends it.
func (a *target) credentialOf(t *testing.T, path string) string {
	t.Helper()
	switch {
	case strings.HasPrefix(path, "/webhooks/"):
		return "Authorization: Bearer " + a.logoutToken(t)
	case strings.HasPrefix(path, "/sso/"):
		return ""
	}
	for _, prefix := range []string{"/scim/", "/api/"} {
		if strings.HasPrefix(path, prefix) {
			return a.credential[prefix]
		}
	}
	return a.credential["/"]
}

// issuer and client are the identity provider's names for itself and for Postern.
const issuer, client = "https://idp.example.com", "postern-client"

// logoutToken is one that the identity provider truly signed, to be used once.
func (a *target) logoutToken(t *testing.T) string {
	t.Helper()
	options := (&jose.SignerOptions{}).WithType("global-token-revocation+jwt").WithHeader("kid", "1")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: a.key}, options)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(jwt.Claims{
		ID: core.NewID().String(), Issuer: issuer, Subject: client, Audience: jwt.Audience{public + "/webhooks/" + a.connection + "/universal-logout"},
		IssuedAt: jwt.NewNumericDate(time.Now()), Expiry: jwt.NewNumericDate(time.Now().Add(time.Minute)),
	}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}
