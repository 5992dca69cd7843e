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
	"postern/core/audit"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/seal"
	"postern/oidc"
	"postern/webhooks"
	"postern/webhooks/delivery"
	"postern/webhooks/keys"
	"postern/webhooks/outlogout"
)

// world is a gateway of two workspaces: what acme says of its people, globex hears as an app of theirs.
type world struct {
	*coretest.Core
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
	engine := gin.New()
	w := &world{Core: coretest.Open(t, nil), gateway: httptest.NewServer(engine)}
	t.Cleanup(w.gateway.Close)
	w.Signals.PublicURL = w.gateway.URL
	issuers, quiet := &keys.Cache{HTTP: w.gateway.Client()}, slog.New(slog.DiscardHandler)
	(&oidc.Service{DB: w.DB, Directory: w.Directory, HTTP: w.gateway.Client(), Keys: issuers, PublicURL: w.gateway.URL, Log: quiet, Signals: w.Signals}).Mount(engine)
	(&webhooks.Service{DB: w.DB, Directory: w.Directory, Signals: w.Signals, Keys: issuers, PublicURL: w.gateway.URL, Log: quiet}).Mount(engine)
	engine.GET("/jwks/:workspace", func(c *gin.Context) {
		id, _ := core.ParseID(c.Param("workspace"))
		set, err := w.Signing.PublicKeys(c, id)
		if err != nil {
			t.Error(err)
		}
		c.JSON(http.StatusOK, jose.JSONWebKeySet{Keys: set})
	})
	sequencer := &audit.Sequencer{DB: w.DB, Log: quiet}
	w.deliveries = &delivery.Deliveries{DB: w.DB, Look: 20 * time.Millisecond, Wake: sequencer.Wake}
	w.service = &outlogout.Service{
		DB: w.DB, Directory: w.Directory, Deliveries: w.deliveries, Sign: w.Signing.Sign, HTTP: w.gateway.Client(), PublicURL: w.gateway.URL, AllowPrivate: true, Wake: sequencer.Wake,
	}
	carrier := w.service.Carrier()
	carrier.Schedule = []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond, time.Millisecond}
	w.deliveries.Carriers = map[string]delivery.Carrier{outlogout.Kind: carrier}
	follower := &delivery.Follower{Deliveries: w.deliveries, Listeners: []delivery.Listener{w.service}}
	for _, part := range []func(context.Context) error{sequencer.Run, follower.Run, w.deliveries.Run} {
		coretest.Run(t, part)
	}
	w.people(t)
	return w
}

func (w *world) people(t *testing.T) {
	t.Helper()
	var idp directory.Connection
	w.acme, idp = w.Workspace(t, "acme", directory.NewConnection{Name: "IdP", Kind: directory.Generic, Issuer: "https://idp.example", Provisioning: directory.Provisioning{GuardFloor: -1}})
	w.globex, w.connection = w.Workspace(t, "globex", directory.NewConnection{
		Name: "Acme", Kind: directory.Generic, Issuer: w.service.Issuer(w.acme.ID), ClientID: "globex", JWKSURI: w.gateway.URL + "/jwks/" + w.acme.ID.String(),
		Provisioning: directory.Provisioning{GuardFloor: -1},
	})
	w.ana = w.Person(t, idp, directory.User{UserName: "ana", Email: "ana@example.com", ExternalID: "e-ana"})
	w.theirs = w.Person(t, w.connection, directory.User{UserName: "ana", Email: "ana@example.com"})
	w.Tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		if err := w.Directory.LinkIdentity(ctx, tx, w.globex.ID, w.connection.ID, w.connection.Issuer, w.ana.ID.String(), w.theirs.ID); err != nil {
			return err
		}
		_, w.session, err = w.Directory.StartSession(ctx, tx, core.NewCause(w.theirs.Actor(), time.Now()), directory.NewSession{
			Workspace: w.globex.ID, User: w.theirs.ID, Connection: w.connection.ID, Issuer: w.connection.Issuer, Subject: w.ana.ID.String(), Authenticated: time.Now(),
		})
		return err
	})
}

func (w *world) signedIn(t *testing.T) bool {
	t.Helper()
	return w.SignedIn(t, w.session)
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
	_, err := w.Signals.LogOut(t.Context(), cause(), w.acme.ID, w.ana.ID)
	must(t, err)
}

func (w *world) backlog(t *testing.T, target outlogout.Target) delivery.Backlog {
	t.Helper()
	found, err := w.deliveries.Backlog(t.Context(), w.DB, target.Workspace, target.ID)
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
			coretest.Until(t, "the session at the app is dead", func() bool { return !w.signedIn(t) })
			coretest.Until(t, "it is known to be delivered", func() bool { return w.backlog(t, made).Waiting == 0 })
			if left := w.backlog(t, made); left.Dead != 0 {
				letters, _ := w.deliveries.DeadLetters(t.Context(), w.DB, made.Workspace, made.ID, 10)
				t.Fatalf("%+v", letters)
			}
			// Somebody the app does not know, and another workspace's people, are no failure and no news.
			_, err := w.Signals.LogOut(t.Context(), cause(), w.globex.ID, w.theirs.ID)
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
	coretest.Until(t, "it is a dead letter", func() bool { return w.backlog(t, target).Dead == 1 })
	letters, err := w.deliveries.DeadLetters(t.Context(), w.DB, target.Workspace, target.ID, 10)
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
	coretest.Until(t, "it is delivered", func() bool { left := w.backlog(t, target); return left.Waiting+left.Dead == 0 })
	must(t, w.service.SetState(t.Context(), cause(), target.Workspace, target.ID, delivery.Disabled, ""))
	must(t, w.service.Delete(t.Context(), cause(), target.Workspace, target.ID))
}
