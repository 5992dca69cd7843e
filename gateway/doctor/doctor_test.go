package doctor_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-jose/go-jose/v4"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/postgres/postgrestest"
	"postern/core/seal"
	"postern/core/signals"
	"postern/core/vault"
	"postern/gateway/doctor"
	"postern/oidc"
	"postern/scim"
	"postern/webhooks"
	"postern/webhooks/hooks"
	"postern/webhooks/keys"
	"postern/webhooks/ssf"
)

// world is a gateway's doors, an identity provider, and two workspaces.
type world struct {
	doctor     *doctor.Doctor
	connection directory.Connection
	theirs     directory.Connection
	vault      *vault.Vault
	provider   *httptest.Server
	metadata   map[string]any
	date       time.Duration // the provider's clock is ahead by
	before     func(w http.ResponseWriter, r *http.Request) bool
}

func newWorld(t *testing.T) *world {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	w := &world{}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	w.provider = httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		out.Header().Set("Date", time.Now().Add(w.date).UTC().Format(http.TimeFormat))
		if strings.HasSuffix(r.URL.Path, "/keys") {
			_ = json.NewEncoder(out).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "one", Algorithm: "RS256", Use: "sig"}}})
			return
		}
		_ = json.NewEncoder(out).Encode(w.metadata)
	}))
	t.Cleanup(w.provider.Close)
	w.metadata = map[string]any{
		"issuer": w.provider.URL, "jwks_uri": w.provider.URL + "/keys", "authorization_endpoint": w.provider.URL + "/authorize", "token_endpoint": w.provider.URL + "/token",
	}
	db := postgrestest.Open(t, jobs.Migrate)
	people := &directory.Directory{DB: db}
	told := &signals.Signals{DB: db, Directory: people}
	engine := gin.New()
	gateway := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if w.before == nil || w.before(out, r) {
			engine.ServeHTTP(out, r)
		}
	}))
	t.Cleanup(gateway.Close)
	cache, log := &keys.Cache{HTTP: http.DefaultClient}, slog.New(slog.DiscardHandler)
	(&webhooks.Service{DB: db, Directory: people, Signals: told, Keys: cache, PublicURL: gateway.URL, Log: log}).Mount(engine)
	(&oidc.Service{DB: db, Directory: people, Signals: told, Keys: cache, PublicURL: gateway.URL, HTTP: http.DefaultClient, Log: log}).Mount(engine)
	(&scim.Service{DB: db, Directory: people, PublicURL: gateway.URL, Log: log}).Mount(engine)
	local, err := seal.NewLocalKey([]byte(seal.GenerateLocalKey().Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	w.vault = &vault.Vault{DB: db, Keys: local}
	(&hooks.Service{DB: db, Directory: people, Signals: told, Vault: w.vault, Keys: cache, PublicURL: gateway.URL, Log: log}).Mount(engine)
	engine.GET("/jwks/:workspace", func(c *gin.Context) { c.JSON(200, gin.H{"keys": []any{}}) })
	w.doctor = &doctor.Doctor{
		DB: db, Directory: people, Signals: told, Streams: &ssf.Service{DB: db, PublicURL: gateway.URL}, HTTP: http.DefaultClient, Self: http.DefaultClient,
		PublicURL: gateway.URL,
	}
	cause := core.NewCause(core.System, time.Now())
	if err := db.Tx(t.Context(), func(tx pgx.Tx) error {
		for slug, made := range map[string]*directory.Connection{"acme": &w.connection, "globex": &w.theirs} {
			workspace, err := people.CreateWorkspace(t.Context(), tx, cause, slug, slug)
			if err != nil {
				return err
			}
			if *made, err = people.CreateConnection(t.Context(), tx, cause, workspace.ID, directory.NewConnection{
				Name: "Okta", Kind: directory.Okta, Issuer: w.provider.URL, ClientID: "client",
			}); err != nil {
				return err
			}
			if _, err := people.CreateConnectionToken(t.Context(), tx, cause, workspace.ID, made.ID, nil); err != nil {
				return err
			}
		}
		user, err := people.InsertUser(t.Context(), tx, directory.User{
			Workspace: w.connection.Workspace, Connection: w.connection.ID, UserName: "ana", Active: true, Role: directory.RoleUser,
		})
		if err != nil {
			return err
		}
		_, _, err = people.StartSession(t.Context(), tx, cause, directory.NewSession{
			Workspace: user.Workspace, User: user.ID, Connection: user.Connection, Authenticated: time.Now(),
		})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) examine(t *testing.T, selfTest bool) doctor.Diagnosis {
	t.Helper()
	found, err := w.doctor.Diagnose(t.Context(), w.connection.Workspace, w.connection.ID, doctor.Options{SelfTest: selfTest})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// says looks for a finding.
func says(d doctor.Diagnosis, level doctor.Level, about, part string) bool {
	for _, one := range d.Findings {
		if one.Level == level && strings.Contains(one.About, about) && strings.Contains(one.Says+one.Advice, part) {
			return true
		}
	}
	return false
}

func TestAHealthyConnection(t *testing.T) {
	w := newWorld(t)
	found := w.examine(t, true)
	if !found.Healthy || len(found.Keys) != 1 || !found.Keys[0].Usable || found.Provider != doctor.Okta {
		t.Errorf("%+v", found)
	}
	for _, about := range []string{"discovery", "keys", "clock", "self-test of universal_logout", "self-test of back_channel_logout", "self-test of front_channel_logout", "self-test of scim", "self-test of published keys"} {
		if !says(found, doctor.Good, about, "") {
			t.Errorf("%s is not good: %+v", about, found.Findings)
		}
	}
	if !says(found, doctor.Warning, "universal_logout", "no Universal Logout was ever seen") {
		t.Errorf("%+v", found.Findings)
	}
	// The self-test leaves its trace, and is not mistaken for somebody's fault.
	again := w.examine(t, false)
	if !again.Healthy || !says(again, doctor.Note, "universal_logout", "failed at type") {
		t.Errorf("%+v", again.Findings)
	}
	if _, err := w.doctor.Diagnose(t.Context(), w.theirs.Workspace, w.connection.ID, doctor.Options{}); core.KindOf(err) != core.KindNotFound {
		t.Errorf("another workspace examines it: %v", err)
	}
}

// What an administrator says about the connection's people is no door of the provider.
func TestAnAdministratorIsNoDoor(t *testing.T) {
	w := newWorld(t)
	ana, err := w.doctor.Directory.UserByName(t.Context(), w.doctor.DB, w.connection.Workspace, w.connection.ID, "ana")
	coretest.Must(t, err)
	said, err := coretest.On(t, w.doctor.DB, nil).Signals.LogOut(t.Context(), coretest.System(), w.connection.Workspace, ana.ID)
	coretest.Must(t, err)
	if said.Signal.Connection != w.connection.ID || said.Outcome != signals.Done {
		t.Fatalf("%+v", said)
	}
	for _, door := range w.examine(t, false).Doors {
		if door.Door == string(signals.Console) {
			t.Errorf("%+v", door)
		}
	}
}

func TestWhatTheProviderMayBeWrongIn(t *testing.T) {
	w := newWorld(t)
	for name, one := range map[string]struct {
		break_      func()
		about, part string
	}{
		"another issuer": {func() { w.metadata["issuer"] = w.provider.URL + "/" }, "discovery", "letter by letter"},
		"no endpoints":   {func() { delete(w.metadata, "token_endpoint") }, "discovery", "authorization server"},
		"HS256":          {func() { w.metadata["id_token_signing_alg_values_supported"] = []string{"HS256"} }, "discovery", "HS256"},
		"no keys":        {func() { delete(w.metadata, "jwks_uri") }, "keys", "names no key set"},
		"keys elsewhere": {func() { w.metadata["jwks_uri"] = w.provider.URL + "/nowhere/" }, "keys", ""},
		"clock":          {func() { w.date = 2 * time.Minute }, "clock", "NTP"},
		"down":           {func() { w.provider.Close() }, "discovery", "firewall"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "down" {
				w = newWorld(t)
			}
			before := map[string]any{}
			for key, value := range w.metadata {
				before[key] = value
			}
			one.break_()
			found := w.examine(t, false)
			if found.Healthy || !says(found, doctor.Fault, one.about, one.part) {
				t.Errorf("%+v", found.Findings)
			}
			w.metadata, w.date = before, 0
		})
		if name == "down" {
			w = newWorld(t)
		}
	}
}

// What stands between the provider and Postern is found by the self-test.
func TestWhatAProxyMayDo(t *testing.T) {
	w := newWorld(t)
	for name, one := range map[string]struct {
		before      func(out http.ResponseWriter, r *http.Request) bool
		about, part string
	}{
		"takes Authorization away": {func(_ http.ResponseWriter, r *http.Request) bool { r.Header.Del("Authorization"); return true }, "universal_logout", "takes the Authorization header away"},
		"takes the body away":      {func(_ http.ResponseWriter, r *http.Request) bool { r.Body = http.NoBody; return true }, "back_channel_logout", "takes the body away"},
		"takes the query away":     {func(_ http.ResponseWriter, r *http.Request) bool { r.URL.RawQuery = ""; return true }, "front_channel_logout", "takes the query away"},
		"redirects": {func(out http.ResponseWriter, r *http.Request) bool {
			http.Redirect(out, r, "https://www.example.com/", http.StatusMovedPermanently)
			return false
		}, "universal_logout", "redirects to"},
		"knows nothing of it":  {func(out http.ResponseWriter, r *http.Request) bool { http.NotFound(out, r); return false }, "scim", "routes the address elsewhere"},
		"refuses":              {func(out http.ResponseWriter, _ *http.Request) bool { out.WriteHeader(403); return false }, "back_channel_logout", "firewall"},
		"answers in its stead": {func(out http.ResponseWriter, _ *http.Request) bool { _, _ = out.Write([]byte("<html>")); return false }, "universal_logout", "not by this door"},
		"is out of order":      {func(out http.ResponseWriter, _ *http.Request) bool { out.WriteHeader(502); return false }, "published keys", "out of order"},
	} {
		t.Run(name, func(t *testing.T) {
			w.before = one.before
			if found := w.examine(t, true); found.Healthy || !says(found, doctor.Fault, one.about, one.part) {
				t.Errorf("%+v", found.Findings)
			}
		})
	}
}

func TestWhatADoorRefused(t *testing.T) {
	w := newWorld(t)
	refuse := func(door signals.Door, stage string) {
		w.doctor.Signals.Refused(context.Background(), signals.Refusal{
			Connection: w.connection, Door: door, Stage: stage, Err: core.Unauthenticated("no"), Origin: core.Origin{Address: "192.0.2.1"},
		})
	}
	refuse(signals.UniversalLogout, "audience")
	found := w.examine(t, false)
	if !says(found, doctor.Warning, "universal_logout", "paste the address") {
		t.Errorf("%+v", found.Findings)
	}
	for _, one := range found.Doors {
		if one.Door == string(signals.UniversalLogout) && (len(one.Failures) != 1 || one.Failures[0].Stage != "audience" || one.Failures[0].Address != "192.0.2.1") {
			t.Errorf("%+v", one)
		}
	}
}

// What bounds a departure is a door that was seen working; everything else ends with the session.
func TestCoverage(t *testing.T) {
	w := newWorld(t)
	for _, one := range w.examine(t, false).Coverage {
		if one.By != "session_life" || one.Bound != directory.DefaultSessionLife.Seconds() {
			t.Errorf("%+v", one)
		}
	}
	providers := map[string]bool{}
	for _, one := range doctor.Actions() {
		providers[one.Provider] = true
		for _, path := range one.Paths {
			if path.Worst <= 0 || path.If == "" || path.Assumed != (one.Provider == doctor.Google || one.Provider == doctor.Generic) {
				t.Errorf("%s, %s: %+v", one.Provider, one.Name, path)
			}
		}
	}
	if len(providers) != 5 {
		t.Errorf("%v", providers)
	}
}

// The README has the matrix as it is.
func TestTheReadmeHasTheMatrix(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), doctor.Table()) {
		t.Error("README.md: replace the table by what 'postern doctor coverage' prints")
	}
}
