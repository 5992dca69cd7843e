package outlogout_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-jose/go-jose/v4"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/lifecycle"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/core/signals"
	"postern/core/signing"
	"postern/core/vault"
	"postern/oidc"
	"postern/webhooks"
	"postern/webhooks/delivery"
	"postern/webhooks/keys"
	"postern/webhooks/outlogout"
)

// world is a gateway of two workspaces: what acme says of its people, globex hears as an app of theirs.
type world struct {
	db         *postgres.DB
	directory  *directory.Directory
	lifecycle  *lifecycle.Lifecycle
	signing    *signing.Signing
	deliveries *delivery.Deliveries
	service    *outlogout.Service
	gateway    *httptest.Server

	acme, globex directory.Workspace
	connection   directory.Connection // of globex: acme is its identity provider
	ana, theirs  directory.User       // of acme, and the same person at globex
	session      seal.Secret          // of theirs
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func cause() core.Cause { return core.NewCause(core.System, time.Now()) }

func newWorld(t *testing.T) *world {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	db := postgrestest.Open(t, jobs.Migrate)
	key, err := seal.NewLocalKey([]byte(seal.GenerateLocalKey().Reveal()))
	must(t, err)
	queue, err := jobs.NewQueue(db, nil)
	must(t, err)
	engine := gin.New()
	w := &world{db: db, gateway: httptest.NewServer(engine)}
	t.Cleanup(w.gateway.Close)
	w.directory = &directory.Directory{DB: db}
	safe := &vault.Vault{DB: db, Keys: key}
	logins := &accounts.Accounts{DB: db, Vault: safe, Directory: w.directory}
	rotations := &rotation.Rotations{DB: db, Accounts: logins, Queue: queue}
	w.lifecycle = &lifecycle.Lifecycle{DB: db, Directory: w.directory, Accounts: logins, Rotations: rotations}
	w.signing = &signing.Signing{DB: db, Vault: safe}
	told := &signals.Signals{DB: db, Directory: w.directory, Accounts: logins, Rotations: rotations, Lifecycle: w.lifecycle, PublicURL: w.gateway.URL}
	issuers, quiet := &keys.Cache{HTTP: w.gateway.Client()}, slog.New(slog.DiscardHandler)
	(&oidc.Service{DB: db, Directory: w.directory, HTTP: w.gateway.Client(), Keys: issuers, PublicURL: w.gateway.URL, Log: quiet, Signals: told}).Mount(engine)
	(&webhooks.Service{DB: db, Directory: w.directory, Signals: told, Keys: issuers, PublicURL: w.gateway.URL, Log: quiet}).Mount(engine)
	engine.GET("/jwks/:workspace", func(c *gin.Context) {
		id, _ := core.ParseID(c.Param("workspace"))
		set, err := w.signing.PublicKeys(c, id)
		if err != nil {
			t.Error(err)
		}
		c.JSON(http.StatusOK, jose.JSONWebKeySet{Keys: set})
	})
	sequencer := &audit.Sequencer{DB: db, Log: quiet}
	w.deliveries = &delivery.Deliveries{DB: db, Look: 20 * time.Millisecond, Wake: sequencer.Wake}
	w.service = &outlogout.Service{
		DB: db, Directory: w.directory, Deliveries: w.deliveries, Sign: w.signing.Sign, HTTP: w.gateway.Client(), PublicURL: w.gateway.URL, AllowPrivate: true, Wake: sequencer.Wake,
	}
	carrier := w.service.Carrier()
	carrier.Schedule = []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond, time.Millisecond}
	w.deliveries.Carriers = map[string]delivery.Carrier{outlogout.Kind: carrier}
	follower := &delivery.Follower{Deliveries: w.deliveries, Listeners: []delivery.Listener{w.service}}
	for _, part := range []func(context.Context) error{sequencer.Run, follower.Run, w.deliveries.Run} {
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); _ = part(ctx) }()
		t.Cleanup(func() { stop(); <-done })
	}
	w.people(t, safe)
	return w
}

func (w *world) people(t *testing.T, safe *vault.Vault) {
	t.Helper()
	must(t, w.db.Tx(t.Context(), func(tx pgx.Tx) (err error) {
		ctx := t.Context()
		if w.acme, err = w.directory.CreateWorkspace(ctx, tx, cause(), "acme", "Acme"); err != nil {
			return err
		}
		if w.globex, err = w.directory.CreateWorkspace(ctx, tx, cause(), "globex", "Globex"); err != nil {
			return err
		}
		if _, err = safe.Prepare(ctx, tx, w.acme.ID); err != nil {
			return err
		}
		idp, err := w.directory.CreateConnection(ctx, tx, cause(), w.acme.ID, directory.NewConnection{Name: "IdP", Kind: directory.Generic, Issuer: "https://idp.example", Provisioning: directory.Provisioning{GuardFloor: -1}})
		if err != nil {
			return err
		}
		if w.connection, err = w.directory.CreateConnection(ctx, tx, cause(), w.globex.ID, directory.NewConnection{
			Name: "Acme", Kind: directory.Generic, Issuer: w.service.Issuer(w.acme.ID), ClientID: "globex", JWKSURI: w.gateway.URL + "/jwks/" + w.acme.ID.String(),
			Provisioning: directory.Provisioning{GuardFloor: -1},
		}); err != nil {
			return err
		}
		if w.ana, err = w.directory.InsertUser(ctx, tx, directory.User{Workspace: w.acme.ID, Connection: idp.ID, UserName: "ana", Email: "ana@example.com", ExternalID: "e-ana", Active: true}); err != nil {
			return err
		}
		if w.theirs, err = w.directory.InsertUser(ctx, tx, directory.User{Workspace: w.globex.ID, Connection: w.connection.ID, UserName: "ana", Email: "ana@example.com", Active: true}); err != nil {
			return err
		}
		if err := w.directory.LinkIdentity(ctx, tx, w.globex.ID, w.connection.ID, w.connection.Issuer, w.ana.ID.String(), w.theirs.ID); err != nil {
			return err
		}
		_, w.session, err = w.directory.StartSession(ctx, tx, core.NewCause(w.theirs.Actor(), time.Now()), directory.NewSession{
			Workspace: w.globex.ID, User: w.theirs.ID, Connection: w.connection.ID, Issuer: w.connection.Issuer, Subject: w.ana.ID.String(), Authenticated: time.Now(),
		})
		return err
	}))
}

func (w *world) signedIn(t *testing.T) bool {
	t.Helper()
	_, _, err := w.directory.Authenticate(t.Context(), w.session)
	if err != nil && core.KindOf(err) != core.KindUnauthenticated {
		t.Fatal(err)
	}
	return err == nil
}

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatal("never: " + what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (w *world) add(t *testing.T, wanted outlogout.Target) outlogout.Target {
	t.Helper()
	wanted.Workspace, wanted.Name = w.acme.ID, "App"
	made, err := w.service.Add(t.Context(), cause(), wanted)
	must(t, err)
	return made
}

func (w *world) logout(t *testing.T) {
	t.Helper()
	_, err := w.lifecycle.Logout(t.Context(), cause(), w.acme.ID, w.ana.ID)
	must(t, err)
}

func (w *world) backlog(t *testing.T, target outlogout.Target) delivery.Backlog {
	t.Helper()
	found, err := w.deliveries.Backlog(t.Context(), w.db, target.Workspace, target.ID)
	must(t, err)
	return found
}

// Postern logs a person out at Postern: by both ways, through the doors every identity provider uses.
func TestALogoutReachesAnotherGateway(t *testing.T) {
	for _, kind := range []string{outlogout.BackChannel, outlogout.GlobalTokenRevocation} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t)
			target := outlogout.Target{Kind: kind, ClientID: "globex", SubjectFormat: outlogout.ByUserID, Address: w.gateway.URL + "/sso/" + w.connection.ID.String() + "/backchannel-logout"}
			if kind == outlogout.GlobalTokenRevocation {
				target.SubjectFormat, target.Address = outlogout.ByEmail, w.gateway.URL+"/webhooks/"+w.connection.ID.String()+"/universal-logout"
			}
			made := w.add(t, target)
			if !w.signedIn(t) {
				t.Fatal("nobody is signed in")
			}
			w.logout(t)
			until(t, "the session at the app is dead", func() bool { return !w.signedIn(t) })
			until(t, "it is known to be delivered", func() bool { return w.backlog(t, made).Waiting == 0 })
			if left := w.backlog(t, made); left.Dead != 0 {
				letters, _ := w.deliveries.DeadLetters(t.Context(), w.db, made.Workspace, made.ID, 10)
				t.Fatalf("%+v", letters)
			}
			// Somebody the app does not know, and another workspace's people, are no failure and no news.
			_, err := w.lifecycle.Logout(t.Context(), cause(), w.globex.ID, w.theirs.ID)
			must(t, err)
			if left := w.backlog(t, made); left.Waiting != 0 {
				t.Fatalf("%+v", left)
			}
		})
	}
}

// What an app may see of a logout, and what its answers do.
func TestAnApp(t *testing.T) {
	w := newWorld(t)
	type call struct {
		header http.Header
		body   string
	}
	came, answers := make(chan call, 20), []int{503, 500, 400, 204}
	app := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		status := answers[0]
		answers = answers[1:]
		rw.WriteHeader(status)
		if status == 400 {
			_, _ = rw.Write([]byte(`{"error":"invalid_request","error_description":"unknown audience"}`))
		}
		came <- call{r.Header, string(text)}
	}))
	t.Cleanup(app.Close)
	target := w.add(t, outlogout.Target{Kind: outlogout.BackChannel, ClientID: "shop", SubjectFormat: outlogout.ByExternalID, Address: app.URL + "/logout"})
	w.logout(t)
	ids := map[string]bool{}
	open := func(one call) {
		t.Helper()
		form, err := url.ParseQuery(one.body)
		must(t, err)
		signed, err := jose.ParseSignedCompact(form.Get("logout_token"), []jose.SignatureAlgorithm{jose.RS256})
		must(t, err)
		var claims map[string]any
		must(t, json.Unmarshal(signed.UnsafePayloadWithoutVerification(), &claims))
		if typ := signed.Signatures[0].Header.ExtraHeaders["typ"]; typ != "logout+jwt" || claims["aud"] != "shop" || claims["sub"] != "e-ana" || claims["nonce"] != nil ||
			claims["exp"].(float64)-claims["iat"].(float64) != 120 || !strings.HasPrefix(one.header.Get("Content-Type"), "application/x-www-form-urlencoded") {
			t.Errorf("%v %v", typ, claims)
		}
		ids[claims["jti"].(string)] = true
	}
	for range 3 {
		open(<-came)
	}
	if len(ids) != 3 {
		t.Errorf("attempts share a token: %v", ids)
	}
	until(t, "it is a dead letter", func() bool { return w.backlog(t, target).Dead == 1 })
	letters, err := w.deliveries.DeadLetters(t.Context(), w.db, target.Workspace, target.ID, 10)
	must(t, err)
	if letters[0].Status != 400 || letters[0].Attempts != 3 || !strings.Contains(letters[0].LastError, "unknown audience") {
		t.Errorf("%+v", letters[0])
	}
	if _, err := w.service.Retry(t.Context(), cause(), w.globex.ID, target.ID, core.ID{}); core.KindOf(err) != core.KindNotFound {
		t.Errorf("another workspace: %v", err)
	}
	count, err := w.service.Retry(t.Context(), cause(), target.Workspace, target.ID, core.ID{})
	if err != nil || count != 1 {
		t.Fatal(count, err)
	}
	open(<-came)
	until(t, "it is delivered", func() bool { left := w.backlog(t, target); return left.Waiting+left.Dead == 0 })
	must(t, w.service.SetState(t.Context(), cause(), target.Workspace, target.ID, delivery.Disabled, ""))
	must(t, w.service.Delete(t.Context(), cause(), target.Workspace, target.ID))
}
