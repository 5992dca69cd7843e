package cli_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/connectors/postgresql"
	"postern/core"
	"postern/core/accounts"
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
	"postern/core/posture"
	"postern/core/reviews"
	"postern/core/rotation"
	"postern/core/services"
	"postern/core/vault"
	"postern/gateway"
	"postern/gateway/api"
	"postern/gateway/problem"
	"postern/webhooks/ssf"
)

// far is a gateway on a desk's database, and whoever asks it from elsewhere.
type far struct {
	*desk
	url    string
	engine http.Handler
	tokens map[string]string // files, by the workspace's slug
	logins *accounts.Accounts

	imports *importing.Imports
}

// far opens a gateway for some workspaces.
func (d *desk) far(workspaces ...string) *far {
	d.t.Helper()
	gin.SetMode(gin.ReleaseMode)
	keys, err := gateway.OpenKeys(d.key)
	if err != nil {
		d.t.Fatal(err)
	}
	queue, err := jobs.NewQueue(d.db, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	engine := gin.New()
	log := slog.New(slog.DiscardHandler)
	problem.Install(engine, problem.Options{Log: log})
	logins := &accounts.Accounts{DB: d.db, Directory: d.people, Vault: &vault.Vault{DB: d.db, Keys: keys}}
	rotations := &rotation.Rotations{DB: d.db, Accounts: logins, Queue: queue}
	imports := &importing.Imports{DB: d.db, Directory: d.people, Accounts: logins, Rotations: rotations, Vault: logins.Vault, Queue: queue}
	people := &lifecycle.Lifecycle{DB: d.db, Directory: d.people, Accounts: logins, Rotations: rotations}
	chosen := &policies.Policies{DB: d.db, Accounts: logins, Rotations: rotations}
	(&api.Service{
		DB: d.db, AuditKey: auditKey, Product: "Postern test", Directory: d.people, Accounts: logins, Rotations: rotations, Log: log, Lifecycle: people, Policies: chosen, Imports: imports,
		Connectors: rotation.Connectors{"postgresql": postgresql.New(false)}, Health: &health.Health{DB: d.db, Accounts: logins, Rotations: rotations, Queue: queue},
		DryRuns:   &dryruns.DryRuns{DB: d.db, Accounts: logins, Rotations: rotations, Queue: queue},
		Mailboxes: &mailbox.Mailboxes{DB: d.db, Accounts: logins, Vault: logins.Vault, Domain: "in.example.com"},
		Posture:   &posture.Posture{DB: d.db, Accounts: logins, Lifecycle: people, Queue: queue},
		Links: &links.Links{
			DB: d.db, Directory: d.people, Accounts: logins, Policies: chosen, Mail: &mail.Mail{DB: d.db, Vault: logins.Vault, Jobs: queue, Keep: true},
			PublicURL: "https://postern.example.com", Return: people.Reactivate,
			Depart: func(ctx context.Context, cause core.Cause, workspace, user core.ID) error {
				_, err := people.Deprovision(ctx, cause, workspace, user)
				return err
			},
		},
		Services: &services.Services{DB: d.db, Directory: d.people, Accounts: logins, Rotations: rotations},
		Reviews:  &reviews.Reviews{DB: d.db, Directory: d.people, Accounts: logins, Lifecycle: people},
		Sinks:    sinkService(logins),
		Streams:  &ssf.Service{HTTP: http.DefaultClient},
	}).Mount(engine)
	server := httptest.NewServer(engine)
	d.t.Cleanup(server.Close)
	d.t.Setenv("XDG_CONFIG_HOME", d.t.TempDir())
	f := &far{d, server.URL, engine, map[string]string{}, logins, imports}
	for _, slug := range workspaces {
		f.tokens[slug] = f.token(slug, api.Scopes()...)
	}
	return f
}

// token makes a service account and gives the file that holds its token.
func (f *far) token(slug string, scopes ...string) string {
	f.t.Helper()
	arguments := []string{"token", "create", "--workspace", slug, "--name", "cli " + core.NewID().String()}
	for _, scope := range scopes {
		arguments = append(arguments, "--scopes", scope)
	}
	return strings.TrimPrefix(file(f.t, f.desk.json(arguments...)["token"].(string)+"\n"), "file:")
}

func (f *far) words(slug string, arguments []string) []string {
	return append(arguments, "--url", f.url, "--token-file", f.tokens[slug])
}

// ask runs a command that has to succeed at the gateway, and gives what it printed.
func (f *far) ask(slug string, arguments ...string) string {
	f.t.Helper()
	code, out, err := run(f.words(slug, arguments)...)
	if code != 0 || err != "" && err != "none\n" {
		f.t.Fatalf("postern %s: %d\n%s%s", strings.Join(arguments, " "), code, out, err)
	}
	return out
}

// rows is ask with JSON lines, read.
func (f *far) rows(slug string, arguments ...string) []map[string]any {
	f.t.Helper()
	var all []map[string]any
	for line := range strings.Lines(f.ask(slug, append(arguments, "--output", "jsonl")...)) {
		var row map[string]any
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			f.t.Fatalf("postern %s: %v: %s", strings.Join(arguments, " "), err, line)
		}
		all = append(all, row)
	}
	return all
}

// denied runs a command that the gateway has to refuse.
func (f *far) denied(code int, says, slug string, arguments ...string) {
	f.t.Helper()
	got, out, err := run(f.words(slug, arguments)...)
	if got != code || !strings.Contains(err, says) || out != "" || !strings.HasPrefix(err, "postern: ") {
		f.t.Errorf("postern %s: %d, want %d %q\n%s%s", strings.Join(arguments, " "), got, code, says, out, err)
	}
}

func TestLogin(t *testing.T) {
	d := newDesk(t)
	d.workspace("acme")
	f := d.far("acme")
	token := strings.TrimSpace(read(t, "file:"+f.tokens["acme"]))
	code, _, told := run("account", "list")
	if code != 2 || !strings.Contains(told, "postern login") {
		t.Errorf("without a login: %d %s", code, told)
	}
	if code, _, told := run("login", f.url, "--token-file", strings.TrimPrefix(file(t, "pst_api_unknown"), "file:")); code != 3 || strings.Contains(told, "pst_api_") {
		t.Errorf("with an unknown token: %d %s", code, told)
	}
	if code, out, told := run("login", f.url, "--token-file", f.tokens["acme"], "--name", "here"); code != 0 || !strings.Contains(out, "context here") {
		t.Fatalf("%d %s%s", code, out, told)
	}
	path := filepath.Join(os.Getenv("XDG_CONFIG_HOME"), "postern", "contexts.json")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	if code, out, told := run("account", "list", "-o", "json"); code != 0 || out != "[]\n" {
		t.Errorf("%d %q %s", code, out, told)
	}
	// The kept token is for its gateway alone, and over plain http for this machine alone.
	if code, _, told := run("account", "list", "--url", "https://elsewhere.example.com"); code != 2 || !strings.Contains(told, "for it alone") {
		t.Errorf("another gateway: %d %s", code, told)
	}
	if code, _, told := run("account", "list", "--url", "http://gateway.example.com", "--token-file", f.tokens["acme"]); code != 2 || !strings.Contains(told, "https") {
		t.Errorf("plain http: %d %s", code, told)
	}
	if code, _, told := run("account", "list", "--context", "there"); code != 4 || !strings.Contains(told, "here") {
		t.Errorf("another context: %d %s", code, told)
	}
	// A variable goes before what is kept.
	t.Setenv("POSTERN_URL", f.url)
	t.Setenv("POSTERN_TOKEN", token+"x")
	if code, _, _ := run("account", "list"); code != 3 {
		t.Errorf("with a wrong token in the environment: %d", code)
	}
	os.Unsetenv("POSTERN_TOKEN")
	os.Unsetenv("POSTERN_URL")
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, told := run("account", "list"); code != 3 || !strings.Contains(told, "others can read it") {
		t.Errorf("a file others can read: %d %s", code, told)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := run("logout"); code != 0 || !strings.Contains(out, "Forgot here") {
		t.Errorf("logout: %d %s", code, out)
	}
	if kept, err := os.ReadFile(path); err != nil || strings.Contains(string(kept), token) {
		t.Errorf("the token is still there: %v", err)
	}
	if code, _, _ := run("logout"); code != 4 {
		t.Errorf("logout twice: %d", code)
	}
}

// A gateway that fails, is busy or loses its answer is asked again, with the same key; one that sends the
// caller elsewhere gets no further.
func TestRemoteTriesAgain(t *testing.T) {
	d := newDesk(t)
	d.workspace("acme")
	f := d.far("acme")
	var asked atomic.Int32
	keys := map[string]bool{}
	flaky := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			keys[r.Header.Get("Idempotency-Key")] = true
			recorder := httptest.NewRecorder()
			f.engine.ServeHTTP(recorder, r)
			switch asked.Add(1) {
			case 1: // it had its effect, and the answer is lost
				panic(http.ErrAbortHandler)
			case 2:
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			case 3:
				w.Header().Set("Content-Type", problem.ContentType)
				w.WriteHeader(http.StatusConflict)
				_, _ = w.Write([]byte(`{"code":"request_under_way"}`))
				return
			}
			w.WriteHeader(recorder.Code)
			_, _ = w.Write(recorder.Body.Bytes())
			return
		}
		f.engine.ServeHTTP(w, r)
	}))
	t.Cleanup(flaky.Close)
	code, out, told := run("policy", "add", "Once", "--trigger", "logout", "--url", flaky.URL, "--token-file", f.tokens["acme"])
	if code != 0 || !strings.Contains(out, "Once") || len(keys) != 1 || asked.Load() != 4 {
		t.Errorf("%d %s%s: %d keys, asked %d times", code, out, told, len(keys), asked.Load())
	}
	if all := f.rows("acme", "policy", "list"); !strings.Contains(string(must(json.Marshal(all))), "Once") {
		t.Errorf("%v", all)
	}
	away := httptest.NewServer(http.RedirectHandler(f.url+"/api/v1/accounts", http.StatusTemporaryRedirect))
	t.Cleanup(away.Close)
	if code, _, told := run("account", "list", "--url", away.URL, "--token-file", f.tokens["acme"]); code != 2 || !strings.Contains(told, "sending elsewhere") {
		t.Errorf("a redirect: %d %s", code, told)
	}
	odd := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }))
	t.Cleanup(odd.Close)
	if code, _, told := run("account", "list", "--url", odd.URL, "--token-file", f.tokens["acme"]); code != 2 || !strings.Contains(told, "not as Postern's API") {
		t.Errorf("something else: %d %s", code, told)
	}
	f.tokens["reports"] = f.token("acme", api.ActivityRead)
	f.denied(3, "accounts:read", "reports", "account", "list")
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func TestAccountsFromAfar(t *testing.T) {
	d := newDesk(t)
	acme := d.workspace("acme")
	d.workspace("globex")
	f := d.far("acme", "globex")
	f.member(acme, "dana")
	f.app(acme, "Wiki")
	password := strings.TrimPrefix(file(t, "canary-Pa55word!\n"), "file:")
	out := f.ask("acme", "account", "add", "--app", "wiki", "--username", "te\u202eam", "--owner", "dana", "--password-file", password)
	if strings.Contains(out, "canary") || !strings.Contains(out, "Wiki (te·am)") {
		t.Errorf("added %s", out)
	}
	listed := f.rows("acme", "account", "list")
	if len(listed) != 1 || listed[0]["username"] != "te\u202eam" {
		t.Fatalf("%v", listed)
	}
	account := listed[0]["id"].(string)
	if out := f.ask("acme", "account", "tag", account, "Prod", "eu"); !strings.Contains(out, "eu, prod") {
		t.Error(out)
	}
	if out := f.ask("acme", "account", "risk", account, "4"); !strings.Contains(out, "risk                       4") {
		t.Error(out)
	}
	if out := f.ask("acme", "account", "risk", account, "0"); !strings.Contains(out, "as its app") {
		t.Error(out)
	}
	if out := f.ask("acme", "account", "list"); !strings.Contains(out, "APP") || !strings.Contains(out, "te·am") || !strings.Contains(out, "eu prod") {
		t.Error(out)
	}
	if out := f.ask("acme", "rotation", "list", account); !strings.Contains(out, "verify") {
		t.Error(out)
	}
	begun := f.rows("acme", "account", "verify", account)
	if _, err := f.db.Exec(t.Context(), `
insert into rotation_steps (workspace_id, rotation_id, number, state, detail, evidence, at)
values ($1, $2, 99, 'blocked', 'The form was not found.', '{"model": {"difference": {"gone": ["the field user"], "new": ["the field who"]}}}', now())`, acme, begun[0]["id"]); err != nil {
		t.Fatal(err)
	}
	if out := f.ask("acme", "rotation", "show", begun[0]["id"].(string)); !strings.Contains(out, "verify") || !strings.Contains(out, "- the field user\n") || !strings.Contains(out, "+ the field who\n") {
		t.Error(out)
	}
	f.ask("acme", "rotation", "start", account)
	if out := f.ask("acme", "user", "list"); !strings.Contains(out, "dana") {
		t.Error(out)
	}
	if out := f.ask("acme", "user", "show", "dana"); !strings.Contains(out, "live sessions") {
		t.Error(out)
	}
	for _, words := range [][]string{{"account", "show", account}, {"account", "tag", account, "x"}, {"rotation", "list", account}, {"rotation", "start", account}, {"rotation", "show", begun[0]["id"].(string)}} {
		f.denied(4, "there is no such", "globex", words...)
	}
	f.denied(2, "no id", "acme", "account", "show", "wiki")
	f.denied(4, "nobody is called", "globex", "user", "show", "dana")
	f.denied(4, "there is no app", "globex", "account", "add", "--app", "wiki", "--username", "x", "--owner", "dana", "--password-file", password)
	if out := f.ask("globex", "account", "list"); out != "" {
		t.Error(out)
	}
}

// member adds a person.
func (f *far) member(workspace core.ID, name string) directory.User {
	f.t.Helper()
	var made directory.User
	if err := f.db.Tx(f.t.Context(), func(tx pgx.Tx) (err error) {
		made, err = f.people.InsertUser(f.t.Context(), tx, directory.User{Workspace: workspace, UserName: name, Active: true, Role: directory.RoleUser})
		return err
	}); err != nil {
		f.t.Fatal(err)
	}
	return made
}
