package transmitter_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
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
	"postern/webhooks/delivery"
	"postern/webhooks/keys"
	"postern/webhooks/ssf"
	"postern/webhooks/transmitter"
)

// world is a gateway that transmits for two workspaces, and receives what it transmits.
type world struct {
	db         *postgres.DB
	directory  *directory.Directory
	lifecycle  *lifecycle.Lifecycle
	signing    *signing.Signing
	deliveries *delivery.Deliveries
	service    *transmitter.Service
	receiver   *ssf.Service
	follower   *delivery.Follower
	gateway    *httptest.Server
	ahead      atomic.Int64

	acme, globex house
}

type house struct {
	workspace  directory.Workspace
	connection directory.Connection
	ana, ben   directory.User
	session    seal.Secret // ana's
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func cause() core.Cause { return core.NewCause(core.System, time.Now()) }

func newWorld(t testing.TB) *world {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	db := postgrestest.Open(t, jobs.Migrate)
	key, err := seal.NewLocalKey([]byte(seal.GenerateLocalKey().Reveal()))
	must(t, err)
	queue, err := jobs.NewQueue(db, nil)
	must(t, err)
	w := &world{db: db}
	now := func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }
	engine := gin.New()
	w.gateway = httptest.NewServer(engine)
	t.Cleanup(w.gateway.Close)
	w.directory = &directory.Directory{DB: db, Now: now}
	safe := &vault.Vault{DB: db, Keys: key, Now: now}
	logins := &accounts.Accounts{DB: db, Vault: safe, Directory: w.directory, Now: now}
	rotations := &rotation.Rotations{DB: db, Accounts: logins, Queue: queue, Now: now}
	w.lifecycle = &lifecycle.Lifecycle{DB: db, Directory: w.directory, Accounts: logins, Rotations: rotations, Now: now}
	w.signing = &signing.Signing{DB: db, Vault: safe, Now: now}
	sequencer := &audit.Sequencer{DB: db, Now: now, Log: slog.New(slog.DiscardHandler)}
	w.deliveries = &delivery.Deliveries{DB: db, Now: now, Look: 20 * time.Millisecond}
	w.service = &transmitter.Service{
		DB: db, Directory: w.directory, Vault: safe, Deliveries: w.deliveries, Sign: w.signing.Sign, HTTP: w.gateway.Client(), PublicURL: w.gateway.URL,
		AllowPrivate: true, Now: now, Wake: sequencer.Wake,
	}
	w.deliveries.Carriers = map[string]delivery.Carrier{transmitter.Kind: w.service.Carrier()}
	w.service.Mount(engine)
	engine.GET("/jwks/:workspace", func(c *gin.Context) {
		id, _ := core.ParseID(c.Param("workspace"))
		set, err := w.signing.PublicKeys(c, id)
		if err != nil {
			t.Error(err)
		}
		c.JSON(http.StatusOK, jose.JSONWebKeySet{Keys: set})
	})
	w.receiver = &ssf.Service{
		DB: db, Directory: w.directory, Vault: safe, Keys: &keys.Cache{HTTP: w.gateway.Client()}, HTTP: w.gateway.Client(), PublicURL: w.gateway.URL, Now: now,
		Signals: &signals.Signals{DB: db, Directory: w.directory, Accounts: logins, Rotations: rotations, Lifecycle: w.lifecycle, PublicURL: w.gateway.URL, Now: now},
		Log:     slog.New(slog.DiscardHandler),
		Pace:    ssf.Pace{Every: 20 * time.Millisecond, Slow: 30 * time.Millisecond, Longest: 50 * time.Millisecond, Lease: 2 * time.Second, Look: 10 * time.Millisecond},
	}
	w.receiver.Mount(engine)
	w.follower = &delivery.Follower{Deliveries: w.deliveries, Listeners: []delivery.Listener{w.service}}
	w.acme, w.globex = w.house(t, "acme"), w.house(t, "globex")
	start(t, sequencer.Run)
	return w
}

// run follows and delivers until the test ends.
func (w *world) run(t testing.TB, parts ...func(ctx context.Context) error) {
	t.Helper()
	if len(parts) == 0 {
		parts = []func(ctx context.Context) error{w.follower.Run, w.deliveries.Run}
	}
	for _, part := range parts {
		start(t, part)
	}
}

// start runs something until it is stopped, or the test ends.
func start(t testing.TB, part func(ctx context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = part(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

// house has two people, whom both workspaces know by the same addresses.
func (w *world) house(t testing.TB, slug string) house {
	t.Helper()
	var h house
	w.do(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		if h.workspace, err = w.directory.CreateWorkspace(ctx, tx, cause(), slug, slug); err != nil {
			return err
		}
		if _, err := w.service.Vault.Prepare(ctx, tx, h.workspace.ID); err != nil {
			return err
		}
		h.connection, err = w.directory.CreateConnection(ctx, tx, cause(), h.workspace.ID, directory.NewConnection{
			Name: "IdP", Kind: directory.Generic, Issuer: w.gateway.URL + "/idp", Provisioning: directory.Provisioning{GuardFloor: -1},
		})
		return err
	})
	for name, into := range map[string]*directory.User{"ana": &h.ana, "ben": &h.ben} {
		w.do(t, func(ctx context.Context, tx pgx.Tx) (err error) {
			*into, err = w.directory.InsertUser(ctx, tx, directory.User{
				Workspace: h.workspace.ID, Connection: h.connection.ID, UserName: name, Email: name + "@example.com", ExternalID: "ext-" + name,
				DisplayName: name, Active: true, Role: directory.RoleUser,
			})
			if err != nil {
				return err
			}
			return w.directory.LinkIdentity(ctx, tx, h.workspace.ID, h.connection.ID, w.gateway.URL+"/idp", "sub-"+name, into.ID)
		})
	}
	w.do(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		_, h.session, err = w.directory.StartSession(ctx, tx, core.NewCause(h.ana.Actor(), time.Now()), directory.NewSession{
			Workspace: h.workspace.ID, User: h.ana.ID, Connection: h.connection.ID, Authenticated: time.Now(),
		})
		return err
	})
	return h
}

func (w *world) signedIn(t testing.TB, h house) bool {
	t.Helper()
	_, _, err := w.directory.Authenticate(t.Context(), h.session)
	if err != nil && core.KindOf(err) != core.KindUnauthenticated {
		t.Fatal(err)
	}
	return err == nil
}

func (w *world) do(t testing.TB, work func(ctx context.Context, tx pgx.Tx) error) {
	t.Helper()
	must(t, w.db.Tx(t.Context(), func(tx pgx.Tx) error { return work(t.Context(), tx) }))
}

// until waits for a condition, as long as a test may take.
func until(t testing.TB, what string, holds func() bool) {
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

// client is a receiver as the conformance suite plays one.
type client struct {
	w        *world
	issuer   string
	receiver transmitter.Receiver
	secret   seal.Secret
	token    string
}

func (w *world) client(t testing.TB, h house, wanted transmitter.NewReceiver) *client {
	t.Helper()
	if wanted.Name == "" {
		wanted.Name = "receiver"
	}
	receiver, secret, err := w.service.AddReceiver(t.Context(), cause(), h.workspace.ID, wanted)
	must(t, err)
	c := &client{w: w, issuer: w.service.Issuer(h.workspace.ID), receiver: receiver, secret: secret}
	status, got, _ := c.form(t, url.Values{"grant_type": {"client_credentials"}}, receiver.Account.String(), secret.Reveal())
	if status != http.StatusOK {
		t.Fatalf("%d %v", status, got)
	}
	c.token = got["access_token"].(string)
	return c
}

func (c *client) form(t testing.TB, form url.Values, id, secret string) (int, map[string]any, http.Header) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.issuer+"/token", strings.NewReader(form.Encode()))
	must(t, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if id != "" {
		request.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	}
	return c.send(t, request)
}

// call asks the transmitter something; body is JSON or a text as it is.
func (c *client) call(t testing.TB, method, path string, body any) (int, map[string]any) {
	t.Helper()
	var reader io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(body)
	default:
		text, err := json.Marshal(body)
		must(t, err)
		reader = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, c.issuer+path, reader)
	must(t, err)
	request.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	status, got, _ := c.send(t, request)
	return status, got
}

func (c *client) send(t testing.TB, request *http.Request) (int, map[string]any, http.Header) {
	t.Helper()
	response, err := http.DefaultClient.Do(request)
	must(t, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	must(t, err)
	got := map[string]any{}
	if len(text) > 0 && text[0] == '[' {
		var list []any
		must(t, json.Unmarshal(text, &list))
		got["list"] = list
	} else if len(text) > 0 {
		must(t, json.Unmarshal(text, &got))
	}
	return response.StatusCode, got, response.Header
}

// poll is one request for tokens, at once.
func (c *client) poll(t testing.TB, ack ...string) map[string]map[string]any {
	t.Helper()
	status, got := c.call(t, "POST", "/poll", map[string]any{"returnImmediately": true, "ack": append([]string{}, ack...)})
	if status != http.StatusOK {
		t.Fatalf("poll: %d %v", status, got)
	}
	return c.opened(t, got["sets"].(map[string]any))
}

// opened checks each token as strictly as the profile lets a receiver, and returns the claims by jti.
func (c *client) opened(t testing.TB, sets map[string]any) map[string]map[string]any {
	t.Helper()
	out := map[string]map[string]any{}
	for jti, compact := range sets {
		claims := c.open(t, compact.(string))
		if claims["jti"] != jti {
			t.Errorf("jti %v under %s", claims["jti"], jti)
		}
		out[jti] = claims
	}
	return out
}

func (c *client) open(t testing.TB, compact string) map[string]any {
	t.Helper()
	signed, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.RS256})
	must(t, err)
	if typ := signed.Signatures[0].Header.ExtraHeaders["typ"]; typ != "secevent+jwt" {
		t.Errorf("typ %v", typ)
	}
	set, err := c.w.signing.PublicKeys(t.Context(), c.receiver.Workspace)
	must(t, err)
	keys := jose.JSONWebKeySet{Keys: set}
	found := keys.Key(signed.Signatures[0].Header.KeyID)
	if len(found) != 1 {
		t.Fatalf("kid %q is not published", signed.Signatures[0].Header.KeyID)
	}
	payload, err := signed.Verify(found[0])
	must(t, err)
	claims := map[string]any{}
	must(t, json.Unmarshal(payload, &claims))
	for _, absent := range []string{"sub", "exp"} {
		if _, there := claims[absent]; there {
			t.Errorf("%s is there", absent)
		}
	}
	if claims["iss"] != c.issuer || claims["aud"] != c.receiver.Audience || claims["sub_id"] == nil {
		t.Errorf("claims %v", claims)
	}
	if events := claims["events"].(map[string]any); len(events) != 1 {
		t.Errorf("%d events in one token", len(events))
	}
	return claims
}

// type of the one event of a token, and its body.
func event(claims map[string]any) (string, map[string]any) {
	for uri, body := range claims["events"].(map[string]any) {
		return uri, body.(map[string]any)
	}
	return "", nil
}
