package cli_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/core/audit"
	"postern/core/coretest"
	"postern/core/jobs"
)

// sequenced has the log written until the test ends, and waits until it holds what was done so far.
func (f *far) sequenced() {
	f.t.Helper()
	coretest.Run(f.t, (&audit.Sequencer{DB: f.db}).Run)
	coretest.Until(f.t, "the log is written", func() bool {
		backlog, err := audit.ReadBacklog(f.t.Context(), f.db, time.Now())
		return err == nil && backlog.Unsequenced == 0
	})
}

func TestActivityFromAfar(t *testing.T) {
	d := newDesk(t)
	acme := d.workspace("acme")
	d.workspace("globex")
	f := d.far("acme", "globex")
	f.app(acme, "Wiki")
	f.app(acme, "Sum")
	f.sequenced()
	all := f.rows("acme", "activity", "list", "--limit", "0")
	if len(all) < 5 || all[0]["sequence"].(float64) < all[1]["sequence"].(float64) {
		t.Fatalf("%d events", len(all))
	}
	if oldest := f.rows("acme", "activity", "list", "--oldest-first", "--limit", "0"); len(oldest) != len(all) || oldest[0]["sequence"] != 1.0 {
		t.Errorf("%d the other way round", len(oldest))
	}
	if apps := f.ask("acme", "activity", "list", "--type", "app.*", "--since", "1h", "--text", "wiki"); !strings.Contains(apps, "app.created") || !strings.Contains(apps, "app Wiki") || strings.Count(apps, "\n") != 2 {
		t.Error(apps)
	}
	if other := f.ask("globex", "activity", "list", "--limit", "0"); strings.Contains(other, "Wiki") {
		t.Error(other)
	}
	f.denied(2, "neither a time", "acme", "activity", "list", "--since", "yesterday")
	f.denied(2, "account.nothing", "acme", "activity", "list", "--type", "account.nothing")
	f.denied(4, "nobody is called", "acme", "activity", "list", "--actor", "nobody")

	path := filepath.Join(t.TempDir(), "activity.csv")
	code, out, told := run("activity", "download", "--out", path, "--url", f.url, "--token-file", f.tokens["acme"])
	if code != 0 || out != "" {
		t.Fatalf("%d %s%s", code, out, told)
	}
	text, err := os.ReadFile(path)
	if err != nil || strings.Count(string(text), "\r\n") != len(all)+1 || !strings.Contains(string(text), "app Sum") {
		t.Errorf("%v: %s", err, text)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}

	// Follow, from the last one but one on, and what happens meanwhile, until it is stopped.
	command := exec.CommandContext(t.Context(), os.Args[0], "activity", "tail", "--after", "1", "--type", "app.created", "--url", f.url, "--token-file", f.tokens["acme"])
	command.Env = append(os.Environ(), "POSTERN_TEST_COMMAND=1")
	followed := &tape{}
	command.Stdout, command.Stderr = followed, followed
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	coretest.Until(t, "the backlog is told", func() bool { return strings.Contains(followed.String(), "app Sum") })
	f.app(acme, "Later")
	coretest.Until(t, "what happens is told", func() bool { return strings.Contains(followed.String(), "app Later") })
	if err := command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil || strings.Count(followed.String(), "\n") != 3 {
		t.Errorf("%v\n%s", err, followed)
	}
}

func TestImportFromAfar(t *testing.T) {
	d := newDesk(t)
	acme := d.workspace("acme")
	d.workspace("globex")
	f := d.far("acme", "globex")
	f.app(acme, "Wiki")
	f.member(acme, "dana")
	path := strings.TrimPrefix(file(t, "url,username,password,totp\nhttps://wiki.example.com,a,canary-1,ABC\nhttps://nowhere.example.org,b,canary-2,\n"), "file:")
	words := []string{"import", path, "--format", "csv", "--owner", "dana"}
	code, out, told := run(f.words("acme", words)...)
	if code != 0 || strings.Contains(out+told, "canary") || !strings.Contains(told, "1 to create, 1 skipped. Nothing is changed yet") || !strings.Contains(out, "totp") || !strings.Contains(out, "no app is at this site") {
		t.Errorf("%d\n%s%s", code, out, told)
	}
	if listed := f.rows("acme", "account", "list"); len(listed) != 0 {
		t.Errorf("a preview added %v", listed)
	}
	handlers := &jobs.Handlers{}
	f.imports.Register(handlers)
	worker, err := jobs.NewWorker(f.db, handlers, jobs.WorkerOptions{Concurrency: 1, Grace: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	coretest.Run(t, func(ctx context.Context) error { return worker.Run(ctx) })
	code, out, told = run(f.words("acme", append(words, "--commit", "--new-apps"))...)
	if code != 0 || !strings.Contains(told, "2 created.") || strings.Count(out, "created") != 2 {
		t.Errorf("%d\n%s%s", code, out, told)
	}
	listed := f.rows("acme", "account", "list")
	if len(listed) != 2 {
		t.Fatalf("%v", listed)
	}
	app, username := listed[0]["app_name"].(string), listed[0]["username"].(string)
	f.ask("acme", "account", "tag", listed[0]["id"].(string), "payments")
	for _, by := range [][]string{{"--app", app, "--search", strings.ToUpper(username)}, {"--tag", "Payments"}} {
		if found := f.rows("acme", append([]string{"account", "list"}, by...)...); len(found) != 1 || found[0]["id"] != listed[0]["id"] {
			t.Errorf("%v: %v", by, found)
		}
	}
	f.denied(4, `there is no app "Nothing"`, "acme", "account", "list", "--app", "Nothing")
	f.denied(4, "nobody is called", "globex", words...)
	encrypted := strings.TrimPrefix(file(t, `{"encrypted":true,"data":"canary"}`), "file:")
	f.denied(2, "encrypted", "acme", "import", encrypted, "--format", "bitwarden", "--owner", "dana")
	f.denied(2, "cannot be read", "acme", "import", path+"x", "--format", "csv", "--owner", "dana")
}

func TestCompletion(t *testing.T) {
	for line, want := range map[string]string{"postern gra": "grant", "postern activity t": "tail", "postern activity list --out": "--output", "postern account list --output j": "jsonl"} {
		command := exec.CommandContext(t.Context(), os.Args[0])
		command.Env = append(os.Environ(), "POSTERN_TEST_COMMAND=1", "COMP_LINE="+line, "COMP_POINT=999")
		var told bytes.Buffer
		command.Stdout = &told
		if err := command.Run(); err != nil || !strings.Contains(told.String(), want) {
			t.Errorf("%s: %v, %q", line, err, told.String())
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if code, out, told := run("completion", shell, "--code"); code != 0 || !strings.Contains(out, "complete") {
			t.Errorf("%s: %d %s%s", shell, code, out, told)
		}
	}
}

// tape is what a program printed so far.
type tape struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

// Write implements io.Writer.
func (t *tape) Write(text []byte) (int, error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return t.text.Write(text)
}

// String is all of it.
func (t *tape) String() string {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return t.text.String()
}
