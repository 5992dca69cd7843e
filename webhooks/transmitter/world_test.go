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

	"postern/core"
	"postern/core/audit"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/seal"
	"postern/webhooks/delivery"
	"postern/webhooks/keys"
	"postern/webhooks/ssf"
	"postern/webhooks/transmitter"
)

// world is a gateway that transmits for two workspaces, and receives what it transmits.
type world struct {
	*coretest.Core
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
	w := &world{}
	now := func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }
	engine := gin.New()
	w.gateway = httptest.NewServer(engine)
	t.Cleanup(w.gateway.Close)
	w.Core = coretest.Open(t, now)
	w.Signals.PublicURL = w.gateway.URL
	sequencer := &audit.Sequencer{DB: w.DB, Now: now, Log: slog.New(slog.DiscardHandler)}
	w.deliveries = &delivery.Deliveries{DB: w.DB, Now: now, Look: 20 * time.Millisecond}
	w.service = &transmitter.Service{
		DB: w.DB, Directory: w.Directory, Vault: w.Vault, Deliveries: w.deliveries, Sign: w.Signing.Sign, HTTP: w.gateway.Client(), PublicURL: w.gateway.URL,
		AllowPrivate: true, Now: now, Wake: sequencer.Wake,
	}
	w.deliveries.Carriers = map[string]delivery.Carrier{transmitter.Kind: w.service.Carrier()}
	w.service.Mount(engine)
	engine.GET("/jwks/:workspace", func(c *gin.Context) {
		id, _ := core.ParseID(c.Param("workspace"))
		set, err := w.Signing.PublicKeys(c, id)
		if err != nil {
			t.Error(err)
		}
		c.JSON(http.StatusOK, jose.JSONWebKeySet{Keys: set})
	})
	w.receiver = &ssf.Service{
		DB: w.DB, Directory: w.Directory, Vault: w.Vault, Keys: &keys.Cache{HTTP: w.gateway.Client()}, HTTP: w.gateway.Client(), PublicURL: w.gateway.URL, Now: now,
		Signals: w.Signals, Log: slog.New(slog.DiscardHandler),
		Pace: ssf.Pace{Every: 20 * time.Millisecond, Slow: 30 * time.Millisecond, Longest: 50 * time.Millisecond, Lease: 2 * time.Second, Look: 10 * time.Millisecond},
	}
	w.receiver.Mount(engine)
	w.follower = &delivery.Follower{Deliveries: w.deliveries, Listeners: []delivery.Listener{w.service}}
	w.acme, w.globex = w.house(t, "acme"), w.house(t, "globex")
	coretest.Run(t, sequencer.Run)
	return w
}

// run follows and delivers until the test ends.
func (w *world) run(t testing.TB, parts ...func(ctx context.Context) error) {
	t.Helper()
	if len(parts) == 0 {
		parts = []func(ctx context.Context) error{w.follower.Run, w.deliveries.Run}
	}
	for _, part := range parts {
		coretest.Run(t, part)
	}
}

// house has two people, whom both workspaces know by the same addresses.
func (w *world) house(t testing.TB, slug string) house {
	t.Helper()
	var h house
	h.workspace, h.connection = w.Workspace(t, slug, directory.NewConnection{
		Name: "IdP", Kind: directory.Generic, Issuer: w.gateway.URL + "/idp", Provisioning: directory.Provisioning{GuardFloor: -1},
	})
	for name, into := range map[string]*directory.User{"ana": &h.ana, "ben": &h.ben} {
		*into = w.Person(t, h.connection, directory.User{UserName: name, Email: name + "@example.com", ExternalID: "ext-" + name, DisplayName: name})
	}
	h.session = w.SignIn(t, h.ana)
	return h
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
	set, err := c.w.Signing.PublicKeys(t.Context(), c.receiver.Workspace)
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
