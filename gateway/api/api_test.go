package api_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"io"
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
	"postern/core/audit"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/core/vault"
	"postern/gateway/api"
	"postern/gateway/problem"
)

const canary = "canary-Pa55word!"

// world is two workspaces, each with a person and a token that may do everything.
type world struct {
	db        *postgres.DB
	directory *directory.Directory
	engine    *gin.Engine
	log       bytes.Buffer
	key       ed25519.PrivateKey
	acme      directory.Workspace
	ana, gus  directory.User
	tokens    map[string]string
}

func newWorld(t *testing.T) *world {
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
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{db: db, directory: &directory.Directory{DB: db}, key: private, tokens: map[string]string{}}
	shared := &accounts.Accounts{DB: db, Vault: &vault.Vault{DB: db, Keys: keys}, Directory: w.directory}
	w.engine = gin.New()
	log := slog.New(slog.NewJSONHandler(&w.log, nil))
	problem.Install(w.engine, problem.Options{Log: log})
	(&api.Service{
		DB: db, Directory: w.directory, Accounts: shared, Rotations: &rotation.Rotations{DB: db, Accounts: shared, Queue: queue},
		AuditKey: public, Log: log,
	}).Mount(w.engine)
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
	recorder := httptest.NewRecorder()
	w.engine.ServeHTTP(recorder, request)
	text, err := io.ReadAll(recorder.Body)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(text, []byte(canary)) {
		t.Errorf("%s %s gives the password away: %s", method, path, text)
	}
	var got map[string]any
	if len(text) > 0 {
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%s %s: %v: %s", method, path, err, text)
		}
	}
	if kind := recorder.Header().Get("Content-Type"); recorder.Code >= 400 && (kind != problem.ContentType || got["request_id"] == "" || got["code"] == nil) {
		t.Errorf("%s %s: %d as %q: %s", method, path, recorder.Code, kind, text)
	}
	return recorder.Code, got
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

func TestTheWholeWay(t *testing.T) {
	w := newWorld(t)
	app, account, created := w.account(t)
	if created["state"] != "unvalidated" || created["app_name"] != "Wiki" {
		t.Errorf("created %v", created)
	}
	if got := w.must(t, 200, "GET", "/apps/"+app, ""); got["connector"] != "browser" {
		t.Errorf("app %v", got)
	}
	verification := w.must(t, 200, "GET", "/rotations/"+created["verification"].(string), "")
	if verification["reason"] != "verify" || len(verification["steps"].([]any)) == 0 {
		t.Errorf("verification %v", verification)
	}
	rotated := w.must(t, 202, "POST", "/accounts/"+account+"/rotations", "")
	if rotated["id"] != created["verification"] || rotated["reason"] != "manual" {
		t.Errorf("a second wish does not join the first: %v", rotated)
	}
	w.must(t, 202, "POST", "/accounts/"+account+"/verification", "")
	if got := items(w.must(t, 200, "GET", "/accounts/"+account+"/rotations", "")); len(got) != 1 {
		t.Errorf("rotations %v", got)
	}
	grants := items(w.must(t, 200, "GET", "/accounts/"+account+"/grants", ""))
	if len(grants) != 1 || grants[0]["role"] != "owner" || grants[0]["user"] != w.ana.ID.String() {
		t.Errorf("grants %v", grants)
	}
	if status, got := w.ask(t, "acme", "DELETE", "/grants/"+grants[0]["id"].(string), ""); status != 409 || got["code"] != "last_owner" {
		t.Errorf("taking the last owner: %d %v", status, got)
	}
	again := w.must(t, 201, "POST", "/accounts/"+account+"/grants", `{"user":"`+w.ana.ID.String()+`","role":"owner","expires":"2099-01-01T00:00:00Z"}`)
	if again["expires"] != "2099-01-01T00:00:00Z" {
		t.Errorf("shared %v", again)
	}
	if got := items(w.must(t, 200, "GET", "/accounts?user="+w.ana.ID.String(), "")); len(got) != 1 {
		t.Errorf("accounts of ana %v", got)
	}
	user := w.must(t, 200, "GET", "/users/"+w.ana.ID.String(), "")
	if user["user_name"] != "ana" || user["active"] != true {
		t.Errorf("user %v", user)
	}
	for _, path := range []string{"/users?active=true&limit=1", "/teams", "/connections", "/apps", "/sinks", "/accounts/" + account + "/exposures"} {
		w.must(t, 200, "GET", path, "")
	}
}

func items(answer map[string]any) []map[string]any {
	var out []map[string]any
	for _, item := range answer["items"].([]any) {
		out = append(out, item.(map[string]any))
	}
	return out
}

func TestScopes(t *testing.T) {
	w := newWorld(t)
	_, account, _ := w.account(t)
	for _, test := range []struct{ method, path, body, scope string }{
		{"GET", "/apps", "", api.AppsRead}, {"POST", "/apps", newApp, api.AppsWrite}, {"GET", "/accounts", "", api.AccountsRead},
		{"GET", "/accounts/" + account + "/grants", "", api.AccountsRead}, {"POST", "/accounts/" + account + "/rotations", "", api.AccountsWrite},
		{"POST", "/accounts/" + account + "/grants", `{"role":"owner"}`, api.GrantsWrite}, {"GET", "/users", "", api.DirectoryRead},
		{"GET", "/teams", "", api.DirectoryRead}, {"GET", "/connections", "", api.DirectoryRead}, {"GET", "/events", "", api.ActivityRead},
		{"GET", "/audit/checkpoints", "", api.ActivityRead}, {"GET", "/sinks", "", api.OperationsRead},
	} {
		for _, scope := range api.Scopes() {
			status, got := w.ask(t, scope, test.method, test.path, test.body)
			if refused := status == 403 && got["code"] == "missing_scope"; refused == (scope == test.scope) {
				t.Errorf("%s %s with %s: %d %v", test.method, test.path, scope, status, got)
			}
		}
		if status, _ := w.ask(t, "nobody", test.method, test.path, test.body); status != 401 {
			t.Errorf("%s %s without a token: %d", test.method, test.path, status)
		}
	}
}

func TestAnotherWorkspaceSeesNothing(t *testing.T) {
	w := newWorld(t)
	app, account, created := w.account(t)
	grant := items(w.must(t, 200, "GET", "/accounts/"+account+"/grants", ""))[0]["id"].(string)
	for _, test := range []struct{ method, path, body string }{
		{"GET", "/apps/" + app, ""}, {"GET", "/accounts/" + account, ""}, {"GET", "/accounts/" + account + "/grants", ""},
		{"GET", "/accounts/" + account + "/exposures", ""}, {"GET", "/accounts/" + account + "/rotations", ""},
		{"POST", "/accounts/" + account + "/rotations", ""}, {"POST", "/accounts/" + account + "/verification", ""},
		{"POST", "/accounts/" + account + "/grants", `{"user":"` + w.gus.ID.String() + `","role":"owner"}`},
		{"DELETE", "/grants/" + grant, ""}, {"GET", "/rotations/" + created["verification"].(string), ""}, {"GET", "/users/" + w.ana.ID.String(), ""},
	} {
		if status, got := w.ask(t, "globex", test.method, test.path, test.body); status != 404 {
			t.Errorf("%s %s: %d %v", test.method, test.path, status, got)
		}
	}
	for _, path := range []string{"/apps", "/accounts", "/teams", "/connections"} {
		if status, got := w.ask(t, "globex", "GET", path, ""); status != 200 || len(items(got)) != 0 {
			t.Errorf("%s: %d %v", path, status, got)
		}
	}
	if status, got := w.ask(t, "acme", "POST", "/accounts", `{"app":"`+app+`","username":"x","password":"`+canary+`","owner":"`+w.gus.ID.String()+`"}`); status != 400 {
		t.Errorf("an owner of another workspace: %d %v", status, got)
	}
}

func TestBadInput(t *testing.T) {
	w := newWorld(t)
	app, account, _ := w.account(t)
	for _, test := range []struct {
		name, method, path, body string
		status                   int
		where                    string // pointer or parameter of the fault
	}{
		{"not JSON", "POST", "/apps", "{", 400, ""},
		{"an array", "POST", "/apps", "[]", 400, ""},
		{"nothing", "POST", "/apps", "", 400, ""},
		{"a member missing", "POST", "/accounts", `{"app":"` + app + `","password":"` + canary + `","owner":"` + w.ana.ID.String() + `"}`, 400, "#/username"},
		{"a wrong type", "POST", "/accounts", `{"app":"` + app + `","username":"x","password":{"a":"` + canary + `"},"owner":"` + w.ana.ID.String() + `"}`, 400, "#/password"},
		{"an unknown member", "POST", "/apps", strings.Replace(newApp, "{", `{"colour":"red",`, 1), 400, "#/colour"},
		{"a domain with a path", "POST", "/apps", strings.Replace(newApp, `"wiki.example.com"`, `"wiki.example.com/x"`, 1), 400, "#/domains"},
		{"an unknown role", "POST", "/accounts/" + account + "/grants", `{"user":"` + w.ana.ID.String() + `","role":"king"}`, 400, "#/role"},
		{"a user and a team", "POST", "/accounts/" + account + "/grants", `{"role":"owner"}`, 400, ""},
		{"a taken name", "POST", "/apps", newApp, 409, "#/name"},
		{"an id that is none", "GET", "/accounts/17", "", 400, "id"},
		{"an unknown id", "GET", "/accounts/" + core.NewID().String(), "", 404, ""},
		{"a limit too high", "GET", "/accounts?limit=9999", "", 400, "limit"},
		{"an unknown parameter", "GET", "/accounts?colour=red", "", 400, "colour"},
		{"a cursor that is none", "GET", "/events?cursor=x", "", 400, "cursor"},
		{"too large", "POST", "/apps", `{"name":"` + strings.Repeat("a", 300<<10) + `"}`, 413, ""},
	} {
		status, got := w.ask(t, "acme", test.method, test.path, test.body)
		if status != test.status || got["status"] != float64(test.status) {
			t.Errorf("%s: %d %v, want %d", test.name, status, got, test.status)
			continue
		}
		if test.where == "" {
			continue
		}
		var places []string
		for _, fault := range got["errors"].([]any) {
			for _, kind := range []string{"pointer", "parameter"} {
				if place, ok := fault.(map[string]any)[kind].(string); ok {
					places = append(places, place)
				}
			}
		}
		if !slices.ContainsFunc(places, func(place string) bool { return strings.HasPrefix(place, test.where) }) {
			t.Errorf("%s: at %v, want %s", test.name, places, test.where)
		}
	}
	if strings.Contains(w.log.String(), canary) || strings.Contains(w.log.String(), w.tokens["acme"]) {
		t.Error("the log holds a secret")
	}
}

func TestEventsAndCheckpoints(t *testing.T) {
	w := newWorld(t)
	_, account, created := w.account(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = (&audit.Sequencer{DB: w.db, Key: w.key, CheckpointEvery: 2}).Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	var sequences []float64
	for cursor, began := "0", time.Now(); ; {
		got := w.must(t, 200, "GET", "/events?limit=3&cursor="+cursor, "")
		for _, event := range items(got) {
			sequences = append(sequences, event["sequence"].(float64))
		}
		cursor = got["next"].(string)
		if len(items(got)) == 0 {
			backlog, err := audit.ReadBacklog(t.Context(), w.db, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if backlog.Unsequenced == 0 && len(sequences) > 0 {
				break
			}
			if time.Since(began) > time.Minute {
				t.Fatal("the events were not sequenced")
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	for i, sequence := range sequences {
		if sequence != float64(i+1) {
			t.Fatalf("sequences %v", sequences)
		}
	}
	rotation := w.must(t, 200, "GET", "/rotations/"+created["verification"].(string), "")
	for path, want := range map[string]int{
		"/events?target=" + account + "&order=desc":               2,
		"/events?type=account.created,app.created":                2,
		"/events?correlation=" + rotation["correlation"].(string): 2,
		"/events?order=desc&limit=2&cursor=3":                     2,
		"/events?target=" + core.NewID().String():                 0,
	} {
		if got := items(w.must(t, 200, "GET", path, "")); len(got) != want {
			t.Errorf("%s: %d events, want %d", path, len(got), want)
		}
	}
	checkpoints := w.must(t, 200, "GET", "/audit/checkpoints", "")
	if checkpoints["key_id"] != audit.KeyID(w.key.Public().(ed25519.PublicKey)) || len(items(checkpoints)) == 0 {
		t.Errorf("checkpoints %v", checkpoints)
	}
}

func TestOpenAPI(t *testing.T) {
	w := newWorld(t)
	recorder := httptest.NewRecorder()
	w.engine.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/api/v1/openapi.json", nil))
	var document struct {
		OpenAPI string `json:"openapi"`
		Paths   map[string]map[string]struct {
			OperationID string                `json:"operationId"`
			Security    []map[string][]string `json:"security"`
			Responses   map[string]struct {
				Content map[string]any `json:"content"`
			} `json:"responses"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(recorder.Body.Bytes(), &document); err != nil || recorder.Code != 200 {
		t.Fatal(recorder.Code, err)
	}
	operations := 0
	for path, methods := range document.Paths {
		for method, operation := range methods {
			operations++
			if len(operation.Security) != 1 || len(operation.Security[0]["token"]) != 1 || operation.OperationID == "" {
				t.Errorf("%s %s: %+v", method, path, operation)
			}
			if _, ok := operation.Responses["default"].Content[problem.ContentType]; !ok {
				t.Errorf("%s %s tells nothing of its problems", method, path)
			}
		}
	}
	if operations < 20 || !strings.HasPrefix(document.OpenAPI, "3.1") {
		t.Errorf("%d operations, OpenAPI %s", operations, document.OpenAPI)
	}
	if strings.Contains(recorder.Body.String(), "fill") && strings.Contains(recorder.Body.String(), "/fill") {
		t.Error("the API hands out passwords")
	}
}
