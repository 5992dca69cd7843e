package apps

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"postern/deploy/local/process"
)

const redmineProgram = "/usr/share/redmine"

// redmineScript makes users, locks, unlocks and expires them and gives them TOTP secrets.
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
	return application{
		name: "Redmine", program: part{"puma", "puma"}, files: []part{{redmineProgram, "redmine"}},
		signIn: "/login", change: "/my/password",
		form:   form{username: "username", password: "password", wayOut: "action-page"}, // not the page that asks for another password
		orders: []string{enrol, enable, disable, expire}, prepare: prepareRedmine,
	}.start(ctx, folder, options)
}

func prepareRedmine(ctx context.Context, site *Site) (server process.Program, err error) {
	environment := []string{"PATH=/usr/bin:/bin", "HOME=" + site.folder, "TMPDIR=" + os.TempDir(), "RAILS_ENV=production", "LANG=C.UTF-8"}
	rails, script := site.in("bin", "rails"), site.in("user.rb")
	err = site.once(func() error {
		if err := makeRedmine(site.folder); err != nil {
			return err
		}
		return site.run(ctx, environment, "", rails, "db:migrate")
	})
	if err != nil {
		return server, err
	}
	if err := write(map[string]string{script: redmineScript}); err != nil {
		return server, err
	}
	site.user = site.script(environment, rails, "runner", script)
	return process.Program{
		Path: site.program, Folder: site.folder, Environment: append(environment, "RAILS_SERVE_STATIC_FILES=1"),
		Arguments: []string{"-e", "production", "-b", fmt.Sprintf("tcp://127.0.0.1:%d", site.options.Port), "-t", "4:4", "--dir", site.folder},
	}, site.user(ctx, makeUser, site.Username, site.Password)
}

// makeRedmine copies the program, which keeps its configuration beside it.
func makeRedmine(base string) error {
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
	err = write(map[string]string{
		filepath.Join(base, "Gemfile"):                 strings.ReplaceAll(string(gems), redmineProgram, base),
		filepath.Join(own, "config", "database.yml"):   fmt.Sprintf(redmineDatabase, filepath.Join(own, "redmine.sqlite3")),
		filepath.Join(own, "config", "secret_key.txt"): hex.EncodeToString(key),
	})
	return errors.Join(err, os.Chmod(filepath.Join(base, "bin", "rails"), 0o755))
}
