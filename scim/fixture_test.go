package scim_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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

const publicURL = "https://postern.example.com"

func init() { gin.SetMode(gin.ReleaseMode) }

// world is the endpoint on a gin engine over a real database, with two workspaces.
type world struct {
	*scim.Service
	engine *gin.Engine
	acme   house
	other  house
}

// house is a workspace with one connection and its token.
type house struct {
	*world
	workspace  core.ID
	connection directory.Connection
	token      string
}

func open(t testing.TB, kind directory.ConnectionKind) *world {
	t.Helper()
	return openOn(t, postgrestest.Open(t, jobs.Migrate), kind)
}

func openOn(t testing.TB, db *postgres.DB, kind directory.ConnectionKind) *world {
	t.Helper()
	key, err := seal.NewLocalKey([]byte(seal.GenerateLocalKey().Reveal()))
	must(t, err)
	queue, err := jobs.NewQueue(db, nil)
	must(t, err)
	people := &directory.Directory{DB: db}
	logins := &accounts.Accounts{DB: db, Vault: &vault.Vault{DB: db, Keys: key}, Directory: people}
	w := &world{engine: gin.New()}
	w.Service = &scim.Service{
		DB: db, Directory: people, PublicURL: publicURL,
		Lifecycle: &lifecycle.Lifecycle{
			DB: db, Directory: people, Accounts: logins, Rotations: &rotation.Rotations{DB: db, Accounts: logins, Queue: queue},
		},
	}
	w.Mount(w.engine)
	w.other = w.house(t, "other", kind)
	w.acme = w.house(t, "acme", kind)
	return w
}

func (w *world) house(t testing.TB, slug string, kind directory.ConnectionKind) house {
	t.Helper()
	h := house{world: w}
	must(t, w.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		made, err := w.Directory.CreateWorkspace(t.Context(), tx, core.NewCause(core.System, time.Now()), slug, slug)
		h.workspace = made.ID
		return err
	}))
	return h.connect(t, "IdP", kind)
}

// connect adds a connection to the workspace.
func (h house) connect(t testing.TB, name string, kind directory.ConnectionKind) house {
	t.Helper()
	must(t, h.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		cause := core.NewCause(core.System, time.Now())
		var err error
		if h.connection, err = h.Directory.CreateConnection(t.Context(), tx, cause, h.workspace, directory.NewConnection{Name: name, Kind: kind}); err != nil {
			return err
		}
		token, err := h.Directory.CreateConnectionToken(t.Context(), tx, cause, h.workspace, h.connection.ID, nil)
		h.token = token.Reveal()
		return err
	}))
	return h
}

// reply is an answer, its body as JSON.
type reply struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

// call sends a request with the house's token.
func (h house) call(t testing.TB, method, path, body string, header ...string) reply {
	t.Helper()
	return h.send(t, h.request(t, method, path, body, header...))
}

func (h house) request(t testing.TB, method, path, body string, header ...string) *http.Request {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), method, "/scim/v2"+path, strings.NewReader(body))
	request.Header.Set("Authorization", "Bearer "+h.token)
	request.Header.Set("Content-Type", "application/scim+json; charset=utf-8")
	request.Header.Set("User-Agent", "Okta SCIM Client 1.0.0")
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	return request
}

func (h house) send(t testing.TB, request *http.Request) reply {
	t.Helper()
	recorder := httptest.NewRecorder()
	h.engine.ServeHTTP(recorder, request)
	r := reply{status: recorder.Code, header: recorder.Header(), text: recorder.Body.String()}
	if r.text != "" {
		if err := json.Unmarshal([]byte(r.text), &r.body); err != nil {
			t.Fatalf("%s %s answers %d %q: %v", request.Method, request.URL, r.status, r.text, err)
		}
		if got := r.header.Get("Content-Type"); got != "application/scim+json" {
			t.Fatalf("%s %s answers with Content-Type %q", request.Method, request.URL, got)
		}
	}
	return r
}

// file is a body under testdata, with {user}, {other} and {group} replaced.
func file(t testing.TB, name string, replace ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	must(t, err)
	return strings.NewReplacer(replace...).Replace(string(text))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (r reply) want(t testing.TB, status int) reply {
	t.Helper()
	if r.status != status {
		t.Fatalf("answered %d %s, want %d", r.status, r.text, status)
	}
	return r
}

// wantError checks an Error body: its schema, status as a string, scimType and a detail.
func (r reply) wantError(t testing.TB, status int, scimType string) reply {
	t.Helper()
	r.want(t, status)
	got, _ := r.body["scimType"].(string)
	detail, _ := r.body["detail"].(string)
	schemas, _ := r.body["schemas"].([]any)
	if got != scimType || detail == "" || len(schemas) != 1 || schemas[0] != "urn:ietf:params:scim:api:messages:2.0:Error" || r.body["status"] != strconv.Itoa(status) {
		t.Fatalf("answered %s, want an Error %d %q", r.text, status, scimType)
	}
	return r
}

// at walks into a body: names of objects, and indexes of lists.
func (r reply) at(t testing.TB, path ...any) any {
	t.Helper()
	var here any = r.body
	for _, step := range path {
		switch step := step.(type) {
		case string:
			object, ok := here.(map[string]any)
			if !ok {
				t.Fatalf("%v is not in %s", path, r.text)
			}
			here = object[step]
		case int:
			list, ok := here.([]any)
			if !ok || step >= len(list) {
				t.Fatalf("%v is not in %s", path, r.text)
			}
			here = list[step]
		}
	}
	return here
}

func (r reply) is(t testing.TB, want any, path ...any) {
	t.Helper()
	if got := r.at(t, path...); got != want {
		t.Fatalf("%v is %v, want %v, in %s", path, got, want, r.text)
	}
}

func (r reply) id(t testing.TB) string {
	t.Helper()
	id, _ := r.at(t, "id").(string)
	if _, err := core.ParseID(id); err != nil {
		t.Fatalf("no id in %s", r.text)
	}
	return id
}

// join creates a user of that name.
func (h house) join(t testing.TB, name string) string {
	t.Helper()
	return h.call(t, "POST", "/Users", `{"userName":"`+name+`","externalId":"ext-`+name+`","emails":[{"type":"work","value":"`+name+`@example.com"}]}`).want(t, 201).id(t)
}

func (h house) team(t testing.TB, name string, members ...string) string {
	t.Helper()
	list := make([]string, 0, len(members))
	for _, member := range members {
		list = append(list, `{"value":"`+member+`"}`)
	}
	return h.call(t, "POST", "/Groups", `{"displayName":"`+name+`","members":[`+strings.Join(list, ",")+`]}`).want(t, 201).id(t)
}

// members are the ids in a group.
func (h house) members(t testing.TB, group string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	list, _ := h.call(t, "GET", "/Groups/"+group, "").want(t, 200).at(t, "members").([]any)
	for _, member := range list {
		found[member.(map[string]any)["value"].(string)] = true
	}
	return found
}

// events are the recorded events of a type, oldest first.
func (h house) events(t testing.TB, kind core.EventType) []core.Event {
	t.Helper()
	rows, err := h.DB.Query(context.Background(), `select event from audit_outbox where workspace_id = @workspace and event ->> 'type' = @type order by number`,
		pgx.StrictNamedArgs{"workspace": h.workspace, "type": kind})
	must(t, err)
	events, err := pgx.CollectRows(rows, pgx.RowTo[core.Event])
	must(t, err)
	return events
}

// stored is all the text the database keeps about the workspace's people and events.
func (h house) stored(t testing.TB) string {
	t.Helper()
	var text string
	must(t, h.DB.QueryRow(context.Background(), `
		select coalesce((select string_agg(u::text, ' ') from users u where workspace_id = @workspace), '') ||
		       coalesce((select string_agg(e::text, ' ') from audit_outbox e where workspace_id = @workspace), '')`,
		pgx.StrictNamedArgs{"workspace": h.workspace}).Scan(&text))
	return text
}
