package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/lifecycle"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
	"postern/core/seal"
	"postern/core/vault"
	"postern/gateway"
	"postern/gateway/cli"
)

// desk is an operator's: a database, a key, and the command line.
type desk struct {
	t        *testing.T
	db       *postgres.DB
	people   *directory.Directory
	database string // references
	key      string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	for _, name := range os.Environ() {
		if name, _, _ := strings.Cut(name, "="); strings.HasPrefix(name, "POSTERN_") && !strings.HasPrefix(name, "POSTERN_TEST_") {
			t.Setenv(name, "")
			os.Unsetenv(name)
		}
	}
	address := postgrestest.URL(t, jobs.Migrate)
	db, err := postgres.Open(t.Context(), address, postgres.Options{MaxConnections: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return &desk{
		t: t, db: db, people: &directory.Directory{DB: db}, database: file(t, address), key: file(t, seal.GenerateLocalKey().Reveal()),
	}
}

// file writes a secret and gives the reference to it.
func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return "file:" + path
}

func run(arguments ...string) (code int, out, err string) {
	var printed, told bytes.Buffer
	code = cli.Run(arguments, &printed, &told)
	return code, printed.String(), told.String()
}

// do runs a command that has to succeed on the desk's database, and gives what it printed.
func (d *desk) do(arguments ...string) string {
	d.t.Helper()
	code, out, err := run(append(arguments, "--database", d.database)...)
	if code != 0 || err != "" {
		d.t.Fatalf("postern %s: %d\n%s%s", strings.Join(arguments, " "), code, out, err)
	}
	return out
}

// json is do with --json, read.
func (d *desk) json(arguments ...string) map[string]any {
	d.t.Helper()
	out := d.do(append(arguments, "--json")...)
	var read map[string]any
	if err := json.Unmarshal([]byte(out), &read); err != nil {
		d.t.Fatalf("postern %s: %v: %s", strings.Join(arguments, " "), err, out)
	}
	return read
}

// refused runs a command that has to fail with a code and say something.
func (d *desk) refused(code int, says string, arguments ...string) {
	d.t.Helper()
	got, out, err := run(append(arguments, "--database", d.database)...)
	if got != code || !strings.Contains(err, says) || out != "" || !strings.HasPrefix(err, "postern: ") {
		d.t.Errorf("postern %s: %d, want %d %q\n%s%s", strings.Join(arguments, " "), got, code, says, out, err)
	}
	if strings.Contains(err, "SQLSTATE") || strings.Contains(err, "canary") {
		d.t.Errorf("postern %s tells too much: %s", strings.Join(arguments, " "), err)
	}
}

// events lists the types of the events of a workspace and who caused them.
func (d *desk) events(workspace core.ID) (types, actors []string) {
	d.t.Helper()
	rows, err := d.db.Query(d.t.Context(), `select type, event -> 'actor' ->> 'name' from audit_outbox where workspace_id = $1 order by number`, workspace)
	if err != nil {
		d.t.Fatal(err)
	}
	var kind, actor string
	if _, err := pgx.ForEachRow(rows, []any{&kind, &actor}, func() error {
		types, actors = append(types, kind), append(actors, actor)
		return nil
	}); err != nil {
		d.t.Fatal(err)
	}
	return types, actors
}

func (d *desk) workspace(slug string) core.ID {
	d.t.Helper()
	made := d.json("workspace", "create", slug, "--name", strings.ToUpper(slug), "--key", d.key)
	return id(d.t, made["id"])
}

func id(t *testing.T, text any) core.ID {
	t.Helper()
	parsed, err := core.ParseID(text.(string))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestWorkspaceCreate(t *testing.T) {
	d := newDesk(t)
	out := d.do("workspace", "create", "acme", "--name", "Acme Ltd", "--key", d.key)
	if !strings.Contains(out, "Created the workspace acme (Acme Ltd).") || !strings.Contains(out, "postern connection create okta --workspace acme") {
		t.Error(out)
	}
	found, err := d.people.WorkspaceBySlug(t.Context(), d.db, "acme")
	if err != nil || found.Name != "Acme Ltd" {
		t.Fatal(found, err)
	}
	types, actors := d.events(found.ID)
	if strings.Join(types, " ") != "workspace.created" || !strings.HasPrefix(actors[0], "Postern's command line") {
		t.Errorf("%v by %v", types, actors)
	}
	// The vault is there, under the key that was given and no other.
	keys, err := gateway.OpenKeys(d.key)
	if err != nil {
		t.Fatal(err)
	}
	logins := &accounts.Accounts{DB: d.db, Directory: d.people, Vault: &vault.Vault{DB: d.db, Keys: keys}}
	err = d.db.Tx(t.Context(), func(tx pgx.Tx) error {
		_, err := logins.Vault.Prepare(t.Context(), tx, found.ID)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	var vaults int
	if err := d.db.QueryRow(t.Context(), `select count(*) from vaults where workspace_id = $1`, found.ID).Scan(&vaults); err != nil || vaults != 1 {
		t.Errorf("%d vaults, %v", vaults, err)
	}
	d.refused(5, "slug: another workspace has this slug", "workspace", "create", "acme", "--name", "Again", "--key", d.key)
	d.refused(2, "slug: a slug is", "workspace", "create", "Acme Ltd", "--name", "Acme", "--key", d.key)
	d.refused(2, "--name", "workspace", "create", "other", "--key", d.key)
	d.refused(2, "--key", "workspace", "create", "other", "--name", "Other")
	d.refused(2, "--key: ", "workspace", "create", "other", "--name", "Other", "--key", "file:/nowhere")
	d.refused(2, "never itself", "workspace", "create", "other", "--name", "Other", "--key", "canary")
	d.refused(2, "32 random bytes", "workspace", "create", "other", "--name", "Other", "--key", file(t, "canary"))
	if all, err := d.people.Workspaces(t.Context(), d.db); err != nil || len(all) != 1 {
		t.Errorf("%d workspaces, %v", len(all), err)
	}
}

func TestDatabaseFlag(t *testing.T) {
	d := newDesk(t)
	create := []string{"workspace", "create", "acme", "--name", "Acme", "--key", d.key}
	for _, test := range []struct {
		database string
		code     int
		says     string
	}{
		{"postgres://postern:canary@127.0.0.1:1/postern", 2, "holds a password"},
		{"postgres://postern@127.0.0.1:1/postern", 6, "cannot be reached"},
		{"mysql://127.0.0.1/postern", 2, "not a PostgreSQL URL"},
		{"file:/nowhere", 2, "cannot be read"},
		{"env:POSTERN_TEST_NOWHERE", 2, "is not set"},
	} {
		code, out, err := run(append(create, "--database", test.database)...)
		if code != test.code || !strings.Contains(err, test.says) || strings.Contains(err, "canary") || out != "" {
			t.Errorf("%s: %d %s%s, want %d %q", test.database, code, out, err, test.code, test.says)
		}
	}
	if code, _, err := run(create...); code != 2 || !strings.Contains(err, "--database") {
		t.Errorf("without --database: %d %s", code, err)
	}
	t.Setenv("POSTERN_DATABASE", d.database)
	if code, out, err := run(create...); code != 0 {
		t.Errorf("with POSTERN_DATABASE: %d %s%s", code, out, err)
	}
}

func TestMigrateAndServe(t *testing.T) {
	d := newDesk(t)
	if out := d.do("migrate"); out != "the schema is up to date\n" {
		t.Error(out)
	}
	if code, _, err := run("migrate", "--database", "postgres://u:canary@127.0.0.1:1/x"); code != 2 || !strings.Contains(err, "holds a password") || strings.Contains(err, "canary") {
		t.Errorf("migrate with a password: %d %s", code, err)
	}
	empty := file(t, strings.Replace(strings.TrimSpace(read(t, d.database)), "/test_", "/absent_", 1))
	if code, _, err := run("migrate", "--database", empty); code == 0 || !strings.Contains(err, "postern: ") {
		t.Errorf("migrate of no database: %d %s", code, err)
	}
	code, out, err := run("serve", "--database", "postgres://u:canary@127.0.0.1:1/x", "--public-url", "http://postern.example.com")
	for _, says := range []string{"--database: the URL holds a password", "--public-url: https is needed", "--key: ", "--audit-key: ", "--kafka: "} {
		if !strings.Contains(err, says) {
			t.Errorf("serve does not say %q: %s", says, err)
		}
	}
	if code != 2 || out != "" || strings.Contains(err, "canary") {
		t.Errorf("serve: %d %s%s", code, out, err)
	}
}

func read(t *testing.T, reference string) string {
	t.Helper()
	secret, err := gateway.OpenReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	return secret.Reveal()
}

func TestKey(t *testing.T) {
	code, one, _ := run("key")
	if _, err := seal.ParseKey([]byte(one)); code != 0 || err != nil {
		t.Errorf("%d, %v", code, err)
	}
	if _, other, _ := run("key"); one == other {
		t.Error("the same key twice")
	}
}

func TestHelpTeaches(t *testing.T) {
	for _, test := range []struct {
		arguments string
		says      []string
	}{
		{"", []string{"workspace create", "connection create", "connection token", "token create", "user role", "postern dev --play"}},
		{"workspace create", []string{"One customer", "postern workspace create acme", "POSTERN_KEY"}},
		{"connection create", []string{"shown this once", "postern connection create okta", "postern connection update Okta", "okta, entra or generic"}},
		{"connection update", []string{"stays as it is", "How its SCIM endpoint behaves", "--guard-share", "--[no-]entitlements", "--assertion-jwks-uri", "workload identity"}},
		{"connection client create", []string{"client credentials", "two slots", "postern connection client create Okta"}},
		{"scim requests", []string{"without passwords", "postern scim requests --workspace acme --connection Okta --refused"}},
		{"scim replay", []string{"scratch workspace", "Nothing of the workspace is changed", "--format"}},
		{"hold list", []string{"sessions die at once", "postern hold approve"}},
		{"connection token create", []string{"two slots", "connection token revoke Okta TOKEN-ID"}},
		{"token create", []string{"accounts:read", "operations:read", "Authorization: Bearer pst_api_"}},
		{"user role", []string{"needs an owner", "postern user role dana@acme.example --workspace acme --role owner"}},
		{"serve", []string{"--metrics-token", "POSTERN_DATABASE", "--drain"}},
	} {
		code, out, err := run(append(strings.Fields(test.arguments), "--help")...)
		flat := strings.ToLower(strings.Join(strings.Fields(out), " "))
		for _, says := range test.says {
			if !strings.Contains(flat, strings.ToLower(says)) && !(says == "One customer" && strings.Contains(flat, "one customer")) {
				t.Errorf("postern %s --help does not say %q:\n%s", test.arguments, says, out)
			}
		}
		if code != 0 || err != "" {
			t.Errorf("postern %s --help: %d %s", test.arguments, code, err)
		}
	}
	if code, _, err := run("frobnicate"); code != 2 || !strings.Contains(err, "frobnicate") {
		t.Errorf("an unknown command: %d %s", code, err)
	}
}

// person has an IdP push somebody.
func (d *desk) person(workspace, connection core.ID, userName string) directory.User {
	d.t.Helper()
	people := &lifecycle.Lifecycle{DB: d.db, Directory: d.people}
	made, err := people.Provision(context.WithoutCancel(d.t.Context()), core.NewCause(core.System, time.Now()), directory.User{
		Workspace: workspace, Connection: connection, UserName: userName, DisplayName: "Dana", Active: true,
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return made
}
