package apps

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"postern/deploy/local/process"
)

const redmineProgram = "/usr/share/redmine"

// redmineScript makes users, locks, unlocks and expires them and gives them TOTP secrets, reading what to do, the username
// and the password or secret from its standard input, a line each.
//
//go:embed redmine.rb
var redmineScript string

const redmineDatabase = `production:
  adapter: sqlite3
  database: %q
  timeout: 20000
`

// StartRedmine runs Debian's redmine on SQLite, with its data in folder.
func StartRedmine(ctx context.Context, folder string, options Options) (*Site, error) {
	if err := needFolder(redmineProgram, "redmine"); err != nil {
		return nil, err
	}
	puma, err := need("puma", "puma")
	if err != nil {
		return nil, err
	}
	if options, err = options.fill(); err != nil {
		return nil, err
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return nil, err
	}
	base := filepath.Join(folder, "redmine")
	site := &Site{
		Name: "Redmine", URL: fmt.Sprintf("http://127.0.0.1:%d", options.Port), Username: options.Username, Password: options.Password, folder: base,
	}
	site.SignInURL, site.ChangeURL = site.URL+"/login", site.URL+"/my/password"
	environment := []string{"PATH=/usr/bin:/bin", "HOME=" + base, "TMPDIR=" + os.TempDir(), "RAILS_ENV=production", "LANG=C.UTF-8"}
	rails := func(ctx context.Context, input string, arguments ...string) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		command := exec.CommandContext(ctx, filepath.Join(base, "bin", "rails"), arguments...)
		command.Dir, command.Env = base, environment
		return run(command, input)
	}
	if err := once(base, func() error { return makeRedmine(ctx, base, rails) }); err != nil {
		return nil, fmt.Errorf("Redmine: %w", err)
	}
	script := filepath.Join(base, "user.rb")
	if err := os.WriteFile(script, []byte(redmineScript), 0o600); err != nil {
		return nil, err
	}
	user := func(ctx context.Context, what, username, secret string) error {
		return rails(ctx, what+"\n"+username+"\n"+secret, "runner", script)
	}
	site.set = func(ctx context.Context, username, password string) error {
		return user(ctx, "set", username, password)
	}
	site.enrol = func(ctx context.Context, username, secret string) error { return user(ctx, "enrol", username, secret) }
	site.decree = func(ctx context.Context, username, what string) error { return user(ctx, what, username, "") }
	site.accepts = func(ctx context.Context, username, password string) (bool, error) {
		return signIn(ctx, site.SignInURL, site.SignInURL, "username", "password", nil, username, password, `action-page`) // not the page that asks for another password
	}
	if err := user(ctx, "make", options.Username, options.Password); err != nil {
		return nil, err
	}
	server, err := process.StartGroup(process.Program{
		Path: puma, Folder: base, Environment: append(environment, "RAILS_SERVE_STATIC_FILES=1"),
		Arguments: []string{"-e", "production", "-b", fmt.Sprintf("tcp://127.0.0.1:%d", options.Port), "-t", "4:4", "--dir", base},
	})
	if err != nil {
		return nil, err
	}
	site.processes = append(site.processes, server)
	if err := site.answers(ctx, server); err != nil {
		return nil, errors.Join(err, site.Stop())
	}
	return site, nil
}

// makeRedmine copies the program, which keeps its configuration beside it, and makes its database.
func makeRedmine(ctx context.Context, base string, rails func(ctx context.Context, input string, arguments ...string) error) error {
	entries, err := os.ReadDir(redmineProgram)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		source, target := filepath.Join(redmineProgram, entry.Name()), filepath.Join(base, entry.Name())
		switch {
		case entry.IsDir():
			err = copyTree(source, target)
		case entry.Type().IsRegular():
			err = copyFile(source, target)
		default:
			continue // links to what the system's own instances keep
		}
		if err != nil {
			return err
		}
	}
	own := filepath.Join(base, "instances", "default")
	for _, name := range []string{"config", "tmp/cache", "tmp/pdf", "log", "files", "plugins"} {
		if err := os.MkdirAll(filepath.Join(own, name), 0o755); err != nil {
			return err
		}
	}
	gems, err := os.ReadFile(filepath.Join(base, "Gemfile"))
	if err != nil {
		return err
	}
	key := make([]byte, 64)
	_, _ = rand.Read(key)
	for name, content := range map[string]string{
		filepath.Join(base, "Gemfile"):                 strings.ReplaceAll(string(gems), redmineProgram, base),
		filepath.Join(own, "config", "database.yml"):   fmt.Sprintf(redmineDatabase, filepath.Join(own, "redmine.sqlite3")),
		filepath.Join(own, "config", "secret_key.txt"): hex.EncodeToString(key),
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			return err
		}
	}
	if err := os.Chmod(filepath.Join(base, "bin", "rails"), 0o755); err != nil {
		return err
	}
	return rails(ctx, "", "db:migrate")
}
