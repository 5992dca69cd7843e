package oidc

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
	"postern/core/seal"
	"postern/oidc/devidp"
	"postern/oidc/devidp/push"
	"postern/webhooks/keys"
)

// house is Postern's sign-in and a development IdP, with two workspaces that both trust it.
type house struct {
	t         *testing.T
	db        *postgres.DB
	directory *directory.Directory
	service   *Service
	gateway   string
	idp       *devidp.Server
	idpURL    string
	ahead     atomic.Int64 // how far Postern's clock is ahead
	meddle    atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]

	lock sync.Mutex
	hits map[string]int // requests the IdP got, by path

	acme, other directory.Connection
}

// logBook is everything logged during a test: no secret may be in it.
type logBook struct {
	lock sync.Mutex
	text strings.Builder
}

func (l *logBook) Write(line []byte) (int, error) {
	l.lock.Lock()
	defer l.lock.Unlock()
	return l.text.Write(line)
}

const clientSecret = "canary-client-secret"

func newHouse(t *testing.T) *house {
	t.Helper()
	gin.SetMode(gin.TestMode)
	h := &house{t: t, db: postgrestest.Open(t), hits: map[string]int{}}
	now := func() time.Time { return time.Now().Add(time.Duration(h.ahead.Load())) }
	h.directory = &directory.Directory{DB: h.db, Now: now}

	idpServer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.lock.Lock()
		h.hits[r.URL.Path]++
		h.lock.Unlock()
		if meddle := h.meddle.Load(); meddle != nil && (*meddle)(w, r) {
			return
		}
		h.idp.ServeHTTP(w, r)
	}))
	t.Cleanup(idpServer.Close)
	h.idpURL = idpServer.URL
	idp, err := devidp.New(devidp.Options{Issuer: h.idpURL, Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	h.idp = idp

	engine := gin.New()
	gateway := httptest.NewServer(engine)
	t.Cleanup(gateway.Close)
	h.gateway = gateway.URL
	book := &logBook{}
	t.Cleanup(func() {
		for _, secret := range []string{"canary", "pst_session_", "eyJ"} {
			if strings.Contains(book.text.String(), secret) {
				t.Errorf("the log holds %q:\n%s", secret, book.text.String())
			}
		}
	})
	h.service = &Service{
		Log: slog.New(slog.NewTextHandler(book, &slog.HandlerOptions{Level: slog.LevelDebug})),
		DB:  h.db, Directory: h.directory, HTTP: &http.Client{Timeout: 5 * time.Second}, PublicURL: h.gateway, Now: now,
		Keys:       &keys.Cache{HTTP: &http.Client{Timeout: 5 * time.Second}, Now: now},
		OpenSecret: func(string) (seal.Secret, error) { return seal.NewSecret(clientSecret), nil },
	}
	h.service.Mount(engine)
	guarded := engine.Group("/private", h.service.Require())
	guarded.Any("", func(c *gin.Context) {
		_, user, _ := Session(c)
		c.String(http.StatusOK, "hello %s", user.UserName)
	})
	h.acme = h.connect("acme", directory.Okta, push.Okta)
	h.other = h.connect("other", directory.Okta, push.Okta)
	return h
}

// connect makes a workspace with a connection to the IdP.
func (h *house) connect(slug string, kind directory.ConnectionKind, style push.Style) directory.Connection {
	h.t.Helper()
	var made directory.Connection
	cause := core.NewCause(core.System, time.Now())
	err := h.db.Tx(h.t.Context(), func(tx pgx.Tx) error {
		workspace, err := h.directory.CreateWorkspace(h.t.Context(), tx, cause, slug, slug)
		if err != nil {
			return err
		}
		made, err = h.directory.CreateConnection(h.t.Context(), tx, cause, workspace.ID, directory.NewConnection{
			Name: slug, Kind: kind, Issuer: h.idpURL, ClientID: "client-" + slug, ClientSecret: "env:SECRET",
		})
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	err = h.idp.AddClient(devidp.Client{
		ID: made.ClientID, Secret: seal.NewSecret(clientSecret), RedirectURIs: []string{h.service.redirectURI(made.ID)},
		SignedOutURIs: []string{h.service.signedOutURI()}, Style: style,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return made
}

func (h *house) person(name string) devidp.Person {
	h.t.Helper()
	person, err := h.idp.Person(name)
	if err != nil {
		h.t.Fatal(err)
	}
	return person
}

// provision does what SCIM would: the user, under the id the IdP has for them.
func (h *house) provision(connection directory.Connection, user directory.User) directory.User {
	h.t.Helper()
	user.ID, user.Workspace, user.Connection, user.Active = core.NewID(), connection.Workspace, connection.ID, true
	if user.Role == "" {
		user.Role = directory.RoleUser
	}
	err := h.db.Tx(h.t.Context(), func(tx pgx.Tx) (err error) {
		user, err = h.directory.InsertUser(h.t.Context(), tx, user)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return user
}

// ana is provisioned for acme by the id Okta would send.
func (h *house) ana() (devidp.Person, directory.User) {
	h.t.Helper()
	person := h.person("ana.lima@acme.example")
	return person, h.provision(h.acme, directory.User{UserName: person.UserName, ExternalID: person.ID, DisplayName: person.DisplayName})
}

func (h *house) change(user directory.User, edit func(*directory.User)) {
	h.t.Helper()
	err := h.db.Tx(h.t.Context(), func(tx pgx.Tx) error {
		locked, err := h.directory.LockUser(h.t.Context(), tx, user.Workspace, user.ID)
		if err != nil {
			return err
		}
		edit(&locked)
		_, err = h.directory.UpdateUser(h.t.Context(), tx, locked)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) logOutEverywhere(user directory.User) {
	h.t.Helper()
	err := h.db.Tx(h.t.Context(), func(tx pgx.Tx) error {
		_, err := h.directory.EndSessions(h.t.Context(), tx, core.NewCause(core.System, time.Now()), user.Workspace, user.ID, "universal logout")
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// failures are the codes of the failed sign-ins of a workspace, in order.
func (h *house) failures(workspace core.ID) []string {
	h.t.Helper()
	rows, err := h.db.Query(context.Background(),
		`select event->'data'->>'code' from audit_outbox where workspace_id = $1 and type = 'session.sign_in_failed' order by number`, workspace)
	if err != nil {
		h.t.Fatal(err)
	}
	codes, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		h.t.Fatal(err)
	}
	return codes
}

func (h *house) count(path string) int {
	h.lock.Lock()
	defer h.lock.Unlock()
	return h.hits[path]
}

// browser keeps cookies by hand: Go's jar does not send Secure cookies to http://127.0.0.1, as
// browsers do.
type browser struct {
	t       *testing.T
	lock    sync.Mutex
	cookies map[string]map[string]string // host → name → value
}

func newBrowser(t *testing.T) *browser {
	return &browser{t: t, cookies: map[string]map[string]string{}}
}

type answer struct {
	status   int
	location string
	body     string
	header   http.Header
}

func (b *browser) get(address string) answer { return b.send(http.MethodGet, address, nil, nil) }

func (b *browser) post(address string, form url.Values) answer {
	return b.send(http.MethodPost, address, form, nil)
}

func (b *browser) send(method, address string, form url.Values, header http.Header) answer {
	b.t.Helper()
	request, err := http.NewRequest(method, address, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("Accept", "text/html")
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, values := range header {
		request.Header[name] = values
	}
	host := request.URL.Host
	b.lock.Lock()
	for name, value := range b.cookies[host] {
		request.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	b.lock.Unlock()
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	b.lock.Lock()
	defer b.lock.Unlock()
	for _, cookie := range response.Cookies() {
		if strings.HasPrefix(cookie.Name, "__Host-") && (!cookie.Secure || cookie.Path != "/" || cookie.Domain != "" || !cookie.HttpOnly) {
			b.t.Errorf("cookie %s would be refused or seen by scripts: %+v", cookie.Name, cookie)
		}
		if b.cookies[host] == nil {
			b.cookies[host] = map[string]string{}
		}
		if cookie.MaxAge < 0 {
			delete(b.cookies[host], cookie.Name)
			continue
		}
		b.cookies[host][cookie.Name] = cookie.Value
	}
	location := response.Header.Get("Location")
	if location != "" {
		absolute, err := request.URL.Parse(location)
		if err != nil {
			b.t.Fatal(err)
		}
		location = absolute.String()
	}
	return answer{response.StatusCode, location, string(body), response.Header}
}

func (b *browser) cookie(address, name string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		b.t.Fatal(err)
	}
	b.lock.Lock()
	defer b.lock.Unlock()
	return b.cookies[parsed.Host][name]
}

// begin opens a sign-in and gives the address of the IdP it leads to.
func (h *house) begin(b *browser, connection directory.Connection, query string) string {
	h.t.Helper()
	started := b.get(h.gateway + "/sso/" + connection.ID.String() + "/start" + query)
	if started.status != http.StatusSeeOther || !strings.HasPrefix(started.location, h.idpURL+"/authorize?") {
		h.t.Fatalf("start: %d to %q\n%s", started.status, started.location, started.body)
	}
	return started.location
}

// prove signs a person in at the IdP and gives the callback's address without opening it.
func (h *house) prove(b *browser, authorize string, person devidp.Person) string {
	h.t.Helper()
	page := b.get(authorize)
	if page.status != http.StatusFound {
		h.t.Fatalf("authorize: %d\n%s", page.status, page.body)
	}
	login, err := url.Parse(page.location)
	if err != nil {
		h.t.Fatal(err)
	}
	shown := b.get(page.location)
	if shown.status == http.StatusSeeOther {
		return shown.location // signed in at the IdP already
	}
	done := b.post(h.idpURL+"/login", url.Values{
		"request": {login.Query().Get("request")}, "username": {person.UserName}, "password": {person.Password},
	})
	if done.status != http.StatusSeeOther {
		h.t.Fatalf("login: %d\n%s", done.status, done.body)
	}
	return done.location
}

// signIn goes the whole way.
func (h *house) signIn(b *browser, connection directory.Connection, person devidp.Person, query string) answer {
	h.t.Helper()
	return b.get(h.prove(b, h.begin(b, connection, query), person))
}

func (h *house) signedInAs(b *browser) string {
	h.t.Helper()
	private := b.get(h.gateway + "/private")
	if private.status != http.StatusOK {
		return ""
	}
	return strings.TrimPrefix(private.body, "hello ")
}

// with sets a query parameter of an address; an empty value removes it.
func with(t *testing.T, address, name, value string) string {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	query := parsed.Query()
	query.Set(name, value)
	if value == "" {
		query.Del(name)
	}
	parsed.RawQuery = query.Encode()
	return parsed.String()
}
