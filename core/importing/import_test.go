package importing_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/importing"
	"postern/core/jobs"
)

// world is two workspaces, each with an administrator, and imports.
type world struct {
	*coretest.Core
	imports    *importing.Imports
	acme       directory.Workspace
	dana, ben  directory.User // dana administers
	gus        directory.User // of the other workspace
	wiki, mail accounts.App
	cause      core.Cause
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Core: coretest.Open(t, time.Now)}
	queue, err := jobs.NewQueue(w.DB, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.imports = &importing.Imports{
		DB: w.DB, Directory: w.Directory, Accounts: w.Accounts, Rotations: w.Rotations, Vault: w.Vault, Queue: queue,
	}
	w.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		for _, slug := range []string{"globex", "acme"} {
			workspace, err := w.Directory.CreateWorkspace(ctx, tx, coretest.System(), slug, slug)
			if err != nil {
				return err
			}
			for _, name := range []string{"dana", "ben"} {
				role := map[string]directory.Role{"dana": directory.RoleAdmin, "ben": directory.RoleUser}[name]
				user, err := w.Directory.InsertUser(ctx, tx, directory.User{Workspace: workspace.ID, UserName: name, Active: true, Role: role})
				if err != nil {
					return err
				}
				switch {
				case slug == "globex":
					w.gus = user
				case name == "dana":
					w.dana = user
				default:
					w.ben = user
				}
			}
			w.acme = workspace
		}
		for name, into := range map[string]*accounts.App{"Wiki": &w.wiki, "Mail": &w.mail} {
			host := strings.ToLower(name) + ".example.com"
			if *into, err = w.Accounts.CreateApp(ctx, tx, coretest.System(), w.acme.ID, accounts.NewApp{
				Name: name, Domains: []string{host}, SignInURL: "https://" + host + "/", Connector: "browser",
			}); err != nil {
				return err
			}
		}
		return nil
	})
	w.cause = core.NewCause(w.dana.Actor(), time.Now())
	return w
}

// work has a worker carry out what was committed.
func (w *world) work(t *testing.T) {
	t.Helper()
	handlers := &jobs.Handlers{}
	w.imports.Register(handlers)
	worker, err := jobs.NewWorker(w.DB, handlers, jobs.WorkerOptions{Concurrency: 2, Grace: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	coretest.Run(t, worker.Run)
}

func (w *world) plan(t *testing.T, wanted importing.New) importing.Import {
	t.Helper()
	planned, err := w.imports.Plan(t.Context(), w.cause, w.acme.ID, wanted)
	if err != nil {
		t.Fatal(err)
	}
	return planned
}

// rows are an import's, in short.
func (w *world) rows(t *testing.T, id core.ID) []string {
	t.Helper()
	found, err := w.imports.Rows(t.Context(), w.DB, w.acme.ID, id, "", 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, row := range found {
		all = append(all, fmt.Sprintf("%d %s %s in %q: %s; %s", row.Number, row.Site, row.Username, row.App, row.Outcome, row.Reason))
	}
	return all
}

func (w *world) done(t *testing.T, id core.ID) importing.Import {
	t.Helper()
	var found importing.Import
	coretest.Until(t, "the import is done", func() bool {
		var err error
		found, err = w.imports.Import(t.Context(), w.DB, w.acme.ID, id)
		return err == nil && found.State == importing.Done
	})
	return found
}

const sample = `title,url,username,password,totp
Wiki,https://wiki.example.com/login?token=canary-Pa55word!,team,canary-Pa55word!,JBSWY3DPEHPK3PXPCANARYPA55WORDAA
Wiki again,http://WIKI.example.com,team,other,
Sub,https://admin.wiki.example.com,team2,p,
Shop,https://www.shop.test/in,dana,p,steam://canary
Shop 2,https://shop.test,dana,p,
Nothing,,dana,p,
Bare,https://wiki.example.com,bare,,
Odd,https://wiki.example.com," padded",p,
`

func TestImport(t *testing.T) {
	w := newWorld(t)
	owner := w.ben.ID
	without := w.plan(t, importing.New{Format: importing.CSV, File: []byte(sample), Owner: owner})
	if without.Rows[importing.Skipped] != 6 || without.Rows[importing.Create] != 1 {
		t.Errorf("without new apps: %v\n%s", without.Rows, strings.Join(w.rows(t, without.ID), "\n"))
	}
	planned := w.plan(t, importing.New{Format: importing.CSV, File: []byte(sample), Owner: owner, NewApps: true, Key: "one"})
	if w.Count(t, w.acme.ID, `select count(*) from accounts where workspace_id = @workspace`, nil) != 0 {
		t.Error("a plan added accounts")
	}
	// Sent again it is the same import; another file is not.
	if again := w.plan(t, importing.New{Format: importing.CSV, File: []byte(sample), Owner: owner, NewApps: true, Key: "one"}); again.ID != planned.ID {
		t.Errorf("%s is not %s", again.ID, planned.ID)
	}
	if _, err := w.imports.Plan(t.Context(), w.cause, w.acme.ID, importing.New{Format: importing.CSV, File: []byte(sample + "x"), Owner: owner, Key: "one"}); core.AsError(err).Code != "idempotency_key_reused" {
		t.Errorf("another file under the same key: %v", err)
	}
	want := []string{
		`1 wiki.example.com team in "Wiki": create; `,
		`2 wiki.example.com team in "Wiki": duplicate; it is the same account as entry 1`,
		`3 admin.wiki.example.com team2 in "": skipped; several apps are at this site: add its host to the one that is meant`,
		`4 www.shop.test dana in "Shop": create_with_app; `,
		`5 shop.test dana in "Shop 2": create_with_app; `,
		`6  dana in "": skipped; it has no web address`,
		`7 wiki.example.com bare in "": skipped; password: a password is needed`,
		`8 wiki.example.com  padded in "": skipped; username: remove the space at the beginning or end`,
	}
	if diff := cmp.Diff(want, w.rows(t, planned.ID)); diff != "" {
		t.Error(diff)
	}
	if _, err := w.imports.Commit(t.Context(), coretest.System(), w.acme.ID, planned.ID); err != nil {
		t.Fatal(err)
	}
	w.work(t)
	done := w.done(t, planned.ID)
	if diff := cmp.Diff(map[importing.Outcome]int{importing.Created: 2, importing.Duplicate: 2, importing.Skipped: 4}, done.Rows); diff != "" {
		t.Errorf("%s\n%s", diff, strings.Join(w.rows(t, planned.ID), "\n"))
	}
	// The second of the shop found the app that the first one added, and its account there.
	if rows := w.rows(t, planned.ID); !strings.HasPrefix(rows[4], `5 shop.test dana in "Shop 2": duplicate`) {
		t.Error(rows[4])
	}
	found, err := w.Accounts.List(t.Context(), w.DB, w.acme.ID, accounts.ListQuery{})
	if err != nil || len(found) != 2 {
		t.Fatal(found, err)
	}
	if password, err := w.Accounts.Password(t.Context(), w.DB, w.acme.ID, found[0].ID, 1); err != nil || password.Reveal() != canary {
		t.Errorf("the password is another one: %v", err)
	}
	if knows, err := w.Accounts.Exposures(t.Context(), w.DB, w.acme.ID, found[1].ID, 0); err != nil || len(knows) != 1 || knows[0].User != w.dana.ID || knows[0].Level != "entered" {
		t.Errorf("whose file it was is not on record as knowing the password: %+v, %v", knows, err)
	}
	if role, err := w.Accounts.MayUse(t.Context(), w.DB, w.acme.ID, owner, found[0].ID); err != nil || role != accounts.Owner {
		t.Errorf("%s, %v", role, err)
	}
	// Codes are made from what they can be made from; what is no such thing is left out, and said.
	if code, wait, err := w.Accounts.SpendCode(t.Context(), w.acme.ID, found[0].ID); err != nil || code.IsZero() && wait == 0 {
		t.Errorf("no codes: %v", err)
	}
	if _, err := w.Accounts.TOTP(t.Context(), w.DB, w.acme.ID, found[1].ID); core.KindOf(err) != core.KindNotFound {
		t.Errorf("codes of what is no secret: %v", err)
	}
	if left, err := w.imports.Rows(t.Context(), w.DB, w.acme.ID, planned.ID, "", 0, 9); err != nil || len(left[0].LeftOut) != 0 || !slices.Equal(left[3].LeftOut, []string{"totp"}) {
		t.Errorf("left out of the first %v, of the fourth %v, %v", left[0].LeftOut, left[3].LeftOut, err)
	}
	if verified := w.Count(t, w.acme.ID, `select count(*) from rotations where workspace_id = @workspace and reason = 'verify'`, nil); verified != 2 {
		t.Errorf("%d sign-ins are queued", verified)
	}
	// Twice, late, or by somebody else: nothing more happens.
	if again, err := w.imports.Commit(t.Context(), w.cause, w.acme.ID, planned.ID); err != nil || again.State != importing.Done {
		t.Errorf("%v, %v", again, err)
	}
	if err := w.imports.Drop(t.Context(), w.acme.ID, planned.ID); core.AsError(err).Code != "import_begun" {
		t.Errorf("dropped when it was done: %v", err)
	}
	for what, err := range map[string]error{
		"read":   second(w.imports.Import(t.Context(), w.DB, w.gus.Workspace, planned.ID)),
		"commit": second(w.imports.Commit(t.Context(), core.NewCause(w.gus.Actor(), time.Now()), w.gus.Workspace, planned.ID)),
		"drop":   w.imports.Drop(t.Context(), w.gus.Workspace, planned.ID),
	} {
		if core.KindOf(err) != core.KindNotFound {
			t.Errorf("%s from another workspace: %v", what, err)
		}
	}
	w.secretless(t)
	// The same file again adds nothing.
	if again := w.plan(t, importing.New{Format: importing.CSV, File: []byte(sample), Owner: owner, NewApps: true}); again.Rows[importing.Create]+again.Rows[importing.CreateWithApp] != 0 {
		t.Errorf("again: %v\n%s", again.Rows, strings.Join(w.rows(t, again.ID), "\n"))
	}
}

func second[T any](_ T, err error) error { return err }

// secretless looks for the file's passwords in every column an import could leave them in.
func (w *world) secretless(t *testing.T) {
	t.Helper()
	for _, table := range []string{"imports", "import_rows", "audit_outbox", "river_job", "apps", "accounts", "rotations"} {
		var found int
		if err := w.DB.QueryRow(t.Context(), `select count(*) from `+pgx.Identifier{table}.Sanitize()+` r where r::text like '%canary%' or encode(convert_to(r::text, 'UTF8'), 'escape') like '%Pa55word%'`).Scan(&found); err != nil {
			t.Fatal(err)
		}
		if found > 0 {
			t.Errorf("%s holds a password", table)
		}
	}
	if left := w.Count(t, w.acme.ID, `select count(*) from import_rows r join imports i on i.workspace_id = r.workspace_id and i.id = r.import_id where r.workspace_id = @workspace and i.state in ('done', 'dropped') and r.sealed is not null`, nil); left != 0 {
		t.Errorf("%d rows that are done are still sealed", left)
	}
}

func TestWhoMayImport(t *testing.T) {
	w := newWorld(t)
	file := []byte("url,username,password\nhttps://wiki.example.com,a,p\nhttps://new.test,a,p\n")
	ben := core.NewCause(w.ben.Actor(), time.Now())
	for name, test := range map[string]struct {
		cause  core.Cause
		wanted importing.New
		kind   core.Kind
	}{
		"for somebody else":       {ben, importing.New{Owner: w.dana.ID}, core.KindDenied},
		"with apps":               {ben, importing.New{Owner: w.ben.ID, NewApps: true}, core.KindDenied},
		"for nobody":              {w.cause, importing.New{}, core.KindInvalid},
		"for another workspace's": {w.cause, importing.New{Owner: w.gus.ID}, core.KindInvalid},
		"a stranger":              {core.NewCause(w.gus.Actor(), time.Now()), importing.New{Owner: w.ben.ID}, core.KindDenied},
	} {
		test.wanted.Format, test.wanted.File = importing.CSV, file
		if _, err := w.imports.Plan(t.Context(), test.cause, w.acme.ID, test.wanted); core.KindOf(err) != test.kind || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	mine, err := w.imports.Plan(t.Context(), ben, w.acme.ID, importing.New{Format: importing.CSV, File: file, Owner: w.ben.ID})
	if err != nil || mine.Rows[importing.Create] != 1 || mine.Rows[importing.Skipped] != 1 {
		t.Fatal(mine.Rows, err)
	}
	// Whoever is gone by the time it is carried out adds nothing.
	if _, err := w.imports.Commit(t.Context(), ben, w.acme.ID, mine.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Lifecycle.Deprovision(t.Context(), coretest.System(), w.acme.ID, w.ben.ID); err != nil {
		t.Fatal(err)
	}
	w.work(t)
	if done := w.done(t, mine.ID); done.Rows[importing.Refused] != 1 || done.Rows[importing.Created] != 0 {
		t.Errorf("%v", done.Rows)
	}
	if w.Count(t, w.acme.ID, `select count(*) from accounts where workspace_id = @workspace`, nil) != 0 {
		t.Error("somebody who left added an account")
	}
}

func TestWhatNobodyCommitsIsErased(t *testing.T) {
	w := newWorld(t)
	now := time.Now()
	w.imports.Now = func() time.Time { return now }
	file := []byte("url,username,password\nhttps://wiki.example.com,a,canary\n")
	late := w.plan(t, importing.New{Format: importing.CSV, File: file, Owner: w.ben.ID})
	unwanted := w.plan(t, importing.New{Format: importing.CSV, File: file, Owner: w.ben.ID})
	for range 2 {
		if err := w.imports.Drop(t.Context(), w.acme.ID, unwanted.ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.imports.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if found, err := w.imports.Import(t.Context(), w.DB, w.acme.ID, late.ID); err != nil || found.State != importing.Planned {
		t.Fatal(found, err)
	}
	now = now.Add(importing.Waits)
	if err := w.imports.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, id := range []core.ID{late.ID, unwanted.ID} {
		if _, err := w.imports.Commit(t.Context(), w.cause, w.acme.ID, id); core.AsError(err).Code != "import_dropped" {
			t.Errorf("committed all the same: %v", err)
		}
	}
	w.secretless(t)
	// What became of it is kept for a while; what waits, for as long as it does.
	now = now.Add(importing.Kept - time.Second)
	waits := w.plan(t, importing.New{Format: importing.CSV, File: file, Owner: w.ben.ID})
	for want, at := range []time.Time{now, now.Add(time.Second)} {
		now = at
		forgotten, err := w.imports.Forget(t.Context())
		if err != nil || want == 0 && forgotten > 1 || want == 1 && forgotten == 0 {
			t.Fatalf("%d are forgotten, %v", forgotten, err)
		}
	}
	if _, err := w.imports.Import(t.Context(), w.DB, w.acme.ID, late.ID); core.KindOf(err) != core.KindNotFound {
		t.Errorf("it is kept for ever: %v", err)
	}
	if _, err := w.imports.Import(t.Context(), w.DB, w.acme.ID, waits.ID); err != nil {
		t.Errorf("what waits is forgotten: %v", err)
	}
}

// A worker that dies in the middle, and one beside it, add each account once.
func TestAnImportGoesOn(t *testing.T) {
	w := newWorld(t)
	var file strings.Builder
	file.WriteString("url,username,password\n")
	const count = 60
	for n := range count {
		fmt.Fprintf(&file, "https://wiki.example.com,user%d,p%d\n", n, n)
	}
	planned := w.plan(t, importing.New{Format: importing.CSV, File: []byte(file.String()), Owner: w.ben.ID})
	if _, err := w.imports.Commit(t.Context(), w.cause, w.acme.ID, planned.ID); err != nil {
		t.Fatal(err)
	}
	handlers := &jobs.Handlers{}
	w.imports.Register(handlers)
	worker, err := jobs.NewWorker(w.DB, handlers, jobs.WorkerOptions{Concurrency: 1, Grace: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	stop := coretest.Run(t, worker.Run)
	coretest.Until(t, "some are added", func() bool {
		found, err := w.imports.Import(t.Context(), w.DB, w.acme.ID, planned.ID)
		return err == nil && found.Rows[importing.Created] > 3
	})
	stop()
	w.work(t)
	if done := w.done(t, planned.ID); done.Rows[importing.Created] != count {
		t.Errorf("%v", done.Rows)
	}
	if added := w.Count(t, w.acme.ID, `select count(*) from accounts where workspace_id = @workspace`, nil); added != count {
		t.Errorf("%d accounts", added)
	}
}
