package apps

import (
	"context"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // it is how Shaarli keeps its password
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"postern/core"
	"postern/deploy/local/process"
)

const shaarliProgram = "/usr/share/shaarli"

// StartShaarli runs Debian's shaarli, a bookmark keeper for one person, in folder.
func StartShaarli(ctx context.Context, folder string, options Options) (*Site, error) {
	return application{
		name: "Shaarli", program: php, files: []part{{shaarliProgram, "shaarli"}},
		signIn: "/login", change: "/admin/password",
		form: form{username: "login", password: "password", wayOut: "/admin/logout"}, prepare: prepareShaarli,
	}.start(ctx, folder, options)
}

func prepareShaarli(ctx context.Context, site *Site) (process.Program, error) {
	site.user = func(_ context.Context, _, username, password string) error {
		if username != site.Username {
			return core.Invalid("username", "Shaarli has one account")
		}
		return shaarliPassword(site.folder, username, password)
	}
	err := site.once(func() error {
		if err := makeShaarli(site.folder); err != nil {
			return err
		}
		return site.user(ctx, makeUser, site.Username, site.Password)
	})
	return site.php(site.in("site")), err
}

// makeShaarli copies the program, which names its own folders in its code.
func makeShaarli(base string) error {
	site := filepath.Join(base, "site")
	if err := copyTree(shaarliProgram, site); err != nil {
		return err
	}
	for _, name := range []string{"data", "cache/tmp", "cache/cache", "cache/pagecache"} {
		if err := os.MkdirAll(filepath.Join(base, name), 0o755); err != nil {
			return err
		}
	}
	own := strings.NewReplacer("/var/lib/shaarli", base, "/var/cache/shaarli", filepath.Join(base, "cache"), shaarliProgram, site)
	return filepath.WalkDir(site, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".php" {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(path, []byte(own.Replace(string(content))), 0o644)
	})
}

// shaarliPassword writes the account into Shaarli's settings, as its own first page does.
func shaarliPassword(base, username, password string) error {
	file := filepath.Join(base, "data", "config.json.php")
	const head, tail = "<?php /*\n", "\n*/ ?>"
	kept := map[string]any{"general": map[string]any{"title": "Links of the pilot station", "timezone": "UTC"}, "updates": map[string]any{"check_updates": false}}
	if content, err := os.ReadFile(file); err == nil {
		text := string(content)
		from, to := strings.IndexByte(text, '{'), strings.LastIndexByte(text, '}')
		if from < 0 || to < from {
			return fmt.Errorf("%s has no settings", file)
		}
		if err := json.Unmarshal([]byte(text[from:to+1]), &kept); err != nil {
			return err
		}
	}
	salt := rand.Text()
	kept["credentials"] = map[string]any{"login": username, "salt": salt, "hash": fmt.Sprintf("%x", sha1.Sum([]byte(password+username+salt)))} //nolint:gosec // as above
	content, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(head+string(content)+tail), 0o600)
}
