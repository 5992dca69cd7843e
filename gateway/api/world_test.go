package api_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/certificates"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/dryruns"
	"postern/core/health"
	"postern/core/importing"
	"postern/core/jobs"
	"postern/core/lifecycle"
	"postern/core/links"
	"postern/core/mail"
	"postern/core/mailbox"
	"postern/core/policies"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
	"postern/core/posture"
	"postern/core/reviews"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/core/services"
	"postern/core/signals"
	"postern/core/signing"
	"postern/core/vault"
	"postern/gateway/api"
	"postern/gateway/problem"
	"postern/webhooks/sms"
)

const canary = "canary-Pa55word!"

// world is two workspaces, each with a person and a token that may do everything.
type world struct {
	mailboxes *mailbox.Mailboxes
	db        *postgres.DB
	directory *directory.Directory
	accounts  *accounts.Accounts
	rotations *rotation.Rotations
	lifecycle *lifecycle.Lifecycle
	signals   *signals.Signals

	certificates *certificates.Certificates
	links        *links.Links
	services     *services.Services
	reviews      *reviews.Reviews

	engine   *gin.Engine
	document *document
	splunk   string // a receiver's address
	log      bytes.Buffer
	key      ed25519.PrivateKey
	acme     directory.Workspace
	ana, ben directory.User // of acme
	gus      directory.User // of globex
	tokens   map[string]string
	hidden   []string         // further secrets no answer may hold
	now      func() time.Time // of the service
}

func newWorld(t *testing.T, change ...func(*api.Service)) *world {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	db := postgrestest.Open(t, jobs.Migrate)
	keys, err := seal.NewLocalKey([]byte(seal.GenerateLocalKey().Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	queue, err := jobs.NewQueue(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{db: db, directory: &directory.Directory{DB: db}, key: private, tokens: map[string]string{}, now: time.Now}
	w.accounts = &accounts.Accounts{DB: db, Vault: &vault.Vault{DB: db, Keys: keys}, Directory: w.directory}
	w.rotations = &rotation.Rotations{DB: db, Accounts: w.accounts, Queue: queue}
	w.engine = gin.New()
	log := slog.New(slog.NewJSONHandler(&w.log, nil))
	problem.Install(w.engine, problem.Options{Log: log, OwnLimits: []string{api.ImportsPath}})
	w.lifecycle = &lifecycle.Lifecycle{DB: db, Directory: w.directory, Accounts: w.accounts, Rotations: w.rotations}
	w.signals = &signals.Signals{DB: db, Directory: w.directory, Accounts: w.accounts, Rotations: w.rotations, Lifecycle: w.lifecycle}
	signs := &signing.Signing{DB: db, Vault: &vault.Vault{DB: db, Keys: keys}}
	w.certificates = &certificates.Certificates{DB: db, Signing: signs}
	w.services = &services.Services{DB: db, Directory: w.directory, Accounts: w.accounts, Rotations: w.rotations}
	w.reviews = &reviews.Reviews{DB: db, Directory: w.directory, Accounts: w.accounts, Lifecycle: w.lifecycle, Services: w.services, Signing: signs}
	w.links = &links.Links{
		DB: db, Directory: w.directory, Accounts: w.accounts, Policies: &policies.Policies{DB: db, Accounts: w.accounts, Rotations: w.rotations},
		Mail: &mail.Mail{DB: db, Vault: w.accounts.Vault, Jobs: queue, Keep: true}, PublicURL: "https://postern.example.com",
		Depart: func(ctx context.Context, cause core.Cause, workspace, user core.ID) error {
			_, err := w.lifecycle.Deprovision(ctx, cause, workspace, user)
			return err
		},
		Return: w.lifecycle.Reactivate, Now: func() time.Time { return w.now() },
	}
	w.mailboxes = &mailbox.Mailboxes{DB: db, Accounts: w.accounts, Vault: w.accounts.Vault, Domain: "in.example.com"}
	service := &api.Service{
		Mailboxes: w.mailboxes, SMS: &sms.Service{Mailboxes: w.mailboxes, PublicURL: "https://postern.example.com"},
		DB: db, Directory: w.directory, Accounts: w.accounts, Connectors: rotation.Connectors{"browser": (*coretest.Apps)(nil)}, Rotations: w.rotations, Lifecycle: w.lifecycle, Policies: &policies.Policies{DB: db, Accounts: w.accounts, Rotations: w.rotations}, Imports: &importing.Imports{DB: db, Directory: w.directory, Accounts: w.accounts, Rotations: w.rotations, Vault: w.accounts.Vault, Queue: queue}, Signals: w.signals, Signing: signs, Certificates: w.certificates, Reviews: w.reviews, Services: w.services, Health: &health.Health{DB: db, Accounts: w.accounts, Rotations: w.rotations, Queue: queue}, DryRuns: &dryruns.DryRuns{DB: db, Accounts: w.accounts, Rotations: w.rotations, Queue: queue}, Links: w.links, Posture: &posture.Posture{DB: db, Accounts: w.accounts, Lifecycle: w.lifecycle, Queue: queue, Mail: true}, Streams: w.receiver(), Receivers: w.transmitter(), Logouts: w.logouts(), Hooks: w.hooks(), Webhooks: w.webhooks(), Sinks: w.sinks(t), AuditKey: private, Product: "Postern test", Log: log,
		Now: func() time.Time { return w.now() },
	}
	for _, one := range change {
		one(service)
	}
	service.Mount(w.engine)
	w.document = openDocument(t, w.engine)
	cause := core.NewCause(core.System, time.Now())
	err = db.Tx(t.Context(), func(tx pgx.Tx) error {
		for _, name := range []string{"acme", "globex"} {
			workspace, err := w.directory.CreateWorkspace(t.Context(), tx, cause, name, name)
			if err != nil {
				return err
			}
			user, err := w.directory.InsertUser(t.Context(), tx, directory.User{Workspace: workspace.ID, UserName: "ana", Email: "ana@" + name, Active: true, Role: directory.RoleUser})
			if err != nil {
				return err
			}
			scopes := api.Scopes()
			if w.tokens[name], err = w.token(t.Context(), tx, workspace.ID, "all", scopes); err != nil {
				return err
			}
			if name == "acme" {
				w.acme, w.ana = workspace, user
				if w.ben, err = w.directory.InsertUser(t.Context(), tx, directory.User{Workspace: workspace.ID, UserName: "ben", DisplayName: "Ben", Active: true, Role: directory.RoleUser}); err != nil {
					return err
				}
				for _, scope := range scopes {
					if w.tokens[scope], err = w.token(t.Context(), tx, workspace.ID, scope, []string{scope}); err != nil {
						return err
					}
				}
			} else {
				w.gus = user
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) token(ctx context.Context, tx pgx.Tx, workspace core.ID, name string, scopes []string) (string, error) {
	cause := core.NewCause(core.System, time.Now())
	account, err := w.directory.CreateServiceAccount(ctx, tx, cause, workspace, name, scopes)
	if err != nil {
		return "", err
	}
	token, err := w.directory.CreateServiceAccountToken(ctx, tx, cause, workspace, account.ID, nil)
	return token.Reveal(), err
}

// ask sends a request and reads the answer as JSON.
func (w *world) ask(t *testing.T, as, method, path, body string) (int, map[string]any) {
	t.Helper()
	request := httptest.NewRequest(method, "/api/v1"+path, strings.NewReader(body))
	if token := w.tokens[as]; token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	recorder, got := w.send(t, request)
	return recorder.Code, got
}

// send holds every answer to what is promised of all: it is what the document says, an error is a
// problem, and there is no secret in it.
func (w *world) send(t *testing.T, request *http.Request) (*httptest.ResponseRecorder, map[string]any) {
	t.Helper()
	recorder := httptest.NewRecorder()
	w.engine.ServeHTTP(recorder, request)
	text := recorder.Body.Bytes()
	what := request.Method + " " + request.URL.Path
	for _, secret := range append([]string{canary, totpSeed}, w.secrets()...) {
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("%s gives a secret away: %s", what, text)
		}
	}
	var got map[string]any
	kind, _, _ := strings.Cut(recorder.Header().Get("Content-Type"), ";")
	if len(text) > 0 && strings.HasSuffix(kind, "json") {
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%s: %v: %s", what, err, text)
		}
	}
	if recorder.Code >= 400 {
		id, _ := got["request_id"].(string)
		if kind != problem.ContentType || id == "" || id != recorder.Header().Get("X-Request-Id") || got["code"] == nil || got["type"] != "about:blank" ||
			got["status"] != float64(recorder.Code) || got["title"] != http.StatusText(recorder.Code) {
			t.Errorf("%s: %d as %q: %s", what, recorder.Code, kind, text)
		}
		if challenge := recorder.Header().Get("WWW-Authenticate"); (recorder.Code == http.StatusUnauthorized) != strings.HasPrefix(challenge, "Bearer ") {
			t.Errorf("%s: %d with the challenge %q", what, recorder.Code, challenge)
		}
	}
	if got != nil || len(text) == 0 { // not a file
		w.document.check(t, request, recorder.Code, kind, got)
	}
	return recorder, got
}

func (w *world) secrets() []string {
	all := slices.Clone(w.hidden)
	for _, token := range w.tokens {
		all = append(all, token)
	}
	return all
}

// must is ask for what has to succeed with a status.
func (w *world) must(t *testing.T, status int, method, path, body string) map[string]any {
	t.Helper()
	got, answer := w.ask(t, "acme", method, path, body)
	if got != status {
		t.Fatalf("%s %s: %d %v, want %d", method, path, got, answer, status)
	}
	return answer
}

const newApp = `{"name":"Wiki","domains":["wiki.example.com"],"sign_in_url":"https://wiki.example.com/login"}`

func (w *world) account(t *testing.T) (app, account string, created map[string]any) {
	t.Helper()
	app = w.must(t, 201, "POST", "/apps", newApp)["id"].(string)
	created = w.must(t, 201, "POST", "/accounts", `{"app":"`+app+`","username":"team","password":"`+canary+`","owner":"`+w.ana.ID.String()+`"}`)
	return app, created["id"].(string), created
}
