package console_test

import (
	"context"
	"crypto/ed25519"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/certificates"
	"postern/core/coretest"
	"postern/core/directory"
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
	"postern/gateway/console"
	"postern/gateway/problem"
	"postern/oidc"
	"postern/siem/sink"
	"postern/siem/sinks"
	"postern/siem/splunk"
	"postern/webhooks/delivery"
	"postern/webhooks/hooks"
	"postern/webhooks/keys"
	"postern/webhooks/outgoing"
	"postern/webhooks/outlogout"
	"postern/webhooks/ssf"
	"postern/webhooks/transmitter"
)

const canary = "canary-Pa55word!"

// world is two workspaces with people, accounts and a console in front of them.
type world struct {
	db           *postgres.DB
	directory    *directory.Directory
	accounts     *accounts.Accounts
	rotations    *rotation.Rotations
	lifecycle    *lifecycle.Lifecycle
	signals      *signals.Signals
	console      *console.Service
	deliveries   *delivery.Deliveries
	webhooks     *outgoing.Service
	sinks        *sinks.Service
	receivers    *transmitter.Service
	logouts      *outlogout.Service
	hooks        *hooks.Service
	server       *httptest.Server
	certificates *certificates.Certificates
	posture      *posture.Posture
	links        *links.Links
	letters      *mail.Mail
	mailboxes    *mailbox.Mailboxes
	mailed       []string // addresses that people outside have from mails
	imports      *importing.Imports
	reviews      *reviews.Reviews

	acme, globex directory.Workspace
	okta         directory.Connection
	people       map[string]directory.User
	cookies      map[string]string
	wiki, mail   accounts.Account // of acme: ana owns wiki, ben collaborates; zoe owns mail
	theirs       accounts.Account // of globex

	routes   []string // GET, of the console
	posts    []string // POST, of the console
	streams  []string // of those, the ones that go on
	mutex    sync.Mutex
	captured []string // pages for a browser
}

// routeHeader says which route answered.
const routeHeader = "X-Route"

func newWorld(t testing.TB) *world {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	db := postgrestest.Open(t, jobs.Migrate)
	key, err := seal.NewLocalKey([]byte(seal.GenerateLocalKey().Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	queue, err := jobs.NewQueue(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{db: db, people: map[string]directory.User{}, cookies: map[string]string{}}
	w.directory = &directory.Directory{DB: db}
	w.accounts = &accounts.Accounts{DB: db, Vault: &vault.Vault{DB: db, Keys: key}, Directory: w.directory}
	w.rotations = &rotation.Rotations{DB: db, Accounts: w.accounts, Queue: queue}
	w.lifecycle = &lifecycle.Lifecycle{DB: db, Directory: w.directory, Accounts: w.accounts, Rotations: w.rotations}
	engine := gin.New()
	w.streams = console.StreamRoutes()
	problem.Install(engine, problem.Options{Log: slog.New(slog.DiscardHandler), Streams: w.streams})
	engine.Use(func(c *gin.Context) { c.Header(routeHeader, c.FullPath()) })
	w.server = httptest.NewServer(engine)
	signIn := &oidc.Service{DB: db, Directory: w.directory, HTTP: http.DefaultClient, PublicURL: w.server.URL}
	signIn.Mount(engine)
	w.signals = &signals.Signals{DB: db, Directory: w.directory, Accounts: w.accounts, Rotations: w.rotations, Lifecycle: w.lifecycle}
	w.reviews = &reviews.Reviews{DB: db, Directory: w.directory, Accounts: w.accounts, Lifecycle: w.lifecycle, Services: &services.Services{DB: db, Directory: w.directory, Accounts: w.accounts, Rotations: w.rotations}, Signing: &signing.Signing{DB: db, Vault: w.accounts.Vault}}
	w.certificates = &certificates.Certificates{DB: db, Signing: &signing.Signing{DB: db, Vault: w.accounts.Vault}}
	w.deliveries = &delivery.Deliveries{DB: db}
	w.sinks = &sinks.Service{DB: db, Vault: w.accounts.Vault, Kinds: map[string]sink.Kind{"splunk": sink.NewKind("Splunk", func(s splunk.Settings, c splunk.Secrets) (sink.Receiver, error) {
		return splunk.New(s, c, new(net.Dialer).DialContext)
	})}}
	w.webhooks = &outgoing.Service{DB: db, Vault: w.accounts.Vault, Deliveries: w.deliveries, HTTP: http.DefaultClient, AllowPrivate: true}
	w.receivers = &transmitter.Service{
		DB: db, Directory: w.directory, Vault: w.accounts.Vault, Deliveries: w.deliveries, HTTP: http.DefaultClient, PublicURL: w.server.URL, AllowPrivate: true,
	}
	w.logouts = &outlogout.Service{DB: db, Directory: w.directory, Deliveries: w.deliveries, HTTP: http.DefaultClient, PublicURL: w.server.URL}
	w.hooks = &hooks.Service{
		DB: db, Directory: w.directory, Signals: w.signals, Vault: w.accounts.Vault, Keys: &keys.Cache{HTTP: http.DefaultClient}, HTTP: http.DefaultClient, PublicURL: w.server.URL,
	}
	w.posture = &posture.Posture{DB: db, Accounts: w.accounts, Lifecycle: w.lifecycle, Queue: queue}
	chosen := &policies.Policies{DB: db, Accounts: w.accounts, Rotations: w.rotations}
	w.letters = &mail.Mail{DB: db, Vault: w.accounts.Vault, Jobs: queue, Keep: true}
	w.links = &links.Links{
		DB: db, Directory: w.directory, Accounts: w.accounts, Policies: chosen, Mail: w.letters, PublicURL: w.server.URL, Return: w.lifecycle.Reactivate,
		Depart: func(ctx context.Context, cause core.Cause, workspace, user core.ID) error {
			_, err := w.lifecycle.Deprovision(ctx, cause, workspace, user)
			return err
		},
	}
	w.mailboxes = &mailbox.Mailboxes{DB: db, Accounts: w.accounts, Vault: w.accounts.Vault, Domain: "in.example.com"}
	w.imports = &importing.Imports{DB: db, Directory: w.directory, Accounts: w.accounts, Rotations: w.rotations, Vault: w.accounts.Vault, Queue: queue}
	w.console = &console.Service{
		Links: w.links, Mail: w.letters, Mailboxes: w.mailboxes,
		DB: db, Directory: w.directory, Accounts: w.accounts, Connectors: rotation.Connectors{"browser": (*coretest.Apps)(nil)}, Rotations: w.rotations, Lifecycle: w.lifecycle, Imports: w.imports,
		Policies: chosen, Signals: w.signals, Certificates: w.certificates, Reviews: w.reviews, Health: &health.Health{DB: db, Accounts: w.accounts, Rotations: w.rotations, Queue: queue}, Posture: w.posture, Services: &services.Services{DB: db, Directory: w.directory, Accounts: w.accounts, Rotations: w.rotations}, Streams: &ssf.Service{HTTP: http.DefaultClient, DB: db}, OIDC: signIn,
		Deliveries: w.deliveries, Sinks: w.sinks, Webhooks: w.webhooks, Receivers: w.receivers, Logouts: w.logouts, Hooks: w.hooks, Log: slog.New(slog.DiscardHandler),
	}
	before := engine.Routes()
	w.console.Mount(engine)
	for _, one := range engine.Routes() {
		if slices.ContainsFunc(before, func(other gin.RouteInfo) bool { return other.Method == one.Method && other.Path == one.Path }) {
			continue
		}
		switch one.Method {
		case http.MethodGet:
			w.routes = append(w.routes, one.Path)
		case http.MethodPost:
			w.posts = append(w.posts, one.Path)
		}
	}
	engine.GET("/captured/:at", w.showCaptured)
	t.Cleanup(func() {
		w.console.Close()
		w.server.Close()
	})
	w.fill(t)
	return w
}

func (w *world) tx(t testing.TB, work func(ctx context.Context, tx pgx.Tx) error) {
	t.Helper()
	if err := w.db.Tx(t.Context(), func(tx pgx.Tx) error { return work(t.Context(), tx) }); err != nil {
		t.Fatal(err)
	}
}

func (w *world) fill(t testing.TB) {
	t.Helper()
	system := core.NewCause(core.System, time.Now())
	var theirConnection directory.Connection
	w.tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		if w.acme, err = w.directory.CreateWorkspace(ctx, tx, system, "acme", "Acme"); err != nil {
			return err
		}
		if w.globex, err = w.directory.CreateWorkspace(ctx, tx, system, "globex", "Globex"); err != nil {
			return err
		}
		if w.okta, err = w.directory.CreateConnection(ctx, tx, system, w.acme.ID, directory.NewConnection{Name: "Okta", Kind: directory.Okta}); err != nil {
			return err
		}
		theirConnection, err = w.directory.CreateConnection(ctx, tx, system, w.globex.ID, directory.NewConnection{Name: "Entra", Kind: directory.Entra})
		return err
	})
	for _, person := range []struct {
		key, userName, name string
		role                directory.Role
		connection          directory.Connection
	}{
		{"zoe", "zoe@acme.example", "Zoe Adler", directory.RoleOwner, w.okta},
		{"ana", "ana@acme.example", "Ana Ito", directory.RoleUser, w.okta},
		{"ben", "ben@acme.example", "Ben <b>Okoye</b>", directory.RoleUser, w.okta},
		{"eve", "eve@acme.example", "Eve Moreau", directory.RoleUser, w.okta},
		{"gus", "gus@globex.example", "Gus Globex", directory.RoleOwner, theirConnection},
	} {
		user, err := w.lifecycle.Provision(t.Context(), core.NewCause(person.connection.Actor(), time.Now()), directory.User{
			Workspace: person.connection.Workspace, Connection: person.connection.ID, UserName: person.userName, Email: person.userName,
			DisplayName: person.name, Active: true, Role: person.role,
		})
		if err != nil {
			t.Fatal(err)
		}
		w.people[person.key] = user
		w.signIn(t, person.key)
	}
	w.wiki = w.account(t, w.acme, "Wiki", "team-wiki", "ana")
	w.mail = w.account(t, w.acme, "Newsletter", "press@acme.example", "zoe")
	w.theirs = w.account(t, w.globex, "Wiki", "globex-wiki", "gus")
	w.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := w.accounts.Share(ctx, tx, core.NewCause(w.people["ana"].Actor(), time.Now()), w.acme.ID, w.wiki.ID, accounts.Sharing{Subject: accounts.Subject{User: w.people["ben"].ID}, Role: accounts.Collaborator})
		return err
	})
}

func (w *world) account(t testing.TB, workspace directory.Workspace, app, username, owner string) (made accounts.Account) {
	t.Helper()
	system := core.NewCause(core.System, time.Now())
	w.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		created, err := w.accounts.CreateApp(ctx, tx, system, workspace.ID, accounts.NewApp{
			Name: app, Domains: []string{strings.ToLower(app) + ".example.com"}, SignInURL: "https://" + strings.ToLower(app) + ".example.com/login", Connector: "browser",
		})
		if err != nil {
			return err
		}
		made, err = w.accounts.CreateAccount(ctx, tx, system, workspace.ID, accounts.NewAccount{
			App: created.ID, Username: username, Password: seal.NewSecret(canary), Owner: w.people[owner].ID,
		})
		return err
	})
	return made
}

func (w *world) signIn(t testing.TB, key string) {
	t.Helper()
	user := w.people[key]
	w.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, token, err := w.directory.StartSession(ctx, tx, core.NewCause(user.Actor(), time.Now()), directory.NewSession{
			Workspace: user.Workspace, User: user.ID, Connection: user.Connection, Authenticated: time.Now(),
		})
		w.cookies[key] = oidc.SessionCookie + "=" + token.Reveal()
		return err
	})
}

// sequence runs the sequencer until nothing waits any more.
func (w *world) sequence(t testing.TB) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = (&audit.Sequencer{DB: w.db, Key: key, Log: slog.New(slog.DiscardHandler)}).Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	w.settle(t)
}

func (w *world) settle(t testing.TB) {
	t.Helper()
	for range 600 {
		backlog, err := audit.ReadBacklog(t.Context(), w.db, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if backlog.Unsequenced == 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("the events were not sequenced")
}

// ask sends a request as a person, the way a browser's page or our script does.
func (w *world) ask(t testing.TB, who, method, path string, form url.Values, headers ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, w.server.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	request.Header.Set("Accept", "text/html")
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	if cookie := w.cookies[who]; cookie != "" {
		request.Header.Set("Cookie", cookie)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}
